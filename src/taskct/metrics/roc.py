"""Empirical ROC analysis: the area, the curve, and DeLong's covariance of areas on the same trials."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr, ndtri
from scipy.stats import rankdata

from taskct.metrics.intervals import Interval, check_confidence


@dataclass(frozen=True)
class PairedDifference:
    """Difference of the AUCs of two methods on the same trials; none of the four has a unit."""

    delta_auc: float
    """AUC of the first method minus that of the second, in [−1, 1]."""
    ci_low: float
    """Lower bound of the difference."""
    ci_high: float
    """Upper bound of the difference."""
    p_value: float
    """Two-sided, of no difference."""


def auc(t_present: NDArray[np.floating], t_absent: NDArray[np.floating]) -> float:
    """Empirical area under the ROC curve: the Mann–Whitney statistic, ties counted as one half.

    Parameters
    ----------
    t_present, t_absent
        Test statistics, shapes `(n_present,)` and `(n_absent,)`; higher means present.

    Returns
    -------
    AUC in [0, 1]: the chance that a signal-present trial scores above a signal-absent one. O(n log n).

    Raises
    ------
    ValueError
        If a class has fewer than 2 trials or a value is not finite.

    References
    ----------
    .. [1] Bamber, J. Math. Psychol. 12, 387 (1975).

    Examples
    --------
    >>> auc(np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    0.875
    """
    present, absent = _check_trials(t_present, t_absent, ndim=1)
    return float(_areas(present[None], absent[None])[0])


def weighted_auc(
    t_present: NDArray[np.floating],
    t_absent: NDArray[np.floating],
    w_present: NDArray[np.floating],
    w_absent: NDArray[np.floating],
) -> NDArray[np.float64]:
    """Empirical AUCs of one method under many sets of trial weights, such as bootstrap counts.

    The trials are sorted once, so that a set of weights costs O(n).

    Parameters
    ----------
    t_present, t_absent
        Test statistics, shapes `(n_present,)` and `(n_absent,)`; higher means present.
    w_present, w_absent
        Weights ≥ 0, shapes `(n_sets, n_present)` and `(n_sets, n_absent)`; each row has a positive sum.

    Returns
    -------
    AUC under each set of weights, shape `(n_sets,)`.

    Raises
    ------
    ValueError
        If a class has fewer than 2 trials, a value is not finite or a shape does not fit.

    Examples
    --------
    >>> once, twice = np.array([[1.0, 1.0]]), np.array([[0.0, 2.0]])
    >>> weighted_auc(np.array([1.0, 2.0]), np.array([0.0, 1.0]), once, twice)
    array([0.75])
    """
    present, absent = _check_trials(t_present, t_absent, ndim=1)
    n_sets = len(w_present)
    if w_present.shape != (n_sets, len(present)) or w_absent.shape != (n_sets, len(absent)):
        raise ValueError(
            f"weights of shapes {w_present.shape} and {w_absent.shape} do not fit "
            f"{len(present)} signal-present and {len(absent)} signal-absent trials"
        )
    order = np.argsort(absent)
    below = np.searchsorted(absent[order], present, side="left")
    not_above = np.searchsorted(absent[order], present, side="right")
    cumulative = np.zeros((n_sets, len(absent) + 1))
    np.cumsum(w_absent[:, order], axis=1, out=cumulative[:, 1:])
    beaten = np.take(cumulative, below, axis=1)
    beaten += np.take(cumulative, not_above, axis=1)  # twice the weight below, counting ties as one half
    wins = 0.5 * np.einsum("sp,sp->s", beaten, w_present)
    return np.asarray(wins / (w_present.sum(axis=1) * cumulative[:, -1]), dtype=np.float64)


def roc_curve(
    t_present: NDArray[np.floating], t_absent: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Empirical ROC curve: one point for each distinct test statistic.

    Trials that tie share a point, so the straight line across them counts the tie as one half and the
    trapezoidal area equals `auc`.

    Parameters
    ----------
    t_present, t_absent
        Test statistics, shapes `(n_present,)` and `(n_absent,)`; higher means present.

    Returns ------- False-positive fraction and true-positive fraction, each of shape `(n_thresholds + 1,)`,
    from (0, 0) to (1, 1).

    Raises
    ------
    ValueError
        If a class has fewer than 2 trials or a value is not finite.

    Examples
    --------
    >>> fpf, tpf = roc_curve(np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    >>> fpf.tolist(), tpf.tolist()
    ([0.0, 0.0, 0.5, 1.0], [0.0, 0.5, 1.0, 1.0])
    """
    present, absent = _check_trials(t_present, t_absent, ndim=1)
    thresholds = np.unique(np.concatenate([present, absent]))[::-1]

    def fraction_at_or_above(t: NDArray[np.floating]) -> NDArray[np.float64]:
        called = len(t) - np.searchsorted(np.sort(t), thresholds, side="left")
        return np.concatenate([[0.0], called / len(t)])

    return fraction_at_or_above(absent), fraction_at_or_above(present)


def delong_covariance(t_present: NDArray[np.floating], t_absent: NDArray[np.floating]) -> NDArray[np.float64]:
    """Covariance of the empirical AUCs of several methods on the same trials.

    Parameters
    ----------
    t_present, t_absent
        Test statistics, shapes `(n_methods, n_present)` and `(n_methods, n_absent)`; higher means present.

    Returns
    -------
    Covariance, shape `(n_methods, n_methods)`.

    Raises
    ------
    ValueError
        If the number of methods differs, a class has fewer than 2 trials, or a value is not finite.

    References
    ----------
    .. [1] DeLong et al., Biometrics 44, 837 (1988).
    .. [2] Sun & Xu, IEEE SPL 21, 1389 (2014), O(n log n).

    Examples
    --------
    >>> delong_covariance(np.array([[1.0, 2.0]]), np.array([[0.0, 1.0]]))
    array([[0.03125]])
    """
    present, absent = _check_trials(t_present, t_absent, ndim=2)
    by_present, by_absent = _structural_components(present, absent)
    covariance = np.cov(by_present) / present.shape[1] + np.cov(by_absent) / absent.shape[1]
    return np.asarray(np.atleast_2d(covariance), dtype=np.float64)


def delong_interval(
    t_present: NDArray[np.floating], t_absent: NDArray[np.floating], *, confidence: float = 0.95
) -> Interval:
    """AUC of one method with an interval that never leaves [0, 1].

    DeLong's standard error is carried to the logit of the AUC, where the interval is symmetric, and back.

    Parameters
    ----------
    t_present, t_absent
        Test statistics, shapes `(n_present,)` and `(n_absent,)`; higher means present.
    confidence
        Coverage wanted, in (0, 1).

    Returns
    -------
    AUC and its interval.

    Raises
    ------
    ValueError
        If a class has fewer than 2 trials, a value is not finite or `confidence` is out of range.

    Notes
    -----
    On binormal data with 20 to 200 trials a class a 95 % interval covered 93 to 98 %, but only 92 % at an AUC
    of 0.998 with 200 (1500 replicates each).

    An AUC of exactly 1 leaves DeLong's variance at 0. Pair the trials off, m = min(n_present, n_absent) pairs
    that share none: if the true AUC is A, all m pairs come out right with probability at most A^m. So the
    interval is [(α/2)^(1/m), 1], with α = 1 − confidence: at least the coverage wanted. It is mirrored for an
    AUC of 0.

    In between, the variance is 0 only where all trials have one and the same test statistic. Such an observer
    decides nothing, and the interval is the single point ½.

    References
    ----------
    .. [1] DeLong et al., Biometrics 44, 837 (1988).
    .. [2] Pepe, The Statistical Evaluation of Medical Tests (2003), section 5.2 (logit interval of an AUC).

    Examples
    --------
    >>> delong_interval(np.array([2.0, 3.0, 4.0]), np.array([0.0, 1.0, 1.5])).ci_low > 0.25
    True
    """
    check_confidence(confidence)
    present, absent = _check_trials(t_present, t_absent, ndim=1)
    value = auc(present, absent)
    tail = (1.0 - confidence) / 2.0
    if value in (0.0, 1.0):
        margin = 1.0 - tail ** (1.0 / min(len(present), len(absent)))
        return Interval(value, 1.0 - margin, 1.0) if value == 1.0 else Interval(value, 0.0, margin)
    variance = float(delong_covariance(present[None], absent[None])[0, 0])
    half_width = -float(ndtri(tail)) * math.sqrt(variance) / (value * (1.0 - value))
    centre = float(logit(value))
    return Interval(value, float(expit(centre - half_width)), float(expit(centre + half_width)))


def paired_delong(
    t_present: NDArray[np.floating], t_absent: NDArray[np.floating], *, confidence: float = 0.95
) -> PairedDifference:
    """Difference of the AUCs of two methods on the same trials, by DeLong's normal approximation.

    Parameters
    ----------
    t_present, t_absent
        Test statistics of the two methods, shapes `(2, n_present)` and `(2, n_absent)`; higher means present.
    confidence
        Coverage wanted, in (0, 1).

    Returns
    -------
    First AUC minus second, its interval and the two-sided p-value of no difference.

    Raises
    ------
    ValueError
        If there are not two methods, a class has fewer than 2 trials, a value is not finite or `confidence`
        is out of range.

    Notes ----- It covers the choice of test trials for two given, trained methods; what another training
    would change it does not cover. Where the variance is 0 the interval is a single point, and the p-value is
    1 without a difference, 0 with one. That is right for methods that rank the trials alike. Two methods that
    both reach an AUC of 1 give the same, but there it only says that these trials are too easy to tell them
    apart.

    References
    ----------
    .. [1] DeLong et al., Biometrics 44, 837 (1988).

    Examples
    --------
    >>> t_present, t_absent = np.array([[1.0, 2.0], [1.0, 2.0]]), np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> paired_delong(t_present, t_absent)
    PairedDifference(delta_auc=0.0, ci_low=0.0, ci_high=0.0, p_value=1.0)
    """
    check_confidence(confidence)
    present, absent = _check_trials(t_present, t_absent, ndim=2)
    if len(present) != 2:
        raise ValueError(f"a paired difference needs 2 methods; there are {len(present)}")
    areas = _areas(present, absent)
    delta = float(areas[0] - areas[1])
    # From the differences of the components, so that equal rankings give exactly 0 and not a rounding error.
    by_present, by_absent = (c[0] - c[1] for c in _structural_components(present, absent))
    variance = by_present.var(ddof=1) / len(by_present) + by_absent.var(ddof=1) / len(by_absent)
    std_error = math.sqrt(variance)
    half_width = -float(ndtri((1.0 - confidence) / 2.0)) * std_error
    p_value = 2.0 * float(ndtr(-abs(delta) / std_error)) if std_error > 0.0 else float(delta == 0.0)
    return PairedDifference(delta, delta - half_width, delta + half_width, p_value)


def _check_trials(
    t_present: NDArray[np.floating], t_absent: NDArray[np.floating], *, ndim: int
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Both classes as arrays of `ndim` axes, or a ValueError."""
    present, absent = np.asarray(t_present), np.asarray(t_absent)
    if present.ndim != ndim or absent.ndim != ndim or present.shape[:-1] != absent.shape[:-1]:
        wanted = "(n,)" if ndim == 1 else "(n_methods, n) with as many methods in both"
        raise ValueError(f"test statistics of shapes {present.shape} and {absent.shape}; wanted {wanted}")
    if min(present.shape[-1], absent.shape[-1]) < 2:
        raise ValueError(
            f"each class needs at least 2 trials; there are {present.shape[-1]} signal-present "
            f"and {absent.shape[-1]} signal-absent"
        )
    if not (np.isfinite(present).all() and np.isfinite(absent).all()):
        raise ValueError("a test statistic is not finite")
    return present, absent


def _structural_components(
    present: NDArray[np.floating], absent: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each trial, the fraction of the other class it is ordered rightly against (Sun & Xu, midranks)."""
    n_present, n_absent = present.shape[1], absent.shape[1]
    ranks = rankdata(np.concatenate([present, absent], axis=1), axis=1)
    absent_below = ranks[:, :n_present] - rankdata(present, axis=1)
    present_below = ranks[:, n_present:] - rankdata(absent, axis=1)
    return absent_below / n_absent, (n_present - present_below) / n_present


def _areas(present: NDArray[np.floating], absent: NDArray[np.floating]) -> NDArray[np.float64]:
    """AUC of each method, from rank sums: half-integers, hence exact until the last division."""
    n_present, n_absent = present.shape[1], absent.shape[1]
    ranks = rankdata(np.concatenate([present, absent], axis=1), axis=1)[:, :n_present]
    wins = ranks.sum(axis=1) - n_present * (n_present + 1) / 2
    return np.asarray(wins / (n_present * n_absent), dtype=np.float64)
