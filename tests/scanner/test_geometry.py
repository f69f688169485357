"""The fan beam: rays against elementary geometry, and settings it refuses."""

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.scanner.geometry import ScanGeometry

GEOMETRY = ScanGeometry(500.0, 900.0, n_bins=33, bin_mm=9.0, views_per_turn=20)


def test_every_ray_runs_from_the_source_to_its_bin_on_the_detector():
    source, direction = GEOMETRY.rays()
    assert source.shape == (20, 1, 2)
    assert direction.shape == (20, 33, 2)
    for view, bin_ in [(0, 0), (3, 32), (11, 7), (19, 16)]:
        angle = 2 * np.pi * view / 20
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        start = turn @ [500.0, 0.0]
        end = turn @ [-400.0, (bin_ - 16) * 9.0]  # on the detector, 900 mm from the source
        np.testing.assert_allclose(source[view, 0], start, atol=1e-9)
        np.testing.assert_allclose(direction[view, bin_], (end - start) / np.linalg.norm(end - start), atol=1e-12)


def test_the_outermost_ray_touches_the_field_of_view():
    source, direction = GEOMETRY.rays()
    distance = np.abs(source[..., 0] * direction[..., 1] - source[..., 1] * direction[..., 0])
    np.testing.assert_allclose(2 * distance[:, [0, -1]], GEOMETRY.field_of_view_mm, rtol=1e-12)
    assert (2 * distance[:, 1:-1] < GEOMETRY.field_of_view_mm).all()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"views_per_turn": 18}, "n_views"),
        ({"views_per_turn": 0}, "n_views"),
        ({"source_detector_mm": 500.0}, "source_detector_mm"),
        ({"source_isocenter_mm": -1.0}, "source_isocenter_mm"),
        ({"source_isocenter_mm": float("nan")}, "source_isocenter_mm"),
        ({"n_bins": 1}, "bins"),
        ({"bin_mm": 0.0}, "bins"),
        ({"bin_mm": float("nan")}, "bins"),
    ],
)
def test_an_impossible_scanner_is_refused(change, named):
    good = {
        "source_isocenter_mm": 500.0,
        "source_detector_mm": 900.0,
        "n_bins": 33,
        "bin_mm": 9.0,
        "views_per_turn": 20,
    }
    with pytest.raises(UserError, match=named):
        ScanGeometry(**(good | change))
