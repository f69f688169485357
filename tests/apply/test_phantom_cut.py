"""Regions with and without the rods: where they lie, what is in them, and whose they are."""

import warnings

import numpy as np
import pytest

from phantom_scans import phantom_scan, ramp_noise
from taskct.apply.phantom import LAYOUTS, CrowdedRodsWarning, PhantomLayout, Rod, find_layout, find_phantom, rod_trials
from taskct.errors import UserError

CCT189 = find_layout("cct189")
PLACE = {"pixel_mm": 1.0, "side": 220, "centre_px": (111.3, 108.8)}


def found_in(layout, roll_deg):
    """A phantom found at a turn that is known, and its scan without noise and without a cylinder."""
    scan = phantom_scan(layout, roll_deg=roll_deg, body_hu=layout.body_hu, **PLACE)
    return scan, find_phantom(scan, layout, pixel_mm=1.0, roll_deg=roll_deg)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("roll_deg", [0.0, 17.0, -141.0])
def test_every_region_holds_its_rod_alone_and_the_others_hold_none(name, roll_deg) -> None:
    """What lies in a region adds up to its own rod: contrast times area."""
    layout = find_layout(name)
    place = {"pixel_mm": 0.5, "side": 430, "centre_px": (211.3, 218.8)}
    scan = phantom_scan(layout, roll_deg=roll_deg, **place)
    found = find_phantom(scan, layout, pixel_mm=0.5, roll_deg=roll_deg)
    uniform = phantom_scan(layout, rods=False, **place)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CrowdedRodsWarning)
        cut = rod_trials(scan[None], uniform[None], layout, pixel_mm=0.5, found=found)
    left_out = [rod.name for rod in layout.rods if rod not in {one.rod for one in cut}]
    assert len(left_out) <= 6
    assert bool(left_out) == bool(caught)
    assert all(name in str(caught[0].message) for name in left_out)
    for trials in cut:
        with_rod, without = trials.images
        area = np.pi * trials.rod.diameter_mm**2 / 4.0
        assert with_rod.sum() * 0.25 == pytest.approx(trials.rod.contrast_hu * area, rel=0.04)
        np.testing.assert_allclose(without, 0.0, atol=1e-6)


@pytest.mark.parametrize("roll_deg", [0.0, 45.0, 100.0])
def test_without_uniform_scans_the_regions_come_from_as_far_from_the_axis(roll_deg) -> None:
    scan, found = found_in(CCT189, roll_deg)
    for trials in rod_trials(np.stack([scan, scan]), None, CCT189, pixel_mm=1.0, found=found):
        assert trials.signal_present.tolist() == [True, True, False, False]
        assert trials.cases.tolist() == [0, 1, 0, 1]
        np.testing.assert_allclose(trials.images[2:], 0.0, atol=1e-6)
        away = np.hypot(*(trials.centres_px - found.centre_px).T)
        np.testing.assert_allclose(away, 40.0, atol=0.05)


def test_a_mirrored_place_comes_first() -> None:
    """One rod off the axes of the image: its point mirror about the phantom's axis is free."""
    one = PhantomLayout("one", 200.0, (Rod("one", 10.0, 20.0, 40.0, 30.0),))
    scan, found = found_in(one, 0.0)
    (trials,) = rod_trials(scan[None], None, one, pixel_mm=1.0, found=found)
    assert trials.turn_deg == 180.0


def test_scans_with_and_without_rods_are_cases_of_their_own() -> None:
    scan, found = found_in(CCT189, 0.0)
    uniform = phantom_scan(CCT189, rods=False, **PLACE)
    present, absent = np.stack([scan] * 3), np.stack([uniform] * 2)
    for trials in rod_trials(present, absent, CCT189, pixel_mm=1.0, found=found):
        assert trials.cases.tolist() == [0, 1, 2, 3, 4]
        assert trials.signal_present.tolist() == [True, True, True, False, False]
        assert trials.turn_deg == 0.0
        np.testing.assert_allclose(trials.centres_px[0], trials.centres_px[-1], atol=0.02)


def test_slices_of_one_scan_are_one_case() -> None:
    scan, found = found_in(CCT189, 0.0)
    slices = np.stack([scan] * 4)
    (*_, trials) = rod_trials(slices, None, CCT189, pixel_mm=1.0, found=found, scans=np.array([7, 7, 9, 9]))
    assert trials.cases.tolist() == [7, 7, 9, 9, 7, 7, 9, 9]
    with pytest.raises(UserError, match="scans names 3 images; give the scan of every image"):
        rod_trials(slices, None, CCT189, pixel_mm=1.0, found=found, scans=np.array([7, 7, 9]))


def test_the_noise_is_as_it_was() -> None:
    """Regions are cut on whole pixels: they hold the image's own values, none between them."""
    scan, found = found_in(CCT189, 0.0)
    noisy = (scan + ramp_noise(np.random.default_rng(3), 2, 220, 20.0)).astype(np.float32)
    values = set(noisy[0].ravel().tolist())
    for trials in rod_trials(noisy, None, CCT189, pixel_mm=1.0, found=found):
        assert trials.images.dtype == np.float32
        assert set(trials.images[0].ravel().tolist()) <= values
        offset = trials.centres_px - np.floor(trials.centres_px + 0.5)
        assert np.abs(offset).max() <= 0.5


@pytest.mark.parametrize(
    ("window_mm", "words"),
    [
        (7.0, "7 mm is too small for rod '7 mm, 5 HU' at 1 mm a pixel: give a window_mm of at least 8 mm"),
        (90.0, "would hold part of another rod or the rim: give a window_mm of at most 8"),
        (0.5, "window_mm is 0.5; it must be 1 to 400 mm"),
        (float("nan"), "window_mm is nan"),
    ],
)
def test_a_side_that_does_not_do_is_refused(window_mm, words) -> None:
    scan, found = found_in(CCT189, 0.0)
    with pytest.raises(UserError, match=words):
        rod_trials(scan[None], None, CCT189, pixel_mm=1.0, found=found, window_mm=window_mm)


def test_a_given_side_is_kept_to_the_pixel() -> None:
    scan, found = found_in(CCT189, 0.0)
    sides = {
        trials.images.shape[1]
        for trials in rod_trials(scan[None], None, CCT189, pixel_mm=1.0, found=found, window_mm=21.0)
    }
    assert sides == {21}


def test_places_that_are_not_there_are_refused() -> None:
    ring = PhantomLayout("ring", 200.0, tuple(Rod(f"{k}", 12.0, 5.0 + k, 40.0, 30.0 * k) for k in range(12)))
    scan, found = found_in(ring, 0.0)
    with pytest.raises(UserError, match="no place at 40 mm from the axis is without a rod"):
        rod_trials(scan[None], None, ring, pixel_mm=1.0, found=found)
    middle = PhantomLayout("middle", 200.0, (Rod("middle", 10.0, 5.0, 0.0, 0.0),))
    scan, found = found_in(middle, 0.0)
    with pytest.raises(UserError, match="stands on the axis"):
        rod_trials(scan[None], None, middle, pixel_mm=1.0, found=found)
    outer = PhantomLayout("outer", 200.0, (Rod("far", 8.0, 5.0, 85.0, 180.0),))
    cut_off = phantom_scan(outer, pixel_mm=1.25, side=180, centre_px=(90.0, 66.0))
    found = find_phantom(cut_off, outer, pixel_mm=1.25, roll_deg=0.0)
    assert found.centre_px == pytest.approx((90.0, 66.0), abs=0.05)
    with pytest.raises(UserError, match="about rod 'far' sticks out of image 1"):
        rod_trials(cut_off[None], None, outer, pixel_mm=1.25, found=found)
