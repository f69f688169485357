"""A `.npy` file slice by slice."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.files import whole_file
from taskct.io.image_stack import map_npy
from taskct.io.slices import Made, Slice

CHECKED = 2**20
"""Pixels that are looked at at a time, or those of one slice that has more."""


class NpySlices:
    """Images of a `.npy` file, `(height, width)` or `(n, height, width)`, HU; the values are not read at once.

    A UserError, if it is no array of numbers of 2 or 3 dimensions, or a value is not finite.
    """

    pixel_mm = None
    slice_mm = None

    def __init__(self, path: Path) -> None:
        self._path = path
        mapped = map_npy(path)
        self._shape = mapped.shape
        self.shape = (1, *mapped.shape) if mapped.ndim == 2 else (len(mapped), *mapped.shape[1:])
        step = max(CHECKED // max(math.prod(self.shape[1:]), 1), 1)
        for first in range(0, self.shape[0], step):
            if not np.isfinite(self._some(slice(first, first + step))).all():
                raise UserError(f"{path.name} holds values that are not finite: give HU")

    def _some(self, which: slice) -> NDArray[np.float32]:
        # Mapped anew each time: pages of one map stay in memory once they were read.
        with np.errstate(over="ignore"):  # an overflow is an infinity, which is refused
            mapped = map_npy(self._path)
            return (mapped if mapped.ndim == 3 else mapped[None])[which].astype(np.float32)

    def read(self, which: Sequence[int] | None = None) -> Iterator[Slice]:
        """As `SliceSource.read`."""
        for index in range(self.shape[0]) if which is None else which:
            yield Slice(self._some(slice(index, index + 1))[0], None)

    def write(self, made: Made, target: Path, description: str) -> None:
        """As `SliceSource.write`; an array has no room for a description."""
        target.parent.mkdir(parents=True, exist_ok=True)
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)), "fortran_order": False}
        with whole_file(target) as partial, partial.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header | {"shape": self._shape})
            for _, image in made:
                file.write(np.ascontiguousarray(image, dtype=np.float32).data)
