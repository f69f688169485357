"""What came out of a reading study: answers held against the truth."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.metrics.mrmc.ratings import Ratings
from taskct.reading_room.answer import Answer
from taskct.reading_room.key import Key, KeyTrial
from taskct.reading_room.protocol import Protocol

Floats = NDArray[np.float64]

CHANCE = 0.5
"""Score of the stand-in cases without a signal that carry a forced-choice study to programs for ratings."""


@dataclass(frozen=True)
class ReadingResults:
    """Answers of a reading study by arm, reader and case; NaN where a reader has not answered."""

    protocol: Protocol
    arms: tuple[str, ...]
    readers: tuple[str, ...]
    """Who answered a trial at least."""
    cases: tuple[str, ...]
    """In forced choice: sets of images."""
    signal_present: NDArray[np.bool_]
    """`(n_cases,)`; in forced choice everywhere."""
    groups: tuple[str, ...]
    """Stratum of each case; empty for none."""
    clusters: NDArray[np.intp] | None
    """Number of each case's background, `(n_cases,)`; None where each case has its own."""
    scores: Floats
    """`(n_arms, n_readers, n_cases)`: 1 or 0 for right or wrong in forced choice, else the confidence; in FROC that of
    the surest mark, and −1 without any."""
    seconds: Floats
    """From the images being shown to the answer, of the same shape."""

    @property
    def complete(self) -> bool:
        """Whether every reader has answered every trial."""
        return not bool(np.isnan(self.scores).any())

    def n_answered(self, reader: str) -> int:
        """Trials that a reader has answered."""
        return int((~np.isnan(self.scores[:, self.readers.index(reader)])).sum())

    def ratings(self) -> Ratings:
        """Confidence, for the area under the ROC curve; a ValueError in forced choice."""
        if self.protocol.n_alternatives > 1:
            raise ValueError("forced choice has no ratings")
        return Ratings(self.scores, self.signal_present, self.arms, self.readers, self.cases)

    def choices_as_ratings(self) -> Ratings:
        """Forced choice for programs that know ratings alone: the area under the ROC curve is the proportion correct.

        Each set of images is a case with the signal, scored 1 or 0. Two stand-in cases without it are scored `CHANCE`
        by all, so that a right choice wins and a wrong one loses against them.
        """
        if self.protocol.n_alternatives < 2:
            raise ValueError("only forced choice has choices")
        rated = ~np.isnan(self.scores).all(axis=2)
        stand_in = np.where(rated, CHANCE, np.nan)[..., None].repeat(2, axis=2)
        cases = (*self.cases, "stand-in 1", "stand-in 2")
        truth = np.concatenate([self.signal_present, [False, False]])
        return Ratings(np.concatenate([self.scores, stand_in], axis=2), truth, self.arms, self.readers, cases)

    def by_group(self) -> dict[str, NDArray[np.intp]]:
        """Numbers of the cases of each stratum, in the order of their names; none unless there are several."""
        names = sorted(set(self.groups))
        if len(names) < 2:
            return {}
        return {name: np.flatnonzero([group == name for group in self.groups]) for name in names}


def results_of(protocol: Protocol, key: Key, answers: Sequence[Answer]) -> ReadingResults:
    """Hold the answers of the reading phase against the truth.

    Parameters
    ----------
    protocol, key, answers
        Of one study; answers in training are passed over.

    Raises
    ------
    UserError
        If nobody has answered yet, or an answer is of another study.
    """
    answers = [answer for answer in answers if answer.phase == "reading"]
    if not answers:
        raise UserError("nobody has answered a trial yet: there are no results")
    readers = tuple(dict.fromkeys(answer.reader for answer in answers))
    cases = tuple(dict.fromkeys(trial.case for trial in key.trials))
    first = {trial.case: trial for trial in reversed(key.trials)}
    arm_at, reader_at, case_at = ({n: i for i, n in enumerate(names)} for names in (key.arms, readers, cases))
    shape = (len(key.arms), len(readers), len(cases))
    scores, seconds = np.full(shape, np.nan), np.full(shape, np.nan)
    for answer in answers:
        if not 0 <= answer.trial < len(key.trials):
            raise UserError(f"an answer is to trial {answer.trial}, and the key has {len(key.trials)}: another study's")
        trial = key.trials[answer.trial]
        at = (arm_at[trial.arm], reader_at[answer.reader], case_at[trial.case])
        scores[at], seconds[at] = _score(protocol, trial, answer), answer.seconds
    return ReadingResults(
        protocol,
        key.arms,
        readers,
        cases,
        signal_present=np.array([first[case].present is not None for case in cases]),
        groups=tuple(first[case].group for case in cases),
        clusters=_clusters([first[case].background for case in cases]),
        scores=scores,
        seconds=seconds,
    )


def _score(protocol: Protocol, trial: KeyTrial, answer: Answer) -> float:
    if protocol.n_alternatives > 1:
        if answer.choice not in trial.images or trial.present is None:
            raise UserError(f"an answer to trial {answer.trial} picks an image of another one: another study's")
        return float(answer.choice == trial.images[trial.present])
    if protocol.design == "froc":
        return float(max((mark.rating for mark in answer.marks), default=-1))
    if answer.rating is None:
        raise UserError(f"the answer to trial {answer.trial} holds no confidence: another study's")
    return float(answer.rating)


def _clusters(backgrounds: Sequence[str]) -> NDArray[np.intp] | None:
    """Numbers of the backgrounds; a case without one stands alone. None where all do."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, background in enumerate(backgrounds):
        members[background or f"\0{index}"].append(index)
    if all(len(indices) == 1 for indices in members.values()):
        return None
    numbers = np.empty(len(backgrounds), dtype=np.intp)
    for number, indices in enumerate(members.values()):
        numbers[indices] = number
    return numbers
