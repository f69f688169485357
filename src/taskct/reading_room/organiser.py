"""How far a reading study is, for who organises it; nothing by arm, nothing of the truth."""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from taskct.errors import UserError
from taskct.literal import shown
from taskct.reading_room.answers import AnswerBook
from taskct.reading_room.conduct import reader_conduct
from taskct.reading_room.folder import StudyFolder
from taskct.reading_room.sitting import Sitting, Stage

LITTLE_ROOM = 200 * 2**20
"""Free space of the disk that is told, bytes."""


@dataclass(frozen=True)
class ReaderProgress:
    """How far a reader is."""

    reader: str
    stage: Stage
    training: int
    """Training trials answered."""
    answered: int
    """Trials answered in the reading."""
    median_s: float | None
    """Time of a trial, s."""
    per_hour: float | None
    """Trials an hour over the last ones, long gaps left out."""
    breaks: int
    """Breaks that were ended."""
    display_checked: bool
    last_seen: str | None
    """ISO 8601, UTC; of the last request, or of what was last written where the server has started anew since."""
    flags: tuple[str, ...]
    """What is noticed about the answers, in words. It is told, and nothing is left out because of it."""


@dataclass(frozen=True)
class StudyProgress:
    """How far a reading study is."""

    study: str
    title: str
    design: str
    n_training: int
    n_trials: int
    is_closed: bool
    readers: tuple[ReaderProgress, ...]
    problems: tuple[str, ...]
    """Of the machine: a disk that is full, or nearly."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def study_progress(
    study: StudyFolder, book: AnswerBook, seen: Mapping[str, str], problem: str | None = None
) -> StudyProgress:
    """How far a study is.

    Parameters
    ----------
    study
        The study, without its truth.
    book
        What was answered.
    seen
        When each reader's page asked for something last, by name.
    problem
        Why the last answer could not be written, if it could not.
    """
    p = study.protocol
    problems = [] if problem is None else [f"An answer could not be stored: {problem}."]
    if problem is None and (trouble := book.find_trouble()) is not None:
        problems.append(f"No answer can be stored: {trouble}.")
    try:
        study.check_images()
    except UserError as error:
        problems.append(f"Images cannot be shown: {error}.")
    with suppress(OSError):  # a folder that was moved is told by now
        problems += _little_room(study)
    readers = tuple(_reader_progress(study, book, reader, seen.get(reader)) for reader in study.orders)
    return StudyProgress(p.study, p.title, p.design, p.n_training, p.n_trials, book.is_closed, readers, tuple(problems))


def _little_room(study: StudyFolder) -> list[str]:
    if (free := shutil.disk_usage(study.path).free) < LITTLE_ROOM:
        return [f"The disk of the study has {free // 2**20} MiB left; make room before it is full."]
    return []


def _reader_progress(study: StudyFolder, book: AnswerBook, reader: str, seen: str | None) -> ReaderProgress:
    answers, events = book.answers("reading", reader), book.events(reader)
    n_training = book.position(reader, "training")
    conduct = reader_conduct(answers, study.orders[reader])
    written = [one.at for one in answers[-1:]] + [one.at for one in events[-1:]]
    kinds = [event.kind for event in events]
    return ReaderProgress(
        reader,
        Sitting(study, book, reader).standing().stage,
        n_training,
        conduct.n,
        conduct.median_s,
        conduct.per_hour,
        kinds.count("resume"),
        "display" in kinds,
        seen or max(written, default=None),
        conduct.flags,
    )


def organiser_page(progress: StudyProgress) -> str:
    """The organiser's page, HTML; every text in it is shown as it is."""
    return _template().render(progress=progress)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("taskct.reading_room", "assets"),
        autoescape=True,
        finalize=lambda value: shown(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("organiser.html.j2")
