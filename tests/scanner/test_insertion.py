"""Noise inserted into existing scans, against independent full simulations at the lower dose."""

import numpy as np
import pytest
import torch

from discs import project_discs
from taskct.scanner.acquire import acquire
from taskct.scanner.exposure import bowtie_transmission, noise_hu, tube_current
from taskct.scanner.fbp import FBP
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.insertion import SLICES_AT_A_TIME, insert_noise, missing_noise
from taskct.scanner.noise import line_integral_variance
from taskct.scanner.projector import Projector
from taskct.scanner.units import MU_WATER_PER_MM

GEOMETRY = ScanGeometry(595.0, 1085.6, n_bins=184, bin_mm=2.4, views_per_turn=120)
WIDE = ScanGeometry(595.0, 1085.6, n_bins=300, bin_mm=3.6, views_per_turn=180)
N_PIXELS, PIXEL_MM = 64, 3.0
N_TRIALS, CENTRAL, N_RINGS = 2400, slice(16, 48), 6
SCAN = {"i0": 1e5, "electronic_noise": 8.0}
TO_HU = 1000.0 / MU_WATER_PER_MM


def discs(geometry, *parts):
    x, y, diameter, mu = np.array(parts).T
    sinograms = project_discs(geometry, x_mm=x, y_mm=y, diameter_mm=diameter, mu=mu * MU_WATER_PER_MM)
    return torch.from_numpy(sinograms.sum(axis=0, keepdims=True))


@pytest.fixture(scope="module")
def grid():
    place = {"n_pixels": N_PIXELS, "pixel_mm": PIXEL_MM}
    return Projector(GEOMETRY, **place), FBP(GEOMETRY, **place)


@pytest.fixture(scope="module")
def water():
    """An off-centre disc, so that the noise is not the same all round."""
    return discs(GEOMETRY, (6, -4, 160, 1))


def simulate(p, fbp, *, n, dose_fraction, first_seed, **change):
    """Independent scans and the noise-free image, a few at a time to save memory."""
    scan = SCAN | {"reference": "noise-free", "dose_fraction": dose_fraction} | change
    parts = [range(first_seed + k, first_seed + min(k + 100, n)) for k in range(0, n, 100)]
    scans = [acquire(p.expand(len(seeds), -1, -1), fbp, seeds=seeds, **scan) for seeds in parts]
    return torch.cat([noisy for noisy, _ in scans]), scans[0][1][0]


@pytest.fixture(scope="module")
def full_dose(grid, water):
    """Independent full-dose scans, and the noise-free image."""
    return simulate(water, grid[1], n=N_TRIALS, dose_fraction=1.0, first_seed=0)


def power_spectrum(noise):
    """Radially averaged noise power of the central pixels, up to the image's Nyquist frequency."""
    power = (torch.fft.fft2(noise[:, CENTRAL, CENTRAL].double()).abs() ** 2).mean(dim=0)
    frequency = torch.fft.fftfreq(CENTRAL.stop - CENTRAL.start, dtype=torch.float64)
    ring = (torch.hypot(frequency, frequency[:, None]) / 0.5 * N_RINGS).long()
    return torch.stack([power[ring == k].mean() for k in range(N_RINGS)])


def test_power_spectrum_and_variance_are_those_of_a_scan_at_that_dose(grid, water, full_dose):
    # The band is where the power exceeds a tenth of its peak: here up to the image's Nyquist frequency. False-alarm
    # rate: over 8 pairs of runs at half as many trials a ring's ratio had, scaled to these, a standard error of 0.4 %,
    # the lowest's 0.85 % (about √(2/24000), 10 independent frequencies), around 1.005: 5 % is 5 of them, 4e-7. The
    # variance's was 0.2 %.
    noisy, reference = full_dose
    low, _ = simulate(water, grid[1], n=N_TRIALS, dose_fraction=0.1, first_seed=10_000)
    settings = SCAN | {"dose_fraction": 0.1, "seeds": range(20_000, 20_000 + N_TRIALS)}
    inserted = insert_noise(noisy, *grid, **settings)
    ours, theirs = power_spectrum(inserted - reference), power_spectrum(low - reference)
    band = theirs > 0.1 * theirs.max()
    assert band.all()
    np.testing.assert_allclose(ours[band] / theirs[band], 1.0, atol=0.05)
    middle = (slice(None), CENTRAL, CENTRAL)
    variance = [(image[middle] - reference[middle[1:]]).double().var(dim=0).mean().item() for image in (inserted, low)]
    assert variance[0] / variance[1] == pytest.approx(1.0, abs=0.03)
    assert abs((inserted - noisy)[middle].mean().item()) < 0.5


@pytest.mark.parametrize("dose_fraction", [0.05, 0.5])
def test_variance_against_dose_follows_theory(grid, water, full_dose, dose_fraction):
    # The added noise's variance against the exact weights of the reconstruction. False-alarm rate: 100 pixels 6 mm
    # apart, at least half of them independent, × 900 trials: √(2/45000) = 0.7 %, of which 3 % is 4.5, 7e-6.
    noisy = full_dose[0][:900]
    settings = SCAN | {"dose_fraction": dose_fraction, "seeds": range(40_000, 40_900)}
    added = (insert_noise(noisy, *grid, **settings) - noisy).double().var(dim=0)
    ratio = []
    for row in range(22, 42, 2):
        for column in range(22, 42, 2):
            weights = grid[1].pixel_weights(row, column)
            low, full = (
                noise_hu(weights, water[0], i0=1e5 * dose, electronic_noise=8.0) ** 2 for dose in (dose_fraction, 1.0)
            )
            ratio.append(added[row, column].item() / (low - full))
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.03)


def test_the_missing_variance_is_the_difference_of_two_doses():
    # False-alarm rate: 5 standard errors, 6e-7.
    p, n = torch.full((1, 300, 400), 3.0), 120_000
    noise = missing_noise(p, i0=2e5, dose_fraction=0.2, electronic_noise=20.0, seeds=[1]).double()
    low, full = (
        line_integral_variance(torch.tensor(3.0), i0=2e5 * dose, electronic_noise=20.0).item() for dose in (0.2, 1.0)
    )
    assert noise.var().item() == pytest.approx(low - full, rel=5 * np.sqrt(2 / n) + 3 * low)
    assert abs(noise.mean().item()) < 5 * np.sqrt((low - full) / n)


def test_full_dose_lacks_nothing(grid, full_dose):
    noisy = full_dose[0][:3]
    assert torch.equal(insert_noise(noisy, *grid, dose_fraction=1.0, seeds=range(3), **SCAN), noisy)


def test_a_wide_starved_body_keeps_its_hu():
    # An arms-down path of 9.2 with bowtie and tube current, at a tenth of the dose 11 photons behind the arms. Mean of
    # the liver in the images before and after: within 1 HU. False-alarm rate: the standard error of 120 trials is
    # 0.2 HU: 5 of them, 6e-7.
    n = 120
    p = discs(WIDE, (0, 0, 290, 1), (-190, 20, 70, 1), (190, 20, 70, 1), (-190, 20, 10, 1.05), (190, 20, 10, 1.05))
    place = {"n_pixels": 96, "pixel_mm": 5.0}
    grid = Projector(WIDE, **place), FBP(WIDE, **place)
    i0 = 3e5 * bowtie_transmission(WIDE, diameter_mm=290.0) * tube_current(p)[..., None]
    settings = {"i0": i0, "electronic_noise": 5.0}
    full, reference = simulate(p, grid[1], n=n, dose_fraction=1.0, first_seed=0, **settings)
    inserted = insert_noise(full, *grid, dose_fraction=0.1, seeds=range(900, 900 + n), **settings)
    liver = (slice(None), slice(38, 58), slice(28, 48))
    assert abs((inserted[liver] - full[liver]).mean().item()) <= 1.0
    assert abs((inserted - reference)[liver].mean().item()) <= 1.0


def test_every_slice_has_its_own_photons_and_does_not_depend_on_its_batch(grid, full_dose):
    n = SLICES_AT_A_TIME + 2
    images = full_dose[0][:n]
    i0 = torch.linspace(5e4, 2e5, n)[:, None, None]
    settings = {"dose_fraction": 0.3, "electronic_noise": 5.0}
    together = insert_noise(images, *grid, i0=i0, seeds=range(n), **settings)
    for k in (0, n - 1):
        alone = insert_noise(images[k : k + 1], *grid, i0=i0[k].item(), seeds=[k], **settings)
        torch.testing.assert_close(together[k : k + 1], alone, rtol=0, atol=0.02)


def test_padding_below_air_counts_as_air(grid):
    settings = SCAN | {"dose_fraction": 0.2, "seeds": [4]}
    air = torch.full((1, N_PIXELS, N_PIXELS), -1000.0)
    air[:, 24:40, 24:40] = 0.0
    padded = torch.where(air < -500.0, -3024.0, air)
    noise = [insert_noise(image, *grid, **settings) - image for image in (air, padded)]
    torch.testing.assert_close(*noise, rtol=0, atol=1e-2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dose_fraction": 0.0}, "dose_fraction"),
        ({"dose_fraction": 1.5}, "dose_fraction"),
        ({"seeds": [1]}, "seeds"),
        ({"i0": -1.0}, "i0"),
    ],
)
def test_misuse_is_refused(grid, change, message):
    settings = SCAN | {"dose_fraction": 0.5, "seeds": [1, 2]} | change
    with pytest.raises(ValueError, match=message):
        insert_noise(torch.zeros(2, N_PIXELS, N_PIXELS), *grid, **settings)


def test_grids_that_differ_are_refused(grid):
    other = FBP(GEOMETRY, n_pixels=32, pixel_mm=PIXEL_MM)
    with pytest.raises(ValueError, match="grids"):
        insert_noise(torch.zeros(1, N_PIXELS, N_PIXELS), grid[0], other, dose_fraction=0.5, seeds=[1], **SCAN)
