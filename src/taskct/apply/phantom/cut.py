"""Regions with and without a signal from scans of a phantom, cut on whole pixels so that the noise stays as it is."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.apply.phantom.find import FoundPhantom, find_axes, find_phantom
from taskct.errors import UserError
from taskct.ranges import Range
from taskct.tasks.layouts import PhantomLayout, Rod

Array = NDArray[np.float64]
Sites = tuple[Array, Array]

WINDOW = Range(1.0, 400.0, unit="mm", meaning="the side of a region")
USUAL_DIAMETERS, LEAST_PIXELS = 3.0, 15
"""Side of a region that is not given: this many diameters of its rod, and no fewer pixels, where there is room."""
RIM_PX = 1.0  # kept between a region and another rod, whose rim is blurred
TURNS = tuple(range(1, 360))  # degrees from a rod at which a place without signal is looked for


class CrowdedRodsWarning(UserWarning):
    """Rods are left out since their neighbours leave no room for a region of their own."""


@dataclass(frozen=True)
class RodTrials:
    """Regions with and without one rod."""

    rod: Rod
    images: NDArray[np.float32]
    """HU as given, `(m, side, side)`, the rod's middle within half a pixel of the middle one."""
    signal_present: NDArray[np.bool_]
    """Whether the rod is in it, `(m,)`."""
    cases: NDArray[np.int64]
    """The scan that each was cut from, `(m,)`: regions of one case are not independent."""
    pixel_mm: float
    centres_px: Array
    """Middles of the regions in their images, row and column, `(m, 2)`, as they were found (not rounded)."""
    turn_deg: float
    """Turn about the axis from the rod to where the regions without it are cut; 0 where the scans have no rods."""


def rod_trials(
    present: NDArray[np.floating],
    absent: NDArray[np.floating] | None,
    layout: PhantomLayout,
    *,
    pixel_mm: float,
    window_mm: float | None = None,
    found: FoundPhantom | None = None,
    scans: NDArray[np.integer] | None = None,
) -> list[RodTrials]:
    """Cut regions with and without every rod of a layout, at one distance from the axis, where the noise is alike.

    Parameters
    ----------
    present
        Scans, or slices of scans, with the rods, HU, `(n, height, width)`.
    absent
        Scans of the phantom's uniform module, likewise; the regions without a rod are cut at the rod's place. None:
        they are cut from the same scans, at a turn about the axis where no rod is; mirror images of the rod's place
        come first, then the turn that stays furthest from all rods.
    layout, pixel_mm
        The phantom and the pixel pitch, mm.
    window_mm
        Side of the regions, 1 to 400 mm; None: three diameters of the rod, at least 15 pixels, less where another rod
        would reach into it.
    found
        The phantom as it was found, for its roll; None: it is found in `present`. What was found in scans of a higher
        dose does as well: the centres, which any dose shows, are found in these images anyhow.
    scans
        The scan that each image of `present` (and, after them, of `absent`) is a slice of; None: each image is one.

    Returns
    -------
    One entry a rod, in the layout's order, without those whose neighbours leave no room for a region as wide as the
    rod; a `CrowdedRodsWarning` names them.

    Raises
    ------
    UserError
        If the phantom is not found, a region does not fit the image, there is no place without a rod, or another rod
        reaches into a region of the side that is given.

    Examples
    --------
    >>> from taskct.tasks.backgrounds.phantom import Phantom
    >>> from taskct.tasks.layout_file import find_layout
    >>> twin = Phantom(n_pixels=256, pixel_mm=1.0, layout="cct189", rods=True)
    >>> scans = twin.draw(np.random.default_rng(0), np.arange(2)).total_hu(1.0)
    >>> largest = rod_trials(scans, None, find_layout("cct189"), pixel_mm=1.0)[-1]
    >>> largest.rod.name, largest.images.shape, largest.cases.tolist(), largest.turn_deg
    ('10 mm, 3 HU', (4, 29, 29), [0, 1, 0, 1], 226.0)
    """
    if window_mm is not None:
        WINDOW.check("window_mm", window_mm)
    if found is None:
        found = find_phantom(present, layout, pixel_mm=pixel_mm)
    here = find_axes(present, layout, pixel_mm=pixel_mm).centres_px
    empty = present if absent is None else absent
    there = here if absent is None else find_axes(absent, layout, pixel_mm=pixel_mm).centres_px
    cases = np.arange(len(present) + (0 if absent is None else len(absent))) if scans is None else np.asarray(scans)
    if cases.shape != (len(present) + (0 if absent is None else len(absent)),):
        raise UserError(
            f"scans names {len(cases)} images; give the scan of every image, first with and then without rods"
        )
    x, y = layout.sites_mm(found.roll_deg)
    trials, crowded = [], []
    for i, rod in enumerate(layout.rods):
        half = _half_px(layout, i, (x, y), pixel_mm, window_mm)
        if half < 1:
            crowded.append(rod.name)
            continue
        turn = 0.0 if absent is not None else _free_turn(layout, i, (x, y), half * pixel_mm, pixel_mm)
        with_rod = here + np.array([y[i], x[i]]) / pixel_mm
        x0, y0 = _turned(float(x[i]), float(y[i]), turn)
        without = there + np.array([y0, x0]) / pixel_mm
        images = np.concatenate([_cut(present, with_rod, half, rod), _cut(empty, without, half, rod)])
        trials.append(
            RodTrials(
                rod=rod,
                images=images,
                signal_present=np.arange(len(images)) < len(present),
                cases=np.concatenate(
                    [cases[: len(present)], cases[: len(present)] if absent is None else cases[len(present) :]]
                ),
                pixel_mm=pixel_mm,
                centres_px=np.concatenate([with_rod, without]),
                turn_deg=turn,
            )
        )
    if not trials:
        raise UserError(
            f"no rod of layout {layout.name} has room for a region at {pixel_mm:g} mm a pixel: give smaller pixels"
        )
    if crowded:
        warnings.warn(
            f"rods without room for a region among their neighbours are left out: {', '.join(crowded)}",
            CrowdedRodsWarning,
            stacklevel=2,
        )
    return trials


def _half_px(layout: PhantomLayout, i: int, sites: Sites, pixel_mm: float, window_mm: float | None) -> int:
    """Pixels of a region on either side of its middle one; below 1 where another rod leaves no room for it."""
    rod, room = layout.rods[i], _room_px(layout, i, sites, pixel_mm)
    if window_mm is not None:
        half = int(np.floor((window_mm / pixel_mm - 1.0) / 2.0 + 1e-9))
        if half * pixel_mm < rod.diameter_mm / 2.0:
            raise UserError(
                f"a region of {window_mm:g} mm is too small for rod {rod.name!r} at {pixel_mm:g} mm a pixel: give a "
                f"window_mm of at least {rod.diameter_mm + pixel_mm:.3g} mm"
            )
        if half > room:
            raise UserError(
                f"a region of {window_mm:g} mm about rod {rod.name!r} would hold part of another rod or the rim: give "
                f"a window_mm of at most {(2 * room + 1) * pixel_mm:.3g} mm"
            )
        return half
    wanted = max(USUAL_DIAMETERS * rod.diameter_mm / pixel_mm, LEAST_PIXELS)
    half = min(round((wanted - 1.0) / 2.0), room)
    return half if half * pixel_mm >= rod.diameter_mm / 2.0 else 0


def _room_px(layout: PhantomLayout, i: int, sites: Sites, pixel_mm: float) -> int:
    """Half side, pixels, of the largest square about a rod that no other rod, nor the cylinder's rim, reaches into."""
    dx, dy = np.abs(sites[0] - sites[0][i]), np.abs(sites[1] - sites[1][i])
    radii = np.array([rod.diameter_mm / 2.0 for rod in layout.rods])
    others = np.arange(len(radii)) != i
    half = 0
    while True:
        side = (half + 1.5) * pixel_mm
        gap = np.hypot(np.maximum(dx - side, 0.0), np.maximum(dy - side, 0.0)) - radii
        corner = np.hypot(abs(sites[0][i]) + side, abs(sites[1][i]) + side)
        if corner > layout.diameter_mm / 2.0 or (gap[others] < RIM_PX * pixel_mm).any():
            return half
        half += 1


def _free_turn(layout: PhantomLayout, i: int, sites: Sites, half_mm: float, pixel_mm: float) -> float:
    """The turn about the axis, degrees, at which a region like that of a rod holds no rod."""
    rod = layout.rods[i]
    x, y = float(sites[0][i]), float(sites[1][i])
    if rod.radius_mm <= 0:
        raise UserError(
            f"rod {rod.name!r} stands on the axis, where no other place has the same noise: give scans without rods"
        )
    angle = float(np.degrees(np.arctan2(y, x)))
    mirrored = [180.0, -2.0 * angle, 180.0 - 2.0 * angle]
    gaps = {turn: _gap(layout, sites, _turned(x, y, turn), half_mm) for turn in (*mirrored, *map(float, TURNS))}
    margin = RIM_PX * pixel_mm
    own = np.degrees(2.0 * half_mm / rod.radius_mm)  # a place that overlaps the rod's own region is no other place
    for turn in mirrored:
        if gaps[turn] >= margin and abs((turn + 180.0) % 360.0 - 180.0) > own:
            return turn % 360.0
    turns = [turn for turn in map(float, TURNS) if gaps[turn] >= margin]
    if not turns:
        raise UserError(
            f"no place at {rod.radius_mm:g} mm from the axis is without a rod for a region of {2.0 * half_mm:.3g} mm "
            f"(rod {rod.name!r}): give a smaller window_mm, or scans without rods"
        )
    # Of the places furthest from all rods, the first: those of one gap are told apart by rounding otherwise.
    return max(turns, key=lambda turn: (round(gaps[turn], 3), -turn))


def _gap(layout: PhantomLayout, sites: Sites, at: tuple[float, float], half_mm: float) -> float:
    """Distance of a square about a place from the nearest rod's rim, mm; below 0 where one reaches into it."""
    dx = np.maximum(np.abs(sites[0] - at[0]) - half_mm, 0.0)
    dy = np.maximum(np.abs(sites[1] - at[1]) - half_mm, 0.0)
    return float((np.hypot(dx, dy) - np.array([rod.diameter_mm / 2.0 for rod in layout.rods])).min())


def _turned(x: float, y: float, degrees: float) -> tuple[float, float]:
    angle = np.radians(degrees)
    return float(x * np.cos(angle) - y * np.sin(angle)), float(x * np.sin(angle) + y * np.cos(angle))


def _cut(images: NDArray[np.floating], centres_px: Array, half: int, rod: Rod) -> NDArray[np.float32]:
    """Squares of whole pixels about the pixels nearest to some places, one an image."""
    height, width = images.shape[1:]
    cut = np.empty((len(images), 2 * half + 1, 2 * half + 1), dtype=np.float32)
    for i, (row, column) in enumerate(np.floor(centres_px + 0.5).astype(int)):
        if min(row, column) < half or row + half >= height or column + half >= width:
            raise UserError(
                f"a region of {2 * half + 1} pixels about rod {rod.name!r} sticks out of image {i + 1}: give a smaller "
                "window_mm, or images that show the whole phantom"
            )
        cut[i] = images[i, row - half : row + half + 1, column - half : column + half + 1]
    return cut
