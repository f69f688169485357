"""How a proportion over readers and cases scatters, and how far its interval reaches: for any design, with clusters."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainccinv, betaincinv, ndtri

from taskct.metrics.intervals import logit_bounds, perfect_bounds
from taskct.metrics.mrmc.error_law import ErrorLaw

Floats = NDArray[np.float64]

FEW = 5
"""Clusters that hold a failure, or a success where those are fewer, or in which two modalities differ, below which an
interval is the guarded one."""
NOTHING = 1e-14
"""A variance below it is rounding."""
_ROUNDING = 1e-12  # of a share of all answers


@dataclass(frozen=True)
class Answered:
    """What was answered in one modality: successes less their proportion, and where there are any."""

    deviations: Floats  # shape `(n_readers, n_clusters)`: sum within the cluster over the number of answers in all
    counts: Floats  # answers, the same shape
    proportion: float  # pooled
    n_informative: int  # clusters that hold a failure, or a success where those are fewer

    @classmethod
    def of(cls, successes: Floats, clusters: NDArray[np.intp]) -> "Answered":
        """From successes `(n_readers, n_cases)`, NaN where there is no answer, and the cluster of each case."""
        n_clusters = int(clusters.max()) + 1
        given = ~np.isnan(successes)
        total = float(given.sum())
        right = np.array([np.bincount(clusters, row, n_clusters) for row in np.where(given, successes, 0.0)])
        counts = np.array([np.bincount(clusters, row, n_clusters) for row in given])
        proportion = float(right.sum() / total)
        by_cluster, of_cluster = right.sum(axis=0), counts.sum(axis=0)
        informative = min(int((by_cluster > 0.0).sum()), int((by_cluster < of_cluster).sum()))
        return cls((right - proportion * counts) / total, counts, proportion, informative)


@dataclass(frozen=True)
class ProportionSpread:
    """Variance of a proportion, or of a difference of two, over readers and clusters of cases."""

    variance: float
    """U-statistic, unbiased; can be negative."""
    variance_mle: float
    """Its biased twin: the variance under the empirical distribution."""
    by_readers: float
    """Variance between readers' estimates over their number, with what the cases add to it; 0 with one reader."""
    n_readers: float
    """Readers that would count as much if all had as many answers."""
    n_clusters: float
    """Clusters, likewise."""
    added: float = 0.0
    """What the interval adds to the variance of a difference, since the two differ in few clusters; see `spread_of`."""

    @property
    def used(self) -> float:
        """The variance of the interval: the unbiased one, at least what readers show; the twin where that is 0."""
        found = max(self.variance, self.by_readers)
        return (found if found > NOTHING else self.variance_mle) + self.added

    @property
    def df(self) -> float:
        """Satterthwaite's degrees of freedom of `used`, readers and cases being its two parts; infinite for 0."""
        law = self.law
        if not law.variance > 0.0:
            return math.inf
        readers = law.of_readers / law.variance
        of_readers = readers**2 / law.df_readers if readers > 0.0 else 0.0
        return 1.0 / ((1.0 - readers) ** 2 / law.df_cases + of_readers)

    @property
    def law(self) -> ErrorLaw:
        """Law of the error: its critical value says how many standard errors an interval reaches."""
        df_readers, df_clusters = (max(round(n) - 1.0, 1.0) for n in (self.n_readers, self.n_clusters))
        used = self.used
        return ErrorLaw(used, min(self.by_readers, used), df_readers, df_clusters)


def spread_of(parts: Sequence[Answered], signs: Sequence[float] = (1.0,)) -> ProportionSpread | None:
    """Scatter of Σ sign·proportion of some parts; None where no variance over readers can be told.

    The variance is the U-statistic: products of two deviations that share the reader, the cluster or both, over the
    number of pairs that share neither. With one reader it is over clusters alone. Its biased twin takes what is not
    shared as free.

    Where two modalities differ in fewer than `FEW` clusters, what differs by chance is hardly known, and nothing
    of it where they differ in none. The interval then adds the variance of two more clusters, one that is right in the
    first alone and one in the second alone, by half each. Source: Agresti & Min, Stat. Med. 24, 729 (2005).
    """
    who = [part.counts.sum(axis=1) > 0.0 for part in parts]
    one_reader = who[0].sum() == 1 and all(np.array_equal(who[0], other) for other in who[1:])
    covariances = _covariances(parts, one_reader=bool(one_reader))
    if not np.isfinite(covariances).all():
        return None
    total, mle = (float(np.asarray(signs) @ c @ np.asarray(signs)) for c in covariances)
    n_readers, n_clusters = (min(_equivalent(part, axis) for part in parts) for axis in (1, 0))
    added = _added(parts, signs)
    if one_reader:
        return ProportionSpread(total, mle, 0.0, 1.0, n_clusters, added)
    by_reader = sum(sign * part.deviations.sum(axis=1) for sign, part in zip(signs, parts, strict=True))
    between = float(np.square(by_reader).sum()) * n_readers / max(n_readers - 1.0, 0.5)
    return ProportionSpread(total, mle, between, n_readers, n_clusters, added)


def _added(parts: Sequence[Answered], signs: Sequence[float]) -> float:
    """What two more clusters that differ, by half each, add to the variance of a difference; 0 where many differ."""
    if min(signs) > 0.0:
        return 0.0
    shares = [part.deviations + part.proportion * part.counts / part.counts.sum() for part in parts]
    apart = np.abs(sum(sign * share for sign, share in zip(signs, shares, strict=True)))
    if int((apart > _ROUNDING).any(axis=0).sum()) >= FEW:
        return 0.0
    return 0.5 * sum(1.0 / int((part.counts.sum(axis=0) > 0.0).sum()) ** 2 for part in parts)


def _covariances(parts: Sequence[Answered], *, one_reader: bool) -> Floats:
    """Covariances of proportions, `(2, n, n)`: unbiased (NaN if no two answers share nothing), and of the twin."""
    rows = [[_covariance(a, b, one_reader=one_reader) for b in parts] for a in parts]
    return np.moveaxis(np.array(rows, dtype=np.float64), -1, 0)


def proportion_bounds(part: Answered, variance: float, reach: float, confidence: float) -> tuple[float, float]:
    """Bounds of a proportion that reach so many standard errors to either side.

    Symmetric on the logit [1]. Where fewer than `FEW` clusters hold a failure (or a success) they are the exact
    binomial ones (Clopper–Pearson) of as many answers as say as much, n/d [2], where the design effect d is drawn
    towards one trial a cluster as in `rate_interval`. At exactly 0 and 1 as many answers are independent as there are
    clusters. Sources: [1] Agresti, Categorical Data Analysis (2013), section 1.4; [2] Korn & Graubard, Surv. Methodol.
    24, 193 (1998).
    """
    proportion, n_clusters = part.proportion, int((part.counts.sum(axis=0) > 0.0).sum())
    if proportion in (0.0, 1.0):
        return perfect_bounds(proportion, n_clusters, confidence)
    if part.n_informative >= FEW:
        return logit_bounds(proportion, reach * math.sqrt(variance))
    tail = (1.0 - confidence) / 2.0
    n, binomial = float(part.counts.sum()), proportion * (1.0 - proportion)
    n_alone = min(n, binomial / variance) if variance > 0.0 else n
    effect, greatest = n / n_alone, n / min(n_alone, float(n_clusters))
    drawn = (part.n_informative * effect + greatest) / (part.n_informative + 1.0)
    n_effective = n / drawn * (float(ndtri(tail)) / reach) ** 2
    right = proportion * n_effective
    wrong = n_effective - right
    return float(betaincinv(right, wrong + 1.0, tail)), float(betainccinv(right + 1.0, wrong, tail))


def _covariance(a: Answered, b: Answered, *, one_reader: bool) -> tuple[float, float]:
    """Covariance of two proportions, unbiased (NaN if no two answers share nothing) and under the empirical law."""
    readers, clusters, both = (_shared(a.deviations, b.deviations, by) for by in ("readers", "clusters", "both"))
    n_readers, n_clusters, n_both = (_shared(a.counts, b.counts, by) for by in ("readers", "clusters", "both"))
    total = float(a.counts.sum() * b.counts.sum())
    if one_reader:
        apart = total - n_clusters
        return (clusters * total / apart if apart > 0.0 else math.nan), clusters
    apart = total - n_readers - n_clusters + n_both
    if apart <= 0.0:
        return math.nan, math.nan
    # Deviations sum to 0, so that products that share nothing sum to minus those that share something.
    unbiased = (readers + clusters - both) * total / apart
    lost = (readers / n_readers if n_readers else 0.0) + (clusters / n_clusters if n_clusters else 0.0)
    return unbiased, readers + clusters + both - n_both * lost


def _shared(a: Floats, b: Floats, by: str) -> float:
    """Sum of products of two cells, `(n_readers, n_clusters)`, that share the reader, the cluster or both."""
    if by == "both":
        return float(np.vdot(a, b))
    axis = 1 if by == "readers" else 0
    return float(a.sum(axis=axis) @ b.sum(axis=axis))


def _equivalent(part: Answered, axis: int) -> float:
    """How many readers (axis 1) or clusters (axis 0) with equally many answers would weigh as these do."""
    counts = part.counts.sum(axis=axis)
    return float(counts.sum() ** 2 / np.square(counts).sum())
