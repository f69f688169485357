"""HU of the rods over the phantom's material beside them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.apply.phantom.find import FoundPhantom
from taskct.errors import UserError
from taskct.tasks.layouts import Rod

Array = NDArray[np.float64]

INNER = 0.8  # of a rod's radius that is averaged, inside its blurred rim
RIM_PX = 2.0  # kept from every rod's rim by the background


@dataclass(frozen=True)
class RodContrast:
    """How much a rod stands out."""

    rod: Rod
    contrast_hu: float
    """Mean within 0.8 of its radius, less the mean of the material at its distance from the axis, HU."""
    standard_error_hu: float
    """From the scatter between scans; NaN for a single one."""
    scan_hu: Array
    """The same in every image, `(n,)`."""


def rod_contrasts(images: NDArray[np.floating], found: FoundPhantom) -> list[RodContrast]:
    """Measure the contrast of every rod in scans in which the phantom was found.

    The background is a ring about the axis, as wide as the rod, without the rods: cupping leaves the contrast as it is.

    Parameters
    ----------
    images
        HU, an offset does not matter, `(n, height, width)`, each a scan.
    found
        Where the phantom lies in them.

    Raises
    ------
    UserError
        If a rod is smaller than a pixel, or its ring holds nothing but rods.
    """
    x, y = found.layout.sites_mm(found.roll_deg)
    n = len(images)
    centres = found.centres_px if len(found.centres_px) == n else np.tile(found.centre_px, (n, 1))
    rows, columns = np.indices(images.shape[1:])
    measured = np.empty((len(found.layout.rods), n))
    for k, (image, (row, column)) in enumerate(zip(images, centres, strict=True)):
        away_x, away_y = (columns - column) * found.pixel_mm, (rows - row) * found.pixel_mm
        axis = np.hypot(away_x, away_y)
        distance = [np.hypot(away_x - x[i], away_y - y[i]) for i in range(len(x))]
        clear = np.ones(axis.shape, dtype=bool)
        for rod, away in zip(found.layout.rods, distance, strict=True):
            clear &= away > rod.diameter_mm / 2.0 + RIM_PX * found.pixel_mm
        for i, rod in enumerate(found.layout.rods):
            inside = distance[i] <= INNER * rod.diameter_mm / 2.0
            ring = clear & (np.abs(axis - rod.radius_mm) <= rod.diameter_mm / 2.0)
            if not inside.any() or not ring.any():
                raise UserError(
                    f"rod {rod.name!r} of {rod.diameter_mm:g} mm holds no whole pixel of {found.pixel_mm:g} mm, or "
                    "nothing but rods lies around it; leave it out of the layout"
                )
            measured[i, k] = image[inside].mean() - image[ring].mean()
    error = measured.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(measured), np.nan)
    return [
        RodContrast(rod, float(one.mean()), float(spread), one)
        for rod, one, spread in zip(found.layout.rods, measured, error, strict=True)
    ]
