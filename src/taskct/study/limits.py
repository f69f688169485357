"""`limits.json`: the AUC that every observer fitted afresh would have with any number of training trials.

At n training trials an observer of noisy images has lost more to its own ignorance than one of denoised images. So a
comparison of differently noisy images holds in the limit; see `taskct.observers.limit`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import norm

from taskct.metrics.intervals import Interval
from taskct.metrics.roc import auc, delong_covariance, normal_difference
from taskct.names import CONTROL, JOINT, LOW_DOSE
from taskct.study.arm_result import ArmResult, NearLimitScores
from taskct.study.resampling import CONFIDENCE, Unit, interval_json

Floats = NDArray[np.float64]

HOW = (
    "Each observer is fitted with the mean signal known from pairs of trials that share background and noise, where "
    "there are some. Random-matrix theory tells from the eigenvalues of its covariance what share of the SNR² in "
    "the limit of many training trials it keeps on new ones; the AUC on test trials is carried over by its normal "
    "deviate."
)

Z = -float(ndtri((1.0 - CONFIDENCE) / 2.0))


@dataclass(frozen=True)
class InLimit:
    """An AUC in the limit, and how it moves with the AUC on the test trials and with what the template keeps."""

    deviate: float  # Φ⁻¹ of the AUC in the limit
    by_auc: float  # d deviate / d AUC on the test trials
    own_variance: float  # of the deviate, by the choice of the training trials

    @classmethod
    def of(cls, area: float, scores: NearLimitScores) -> "InLimit | None":
        """From the AUC on the test trials; None where that is 0 or 1."""
        if not 0.0 < area < 1.0:
            return None
        at_n, root = float(ndtri(area)), float(np.sqrt(scores.kept))
        deviate = at_n / root
        own = deviate * scores.kept_std / (2.0 * scores.kept)
        return cls(deviate, 1.0 / (float(norm.pdf(at_n)) * root), own**2)

    @property
    def auc(self) -> float:
        """AUC in the limit."""
        return float(ndtr(self.deviate))

    @property
    def slope(self) -> float:
        """D AUC / d deviate."""
        return float(norm.pdf(self.deviate))


def limits(results: Sequence[ArmResult], unit: Unit, n_fresh: int) -> dict[str, Any]:
    """`limits.json`: a row for each arm, seed and observer, and each arm against its control and the low-dose images.

    The interval covers the choice of test trials (DeLong's or Obuchowski's) and of training trials; see
    `shared_learning` for two arms that learned on the same ones.
    """
    by_name = {(r.arm.name, r.arm.seed): r for r in results}
    rows = [_row(r, name, unit, n_fresh) for r in results for name in r.scores]
    paired = []
    for r in results:
        others = dict.fromkeys(versus for versus in (_control(r), LOW_DOSE) if versus not in (None, r.arm.name))
        for versus in others:
            other = by_name.get((str(versus), r.arm.seed))
            if other is not None:
                shared = [name for name in r.scores if name in other.scores and name != JOINT]
                paired += [_pair(r, other, name, unit) for name in shared]
    return {"schema": 1, "confidence": CONFIDENCE, "how": HOW, "rows": rows, "paired": paired}


def _control(result: ArmResult) -> str | None:
    """The control of an arm; that of the study for an arm that was not trained for the task."""
    return result.arm.control if result.arm.controlled else CONTROL


def _row(result: ArmResult, name: str, unit: Unit, n_fresh: int) -> dict[str, Any]:
    row = {"arm": result.arm.name, "seed": result.arm.seed, "observer": name, "n_fresh": n_fresh}
    row |= {"auc": interval_json(unit.auc(result.scores[name])), "limit": None, "why_not": _why_not(result, name)}
    near = result.near_limit.get(name)
    if near is None:
        return row
    present, absent = near.scores[unit.present], near.scores[~unit.present]
    found = InLimit.of(auc(present, absent), near)
    if found is None:
        return row | {"why_not": "no pair of test trials is ordered wrongly, so nothing is left to extrapolate"}
    variance = float(delong_covariance(present[None], absent[None], unit.clusters)[0, 0])
    half = Z * float(np.sqrt(found.by_auc**2 * variance + found.own_variance))
    low, high = (float(ndtr(found.deviate + sign * half)) for sign in (-1.0, 1.0))
    more = {"regularization": near.value, "kept": near.kept}
    return row | {"limit": interval_json(Interval(found.auc, low, high)), "why_not": None} | more


def shared_learning(present: Floats, absent: Floats) -> float:
    """Correlation of what two observers owe to the chance of their common training trials, in [0, 1].

    Each owes a quadratic form in the noise of its training. Those of two normal variables that correlate by r correlate
    by r²; r is taken from the test statistics of both within the classes, `(2, n)` each.
    """
    within = np.concatenate([of - of.mean(axis=1, keepdims=True) for of in (present, absent)], axis=1)
    return float(np.corrcoef(within)[0, 1]) ** 2


def _why_not(result: ArmResult, name: str) -> str | None:
    if name == JOINT:
        return "it was trained together with the denoiser"
    return result.no_limit.get(name)


def _pair(result: ArmResult, other: ArmResult, name: str, unit: Unit) -> dict[str, Any]:
    pair: dict[str, Any] = {"arm": result.arm.name, "versus": other.arm.name, "observer": name, "seed": result.arm.seed}
    pair |= {"delta": None, "p_value": None, "why_not": None}
    near = [r.near_limit.get(name) for r in (result, other)]
    missing = [r for r, one in zip((result, other), near, strict=True) if one is None]
    if missing:
        return pair | {"why_not": f"{missing[0].arm.name}: {_why_not(missing[0], name)}"}
    both = [one for one in near if one is not None]
    t = np.stack([one.scores for one in both])
    present, absent = t[:, unit.present], t[:, ~unit.present]
    found = [InLimit.of(auc(p, a), one) for p, a, one in zip(present, absent, both, strict=True)]
    ends = [one for one in found if one is not None]
    if len(ends) < 2:
        return pair | {"why_not": "no pair of test trials is ordered wrongly"}
    gradient = np.array([1.0, -1.0]) * [one.slope * one.by_auc for one in ends]
    variance = float(gradient @ delong_covariance(present, absent, unit.clusters) @ gradient)
    own = np.array([1.0, -1.0]) * [one.slope * np.sqrt(one.own_variance) for one in ends]
    variance += float(own @ own) + 2.0 * float(own[0] * own[1]) * shared_learning(present, absent)
    difference = normal_difference(ends[0].auc - ends[1].auc, float(np.sqrt(max(variance, 0.0))), confidence=CONFIDENCE)
    delta = Interval(difference.delta_auc, difference.ci_low, difference.ci_high)
    return pair | {"delta": interval_json(delta), "p_value": difference.p_value}
