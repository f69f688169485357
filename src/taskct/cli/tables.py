"""Numbers and JSON as several commands print them."""

import json
import math
import sys

from taskct.files import json_values
from taskct.metrics.comparisons import Comparison
from taskct.metrics.intervals import Interval


def print_json(content: object) -> None:
    """Print JSON on standard output; what is not finite becomes null."""
    sys.stdout.write(json.dumps(json_values(content), indent=1) + "\n")


def interval_text(interval: Interval, digits: int = 3, *, sign: bool = False) -> str:
    """A value and its bounds, such as `0.851 [0.813, 0.883]`."""
    shape = f"{'+' if sign else ''}.{digits}f"
    return f"{interval.value:{shape}} [{interval.ci_low:{shape}}, {interval.ci_high:{shape}}]"


def margin_text(test: Comparison, first: str, second: str) -> str:
    """What a test with a margin found of the first against the second, in one line."""
    claim = "not inferior to" if test.aim == "non-inferiority" else "equivalent to"
    shown = "shown" if test.shown else "not shown"
    return (
        f"{first} {claim} {second} within {test.margin:g}: {shown}, p = {test.p_value:.2g} "
        f"({test.aim}, one-sided alpha {test.alpha:g})"
    )


def number_text(value: float | None) -> str:
    """Three significant digits; a dash for nothing."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.3g}"
