"""What trained observers can do: AUC and its kin with intervals, differences of two sets of images, learning curves."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import orth

from taskct.apply.observe.observation import IMAGES, VERSUS, Performance, Rival, as_ratings
from taskct.apply.observe.readings import Reading
from taskct.apply.observe.task import EvaluationPlan, Task
from taskct.io.stored_images import StoredImages
from taskct.metrics.clustered import Clusters
from taskct.metrics.clustered_readers import clustered_readers_difference, clustered_readers_interval
from taskct.metrics.comparisons import Comparison, equivalence, noninferiority, why_no_margin, why_no_test
from taskct.metrics.detectability import d_a
from taskct.metrics.exact_cho import exact_cho_interval
from taskct.metrics.intervals import Interval
from taskct.metrics.lroc import correct_fraction, correct_localization, lroc_ratings
from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.mrmc.difference import DifferenceLaw
from taskct.metrics.mrmc.margins import law_margin_tests
from taskct.metrics.operating import sensitivity_interval
from taskct.metrics.roc import PairedDifference, delong_difference, delong_interval, normal_difference
from taskct.observers import Observer
from taskct.observers.learning import (
    LabelledTrials,
    LearningCurve,
    LearningDifference,
    learning_curve,
    learning_difference,
)


def perform(
    readings: Sequence[Reading],
    images: NDArray[np.floating] | StoredImages,
    task: Task,
    test: NDArray[np.int64],
    plan: EvaluationPlan,
    *,
    signal: NDArray[np.float64] | None = None,
) -> Performance:
    """What one observer can do on the images, from its readings of the test trials, one for each training set.

    `signal` is the mean signal where it is known; it shortens the exact interval of a channelized observer.
    """
    confidence = plan.confidence
    present = task.signal_present[test]
    clusters = task.clusters(test)
    statistics = np.stack([reading.statistic for reading in readings])
    t_present, t_absent = statistics[:, present], statistics[:, ~present]
    area, method = _area(t_present, t_absent, clusters, confidence)
    lroc, located = None, None
    found = [reading.found_px for reading in readings if reading.found_px is not None]
    if found:
        sites, radius = task.sites(test[present]), task.site_radius_px  # all in pixels
        correct = np.stack([correct_localization(p[present], sites, radius_mm=radius, pixel_mm=1.0) for p in found])
        lroc, _ = _area(lroc_ratings(t_present, t_absent, correct), t_absent, clusters, confidence)
        cases = None if clusters is None else clusters.present
        located = correct_fraction(correct[0], clusters=cases, confidence=confidence)
    limit, n_channels = _gaussian_auc(readings[0], images, task, signal, confidence)
    return Performance(
        auc=area,
        method=method,
        d_a=Interval(*(d_a(value) for value in (area.value, area.ci_low, area.ci_high))),
        sensitivity=sensitivity_interval(
            t_present[0], t_absent[0], specificity=plan.specificity, clusters=clusters, confidence=confidence, seed=0
        ),
        lroc_area=lroc,
        located=located,
        gaussian_auc=limit,
        readings=tuple(readings),
        n_channels=n_channels,
    )


def _area(
    t_present: NDArray[np.float64], t_absent: NDArray[np.float64], clusters: Clusters | None, confidence: float
) -> tuple[Interval, str]:
    """Area with its interval, and what this is; test statistics of shape `(n_training_sets, n_trials)`."""
    one = t_present[0], t_absent[0]
    if len(t_present) == 1:
        over = "DeLong: over test trials" if clusters is None else "clustered by case: over test cases"
        return delong_interval(*one, clusters, confidence=confidence), f"{over}, for one training set"
    if clusters is not None:
        area = clustered_readers_interval(t_present, t_absent, clusters, confidence=confidence)
        return area, "Obuchowski–Rockette, clustered by case: over test cases and training sets"
    trials = np.arange(t_present.shape[1] + t_absent.shape[1])
    scores = np.concatenate([t_present, t_absent], axis=1)[None]
    analysis = analyze(as_ratings(scores, trials < t_present.shape[1], trials), confidence=confidence)
    found = analysis.modalities[IMAGES]
    return Interval(found.auc, found.ci_low, found.ci_high), "MRMC: over test trials and training sets"


def _gaussian_auc(
    reading: Reading,
    images: NDArray[np.floating] | StoredImages,
    task: Task,
    signal: NDArray[np.float64] | None,
    confidence: float,
) -> tuple[Interval | None, int]:
    """Exact interval from the channel outputs of all trials, and the number of channels that are independent.

    Channels that were learned, or cases, do not allow it.
    """
    if reading.channel_matrix is None or task.mode == "scanning" or task.truth.cases is not None:
        return None, 0
    seen, basis = task.windows(images, np.arange(len(images))), orth(reading.channel_matrix)
    outputs = seen.reshape(len(seen), -1).astype(np.float64) @ basis
    if len(outputs) < outputs.shape[1] + 2:
        return None, 0
    present = task.signal_present
    difference = None if signal is None else signal.ravel() @ basis
    limit = exact_cho_interval(outputs[present], outputs[~present], confidence=confidence, known_difference=difference)
    return limit, basis.shape[1]


_TOO_EASY = (
    "the interval of the difference is a single point only because no test trial was missed: such trials cannot tell "
    "the two sets apart; take harder ones (a weaker signal, a lower dose)"
)


def compare(
    name: str, mine: Performance, other: Performance, task: Task, test: NDArray[np.int64], plan: EvaluationPlan
) -> tuple[Rival, list[str]]:
    """The rival of this name with the difference from it, and why something is left out."""
    return judge(name, other, _difference(mine, other, task, test, plan.confidence), too_few(task, test), plan)


@dataclass(frozen=True)
class DifferenceEstimate:
    """A difference of AUCs, and what tests of it rest on."""

    auc: float
    """Of the first."""
    difference: PairedDifference
    std_error: float
    law: DifferenceLaw | None = None
    """What the error over training sets and trials is taken to be; None where it is that of trials alone, normal."""


def judge(
    name: str, other: Performance, found: DifferenceEstimate, why: str | None, plan: EvaluationPlan
) -> tuple[Rival, list[str]]:
    """The rival of this name with the tests that its difference allows, and why something is left out.

    The difference has no p value where `why` says that the trials are too few for one; there are no tests where a
    margin proves nothing.
    """
    difference, areas = found.difference, {found.auc, other.auc.value}
    if why:
        untested = Rival(name, other, replace(difference, p_value=math.nan), ())
        return untested, [why if plan.margin is None else f"{why}; no verdict either"]
    plain = Rival(name, other, difference, ())
    if plan.margin is None:
        return plain, [_TOO_EASY] if found.std_error == 0.0 and areas & {0.0, 1.0} else []
    if why := why_no_margin(found.auc, other.auc.value):
        return plain, [f"no verdict on the margin: {why}"]
    if found.std_error == 0.0 or areas & {0.0, 1.0}:
        return plain, ["no verdict on the margin: an AUC is 0 or 1, or the two sets rank the trials alike"]
    return replace(plain, comparisons=_margin_tests(found, plan.margin, plan.confidence)), []


def _margin_tests(found: DifferenceEstimate, margin: float, confidence: float) -> tuple[Comparison, ...]:
    """Non-inferiority and equivalence, by the law of the interval that is shown."""
    if found.law is not None:
        return law_margin_tests(found.law, noninferiority_margin=margin, confidence=confidence)
    delta, alpha = found.difference.delta_auc, (1.0 - confidence) / 2.0
    return tuple(
        test_of(delta, found.std_error, noninferiority_margin=margin, alpha=alpha, limit=1.0)
        for test_of in (noninferiority, equivalence)
    )


def _difference(
    mine: Performance, other: Performance, task: Task, test: NDArray[np.int64], confidence: float
) -> DifferenceEstimate:
    """The difference, and what its error is taken to be."""
    present, clusters = task.signal_present[test], task.clusters(test)
    scores = np.stack([mine.statistics, other.statistics])
    both = scores[:, :, present], scores[:, :, ~present]
    if scores.shape[1] == 1:
        one = both[0][:, 0], both[1][:, 0]
        delta, std_error = delong_difference(*one, clusters)
        difference = normal_difference(delta, std_error, confidence=confidence)
        return DifferenceEstimate(mine.auc.value, difference, std_error)
    if clusters is not None:
        difference, law = clustered_readers_difference(*both, clusters, confidence=confidence)
        return DifferenceEstimate(mine.auc.value, difference, law.error.std_error, law)
    found = analyze(as_ratings(scores, present, test), confidence=confidence).differences[f"{IMAGES}-{VERSUS}"]
    difference = PairedDifference(found.auc, found.ci_low, found.ci_high, found.p_value_interval)
    return DifferenceEstimate(mine.auc.value, difference, math.sqrt(found.interval_variance), found.law)


def too_few(task: Task, test: NDArray[np.int64]) -> str | None:
    """Why a difference on these test trials has no p value; None where it has."""
    clusters = task.clusters(test)
    if clusters is None:
        n_present = int(task.signal_present[test].sum())
        return why_no_test(n_present, len(test) - n_present)
    return why_no_test(int(clusters.holds_present.sum()), int(clusters.holds_absent.sum()), clusters.n)


def learn(
    observers: Sequence[Observer],
    performances: Sequence[Performance],
    stacks: Sequence[NDArray[np.floating] | StoredImages],
    task: Task,
    trials: tuple[NDArray[np.int64], NDArray[np.int64]],
    plan: EvaluationPlan,
) -> tuple[LearningCurve, LearningDifference | None]:
    """Learning curves with the regularization that was chosen, in windows around the sites where observers scan.

    `trials` are the numbers of the training and of the test trials. The result is the curve on the images, and both
    curves with their difference where there are two sets of images.
    """
    chosen = [copy.copy(observer) for observer in observers]
    for observer, performance in zip(chosen, performances, strict=False):
        for name, value in performance.readings[0].regularization.items():
            setattr(observer, name, value)

    def labelled(images: NDArray[np.floating] | StoredImages, some: NDArray[np.int64]) -> LabelledTrials:
        cases = None if task.truth.cases is None else task.truth.cases[some]
        return LabelledTrials(task.windows(images, some), task.signal_present[some], cases)

    pools, tests = ([labelled(stack, part) for stack in stacks] for part in trials)
    if len(stacks) > 1:
        both = learning_difference(chosen, pools, tests, confidence=plan.confidence, seed=plan.seed)
        return both.first, both
    pool = pools[0]
    curve = learning_curve(
        chosen[0],
        pool.images,
        pool.signal_present,
        cases=pool.cases,
        test=tests[0],
        confidence=plan.confidence,
        seed=plan.seed,
    )
    return curve, None
