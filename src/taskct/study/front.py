"""The Pareto front of a study: which arms no other beats in RMSE and AUC at once, with bands that hold together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from taskct.metrics.intervals import Interval
from taskct.metrics.roc import auc, delong_covariance
from taskct.names import LOW_DOSE
from taskct.study.arm_result import ArmResult, NearLimitScores
from taskct.study.limits import InLimit
from taskct.study.resampling import CONFIDENCE, Unit, interval_json

Floats = NDArray[np.float64]

N_DRAWS = 20_000
"""Normal draws behind the half-width of the bands; its own error is below 1 % of it."""


def on_front(rmse: Floats, areas: Floats) -> NDArray[np.bool_]:
    """Which arms no other beats: none with less RMSE and as much AUC, or with more AUC and as little RMSE, `(n,)`.

    Examples
    --------
    >>> on_front(np.array([4.0, 5.0, 4.5]), np.array([0.80, 0.85, 0.79])).tolist()
    [True, True, False]
    """
    at_least = (rmse[None] <= rmse[:, None]) & (areas[None] >= areas[:, None])
    better = (rmse[None] < rmse[:, None]) | (areas[None] > areas[:, None])
    return np.asarray(~(at_least & better).any(axis=1))


def critical_value(correlation: Floats, *, confidence: float = CONFIDENCE, seed: int = 0) -> float:
    """How many standard errors wide bands must be on either side to hold for all of several estimates together.

    The quantile of the largest |z| of normal variables with this correlation, `(n, n)`, from `N_DRAWS` draws: between
    that of one alone and Šidák's of n that are independent.

    Examples
    --------
    >>> round(critical_value(np.eye(3)), 1), round(critical_value(np.eye(10)), 1)
    (2.4, 2.8)
    """
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))
    draws = np.random.default_rng(seed).standard_normal((N_DRAWS, len(values))) @ root.T
    return float(np.quantile(np.abs(draws).max(axis=1), confidence))


def front(results: Sequence[ArmResult], name: str, unit: Unit) -> dict[str, Any] | None:
    """The arms of one seed that have an observer: RMSE, AUC, simultaneous band, and whether the arm is on the front.

    The AUC is that in the limit of many training trials where it is known of all of them, else that at n. Bands are in
    the normal deviate of the AUC and hold for all arms together, over the choice of test trials and, in the limit, of
    training trials. The low-dose images are no arm of the front: nobody pays for them. None with fewer than two arms.
    """
    rated = [r for r in results if name in r.scores and r.arm.name != LOW_DOSE]
    near = [r.near_limit.get(name) for r in rated]
    known = [one for one in near if one is not None]
    in_limit = len(known) == len(rated)
    shown = known if in_limit else [NearLimitScores(r.scores[name], 1.0, 0.0, None) for r in rated]
    if len(rated) < 2:
        return None
    t = np.stack([one.scores for one in shown])
    present, absent = t[:, unit.present], t[:, ~unit.present]
    found = [InLimit.of(auc(p, a), one) for p, a, one in zip(present, absent, shown, strict=True)]
    ends = [one for one in found if one is not None]
    if len(ends) < len(rated):  # no pair is ordered wrongly: nothing tells how wide a band would be
        return None
    deviate, by_auc = np.array([one.deviate for one in ends]), np.array([one.by_auc for one in ends])
    covariance = by_auc[:, None] * delong_covariance(present, absent, unit.clusters) * by_auc
    covariance += np.diag([one.own_variance for one in ends])
    error = np.sqrt(np.diag(covariance))
    scale = np.outer(error, error)
    width = critical_value(np.divide(covariance, scale, out=np.eye(len(error)), where=scale > 0.0))
    rmse = np.array([float(np.sqrt(r.quality["mse_hu2"].mean())) for r in rated])
    best = on_front(rmse, deviate)
    return {
        "in_limit": in_limit,
        "standard_errors": width,
        "arms": [
            {
                "arm": r.arm.name,
                "rmse_hu": rmse[i],
                "auc": interval_json(
                    Interval(*(float(ndtr(deviate[i] + step * error[i])) for step in (0.0, -width, width)))
                ),
                "on_front": bool(best[i]),
            }
            for i, r in enumerate(rated)
        ],
    }
