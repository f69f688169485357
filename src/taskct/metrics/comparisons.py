"""Tests of a difference: superiority, non-inferiority and equivalence, and Holm's adjustment for several tests.

Each takes an estimate and its standard error, wherever they come from: DeLong, clusters, the bootstrap, MRMC. Without
degrees of freedom the reference is the normal distribution, with them Student's t.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from taskct.errors import UserError
from taskct.metrics.roc import auc, delong_difference, within_possible

Aim = Literal["superiority", "non-inferiority", "equivalence"]

FEWEST_TRIALS, FEWEST_CASES = 10, 20
"""Test trials of each class, and cases of clustered trials in all, below which a difference of AUCs has no test.

Simulated with 8,000 binormal studies each, correlation 0, 0.5 and 0.9, equal AUCs of 0.6 to 0.95: DeLong's test of
size 5 % claimed a difference in up to 9.3 % with 3 or 4 trials of a class, 7.8 % with 5 and 7.3 % with 10 (at the
ceiling hardly ever); the interval of AUCs of 0.9 and 0.8 missed in 27, 10 and 7.4 %. With two or five correlated
trials of each class in every case the clustered test claimed one in 12 to 17 % with 4 cases, 7 to 10 % with 10 and 6
to 8 % with 20.
"""
CEILING = 0.98
"""AUC above which in both methods a margin proves nothing: whatever they differ in, these trials cannot show it."""


@dataclass(frozen=True)
class Comparison:
    """A test of a difference, first minus second; all numbers but `p_value` and `alpha` in its unit."""

    aim: Aim
    """What the test would show."""
    delta: float
    """Estimate of the difference."""
    ci_low: float
    """Lower bound."""
    ci_high: float
    """Upper bound; the confidence is 1 − alpha for superiority and 1 − 2·alpha for the others."""
    margin: float
    """Margin, above 0; 0 for superiority."""
    p_value: float
    """Two-sided for superiority, one-sided for non-inferiority, the larger of two one-sided for equivalence."""
    alpha: float
    """Size of the test, the same way."""
    shown: bool
    """Whether the aim is shown: p_value below alpha, and for superiority an estimate above 0."""


def superiority(
    delta: float, std_error: float, *, alpha: float = 0.05, df: float = math.inf, limit: float = math.inf
) -> Comparison:
    """Test that the first is better than the second.

    Parameters
    ----------
    delta, std_error
        Estimate, first minus second, and its standard error, at least 0.
    alpha
        Two-sided size, in (0, 0.5); the chance of a false claim of superiority is alpha/2.
    df, limit
        Degrees of freedom, infinite for the normal distribution; where bounds are cut, 1 for AUCs.

    Returns
    -------
    The test; shown exactly where the interval of confidence 1 − alpha lies above 0.

    Raises
    ------
    UserError
        If `alpha` is out of range.
    ValueError
        If an estimate is not finite, `std_error` is negative or `df` not above 0.

    Notes
    -----
    With a standard error of 0, here and below, a p-value is 0 if the estimate lies beyond the bound, else 1.

    Examples
    --------
    >>> superiority(0.05, 0.02).shown, superiority(0.03, 0.02).shown
    (True, False)
    """
    _check(delta, std_error, alpha=alpha, df=df)
    p_value = min(1.0, 2.0 * _one_sided(abs(delta), std_error, df))
    low, high = _bounds(delta, std_error, alpha / 2.0, df, limit)
    return Comparison("superiority", delta, low, high, 0.0, p_value, alpha, p_value < alpha and delta > 0.0)


def noninferiority(
    delta: float,
    std_error: float,
    *,
    noninferiority_margin: float,
    alpha: float = 0.05,
    df: float = math.inf,
    limit: float = math.inf,
) -> Comparison:
    """Test that the first is not worse than the second by the margin or more.

    Parameters
    ----------
    delta, std_error, df, limit
        As for `superiority`, with its errors; higher is better.
    noninferiority_margin
        Largest loss that does not matter, above 0, in the unit of `delta`; fixed before the data are seen.
    alpha
        One-sided size, in (0, 0.5). Regulators often ask for 0.025, whose interval has the usual 95 %.

    Returns
    -------
    The test of delta ≤ −margin; shown exactly where the interval of confidence 1 − 2·alpha lies above −margin.

    Examples
    --------
    >>> [noninferiority(delta, 0.02, noninferiority_margin=0.05).shown for delta in (-0.01, -0.03)]
    [True, False]
    """
    _check(delta, std_error, alpha=alpha, df=df, noninferiority_margin=noninferiority_margin)
    p_value = _one_sided(delta + noninferiority_margin, std_error, df)
    low, high = _bounds(delta, std_error, alpha, df, limit)
    return Comparison("non-inferiority", delta, low, high, noninferiority_margin, p_value, alpha, p_value < alpha)


def equivalence(
    delta: float,
    std_error: float,
    *,
    noninferiority_margin: float,
    alpha: float = 0.05,
    df: float = math.inf,
    limit: float = math.inf,
) -> Comparison:
    """Test that the two differ by less than the margin: two one-sided tests (TOST).

    Parameters
    ----------
    delta, std_error, df, limit
        As for `superiority`, with its errors.
    noninferiority_margin
        Largest difference that does not matter on either side, above 0, in the unit of `delta`.
    alpha
        Size of each one-sided test and so of both together, in (0, 0.5).

    Returns
    -------
    The test of |delta| ≥ margin; shown where the interval of confidence 1 − 2·alpha lies within the margin on both
    sides.

    References
    ----------
    .. [1] Schuirmann, J. Pharmacokinet. Biopharm. 15, 657 (1987).

    Examples
    --------
    >>> [equivalence(delta, 0.02, noninferiority_margin=0.05).shown for delta in (0.01, 0.03)]
    [True, False]
    """
    _check(delta, std_error, alpha=alpha, df=df, noninferiority_margin=noninferiority_margin)
    p_value = max(
        _one_sided(noninferiority_margin - delta, std_error, df),
        _one_sided(noninferiority_margin + delta, std_error, df),
    )
    low, high = _bounds(delta, std_error, alpha, df, limit)
    return Comparison("equivalence", delta, low, high, noninferiority_margin, p_value, alpha, p_value < alpha)


def compare_aucs(
    t_present: NDArray[np.floating],
    t_absent: NDArray[np.floating],
    aim: Aim,
    *,
    noninferiority_margin: float | None = None,
    alpha: float = 0.05,
) -> Comparison:
    """Test the first AUC minus the second, of two methods on the same trials, with DeLong's standard error.

    Parameters
    ----------
    t_present, t_absent
        Test statistics, shapes `(2, n_present)` and `(2, n_absent)`; higher means present.
    aim, alpha
        Which of `superiority`, `noninferiority` and `equivalence`, and its size.
    noninferiority_margin
        A difference of AUCs in (0, 1); for the last two.

    Raises
    ------
    UserError
        If `alpha` or the margin is out of range, a margin is missing or has no use, a method with an AUC of 0 or 1
        leaves the difference without a standard error, or both AUCs are above `CEILING` and a margin is asked about:
        such trials are too easy to show anything.
    ValueError
        As for `delong_difference`.

    Notes
    -----
    DeLong's normal approximation is a little liberal: with 200 trials a class, AUCs of 0.8 and 0.85 and a margin of
    0.05, either test of size 0.05 claimed in 5.4 to 5.5 % of 12,000 binormal studies.

    Examples
    --------
    >>> t_present, t_absent = np.array([[1.0, 2.0], [1.0, 2.0]]), np.array([[0.0, 1.5], [0.0, 1.5]])
    >>> compare_aucs(t_present, t_absent, "equivalence", noninferiority_margin=0.05).shown
    True
    """
    delta, std_error = delong_difference(t_present, t_absent)
    areas = [auc(p, a) for p, a in zip(t_present, t_absent, strict=True)]
    if std_error == 0.0 and not all(0.0 < area < 1.0 for area in areas):
        raise UserError(
            f"AUCs of {areas[0]:g} and {areas[1]:g} leave their difference without a standard error: these trials are "
            "too easy to compare the methods; use more, or harder ones"
        )
    if aim == "superiority":
        if noninferiority_margin is not None:
            raise UserError("a test of superiority has no margin")
        return superiority(delta, std_error, alpha=alpha, limit=1.0)
    if noninferiority_margin is None or not 0.0 < noninferiority_margin < 1.0:
        raise UserError(
            f"the margin is {noninferiority_margin}; for {aim} of AUCs give one between 0 and 1, such as 0.05"
        )
    if why := why_no_margin(*areas):
        raise UserError(why)
    test = noninferiority if aim == "non-inferiority" else equivalence
    return test(delta, std_error, noninferiority_margin=noninferiority_margin, alpha=alpha, limit=1.0)


def why_no_test(n_present: int, n_absent: int, n_cases: int | None = None) -> str | None:
    """Why a difference of AUCs on these test trials has no p value and no verdict, in one line; None if it has.

    Of clustered trials, `n_present` and `n_absent` are the cases that hold some, and `n_cases` all cases.
    """
    unit = "trials" if n_cases is None else "cases"
    if min(n_present, n_absent) < FEWEST_TRIALS:
        return (
            f"no p: {n_present} + {n_absent} test {unit}, and below {FEWEST_TRIALS} of each class the test is not "
            "reliable; the interval is too narrow too"
        )
    if n_cases is not None and n_cases < FEWEST_CASES:
        return (
            f"no p: {n_cases} test cases, and below {FEWEST_CASES} the test is not reliable; the interval is too "
            "narrow too"
        )
    return None


def why_no_margin(first: float, second: float) -> str | None:
    """Why a margin proves nothing of two AUCs on the same trials, in one line; None where it can."""
    if min(first, second) <= CEILING:
        return None
    return (
        f"AUCs of {first:.3f} and {second:.3f} are both above {CEILING}: these trials are too easy for a margin to "
        "prove anything; take harder ones (a weaker signal, a lower dose)"
    )


def holm(p_values: Sequence[float] | NDArray[np.floating]) -> NDArray[np.float64]:
    """Holm-adjusted p-values: their tests hold together at the level that each is compared with.

    Parameters
    ----------
    p_values
        In [0, 1], or a ValueError, shape `(n_tests,)`; NaN stays NaN and does not count as a test.

    Returns
    -------
    Adjusted p-values, at least the given ones, shape `(n_tests,)`. Rejecting where they are at most α keeps the chance
    of any false rejection at α, however the tests depend on one another.

    References
    ----------
    .. [1] Holm, Scand. J. Stat. 6, 65 (1979).

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    counted = np.flatnonzero(~np.isnan(p))
    if p.ndim != 1 or not ((p[counted] >= 0.0) & (p[counted] <= 1.0)).all():
        raise ValueError(f"p-values must be numbers in [0, 1], shape (n_tests,), not {p_values}")
    order = counted[np.argsort(p[counted], kind="stable")]
    adjusted = np.full(p.shape, np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(np.arange(len(order), 0, -1) * p[order]), 1.0)
    return adjusted


def _check(
    delta: float, std_error: float, *, alpha: float, df: float, noninferiority_margin: float | None = None
) -> None:
    if not (math.isfinite(delta) and 0.0 <= std_error < math.inf and df > 0.0):
        raise ValueError(f"difference {delta}, standard error {std_error} or degrees of freedom {df} is out of range")
    if not 0.0 < alpha < 0.5:
        raise UserError(f"alpha is {alpha}; it must lie between 0 and 0.5 (0.05, not 5)")
    if noninferiority_margin is not None and not 0.0 < noninferiority_margin < math.inf:
        raise UserError(f"the margin is {noninferiority_margin}; it must be finite and above 0")


def _one_sided(excess: float, std_error: float, df: float) -> float:
    """Chance of an estimate that lies further above its bound than this one does, if the truth lies on the bound."""
    return float(stdtr(df, -excess / std_error)) if std_error > 0.0 else float(excess <= 0.0)


def _bounds(delta: float, std_error: float, tail: float, df: float, limit: float) -> tuple[float, float]:
    half_width = -float(stdtrit(df, tail)) * std_error
    return within_possible(delta - half_width, delta + half_width, limit=limit)
