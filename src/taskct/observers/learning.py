"""How good an observer would be with more training trials: its learning curve, and what theory expects."""

import copy
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from scipy.special import expit, logit, ndtr, ndtri, roots_hermitenorm, roots_legendre
from scipy.stats import beta, chi2, rankdata

from taskct.errors import UserError
from taskct.observers.base import Observer, SmallSampleWarning, check_training

_N_SIZES = 8  # sizes where the user names none, each √2 times the one before
_TRIALS_PER_WEIGHT = 2.0  # fewer, and the curve has not reached the form that is fitted
_SIZES_FITTED = 3  # at least; each √2 of the one before, so the largest has twice the trials of the smallest
_STILL_LEARNING = 0.01  # AUC that more trials would add, above which a training set is called small

_Array = NDArray[np.float64]


@dataclass(frozen=True)
class Asymptote:
    """AUC of an observer with any number of training trials, as a fitted learning curve tells it."""

    auc: float
    """In [0.5, 1]."""
    ci_low: float
    """Lower bound."""
    ci_high: float
    """Upper bound."""
    n_weights: float
    """Weights that the observer behaves as if it had to estimate; fewer than it has where it is regularised."""


@dataclass(frozen=True)
class LearningCurve:
    """AUC of an observer against the trials it was trained on, always on the same test trials."""

    n_trials: NDArray[np.intp]
    """Training trials of both classes, shape `(n_sizes,)`, rising."""
    auc: NDArray[np.float64]
    """AUC of each training, shape `(n_sizes, n_repeats)`."""
    mean: NDArray[np.float64]
    """Mean over the repeats, shape `(n_sizes,)`."""
    ci_low: NDArray[np.float64]
    """Lower bound of the mean: other training and other test trials, shape `(n_sizes,)`."""
    ci_high: NDArray[np.float64]
    """Upper bound of the mean, shape `(n_sizes,)`."""
    asymptote: Asymptote | None
    """What more trials would bring; None where the curve does not allow to say."""
    small_sample: bool
    """Whether the largest training set is too small: more would add over 0.01 of AUC, or it cannot be said."""
    message: str
    """One line: what the curve says."""


def expected_auc(snr: float, n_trials: int, n_weights: int) -> float:
    """Mean AUC, on new trials, of a Hotelling observer trained on few: exact for Gaussian images.

    The observer estimates the difference of the means and the pooled covariance of `n_weights` channels or
    pixels, without regularisation or internal noise, from as many signal-present as signal-absent trials.

    Parameters
    ----------
    snr
        Signal-to-noise ratio that infinitely many trials give (AUC = Φ(snr/√2)), at least 0.
    n_trials
        Training trials of both classes, even, at least 4 and `n_weights + 2`.
    n_weights
        Channels or pixels whose covariance is estimated, at least 1.

    Returns
    -------
    Mean over training sets, in [0.5, 1].

    Raises
    ------
    ValueError
        If a number is out of range.

    Notes
    -----
    With the true covariance whitened, the template's correlation with the signal is cos φ cos θ + V sin φ sin θ.
    φ is the angle of the estimated from the true signal, which has noise 4/n; θ what the Wishart-distributed
    covariance adds, cos²θ ~ Beta((n − p)/2, (p − 1)/2); and V the first coordinate of a random direction in p − 1
    dimensions. The mean over all four is taken by Gaussian quadrature; its error is below 2e-4, at p = 2 with
    n < 10 below 2e-3. For n ≫ p, SNR² ≈ snr² (1 − (p − 1)/(n − 1)) snr²/(snr² + 4 (p − 1)/n).

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


def learning_curve(
    observer: Observer | Callable[[], Observer],
    images: NDArray[np.floating],
    signal_present: NDArray[np.bool_],
    *,
    sizes: Sequence[int] | None = None,
    n_repeats: int = 10,
    test: tuple[NDArray[np.floating], NDArray[np.bool_]] | None = None,
    n_weights: int | None = None,
    confidence: float = 0.95,
    seed: int,
) -> LearningCurve:
    """Train an observer on more and more trials, test it on others, and say where this leads.

    Parameters
    ----------
    observer
        An observer, which is copied for each training, or a function that makes one.
    images, signal_present
        Pool of training trials, as for `Observer.fit`.
    sizes
        Training trials of both classes, at least 4 and at most the pool. None: the pool and up to seven smaller
        sizes, each 1/√2 of the next, as far as the observer can be fitted on them.
    n_repeats
        Training sets of each size, drawn from the pool without replacement, with the pool's share of
        signal-present trials; at least 2.
    test
        Images and truth of separate test trials. None: half of each class is taken from the pool.
    n_weights
        Weights the observer estimates: its channels or pixels. None: columns of its `channel_matrix_` if it has
        one, pixels of the image otherwise.
    confidence
        Coverage wanted of the intervals, in (0, 1).
    seed
        Of the draws.

    Returns
    -------
    The curve and its asymptote.

    Raises
    ------
    UserError
        If a size or a setting is out of range, or the observer cannot be fitted on the pool or a size named.
    ValueError
        As for `Observer.fit`, for the pool and for the test trials.

    Notes
    -----
    The asymptote is fitted to the sizes of at least two trials a weight, if there are three; below, the curve
    has another form (it even has a minimum near n = p without regularisation) and there is no asymptote. The
    model is that of a Hotelling observer with p weights of which p is fitted too, between 1 and `n_weights`:
    AUC = Φ(SNR/√2), SNR² = SNR∞² (1 − (p − 1)/(n − 1)) SNR∞²/(SNR∞² + (p − 1)(1/n₁ + 1/n₀)). It is
    right to first order in 1/n for Hotelling and channelized Hotelling observers on Gaussian images; elsewhere it is
    a likely curve, and the interval does not hold how far the true one is from it (a strong ridge in coloured
    noise, 20 to 30 trials a weight: 0.003 to 0.005 too low).

    The intervals hold two errors. Of the test trials: DeLong's covariance of the mean AUCs of all sizes. Of the
    training trials: trainings of one pool share trials, so the variance V of one training is estimated as
    s²/(1 − n/N) from the spread s of the repeats (beyond n = N/2 from the largest size below, falling like 1/n), and
    their mean has V [n/N + (1 − n/N)/n_repeats], the first term common to all sizes. This is right for an
    observer whose error of AUC is linear in the trials (strong regularisation) and errs to the wide side for one
    near its optimum, where it is quadratic (97 to 99 % of 95 % intervals held the truth, with 1,000 to 20,000 test
    trials). Without a size of at most N/2 the training trials' error is understated. The interval of the
    asymptote comes from these by the delta method, on the probit scale.

    References
    ----------
    .. [1] Fukunaga & Hayes, IEEE TPAMI 11, 873 (1989): extrapolation in 1/n.
    .. [2] Chan et al., Med. Phys. 26, 2654 (1999): the same for the AUC of classifiers in medical imaging.
    .. [3] Nadeau & Bengio, Machine Learning 52, 239 (2003): variance of trainings that share trials.

    Examples
    --------
    >>> from taskct.observers.hotelling import Hotelling
    >>> images, signal_present = np.random.default_rng(0).normal(size=(10, 8, 8)), np.arange(10) < 5
    >>> curve = learning_curve(Hotelling(), images, signal_present, seed=0)
    >>> curve.small_sample, curve.asymptote is None
    (True, True)
    """
    if n_repeats < 2:
        raise UserError(f"n_repeats is {n_repeats}; a learning curve needs at least 2 trainings of each size")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence is {confidence}; it must lie between 0 and 1, both excluded")
    rng = np.random.default_rng(seed)
    images, signal_present = check_training(images, signal_present)
    if test is None:
        is_test = _stratified(rng, signal_present, len(images) // 2)
        test = images[is_test], signal_present[is_test]
        images, signal_present = images[~is_test], signal_present[~is_test]
        check_training(images, signal_present)
    test_images, test_present = check_training(*test)
    n = _checked_sizes(sizes, len(images))[::-1]
    trained = []
    for size in n:
        try:
            draws = (_stratified(rng, signal_present, int(size)) for _ in range(n_repeats))
            train = (_train_and_test(observer, images[d], signal_present[d], test_images, test_present) for d in draws)
            trained.append(list(train))  # one training set at a time
        except UserError:  # an observer that cannot be fitted on so few
            if sizes is not None or not trained:
                raise
            break
    n, trained = n[: len(trained)][::-1], trained[::-1]
    by_present, by_absent = (np.array([[c[k] for c in size] for size in trained]) for k in (0, 1))
    auc = by_present.mean(axis=2)
    covariance = sum(np.cov(c.mean(axis=1)) / c.shape[2] for c in (by_present, by_absent))
    covariance = np.atleast_2d(covariance) + _training_covariance(auc, n / len(images))
    mean = auc.mean(axis=1)
    std_error = np.sqrt(np.diag(covariance))
    if n_weights is None:
        n_weights = trained[-1][-1][2]
    share = float(signal_present.mean())
    asymptote, message = _extrapolate(n, mean, covariance, n_weights, 1.0 / (share * (1.0 - share)), confidence)
    few = np.sum(n >= _TRIALS_PER_WEIGHT * n_weights) < _SIZES_FITTED
    small = few if asymptote is None else asymptote.auc - mean[-1] > _STILL_LEARNING
    n_pairs = min(by_present.shape[2], by_absent.shape[2])
    low, high = _bounds(mean, std_error, n_pairs, confidence)
    return LearningCurve(n, auc, mean, low, high, asymptote, bool(small), message)


def _quantiles(quantile: Callable[[_Array], _Array], n_nodes: int) -> tuple[_Array, _Array]:
    """Nodes and weights for a mean over a distribution: Gauss–Legendre in its probability."""
    nodes, weights = roots_legendre(n_nodes)
    return quantile((nodes + 1.0) / 2.0), weights / 2.0


def _checked_sizes(sizes: Sequence[int] | None, n_pool: int) -> NDArray[np.intp]:
    """Sizes of the training sets, rising."""
    if sizes is None:
        sizes = [round(n_pool / 2.0 ** (k / 2.0)) for k in range(_N_SIZES)]
        sizes = [size for size in sizes if size >= 4]
    n = np.unique(np.asarray(sizes, dtype=np.intp))
    if n.size == 0 or n[0] < 4 or n[-1] > n_pool:
        raise UserError(
            f"training sets of {list(map(int, n))} trials; give one size or more, from 4 to the {n_pool} trials that "
            "are left for training"
        )
    return n


def _stratified(rng: np.random.Generator, signal_present: NDArray[np.bool_], n_drawn: int) -> NDArray[np.bool_]:
    """Mask of a draw without replacement, with the pool's share of signal-present trials but two of each class."""
    n_present = int(np.clip(round(n_drawn * signal_present.mean()), 2, max(n_drawn - 2, 2)))
    drawn = np.zeros(len(signal_present), dtype=np.bool_)
    for truth, count in ((True, n_present), (False, max(n_drawn - n_present, 2))):
        members = np.flatnonzero(signal_present == truth)
        drawn[rng.choice(members, size=min(count, len(members)), replace=False)] = True
    return drawn


def _train_and_test(
    observer: Observer | Callable[[], Observer],
    images: NDArray[np.float64],
    signal_present: NDArray[np.bool_],
    test_images: NDArray[np.float64],
    test_present: NDArray[np.bool_],
) -> tuple[_Array, _Array, int]:
    """Train once, and test.

    Returns
    -------
    For each signal-present and each signal-absent test trial, the fraction of the other class it is ordered rightly
    against (DeLong's components; the mean of either is the AUC), and the number of weights.
    """
    fitted = copy.deepcopy(observer) if isinstance(observer, Observer) else observer()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)  # the curve says it
        fitted.fit(images, signal_present)
    statistic = fitted.test_statistic(test_images)
    present, absent = statistic[test_present], statistic[~test_present]
    ranks = rankdata(np.concatenate([present, absent]))
    absent_below = ranks[: len(present)] - rankdata(present)
    present_below = ranks[len(present) :] - rankdata(absent)
    n_weights = getattr(fitted, "channel_matrix_", test_images.reshape(len(test_images), -1)).shape[1]
    return absent_below / len(absent), 1.0 - present_below / len(present), n_weights


def _training_covariance(auc: _Array, used: _Array) -> _Array:
    """Covariance of the mean AUCs by the choice of training trials; `used` is each size's share of the pool."""
    trusted = used <= 0.5
    variance = auc.var(axis=1, ddof=1) / np.where(trusted, 1.0 - used, 0.5)
    if trusted.any():
        variance[~trusted] = variance[trusted][-1] * used[trusted][-1] / used[~trusted]
    common = np.sqrt(variance * used)
    return np.diag(variance * (1.0 - used) / auc.shape[1]) + np.outer(common, common)


def _bounds(mean: _Array, std_error: _Array, n_pairs: int, confidence: float) -> tuple[_Array, _Array]:
    """Logit intervals; at an AUC of 0 or 1, what `n_pairs` pairs of trials that share none allow."""
    tail = (1.0 - confidence) / 2.0
    edge = tail ** (1.0 / n_pairs)
    inside = (mean > 0.0) & (mean < 1.0)
    value = np.where(inside, mean, 0.5)
    half_width = -ndtri(tail) * std_error / (value * (1.0 - value))
    low = np.where(inside, expit(logit(value) - half_width), np.where(mean == 1.0, edge, 0.0))
    high = np.where(inside, expit(logit(value) + half_width), np.where(mean == 0.0, 1.0 - edge, 1.0))
    return low, high


def _extrapolate(
    n: NDArray[np.intp], mean: _Array, covariance: _Array, n_weights: int, imbalance: float, confidence: float
) -> tuple[Asymptote | None, str]:
    """Fit the curve of a Hotelling observer; `imbalance` is n (1/n₁ + 1/n₀), 4 if balanced."""
    last = f"AUC {mean[-1]:.3f} with {n[-1]} training trials"
    enough = n >= _TRIALS_PER_WEIGHT * n_weights
    if enough.sum() < _SIZES_FITTED:
        least = math.ceil(_TRIALS_PER_WEIGHT * n_weights)
        return None, (
            f"{last} for {n_weights} weights: too few to say what more would bring, which takes {_SIZES_FITTED} sizes "
            f"of {least} or more; give {2 * least} training trials, or an observer with fewer weights"
        )
    if mean[-1] - 2.0 * math.sqrt(covariance[-1, -1]) < 0.5:
        return None, f"{last}: not told from guessing, so nothing is extrapolated"
    if mean[-1] == 1.0:
        return None, f"{last}: no pair of test trials is ordered wrongly, so nothing is left to extrapolate"

    def model(size: _Array, probit: float, directions: float) -> _Array:
        snr2 = 2.0 * probit**2
        learned = (1.0 - directions / (size - 1.0)) * snr2 / (snr2 + imbalance * directions / size)
        return np.asarray(ndtr(probit * np.sqrt(learned)), dtype=np.float64)

    size, covariance = n[enough].astype(np.float64), covariance[np.ix_(enough, enough)]
    start = float(np.clip(ndtri(mean[-1]), 0.01, 6.0))
    sigma = 1e-4 + 1.0 / size  # the spread of a Hotelling observer's AUC over training sets falls like 1/n
    bounds = ([1e-3, 0.0], [8.0, max(n_weights - 1.0, 1e-6)])
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
    advice = "still learning" if value - mean[-1] > _STILL_LEARNING else "enough"
    message = f"{last}, {value:.3f} ({low:.3f} to {high:.3f}) expected of many more: {advice}"
    return Asymptote(value, low, high, directions + 1.0), message
