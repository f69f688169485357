"""Exact intervals for a channelized Hotelling observer, from the distribution of its resubstitution estimate.

A study draws channel outputs of n₁ signal-present and n₂ signal-absent images. What is estimated is
θ² = Δᵀ Σ⁻¹ Δ, the SNR² of the best linear observer on these channels, one that knows the means and the
covariance: the limit of many training trials. It says nothing about one trained template; for that, give its
test statistics on new trials to `taskct.metrics.roc.delong_interval`.

Assumed, and not checked: channel outputs are Gaussian, independent from image to image, and of the same
covariance in both classes. Channels must be fixed beforehand, not learned from the same images.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import brentq
from scipy.special import betainc, gammaln, ndtr, xlogy
from scipy.stats import chi2

from taskct.metrics.intervals import Interval, check_confidence

_ROUNDING = 1e-12  # spread of a channel's outputs, relative to the largest, that is but rounding
_SINGULAR = 1e-10  # relative distance of a channel from the span of the others that counts as none


@dataclass(frozen=True)
class ChannelizedSNR2:
    """Two estimates of the SNR² of a channelized Hotelling observer; no unit."""

    plug_in: float
    """From the sample means and covariance; too high, the more so the fewer the trials."""
    unbiased: float
    """Right on average, and so below 0 at times when the true value is near 0."""


def cho_snr2(v_present: NDArray[np.floating], v_absent: NDArray[np.floating]) -> ChannelizedSNR2:
    """SNR² of a channelized Hotelling observer, estimated from the trials that would train it.

    Parameters
    ----------
    v_present, v_absent
        Channel outputs, shapes `(n_present, n_channels)` and `(n_absent, n_channels)`.

    Returns
    -------
    Plug-in estimate Δᵀ S⁻¹ Δ, S the pooled covariance, and the unbiased one,
    (N − p − 3)/(N − 2) · plug-in − p N / (n₁ n₂), with N = n₁ + n₂ trials and p channels.

    Raises
    ------
    ValueError
        If shapes do not match, a value is not finite, a class has fewer than 2 trials, there are fewer than
        p + 4 trials in all, or the channels are linearly dependent.

    References
    ----------
    .. [1] Wunderlich et al., IEEE Trans. Med. Imaging 34, 453 (2015).

    Examples
    --------
    >>> v = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> snr2 = cho_snr2(v + 2.0, v)
    >>> round(snr2.plug_in, 6), round(snr2.unbiased, 6)
    (2.4, 1.1)
    """
    present, absent = _check_outputs(v_present, v_absent)
    n, p = len(present) + len(absent), present.shape[1]
    if n < p + 4:
        raise ValueError(f"{n} trials for {p} channels have no unbiased SNR²; it needs {p + 4} or more")
    plug_in = _plug_in(present, absent)
    bias = p * n / (len(present) * len(absent))
    return ChannelizedSNR2(plug_in, (n - p - 3) / (n - 2) * plug_in - bias)


def exact_cho_snr2_interval(
    v_present: NDArray[np.floating],
    v_absent: NDArray[np.floating],
    *,
    confidence: float = 0.95,
    known_difference: NDArray[np.floating] | None = None,
) -> Interval:
    """SNR² of a channelized Hotelling observer with its exact interval; see the head of this module.

    Parameters
    ----------
    v_present, v_absent, confidence
        Channel outputs, shapes `(n, n_channels)`, more than `n_channels + 1` in all; coverage wanted, in (0, 1), the
        two tails being equal.
    known_difference
        Difference of the class means (present − absent), shape `(n_channels,)`, where it is known, as when noise-free
        images are at hand. The interval is then several times shorter.

    Returns
    -------
    Median-unbiased estimate (the true value lies above it as often as below) and the interval, all ≥ 0. The estimate is
    the bound of a one-sided interval of confidence ½, so it is never outside the interval.

    Raises
    ------
    ValueError
        If shapes do not match, a value is not finite, a class has fewer than 2 trials, there are too few in all, the
        channels are linearly dependent, or `confidence` is out of range.

    Notes
    -----
    n₁ n₂ / N · (N − p − 1) / (p (N − 2)) · θ̂² is noncentral F with p and N − p − 1 degrees of freedom and
    noncentrality n₁ n₂ / N · θ². Its distribution function falls as θ² grows, and is solved for θ². A bound is 0 where
    even θ² = 0 gives less than the tail wanted; in 1 study of 40 without a signal both are. The coverage is exact for
    every θ² above 0, and 1 − α/2 at 0, which no upper bound can miss.

    With a known difference Δ, (N − 1) θ² / θ̂² is χ² with N − p degrees of freedom, θ̂² taken with the covariance of
    the N images once Δ is subtracted.

    References
    ----------
    .. [1] Wunderlich et al., IEEE Trans. Med. Imaging 34, 453 (2015), after Reiser.
    .. [2] Wunderlich & Noo, IEEE Trans. Nucl. Sci. 60, 182 (2013), known difference.
    .. [3] Desponds, Phys. Med. Biol. (2024), doi 10.1088/1361-6560/ad9541, the median as the estimate.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> v_absent = rng.standard_normal((200, 5))
    >>> v_present = rng.standard_normal((200, 5)) + 0.5  # a true SNR² of 1.25
    >>> interval = exact_cho_snr2_interval(v_present, v_absent)
    >>> interval.ci_low < 1.25 < interval.ci_high
    True
    """
    check_confidence(confidence)
    present, absent = _check_outputs(v_present, v_absent)
    tail = (1.0 - confidence) / 2.0
    n, p = len(present) + len(absent), present.shape[1]
    if known_difference is None:
        if n < p + 2:
            raise ValueError(f"{n} trials for {p} channels; an exact interval needs {p + 2} or more")
        scale = len(present) * len(absent) / n
        t2 = scale * _plug_in(present, absent)
        value, low, high = (_noncentrality(t2, p, n, level) / scale for level in (0.5, 1.0 - tail, tail))
        return Interval(value, low, high)
    difference = np.asarray(known_difference, dtype=np.float64)
    if difference.shape != (p,) or not np.isfinite(difference).all():
        raise ValueError(f"known_difference must be {p} finite values, one for each channel")
    if n < p + 1:
        raise ValueError(f"{n} trials for {p} channels; an exact interval needs {p + 1} or more")
    together = np.concatenate([present - difference, absent])
    ratio = _mahalanobis2(together - together.mean(axis=0), difference)  # θ̂² / (N − 1)
    value, low, high = (ratio * float(chi2.ppf(level, n - p)) for level in (0.5, tail, 1.0 - tail))
    return Interval(value, low, high)


def exact_cho_interval(
    v_present: NDArray[np.floating],
    v_absent: NDArray[np.floating],
    *,
    confidence: float = 0.95,
    known_difference: NDArray[np.floating] | None = None,
) -> Interval:
    """AUC of a channelized Hotelling observer with its exact interval, both in [½, 1].

    Parameters
    ----------
    v_present, v_absent, confidence, known_difference
        As for `exact_cho_snr2_interval`, which see for what is assumed.

    Returns
    -------
    AUC Φ(SNR/√2) of the best linear observer on these channels, not of a trained one; median-unbiased, with its
    interval.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> v_present, v_absent = rng.standard_normal((2, 200, 5))  # no signal
    >>> exact_cho_interval(v_present, v_absent).ci_low
    0.5
    """
    snr2 = exact_cho_snr2_interval(v_present, v_absent, confidence=confidence, known_difference=known_difference)
    value, low, high = (float(ndtr(math.sqrt(x / 2.0))) for x in (snr2.value, snr2.ci_low, snr2.ci_high))
    return Interval(value, low, high)


def expected_cho_interval(
    snr2: float, *, n_channels: int, n_present: int, n_absent: int, confidence: float = 0.95
) -> Interval:
    """The interval of `exact_cho_interval` that a study of a given size has if its estimate is the median one.

    Parameters
    ----------
    snr2
        True SNR², at least 0.
    n_channels, n_present, n_absent
        Channels, and trials of each class, more than `n_channels + 1` in all.
    confidence
        Coverage wanted, in (0, 1).

    Returns
    -------
    The AUC, and the bounds that half of the studies lie above and half below.

    Examples
    --------
    >>> widths = [expected_cho_interval(1.0, n_channels=5, n_present=n, n_absent=n) for n in (20, 80)]
    >>> bool(widths[0].ci_high - widths[0].ci_low > 1.9 * (widths[1].ci_high - widths[1].ci_low))
    True
    """
    check_confidence(confidence)
    n = n_present + n_absent
    if snr2 < 0.0 or n < n_channels + 2:
        raise ValueError(f"an SNR² of {snr2} or {n} trials for {n_channels} channels is out of range")
    scale, tail = n_present * n_absent / n, (1.0 - confidence) / 2.0

    def excess(t2: float) -> float:
        return hotelling_t2_cdf(t2, n_channels, n, scale * snr2) - 0.5

    high = max(1.0, scale * snr2)
    while excess(high) < 0.0:
        high *= 2.0
    t2 = float(brentq(excess, 0.0, high, rtol=1e-9))
    bounds = (_noncentrality(t2, n_channels, n, level) / scale for level in (1.0 - tail, tail))
    low, high = (float(ndtr(math.sqrt(bound / 2.0))) for bound in bounds)
    return Interval(float(ndtr(math.sqrt(snr2 / 2.0))), low, high)


def _check_outputs(
    v_present: NDArray[np.floating], v_absent: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Channel outputs of both classes as float64, or a ValueError."""
    present, absent = (np.asarray(v, dtype=np.float64) for v in (v_present, v_absent))
    if present.ndim != 2 or absent.ndim != 2 or present.shape[1] != absent.shape[1] or present.shape[1] == 0:
        raise ValueError(
            f"channel outputs of shapes {present.shape} and {absent.shape}; "
            "wanted (n_trials, n_channels) with as many channels in both"
        )
    if min(len(present), len(absent)) < 2:
        raise ValueError(
            f"each class needs at least 2 trials; there are {len(present)} signal-present "
            f"and {len(absent)} signal-absent"
        )
    if not (np.isfinite(present).all() and np.isfinite(absent).all()):
        raise ValueError("a channel output is not finite")
    spread = np.maximum(np.ptp(present, axis=0), np.ptp(absent, axis=0))
    constant = spread <= _ROUNDING * np.abs(np.concatenate([present, absent])).max(axis=0)
    if constant.any():
        raise ValueError(
            f"{constant.sum()} of {len(constant)} channels do not vary from trial to trial; leave them out"
        )
    return present, absent


def _plug_in(present: NDArray[np.float64], absent: NDArray[np.float64]) -> float:
    """Δᵀ S⁻¹ Δ with the pooled covariance S; at least p + 2 trials."""
    means = present.mean(axis=0), absent.mean(axis=0)
    residuals = np.concatenate([present - means[0], absent - means[1]])
    return (len(residuals) - 2) * _mahalanobis2(residuals, means[0] - means[1])


def _mahalanobis2(residuals: NDArray[np.float64], difference: NDArray[np.float64]) -> float:
    """Δᵀ (ZᵀZ)⁻¹ Δ through the QR factors of Z, which keeps the digits that forming ZᵀZ would lose."""
    size = np.linalg.norm(residuals, axis=0)
    factor = np.linalg.qr(residuals / size).R
    if len(factor) < factor.shape[1] or np.abs(factor.diagonal()).min() <= _SINGULAR:
        raise ValueError(
            f"the covariance of the {len(size)} channels is singular; leave out those that are a combination of others"
        )
    solution = solve_triangular(factor, difference / size, trans="T")
    return float(solution @ solution)


def _noncentrality(t2: float, n_channels: int, n_trials: int, level: float) -> float:
    """Noncentrality under which Hotelling's T² falls below `t2` with probability `level`; 0 if none does."""

    def excess(noncentrality: float) -> float:
        return hotelling_t2_cdf(t2, n_channels, n_trials, noncentrality) - level

    if excess(0.0) <= 0.0:
        return 0.0
    high = max(t2, 1.0)
    while excess(high) > 0.0:
        high *= 2.0
    return float(brentq(excess, 0.0, high, xtol=1e-9 * high, rtol=1e-12))


def hotelling_t2_cdf(t2: float, n_channels: int, n_trials: int, noncentrality: float) -> float:
    """Distribution function of Hotelling's two-sample T² = n₁ n₂ / N · Δᵀ S⁻¹ Δ, which is a scaled noncentral F.

    `n_trials` is N ≥ p + 2, of both classes; the noncentrality is n₁ n₂ / N · θ² ≥ 0. The Poisson mixture of beta
    distributions is summed where its weights are, which holds for any noncentrality; `scipy.stats.ncf` before SciPy
    1.15 does not for large ones. Where weights and terms change slowly, one in every few is enough: sums of smooth
    bells by equal steps converge faster than any power.
    """
    mean = noncentrality / 2.0
    deviation = math.sqrt(mean)
    spread = 8.0 * deviation + 30.0
    terms = np.arange(max(0.0, math.floor(mean - spread)), mean + spread, max(1.0, math.floor(deviation / 4.0)))
    weights = np.exp(xlogy(terms, mean) - mean - gammaln(terms + 1.0))
    beta = betainc(n_channels / 2.0 + terms, (n_trials - n_channels - 1) / 2.0, t2 / (t2 + n_trials - 2))
    return float(weights @ beta / weights.sum())
