"""Photons per ray: tube load, bowtie, tube-current modulation, and the noise of a pixel against theory."""

import numpy as np
import pytest
import torch

from discs import project_discs
from taskct.errors import UserError
from taskct.scanner.acquire import acquire
from taskct.scanner.exposure import bowtie_transmission, i0_for_noise, noise_hu, photons_per_ray, tube_current
from taskct.scanner.fbp import FBP
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.spectrum import Spectrum, tabulated_spectrum
from taskct.scanner.units import MU_WATER_PER_MM

GEOMETRY = ScanGeometry(595.0, 1085.6, n_bins=200, bin_mm=3.0, views_per_turn=120)
CURVED = ScanGeometry(595.0, 1085.6, n_bins=200, bin_mm=3.0, views_per_turn=120, detector="curved", bin_offset=0.25)
TUBE = {"n_views": 1000, "source_detector_mm": 1000.0, "bin_mm": 1.0, "row_mm": 1.0}


def discs(geometry, *parts):
    x, y, diameter, mu = np.array(parts).T
    sinograms = project_discs(geometry, x_mm=x, y_mm=y, diameter_mm=diameter, mu=mu * MU_WATER_PER_MM)
    return torch.from_numpy(sinograms.sum(axis=0))


def test_photons_follow_load_distance_and_area():
    # One photon per mm² and mAs at 1 m and a single energy: mAs / views × area, and the inverse square.
    one = Spectrum.monoenergetic(60.0)
    assert photons_per_ray(500.0, one, efficiency=1.0, **TUBE) == pytest.approx(0.5)
    far = TUBE | {"source_detector_mm": 2000.0, "row_mm": 4.0}
    assert photons_per_ray(500.0, one, efficiency=0.5, **far) == pytest.approx(0.25)


def test_photons_of_a_clinical_scan_are_those_that_the_field_uses():
    # 120 kVp, 200 mAs, about 1000 views, bins of about 1 mm²: 1e5 to 3e5 is common in simulations.
    photons = photons_per_ray(200.0, tabulated_spectrum(120), **(TUBE | {"source_detector_mm": 1086.0}))
    assert 1e5 < photons < 3e5


@pytest.mark.parametrize("change", [{"mas": 0.0}, {"n_views": 0}, {"bin_mm": -1.0}, {"efficiency": 1.2}])
def test_impossible_exposures_are_refused(change):
    with pytest.raises(UserError, match=next(iter(change))):
        photons_per_ray(**({"mas": 100.0, "spectrum": Spectrum.monoenergetic(60.0)} | TUBE | change))


@pytest.mark.parametrize("geometry", [GEOMETRY, CURVED])
def test_a_full_bowtie_evens_out_a_water_cylinder(geometry):
    signal = bowtie_transmission(geometry, diameter_mm=250.0, compensation=1.0) * torch.exp(
        -discs(geometry, (0, 0, 250, 1))
    )
    np.testing.assert_allclose(signal, np.exp(-250 * MU_WATER_PER_MM), rtol=1e-4)


def test_half_a_bowtie_halves_the_range_and_none_is_none():
    # The centre of the detector is between two bins: the nearest rays miss the isocentre by half a bin.
    half = bowtie_transmission(GEOMETRY, diameter_mm=300.0)
    assert half.max().item() == pytest.approx(1.0, abs=1e-3)
    assert half[0].item() == pytest.approx(np.exp(-150 * MU_WATER_PER_MM), rel=1e-5)
    assert (bowtie_transmission(GEOMETRY, diameter_mm=300.0, compensation=0.0) == 1).all()


@pytest.mark.parametrize("change", [{"diameter_mm": 0.0}, {"compensation": 1.5}])
def test_an_impossible_bowtie_is_refused(change):
    with pytest.raises(UserError, match="bowtie"):
        bowtie_transmission(GEOMETRY, **({"diameter_mm": 300.0} | change))


def test_modulation_keeps_the_load_and_evens_out_the_views():
    p = torch.stack([discs(GEOMETRY, (0, 0, 200, 1), (120, 0, 60, 1)), discs(GEOMETRY, (0, 0, 200, 1))])
    for strength in (0.0, 0.5, 1.0):
        current = tube_current(p, strength)
        np.testing.assert_allclose(current.mean(dim=1), 1.0, rtol=1e-5)
        # In logarithms the weakest signals' range shrinks to the part that the strength leaves.
        left = (current.log() - p.amax(dim=2)).max(dim=1).values - (current.log() - p.amax(dim=2)).min(dim=1).values
        whole = p.amax(dim=2).max(dim=1).values - p.amax(dim=2).min(dim=1).values
        np.testing.assert_allclose(left, (1 - strength) * whole, atol=1e-4)
    with pytest.raises(UserError, match="strength"):
        tube_current(p, 1.5)


def test_half_strength_gives_the_least_noise_at_the_centre():
    # Gies et al.: with the load fixed the centre's noise is least where the current goes as the square root.
    p = discs(GEOMETRY, (0, 0, 180, 1), (110, 0, 40, 1), (-110, 0, 40, 1))
    weights = FBP(GEOMETRY, n_pixels=11, pixel_mm=2.0).pixel_weights(5, 5)
    noise = {
        s: noise_hu(weights, p, i0=1e5 * tube_current(p[None], s)[0, :, None], electronic_noise=0.0)
        for s in (0.0, 0.3, 0.5, 0.7, 1.0)
    }
    assert min(noise, key=noise.__getitem__) == 0.5


def test_the_noise_asked_for_is_the_noise_that_comes():
    # A scan with bowtie, tube current and readout noise at the i0 found: every pixel's variance against its theory,
    # within 3 % on average. False-alarm rate: 25 pixels 25 mm apart are nearly independent, so the mean ratio of 2,000
    # trials has a standard error of √(2/50000) = 0.6 %: 4.7 of them, 3e-6.
    target, n = 40.0, 2000
    p = discs(GEOMETRY, (0, 0, 220, 1), (60, 10, 30, 0.5))
    relative = bowtie_transmission(GEOMETRY, diameter_mm=220.0) * tube_current(p[None], 0.5)[0, :, None]
    fbp = FBP(GEOMETRY, center_mm=(5.0, -3.0), n_pixels=5, pixel_mm=25.0)
    weights = {(row, column): fbp.pixel_weights(row, column) for row in range(5) for column in range(5)}
    i0 = i0_for_noise(target, weights[1, 2], p, electronic_noise=10.0, relative=relative)
    theory = [noise_hu(w, p, i0=i0 * relative, electronic_noise=10.0) ** 2 for w in weights.values()]
    assert theory[7] == pytest.approx(target**2, rel=1e-5)
    scan = {"dose_fraction": 1.0, "electronic_noise": 10.0, "reference": "noise-free", "seeds": range(n)}
    noisy, _ = acquire(p.expand(n, -1, -1), fbp, i0=i0 * relative, **scan)
    ratio = noisy.double().var(dim=0).numpy().ravel() / theory
    assert ratio.mean() == pytest.approx(1.0, abs=0.03)


def test_noise_goes_as_the_root_of_the_photons_and_readout_comes_on_top():
    p = discs(GEOMETRY, (0, 0, 200, 1))
    weights = FBP(GEOMETRY, n_pixels=11, pixel_mm=2.0).pixel_weights(5, 5)
    quiet = {target: i0_for_noise(target, weights, p, electronic_noise=0.0) for target in (10.0, 20.0)}
    assert quiet[10.0] / quiet[20.0] == pytest.approx(4.0, rel=1e-9)
    assert i0_for_noise(20.0, weights, p, electronic_noise=20.0) > 1.05 * quiet[20.0]


def test_a_noise_that_only_starved_rays_could_give_is_refused():
    p = discs(GEOMETRY, (0, 0, 280, 1))
    weights = FBP(GEOMETRY, n_pixels=11, pixel_mm=2.0).pixel_weights(5, 5)
    assert i0_for_noise(50.0, weights, p, electronic_noise=5.0) > 0
    with pytest.raises(UserError, match="starved"):
        i0_for_noise(500.0, weights, p, electronic_noise=5.0)
    with pytest.raises(UserError, match="positive"):
        i0_for_noise(0.0, weights, p, electronic_noise=5.0)


def test_a_detector_that_integrates_energy_counts_fewer_photons_by_its_swank_factor():
    """(Σ nE)² / (Σ n · Σ nE²): the squared signal over its variance, per photon."""
    spectrum = tabulated_spectrum(120)
    n, energy = spectrum.photons, spectrum.energy_kev
    swank = (n * energy).sum() ** 2 / (n.sum() * (n * energy**2).sum())
    size = {"n_views": 984, "source_detector_mm": 1000.0, "bin_mm": 1.0, "row_mm": 2.0, "efficiency": 1.0}
    photons = photons_per_ray(100, spectrum, **size)
    assert photons == pytest.approx(100 / 984 * n.sum() * 2.0 * swank, rel=1e-6)
    assert 0.8 < swank < 0.97


@pytest.mark.parametrize("value", [0.0, -1.0, np.inf, np.nan])
def test_a_tube_load_or_a_noise_that_is_no_number_is_refused(value):
    size = {"n_views": 984, "source_detector_mm": 1086.0, "bin_mm": 1.0, "row_mm": 1.0}
    with pytest.raises(UserError, match=r"mas is .*positive, finite"):
        photons_per_ray(value, tabulated_spectrum(120), **size)
    with pytest.raises(UserError, match=r"row_mm is .*positive, finite"):
        photons_per_ray(100, tabulated_spectrum(120), **size | {"row_mm": value})
    with pytest.raises(UserError, match=r"wanted noise is .*positive, finite"):
        i0_for_noise(value, torch.ones(2, 3), torch.ones(2, 3), electronic_noise=0.0)
