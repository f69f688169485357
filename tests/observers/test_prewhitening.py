"""The prewhitening matched filter against explicit inverses and the ideal observer."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from taskct.errors import UserError
from taskct.observers.hotelling import Hotelling
from taskct.observers.prewhitening import PWMF

pytestmark = pytest.mark.filterwarnings("ignore::taskct.observers.SmallSampleWarning")  # few trials on purpose


@pytest.fixture
def nps():
    """A spectrum that is not isotropic, on a grid of 6 × 8 pixels of 0.7 mm; HU²·mm²."""
    fy, fx = np.fft.fftfreq(6, 0.7)[:, None], np.fft.fftfreq(8, 0.7)
    spectrum = 30.0 + 200.0 * np.exp(-((fy / 0.2) ** 2) - ((fx - 0.5 * fy) / 0.4) ** 2)
    return (spectrum + np.roll(spectrum[::-1, ::-1], 1, axis=(0, 1))) / 2.0  # f and −f alias at the highest frequency


def circulant(nps, pixel_mm):
    """Covariance of the pixels from the autocorrelation, entry by entry."""
    height, width = nps.shape
    autocorrelation = np.fft.ifft2(nps / pixel_mm**2)
    assert np.abs(autocorrelation.imag).max() < 1e-9
    y, x = np.divmod(np.arange(height * width), width)
    return autocorrelation.real[(y[:, None] - y) % height, (x[:, None] - x) % width]


@pytest.mark.parametrize("task_name", ["correlated", "white"])
def test_reaches_the_ideal_auc(request, task_name):
    task = request.getfixturevalue(task_name)
    observer = PWMF(covariance=task.covariance, signal=task.signal).fit(*task.draw(20, seed=1))
    expected = np.linalg.solve(task.covariance, task.signal.ravel())
    np.testing.assert_allclose(observer.template_.ravel(), expected, rtol=1e-9)
    assert task.auc_of(observer.template_) == pytest.approx(task.ideal_auc, abs=1e-12)
    images, signal_present = task.draw(4_000, seed=2)
    measured = roc_auc_score(signal_present, observer.test_statistic(images))
    # The standard error of an AUC is below 0.0095 with 2,000 + 2,000 trials; 4 of them: 1 in 16,000 per case.
    assert measured == pytest.approx(task.ideal_auc, abs=0.038)


def test_estimates_the_signal_from_the_class_means(correlated):
    images, signal_present = correlated.draw(60, seed=3)
    pixels = images.reshape(60, -1).astype(float)
    difference = pixels[signal_present].mean(0) - pixels[~signal_present].mean(0)
    observer = PWMF(covariance=correlated.covariance).fit(images, signal_present)
    expected = np.linalg.solve(correlated.covariance, difference)
    np.testing.assert_allclose(observer.template_.ravel(), expected, rtol=1e-6)
    statistic = observer.test_statistic(images)
    assert statistic[signal_present].mean() == pytest.approx(-statistic[~signal_present].mean(), rel=1e-6)


def test_equals_the_hotelling_observer_given_its_covariance(correlated):
    images, signal_present = correlated.draw(300, seed=4)
    pixels = images.reshape(300, -1).astype(float)
    covariance = (np.cov(pixels[signal_present].T) + np.cov(pixels[~signal_present].T)) / 2.0
    observer = PWMF(covariance=covariance).fit(images, signal_present)
    expected = Hotelling(ridge=0.0).fit(images, signal_present)
    np.testing.assert_allclose(observer.template_, expected.template_, rtol=1e-7)


def test_nps_equals_the_explicit_circulant_covariance(nps):
    rng = np.random.default_rng(5)
    signal, images = rng.normal(size=(6, 8)), rng.normal(size=(4, 6, 8))
    truth = np.array([True, True, False, False])
    of_spectrum = PWMF(nps_hu2_mm2=nps, pixel_mm=0.7, signal=signal).fit(images, truth)
    of_matrix = PWMF(covariance=circulant(nps, 0.7), signal=signal).fit(images, truth)
    np.testing.assert_allclose(of_spectrum.template_, of_matrix.template_, rtol=1e-9, atol=1e-13)


def test_nps_is_the_spectrum_of_noise_with_that_covariance(nps):
    # The convention: pixel_mm² / (height · width) · E|DFT|², and the variance is the mean of NPS / pixel_mm².
    n = 4_000
    root = np.linalg.cholesky(circulant(nps, 0.7))
    noise = (np.random.default_rng(6).standard_normal((n, 48)) @ root.T).reshape(n, 6, 8)
    measured = 0.7**2 / 48 * np.mean(np.abs(np.fft.fft2(noise)) ** 2, axis=0)
    # |DFT|² spreads by at most √2 of its mean: 2.2 % standard error; 6 of them over 48 frequencies: 1e-7.
    np.testing.assert_allclose(measured, nps, rtol=0.134)
    assert np.trace(circulant(nps, 0.7)) / 48 == pytest.approx(nps.mean() / 0.7**2, rel=1e-9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "either covariance"),
        ({"covariance": np.eye(4), "nps_hu2_mm2": np.ones((2, 2)), "pixel_mm": 1.0}, "not both"),
        ({"nps_hu2_mm2": np.ones((2, 2))}, "go together"),
        ({"covariance": np.eye(4), "pixel_mm": 1.0}, "go together"),
        ({"nps_hu2_mm2": np.ones((2, 2)), "pixel_mm": 0.0}, "pixel_mm is 0"),
        ({"nps_hu2_mm2": np.ones(4), "pixel_mm": 1.0}, r"not \(4,\)"),
        ({"nps_hu2_mm2": [[0.0, 1.0], [-1.0, np.nan]], "pixel_mm": 1.0}, "at 3 frequencies"),
        ({"nps_hu2_mm2": np.arange(1.0, 10.0).reshape(3, 3), "pixel_mm": 1.0}, "its opposite"),
        ({"covariance": np.ones((4, 3))}, r"not \(4, 3\)"),
        ({"covariance": np.full((4, 4), np.inf)}, "not finite"),
        ({"covariance": np.triu(np.ones((4, 4)))}, "not symmetric"),
    ],
)
def test_settings(settings, message):
    with pytest.raises(UserError, match=message):
        PWMF(**settings)


def test_errors(white):
    trials = white.draw(20, seed=7)
    with pytest.raises(UserError, match="of 4 pixels but the images have 80"):
        PWMF(covariance=np.eye(4)).fit(*trials)
    with pytest.raises(UserError, match=r"nps_hu2_mm2 is \(2, 2\) but the images are \(8, 10\)"):
        PWMF(nps_hu2_mm2=np.ones((2, 2)), pixel_mm=0.7).fit(*trials)
    with pytest.raises(UserError, match="not positive definite"):
        PWMF(covariance=np.ones((80, 80)) - 2.0 * np.eye(80)).fit(*trials)
    with pytest.raises(UserError, match=r"signal is \(2, 2\)"):
        PWMF(covariance=np.eye(80), signal=np.ones((2, 2))).fit(*trials)
