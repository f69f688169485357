"""How readers go about it: time a trial, and answers as if nobody had looked. Nothing here knows the truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median

from taskct.reading_room.answer import Answer
from taskct.reading_room.order import ShownTrial

FAST_S = 0.3
"""Below this nobody has looked at an image and decided."""
SAME = 20
"""Equal answers on end that are told. By chance with two images, 2⁻¹⁹ at a given trial."""
SAME_SO_FAR = 10
"""As many are told where the reader has given no other answer yet."""
LONG_S = 300.0
"""Longer gaps between two answers are breaks."""
RECENT = 50
"""Answers that the pace is taken from."""


@dataclass(frozen=True)
class Conduct:
    """How a reader goes about it."""

    n: int
    """Answers."""
    median_s: float | None
    """Time of a trial, s; None where there is no answer."""
    per_hour: float | None
    """Trials an hour over the last answers, long gaps left out; None below two answers."""
    n_fast: int
    """Answers within 0.3 s."""
    n_same: int
    """Equal answers on end up to the last one."""

    @property
    def flags(self) -> tuple[str, ...]:
        """What the organiser is told, in words; empty where there is nothing to notice."""
        told = []
        if self.n_same >= SAME or (self.n_same == self.n >= SAME_SO_FAR):
            told.append(f"the same answer {self.n_same} times on end")
        if self.n_fast:
            told.append(f"{self.n_fast} {'answer' if self.n_fast == 1 else 'answers'} within {FAST_S} s")
        return tuple(told)


def reader_conduct(answers: Sequence[Answer], order: Sequence[ShownTrial]) -> Conduct:
    """How a reader goes about it.

    Parameters
    ----------
    answers
        Of one reader in the phase "reading", in order of position.
    order
        What the reader sees, to know at which place the image picked stood.

    Returns
    -------
    Conduct
    """
    decisions = [_decision(answer, order) for answer in answers]
    n_same = 0
    for decision in reversed(decisions):
        if decision != decisions[-1]:
            break
        n_same += 1
    times = [datetime.fromisoformat(answer.at).timestamp() for answer in answers[-RECENT:]]
    # Where the clock was put back, time runs backwards once.
    gaps = [later - earlier for earlier, later in pairwise(times) if 0 <= later - earlier <= LONG_S]
    per_hour = 3600 * len(gaps) / sum(gaps) if sum(gaps) > 0 else None
    n_fast = sum(answer.seconds < FAST_S for answer in answers)
    median_s = median(answer.seconds for answer in answers) if answers else None
    return Conduct(len(answers), median_s, per_hour, n_fast, n_same)


def _decision(answer: Answer, order: Sequence[ShownTrial]) -> tuple[object, ...]:
    """What is compared: the place of the image picked, the confidence, and the confidences of the marks."""
    slot = None if answer.choice is None else order[answer.position].images.index(answer.choice)
    return slot, answer.rating, tuple(mark.rating for mark in answer.marks)
