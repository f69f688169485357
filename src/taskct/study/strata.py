"""AUC of small and large, of faint and strong lesions apart: a gain in the mean may hide a loss in some."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.config import Settings
from taskct.metrics.intervals import Interval
from taskct.study.arm_result import ArmResult
from taskct.study.resampling import Unit, interval_json
from taskct.trials.trials import Trials

Span = tuple[float, float]


@dataclass(frozen=True)
class Stratum:
    """Lesions of some size and contrast."""

    size_mm: Span
    """Lowest and highest diameter, mm."""
    contrast_hu: Span
    """Lowest and highest magnitude of the contrast, HU."""
    signals: NDArray[np.bool_]
    """Which test trials hold such a lesion, `(n,)`."""


def strata_of(settings: Settings, test: Trials) -> list[Stratum]:
    """Halves of the sizes and of the contrasts that the settings name, crossed; none for one size and one contrast.

    Halves hold equally many lesions on average. Every signal-present trial is in exactly one.
    """
    g, present = settings.signal, test.signal_present
    sizes = _halves(g.diameter_mm, middle=_middle(g.diameter_mm, g.diameter_law))
    magnitudes = _magnitudes(g.contrast_hu)
    contrasts = _halves(magnitudes, middle=_typical(g.contrast_hu))
    if len(sizes) * len(contrasts) == 1:
        return []
    size, contrast = test.truth["diameter_mm"], np.abs(test.truth["contrast_hu"])
    return [
        Stratum(s, c, present & _within(size, s, sizes) & _within(contrast, c, contrasts))
        for s in sizes
        for c in contrasts
    ]


def _middle(span: Span, law: str) -> float:
    """The median of what is drawn from a span."""
    low, high = span
    return float(np.sqrt(low * high)) if law == "log-uniform" else (low + high) / 2.0


def _magnitudes(contrast_hu: Span) -> Span:
    """The span of the magnitudes of contrasts that are drawn from a span."""
    low, high = contrast_hu
    if low * high < 0.0:
        return 0.0, max(-low, high)
    return min(abs(low), abs(high)), max(abs(low), abs(high))


def _typical(contrast_hu: Span) -> float:
    """The median magnitude of contrasts that are drawn evenly from a span."""
    low, high = contrast_hu
    if low * high >= 0.0:
        return abs(low + high) / 2.0
    # Up to the shorter side both signs count.
    half, shorter = (high - low) / 2.0, min(-low, high)
    return half / 2.0 if half / 2.0 <= shorter else half - shorter


def _halves(span: Span, *, middle: float) -> list[Span]:
    low, high = span
    return [span] if low == high else [(low, middle), (middle, high)]


def _within(values: NDArray[np.float64], span: Span, spans: Sequence[Span]) -> NDArray[np.bool_]:
    """Which values belong to a span; the first and the last take what rounding leaves outside."""
    number = spans.index(span)
    above = values >= span[0] if number > 0 else np.ones(len(values), dtype=bool)
    below = values < span[1] if number < len(spans) - 1 else np.ones(len(values), dtype=bool)
    return above & below


def strata_rows(results: Sequence[ArmResult], test: Trials, settings: Settings, unit: Unit) -> Iterator[dict[str, Any]]:
    """Rows of `strata.json`: AUC of the lesions of each stratum against all signal-absent trials.

    A stratum that leaves fewer than two units of a class is left out.
    """
    by_name = {(r.arm.name, r.arm.seed): r for r in results}
    for stratum in strata_of(settings, test):
        chosen = stratum.signals | ~test.signal_present
        own = unit.within(chosen)
        n_present = int(stratum.signals.sum())
        if own is None or n_present < 2:
            continue
        where = {"size": _span(stratum.size_mm), "contrast": _span(stratum.contrast_hu), "n_present": n_present}
        for r in results:
            base = by_name.get((r.arm.base or "", r.arm.seed))
            for observer, t in r.scores.items():
                delta = None
                if base is not None and observer in base.scores:
                    found = own.auc_difference(np.stack([t[chosen], base.scores[observer][chosen]]))
                    delta = interval_json(Interval(found.delta_auc, found.ci_low, found.ci_high))
                row = {"arm": r.arm.name, "seed": r.arm.seed, "observer": observer, **where}
                yield row | {"auc": interval_json(own.auc(t[chosen])), "delta": delta}


def _span(span: Span) -> dict[str, float]:
    return {"low": span[0], "high": span[1]}
