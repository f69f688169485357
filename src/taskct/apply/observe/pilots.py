"""Results of an observer as a pilot, from which the scans that more of them would take are counted."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit, ndtri

from taskct.apply.observe.observation import Performance, Rival
from taskct.apply.observe.scans_needed import Pilot
from taskct.apply.observe.task import EvaluationPlan, Task
from taskct.metrics.clustered import Clusters
from taskct.metrics.comparisons import CEILING
from taskct.metrics.intervals import Interval


def pilot_of(
    mine: Performance, rivals: Sequence[Rival], task: Task, test: NDArray[np.int64], plan: EvaluationPlan
) -> Pilot:
    """What these test trials tell of an AUC, and of the difference with the widest interval."""
    present = task.signal_present[test]
    n_present = int(present.sum())
    clusters = task.clusters(test) or Clusters.of_single_trials(n_present, len(test) - n_present)
    z = -float(ndtri((1.0 - plan.confidence) / 2.0))
    differences = [rival.difference for rival in rivals if not too_easy(mine, rival)]
    # A bound may have been cut at 1, not both.
    errors = [max(one.ci_high - one.delta_auc, one.delta_auc - one.ci_low) / z for one in differences]
    return Pilot(
        n_cases=min(int(clusters.holds_present.sum()), int(clusters.holds_absent.sum())),
        auc=mine.auc,
        std_error=_std_error(mine.auc, z),
        confidence=plan.confidence,
        limit=mine.gaussian_auc,
        n_channels=mine.n_channels,
        difference_error=max(errors) if errors else None,
    )


def too_easy(mine: Performance, rival: Rival) -> bool:
    """Whether both AUCs are so near 1 that the width of their difference tells nothing of harder trials."""
    return min(mine.auc.value, rival.performance.auc.value) > CEILING


def of_easy_rivals(mine: Performance, rivals: Sequence[Rival], width: float | None) -> list[str]:
    """Notes on rivals whose difference is not planned for."""
    if width is None:
        return []
    return [
        f"no number of scans is told for the difference from {rival.name}: both AUCs are above {CEILING:g}, and such "
        "scans are no pilot for a difference; take harder ones (a weaker signal, a lower dose)"
        for rival in rivals
        if too_easy(mine, rival)
    ]


def _std_error(area: Interval, z: float) -> float:
    """Of an AUC, from an interval that is symmetric on its logit; 0 at an AUC of 0 or 1."""
    if not 0.0 < area.value < 1.0:
        return 0.0
    low, high = max(area.ci_low, 1e-12), min(area.ci_high, 1.0 - 1e-12)
    return float(logit(high) - logit(low)) / (2.0 * z) * area.value * (1.0 - area.value)
