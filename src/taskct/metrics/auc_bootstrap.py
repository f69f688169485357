"""Bootstrap of the AUC and of a paired difference of AUCs: within each class, or of whole cases."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from taskct.metrics.clustered import Clusters, clusters_or_trials
from taskct.metrics.intervals import Interval, chunk_sizes, logit_interval, resample_counts
from taskct.metrics.roc import PairedDifference, auc, normal_difference, weighted_auc
from taskct.metrics.scores import check_trials


def resample_trials(
    clusters: Clusters, *, n_bootstrap: int, seed: int
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Weights of the trials when whole clusters are drawn with replacement, in chunks of resamples.

    Yields weights ≥ 0 of the signal-present and of the signal-absent trials, shapes `(n_resamples, n_present)` and
    `(n_resamples, n_absent)`. `Clusters.of_single_trials` draws trials one by one.

    Clusters that hold present trials only, absent trials only, and both are drawn apart. So no resample is without a
    class, and single trials are drawn within their class. Of k clusters of a kind k − 1 are drawn, each with weight
    k/(k − 1) [1]: the variance of a mean then comes out without the factor (k − 1)/k of k draws, which made intervals
    too narrow for ten clusters of each kind. A cluster that is the only one of its kind is in every resample. Sources:
    [1] Rao & Wu, J. Am. Stat. Assoc. 83, 231 (1988), k − 1 draws; [2] Davison & Hinkley, Bootstrap Methods and their
    Application (1997), sections 3.2 (strata) and 3.8.
    """
    if n_bootstrap < 2:
        raise ValueError(f"n_bootstrap is {n_bootstrap}; it must be at least 2")
    rng = np.random.default_rng(seed)
    kind = clusters.holds_present + 2 * clusters.holds_absent
    strata = [np.flatnonzero(kind == k) for k in (1, 2, 3) if (kind == k).any()]
    n_trials = len(clusters.present) + len(clusters.absent)
    # Small chunks stay in a core's own cache, twice as fast; but 16 resamples or so, as each chunk sorts the trials.
    for n_resamples in chunk_sizes(n_bootstrap, min(64 * n_trials, max(n_trials, 2**16))):
        weights = np.ones((n_resamples, clusters.n))
        for members in strata:
            k = len(members)
            if k > 1:
                weights[:, members] = resample_counts(rng, k, n_resamples, n_draws=k - 1) * (k / (k - 1))
        yield weights[:, clusters.present], weights[:, clusters.absent]


def resampled_class_means(
    present: NDArray[np.floating],
    absent: NDArray[np.floating],
    clusters: Clusters,
    *,
    n_bootstrap: int,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Means of columns over the trials of each class, in the resamples of `resample_trials`.

    Parameters
    ----------
    present, absent
        Values of each trial, `(n_present, k)` and `(n_absent, m)`.
    clusters, n_bootstrap, seed
        As `resample_trials` takes them; equal ones give equal resamples.

    Returns
    -------
    Shapes `(n_bootstrap, k)` and `(n_bootstrap, m)`, and the degrees of freedom behind their spread: clusters less the
    kinds of them that are drawn apart.
    """
    clusters.check(len(present), len(absent))
    parts: tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]] = ([], [])
    for weights in resample_trials(clusters, n_bootstrap=n_bootstrap, seed=seed):
        for part, of_class, values in zip(parts, weights, (present, absent), strict=True):
            part.append((of_class @ values) / of_class.sum(axis=1, keepdims=True))
    n_kinds = len(np.unique(clusters.holds_present + 2 * clusters.holds_absent))
    return np.concatenate(parts[0]), np.concatenate(parts[1]), clusters.n - n_kinds


def bootstrap_auc(
    t_present: NDArray[np.floating],
    t_absent: NDArray[np.floating],
    *,
    clusters: Clusters | None = None,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int,
) -> Interval:
    """AUC of one method with an interval from the bootstrap, both in [0, 1].

    Parameters
    ----------
    t_present, t_absent
        Test statistics, shapes `(n_present,)` and `(n_absent,)`; higher means present.
    clusters
        Cluster of every trial; whole clusters are then drawn. Left out: trials, within each class.
    n_bootstrap, confidence, seed
        Resamples, at least 2; coverage wanted, in (0, 1); seed of the resampling.

    Raises
    ------
    ValueError
        If a class has fewer than 2 trials, a value is not finite, the clusters are those of other trials, or
        `n_bootstrap` or `confidence` is out of range.

    Notes
    -----
    The bootstrap gives the standard error; the interval is symmetric on the logit of the AUC, `logit_interval`. Over
    2,000 binormal studies each at 30, 50 and 100 trials a class and AUCs of 0.7 to 0.95, 95 % intervals of 1,000
    resamples covered 94.8 to 96.0 %. With as many draws as trials, percentiles covered 90.4 to 95.2 % (worst at few
    trials and a high AUC) and BCa 93.8 to 96.3 %; and neither has an answer where every resample separates the classes
    perfectly.

    Examples
    --------
    >>> interval = bootstrap_auc(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.5, 0.5]), seed=0)
    >>> interval.ci_low < interval.value < interval.ci_high
    True
    """
    present, absent = check_trials(t_present, t_absent, ndim=1)
    clusters = clusters_or_trials(clusters, len(present), len(absent))
    draws = resample_trials(clusters, n_bootstrap=n_bootstrap, seed=seed)
    replicates = np.concatenate([weighted_auc(present, absent, *weights) for weights in draws])
    variance = float(replicates.var(ddof=1))
    return logit_interval(auc(present, absent), variance, n_pairs=clusters.n_pairs, confidence=confidence)


def bootstrap_difference(
    t_present: NDArray[np.floating],
    t_absent: NDArray[np.floating],
    *,
    clusters: Clusters | None = None,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int,
) -> PairedDifference:
    """First AUC minus second of two methods on the same trials, interval and two-sided p, by the bootstrap.

    Both come from the bootstrap's standard error and the normal distribution.

    Parameters
    ----------
    t_present, t_absent
        Test statistics, shapes `(2, n_present)` and `(2, n_absent)`; higher means present.
    clusters, n_bootstrap, confidence, seed
        As for `bootstrap_auc`, with its errors. A resample draws the same trials for both methods.

    Notes
    -----
    Over 2,000 binormal studies each at 30, 50 and 100 trials a class and five pairs of AUCs from 0.7 to 0.95, 95 %
    intervals covered 93.7 to 97.5 %, and 99 % for two AUCs of 0.95 on 30 trials, where most differences are one of a
    few values. Percentiles of as many draws as trials covered 93 to 96 % (1,000 studies each).

    Examples
    --------
    >>> t_present, t_absent = np.array([[1.0, 2.0], [1.0, 2.0]]), np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> bootstrap_difference(t_present, t_absent, seed=0).p_value
    1.0
    """
    present, absent = check_trials(t_present, t_absent, ndim=2, n_methods=2)
    clusters = clusters_or_trials(clusters, present.shape[1], absent.shape[1])
    first, second = zip(present, absent, strict=True)
    draws = resample_trials(clusters, n_bootstrap=n_bootstrap, seed=seed)
    replicates = np.concatenate([weighted_auc(*first, *w) - weighted_auc(*second, *w) for w in draws])
    return normal_difference(auc(*first) - auc(*second), float(replicates.std(ddof=1)), confidence=confidence)
