"""The curves of a study against each other: λ, blend and task path; and the best arm at almost no price."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.config import Settings
from taskct.metrics.intervals import Interval
from taskct.metrics.tradeoff import CurveComparison, best_within, compare_curves, monotone_within_intervals
from taskct.names import CONTROL, JOINT
from taskct.study.arm_result import ArmResult
from taskct.study.arms import control_of
from taskct.study.choices import quoted_seed
from taskct.study.front import front
from taskct.study.resampling import CONFIDENCE, Resampling, interval_json
from taskct.trials.trials import Trials


def trade_off(results: Sequence[ArmResult], test: Trials, settings: Settings) -> dict[str, Any]:
    """`tradeoff.json`: the curves of λ, blend and task path compared, and the best arm that keeps the control's RMSE.

    Those of the quoted seed; the arm is chosen on validation trials, its figures are the test trials'. What an observer
    that could not be fitted to some arm leaves out is None.
    """
    seed, resampling = quoted_seed([r.arm for r in results], settings), Resampling.of(test, settings)
    mine = {r.arm.name: r for r in results if r.arm.seed == seed}
    control = control_of(settings)
    sweep = [r for r in mine.values() if r.arm.swept and not r.arm.overrides]
    blend = [r for r in mine.values() if r.arm.blended and not r.arm.overrides]
    if blend:
        blend = [mine[CONTROL], *blend, mine[blend[0].arm.parts[1].name]]
    path = [r for r in mine.values() if r.arm.price is not None and not r.arm.overrides]
    if path:
        path = [mine[path[0].arm.control], *sorted(path, key=lambda r: r.arm.price or 0.0)]
    observers = {}
    for name in dict.fromkeys(name for r in sweep or mine.values() for name in r.scores):
        swept = [r for r in sweep if name in r.scores]
        observers[name] = {
            "curves": _named(_compared(blend, swept, name, resampling), "blend", "trained"),
            "path_curves": [
                {"versus": other} | found
                for other, curve in (("blend", blend), ("trained", swept))
                if (found := _named(_compared(path, curve, name, resampling), "path", other)) is not None
            ],
            "path_monotone": _auc_rises([r for r in path if name in r.scores], name, resampling),
            "within_tolerance": _within_tolerance(mine, control, name, resampling, settings.evaluation.tolerance),
            "monotone": _auc_rises(swept, name, resampling),
            "front": front(list(mine.values()), name, resampling.unit),
        }
    return {
        "tolerance": settings.evaluation.tolerance,
        "control": control,
        "seed": seed,
        "confidence": CONFIDENCE,
        "rmse_monotone": _rmse_rises(sweep, resampling),
        "prices": [
            {"arm": name, "rmse_ratio": interval_json(_rmse_ratio(r, mine[control], resampling))}
            for name, r in mine.items()
            if name != control
        ],
        "observers": observers,
    }


def _rated(curve: Sequence[ArmResult], name: str) -> list[ArmResult]:
    """The arms of a curve that have an observer; none where an end lacks it, or the ends alone would be left."""
    rated = [r for r in curve if name in r.scores]
    # The arms between have no jointly trained head: their ends alone are no curve of theirs.
    short = len(rated) < 3 and len(curve) > len(rated)
    return [] if short or len(rated) < 2 or rated[0] is not curve[0] or rated[-1] is not curve[-1] else rated


def _compared(
    first: Sequence[ArmResult], other: Sequence[ArmResult], name: str, resampling: Resampling
) -> CurveComparison | None:
    """Two curves of an observer compared at equal RMSE; None where one is missing, or they share no range of RMSE."""
    pair = _rated(first, name), _rated(other, name)
    if not all(pair):
        return None
    scores = [np.stack([r.scores[name] for r in curve]) for curve in pair]
    mse = [np.stack([_mse(r) for r in curve]) for curve in pair]
    rmse = [np.sqrt(one.mean(axis=1)) for one in mse]
    if max(r.min() for r in rmse) >= min(r.max() for r in rmse):
        return None
    unit = resampling.unit
    found = compare_curves(scores[0], mse[0], scores[1], mse[1], unit.present, clusters=unit.clusters, **resampling.how)
    if not found.ci_low <= found.delta_auc <= found.ci_high:
        return None  # the range shared is so narrow that most resamples have none: nothing can be said
    return found


def _named(found: CurveComparison | None, first: str, other: str) -> dict[str, Any] | None:
    """A comparison as the file has it, by the names of its curves; None stays None."""
    if found is None:
        return None
    better = first if found.ci_low > 0 else other if found.ci_high < 0 else "neither"
    delta = interval_json(Interval(found.delta_auc, found.ci_low, found.ci_high))
    return {"better": better, "delta_auc": delta, "rmse_range_hu": [found.rmse_low_hu, found.rmse_high_hu]}


def _within_tolerance(
    mine: Mapping[str, ArmResult], control: str, name: str, resampling: Resampling, tolerance: float
) -> dict[str, Any] | None:
    """The arm with most AUC among those that keep the control's RMSE; None where no such arm has this observer."""
    candidates = [
        r
        for r in mine.values()
        if r.arm.controlled
        and r.arm.control in mine
        and name in r.scores
        and name in r.validation_auc
        and name in mine[r.arm.control].scores
        # Heads of two kinds are two observers: they are not ranked against each other.
        and not (name == JOINT and r.arm.head != mine[control].arm.head)
    ]
    # Each against the control of its own kind.
    price = np.array([r.validation_rmse_hu / mine[r.arm.control].validation_rmse_hu for r in candidates])
    if not (price <= 1.0 + tolerance).any():
        return None
    areas = np.array([r.validation_auc[name] for r in candidates])
    picked = candidates[best_within(price, areas, control_rmse=1.0, tolerance=tolerance)]
    base = mine[picked.arm.control]
    t = np.stack([picked.scores[name], base.scores[name]])
    difference = resampling.unit.auc_difference(t)
    ratio = _rmse_ratio(picked, base, resampling)
    return {
        "arm": picked.arm.name,
        "rmse_ratio": interval_json(ratio),
        "auc": interval_json(resampling.unit.auc(t[0])),
        "delta_auc": interval_json(Interval(difference.delta_auc, difference.ci_low, difference.ci_high)),
    }


def _rmse_ratio(result: ArmResult, base: ArmResult, resampling: Resampling) -> Interval:
    """RMSE of an arm over that of another, paired on the test trials."""
    pair = np.stack([_mse(result), _mse(base)], axis=1)
    return resampling.interval(pair, lambda m: np.sqrt(m[:, 0] / m[:, 1]))


def _auc_rises(swept: Sequence[ArmResult], name: str, resampling: Resampling) -> bool | None:
    """Whether an observer's AUC never falls, beyond chance, from one arm of a curve to the next; None with one arm."""
    if len(swept) < 2:
        return None
    unit, t = resampling.unit, np.stack([r.scores[name] for r in swept])
    return monotone_within_intervals(
        t[:, unit.present], t[:, ~unit.present], clusters=unit.clusters, confidence=CONFIDENCE
    )


def _rmse_rises(sweep: Sequence[ArmResult], resampling: Resampling) -> bool:
    """Whether the RMSE never falls, beyond chance, from one λ to the next."""
    for before, after in pairwise(sorted(sweep, key=lambda r: r.arm.task_weight or 0.0)):
        pair = np.stack([_mse(after), _mse(before)], axis=1)
        if resampling.interval(pair, lambda m: np.sqrt(m[:, 0]) - np.sqrt(m[:, 1])).ci_high < 0:
            return False
    return True


def _mse(result: ArmResult) -> NDArray[np.float64]:
    return result.quality["mse_hu2"]
