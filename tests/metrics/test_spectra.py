"""Spectra against laws: Parseval, white noise is flat, a blur has the transfer function that it has."""

import numpy as np
import pytest
from scipy import ndimage

from taskct.metrics.spectra import cross_power, first_below, frequencies_per_mm, noise_power

PIXEL_MM = 0.7


@pytest.mark.parametrize("shape", [(20, 20), (21, 21), (16, 24)])
def test_white_noise_is_flat_at_its_variance(shape):
    """5 HU: 25 HU² per pixel of 0.49 mm²; the mean of 600 trials strays by less than 5 standard errors."""
    noise = np.random.default_rng(0).normal(0.0, 5.0, (600, *shape))
    power = noise_power(noise, pixel_mm=PIXEL_MM)
    assert power.shape == (600, len(frequencies_per_mm(shape, PIXEL_MM)))
    error = power.std(axis=0) / np.sqrt(len(power))
    assert (np.abs(power.mean(axis=0) - 25.0 * PIXEL_MM**2) < 5.0 * error).all()


def test_rings_hold_what_parseval_says():
    """A wave within the rings: its power times the area of its coefficients is its mean square."""
    n, k = 32, 5
    x = np.arange(n)
    wave = 3.0 * np.cos(2.0 * np.pi * k * x / n)[None, None, :].repeat(n, axis=1)
    power = noise_power(wave, pixel_mm=PIXEL_MM)[0]
    assert power.argmax() == k - 1
    assert frequencies_per_mm((n, n), PIXEL_MM)[k - 1] == pytest.approx(k / (n * PIXEL_MM))
    f = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.fftfreq(n)) * n
    in_ring = int((np.rint(f) == k).sum())
    spacing = 1.0 / (n * PIXEL_MM)
    assert power[k - 1] * in_ring * spacing**2 == pytest.approx((wave**2).mean(), rel=1e-6)


def test_the_ring_mean_is_that_of_the_whole_transform():
    noise = np.random.default_rng(1).normal(size=(3, 18, 18))
    f = np.hypot(np.fft.fftfreq(18)[:, None], np.fft.fftfreq(18)) * 18
    whole = np.abs(np.fft.fft2(noise)) ** 2 * PIXEL_MM**2 / 18**2
    expected = np.stack([whole[:, np.rint(f) == k].mean(axis=1) for k in range(1, 10)], axis=1)
    np.testing.assert_allclose(noise_power(noise, pixel_mm=PIXEL_MM), expected, rtol=1e-10)


@pytest.mark.parametrize("sigma_px", [1.0, 1.6])
def test_the_transfer_function_of_a_blur_is_its_own(sigma_px):
    """Discs of many sizes on backgrounds that have nothing to do with them, blurred by a Gaussian."""
    rng = np.random.default_rng(2)
    n, side = 400, 48
    y, x = np.mgrid[:side, :side]
    place = rng.uniform(18, 30, (n, 2, 1, 1))
    signal = 50.0 * (np.hypot(y - place[:, 0], x - place[:, 1]) < rng.uniform(2.0, 3.5, (n, 1, 1)))
    background = ndimage.gaussian_filter(rng.normal(0.0, 40.0, signal.shape), (0, 1, 1), mode="wrap")
    image = ndimage.gaussian_filter(signal + background, (0, sigma_px, sigma_px), mode="wrap")
    shared, own = cross_power(signal, image, pixel_mm=PIXEL_MM)
    curve = shared.sum(axis=0) / own.sum(axis=0)
    f = frequencies_per_mm((side, side), PIXEL_MM)
    expected = np.exp(-2.0 * (np.pi * sigma_px * PIXEL_MM * f) ** 2)
    low = f < 0.25
    np.testing.assert_allclose(curve[low], expected[low], atol=0.06)
    half = np.sqrt(np.log(2.0) / 2.0) / (np.pi * sigma_px * PIXEL_MM)
    assert first_below(curve[None], f, 0.5)[0] == pytest.approx(half, rel=0.08)


def test_what_never_falls_to_half_has_no_such_frequency():
    f = np.array([0.1, 0.2, 0.3])
    found = first_below(np.array([[1.0, 0.9, 0.8], [1.0, 0.4, 0.9], [-1.0, 0.4, 0.9]]), f, 0.5)
    assert np.isnan(found[[0, 2]]).all()
    assert found[1] == pytest.approx(0.1 + 0.1 * 0.5 / 0.6)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="finite"):
        noise_power(np.full((1, 8, 8), np.nan), pixel_mm=1.0)
    with pytest.raises(ValueError, match="signals of shape"):
        cross_power(np.zeros((1, 8, 8)), np.zeros((1, 8, 9)), pixel_mm=1.0)
