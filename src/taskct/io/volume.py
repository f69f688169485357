"""A CT volume on its grid, whatever file it came from, and what its grid must fulfil."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError

PIXEL_MM = (0.05, 10.0)  # what a pixel spacing may be; beyond it lies a wrong unit
MAX_PIXEL_RATIO = 2.0  # of the longer to the shorter side of a pixel
MAX_OFF_AXIAL_DEGREES = 30.0  # for a slice to count as axial
MAX_LEAN_DEGREES = 1.0  # of the stack off its slices' normal
LEAN_ALLOWED = f"{MAX_LEAN_DEGREES:g}° allowed; resample it to upright slices"
SAME_GRID = 0.1  # how far two grids may lie apart to count as one, as a fraction of a pixel


@dataclass(frozen=True, kw_only=True)
class Volume:
    """One axial CT volume.

    Attributes
    ----------
    image_hu
        HU, float32, shape `(n_slices, height, width)`. However the files store them, columns run to the
        patient's left, rows to posterior, slices to the head along their normal.
    pixel_mm
        Distance between neighbouring rows and between neighbouring columns of `image_hu`, mm; may differ up to
        twofold.
    slice_mm
        Distance between neighbouring slice centres along the normal (median), mm; nan for one slice.
    affine
        From (slice, row, column, 1) in `image_hu` to (x, y, z, 1) in the patient, mm, to the left, to posterior, to
        the head; shape `(4, 4)`. One slice steps by 1 mm, uneven slices by their mean.
    series_key
        Opaque name of the volume: 16 hexadecimal digits of a hash; no identifier can be read from it.
    patient_key
        The same for the patient; of a NIfTI file, which names none, it is `series_key`.
    padding
        Where nothing was measured and `image_hu` is −1000 HU, see :mod:`taskct.io.padding`; shape of `image_hu`. None
        where nobody looked.
    labels
        Organ labels on the grid of `image_hu`, or None.
    """

    image_hu: NDArray[np.float32]
    pixel_mm: tuple[float, float]
    slice_mm: float
    affine: NDArray[np.float64]
    series_key: str
    patient_key: str
    padding: NDArray[np.bool_] | None = None
    labels: NDArray[np.uint16] | None = None


def check_pixel_mm(pixel_mm: tuple[float, float], name: str) -> None:
    """Refuse a pixel spacing, mm, out of `PIXEL_MM`, or with sides that differ more than `MAX_PIXEL_RATIO`.

    >>> check_pixel_mm((0.7, 0.7), "slice")
    >>> check_pixel_mm((0.5, 1.5), "slice")
    Traceback (most recent call last):
    taskct.errors.UserError: slice: pixels of 0.5 × 1.5 mm, 3.0 times as long as wide; at most 2 times: resample them
    """
    low, high = PIXEL_MM
    text = " × ".join(f"{side:.4g}" for side in pixel_mm)
    if not all(low <= side <= high for side in pixel_mm):
        raise UserError(f"{name}: pixel spacing of {text} mm; must be {low:g} to {high:g} mm: export it again")
    if (ratio := max(pixel_mm) / min(pixel_mm)) > MAX_PIXEL_RATIO + 1e-6:
        allowed = f"at most {MAX_PIXEL_RATIO:g} times"
        raise UserError(f"{name}: pixels of {text} mm, {ratio:.1f} times as long as wide; {allowed}: resample them")


def check_axial(normal: NDArray[np.float64], name: str) -> None:
    """Refuse slices whose unit normal, from feet to head, is over `MAX_OFF_AXIAL_DEGREES` off the patient's axis."""
    off = float(np.degrees(np.arccos(np.clip(normal[2], -1.0, 1.0))))
    if off > MAX_OFF_AXIAL_DEGREES + 0.5:
        allowed = f"{MAX_OFF_AXIAL_DEGREES:g}° allowed (a localizer, or coronal or sagittal slices?)"
        raise UserError(f"{name}: {off:.0f}° off axial, {allowed}; give axial slices")


def check_upright(position_mm: NDArray[np.float64], normal: NDArray[np.float64], name: str) -> None:
    """Refuse a stack of slices that leans, as a tilted gantry leaves it.

    `position_mm` is the same corner of every slice, from feet to head, `(n_slices, 3)`.
    """
    away = position_mm[1:] - position_mm[0]
    along = away @ normal
    sideways = np.linalg.norm(away - along[:, None] * normal, axis=1)
    excess = sideways - np.abs(along) * np.tan(np.radians(MAX_LEAN_DEGREES)) - 0.1
    if excess.size and excess.max() > 0.0:
        worst = int(excess.argmax())
        lean = np.degrees(np.arctan2(sideways[worst], abs(along[worst])))
        raise UserError(f"{name}: gantry tilt, its slices lean {lean:.0f}° off their normal, {LEAN_ALLOWED}")


def grid_distance_mm(a: NDArray[np.float64], b: NDArray[np.float64], shape: tuple[int, ...]) -> float:
    """The largest distance between the same corner of two grids of one shape, mm.

    >>> moved = np.eye(4)
    >>> moved[0, 3] = 2.0
    >>> grid_distance_mm(np.eye(4), moved, (5, 4, 4))
    2.0
    """
    corners = np.array([[*corner, 1.0] for corner in product(*((0, n - 1) for n in shape))])
    return float(np.linalg.norm(corners @ (a - b).T, axis=1).max())
