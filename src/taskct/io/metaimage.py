"""Read MetaImage files, `.mhd` and `.mha`: a header of text, and words in the same file or in others.

The header is that of MetaIO (ITK). Its reader in SimpleITK 2.5.7 passes over the intensity slope and offset, and of a
pattern of files that counts down it gives memory that it has not filled; so the few lines of a header are read here.
"""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.io.raw_words import RawWords, WordLayout, data_files, files_in, read_words
from taskct.io.upright import Grid, upright
from taskct.reading import check_regular, reading

ENDINGS = (".mhd", ".mha")

_TYPES = {
    **{"MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4"},
    **{"MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8"},
    **{"MET_FLOAT": "f4", "MET_DOUBLE": "f8"},
}
"""Types of one number; MetaIO's LONG has 4 bytes on every machine."""
_UNIT_MM = {"um": 1e-3, "mm": 1.0, "cm": 10.0}
_MAX_HEADER = 2**20
_DATA = "ElementDataFile"


def read_metaimage(path: Path, name: str, words: RawWords | None = None) -> tuple[NDArray[np.float32], float | None]:
    """Read a stack of images, `(n, height, width)`, and their pixel size, mm; None where not told, or not square.

    A file of three dimensions is a stack along its third axis. Values are those of the intensity slope and offset.
    Where the header tells directions in the patient, images are turned as `taskct.io.upright` says.

    Parameters
    ----------
    path, name
        The header, and what messages call it.
    words
        What is known of the words better than the header says.

    Raises
    ------
    UserError
        As `read_words` does; for a header that is none, has no size or type, several channels, words as text, or a data
        file outside its folder.
    """
    check_regular(path, name)
    with reading(name, "a MetaImage file"), path.open("rb") as file:
        start = file.read(_MAX_HEADER)
    with reading(name, "a MetaImage file", "mend its header"):
        fields, rest, length = _fields(start, name)
        shape = _shape(fields, name)
        layout = _layout(path, name, fields, shape, rest, length)
        grid = _grid(fields, name)
    return upright(read_words(layout, words), grid)


def _fields(start: bytes, name: str) -> tuple[dict[str, str], list[str], int]:
    """Fields by name; lines behind the last one, which name data files; and bytes of the header."""
    fields: dict[str, str] = {}
    at = 0
    while _DATA not in fields:
        end = start.find(b"\n", at)
        line = start[at : len(start) if end < 0 else end].decode("latin-1")
        at = len(start) if end < 0 else end + 1
        key, mark, value = line.partition("=") if "=" in line else line.partition(":")
        if mark:
            fields[key.strip()] = value.strip()
        elif line.strip() or end < 0:
            raise UserError(f"{name}: no MetaImage header; its lines are KEY = VALUE, the last is {_DATA}")
    return fields, start[at:].decode("latin-1").split("\n"), at


def _layout(
    path: Path, name: str, fields: dict[str, str], shape: tuple[int, int, int], rest: list[str], length: int
) -> WordLayout:
    kind = fields.get("ElementType", "")
    if kind not in _TYPES:
        raise UserError(f"{name}: its ElementType is none of one number ({', '.join(_TYPES)}); save it as MET_FLOAT")
    if int(fields.get("ElementNumberOfChannels", "1")) != 1:
        raise UserError(f"{name} has several channels: give images of one number per pixel")
    if not _said(fields, ("BinaryData",), True, name):
        raise UserError(f"{name}: its words are text (BinaryData = False): save it as binary")
    big = _said(fields, ("BinaryDataByteOrderMSB", "ElementByteOrderMSB"), False, name)
    skip = int(fields.get("HeaderSize", "0"))
    slope = float(fields.get("ElementToIntensityFunctionSlope", "1"))
    offset = float(fields.get("ElementToIntensityFunctionOffset", "0"))
    if not math.isfinite(slope) or slope == 0.0 or not math.isfinite(offset) or skip < -1:
        raise UserError(f"{name}: its intensity slope, offset or HeaderSize cannot be; mend its header")
    where = fields[_DATA]
    files: tuple[Path, ...]
    if where.upper() in ("LOCAL", "LOCAL FILE"):
        files, skip = (path,), length
    elif where.split()[:1] == ["LIST"]:
        files = files_in(path.parent, [line.strip() for line in rest if line.strip()], shape[0], name)
    else:
        files = data_files(where, path.parent, shape[0], name)
    return WordLayout(
        name=name,
        files=files,
        shape=shape,
        dtype=np.dtype((">" if big else "<") + _TYPES[kind]),
        skip=skip,
        packing="zlib" if _said(fields, ("CompressedData",), False, name) else "",
        slope=slope,
        offset=offset,
    )


def _shape(fields: dict[str, str], name: str) -> tuple[int, int, int]:
    """Images, rows and columns."""
    sizes = [int(size) for size in fields.get("DimSize", "").split()]
    if len(sizes) != int(fields.get("NDims", "-1")):
        raise UserError(f"{name}: NDims and DimSize do not tell a size; mend its header")
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    if len(sizes) not in (2, 3) or min(sizes) < 1:
        raise UserError(f"{name} has {len(sizes)} dimensions, or one of no size: give an image, or one stack of them")
    width, height, n_images = (*sizes, 1)[:3]
    return n_images, height, width


def _said(fields: dict[str, str], keys: tuple[str, ...], default: bool, name: str) -> bool:
    """What a header says under one of several keys, yes or no."""
    words = {fields[key].lower() for key in keys if key in fields}
    said = {word in ("true", "1", "yes") for word in words}
    if not words <= {"true", "false", "1", "0", "yes", "no"} or len(said) > 1:
        raise UserError(f"{name}: {' and '.join(keys)} must say True or False, and the same; mend its header")
    return said.pop() if said else default


def _grid(fields: dict[str, str], name: str) -> Grid:
    """Sides of a pixel and directions of the axes, as far as the header tells them."""
    key = "ElementSpacing" if "ElementSpacing" in fields else "ElementSize"
    unit = fields.get("DistanceUnits", "mm").lower()
    if unit not in _UNIT_MM:
        raise UserError(f"{name}: its DistanceUnits are none of {', '.join(_UNIT_MM)}; mend its header")
    sides = tuple(_UNIT_MM[unit] * float(side) for side in fields[key].split()) if key in fields else None
    matrix = next((fields[k] for k in ("TransformMatrix", "Rotation", "Orientation") if k in fields), None)
    n = int(fields["NDims"])
    directions = None
    if matrix is not None:
        directions = np.array([float(number) for number in matrix.split()]).reshape(n, n)
    return Grid.of(sides, directions, name)
