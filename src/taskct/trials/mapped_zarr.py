"""Zarr arrays whose one chunk is a plain file: mapped instead of read, and filled by several processes at a time."""

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from zarr.codecs import BytesCodec

from taskct.errors import UserError


def plain_file(folder: Path, array: Any) -> Path | None:  # noqa: ANN401 - zarr's members are untyped unions
    """The file that holds an array as memory does, or None where there is no such file.

    Only the array's own metadata can tell: one chunk, in C order, of this machine's byte order, not compressed.
    """
    metadata, n_dims = array.metadata, len(array.shape)
    if metadata.zarr_format != 3 or 0 in array.shape or array.chunks != array.shape:
        return None
    # Any other codec (a transposition, a compressor, shards) leaves more than plain bytes in C order.
    if len(metadata.codecs) != 1 or not isinstance(metadata.codecs[0], BytesCodec):
        return None
    if array.dtype.itemsize > 1 and _byte_order(metadata.codecs[0]) != sys.byteorder:
        return None
    return folder / str(metadata.encode_chunk_key((0,) * n_dims))


def _byte_order(codec: BytesCodec) -> str | None:
    """Of the file, "little" or "big", or None where the codec does not say; not that of the array's dtype."""
    # zarr 3.1 has a member of an enumeration there, 3.4 a plain string.
    return None if codec.endian is None else str(getattr(codec.endian, "value", codec.endian))


def _stored_dtype(array: Any) -> np.dtype[Any]:  # noqa: ANN401 - zarr's members are untyped unions
    """The dtype of a plain file: this machine's byte order, whichever the array has in memory."""
    stored: np.dtype[Any] = array.dtype.newbyteorder("=")
    return stored


def n_bytes(array: Any) -> int:  # noqa: ANN401 - zarr's members are untyped unions
    """Size of an array in memory."""
    return int(math.prod(array.shape) * array.dtype.itemsize)


def write_rows(folder: Path, array: Any, start: int, images: NDArray[np.float32]) -> None:  # noqa: ANN401 - as above
    """Write images `start` onwards; several processes may write different ones at a time."""
    file = plain_file(folder, array)
    if file is None:
        array[start : start + len(images)] = images
        return
    # Written, not mapped: on a full disk a write fails with a message, a store into a mapped hole kills the process.
    rows = np.ascontiguousarray(images, dtype=_stored_dtype(array))
    with file.open("r+b") as opened:
        opened.seek(start * math.prod(array.shape[1:]) * rows.itemsize)
        opened.write(rows.data)


def read_array(folder: Path, array: Any) -> NDArray[np.float32]:  # noqa: ANN401 - zarr's members are untyped unions
    """A memory map of an array's plain file, copied on write; read into memory where there is no such file.

    Parameters
    ----------
    folder, array
        The Zarr array and where it lies.

    Raises
    ------
    UserError
        If a file is not whole.
    """
    file, wanted = plain_file(folder, array), n_bytes(array)
    if file is None:
        try:
            return np.asarray(array)
        except ValueError as error:  # zarr's, of a chunk that has not its size
            raise UserError(f"{folder} is broken ({error}); simulate the trials again") from error
    found = file.stat().st_size if file.is_file() else 0
    if found != wanted:
        raise UserError(f"{file} holds {found} bytes and not {wanted}: it is not whole; simulate the trials again")
    mapped: NDArray[np.float32] = np.memmap(file, dtype=_stored_dtype(array), mode="c", shape=array.shape)
    return mapped
