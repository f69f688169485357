"""The rim of a phantom's cylinder in one image: its centre and radius to a part of a pixel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from taskct.errors import UserError

Array = NDArray[np.float64]

N_RAYS, STEP_PX = 360, 0.25
SMOOTHING_PX = 1.0  # of the image along which a rim is sought; it moves a rim of radius R by about 1 / (2 R) pixels
LEAST_STEP_HU = 300.0  # from air to the cylinder; water has 1000
NEAR = 0.08  # how far from the cylinder's rim a ray's may lie to be looked at, as a share of the radius
LEAST_RIM = 0.6  # share of the rays that must end on one circle
WIDEST_MISFIT = 0.04  # of the radius, relative to the layout's
NOTED_MISFIT = 0.015  # likewise, from which it is noted
SCATTER = 4.0  # median absolute deviations from the circle within which a ray's end counts


@dataclass(frozen=True)
class Cylinder:
    """A circle in an image, pixels."""

    row: float
    column: float
    """Its centre; whole numbers are the middles of pixels, counted from 0."""
    radius: float
    scatter: float
    """Root mean square distance of the rim, as seen along the rays, from the circle."""
    share: float
    """Of the rays that end on the circle."""


def find_cylinder(image: NDArray[np.floating], *, radius_px: float, name: str = "the image") -> Cylinder:
    """Find a cylinder of about this radius that stands in air, whatever the HU offset.

    The rim is where rays from the centre fall to half of the step from the cylinder's level to that around it. The
    circle is a least-squares fit to them without those that end elsewhere, as on a table.

    Parameters
    ----------
    image
        One slice, HU or HU with an offset, `(height, width)`.
    radius_px
        The radius that the layout says, pixels; it may be wrong by 4 %.
    name
        What messages call the image.

    Raises
    ------
    UserError
        If no such cylinder is there, it is cut off by the image's edge, or it has another size.

    Examples
    --------
    >>> y, x = np.mgrid[:80, :80]
    >>> disc = -1000.0 * np.clip(np.hypot(y - 40.3, x - 38.5) - 25.0 + 0.5, 0, 1)
    >>> found = find_cylinder(disc, radius_px=25.0)
    >>> round(found.row, 1), round(found.column, 1), round(found.radius, 1)
    (40.3, 38.5, 25.0)
    """
    if image.ndim != 2 or min(image.shape) < 16 or not np.isfinite(image).all():
        raise UserError(f"{name}: give a slice of finite numbers of at least 16 × 16 pixels, not {image.shape}")
    smooth = ndimage.gaussian_filter(np.asarray(image, dtype=np.float64), SMOOTHING_PX)
    # Some scanners fill what lies outside their field of view with values far below air.
    high = float(np.percentile(smooth, 99.0))
    smooth = np.maximum(smooth, high - 1200.0)
    row, column = _middle(smooth, high, name)
    circle = _first_circle(smooth, row, column, name, radius_px)
    for _ in range(3):
        circle = _fit(*_ends(smooth, circle))
    misfit = circle.radius / radius_px - 1.0
    if circle.share < LEAST_RIM:
        raise UserError(
            f"{name}: only {circle.share:.0%} of the rim of a cylinder of radius {radius_px:.1f} pixels is seen "
            f"({LEAST_RIM:.0%} are needed): the phantom is cut off, stands in something else, or is another one"
        )
    if abs(misfit) > WIDEST_MISFIT:
        raise UserError(
            f"{name}: the cylinder has a radius of {circle.radius:.1f} pixels, where the layout has {radius_px:.1f} "
            f"({misfit:+.1%}; ±{WIDEST_MISFIT:.0%} are allowed): mend the pixel size or choose another layout"
        )
    return circle


def _middle(smooth: Array, high: float, name: str) -> tuple[float, float]:
    """The middle of the largest thing that is not air, row and column."""
    labels, n = ndimage.label(smooth > high - 500.0)
    sizes = np.bincount(labels.ravel())[1:]
    if n == 0 or sizes.max() > 0.98 * smooth.size:
        raise UserError(
            f"{name}: no cylinder that stands in air: give a slice in HU that shows the whole phantom and air around it"
        )
    row, column = ndimage.center_of_mass(ndimage.binary_fill_holes(labels == int(sizes.argmax()) + 1))
    return float(row), float(column)


def _first_circle(smooth: Array, row: float, column: float, name: str, expected_px: float) -> Cylinder:
    """A first guess: the median distance, along rays from the middle, at which the image first falls by half."""
    reach = int(np.hypot(*smooth.shape) / STEP_PX)
    profiles = _profiles(smooth, row, column, np.linspace(0.0, (reach - 1) * STEP_PX, reach))
    inside = float(np.median(profiles[:, : max(4, int(0.3 * expected_px / STEP_PX))]))
    low = profiles < inside - LEAST_STEP_HU
    seen = low.any(axis=1)
    if seen.mean() < LEAST_RIM:
        raise UserError(
            f"{name}: no cylinder in air: only {seen.mean():.0%} of the rays from the middle of what is there reach "
            f"air; give a slice in HU with the whole phantom (radius {expected_px:.0f} pixels) in it"
        )
    return Cylinder(row, column, float(np.median(low[seen].argmax(axis=1))) * STEP_PX, 0.0, 1.0)


def _profiles(smooth: Array, row: float, column: float, distances: Array) -> Array:
    """The image along rays, `(N_RAYS, n)`; far below everything outside of it."""
    angle = np.arange(N_RAYS)[:, None] * (2.0 * np.pi / N_RAYS)
    at = np.stack([row + distances * np.sin(angle), column + distances * np.cos(angle)])
    along: Array = ndimage.map_coordinates(smooth, at, order=1, mode="constant", cval=np.nan)
    return along


def _ends(smooth: Array, circle: Cylinder) -> tuple[Array, Array]:
    """Where the rays from a circle's centre cross the rim near it, rows and columns."""
    width = max(NEAR * circle.radius, 4.0)
    distances = np.arange(circle.radius - width, circle.radius + width, STEP_PX)
    profiles = _profiles(smooth, circle.row, circle.column, distances)
    quarter = max(2, len(distances) // 4)
    with np.errstate(invalid="ignore"):
        # NaN where the ray leaves the image.
        inside, outside = profiles[:, :quarter].mean(axis=1), profiles[:, -quarter:].mean(axis=1)
        whole = inside[~np.isnan(inside)]
        step = (float(np.median(whole)) if len(whole) else 0.0) - outside
        level = (outside + 0.5 * step)[:, None]
        falls = (profiles[:, :-1] >= level) & (profiles[:, 1:] < level)
        # A ray that leaves the image, or that meets something outside the cylinder, says nothing.
        good = falls.any(axis=1) & (step >= LEAST_STEP_HU)
    first = falls.argmax(axis=1)
    index = np.arange(N_RAYS)
    above, below = profiles[index, first], profiles[index, first + 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        part = (above - level[:, 0]) / (above - below)
    distance = distances[first] + STEP_PX * part
    angle = index * (2.0 * np.pi / N_RAYS)
    rows, columns = circle.row + distance * np.sin(angle), circle.column + distance * np.cos(angle)
    return rows[good], columns[good]


def _fit(rows: Array, columns: Array) -> Cylinder:
    """The circle through points, by least squares on the distance, without those far from it."""
    used = np.ones(len(rows), dtype=bool)
    row = column = radius = scatter = 0.0
    for _ in range(8):
        if used.sum() < 8:
            return Cylinder(0.0, 0.0, 1.0, np.inf, 0.0)  # none
        # The algebraic fit of Kasa (1976), and one step of Gauss and Newton on the distances from it.
        design = np.stack([rows[used], columns[used], np.ones(used.sum())], axis=1)
        a, b, c = np.linalg.lstsq(design, rows[used] ** 2 + columns[used] ** 2, rcond=None)[0]
        row, column = a / 2.0, b / 2.0
        radius = float(np.sqrt(c + row**2 + column**2))
        away = np.hypot(rows[used] - row, columns[used] - column)
        slope = np.stack([(row - rows[used]) / away, (column - columns[used]) / away, -np.ones(used.sum())], axis=1)
        change = np.linalg.lstsq(slope, radius - away, rcond=None)[0]
        row, column, radius = row + change[0], column + change[1], radius + change[2]
        distance = np.hypot(rows - row, columns - column) - radius
        scatter = float(np.sqrt(np.mean(distance[used] ** 2)))
        limit = max(SCATTER * 1.4826 * float(np.median(np.abs(distance[used]))), 0.25)
        again = np.abs(distance) <= limit
        if (again == used).all():
            break
        used = again
    return Cylinder(float(row), float(column), float(radius), scatter, float(used.sum()) / N_RAYS)
