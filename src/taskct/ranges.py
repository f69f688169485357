"""Ranges of numbers: declared once beside what has them; checks, messages and tests of wrong values follow.

After scikit-learn's `_parameter_constraints`, where a class declares the interval of each of its parameters.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import SupportsFloat

from taskct.errors import UserError


@dataclass(frozen=True)
class Range:
    """An interval of finite numbers.

    Examples
    --------
    >>> Range(0.0, 1.0, open_low=True).check("dose_fraction", 0.25)
    0.25
    >>> Range(1, unit="pixels", whole=True).check("stride_px", 0)
    Traceback (most recent call last):
    ...
    taskct.errors.UserError: stride_px is 0; it must be a whole number of at least 1 pixels
    """

    low: float = -math.inf
    high: float = math.inf
    unit: str = ""
    meaning: str = ""  # of the number, for the message
    open_low: bool = False  # whether `low` itself is outside
    open_high: bool = False  # whether `high` itself is outside
    whole: bool = False  # whether it must be a whole number

    def __contains__(self, value: float) -> bool:
        above = self.low < value if self.open_low else self.low <= value
        below = value < self.high if self.open_high else value <= self.high
        return above and below and math.isfinite(value) and (not self.whole or float(value).is_integer())

    def __str__(self) -> str:
        """What is allowed, as in "it must be …"."""
        low, high, unit = f"{self.low:g}", f"{self.high:g}", f" {self.unit}" if self.unit else ""
        kind = "a whole number " if self.whole else ""
        if math.isinf(self.low) and math.isinf(self.high):
            return f"{kind or 'finite'}{unit}".rstrip()
        if math.isinf(self.high):
            words = f"above {low}" if self.open_low else f"at least {low}"
            return f"{kind}of {words}{unit}" if kind else f"finite and {words}{unit}"
        if self.open_low or self.open_high:
            first = f"above {low}" if self.open_low else f"at least {low}"
            return f"{kind}{first} and {'below' if self.open_high else 'at most'} {high}{unit}"
        return f"{kind}{'from ' if kind else ''}{low} to {high}{unit}"

    def check(self, name: str, value: float) -> float:
        """The number, once it is known to lie in the range.

        Raises
        ------
        UserError
            If it does not, or is no number: one line with its name, what is allowed and the unit.
        """
        number = isinstance(value, SupportsFloat)
        if not number or value not in self:
            what = f" ({self.meaning})" if self.meaning else ""
            raise UserError(f"{name} is {f'{value:g}' if number else repr(value)}; it must be {self}{what}")
        return int(value) if self.whole else float(value)

    def outside(self) -> list[float]:
        """Values just outside, for tests: beyond each end, not finite, and not whole where it must be."""
        wrong = [math.nan, math.inf, -math.inf]
        step = 1.0 if self.whole else 1e-9
        if math.isfinite(self.low):
            wrong.append(self.low if self.open_low else self.low - step * max(1.0, abs(self.low)))
        if math.isfinite(self.high):
            wrong.append(self.high if self.open_high else self.high + step * max(1.0, abs(self.high)))
        return wrong + ([max(self.low, 0.0) + 1.5] if self.whole else [])

    def limits(self) -> dict[str, float]:
        """The same as limits of a pydantic field: `ge` or `gt`, `le` or `lt`."""
        low = {} if math.isinf(self.low) else {"gt" if self.open_low else "ge": self.low}
        high = {} if math.isinf(self.high) else {"lt" if self.open_high else "le": self.high}
        return low | high


Ranges = Mapping[str, Range]  # by the name of the number


def check_ranges(ranges: Ranges, **values: float) -> None:
    """Check numbers, each by the range of its name; see `Range.check`."""
    for name, value in values.items():
        ranges[name].check(name, value)
