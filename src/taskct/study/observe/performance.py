"""What trained observers can do on one set of images: AUC and its kin with intervals."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import orth

from taskct.metrics.clustered import clustered_interval
from taskct.metrics.detectability import d_a
from taskct.metrics.exact_cho import exact_cho_interval
from taskct.metrics.intervals import Interval, bootstrap_interval
from taskct.metrics.lroc import correct_fraction, correct_localization, lroc_interval, lroc_ratings
from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.operating import sensitivity_interval
from taskct.metrics.roc import delong_interval
from taskct.study.observe.plan import Plan
from taskct.study.observe.readings import Reading
from taskct.study.observe.results import IMAGES, Performance, make_ratings
from taskct.study.observe.task import Task


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
    first = readings[0].statistic
    t_present, t_absent = first[present], first[~present]
    clusters = task.clusters(test)
    if len(readings) > 1:
        found = analyze(make_ratings(readings, None, present, test), confidence=confidence).modalities[IMAGES]
        area, method = Interval(found.auc, found.ci_low, found.ci_high), "MRMC: over test trials and training sets"
    elif clusters is not None:
        area = clustered_interval(t_present, t_absent, clusters, confidence=confidence)
        method = "clustered by case: over test cases, for one training set"
    else:
        area = delong_interval(t_present, t_absent, confidence=confidence)
        method = "DeLong: over test trials, for one training set"
    lroc, located = None, None
    if readings[0].found_px is not None:
        correct = correct_localization(
            readings[0].found_px[present],
            task.sites(test)[present],
            radius_mm=task.site_radius_px,
            pixel_mm=1.0,  # so all is in pixels
        )
        if clusters is None:
            lroc = lroc_interval(t_present, t_absent, correct, confidence=confidence)
            located = correct_fraction(correct, confidence=confidence)
        else:
            rated = lroc_ratings(t_present, t_absent, correct)
            lroc = clustered_interval(rated, t_absent, clusters, confidence=confidence)
            located = bootstrap_interval(
                correct.astype(float), clusters=clusters.present, confidence=confidence, seed=0
            )
    return Performance(
        auc=area,
        method=method,
        d_a=Interval(*(d_a(value) for value in (area.value, area.ci_low, area.ci_high))),
        sensitivity=sensitivity_interval(
            t_present, t_absent, specificity=plan.specificity, clusters=clusters, confidence=confidence, seed=0
        ),
        lroc_area=lroc,
        located=located,
        gaussian_auc=_gaussian_auc(readings[0], images, task, confidence),
        readings=tuple(readings),
    )


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
