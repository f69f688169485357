"""Textures against the closed forms of their models."""

import numpy as np
import pytest
from scipy import integrate

from taskct.errors import UserError
from taskct.tasks.backgrounds import (
    Blobs,
    ClusteredLumpy,
    Lumpy,
    PowerLaw,
    clustered_lumpy,
    clustered_lumpy_moments,
    positive_lumps,
    power_law,
)


def within(values, expected, *, errors=5.0):
    """Whether independent values have this mean, to 5 standard errors: a false alarm in 2 million."""
    return abs(np.mean(values) - expected) < errors * np.std(values) / np.sqrt(len(values))


def test_positive_lumps_have_the_textbooks_mean_and_autocovariance_up_to_the_border():
    # Rolland and Barrett: mean level + ρ·h·2πσ², covariance ρ·h²·πσ²·exp(−d²/4σ²). Six checks, each 6e-7.
    density, sigma, peak, level, pixel = 0.01, 4.0, 7.0, -30.0, 5.0
    fields = positive_lumps(
        np.random.default_rng(0),
        8000,
        n_pixels=5,
        pixel_mm=pixel,
        lumps_per_mm2=density,
        lump_sigma_mm=sigma,
        lump_hu=peak,
        level_hu=level,
    )
    mean = level + density * peak * 2 * np.pi * sigma**2
    assert within(fields[:, 0, 0], mean)  # a corner
    assert within(fields[:, 2, 2], mean)
    for row, column in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        expected = density * peak**2 * np.pi * sigma**2 * np.exp(-((row**2 + column**2) * pixel**2) / (4 * sigma**2))
        assert within((fields[:, 0, 0] - mean) * (fields[:, row, column] - mean), expected)


def test_positive_lumps_never_lie_below_their_level():
    fields = positive_lumps(
        np.random.default_rng(1),
        20,
        n_pixels=16,
        pixel_mm=1.0,
        lumps_per_mm2=0.02,
        lump_sigma_mm=2.0,
        lump_hu=3.0,
        level_hu=5.0,
    )
    assert fields.min() >= 5.0


def blob_integral(alpha, beta=0.5, length_x=5.0, length_y=2.0):
    """∫ exp(−α rᵝ / L(φ)) over the plane by quadrature, with r = s² to tame its long tail."""

    def ring(phi):
        length = 1 / np.hypot(np.cos(phi) / length_x, np.sin(phi) / length_y)
        return integrate.quad(lambda s: 2 * s**3 * np.exp(-alpha * s ** (2 * beta) / length), 0, np.inf)[0]

    return 4 * integrate.quad(ring, 0, np.pi / 2)[0]


CLB = {"n_pixels": 16, "pixel_mm": 2.0, "unit_mm": 1.0}


def test_clustered_lumpy_fields_have_the_publications_mean():
    # K N ∫b / A with K = 150 clusters on 128² and N = 20 blobs (Bochud et al. 1999). False-alarm rate 6e-7.
    fields = clustered_lumpy(np.random.default_rng(0), 1500, **CLB)
    assert within(fields[:, 3, 7], 150 * 20 * blob_integral(2.1) / 128**2)


def test_clustered_lumpy_fields_have_the_moments_stated():
    # Corner and middle; the mean square's standard error is the sample's. False-alarm rate 6e-7 each.
    mean, std = clustered_lumpy_moments(**CLB, blobs=Blobs(peak_hu=2.0))
    fields = clustered_lumpy(np.random.default_rng(1), 1500, **CLB, blobs=Blobs(peak_hu=2.0))
    for pixel in [fields[:, 0, 0], fields[:, 8, 8]]:
        assert within((pixel - mean) ** 2, std**2)


@pytest.mark.parametrize("coincide", [True, False])
def test_clusters_that_coincide_or_dissolve_have_campbells_variance(coincide):
    # Blobs at one place: K/A·(N + N²)·∫b². Blobs all over: K/A·(N·∫b² + N²·(∫b)²/A), the last from the number of
    # clusters on the field of A = 128² units whose borders join. A steep blob, so that pixels of 1/4 unit and
    # that field neither blur nor wrap it; b² is a blob of twice the slope.
    blobs = Blobs(alpha=5.0, cluster_sigma=0.0 if coincide else 1e4)
    _, std = clustered_lumpy_moments(n_pixels=64, pixel_mm=0.25, unit_mm=1.0, blobs=blobs)
    pairs = blob_integral(10.0) if coincide else blob_integral(5.0) ** 2 / 128**2
    expected = 150 / 128**2 * (20 * blob_integral(10.0) + 20**2 * pairs)
    # Averaging over a pixel takes a little of a cusp's variance away.
    assert expected * 0.9 < std**2 < expected


def spectrum(fields, pixel_mm):
    """Mean periodogram along x under a Hann window, and its frequencies."""
    n = fields.shape[1]
    window = np.hanning(n)[:, None] * np.hanning(n)[None, :]
    power = (np.abs(np.fft.fft2((fields - fields.mean(axis=(1, 2), keepdims=True)) * window)) ** 2).mean(axis=0)
    fx = np.fft.fftfreq(n, pixel_mm)
    return np.hypot(fx[:, None], fx[None, :]).ravel(), power.ravel()


@pytest.mark.parametrize("exponent", [2.0, 3.0])
def test_power_law_fields_have_its_slope(exponent):
    # A regression over 0.06 to 0.3 mm⁻¹, where the window's leakage is small; the slope's scatter is about 0.01.
    fields = power_law(np.random.default_rng(2), 100, n_pixels=64, pixel_mm=1.5, std_hu=10.0, exponent=exponent)
    frequency, power = spectrum(fields, 1.5)
    use = (frequency > 0.06) & (frequency < 0.3)
    slope = np.polyfit(np.log(frequency[use]), np.log(power[use]), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.1)


def test_a_power_law_levels_off_for_long_waves():
    # (f² + f₀²)^(−3/2) with f₀ = 1/20 mm⁻¹: from f = 3/128 to 0.2 mm⁻¹ it falls by (0.2² + f₀²)/(f² + f₀²) to the 1.5.
    fields = power_law(np.random.default_rng(3), 200, n_pixels=128, pixel_mm=1.0, std_hu=10.0, longest_mm=20.0)
    frequency, power = spectrum(fields, 1.0)
    low, high = (power[np.abs(frequency / f - 1) < 0.1].mean() for f in (3 / 128, 0.2))
    assert low / high == pytest.approx(((0.2**2 + 0.05**2) / ((3 / 128) ** 2 + 0.05**2)) ** 1.5, rel=0.15)


@pytest.mark.parametrize("longest_mm", [None, 16.0])
def test_power_law_fields_have_their_deviation_and_do_not_wrap(longest_mm):
    # False-alarm rates 6e-7. If the field wrapped, the two borders would be neighbours and all but equal.
    fields = power_law(
        np.random.default_rng(4), 2001, n_pixels=32, pixel_mm=1.0, std_hu=10.0, exponent=3.0, longest_mm=longest_mm
    )
    assert fields.shape == (2001, 32, 32)
    assert within(fields[:, 5, 9], 0.0)
    assert within(fields[:, 5, 9] ** 2, 100.0)
    across = ((fields[:, :, 0] - fields[:, :, -1]) ** 2).mean()
    beside = ((fields[:, :, 0] - fields[:, :, 1]) ** 2).mean()
    assert across > (20 if longest_mm is None else 3) * beside
    # Fields come in pairs from one transform; they are independent all the same.
    assert within(fields[0:2000:2, 5, 9] * fields[1:2000:2, 5, 9], 0.0)


@pytest.mark.parametrize(
    "texture",
    [
        Lumpy(std_hu=6.0, sigma_mm=4.0, lumps_per_mm2=0.01),
        ClusteredLumpy(std_hu=6.0, unit_mm=1.0),
        PowerLaw(std_hu=6.0),
        PowerLaw(std_hu=6.0, exponent=2.0, longest_mm=30.0),
    ],
    ids=["lumpy", "clustered", "power-law", "levelled"],
)
def test_textures_have_zero_mean_and_their_deviation(texture):
    # False-alarm rate 6e-7 each.
    value = texture.draw(np.random.default_rng(5), 1500, n_pixels=12, pixel_mm=2.0)[:, 4, 6]
    assert within(value, 0.0)
    assert within(value**2, 36.0)


@pytest.mark.parametrize(
    ("texture", "message"),
    [
        (Lumpy(std_hu=5.0, sigma_mm=0.9), "lumps of 0.9 mm are finer than the object grid's pixels of 2 mm"),
        (ClusteredLumpy(std_hu=5.0, unit_mm=0.2), "a unit of 0.2 mm is too fine for the object grid's pixels of 2 mm"),
    ],
)
def test_a_texture_too_fine_for_the_grid_is_refused(texture, message):
    with pytest.raises(UserError, match=message):
        texture.draw(np.random.default_rng(0), 1, n_pixels=8, pixel_mm=2.0)
