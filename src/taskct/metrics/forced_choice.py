"""Forced choice among M alternatives: percent correct and the detectability d′ behind it."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from taskct.metrics.intervals import Interval

Floats = NDArray[np.float64]

_REACH = 9.0  # standard deviations around the mean of the signal's response; beyond it lies 1e-19
_NODES = 200
_MOST = 30.0  # a d′ at which the chance of an error is below 1e-99


def proportion_correct(d_prime: ArrayLike, n_alternatives: int) -> Floats:
    """Chance that an unbiased observer picks the alternative with the signal; shape of `d_prime`.

    The responses to the M alternatives are independent and normal with one variance, and the signal's mean is d′ higher
    in units of their standard deviation; the highest is picked: P = ∫ φ(x − d′) Φ(x)^(M−1) dx [1, 2]. For M = 2 that is
    Φ(d′/√2). At d′ = 0 it is 1/M.

    Parameters
    ----------
    d_prime
        Detectability, any real number.
    n_alternatives
        M, at least 2, or a ValueError.

    References
    ----------
    .. [1] Hacker & Ratcliff, Percept. Psychophys. 26, 168 (1979).
    .. [2] Green & Swets, Signal Detection Theory and Psychophysics (1966).

    Examples
    --------
    >>> proportion_correct([0.0, 1.0], 2).round(4).tolist()
    [0.5, 0.7602]
    >>> proportion_correct([0.0], 4).round(12).tolist()
    [0.25]
    """
    _check_alternatives(n_alternatives)
    d = np.asarray(d_prime, dtype=np.float64)
    if n_alternatives == 2:
        return np.asarray(ndtr(d / math.sqrt(2.0)))
    x, weights = _nodes()
    return np.asarray(np.clip(ndtr(d[..., None] + x) ** (n_alternatives - 1) @ weights, 0.0, 1.0))


def d_prime_of(proportion: float, n_alternatives: int) -> float:
    """The d′ at which `proportion_correct` is the given one; negative below chance, infinite at 0 and 1.

    A ValueError, if the proportion is outside [0, 1] or there are fewer than 2 alternatives.

    Examples
    --------
    >>> round(d_prime_of(0.76025, 2), 4)
    1.0
    """
    _check_alternatives(n_alternatives)
    if not 0.0 <= proportion <= 1.0:
        raise ValueError(f"a proportion is {proportion}; it must lie in [0, 1]")
    if proportion in (0.0, 1.0):
        return math.inf if proportion == 1.0 else -math.inf
    if n_alternatives == 2:
        return math.sqrt(2.0) * float(ndtri(proportion))

    def excess(d: float) -> float:
        return float(proportion_correct(d, n_alternatives)) - proportion

    if excess(-_MOST) >= 0.0:
        return -math.inf
    return float(brentq(excess, -_MOST, _MOST, xtol=1e-12)) if excess(_MOST) > 0.0 else math.inf


def d_prime_interval(proportion: Interval, n_alternatives: int) -> Interval:
    """The d′ of a proportion correct and of its bounds: d′ grows with it, so the coverage is the same.

    A bound may be infinite, as where every trial was right; what is NaN stays so.

    Examples
    --------
    >>> d_prime_interval(Interval(1.0, 0.9, 1.0), 2).ci_high
    inf
    """
    parts = (proportion.value, proportion.ci_low, proportion.ci_high)
    return Interval(*(math.nan if math.isnan(p) else d_prime_of(p, n_alternatives) for p in parts))


@lru_cache(maxsize=1)
def _nodes() -> tuple[Floats, Floats]:
    """Nodes and weights of Gauss and Legendre for a mean over the standard normal law, to 1e-14."""
    x, weights = np.polynomial.legendre.leggauss(_NODES)
    x, weights = _REACH * x, _REACH * weights
    return x, weights * np.exp(-0.5 * x**2) / math.sqrt(2.0 * math.pi)


def _check_alternatives(n_alternatives: int) -> None:
    if n_alternatives < 2:
        raise ValueError(f"{n_alternatives} alternatives; forced choice needs at least 2")
