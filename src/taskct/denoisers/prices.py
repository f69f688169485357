"""The price of a task path in RMSE: its range, and which strength it pays for. Nothing here needs torch."""

import math
from typing import NamedTuple

from taskct.ranges import Range

MAX_PRICE = 0.2
"""The dial's end: RMSE over the control's, less 1."""

PRICE = Range(0.0, MAX_PRICE, meaning="RMSE over the control's, less 1: 0.02 is 2 %")

CORRECTION = {
    "n_channels": Range(1, 512, whole=True),
    "n_detail": Range(0, 512, whole=True),
    "pool": Range(1, 16, unit="pixels", whole=True),
}
"""Of what a `Correction` is built from."""


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
