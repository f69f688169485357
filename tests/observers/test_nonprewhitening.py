"""NPW and NPWE against their closed forms: AUC = Φ(sᵀw / √(2 wᵀKw))."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from taskct.errors import UserError
from taskct.observers.eye import apply_eye_filter, eye_filter
from taskct.observers.hotelling import Hotelling
from taskct.observers.nonprewhitening import NPW, NPWE

pytestmark = pytest.mark.filterwarnings("ignore::taskct.observers.SmallSampleWarning")  # few trials on purpose


def eye_matrix(shape, **settings):
    response = eye_filter(shape, **settings)
    n = response.size
    return apply_eye_filter(np.eye(n).reshape(n, *shape), response).reshape(n, n)


@pytest.mark.parametrize("task_name", ["correlated", "white"])
def test_npw_has_the_closed_form_auc(request, task_name):
    task = request.getfixturevalue(task_name)
    s = task.signal.ravel()
    expected = norm.cdf(s @ s / np.sqrt(2.0 * s @ task.covariance @ s))
    observer = NPW(signal=task.signal).fit(*task.draw(100, seed=1))
    assert task.auc_of(observer.template_) == pytest.approx(expected, abs=1e-12)
    images, signal_present = task.draw(4_000, seed=2)
    measured = roc_auc_score(signal_present, observer.test_statistic(images))
    # The standard error of an AUC is below 0.0095 with 2,000 + 2,000 trials; 4 of them: 1 in 16,000 per case.
    assert measured == pytest.approx(expected, abs=0.038)


def test_npw_is_ideal_in_white_noise_and_not_in_coloured(white, correlated):
    for task, ideal in ((white, True), (correlated, False)):
        auc = task.auc_of(NPW(signal=task.signal).fit(*task.draw(100, seed=3)).template_)
        assert (auc == pytest.approx(task.ideal_auc, abs=1e-12)) == ideal
        assert auc <= task.ideal_auc + 1e-12


def test_npw_estimates_the_signal_from_the_class_means(correlated):
    images, signal_present = correlated.draw(101, seed=4)
    difference = images[signal_present].mean(0, dtype=float) - images[~signal_present].mean(0, dtype=float)
    variances = [np.var(images[c].astype(float), axis=0, ddof=1).mean() for c in (signal_present, ~signal_present)]
    observer = NPW().fit(images, signal_present)
    np.testing.assert_allclose(observer.template_, difference / np.mean(variances), rtol=1e-6, atol=1e-9)
    statistic = observer.test_statistic(images)
    assert statistic[signal_present].mean() == pytest.approx(-statistic[~signal_present].mean(), rel=1e-6)


def test_npw_is_the_limit_of_a_hotelling_observer_with_a_large_ridge(correlated):
    trials = correlated.draw(200, seed=5)
    ridged = Hotelling(ridge=1e9).fit(*trials)
    np.testing.assert_allclose(1e9 * ridged.template_, NPW().fit(*trials).template_, rtol=1e-6)


@pytest.mark.parametrize("task_name", ["correlated", "white"])
@pytest.mark.parametrize("internal_noise", [0.0, 0.8])
def test_npwe_has_the_closed_form_auc(request, task_name, internal_noise):
    task = request.getfixturevalue(task_name)
    s = task.signal.ravel()
    settings = {"pixel_mm": 0.7, "viewing_distance_mm": 450.0, "magnification": 1.4}
    w = eye_matrix(task.signal.shape, **settings)
    w = w @ w @ s
    d_prime = s @ w / np.sqrt(w @ task.covariance @ w)
    expected = norm.cdf(d_prime / np.sqrt(2.0 * (1.0 + internal_noise**2)))
    observer = NPWE(signal=task.signal, internal_noise=internal_noise, **settings).fit(*task.draw(2_000, seed=6))
    cosine = observer.template_.ravel() @ w / np.linalg.norm(observer.template_) / np.linalg.norm(w)
    assert cosine == pytest.approx(1.0, abs=1e-12)
    # internal_std_ is estimated from 2,000 trials: 1.6 % of a standard deviation, below 0.006 of AUC in 4 of them.
    assert task.auc_of(observer.template_, observer.internal_std_) == pytest.approx(expected, abs=0.006)
    images, signal_present = task.draw(4_000, seed=7)
    measured = roc_auc_score(signal_present, observer.test_statistic(images))
    # As for NPW, and the 0.006 above.
    assert measured == pytest.approx(expected, abs=0.044)


def test_npwe_estimates_the_signal_behind_the_eye(correlated):
    images, signal_present = correlated.draw(80, seed=8)
    pixels = images.reshape(80, -1).astype(float)
    matrix = eye_matrix((8, 8), pixel_mm=0.7)
    seen = pixels @ matrix
    variances = [np.var(seen[c], axis=0, ddof=1).mean() for c in (signal_present, ~signal_present)]
    w = (seen[signal_present].mean(0) - seen[~signal_present].mean(0)) / np.mean(variances)
    observer = NPWE(pixel_mm=0.7, internal_noise=2.0).fit(images, signal_present)
    np.testing.assert_allclose(observer.template_.ravel(), matrix @ w, rtol=1e-6, atol=1e-9)
    statistic = seen @ w
    spread = [np.var(statistic[c], ddof=1) for c in (signal_present, ~signal_present)]
    assert observer.internal_std_ == pytest.approx(2.0 * np.sqrt(np.mean(spread)), rel=1e-6)


def test_internal_noise_is_relative_at_any_dose(white):
    images, signal_present = white.draw(200, seed=9)
    unseen = white.draw(50, seed=10)[0]
    weak, strong = (NPWE(pixel_mm=0.7, internal_noise=1.0).fit(k * images, signal_present) for k in (1.0, 8.0))
    np.testing.assert_allclose(weak.test_statistic(unseen), strong.test_statistic(8.0 * unseen), rtol=1e-6)


def test_internal_noise_has_its_own_seed(white):
    trials = white.draw(200, seed=11)
    first, second = (NPWE(pixel_mm=0.7, internal_noise=0.5, seed=seed).fit(*trials) for seed in (0, 1))
    images = np.zeros((4_000, 8, 10))
    np.testing.assert_array_equal(first.test_statistic(images), first.test_statistic(images))
    noise = first.test_statistic(images) - second.test_statistic(images)
    # Two independent draws: variance 2. The standard error of a standard deviation is 1.1 %; 5 of them: 6e-7.
    assert noise.std() == pytest.approx(np.sqrt(2.0) * first.internal_std_, rel=0.056)


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        (np.ones(5), r"not \(5,\)"),
        (np.zeros((4, 4)), "other than 0"),
        (np.full((4, 4), np.nan), "must be finite"),
    ],
)
def test_signal_errors(signal, message):
    for make in (NPW, lambda signal: NPWE(pixel_mm=0.7, signal=signal)):
        with pytest.raises(UserError, match=message):
            make(signal=signal)


def test_errors(white):
    trials = white.draw(20, seed=12)
    for observer in (NPW(signal=np.ones((10, 8))), NPWE(pixel_mm=0.7, signal=np.ones((10, 8)))):
        with pytest.raises(UserError, match=r"signal is \(10, 8\) but the images are \(8, 10\)"):
            observer.fit(*trials)
    with pytest.raises(UserError, match="magnification is 0"):
        NPWE(pixel_mm=0.7, magnification=0.0)
    with pytest.raises(UserError, match="internal_noise is -1"):
        NPWE(pixel_mm=0.7, internal_noise=-1.0)
    flat = np.full((20, 8, 10), 40.1)
    flat[::2, 3, 3] += 8.0
    for observer in (NPW(), NPWE(pixel_mm=0.7)):
        with pytest.raises(UserError, match="all alike"):
            observer.fit(flat, trials[1])
