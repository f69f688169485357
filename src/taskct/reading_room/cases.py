"""What a reading study is made of: cases in several arms, with their truth."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.reading_room.key import Lesion
from taskct.reading_room.study_files import MAX_SIDE_PX

Floats = NDArray[np.float32]

INT16 = np.iinfo(np.int16)

COARSE = 3.0
"""Images whose values spread less than this are not HU: in whole numbers, little would be left of them."""


@dataclass(frozen=True)
class CaseImages:
    """Images of cases, HU, in whole numbers, and their truth."""

    images: Mapping[str, NDArray[np.int16]]
    """By arm, `(n, height, width)`, all of one shape."""
    names: tuple[str, ...]
    """Of the cases, each once."""
    present: NDArray[np.bool_]
    """Which hold a signal, `(n,)`."""
    lesions: tuple[tuple[Lesion, ...], ...]
    """Of each case; none where the places are not known, or there is no signal."""
    backgrounds: tuple[str, ...]
    """What is independent of others, of each case: a patient, a phantom; empty where each stands alone."""
    groups: tuple[str, ...]
    """Stratum of each case, empty for none."""

    def __post_init__(self) -> None:
        n = len(self.names)
        lengths = {len(one) for one in self.images.values()}
        lengths |= {len(self.present), len(self.lesions), len(self.backgrounds), len(self.groups)}
        if lengths != {n} or len({one.shape for one in self.images.values()}) != 1 or len(set(self.names)) != n:
            raise ValueError("images, names and truth of cases differ in length or shape, or a name stands twice")

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Material:
    """All that a reading study can be made of."""

    cases: CaseImages
    training: CaseImages | None
    """High-contrast examples of one arm, of cases that are not read; None for none."""
    pixel_mm: float | None
    window_hu: tuple[float, float]
    """Centre and width of the display window at the start."""
    source: str
    """Where it comes from, in words."""
    notes: tuple[str, ...] = ()
    """What the organiser should know."""


def whole_hu(images: Floats, name: str) -> NDArray[np.int16]:
    """Images in whole HU, as they are shown.

    Parameters
    ----------
    images
        HU, `(n, height, width)`.
    name
        What a message calls them.

    Raises
    ------
    UserError
        If a value is not finite or out of the range of 16 bits, an image is constant, or too large for a screen, or
        whole numbers would lose what it shows.
    """
    height, width = images.shape[1:]
    if max(height, width) > MAX_SIDE_PX:
        raise UserError(
            f"{name}: {height} × {width} pixels; a browser shows at most {MAX_SIDE_PX} × {MAX_SIDE_PX} at whole "
            "pixels: crop the images"
        )
    whole = np.empty(images.shape, dtype=np.int16)
    for number, image in enumerate(images):
        low, high = float(image.min()), float(image.max())
        if not np.isfinite(low + high):
            raise UserError(f"{name}: image {number} holds values that are not finite: give HU")
        if low < INT16.min or high > INT16.max:
            raise UserError(
                f"{name}: image {number} has values from {low:g} to {high:g} HU; they must lie within {INT16.min} to "
                f"{INT16.max} HU"
            )
        if low == high:
            raise UserError(f"{name}: image {number} is {low:g} everywhere: there is nothing to see in it")
        if float(np.std(image)) < COARSE and np.any(image != np.rint(image)):
            raise UserError(
                f"{name}: the values of image {number} spread by {float(np.std(image)):.2g} about their mean, and "
                "whole HU would lose what it shows: give HU, not values scaled to 1"
            )
        whole[number] = np.rint(image)
    return whole
