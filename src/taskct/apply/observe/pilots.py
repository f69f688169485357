"""Results of an observer as a pilot, from which the scans that more of them would take are counted."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit, ndtri

from taskct.apply.observe.observation import Performance, Rival
from taskct.apply.observe.scans_needed import Pilot
from taskct.apply.observe.task import EvaluationPlan, Task
from taskct.metrics.clustered import Clusters
from taskct.metrics.intervals import Interval


def pilot_of(
    mine: Performance, rivals: Sequence[Rival], task: Task, test: NDArray[np.int64], plan: EvaluationPlan
) -> Pilot:
    """What these test trials tell of an AUC, and of the difference with the widest interval."""
    present = task.signal_present[test]
    n_present = int(present.sum())
    clusters = task.clusters(test) or Clusters.of_single_trials(n_present, len(test) - n_present)
    z = -float(ndtri((1.0 - plan.confidence) / 2.0))
    differences = [rival.difference for rival in rivals]
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


def _std_error(area: Interval, z: float) -> float:
    """Of an AUC, from an interval that is symmetric on its logit; 0 at an AUC of 0 or 1."""
    if not 0.0 < area.value < 1.0:
        return 0.0
    low, high = max(area.ci_low, 1e-12), min(area.ci_high, 1.0 - 1e-12)
    return float(logit(high) - logit(low)) / (2.0 * z) * area.value * (1.0 - area.value)
