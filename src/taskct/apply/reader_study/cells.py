"""Cells of the tables of a reader study: numbers with their intervals, and p values."""

import math

from taskct.metrics.intervals import Interval

NONE = "–"
"""What a cell without a value holds."""


def interval_cell(one: Interval, *, digits: int = 3, sign: bool = False) -> str:
    """A value and its bounds; the value alone where it has none.

    >>> interval_cell(Interval(0.05, -0.01, 0.11), digits=2, sign=True)
    '+0.05 [-0.01, +0.11]'
    """
    shape = f"{'+' if sign else ''}.{digits}f"
    if not math.isfinite(one.value):
        return NONE
    if not math.isfinite(one.ci_low):
        return f"{one.value:{shape}}"
    return f"{one.value:{shape}} [{one.ci_low:{shape}}, {one.ci_high:{shape}}]"


def percent(share: float) -> str:
    """A share in per cent, such as a confidence, with as many digits as it has.

    >>> percent(0.95), percent(0.975), percent(0.999)
    ('95%', '97.5%', '99.9%')
    """
    return f"{100.0 * share:g}%"


def p_cell(p_value: float) -> str:
    """A p value; a dash for none.

    >>> p_cell(0.0004), p_cell(0.25), p_cell(float("nan"))
    ('< 0.001', '0.250', '–')
    """
    return NONE if math.isnan(p_value) else "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def df_cell(df: float) -> str:
    """Degrees of freedom; a dash for those of the normal distribution."""
    return f"{df:.1f}" if math.isfinite(df) else NONE
