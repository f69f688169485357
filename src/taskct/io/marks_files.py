"""Read and write the marks of a reader study: a CSV table of lesions and of marks."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from taskct.errors import UserError
from taskct.files import whole_file
from taskct.io.csv_rows import check_delimiter, csv_rows
from taskct.io.ratings_files import TRUTH_READERS, check_names
from taskct.literal import csv_text, from_csv
from taskct.metrics.marks import NO_LESION, CaseReading, MarkStudy, PlacedMark, ScoredMark, TrueLesion
from taskct.reading import check_budget, read_text

_NAMES = ("reader", "case", "modality")
_PLACE = ("row_px", "column_px", "radius_px")
_BYTES_A_READING = 64  # a name is looked up, a truth value kept, and two highest ratings


def is_marks(path: Path) -> bool:
    r"""Whether a file is a table of marks, by its header: it has a rating, and a lesion or a place.

    False for what cannot be read, too; whoever reads it says why.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "marks.csv"
    ...     _ = path.write_text("reader,case,modality,lesion,rating\n")
    ...     is_marks(path)
    True
    """
    path = Path(path)
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    try:
        _, header = next(_rows(path), (1, []))
    except UserError:
        return False
    return {*_NAMES, "rating"} <= set(header) and ("lesion" in header or "row_px" in header)


def read_marks(path: Path) -> MarkStudy:
    """Read the marks of a study; modalities, readers and cases come in the order in which they first occur.

    The header names `reader,case,modality`, then `lesion` (what a mark hits) or `row_px,column_px,radius_px` (where it
    is), then `rating`; `weight` may be there; other columns are passed over. A line whose reader is `truth` (or -1) is
    of the truth: a lesion of a case, with its name, or its place and radius, and its weight; or a case without any
    lesion, with these cells empty. Any other line is a mark of a reader, with an empty lesion if it hits none; or, with
    lesion, place and rating empty, a case that the reader read without marking anything. Where no line says that,
    everybody counts as having read all cases in all modalities, and a note says so.

    Raises
    ------
    UserError
        If the file cannot be read, a column is missing or a line is wrong, with its number; if there are no marks, no
        truth of a case, or what `MarkStudy.of` or `of_places` refuses.
    """
    path = Path(path)
    rows = _rows(path)
    at_line, header = next(rows, (1, []))
    check_delimiter(path, at_line, header)
    placed = "row_px" in header
    for name in (*_NAMES, *(_PLACE if placed else ("lesion",)), "rating"):
        if header.count(name) != 1:
            raise UserError(
                f"{path}: the header must hold {name!r} once; give reader,case,modality,lesion,rating, or "
                "reader,case,modality,row_px,column_px,radius_px,rating"
            )
    table = _Table(path, placed)
    for number, fields in rows:
        if len(fields) != len(header):
            raise UserError(
                f"{path}, line {number}: {len(fields)} fields; the header has {len(header)}, and numbers a point"
            )
        table.add(number, dict(zip(header, fields, strict=True)))
    return table.study()


def write_marks(path: Path, study: MarkStudy) -> None:
    """Write marks as a CSV table with the names of lesions, whole or not at all; one that exists is replaced.

    Lesions are numbered within their case, from 1, and keep their weights. Ratings keep every digit. Names that a
    spreadsheet would take for a formula stand after an apostrophe, which `read_marks` takes away.

    Raises
    ------
    UserError
        If a name holds a comma, a quotation mark or a line break, or the file cannot be written.
    """
    check_names(study.readers, study.cases, study.modalities)
    try:
        with whole_file(Path(path)) as partial:
            partial.write_text("".join(f"{line}\n" for line in _lines(study)), encoding="utf-8", newline="\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); give a file in a folder that exists") from error


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    text = read_text(path, "a table of marks", "give a CSV table", or_latin_1=True)
    return csv_rows(path, text, in_one_line=True)


@dataclass
class _Table:
    """Truth and marks as they are read, line by line."""

    path: Path
    placed: bool
    cases: dict[str, int] = field(default_factory=dict)
    """Cases whose truth is known, with the line that said so."""
    lesions: list[TrueLesion] = field(default_factory=list)
    n_lesions: dict[str, int] = field(default_factory=dict)
    healthy: dict[str, int] = field(default_factory=dict)
    """Cases that were said to hold no lesion, with the line."""
    readings: dict[CaseReading, int] = field(default_factory=dict)
    marks: list[ScoredMark | PlacedMark] = field(default_factory=list)
    says_read: bool = False
    """Whether a line says that a case was read without a mark."""

    def add(self, line: int, cells: dict[str, str]) -> None:
        """Take a line."""
        reader, case, modality = (from_csv(cells[name]) for name in _NAMES)
        if not case:
            raise self._error(line, "the case is empty; give it a name")
        if reader.lower() in TRUTH_READERS:
            self._add_truth(line, case, cells)
            return
        for kind, name in (("reader", reader), ("modality", modality)):
            if not name:
                raise self._error(line, f"the {kind} is empty; give it a name")
        if self.placed and cells["radius_px"]:
            raise self._error(line, "a radius belongs to a lesion, not to a mark; leave it empty")
        reading = CaseReading(modality, reader, case)
        what = ("row_px", "column_px") if self.placed else ("lesion",)
        if not any(cells[name] for name in (*what, "rating")):
            self.says_read = True
            self.readings.setdefault(reading, line)
            return
        rating = self._number(line, "rating", cells["rating"])
        self.readings.setdefault(reading, line)
        if self.placed:
            row, column = (self._number(line, name, cells[name]) for name in what)
            self.marks.append(PlacedMark(modality, reader, case, row, column, rating))
        else:
            self.marks.append(ScoredMark(modality, reader, case, from_csv(cells["lesion"]) or None, rating))

    def _add_truth(self, line: int, case: str, cells: dict[str, str]) -> None:
        what = _PLACE if self.placed else ("lesion",)
        empty = not any(cells[name] for name in what)
        if case in self.cases and (empty or case in self.healthy):
            raise self._error(
                line, f"the truth of case {case!r} stands on line {self.cases[case]} already, with or without a lesion"
            )
        self.cases.setdefault(case, line)
        if empty:
            self.healthy[case] = line
            return
        weight = self._number(line, "weight", cells["weight"]) if cells.get("weight") else None
        if weight is not None and not weight > 0.0:
            raise self._error(line, f"the weight is {weight:g}; give a number above 0")
        if self.placed:
            row, column, radius = (self._number(line, name, cells[name]) for name in _PLACE)
            if radius < 0.0:
                raise self._error(line, f"the radius is {radius:g}; give at least 0, in pixels")
            self.n_lesions[case] = self.n_lesions.get(case, 0) + 1
            self.lesions.append(TrueLesion(case, str(self.n_lesions[case]), weight, row, column, radius))
        else:
            self.lesions.append(TrueLesion(case, from_csv(cells["lesion"]), weight))

    def study(self) -> MarkStudy:
        """All that was read."""
        if not self.readings:
            raise UserError(f"{self.path}: no reader's line in it; give lines with reader, case, modality and rating")
        for reading, line in self.readings.items():
            if reading.case not in self.cases:
                raise self._error(
                    line, f"case {reading.case!r} has no truth; give a line whose reader is `truth` for each case"
                )
        modalities, readers = (
            dict.fromkeys(names) for names in zip(*((r[0], r[1]) for r in self.readings), strict=True)
        )
        check_budget(self.path, _BYTES_A_READING * len(modalities) * len(readers) * len(self.cases))
        readings: Iterable[CaseReading] = self.readings
        if not self.says_read:
            readings = [CaseReading(m, r, case) for case in self.cases for r in readers for m in modalities]
        try:
            if self.placed:
                placed = [mark for mark in self.marks if isinstance(mark, PlacedMark)]
                study = MarkStudy.of_places(readings, self.lesions, placed)
            else:
                scored = [mark for mark in self.marks if isinstance(mark, ScoredMark)]
                study = MarkStudy.of(readings, self.lesions, scored)
        except UserError as error:
            raise UserError(f"{self.path}: {error}") from error
        notes = []
        if not self.says_read:
            notes.append(
                "no line says that a case was read without a mark, so everybody counts as having read all cases in all "
                "modalities"
            )
        if unread := len(self.cases) - len(study.cases):
            notes.append(f"left out, since nobody read them: {unread} cases")
        return replace(study, notes=tuple(notes))

    def _number(self, line: int, name: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or "_" in text:
            raise self._error(line, f"{name} is {text!r}; give a finite number with a decimal point")
        return value

    def _error(self, line: int, message: str) -> UserError:
        return UserError(f"{self.path}, line {line}: {message}")


def _lines(study: MarkStudy) -> Iterator[str]:
    """The table, line by line."""
    yield "reader,case,modality,lesion,rating,weight"
    number: dict[int, int] = {}
    name_of: list[str] = []
    for case in study.lesion_case.tolist():
        number[case] = number.get(case, 0) + 1
        name_of.append(str(number[case]))
    for case, name in enumerate(study.cases):
        if case not in number:
            yield f"truth,{csv_text(name)},,,,"
    for lesion, case in enumerate(study.lesion_case.tolist()):
        yield f"truth,{csv_text(study.cases[case])},,{name_of[lesion]},,{float(study.lesion_weight[lesion])!r}"
    marked = {tuple(row) for row in study.mark_at[:, :3].tolist()}
    for m, r, c in zip(*study.read.nonzero(), strict=True):
        if (m, r, c) not in marked:
            yield f"{csv_text(study.readers[r])},{csv_text(study.cases[c])},{csv_text(study.modalities[m])},,,"
    for (m, r, c, lesion), rating in zip(study.mark_at.tolist(), study.mark_rating.tolist(), strict=True):
        hit = "" if lesion == NO_LESION else name_of[lesion]
        names = csv_text(study.readers[r]), csv_text(study.cases[c]), csv_text(study.modalities[m])
        yield f"{','.join(names)},{hit},{rating!r},"
