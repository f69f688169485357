"""Sums and differences of proportions over readers and cases: their intervals, and p values that invert them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from taskct.metrics.intervals import Interval, check_confidence
from taskct.metrics.mrmc.proportion_spread import (
    FEW,
    NOTHING,
    Answered,
    Floats,
    ProportionSpread,
    proportion_bounds,
    spread_of,
)

_LEAST_P = 1e-12


@dataclass(frozen=True)
class ProportionSum:
    """Σ sign·proportion + offset: a difference of two proportions, or sensitivity + specificity − 1."""

    parts: tuple[Answered, ...]
    """What was answered, of each proportion."""
    signs: tuple[float, ...]
    """1 or −1 for each."""
    offset: float
    """What is added."""
    spread: ProportionSpread
    """Of the sum."""
    spreads: tuple[ProportionSpread, ...]
    """Of each proportion."""
    correlations: Floats
    """Of the proportions, times their signs, shape `(n, n)`."""

    @property
    def value(self) -> float:
        """The sum."""
        return self.offset + sum(sign * part.proportion for sign, part in zip(self.signs, self.parts, strict=True))

    def interval(self, confidence: float) -> Interval:
        """The sum with its interval; see `proportion_analysis`."""
        return Interval(self.value, *self.bounds(confidence))

    def bounds(self, confidence: float) -> tuple[float, float]:
        """Bounds of a confidence in (0, 1)."""
        check_confidence(confidence)
        reach = self.spread.law.critical(confidence)
        below, above = [], []
        for part, spread, sign in zip(self.parts, self.spreads, self.signs, strict=True):
            low, high = proportion_bounds(part, spread.used, reach, confidence)
            down, up = part.proportion - low, high - part.proportion
            below.append(down if sign > 0.0 else up)
            above.append(up if sign > 0.0 else down)
        down, up = (
            math.sqrt(max(float(side @ self.correlations @ side), 0.0)) for side in map(np.array, (below, above))
        )
        if min(part.n_informative for part in self.parts) >= FEW:
            # As wide as the sum's own error says; of the lopsidedness one half, see `proportion_analysis`.
            half = reach * math.sqrt(self.spread.used)
            lopsided = half * (down - up) / (down + up) / 2.0 if down + up > 0.0 else 0.0
            down, up = half + lopsided, half - lopsided
        return max(self.value - down, -1.0), min(self.value + up, 1.0)

    def p_value(self, value: float = 0.0) -> float:
        """Two-sided p of a true sum of `value`: 1 less the confidence whose interval ends there."""
        if self.value == value:
            return 1.0
        at = 1 if self.value < value else 0

        def beyond(log_p: float) -> float:
            return self.bounds(-math.expm1(log_p))[at] - value

        least, most = math.log(_LEAST_P), math.log(1.0 - 1e-9)
        ends = beyond(least), beyond(most)
        if ends[0] * ends[1] > 0.0:  # the interval never, or always, holds the value
            return 0.0 if (ends[0] > 0.0) == (at == 0) else 1.0
        return math.exp(float(brentq(beyond, least, most, xtol=1e-10)))

    def p_not_worse(self, margin: float) -> float:
        """One-sided p of a true sum of −`margin` or less, with `margin` in (0, 1).

        It is below α exactly where the interval of confidence 1 − 2α lies above −`margin`.
        """
        if not 0.0 < margin < 1.0:
            raise ValueError(f"the margin is {margin}; it must lie between 0 and 1")
        p = self.p_value(-margin) / 2.0
        return p if self.value > -margin else 1.0 - p


def proportion_sum(parts: Sequence[Answered], signs: Sequence[float], offset: float = 0.0) -> ProportionSum | None:
    """Σ sign·proportion + offset; None where readers and cases allow no variance."""
    spread, own = spread_of(parts, signs), [spread_of([part]) for part in parts]
    spreads = tuple(one for one in own if one is not None)
    if spread is None or len(spreads) < len(parts):
        return None
    return ProportionSum(
        tuple(parts), tuple(signs), offset, spread, spreads, _correlations(parts, signs, spreads, spread)
    )


def _correlations(
    parts: Sequence[Answered], signs: Sequence[float], spreads: Sequence[ProportionSpread], whole: ProportionSpread
) -> Floats:
    """Correlations of the signed proportions, such that variances of two sum to the one of their sum."""
    n = len(parts)
    found = np.eye(n)
    used = [spread.used for spread in spreads]
    for i in range(n):
        for j in range(i):
            both = whole if n == 2 else spread_of([parts[i], parts[j]], [signs[i], signs[j]])
            scale = math.sqrt(max(used[i] * used[j], 0.0))
            if both is not None and scale > NOTHING:
                found[i, j] = found[j, i] = np.clip((both.used - used[i] - used[j]) / (2.0 * scale), -1.0, 1.0)
    return found
