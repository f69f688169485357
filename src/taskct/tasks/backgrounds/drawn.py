"""What a background gives: objects in HU on a grid, exact ellipses to add to them, and where a lesion may lie."""

from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

AIR_HU = -1000.0


@dataclass(frozen=True)
class Ellipses:
    """Ellipses that add to what is there; every array is `(n, n_ellipses)`.

    Attenuation is linear in HU, so an ellipse adds `add_hu` / 1000 · µ(water) times its chord to a line integral,
    exactly. An organ within a body adds the organ's HU less the body's; a body in air adds 1000 more than its HU.
    """

    x_mm: NDArray[np.float32]
    y_mm: NDArray[np.float32]
    """Centre to the right of the isocentre and below it, mm."""
    half_x_mm: NDArray[np.float32]
    half_y_mm: NDArray[np.float32]
    """Semi-axes along x and along y before the turn, mm, above 0."""
    angle_rad: NDArray[np.float32]
    """Turn from +x towards +y (clockwise on the screen), radians."""
    add_hu: NDArray[np.float32]
    """Added to what is there, HU; 0 for an ellipse that an object lacks."""

    def raster(self, *, n_pixels: int, pixel_mm: float) -> NDArray[np.float32]:
        """Sum of the ellipses on a grid, HU, `(n, n_pixels, n_pixels)`, about averaged over the pixels."""
        image = np.zeros((len(self.add_hu), n_pixels, n_pixels), dtype=np.float32)
        for i in range(self.add_hu.shape[1]):
            image += self.add_hu[:, i, None, None] * self.coverage(i, n_pixels=n_pixels, pixel_mm=pixel_mm)
        return image

    def coverage(self, i: int, *, n_pixels: int, pixel_mm: float) -> NDArray[np.float32]:
        """Share in [0, 1] of every pixel that ellipse `i` covers, `(n, n_pixels, n_pixels)`, about its area."""
        axis = pixel_axis(n_pixels, pixel_mm)
        return soft_ellipse(
            (axis[None, :], axis[:, None]),
            x_mm=self.x_mm[:, i],
            y_mm=self.y_mm[:, i],
            half_x_mm=self.half_x_mm[:, i],
            half_y_mm=self.half_y_mm[:, i],
            angle_rad=self.angle_rad[:, i],
            edge_mm=pixel_mm,
        )


@dataclass(frozen=True)
class Drawn:
    """Objects without a signal."""

    image_hu: NDArray[np.float32]
    """The part on the grid, `(n, n_pixels, n_pixels)`, HU."""
    case: NDArray[np.int64]
    """Which slice, patient or phantom each came from, `(n,)`; unique within a study."""
    organ: NDArray[np.bool_] | None = None
    """Where a lesion may lie, `(n, n_pixels, n_pixels)`; None: anywhere."""
    ellipses: Ellipses | None = None
    """Exact parts to be added to `image_hu` when the object is projected; None: there are none."""
    noisy_hu: NDArray[np.float32] | None = None
    """Paired series: the low-dose image of the same slice, `(n, n_pixels, n_pixels)`, HU."""

    def total_hu(self, pixel_mm: float) -> NDArray[np.float32]:
        """`image_hu` with the ellipses drawn into it, HU, `(n, n_pixels, n_pixels)`: for display and for places."""
        if self.ellipses is None:
            return self.image_hu
        return self.image_hu + self.ellipses.raster(n_pixels=self.image_hu.shape[-1], pixel_mm=pixel_mm)

    def replaced(self, where: NDArray[np.int64], others: "Drawn") -> "Drawn":
        """Give the same objects, but for those at `where`, which are exchanged for `others` of the same background."""
        ellipses = self.ellipses
        if ellipses is not None and others.ellipses is not None:
            ellipses = Ellipses(**_exchanged(ellipses, others.ellipses, where))
        arrays = _exchanged(replace(self, ellipses=None), replace(others, ellipses=None), where)
        return Drawn(**{**arrays, "ellipses": ellipses})


def _exchanged(old: Any, new: Any, where: NDArray[np.int64]) -> dict[str, Any]:  # noqa: ANN401 - any dataclass of arrays
    """Columns of `old` with the rows at `where` from `new`; None where there is no such column."""
    columns = {}
    for field in fields(old):
        column = getattr(old, field.name)
        if column is not None:
            column = column.copy()
            column[where] = getattr(new, field.name)
        columns[field.name] = column
    return columns


class Background(Protocol):
    """A distribution of objects. It keeps no state: what it draws depends on its arguments only."""

    def draw(self, rng: np.random.Generator, index: NDArray[np.int64]) -> Drawn:
        """Draw the objects of these numbers, counted from 0 within a split, independently of each other."""
        ...


def pixel_axis(n_pixels: int, pixel_mm: float) -> NDArray[np.float32]:
    """Centres of the pixels along a side of a grid about the isocentre, mm, `(n_pixels,)`."""
    return np.asarray((np.arange(n_pixels) - (n_pixels - 1) / 2.0) * pixel_mm, dtype=np.float32)


def soft_ellipse(
    grid: tuple[NDArray[np.float32], NDArray[np.float32]],
    *,
    x_mm: NDArray[np.floating],
    y_mm: NDArray[np.floating],
    half_x_mm: NDArray[np.floating],
    half_y_mm: NDArray[np.floating],
    edge_mm: float,
    angle_rad: NDArray[np.floating] | float = 0.0,
) -> NDArray[np.float32]:
    """Coverage in [0, 1], `(n, height, width)`, of ellipses whose rim falls off linearly.

    The grid is x of the columns, `(1, width)`, and y of the rows, `(height, 1)`, mm; lengths are in mm and turns from
    +x towards +y in radians, shape `(n,)`. `edge_mm` is the width of the rim along the shorter axis, wider in
    proportion along the longer one; at least a pixel avoids jagged edges in the projections. An ellipse thinner than
    its rim never reaches 1.
    """
    x, y, a, b = (np.asarray(v, dtype=np.float32)[:, None] for v in (x_mm, y_mm, half_x_mm, half_y_mm))
    turn = np.broadcast_to(np.asarray(angle_rad, dtype=np.float32), x.shape[:1])[:, None]
    cos, sin = np.cos(turn), np.sin(turn)
    dx, dy = grid[0].reshape(1, -1) - x, grid[1].reshape(1, -1) - y
    # The squared radius is a quadratic form in (dx, dy): a sum of three products of a row's and a column's number.
    xx, yy = cos**2 / a**2 + sin**2 / b**2, sin**2 / a**2 + cos**2 / b**2
    xy = 2.0 * cos * sin * (1.0 / a**2 - 1.0 / b**2)
    rows = np.stack([np.ones_like(dy), xy * dy, yy * dy**2], axis=2)
    columns = np.stack([xx * dx**2, dx, np.ones_like(dx)], axis=1)
    cover: NDArray[np.float32] = rows @ columns
    np.maximum(cover, 0.0, out=cover)  # rounding may leave the middle just below 0
    np.sqrt(cover, out=cover)
    slope = (np.minimum(a, b) / np.float32(edge_mm))[:, :, None]
    cover *= -slope
    cover += slope + np.float32(0.5)
    return np.clip(cover, 0.0, 1.0, out=cover)
