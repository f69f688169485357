"""The Hotelling observers against closed forms and an independent p × p solution."""

import numpy as np
import pytest
from scipy.fft import dctn
from scipy.stats import norm
from sklearn.covariance import LedoitWolf, ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score

from taskct.errors import UserError
from taskct.observers.base import SmallSampleWarning
from taskct.observers.eye import apply_eye_filter, eye_filter
from taskct.observers.hotelling import Hotelling, HotellingEye, HotellingLedoitWolf, HotellingSVD

few = pytest.mark.filterwarnings("ignore::taskct.observers.base.SmallSampleWarning")


def residuals_of(images, signal_present):
    """Residuals about the class means, one row a trial, and the difference of the class means."""
    pixels = images.reshape(len(images), -1).astype(float)
    present, absent = pixels[signal_present], pixels[~signal_present]
    return np.concatenate([present - present.mean(0), absent - absent.mean(0)]), present.mean(0) - absent.mean(0)


def lda_weights(images, signal_present, **settings):
    """scikit-learn's LDA; its covariance is the mean of the classes' biased ones when the classes are equal."""
    lda = LinearDiscriminantAnalysis(solver="lsqr", priors=[0.5, 0.5], **settings)
    lda.fit(images.reshape(len(images), -1).astype(float), signal_present)
    per_class = signal_present.sum()
    return lda.coef_[0] * (per_class - 1) / per_class


def test_reaches_the_closed_form_auc(correlated):
    observer = Hotelling(ridge=0.0).fit(*correlated.draw(20_000, seed=1))
    auc = correlated.auc_of(observer.template_)
    # Finite training costs about p/n = 0.3 % of SNR², 0.0005 of AUC; ten times that is allowed.
    assert correlated.ideal_auc - 0.005 < auc <= correlated.ideal_auc + 1e-12
    images, signal_present = correlated.draw(4_000, seed=2)
    measured = roc_auc_score(signal_present, observer.test_statistic(images))
    # The standard error of an AUC near 0.79 from 2,000 + 2,000 trials is 0.0072; 4 of them: 1 in 16,000.
    assert measured == pytest.approx(auc, abs=0.029)


@few
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


@few
def test_singular_covariance_is_named(correlated):
    with pytest.raises(UserError, match="singular; give a ridge above 4e-14 or more trials"):
        Hotelling(ridge=0.0).fit(*correlated.draw(60, seed=4))


@few
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


@few
@pytest.mark.parametrize(("n_trials", "shrinkage"), [(400, None), (400, 0.3), (40, 0.3)])
def test_equals_scikit_learn(correlated, n_trials, shrinkage):
    images, signal_present = correlated.draw(n_trials, seed=12)
    expected = lda_weights(images, signal_present, shrinkage=shrinkage)
    # (1 − a) K + a tr(K)/p I is 1 − a times K + ridge tr(K)/p I with ridge = a / (1 − a).
    a = shrinkage or 0.0
    observer = Hotelling(ridge=a / (1.0 - a)).fit(images, signal_present)
    np.testing.assert_allclose(observer.template_.ravel() / (1.0 - a), expected, rtol=1e-7, atol=1e-12)


@few
@pytest.mark.parametrize("n_trials", [4, 40, 62, 64, 66, 300, 2_000])
def test_ledoit_wolf_equals_scikit_learn(correlated, n_trials):
    images, signal_present = correlated.draw(n_trials, seed=13)
    residuals, _ = residuals_of(images, signal_present)
    shrinkage = ledoit_wolf(residuals, assume_centered=True)[1]
    observer = HotellingLedoitWolf().fit(images, signal_present)
    assert observer.shrinkage_ == pytest.approx(shrinkage, rel=1e-9)
    np.testing.assert_allclose(
        observer.template_.ravel(), lda_weights(images, signal_present, shrinkage=shrinkage), rtol=1e-7, atol=1e-12
    )


@few
@pytest.mark.parametrize("n_trials", [50, 200])
def test_ledoit_wolf_with_unequal_classes(correlated, n_trials):
    images, _ = correlated.draw(n_trials, seed=14)
    signal_present = np.arange(n_trials) < n_trials // 5
    residuals, difference = residuals_of(images, signal_present)
    counts = np.repeat([n_trials // 5, n_trials - n_trials // 5], [n_trials // 5, n_trials - n_trials // 5])
    weighted = residuals / np.sqrt(2.0 * (counts - 1))[:, None]  # each class has half the weight in K
    fitted = LedoitWolf(assume_centered=True).fit(weighted * np.sqrt(n_trials))
    observer = HotellingLedoitWolf().fit(images, signal_present)
    assert observer.shrinkage_ == pytest.approx(fitted.shrinkage_, rel=1e-9)
    np.testing.assert_allclose(
        observer.template_.ravel(), np.linalg.solve(fitted.covariance_, difference), rtol=1e-7, atol=1e-12
    )


def test_ledoit_wolf_shrinks_white_noise_to_the_end(white):
    # Without correlations the excess d² is all error b², up to a relative spread of about √(2/p²) = 2 %.
    observer = HotellingLedoitWolf().fit(*white.draw(1_000, seed=15))
    assert observer.shrinkage_ > 0.9
    # Its template is then the matched filter but for the noise of Δs: SNR² loses 4 p σ²/n of its own 2.5, 11 %.
    assert white.auc_of(observer.template_) > white.ideal_auc - 0.03


@few
@pytest.mark.parametrize("n_trials", [30, 64, 200])
@pytest.mark.parametrize("rank", [1, 7, 28])
def test_svd_equals_the_truncated_pseudo_inverse(correlated, n_trials, rank):
    images, signal_present = correlated.draw(n_trials, seed=16)
    residuals, difference = residuals_of(images, signal_present)
    _, values, vectors = np.linalg.svd(residuals / np.sqrt(n_trials - 2.0), full_matrices=False)
    expected = vectors[:rank].T @ (vectors[:rank] @ difference / values[:rank] ** 2)
    observer = HotellingSVD(rank=rank).fit(images, signal_present)
    np.testing.assert_allclose(observer.template_.ravel(), expected, rtol=1e-6, atol=1e-10)


@few
def test_svd_of_full_rank_is_the_hotelling_observer(correlated):
    images, signal_present = correlated.draw(300, seed=17)
    expected = Hotelling(ridge=0.0).fit(images, signal_present)
    observer = HotellingSVD(rank=64).fit(images, signal_present)
    np.testing.assert_allclose(observer.template_, expected.template_, rtol=1e-7)
    assert observer.offset_ == pytest.approx(expected.offset_, rel=1e-7)


@few
def test_svd_path_shares_a_decomposition(correlated):
    trials = correlated.draw(200, seed=18)
    path = HotellingSVD().fit_path(*trials, [30, 2, 2])
    assert [member.rank for member in path] == [30, 2, 2]
    for member in path:
        single = HotellingSVD(rank=int(member.rank)).fit(*trials)
        np.testing.assert_allclose(member.template_, single.template_, rtol=1e-7, atol=1e-10)
    assert HotellingSVD().fit_path(*trials, []) == []


@few
def test_svd_errors(correlated):
    for rank in (0, 2.5, float("nan"), -1):
        with pytest.raises(UserError, match="a whole number of at least 1"):
            HotellingSVD(rank=rank)
    images, signal_present = correlated.draw(30, seed=19)
    with pytest.raises(UserError, match="a whole number of at least 1"):
        HotellingSVD().fit_path(images, signal_present, [2.5])
    with pytest.raises(UserError, match="rank is 29, but the covariance of 64 pixels from 30 trials has rank 28;"):
        HotellingSVD(rank=29).fit(images, signal_present)
    images[10:20] = images[:10]  # repeated trials span 20 dimensions, less the two class means
    images[:, 0, 0] = 40.0
    with pytest.raises(UserError, match=r"rank is 28, but .* has rank 18;"):
        HotellingSVD(rank=28).fit(images, signal_present)
    HotellingSVD(rank=18).fit(images, signal_present)


@pytest.mark.parametrize(
    ("observer", "n_trials"),
    [
        (Hotelling(), 64),
        (HotellingLedoitWolf(), 64),
        (HotellingEye(pixel_mm=0.7, internal_noise_hu=5.0), 64),
        (HotellingSVD(rank=8), 40),
    ],
)
def test_warns_of_few_trials_and_only_then(correlated, observer, n_trials):
    observer.fit(*correlated.draw(n_trials, seed=20))
    with pytest.warns(SmallSampleWarning, match=f"{n_trials - 2} training trials"):
        observer.fit(*correlated.draw(n_trials - 2, seed=20))


@few
@pytest.mark.parametrize("n_trials", [20, 100])
@pytest.mark.parametrize("observer", [Hotelling(), Hotelling(ridge=0.0), HotellingLedoitWolf(), HotellingSVD(rank=3)])
def test_trials_without_noise_are_named(observer, n_trials):
    signal_present = np.arange(n_trials) % 2 == 0
    images = 40.1 + np.zeros((n_trials, 8, 8))  # not a number that sums exactly
    images[signal_present, 3, 3] += 8.0
    with pytest.raises(UserError, match="all alike"):
        observer.fit(images, signal_present)
