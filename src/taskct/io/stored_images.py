"""Images of one shape that are read as they are asked for: stacks in `.npy` files stay there, others are in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.reading import check_budget, reading

BLOCK = 64
"""Images that are worked on at a time: their float64 copies stay in the cache, about."""


@dataclass(frozen=True)
class FileStack:
    """Float32 images in a file, row by row, one after the other."""

    path: Path
    start: int
    """Of the first, bytes."""
    shape: tuple[int, int, int]
    """Images, rows, columns."""
    dtype: np.dtype[np.float32]
    """Float32 of the byte order of the file."""

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, numbers: NDArray[np.intp]) -> NDArray[np.float32]:
        """Images by number, from 0; those that follow each other are read at once, and the budget is for all."""
        check_budget(self.path.name, len(numbers) * 4 * self.shape[1] * self.shape[2])
        out = np.empty((len(numbers), *self.shape[1:]), dtype=self.dtype)
        n_bytes = out[0].nbytes if len(out) else 0
        ends = np.flatnonzero(np.diff(numbers, append=-2) != 1) + 1
        with reading(self.path.name, "the images that it held"), self.path.open("rb") as file:
            first = 0
            for end in ends.tolist():
                file.seek(self.start + int(numbers[first]) * n_bytes)
                if file.readinto(out[first:end].view(np.uint8).data) != (end - first) * n_bytes:
                    raise UserError(f"{self.path.name}: it has become shorter while it was read; give it again")
                first = end
        return out.astype(np.float32, copy=False)


class StoredImages:
    """Images of one shape, float32, `(n, height, width)`, of which a part at a time is in memory.

    It has what of an array is needed: `shape`, `ndim`, `dtype`, a length, images by number or slice, and
    `np.asarray`, which reads them all.

    Parameters
    ----------
    parts
        Arrays in memory, float32, `(n, height, width)`, and stacks in files, in the order of the images; images of one
        size.

    Examples
    --------
    >>> images = StoredImages([np.zeros((2, 4, 4), np.float32), np.ones((3, 4, 4), np.float32)])
    >>> images.shape, float(images[np.array([4, 0])].mean())
    ((5, 4, 4), 0.5)
    """

    def __init__(self, parts: Sequence[NDArray[np.float32] | FileStack]) -> None:
        self.parts = tuple(parts)
        self._starts = np.cumsum([0, *(len(part) for part in self.parts)])
        self._order: NDArray[np.intp] | None = None

    @classmethod
    def of(cls, images: "NDArray[np.float32] | StoredImages") -> "StoredImages":
        """Images that may be in memory."""
        return images if isinstance(images, StoredImages) else cls([images])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Images, rows, columns."""
        height, width = self.parts[0].shape[1:]
        return len(self), height, width

    @property
    def ndim(self) -> int:
        """3."""
        return 3

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """float32."""
        return np.dtype(np.float32)

    def __len__(self) -> int:
        return int(self._starts[-1]) if self._order is None else len(self._order)

    def __getitem__(self, numbers: NDArray[np.integer[Any]] | slice) -> NDArray[np.float32]:
        """Images by their numbers, from 0, as an array in memory."""
        wanted = np.arange(len(self))[numbers]
        if self._order is not None:
            wanted = self._order[wanted]
        out = np.empty((len(wanted), *self.shape[1:]), dtype=np.float32)
        of_part = np.searchsorted(self._starts, wanted, side="right") - 1
        for index in np.unique(of_part).tolist():
            places = np.flatnonzero(of_part == index)
            rows = wanted[places] - self._starts[index]
            if len(places) == len(out):
                return np.asarray(self.parts[index][rows])
            out[places] = self.parts[index][rows]
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: ANN401 - NumPy's protocol
        if len(self.parts) == 1 and self._order is None and isinstance(self.parts[0], np.ndarray):
            return np.array(self.parts[0], dtype=dtype, copy=copy)
        if copy is False:
            raise ValueError("images in files cannot become an array without a copy")
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    def blocks(self, size: int = BLOCK) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """The numbers of some images and these images, all in turn."""
        for first in range(0, len(self), size):
            some = slice(first, min(first + size, len(self)))
            yield some, self[some]

    def taken(self, numbers: NDArray[np.integer[Any]]) -> "StoredImages":
        """The same images in another order, or some of them."""
        other = StoredImages(self.parts)
        other._order = np.arange(len(self))[numbers] if self._order is None else self._order[numbers]
        return other

    def same_as(self, other: "StoredImages") -> bool:
        """Whether others are the same to the last bit."""
        if self.shape != other.shape:
            return False
        return all(np.array_equal(block, other[some]) for some, block in self.blocks())


def joined(stacks: Sequence[StoredImages]) -> StoredImages:
    """Images of several stacks, one after the other."""
    if any(stack._order is not None for stack in stacks):
        raise ValueError("join stacks before they are taken in another order")
    return StoredImages([part for stack in stacks for part in stack.parts])
