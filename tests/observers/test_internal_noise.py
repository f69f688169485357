"""The observer with the noise of people: what its noise adds up to, and the file that holds it."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from human_noise import HUMAN_NOISE
from taskct.errors import UserError
from taskct.metrics.roc import auc
from taskct.observers import ChannelizedHotelling, FittedNoise, HumanLike, make_observer, read_fitted_noise
from taskct.observers.fresh import Eye, observer_told
from taskct.observers.internal_noise import MODELS, kinds_of, noise_units, write_fitted_noise

SIDE = 12
AXIS = np.arange(SIDE) - (SIDE - 1) / 2.0
BLOB = np.exp(-(AXIS[:, None] ** 2 + AXIS**2) / 5.0)


def trials(n=2000, seed=0, contrast_hu=12.0):
    rng, present = np.random.default_rng(seed), np.arange(2 * n) < n
    return rng.normal(40.0, 20.0, (2 * n, SIDE, SIDE)) + contrast_hu * present[:, None, None] * BLOB, present


@pytest.mark.parametrize("kind", ["channels", "uniform-channels"])
def test_noise_of_channels_is_what_drawn_noise_of_their_outputs_adds_up_to(kind):
    images, present = trials(400)
    observer = ChannelizedHotelling(channels="gabor", n_orientations=3, band_edges=(1 / 8, 1 / 4, 1 / 2))
    observer.fit(images, present)
    outputs = images.reshape(len(images), -1) @ observer.channel_matrix_
    spread = np.sqrt((outputs[present].var(axis=0, ddof=1) + outputs[~present].var(axis=0, ddof=1)) / 2.0)
    if kind == "uniform-channels":
        spread = np.linalg.norm(observer.channel_matrix_, axis=0)  # noise of 1 in channels with a norm of 1
    noise = spread * np.random.default_rng(1).standard_normal((40_000, outputs.shape[1]))
    drawn = float((noise @ observer.channel_template_).std())
    found = noise_units(observer, images, present)[kind]
    assert found == pytest.approx(drawn, rel=0.02)  # a standard error is 0.4 %


@pytest.mark.parametrize("alpha", [0.5, 1.5])
def test_noise_in_proportion_divides_detectability(alpha):
    images, present = trials()
    unseen, truth = trials(seed=1)
    noise = replace(HUMAN_NOISE, alpha=alpha, ci_low=0.0, ci_high=None)
    areas = [
        auc(t[truth], t[~truth])
        for t in (
            observer.fit(images, present).test_statistic(unseen)
            for observer in (HumanLike(human=noise), make_observer("cho_lg", **HUMAN_NOISE.settings))
        )
    ]
    expected = float(ndtr(ndtri(areas[1]) / math.sqrt(1.0 + alpha**2)))
    assert areas[0] == pytest.approx(expected, abs=0.02)  # 2000 + 2000 trials: three standard errors


def test_a_trial_meets_the_same_noise_in_every_arm():
    images, present = trials(200)
    observer = HumanLike(human=HUMAN_NOISE, seed=7).fit(images, present)
    difference = observer.test_statistic(images + 3.0 * BLOB) - observer.test_statistic(images)
    np.testing.assert_allclose(difference, difference[0], rtol=1e-9)
    assert observer.internal_std_ > 0.0


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore::taskct.observers.SmallSampleWarning")
def test_every_model_can_have_every_kind_that_is_for_it(name):
    images, present = trials(150)
    for kind in kinds_of(name):
        noise = replace(HUMAN_NOISE, observer=name, settings={}, kind=kind)
        fitted = HumanLike(human=noise).fit(images, present)
        unit = noise_units(fitted.model_, images, present)[kind]
        assert fitted.internal_std_ == pytest.approx(0.5 * unit)
        assert np.isfinite(fitted.test_statistic(images)).all()


def test_what_is_written_is_read(tmp_path):
    noise = replace(HUMAN_NOISE, fitted_on={"n_readers": 4, "conditions": ["3 mm"]})
    file = tmp_path / "human.json"
    file.write_text(write_fitted_noise(noise), encoding="utf-8")
    assert read_fitted_noise(file) == noise


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": "other"}, "no fitted observer of this version"),
        ({"alpha": None}, "alpha is missing or of another kind"),
        ({"alpha": "much"}, "alpha is missing or of another kind"),
        ({"alpha": -1.0}, "alpha is -1"),
        ({"alpha": 9.0}, "outside its interval"),
        ({"observer": "ho"}, "takes no fitted noise"),
        ({"observer": "npwe", "kind": "channels"}, "is not for npwe"),
        ({"kind": "loud"}, "is not for cho_lg"),
        ({"settings": []}, "settings is missing or of another kind"),
        ({"pixel_mm": 99.0}, "pixel_mm is 99"),
        ({"pixel_mm": 10**400}, "pixel_mm is missing or of another kind"),
        ({"alpha": True}, "alpha is missing or of another kind"),
        ({"settings": {"n_channels": 10**9}}, "must be a number of at most"),
        ({"settings": {"n_channels": 2000}}, "n_channels must be at most 1000"),
        ({"settings": {"width_px": "wide"}}, "width_px must be a number"),
        ({"settings": {"width_px": float("nan")}}, "cannot be read as a fitted observer"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path, change, words):
    file = tmp_path / "human.json"
    file.write_text(json.dumps(HUMAN_NOISE.as_dict() | change), encoding="utf-8")
    with pytest.raises(UserError, match=words) as caught:
        read_fitted_noise(file)
    assert "\n" not in str(caught.value)
    assert "human.json" in str(caught.value)


def test_a_file_that_is_not_there_or_no_json(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_fitted_noise(tmp_path / "none.json")
    (tmp_path / "cut.json").write_text('{"schema": ')
    with pytest.raises(UserError, match="taskct human"):
        read_fitted_noise(tmp_path / "cut.json")


def test_settings_that_the_observer_does_not_know():
    with pytest.raises(UserError, match="colour"):
        HumanLike(human=replace(HUMAN_NOISE, settings={"colour": 3}))


def test_channels_in_pixels_take_no_other_pixel_size_and_an_eye_does():
    with pytest.raises(UserError, match=r"fitted to people on pixels of 0\.7 mm"):
        HumanLike(human=HUMAN_NOISE, pixel_mm=0.5)
    assert HumanLike(human=replace(HUMAN_NOISE, observer="npwe", settings={}), pixel_mm=0.5).pixel_mm == 0.5


def test_without_the_file_it_cannot_be_made():
    with pytest.raises(UserError, match="give the file of `taskct human`"):
        observer_told("human", Eye(0.7, 500.0, 1.0, 3.0), seed=0)


def test_a_fit_needs_a_known_observer():
    with pytest.raises(UserError, match="takes no fitted noise"):
        FittedNoise("cnn", {}, "proportional", 0.0, 0.0, None, 0.95, 0.7, 500.0, 1.0)
