"""The beam of a study: photons in absolute numbers, and what the rays meet."""

import numpy as np
import pytest
import torch

from taskct.config import make_settings
from taskct.errors import UserError
from taskct.scanner.analytic import project_ellipses
from taskct.scanner.exposure import bowtie_transmission, photons_per_ray, tube_current
from taskct.scanner.spectrum import polychromatic_line_integral, split_water_bone, tabulated_spectrum
from taskct.scanner.units import MU_WATER_PER_MM
from taskct.simulation.scan import Scanner

SMALL = {
    "scanner": {"n_views": 120, "n_bins": 241, "bin_mm": 3.0, "object_pixels": 128, "object_pixel_mm": 3.0},
    "trials": {"region_pixels": 32, "margin_pixels": 0},
    "signal": {"position_mm": 4},
}
MAS = {"exposure": "mas", "energy": "poly", "mas": 150, "slice_mm": 2.5}


def exposure_of(**scanner):
    return Scanner(make_settings(SMALL, {"scanner": scanner}), "cpu").exposure


@pytest.mark.parametrize("kvp", [80, 120])
def test_tube_load_gives_the_photons_of_its_spectrum_on_the_detectors_bins(kvp):
    wanted = photons_per_ray(
        150,
        tabulated_spectrum(kvp),
        n_views=120,
        source_detector_mm=1085.6,
        bin_mm=3.0,
        row_mm=2.5 * 1085.6 / 595,  # a slice of 2.5 mm is thicker on the detector
    )
    assert exposure_of(**MAS, kvp=kvp).photons == pytest.approx(wanted)


def test_a_turns_tube_load_is_shared_among_the_views_of_a_turn():
    assert exposure_of(**MAS, detector="curved", scan="short").photons == pytest.approx(exposure_of(**MAS).photons)


def test_a_parallel_beam_of_the_same_rays_has_as_many_photons():
    at_isocenter = {"detector": "parallel", "bin_mm": 3.0 * 595 / 1085.6}
    assert exposure_of(**MAS, **at_isocenter).photons == pytest.approx(exposure_of(**MAS).photons)


def test_tube_load_without_a_spectrum_is_refused():
    with pytest.raises(UserError, match=r"set scanner.energy=poly"):
        make_settings({"scanner": {"exposure": "mas"}})


def water(half_x=150.0, half_y=100.0):
    """An ellipse of water on the grid, HU, and its exact line integrals."""
    axis = (np.arange(128) - 63.5) * 3.0
    inside = (axis[None, :] / half_x) ** 2 + (axis[:, None] / half_y) ** 2 <= 1
    return torch.from_numpy(np.where(inside, 0.0, -1000.0).astype(np.float32)[None])


def test_photons_follow_bowtie_and_body():
    scanner = Scanner(make_settings(SMALL, {"scanner": {"bowtie_mm": 280, "tube_modulation": 0.5}}), "cpu")
    beam = scanner.exposure.beam(scanner.projector, water(), None, water())
    lines = project_ellipses(
        scanner.geometry, x_mm=[0.0], y_mm=[0.0], half_x_mm=[150.0], half_y_mm=[100.0], mu=[MU_WATER_PER_MM]
    )
    expected = 8e5 * bowtie_transmission(scanner.geometry, diameter_mm=280) * tube_current(lines, 0.5)[..., None]
    # The raster's rim moves a line integral by some 1 %, half of which reaches the exponent.
    torch.testing.assert_close(beam.i0, expected, rtol=0.05, atol=0)
    assert beam.i0.amax(dim=-1).max() / beam.i0.amax(dim=-1).min() > 2  # the long way gets more than the short one
    assert beam.i0[0, 0, 120] / beam.i0[0, 0, 0] > 3  # the middle more than the rim


@pytest.mark.parametrize("kvp", [80, 140])
def test_rays_through_bone_are_those_of_their_spectrum(kvp):
    scanner = Scanner(make_settings(SMALL, {"scanner": {"energy": "poly", "kvp": kvp}}), "cpu")
    axis = (np.arange(128) - 63.5) * 3.0
    radius = np.hypot(axis[None, :], axis[:, None])
    bone_hu = 1900.0
    image = np.where(radius < 30, bone_hu, np.where(radius < 120, 0.0, -1000.0)).astype(np.float32)[None]
    beam = scanner.exposure.beam(scanner.projector, torch.from_numpy(image), None, torch.from_numpy(image))
    found = beam.lines(np.array([0]), torch.zeros(1, 120, 241))[0, :, 120].mean()
    water_share, bone_share = (float(part) for part in split_water_bone(torch.tensor(bone_hu)))
    expected = polychromatic_line_integral(
        torch.tensor(180.0 + 60 * water_share), torch.tensor(60 * bone_share), tabulated_spectrum(kvp)
    )
    assert found == pytest.approx(float(expected), rel=0.01)
    assert bone_share > 0.9


def test_a_higher_voltage_goes_through_more_easily():
    spectra = [tabulated_spectrum(kvp) for kvp in (80, 140)]
    behind = [polychromatic_line_integral(torch.tensor(240.0), None, spectrum) for spectrum in spectra]
    for kvp, expected in zip((80, 140), behind, strict=True):
        scanner = Scanner(make_settings(SMALL, {"scanner": {"energy": "poly", "kvp": kvp}}), "cpu")
        beam = scanner.exposure.beam(scanner.projector, water(120.0, 120.0), None, water(120.0, 120.0))
        middle = beam.lines(np.array([0]), torch.zeros(1, 120, 241))[0, :, 120].mean()
        assert middle == pytest.approx(float(expected), rel=0.01)


def test_a_signal_adds_water_to_the_path():
    scanner = Scanner(make_settings(SMALL, {"scanner": {"energy": "poly"}}), "cpu")
    beam = scanner.exposure.beam(scanner.projector, water(120.0, 120.0), None, water(120.0, 120.0))
    ten_mm = torch.full((1, 120, 241), 10 * MU_WATER_PER_MM)
    more = beam.lines(np.array([0]), ten_mm)[0, :, 120].mean()
    assert more == pytest.approx(
        float(polychromatic_line_integral(torch.tensor(250.0), None, tabulated_spectrum(120))), rel=0.01
    )
