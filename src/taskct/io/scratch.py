"""Arrays that wait on disk until all of them are there, in a file without a name that goes with the process."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray


class Scratch:
    """Rows of arrays, written one after the other and read back in any order."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._places: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._places)

    def append(self, *arrays: NDArray[Any]) -> None:
        """Write a row of arrays of any shapes and types, objects apart."""
        self._file.seek(0, 2)
        self._places.append((self._file.tell(), len(arrays)))
        for array in arrays:
            np.save(self._file, array, allow_pickle=False)

    def __getitem__(self, index: int) -> list[NDArray[Any]]:
        place, n_arrays = self._places[index]
        self._file.seek(place)
        return [np.load(self._file, allow_pickle=False) for _ in range(n_arrays)]


@contextmanager
def scratch_beside(target: Path) -> Iterator[Scratch]:
    """Room on the disk that the target will lie on: the folder for temporary files may be a part of the memory."""
    with open_beside(target) as file:
        yield Scratch(file)


def open_beside(target: Path) -> BinaryIO:
    """A file without a name in the nearest folder above the target that exists."""
    folder = next(place for place in target.absolute().parents if place.is_dir())
    return cast(BinaryIO, tempfile.TemporaryFile(dir=folder))
