"""Linear observers against closed forms in Gaussian noise, and against scikit-learn."""

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.stats import multivariate_normal, norm
from sklearn.covariance import ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score

from taskct.observers.base import LinearObserver, SmallSampleWarning
from taskct.observers.eye import apply_eye_filter, eye_filter
from taskct.observers.hotelling import Hotelling, HotellingLedoitWolf
from taskct.observers.nonprewhitening import NPW, NPWE
from taskct.observers.prewhitening import PWMF
from validation.check import Check

SIDE = 16
N_TRAIN, N_TEST = 20_000, 20_000
PIXEL_MM = 0.7
SIGNAL = 14.0 * np.exp(-((np.indices((SIDE, SIDE)) - 7.5) ** 2).sum(0) / 8.0)


def coloured_nps() -> NDArray[np.float64]:
    """Of noise with a peak at 0.3 cycles/mm, as a sharp kernel gives it, and smooth anatomy; HU²·mm²."""
    frequency = np.hypot(np.fft.fftfreq(SIDE, PIXEL_MM)[:, None], np.fft.fftfreq(SIDE, PIXEL_MM))
    return 20.0 + 600.0 * frequency * np.exp(-((frequency / 0.4) ** 2)) + 800.0 * np.exp(-((frequency / 0.1) ** 2))


NOISES = {"white": np.full((SIDE, SIDE), 28.0**2 * PIXEL_MM**2), "coloured": coloured_nps()}


def draw(nps: NDArray[np.float64], n_trials: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Trials, every other one signal-present, in stationary Gaussian noise that wraps around."""
    white = np.random.default_rng(seed).standard_normal((n_trials, SIDE, SIDE))
    images = np.fft.ifft2(np.fft.fft2(white) * np.sqrt(nps) / PIXEL_MM).real
    signal_present = np.arange(n_trials) % 2 == 0
    return images + signal_present[:, None, None] * SIGNAL, signal_present


def covariance_of(nps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance of all pairs of pixels, from the autocorrelation."""
    autocorrelation = np.fft.ifft2(nps).real / PIXEL_MM**2
    y, x = np.divmod(np.arange(SIDE**2), SIDE)
    return autocorrelation[(y[:, None] - y) % SIDE, (x[:, None] - x) % SIDE]


def auc_of(template: NDArray[np.float64], covariance: NDArray[np.float64], internal_noise: float = 0.0) -> float:
    """Φ(wᵀs / √(2 wᵀKw)), with internal noise relative to √(wᵀKw)."""
    w = template.ravel()
    variance = (w @ covariance @ w) * (1.0 + internal_noise**2)
    return float(norm.cdf(w @ SIGNAL.ravel() / np.sqrt(2.0 * variance)))


def standard_error(auc: float) -> float:
    """Of an empirical AUC from N_TEST trials of two Gaussians of equal variance.

    P(two present trials lie both above one absent) is a bivariate normal probability of correlation ½.
    """
    n, z = N_TEST // 2, norm.ppf(auc)
    both = float(multivariate_normal.cdf([z, z], cov=[[1.0, 0.5], [0.5, 1.0]]))
    return float(np.sqrt((auc * (1.0 - auc) + 2.0 * (n - 1) * (both - auc**2)) / n**2))


def auc_checks(noise: str, nps: NDArray[np.float64]) -> list[Check]:
    """AUC of five observers on unseen trials."""
    covariance = covariance_of(nps)
    eye = eye_filter((SIDE, SIDE), pixel_mm=PIXEL_MM)
    ideal = np.linalg.solve(covariance, SIGNAL.ravel())
    seen = apply_eye_filter(apply_eye_filter(SIGNAL, eye), eye)
    train = draw(nps, N_TRAIN, seed=1)
    test, truth = draw(nps, N_TEST, seed=2)
    # K estimated with n − 2 degrees of freedom keeps (n − p) / (n − 1) of SNR² on average (a beta distribution);
    # the noise of Δs, whose covariance is 4 K / n, divides it by about 1 + 4 p / (n SNR²).
    snr2 = 2.0 * norm.ppf(auc_of(ideal, covariance)) ** 2
    kept = (N_TRAIN - SIDE**2) / (N_TRAIN - 1) / (1.0 + 4.0 * SIDE**2 / (N_TRAIN * snr2))
    hotelling = float(norm.cdf(np.sqrt(snr2 * kept / 2.0)))
    cases: list[tuple[str, LinearObserver, float]] = [
        ("HO, its expected loss from finite training included", Hotelling(ridge=0.0), hotelling),
        ("PWMF with the covariance matrix (ideal)", PWMF(covariance=covariance, signal=SIGNAL), 0.0),
        ("PWMF with the NPS (ideal)", PWMF(nps_hu2_mm2=nps, pixel_mm=PIXEL_MM, signal=SIGNAL), 0.0),
        ("NPW", NPW(signal=SIGNAL), auc_of(SIGNAL, covariance)),
        ("NPWE", NPWE(pixel_mm=PIXEL_MM, signal=SIGNAL), auc_of(seen, covariance)),
        (
            "NPWE, internal noise 1",
            NPWE(pixel_mm=PIXEL_MM, signal=SIGNAL, internal_noise=1.0),
            auc_of(seen, covariance, internal_noise=1.0),
        ),
    ]
    checks = []
    for name, observer, closed_form in cases:
        expected = closed_form or auc_of(ideal, covariance)
        measured = float(roc_auc_score(truth, observer.fit(*train).test_statistic(test)))
        allowed = 4.0 * standard_error(expected)
        claim = f"AUC of {name}, {noise} noise, {SIDE}² pixels, {N_TEST:,} test trials"
        basis = "4 standard errors of the AUC"
        checks.append(Check(claim, expected - allowed, expected + allowed, measured, expected, basis))
    return checks


def scikit_learn_checks() -> list[Check]:
    """Templates and shrinkage equal to scikit-learn's, from more and fewer trials than pixels."""
    checks = []
    for n_trials, shrinkage in ((2_000, None), (2_000, 0.3), (200, 0.3)):
        images, signal_present = draw(NOISES["coloured"], n_trials, seed=3)
        rows = images.reshape(n_trials, -1)
        lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage, priors=[0.5, 0.5]).fit(
            rows, signal_present
        )
        biased = (n_trials / 2 - 1) / (n_trials / 2)  # scikit-learn divides by n, we by n − 1
        expected = lda.coef_[0] * biased
        a = shrinkage or 0.0
        template = Hotelling(ridge=a / (1.0 - a)).fit(images, signal_present).template_.ravel() / (1.0 - a)
        difference = float(np.max(np.abs(template - expected)) / np.max(np.abs(expected)))
        claim = (
            f"HO template less scikit-learn's LDA (lsqr, shrinkage {shrinkage}), {n_trials:,} trials, {SIDE}² pixels"
        )
        checks.append(Check(f"{claim}: largest, relative", 0.0, 1e-6, difference, 0.0, "rounding"))
    for n_trials in (200, 2_000):
        images, signal_present = draw(NOISES["coloured"], n_trials, seed=4)
        rows = images.reshape(n_trials, -1)
        residuals = rows - np.where(
            signal_present[:, None], rows[signal_present].mean(0), rows[~signal_present].mean(0)
        )
        expected = float(ledoit_wolf(residuals, assume_centered=True)[1])
        measured = HotellingLedoitWolf().fit(images, signal_present).shrinkage_
        claim = f"Ledoit-Wolf shrinkage, {n_trials:,} trials, {SIDE}² pixels; expected: scikit-learn's"
        checks.append(Check(claim, expected * (1 - 1e-9), expected * (1 + 1e-9), measured, expected, "rounding"))
    return checks


def checks() -> list[Check]:
    """Every claim about the linear observers, measured."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)  # fewer trials than pixels on purpose
        return [check for noise, nps in NOISES.items() for check in auc_checks(noise, nps)] + scikit_learn_checks()
