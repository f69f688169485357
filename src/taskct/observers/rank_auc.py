"""The empirical AUC, for choices that observers make; `taskct.metrics` lies beside this room, not below it."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


def rank_auc(statistic: NDArray[np.float64], signal_present: NDArray[np.bool_]) -> float:
    """Mann–Whitney statistic, ties counted as one half.

    Parameters
    ----------
    statistic
        Test statistics, shape `(n_trials,)`.
    signal_present
        Truth of every trial, bool, shape `(n_trials,)`; at least one of each class.

    Examples
    --------
    >>> rank_auc(np.array([0.0, 1.0, 1.0, 2.0]), np.array([False, False, True, True]))
    0.875
    """
    n_present = int(np.sum(signal_present))
    ranks = rankdata(statistic)[signal_present]
    return float((ranks.mean() - (n_present + 1) / 2.0) / (len(statistic) - n_present))
