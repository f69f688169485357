"""The Hotelling observers against closed forms and an independent p × p solution."""

import numpy as np
import pytest
from scipy.fft import dctn
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from taskct.errors import UserError
from taskct.observers import Hotelling, HotellingEye
from taskct.observers.eye import apply_eye_filter, eye_filter


def test_reaches_the_closed_form_auc(correlated):
    observer = Hotelling(ridge=0.0).fit(*correlated.draw(20_000, seed=1))
    auc = correlated.auc_of(observer.template_)
    # Finite training costs about p/n = 0.3 % of SNR², 0.0005 of AUC; ten times that is allowed.
    assert correlated.ideal_auc - 0.005 < auc <= correlated.ideal_auc + 1e-12
    images, signal_present = correlated.draw(4_000, seed=2)
    measured = roc_auc_score(signal_present, observer.test_statistic(images))
    # The standard error of an AUC near 0.79 from 2,000 + 2,000 trials is 0.0072; 4 of them: 1 in 16,000.
    assert measured == pytest.approx(auc, abs=0.029)


@pytest.mark.parametrize("n_trials", [30, 63, 64, 200])
@pytest.mark.parametrize("ridge", [1e-4, 0.1, 10.0])
def test_equals_a_solution_with_the_full_covariance(correlated, n_trials, ridge):
    images, signal_present = correlated.draw(n_trials, seed=3)
    signal_present = np.arange(n_trials) < n_trials // 3  # classes of unequal size
    pixels = images.reshape(n_trials, -1).astype(float)
    present, absent = pixels[signal_present], pixels[~signal_present]
    covariance = (np.cov(present.T) + np.cov(absent.T)) / 2.0
    loaded = covariance + ridge * np.trace(covariance) / 64 * np.eye(64)
    expected = np.linalg.solve(loaded, present.mean(0) - absent.mean(0))
    observer = Hotelling(ridge=ridge).fit(images, signal_present)
    np.testing.assert_allclose(observer.template_.ravel(), expected, rtol=1e-6, atol=1e-9)
    # The statistic is 0 halfway between the class means.
    statistic = observer.test_statistic(images)
    assert statistic[signal_present].mean() == pytest.approx(-statistic[~signal_present].mean(), rel=1e-6)


def test_singular_covariance_is_named(correlated):
    with pytest.raises(UserError, match="singular; give a ridge above 0"):
        Hotelling(ridge=0.0).fit(*correlated.draw(60, seed=4))


@pytest.mark.parametrize("n_trials", [40, 300])
def test_eye_equals_a_solution_with_the_full_covariance(correlated, n_trials):
    images, signal_present = correlated.draw(n_trials, seed=5)
    response = eye_filter((8, 8), pixel_mm=0.7, magnification=0.8, viewing_distance_mm=450.0)
    matrix = apply_eye_filter(np.eye(64).reshape(64, 8, 8), response).reshape(64, 64)
    filtered = images.reshape(n_trials, -1).astype(float) @ matrix
    present, absent = filtered[signal_present], filtered[~signal_present]
    covariance = (np.cov(present.T) + np.cov(absent.T)) / 2.0
    loaded = covariance + (6.0**2 + 0.05 * np.trace(covariance) / 64) * np.eye(64)
    w = np.linalg.solve(loaded, present.mean(0) - absent.mean(0))
    observer = HotellingEye(
        pixel_mm=0.7, magnification=0.8, viewing_distance_mm=450.0, internal_noise_hu=6.0, ridge=0.05
    ).fit(images, signal_present)
    np.testing.assert_allclose(observer.template_.ravel(), matrix @ w, rtol=1e-6, atol=1e-9)
    assert observer.internal_std_ == pytest.approx(6.0 * np.sqrt(w @ w), rel=1e-9)


@pytest.mark.parametrize("internal_noise_hu", [0.5, 10.0, 40.0])
def test_internal_noise_costs_what_the_closed_form_says(white, internal_noise_hu):
    # White noise stays white in cosine space: SNR² = Σ E²S² / (E²σ² + σ_i²).
    response2 = eye_filter((8, 10), pixel_mm=0.7) ** 2
    spectrum2 = dctn(white.signal, norm="ortho") ** 2
    snr2 = np.sum(response2 * spectrum2 / (response2 * 400.0 + internal_noise_hu**2))
    best = float(norm.cdf(np.sqrt(snr2 / 2.0)))
    observer = HotellingEye(pixel_mm=0.7, internal_noise_hu=internal_noise_hu, ridge=0.0)
    observer.fit(*white.draw(20_000, seed=6))
    auc = white.auc_of(observer.template_, observer.internal_std_)
    assert best - 0.005 < auc <= best + 1e-12  # as for the Hotelling observer above
    images, signal_present = white.draw(4_000, seed=7)
    measured = roc_auc_score(signal_present, observer.test_statistic(images))
    # The standard error is below 0.0095 for any AUC; 4 of them: fewer than 1 in 16,000 per case.
    assert measured == pytest.approx(auc, abs=0.038)


def test_internal_noise_lowers_the_auc(white):
    trials = white.draw(20_000, seed=8)
    aucs = []
    for internal_noise_hu in (1.0, 10.0, 40.0):
        observer = HotellingEye(pixel_mm=0.7, internal_noise_hu=internal_noise_hu, ridge=0.0).fit(*trials)
        aucs.append(white.auc_of(observer.template_, observer.internal_std_))
    assert white.ideal_auc > aucs[0] > aucs[1] > aucs[2] > 0.5


def test_without_internal_noise_an_invertible_eye_changes_nothing_but_the_mean(white):
    # The Hotelling observer is invariant to an invertible filter; only zero frequency is lost.
    images, signal_present = white.draw(2_000, seed=9)
    images -= images.mean(axis=(1, 2), keepdims=True)
    plain = Hotelling(ridge=1e-9).fit(images, signal_present)
    eye = HotellingEye(pixel_mm=0.7, internal_noise_hu=0.0, ridge=1e-9).fit(images, signal_present)
    unseen = white.draw(100, seed=10)[0]
    unseen -= unseen.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(eye.test_statistic(unseen), plain.test_statistic(unseen), atol=1e-3)


def test_internal_noise_has_its_own_seed(white):
    trials = white.draw(200, seed=11)
    first, second = (HotellingEye(pixel_mm=0.7, internal_noise_hu=20.0, seed=seed).fit(*trials) for seed in (0, 1))
    np.testing.assert_array_equal(first.template_, second.template_)
    images = np.zeros((4_000, 8, 10))
    noise = first.test_statistic(images) - second.test_statistic(images)
    # Two independent draws: variance 2. The standard error of a standard deviation is 1.1 %; 5 of them: 6e-7.
    assert noise.std() == pytest.approx(np.sqrt(2.0) * first.internal_std_, rel=0.056)
