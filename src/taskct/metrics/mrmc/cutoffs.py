"""Sensitivity and specificity of readers at their cut-offs, and Youden's index."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.metrics.intervals import Interval
from taskct.metrics.mrmc.proportion_spread import Answered, Floats
from taskct.metrics.mrmc.proportion_sums import ProportionSum, proportion_sum
from taskct.metrics.mrmc.proportions import Proportions, proportion_analysis
from taskct.metrics.mrmc.ratings import Ratings


@dataclass(frozen=True)
class YoudenDifference:
    """Difference of two modalities in Youden's index, first less second."""

    interval: Interval
    p_value: float
    """Two-sided, of no difference."""


@dataclass(frozen=True)
class OperatingPoints:
    """Sensitivity, specificity and Youden's index over readers and cases."""

    sensitivity: Proportions
    """Of signal-present cases called positive."""
    specificity: Proportions
    """Of signal-absent cases called negative."""
    youden: dict[str, Interval]
    """Sensitivity + specificity − 1, by modality."""
    youden_differences: dict[str, YoudenDifference]
    """By pair of modalities, `A-B`."""


def operating_points(
    ratings: Ratings,
    cutoffs: NDArray[np.float64],
    *,
    clusters: NDArray[np.intp] | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    confidence: float = 0.95,
) -> OperatingPoints:
    """Sensitivity and specificity where a case at or above a reader's cut-off is called positive.

    Parameters
    ----------
    ratings
        Scores of any design; NaN where a reader did not rate a case.
    cutoffs
        A score for each reader, finite, shape `(n_readers,)`.
    clusters
        Cluster (patient, background) of each case, `(n_cases,)`; may hold cases of both classes.
    pairs, confidence
        As for `proportion_analysis`.

    Raises
    ------
    UserError
        If no case of a class was rated, or all of a class are of one cluster.
    ValueError
        If `cutoffs` is of another shape or not finite.

    Notes
    -----
    iMRMC has binary data analysed by giving the cases of the other class the score ½ (its function `roc2binary`). The
    AUC is then the sensitivity, or 1 less the specificity, and its variance is ours where all readers rated the same
    cases of the other class. Elsewhere readers weigh by these too, and the variance is another unbiased estimate. iMRMC
    calls a case positive above the threshold, not at it.

    The readers' cut-offs vary sensitivity and specificity against one another; the variance of Youden's index takes
    that into account, and clusters with cases of both classes too. Source of the index: Youden, Cancer 3, 32 (1950).

    Examples
    --------
    >>> rng, truth = np.random.default_rng(0), np.arange(80) < 40
    >>> scores = rng.normal(size=(2, 4, 80)) + 1.5 * truth
    >>> study = Ratings(scores, truth, ("A", "B"), ("1", "2", "3", "4"), tuple(map(str, range(80))))
    >>> found = operating_points(study, np.full(4, 0.75))
    >>> round(found.sensitivity.modalities["A"].interval.value, 3)
    0.806
    """
    if cutoffs.shape != (len(ratings.readers),) or not np.isfinite(cutoffs).all():
        raise ValueError(f"cutoffs of shape {cutoffs.shape} for {len(ratings.readers)} readers, or one is not finite")
    calls = np.where(np.isnan(ratings.scores), np.nan, ratings.scores >= cutoffs[None, :, None])
    present = ratings.signal_present
    right = {"present": np.where(present, calls, np.nan), "absent": np.where(present, np.nan, 1.0 - calls)}
    of_class = []
    for name, successes in right.items():
        rated = ~np.isnan(successes).all(axis=(0, 1))
        n_units = len(np.unique(np.flatnonzero(rated) if clusters is None else clusters[rated]))
        if n_units < 2:
            of_clusters = f" of {n_units} cluster{'' if n_units == 1 else 's'}"
            what = f"{n_units} signal-{name} cases" if clusters is None else f"signal-{name} cases{of_clusters}"
            raise UserError(f"{what} were rated: a rate with its interval needs at least 2")
        of_class.append(
            proportion_analysis(
                successes,
                modalities=ratings.modalities,
                readers=ratings.readers,
                clusters=clusters,
                pairs=pairs,
                confidence=confidence,
                reader_kind=ratings.reader_kind,
            )
        )
    sensitivity, specificity = of_class
    parts = _parts(ratings, right, clusters)
    youden = {
        name: whole.interval(confidence)
        for name in sensitivity.modalities
        if name in specificity.modalities and (whole := _youden(parts, name)) is not None
    }
    differences = {
        pair: YoudenDifference(whole.interval(confidence), whole.p_value())
        for pair, one in sensitivity.differences.items()
        if pair in specificity.differences and (whole := _youden(parts, one.first, one.second)) is not None
    }
    return OperatingPoints(sensitivity, specificity, youden, differences)


def _parts(
    ratings: Ratings, right: dict[str, Floats], clusters: NDArray[np.intp] | None
) -> dict[str, tuple[Answered, Answered]]:
    """What was answered of both classes, in the modalities in which it was."""
    labels = np.arange(len(ratings.cases)) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    return {
        name: (Answered.of(right["present"][m], labels), Answered.of(right["absent"][m], labels))
        for m, name in enumerate(ratings.modalities)
        if not any(np.isnan(of_class[m]).all() for of_class in right.values())
    }


def _youden(parts: dict[str, tuple[Answered, Answered]], first: str, second: str | None = None) -> ProportionSum | None:
    if second is None:
        return proportion_sum(parts[first], (1.0, 1.0), -1.0)
    return proportion_sum((*parts[first], *parts[second]), (1.0, 1.0, -1.0, -1.0))
