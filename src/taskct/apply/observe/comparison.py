"""The same trials in two sets of images: the difference of AUCs, and what a margin says of it."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from taskct.apply.observe.observation import IMAGES, VERSUS, Performance, as_ratings
from taskct.apply.observe.plan import Plan
from taskct.apply.observe.task import Task
from taskct.metrics.clustered_readers import clustered_readers_difference
from taskct.metrics.comparisons import Comparison, equivalence, noninferiority, why_no_margin, why_no_test
from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.roc import PairedDifference, delong_difference, normal_difference, within_possible

_TOO_EASY = (
    "the interval of the difference is a single point only because no test trial was missed: such trials cannot tell "
    "the two sets apart; take harder ones (a weaker signal, a lower dose)"
)


def compare(
    mine: Performance, other: Performance, task: Task, test: NDArray[np.int64], plan: Plan
) -> tuple[PairedDifference, tuple[Comparison, ...], list[str]]:
    """Difference of AUCs with its interval, and the tests with a margin whose interval is the same.

    Parameters
    ----------
    mine, other
        Of one observer on the images, and on those they are held against; the same test trials.
    task
        The truth.
    test
        Numbers of the test trials.
    plan
        Margin and confidence.

    Returns
    -------
    The difference, without a p value where the trials are too few for one; the tests, none where a margin proves
    nothing; and why something is left out.
    """
    difference, std_error, df = _difference(mine, other, task, test, plan.confidence)
    if why := _too_few(task, test):
        return replace(difference, p_value=math.nan), (), [why if plan.margin is None else f"{why}; no verdict either"]
    no_error = std_error == 0.0 and bool({mine.auc.value, other.auc.value} & {0.0, 1.0})
    if plan.margin is None:
        return difference, (), [_TOO_EASY] if no_error else []
    if why := why_no_margin(mine.auc.value, other.auc.value):
        return difference, (), [f"no verdict on the margin: {why}"]
    if std_error == 0.0 or {mine.auc.value, other.auc.value} & {0.0, 1.0}:
        return difference, (), ["no verdict on the margin: an AUC is 0 or 1, or the two sets rank the trials alike"]
    alpha = (1.0 - plan.confidence) / 2.0
    tests = (
        test_of(difference.delta_auc, std_error, noninferiority_margin=plan.margin, alpha=alpha, df=df, limit=1.0)
        for test_of in (noninferiority, equivalence)
    )
    return difference, tuple(tests), []


def _difference(
    mine: Performance, other: Performance, task: Task, test: NDArray[np.int64], confidence: float
) -> tuple[PairedDifference, float, float]:
    """The difference, its standard error and the error's degrees of freedom."""
    present, clusters = task.signal_present[test], task.clusters(test)
    scores = np.stack([mine.statistics, other.statistics])
    both = scores[:, :, present], scores[:, :, ~present]
    if scores.shape[1] == 1:
        one = both[0][:, 0], both[1][:, 0]
        delta, std_error = delong_difference(*one, clusters)
        return normal_difference(delta, std_error, confidence=confidence), std_error, math.inf
    if clusters is not None:
        difference, mean = clustered_readers_difference(*both, clusters, confidence=confidence)
        return difference, math.sqrt(mean.variance), mean.df
    found = analyze(as_ratings(scores, present, test), confidence=confidence).differences[f"{IMAGES}-{VERSUS}"]
    difference = PairedDifference(found.auc, *within_possible(found.ci_low, found.ci_high), found.p_value)
    return difference, math.sqrt(found.interval_variance), found.df_whole or math.inf


def _too_few(task: Task, test: NDArray[np.int64]) -> str | None:
    clusters = task.clusters(test)
    if clusters is None:
        n_present = int(task.signal_present[test].sum())
        return why_no_test(n_present, len(test) - n_present)
    return why_no_test(int(clusters.holds_present.sum()), int(clusters.holds_absent.sum()), clusters.n)
