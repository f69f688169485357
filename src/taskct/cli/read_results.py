"""`taskct read STUDY --results`: what came out of a reading study, and its files for other programs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from taskct.cli.mrmc import show_study, wanted_of
from taskct.cli.mrmc_marks import show_marks
from taskct.cli.mrmc_options import AnalysisOptions, ResultOptions
from taskct.cli.mrmc_sections import show_sections
from taskct.cli.page_target import check_page
from taskct.cli.terminal import note, plain_table, print_line, print_table
from taskct.errors import UserError
from taskct.io.marks_files import write_marks
from taskct.io.ratings_files import write_imrmc, write_ratings_csv
from taskct.reading_room.answer import Answer
from taskct.reading_room.answer_table import write_answers
from taskct.reading_room.answers import ANSWERS, AnswerBook
from taskct.reading_room.conduct import reader_conduct
from taskct.reading_room.design import LOCATED
from taskct.reading_room.folder import StudyFolder
from taskct.reading_room.key import Key
from taskct.reading_room.placed import marks_of
from taskct.reading_room.results import ReadingResults, results_of

if TYPE_CHECKING:
    from taskct.apply.reader_study.wanted import Wanted
    from taskct.metrics.marks import MarkStudy

RESULTS = "results"
"""Folder of a study that its results are written to, unless another is named."""


def show_results(source: Path, asked: AnalysisOptions, output: ResultOptions, *, out: Path | None = None) -> None:
    """Hold the answers so far against the truth, write them for other programs, and print what `taskct mrmc` says."""
    wanted = wanted_of(asked)
    check_page(output.page)
    study = StudyFolder.open(source)
    key = study.read_key()
    with AnswerBook(source / ANSWERS, read_only=True) as book:
        book.check_study(study.digest)
        answers, displayed, closed = book.answers(), book.displayed(), book.is_closed
    found = results_of(study.protocol, key, answers)
    marks = marks_of(study.protocol, key, answers) if study.protocol.design in LOCATED else None
    folder = source / RESULTS if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    write_answers(folder / "answers.csv", key, answers, displayed)
    written = ["answers.csv", *_write(folder, found, marks)]
    if not output.as_json:
        _print_readers(found)
    if marks is not None and not found.complete:
        marks = _marks_read_whole(study, key, answers, found, folder)
    _show(found, marks, wanted, output)
    if not output.as_json:
        print_line(f"Files: {', '.join(written)} in {folder}")
    for text in _notes(study, found, answers, closed):
        note(text)


def _marks_read_whole(
    study: StudyFolder, key: Key, answers: Sequence[Answer], found: ReadingResults, folder: Path
) -> "MarkStudy":
    """Marks of the readers who have read every trial, whom alone an analysis of marks can take."""
    n = study.protocol.n_trials
    short = {name: found.n_answered(name) for name in found.readers if found.n_answered(name) < n}
    if len(short) == len(found.readers):
        raise UserError(
            f"no reader has read all {n} trials yet, which an analysis of marks needs; answers so far are in {folder}"
        )
    told = ", ".join(f"{name} ({answered} of {n})" for name, answered in short.items())
    note(f"an analysis of marks takes readers who have read every trial; left out so far: {told}")
    return marks_of(study.protocol, key, [answer for answer in answers if answer.reader not in short])


def _write(folder: Path, found: ReadingResults, marks: "MarkStudy | None") -> list[str]:
    """Write the files that other programs read; their names."""
    files = []
    if marks is not None:
        write_marks(folder / "marks.csv", marks)
        files.append("marks.csv")
    if found.protocol.n_alternatives > 1:
        write_imrmc(folder / "choices.imrmc", found.choices_as_ratings(), description=CHOICES_AS_RATINGS)
        return ["choices.imrmc"]
    if found.protocol.design != "froc":
        write_imrmc(folder / "ratings.imrmc", found.ratings())
        write_ratings_csv(folder / "ratings.csv", found.ratings())
        files += ["ratings.imrmc", "ratings.csv"]
    return files


CHOICES_AS_RATINGS = """Forced choice: the AUC of these scores is the proportion correct.
Each set of images is a case with the signal, scored 1 (right) or 0. Two stand-in cases without it are scored 0.5."""
"""At the top of the file."""


def _show(found: ReadingResults, marks: "MarkStudy | None", wanted: "Wanted", output: ResultOptions) -> None:
    from taskct.apply.ratings import ReaderStudy
    from taskct.apply.reader_study.choices import ForcedChoices, choices_sections

    if found.protocol.n_alternatives > 1:
        wanted.check_for("forced choice", ("margin", "detect"))
        if output.export is not None:
            raise UserError("--export is for ratings: choices.imrmc holds the choices")
        choices = ForcedChoices(
            found.scores, found.arms, found.readers, found.protocol.n_alternatives, found.clusters, found.by_group()
        )
        show_sections("A forced-choice study", choices_sections(choices, wanted), output, readers=found.readers)
    elif marks is not None:
        if found.clusters is not None:
            note(
                "cases share backgrounds, and the analysis of marks takes them as independent: intervals are too narrow"
            )
        usual = "lroc" if found.protocol.design == "locate" else None
        show_marks(marks, replace(wanted, figure_of_merit=wanted.figure_of_merit or usual), output)
    else:
        ratings = found.ratings()
        pairs = tuple((a, b) for i, a in enumerate(found.arms) for b in found.arms[i + 1 :])
        show_study(ReaderStudy(ratings, pairs, (), found.clusters), wanted, output)


def _print_readers(found: ReadingResults) -> None:
    table = plain_table("reader", numbers=["answered", "of", "median time (s)"])
    for r, name in enumerate(found.readers):
        seconds = float(np.nanmedian(found.seconds[:, r]))
        table.add_row(name, str(found.n_answered(name)), str(found.protocol.n_trials), f"{seconds:.1f}")
    print_table(table, f"{found.protocol.title}: who read what")


def _notes(study: StudyFolder, found: ReadingResults, answers: Sequence[Answer], closed: bool) -> list[str]:
    notes = []
    if not closed:
        state = "every reader has read all" if found.complete else "some trials are not read yet"
        notes.append(f"the study is still open, {state}: whoever looks at results before its end may stop it by them")
    for name in found.readers:
        own = [answer for answer in answers if answer.reader == name]
        for flag in reader_conduct(own, study.orders[name]).flags:
            notes.append(f"reader {name!r}: {flag}; nothing is left out because of it")
    return notes
