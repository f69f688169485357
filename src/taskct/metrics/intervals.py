"""Intervals: what one is, and the bootstrap over trials or whole clusters of trials."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr, ndtri, stdtr, stdtrit

_KEPT_ELEMENTS = 2**24  # counts of one bootstrap that are kept for the next: 16 MiB
_CHUNK_ELEMENTS = 2**20  # counts held at once: 8 MiB, small enough for the cache of a modest machine


@dataclass(frozen=True)
class Interval:
    """A value and its confidence interval, all three in the unit of the value."""

    value: float
    """Point estimate on the whole sample."""
    ci_low: float
    """Lower bound."""
    ci_high: float
    """Upper bound."""


def check_confidence(confidence: float) -> None:
    """Refuse a confidence level outside (0, 1)."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence is {confidence}; it must lie between 0 and 1, both excluded (0.95, not 95)")


def logit_interval(area: float, variance: float, *, n_pairs: int, confidence: float = 0.95) -> Interval:
    """Interval of an AUC from its variance, symmetric on the logit of the AUC; it never leaves [0, 1].

    An estimate of exactly 1 leaves a variance of 0. If the true AUC is A, all m = `n_pairs` pairs of trials that are
    independent of one another come out right with probability at most A^m. So the interval is [(α/2)^(1/m), 1], with α
    = 1 − confidence: at least the coverage wanted. It is mirrored for an AUC of 0. Source: Pepe, The Statistical
    Evaluation of Medical Tests (2003), section 5.2 (logit interval of an AUC).
    """
    check_confidence(confidence)
    if not (0.0 <= area <= 1.0 and variance >= 0.0 and n_pairs >= 1):
        raise ValueError(f"AUC {area}, variance {variance} or {n_pairs} pairs is out of range")
    if area in (0.0, 1.0):
        return Interval(area, *perfect_bounds(area, n_pairs, confidence))
    half_width = -float(ndtri((1.0 - confidence) / 2.0)) * math.sqrt(variance)
    return Interval(area, *logit_bounds(area, half_width))


def logit_bounds(area: float, half_width: float) -> tuple[float, float]:
    """Bounds of an AUC in (0, 1) that are symmetric in its logit, from half the width of its plain interval."""
    centre, half = float(logit(area)), half_width / (area * (1.0 - area))
    return float(expit(centre - half)), float(expit(centre + half))


def perfect_bounds(area: float, n_independent: int, confidence: float) -> tuple[float, float]:
    """Bounds of an AUC of 0 or 1 from how many of its pairs are independent of one another, see `logit_interval`."""
    nearest = float(((1.0 - confidence) / 2.0) ** (1.0 / n_independent))
    return (nearest, 1.0) if area == 1.0 else (0.0, 1.0 - nearest)


def two_sided_p(difference: float, std_error: float, df: float) -> float:
    """P value of no difference by Student's t; with a standard error of 0 it is 1 without a difference, else 0."""
    return 2.0 * float(stdtr(df, -abs(difference) / std_error)) if std_error != 0.0 else float(difference == 0.0)


def percentile_bounds(
    replicates: NDArray[np.floating], confidence: float, *, df: float = math.inf
) -> tuple[float, float]:
    """Bounds of the percentile bootstrap [1], equal tails, from the statistic on each resample, `(n_bootstrap,)`.

    With few degrees of freedom behind their spread, `df`, the percentiles are taken as far out as Student's t lies
    beyond the normal law [2]. Sources: [1] Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13; [2]
    Hesterberg, Am. Stat. 69, 371 (2015), percentiles by Student's t.
    """
    check_confidence(confidence)
    tail = (1.0 - confidence) / 2.0
    if math.isfinite(df):
        tail = float(ndtr(stdtrit(df, tail)))
    low, high = np.quantile(replicates, [tail, 1.0 - tail])
    return float(low), float(high)


def resample_counts(
    rng: np.random.Generator, n_units: int, n_resamples: int, *, n_draws: int | None = None
) -> NDArray[np.float64]:
    """How often each unit is drawn in resamples with replacement, `(n_resamples, n_units)`; rows sum to `n_draws`.

    Floats, ready for a matrix product. `n_draws` is `n_units` when left out.
    """
    drawn = rng.integers(n_units, size=(n_resamples, n_units if n_draws is None else n_draws))
    drawn += n_units * np.arange(n_resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=n_resamples * n_units)
    return counts.reshape(n_resamples, n_units).astype(np.float64)


def chunk_sizes(n_resamples: int, n_units: int) -> list[int]:
    """Split resamples into chunks whose counts fit in a few megabytes.

    Examples
    --------
    >>> chunk_sizes(600, 4096)
    [256, 256, 88]
    """
    chunk = max(1, _CHUNK_ELEMENTS // n_units)
    return [min(chunk, n_resamples - start) for start in range(0, n_resamples, chunk)]


def bootstrap_interval(
    values: NDArray[np.floating],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
    *,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int,
    clusters: NDArray[np.integer] | None = None,
) -> Interval:
    """Percentile bootstrap of a mean over trials, or of a function of means; over trials or over whole clusters.

    A root-mean-square error is the square root of a mean: `bootstrap_interval(mse_per_trial, np.sqrt, seed=0)`. A ratio
    of means is a function of two: `values` of shape `(n, 2)` and `lambda mean: mean[:, 0] / mean[:, 1]`.

    Parameters
    ----------
    values
        One value, or an array of values, for each trial; shape `(n, ...)`, finite.
    statistic
        Maps means over the trials, shape `(n_resamples, ...)`, to the statistic, shape `(n_resamples,)`; the mean
        itself when left out, and `values` is then `(n,)`. It is called on many resamples at once.
    n_bootstrap, confidence, seed
        Resamples, at least 2; coverage wanted, in (0, 1); seed of the resampling.
    clusters
        Cluster (background, case) of each trial, shape `(n,)`. Whole clusters are then resampled, since trials that
        share one are not independent. Left out: every trial on its own.

    Returns
    -------
    The statistic on all trials and its interval, in the unit that `statistic` returns.

    Raises
    ------
    ValueError
        If there are fewer than 2 trials or clusters, a value is not finite, a shape does not fit, or `n_bootstrap` or
        `confidence` is out of range.

    Notes
    -----
    Of k clusters k − 1 are drawn, as `resample_trials` does, and the percentiles are those of Student's t with k − 1
    degrees of freedom. On means and root-mean-square errors of clusters of ten trials, 1,000 studies each, a 95 %
    interval so covered 89 % for 5 clusters, 92 to 94 % for 10 and 93 to 95 % for 30; plain percentiles of k draws 83,
    89 to 90 and 92 to 94 %. Single trials have plain percentiles, which are somewhat too narrow below about 30 trials.

    References
    ----------
    .. [1] Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    .. [2] Davison & Hinkley, Bootstrap Methods and their Application (1997), section 3.8 (clusters).
    .. [3] Rao & Wu, J. Am. Stat. Assoc. 83, 231 (1988), k − 1 draws.
    .. [4] Hesterberg, Am. Stat. 69, 371 (2015), percentiles by Student's t.

    Examples
    --------
    >>> squared_error = np.full(100, 9.0)
    >>> bootstrap_interval(squared_error, np.sqrt, seed=0)
    Interval(value=3.0, ci_low=3.0, ci_high=3.0)
    """
    value, resampled, df = _resampled_means(values, n_bootstrap=n_bootstrap, seed=seed, clusters=clusters)

    def evaluate(means: NDArray[np.float64]) -> NDArray[np.float64]:
        result = means if statistic is None else np.asarray(statistic(means))
        if result.shape != (len(means),):
            raise ValueError(f"the statistic must return one number for each resample, not {result.shape[1:]}")
        return result

    first = float(evaluate(value)[0])
    replicates = np.concatenate([evaluate(means) for means in resampled])
    return Interval(first, *percentile_bounds(replicates, confidence, df=df))


def bootstrap_means(
    values: NDArray[np.floating],
    *,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int,
    clusters: NDArray[np.integer] | None = None,
) -> list[Interval]:
    """Interval of the mean of every column of `(n, k)`, as `bootstrap_interval` has it, from one set of resamples.

    Examples
    --------
    >>> columns = np.random.default_rng(0).normal(size=(50, 2))
    >>> several, one = bootstrap_means(columns, seed=0)[1], bootstrap_interval(columns[:, 1], seed=0)
    >>> round(several.ci_low, 12) == round(one.ci_low, 12)
    True
    """
    value, resampled, df = _resampled_means(values, n_bootstrap=n_bootstrap, seed=seed, clusters=clusters)
    if value.ndim != 2:
        raise ValueError(f"values must have the shape (n, k), not {np.shape(values)}")
    replicates = np.concatenate(list(resampled))
    return [
        Interval(float(mean), *percentile_bounds(drawn, confidence, df=df))
        for mean, drawn in zip(value[0], replicates.T, strict=True)
    ]


def _resampled_means(
    values: NDArray[np.floating], *, n_bootstrap: int, seed: int, clusters: NDArray[np.integer] | None
) -> tuple[NDArray[np.float64], Iterator[NDArray[np.float64]], float]:
    """Mean over all trials, `(1, ...)`; means over resamples in chunks, `(n_resamples, ...)`; degrees of freedom."""
    per_trial: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    if per_trial.ndim == 0 or not np.isfinite(per_trial).all():
        raise ValueError(f"values must be finite and of shape (n, ...); the shape is {per_trial.shape}")
    if n_bootstrap < 2:
        raise ValueError(f"n_bootstrap is {n_bootstrap}; it must be at least 2")
    sums, sizes = _cluster_sums(per_trial, clusters)
    k = len(sizes)
    if k < 2:
        raise ValueError(f"a bootstrap needs at least 2 trials, or 2 clusters; there are {k}")

    def means(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        # The resample's own size divides: clusters of unequal size change how many trials are drawn.
        return ((counts @ sums) / (counts @ sizes)[:, None]).reshape(len(counts), *per_trial.shape[1:])

    n_draws, df = (k, math.inf) if clusters is None else (k - 1, k - 1)
    keep = n_bootstrap * k <= _KEPT_ELEMENTS
    drawn = _kept_counts(seed, k, n_bootstrap, n_draws) if keep else _all_counts(seed, k, n_bootstrap, n_draws)
    return means(np.ones((1, k))), (means(counts.astype(np.float64)) for counts in drawn), df


def _all_counts(seed: int, n_units: int, n_bootstrap: int, n_draws: int) -> Iterator[NDArray[np.number]]:
    """Counts of `resample_counts` in chunks."""
    rng = np.random.default_rng(seed)
    for size in chunk_sizes(n_bootstrap, n_units):
        yield resample_counts(rng, n_units, size, n_draws=n_draws)


@lru_cache(maxsize=4)
def _kept_counts(seed: int, n_units: int, n_bootstrap: int, n_draws: int) -> tuple[NDArray[np.number], ...]:
    """The same in the fewest bytes, kept: a study asks for the same ones again and again."""
    counts = _all_counts(seed, n_units, n_bootstrap, n_draws)
    return tuple(chunk.astype(np.min_scalar_type(int(chunk.max()))) for chunk in counts)


def _cluster_sums(
    values: NDArray[np.float64], clusters: NDArray[np.integer] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum of the values of each cluster, `(n_clusters, n_values)`, and how many trials, `(n_clusters,)`."""
    n = len(values)
    flat = values.reshape(n, int(np.prod(values.shape[1:])))
    if clusters is None:
        return flat, np.ones(n)
    labels = np.asarray(clusters)
    if labels.shape != (n,):
        raise ValueError(f"clusters has shape {labels.shape}; it must be ({n},), one label for each trial")
    _, index = np.unique(labels, return_inverse=True)
    sums = np.zeros((int(index.max(initial=-1)) + 1, flat.shape[1]))
    np.add.at(sums, index, flat)
    return sums, np.bincount(index).astype(np.float64)
