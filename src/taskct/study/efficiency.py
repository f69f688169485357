"""The chain of detection efficiency: what an observer makes of the information, from the raw images to the denoised.

A ratio of d_a² says by what factor the dose could fall if detection were limited by quantum noise alone. The first step
is the observer nearest to the ideal one that the study has, on the images that no denoiser has touched.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import logit, ndtri
from scipy.stats import norm

from taskct.metrics.detectability import d_a
from taskct.metrics.intervals import Interval
from taskct.metrics.roc import delong_covariance
from taskct.names import LOW_DOSE, MSE
from taskct.study.arm_result import ArmResult
from taskct.study.resampling import CONFIDENCE, Unit, interval_json

OBSERVER, BOUND = "ho", "cnn"
"""The observer of the chain, and the one that approximates the ideal observer where the study fits it."""

Z = -float(ndtri((1.0 - CONFIDENCE) / 2.0))


def chain(results: Sequence[ArmResult], *, chosen: str, seed: int) -> list[tuple[str, ArmResult, str]]:
    """Step, arm and observer, from the bound to the chosen arm; a step that the study does not have is left out."""
    mine = {r.arm.name: r for r in results if r.arm.seed == seed}
    steps = (
        ("CNN observer on low-dose images, the bound", LOW_DOSE, BOUND),
        ("HO on low-dose images", LOW_DOSE, OBSERVER),
        ("HO after MSE denoising", MSE, OBSERVER),
        ("HO after task-informed denoising", chosen, OBSERVER),
    )
    return [(text, mine[arm], name) for text, arm, name in steps if arm in mine and name in mine[arm].scores]


def limits_of(content: Mapping[str, Any], seed: int) -> dict[tuple[str, str], Interval]:
    """AUCs in the limit of many training trials from the content of `limits.json`, by arm and observer, of one seed.

    The low-dose images are the same for every seed. What has no limit is missing.

    Examples
    --------
    >>> limit = {"value": 0.8, "ci_low": 0.7, "ci_high": 0.9}
    >>> limits_of({"rows": [{"arm": "mse", "seed": 0, "observer": "ho", "limit": limit}]}, 0)
    {('mse', 'ho'): Interval(value=0.8, ci_low=0.7, ci_high=0.9)}
    """
    return {
        (row["arm"], row["observer"]): Interval(*(float(row["limit"][key]) for key in ("value", "ci_low", "ci_high")))
        for row in content["rows"]
        if row["limit"] is not None and (row["seed"] == seed or row["arm"] == LOW_DOSE)
    }


def efficiency(
    results: Sequence[ArmResult],
    unit: Unit,
    *,
    chosen: str,
    seed: int,
    limits: Mapping[tuple[str, str], Interval] | None = None,
) -> dict[str, Any]:
    """`efficiency.json`: AUC and d_a² of every step, and the ratio of d_a² to the first step's.

    `limits` has AUCs in the limit of many training trials by arm and observer, of this seed. A step that has one counts
    at its limit, so that an observer that is still learning is not taken for one that has less to learn; `limit` says
    so. The interval of a ratio is from the delta method on its logarithm, with DeLong's (or Obuchowski's) covariance of
    the two AUCs on the same trials; with limits, the correlation is that of the AUCs at n. It is None where an AUC is
    not above ½. A step with an AUC of 0 or 1 has no finite d_a² and is left out; `left_out` says so.
    """
    steps = chain(results, chosen=chosen, seed=seed)
    if not steps:
        return {"rows": [], "left_out": []}
    t = np.stack([r.scores[name] for _, r, name in steps])
    covariance = delong_covariance(t[:, unit.present], t[:, ~unit.present], unit.clusters)
    deviation = np.sqrt(np.diag(covariance))
    scale = np.outer(deviation, deviation)
    correlation = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0.0)
    areas, errors, rows = [], [], []
    left_out = []
    for (text, r, name), values, own in zip(steps, t, deviation, strict=True):
        limit = (limits or {}).get((r.arm.name, name))
        area = unit.auc(values) if limit is None else limit
        areas.append(area.value)
        errors.append(float(own) if limit is None else _error(limit))
        if not 0.0 < area.value < 1.0:
            left_out.append({"step": text, "why": f"an AUC of {area.value:g} has no finite d_a²"})
            continue
        i = len(areas) - 1
        found = _ratio((areas[0], areas[i]), (errors[0], errors[i]), float(correlation[0, i]))
        ratio = Interval(1.0, 1.0, 1.0) if i == 0 else found
        rows.append(
            {
                "step": text,
                "arm": r.arm.name,
                "seed": r.arm.seed,
                "observer": name,
                "auc": interval_json(area),
                "d_a_squared": interval_json(_squared(area)),
                "ratio": None if ratio is None else interval_json(ratio),
                "limit": limit is not None,
            }
        )
    return {"rows": rows, "left_out": left_out}


def _error(interval: Interval) -> float:
    """Standard error of an AUC from its interval, which is symmetric in the logit or nearly so."""
    low, high = (min(max(one, 1e-9), 1.0 - 1e-9) for one in (interval.ci_low, interval.ci_high))
    return float((logit(high) - logit(low)) / (2.0 * Z)) * interval.value * (1.0 - interval.value)


def _squared(area: Interval) -> Interval:
    """d_a² with the interval of its AUC carried over; from 0 where that holds ½."""
    bounds = [d_a(min(max(one, 1e-12), 1.0 - 1e-12)) for one in (area.ci_low, area.ci_high)]
    ends = sorted(one**2 for one in bounds)
    return Interval(d_a(area.value) ** 2, 0.0 if bounds[0] * bounds[1] < 0.0 else ends[0], ends[1])


def _ratio(areas: tuple[float, float], errors: tuple[float, float], correlation: float) -> Interval | None:
    """d_a² of the second AUC over that of the first; None where its logarithm does not exist."""
    if not all(0.5 < area < 1.0 for area in areas):
        return None
    z = [float(ndtri(area)) for area in areas]
    # d ln(z²) = 2 dA / (z φ(z))
    slope = [2.0 * error / (one * float(norm.pdf(one))) for one, error in zip(z, errors, strict=True)]
    variance = slope[0] ** 2 + slope[1] ** 2 - 2.0 * correlation * slope[0] * slope[1]
    half = Z * math.sqrt(max(variance, 0.0))
    value = (z[1] / z[0]) ** 2
    return Interval(value, value * math.exp(-half), value * math.exp(half))
