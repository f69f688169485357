"""Shapes: area averages against integrals in closed form and independent rasters, rims, sites and what vanishes."""

import numpy as np
import pytest
from matplotlib.path import Path as Outline
from scipy import ndimage

from taskct.errors import UserError
from taskct.tasks.shape_registry import SHAPES
from taskct.tasks.shapes import (
    N_VERTICES,
    check_visible,
    contrast_bound_hu,
    extent_mm,
    outlines_mm,
    patch_pixels,
    polygon_area,
    render,
    rim_radius_mm,
    signal_site,
)
from taskct.tasks.signals import Signals, draw_signals

SYNTHETIC = [name for name in SHAPES if name != "lidc"]


def drawn(shapes, n=12, seed=0, **ranges):
    given = {"contrast_hu": (-90.0, -40.0), "diameter_mm": (5.0, 9.0), "aspect": (0.5, 1.0), "lobe_depth": (0.2, 0.6)}
    signals = draw_signals(np.random.default_rng(seed), n, shapes=shapes, **(given | ranges))
    x, y = np.random.default_rng(seed + 1).uniform(-3, 3, (2, n))
    return Signals.from_columns(signals.columns() | {"x_mm": x, "y_mm": y})


def one(shape="disc", **columns):
    table = {"shape": SHAPES.index(shape), "diameter_mm": 6.0, "contrast_hu": 1.0} | columns
    return Signals.from_columns({name: np.array([value], dtype=float) for name, value in table.items()})


def mass(image, pixel_mm):
    return image.sum(axis=(1, 2), dtype=float) * pixel_mm**2


@pytest.mark.parametrize("shape", SYNTHETIC)
@pytest.mark.parametrize("blur", [0.0, 0.7])
def test_the_integral_is_exact_at_every_sub_pixel_place(shape, blur):
    # Partial volume: whatever the place and the pixel, area averages keep the integral, and a blur does so too.
    signals = drawn([shape], blur_mm=(blur, blur))
    area = np.pi / 4 * signals.diameter_mm**2
    factor = {"gaussian": 1 / np.log(2), "nodule": 1 / 2.5}.get(shape, 1.0)  # ∫2^(−ρ²), ∫(1−ρ²)^1.5
    # The tail beyond 4 standard deviations is e^−8 of a Gaussian's integral; outlines are exact but for float32.
    tolerance = {"gaussian": 1e-3, "nodule": 2e-3}.get(shape, 1e-5) + (1e-3 if blur else 0.0)
    for pixel_mm, n_pixels in ((0.5, 80), (1.3, 31)):
        image = render(signals, n_pixels=n_pixels, pixel_mm=pixel_mm, placed=True)
        np.testing.assert_allclose(mass(image, pixel_mm), signals.contrast_hu * area * factor, rtol=tolerance)


@pytest.mark.parametrize("shape", SYNTHETIC)
def test_a_signal_stands_at_its_place_and_a_centred_one_in_the_middle(shape):
    signals = drawn([shape], n_lobes=(4, 8))  # the centroid of a shape with more than one lobe is its centre
    axis = (np.arange(64) - 31.5) * 0.5
    for placed, x, y in ((True, signals.x_mm, signals.y_mm), (False, 0.0, 0.0)):
        image = render(signals, n_pixels=64, pixel_mm=0.5, placed=placed).astype(float)
        total = image.sum(axis=(1, 2))
        np.testing.assert_allclose(image.sum(axis=1) @ axis / total, x + np.zeros(len(signals)), atol=0.01)
        np.testing.assert_allclose(image.sum(axis=2) @ axis / total, y + np.zeros(len(signals)), atol=0.01)


@pytest.mark.parametrize("shape", ["disc", "ellipsoid", "lobulated", "spiculated"])
def test_area_averages_agree_with_point_sampling_by_matplotlib(shape):
    signals = drawn([shape], n=4)
    n_pixels, fine, pixel_mm = 14, 20, 1.0
    axis = (np.arange(n_pixels * fine) - (n_pixels * fine - 1) / 2) * pixel_mm / fine
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    image = render(signals, n_pixels=n_pixels, pixel_mm=pixel_mm, placed=True)
    for i, polygon in enumerate(outlines_mm(signals)):
        inside = Outline(polygon + np.array([signals.x_mm[i], signals.y_mm[i]])).contains_points(points)
        share = inside.reshape(n_pixels, fine, n_pixels, fine).mean(axis=(1, 3))
        # A rim of length about a pixel's side across 20 × 20 samples: half a row's worth, 1/40, at the very most.
        np.testing.assert_allclose(image[i] / signals.contrast_hu[i], share, atol=0.025)


def test_outlines_are_those_of_their_formulas():
    signals = drawn(["ellipsoid", "lobulated", "spiculated"], n=40)
    np.testing.assert_allclose(polygon_area(outlines_mm(signals)), np.pi / 4 * signals.diameter_mm**2, rtol=1e-12)

    x, y = outlines_mm(one("ellipsoid", aspect=0.4, angle_rad=0.6))[0].T
    u, v = x * np.cos(0.6) + y * np.sin(0.6), y * np.cos(0.6) - x * np.sin(0.6)
    assert u.max() == pytest.approx(3 / np.sqrt(0.4), rel=2e-4)
    assert v.max() == pytest.approx(3 * np.sqrt(0.4), rel=2e-4)

    # Area of r = R(1 + d |cos kθ/2|): πR²(1 + 4d/π + d²/2).
    x, y = outlines_mm(one("lobulated", n_lobes=5, lobe_depth=0.3, angle_rad=0.2))[0].T
    base = 3 / np.sqrt(1 + 4 * 0.3 / np.pi + 0.3**2 / 2)
    np.testing.assert_allclose(
        np.hypot(x, y), base * (1 + 0.3 * np.abs(np.cos(2.5 * (np.arctan2(y, x) - 0.2)))), rtol=5e-4
    )

    radius = np.hypot(*outlines_mm(one("spiculated", n_lobes=6, lobe_depth=0.8))[0].T)
    assert radius.max() / radius.min() == pytest.approx(1.8, rel=1e-3)
    peaks = (radius > np.roll(radius, 1)) & (radius >= np.roll(radius, -1))
    assert peaks.sum() == 6
    assert np.mean(radius > (radius.min() + radius.max()) / 2) == pytest.approx(0.215, abs=0.03)  # narrow: cos¹² > ½


def test_a_gaussian_and_a_nodule_have_their_profiles():
    pixel_mm, n_pixels = 0.1, 121
    axis = (np.arange(n_pixels) - 60) * pixel_mm
    (gaussian,) = render(one("gaussian", aspect=0.5), n_pixels=n_pixels, pixel_mm=pixel_mm)
    half_x, half_y = 3 / np.sqrt(0.5), 3 * np.sqrt(0.5)
    np.testing.assert_allclose(gaussian[60], 0.5 ** ((axis / half_x) ** 2), atol=2e-3)  # a pixel's average against
    np.testing.assert_allclose(gaussian[:, 60], 0.5 ** ((axis / half_y) ** 2), atol=2e-3)  # its middle
    (nodule,) = render(one("nodule", exponent=1.5), n_pixels=n_pixels, pixel_mm=pixel_mm)
    expected = np.maximum(1 - (axis / 3) ** 2, 0) ** 1.5
    np.testing.assert_allclose(nodule[60], expected, atol=2e-3)


def test_a_slice_averages_a_ball_along_z():
    image = render(one("sphere"), n_pixels=71, pixel_mm=0.1, slice_mm=4.0)[0].astype(float)
    radius = np.abs(np.arange(71) - 35) * 0.1
    depth = 2 * np.sqrt(np.maximum(9 - radius**2, 0))
    np.testing.assert_allclose(image[35], np.minimum(depth / 4, 1), atol=0.1)  # the rim's slope is infinite
    well_inside = radius < 2.8
    np.testing.assert_allclose(image[35][well_inside], np.minimum(depth / 4, 1)[well_inside], atol=5e-3)
    thick = render(one("sphere"), n_pixels=71, pixel_mm=0.1, slice_mm=10.0)
    assert mass(thick, 0.1)[0] == pytest.approx(np.pi / 6 * 6**3 / 10, rel=2e-3)  # volume over the slice
    np.testing.assert_array_equal(
        render(one("sphere"), n_pixels=20, pixel_mm=0.5), render(one("disc"), n_pixels=20, pixel_mm=0.5)
    )


@pytest.mark.parametrize("blur", [0.1, 0.4, 1.2])
def test_the_blur_is_a_gaussian_blur(blur):
    # Against scipy on a grid ten times as fine, where a sampled kernel is accurate.
    signals = one("ellipsoid", aspect=0.6, angle_rad=0.4, blur_mm=blur)
    sharp = render(one("ellipsoid", aspect=0.6, angle_rad=0.4), n_pixels=600, pixel_mm=0.025)[0]
    blurred = ndimage.gaussian_filter(sharp.astype(float), blur / 0.025, mode="constant")
    expected = blurred.reshape(60, 10, 60, 10).mean(axis=(1, 3))
    image = render(signals, n_pixels=60, pixel_mm=0.25)[0]
    # Below a pixel's width the variance of the blur is right, its form cannot be.
    np.testing.assert_allclose(image, expected, atol=0.08 if blur < 0.25 else 4e-3)

    def second_moment(picture):
        return picture.sum(axis=0) @ ((np.arange(60) - 29.5) * 0.25) ** 2 / picture.sum()

    unblurred = second_moment(sharp.astype(float).reshape(60, 10, 60, 10).mean(axis=(1, 3)))
    assert second_moment(image.astype(float)) - unblurred == pytest.approx(blur**2, rel=0.01)


@pytest.mark.parametrize("shape", SYNTHETIC)
def test_nothing_lies_outside_the_extent(shape):
    signals = drawn([shape], blur_mm=(0.0, 1.0))
    side = patch_pixels(signals, pixel_mm=0.4)
    image = np.abs(render(signals, n_pixels=side + 40, pixel_mm=0.4) / signals.contrast_hu[:, None, None])
    axis = (np.arange(side + 40) - (side + 39) / 2) * 0.4
    far = np.hypot(axis[:, None], axis) > extent_mm(signals)[:, None, None] + 0.4 * np.sqrt(2)
    assert image[far].max() < 1e-3
    assert image[:, 20:-20, 20:-20].max() > 0.5
    assert (rim_radius_mm(signals) <= extent_mm(signals) + 1e-12).all()


def test_a_cut_patch_is_the_middle_of_a_larger_one():
    signals = drawn(["lobulated", "gaussian"], blur_mm=(0.3, 1.0))
    whole = render(signals, n_pixels=60, pixel_mm=0.5, placed=True)
    part = render(signals, n_pixels=16, pixel_mm=0.5, placed=True)
    np.testing.assert_allclose(part, whole[:, 22:38, 22:38], atol=90 * 1e-3)


@pytest.mark.parametrize("shape", SYNTHETIC)
@pytest.mark.parametrize("pixel_mm", [0.5, 1.0])
def test_a_sites_area_is_that_of_the_rim(shape, pixel_mm):
    # Over places spread evenly the number of pixel centres inside is the area over a pixel's, exactly.
    # False-alarm rate: 5 standard errors, 6e-7.
    signals = drawn([shape], n=2000, diameter_mm=(7.0, 7.0))
    site = signal_site(signals, n_pixels=round(24 / pixel_mm), pixel_mm=pixel_mm)
    area = site.sum(axis=(1, 2)) * pixel_mm**2
    assert abs(area.mean() - np.pi * 3.5**2) < 5 * area.std() / np.sqrt(2000) + 1e-3


def test_a_site_lies_where_the_signal_is():
    # x to the right and y downwards from the region's centre, which lies between pixels here.
    (site,) = signal_site(one(x_mm=4.0, y_mm=-2.5), n_pixels=20, pixel_mm=1.0)
    rows, columns = np.nonzero(site)
    assert columns.mean() - 9.5 == pytest.approx(4.0, abs=0.3)
    assert rows.mean() - 9.5 == pytest.approx(-2.5, abs=0.3)
    assert np.hypot(columns - 9.5 - 4.0, rows - 9.5 + 2.5).max() <= 3.001


def test_a_signal_smaller_than_a_pixel_still_has_a_site():
    x, y = np.random.default_rng(2).uniform(-4, 4, (2, 200))
    signals = Signals.from_columns(
        {"diameter_mm": np.full(200, 0.2), "contrast_hu": np.ones(200), "x_mm": x, "y_mm": y}
    )
    site = signal_site(signals, n_pixels=10, pixel_mm=1.0)
    assert (site.sum(axis=(1, 2)) == 1).all()
    _, rows, columns = np.nonzero(site)
    assert max(np.abs(columns - 4.5 - x).max(), np.abs(rows - 4.5 - y).max()) <= 0.5


def test_the_bound_on_the_contrast_holds_and_is_reached():
    signals = drawn(SYNTHETIC, n=200, diameter_mm=(0.2, 3.0), blur_mm=(0.0, 0.5))
    for slice_mm in (0.0, 2.0):
        peak = np.abs(render(signals, n_pixels=9, pixel_mm=1.0, slice_mm=slice_mm, supersample=25)).max(axis=(1, 2))
        assert (peak <= 1.02 * contrast_bound_hu(signals, pixel_mm=1.0, slice_mm=slice_mm) + 0.01).all()
    small = one(diameter_mm=0.4, contrast_hu=-50.0)  # within one pixel the bound is the average itself
    assert contrast_bound_hu(small, pixel_mm=2.0)[0] == pytest.approx(50 * np.pi / 4 * 0.4**2 / 4)
    assert render(small, n_pixels=1, pixel_mm=2.0)[0, 0, 0] == pytest.approx(-50 * np.pi / 4 * 0.4**2 / 4, rel=1e-5)


@pytest.mark.parametrize(
    "columns", [{"diameter_mm": 0.15, "contrast_hu": -20.0}, {"contrast_hu": 0.0}, {"blur_mm": 40.0}]
)
def test_a_contrast_that_vanishes_is_refused_in_one_line(columns):
    with pytest.raises(UserError, match=r"vanish at pixels of 0\.7 mm.*keeps at most.*HU") as raised:
        check_visible(one(**columns), pixel_mm=0.7)
    assert "\n" not in str(raised.value)


def test_a_range_of_contrasts_may_pass_through_zero():
    check_visible(drawn(["disc"], n=2000, contrast_hu=(-30.0, 30.0)), pixel_mm=0.7)
    check_visible(one(diameter_mm=0.4, contrast_hu=800.0), pixel_mm=0.7)


def test_a_missing_outline_is_refused_and_a_given_one_is_drawn():
    signals = one("lidc", outline=5)
    with pytest.raises(ValueError, match="5"):
        render(signals, n_pixels=9, pixel_mm=1.0)
    theta = np.arange(N_VERTICES) * 2 * np.pi / N_VERTICES
    circle = {5: 0.5 * np.stack([np.cos(theta), np.sin(theta)], axis=-1)}
    np.testing.assert_allclose(
        render(signals, n_pixels=9, pixel_mm=1.0, lidc=circle), render(one(), n_pixels=9, pixel_mm=1.0), atol=1e-6
    )
