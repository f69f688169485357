"""Pixels of CT slices: within the budget, decoded, and turned into HU."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
)

from taskct.errors import UserError
from taskct.io.dicom_header import SliceHeader, read_object, reading_dicom
from taskct.io.padding import AIR_HU, find_padding
from taskct.reading import check_budget

_J2K_SIZE = re.compile(rb"\xff\x4f\xff\x51....(....)(....)(....)(....).{16}(..)", re.DOTALL)
_JPEG_SIZE = re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf\xf7]..[\x02-\x10](..)(..)(.)", re.DOTALL)
_JPEG = (
    *(*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes),
    *(HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K),
)


def check_pixel_budget(headers: Sequence[SliceHeader], name: object) -> None:
    """Hold what slices will take in memory, float32 and a mask, against the budget."""
    check_budget(name, sum(5 * header.shape[0] * header.shape[1] for header in headers))


@dataclass(frozen=True)
class SlicePixels:
    """Pixels of one slice, as its file lays them out."""

    image_hu: NDArray[np.float32]
    """HU, `(height, width)`; padding reads as air."""
    padding: NDArray[np.bool_]
    """Where it is padding, same shape."""
    padding_hu: NDArray[np.float64]
    """HU that the file stores there, in the order of its pixels."""


def read_pixels(headers: Sequence[SliceHeader]) -> Iterator[SlicePixels]:
    """Pixels of each slice, one after the other; frames of one file that follow each other are decoded once.

    Raises
    ------
    UserError
        If a file cannot be decoded, or holds values that are not finite.
    """
    for path, group in groupby(headers, key=lambda header: header.path):
        slices = list(group)
        stored = _stored(path, slices[0])
        for header in slices:
            yield _to_hu(stored if header.frame is None else stored[header.frame], header)


def _to_hu(stored: NDArray[np.generic], header: SliceHeader) -> SlicePixels:
    if stored.shape != header.shape:
        raise UserError(f"{header.name}: its pixels are not those of its header; export the series again")
    with np.errstate(over="ignore"):
        image_hu: NDArray[np.float32] = header.hu(stored).astype(np.float32)
    if n_bad := int(np.count_nonzero(~np.isfinite(image_hu))):
        found = f"{n_bad} of {image_hu.size} pixels are NaN or infinite"
        raise UserError(f"{header.name}: {found}; export the series again, or set what lies outside to −1000 HU")
    padding = find_padding(image_hu)
    if header.padding is not None and stored.dtype.kind in "iu":
        low, high = padding_range(header.padding, stored.dtype)
        padding |= (stored >= low) & (stored <= high)
    image_hu[padding] = AIR_HU
    return SlicePixels(image_hu, padding, header.hu(stored[padding]))


def padding_range(declared: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[np.generic]:
    """First and last stored value that is padding; wraps 63536 to the −2000 that a signed file means by it."""
    mask = 2 ** (8 * dtype.itemsize) - 1
    return np.sort(np.array([value & mask for value in declared], f"u{dtype.itemsize}").view(dtype))


def read_stored(header: SliceHeader) -> NDArray[np.generic]:
    """Stored values of all that the file of a slice holds, as it lays them out: a slice, or frames of it."""
    return _stored(header.path, header)


def _stored(path: Path, first: SliceHeader) -> NDArray[np.generic]:
    name = path.name if first.frame is not None else first.name
    with reading_dicom(name):
        dataset = read_object(path, name, pixels=True)
        if (syntax := dataset.file_meta.get("TransferSyntaxUID")) is None:
            raise UserError(f"{name}: names no transfer syntax; export the series again")
        _check_decoder(syntax, name)
        _check_declared(dataset, syntax, name)
        stored: NDArray[np.generic] = dataset.pixel_array
        return stored[np.newaxis] if first.frame is not None and stored.ndim == 2 else stored


def _check_decoder(syntax: UID, name: str) -> None:
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        known = syntax.name if syntax.name != str(syntax) else f"an unknown or private transfer syntax ({syntax})"
        raise UserError(f"{name}: pixels in {known}, which is not read here; export the series uncompressed") from None
    if not decoder.is_available:
        ways = [re.sub(r"^.* - requires (numpy and |numpy, )?", "", way) for way in decoder.missing_dependencies]
        raise UserError(
            f"{name}: no decoder for {syntax.name}; install {', or '.join(ways)}, or export the series uncompressed"
        )


def _check_declared(dataset: Dataset, syntax: UID, name: str) -> None:
    """Hold what the header declares, and what a compressed frame declares itself, against the budget."""
    n_frames = int(dataset.get("NumberOfFrames") or 1)
    samples, bits = int(dataset.get("SamplesPerPixel") or 1), int(dataset.get("BitsAllocated") or 16)
    n_bytes = max(bits // 8, 1) * samples * n_frames * int(dataset.Rows) * int(dataset.Columns)
    check_budget(name, n_bytes)
    if syntax not in _JPEG:
        return
    offsets = [dataset.get(keyword) for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")]
    frames = generate_frames(
        dataset.PixelData,
        number_of_frames=n_frames,
        extended_offsets=(offsets[0], offsets[1]) if all(offsets) else None,
    )
    declared = int(dataset.Rows), int(dataset.Columns), samples
    for frame in frames:
        if (found := compressed_size(frame)) != declared:
            texts = [f"{rows} × {columns} pixels of {n} values" for rows, columns, n in (declared, found)]
            raise UserError(
                f"{name}: its header says {texts[0]} and its compressed pixels {texts[1]}; export the series again"
            )


def compressed_size(frame: bytes) -> tuple[int, int, int]:
    """What a frame of JPEG 2000, JPEG or JPEG-LS declares itself: rows, columns and components.

    Sources: ITU-T T.800 A.5.1, T.81 B.2.2, T.87 C.2.2.

    Raises
    ------
    ValueError
        If it declares none.
    """
    if match := _J2K_SIZE.match(frame):
        right, bottom, left, top, n = (int.from_bytes(part) for part in match.groups())
        return bottom - top, right - left, n
    if frame[:2] != b"\xff\xd8":
        raise ValueError("no JPEG")
    # The segments one after the other, since their contents may look like a size.
    place = 2
    while place + 4 <= len(frame) and frame[place] == 0xFF:
        if frame[place + 1] == 0xFF:  # a fill byte
            place += 1
        elif match := _JPEG_SIZE.match(frame, place):
            rows, columns, n = (int.from_bytes(part) for part in match.groups())
            return rows, columns, n
        else:
            place += 2 + int.from_bytes(frame[place + 2 : place + 4])
    raise ValueError("no size")
