"""How often people were right, by condition: what an observer is fitted to."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from taskct.errors import UserError
from taskct.io.csv_rows import check_delimiter, csv_rows
from taskct.literal import from_csv
from taskct.metrics.reader_counts import ReaderCounts, hanley_mcneil_pairs
from taskct.reading import read_text, sha256_of

_CHOICES = ("n_trials", "n_correct")
_AREAS = ("auc", "n_present", "n_absent")
_ABOUT = ("size_mm", "contrast_hu", "arm")
_IMAGES = ("present", "absent")
_KNOWN = ("condition", "reader", *_CHOICES, *_AREAS, *_ABOUT, *_IMAGES)
_MOST = 10**7
"""Trials of a reader in a condition; more is a slip."""
_ADVICE = "a table with the columns condition,reader,n_trials,n_correct,present,absent"


@dataclass(frozen=True)
class Condition:
    """What people read: one task in images of one kind."""

    name: str
    size_mm: float | None = None
    contrast_hu: float | None = None
    arm: str = ""
    """Kind of images, such as a denoiser; empty where it is not told."""


@dataclass(frozen=True)
class People:
    """How often readers were right."""

    conditions: tuple[Condition, ...]
    readers: tuple[str, ...]
    counts: ReaderCounts
    """In the order of readers and conditions."""
    from_areas: bool
    """Whether the proportions are AUCs, as those of a choice between two images."""
    about: Mapping[str, object]
    """Where they came from: source, and digest of what was read."""


@dataclass(frozen=True)
class ConditionTable:
    """A table of people, and where the images of each condition lie."""

    people: People
    images: tuple[tuple[Path, Path], ...]
    """Files or folders with and without the signal, in the order of the conditions."""


def read_conditions(path: Path, n_alternatives: int) -> ConditionTable:
    """Read how often readers were right from a table.

    Parameters
    ----------
    path
        CSV with a header, a line for each reader and condition: `condition`, `reader`, and either `n_trials` with
        `n_correct` or `auc` with `n_present` and `n_absent`; `present` and `absent`, files or folders of the
        condition's images, from the folder of the table, on one of its lines or on all. There may be `size_mm` (mm),
        `contrast_hu` (HU) and `arm`, by which readers and the observer are compared.
    n_alternatives
        Images that a reader chose from; not used for AUCs.

    Raises
    ------
    UserError
        If a column is missing or unknown, a value cannot be read, with its line, a line stands twice, or the lines of a
        condition say different things.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; give {_ADVICE}")
    rows = [_Line(path, line, values) for line, values in _lines(path)]
    if not rows:
        raise UserError(f"{path} has no lines below its header; give one for each reader and condition")
    areas = "auc" in rows[0].values
    conditions, readers = (tuple(dict.fromkeys(row.text(name) for row in rows)) for name in ("condition", "reader"))
    n, k = (np.zeros((len(readers), len(conditions))) for _ in range(2))
    for row in rows:
        at = readers.index(row.text("reader")), conditions.index(row.text("condition"))
        if n[at] > 0.0:
            raise row.error("this reader and condition stand on an earlier line: give them once")
        n[at], k[at] = row.area() if areas else row.choices()
    about = [_one([row for row in rows if row.text("condition") == name]) for name in conditions]
    counts = ReaderCounts(n, k, 2 if areas else n_alternatives)
    source: dict[str, object] = {"source": path.name, "sha256": sha256_of(path)}
    people = People(tuple(one for one, _ in about), readers, counts, areas, source)
    return ConditionTable(people, tuple(images for _, images in about))


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    table = csv_rows(path, read_text(path, "a CSV table in UTF-8", f"save it as CSV UTF-8: {_ADVICE}"))
    line, columns = next(table, (1, []))
    check_delimiter(path, line, columns)
    if len(set(columns)) < len(columns):
        raise UserError(f"{path}: a column stands twice in its header")
    if unknown := [name for name in columns if name not in _KNOWN]:
        raise UserError(f"{path}: unknown column {unknown[0]!r}; known are {', '.join(_KNOWN)}")
    kinds = [kind for kind in (_CHOICES, _AREAS) if set(kind) & set(columns)]
    if len(kinds) != 1:
        raise UserError(f"{path}: give either the columns {','.join(_CHOICES)} or {','.join(_AREAS)}")
    if missing := [name for name in ("condition", "reader", *kinds[0], *_IMAGES) if name not in columns]:
        raise UserError(f"{path}: the column {missing[0]!r} is missing; give {_ADVICE}")
    for line, fields in table:
        if len(fields) != len(columns):
            raise UserError(f"{path}, line {line}: {len(fields)} fields; the header has {len(columns)}")
        yield line, dict(zip(columns, fields, strict=True))


class _Line:
    """A line of the table, and how its values are read."""

    def __init__(self, path: Path, line: int, values: dict[str, str]) -> None:
        self.path, self.line, self.values = path, line, values

    def error(self, what: str) -> UserError:
        return UserError(f"{self.path}, line {self.line}: {what}")

    def text(self, name: str) -> str:
        if not (text := from_csv(self.values[name])):
            raise self.error(f"{name} is empty; give a name")
        return text

    def number(self, name: str, low: float, high: float, *, whole: bool = False) -> float:
        kind = "a whole number" if whole else "a number"
        wrong = self.error(f"{name} is {self.values[name]!r}; give {kind} from {low:g} to {high:g}")
        try:
            value = float(self.values[name])
        except ValueError:
            raise wrong from None
        if not (math.isfinite(value) and low <= value <= high) or (whole and value != round(value)):
            raise wrong
        return value

    def choices(self) -> tuple[float, float]:
        n = self.number("n_trials", 1, _MOST, whole=True)
        return n, self.number("n_correct", 0, n, whole=True)

    def area(self) -> tuple[float, float]:
        area = self.number("auc", 0.0, 1.0)
        present, absent = (int(self.number(name, 2, _MOST, whole=True)) for name in ("n_present", "n_absent"))
        pairs = hanley_mcneil_pairs(area, present, absent)
        return pairs, area * pairs

    def about(self, name: str) -> float | None:
        if not self.values.get(name):
            return None
        return self.number(name, 0.0 if name == "size_mm" else -1e6, 1e6)


def _one(rows: Sequence[_Line]) -> tuple[Condition, tuple[Path, Path]]:
    """What the lines of one condition say of it; what a line leaves empty another may tell."""
    told: dict[str, str] = {}
    for name in (*_ABOUT, *_IMAGES):
        said = dict.fromkeys(row.values[name] for row in rows if row.values.get(name))
        if len(said) > 1:
            raise rows[0].error(f"the lines of condition {rows[0].text('condition')!r} name more than one {name}")
        told[name] = next(iter(said), "")
    if empty := [name for name in _IMAGES if not told[name]]:
        raise rows[0].error(f"no line of condition {rows[0].text('condition')!r} names its {empty[0]} images")
    first = {name: next((row.about(name) for row in rows if row.values.get(name)), None) for name in _ABOUT[:2]}
    condition = Condition(rows[0].text("condition"), first["size_mm"], first["contrast_hu"], from_csv(told["arm"]))
    folder = rows[0].path.parent
    return condition, (folder / told["present"], folder / told["absent"])
