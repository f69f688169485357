"""Which of a user's images observers learn from and which they are tested on, whole cases at a time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.io.truth_table import Truth

SETS = (4, 3)
"""Training sets where the user names no number, the first that the trials allow. In simulated studies (a
learned template, a Hotelling observer of 6 channels, 20 to 100 training and test trials of each class) 95 % intervals
over as many sets covered the difference in 92 to 96 % with 4 and 93 to 96 % with 3, but in 91 to 94 % with 2; with 5 or
8 they covered no better, and each set has fewer trials to learn from. The interval of test trials alone covered 89 to
94 %, and 68 % with 15 + 15 training and 400 + 400 test trials."""
FEWEST_OF_A_SET = 10
"""Training trials of each class, or cases that hold some, below which a set is not made: a regularization could hardly
be chosen from fewer, and the observer that is measured would be a poor one."""


def n_sets_allowed(truth: Truth, train_share: float) -> int:
    """How many training sets the trials allow by default: 1 where they are too few for several.

    Examples
    --------
    >>> [n_sets_allowed(Truth(np.arange(2 * n) < n, None, None, None), 0.5) for n in (100, 60, 50)]
    [4, 3, 1]
    """
    labels = np.arange(len(truth.signal_present)) if truth.cases is None else truth.cases
    train = np.full(len(labels), True) if truth.in_test is None else ~truth.in_test
    share = train_share if truth.in_test is None else 1.0
    fewest = min(
        int(share * len(np.unique(labels[train & (truth.signal_present == of_class)]))) for of_class in (True, False)
    )
    return next((n for n in SETS if fewest >= n * FEWEST_OF_A_SET), 1)


def divide(
    truth: Truth, train_share: float, n_sets: int, seed: int
) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
    """Training sets and test trials, by number, that share no case; the split of the truth is kept where it has one."""
    if truth.in_test is None:
        shares = (*(train_share / n_sets,) * n_sets, 1.0 - train_share)
        *sets, test = divide_trials(truth.signal_present, truth.cases, shares=shares, seed=seed)
        return sets, test
    train, test = np.flatnonzero(~truth.in_test), np.flatnonzero(truth.in_test)
    if truth.cases is not None and (shared := set(truth.cases[train]) & set(truth.cases[test])):
        raise UserError(f"{len(shared)} cases stand in both splits of the truth table: a case is for one of them")
    if truth.cases is not None:
        for present in (True, False):
            if len(np.unique(truth.cases[test][truth.signal_present[test] == present])) == 1:
                raise UserError("one case holds all test images of a class: give two cases or more, or leave case out")
    for part, name in ((train, "train"), (test, "test")):
        n_present = int(truth.signal_present[part].sum())
        if min(n_present, len(part) - n_present) < 2:
            raise UserError(
                f"the split {name} of the truth table has {n_present} signal-present and {len(part) - n_present} "
                "signal-absent images: give 2 of each or more"
            )
    cases = None if truth.cases is None else truth.cases[train]
    parts = [np.arange(len(train))]
    if n_sets > 1:
        parts = divide_trials(truth.signal_present[train], cases, shares=(1.0 / n_sets,) * n_sets, seed=seed)
    return [train[part] for part in parts], test


def counts(truth: Truth, trials: NDArray[np.int64]) -> dict[str, int | None]:
    """How many of some trials hold a signal, how many do not, and how many cases they are of; ready for JSON."""
    n_present = int(truth.signal_present[trials].sum())
    n_cases = None if truth.cases is None else len(np.unique(truth.cases[trials]))
    return {"present": n_present, "absent": len(trials) - n_present, "cases": n_cases}


def divide_trials(
    signal_present: NDArray[np.bool_], cases: NDArray[np.int64] | None, *, shares: Sequence[float], seed: int
) -> list[NDArray[np.int64]]:
    """Divide trials at random into parts that share no case.

    Cases that hold both classes, present trials alone and absent trials alone are divided separately, so that every
    part has its share of each. `shares` are above 0 and sum to 1.

    Examples
    --------
    >>> parts = divide_trials(np.arange(8) < 4, None, shares=(0.5, 0.5), seed=0)
    >>> [len(part) for part in parts]
    [4, 4]
    """
    labels = np.arange(len(signal_present)) if cases is None else np.unique(cases, return_inverse=True)[1]
    n_cases = int(labels.max(initial=-1)) + 1
    held = np.zeros((n_cases, 2), dtype=np.bool_)
    held[labels, signal_present.astype(np.int64)] = True
    rng = np.random.default_rng(seed)
    part_of_case = np.empty(n_cases, dtype=np.int64)
    bounds = np.concatenate([[0.0], np.cumsum(shares)])
    for holds in ((True, True), (True, False), (False, True)):
        members = rng.permutation(np.flatnonzero((held == holds).all(axis=1)))
        # The place of a case among its kind, in (0, 1), decides; so each part gets its share as nearly as it can be.
        place = (np.arange(len(members)) + 0.5) / max(len(members), 1)
        part_of_case[members] = np.searchsorted(bounds[1:-1], place, side="right")
    parts = [np.flatnonzero(part_of_case[labels] == part) for part in range(len(shares))]
    fewest = min(
        len(np.unique(labels[part][signal_present[part] == of_class])) for part in parts for of_class in (True, False)
    )
    if fewest < 2:
        units = "images" if cases is None else "cases, or say otherwise what a case is"
        found = f"{len(signal_present)} images" + ("" if cases is None else f" of {n_cases} cases")
        raise UserError(
            f"{found}, {int(signal_present.sum())} of them with a signal, are too few to be divided into {len(shares)} "
            f"parts with 2 {'images' if cases is None else 'cases'} of each class: give more {units}"
        )
    return parts
