"""Words of images that lie beside or behind a header of text: MetaImage and NRRD.

A header says where the words are and how to read them. It may come from a stranger and it may be wrong, so that nothing
outside its folder is opened, sizes are checked before memory is taken, and words that look like those of the other byte
order are refused.
"""

import bz2
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.reading import check_budget, check_regular, reading

ByteOrder = Literal["little", "big"]
Packing = Literal["", "zlib", "bzip2"]

_ORDERS: dict[str, Literal["<", ">"]] = {"little": "<", "big": ">"}
_PATTERN = re.compile(r"(?P<name>\S*%0?[1-9]?d\S*)(?P<numbers>(?:\s+-?[0-9]{1,9}){0,3})")
_FAR = 8.0
"""How many times rougher words are, read as the header says, than read otherwise, before the header is not believed.
In CT images of 16 bits the ratio is 100 to 400 where the order is wrong, and below 0.1 where it is right."""
_SAMPLE = 8  # images that are looked at
_LOWEST = -32768  # a short; images whose zero it is have 32768 taken off
_FLOAT_RANGE = (1e-6, 1e6)
"""Magnitudes of the largest value of an image of floats, between which it is not taken for one of the other order."""


@dataclass(frozen=True)
class RawWords:
    """How to read words whose header is wrong or silent; None leaves it to the header.

    A value is `slope` · word + `offset`. What is given here takes the place of what the header says.

    Raises
    ------
    UserError
        If the byte order is unknown, the slope 0, or a number not finite.
    """

    byte_order: ByteOrder | None = None
    """"little" or "big": which byte of a word is first in the file, the least or the most significant."""
    slope: float | None = None
    """HU per step of a word; not 0."""
    offset: float | None = None
    """HU of the word 0."""

    def __post_init__(self) -> None:
        if self.byte_order not in (None, *_ORDERS):
            raise UserError(f"the byte order is {self.byte_order!r}: give little or big")
        if self.slope is not None and (not math.isfinite(self.slope) or self.slope == 0.0):
            raise UserError(f"the slope is {self.slope:g} HU per word; it must be finite and not 0")
        if self.offset is not None and not math.isfinite(self.offset):
            raise UserError(f"the offset is {self.offset:g} HU; it must be finite")


@dataclass(frozen=True)
class WordLayout:
    """Where the words of a stack of images lie, and what they are, as a header says."""

    name: str
    """What messages call the header."""
    files: tuple[Path, ...]
    """Data files, each with as many images as every other, in the order of the images."""
    shape: tuple[int, int, int]
    """Images, rows, columns."""
    dtype: np.dtype[np.generic]
    """Of a word; its byte order is that of the header, or little where the header says none."""
    skip: int = 0
    """Bytes before the first word of each file; -1 where the words are the end of the file."""
    packing: Packing = ""
    """How what follows the skipped bytes is packed; "zlib" is gzip as well."""
    slope: float = 1.0
    """HU per step of a word."""
    offset: float = 0.0
    """HU of the word 0."""


def data_files(text: str, folder: Path, n_images: int, name: str) -> tuple[Path, ...]:
    """Data files by their name in a header, or by a pattern such as `scan_%03d.raw 1 10 1`: first, last, step.

    The last number belongs to the files, and a step below 0 counts down. Without numbers files are counted from 1.

    Raises
    ------
    UserError
        If a file lies outside the folder, or the pattern names other than one file for so many images.
    """
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        return files_in(folder, [text.strip()], n_images, name)
    given = [int(number) for number in match["numbers"].split()]
    first = given[0] if given else 1
    last = given[1] if len(given) > 1 else first + n_images - 1
    step = given[2] if len(given) > 2 else 1
    numbers = range(first, last + (1 if step > 0 else -1), step) if step else range(0)
    if len(numbers) != n_images:
        raise UserError(
            f"{name}: its pattern of data files, from {first} to {last} by {step}, names {len(numbers)} files for "
            f"{n_images} images; mend the numbers behind the pattern, or the size"
        )
    return files_in(folder, [match["name"] % number for number in numbers], n_images, name)


def files_in(folder: Path, names: Sequence[str], n_images: int, name: str) -> tuple[Path, ...]:
    """Data files by their names in a header, below its folder; a `UserError` if one is not, or they do not go round."""
    if not names or n_images % len(names):
        raise UserError(f"{name}: names {len(names)} data files for {n_images} images; give as many in each file")
    for data_name in names:
        parts = PurePosixPath(data_name).parts
        outside = (
            ".." in parts or "\0" in data_name or PureWindowsPath(data_name).anchor or PurePosixPath(data_name).root
        )
        if outside or not parts:
            raise UserError(
                f"{name}: its data file lies outside its folder; put it beside the header and name it there"
            )
    return tuple(folder / data_name for data_name in names)


def read_words(layout: WordLayout, words: RawWords | None = None) -> NDArray[np.float32]:
    """Read images as a header describes them, `(n, height, width)`, in HU by slope and offset.

    Parameters
    ----------
    layout
        What the header says.
    words
        What is known better than that. A byte order that is given is not doubted.

    Raises
    ------
    UserError
        If a file is missing, short or longer than its header says, or damaged; the words look like those of another
        byte order or sign, or 32768 too low; or they take more memory than the budget.
    """
    words = words or RawWords()
    dtype = layout.dtype
    if words.byte_order is not None:
        dtype = dtype.newbyteorder(_ORDERS[words.byte_order])
    check_budget(layout.name, math.prod(layout.shape) * (dtype.itemsize + 4))
    raw = np.empty(layout.shape, dtype=dtype)
    for part, path in zip(raw.reshape(len(layout.files), -1), layout.files, strict=True):
        part[:] = np.frombuffer(_bytes_of(path, part.nbytes, layout), dtype)
    if words.byte_order is None:
        _check_order(raw, layout.name)
    _check_zero(raw, words, layout)
    slope = layout.slope if words.slope is None else words.slope
    offset = layout.offset if words.offset is None else words.offset
    images = np.empty(layout.shape, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # an overflow is an infinity, which is refused
        for image, its_words in zip(images, raw, strict=True):
            image[:] = its_words if (slope, offset) == (1.0, 0.0) else slope * its_words.astype(np.float64) + offset
    return images


def _bytes_of(path: Path, n_bytes: int, layout: WordLayout) -> bytes:
    """The words of one data file, unpacked."""
    what = "the words of an image"
    name = path.name if layout.name == path.name else f"{layout.name}, {path.name}"
    if not path.is_file():
        check_regular(path, name)
        raise UserError(f"{name}: there is no such data file; copy it to where its header is")
    with reading(name, what), path.open("rb") as file:
        size = path.stat().st_size
        if layout.skip < 0 and layout.packing:
            raise UserError(f"{name}: packed words at the end of a file have no known start; save it again")
        start = layout.skip if layout.skip >= 0 else size - n_bytes
        held = max(size - start, 0)
        file.seek(max(start, 0))
        if layout.packing:
            check_budget(name, held + n_bytes)
            return _unpacked(file.read(), n_bytes, layout.packing, name)
        if start < 0 or held != n_bytes:
            raise UserError(
                f"{name}: holds {held if start >= 0 else size} bytes and its header says {n_bytes}; mend the size or "
                "the type in the header, or copy the file again"
            )
        return file.read(n_bytes)


def _unpacked(packed: bytes, n_bytes: int, packing: Packing, name: str) -> bytes:
    if packing == "bzip2":
        unpacked = bz2.BZ2Decompressor().decompress(packed, n_bytes + 1)
    else:
        unpacked = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(packed, n_bytes + 1)  # zlib or gzip by its mark
    if len(unpacked) != n_bytes:
        found = "more" if len(unpacked) > n_bytes else f"{len(unpacked)} bytes"
        raise UserError(f"{name}: unpacks to {found} and its header says {n_bytes}; mend the header, or copy it again")
    return unpacked


def _check_order(images: NDArray[np.generic], name: str) -> None:
    """Refuse words that are noise as they are read, and smooth as words of the other byte order or sign."""
    some = images[np.linspace(0, len(images) - 1, min(_SAMPLE, len(images))).astype(int)]
    bits = 8 * some.dtype.itemsize
    if bits == 8:
        return
    told, other = ("big", "little") if some.dtype.str.startswith(">") else ("little", "big")
    swapped = some.view(some.dtype.newbyteorder(_ORDERS[other]))
    advice = (
        f"if its header is wrong, --byte-order {other} reads it; if it is right, --byte-order {told} does "
        "(byte_order in a table)"
    )
    if some.dtype.kind == "f":
        if not _like_floats(some) and _like_floats(swapped):
            raise UserError(f"{name}: its numbers make sense as {other}-endian words only; {advice}")
        return
    if _spread(some) < 2.0 ** (bits - 2):
        return
    rough = _roughness(some)
    if rough > _FAR * _roughness(swapped):
        raise UserError(
            f"{name}: its words are noise over their whole range, and smooth as {other}-endian words; {advice}"
        )
    sign, kind = ("i", "with a sign") if some.dtype.kind == "u" else ("u", "without a sign")
    if rough > _FAR * _roughness(some.view(some.dtype.str.replace(some.dtype.kind, sign))):
        raise UserError(
            f"{name}: its words jump over their whole range, and are smooth {kind}; mend the type in its header"
        )


def _check_zero(images: NDArray[np.generic], words: RawWords, layout: WordLayout) -> None:
    """Refuse shorts with 32768 taken off, where no offset is told."""
    if words.offset is not None or layout.offset or images.dtype.kind != "i" or images.dtype.itemsize != 2:
        return
    if images.min() == _LOWEST and images.max() < _LOWEST // 2:
        raise UserError(
            f"{layout.name}: its values, from {_LOWEST} to {images.max()}, are no HU; 32768 looks taken off: "
            "--hu-offset 32768 reads it (offset_hu in a table), or 31768 if air is then 0 and water 1000"
        )


def _like_floats(images: NDArray[np.generic]) -> bool:
    with np.errstate(all="ignore"):
        largest = np.abs(images.astype(np.float64)).max()
    return bool(largest == 0.0 or _FLOAT_RANGE[0] < largest < _FLOAT_RANGE[1])


def _roughness(images: NDArray[np.generic]) -> float:
    """Mean difference of neighbours in a row."""
    return float(np.abs(np.diff(images.astype(np.float64), axis=2)).mean()) if images.shape[2] > 1 else 0.0


def _spread(images: NDArray[np.generic]) -> float:
    values = images.astype(np.float64)
    return float(values.max() - values.min())
