"""Transfer functions against closed forms: discs by their Bessel functions, edges by their error functions."""

import numpy as np
import pytest
from scipy import special

from taskct.metrics.slanted_edge import edge_transfer
from taskct.metrics.transfer import disc_transfer, disc_transform, fit_disc
from taskct.scanner.kernels import KERNELS, mtf, mtf_frequency


def disc_image(transfer, *, side=64, pixel_mm=0.5, radius_mm=3.0, centre=(31.3, 32.2), contrast_hu=10.0, finer=4):
    """A disc through a transfer function, sampled at the middles of pixels: an inverse transform on a finer grid."""
    n, step = side * finer, pixel_mm / finer
    row, column = np.fft.fftfreq(n, step)[:, None], np.fft.fftfreq(n, step)
    f = np.hypot(row, column)
    phase = np.exp(-2j * np.pi * pixel_mm * (row * centre[0] + column * centre[1]))
    spectrum = contrast_hu * disc_transform(f, radius_mm) * transfer(f) * phase
    return np.fft.ifft2(spectrum).real[::finer, ::finer] / step**2


def gaussian(sigma_mm):
    return lambda f: np.exp(-2.0 * (np.pi * sigma_mm * f) ** 2)


def falls_to(share, sigma_mm):
    return np.sqrt(np.log(1.0 / share) / 2.0) / (np.pi * sigma_mm)


@pytest.mark.parametrize("centre", [(31.0, 31.0), (31.3, 32.2), (29.75, 33.5)])
@pytest.mark.parametrize("radius_mm", [1.5, 5.0])
def test_the_centre_of_a_disc_to_a_hundredth_of_a_pixel(centre, radius_mm):
    image = 40.0 + disc_image(gaussian(0.6), centre=centre, radius_mm=radius_mm)
    found = fit_disc(image, pixel_mm=0.5, radius_mm=radius_mm)
    assert found.centre_px == pytest.approx(centre, abs=0.01)
    assert fit_disc(image, pixel_mm=0.5, radius_mm=1.1 * radius_mm, free_radius=True).radius_mm == pytest.approx(
        radius_mm, rel=0.12 if radius_mm < 2.0 else 0.01
    )


@pytest.mark.parametrize(("radius_mm", "sigma_mm", "pixel_mm"), [(1.5, 0.6, 0.5), (5.0, 0.6, 0.5), (2.5, 0.9, 0.7)])
def test_the_transfer_function_of_a_disc_is_the_one_it_was_made_with(radius_mm, sigma_mm, pixel_mm):
    """Whatever the radius: an edge profile along the radius of so small a disc would be sharper than the blur."""
    image = 40.0 + disc_image(gaussian(sigma_mm), radius_mm=radius_mm, pixel_mm=pixel_mm)
    found = disc_transfer(image[None], pixel_mm=pixel_mm, radius_mm=radius_mm)
    np.testing.assert_allclose(found.value, gaussian(sigma_mm)(found.frequency_per_mm), atol=0.005)
    assert found.f50_per_mm.value == pytest.approx(falls_to(0.5, sigma_mm), rel=0.005)
    assert found.f10_per_mm.value == pytest.approx(falls_to(0.1, sigma_mm), rel=0.005)
    assert found.contrast_hu == pytest.approx(10.0, rel=0.005)


@pytest.mark.parametrize("kernel", ["soft", "sharp"])
def test_the_transfer_function_of_taskcts_own_kernels(kernel):
    how = {"isocenter_bin_mm": 0.705, "window": KERNELS[kernel].window, "cutoff": KERNELS[kernel].cutoff}
    image = disc_image(lambda f: mtf(f, **how), radius_mm=4.0)
    found = disc_transfer(image[None], pixel_mm=0.5, radius_mm=4.0)
    np.testing.assert_allclose(found.value, mtf(found.frequency_per_mm, **how), atol=0.02)
    assert found.f50_per_mm.value == pytest.approx(mtf_frequency(0.5, **how), rel=0.02)
    assert found.f10_per_mm.value == pytest.approx(mtf_frequency(0.1, **how), rel=0.02)


@pytest.mark.parametrize("absent", [False, True])
def test_a_mean_over_noisy_repeats_and_its_interval(absent):
    """40 sets of 40 scans: 95 % of the intervals, so 32 or more but for once in a thousand times."""
    sharp = disc_image(gaussian(0.6), radius_mm=5.0, contrast_hu=-30.0)
    background = 40.0 + 5.0 * np.sin(np.arange(64) / 5.0) * absent
    covered = told = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        images = background + sharp + rng.normal(0.0, 8.0, (40, 64, 64))
        without = background + rng.normal(0.0, 8.0, (40, 64, 64)) if absent else None
        found = disc_transfer(
            images, pixel_mm=0.5, radius_mm=5.0, absent=without, centre_px=(31.3, 32.2), n_bootstrap=200
        )
        if found.f50_per_mm is not None:
            told += 1
            covered += found.f50_per_mm.ci_low <= falls_to(0.5, 0.6) <= found.f50_per_mm.ci_high
    assert told == 40
    assert covered >= 32


def test_too_much_noise_tells_nothing():
    images = disc_image(gaussian(0.6)) + np.random.default_rng(0).normal(0.0, 30.0, (5, 64, 64))
    found = disc_transfer(images, pixel_mm=0.5, radius_mm=3.0, centre_px=(31.3, 32.2))
    assert found.f10_per_mm is None
    assert np.isnan(found.value).sum() > 10


@pytest.mark.parametrize("degrees", [2.0, 5.0, 10.0, 85.0])
@pytest.mark.parametrize("up", [1.0, -1.0])
def test_the_mtf_of_a_slanted_edge(degrees, up):
    """What differences and bins take away is given back: within 0.5 %, where the differences alone cost 6 %."""
    sigma_mm, angle = 0.5, np.radians(degrees)
    y, x = np.mgrid[:64, :64]
    distance = ((x - 31.2) * np.cos(angle) + (y - 31.9) * np.sin(angle)) * 0.5
    found = edge_transfer(up * special.erf(distance / np.sqrt(2.0) / sigma_mm), pixel_mm=0.5)
    low = found.frequency_per_mm < 1.0
    np.testing.assert_allclose(found.value[low], gaussian(sigma_mm)(found.frequency_per_mm[low]), atol=0.007)
    assert found.f50_per_mm.value == pytest.approx(falls_to(0.5, sigma_mm), rel=0.005)
    assert found.f10_per_mm.value == pytest.approx(falls_to(0.1, sigma_mm), rel=0.02)


def test_what_does_not_fit_is_refused():
    image = disc_image(gaussian(0.6))
    with pytest.raises(ValueError, match="lies within it"):
        fit_disc(image, pixel_mm=0.5, radius_mm=20.0)
    with pytest.raises(ValueError, match="without the disc"):
        disc_transfer(image[None], pixel_mm=0.5, radius_mm=3.0, absent=np.zeros((1, 8, 8)))
    with pytest.raises(ValueError, match="turn it by"):
        edge_transfer(np.repeat(np.arange(64)[None] > 30, 64, axis=0).astype(float), pixel_mm=1.0)
    with pytest.raises(ValueError, match="no edge is found"):
        edge_transfer(np.zeros((64, 64)), pixel_mm=1.0)
