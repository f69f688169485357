"""Images read slice by slice, and what is made of them written slice by slice: memory does not grow with their number.

Each kind of source reads any of its slices in order, and writes what was made of all of them as a file, or a folder, of
its own kind, whole or not at all.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Slice:
    """One slice of a source."""

    image_hu: NDArray[np.float32]
    """HU, `(height, width)`, as `Volume` lays it out; padding reads as air."""
    padding: NDArray[np.bool_] | None
    """Where nothing was measured, same shape; None where nobody looked."""
    stored: NDArray[Any] | None = None
    """What the source holds where it is padded, as its own kind needs it to write."""


Made = Iterable[tuple[Slice, NDArray[np.float32]]]
"""Slices of a source in order, each with the image that was made of it, HU."""


class SliceSource(Protocol):
    """A file or folder that is read and written slice by slice."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, height and width."""
        ...

    @property
    def pixel_mm(self) -> tuple[float, float] | None:
        """Distance between neighbouring rows and columns; None where the source does not say."""
        ...

    @property
    def slice_mm(self) -> float | None:
        """Distance between neighbouring slices; None or nan where the source does not say."""
        ...

    def read(self, which: Sequence[int] | None = None) -> Iterator[Slice]:
        """These slices, or all of them, in the order given; a `UserError` if one cannot be read."""
        ...

    def write(self, made: Made, target: Path, description: str) -> None:
        """Write images made of all slices, whole or not at all; a `UserError` if that cannot be done."""
        ...
