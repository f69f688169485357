"""Noise level and texture of one image, against noise that is known."""

import numpy as np
import pytest
from scipy import fft, ndimage

from taskct.metrics.noise_level import BLOCK, measure_noise


def white(side: int, sd: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, sd, (side, side))


@pytest.mark.parametrize("side", [24, 64, 300, 512])
def test_white_noise(side: int) -> None:
    """Its standard deviation, to 2 % on average, and the mean of the rings' frequencies, 3.5/12, less the plane's."""
    found = [measure_noise(40.0 + white(side, 20.0, seed)) for seed in range(40 if side < 100 else 4)]
    levels = np.array([one.level_hu for one in found if one is not None])
    assert levels.mean() == pytest.approx(20.0, rel=0.02)
    textures = [one.texture_per_pixel for one in found if one is not None]
    assert np.mean(textures) == pytest.approx(3.5 / BLOCK, rel=0.03)


def ramp_noise(side: int, sd: float, seed: int) -> np.ndarray:
    """Noise of power f up to half the Nyquist frequency, as a ramp and a soft window leave it."""
    f = np.hypot(fft.fftfreq(side)[:, None], fft.fftfreq(side))
    shape = np.sqrt(f * np.maximum(np.cos(np.pi * f), 0.0) * (f < 0.5))
    noise = fft.ifft2(fft.fft2(white(side, 1.0, seed)) * shape).real
    return np.asarray(noise * sd / noise.std())


def test_noise_with_the_power_of_a_reconstruction() -> None:
    levels = [measure_noise(40.0 + ramp_noise(256, 25.0, seed)).level_hu for seed in range(6)]  # type: ignore[union-attr]
    assert np.mean(levels) == pytest.approx(25.0, rel=0.04)


def test_smoother_noise_is_lower_in_frequency() -> None:
    noise = white(256, 20.0)
    sharp, smooth = (measure_noise(ndimage.gaussian_filter(noise, width)) for width in (0.5, 1.5))
    assert sharp is not None
    assert smooth is not None
    assert smooth.texture_per_pixel < 0.7 * sharp.texture_per_pixel


def test_what_stands_in_an_image_does_not_count() -> None:
    """Edges, gradients, air and padding: the noise is that of the flat parts."""
    y, x = np.mgrid[:512, :512] - 256.0
    body = np.where(np.hypot(x, y) < 200, 40.0 + 0.1 * x, -1000.0)
    body += np.where(np.hypot(x - 60, y) < 40, 300.0, 0.0) + np.where(np.hypot(x + 90, y) < 50, -850.0, 0.0)
    image = body + white(512, 15.0)
    image[body < -900] = np.maximum(image[body < -900], -1000.0)  # as a scanner cuts air off
    outside = np.hypot(x, y) > 250
    image[outside] = -1000.0
    found = measure_noise(image, outside=outside)
    assert found is not None
    assert found.level_hu == pytest.approx(15.0, rel=0.05)


def test_it_scales_with_the_image() -> None:
    image = white(64, 10.0)
    one, two = measure_noise(image), measure_noise(3.0 * image)
    assert one is not None
    assert two is not None
    assert two.level_hu == pytest.approx(3.0 * one.level_hu, rel=1e-9)
    assert two.texture_per_pixel == pytest.approx(one.texture_per_pixel, rel=1e-9)


def test_what_cannot_be_told() -> None:
    assert measure_noise(white(10, 20.0)) is None  # smaller than a block
    assert measure_noise(white(17, 20.0)) is None  # a single block
    assert measure_noise(white(64, 20.0) - 1000.0) is None  # air
    assert measure_noise(white(64, 20.0), outside=np.ones((64, 64), dtype=bool)) is None
    still = measure_noise(np.full((64, 64), 40.0))
    assert still is not None
    assert still.level_hu == 0.0
    assert np.isnan(still.texture_per_pixel)
