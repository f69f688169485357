"""How good an observer would be with more training trials: its learning curve, and that of a difference."""

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from taskct.errors import UserError
from taskct.metrics.clustered import Clusters
from taskct.metrics.intervals import check_confidence, logit_interval
from taskct.metrics.roc import structural_components
from taskct.observers.base import Array, Observer, SmallSampleWarning, check_training
from taskct.observers.learning_law import SIZES_FITTED, STILL_LEARNING, TRIALS_PER_WEIGHT, Asymptote, Law, extrapolate

_FEWEST = 2  # of each class, to train on
_N_SIZES = 8  # sizes where the user names none, each √2 times the one before


@dataclass(frozen=True)
class LabelledTrials:
    """Images whose truth is known."""

    images: NDArray[np.floating]
    """HU, shape `(n_trials, height, width)`."""
    signal_present: NDArray[np.bool_]
    """Shape `(n_trials,)`."""
    cases: NDArray[np.integer] | None = None
    """Number of the case of each trial, shape `(n_trials,)`; None: every trial is a case of its own."""

    def checked(self) -> "LabelledTrials":
        """The same, as observers want them; errors are those of `check_training`."""
        images, present = check_training(self.images, self.signal_present)
        if self.cases is not None and self.cases.shape != present.shape:
            raise ValueError(f"cases have shape {self.cases.shape}, expected {present.shape}")
        return LabelledTrials(images, present, self.cases)

    def __getitem__(self, members: NDArray[np.bool_]) -> "LabelledTrials":
        """Some of the trials."""
        cases = None if self.cases is None else self.cases[members]
        return LabelledTrials(self.images[members], self.signal_present[members], cases)

    def __len__(self) -> int:
        return len(self.signal_present)

    @property
    def independent_share(self) -> float:
        """Cases of either class for each trial, in (0, 1]; 1 where every trial is a case of its own."""
        if self.cases is None:
            return 1.0
        pairs = np.stack([self.cases, self.signal_present.astype(self.cases.dtype)])
        return float(np.unique(pairs, axis=1).shape[1] / len(self))

    def draw(self, rng: np.random.Generator, n_drawn: int) -> NDArray[np.bool_]:
        """Mask of a draw without replacement that keeps the share of signal-present trials, whole cases at a time.

        Of clustered trials, the share that `n_drawn` is of all is drawn of the cases of each kind. Two trials (cases)
        of each class are drawn at least.
        """
        if self.cases is None:
            n_present = int(
                np.clip(round(n_drawn * self.signal_present.mean()), _FEWEST, max(n_drawn - _FEWEST, _FEWEST))
            )
            drawn = np.zeros(len(self), dtype=np.bool_)
            for truth, count in ((True, n_present), (False, max(n_drawn - n_present, _FEWEST))):
                members = np.flatnonzero(self.signal_present == truth)
                drawn[rng.choice(members, size=min(count, len(members)), replace=False)] = True
            return drawn
        labels = np.unique(self.cases, return_inverse=True)[1]
        held = np.zeros((labels.max() + 1, 2), dtype=np.bool_)
        held[labels, self.signal_present.astype(np.intp)] = True
        chosen = np.zeros(len(held), dtype=np.bool_)
        for holds in ((True, True), (True, False), (False, True)):
            members = np.flatnonzero((held == holds).all(axis=1))
            count = min(max(round(n_drawn / len(self) * len(members)), min(_FEWEST, len(members))), len(members))
            chosen[rng.choice(members, size=count, replace=False)] = True
        return np.asarray(chosen[labels], dtype=np.bool_)

    def covariance(self, by_present: Array, by_absent: Array) -> Array:
        """Covariance of several AUCs by the choice of these test trials: DeLong's, and with cases Obuchowski's.

        From structural components, `(n_aucs, n_present)` and `(n_aucs, n_absent)`. A `UserError` says that one case
        holds all trials of a class.
        """
        if self.cases is None:
            found = sum(np.cov(c) / c.shape[1] for c in (by_present, by_absent))
            return np.atleast_2d(np.asarray(found, dtype=np.float64))
        of_present, of_absent = self.cases[self.signal_present], self.cases[~self.signal_present]
        if min(len(np.unique(of_present)), len(np.unique(of_absent))) < _FEWEST:
            raise UserError("one case holds all test trials of a class: give two cases or more")
        return Clusters.of(of_present, of_absent).covariance(by_present, by_absent)


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
    ci_high: NDArray[np.float64]
    """Bounds of the mean with other training and other test trials, shape `(n_sizes,)` each."""
    asymptote: Asymptote | None
    """What more trials would bring; None where the curve does not allow to say."""
    small_sample: bool
    """Whether the largest training set is too small: more would add over 0.01 of AUC, or it cannot be said."""
    message: str
    """One line: what the curve says."""


@dataclass(frozen=True)
class LearningDifference:
    """AUC on one set of images less that on another of the same trials, against the trials learned from."""

    n_trials: NDArray[np.intp]
    """Training trials of both classes, shape `(n_sizes,)`, rising."""
    mean: NDArray[np.float64]
    """First minus second, mean over the repeats, in [−1, 1], shape `(n_sizes,)`."""
    ci_low: NDArray[np.float64]
    ci_high: NDArray[np.float64]
    """Bounds with other training and other test trials, shape `(n_sizes,)` each."""
    first: LearningCurve
    second: LearningCurve
    """Of the first and of the second set."""
    message: str
    """One line: what the curve says."""


def learning_curve(
    observer: Observer | Callable[[], Observer],
    images: NDArray[np.floating],
    signal_present: NDArray[np.bool_],
    *,
    cases: NDArray[np.integer] | None = None,
    sizes: Sequence[int] | None = None,
    n_repeats: int = 10,
    test: LabelledTrials | tuple[NDArray[np.floating], NDArray[np.bool_]] | None = None,
    n_weights: int | None = None,
    confidence: float = 0.95,
    seed: int,
) -> LearningCurve:
    """Train an observer on more and more trials, test it on others, and say where this leads.

    Parameters
    ----------
    observer
        An observer, which is copied for each training, or a function that makes one.
    images, signal_present, cases
        Pool of training trials, as for `Observer.fit`, and the number of each one's case, shape `(n_trials,)`. Whole
        cases are then drawn and no trial is taken to be independent of others of its case. None: a case each.
    sizes
        Training trials of both classes, at least 4 and at most the pool. None: the pool and up to seven smaller
        sizes, each 1/√2 of the next, as far as the observer can be fitted on them.
    n_repeats
        Training sets of each size, at least 2, drawn without replacement with the pool's share of signal-present
        trials.
    test
        Separate test trials, with their cases if they have some. None: half of each class is taken from the pool.
    n_weights
        Weights the observer estimates. None: its channels (columns of its `channel_matrix_`), or else the image's
        pixels.
    confidence, seed
        Coverage wanted of the intervals, in (0, 1), and seed of the draws.

    Raises
    ------
    UserError, ValueError
        If a size or a setting is out of range, or the observer cannot be fitted on the pool or a size named; otherwise
        as for `Observer.fit`, for the pool and for the test trials.

    Notes
    -----
    The asymptote is fitted to the sizes of at least two trials a weight, if there are three; below, the curve has
    another form (it even has a minimum near n = p without regularisation). The model is that of a Hotelling observer
    with p weights of which p is fitted too, between 1 and `n_weights`: AUC = Φ(SNR/√2), SNR² = SNR∞² (1 − (p − 1)/(n −
    1)) SNR∞²/(SNR∞² + (p − 1)(1/n₁ + 1/n₀)) [1], [2]. It is right to first order in 1/n for Hotelling and channelized
    Hotelling observers on Gaussian images; elsewhere it is a likely curve, and the interval does not hold how far the
    true one is from it (a strong ridge in coloured noise, 20 to 30 trials a weight: 0.003 to 0.005 too low).

    The intervals hold two errors. Of the test trials: DeLong's covariance of the mean AUCs of all sizes. Of the
    training trials: trainings of one pool share trials [3], so the variance V of one training is estimated as s²/(1 −
    n/N) from the spread s of the repeats (beyond n = N/2 from the largest size below, falling like 1/n), and their mean
    has V [n/N + (1 − n/N)/n_repeats], the first term common to all sizes. This is right where the error of AUC is
    linear in the trials (strong regularisation) and errs to the wide side for an observer near its optimum, where it is
    quadratic (97 to 99 % of 95 % intervals held the truth, with 1,000 to 20,000 test trials). Without a size of at most
    N/2 the training trials' error is understated. The asymptote's interval comes from these by the delta method, on the
    probit scale.

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
    pool = LabelledTrials(images, signal_present, cases)
    given = LabelledTrials(*test) if isinstance(test, tuple) else test
    trained = _train([observer], [pool], None if given is None else [given], sizes, n_repeats, confidence, seed)
    return _curve(trained, 0, n_weights, confidence)


def learning_difference(
    observers: Sequence[Observer | Callable[[], Observer]],
    pools: Sequence[LabelledTrials],
    tests: Sequence[LabelledTrials],
    *,
    sizes: Sequence[int] | None = None,
    n_repeats: int = 10,
    confidence: float = 0.95,
    seed: int,
) -> LearningDifference:
    """Learning curves of two observers on two sets of images of the same trials, and of their difference.

    Parameters
    ----------
    observers
        Of the first and of the second set of images, as for `learning_curve`, as are the settings and the errors.
    pools, tests
        Training and test trials as each set shows them: the same trials in the same order. Every training draws the
        same trials of both pools.

    Examples
    --------
    >>> from taskct.observers.hotelling import Hotelling
    >>> noise, present = np.random.default_rng(0).normal(size=(40, 3, 3)), np.arange(40) % 2 == 0
    >>> pool, test = LabelledTrials(noise[:20], present[:20]), LabelledTrials(noise[20:], present[20:])
    >>> learning_difference([Hotelling()] * 2, [pool] * 2, [test] * 2, seed=0).message[:17]
    'difference +0.000'
    """
    trained = _train(observers, pools, tests, sizes, n_repeats, confidence, seed)
    by_present, by_absent = (c[0] - c[1] for c in (trained.by_present, trained.by_absent))
    mean, covariance = _mean_and_covariance(by_present, by_absent, trained)
    half_width = -ndtri((1.0 - confidence) / 2.0) * np.sqrt(np.diag(covariance))
    low, high = np.clip(mean - half_width, -1.0, 1.0), np.clip(mean + half_width, -1.0, 1.0)
    first, second = (_curve(trained, index, None, confidence) for index in (0, 1))
    n = trained.n
    message = (
        f"difference {mean[0]:+.3f} [{low[0]:+.3f}, {high[0]:+.3f}] with {n[0]} training trials, {mean[-1]:+.3f} "
        f"[{low[-1]:+.3f}, {high[-1]:+.3f}] with {n[-1]}"
    )
    if first.asymptote is not None and second.asymptote is not None:
        message += f", {first.asymptote.auc - second.asymptote.auc:+.3f} expected of many more"
    return LearningDifference(n, mean, low, high, first, second, message)


@dataclass(frozen=True)
class _Trained:
    """Structural components of every training: shape `(n_sets_of_images, n_sizes, n_repeats, n_of_class)`."""

    n: NDArray[np.intp]  # training trials, rising
    by_present: Array
    by_absent: Array
    n_weights: int
    pool: LabelledTrials
    test: LabelledTrials


def _train(
    observers: Sequence[Observer | Callable[[], Observer]],
    pools: Sequence[LabelledTrials],
    tests: Sequence[LabelledTrials] | None,
    sizes: Sequence[int] | None,
    n_repeats: int,
    confidence: float,
    seed: int,
) -> _Trained:
    """Train on draws of every size, the same for every set of images, and test."""
    if n_repeats < 2:
        raise UserError(f"n_repeats is {n_repeats}; a learning curve needs at least 2 trainings of each size")
    check_confidence(confidence)
    rng = np.random.default_rng(seed)
    pools = [pool.checked() for pool in pools]
    if tests is None:
        is_test = pools[0].draw(rng, len(pools[0]) // 2)
        pools, tests = [pool[~is_test].checked() for pool in pools], [pool[is_test] for pool in pools]
    tests = [test.checked() for test in tests]
    n = _checked_sizes(sizes, len(pools[0]))[::-1]
    trained: list[list[list[tuple[Array, Array, int]]]] = []
    used: list[int] = []
    for size in n:
        of_size, n_used = [], 0
        try:
            for _ in range(n_repeats):
                drawn = pools[0].draw(rng, int(size))
                n_used += int(drawn.sum())
                parts = zip(observers, pools, tests, strict=True)
                of_size.append([_train_and_test(observer, pool[drawn], test) for observer, pool, test in parts])
        except UserError:  # an observer that cannot be fitted on so few
            if sizes is not None or not trained:
                raise
            break
        if used and round(n_used / n_repeats) >= used[-1]:
            continue  # as many whole cases as the size before
        trained.append(of_size)
        used.append(round(n_used / n_repeats))
    trained, used = trained[::-1], used[::-1]
    by_present, by_absent = (
        np.array([[[one[image_set][k] for one in size] for size in trained] for image_set in range(len(pools))])
        for k in (0, 1)
    )
    return _Trained(np.array(used, dtype=np.intp), by_present, by_absent, trained[-1][-1][0][2], pools[0], tests[0])


def _mean_and_covariance(by_present: Array, by_absent: Array, trained: _Trained) -> tuple[Array, Array]:
    """Mean over the repeats of each size, and its covariance by test and by training trials."""
    covariance = trained.test.covariance(by_present.mean(axis=1), by_absent.mean(axis=1))
    values = by_present.mean(axis=2)
    return values.mean(axis=1), covariance + _training_covariance(values, trained.n / len(trained.pool))


def _curve(trained: _Trained, image_set: int, n_weights: int | None, confidence: float) -> LearningCurve:
    """The curve on one set of images, and where it leads."""
    by_present, by_absent = trained.by_present[image_set], trained.by_absent[image_set]
    mean, covariance = _mean_and_covariance(by_present, by_absent, trained)
    n, weights = trained.n, trained.n_weights if n_weights is None else n_weights
    share = float(trained.pool.signal_present.mean())
    independent = trained.pool.independent_share
    asymptote, message = extrapolate(
        n, mean, covariance, Law(weights, 1.0 / (share * (1.0 - share)), independent), confidence
    )
    few = np.sum(n * independent >= TRIALS_PER_WEIGHT * weights) < SIZES_FITTED
    small = few if asymptote is None else asymptote.auc - mean[-1] > STILL_LEARNING
    n_pairs = max(round(min(by_present.shape[2], by_absent.shape[2]) * trained.test.independent_share), 1)
    variances = np.diag(covariance)
    of_size = [
        logit_interval(a, v, n_pairs=n_pairs, confidence=confidence) for a, v in zip(mean, variances, strict=True)
    ]
    low, high = np.array([(one.ci_low, one.ci_high) for one in of_size]).T
    return LearningCurve(n, by_present.mean(axis=2), mean, low, high, asymptote, bool(small), message)


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


def _train_and_test(
    observer: Observer | Callable[[], Observer], train: LabelledTrials, test: LabelledTrials
) -> tuple[Array, Array, int]:
    """Train once, and test: the structural components of the test trials, by class, and the number of weights."""
    fitted = copy.deepcopy(observer) if isinstance(observer, Observer) else observer()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)  # the curve says it
        fitted.fit(train.images, train.signal_present)
    statistic = fitted.test_statistic(test.images)
    components = structural_components(statistic[None, test.signal_present], statistic[None, ~test.signal_present])
    n_weights = getattr(fitted, "channel_matrix_", test.images.reshape(len(test), -1)).shape[1]
    return components[0][0], components[1][0], n_weights


def _training_covariance(auc: Array, used: Array) -> Array:
    """Covariance of the mean AUCs by the choice of training trials; `used` is each size's share of the pool."""
    trusted = used <= 0.5
    variance = auc.var(axis=1, ddof=1) / np.where(trusted, 1.0 - used, 0.5)
    if trusted.any():
        variance[~trusted] = variance[trusted][-1] * used[trusted][-1] / used[~trusted]
    common = np.sqrt(variance * used)
    return np.diag(variance * (1.0 - used) / auc.shape[1]) + np.outer(common, common)
