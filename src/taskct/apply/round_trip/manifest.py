"""The manifest of an export: which file holds which image. Blinded as the names are."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from taskct.apply.round_trip.blinding import IMAGE_NAME
from taskct.errors import UserError
from taskct.reading import read_text

MANIFEST = "manifest.csv"
ADVICE = "put back the one that was exported"


@dataclass(frozen=True)
class Row:
    """One image."""

    file: str
    """Relative to the folder of the manifest."""
    index: int
    """In the file, from 0."""
    image: str
    """Its name."""
    sha256: str
    """Of its pixels as they were written: HU as float32, little endian, row by row."""
    slope: float
    intercept: float
    """HU = slope × stored value + intercept."""
    sop_uid: str
    """SOPInstanceUID; empty where the format has none."""
    export: str
    """ID of the export."""


COLUMNS = tuple(field.name for field in fields(Row))
NEEDED = ("file", "index", "image")


def write_manifest(path: Path, rows: Sequence[Row]) -> None:
    """Write a manifest."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([getattr(row, column) for column in COLUMNS] for row in rows)


def read_manifest(path: Path) -> tuple[Mapping[tuple[str, int], str], str | None]:
    """Which image stands in which file at which place, and the ID of the export where one is named.

    Of its columns `file`, `index` and `image` are read, and `export` if it is there.

    Raises
    ------
    UserError
        If a column is missing, a value is none, or two rows are of one place.
    """
    lines = read_text(path, "a manifest", ADVICE).splitlines()
    try:
        table = list(csv.DictReader(lines, strict=True))
    except csv.Error as error:
        raise UserError(f"{path}: no table of comma-separated values; {ADVICE}") from error
    if not table or not set(NEEDED) <= set(table[0]):
        raise UserError(f"{path}: a manifest has the columns {', '.join(NEEDED)} and a row an image; {ADVICE}")
    places: dict[tuple[str, int], str] = {}
    for number, row in enumerate(table, start=2):
        file, index, image = (row[column] or "" for column in NEEDED)
        if not file or not index.isascii() or not index.isdigit() or len(index) > 9 or not IMAGE_NAME.fullmatch(image):
            raise UserError(f"{path}: line {number} names no file, place from 0 and image of an export; {ADVICE}")
        place = Path(file).as_posix(), int(index)
        if place in places:
            raise UserError(f"{path}: line {number} names place {index} of a file a second time; {ADVICE}")
        places[place] = image
    exports = {row.get("export") or "" for row in table}
    return places, exports.pop() if len(exports) == 1 else None
