"""What a reader answered, and what else is kept of a reading."""

from dataclasses import dataclass
from typing import Any, Literal

Phase = Literal["training", "reading"]
PHASES: tuple[Phase, ...] = ("training", "reading")

EventKind = Literal["begin", "resume", "pause", "display"]
EVENT_KINDS: tuple[EventKind, ...] = ("begin", "resume", "pause", "display")


@dataclass(frozen=True)
class Mark:
    """A place that a reader marked."""

    row_px: float
    column_px: float
    """In pixels of the image; the middle of the first pixel is (0, 0)."""
    rating: int


@dataclass(frozen=True)
class Answer:
    """A reader's answer to one trial."""

    reader: str
    phase: Phase
    position: int
    """In the reader's order, from 0."""
    trial: int
    """Number in the key; in training, of the training trial."""
    seconds: float
    """From the image being shown to the answer, as the browser measured it."""
    at: str
    """When it was written, ISO 8601, UTC."""
    choice: int | None = None
    """Forced choice: which image was picked, by its row of the study's images."""
    rating: int | None = None
    """Rating and locate: confidence that a signal is there."""
    marks: tuple[Mark, ...] = ()
    """Locate: the one most suspicious place; FROC: any number."""


@dataclass(frozen=True)
class Event:
    """What a reader did beside answering: began, went on after a break, took one, checked the display."""

    reader: str
    at: str
    """ISO 8601, UTC."""
    kind: EventKind
    answered: int
    """Trials that the reader had answered by then, training and reading together."""
    detail: dict[str, Any]
