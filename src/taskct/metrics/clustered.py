"""Clusters of trials: several trials of one case are not independent of one another."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Clusters:
    """Which cluster (case, patient, background) every trial belongs to; clusters are independent of one another."""

    present: NDArray[np.intp]
    """Number of the cluster of each signal-present trial, from 0, shape `(n_present,)`."""
    absent: NDArray[np.intp]
    """The same of each signal-absent trial, shape `(n_absent,)`."""

    @classmethod
    def of(cls, present_labels: ArrayLike, absent_labels: ArrayLike) -> "Clusters":
        """Clusters from labels, numbers or text, of the trials of each class; one in both classes is one cluster.

        A ValueError, if the labels are not one list for each class or fewer than 2 clusters hold trials of a class.

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
        """Every one of so many trials of each class in a cluster of its own."""
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
        """Raise ValueError unless the clusters are those of so many trials of each class."""
        if (len(self.present), len(self.absent)) != (n_present, n_absent):
            raise ValueError(
                f"clusters of {len(self.present)} signal-present and {len(self.absent)} signal-absent trials for "
                f"{n_present} and {n_absent}"
            )

    def covariance(self, by_present: NDArray[np.float64], by_absent: NDArray[np.float64]) -> NDArray[np.float64]:
        """Obuchowski's covariance of the AUCs of several methods, shape `(n_methods, n_methods)`.

        The components are `structural_components`, shapes `(n_methods, n_present)` and `(n_methods, n_absent)`. A
        ValueError, if the clusters are those of other trials.

        Notes
        -----
        DeLong's structural components, less the AUC, are summed within each cluster, for either class. The covariance
        is that of these sums over clusters; where a cluster holds trials of both classes, the product of its two sums
        counts too. Finite samples: the three parts carry I/(I−1) with I the clusters that hold present trials, absent
        trials, or any. So with one trial in each cluster it is exactly DeLong's, and it is never negative.

        It is an approximation for many clusters. The areas compare trials within a cluster too; with few large clusters
        these pairs, which may be ordered more surely than those of different clusters, count noticeably.

        References
        ----------
        .. [1] Obuchowski, Biometrics 53, 567 (1997).
        """
        self.check(by_present.shape[1], by_absent.shape[1])
        n_clusters = self.n

        def sums(components: NDArray[np.float64], of: NDArray[np.intp]) -> NDArray[np.float64]:
            deviations = (components - components.mean(axis=1, keepdims=True)) / components.shape[1]
            return np.array([np.bincount(of, weights=d, minlength=n_clusters) for d in deviations])

        def factor(n: int) -> float:
            return n / (n - 1)

        present, absent = sums(by_present, self.present), sums(by_absent, self.absent)
        f_present, f_absent = factor(int(self.holds_present.sum())), factor(int(self.holds_absent.sum()))
        # As squares with factors ≥ 0, since f_any is the least of the three: rounding makes no variance negative.
        f_any, both = factor(n_clusters), present + absent
        of_any, of_present, of_absent = (sums @ sums.T for sums in (both, present, absent))
        covariance = f_any * of_any + (f_present - f_any) * of_present + (f_absent - f_any) * of_absent
        return np.asarray(covariance, dtype=np.float64)


def clusters_or_trials(clusters: Clusters | None, n_present: int, n_absent: int) -> Clusters:
    """The clusters that are given, checked against the numbers of trials, or every trial on its own where none are."""
    if clusters is None:
        return Clusters.of_single_trials(n_present, n_absent)
    clusters.check(n_present, n_absent)
    return clusters
