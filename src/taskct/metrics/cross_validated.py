"""AUC of a cross-validated observer, and the difference of two, with intervals that hold test trials and training.

In every repeat the cases are divided into folds, and an observer is trained without each fold. Trials are compared
within a fold alone, where one and the same trained observer read both: statistics of observers that were trained on
different trials have no common zero. The mean of the comparisons estimates the AUC of an observer trained on all cases
but a fold.

Its variance has two parts. The first is that of any two-sample U-statistic: comparisons that share a case are
dependent. The second is of comparisons that share none, yet helped to train the observers of one another: with n cases
of each class, an observer that learned nothing but noise (AUC ½) has a correlation of 1/(n − 1) between any two of
them, which more than doubles the variance. It is estimated from how much each fold changes what is said of each other
fold. There is no unbiased estimate of such a variance (Bengio & Grandvalet, J. Mach. Learn. Res. 5, 1089, 2004): how
well the intervals cover was measured, see `docs/validation.md`.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from taskct.metrics.intervals import Interval, check_confidence, logit_interval
from taskct.metrics.roc import PairedDifference, normal_difference

_Array = NDArray[np.float64]
_LEAST_SEEN = 0.5
"""An observer with many weights spreads the trials that it learned from less than others. It also varies more from one
training to another than mutual influence tells, so the smaller spread is the unit, down to this share of the variance;
with the spread of unseen trials alone, intervals of 5 channels covered 90 to 94 %, with this one 93 to 97 %."""


@dataclass(frozen=True, eq=False)
class FoldReadings:
    """What observers that were trained without a fold said of all trials.

    A ValueError says that shapes do not match, a value is not finite, or no fold holds trials of both classes.

    Examples
    --------
    >>> present = np.array([True, True, False, False])
    >>> said = np.array([[[3.0, 2.0, 0.0, 1.0], [2.0, 4.0, 1.0, 0.0]]])
    >>> readings = FoldReadings(said, np.array([[0, 1, 0, 1]]), present, np.arange(4))
    >>> readings.area
    1.0
    """

    statistic: _Array
    """Test statistics of all trials by the observer of each fold, shape `(n_repeats, n_folds, n)`."""
    fold: NDArray[np.int64]
    """Fold in which each trial is held out, by repeat, shape `(n_repeats, n)`."""
    signal_present: NDArray[np.bool_]
    """Shape `(n,)`."""
    cases: NDArray[np.int64]
    """Case of each trial, shape `(n,)`; all trials of a case are in one fold."""

    def __post_init__(self) -> None:
        n_repeats, _, n = self.statistic.shape
        if self.fold.shape != (n_repeats, n) or self.signal_present.shape != (n,) or self.cases.shape != (n,):
            raise ValueError(
                f"statistics of shape {self.statistic.shape}, folds {self.fold.shape}, truth "
                f"{self.signal_present.shape} and cases {self.cases.shape} do not fit one another"
            )
        if not np.isfinite(self.statistic).all():
            raise ValueError("a test statistic is not finite")
        if not self.counts.any():
            raise ValueError("no fold holds trials of both classes")

    @cached_property
    def standardized(self) -> _Array:
        """Statistics in units of their spread within a class, 0 halfway between the classes; shape as `statistic`.

        One scale for all folds of a repeat, once each observer's own scale is taken out.
        """
        learned = self.fold[:, None, :] != np.arange(self.statistic.shape[1])[:, None]
        means = [_mean(self.statistic, learned & of_class) for of_class in (self.signal_present, ~self.signal_present)]
        centred = self.statistic - (means[0] + means[1]) / 2.0
        total = np.sqrt(
            _mean(centred**2, learned)
        )  # of both classes: it stays above 0 where within a class nothing is left
        scaled = centred / np.where(total > 0.0, total, 1.0)
        own = np.where(self.signal_present, 0.5, -0.5) * (means[0] - means[1]) / np.where(total > 0.0, total, 1.0)
        seen = _mean((scaled - own) ** 2, learned).mean(axis=1)[:, 0]
        held_out = self._held_out(scaled)
        unseen = np.mean([held_out[:, part].var(axis=1, ddof=1) for part in self._classes], axis=0)
        variance = np.clip(seen, unseen * _LEAST_SEEN, unseen)
        return np.asarray(scaled / np.sqrt(np.where(variance > 0.0, variance, 1.0))[:, None, None])

    def _held_out(self, said: _Array) -> _Array:
        """What the observer said that did not see the trial, `(n_repeats, n)`."""
        return np.asarray(np.take_along_axis(said, self.fold[:, None, :], axis=1)[:, 0])

    @cached_property
    def scores(self) -> _Array:
        """Mean standardized statistic of each trial over the observers that did not see it, shape `(n,)`."""
        return np.asarray(self._held_out(self.standardized).mean(axis=0))

    @cached_property
    def counts(self) -> _Array:
        """How often each present and absent trial are compared, shape `(n_present, n_absent)`."""
        present, absent = self.fold[:, self.signal_present], self.fold[:, ~self.signal_present]
        return np.asarray((present[:, :, None] == absent[:, None, :]).sum(axis=0), dtype=np.float64)

    @cached_property
    def wins(self) -> _Array:
        """How many of the comparisons come out right, ties one half, shape `(n_present, n_absent)`."""
        wins = np.zeros(self.counts.shape)
        for said, fold in zip(self.statistic, self.fold, strict=True):
            for number, of_fold in enumerate(said):
                rows, columns = (np.flatnonzero(fold[part] == number) for part in self._classes)
                present, absent = of_fold[self._classes[0]][rows], of_fold[self._classes[1]][columns]
                better = np.sign(present[:, None] - absent) / 2.0 + 0.5
                wins[np.ix_(rows, columns)] += better
        return wins

    @property
    def compared(self) -> float:
        """Share of the pairs of a present and an absent trial that are compared, in (0, 1]."""
        return float((self.counts > 0.0).mean())

    @property
    def area(self) -> float:
        """AUC: the share of comparisons that come out right."""
        return float(self.wins.sum() / self.counts.sum())

    @property
    def n_pairs(self) -> int:
        """How many pairs of a present and an absent trial can be formed, all from different cases."""
        held = [np.unique(self.cases[part]) for part in self._classes]
        return min(len(held[0]), len(held[1]), len(np.union1d(*held)) // 2)

    @property
    def _classes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return np.flatnonzero(self.signal_present), np.flatnonzero(~self.signal_present)

    @cached_property
    def deviations(self) -> _Array:
        """Share of each pair of cases in the deviation of the AUC from its mean, `(n_cases, n_cases)`.

        Rows are of present trials, columns of absent ones. Their sum is 0.
        """
        labels = np.unique(self.cases, return_inverse=True)[1]
        each = (self.wins - self.area * self.counts) / self.counts.sum()
        n = int(labels.max()) + 1
        sums = np.zeros((n, n))
        rows, columns = (labels[part] for part in self._classes)
        np.add.at(sums, (rows[:, None], columns[None, :]), each)
        return sums

    @cached_property
    def influence(self) -> _Array:
        """How leaving one fold (second axis) out changes how far the classes of another (third) are apart.

        Times what that does to the AUC; shape `(n_repeats, n_folds, n_folds)`, 0 of a fold on itself.
        """
        said, n_folds = self.standardized, self.statistic.shape[1]
        apart = np.empty((len(said), n_folds, n_folds))
        for repeat, fold in enumerate(self.fold):
            for number in range(n_folds):
                inside = fold == number
                present, absent = inside & self.signal_present, inside & ~self.signal_present
                both = bool(present.any() and absent.any())
                apart[repeat, :, number] = (
                    said[repeat][:, present].mean(axis=1) - said[repeat][:, absent].mean(axis=1) if both else 0.0
                )
        itself = np.eye(n_folds, dtype=np.bool_)
        mean = np.where(itself, 0.0, apart).sum(axis=1, keepdims=True) / (n_folds - 1)
        return np.where(itself, 0.0, mean - apart) * self._slope

    @property
    def _slope(self) -> float:
        """Change of the AUC by one unit of distance between the classes; one step of the AUC away from 0 and 1."""
        least = 0.5 / self.n_pairs
        distance = float(ndtri(np.clip(self.area, least, 1.0 - least)))  # in units of √2 of the spread
        return math.exp(-(distance**2) / 2.0) / math.sqrt(2.0 * math.pi) / math.sqrt(2.0)

    def interval(self, *, confidence: float = 0.95) -> Interval:
        """AUC of an observer trained on all cases but a fold, with its interval, in [0, 1]."""
        check_confidence(confidence)
        variance = _variance(self.deviations, self.influence, self.compared)
        return logit_interval(self.area, variance, n_pairs=self.n_pairs, confidence=confidence)

    def standard_error(self) -> float:
        """Standard error of the AUC."""
        return math.sqrt(_variance(self.deviations, self.influence, self.compared))


def cross_validated_difference(
    first: FoldReadings, second: FoldReadings, *, confidence: float = 0.95
) -> tuple[PairedDifference, float]:
    """AUC of the first less that of the second, of the same trials in the same folds, and its standard error.

    A ValueError says that trials or folds differ.
    """
    same = np.array_equal(first.fold, second.fold) and np.array_equal(first.cases, second.cases)
    if not same or not np.array_equal(first.signal_present, second.signal_present):
        raise ValueError("the two were not cross-validated on the same trials in the same folds")
    variance = _variance(first.deviations - second.deviations, first.influence - second.influence, first.compared)
    error = math.sqrt(variance)
    return normal_difference(first.area - second.area, error, confidence=confidence), error


def _mean(values: _Array, of: NDArray[np.bool_]) -> _Array:
    """Mean of some values over the last axis, which stays with length 1."""
    return np.asarray((values * of).sum(axis=-1, keepdims=True) / np.maximum(of.sum(axis=-1, keepdims=True), 1))


def _variance(deviations: _Array, influence: _Array, compared: float) -> float:
    """Variance of a mean of comparisons, of which some share is made; see the head of this module."""
    together = deviations + deviations.T
    np.fill_diagonal(together, deviations.diagonal())
    of_case = together.sum(axis=1)
    rows, columns = np.abs(deviations).sum(axis=1) > 0.0, np.abs(deviations).sum(axis=0) > 0.0
    n = max(min(int(rows.sum()), int(columns.sum())), 3)
    # A jackknife's factors: of one class of a two-sample statistic, or of pairs out of one sample of cases.
    factor = n * (n - 1) / (n - 2) ** 2 if (rows & columns).any() else n / (n - 1)
    n_folds = influence.shape[1]
    mutual = float(np.einsum("rfg,rgf->r", influence, influence).mean()) / (n_folds * (n_folds - 1))
    if n_folds > 2:  # each influence is counted from a mean that holds it
        mutual *= ((n_folds - 1) / (n_folds - 2)) ** 2
    # A comparison counts in the sums of both its cases; where all trials are compared that is what `factor` allows for.
    twice = float(np.triu(together, 1).ravel() @ np.triu(together, 1).ravel())
    shared = factor * float(of_case @ of_case) - (1.0 - compared) * twice
    return float(max(shared, 0.0) + max(mutual, 0.0))
