"""Interval and test of the difference of two AUCs that heed how each one's error depends on its size."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from taskct.metrics.mrmc.area_scale import area_bounds
from taskct.metrics.mrmc.error_law import ErrorLaw

_ROUNDING = 1e-12  # of an AUC: one that differs less from 0 or 1 is 0 or 1
_SPAN = 0.5  # half of an AUC's plain interval that tells nothing of it any more
_PARTS = np.geomspace(1e-3, 1.0, 400)
_STATISTICS = np.concatenate([[0.0], np.geomspace(1e-6, 1e6, 600)])


@dataclass(frozen=True)
class DifferenceLaw:
    """What the error of a difference of two AUCs, first minus second, is taken to be.

    The interval is put together from those of the two AUCs, each with the critical value of the difference: where the
    first may be less by a and the second more by b, and their errors have the correlation ρ, the difference may be less
    by √(a² + b² − 2·ρ·a·b). Near 1 an AUC's interval is longer downwards, and so the difference's is longer on one
    side, as the plain interval is not. Source: Zou, Psychol. Methods 12, 399 (2007), dependent estimates; Newcombe,
    Stat. Med. 17, 873 (1998).

    Where an AUC is 0 or 1 the interval is the plain one, cut to [−1, 1].
    """

    first: float
    """AUC of the first modality."""
    second: float
    """AUC of the second modality."""
    variance_first: float
    """Variance of the first AUC."""
    variance_second: float
    """Variance of the second AUC."""
    error: ErrorLaw
    """Of the difference."""

    @property
    def difference(self) -> float:
        """First AUC minus second."""
        return self.first - self.second

    def bounds(self, confidence: float) -> tuple[float, float]:
        """Interval of the difference; a single point where its variance is 0."""
        # Where bounds of an AUC come near 0 or 1, a larger critical value can give a shorter side: all up to it count.
        below, above = self._sides(self.error.critical(confidence) * _PARTS)
        return self.difference - float(below.max()), self.difference + float(above.max())

    def p_value(self, difference: float = 0.0) -> float:
        """Two-sided, of the true difference being this: below 1 − confidence exactly where the interval leaves it out.

        Where the variance is 0 it is 1 for the estimate itself, and 0 for any other.
        """
        return self.error.p_value(self.statistic(difference))

    def statistic(self, difference: float = 0.0) -> float:
        """Least critical value whose interval reaches this difference, at least 0; infinite if none does."""
        distance = abs(difference - self.difference)
        if distance < _ROUNDING:
            return 0.0
        at = int(difference > self.difference)
        reached = np.flatnonzero(self._sides(_STATISTICS)[at] >= distance)
        if not len(reached):
            return math.inf
        low, high = _STATISTICS[reached[0] - 1 : reached[0] + 1].tolist()
        return float(brentq(lambda x: float(self._sides(np.array(x))[at]) - distance, low, high, xtol=1e-12))

    def _sides(self, statistic: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How far the interval of a critical value reaches below and above the estimate."""
        areas, both = (self.first, self.second), self.error.variance
        if both == 0.0 or not all(_ROUNDING < area < 1.0 - _ROUNDING for area in areas):
            half = statistic * self.error.std_error
            return np.minimum(half, 1.0 + self.difference), np.minimum(half, 1.0 - self.difference)
        errors = math.sqrt(self.variance_first), math.sqrt(self.variance_second)
        product = 2.0 * errors[0] * errors[1]
        # Unbiased variances may contradict one another.
        correlation = min(max((sum(e**2 for e in errors) - both) / product, -1.0), 1.0) if product > 0.0 else 0.0
        (low_1, high_1), (low_2, high_2) = (
            area_bounds(area, statistic * error) for area, error in zip(areas, errors, strict=True)
        )

        def together(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.sqrt(np.maximum(one**2 + other**2 - 2.0 * correlation * one * other, 0.0))

        # Bounds of AUCs end at 0 and 1. Where one spans half of that, joined sides grow no longer; the plain one does.
        plain = self.error.std_error * np.maximum(statistic - _SPAN / max(errors), 0.0) if product > 0.0 else 0.0
        below = np.maximum(together(self.first - low_1, high_2 - self.second), plain)
        above = np.maximum(together(high_1 - self.first, self.second - low_2), plain)
        return np.minimum(below, 1.0 + self.difference), np.minimum(above, 1.0 - self.difference)
