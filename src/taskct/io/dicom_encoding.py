"""How HU are stored in 16 bits: one slope and intercept for a series, the source's own where the values fit."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.valuerep import format_number_as_ds

SIGNED, UNSIGNED = np.dtype(np.int16), np.dtype(np.uint16)


@dataclass(frozen=True)
class Encoding:
    """Stored values are (HU − intercept) / slope, rounded."""

    slope: float
    intercept: float
    dtype: np.dtype[np.integer]
    """int16 or uint16."""

    def stored(self, image_hu: NDArray[np.floating]) -> NDArray[np.int64]:
        """Stored values of HU, not held to the range of the type."""
        return np.rint((image_hu.astype(np.float64) - self.intercept) / self.slope).astype(np.int64)

    def clipped(self, image_hu: NDArray[np.floating]) -> NDArray[np.int64]:
        """Stored values of HU, held to the range of the type."""
        limits = np.iinfo(self.dtype)
        return np.clip(self.stored(image_hu), limits.min, limits.max)

    def holds(self, low_hu: float, high_hu: float) -> bool:
        """Whether HU from the lowest to the highest can be stored."""
        low, high = self.stored(np.array([low_hu, high_hu]))
        return bool(np.iinfo(self.dtype).min <= low and high <= np.iinfo(self.dtype).max)


def choose_encoding(
    source: Encoding, tissue_hu: tuple[float, float], padding_hu: tuple[float, float] | None
) -> Encoding:
    """The encoding for a series whose values, and whose padding, go from the lowest to the highest, HU.

    The source's where they fit; else its slope with the other sign; else unsigned with an intercept that makes room,
    for the padding too if it can; else a wider slope.
    """
    slope, intercept = source.slope, source.intercept
    ranges = [tissue_hu]
    if padding_hu is not None:
        ranges.insert(0, (min(tissue_hu[0], padding_hu[0]), max(tissue_hu[1], padding_hu[1])))
    for low, high in ranges:
        # A step is left below the lowest value, for padding that does not fit.
        shifted = float(format_number_as_ds(intercept + slope * (np.floor((low - intercept) / slope) - 1)))
        for encoding in (
            source,
            Encoding(slope, intercept, SIGNED),
            Encoding(slope, intercept, UNSIGNED),
            Encoding(slope, shifted, UNSIGNED),
        ):
            if encoding.holds(low, high):
                return encoding
    # Three steps fewer than there are: that one, and the slope and intercept have but 16 characters.
    wide = float(format_number_as_ds((tissue_hu[1] - tissue_hu[0]) / (np.iinfo(UNSIGNED).max - 3)))
    return Encoding(wide, float(format_number_as_ds(tissue_hu[0] - wide)), UNSIGNED)


def avoid(stored: NDArray[np.int64], first: int, last: int, dtype: np.dtype[np.integer]) -> NDArray[np.int64]:
    """Stored values moved off the range that stands for padding, to its nearest side that the type holds."""
    low, high = min(first, last), max(first, last)
    limits = np.iinfo(dtype)
    to_high = (stored - low >= high - stored) | (low - 1 < limits.min)
    moved = np.where(to_high & (high + 1 <= limits.max), high + 1, low - 1)
    return np.where((stored >= low) & (stored <= high), moved, stored)
