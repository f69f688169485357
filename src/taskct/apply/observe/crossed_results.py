"""Results of cross-validated observers, as `taskct observe` shows them."""

from collections.abc import Sequence

import numpy as np

from taskct.apply.observe.crossed import Crossed, crossed_difference
from taskct.apply.observe.observation import Performance, Rival
from taskct.apply.observe.performance import DifferenceEstimate, judge, too_few
from taskct.apply.observe.readings import Reading
from taskct.apply.observe.task import EvaluationPlan, Task
from taskct.metrics.operating import sensitivity_interval


def performance_of(found: Crossed, task: Task, plan: EvaluationPlan) -> Performance:
    """What a cross-validated observer can do; the sensitivity is that of its mean scores, over test trials alone."""
    present = task.signal_present
    everything = np.arange(len(present))
    return Performance(
        auc=found.auc,
        method=found.method,
        d_a=found.d_prime,
        sensitivity=sensitivity_interval(
            found.scores[present],
            found.scores[~present],
            specificity=plan.specificity,
            clusters=task.clusters(everything),
            confidence=plan.confidence,
            seed=0,
        ),
        lroc_area=None,
        located=None,
        gaussian_auc=found.limit,
        readings=(Reading(found.scores, None, {}, None, found.notes, ""),),
        n_channels=found.n_channels,
    )


def rivals_of(
    found: Sequence[Crossed], mine: Performance, names: Sequence[str], task: Task, plan: EvaluationPlan
) -> tuple[list[Rival], list[str]]:
    """Differences of the first from each other, in the same folds, and why something is left out."""
    rivals, notes = [], []
    why = too_few(task, np.arange(len(task.signal_present)))
    for name, other in zip(names, found[1:], strict=True):
        difference, error = crossed_difference(found[0], other, confidence=plan.confidence)
        estimate = DifferenceEstimate(mine.auc.value, difference, error)
        rival, said = judge(name, performance_of(other, task, plan), estimate, why, plan)
        rivals.append(rival)
        notes += said
    return rivals, notes
