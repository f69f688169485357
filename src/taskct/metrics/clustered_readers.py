"""Several readers on clustered trials: the analysis of Obuchowski and Rockette with the clusters' covariance.

Observers that were trained on different trials are readers. Their errors share the test trials, and test trials of one
case share the case; the one adds to the other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.metrics.clustered import Clusters
from taskct.metrics.intervals import Interval, check_confidence, perfect_bounds
from taskct.metrics.mrmc.area_scale import area_bounds
from taskct.metrics.mrmc.difference import DifferenceLaw
from taskct.metrics.mrmc.error_law import ErrorLaw
from taskct.metrics.roc import PairedDifference, auc, delong_covariance

_ROUNDING = 1e-12  # of an area; two that differ less are the same


@dataclass(frozen=True)
class ReaderMean:
    """A mean over readers of areas, or of differences of areas, with its error over readers and cases."""

    value: float  # mean over the readers
    error: ErrorLaw  # of the mean: other readers and other cases


def reader_mean(areas: NDArray[np.floating], covariance: NDArray[np.floating], n_cases: int) -> ReaderMean:
    """Mean of the readers' estimates with its error over readers and cases.

    `areas` are at least 2 AUCs, or differences, `(n_readers,)`; `covariance`, `(n_readers, n_readers)`, is theirs by
    the choice of `n_cases` cases (of the class that has fewer, at least 2).

    The variance is MS/r + max(c, 0): MS is the variance among the r readers' estimates, which holds what readers and
    their own errors add, and c is the mean covariance of two readers, which the cases they share give. The first part
    has r − 1 degrees of freedom, the second `n_cases` − 1. Sources: Obuchowski & Rockette, Commun. Stat. Simul. Comput.
    24, 285 (1995); Obuchowski, Biometrics 53, 567 (1997): the covariance of clustered areas.
    """
    n_readers = len(areas)
    by_reader = float(np.var(areas, ddof=1)) / n_readers if np.ptp(areas) > _ROUNDING else 0.0
    off_diagonal = covariance.sum() - np.trace(covariance)
    by_case = max(float(off_diagonal) / (n_readers * (n_readers - 1)), 0.0)
    error = ErrorLaw(by_reader + by_case, by_reader, float(n_readers - 1), float(n_cases - 1))
    return ReaderMean(float(np.mean(areas)), error)


def clustered_readers_interval(
    t_present: NDArray[np.floating], t_absent: NDArray[np.floating], clusters: Clusters, *, confidence: float = 0.95
) -> Interval:
    """Mean AUC of several readers on the same clustered trials, with an interval over readers and cases.

    Test statistics have shapes `(n_readers, n_present)` and `(n_readers, n_absent)`. The interval is that of a reader
    study, see `area_bounds` and `ErrorLaw`; at a mean of exactly 0 or 1 it is the exact one of as many pairs of trials
    as share neither reader nor cluster.
    """
    check_confidence(confidence)
    areas = np.array([auc(p, a) for p, a in zip(t_present, t_absent, strict=True)])
    mean = reader_mean(areas, delong_covariance(t_present, t_absent, clusters), _fewest(clusters))
    if mean.value in (0.0, 1.0):
        n_pairs = min(len(t_present), clusters.n_pairs)
        return Interval(mean.value, *perfect_bounds(mean.value, n_pairs, confidence))
    half = np.array(mean.error.critical(confidence) * mean.error.std_error)
    low, high = area_bounds(mean.value, half)
    return Interval(mean.value, float(low), float(high))


def clustered_readers_difference(
    t_present: NDArray[np.floating], t_absent: NDArray[np.floating], clusters: Clusters, *, confidence: float = 0.95
) -> tuple[PairedDifference, DifferenceLaw]:
    """Difference of the mean AUCs of several readers in two modalities, on the same clustered trials.

    Test statistics have shapes `(2, n_readers, n_present)` and `(2, n_readers, n_absent)`. Returned are first modality
    minus second with two-sided p, and the law of the error that they rest on.
    """
    check_confidence(confidence)
    n_readers = t_present.shape[1]
    parts = slice(None, n_readers), slice(n_readers, None)
    c = delong_covariance(t_present.reshape(2 * n_readers, -1), t_absent.reshape(2 * n_readers, -1), clusters)
    areas = np.array(
        [[auc(p, a) for p, a in zip(*both, strict=True)] for both in zip(t_present, t_absent, strict=True)]
    )
    n_cases, (first, second) = _fewest(clusters), parts
    each = [reader_mean(own, c[part, part], n_cases) for own, part in zip(areas, parts, strict=True)]
    shared = c[first, first] + c[second, second] - c[first, second] - c[second, first]
    both = reader_mean(areas[0] - areas[1], shared, n_cases)
    law = DifferenceLaw(each[0].value, each[1].value, each[0].error.variance, each[1].error.variance, both.error)
    low, high = law.bounds(confidence)
    return PairedDifference(law.difference, low, high, law.p_value()), law


def _fewest(clusters: Clusters) -> int:
    return min(int(clusters.holds_present.sum()), int(clusters.holds_absent.sum()))
