"""ROC analysis of clustered trials: several trials of one case are not independent of one another."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from taskct.metrics.intervals import Interval, logit_interval
from taskct.metrics.roc import PairedDifference, auc, normal_difference, structural_components
from taskct.metrics.scores import check_trials


@dataclass(frozen=True)
class Clusters:
    """Which cluster (case, patient, background) every trial belongs to; clusters are independent of one another."""

    present: NDArray[np.intp]
    """Number of the cluster of each signal-present trial, from 0, shape `(n_present,)`."""
    absent: NDArray[np.intp]
    """The same of each signal-absent trial, shape `(n_absent,)`."""

    @classmethod
    def of(cls, present_labels: ArrayLike, absent_labels: ArrayLike) -> "Clusters":
        """Clusters from labels; a label that stands in both classes is one cluster.

        Parameters
        ----------
        present_labels, absent_labels
            Label of the cluster of each trial, numbers or text, shapes `(n_present,)` and `(n_absent,)`.

        Returns
        -------
        The clusters.

        Raises
        ------
        ValueError
            If the labels are not one list for each class or fewer than 2 clusters hold trials of a class.

        Examples
        --------
        >>> Clusters.of(["anna", "anna", "ben"], ["ben", "cleo"]).absent.tolist()
        [1, 2]
        """
        present, absent = np.asarray(present_labels), np.asarray(absent_labels)
        if present.ndim != 1 or absent.ndim != 1 or 0 in (present.size, absent.size):
            raise ValueError(f"cluster labels of shapes {present.shape} and {absent.shape}; wanted one for each trial")
        _, index = np.unique(np.concatenate([present, absent]), return_inverse=True)
        clusters = cls(index[: len(present)], index[len(present) :])
        for kind, held in (("present", clusters.holds_present), ("absent", clusters.holds_absent)):
            if held.sum() < 2:
                raise ValueError(f"{held.sum()} cluster(s) hold signal-{kind} trials; at least 2 must")
        return clusters

    @classmethod
    def of_single_trials(cls, n_present: int, n_absent: int) -> "Clusters":
        """Every trial on its own.

        Parameters
        ----------
        n_present, n_absent
            Trials of each class.

        Returns
        -------
        The clusters, of one trial each.
        """
        index = np.arange(n_present + n_absent)
        return cls(index[:n_present], index[n_present:])

    @property
    def n(self) -> int:
        """Number of clusters."""
        return 1 + max(int(self.present.max()), int(self.absent.max()))

    @property
    def holds_present(self) -> NDArray[np.bool_]:
        """Whether each cluster holds a signal-present trial, shape `(n,)`."""
        return np.bincount(self.present, minlength=self.n) > 0

    @property
    def holds_absent(self) -> NDArray[np.bool_]:
        """Whether each cluster holds a signal-absent trial, shape `(n,)`."""
        return np.bincount(self.absent, minlength=self.n) > 0

    @property
    def n_pairs(self) -> int:
        """How many pairs of a present and an absent trial can be formed, all from different clusters."""
        return min(int(self.holds_present.sum()), int(self.holds_absent.sum()), self.n // 2)

    def mirrored(self) -> "Clusters":
        """Clusters of the mirrored test, whose present trials are the absent ones."""
        return Clusters(self.absent, self.present)

    def check(self, n_present: int, n_absent: int) -> None:
        """Refuse trials that these clusters do not describe.

        Parameters
        ----------
        n_present, n_absent
            Trials of each class.

        Raises
        ------
        ValueError
            If their numbers differ from those of the labels.
        """
        if (len(self.present), len(self.absent)) != (n_present, n_absent):
            raise ValueError(
                f"clusters of {len(self.present)} signal-present and {len(self.absent)} signal-absent trials for "
                f"{n_present} and {n_absent}"
            )


def clusters_or_trials(clusters: Clusters | None, n_present: int, n_absent: int) -> Clusters:
    """The clusters that are given, checked, or every trial on its own where none are.

    Parameters
    ----------
    clusters
        Cluster of every trial, or None.
    n_present, n_absent
        Trials of each class.

    Returns
    -------
    The clusters.

    Raises
    ------
    ValueError
        If the clusters are those of other trials.
    """
    if clusters is None:
        return Clusters.of_single_trials(n_present, n_absent)
    clusters.check(n_present, n_absent)
    return clusters


def clustered_covariance(
    t_present: NDArray[np.floating], t_absent: NDArray[np.floating], clusters: Clusters
) -> NDArray[np.float64]:
    """Covariance of the empirical AUCs of several methods on the same clustered trials.

    Parameters
    ----------
    t_present, t_absent
        Test statistics, shapes `(n_methods, n_present)` and `(n_methods, n_absent)`; higher means present.
    clusters
        Cluster of every trial.

    Returns
    -------
    Covariance, shape `(n_methods, n_methods)`.

    Raises
    ------
    ValueError
        If the number of methods differs, a class has fewer than 2 trials, a value is not finite or the clusters
        are those of other trials.

    Notes
    -----
    DeLong's structural components, less the AUC, are summed within each cluster, for either class. The covariance
    is that of these sums over clusters; where a cluster holds trials of both classes, the product of its two sums
    counts too. Finite samples: the three parts carry I/(I−1) with I the clusters that hold present trials, absent
    trials, or any. So with one trial in each cluster it is exactly `delong_covariance`, and it is never negative.

    It is an approximation for many clusters. The areas compare trials within a cluster too; with few large clusters
    these pairs, which may be ordered more surely than those of different clusters, count noticeably.

    References
    ----------
    .. [1] Obuchowski, Biometrics 53, 567 (1997).

    Examples
    --------
    >>> t_present, t_absent = np.array([[1.0, 2.0]]), np.array([[0.0, 1.0]])
    >>> clustered_covariance(t_present, t_absent, Clusters.of(["a", "b"], ["c", "d"]))
    array([[0.03125]])
    """
    present, absent = check_trials(t_present, t_absent, ndim=2)
    return _covariance(*structural_components(present, absent), clusters)


def clustered_interval(
    t_present: NDArray[np.floating], t_absent: NDArray[np.floating], clusters: Clusters, *, confidence: float = 0.95
) -> Interval:
    """AUC of one method on clustered trials with an interval that never leaves [0, 1]; see `logit_interval`.

    Parameters
    ----------
    t_present, t_absent
        Test statistics, shapes `(n_present,)` and `(n_absent,)`; higher means present.
    clusters
        Cluster of every trial.
    confidence
        Coverage wanted, in (0, 1).

    Returns
    -------
    AUC and its interval.

    Raises
    ------
    ValueError
        As for `clustered_covariance`, or if `confidence` is out of range.

    Notes
    -----
    Measured with three trials of a class in a cluster, correlation ½: over 30 and 60 clusters, of both classes or of
    one, at AUCs of 0.8 and 0.9 a 95 % interval covered 93.8 to 95.8 % (600 studies each) where DeLong's covered 90
    to 98 %. At an AUC of 0.95 with 20 clusters that hold a class it covered 92 %.

    Examples
    --------
    >>> clusters = Clusters.of([0, 0, 1], [1, 2, 2])
    >>> clustered_interval(np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.5, 2.5]), clusters).value
    0.7777777777777778
    """
    present, absent = check_trials(t_present, t_absent, ndim=1)
    variance = float(clustered_covariance(present[None], absent[None], clusters)[0, 0])
    return logit_interval(auc(present, absent), variance, n_pairs=clusters.n_pairs, confidence=confidence)


def clustered_difference(
    t_present: NDArray[np.floating], t_absent: NDArray[np.floating], clusters: Clusters
) -> tuple[float, float]:
    """Difference of the AUCs of two methods on the same clustered trials, and its standard error.

    Parameters
    ----------
    t_present, t_absent
        Test statistics of the two methods, shapes `(2, n_present)` and `(2, n_absent)`; higher means present.
    clusters
        Cluster of every trial.

    Returns
    -------
    First AUC minus second, and its standard error: exactly 0 for methods that rank the trials alike.

    Raises
    ------
    ValueError
        As for `clustered_covariance`, or if there are not two methods.

    Examples
    --------
    >>> same = np.array([[1.0, 2.0], [1.0, 2.0]]), np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> clustered_difference(*same, Clusters.of([0, 1], [0, 1]))
    (0.0, 0.0)
    """
    present, absent = check_trials(t_present, t_absent, ndim=2, n_methods=2)
    by_present, by_absent = (c[:1] - c[1:] for c in structural_components(present, absent))
    variance = float(_covariance(by_present, by_absent, clusters)[0, 0])
    return auc(present[0], absent[0]) - auc(present[1], absent[1]), math.sqrt(variance)


def paired_clustered(
    t_present: NDArray[np.floating], t_absent: NDArray[np.floating], clusters: Clusters, *, confidence: float = 0.95
) -> PairedDifference:
    """Difference of the AUCs of two methods on the same clustered trials, by the normal approximation.

    Parameters
    ----------
    t_present, t_absent
        Test statistics of the two methods, shapes `(2, n_present)` and `(2, n_absent)`; higher means present.
    clusters
        Cluster of every trial.
    confidence
        Coverage wanted, in (0, 1).

    Returns
    -------
    First AUC minus second, its interval and the two-sided p-value of no difference.

    Raises
    ------
    ValueError
        As for `clustered_difference`, or if `confidence` is out of range.

    Examples
    --------
    >>> same = np.array([[1.0, 2.0], [1.0, 2.0]]), np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> paired_clustered(*same, Clusters.of([0, 1], [0, 1])).p_value
    1.0
    """
    return normal_difference(*clustered_difference(t_present, t_absent, clusters), confidence=confidence)


def _covariance(
    by_present: NDArray[np.float64], by_absent: NDArray[np.float64], clusters: Clusters
) -> NDArray[np.float64]:
    """Obuchowski's covariance from structural components, shapes `(n_methods, n)`."""
    clusters.check(by_present.shape[1], by_absent.shape[1])
    n_clusters = clusters.n

    def sums(components: NDArray[np.float64], of: NDArray[np.intp]) -> NDArray[np.float64]:
        deviations = (components - components.mean(axis=1, keepdims=True)) / components.shape[1]
        return np.array([np.bincount(of, weights=d, minlength=n_clusters) for d in deviations])

    def factor(n: int) -> float:
        return n / (n - 1)

    present, absent = sums(by_present, clusters.present), sums(by_absent, clusters.absent)
    f_present, f_absent = factor(int(clusters.holds_present.sum())), factor(int(clusters.holds_absent.sum()))
    # As squares with factors ≥ 0, since f_any is the least of the three: rounding makes no variance negative.
    f_any, both = factor(n_clusters), present + absent
    covariance = (
        f_any * (both @ both.T) + (f_present - f_any) * (present @ present.T) + (f_absent - f_any) * (absent @ absent.T)
    )
    return np.asarray(covariance, dtype=np.float64)
