"""How many scans an interval of a given width takes, from the scans at hand as a pilot.

The standard error of an AUC falls with the root of the number of cases, and differs from AUC to AUC as that of Hanley
and McNeil does. The exact interval of a channelized observer is that of Hotelling's T² at its median. A pilot knows its
AUC only so well: each width is given for the AUC that it found, and for the two bounds of its interval.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from scipy.special import ndtri

from taskct.metrics.exact_cho import expected_cho_interval
from taskct.metrics.intervals import Interval, logit_interval

MOST = 1_000_000
"""Cases of a class beyond which no number is given."""
FEWEST = 10
"""Cases of a class below which no interval over cases has been shown to hold; the exact one does."""
_STEPS = (10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 1000)
"""Cases of a class in the table."""


@dataclass(frozen=True)
class Width:
    """Width of an interval by number of cases, for what the pilot found and for how far that may be off."""

    n_cases: int
    """Of each class."""
    width: float
    low: float
    """The narrowest of the widths at the pilot's AUC and its bounds."""
    high: float
    """The widest of them."""


@dataclass(frozen=True)
class Needed:
    """Cases of each class for one kind of interval; None where even a million are too few."""

    what: str
    """The interval: "auc", "limit" (exact, with endless training) or "difference"."""
    n_cases: int | None
    low: int | None
    """If the pilot's AUC errs to the side that makes it easy."""
    high: int | None
    """If it errs to the other side."""
    table: tuple[Width, ...]


@dataclass(frozen=True)
class ScansNeeded:
    """How many scans an interval of a given width takes."""

    width: float
    """From bound to bound."""
    n_pilot: int
    """Cases of each class in the pilot."""
    needed: tuple[Needed, ...]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "width": self.width,
            "n_pilot": self.n_pilot,
            **{
                one.what: {
                    "n_cases": one.n_cases,
                    "low": one.low,
                    "high": one.high,
                    "table": [vars(row) for row in one.table],
                }
                for one in self.needed
            },
        }


@dataclass(frozen=True)
class Pilot:
    """What scans at hand tell of an AUC."""

    n_cases: int
    """Of each class."""
    auc: Interval
    std_error: float
    """Of the AUC."""
    confidence: float
    limit: Interval | None = None
    """AUC with endless training and its exact interval, of a channelized observer."""
    n_channels: int = 0
    """Of that observer."""
    difference_error: float | None = None
    """Standard error of the difference from a rival, if it is known."""


def scans_needed(pilot: Pilot, width: float) -> ScansNeeded:
    """How many cases of each class give intervals of a width, in (0, 1), with tables of widths.

    Examples
    --------
    >>> pilot = Pilot(10, Interval(0.8, 0.6, 0.92), 0.1, 0.95)
    >>> scans_needed(pilot, 0.1).needed[0].n_cases
    146
    """
    kinds: list[tuple[str, Callable[[float, int], float], Interval]] = [
        ("auc", lambda area, n: _width(pilot, area, n), pilot.auc)
    ]
    if pilot.limit is not None:
        kinds.append(("limit", lambda area, n: _exact_width(pilot, area, n), pilot.limit))
    if (error := pilot.difference_error) is not None:
        least = 2.0 * -float(ndtri((1.0 - pilot.confidence) / 2.0)) * error * math.sqrt(pilot.n_cases)
        kinds.append(("difference", lambda _, n: min(2.0, least / math.sqrt(n)), replace(pilot.auc)))
    return ScansNeeded(width, pilot.n_cases, tuple(_needed(*kind, pilot, width) for kind in kinds))


def _needed(what: str, width_at: Callable[[float, int], float], area: Interval, pilot: Pilot, width: float) -> Needed:
    areas = [area.value, area.ci_low, area.ci_high]
    if area.ci_low < 0.5 < area.ci_high:
        areas.append(0.5)  # the widest lies between the bounds
    fewest = max(3, pilot.n_channels // 2 + 2) if what == "limit" else FEWEST
    table = []
    for n in _STEPS:
        if n >= fewest:
            widths = [width_at(one, n) for one in areas]
            table.append(Width(n, widths[0], min(widths), max(widths)))
    numbers = [_fewest(partial(width_at, one), width, fewest) for one in areas]
    found, least, most = (None if n > MOST else n for n in (numbers[0], min(numbers), max(numbers)))
    return Needed(what, found, least, most, tuple(table))


def _fewest(width_at: Callable[[int], float], width: float, fewest: int) -> int:
    """Fewest cases with an interval of at most this width; above `MOST` where there is no such number."""
    high = fewest
    while width_at(high) > width:
        high *= 2
        if high > 2 * MOST:
            return high
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if middle >= fewest and width_at(middle) <= width:
            high = middle
        else:
            low = middle
    return max(high, fewest)


def _width(pilot: Pilot, area: float, n: int) -> float:
    """Of the interval of an AUC over so many cases of each class, if the pilot's AUC is in truth `area`."""
    least = 0.5 / pilot.n_cases
    area, found = (float(np.clip(one, least, 1.0 - least)) for one in (area, pilot.auc.value))
    measured = pilot.std_error**2 if 0.0 < pilot.auc.value < 1.0 else _hanley_mcneil(found, pilot.n_cases)
    variance = measured * _hanley_mcneil(area, n) / _hanley_mcneil(found, pilot.n_cases)
    interval = logit_interval(area, variance, n_pairs=n, confidence=pilot.confidence)
    return interval.ci_high - interval.ci_low


def _hanley_mcneil(area: float, n: int) -> float:
    """Variance of an AUC over n trials of each class [1].

    .. [1] Hanley & McNeil, Radiology 143, 29 (1982).
    """
    two_present, two_absent = area / (2.0 - area), 2.0 * area**2 / (1.0 + area)
    return (area * (1.0 - area) + (n - 1) * (two_present + two_absent - 2.0 * area**2)) / n**2


def _exact_width(pilot: Pilot, area: float, n: int) -> float:
    area = float(np.clip(area, 0.5, 1.0 - 1e-9))
    snr2 = 2.0 * float(ndtri(area)) ** 2
    interval = expected_cho_interval(
        snr2, n_channels=pilot.n_channels, n_present=n, n_absent=n, confidence=pilot.confidence
    )
    return interval.ci_high - interval.ci_low
