"""What readers answered in conditions: right answers of so many trials, and what their answers have in common."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from taskct.metrics.intervals import Interval

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ReaderCounts:
    """How often readers were right, by reader and condition.

    A ValueError, if shapes do not match or a count is out of range.
    """

    n_trials: Floats
    """Shape `(n_readers, n_conditions)`; 0 where a reader did not read a condition. Need not be whole: an AUC stands
    for as many pairs as give its variance."""
    n_correct: Floats
    """The same shape, 0 to `n_trials`."""
    n_alternatives: int
    """Of forced choice; 2 for an AUC."""
    shared: Floats | None = None
    """Covariance of the conditions' proportions from what readers have in common by reading the same trials, see
    `shared_covariance`; None where each reader read other trials, or that is not known."""

    def __post_init__(self) -> None:
        n, k = self.n_trials, self.n_correct
        if n.ndim != 2 or n.shape != k.shape or not (np.isfinite(n).all() and np.isfinite(k).all()):
            raise ValueError("counts must be finite and of one shape, (n_readers, n_conditions)")
        if (k < 0.0).any() or (k > n).any() or (n.sum(axis=0) <= 0.0).any() or (n.sum(axis=1) <= 0.0).any():
            raise ValueError("counts of correct trials must lie in 0 to n_trials, and no reader or condition be empty")

    def shared_variance(self, weights: Floats) -> float:
        """Of a weighted sum of the proportions, from the choice of the trials that readers have in common."""
        return 0.0 if self.shared is None else max(float(weights @ self.shared @ weights), 0.0)

    @property
    def n_readers(self) -> int:
        """Number of readers."""
        return len(self.n_trials)

    @cached_property
    def n_of_condition(self) -> Floats:
        """Trials of all readers, shape `(n_conditions,)`."""
        found: Floats = self.n_trials.sum(axis=0)
        return found

    @cached_property
    def proportion(self) -> Floats:
        """Proportion correct of all readers together, shape `(n_conditions,)`."""
        found: Floats = self.n_correct.sum(axis=0) / self.n_of_condition
        return found


def shared_covariance(values: NDArray[np.floating], weights: NDArray[np.floating]) -> Floats:
    """Covariance of readers' mean values from the trials that they have in common.

    It is that of different readers' values of the same trial: what readers differ in, by chance or not, is not in it.

    Parameters
    ----------
    values
        Of every reader and trial, such as 1 for right and 0 for wrong, `(n_conditions, n_readers, n_trials)`; NaN where
        a trial was not read, or is not of the condition.
    weights
        Of readers in the mean of each condition, `(n_readers, n_conditions)`.

    Returns
    -------
    Shape `(n_conditions, n_conditions)`, without negative eigenvalues.
    """
    n_conditions, n_readers, _ = values.shape
    read = np.isfinite(values)
    n = read.sum(axis=2)
    found = np.zeros((n_conditions, n_conditions))
    for c in range(n_conditions):
        for d in range(n_conditions):
            for r in range(n_readers):
                for s in range(n_readers):
                    both = read[c, r] & read[d, s]
                    if r == s or (common := int(both.sum())) < 2:
                        continue
                    a, b = values[c, r, both], values[d, s, both]
                    covariance = float((a - a.mean()) @ (b - b.mean())) / (common - 1)
                    found[c, d] += weights[r, c] * weights[s, d] * covariance * common / float(n[c, r] * n[d, s])
    size, axes = np.linalg.eigh((found + found.T) / 2.0)
    kept: Floats = (axes * np.maximum(size, 0.0)) @ axes.T
    return kept


def readers_proportion(counts: ReaderCounts, weights: NDArray[np.floating], *, confidence: float = 0.95) -> Interval:
    """Mean over conditions of the readers' proportion correct: Wilson's interval, wider where readers differ.

    `weights`, `(n_conditions,)`, are at least 0 and add up to 1. A reader who did not read a condition counts in the
    others alone.

    Examples
    --------
    >>> one = readers_proportion(ReaderCounts(np.full((2, 1), 50.0), np.array([[40.0], [44.0]]), 2), np.ones(1))
    >>> round(one.value, 2), one.ci_low < one.value < one.ci_high
    (0.84, True)
    """
    g = np.asarray(weights, dtype=np.float64)
    y, n, readers = counts.proportion, counts.n_of_condition, counts.n_readers
    value, q = float(g @ y), (1.0 + confidence) / 2.0
    effective = 1.0 / float(np.sum(g**2 / n))  # trials that one condition would need
    z2_over_n = float(ndtri(q)) ** 2 / effective
    if readers > 1 and 0.0 < value < 1.0:
        of_reader = ((counts.n_correct - counts.n_trials * y) / n) @ g
        variance = readers / (readers - 1) * float(np.sum(of_reader**2))
        z2_over_n = max(z2_over_n, float(stdtrit(readers - 1, q)) ** 2 * variance / (value * (1.0 - value)))
        z2_over_n += float(ndtri(q)) ** 2 * counts.shared_variance(g) / (value * (1.0 - value))
    centre = (value + z2_over_n / 2.0) / (1.0 + z2_over_n)
    half = math.sqrt(z2_over_n * (value * (1.0 - value) + z2_over_n / 4.0)) / (1.0 + z2_over_n)
    return Interval(value, max(0.0, min(centre - half, value)), min(1.0, max(centre + half, value)))


def hanley_mcneil_pairs(area: float, n_present: int, n_absent: int) -> float:
    """How many independent pairs of trials give an AUC the variance of Hanley and McNeil, Radiology 143, 29 (1982).

    Examples
    --------
    >>> round(hanley_mcneil_pairs(0.8, 50, 50), 1)
    80.8
    """
    inner = min(max(area, 0.5 / (n_present * n_absent)), 1.0 - 0.5 / (n_present * n_absent))
    q1, q2 = inner / (2.0 - inner), 2.0 * inner**2 / (1.0 + inner)
    variance = inner * (1.0 - inner) + (n_present - 1) * (q1 - inner**2) + (n_absent - 1) * (q2 - inner**2)
    return inner * (1.0 - inner) * n_present * n_absent / variance
