"""The Pareto front as the page draws it: the most AUC to be had at an RMSE or less, as steps with a band."""

from dataclasses import dataclass

import numpy as np

from taskct.names import LOW_DOSE
from taskct.report.run import Floats, Run
from taskct.report.schema import Front

FRONT_LABEL = "Pareto front, 95 % band for all arms together"


@dataclass(frozen=True)
class Steps:
    """A front from the arm of least RMSE on: each value holds up to the next RMSE. All of shape `(n,)`."""

    rmse_hu: Floats
    """Ascending."""
    auc: Floats
    """The most that an arm of this RMSE or less has."""
    low: Floats
    high: Floats


def front_shown(run: Run, observer: str) -> Front | None:
    """Return the front of an observer on the quoted seed, or None where there is none that belongs to the picture.

    A front of AUCs at n trials is none for a picture in which some arms stand in the limit of many: its line would miss
    their marks. The front is in the limit only where every arm is, so the other mixture cannot be.
    """
    tradeoff = run.tradeoff.observers.get(observer)
    if tradeoff is None or tradeoff.front is None:
        return None
    found = [
        run.quoted_auc(arm.name, observer, arm.seed)
        for arm in run.summary.arms
        if arm.name != LOW_DOSE and arm.seed == run.arm(arm.name).seed
    ]
    in_limit = {auc.in_limit for auc in found if auc is not None}
    return tradeoff.front if in_limit == {tradeoff.front.in_limit} else None


def steps(front: Front) -> Steps:
    """Return the front as steps.

    Where the bands of all arms hold at once, so does a band from the highest of their lower ends to the highest of
    their upper ends, over the arms of this RMSE or less.
    """
    arms = sorted(front.arms, key=lambda arm: arm.rmse_hu)
    sides = [[arm.auc.value, arm.auc.ci_low, arm.auc.ci_high] for arm in arms]
    auc, low, high = np.maximum.accumulate(np.array(sides), axis=0).T
    return Steps(np.array([arm.rmse_hu for arm in arms]), auc, low, high)
