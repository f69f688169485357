"""Every answer of a reading study with its truth, as a table."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from taskct.files import write_text
from taskct.literal import csv_text
from taskct.reading_room.answer import Answer
from taskct.reading_room.key import Key, KeyTrial

COLUMNS = (
    "reader",
    "position",
    "arm",
    "case",
    "group",
    "signal_present",
    "correct",
    "rating",
    "marks",
    "seconds",
    "at",
    "centre_hu",
    "width_hu",
    "zoom",
)


def write_answers(path: Path, key: Key, answers: Sequence[Answer], displayed: Sequence[Mapping[str, Any]]) -> None:
    """Write a line for each answer of the reading phase, whole or not at all; one that exists is replaced.

    `marks` are `row column rating`, with semicolons between them; `correct` is of forced choice; `displayed` says how
    the images of each answer were shown.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for answer, shown in zip(answers, displayed, strict=True):
        trial = key.trials[answer.trial]
        writer.writerow([csv_text(cell) for cell in _cells(answer, trial)] + [shown.get(c, "") for c in COLUMNS[-3:]])
    write_text(path, text.getvalue())


def _cells(answer: Answer, trial: KeyTrial) -> Iterator[str]:
    yield answer.reader
    yield str(answer.position)
    yield trial.arm
    yield trial.case
    yield trial.group
    yield str(int(trial.present is not None))
    right = trial.present is not None and answer.choice == trial.images[trial.present]
    yield "" if answer.choice is None else str(int(right))
    yield "" if answer.rating is None else str(answer.rating)
    yield "; ".join(f"{mark.row_px:g} {mark.column_px:g} {mark.rating}" for mark in answer.marks)
    yield f"{answer.seconds:.3f}"
    yield answer.at
