"""Spectra, attenuation, and beam hardening with and without the water correction."""

import importlib

import numpy as np
import pytest
import torch
import xraydb

from discs import project_discs
from taskct.errors import UserError
from taskct.scanner.acquire import acquire
from taskct.scanner.fbp import FBP
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.spectrum import (
    MATERIALS,
    Spectrum,
    WaterCorrection,
    attenuation,
    effective_energy_kev,
    polychromatic_line_integral,
    spekpy_spectrum,
    split_water_bone,
    tabulated_spectrum,
)
from taskct.scanner.units import MU_WATER_PER_MM

KVP = (80, 100, 120, 140)
GEOMETRY = ScanGeometry(595.0, 1085.6, n_bins=368, bin_mm=1.9, views_per_turn=240)
# Mass fractions and density of ICRU Report 44, typed in again here.
COMPOSITION = {
    "water": ("H 0.111898 O 0.888102", 1.0),
    "soft_tissue": ("H 0.102 C 0.143 N 0.034 O 0.708 Na 0.002 P 0.003 S 0.003 Cl 0.002 K 0.003", 1.06),
    "bone": ("H 0.034 C 0.155 N 0.042 O 0.435 Na 0.001 Mg 0.002 P 0.103 S 0.003 Ca 0.225", 1.92),
}


def chords_mm(diameter, x=0.0, y=0.0):
    disc = {"x_mm": x, "y_mm": y, "diameter_mm": diameter, "mu": 1.0}
    return torch.from_numpy(project_discs(GEOMETRY, **{key: np.array([value]) for key, value in disc.items()}))


def image_hu(line_integral, mu_water=MU_WATER_PER_MM):
    fbp = FBP(GEOMETRY, n_pixels=80, pixel_mm=4.0)
    return (fbp.reconstruct(line_integral)[0] / mu_water - 1.0) * 1000.0


def profile(image):
    """Mean over rings of 20 mm up to 130 mm from the centre, HU."""
    axis = (np.arange(80) - 39.5) * 4.0
    radius = np.hypot(axis[None, :], axis[:, None])
    return np.array([image.numpy()[(radius >= low) & (radius < low + 20)].mean() for low in range(0, 121, 20)])


@pytest.mark.parametrize("material", MATERIALS)
def test_attenuation_agrees_with_xraydb(material):
    # xraydb's tables are those of Elam, Ravel and Sieber (2002), ours those of NIST: two evaluations.
    energy = np.arange(10.0, 151.0)
    words = COMPOSITION[material][0].split()
    parts = zip(words[::2], words[1::2], strict=True)
    per_mass = sum(float(share) * xraydb.mu_elam(element, 1000 * energy) for element, share in parts)
    np.testing.assert_allclose(attenuation(material, energy), per_mass * COMPOSITION[material][1] / 10.0, rtol=0.005)


def test_water_at_60_kev_is_that_of_units():
    assert attenuation("water", 60.0) == pytest.approx(MU_WATER_PER_MM, rel=1e-3)


@pytest.mark.parametrize("kvp", KVP)
def test_the_half_value_layer_of_the_table_is_that_of_its_header(kvp):
    # Air kerma through aluminium, by xraydb's attenuation of aluminium and absorption of air (approximated by its
    # attenuation less the scattered part): the table's headers come from spekpy's own data.
    tube = tabulated_spectrum(kvp)
    energy = tube.energy_kev * 1000
    air = sum(share * xraydb.mu_elam(e, energy, "photo") for e, share in (("N", 0.755), ("O", 0.232), ("Ar", 0.013)))
    compton = (
        xraydb.mu_elam("N", energy, "incoh") * tube.energy_kev / (511.0 + 2 * tube.energy_kev)
    )  # share kept, rough
    kerma = tube.photons * tube.energy_kev * (air + compton)
    thickness = np.linspace(0, 12, 1201)
    aluminium = xraydb.mu_elam("Al", energy) * 2.699 / 10.0
    transmitted = kerma @ np.exp(-aluminium[:, None] * thickness) / kerma.sum()
    half = np.interp(-0.5, -transmitted, thickness)
    assert half == pytest.approx({80: 5.17, 100: 6.37, 120: 7.41, 140: 8.34}[kvp], rel=0.03)


def test_spectra_are_those_of_a_ct_tube():
    mean = [tabulated_spectrum(kvp).mean_energy_kev for kvp in KVP]
    assert mean == sorted(mean)
    for kvp in KVP:
        tube = tabulated_spectrum(kvp)
        assert tube.energy_kev.max() < kvp
        assert 0.45 < tube.mean_energy_kev / kvp < 0.65
        assert tube.signal_share.sum() == pytest.approx(1.0)
        assert 0.85 < tube.counting_efficiency < 1.0
        energies = [effective_energy_kev(tube, water_mm) for water_mm in (1.0, 100.0, 300.0)]
        assert energies == sorted(energies)  # water hardens the beam
        assert tube.mean_energy_kev * 0.9 < energies[0] < energies[-1] < kvp


def test_the_counting_efficiency_is_that_of_summed_energies():
    # Photons of two energies, Poisson in number: variance over squared mean of their summed energy.
    # False-alarm rate: 5 standard errors of a variance, 6e-7.
    tube, n = Spectrum(np.array([20.0, 100.0]), np.array([3.0, 1.0])), 200_000
    rng = np.random.default_rng(0)
    total = 20 * rng.poisson(750, n) + 100 * rng.poisson(250, n)
    quanta = total.mean() ** 2 / total.var()
    assert quanta / 1000 == pytest.approx(tube.counting_efficiency, rel=5 * np.sqrt(2 / n) + 1e-3)


def test_spekpy_gives_the_table_again():
    pytest.importorskip("spekpy", reason="needs the extra taskct[spectrum]")
    made, table = spekpy_spectrum(120), tabulated_spectrum(120)
    assert made.photons.sum() == pytest.approx(table.photons.sum(), rel=1e-4)
    assert made.mean_energy_kev == pytest.approx(table.mean_energy_kev, rel=1e-3)
    assert spekpy_spectrum(120, filters_mm={"Al": 4.0}).mean_energy_kev < made.mean_energy_kev


def test_without_spekpy_the_extra_is_named(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UserError, match=r"taskct\[spectrum\]"):
        spekpy_spectrum(120)


def test_a_single_energy_is_beer_and_lambert():
    water, bone = torch.tensor([0.0, 10.0, 300.0]), torch.tensor([0.0, 5.0, 20.0])
    line_integral = polychromatic_line_integral(water.double(), bone.double(), Spectrum.monoenergetic(60.0))
    expected = water.numpy() * attenuation("water", 60.0) + bone.numpy() * attenuation("bone", 60.0)
    np.testing.assert_allclose(line_integral, expected, rtol=1e-9)


@pytest.mark.parametrize("kvp", KVP)
def test_the_correction_is_exact_in_water_and_monotone(kvp):
    tube = tabulated_spectrum(kvp)
    correct = WaterCorrection(tube)
    water = torch.linspace(0.0, 500.0, 1001)
    measured = polychromatic_line_integral(water, None, tube)
    assert (measured - MU_WATER_PER_MM * water).abs().max() > 0.3  # there is something to correct
    np.testing.assert_allclose(correct(measured), MU_WATER_PER_MM * water, atol=2e-5)
    beyond = torch.linspace(-3.0, 40.0, 5001)
    assert (torch.diff(correct(beyond)) > 0).all()
    slope = (correct(measured.double() + 1e-4) - correct(measured.double() - 1e-4)) / 2e-4
    np.testing.assert_allclose(correct.slope(measured.double()), slope, rtol=2e-3)


def test_the_correction_takes_the_cupping_of_water_away():
    tube = tabulated_spectrum(120)
    measured = polychromatic_line_integral(chords_mm(300.0), None, tube)
    cupped = profile(image_hu(measured, mu_water=float(attenuation("water", effective_energy_kev(tube, 300.0)))))
    flat = profile(image_hu(WaterCorrection(tube)(measured)))
    assert cupped[-1] - cupped[0] > 20.0
    assert (np.diff(cupped) > 0).all()
    assert np.abs(flat).max() < 0.5


def test_a_spectrum_of_one_energy_reproduces_the_monoenergetic_scan():
    one = Spectrum.monoenergetic(60.0)
    fbp = FBP(GEOMETRY, n_pixels=16, pixel_mm=10.0)
    scan = {"i0": 1e5, "dose_fraction": 0.5, "electronic_noise": 5.0, "reference": "noise-free", "seeds": [3]}
    plain = acquire(MU_WATER_PER_MM * chords_mm(200.0), fbp, **scan)
    measured = polychromatic_line_integral(chords_mm(200.0), None, one)
    corrected = acquire(measured, fbp, correct=WaterCorrection(one), **scan)
    for image, other in zip(plain, corrected, strict=True):
        np.testing.assert_allclose(image, other, atol=0.05)


def test_bone_hardens_the_beam_and_darkens_what_lies_between():
    # Two bones in water: after the water correction the water between them still reads too low, the known dark band.
    tube = tabulated_spectrum(120)
    bone = chords_mm(30.0, x=-60.0) + chords_mm(30.0, x=60.0)
    image = image_hu(WaterCorrection(tube)(polychromatic_line_integral(chords_mm(260.0) - bone, bone, tube)))
    middle, away = image[39:41, 39:41].mean(), image[14:16, 39:41].mean()
    assert -60.0 < middle - away < -10.0


def test_water_and_bone_add_up_to_the_image():
    image = torch.linspace(-1100.0, 3000.0, 400)
    water, bone = split_water_bone(image)
    ratio = float(attenuation("bone", 60.0) / attenuation("water", 60.0))
    np.testing.assert_allclose(water + ratio * bone, (1 + image / 1000).clamp(min=0), atol=1e-5)
    assert (water >= 0).all()
    assert (bone >= -1e-6).all()
    assert (bone[image <= 100.0].abs() < 1e-6).all()
    pure = split_water_bone(torch.tensor([1000.0 * (ratio - 1.0)]))
    assert pure[0].item() == pytest.approx(0.0, abs=1e-5)
    assert pure[1].item() == pytest.approx(1.0, abs=1e-5)


def test_half_bone_half_soft_tissue_is_split_by_volume():
    half = 0.5 * 1100.0 + 0.5 * 1000.0 * attenuation("bone", 60.0) / attenuation("water", 60.0) - 1000.0
    water, bone = split_water_bone(torch.tensor([float(half)]), soft_hu=100.0)
    assert water.item() == pytest.approx(0.55, abs=1e-5)
    assert bone.item() == pytest.approx(0.5, abs=1e-5)


def test_misuse_is_refused():
    with pytest.raises(UserError, match="80, 100, 120, 140"):
        tabulated_spectrum(110)
    with pytest.raises(ValueError, match="material"):
        attenuation("fat", 60.0)
    with pytest.raises(ValueError, match="soft_hu"):
        split_water_bone(torch.zeros(1), soft_hu=3000.0)
    for energy in (160.0, 9.9, np.nan):
        with pytest.raises(UserError, match="tables reach from 10 to 150 keV"):
            Spectrum.monoenergetic(energy)
    with pytest.raises(ValueError, match="negative"):
        Spectrum.monoenergetic(60.0, photons=-1.0)
    with pytest.raises(ValueError, match="photons"):
        Spectrum(np.array([50.0, 60.0]), np.array([1.0]))


@pytest.mark.parametrize("energy", [200.0, 9.99, 150.01, 0.0, -60.0, np.nan, np.inf])
def test_no_energy_outside_the_tables_gets_the_value_at_their_rim(energy):
    with pytest.raises(UserError, match=f"an energy is {energy:g} keV: the attenuation tables reach from 10 to 150"):
        attenuation("water", energy)
    with pytest.raises(UserError, match="10 to 150 keV"):
        attenuation("bone", np.array([60.0, energy]))
    with pytest.raises(UserError, match="10 to 150 keV"):
        Spectrum.monoenergetic(energy)
    assert (attenuation("water", np.array([10.0, 150.0])) > 0).all()  # both ends belong to them


def test_voltages_and_thicknesses_out_of_range_are_refused():
    for kvp in (200.0, 29.0, np.nan):
        with pytest.raises(UserError, match="give one from 30 to 150 kV"):
            spekpy_spectrum(kvp)
    for water_mm in (0.0, -10.0, np.inf, np.nan):
        with pytest.raises(UserError, match="positive, finite thickness in mm"):
            effective_energy_kev(tabulated_spectrum(120), water_mm)
