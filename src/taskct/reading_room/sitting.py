"""Where a reader of a study stands, and what may be shown and answered there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from taskct.reading_room.answer import Answer, Event, EventKind, Phase
from taskct.reading_room.answers import AnswerBook, now
from taskct.reading_room.folder import StudyFolder
from taskct.reading_room.key import KeyTrial
from taskct.reading_room.protocol import Protocol
from taskct.reading_room.submission import Submission

Stage = Literal["instructions", "training", "reading", "break", "done", "closed"]

MOST_EVENTS = 1000
"""Of each kind that are kept of a reader: nobody fills the disk with pauses."""
LIMITED: tuple[EventKind, ...] = ("pause", "display")
"""Kinds that a reader may send at any time. The others answer a pause or a break, and must never be dropped."""


@dataclass(frozen=True)
class Standing:
    """Where a reader stands."""

    stage: Stage
    phase: Phase
    """That the next trial belongs to, whether or not it may be shown now."""
    position: int
    """Of the next trial in its phase."""
    answered: int
    """Trials answered, training and reading together."""


def find_standing(
    protocol: Protocol, answered: tuple[int, int], steps: Sequence[tuple[EventKind, int]], is_closed: bool
) -> Standing:
    """Where a reader stands, from what is on disk.

    Parameters
    ----------
    protocol
        Of the study.
    answered
        Trials answered in training and in reading.
    steps
        The reader's begin, resume and pause, each with how many trials were answered by then, in order.
    is_closed
        Whether the study has been ended.

    Returns
    -------
    Standing
    """
    n_training, n_read = answered
    phase: Phase = "training" if n_training < protocol.n_training else "reading"
    position, total = (n_training if phase == "training" else n_read), n_training + n_read
    kinds = [kind for kind, _ in steps]
    paused = next((kind == "pause" for kind in reversed(kinds) if kind in ("pause", "resume")), False)
    offered = n_read > 0 and protocol.break_every > 0 and n_read % protocol.break_every == 0
    offered = offered and not any(kind == "resume" and at >= total for kind, at in steps)
    stage: Stage = phase
    if is_closed:
        stage = "closed"
    elif n_read >= protocol.n_trials and phase == "reading":
        stage = "done"
    elif "begin" not in kinds:
        stage = "instructions"
    elif paused or offered:
        stage = "break"
    return Standing(stage, phase, position, total)


@dataclass(frozen=True)
class Sitting:
    """One reader at a study."""

    study: StudyFolder
    book: AnswerBook
    reader: str

    def standing(self) -> Standing:
        """Where the reader stands now."""
        answered = (self.book.position(self.reader, "training"), self.book.position(self.reader))
        steps = self.book.steps(self.reader)
        return find_standing(self.study.protocol, answered, steps, self.book.is_closed)

    def state(self) -> dict[str, Any]:
        """What the page is told: the protocol, where the reader stands, and the trial to answer now."""
        protocol, at = self.study.protocol, self.standing()
        trial = None
        if at.stage in ("training", "reading"):
            slots = range(protocol.n_alternatives)
            images = [f"image/{at.phase}/{at.position}/{slot}" for slot in slots]
            trial = {"phase": at.phase, "position": at.position, "images": images}
        return {
            "protocol": protocol.as_dict(),
            "phase": at.stage,
            "position": at.position,
            "n": protocol.n_training if at.phase == "training" else protocol.n_trials,
            "answered": at.answered,
            "total": protocol.n_training + protocol.n_trials,
            "trial": trial,
        }

    def image(self, phase: str, position: int, slot: int) -> bytes | None:
        """An image that may be shown now, int16 HU, little-endian, row by row; None for any other.

        Those of the trial to answer now, and of the training trial just answered, for its feedback.
        """
        at = self.standing()
        if at.stage == "closed" or not 0 <= slot < self.study.protocol.n_alternatives:
            return None
        is_now = at.stage == phase and at.position == position
        self.study.check_images()
        if phase == "training" and (is_now or position == self._last_training(at)):
            images = self.study.training_images[self.study.training[position].images[slot]]
        elif phase == "reading" and is_now:
            images = self.study.images[self.study.orders[self.reader][position].images[slot]]
        else:
            return None
        return np.ascontiguousarray(images, dtype="<i2").tobytes()

    def answer_of(self, sent: Submission) -> Answer:
        """The answer that is kept of what the browser sent: its slots as rows, its position as a trial."""
        if sent.phase == "training":
            trial, images = sent.position, self.study.training[sent.position].images
        else:
            shown = self.study.orders[self.reader][sent.position]
            trial, images = shown.trial, shown.images
        choice = None if sent.choice is None else images[sent.choice]
        where = (self.reader, sent.phase, sent.position, trial)
        return Answer(*where, sent.seconds, now(), choice, sent.rating, sent.marks)

    def may_answer(self, sent: Submission) -> bool:
        """Whether the trial is the reader's: the one to answer now, or one before, which may be sent again."""
        at = self.standing()
        if at.stage == sent.phase and at.position == sent.position:
            return True
        return self.book.answer_at(self.reader, sent.phase, sent.position) is not None

    def take(self, kind: EventKind, detail: dict[str, Any]) -> None:
        """Keep an event; one that changes nothing, such as a second begin, is passed over."""
        at = self.standing()
        changes = {
            "begin": at.stage == "instructions",
            "resume": at.stage == "break",
            "pause": at.stage in ("training", "reading"),
            "display": at.stage != "closed",
        }
        if changes[kind] and (kind not in LIMITED or self.book.count(self.reader, kind) < MOST_EVENTS):
            self.book.note(Event(self.reader, now(), kind, at.answered, detail))

    def feedback(self, sent: Submission) -> dict[str, Any]:
        """What a reader is told after a training trial."""
        return feedback(self.study.training[sent.position], sent, self.study.protocol)

    def _last_training(self, at: Standing) -> int | None:
        """The training trial just answered, until the next answer of any phase."""
        if at.phase == "training":
            return at.position - 1 if at.position else None
        return self.study.protocol.n_training - 1 if at.position == 0 and self.study.training else None


def feedback(trial: KeyTrial, sent: Submission, protocol: Protocol) -> dict[str, Any]:
    """Whether a training answer was right, where the signal is, and how large.

    Parameters
    ----------
    trial
        The truth of the training trial.
    sent
        The reader's answer to it.
    protocol
        Of the study.

    Returns
    -------
    dict
        `correct` (None where neither can be said), `choice` (the slot that holds the signal), `present`, and
        `lesions` in pixels.
    """
    pixel_mm = protocol.pixel_mm
    lesions = [
        {
            "row_px": one.row_px,
            "column_px": one.column_px,
            "diameter_px": one.diameter_mm / pixel_mm if one.diameter_mm and pixel_mm else None,
        }
        for one in trial.lesions
    ]
    is_present = trial.present is not None
    choice = trial.present if protocol.n_alternatives > 1 else None
    return {"correct": _correct(trial, sent, protocol), "choice": choice, "lesions": lesions, "present": is_present}


def _correct(trial: KeyTrial, sent: Submission, protocol: Protocol) -> bool | None:
    if sent.choice is not None:
        return sent.choice == trial.present
    if sent.rating is None:
        return None
    middle = 3 if protocol.scale == 5 else (protocol.scale - 1) / 2
    says_present = None if sent.rating == middle else sent.rating > middle
    if trial.present is None or not sent.marks or not trial.lesions:
        return None if says_present is None else says_present == (trial.present is not None)
    if says_present is False:
        return False
    return any(_hits(sent, lesion.row_px, lesion.column_px, lesion.diameter_mm, protocol) for lesion in trial.lesions)


def _hits(sent: Submission, row_px: float, column_px: float, diameter_mm: float | None, protocol: Protocol) -> bool:
    """Whether the mark lies on the lesion, whose radius counts as a pixel at least."""
    radius = max(1.0, diameter_mm / protocol.pixel_mm / 2) if diameter_mm and protocol.pixel_mm else 1.0
    mark = sent.marks[0]
    return float(np.hypot(mark.row_px - row_px, mark.column_px - column_px)) <= radius
