"""What every registered observer must do: taskct's own suite, the words of refusals, and the registry."""

from functools import partial
from typing import Any

import numpy as np
import pytest

from human_noise import HUMAN_NOISE
from taskct.errors import UserError
from taskct.observers import OBSERVERS, Observer, PathObserver, make_observer
from taskct.testing import correlated_task, observer_checks

pytestmark = pytest.mark.filterwarnings("ignore::taskct.observers.SmallSampleWarning")  # all trials here are few

NEEDED: dict[str, dict[str, Any]] = {
    "ho_eye": {"pixel_mm": 0.7, "internal_noise_hu": 5.0},
    "npwe": {"pixel_mm": 0.7},
    "human": {"human": HUMAN_NOISE},
    "cho_gabor": {"n_orientations": 4},  # 32 channels: 40 trials are enough
    "pwmf": {"covariance": correlated_task().covariance},
}


def make(name: str, hu_scale: float = 1.0) -> Observer:
    kwargs = dict(NEEDED.get(name, {}))
    if "internal_noise_hu" in kwargs:
        kwargs["internal_noise_hu"] *= hu_scale
    if "covariance" in kwargs:
        kwargs["covariance"] = kwargs["covariance"] * hu_scale**2
    return make_observer(name, **kwargs)


CHECKS = [
    pytest.param(check, id=f"{name}-{check}")
    for name in sorted(OBSERVERS)
    for check in observer_checks(partial(make, name), scaled=partial(make, name))
]


@pytest.mark.parametrize("check", CHECKS)
def test_suite(check):
    check()


@pytest.fixture(params=sorted(OBSERVERS))
def name(request):
    return request.param


@pytest.fixture
def trials(correlated):
    return correlated.draw(50, seed=1)


def test_a_path_varies_what_its_constructor_takes(name):
    observer = make(name)
    if not isinstance(observer, PathObserver):
        pytest.skip("no path")
    parameter, value = observer.path_parameter, 5
    assert getattr(make_observer(name, **NEEDED.get(name, {}), **{parameter: value}), parameter) == value


def test_unfitted(name, trials):
    with pytest.raises(RuntimeError, match="has not been fitted"):
        make(name).test_statistic(trials[0])


@pytest.mark.parametrize("present", [True, False])
def test_one_class(name, trials, present):
    with pytest.raises(ValueError, match="2 trials of each class"):
        make(name).fit(trials[0], np.full(50, present))


def test_bad_training_trials(name, trials):
    images, signal_present = trials
    with pytest.raises(ValueError, match=r"signal_present has shape \(49,\)"):
        make(name).fit(images, signal_present[1:])
    with pytest.raises(ValueError, match="must be bool"):
        make(name).fit(images, signal_present.astype(int))
    with pytest.raises(ValueError, match="must have shape"):
        make(name).fit(images[:, None], signal_present)
    with pytest.raises(ValueError, match="all training images are the same"):
        make(name).fit(np.ones_like(images), signal_present)


def test_what_does_not_suit_a_fitted_observer(name, trials):
    images, signal_present = trials
    fitted = make(name).fit(images, signal_present)
    with pytest.raises(ValueError, match="fitted on"):
        fitted.test_statistic(images[:, 1:])
    for value in (np.nan, np.inf):
        broken = images.copy()
        broken[[3, 7], 0, 0] = value
        with pytest.raises(ValueError, match="2 of 50 images"):
            make(name).fit(broken, signal_present)
        with pytest.raises(ValueError, match="2 of 50 images"):
            fitted.test_statistic(broken)


def test_registry_errors():
    with pytest.raises(UserError, match=r"known observers: cho_ddog, .*, ho_eye, .*, slnn"):
        make_observer("hotteling")
    with pytest.raises(UserError, match="rigde"):
        make_observer("ho", rigde=1.0)
    with pytest.raises(UserError, match="pixel_mm"):
        make_observer("ho_eye", internal_noise_hu=1.0)
    with pytest.raises(UserError, match="ridge is -1"):
        make_observer("ho", ridge=-1.0)


def test_means_that_agree_to_rounding_are_refused(name, trials):
    """As where each class was centred on its own mean: a template of it would be rounding, and its AUC chance."""
    images, present = trials
    centred = images.copy()
    for of_class in (present, ~present):
        centred[of_class] -= centred[of_class].mean(axis=0)
    for given in (centred, centred.astype(np.float32)):
        with pytest.raises(UserError, match="the same to rounding"):
            make(name).fit(given, present)


def test_the_unit_of_the_images_changes_no_ranking(name, trials, correlated):
    images, present = trials
    others, _ = correlated.draw(40, seed=2)
    in_hu, in_other = (
        make(name, scale).fit(images * scale, present).test_statistic(others * scale) for scale in (1.0, 1.0 / 4000.0)
    )
    if name == "cnn":
        assert np.corrcoef(in_hu, in_other)[0, 1] > 0.999
    else:
        np.testing.assert_array_equal(np.argsort(in_hu), np.argsort(in_other))
