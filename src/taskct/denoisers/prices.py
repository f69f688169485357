"""The price of a task path in RMSE: its range, and which strength it pays for. Nothing here needs torch."""

import math
from typing import NamedTuple

from taskct.errors import UserError
from taskct.literal import shown
from taskct.ranges import Range

LONGEST = 40
"""Characters of what was given that a message repeats."""

MAX_PRICE = 0.2
"""The dial's end: RMSE over the control's, less 1."""

PRICE = Range(0.0, MAX_PRICE, meaning="RMSE over the control's, less 1: 0.02 is 2 %")

CORRECTION = {
    "n_channels": Range(1, 512, whole=True),
    "pool": Range(1, 16, unit="pixels", whole=True),
}
"""Of what a `Correction` is built from."""


def read_price(text: str) -> float:
    """A price as one writes it, with a percent sign or as a fraction; a `UserError` if it is none, or out of range.

    Examples
    --------
    >>> read_price("2%"), read_price("0.5 %"), read_price("0.02")
    (0.02, 0.005, 0.02)
    >>> read_price("2")
    Traceback (most recent call last):
    ...
    taskct.errors.UserError: price is 2: give percent of RMSE, as 2%, or the fraction, as 0.02; from 0 to 20 %
    """
    number, percent, rest = text.strip().partition("%")
    try:
        # Through text, so that 2 % is 0.02 and not 0.020000000000000004 or the like.
        price = float(f"{float(number) / 100.0:.12g}") if percent else float(number)
    except ValueError:
        price = math.nan
    if rest or price not in PRICE:
        raise UserError(
            f"price is {shown(text)[:LONGEST]}: give percent of RMSE, as 2%, or the fraction, as 0.02; from 0 to "
            f"{100 * MAX_PRICE:g} %"
        )
    return price


class SquaredError(NamedTuple):
    """Coefficients of the mean squared error along a path, HU²: MSE(a) = control + mixed · a + energy · a²."""

    control: float
    """Of the control alone."""
    mixed: float
    """Twice the mean product of the control's error and the correction; near 0 where the control is at its best."""
    energy: float
    """Mean square of the correction."""

    def rmse_ratio(self, strength: float) -> float:
        """RMSE over the control's at a strength a."""
        return math.sqrt(1.0 + strength * (self.mixed + strength * self.energy) / self.control)

    def strength(self, price: float) -> float:
        """The strength a ≥ 0 whose RMSE is 1 + `price` times the control's; 0 at no price.

        Examples
        --------
        >>> square = SquaredError(100.0, 0.0, 4.04)
        >>> round(square.strength(0.02), 6), round(square.rmse_ratio(1.0), 6)
        (1.0, 1.02)
        """
        if price == 0.0:
            return 0.0
        excess = self.control * ((1.0 + price) ** 2 - 1.0)
        return (math.sqrt(self.mixed**2 + 4.0 * self.energy * excess) - self.mixed) / (2.0 * self.energy)
