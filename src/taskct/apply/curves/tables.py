"""Tables of scans, or of test statistics, by reconstruction, dose and rod."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from taskct.config.yaml_files import read_yaml
from taskct.errors import UserError
from taskct.files import read_truth_value
from taskct.io.csv_rows import check_delimiter, csv_rows
from taskct.io.raw_words import ByteOrder, RawWords
from taskct.literal import from_csv
from taskct.metrics.dose_areas import POOLED, DoseCell, DoseReading
from taskct.reading import read_text

_ROD = ("rod", "diameter_mm", "contrast_hu")
_WORDS = ("byte_order", "slope", "offset_hu")
_ORDERS: dict[str, ByteOrder | None] = {"little": "little", "big": "big", "": None}
_SCANS = ("reconstruction", "dose", "present", "absent", *_ROD, *_WORDS)
_SCORES = ("reconstruction", "dose", "signal_present", "score", "scan", *_ROD)
_LARGEST = 1e6
"""Of a dose, a diameter or a contrast in a table: what is larger is a slip."""
SIGNAL = "the signal"
"""What the rod is called where a table names none."""


@dataclass(frozen=True)
class RodSize:
    """How large a rod is, where that is known."""

    diameter_mm: float | None = None
    contrast_hu: float | None = None


@dataclass(frozen=True)
class ScanSet:
    """Scans of one reconstruction and dose: a line of a table."""

    line: int
    reconstruction: str
    dose: float
    rod: str
    present: Path
    """Images with the signal."""
    absent: Path | None
    """Images without it; None where regions without a signal are cut from the same scans."""
    words: RawWords | None = None
    """How their words are read where a header is wrong."""

    @property
    def cell(self) -> DoseCell:
        """Where its AUC belongs."""
        return DoseCell(self.reconstruction, self.dose, self.rod)


@dataclass(frozen=True)
class DoseTable:
    """What a table holds: scans to be read by an observer, or what one said of them already."""

    scans: tuple[ScanSet, ...] = ()
    readings: tuple[DoseReading, ...] = ()
    sizes: Mapping[str, RodSize] = field(default_factory=dict)
    """By rod."""
    notes: tuple[str, ...] = ()


def read_dose_table(path: Path) -> DoseTable:
    """Read a table of scans or of test statistics.

    Parameters
    ----------
    path
        A CSV table with a header, or YAML with a list of mappings below `scans`. Scans have the columns
        `reconstruction`, `dose` (above 0, in any one unit), `present` and `absent` (files or folders of images, from
        the folder of the table); test statistics have `reconstruction`, `dose`, `signal_present` (1 or 0), `score`
        (higher for present) and, if known, `scan`. Both may have `rod` (a name), `diameter_mm` and `contrast_hu`.
        Scans of MetaImage or NRRD whose headers are wrong may have `byte_order` (little or big), `slope` and
        `offset_hu`, as `RawWords` takes them.

    Raises
    ------
    UserError
        If a column is missing or misspelt, a value cannot be read, with its line, or a line stands twice.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a table with the columns {','.join(_SCANS[:4])}")
    rows = _yaml_rows(path) if path.suffix.lower() in (".yaml", ".yml") else _csv_rows(path)
    read = [(line, _Cells(path, line, cells)) for line, cells in rows]
    if not read:
        raise UserError(f"{path} has no lines below its header; give one for each reconstruction and dose")
    sizes = _sizes(path, [cells for _, cells in read])
    if "score" in read[0][1].values:
        readings, notes = _readings(path, read)
        return DoseTable((), readings, sizes, notes)
    return DoseTable(_scans(path, read), (), sizes)


class _Cells:
    """A line of the table, and how its values are read."""

    def __init__(self, path: Path, line: int, values: dict[str, str]) -> None:
        self.path, self.line, self.values = path, line, values

    def wrong(self, name: str, wanted: str) -> UserError:
        return UserError(f"{self.path}, line {self.line}: {name} is {self.values[name]!r}; give {wanted}")

    def text(self, name: str) -> str:
        if not (text := self.values[name]):
            raise self.wrong(name, "a name")
        return from_csv(text)

    def number(self, name: str, wanted: str) -> float:
        try:
            value = float(self.values[name])
        except ValueError:
            raise self.wrong(name, wanted) from None
        if not math.isfinite(value):
            raise self.wrong(name, wanted)
        return value

    def positive(self, name: str) -> float:
        wanted = f"a number above 0 and at most {_LARGEST:g}"
        value = self.number(name, wanted)
        if not 0.0 < value <= _LARGEST:
            raise self.wrong(name, wanted)
        return value

    @property
    def size(self) -> RodSize:
        diameter = self.positive("diameter_mm") if self.values.get("diameter_mm") else None
        contrast = None
        if self.values.get("contrast_hu"):
            contrast = self.number("contrast_hu", f"HU from -{_LARGEST:g} to {_LARGEST:g}, not 0")
            if not 0.0 < abs(contrast) <= _LARGEST:
                raise self.wrong("contrast_hu", f"HU from -{_LARGEST:g} to {_LARGEST:g}, not 0")
        return RodSize(diameter, contrast)

    @property
    def words(self) -> RawWords | None:
        if not any(self.values.get(name) for name in _WORDS):
            return None
        if (order := self.values.get("byte_order", "")) not in _ORDERS:
            raise self.wrong("byte_order", "little or big")
        numbers = [
            self.number(name, "a finite number") if self.values.get(name) else None for name in ("slope", "offset_hu")
        ]
        try:
            return RawWords(_ORDERS[order], *numbers)
        except UserError as error:
            raise UserError(f"{self.path}, line {self.line}: {error}") from None

    @property
    def rod(self) -> str:
        if self.values.get("rod"):
            if (name := self.text("rod")) == POOLED:
                raise self.wrong("rod", f"another name: {POOLED!r} is what their mean is called")
            return name
        return rod_name(self.size)


def rod_name(size: RodSize) -> str:
    """What a rod of a size is called.

    >>> rod_name(RodSize(3.0, 14.0)), rod_name(RodSize())
    ('3 mm, 14 HU', 'the signal')
    """
    parts = [(size.diameter_mm, "mm"), (size.contrast_hu, "HU")]
    return ", ".join(f"{value:g} {unit}" for value, unit in parts if value is not None) or SIGNAL


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    text = read_text(path, "a CSV table in UTF-8", f"save it as CSV UTF-8, with the columns {','.join(_SCANS[:4])}")
    table = csv_rows(path, text)
    line, columns = next(table, (1, []))
    check_delimiter(path, line, columns)
    _check_columns(f"{path}", columns)
    if len(set(columns)) < len(columns):
        raise UserError(f"{path}: a column stands twice in its header")
    for line, fields in table:
        if len(fields) != len(columns):
            raise UserError(
                f"{path}, line {line}: {len(fields)} fields; the header has {len(columns)}, and numbers a point"
            )
        yield line, dict(zip(columns, fields, strict=True))


def _yaml_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Entries of the list `scans` as lines with their number in it, every value as text."""
    tree = read_yaml(path)
    found = tree.get("scans")
    if set(tree) != {"scans"} or not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise UserError(f"{path}: give `scans:` and a list of entries, each with {', '.join(_SCANS[:4])}")
    columns = list(dict.fromkeys(str(name) for entry in found for name in entry))
    _check_columns(f"{path}", columns)
    for number, entry in enumerate(found, start=1):
        cells = {str(name): value for name, value in entry.items()}
        for name, value in cells.items():
            if isinstance(value, list | dict):
                raise UserError(f"{path}, entry {number}: {name} is a list; give one value")
        yield number, {name: "" if cells.get(name) is None else str(cells[name]) for name in columns}


def _check_columns(where: str, columns: list[str]) -> None:
    known = _SCORES if "score" in columns or "signal_present" in columns else _SCANS
    needed = known[:4] if known is _SCORES else known[:3]
    for name in needed:
        if name not in columns:
            raise UserError(f"{where}: no column {name!r} in its header; give {','.join(known[:4])} at least")
    for column in columns:  # others are the user's own, but a misspelt one would be lost without a word
        if column not in known and (meant := get_close_matches(column, known, n=1, cutoff=0.75)):
            raise UserError(
                f"{where}: a column is called {column!r}; if it is {meant[0]!r}, call it so, else rename it"
            )


def _sizes(path: Path, rows: list[_Cells]) -> dict[str, RodSize]:
    sizes: dict[str, RodSize] = {}
    for cells in rows:
        size = cells.size
        if sizes.setdefault(cells.rod, size) != size:
            raise UserError(
                f"{path}, line {cells.line}: rod {cells.rod!r} has another diameter or contrast than on a line before; "
                "give it a name of its own"
            )
    return sizes


def _scans(path: Path, rows: list[tuple[int, _Cells]]) -> tuple[ScanSet, ...]:
    found: dict[DoseCell, ScanSet] = {}
    for line, cells in rows:
        absent = cells.values.get("absent", "")
        one = ScanSet(
            line,
            cells.text("reconstruction"),
            cells.positive("dose"),
            cells.rod,
            path.parent / cells.text("present"),
            path.parent / from_csv(absent) if absent else None,
            cells.words,
        )
        if one.cell in found:
            raise UserError(
                f"{path}, line {line}: {one.reconstruction} at a dose of {one.dose:g} for {one.rod} stands on line "
                f"{found[one.cell].line} already"
            )
        found[one.cell] = one
    return tuple(found.values())


def _readings(path: Path, rows: list[tuple[int, _Cells]]) -> tuple[tuple[DoseReading, ...], tuple[str, ...]]:
    named = "scan" in rows[0][1].values
    of_cell: dict[DoseCell, tuple[list[float], list[float], list[str], list[str]]] = {}
    for _, cells in rows:
        cell = DoseCell(cells.text("reconstruction"), cells.positive("dose"), cells.rod)
        absent_t, present_t, absent_names, present_names = of_cell.setdefault(cell, ([], [], [], []))
        try:
            present = read_truth_value(cells.values["signal_present"])
        except ValueError:
            raise cells.wrong("signal_present", "1 (present) or 0 (absent)") from None
        scores, names = (present_t, present_names) if present else (absent_t, absent_names)
        kind = "present" if present else "absent"
        names.append(cells.text("scan") if named else f"{cell.dose:g} {kind} {len(scores)}")
        scores.append(cells.number("score", "a finite number"))
    readings = []
    for cell, (absent_t, present_t, absent_names, present_names) in of_cell.items():
        counted = len(set(present_names)), len(set(absent_names))
        if min(counted) < 2:
            raise UserError(
                f"{path}: {cell.reconstruction} at a dose of {cell.dose:g}, {cell.rod}: {counted[0]} scans with the "
                f"signal and {counted[1]} without; give at least 2 of each"
            )
        readings.append(DoseReading(cell, np.array(present_t), np.array(absent_t), present_names, absent_names))
    if named:
        return tuple(readings), ()
    note = "no column scan: the scans of each dose are paired across reconstructions and rods by the order of the lines"
    return tuple(readings), (note,)
