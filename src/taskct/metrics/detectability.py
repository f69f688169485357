"""Distances between the two classes: d_a, from the AUC, and snr_t, from the moments of the test statistic."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import nctdtr, ndtri

from taskct.metrics.intervals import Interval, check_confidence
from taskct.metrics.roc import delong_interval
from taskct.metrics.scores import check_trials


def d_a(auc: float) -> float:
    """Distance of two normal distributions of the same variance, in standard deviations, with this AUC.

    Parameters
    ----------
    auc
        In [0, 1], or a ValueError.

    Returns
    -------
    √2 Φ⁻¹(auc); −∞ and ∞ for an AUC of 0 and 1.

    References
    ----------
    .. [1] Barrett & Myers, Foundations of Image Science (2004), section 13.2; they write d_A.

    Examples
    --------
    >>> d_a(0.5), round(d_a(0.76), 2), d_a(1.0)
    (0.0, 1.0, inf)
    """
    if not 0.0 <= auc <= 1.0:
        raise ValueError(f"an AUC of {auc} is out of range; it must lie in [0, 1]")
    return math.sqrt(2.0) * float(ndtri(auc))


def d_a_interval(
    t_present: NDArray[np.floating], t_absent: NDArray[np.floating], *, confidence: float = 0.95
) -> Interval:
    """d_a of the empirical AUC with its interval: that of `delong_interval`, carried to d_a; it covers as often.

    Parameters
    ----------
    t_present, t_absent, confidence
        As for `delong_interval`.

    Notes
    -----
    An AUC of 1 gives a d_a of ∞ with an interval from a finite bound to ∞, mirrored for an AUC of 0: the sample bounds
    the distance from one side only. The delta method straight to d_a is not used: over 30 to 100 trials a class and
    AUCs of 0.7 to 0.95 its 95 % interval covered 93.9 to 95.8 %, this one 94.7 to 96.0 % (2,000 studies each).

    Examples
    --------
    >>> interval = d_a_interval(np.arange(40.0) + 100.0, np.arange(40.0))
    >>> interval.value, round(interval.ci_low, 2), interval.ci_high
    (inf, 1.91, inf)
    """
    area = delong_interval(t_present, t_absent, confidence=confidence)
    return Interval(d_a(area.value), d_a(area.ci_low), d_a(area.ci_high))


def snr_t(t_present: NDArray[np.floating], t_absent: NDArray[np.floating]) -> float:
    """Signal-to-noise ratio of the test statistic: difference of the means over the root of the mean variance.

    Equal to d_a for normal test statistics, and only then. Variances are the unbiased ones.

    Parameters
    ----------
    t_present, t_absent
        Test statistics, shapes `(n_present,)` and `(n_absent,)`; higher means present.

    Raises
    ------
    ValueError
        If a class has fewer than 2 trials, a value is not finite or neither class has any variance.

    References
    ----------
    .. [1] Barrett & Myers, Foundations of Image Science (2004), section 13.2.

    Examples
    --------
    >>> snr_t(np.array([2.0, 4.0]), np.array([0.0, 2.0]))
    1.414213562373095
    """
    difference, var_present, var_absent = _moments(t_present, t_absent)
    return difference / math.sqrt((var_present + var_absent) / 2.0)


def snr_t_interval(
    t_present: NDArray[np.floating], t_absent: NDArray[np.floating], *, confidence: float = 0.95
) -> Interval:
    """snr_t with the interval that holds for normal test statistics.

    Parameters
    ----------
    t_present, t_absent
        As for `snr_t`, with its errors.
    confidence
        Coverage wanted, in (0, 1).

    Notes
    -----
    snr_t over the root of (s₁²/n₁ + s₀²/n₀)/s², s² the mean variance, follows a noncentral t distribution, whose
    noncentrality is bounded. Exact for normal test statistics of equal variance and equally many trials; otherwise
    approximate, with Satterthwaite's degrees of freedom. Not normal, not covered: prefer d_a then.

    References
    ----------
    .. [1] Satterthwaite, Biometrics Bull. 2, 110 (1946).
    .. [2] Cumming & Finch, Educ. Psychol. Meas. 61, 532 (2001), bounds of the noncentrality.

    Examples
    --------
    >>> interval = snr_t_interval(np.array([2.0, 4.0, 3.0]), np.array([0.0, 2.0, 1.0]))
    >>> interval.ci_low < interval.value == 2.0 < interval.ci_high
    True
    """
    check_confidence(confidence)
    difference, var_present, var_absent = _moments(t_present, t_absent)
    n_present, n_absent = len(t_present), len(t_absent)
    total = var_present + var_absent
    df = total**2 / (var_present**2 / (n_present - 1) + var_absent**2 / (n_absent - 1))
    value = difference / math.sqrt(total / 2.0)
    scale = math.sqrt((var_present / n_present + var_absent / n_absent) / (total / 2.0))
    tail = (1.0 - confidence) / 2.0
    low, high = (_noncentrality(value / scale, df, p) for p in (1.0 - tail, tail))
    return Interval(value, scale * low, scale * high)


def _moments(t_present: NDArray[np.floating], t_absent: NDArray[np.floating]) -> tuple[float, float, float]:
    """Difference of the means and both variances, of trials divided by their largest magnitude: no square overflows."""
    present, absent = (t.astype(np.float64) for t in check_trials(t_present, t_absent, ndim=1))
    middle = float(present[0])
    largest = max(float(np.abs(t - middle).max()) for t in (present, absent))
    if largest > 0.0:
        present, absent = ((t - middle) / largest for t in (present, absent))
    var_present, var_absent = float(present.var(ddof=1)), float(absent.var(ddof=1))
    if var_present + var_absent == 0.0:
        raise ValueError("the test statistic is constant in either class: snr_t has no variance to divide by")
    return float(present.mean() - absent.mean()), var_present, var_absent


def _noncentrality(t: float, df: float, probability: float) -> float:
    """Noncentrality under which a noncentral t variable stays below `t` with this probability."""

    def excess(noncentrality: float) -> float:
        below = float(nctdtr(df, noncentrality, t))
        if math.isnan(below):  # so far out that 0 or 1 underflows in scipy's series
            below = float(noncentrality < t)
        return below - probability

    width = 10.0 * math.sqrt(1.0 + t**2 / (2.0 * df))
    return float(brentq(excess, t - width, t + width))
