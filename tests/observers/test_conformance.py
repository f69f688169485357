"""What every registered observer must do."""

from typing import Any

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.observers import OBSERVERS, LinearObserver, Observer, PathObserver, make_observer

pytestmark = pytest.mark.filterwarnings("ignore::taskct.observers.SmallSampleWarning")  # all trials here are few

GRID = np.stack(np.meshgrid(np.arange(8.0), np.arange(8.0), indexing="ij"), axis=-1).reshape(-1, 2)
COVARIANCE = 300.0 * np.exp(-((GRID[:, None] - GRID[None]) ** 2).sum(-1) / 8.0) + 60.0 * np.eye(64)
NEEDED: dict[str, dict[str, Any]] = {
    "ho_eye": {"pixel_mm": 0.7, "internal_noise_hu": 5.0},
    "npwe": {"pixel_mm": 0.7},
    "cho_gabor": {"n_orientations": 4},  # 32 channels: 40 trials are enough
    "pwmf": {"covariance": COVARIANCE},
}


def make(name: str, hu_scale: float = 1.0) -> Observer:
    kwargs = dict(NEEDED.get(name, {}))
    if "internal_noise_hu" in kwargs:
        kwargs["internal_noise_hu"] *= hu_scale
    if "covariance" in kwargs:
        kwargs["covariance"] = kwargs["covariance"] * hu_scale**2
    return make_observer(name, **kwargs)


@pytest.fixture(params=sorted(OBSERVERS))
def name(request):
    return request.param


@pytest.fixture
def trials(correlated):
    return correlated.draw(50, seed=1)


@pytest.fixture
def unseen(correlated):
    return correlated.draw(40, seed=2)


def test_contract(name, trials, unseen):
    observer = make(name)
    images, signal_present = trials
    before = images.copy()
    assert observer.fit(images, signal_present) is observer
    statistic = observer.test_statistic(unseen[0])
    assert isinstance(statistic, np.ndarray)
    assert statistic.dtype == np.float64
    assert statistic.shape == (40,)
    assert np.isfinite(statistic).all()
    np.testing.assert_array_equal(images, before)
    assert observer.test_statistic(unseen[0][:0]).shape == (0,)


def test_higher_means_present(name, correlated):
    images, signal_present = correlated.draw(400, seed=1)
    unseen, truth = correlated.draw(400, seed=2)
    for sign in (1.0, -1.0):  # a signal that is darker than its surroundings too
        statistic = make(name).fit(sign * images, signal_present).test_statistic(sign * unseen)
        # The ideal d' is 1.1, that of an observer that does not prewhiten 0.6, the standard error 0.1: a d' of 0 passes
        # with probability 2e-3.
        assert statistic[truth].mean() - statistic[~truth].mean() > 0.3 * statistic[truth].std()


def test_same_seed_same_answer(name, trials, unseen):
    first, second = (make(name).fit(*trials).test_statistic(unseen[0]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_refit_equals_fresh_fit(name, trials, unseen):
    refitted = make(name).fit(*unseen).fit(*trials)
    np.testing.assert_array_equal(refitted.test_statistic(unseen[0]), make(name).fit(*trials).test_statistic(unseen[0]))


def test_order_of_training_trials_does_not_matter(name, trials, unseen):
    order = np.random.default_rng(3).permutation(50)
    shuffled = make(name).fit(trials[0][order], trials[1][order])
    np.testing.assert_allclose(
        shuffled.test_statistic(unseen[0]), make(name).fit(*trials).test_statistic(unseen[0]), rtol=1e-6
    )


def test_constant_offset_changes_nothing(name, trials, unseen):
    moved = make(name).fit(trials[0] + 256, trials[1]).test_statistic(unseen[0] + 256)
    expected = make(name).fit(*trials).test_statistic(unseen[0])
    np.testing.assert_allclose(moved, expected, atol=1e-4 * expected.std())  # float32 images


def test_scale_changes_nothing_but_the_template(name, trials, unseen):
    scaled = make(name, hu_scale=4.0).fit(4 * trials[0], trials[1])
    expected = make(name).fit(*trials)
    np.testing.assert_allclose(scaled.test_statistic(4 * unseen[0]), expected.test_statistic(unseen[0]), rtol=1e-6)
    if isinstance(expected, LinearObserver):
        np.testing.assert_allclose(4 * scaled.template_, expected.template_, rtol=1e-6)  # a template is in 1/HU


def test_difference_of_statistics_is_the_template_times_the_difference(name, trials, unseen):
    observer = make(name).fit(*trials)
    if not isinstance(observer, LinearObserver):
        pytest.skip("not a linear observer")
    assert observer.template_.shape == (8, 8)
    first, second = unseen[0][:20], unseen[0][20:]  # internal noise is the same for trial i of both
    np.testing.assert_allclose(
        observer.test_statistic(first) - observer.test_statistic(second),
        np.einsum("nij,ij->n", first.astype(float) - second, observer.template_),
        rtol=1e-9,
    )


def test_path_equals_separate_fits(name, correlated, unseen):
    observer = make(name)
    if not isinstance(observer, PathObserver):
        pytest.skip("no path")
    values = [2, 20, 5, 5] if observer.path_parameter == "rank" else [0.01, 1.0, 0.1, 0.1]
    for n_trials in (40, 200):  # fewer and more trials than pixels
        images, signal_present = correlated.draw(n_trials, seed=4)
        path = observer.fit_path(images, signal_present, values)
        assert not hasattr(observer, "template_")
        assert len(path) == len(values)
        for value, member in zip(values, path, strict=True):
            single = make_observer(name, **NEEDED.get(name, {}), **{observer.path_parameter: value})
            single.fit(images, signal_present)
            np.testing.assert_allclose(
                member.test_statistic(unseen[0]), single.test_statistic(unseen[0]), rtol=1e-5, atol=1e-7
            )
            assert getattr(member, observer.path_parameter) == value
    assert observer.fit_path(images, signal_present, []) == []


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


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite(name, trials, value):
    images, signal_present = trials
    broken = images.copy()
    broken[[3, 7], 0, 0] = value
    with pytest.raises(ValueError, match="2 of 50 images"):
        make(name).fit(broken, signal_present)
    with pytest.raises(ValueError, match="2 of 50 images"):
        make(name).fit(images, signal_present).test_statistic(broken)


def test_other_shape_than_fitted(name, trials):
    with pytest.raises(ValueError, match="fitted on"):
        make(name).fit(*trials).test_statistic(trials[0][:, 1:])


def test_registry_errors():
    with pytest.raises(UserError, match=r"known observers: cho_ddog, .*, ho_eye, .*, slnn"):
        make_observer("hotteling")
    with pytest.raises(UserError, match="rigde"):
        make_observer("ho", rigde=1.0)
    with pytest.raises(UserError, match="pixel_mm"):
        make_observer("ho_eye", internal_noise_hu=1.0)
    with pytest.raises(UserError, match="ridge is -1"):
        make_observer("ho", ridge=-1.0)
