"""Divide a user's images into trials to train and to test observers on, whole cases at a time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError


def divide_trials(
    signal_present: NDArray[np.bool_], cases: NDArray[np.int64] | None, *, shares: Sequence[float], seed: int
) -> list[NDArray[np.int64]]:
    """Divide trials at random into parts that share no case.

    Cases that hold both classes, present trials alone and absent trials alone are divided separately, so that every
    part has its share of each.

    Parameters
    ----------
    signal_present
        Shape `(n_trials,)`.
    cases
        Number of the case of each trial, shape `(n_trials,)`; None: every trial is a case of its own.
    shares
        Of the cases, one for each part, above 0; they sum to 1.
    seed
        Of the division.

    Returns
    -------
    The trials of each part, in their order, shape `(n_of_part,)`.

    Raises
    ------
    UserError
        If a part has fewer than 2 trials, or trials of fewer than 2 cases, of a class.

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
