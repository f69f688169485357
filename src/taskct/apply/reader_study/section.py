"""A part of the analysis of a reader study: what it found, once for the terminal, the page and `--json`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

READER_COLUMNS = ("reader", "with")
"""Headings under which a table holds names of readers: a page replaces these by numbers, and no other cell."""


@dataclass(frozen=True)
class ResultTable:
    """A table: cells are text already."""

    title: str
    words: tuple[str, ...]
    """Headings of the columns of words, which come first; those of `READER_COLUMNS` hold names of readers alone."""
    numbers: tuple[str, ...]
    """Headings of the columns of numbers."""
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Line:
    """A line of a drawing; `low` and `high`, if given, are the bounds of its interval."""

    name: str
    """Of a modality or a number of readers; never a reader's name, which tells who somebody is."""
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Drawing:
    """Lines on common axes, drawn on the page, and in the terminal where it is wide enough."""

    title: str
    """What it shows, for those who do not see it."""
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    in_terminal: bool = False


@dataclass(frozen=True)
class StudySection:
    """What one analysis of a reader study found."""

    name: str
    """Its key in `--json`."""
    heading: str
    content: Mapping[str, Any]
    """For `--json`: plain values; what is not finite is written as null."""
    answers: tuple[str, ...] = ()
    """Sentences; the first is the answer."""
    grids: tuple[ResultTable, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader of the results must know."""
    methods: tuple[tuple[str, tuple[str, ...]], ...] = field(default=())
    """Sentences of the methods, each with the keys of its sources in `report.methods`."""
