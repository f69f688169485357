"""Which way images lie in the patient, where a header of MetaImage, NRRD or NIfTI tells it.

Rows go to the back and columns to the left of the patient, as slices of DICOM are shown. So images of one scan are
alike whatever format keeps them. The order of the images is that of the file.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError

_SQUARE = 1e-3  # sides of a pixel that differ by less, relative, are equal
_UPRIGHT = 0.01  # largest part of a direction, off its axis, of axes that are turned
MAX_MM = 100.0
"""Of the side of a pixel."""


@dataclass(frozen=True)
class Grid:
    """Of the images in a file, as far as its header tells."""

    sides_mm: tuple[float, float] | None
    """Of a pixel along the first and the second axis of the file (columns, rows), mm."""
    directions: NDArray[np.float64] | None
    """Unit vectors of these two axes: to the left, to the back, to the head; shape `(2, 3)`."""

    @classmethod
    def of(cls, sides_mm: Any, directions: NDArray[np.float64] | None, name: str) -> "Grid":  # noqa: ANN401 - numbers
        """A grid from the sides of a voxel and a matrix whose rows are directions, of two dimensions or three.

        Raises
        ------
        UserError
            If sides or directions are no such numbers; sides are above 0 and at most 100 mm.
        """
        sides = None
        if sides_mm is not None:
            sides = tuple(abs(float(side)) for side in sides_mm)[:2]
            if len(sides) != 2 or not all(0.0 < side <= MAX_MM for side in sides):
                raise UserError(f"{name}: its pixel size is none; it must be above 0 and at most {MAX_MM:g} mm")
        axes = None
        if directions is not None:
            size = np.linalg.norm(directions, axis=1)
            if not np.isfinite(directions).all() or not (size[:2] > 0.0).all():
                raise UserError(f"{name}: its axes have no direction; mend its header")
            axes = np.zeros((2, 3))
            axes[:, : min(directions.shape[1], 3)] = (directions[:2] / size[:2, None])[:, :3]
        return cls((sides[0], sides[1]) if sides else None, axes)


def upright(images: NDArray[np.float32], grid: Grid) -> tuple[NDArray[np.float32], float | None]:
    """Images, `(n, height, width)`, turned so that rows go to the back and columns to the left; and their pixel size.

    Axes of the file that lie otherwise (a coronal stack, an oblique one) stay as they are. The size, mm, is None where
    it is not told or pixels are not square.

    Examples
    --------
    >>> images = np.arange(4.0, dtype=np.float32).reshape(1, 2, 2)
    >>> to_the_front = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    >>> upright(images, Grid((0.5, 0.5), to_the_front))[0].tolist()
    [[[2.0, 3.0], [0.0, 1.0]]]
    """
    axes = grid.directions
    if axes is not None:
        if np.abs(axes[0, 1]) > 1.0 - _UPRIGHT and np.abs(axes[1, 0]) > 1.0 - _UPRIGHT:
            images, axes = images.transpose(0, 2, 1), axes[::-1]
        if np.abs(axes[0, 0]) > 1.0 - _UPRIGHT and np.abs(axes[1, 1]) > 1.0 - _UPRIGHT:
            images = images[:, :: 1 if axes[1, 1] > 0.0 else -1, :: 1 if axes[0, 0] > 0.0 else -1]
    sides = grid.sides_mm
    square = sides is not None and abs(sides[0] / sides[1] - 1.0) <= _SQUARE
    return np.ascontiguousarray(images), (sides[0] if sides is not None and square else None)
