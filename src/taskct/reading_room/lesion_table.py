"""Read where the signals of images are from a CSV table, a line for each signal; an image may hold several."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from taskct.errors import UserError
from taskct.io.csv_rows import check_delimiter, csv_rows
from taskct.literal import from_csv
from taskct.reading import read_text
from taskct.reading_room.key import Lesion

NEEDED = ("image", "row_px", "column_px")
MORE = ("diameter_mm", "contrast_hu")

MAX_GROUPS = 6
"""Kinds of signals that are compared with one another; of more, each would hold too few cases."""


def read_lesions(path: Path, names: Sequence[str], shape: tuple[int, int]) -> dict[str, tuple[Lesion, ...]]:
    """Signals of images, by the image's name.

    Parameters
    ----------
    path
        CSV with the columns `image`, `row_px` and `column_px`, and maybe `diameter_mm` and `contrast_hu`.
    names
        Of the images that hold signals.
    shape
        Height and width of an image, pixels.

    Raises
    ------
    UserError
        If a column is missing or unknown, a value cannot be read (with its line), an image is none of these, or a
        place lies outside its image.
    """
    text = read_text(path, "a CSV table in UTF-8", "save it as CSV UTF-8, with the columns image,row_px,column_px")
    table = csv_rows(path, text)
    at, columns = next(table, (1, []))
    check_delimiter(path, at, columns)
    if missing := [name for name in NEEDED if name not in columns]:
        raise UserError(f"{path}: no column {missing[0]!r} in its header; give {','.join(NEEDED)} at least")
    if strange := [name for name in columns if name not in NEEDED + MORE or columns.count(name) > 1]:
        raise UserError(f"{path}: a column {strange[0]!r}; give {','.join(NEEDED + MORE)}, each once")
    found: dict[str, list[Lesion]] = {}
    for line, fields in table:
        if len(fields) != len(columns):
            raise UserError(f"{path}, line {line}: {len(fields)} fields; the header has {len(columns)}")
        cells = dict(zip(columns, fields, strict=True))
        image = cells["image"] if cells["image"] in names else from_csv(cells["image"])
        if image not in names:
            raise UserError(f"{path}, line {line}: no image {image!r} that holds a signal; the first is {names[0]!r}")
        found.setdefault(image, []).append(_lesion(f"{path}, line {line}", cells, shape))
    return {image: tuple(lesions) for image, lesions in found.items()}


def _lesion(where: str, cells: Mapping[str, str], shape: tuple[int, int]) -> Lesion:
    values = {}
    for name in (*NEEDED[1:], *MORE):
        if name not in cells or (name in MORE and not cells[name]):
            continue
        try:
            value = float(cells[name])
        except ValueError:
            value = np.nan
        if not np.isfinite(value) or (name == "diameter_mm" and not 0.0 < value < 1e4):
            raise UserError(f"{where}: {name} is {cells[name]!r}; give a number in {name.rpartition('_')[2]}")
        values[name] = value
    for name, side in zip(NEEDED[1:], shape, strict=True):
        if not -0.5 <= values[name] <= side - 0.5:
            raise UserError(f"{where}: {name} is {values[name]:g}; it must lie in the image, from 0 to {side - 1}")
    return Lesion(**values)


def groups_of(lesions: Sequence[tuple[Lesion, ...]]) -> tuple[str, ...]:
    """The kind of signal of each case by size and contrast, where there are a few kinds; else empty.

    >>> groups_of([(Lesion(1.0, 1.0, 5.0, 20.0),), (Lesion(1.0, 1.0, 8.0, 20.0),), ()])
    ('5 mm, 20 HU', '8 mm, 20 HU', '')
    """
    words = []
    for of_case in lesions:
        kinds = {(one.diameter_mm, one.contrast_hu) for one in of_case}
        size, contrast = kinds.pop() if len(kinds) == 1 else (None, None)
        told = [f"{size:g} mm"] if size is not None else []
        told += [f"{contrast:g} HU"] if contrast is not None else []
        words.append(", ".join(told))
    holding = [word for word, of_case in zip(words, lesions, strict=True) if of_case]
    if not all(holding) or not 2 <= len(set(holding)) <= MAX_GROUPS:
        return ("",) * len(words)
    return tuple(words)
