"""A NIfTI volume slice by slice, compressed or not."""

import contextlib
import gzip
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.imageglobals import LoggingOutputSuppressor
from numpy.typing import NDArray

from taskct.files import whole_file
from taskct.io.nifti import check_grid, check_range, open_nifti
from taskct.io.nifti_write import check_nifti_target, derived_dtype, derived_image
from taskct.io.padding import AIR_HU, find_padding
from taskct.io.scratch import open_beside, scratch_beside
from taskct.io.slices import Made, Slice
from taskct.reading import check_budget, reading

PIECE = 2**20
"""Bytes that are unpacked or compressed at a time."""


class NiftiSlices:
    """A CT volume of a `.nii` or `.nii.gz` file; a compressed one is unpacked to the disk of the target.

    A UserError as :func:`~taskct.io.nifti.read_nifti`; the budget is for one slice, and for the disk.
    """

    def __init__(self, path: Path, target: Path, closing: contextlib.ExitStack) -> None:
        self._name = path.name
        check_nifti_target(target)
        opened = open_nifti(path)
        self._image = opened.image
        self._voxels: Any = opened.image.dataobj
        # By axis of a Volume from the last to the first: which axis of the file it is, and whether that runs backwards.
        axes = {int(turn[0]): (own, turn[1] < 0) for own, turn in enumerate(opened.turn)}
        (self._columns, self._rows, self._slices) = axes[0], axes[1], axes[2]
        n_slices, height, width = (opened.shape[own] for own, _ in (self._slices, self._rows, self._columns))
        self.shape = (n_slices, height, width)
        self.pixel_mm, self.slice_mm = check_grid(opened.affine, n_slices, path.name)
        check_budget(path.name, height * width * opened.voxel_bytes)
        if path.name.lower().endswith(".gz"):
            self._voxels = _unpacked(path, opened.image, closing.enter_context(open_beside(target)))
        self._check_values()

    def _check_values(self) -> None:
        n_bad, low, high = 0, np.inf, -np.inf
        for index in range(self.shape[0]):
            image = self._own(index)[1]
            n_bad += int(np.count_nonzero(~np.isfinite(image)))
            low, high = min(low, float(image.min())), max(high, float(image.max()))
        check_range(n_bad, int(np.prod(self.shape)), (low, high), self._name)

    def _place(self, index: int) -> tuple[int | slice, ...]:
        """Where a slice lies in the file."""
        own, backwards = self._slices
        place: list[int | slice] = [slice(None)] * 3 + [0] * (len(self._image.shape) - 3)
        place[own] = self.shape[0] - 1 - index if backwards else index
        return tuple(place)

    def _turned(self, image: NDArray[Any], *, back: bool = False) -> NDArray[Any]:
        """A slice from the order of the file to rows and columns, or the way back."""
        steps = slice(None, None, -1 if self._rows[1] else 1), slice(None, None, -1 if self._columns[1] else 1)
        transposed = self._rows[0] > self._columns[0]
        if back:
            image = image[steps]
            return image.T if transposed else image
        return (image.T if transposed else image)[steps]

    def _own(self, index: int) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """A slice as the file has it, in rows and columns, and in HU."""
        with reading(self._name, "NIfTI", "copy it again"), LoggingOutputSuppressor():
            own = self._turned(np.asanyarray(self._voxels[self._place(index)]))
        with np.errstate(over="ignore"):
            return own, np.array(own, dtype=np.float32, order="C")

    def read(self, which: Sequence[int] | None = None) -> Iterator[Slice]:
        """As `SliceSource.read`."""
        for index in range(self.shape[0]) if which is None else which:
            own, image_hu = self._own(index)
            padding = find_padding(image_hu)
            image_hu[padding] = AIR_HU
            yield Slice(image_hu, padding, own)

    def write(self, made: Made, target: Path, description: str) -> None:
        """As `SliceSource.write`: on the grid and in the order of axes of the file, as `write_nifti` does."""
        low, high = np.inf, -np.inf
        with scratch_beside(target) as kept:
            for one, image in made:
                if one.padding is None or one.stored is None:
                    raise ValueError("a slice of another source")
                values = np.where(one.padding, one.stored, image)
                whole = np.rint(values)
                low, high = min(low, float(whole.min())), max(high, float(whole.max()))
                kept.append(values)
            dtype = derived_dtype(self._image, (low, high))
            target.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(target) as partial, _packed(partial, target) as file:
                # Zeros first, for nibabel's header; the voxels come in its order of axes, which may be any.
                nothing = np.broadcast_to(np.zeros((), dtype), self._image.shape)
                written = derived_image(self._image, nothing, description)
                written.to_stream(file)
                start = file.tell() - nothing.size * dtype.itemsize
                for index in range(len(kept)):
                    (values,) = kept[index]
                    # Mapped anew each time: what was set is in the file then, and not in memory.
                    voxels: NDArray[Any] = np.memmap(
                        file, written.header.get_data_dtype(), "r+", start, self._image.shape, "F"
                    )
                    rounded = np.rint(values) if dtype.kind == "i" else values
                    voxels[self._place(index)] = self._turned(rounded.astype(dtype), back=True)
                    del voxels


def _unpacked(path: Path, image: Any, file: BinaryIO) -> Any:  # noqa: ANN401 - nibabel's
    """Voxels of a compressed file, unpacked into another."""
    with reading(path.name, "NIfTI", "copy it again"), gzip.open(path) as packed:
        while piece := packed.read(PIECE):
            file.write(piece)
            check_budget(path.name, file.tell())
    told = image.dataobj
    proxy: Any = ArrayProxy  # without types of its own
    return proxy(file, (told.shape, told.dtype, told.offset, told.slope, told.inter))


@contextmanager
def _packed(partial: Path, target: Path) -> Iterator[BinaryIO]:
    """A file to write voxels to, which is compressed at the end if the target is."""
    if not target.name.lower().endswith(".gz"):
        with partial.open("w+b") as file:
            yield file
        return
    with open_beside(target) as file:
        yield file
        file.seek(0)
        with partial.open("wb") as out, gzip.GzipFile("", "wb", fileobj=out, mtime=0) as packed:
            shutil.copyfileobj(file, packed, PIECE)
