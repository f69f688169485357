"""Noise-power spectra against laws: they integrate to the variance whatever is done on the way, and keep their form."""

import numpy as np
import pytest

from taskct.metrics.noise_spectra import noise_spectrum
from taskct.scanner.kernels import KERNELS, mtf

PIXEL_MM, SIDE, SIGMA = 0.5, 48, 5.0


def coloured(n, form, *, seed=0, side=SIDE, times=4):
    """Stationary Gaussian noise of a spectrum given on the plane, HU² mm², cut from larger periodic images."""
    rng = np.random.default_rng(seed)
    wide = times * side
    f = np.hypot(np.fft.fftfreq(wide, PIXEL_MM)[:, None], np.fft.fftfreq(wide, PIXEL_MM))
    white = rng.normal(size=(n, wide, wide))
    images = np.fft.ifft2(np.fft.fft2(white) * np.sqrt(form(f)) / PIXEL_MM).real
    return images[:, :side, :side]


@pytest.mark.parametrize("n", [2, 3, 10])
@pytest.mark.parametrize("padding", [1, 3])
@pytest.mark.parametrize("detrend", ["none", "mean", "plane", "quadratic"])
def test_it_integrates_to_the_variance(n, padding, detrend):
    """Of 30 sets of any number of images: within 5 standard errors, once in two million times not."""
    found = []
    for seed in range(30):
        images = np.random.default_rng(seed).normal(0.0, SIGMA, (n, 32, 32))
        spectrum = noise_spectrum(images, pixel_mm=PIXEL_MM, detrend=detrend, ensemble=True, padding=padding)
        found.append(spectrum.variance_hu2)
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(SIGMA**2, abs=5.0 * error)
    assert error < 0.3


@pytest.mark.parametrize(("detrend", "kept"), [("mean", False), ("plane", True), ("quadratic", True)])
def test_an_added_ramp_leaves_it_alone(detrend, kept):
    noise = np.random.default_rng(0).normal(0.0, SIGMA, (50, SIDE, SIDE))
    y, x = np.mgrid[:SIDE, :SIDE]
    with_ramp = noise + 3.0 * x - 2.0 * y + 40.0
    alone, tilted = (
        noise_spectrum(images, pixel_mm=PIXEL_MM, detrend=detrend, padding=2) for images in (noise, with_ramp)
    )
    assert (abs(tilted.variance_hu2 / alone.variance_hu2 - 1.0) < 1e-9) is kept


def test_a_mean_over_repeats_is_no_noise():
    """Structure that all repeats share drops out, by n / (n − 1) without bias; without that it stays."""
    structure = 30.0 * np.sin(np.arange(SIDE) / 3.0)
    noise = np.random.default_rng(1).normal(0.0, SIGMA, (40, SIDE, SIDE))
    together = noise_spectrum(noise + structure, pixel_mm=PIXEL_MM, detrend="none", ensemble=True)
    assert together.variance_hu2 == pytest.approx(SIGMA**2, rel=0.03)
    assert noise_spectrum(noise + structure, pixel_mm=PIXEL_MM).variance_hu2 > 400.0


@pytest.mark.parametrize(("times", "within"), [(1, 0.015), (4, 0.05)])
@pytest.mark.parametrize("kernel", ["soft", "sharp"])
def test_the_spectrum_of_filtered_backprojection(kernel, times, within):
    """f · MTF² of taskct's own kernels: form, variance, mean frequency and peak from the closed form.

    Of periodic images, and of regions of 24 mm cut from larger ones, whose borders spread the power a little.
    """
    window = KERNELS[kernel]

    def form(f):
        return 900.0 * f * mtf(f, isocenter_bin_mm=0.705, window=window.window, cutoff=window.cutoff) ** 2

    spectrum = noise_spectrum(coloured(300, form, times=times), pixel_mm=PIXEL_MM, detrend="mean")
    radial = spectrum.radial()
    fine = np.arange(1, 20001) / 20000.0 / (2.0 * PIXEL_MM)
    true = form(fine)
    assert radial.mean_per_mm == pytest.approx(fine @ true / true.sum(), rel=within)
    assert radial.peak_per_mm == pytest.approx(fine[true.argmax()], abs=0.03)
    np.testing.assert_allclose(radial.power[2:], form(radial.frequency_per_mm)[2:], rtol=0.06, atol=within * true.max())
    # Nothing lies in the corners: the kernels end below Nyquist.
    whole = 2.0 * np.pi * (fine @ true) * (fine[1] - fine[0])
    assert spectrum.variance_hu2 == pytest.approx(whole, rel=0.02)
    assert radial.variance_hu2 == pytest.approx(whole, rel=0.03)


def test_radial_means_weighted_by_their_area_give_the_variance():
    noise = np.random.default_rng(2).normal(0.0, SIGMA, (300, 24, 32))
    spectrum = noise_spectrum(noise, pixel_mm=PIXEL_MM, detrend="quadratic", padding=2)
    with_corners, without = spectrum.radial(corners=True), spectrum.radial()
    assert with_corners.variance_hu2 == pytest.approx(SIGMA**2, rel=0.01)
    assert without.variance_hu2 == pytest.approx(np.pi / 4.0 * SIGMA**2, rel=0.02)
    assert without.frequency_per_mm[-1] <= spectrum.nyquist_per_mm < with_corners.frequency_per_mm[-1]
    # 2π f Δf, but for the steps of the grid.
    ring = 2.0 * np.pi * without.frequency_per_mm * without.spacing_per_mm
    np.testing.assert_allclose(without.area_per_mm2[3:-1], ring[3:-1], rtol=0.2)


def test_emptied_coefficients_are_dropped_and_not_counted_as_zero():
    noise = np.random.default_rng(3).normal(0.0, SIGMA, (400, 24, 24))
    spectrum = noise_spectrum(noise, pixel_mm=PIXEL_MM, detrend="mean", padding=3)
    assert 1 < np.isnan(spectrum.power).sum() < 12
    assert np.nanmin(spectrum.radial().power) > 0.8 * SIGMA**2 * PIXEL_MM**2


def test_between_coefficients_it_is_read_by_distance():
    noise = np.random.default_rng(4).normal(0.0, SIGMA, (50, 16, 20))
    spectrum = noise_spectrum(noise, pixel_mm=PIXEL_MM, detrend="none")
    rows, columns = np.fft.fftfreq(16, PIXEL_MM)[[0, 3, -5]], np.fft.fftfreq(20, PIXEL_MM)[[1, -2, 4]]
    np.testing.assert_allclose(spectrum.at(rows, columns), spectrum.power[[0, 3, -5], [1, -2, 4]], rtol=1e-9)


@pytest.mark.parametrize(
    "wrong", [{"detrend": "cubic"}, {"padding": 0}, {"pixel_mm": 0.0}, {"ensemble": True}, {"images": np.ones((4, 4))}]
)
def test_what_does_not_fit_is_refused(wrong):
    given = {"images": np.zeros((1, 8, 8)), "pixel_mm": 1.0} | wrong
    with pytest.raises(ValueError, match=r"give|must be"):
        noise_spectrum(given.pop("images"), **given)
