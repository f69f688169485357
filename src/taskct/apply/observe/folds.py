"""How cases are divided for cross-validation: every fold holds cases of both classes, and no case is in two folds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.metrics.clustered import Clusters

FEWEST_FOLDS = 3
"""With two, what one fold does to another cannot be told from what it does on average."""
LEAVE_ONE_OUT = 20
"""Cases of a class up to which each is left out by itself where the number of folds is not given."""
FOLDS, REPEATS = 10, 4
"""Folds and repeats beyond; each trial is then compared with 40 % of those of the other class, or more."""


@dataclass(frozen=True)
class Folding:
    """How often, and into how many folds, cases are divided; None for what is chosen by their number."""

    n_folds: int | None = None
    """At least 3; as many as there are cases of the rarer class leaves one case of each class out at a time."""
    n_repeats: int | None = None
    """At least 1."""
    leave_one_out: bool = False
    """As many folds as the cases allow."""

    def of(self, clusters: Clusters, *, dear: bool) -> tuple[int, int]:
        """Folds and repeats for these cases; a `UserError` where the cases do not allow them.

        A dear observer, one that takes long to train, has fewer repeats where their number is not given.
        """
        most = clusters.n_pairs
        if most < FEWEST_FOLDS:
            raise UserError(
                f"cases of a signal-present and a signal-absent image allow {most} folds, and cross-validation needs "
                f"{FEWEST_FOLDS}: give more scans"
            )
        chosen = most if self.leave_one_out or most <= LEAVE_ONE_OUT else FOLDS
        n_folds = chosen if self.n_folds is None else self.n_folds
        if not FEWEST_FOLDS <= n_folds <= most:
            raise UserError(f"{n_folds} folds; these cases allow {FEWEST_FOLDS} to {most}")
        n_repeats = self.n_repeats or (min(n_folds, 8 if dear else LEAVE_ONE_OUT) if n_folds == most else REPEATS)
        if n_repeats < 1:
            raise UserError(f"{n_repeats} repeats of the cross-validation; there must be at least 1")
        return n_folds, n_repeats


def divide_into_folds(
    signal_present: NDArray[np.bool_], cases: NDArray[np.int64], *, n_folds: int, n_repeats: int, seed: int
) -> NDArray[np.int64]:
    """Fold of every trial, by repeat, shape `(n_repeats, n)`.

    Cases that hold both classes, present trials alone and absent trials alone are spread over the folds separately, at
    random. Where a fold has one case of either class, every repeat brings other cases together, until all have met.

    Examples
    --------
    >>> present = np.arange(6) < 3
    >>> fold = divide_into_folds(present, np.arange(6), n_folds=3, n_repeats=3, seed=0)
    >>> met = {(i, j) for one in fold for i in range(3) for j in range(3, 6) if one[i] == one[j]}
    >>> len(met)
    9
    """
    labels = np.unique(cases, return_inverse=True)[1]
    n_cases = int(labels.max()) + 1
    held = np.zeros((n_cases, 2), dtype=np.bool_)
    held[labels, signal_present.astype(np.int64)] = True
    kinds = [np.flatnonzero((held == holds).all(axis=1)) for holds in ((True, True), (False, True), (True, False))]
    rng = np.random.default_rng(seed)
    singles = len(kinds[0]) == 0 and len(kinds[1]) == len(kinds[2]) == n_folds
    order = [rng.permutation(members) for members in kinds]
    folds = np.empty((n_repeats, len(labels)), dtype=np.int64)
    for repeat in range(n_repeats):
        of_case = np.empty(n_cases, dtype=np.int64)
        for place, members in enumerate(order):
            if singles:
                shift = repeat * (place == 2)  # the absent move on by one fold
                of_case[members] = (np.arange(len(members)) + shift) % n_folds
            else:
                of_case[rng.permutation(members)] = np.arange(len(members)) % n_folds
        folds[repeat] = of_case[labels]
    return folds
