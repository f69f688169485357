"""What a reader's browser sends: JSON, held against the protocol before anything is done with it."""

import json
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from taskct.reading_room.answer import EVENT_KINDS, PHASES, EventKind, Mark, Phase
from taskct.reading_room.protocol import Protocol

MOST_BYTES = 64_000
"""Of a body."""
MOST_DETAIL = 4_000
"""Characters of an event's detail, as JSON."""
MOST_MARKS = 100
LONGEST_S = 1e8
"""The longest time a trial may have been open: three years."""

_ANSWER = ("phase", "position", "seconds", "choice", "rating", "marks", "displayed")
_MARK = ("row_px", "column_px", "rating")
_DISPLAYED = ("centre_hu", "width_hu", "zoom")
_EVENT = ("kind", "detail")


class InvalidBody(ValueError):  # noqa: N818 - a kind of body
    """What is wrong with what a browser sent: one line."""


@dataclass(frozen=True)
class Submission:
    """An answer as a browser sends it: it knows positions and places alone."""

    phase: Phase
    position: int
    seconds: float
    choice: int | None
    """Forced choice: which of the images, from 0."""
    rating: int | None
    marks: tuple[Mark, ...]
    displayed: dict[str, float]


def read_submission(body: bytes, protocol: Protocol) -> Submission:
    """Read an answer.

    Parameters
    ----------
    body
        Of the request: a JSON object of phase, position, seconds, choice, rating, marks, displayed.
    protocol
        Of the study, which says what an answer is.

    Returns
    -------
    Submission

    Raises
    ------
    InvalidBody
        If it is no answer to a trial of this protocol.
    """
    told = _object(_parse(body), "the answer", _ANSWER)
    phase = told["phase"]
    if phase not in PHASES:
        raise InvalidBody("phase is training or reading")
    n = protocol.n_training if phase == "training" else protocol.n_trials
    position = _whole(told["position"], "position", 0, n - 1)
    seconds = _number(told["seconds"], "seconds", 0, LONGEST_S)
    choice, rating, marks = _decision(told, protocol)
    shown = _object(told["displayed"], "displayed", _DISPLAYED)
    displayed = {
        "centre_hu": _number(shown["centre_hu"], "displayed.centre_hu", -1e6, 1e6),
        "width_hu": _number(shown["width_hu"], "displayed.width_hu", 0, 1e6),
        "zoom": _number(shown["zoom"], "displayed.zoom", 0, 100),
    }
    return Submission(cast(Phase, phase), position, seconds, choice, rating, marks, displayed)


def read_event(body: bytes) -> tuple[EventKind, dict[str, Any]]:
    """Read an event: its kind and detail; an `InvalidBody` if it is none."""
    told = _object(_parse(body), "the event", _EVENT)
    if told["kind"] not in EVENT_KINDS:
        raise InvalidBody(f"kind is one of {', '.join(EVENT_KINDS)}")
    detail = told["detail"]
    if not isinstance(detail, dict) or not _fits(detail):
        raise InvalidBody(f"detail is an object of JSON of at most {MOST_DETAIL} characters")
    return cast(EventKind, told["kind"]), detail


def _decision(told: dict[str, Any], protocol: Protocol) -> tuple[int | None, int | None, tuple[Mark, ...]]:
    """Choice, rating and marks, as the design asks for them."""
    design, n = protocol.design, protocol.n_alternatives
    choice, rating, marks = told["choice"], told["rating"], told["marks"]
    if not isinstance(marks, list) or len(marks) > MOST_MARKS:
        raise InvalidBody(f"marks is a list of at most {MOST_MARKS}")
    if n > 1:
        choice = _whole(choice, "choice", 0, n - 1)
    elif choice is not None:
        raise InvalidBody(f"choice is null in the design {design}")
    if design in ("rating", "locate"):
        rating = _rating(rating, "rating", protocol)
    elif rating is not None:
        raise InvalidBody(f"rating is null in the design {design}")
    if design == "locate" and len(marks) != 1:
        raise InvalidBody("marks holds the one most suspicious place")
    if design not in ("locate", "froc") and marks:
        raise InvalidBody(f"marks is empty in the design {design}")
    places = tuple(_mark(mark, index, protocol) for index, mark in enumerate(marks))
    if design == "locate" and places[0].rating != rating:
        raise InvalidBody("marks[0].rating is the rating of the image")
    return choice, rating, places


def _mark(mark: object, index: int, protocol: Protocol) -> Mark:
    name = f"marks[{index}]"
    told = _object(mark, name, _MARK)
    # The middle of the first pixel is 0, so the image ends half a pixel before it and after the last one.
    row = _number(told["row_px"], f"{name}.row_px", -0.5, protocol.height - 0.5)
    column = _number(told["column_px"], f"{name}.column_px", -0.5, protocol.width - 0.5)
    return Mark(row, column, _rating(told["rating"], f"{name}.rating", protocol))


def _rating(value: object, name: str, protocol: Protocol) -> int:
    low, high = (1, 5) if protocol.scale == 5 else (0, protocol.scale - 1)
    return _whole(value, name, low, high)


def _fits(detail: dict[str, Any]) -> bool:
    try:
        return len(json.dumps(detail, allow_nan=False)) <= MOST_DETAIL
    except (ValueError, RecursionError):  # 1e999 is read as infinity
        return False


def _parse(body: bytes) -> object:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no number of JSON")

    try:
        return json.loads(body.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError):
        raise InvalidBody("the body is no JSON") from None


def _object(value: object, name: str, keys: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != set(keys):
        raise InvalidBody(f"{name} is an object of {', '.join(keys)}")
    return value


def _whole(value: object, name: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidBody(f"{name} is a whole number from {low} to {high}")
    return value


def _number(value: object, name: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InvalidBody(f"{name} is a number from {low:g} to {high:g}")
    return float(value)
