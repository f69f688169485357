"""Rows of text, and how a cell of a table is written."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from taskct.metrics.intervals import Interval
from taskct.names import setting_text
from taskct.report.labels import interval, number, observer_label
from taskct.report.run import Run

NONE = "–"


@dataclass(frozen=True)
class Table:
    """One table of the page; the first column heads its rows."""

    caption: str
    columns: Sequence[str]
    rows: list[list[str]]


def if_several(run: Run, seed: object) -> list[str]:
    """A cell, or the heading, of the column of seeds that a run with several has."""
    return [str(seed)] if len(run.seeds) > 1 else []


def or_none(found: Interval | None, digits: int, *, signed: bool = False) -> str:
    """An interval as a cell; a dash for None."""
    return NONE if found is None else interval(found, digits, signed=signed)


def bounded_text(value: float, low: float | None, high: float | None, *, signed: bool = False) -> str:
    """A number with its interval, or alone where nothing can be said of it."""
    if low is None or high is None:
        return f"{number(value, 3, signed=signed)} [{NONE}]"
    return interval(Interval(value, low, high), 3, signed=signed)


def for_observers(run: Run, what: str = "AUC") -> list[str]:
    """Headings of a column for every observer."""
    return [f"{what}, {observer_label(observer)}" for observer in run.observers]


def by_observer(run: Run, cells: Iterable[tuple[tuple[str, ...], str, str]]) -> list[list[str]]:
    """Rows with a column for every observer, from the first cells of a row, an observer and its cell."""
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for first, observer, cell in cells:
        rows.setdefault(first, {})[observer] = cell
    return [[*first, *(by.get(observer, NONE) for observer in run.observers)] for first, by in rows.items()]


def p_text(p: float) -> str:
    """A p-value as a cell; a dash for NaN."""
    if math.isnan(p):
        return NONE
    return "<\N{NO-BREAK SPACE}0.001" if p < 0.001 else number(p, 3)


def as_sentence(text: str) -> str:
    """A file's words as a sentence of a caption; empty stays empty."""
    text = text.strip()
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""


def plain_text(value: object) -> str:
    """A value of a file as a cell: a dash for None, a list by its members."""
    if value is None:
        return NONE
    if isinstance(value, list):
        return ", ".join(map(plain_text, value)) or NONE
    return setting_text(value) if isinstance(value, float) else str(value)
