"""Kernels: their frequency response, and the stated MTF measured on a reconstructed pin."""

import numpy as np
import pytest
from scipy import special

from taskct.errors import UserError
from taskct.scanner.analytic import project_ellipses
from taskct.scanner.fbp import FBP
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.kernels import KERNELS, WINDOWS, mtf, mtf_frequency, ramp_kernel, window_response
from taskct.scanner.presets import SCANNERS

RESPONSES = {
    "ram-lak": lambda f: np.ones_like(f),
    "shepp-logan": lambda f: np.sinc(f / 2),
    "cosine": lambda f: np.cos(np.pi * f / 2),
    "hann": lambda f: np.cos(np.pi * f / 2) ** 2,
    "hamming": lambda f: 0.08 + 0.92 * np.cos(np.pi * f / 2) ** 2,
}


def test_every_window_is_tested():
    assert set(RESPONSES) == set(WINDOWS)


@pytest.mark.parametrize("cutoff", [1.0, 0.6])
@pytest.mark.parametrize("window", WINDOWS)
def test_the_ramp_has_its_frequency_response(window, cutoff):
    # Sum of h(k)·exp(−2πi·f·k)·step = |f|/step·window(f). Cutting the lags at n leaves about 2/(π²·n·step); a window
    # that is cut off rings, and what is cut then falls only as the step's height over its lag.
    n, step = 1024, 0.7
    kernel = ramp_kernel(n, bin_step=step, window=window, cutoff=cutoff)
    frequency = np.linspace(0.0, 0.5, 41)  # cycles per bin
    lags = np.arange(1, n)
    response = step * (kernel[0] + 2 * np.cos(2 * np.pi * frequency[:, None] * lags) @ kernel[1:])
    part = 2 * frequency / cutoff
    expected = frequency / step * np.where(part <= 1, RESPONSES[window](part), 0.0)
    away = np.abs(part - 1) > 0.02  # at the jump itself a Fourier sum takes its middle
    tolerance = 2 / (np.pi**2 * n * step) * (1 if cutoff == 1 else 8)
    np.testing.assert_allclose(response[away], expected[away], atol=tolerance)


@pytest.mark.parametrize("change", [{"window": "hanning"}, {"cutoff": 0.0}, {"cutoff": 1.01}, {"cutoff": float("nan")}])
def test_a_window_or_cutoff_that_does_not_exist_is_refused(change):
    with pytest.raises(UserError, match=r"scanner\.filter(.*hamming|_cutoff.*\(0, 1\])"):
        window_response(np.zeros(1), **({"window": "hann", "cutoff": 1.0} | change))


# As stated in the docstring of KERNELS, cycles/mm.
STATED = {("soft", 0.5): 0.262, ("soft", 0.1): 0.431, ("sharp", 0.5): 0.392, ("sharp", 0.1): 0.620}


@pytest.fixture(scope="module", params=list(KERNELS))
def measured_mtf(request):
    """MTF of a pin near the isocentre: the image's transform over that of the pin, averaged over directions."""
    settings = SCANNERS["siemens-definition-as"].geometry | {"views_per_turn": 360}
    geometry = ScanGeometry(**settings)
    # Off the isocentre, so that the pin falls on all phases of the bins and aliasing averages out.
    x, y, radius, n, pixel = 4.3, -2.9, 0.4, 111, 0.2
    sinogram = project_ellipses(geometry, x_mm=[x], y_mm=[y], half_x_mm=radius, half_y_mm=radius, mu=1.0)
    kernel = KERNELS[request.param]
    fbp = FBP(geometry, n_pixels=n, pixel_mm=pixel, center_mm=(x, y), window=kernel.window, cutoff=kernel.cutoff)
    image = fbp.reconstruct(sinogram)[0].double().numpy()
    axis = (np.arange(n) - (n - 1) / 2) * pixel
    frequency = np.arange(0.02, 0.9, 0.005)
    total = np.zeros_like(frequency)
    for angle in np.arange(0, np.pi, np.pi / 24):
        column, row = (np.exp(-2j * np.pi * np.outer(frequency * t, axis)) for t in (np.cos(angle), np.sin(angle)))
        total += np.einsum("fr,rc,fc->f", row, image, column).real / 24
    argument = 2 * np.pi * radius * frequency
    pin = np.pi * radius**2 * 2 * special.j1(argument) / argument / pixel**2
    return request.param, frequency, total / pin


def test_the_measured_mtf_is_the_stated_one(measured_mtf):
    name, frequency, values = measured_mtf
    for level in (0.5, 0.1):
        found = frequency[np.argmax(values <= level)]
        assert found == pytest.approx(STATED[name, level], rel=0.03)


def test_the_measured_mtf_is_the_formula(measured_mtf):
    name, frequency, values = measured_mtf
    kernel, pitch = KERNELS[name], 595 / 1085.6 * 1.2858
    expected = mtf(frequency, isocenter_bin_mm=pitch, window=kernel.window, cutoff=kernel.cutoff)
    np.testing.assert_allclose(values, expected, atol=0.03)


@pytest.mark.parametrize(("name", "level"), STATED)
def test_the_stated_frequencies_are_those_of_the_formula(name, level):
    kernel, pitch = KERNELS[name], 595 / 1085.6 * 1.2858
    settings = {"isocenter_bin_mm": pitch, "window": kernel.window, "cutoff": kernel.cutoff}
    assert mtf_frequency(level, **settings) == pytest.approx(STATED[name, level], abs=6e-4)


@pytest.mark.parametrize("frequency", [-0.1, np.nan, np.inf])
def test_the_mtf_has_no_frequency_that_is_none(frequency):
    with pytest.raises(UserError, match="negative or not finite"):
        mtf(np.array([0.1, frequency]), isocenter_bin_mm=0.7, window="hann")


@pytest.mark.parametrize("level", [0.0, 1.0, 1.5, -0.1, np.nan])
def test_a_level_that_the_mtf_does_not_fall_to_is_refused(level):
    with pytest.raises(UserError, match="give one between 0 and 1"):
        mtf_frequency(level, isocenter_bin_mm=0.7, window="hann")
