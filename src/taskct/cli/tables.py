"""Numbers and JSON as several commands print them."""

import json
import math
import sys
from typing import Any

import numpy as np

from taskct.metrics.comparisons import Comparison
from taskct.metrics.intervals import Interval


def print_json(content: Any) -> None:  # noqa: ANN401 - what JSON can hold
    """Print JSON on standard output; what is not finite becomes null."""
    sys.stdout.write(json.dumps(_finite(content), indent=1) + "\n")


def interval_text(interval: Interval, digits: int = 3, *, sign: bool = False) -> str:
    """A value and its bounds, such as `0.851 [0.813, 0.883]`."""
    shape = f"{'+' if sign else ''}.{digits}f"
    return f"{interval.value:{shape}} [{interval.ci_low:{shape}}, {interval.ci_high:{shape}}]"


def _finite(content: Any) -> Any:  # noqa: ANN401 - what JSON can hold
    """The same with null for what is not finite, which JSON does not know."""
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, np.ndarray):
        return _finite(content.tolist())
    if isinstance(content, np.generic):
        content = content.item()
    return None if isinstance(content, float) and not math.isfinite(content) else content


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
