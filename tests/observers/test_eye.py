"""The eye filter against its definition, and its application against an FFT of the reflected image."""

import math

import numpy as np
import pytest
import torch

from taskct.errors import UserError
from taskct.observers.eye import apply_eye_filter, eye_filter

SHAPE = (12, 16)


def definition(frequency, distance=500.0, magnification=1.0, n=1.3, peak=4.0):
    """E(ρ) = ρⁿ exp(−c ρ²) over its largest value on a fine grid, c set so that the peak is at `peak`."""
    c = n / (2 * peak**2)
    rho = frequency * distance * math.tan(math.radians(1.0)) / magnification
    fine = np.linspace(0.0, 5 * peak, 200_001)
    return rho**n * np.exp(-c * rho**2) / (fine**n * np.exp(-c * fine**2)).max()


def test_response_follows_the_definition():
    response = eye_filter(SHAPE, pixel_mm=0.8, viewing_distance_mm=600.0, magnification=1.5)
    fy = np.arange(12) / (24 * 0.8)
    fx = np.arange(16) / (32 * 0.8)
    expected = definition(np.sqrt(fy[:, None] ** 2 + fx**2), distance=600.0, magnification=1.5)
    np.testing.assert_allclose(response, expected, rtol=1e-3, atol=1e-9)  # one degree: D tan 1° against D π/180


@pytest.mark.parametrize("magnification", [1.0, 2.0])
def test_peak_is_1_at_4_cycles_per_degree(magnification):
    n = 4000  # a fine frequency grid
    response = eye_filter((1, n), pixel_mm=0.2, magnification=magnification)[0]
    frequency = np.arange(n) / (2 * n * 0.2)
    assert response.max() == pytest.approx(1.0, abs=1e-5)
    assert response.min() >= 0.0
    degrees_per_displayed_mm = math.degrees(math.atan(1.0 / 500.0))
    cycles_per_degree = frequency[response.argmax()] / magnification / degrees_per_displayed_mm
    assert cycles_per_degree == pytest.approx(4.0, abs=0.02)


def test_filter_equals_fft_of_the_reflected_image():
    image = np.random.default_rng(0).normal(40.0, 20.0, SHAPE)
    reflected = np.pad(image, ((0, 12), (0, 16)), mode="symmetric")
    fy, fx = np.fft.fftfreq(24, 0.7), np.fft.fftfreq(32, 0.7)
    c = 1.3 / (2 * 4.0**2)
    rho = np.hypot(fy[:, None], fx) * 500.0 * np.pi / 180.0
    response = (rho / 4.0) ** 1.3 * np.exp(-c * (rho**2 - 16.0))
    expected = np.fft.ifft2(np.fft.fft2(reflected) * response).real[:12, :16]
    filtered = apply_eye_filter(image, eye_filter(SHAPE, pixel_mm=0.7))
    np.testing.assert_allclose(filtered, expected, atol=1e-9)


@pytest.mark.parametrize(("j", "k"), [(0, 0), (0, 5), (7, 0), (3, 11)])
def test_cosine_comes_back_times_its_response(j, k):
    y = np.cos(np.pi * j * (np.arange(12) + 0.5) / 12)
    x = np.cos(np.pi * k * (np.arange(16) + 0.5) / 16)
    wave = y[:, None] * x
    response = eye_filter(SHAPE, pixel_mm=0.7)
    np.testing.assert_allclose(apply_eye_filter(wave, response), response[j, k] * wave, atol=1e-12)


def test_sinusoid_of_any_phase_far_from_the_border():
    n, cycles = 256, 24
    phase = 2 * np.pi * cycles * np.arange(n) / n
    wave = np.tile(np.sin(phase + 0.7), (n, 1))
    response = eye_filter((n, n), pixel_mm=0.7)
    centre = (slice(96, 160), slice(96, 160))
    filtered = apply_eye_filter(wave, response)[centre]
    np.testing.assert_allclose(filtered, response[0, 2 * cycles] * wave[centre], atol=0.01)


def test_linear_symmetric_and_blind_to_the_mean():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, *SHAPE))
    response = eye_filter(SHAPE, pixel_mm=0.7)
    ex, ey = apply_eye_filter(x, response), apply_eye_filter(y, response)
    np.testing.assert_allclose(apply_eye_filter(2 * x - 3 * y, response), 2 * ex - 3 * ey, atol=1e-12)
    assert np.sum(ex * y) == pytest.approx(np.sum(x * ey), rel=1e-10)
    np.testing.assert_allclose(apply_eye_filter(x + 1000.0, response), ex, atol=1e-10)
    np.testing.assert_allclose(apply_eye_filter(np.stack([x, y]), response), [ex, ey], atol=1e-12)


def test_torch_gradient_and_types():
    response = torch.as_tensor(eye_filter((4, 5), pixel_mm=0.7))
    images = torch.randn(2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(lambda image: apply_eye_filter(image, response), (images.requires_grad_(),))
    assert apply_eye_filter(images.float(), response).dtype == torch.float32
    assert apply_eye_filter(np.zeros((4, 5), dtype=np.float32), response.numpy()).dtype == np.float32


def test_errors():
    with pytest.raises(UserError, match="magnification is 0"):
        eye_filter(SHAPE, pixel_mm=0.7, magnification=0.0)
    with pytest.raises(ValueError, match="the response is"):
        apply_eye_filter(np.zeros((2, 4, 4)), eye_filter(SHAPE, pixel_mm=0.7))
