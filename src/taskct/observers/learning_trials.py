"""Trials of learning curves: which are drawn for training, whole cases at a time, and what other test trials give."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.metrics.clustered import Clusters
from taskct.observers.base import Array, check_training

_FEWEST = 2  # of each class, to train on


@dataclass(frozen=True)
class LabelledTrials:
    """Images whose truth is known."""

    images: NDArray[np.floating]
    """HU, shape `(n_trials, height, width)`."""
    signal_present: NDArray[np.bool_]
    """Shape `(n_trials,)`."""
    cases: NDArray[np.integer] | None = None
    """Number of the case of each trial, shape `(n_trials,)`; None: every trial is a case of its own."""

    def checked(self) -> "LabelledTrials":
        """The same, as observers want them; errors are those of `check_training`."""
        images, present = check_training(self.images, self.signal_present)
        if self.cases is not None and self.cases.shape != present.shape:
            raise ValueError(f"cases have shape {self.cases.shape}, expected {present.shape}")
        return LabelledTrials(images, present, self.cases)

    def __getitem__(self, members: NDArray[np.bool_]) -> "LabelledTrials":
        """Some of the trials."""
        cases = None if self.cases is None else self.cases[members]
        return LabelledTrials(self.images[members], self.signal_present[members], cases)

    def __len__(self) -> int:
        return len(self.signal_present)

    @property
    def independent_share(self) -> float:
        """Cases of either class for each trial, in (0, 1]; 1 where every trial is a case of its own."""
        if self.cases is None:
            return 1.0
        pairs = np.stack([self.cases, self.signal_present.astype(self.cases.dtype)])
        return float(np.unique(pairs, axis=1).shape[1] / len(self))

    def draw(self, rng: np.random.Generator, n_drawn: int) -> NDArray[np.bool_]:
        """Mask of a draw without replacement that keeps the share of signal-present trials, whole cases at a time.

        Of clustered trials, the share that `n_drawn` is of all is drawn of the cases of each kind. Two trials (cases)
        of each class are drawn at least.
        """
        if self.cases is None:
            n_present = int(
                np.clip(round(n_drawn * self.signal_present.mean()), _FEWEST, max(n_drawn - _FEWEST, _FEWEST))
            )
            drawn = np.zeros(len(self), dtype=np.bool_)
            for truth, count in ((True, n_present), (False, max(n_drawn - n_present, _FEWEST))):
                members = np.flatnonzero(self.signal_present == truth)
                drawn[rng.choice(members, size=min(count, len(members)), replace=False)] = True
            return drawn
        labels = np.unique(self.cases, return_inverse=True)[1]
        held = np.zeros((labels.max() + 1, 2), dtype=np.bool_)
        held[labels, self.signal_present.astype(np.intp)] = True
        chosen = np.zeros(len(held), dtype=np.bool_)
        for holds in ((True, True), (True, False), (False, True)):
            members = np.flatnonzero((held == holds).all(axis=1))
            count = min(max(round(n_drawn / len(self) * len(members)), min(_FEWEST, len(members))), len(members))
            chosen[rng.choice(members, size=count, replace=False)] = True
        return np.asarray(chosen[labels], dtype=np.bool_)

    def covariance(self, by_present: Array, by_absent: Array) -> Array:
        """Covariance of several AUCs by the choice of these test trials: DeLong's, and with cases Obuchowski's.

        From structural components, `(n_aucs, n_present)` and `(n_aucs, n_absent)`. A `UserError` says that one case
        holds all trials of a class.
        """
        if self.cases is None:
            found = sum(np.cov(c) / c.shape[1] for c in (by_present, by_absent))
            return np.atleast_2d(np.asarray(found, dtype=np.float64))
        of_present, of_absent = self.cases[self.signal_present], self.cases[~self.signal_present]
        if min(len(np.unique(of_present)), len(np.unique(of_absent))) < _FEWEST:
            raise UserError("one case holds all test trials of a class: give two cases or more")
        return Clusters.of(of_present, of_absent).covariance(by_present, by_absent)
