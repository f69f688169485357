"""Real scanners: the numbers of their sources, and a field of view of half a metre."""

import numpy as np
import pytest

from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.presets import SCANNERS


@pytest.mark.parametrize("name", SCANNERS)
def test_a_preset_is_a_clinical_scanner(name):
    preset = SCANNERS[name]
    geometry = ScanGeometry(**preset.geometry)
    assert geometry.field_of_view_mm == pytest.approx(500, abs=5)  # all of them are sold with a 50 cm field of view
    assert abs(geometry.bin_offset) % 1 == 0.25  # a quarter of a bin
    assert preset.name
    assert preset.source


@pytest.mark.parametrize(
    ("name", "increment_rad", "central_channel"),
    [
        ("siemens-definition-as", 0.0011844, 366.25),
        ("siemens-sensation-64", 0.00135, 334.25),
        ("siemens-force", 0.00094729, 457.25),
    ],
)
def test_pitch_and_offset_are_the_published_angle_and_channel(name, increment_rad, central_channel):
    geometry = ScanGeometry(**SCANNERS[name].geometry)
    np.testing.assert_allclose(np.diff(geometry.fan_rad), increment_rad, rtol=1e-4)
    assert geometry.center_bin == central_channel
    assert geometry.fan_rad[int(central_channel)] == pytest.approx(-0.25 * increment_rad, rel=1e-4)
