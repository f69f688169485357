"""Arms, observers and numbers as the page writes them."""

import math
from collections.abc import Iterable

from taskct.metrics.intervals import Interval
from taskct.names import ArmName
from taskct.observer_registry import page_labels

NBSP = "\N{NO-BREAK SPACE}"

OBSERVERS = page_labels()
"""Observer names in the files and on the page, in the page's order."""


def observer_label(observer: str) -> str:
    """Name an observer as the page does.

    >>> observer_label("ho"), observer_label("my_observer")
    ('fresh HO', 'my_observer')
    """
    return OBSERVERS.get(observer, observer)


def arm_label(name: str) -> str:
    """Name an arm as the page does."""
    return ArmName.parse(name).label


def number(value: float, digits: int, *, signed: bool = False) -> str:
    """Write a number with a true minus sign.

    >>> number(-0.0412, 3), number(0.01, 2, signed=True), number(-0.0001, 3)
    ('−0.041', '+0.01', '0.000')
    """
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        return text.lstrip("-")
    return f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−")


def interval(found: Interval, digits: int, *, signed: bool = False) -> str:
    """Write a value with its interval, which does not break across lines; the value alone where it has no bounds.

    A bound of a difference (`signed`) that would read as 0 has further digits, since its sign decides.

    >>> interval(Interval(0.02, -0.01, 0.05), 2, signed=True).replace("\N{NO-BREAK SPACE}", " ")
    '+0.02 [−0.01, +0.05]'
    >>> interval(Interval(0.02, 0.0004, 0.05), 3, signed=True).replace("\N{NO-BREAK SPACE}", " ")
    '+0.020 [+0.0004, +0.050]'
    """
    if math.isnan(found.ci_low) or math.isnan(found.ci_high):
        return number(found.value, digits, signed=signed)
    low, high = (
        number(bound, _digits(bound, digits) if signed else digits, signed=signed)
        for bound in (found.ci_low, found.ci_high)
    )
    return f"{number(found.value, digits, signed=signed)} [{low},\N{NO-BREAK SPACE}{high}]"


def _digits(bound: float, digits: int) -> int:
    """Digits after the point that tell a bound from 0; no more than three further ones."""
    further = (n for n in range(digits, digits + 4) if float(f"{bound:.{n}f}") != 0)
    return next(further, digits)


def percent(share: Interval) -> Interval:
    """Turn a share into percent.

    >>> percent(Interval(0.25, 0.125, 0.5))
    Interval(value=25.0, ci_low=12.5, ci_high=50.0)
    """
    return Interval(100 * share.value, 100 * share.ci_low, 100 * share.ci_high)


def listed(words: Iterable[str]) -> str:
    """Join words as a sentence does.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    *head, last = words
    return f"{', '.join(head)} and {last}" if head else last
