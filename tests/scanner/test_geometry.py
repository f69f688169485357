"""Scans: rays against elementary geometry, where points are seen, short scans, and settings that are refused."""

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.scanner.geometry import DETECTORS, SCANS, ScanGeometry

SETTINGS = {"source_isocenter_mm": 500.0, "source_detector_mm": 900.0, "n_bins": 33, "bin_mm": 9.0}
GEOMETRY = ScanGeometry(**SETTINGS, views_per_turn=20)
EVERY_KIND = [
    ScanGeometry(**SETTINGS, views_per_turn=20, detector=detector, scan=scan, bin_offset=offset)
    for detector in DETECTORS
    for scan in SCANS
    for offset in (0.0, 0.25, -3.0)
]


def turned(angle, x, y):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ [x, y]


def distance_from_isocentre(geometry):
    """Signed, positive towards (−sin β, cos β) for a ray that runs towards −(cos β, sin β)."""
    source, direction = geometry.rays()
    return direction[..., 1] * source[..., 0] - direction[..., 0] * source[..., 1]


@pytest.mark.parametrize("offset", [0.0, 0.25, -1.0])
@pytest.mark.parametrize("detector", DETECTORS)
def test_every_ray_runs_from_the_source_to_its_bin_on_the_detector(detector, offset):
    geometry = ScanGeometry(**SETTINGS, views_per_turn=20, detector=detector, bin_offset=offset)
    source, direction = geometry.rays()
    assert direction.shape == (20, 33, 2)
    for view, bin_ in [(0, 0), (3, 32), (11, 7), (19, 16)]:
        angle, place = 2 * np.pi * view / 20, (bin_ - 16 + offset) * 9.0  # mm along the detector
        if detector == "flat":  # 900 mm from the source
            start, end = turned(angle, 500.0, 0.0), turned(angle, -400.0, place)
        elif detector == "curved":  # on the circle of 900 mm about the source
            start = turned(angle, 500.0, 0.0)
            end = turned(angle, 500.0 - 900.0 * np.cos(place / 900.0), 900.0 * np.sin(place / 900.0))
        else:
            start, end = turned(angle, 0.0, place), turned(angle, -1.0, place)
        np.testing.assert_allclose(source[view, bin_ if detector == "parallel" else 0], start, atol=1e-9)
        np.testing.assert_allclose(direction[view, bin_], (end - start) / np.linalg.norm(end - start), atol=1e-12)


@pytest.mark.parametrize("geometry", EVERY_KIND, ids=str)
def test_the_bins_a_point_is_seen_in_are_those_whose_rays_pass_through_it(geometry):
    # A point on ray (view, bin) at any depth casts its shadow on that bin, and a fan magnifies it by its distances.
    source, direction = geometry.rays()
    source = np.broadcast_to(source, direction.shape)
    view = geometry.view_rad[:, None]
    for depth in (350.0, 500.0, 700.0):
        x, y = np.moveaxis(source + depth * direction, -1, 0)
        bin_, weight = geometry.shadow(x, y, view)
        np.testing.assert_allclose(bin_, np.broadcast_to(np.arange(33), bin_.shape), atol=1e-9)
        if geometry.detector == "parallel":
            expected = np.ones_like(weight)
        else:
            along = depth * (np.cos(geometry.fan_rad) if geometry.detector == "flat" else np.ones(33))
            expected = np.broadcast_to((500.0 / along) ** 2, weight.shape)
        np.testing.assert_allclose(weight, expected, rtol=1e-12)


@pytest.mark.parametrize("geometry", EVERY_KIND, ids=str)
def test_the_field_of_view_touches_the_outermost_ray_on_its_nearer_side(geometry):
    distance = distance_from_isocentre(geometry)
    np.testing.assert_allclose(distance, np.broadcast_to(geometry.ray_offset_mm, distance.shape), atol=1e-9)
    nearer = np.abs(distance[:, [0, -1]]).min(axis=1)
    np.testing.assert_allclose(2 * nearer, geometry.field_of_view_mm, rtol=1e-12)
    assert (distance[:, 0] < 0).all()
    assert (distance[:, -1] > 0).all()


@pytest.mark.parametrize("geometry", EVERY_KIND, ids=str)
def test_the_pitch_at_the_isocentre_is_the_distance_of_neighbouring_rays_there(geometry):
    spacing = np.diff(geometry.ray_offset_mm)[14:18]
    np.testing.assert_allclose(spacing, geometry.isocenter_bin_mm, rtol=5e-3)  # cos of a few bins' angle


def test_the_quarter_offset_interleaves_opposite_views():
    # Half a turn later the rays of a parallel beam run back between those of the first view.
    geometry = ScanGeometry(**SETTINGS, views_per_turn=20, detector="parallel", bin_offset=0.25)
    offsets = np.sort(np.concatenate([geometry.ray_offset_mm, -geometry.ray_offset_mm]))
    np.testing.assert_allclose(np.diff(offsets), 9.0 / 2)


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_short_scan_is_the_first_views_that_see_every_line(detector):
    full, short = (ScanGeometry(**SETTINGS, views_per_turn=400, detector=detector, scan=scan) for scan in SCANS)
    np.testing.assert_array_equal(short.view_rad, full.view_rad[: short.n_views])
    half_fan = {"flat": np.arctan(16 * 9 / 900), "curved": 16 * 9 / 900, "parallel": 0.0}[detector]
    turn = np.pi + 2 * half_fan
    assert (short.n_views - 1) * short.step_rad < turn <= short.n_views * short.step_rad + 1e-9
    assert full.n_views == 400


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"views_per_turn": 18}, "n_views"),
        ({"views_per_turn": 0}, "n_views"),
        ({"source_detector_mm": 500.0}, "source_detector_mm"),
        ({"source_detector_mm": float("inf")}, "source_detector_mm"),
        ({"source_isocenter_mm": -1.0}, "source_isocenter_mm"),
        ({"source_isocenter_mm": float("nan")}, "source_isocenter_mm"),
        ({"n_bins": 1}, "bins"),
        ({"bin_mm": 0.0}, "bins"),
        ({"bin_mm": float("nan")}, "bins"),
        ({"bin_offset": 9.0}, "bin_offset"),
        ({"bin_offset": float("nan")}, "bin_offset"),
        ({"detector": "round"}, "detector.*flat, curved, parallel"),
        ({"scan": "half"}, "scan.*full, short"),
        ({"detector": "curved", "bin_mm": 60.0}, "61.*60°"),
    ],
)
def test_an_impossible_scanner_is_refused(change, named):
    with pytest.raises(UserError, match=named):
        ScanGeometry(**({**SETTINGS, "views_per_turn": 20} | change))


def test_a_parallel_beam_needs_no_source():
    assert ScanGeometry(0.0, 0.0, 33, 1.0, 20, detector="parallel").field_of_view_mm == pytest.approx(32.0)
