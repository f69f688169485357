"""What the analyses accept as test statistics."""

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError


def check_trials(
    t_present: NDArray[np.floating], t_absent: NDArray[np.floating], *, ndim: int, n_methods: int | None = None
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Test statistics of both classes as arrays with `ndim` axes, 1 or 2 (methods first), checked."""
    present, absent = np.asarray(t_present), np.asarray(t_absent)
    if present.ndim != ndim or absent.ndim != ndim or present.shape[:-1] != absent.shape[:-1]:
        wanted = "(n,)" if ndim == 1 else "(n_methods, n) with as many methods in both"
        raise ValueError(f"test statistics of shapes {present.shape} and {absent.shape}; wanted {wanted}")
    if n_methods is not None and len(present) != n_methods:
        raise ValueError(f"a paired difference needs {n_methods} methods; there are {len(present)}")
    if min(present.shape[-1], absent.shape[-1]) < 2:
        raise ValueError(
            f"each class needs at least 2 trials; there are {present.shape[-1]} signal-present "
            f"and {absent.shape[-1]} signal-absent"
        )
    if not (np.isfinite(present).all() and np.isfinite(absent).all()):
        raise ValueError("a test statistic is not finite")
    return present, absent


def check_scores(t_present: NDArray[np.floating], t_absent: NDArray[np.floating], *, name: str) -> None:
    """Refuse test statistics that decide nothing, before they are analysed: one line for the user, by their `name`.

    That is if a class has fewer than 2 trials, a value is not finite, or all trials have the same test statistic.
    """
    try:
        present, absent = check_trials(t_present, t_absent, ndim=1)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from error
    if np.ptp(present) == 0.0 and np.ptp(absent) == 0.0 and present[0] == absent[0]:
        n = len(present) + len(absent)
        raise UserError(
            f"{name}: all {n} trials have the test statistic {present[0]:g}, so it decides nothing; check the images"
        )
