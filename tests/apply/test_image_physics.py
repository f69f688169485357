"""The physics of a user's images, of noise and rods whose physics is known."""

import numpy as np
import pytest
from scipy import ndimage

from taskct.apply.image_physics import measure_physics, measure_rod, physics_of_sets
from taskct.errors import UserError

PIXEL_MM, SIDE = 0.7, 48


def rod(contrast_hu, diameter_mm, blur_px=1.0):
    y, x = np.mgrid[: 4 * SIDE, : 4 * SIDE] / 4.0 - (SIDE - 0.25) / 2.0
    fine = contrast_hu * (np.hypot(y, x) * PIXEL_MM < diameter_mm / 2.0)
    fine = ndimage.gaussian_filter(fine, 4.0 * blur_px)
    return fine.reshape(SIDE, 4, SIDE, 4).mean(axis=(1, 3))


def test_the_noise_of_repeated_scans_is_told_whatever_the_phantom():
    y, x = np.mgrid[:SIDE, :SIDE]
    phantom = 40.0 + 100.0 * np.sin(x / 4.0) + 0.3 * y
    tilts = np.random.default_rng(1).normal(size=(40, 1, 1)) * (x - 23.5)  # of each scan another
    noise = np.random.default_rng(0).normal(0.0, 8.0, (40, SIDE, SIDE))
    found = measure_physics(phantom + tilts + noise, pixel_mm=PIXEL_MM)
    assert found.noise_hu.ci_low < 8.0 < found.noise_hu.ci_high
    assert found.noise_border_over_middle == pytest.approx(1.0, abs=0.1)
    np.testing.assert_allclose(found.nps[3:], 64.0 * PIXEL_MM**2, rtol=0.25)
    assert found.uneven_hu > 10.0
    assert found.as_dict()["noise_hu"]["value"] == found.noise_hu.value


def test_what_a_blur_does_to_the_noise_is_paired():
    white = np.random.default_rng(0).normal(0.0, 8.0, (60, SIDE, SIDE))
    smooth = ndimage.gaussian_filter(white, (0, 1, 1), mode="wrap")
    told = physics_of_sets({"images": white, "denoised": smooth}, pixel_mm=PIXEL_MM, cases=None, seed=0)
    ratio = told["sets"]["denoised"]["noise_ratio"]
    expected = 1.0 / np.sqrt(4.0 * np.pi)  # Σ of the squared Gaussian kernel of σ 1 pixel
    assert ratio["value"] == pytest.approx(expected, rel=0.02)
    assert ratio["ci_high"] - ratio["ci_low"] < 0.02
    assert told["sets"]["denoised"]["nps_mean_ratio"]["ci_high"] < 0.6


def test_slices_of_one_scan_are_resampled_together():
    """Scans differ in their noise: of 8 scans of 10 slices the interval is far wider than of 80 images."""
    rng = np.random.default_rng(2)
    level = rng.uniform(4.0, 12.0, 8).repeat(10)[:, None, None]
    images = level * rng.normal(size=(80, SIDE, SIDE))
    cases = np.arange(8).repeat(10)
    alone, together = (measure_physics(images, pixel_mm=PIXEL_MM, cases=one).noise_hu for one in (None, cases))
    assert together.value == pytest.approx(alone.value)
    assert together.ci_high - together.ci_low > 2.0 * (alone.ci_high - alone.ci_low)


def test_a_rod_has_its_contrast_its_blur_and_its_detectability():
    n, noise_hu, contrast, diameter = 60, 6.0, 14.0, 10.0
    present = np.arange(2 * n) % 2 == 0
    images = 50.0 + np.random.default_rng(3).normal(0.0, noise_hu, (2 * n, SIDE, SIDE))
    images[present] += rod(contrast, diameter)
    found = measure_rod(images, present, pixel_mm=PIXEL_MM, diameter_mm=diameter, cases=np.arange(2 * n) // 2)
    assert found.contrast_hu.value == pytest.approx(contrast, rel=0.05)
    assert found.cnr.value == pytest.approx(contrast / noise_hu, rel=0.05)
    sigma = np.sqrt(1.0 + 1.0 / 12.0) * PIXEL_MM  # the pixel's own width blurs as well
    half = np.sqrt(np.log(2.0) / 2.0) / (np.pi * sigma)
    assert found.ttf50_per_mm.value == pytest.approx(half, rel=0.12)
    # White noise: the energy of the blurred rod.
    expected = np.sqrt((rod(contrast, diameter) ** 2).sum()) / noise_hu
    assert found.d_npw == pytest.approx(expected, rel=0.06)
    assert 0.0 < found.d_npwe < found.d_npw


def test_what_does_not_fit_is_one_line():
    images = np.random.default_rng(0).normal(size=(6, SIDE, SIDE))
    with pytest.raises(UserError, match="2 scans"):
        measure_physics(images, pixel_mm=1.0, cases=np.arange(6) // 3)
    with pytest.raises(UserError, match="all the same"):
        measure_physics(np.ones((4, 8, 8)), pixel_mm=1.0)
    assert "pixel size" in physics_of_sets({"images": images}, pixel_mm=None, cases=None, seed=0)["why_not"]
    assert "no noise" in physics_of_sets({"images": images * 0}, pixel_mm=1.0, cases=None, seed=0)["why_not"]
    with pytest.raises(UserError, match="does not lie within"):
        measure_rod(images, np.arange(6) < 3, pixel_mm=1.0, diameter_mm=50.0)
    with pytest.raises(UserError, match="3 or more of each"):
        measure_rod(images, np.arange(6) < 1, pixel_mm=1.0, diameter_mm=5.0)
