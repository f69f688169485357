"""Read NRRD files, `.nrrd` and `.nhdr`: headers by pynrrd, and words in the same file or in others.

pynrrd opens whatever file a header names, unpacks without a limit and knows no lists or patterns of files, so words are
read by `taskct.io.raw_words`. SimpleITK 2.5.7 gives a spacing of 1 where a header tells the ends of the axes, and takes
every unit of space for mm.
"""

import math
import warnings
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.io.raw_words import Packing, RawWords, WordLayout, data_files, files_in, read_words
from taskct.io.upright import Grid, upright
from taskct.reading import check_regular, reading

ENDINGS = (".nrrd", ".nhdr")

_TYPES = {
    name: code
    for code, names in {
        "i1": "signed char, int8, int8_t",
        "u1": "uchar, unsigned char, uint8, uint8_t",
        "i2": "short, short int, signed short, signed short int, int16, int16_t",
        "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
        "i4": "int, signed int, int32, int32_t",
        "u4": "uint, unsigned int, uint32, uint32_t",
        "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t",
        "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
        "f4": "float",
        "f8": "double",
    }.items()
    for name in names.split(", ")
}
_PACKINGS: dict[str, Packing] = {"raw": "", "gzip": "zlib", "gz": "zlib", "bzip2": "bzip2", "bz2": "bzip2"}
_UNIT_MM = {"um": 1e-3, "µm": 1e-3, "micron": 1e-3, "mm": 1.0, "cm": 10.0, "m": 1000.0}
_MM_SAID = ("", "???", "none", "mm")
_OF_SPACE = ("domain", "space", "none", "???")
_SPACES = {
    "left-posterior-superior": (1.0, 1.0, 1.0),
    "left-anterior-superior": (1.0, -1.0, 1.0),
    "right-anterior-superior": (-1.0, -1.0, 1.0),
    **{"LPS": (1.0, 1.0, 1.0), "LAS": (1.0, -1.0, 1.0), "RAS": (-1.0, -1.0, 1.0)},
}
"""Signs that make directions those to the left, to the back and to the head."""
_MAX_HEADER = 2**20


def read_nrrd(path: Path, name: str, words: RawWords | None = None) -> tuple[NDArray[np.float32], float | None]:
    """Read a stack of images, `(n, height, width)`, and their pixel size, mm; None where not told, or not square.

    A file of three dimensions is a stack along its third axis. The pixel size is that of the space directions, the
    spacings, or the ends of the axes, in their unit. Where the header tells directions in the patient, images are
    turned as `taskct.io.upright` says.

    Parameters
    ----------
    path, name
        The header, and what messages call it.
    words
        What is known of the words better than the header says.

    Raises
    ------
    UserError
        As `read_words` does; for a header that is none, has no size or type, channels, values quantized from a range
        (`old min`), an encoding other than raw, gzip or bzip2, or a data file outside its folder.
    """
    check_regular(path, name)
    with reading(name, "a NRRD file"), path.open("rb") as file:
        start = file.read(_MAX_HEADER)
    with reading(name, "a NRRD file", "mend its header"), warnings.catch_warnings(action="ignore"):
        fields, listed, length = _fields(start, name)
        layout = _layout(path, name, fields, listed, length, words or RawWords())
        grid = _grid(fields, name)
    return upright(read_words(layout, words), grid)


def _fields(start: bytes, name: str) -> tuple[dict[str, Any], list[str] | None, int]:
    """Fields by name, values as pynrrd has them; data files that are listed behind them; and bytes of the header."""
    lines: list[str] = []
    at = 0
    while True:
        end = start.find(b"\n", at)
        line = start[at : len(start) if end < 0 else end].decode("latin-1").rstrip("\r")
        at = len(start) if end < 0 else end + 1
        key, _, value = line.partition(":")
        if not line:
            break
        lines.append(line)
        if key.replace(" ", "") == "datafile" and value.split()[:1] == ["LIST"]:
            rest = start[at:].decode("latin-1").splitlines()
            return dict(nrrd.read_header(lines)), [line.strip() for line in rest if line.strip()], at
        if end < 0:
            break
    if not lines or not lines[0].startswith("NRRD"):
        raise UserError(f"{name}: no NRRD header; its first line is NRRD0001 to NRRD0005")
    return dict(nrrd.read_header(lines)), None, at


def _layout(
    path: Path, name: str, fields: dict[str, Any], listed: list[str] | None, length: int, words: RawWords
) -> WordLayout:
    sizes = [int(size) for size in fields["sizes"]]
    if len(sizes) != fields["dimension"]:
        raise UserError(f"{name}: dimension and sizes do not agree; mend its header")
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    if len(sizes) not in (2, 3) or min(sizes) < 1:
        raise UserError(f"{name} has {len(sizes)} dimensions, or one of no size: give an image, or one stack of them")
    if not all(kind in _OF_SPACE for kind in fields.get("kinds", ())[:2]):
        raise UserError(f"{name} has several channels, or other first axes than those of space: give one channel")
    width, height, n_images = (*sizes, 1)[:3]
    if (kind := fields["type"]) not in _TYPES:
        raise UserError(f"{name}: its type is none of one number; save it as float")
    if (encoding := str(fields["encoding"]).lower()) not in _PACKINGS:
        raise UserError(f"{name}: its encoding is none of {', '.join(_PACKINGS)}; save it as raw or gzip")
    quantized = any(key.replace(" ", "") in ("oldmin", "oldmax") for key in fields)
    if quantized and words.slope is None and words.offset is None:
        raise UserError(
            f"{name}: its values were quantized from another range (old min, old max): save it in HU, or give "
            "--hu-slope and --hu-offset"
        )
    dtype = np.dtype(_TYPES[kind])
    endian = fields.get("endian", words.byte_order if dtype.itemsize > 1 else "little")
    if endian not in ("little", "big"):
        raise UserError(f"{name}: it tells no byte order (endian): give --byte-order little or big")
    if fields.get("line skip", fields.get("lineskip", 0)):
        raise UserError(f"{name}: words behind lines of text (line skip) are not read; save it as one file")
    skip = int(fields.get("byte skip", fields.get("byteskip", 0)))
    where = fields.get("data file", fields.get("datafile"))
    packing = _PACKINGS[encoding]
    if skip < -1 or (skip and packing):
        raise UserError(f"{name}: a byte skip of {skip} is not read, or not of packed words; save it as one file")
    if listed is not None:
        files = files_in(path.parent, listed, n_images, name)
    elif where is not None:
        files = data_files(_without_subdim(where), path.parent, n_images, name)
    else:
        files, skip = (path,), length + skip if skip >= 0 else skip
    return WordLayout(
        name=name,
        files=files,
        shape=(n_images, height, width),
        dtype=dtype.newbyteorder("<" if endian == "little" else ">"),
        skip=skip,
        packing=packing,
    )


def _without_subdim(text: str) -> str:
    """A pattern of data files without the dimensions of each, which their sizes tell as well."""
    parts = text.split()
    return " ".join(parts[:4]) if len(parts) == 5 and "%" in parts[0] else text


def _grid(fields: dict[str, Any], name: str) -> Grid:
    """Sides of a pixel and directions of the axes, as far as the header tells them."""
    if "space directions" in fields:
        directions = np.array([[math.nan] * 3 if row is None else row for row in fields["space directions"]])[:2]
        if np.isnan(directions).any():
            return Grid(None, None)
        units = fields.get("space units", ())
        scale = [_mm(unit) for unit in units] or [1.0]
        sides = None
        if None not in scale:
            sides = np.linalg.norm(directions * np.array((scale * 3)[: directions.shape[1]]), axis=1)
        signs = _SPACES.get(str(fields.get("space", "")).removesuffix("-time"))
        known = signs is not None and directions.shape[1] == 3
        return Grid.of(sides, directions * np.array(signs) if known else None, name)
    spacings = fields.get("spacings")
    mins, maxs = (fields.get(f"axis {end}", fields.get(f"axis{end}")) for end in ("mins", "maxs"))
    if spacings is None and (mins is None or maxs is None):
        return Grid(None, None)
    if spacings is None:
        centres = fields.get("centerings", fields.get("centers", ()))
        centres = centres.split() if isinstance(centres, str) else centres
        less = [1 if centre == "node" else 0 for centre in (*centres, "cell", "cell")[:2]]
        spacings = (np.asarray(maxs) - np.asarray(mins))[:2] / (np.asarray(fields["sizes"])[:2] - less)
    scale = [_mm(unit) for unit in fields.get("units", ())[:2]] or [1.0, 1.0]
    if None in scale or not np.isfinite(spacings[:2]).all():
        return Grid(None, None)
    return Grid.of([abs(side) * unit for side, unit in zip(spacings[:2], scale, strict=True)], None, name)


def _mm(unit: str) -> float | None:
    """Length of a unit, mm; None for one that is no length."""
    return 1.0 if unit.strip().lower() in _MM_SAID else _UNIT_MM.get(unit.strip().lower())
