"""d′ of spectra against closed forms, and against the observers that see the images themselves."""

import numpy as np
import pytest

from taskct.metrics.frequency_detectability import EyeModel, disc_task, frequency_d_prime, gaussian_task
from taskct.metrics.noise_spectra import RadialSpectrum, noise_spectrum
from taskct.metrics.transfer import disc_transform
from taskct.observers.nonprewhitening import NPWE


def flat(power, nyquist=4.0):
    f = np.array([0.0, nyquist])
    return RadialSpectrum(f, np.full(2, power), np.zeros(2), nyquist)


@pytest.mark.parametrize(
    ("diameter_mm", "contrast_hu", "power"), [(3.0, 14.0, 4.0), (5.0, -7.0, 30.0), (10.0, 3.0, 1.0)]
)
def test_a_disc_in_white_noise(diameter_mm, contrast_hu, power):
    """C √π R / √S, less what lies beyond Nyquist: that is told, and goes to 0 with the pixels."""
    expected = abs(contrast_hu) * np.sqrt(np.pi) * diameter_mm / 2.0 / np.sqrt(power)
    task = disc_task(diameter_mm, contrast_hu)
    for pixel_mm in (0.05, 0.25, 0.5, 0.9):
        found = frequency_d_prime(task, np.ones_like, flat(power), pixel_mm=pixel_mm, field_mm=32.0)
        assert found.d_prime == pytest.approx(expected * np.sqrt(1.0 - found.beyond_nyquist), rel=1e-6)
        # Rings of the disc's transform fall as 1/f³: what is beyond f is about 1 / (π² R f) of it.
        assert found.beyond_nyquist == pytest.approx(4.0 * pixel_mm / np.pi**2 / diameter_mm, rel=0.25)
    fine = frequency_d_prime(task, np.ones_like, flat(power), pixel_mm=0.002, field_mm=32.0)
    assert fine.d_prime == pytest.approx(expected, rel=5e-4)


@pytest.mark.parametrize("side", [48, 96])
@pytest.mark.parametrize("pixel_mm", [0.4, 0.8])
def test_any_pixel_and_field_give_the_same(side, pixel_mm):
    """Measured noise of one power: a Gaussian task has its closed form whatever the grid; 3 standard errors."""
    noise = np.random.default_rng(0).normal(0.0, 2.0 / pixel_mm, (400, side, side))  # S = 4 HU² mm²
    spectrum = noise_spectrum(noise, pixel_mm=pixel_mm)
    task = gaussian_task(4.0, 10.0)
    for one in (spectrum, spectrum.radial()):
        found = frequency_d_prime(task, np.ones_like, one, pixel_mm=pixel_mm, field_mm=spectrum.field_mm)
        assert found.d_prime == pytest.approx(np.sqrt(task.energy / 4.0), rel=0.03)


def test_correlated_noise_and_blur_of_closed_form():
    """All Gaussian: W exp(−a f²), T exp(−b f²), S = S₀ exp(−c f²); the integrals are π over sums of exponents."""
    task = gaussian_task(3.0, 20.0)
    sigma = 3.0 / np.sqrt(8.0 * np.log(2.0))
    a, b, c, power = 2.0 * (np.pi * sigma) ** 2, 3.0, 4.0, 5.0
    f = np.linspace(0.0, 5.0, 5001)
    noise = RadialSpectrum(f, power * np.exp(-c * f**2), np.zeros(5001), 0.001)
    found = frequency_d_prime(task, lambda x: np.exp(-b * x**2), noise, pixel_mm=0.1, field_mm=40.0)
    amplitude = (2.0 * np.pi * sigma**2 * 20.0) ** 2
    signal, variance = amplitude * np.pi / (2 * a + 2 * b), amplitude * power * np.pi / (2 * a + 2 * b + c)
    assert found.d_prime == pytest.approx(signal / np.sqrt(variance), rel=1e-5)


@pytest.mark.parametrize("internal_noise", [0.0, 0.7])
def test_npwe_is_that_of_the_observer_on_images(internal_noise):
    """White noise, a known signal: taskct's own observer sees the images, the formula their spectra."""
    side, pixel_mm, sigma_hu, fwhm = 96, 0.7, 12.0, 5.0
    y, x = (np.mgrid[:side, :side] - (side - 1) / 2.0) * pixel_mm
    sigma = fwhm / np.sqrt(8.0 * np.log(2.0))
    signal = 15.0 * np.exp(-(x**2 + y**2) / (2.0 * sigma**2))
    eye = NPWE(pixel_mm=pixel_mm, viewing_distance_mm=600.0, magnification=1.5, signal=signal)
    seen = eye._seen(signal)
    twice = eye._seen(seen)
    by_images = np.vdot(seen, seen) / (sigma_hu * np.sqrt(np.vdot(twice, twice))) / np.sqrt(1.0 + internal_noise**2)
    found = frequency_d_prime(
        gaussian_task(fwhm, 15.0),
        np.ones_like,
        flat((sigma_hu * pixel_mm) ** 2),
        pixel_mm=pixel_mm,
        field_mm=side * pixel_mm,
        eye=EyeModel(600.0, 1.5, internal_noise=internal_noise),
    )
    assert found.d_prime == pytest.approx(by_images, rel=0.01)
    once = EyeModel(600.0, 1.5, power=0.5, internal_noise=internal_noise)
    other = frequency_d_prime(
        gaussian_task(fwhm, 15.0), np.ones_like, flat((sigma_hu * pixel_mm) ** 2), pixel_mm=pixel_mm, field_mm=67.0,
        eye=once,
    )  # fmt: skip
    assert other.d_prime > found.d_prime  # a template that knows more of the low frequencies


def test_a_task_wider_than_the_field_and_what_is_out_of_range_are_refused():
    task = disc_task(10.0, 3.0)
    with pytest.raises(ValueError, match="10 mm wide and the field of the noise 8 mm"):
        frequency_d_prime(task, np.ones_like, flat(1.0), pixel_mm=0.5, field_mm=8.0)
    for wrong in (EyeModel(power=2), EyeModel(internal_noise=-1.0)):
        with pytest.raises(ValueError, match="power of the eye"):
            frequency_d_prime(task, np.ones_like, flat(1.0), pixel_mm=0.5, field_mm=32.0, eye=wrong)
    with pytest.raises(ValueError, match="no power"):
        frequency_d_prime(task, np.ones_like, flat(0.0), pixel_mm=0.5, field_mm=32.0)
    with pytest.raises(ValueError, match="diameter_mm is 0"):
        disc_task(0.0, 3.0)


def test_the_transform_of_a_disc_at_zero_is_its_area():
    assert disc_transform(np.zeros(1), 2.0)[0] == pytest.approx(4.0 * np.pi)
    assert disc_transform(np.array([3.8317059702 / (4.0 * np.pi)]), 2.0)[0] == pytest.approx(0.0, abs=1e-8)
