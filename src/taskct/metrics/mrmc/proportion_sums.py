"""Sums and differences of proportions over readers and cases: their intervals, and p values that invert them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

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

_REACHES = np.concatenate([[1e-6], np.linspace(0.1, 7.1, 71)])  # of a normal law; beyond it lies a p value of 1e-12
_ROUNDING = 1e-12
_SPAN = 0.5  # half of a proportion's plain interval that tells nothing of it any more


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
        reach = -float(ndtri((1.0 - confidence) / 2.0))
        down, up = self._widest(reach) if self._is_joined else self._sides(reach)
        return max(self.value - down, -1.0), min(self.value + up, 1.0)

    def p_value(self, value: float = 0.0) -> float:
        """Two-sided p of a true sum of `value`: 1 less the confidence whose interval ends there."""
        distance, at = abs(self.value - value), 1 if self.value < value else 0
        if distance < _ROUNDING:
            return 1.0
        before, reached = _REACHES[0], 0.0
        for reach in _REACHES:
            side = max(self._sides(reach)[at], reached)
            if side >= distance:
                if reach == before:
                    return 1.0
                if self._is_joined:
                    ends = before + (reach - before) * (distance - reached) / (side - reached)
                else:
                    ends = brentq(lambda x: self._sides(x)[at] - distance, before, reach, xtol=1e-10)
                return 2.0 * float(ndtr(-ends))
            before, reached = reach, side
        return 0.0

    def _widest(self, reach: float) -> tuple[float, float]:
        """How far the widest interval up to this reach goes: near 0 and 1 a larger confidence can have a shorter one.

        It is known at `_REACHES` and taken to be straight between them.
        """
        known = _REACHES[: int(np.searchsorted(_REACHES, reach)) + 1]
        sides = np.maximum.accumulate([self._sides(one) for one in known], axis=0)
        down, up = (float(np.interp(reach, known, side)) for side in sides.T)
        return down, up

    @property
    def _is_joined(self) -> bool:
        """Whether the interval is that of the proportions joined, since failures (or successes) are few."""
        return min(part.n_informative for part in self.parts) < FEW

    def _sides(self, reach: float) -> tuple[float, float]:
        """How far the interval reaches below and above, for a confidence that a normal law reaches at `reach`."""
        confidence = 1.0 - 2.0 * float(ndtr(-reach))
        errors = self.spread.law.critical(confidence)
        below, above = [], []
        for part, spread, sign in zip(self.parts, self.spreads, self.signs, strict=True):
            low, high = proportion_bounds(part, spread.used, errors, confidence)
            down, up = part.proportion - low, high - part.proportion
            below.append(down if sign > 0.0 else up)
            above.append(up if sign > 0.0 else down)
        down, up = (
            math.sqrt(max(float(side @ self.correlations @ side), 0.0)) for side in map(np.array, (below, above))
        )
        if self._is_joined:
            # Bounds end at 0 and 1. Where one spans half of that, joined sides grow no longer; the plain one does.
            widest = math.sqrt(max(spread.used for spread in self.spreads))
            plain = math.sqrt(self.spread.used) * max(errors - _SPAN / widest, 0.0) if widest > 0.0 else 0.0
            return max(down, plain), max(up, plain)
        # As wide as the sum's own error says; of the lopsidedness one half, see `proportion_analysis`.
        half = errors * math.sqrt(self.spread.used)
        lopsided = half * (down - up) / (down + up) / 2.0 if down + up > 0.0 else 0.0
        return half + lopsided, half - lopsided

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
