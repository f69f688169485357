"""What trained observers can do on one set of images: AUC and its kin with intervals."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import orth

from taskct.apply.observe.observation import IMAGES, Performance, as_ratings
from taskct.apply.observe.plan import Plan
from taskct.apply.observe.readings import Reading
from taskct.apply.observe.task import Task
from taskct.metrics.clustered import Clusters
from taskct.metrics.clustered_readers import clustered_readers_interval
from taskct.metrics.detectability import d_a
from taskct.metrics.exact_cho import exact_cho_interval
from taskct.metrics.intervals import Interval
from taskct.metrics.lroc import correct_fraction, correct_localization, lroc_ratings
from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.operating import sensitivity_interval
from taskct.metrics.roc import delong_interval


def perform(
    readings: Sequence[Reading], images: NDArray[np.floating], task: Task, test: NDArray[np.int64], plan: Plan
) -> Performance:
    """What one observer can do, from its readings of one set of images.

    Parameters
    ----------
    readings
        One for each training set.
    images
        All trials, shape `(n, height, width)`.
    task
        Their truth.
    test
        Numbers of the trials that were read.
    plan
        Specificity and confidence.
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
        correct = np.stack([_correct(place[present], task, test[present]) for place in found])
        lroc, _ = _area(lroc_ratings(t_present, t_absent, correct), t_absent, clusters, confidence)
        cases = None if clusters is None else clusters.present
        located = correct_fraction(correct[0], clusters=cases, confidence=confidence)
    return Performance(
        auc=area,
        method=method,
        d_a=Interval(*(d_a(value) for value in (area.value, area.ci_low, area.ci_high))),
        sensitivity=sensitivity_interval(
            t_present[0], t_absent[0], specificity=plan.specificity, clusters=clusters, confidence=confidence, seed=0
        ),
        lroc_area=lroc,
        located=located,
        gaussian_auc=_gaussian_auc(readings[0], images, task, confidence),
        readings=tuple(readings),
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


def _correct(found_px: NDArray[np.intp], task: Task, trials: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the site was found; all in pixels."""
    return correct_localization(found_px, task.sites(trials), radius_mm=task.site_radius_px, pixel_mm=1.0)


def _gaussian_auc(reading: Reading, images: NDArray[np.floating], task: Task, confidence: float) -> Interval | None:
    """Exact interval from the channel outputs of all trials; channels that were learned, or cases, do not allow it."""
    if reading.channel_matrix is None or task.mode == "scanning" or task.truth.cases is not None:
        return None
    seen = task.windows(images, np.arange(len(images)))
    outputs = seen.reshape(len(seen), -1).astype(np.float64) @ orth(reading.channel_matrix)
    if len(outputs) < outputs.shape[1] + 2:
        return None
    present = task.signal_present
    return exact_cho_interval(outputs[present], outputs[~present], confidence=confidence)
