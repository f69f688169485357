"""Read and write the ratings of a reader study: `.imrmc` files as FDA's iMRMC has them, and CSV."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.files import read_truth_value, whole_file
from taskct.io.cluster_files import numbered
from taskct.io.csv_rows import check_delimiter, csv_rows
from taskct.literal import csv_text, from_csv
from taskct.metrics.mrmc.ratings import Ratings
from taskct.reading import check_budget, read_text

_BEGIN = re.compile(r'\s*"?\s*begin\s+data\s*:\s*"?[\s,]*', re.IGNORECASE)
_COUNT = re.compile(r'\s*"?\s*(NR|N0|N1|NM)\s*:\s*([^,"]*?)\s*"?[\s,]*', re.IGNORECASE)
TRUTH_READERS = ("-1", "truth")
_COLUMNS = ("reader", "case", "modality", "signal_present", "score")
_CLUSTER = "cluster"


def read_imrmc(path: Path) -> Ratings:
    """Read an `.imrmc` file.

    Free text comes first, then a line `BEGIN DATA:`, then one line for each rating, `reader,case,modality,score`, and
    one for the truth of each case, whose reader is -1 (or `truth`), whose modality does not matter and whose score is 1
    (signal present) or 0. Counts in the free text (`NR: 5`) are passed over, since what is there is counted;
    `header_notes` holds them against it. As in iMRMC, names that differ in white space alone are the same: `reader 1`
    is `reader1`. Modalities, readers and cases come in the order in which they first occur.

    Raises
    ------
    UserError
        If the file cannot be read or a line is wrong, with its number; if a class of cases or all ratings are missing.
    """
    path = Path(path)
    lines = _lines(path)
    begin = next((index for index, line in enumerate(lines) if _BEGIN.fullmatch(line)), None)
    if begin is None:
        raise UserError(f"{path}: no line `BEGIN DATA:`; put one before the rows reader,case,modality,score")
    table, spelling = _Table(path), dict[str, str]()
    for number, fields in csv_rows(path, "\n".join(lines[begin + 1 :]), first=begin + 2, in_one_line=True):
        if len(fields) != 4:
            check_delimiter(path, number, fields)
            raise UserError(
                f"{path}, line {number}: {len(fields)} fields; give 4 with commas between, and a point in the score: "
                "reader,case,modality,score"
            )
        # Names that differ in white space alone are one; it keeps the spelling that came first.
        reader, case, modality = (spelling.setdefault("".join(text.split()), text) for text in fields[:3])
        score = fields[3]
        if reader.lower() not in TRUTH_READERS:
            table.add_rating(number, reader, case, modality, score)
        else:
            table.add_truth(number, case, score)
    return table.ratings("give each case a line -1,CASE,0,TRUTH with 1 (signal present) or 0")


def header_notes(path: Path, ratings: Ratings) -> tuple[str, ...]:
    """Where the counts at the top of an `.imrmc` file disagree with what `read_imrmc` counted, which is used.

    A note for each of NR (readers), N0 and N1 (signal-absent and -present cases, those that nobody rated too) and NM
    (modalities) that is given and is not what was counted.
    """
    n_present = int(ratings.signal_present.sum())
    counted = {
        "NR": (len(ratings.readers), "readers"),
        "N0": (len(ratings.cases) - n_present, "signal-absent cases"),
        "N1": (n_present, "signal-present cases"),
        "NM": (len(ratings.modalities), "modalities"),
    }
    notes = []
    for line in takewhile(lambda line: not _BEGIN.fullmatch(line), _lines(Path(path))):
        if not (found := _COUNT.fullmatch(line)):
            continue
        name, given = found[1].upper(), found[2]
        number, kind = counted[name]
        if not (given.isascii() and given.isdigit() and int(given) == number):
            notes.append(f"the top of the file says {name}: {given or 'nothing'}, but it holds {number} {kind}")
    return tuple(notes)


def write_imrmc(path: Path, ratings: Ratings, *, description: str = "") -> None:
    """Write an `.imrmc` file, whole or not at all; one that exists is replaced.

    Missing ratings have no line, scores keep every digit; the description is free text for the top of the file.

    Raises
    ------
    UserError
        If a name or the description cannot be told apart from the format, or the file cannot be written.
    """
    check_names(ratings.readers, ratings.cases, ratings.modalities)
    if any(_BEGIN.fullmatch(line) for line in description.splitlines()):
        raise UserError("the description holds a line `BEGIN DATA:`, where the data would seem to begin")
    n_present = int(ratings.signal_present.sum())
    header = [
        *description.splitlines(),
        f"NR: {len(ratings.readers)}",
        f"N0: {len(ratings.cases) - n_present}",
        f"N1: {n_present}",
        f"NM: {len(ratings.modalities)}",
        "BEGIN DATA:",
    ]
    truth = (f"-1,{case},0,{int(present)}" for case, present in zip(ratings.cases, ratings.signal_present, strict=True))
    rows = (f"{reader},{case},{modality},{score!r}" for reader, case, modality, _, score in _each(ratings))
    _write_lines(path, [*header, *truth, *rows])


def read_ratings_csv(path: Path) -> Ratings:
    """Read ratings from a CSV table; modalities, readers and cases come in the order in which they first occur.

    The header names reader, case, modality, signal_present (1 or 0) and score; other columns are passed over.

    Raises
    ------
    UserError
        If the file cannot be read, a column is missing or a line is wrong, with its number; if a class of cases or all
        ratings are missing.
    """
    return read_clustered_ratings(path)[0]


def read_clustered_ratings(path: Path) -> tuple[Ratings, NDArray[np.intp] | None]:
    """Read ratings from a CSV table as `read_ratings_csv`, with the cluster of each case if there is such a column.

    Clusters are numbers from 0, `(n_cases,)`; None without a column `cluster`. A UserError too, if a case has two
    clusters or none, or all cases are of one.
    """
    path = Path(path)
    rows = csv_rows(path, "\n".join(_lines(path)), in_one_line=True)
    at_line, header = next(rows, (1, []))
    check_delimiter(path, at_line, header)
    missing = [column for column in _COLUMNS if header.count(column) != 1]
    if missing:
        raise UserError(f"{path}: the header must hold {missing[0]!r} once; give {','.join(_COLUMNS)}")
    if header.count(_CLUSTER) > 1:
        raise UserError(f"{path}: the header holds {_CLUSTER!r} twice; give it once, or not at all")
    at = [header.index(column) for column in _COLUMNS]
    cluster_at = header.index(_CLUSTER) if _CLUSTER in header else None
    table = _Table(path)
    for number, fields in rows:
        if len(fields) != len(header):
            raise UserError(
                f"{path}, line {number}: {len(fields)} fields; the header has {len(header)}, and numbers a point"
            )
        reader, case, modality = (from_csv(fields[index]) for index in at[:3])
        present, score = (fields[index] for index in at[3:])
        table.add_truth(number, case, present, again=True)
        table.add_rating(number, reader, case, modality, score)
        if cluster_at is not None:
            table.add_cluster(number, case, from_csv(fields[cluster_at]))
    ratings = table.ratings("give lines with signal_present 1 and with 0")
    if cluster_at is None:
        return ratings, None
    return ratings, numbered(path, [table.clusters[case][0] for case in ratings.cases])


def write_ratings_csv(path: Path, ratings: Ratings, *, clusters: NDArray[np.intp] | None = None) -> None:
    """Write ratings as a CSV table, whole or not at all; one that exists is replaced.

    Missing ratings have no line, so that a case nobody rated is left out. Scores keep every digit. A name that a
    spreadsheet would take for a formula (`=`, `+`, `-`, `@` at its beginning) stands after an apostrophe, which
    `read_ratings_csv` takes away. Clusters of cases, `(n_cases,)`, go into a column of their own.

    Raises
    ------
    UserError
        If a name holds a comma, a quotation mark or a line break, or the file cannot be written.
    """
    check_names(ratings.readers, ratings.cases, ratings.modalities)
    ends = [""] * len(ratings.cases) if clusters is None else [f",{number}" for number in clusters.tolist()]
    of_case = dict(zip(ratings.cases, ends, strict=True))
    rows = (
        f"{csv_text(reader)},{csv_text(case)},{csv_text(modality)},{int(present)},{score!r}{of_case[case]}"
        for reader, case, modality, present, score in _each(ratings)
    )
    _write_lines(path, [",".join(_COLUMNS if clusters is None else (*_COLUMNS, _CLUSTER)), *rows])


@dataclass
class _Table:
    """Ratings and truth as they are read, line by line."""

    path: Path
    truth: dict[str, tuple[bool, int]] = field(default_factory=dict)
    """Of each case, with the line that said so."""
    scores: dict[tuple[str, str, str], tuple[float, int]] = field(default_factory=dict)
    """By modality, reader and case, with the line."""
    clusters: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Of each case, with the line that said so."""

    def add_truth(self, line: int, case: str, text: str, *, again: bool = False) -> None:
        """Take the truth of a case; with `again` it may be repeated if it is the same."""
        self._check_named(line, case=case)
        try:
            present = read_truth_value(text)
        except ValueError:
            message = f"the truth of case {case!r} is {text!r}; give 1 (signal present) or 0 (absent)"
            raise self._error(line, message) from None
        if case in self.truth:
            earlier, at = self.truth[case]
            if not again:
                raise self._error(line, f"the truth of case {case!r} stands on line {at} already; give it once")
            if earlier != present:
                raise self._error(
                    line, f"case {case!r} has another signal_present than on line {at}; give it one truth"
                )
            return
        self.truth[case] = (present, line)

    def add_cluster(self, line: int, case: str, cluster: str) -> None:
        """Take the cluster of a case; it may be repeated if it is the same."""
        self._check_named(line, cluster=cluster)
        earlier, at = self.clusters.setdefault(case, (cluster, line))
        if earlier != cluster:
            raise self._error(line, f"case {case!r} has another cluster than on line {at}; give it one")

    def add_rating(self, line: int, reader: str, case: str, modality: str, text: str) -> None:
        """Take a rating."""
        self._check_named(line, reader=reader, case=case, modality=modality)
        try:
            score = float(text)
        except ValueError:
            score = math.nan
        if not math.isfinite(score) or "_" in text:
            raise self._error(line, f"the score is {text!r}; give a finite number with a decimal point")
        key = (modality, reader, case)
        if key in self.scores:
            raise self._error(
                line,
                f"reader {reader!r} rated case {case!r} in modality {modality!r} on line {self.scores[key][1]} "
                "already; give one rating",
            )
        self.scores[key] = (score, line)

    def _check_named(self, line: int, **names: str) -> None:
        for kind, name in names.items():
            if not name:
                raise self._error(line, f"the {kind} is empty; give it a name")

    def _error(self, line: int, message: str) -> UserError:
        return UserError(f"{self.path}, line {line}: {message}")

    def ratings(self, advice: str) -> Ratings:
        """All that was read; `advice` says how truth is given."""
        if not self.scores:
            raise UserError(f"{self.path}: no reader's rating in it; give lines with reader, case, modality and score")
        for (_, _, case), (_, line) in self.scores.items():
            if case not in self.truth:
                raise UserError(f"{self.path}, line {line}: case {case!r} has no truth; {advice}")
        for wanted in (True, False):
            if all(present != wanted for present, _ in self.truth.values()):
                kind = "present" if wanted else "absent"
                raise UserError(f"{self.path}: no signal-{kind} case among {len(self.truth)}; {advice}")
        modalities, readers = (tuple(dict.fromkeys(key[axis] for key in self.scores)) for axis in (0, 1))
        index = [{name: at for at, name in enumerate(names)} for names in (modalities, readers, self.truth)]
        check_budget(self.path, 8 * math.prod(len(names) for names in index))
        scores = np.full([len(names) for names in index], np.nan)
        for key, (score, _) in self.scores.items():
            scores[tuple(place[name] for place, name in zip(index, key, strict=True))] = score
        present = np.array([present for present, _ in self.truth.values()], dtype=np.bool_)
        return Ratings(scores, present, modalities, readers, tuple(self.truth))


def _lines(path: Path) -> list[str]:
    """Lines of a text file; UTF-8 with or without a mark, else Latin-1, which old free text is often in."""
    text = read_text(path, "a file of ratings", "give an .imrmc file or a CSV table", or_latin_1=True)
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _each(ratings: Ratings) -> Iterator[tuple[str, str, str, bool, float]]:
    """Reader, case, modality, truth and score of every rating that there is."""
    for m, r, c in np.argwhere(~np.isnan(ratings.scores)).tolist():
        score = float(ratings.scores[m, r, c])
        yield ratings.readers[r], ratings.cases[c], ratings.modalities[m], bool(ratings.signal_present[c]), score


def check_names(readers: Sequence[str], cases: Sequence[str], modalities: Sequence[str]) -> None:
    """Raise a `UserError` if a name cannot be told apart from the format of a table of ratings or marks."""
    for kind, names in (("reader", readers), ("case", cases), ("modality", modalities)):
        for name in names:
            if not name or name != name.strip() or set(name) & set(',"') or len(name.splitlines()) != 1:
                raise UserError(
                    f"the {kind} {name!r} cannot be written: a name holds no comma, quotation mark or line break and "
                    "neither begins nor ends with a space; rename it"
                )
            if kind == "reader" and name.lower() in TRUTH_READERS:
                raise UserError(f"the reader {name!r} cannot be written: in these files it stands for the truth")


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    try:
        with whole_file(Path(path)) as partial:
            partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); give a file in a folder that exists") from error
