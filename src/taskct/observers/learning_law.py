"""The law that learning curves follow: that of a Hotelling observer whose weights are estimated from few trials."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from scipy.special import ndtr, ndtri, roots_hermitenorm, roots_legendre
from scipy.stats import beta, chi2

from taskct.observers.base import Array

TRIALS_PER_WEIGHT = 2.0  # fewer, and the curve has not reached the form that is fitted
SIZES_FITTED = 3  # at least; each √2 of the one before, so the largest has twice the trials of the smallest
STILL_LEARNING = 0.01  # AUC that more trials would add, above which a training set is called small


@dataclass(frozen=True)
class Asymptote:
    """AUC of an observer with any number of training trials, as a fitted learning curve tells it."""

    auc: float
    """In [0.5, 1]."""
    ci_low: float  # lower bound
    ci_high: float  # upper bound
    n_weights: float
    """Weights that the observer behaves as if it had to estimate; fewer than it has where it is regularised."""


def expected_auc(snr: float, n_trials: int, n_weights: int) -> float:
    """Mean AUC, on new trials, of a Hotelling observer trained on few: exact for Gaussian images.

    The observer estimates the difference of the means and the pooled covariance of `n_weights` channels or pixels,
    without regularisation or internal noise, from as many signal-present as signal-absent trials.

    Parameters
    ----------
    snr
        Signal-to-noise ratio that infinitely many trials give (AUC = Φ(snr/√2)), at least 0.
    n_trials, n_weights
        Training trials of both classes, even, at least 4 and `n_weights + 2`; and weights, at least 1.

    Returns
    -------
    Mean over training sets, in [0.5, 1].

    Raises
    ------
    ValueError
        If a number is out of range.

    Notes
    -----
    With the true covariance whitened, the template's correlation with the signal is cos φ cos θ + V sin φ sin θ. φ is
    the angle of the estimated from the true signal, which has noise 4/n; θ what the Wishart-distributed covariance
    adds, cos²θ ~ Beta((n − p)/2, (p − 1)/2); and V the first coordinate of a random direction in p − 1 dimensions. The
    mean over all four is taken by Gaussian quadrature; its error is below 2e-4, at p = 2 with n < 10 below 2e-3. For n
    ≫ p, SNR² ≈ snr² (1 − (p − 1)/(n − 1)) snr²/(snr² + 4 (p − 1)/n).

    References
    ----------
    .. [1] Fukunaga & Hayes, IEEE TPAMI 11, 873 (1989): the mean, to first order in 1/n.
    .. [2] Muirhead, Aspects of Multivariate Statistical Theory (1982), ch. 3: partitions of a Wishart matrix.

    Examples
    --------
    >>> [round(expected_auc(2.0, n, 40), 3) for n in (80, 400, 4000)]
    [0.792, 0.9, 0.919]
    """
    if not 0.0 <= snr < math.inf or n_weights < 1 or n_trials % 2 or n_trials < max(4, n_weights + 2):
        raise ValueError(
            f"snr {snr}, n_trials {n_trials}, n_weights {n_weights}: the SNR is at least 0, the weights at least 1, "
            f"the trials even and at least {max(4, n_weights + 2)}"
        )
    spread = 2.0 / math.sqrt(n_trials)  # of each component of the estimated signal
    if n_weights == 1:
        right_sign = float(ndtr(snr / spread))
        area = float(ndtr(snr / math.sqrt(2.0)))
        return right_sign * area + (1.0 - right_sign) * (1.0 - area)
    normal, w_normal = roots_hermitenorm(40)
    w_normal = w_normal / w_normal.sum()
    across, w_across = _quantiles(chi2(n_weights - 1).ppf, 40)
    squared, w_squared = _quantiles(beta((n_trials - n_weights) / 2.0, (n_weights - 1) / 2.0).ppf, 16)
    if n_weights == 2:
        direction, w_direction = np.array([-1.0, 1.0]), np.array([0.5, 0.5])
    else:
        direction, w_direction = _quantiles(beta((n_weights - 2) / 2.0, (n_weights - 2) / 2.0).ppf, 16)
        direction = 2.0 * direction - 1.0
    phi = np.arctan2(spread * np.sqrt(across), (snr + spread * normal)[:, None])[..., None, None]
    theta = np.arccos(np.sqrt(squared))[:, None]
    correlation = np.cos(phi) * np.cos(theta) + np.sin(phi) * np.sin(theta) * direction
    areas = ndtr(snr * correlation / math.sqrt(2.0))
    return float(np.einsum("ijkl,i,j,k,l->", areas, w_normal, w_across, w_squared, w_direction, optimize=True))


@dataclass(frozen=True)
class Law:
    """What the law of a Hotelling observer needs to know of the trials."""

    n_weights: int  # estimated by the observer
    imbalance: float  # n (1/n₁ + 1/n₀), 4 if balanced
    independent: float  # cases of either class for each trial: trials of one case may teach no more than one


def extrapolate(
    n: NDArray[np.intp], mean: Array, covariance: Array, law: Law, confidence: float
) -> tuple[Asymptote | None, str]:
    """Fit the curve of a Hotelling observer to the mean AUCs `(n_sizes,)` of rising numbers of training trials.

    Given are the asymptote, None where the curve does not allow to say, and one line.
    """
    n_weights, imbalance = law.n_weights, law.imbalance
    last = f"AUC {mean[-1]:.3f} with {n[-1]} training trials"
    enough = n * law.independent >= TRIALS_PER_WEIGHT * n_weights
    if enough.sum() < SIZES_FITTED:
        least = math.ceil(TRIALS_PER_WEIGHT * n_weights / law.independent)
        return None, (
            f"{last} for {n_weights} weights: too few to say what more would bring, which takes {SIZES_FITTED} sizes "
            f"of {least} or more; give {2 * least} training trials, or an observer with fewer weights"
        )
    if mean[-1] - 2.0 * math.sqrt(covariance[-1, -1]) < 0.5:
        return None, f"{last}: not told from guessing, so nothing is extrapolated"
    if mean[-1] == 1.0:
        return None, f"{last}: no pair of test trials is ordered wrongly, so nothing is left to extrapolate"

    def model(size: Array, probit: float, directions: float) -> Array:
        snr2 = 2.0 * probit**2
        learned = (1.0 - directions / (size - 1.0)) * snr2 / (snr2 + imbalance * directions / size)
        return np.asarray(ndtr(probit * np.sqrt(learned)), dtype=np.float64)

    size, covariance = n[enough].astype(np.float64), covariance[np.ix_(enough, enough)]
    start = float(np.clip(ndtri(mean[-1]), 0.01, 6.0))
    sigma = 1e-4 + 1.0 / size  # the spread of a Hotelling observer's AUC over training sets falls like 1/n
    bounds = ([1e-3, 0.0], [8.0, max((n_weights - 1.0) / law.independent, 1e-6)])  # as if there were fewer trials
    (probit, directions), _ = curve_fit(
        model, size, mean[enough], (start, 0.5 * bounds[1][1]), sigma=sigma, bounds=bounds
    )
    step = 1e-4
    slopes = np.stack(
        [
            (model(size, probit + step, directions) - model(size, probit - step, directions)) / (2.0 * step),
            (model(size, probit, directions + step) - model(size, probit, directions)) / step,
        ],
        axis=1,
    )
    gain = np.linalg.pinv(slopes / sigma[:, None]) / sigma  # change of the fit with each mean AUC
    half_width = -float(ndtri((1.0 - confidence) / 2.0)) * math.sqrt(float(gain[0] @ covariance @ gain[0]))
    value, low, high = (float(ndtr(z)) for z in (probit, probit - half_width, probit + half_width))
    advice = "still learning" if value - mean[-1] > STILL_LEARNING else "enough"
    message = f"{last}, {value:.3f} ({low:.3f} to {high:.3f}) expected of many more: {advice}"
    return Asymptote(value, low, high, directions + 1.0), message


def _quantiles(quantile: Callable[[Array], Array], n_nodes: int) -> tuple[Array, Array]:
    """Nodes and weights for a mean over a distribution: Gauss–Legendre in its probability."""
    nodes, weights = roots_legendre(n_nodes)
    return quantile((nodes + 1.0) / 2.0), weights / 2.0
