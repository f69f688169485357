"""The same trials in two sets of images: the difference of AUCs, and what a margin says of it."""

import math

import numpy as np
from numpy.typing import NDArray

from taskct.metrics.clustered import clustered_difference
from taskct.metrics.comparisons import Comparison, equivalence, noninferiority
from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.roc import PairedDifference, delong_difference, normal_difference
from taskct.study.observe.plan import Plan
from taskct.study.observe.results import IMAGES, VERSUS, Performance, make_ratings
from taskct.study.observe.task import Task


def compare(
    mine: Performance, other: Performance, task: Task, test: NDArray[np.int64], plan: Plan
) -> tuple[PairedDifference, tuple[Comparison, ...]]:
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
    """
    present, clusters = task.signal_present[test], task.clusters(test)
    df = math.inf
    if len(mine.readings) > 1:
        ratings = make_ratings(mine.readings, other.readings, present, test)
        found = analyze(ratings, confidence=plan.confidence).differences[f"{IMAGES}-{VERSUS}"]
        difference = PairedDifference(found.auc, found.ci_low, found.ci_high, found.p_value)
        std_error, df = math.sqrt(found.interval_variance), found.df_bdg or math.inf
    else:
        t = np.stack([mine.readings[0].statistic, other.readings[0].statistic])
        both = t[:, present], t[:, ~present]
        delta, std_error = delong_difference(*both) if clusters is None else clustered_difference(*both, clusters)
        difference = normal_difference(delta, std_error, confidence=plan.confidence)
    if plan.margin is None or std_error == 0.0 or {mine.auc.value, other.auc.value} & {0.0, 1.0}:
        return difference, ()  # trials that are too easy to err on say nothing of a margin
    alpha = (1.0 - plan.confidence) / 2.0
    tests = (
        test_of(difference.delta_auc, std_error, margin=plan.margin, alpha=alpha, df=df)
        for test_of in (noninferiority, equivalence)
    )
    return difference, tuple(tests)
