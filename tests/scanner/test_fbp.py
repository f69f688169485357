"""Filtered backprojection: HU of water, places, noise against closed forms, and the field of view."""

import numpy as np
import pytest
import torch

from taskct.errors import UserError
from taskct.scanner.fbp import FILTERS, RegionFBP, ramp_kernel
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.projector import project_discs
from taskct.units import MU_WATER_PER_MM, mu_to_hu

GEOMETRY = ScanGeometry(595.0, 1085.6, n_bins=736, bin_mm=0.95, views_per_turn=720)
COARSE = ScanGeometry(595.0, 1085.6, n_bins=368, bin_mm=1.9, views_per_turn=240)
MASKS = {
    "ram-lak": lambda f: np.ones_like(f),
    "shepp-logan": lambda f: np.sinc(f),
    "cosine": lambda f: np.cos(np.pi * f),
    "hann": lambda f: np.cos(np.pi * f) ** 2,
}


def disc(geometry, x, y, diameter, mu=MU_WATER_PER_MM):
    values = {"x_mm": x, "y_mm": y, "diameter_mm": diameter, "mu": mu}
    return torch.from_numpy(project_discs(geometry, **{key: np.array([value]) for key, value in values.items()}))


def reconstruct_hu(geometry, sinogram, **settings):
    return mu_to_hu(RegionFBP(geometry, **settings).reconstruct(sinogram).double()).numpy()


@pytest.mark.parametrize("window", FILTERS)
def test_the_ramp_has_its_frequency_response(window):
    # Sum of h(k)·exp(−2πi·f·k)·bin = |f|/bin·mask(f); cutting the lags at n leaves an error of about 2/(π²·n·bin).
    n, bin_mm = 1024, 0.7
    kernel = ramp_kernel(n, bin_mm=bin_mm, window=window)
    frequency = np.linspace(0.0, 0.5, 41)
    lags = np.arange(1, n)
    response = bin_mm * (kernel[0] + 2 * np.cos(2 * np.pi * frequency[:, None] * lags) @ kernel[1:])
    np.testing.assert_allclose(
        response, frequency / bin_mm * MASKS[window](frequency), atol=2 / (np.pi**2 * n * bin_mm)
    )


@pytest.mark.parametrize("window", FILTERS)
def test_a_water_disc_reads_zero_hu_everywhere(window):
    sinogram = disc(GEOMETRY, 0.0, 0.0, 300.0)
    settings = {"n_pixels": 24, "pixel_mm": 1.0, "window": window}
    for center in [(0.0, 0.0), (60.0, -40.0), (-85.0, 70.0)]:
        image = reconstruct_hu(GEOMETRY, sinogram, center_mm=center, **settings)
        assert np.abs(image).max() < 0.15
        assert abs(image.mean()) < 0.1


def test_water_shows_no_cupping():
    sinogram = disc(GEOMETRY, 0.0, 0.0, 300.0)
    (image,) = reconstruct_hu(GEOMETRY, sinogram, center_mm=(0.0, 70.0), n_pixels=150, pixel_mm=1.0)
    axis = np.arange(150) - 74.5
    radius = np.hypot(axis[None, :], axis[:, None] + 70.0)
    profile = [image[(radius >= low) & (radius < low + 20)].mean() for low in range(0, 140, 20)]
    assert np.ptp(profile) < 0.2


def test_a_small_disc_lies_where_it_is():
    # x grows with the column and y with the row; a centre between pixels, and no two offsets alike.
    x, y = 31.3, -17.8
    sinogram = disc(COARSE, x, y, 6.0)
    image = RegionFBP(COARSE, center_mm=(25.0, -10.0), n_pixels=40, pixel_mm=1.0).reconstruct(sinogram)[0].numpy()
    row, column = np.unravel_index(image.argmax(), image.shape)
    assert np.hypot(column - 19.5 + 25.0 - x, row - 19.5 - 10.0 - y) < 2.5  # the top of a disc of 6 mm is flat
    axis = np.arange(40) - 19.5
    near = np.where(np.hypot(axis[None, :] + 25.0 - x, axis[:, None] - 10.0 - y) < 8.0, image, 0.0)
    assert (near.sum(axis=0) @ axis) / near.sum() + 25.0 == pytest.approx(x, abs=0.1)
    assert (near.sum(axis=1) @ axis) / near.sum() - 10.0 == pytest.approx(y, abs=0.1)


def test_contrast_of_a_large_disc_is_recovered():
    contrast_hu = 40.0
    sinogram = disc(COARSE, 0.0, 0.0, 280.0) + disc(COARSE, 50.0, 30.0, 40.0, contrast_hu / 1000 * MU_WATER_PER_MM)
    image = reconstruct_hu(COARSE, sinogram, center_mm=(50.0, 30.0), n_pixels=72, pixel_mm=1.0)[0]
    axis = np.arange(72) - 35.5
    radius = np.hypot(axis[None, :], axis[:, None])
    inside, outside = image[radius < 15.0].mean(), image[(radius > 26.0) & (radius < 34.0)].mean()
    assert inside - outside == pytest.approx(contrast_hu, abs=0.3)


def test_a_quarter_turn_of_the_scan_turns_the_image():
    # Turned by +90° the object is seen n_views/4 views later, and (x, y) lies at (−y, x).
    sinogram = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 240, 368)).astype(np.float32))
    settings = {"n_pixels": 9, "pixel_mm": 2.0, "window": "ram-lak"}
    image = RegionFBP(COARSE, center_mm=(40.0, 15.0), **settings).reconstruct(sinogram)
    turned = RegionFBP(COARSE, center_mm=(-15.0, 40.0), **settings).reconstruct(torch.roll(sinogram, 60, dims=1))
    # A column of the image (x fixed, y growing) becomes a row read backwards.
    expected = torch.flip(image.transpose(1, 2), dims=(2,))
    torch.testing.assert_close(turned, expected, rtol=0, atol=1e-5 * float(image.abs().max()))


def test_the_noise_at_the_isocentre_is_the_closed_forms():
    # White noise of variance s² in the line integrals, an unwindowed ramp and an odd number of bins (so that a bin's
    # centre faces the isocentre): the variance is π²s²/(12·n_views·bin²).
    # False-alarm rate: 5 standard errors of a variance of 4000 draws, 6e-7; the cosine weight costs under 0.1 %.
    geometry, n = ScanGeometry(500.0, 1000.0, n_bins=65, bin_mm=4.0, views_per_turn=40), 4000
    noise = torch.from_numpy(np.random.default_rng(3).standard_normal((n, 40, 65)).astype(np.float32))
    region = RegionFBP(geometry, center_mm=(0.0, 0.0), n_pixels=1, pixel_mm=1.0, window="ram-lak")
    measured = region.reconstruct(noise).double().var().item()
    assert measured == pytest.approx(np.pi**2 / (12 * 40 * 2.0**2), rel=5 * np.sqrt(2 / n) + 0.001)


def test_an_image_does_not_depend_on_its_batch():
    sinograms = torch.from_numpy(np.random.default_rng(1).standard_normal((35, 240, 368)).astype(np.float32))
    region = RegionFBP(COARSE, center_mm=(10.0, -30.0), n_pixels=8, pixel_mm=2.0)
    together = region.reconstruct(sinograms)
    for i in (0, 31, 32, 34):  # on both sides of a product's 32 columns
        torch.testing.assert_close(together[i], region.reconstruct(sinograms[i : i + 1])[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("center", [(180.0, 0.0), (0.0, -180.0), (130.0, 130.0)])
def test_a_region_beyond_the_field_of_view_is_refused(center):
    with pytest.raises(UserError, match="field of view"):
        RegionFBP(COARSE, center_mm=center, n_pixels=16, pixel_mm=1.0)


def directly_reconstructed(geometry, sinogram, x, y, window):
    """Kak and Slaney's steps one by one, eq. 3.4.2: weight, convolve, interpolate, sum."""
    s, distance = geometry.source_isocenter_mm * np.tan(geometry.fan_rad), geometry.source_isocenter_mm
    half = ramp_kernel(geometry.n_bins, bin_mm=geometry.isocenter_bin_mm, window=window)
    kernel = np.concatenate([half[:0:-1], half])
    total = 0.0
    for view, row in zip(geometry.view_rad, sinogram, strict=True):
        weighted = row * distance / np.sqrt(distance**2 + s**2)
        filtered = (
            np.convolve(weighted, kernel)[geometry.n_bins - 1 : 2 * geometry.n_bins - 1] * geometry.isocenter_bin_mm
        )
        u = (distance - x * np.cos(view) - y * np.sin(view)) / distance
        total += np.interp((y * np.cos(view) - x * np.sin(view)) / u, s, filtered) / u**2
    return total * np.pi / geometry.n_views


@pytest.mark.parametrize("center", [(0.0, 0.0), (37.0, -61.0), "right rim", "lower rim"])
@pytest.mark.parametrize("window", FILTERS)
def test_the_two_products_are_the_textbooks_steps(center, window):
    # At the rim pixels reach the outermost bins; an index past a row's end would fall into the next view.
    geometry = ScanGeometry(595.0, 1085.6, n_bins=16, bin_mm=20.0, views_per_turn=64)
    edge = geometry.field_of_view_mm / 2 - 0.401
    place = {"right rim": (edge, 0.0), "lower rim": (0.0, edge)}.get(center, center)
    sinogram = np.random.default_rng(4).standard_normal((64, 16))
    region = RegionFBP(geometry, center_mm=place, n_pixels=8, pixel_mm=0.1, window=window)
    axis = (np.arange(8) - 3.5) * 0.1
    expected = directly_reconstructed(geometry, sinogram, axis[None, :] + place[0], axis[:, None] + place[1], window)
    np.testing.assert_allclose(region.reconstruct(torch.from_numpy(sinogram)[None])[0], expected, atol=2e-6)


def test_misuse_is_refused():
    with pytest.raises(UserError, match=r"scanner\.filter.*hann"):
        ramp_kernel(64, bin_mm=1.0, window="hanning")
    with pytest.raises(ValueError, match="sinogram is"):
        RegionFBP(COARSE, center_mm=(0.0, 0.0), n_pixels=4, pixel_mm=1.0).reconstruct(torch.zeros(1, 368, 240))
    with pytest.raises(UserError, match="entries"):
        RegionFBP(COARSE, center_mm=(0.0, 0.0), n_pixels=4096, pixel_mm=0.01)
