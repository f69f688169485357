"""LROC analysis: detection counts only where the signal was also found at its place.

The LROC area is the chance that a signal-present trial scores above a signal-absent one and was located
correctly. A trial that was located wrongly wins against nothing, just as if it scored below every
signal-absent trial. So all of it is ROC analysis on the ratings of `lroc_ratings`: any other method for an
AUC (weights, bootstrap, several readers) becomes a method for the LROC area by the same step.
"""

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.metrics.intervals import Interval
from taskct.metrics.rates import rate_interval
from taskct.metrics.roc import PairedDifference, auc, delong_covariance, delong_interval, paired_delong, roc_curve


def correct_localization(
    found_px: NDArray[np.number], true_px: NDArray[np.number], *, radius_mm: float, pixel_mm: float
) -> NDArray[np.bool_]:
    """Whether each reported place lies within the site error radius of the true one, shape `(...)`.

    Parameters
    ----------
    found_px, true_px
        Reported and true places, (row, column) in pixels, shape `(..., 2)` both; finite, or a ValueError.
    radius_mm, pixel_mm
        Largest distance that counts as found, at least 0, usually the radius of the signal; pixel size, above 0; mm.

    Raises
    ------
    UserError
        If `radius_mm` or `pixel_mm` is out of range.

    Examples
    --------
    >>> found, true = np.array([[10, 10], [10, 14]]), np.array([[10, 12], [10, 10]])
    >>> correct_localization(found, true, radius_mm=2.0, pixel_mm=0.7).tolist()
    [True, False]
    """
    if not 0.0 <= radius_mm < float("inf"):
        raise UserError(f"the site error radius is {radius_mm} mm; it must be finite and at least 0 mm")
    if not 0.0 < pixel_mm < float("inf"):
        raise UserError(f"pixel_mm is {pixel_mm}; it must be finite and above 0 mm")
    found, true = np.asarray(found_px, dtype=np.float64), np.asarray(true_px, dtype=np.float64)
    if found.shape != true.shape or found.shape[-1:] != (2,):
        raise ValueError(f"places of shapes {found.shape} and {true.shape}; wanted (..., 2) for both")
    if not (np.isfinite(found).all() and np.isfinite(true).all()):
        raise ValueError("a place is not finite")
    distance_mm = np.hypot(*np.moveaxis(found - true, -1, 0)) * pixel_mm
    return np.asarray(distance_mm <= radius_mm, dtype=np.bool_)


def correct_fraction(
    correct: NDArray[np.bool_], *, clusters: NDArray[np.integer] | None = None, confidence: float = 0.95
) -> Interval:
    """Fraction of signal-present trials that were located correctly, with its interval; see `rate_interval`.

    Parameters
    ----------
    correct
        One for each signal-present trial, bool, shape `(n_present,)`, or a ValueError.
    clusters
        Case that each trial came from, shape `(n_present,)`. Left out: every trial on its own.
    confidence
        Coverage wanted, in (0, 1).

    Returns
    -------
    Fraction and interval, in [0, 1]; it covers at least as often as wanted.

    Examples
    --------
    >>> correct_fraction(np.array([True, True, False, True])).value
    0.75
    """
    correct = np.asarray(correct)
    if correct.ndim != 1 or correct.size == 0 or correct.dtype != np.bool_:
        raise ValueError(f"correct must be bool, of shape (n_present,), not {correct.dtype} of {correct.shape}")
    return rate_interval(correct, clusters=clusters, confidence=confidence)


def lroc_ratings(
    t_present: NDArray[np.floating], t_absent: NDArray[np.floating], correct: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Signal-present ratings whose AUC is the LROC area: wrongly located trials go below all signal-absent ones.

    Test statistics (the maximum over the sites) have shapes `(..., n_present)` and `(..., n_absent)`; `correct` is
    bool, `(..., n_present)`.
    """
    present, absent = np.asarray(t_present, dtype=np.float64), np.asarray(t_absent, dtype=np.float64)
    correct = np.asarray(correct)
    if correct.dtype != np.bool_ or correct.shape != present.shape:
        raise ValueError(
            f"correct must be bool, one for each signal-present trial {present.shape}, "
            f"not {correct.dtype} of {correct.shape}"
        )
    if present.shape[:-1] != absent.shape[:-1] or absent.ndim == 0 or absent.shape[-1] == 0:
        raise ValueError(f"test statistics of shapes {present.shape} and {absent.shape} do not fit together")
    if not (np.isfinite(present).all() and np.isfinite(absent).all()):
        raise ValueError("a test statistic is not finite")
    below = np.nextafter(absent.min(axis=-1, keepdims=True), -np.inf)
    return np.where(correct, present, below)


def lroc_curve(
    t_present: NDArray[np.floating], t_absent: NDArray[np.floating], correct: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Empirical LROC curve, of what `lroc_area` takes; its trapezoidal area equals `lroc_area`.

    Returns
    -------
    False-positive fraction, and fraction of the signal-present trials that are called and correctly located; from (0,
    0) to (1, the fraction located correctly).

    Examples
    --------
    >>> fpf, found = lroc_curve(np.array([1.0, 2.0]), np.array([0.0, 1.0]), np.array([False, True]))
    >>> fpf.tolist(), found.tolist()
    ([0.0, 0.0, 0.5, 1.0], [0.0, 0.5, 0.5, 0.5])
    """
    fpf, found = roc_curve(lroc_ratings(t_present, t_absent, correct), np.asarray(t_absent, dtype=np.float64))
    n = len(fpf) if np.all(correct) else len(fpf) - 1  # the last threshold would call what was located wrongly
    return fpf[:n], found[:n]


def lroc_area(t_present: NDArray[np.floating], t_absent: NDArray[np.floating], correct: NDArray[np.bool_]) -> float:
    """Empirical area under the LROC curve.

    Parameters
    ----------
    t_present, t_absent
        Test statistics, shapes `(n_present,)` and `(n_absent,)`; higher means present.
    correct
        Whether each signal-present trial was located correctly, bool, shape `(n_present,)`.

    Returns
    -------
    The chance that a signal-present trial scores above a signal-absent one (a tie counts one half) and was located
    correctly. In [0, fraction located correctly]; equal to the AUC where all were. O(n log n).

    Raises
    ------
    ValueError
        If shapes do not match, a class has fewer than 2 trials, a value is not finite or `correct` is not bool.

    References
    ----------
    .. [1] Swensson, Med. Phys. 23, 1709 (1996).
    .. [2] Popescu, Med. Phys. 34, 1556 (2007).

    Examples
    --------
    >>> lroc_area(np.array([1.0, 2.0]), np.array([0.0, 1.0]), np.array([True, False]))
    0.375
    """
    return auc(lroc_ratings(t_present, t_absent, correct), t_absent)


def lroc_covariance(
    t_present: NDArray[np.floating], t_absent: NDArray[np.floating], correct: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Covariance of the LROC areas of several methods [1]_, `(n_methods, n_methods)`, in O(n log n).

    It is DeLong's where all are located correctly.

    Parameters
    ----------
    t_present, t_absent
        Test statistics, shapes `(n_methods, n_present)` and `(n_methods, n_absent)`; higher means present.
    correct
        Whether each method located each signal-present trial, bool, shape of `t_present`.

    References
    ----------
    .. [1] Wunderlich & Noo, IEEE TMI 31, 2050 (2012).

    Examples
    --------
    >>> lroc_covariance(np.array([[1.0, 2.0]]), np.array([[0.0, 1.0]]), np.array([[True, True]]))
    array([[0.03125]])
    """
    return delong_covariance(lroc_ratings(t_present, t_absent, correct), t_absent)


def lroc_interval(
    t_present: NDArray[np.floating],
    t_absent: NDArray[np.floating],
    correct: NDArray[np.bool_],
    *,
    confidence: float = 0.95,
) -> Interval:
    """LROC area of one method, as `lroc_area` takes it, with an interval in [0, 1]; see `delong_interval`.

    Examples
    --------
    >>> interval = lroc_interval(np.array([2.0, 3.0]), np.array([0.0, 1.0]), np.array([True, False]))
    >>> interval.value, interval.ci_low < 0.5 < interval.ci_high
    (0.5, True)
    """
    return delong_interval(lroc_ratings(t_present, t_absent, correct), t_absent, confidence=confidence)


def paired_lroc(
    t_present: NDArray[np.floating],
    t_absent: NDArray[np.floating],
    correct: NDArray[np.bool_],
    *,
    confidence: float = 0.95,
) -> PairedDifference:
    """Difference of the LROC areas of two methods, as `lroc_covariance` takes them; see `paired_delong`.

    Examples
    --------
    >>> same = np.array([[1.0, 2.0], [1.0, 2.0]]), np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> paired_lroc(*same, np.array([[True, False], [True, False]])).p_value
    1.0
    """
    return paired_delong(lroc_ratings(t_present, t_absent, correct), t_absent, confidence=confidence)
