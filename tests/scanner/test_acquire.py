"""A scan: HU of water, what the reference is, and how the noise goes with the dose."""

import numpy as np
import pytest
import torch

from discs import project_discs
from taskct.scanner.acquire import acquire
from taskct.scanner.exposure import bowtie_transmission, tube_current
from taskct.scanner.fbp import FBP
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.spectrum import WaterCorrection, polychromatic_line_integral, tabulated_spectrum
from taskct.scanner.units import MU_WATER_PER_MM

GEOMETRY = ScanGeometry(595.0, 1085.6, n_bins=180, bin_mm=3.0, views_per_turn=120)
N = 64
SCAN = {"i0": 1e5, "dose_fraction": 0.25, "electronic_noise": 0.0, "reference": "noise-free"}


@pytest.fixture(scope="module")
def region():
    return FBP(GEOMETRY, center_mm=(10.0, -5.0), n_pixels=12, pixel_mm=4.0)


def water(n, mu=MU_WATER_PER_MM):
    disc = {"x_mm": 0.0, "y_mm": 0.0, "diameter_mm": 200.0, "mu": mu}
    sinogram = project_discs(GEOMETRY, **{key: np.array([value]) for key, value in disc.items()})
    return torch.from_numpy(sinogram).expand(n, -1, -1)


def scan(region, n=N, first_seed=0, **change):
    return acquire(water(n), region, seeds=range(first_seed, first_seed + n), **(SCAN | change))


def test_water_reads_zero_hu(region):
    _, reference = acquire(water(1), region, seeds=[0], **SCAN)
    assert reference.abs().max() < 1.0


def test_the_noisy_image_is_the_noise_free_one_on_average(region):
    # False-alarm rate: 5 standard errors, 6e-7.
    noisy, reference = scan(region)
    means = (noisy - reference).mean(dim=(1, 2))
    assert abs(means.mean().item()) < 5 * means.std().item() / np.sqrt(N)


def test_variance_follows_theory_at_every_dose(region):
    # Each pixel's variance against the exact weights of the reconstruction, within 3 %. False-alarm rate: 144 pixels of
    # 4 mm, at least half of them independent, × 500 trials: standard error √(2/36000) = 0.75 %: 4 of them, 6e-5
    # a dose.
    n, readout = 500, 8.0
    p = water(1)[0].double()
    weights = torch.stack([region.pixel_weights(row, column) for row in range(12) for column in range(12)]).double()
    for fraction, first in ((1.0, 1000), (0.3, 2000), (0.1, 3000)):
        noisy, _ = scan(region, n=n, first_seed=first, dose_fraction=fraction, electronic_noise=readout)
        counts = 1e5 * fraction * torch.exp(-p)
        theory = (weights**2 * ((counts + readout**2) / counts**2)).sum(dim=(1, 2)) * (1000.0 / MU_WATER_PER_MM) ** 2
        ratio = noisy.double().var(dim=0).ravel() / theory
        assert ratio.mean().item() == pytest.approx(1.0, abs=0.03)


def test_photons_by_ray_and_a_correction_reach_both_scans(region):
    # A polychromatic scan of water with bowtie and tube current: the correction takes the mean back to 0 HU in the
    # noisy, the normal-dose and the noise-free image. False-alarm rate: 5 standard errors, 6e-7, beside 0.5 HU.
    tube = tabulated_spectrum(120)
    p = polychromatic_line_integral(water(1, 1.0), None, tube)
    i0 = 1e5 * bowtie_transmission(GEOMETRY, diameter_mm=200.0) * tube_current(p)[..., None]
    settings = {"i0": i0, "correct": WaterCorrection(tube), "dose_fraction": 0.25, "electronic_noise": 5.0}
    for reference in ("noise-free", "normal-dose"):
        images = acquire(p.expand(N, -1, -1), region, seeds=range(N), reference=reference, **settings)
        for image in images:
            means = image.mean(dim=(1, 2))
            assert abs(means.mean().item()) < 5 * means.std().item() / np.sqrt(N) + 0.5
    plain = acquire(p, region, seeds=[0], reference="noise-free", **(settings | {"correct": None}))[1]
    assert abs(plain.mean().item()) > 5.0


@pytest.mark.parametrize("fraction", [0.05, 0.2, 1.0])
def test_noise_variance_goes_as_one_over_the_dose(region, fraction):
    # 4 mm pixels are nearly independent: 64 images of 144. False-alarm rate of 15 %: over 5 standard errors of a
    # ratio of variances with a quarter as many independent pixels (√(4/2304) = 4 %; 3.6 of them), below 4e-4.
    settings = {"reference": "normal-dose", "dose_fraction": fraction}
    noisy, full = scan(region, first_seed=100, **settings)
    _, truth = scan(region, n=1)
    ratio = ((noisy - truth) ** 2).mean() / ((full - truth) ** 2).mean()
    assert ratio.item() == pytest.approx(1 / fraction, rel=0.15)


def test_the_normal_dose_scan_has_noise_of_its_own(region):
    # At dose_fraction 1 two scans are alike in all but their noise: independent, so Var(a − b) = Var(a) + Var(b).
    # False-alarm rate: 5 standard errors of a correlation of a quarter of the pixels, 6e-7.
    noisy, full = scan(region, reference="normal-dose", dose_fraction=1.0)
    _, truth = scan(region, n=1)
    correlation = np.corrcoef((noisy - truth).ravel(), (full - truth).ravel())[0, 1]
    assert abs(correlation) < 5 / np.sqrt(noisy.numel() / 4)


def test_readout_noise_adds_at_low_dose(region):
    # The same at every dose, so at a low dose it adds σ²/N² where N is small: at N = 25000·exp(−4.1) = 414 photons
    # a σ of 20 doubles the variance of the central rays.
    _, truth = scan(region, n=1)
    plain, with_readout = (((scan(region, electronic_noise=s)[0] - truth) ** 2).mean().item() for s in (0.0, 20.0))
    assert 1.5 < with_readout / plain < 2.1


def test_a_trial_does_not_depend_on_its_batch(region):
    noisy, reference = scan(region, n=3, reference="normal-dose", first_seed=5)
    alone = scan(region, n=1, reference="normal-dose", first_seed=6)
    torch.testing.assert_close(noisy[1:2], alone[0], rtol=0, atol=1e-2)
    torch.testing.assert_close(reference[1:2], alone[1], rtol=0, atol=1e-2)


@pytest.mark.parametrize("change", [{"dose_fraction": 0.0}, {"dose_fraction": 25.0}, {"reference": "full"}])
def test_misuse_is_refused(region, change):
    with pytest.raises(ValueError, match=next(iter(change))):
        scan(region, n=1, **change)
