"""Places that readers marked, as the analysis of marks takes them."""

from collections.abc import Iterable, Iterator, Sequence

from taskct.errors import UserError
from taskct.metrics.marks import CaseReading, MarkStudy, PlacedMark, TrueLesion
from taskct.reading_room.answer import Answer
from taskct.reading_room.key import Key, KeyTrial
from taskct.reading_room.protocol import Protocol


def marks_of(protocol: Protocol, key: Key, answers: Sequence[Answer]) -> MarkStudy:
    """Marks of the reading phase, held against the lesions: within the key's radius of a centre, one hits.

    A place of a `locate` study carries the confidence of its case.

    Raises
    ------
    UserError
        If nobody has answered, or the key holds no radius or the protocol no pixel size.
    """
    if key.radius_mm is None or protocol.pixel_mm is None:
        raise UserError("the key says no radius, or the protocol no pixel size: places cannot be held against lesions")
    radius_px = key.radius_mm / protocol.pixel_mm
    answers = [answer for answer in answers if answer.phase == "reading"]
    answers.sort(key=lambda answer: key.arms.index(key.trials[answer.trial].arm))  # arms in the order of the key
    if not answers:
        raise UserError("nobody has answered a trial yet: there are no results")
    trials = {trial.case: trial for trial in key.trials}
    readings = [_reading(key.trials[answer.trial], answer) for answer in answers]
    marks = [mark for answer in answers for mark in _marks(key.trials[answer.trial], answer)]
    return MarkStudy.of_places(readings, _lesions(trials.values(), radius_px), marks)


def _reading(trial: KeyTrial, answer: Answer) -> CaseReading:
    return CaseReading(trial.arm, answer.reader, trial.case)


def _marks(trial: KeyTrial, answer: Answer) -> Iterator[PlacedMark]:
    for mark in answer.marks:
        rating = mark.rating if answer.rating is None else answer.rating
        yield PlacedMark(trial.arm, answer.reader, trial.case, mark.row_px, mark.column_px, rating)


def _lesions(trials: Iterable[KeyTrial], radius_px: float) -> Iterator[TrueLesion]:
    for trial in trials:
        for number, lesion in enumerate(trial.lesions, start=1):
            yield TrueLesion(
                trial.case, f"lesion-{number}", row_px=lesion.row_px, column_px=lesion.column_px, radius_px=radius_px
            )
