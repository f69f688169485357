"""What the fields of several result files have in common: intervals, names of arms."""

import math
from dataclasses import asdict
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from taskct.metrics.intervals import Interval
from taskct.names import ArmName


def _readable(name: str) -> str:
    ArmName.parse(name)
    return name


def _value_by_any_name(given: object) -> object:
    # The value stands under the name of what it estimates.
    if isinstance(given, dict):
        return {"value" if name in ("auc", "delta_auc") else name: value for name, value in given.items()}
    return given


def _in_order(found: Interval) -> Interval:
    for name, value in asdict(found).items():
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}")
    if found.ci_low > found.ci_high:
        raise ValueError(f"ci_low {found.ci_low} is above ci_high {found.ci_high}")
    return found


FileInterval = Annotated[Interval, BeforeValidator(_value_by_any_name), AfterValidator(_in_order)]
"""A number with its confidence interval, all in one unit."""

ArmText = Annotated[str, AfterValidator(_readable)]
"""The name of an arm, which `ArmName` reads."""


def sign(interval: Interval) -> int:
    """1 or -1 when the whole interval lies above or below zero, else 0."""
    return int(interval.ci_low > 0) - int(interval.ci_high < 0)
