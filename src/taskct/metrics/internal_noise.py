"""Internal noise of a model observer, fitted to the proportions correct of readers.

A model without noise of its own does better than people. Noise of standard deviation α u added to its test statistic
brings it down: α is one number for all conditions, u the scale of the noise in each, which makes the kind of noise.
With a separation Δ of the means and an external standard deviation σ within the classes,

    d′ = Δ / √(σ² + α² u²).

α² is sought by maximum likelihood as r (e^θ − 1), r being the lowest σ²/u² of the conditions. So θ is any real number
and its estimate regular, also where people do as well as the model (θ = 0), or better (θ < 0, of which α = 0 is made).

Readers are few and differ. So the interval of θ comes from what each adds to the score equation, with as many degrees
of freedom as there are readers less one; a bootstrap of three or four readers would be too narrow. What the choice of
the model's trials adds is a bootstrap of its test statistics. What the choice of the readers' trials adds, where they
read the same ones, is told by the covariance of different readers' answers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq, minimize_scalar
from scipy.special import chdtrc, fdtrc, ndtr, ndtri, stdtrit, xlogy

from taskct.errors import UserError
from taskct.metrics.forced_choice import d_prime_of, proportion_correct
from taskct.metrics.intervals import Interval

Floats = NDArray[np.float64]

NoiseKind = Literal["proportional", "constant", "channels", "uniform-channels"]
"""What the internal noise scales with; see `NOISE_KINDS`."""

NOISE_KINDS: dict[NoiseKind, str] = {
    "proportional": "of the test statistic, in proportion to its standard deviation within a class",
    "constant": "of the test statistic, the same in all conditions",
    "channels": "of every channel's output, in proportion to its standard deviation within a class",
    "uniform-channels": "of every channel's output, the same in all channels and conditions",
}
"""In words."""

Law = Literal["normal", "scores"]
"""What the model's proportion correct follows from: d′ of normal test statistics, or the test statistics themselves."""

N_DRAWS: dict[Law, int] = {"normal": 400, "scores": 100}
"""Draws of the model's trials, of which a variance alone is taken."""

_GRID = np.linspace(-4.0, 14.0, 91)  # θ: d′ from 7 times that of the model without noise to a thousandth of it
_NEAR_EDGE = 0.05
_N_QUADRATURE = 16
_LEAST = 1e-9  # of a proportion in a likelihood
_CHUNK = 2**21  # elements at once


FEWEST = 10
"""Test statistics of a class; a variance of fewer says little, and less when they are resampled."""


@dataclass(frozen=True)
class ModelDecisions:
    """Test statistics of a model without internal noise in one condition.

    A ValueError, if a class has fewer than 10, a value is not finite, or all of a class are the same.
    """

    present: Floats
    absent: Floats
    """Shapes `(n_present,)` and `(n_absent,)`."""
    units: Mapping[NoiseKind, float]
    """Standard deviation of the internal noise at α = 1, above 0, by kind; in the unit of the test statistic."""
    trials: tuple[str, str] | None = None
    """Names of the trials with and without the signal, two different ones: those of one name are the same trials in
    several conditions, imaged otherwise, in the same order. None where no other condition has them."""

    def __post_init__(self) -> None:
        for name, values in (("present", self.present), ("absent", self.absent)):
            if values.ndim != 1 or len(values) < FEWEST or not np.isfinite(values).all() or np.ptp(values) == 0.0:
                raise ValueError(
                    f"test statistics of the {name} trials are fewer than {FEWEST}, not finite or all the same"
                )

    @cached_property
    def separation(self) -> float:
        """Δ, the difference of the classes' means."""
        return float(self.present.mean() - self.absent.mean())

    @cached_property
    def std(self) -> float:
        """σ, from the mean of the classes' variances."""
        return math.sqrt((float(self.present.var(ddof=1)) + float(self.absent.var(ddof=1))) / 2.0)

    @property
    def d_prime(self) -> float:
        """Detectability of the model without internal noise."""
        return self.separation / self.std

    def resampled(self, rngs: Sequence[np.random.Generator]) -> "ModelDecisions":
        """The same of trials drawn with replacement within the classes; `rngs`, of each class, may be one twice."""
        both = zip((self.present, self.absent), rngs, strict=True)
        drawn = [values[rng.integers(0, len(values), len(values))] for values, rng in both]
        return ModelDecisions(drawn[0], drawn[1], self.units, self.trials)


def model_proportion(
    model: ModelDecisions, variance: NDArray[np.floating], n_alternatives: int, *, law: Law = "normal"
) -> Floats:
    """Proportion correct of a model with internal noise of some variances, shape of `variance`.

    Parameters
    ----------
    model
        Its test statistics without noise.
    variance
        Of the internal noise, in the squared unit of the test statistic, above −σ²; below 0 stands for less noise than
        there is.
    n_alternatives
        Of forced choice, at least 2. Two give the AUC.
    law
        "normal" takes the test statistics for normal with one variance. "scores" takes them as they are, with the noise
        in closed form: it draws none.
    """
    v = np.asarray(variance, dtype=np.float64)
    d = model.separation / np.sqrt(model.std**2 + v)
    if law == "normal":
        return proportion_correct(d, n_alternatives)
    found = np.empty(v.shape)
    noisy = v >= 0.0
    found[noisy] = [_of_scores(model, math.sqrt(one), n_alternatives) for one in v[noisy]]
    if not noisy.all():  # less noise than there is scales the d′ that was found without any
        clean = d_prime_of(_of_scores(model, 0.0, n_alternatives), n_alternatives)
        found[~noisy] = proportion_correct(clean * d[~noisy] / model.d_prime, n_alternatives)
    return found


def _of_scores(model: ModelDecisions, std: float, n_alternatives: int) -> float:
    """Mean of the test statistics' proportion correct over internal noise of a standard deviation."""
    present, absent = model.present, model.absent
    if std == 0.0:
        ordered = np.sort(absent)
        below = np.searchsorted(ordered, present, side="left"), np.searchsorted(ordered, present, side="right")
        share = (below[0] + below[1]) / (2.0 * len(absent))
        return float(np.mean(share ** (n_alternatives - 1)))
    if n_alternatives == 2:
        return float(ndtr((present[:, None] - absent) / (math.sqrt(2.0) * std)).mean())
    x, weights = np.polynomial.hermite_e.hermegauss(_N_QUADRATURE)
    at = (present[:, None] + std * x).ravel()
    share = np.empty(len(at))
    step = max(1, _CHUNK // len(absent))
    for start in range(0, len(at), step):
        share[start : start + step] = ndtr((at[start : start + step, None] - absent) / std).mean(axis=1)
    return float((share ** (n_alternatives - 1)).reshape(len(present), -1).mean(axis=0) @ weights / weights.sum())


@dataclass(frozen=True)
class ReaderCounts:
    """How often readers were right, by reader and condition.

    A ValueError, if shapes do not match or a count is out of range.
    """

    n_trials: Floats
    """Shape `(n_readers, n_conditions)`; 0 where a reader did not read a condition. Need not be whole: an AUC stands
    for as many pairs as give its variance."""
    n_correct: Floats
    """The same shape, 0 to `n_trials`."""
    n_alternatives: int
    """Of forced choice; 2 for an AUC."""
    shared: Floats | None = None
    """Covariance of the conditions' proportions from what readers have in common by reading the same trials, see
    `shared_covariance`; None where each reader read other trials, or that is not known."""

    def __post_init__(self) -> None:
        n, k = self.n_trials, self.n_correct
        if n.ndim != 2 or n.shape != k.shape or not (np.isfinite(n).all() and np.isfinite(k).all()):
            raise ValueError("counts must be finite and of one shape, (n_readers, n_conditions)")
        if (k < 0.0).any() or (k > n).any() or (n.sum(axis=0) <= 0.0).any() or (n.sum(axis=1) <= 0.0).any():
            raise ValueError("counts of correct trials must lie in 0 to n_trials, and no reader or condition be empty")

    def shared_variance(self, weights: Floats) -> float:
        """Of a weighted sum of the proportions, from the choice of the trials that readers have in common."""
        return 0.0 if self.shared is None else max(float(weights @ self.shared @ weights), 0.0)

    @property
    def n_readers(self) -> int:
        """Number of readers."""
        return len(self.n_trials)

    @cached_property
    def n_of_condition(self) -> Floats:
        """Trials of all readers, shape `(n_conditions,)`."""
        found: Floats = self.n_trials.sum(axis=0)
        return found

    @cached_property
    def proportion(self) -> Floats:
        """Proportion correct of all readers together, shape `(n_conditions,)`."""
        found: Floats = self.n_correct.sum(axis=0) / self.n_of_condition
        return found


def shared_covariance(values: NDArray[np.floating], weights: NDArray[np.floating]) -> Floats:
    """Covariance of readers' mean values from the trials that they have in common.

    It is that of different readers' values of the same trial: what readers differ in, by chance or not, is not in it.

    Parameters
    ----------
    values
        Of every reader and trial, such as 1 for right and 0 for wrong, `(n_conditions, n_readers, n_trials)`; NaN where
        a trial was not read, or is not of the condition.
    weights
        Of readers in the mean of each condition, `(n_readers, n_conditions)`.

    Returns
    -------
    Shape `(n_conditions, n_conditions)`, without negative eigenvalues.
    """
    n_conditions, n_readers, _ = values.shape
    read = np.isfinite(values)
    n = read.sum(axis=2)
    found = np.zeros((n_conditions, n_conditions))
    for c in range(n_conditions):
        for d in range(n_conditions):
            for r in range(n_readers):
                for s in range(n_readers):
                    both = read[c, r] & read[d, s]
                    if r == s or (common := int(both.sum())) < 2:
                        continue
                    a, b = values[c, r, both], values[d, s, both]
                    covariance = float((a - a.mean()) @ (b - b.mean())) / (common - 1)
                    found[c, d] += weights[r, c] * weights[s, d] * covariance * common / float(n[c, r] * n[d, s])
    size, axes = np.linalg.eigh((found + found.T) / 2.0)
    kept: Floats = (axes * np.maximum(size, 0.0)) @ axes.T
    return kept


def readers_proportion(counts: ReaderCounts, weights: NDArray[np.floating], *, confidence: float = 0.95) -> Interval:
    """Mean over conditions of the readers' proportion correct: Wilson's interval, wider where readers differ.

    `weights`, `(n_conditions,)`, are at least 0 and add up to 1. A reader who did not read a condition counts in the
    others alone.

    Examples
    --------
    >>> one = readers_proportion(ReaderCounts(np.full((2, 1), 50.0), np.array([[40.0], [44.0]]), 2), np.ones(1))
    >>> round(one.value, 2), one.ci_low < one.value < one.ci_high
    (0.84, True)
    """
    g = np.asarray(weights, dtype=np.float64)
    y, n, readers = counts.proportion, counts.n_of_condition, counts.n_readers
    value, q = float(g @ y), (1.0 + confidence) / 2.0
    effective = 1.0 / float(np.sum(g**2 / n))  # trials that one condition would need
    z2_over_n = float(ndtri(q)) ** 2 / effective
    if readers > 1 and 0.0 < value < 1.0:
        of_reader = ((counts.n_correct - counts.n_trials * y) / n) @ g
        variance = readers / (readers - 1) * float(np.sum(of_reader**2))
        z2_over_n = max(z2_over_n, float(stdtrit(readers - 1, q)) ** 2 * variance / (value * (1.0 - value)))
        z2_over_n += float(ndtri(q)) ** 2 * counts.shared_variance(g) / (value * (1.0 - value))
    centre = (value + z2_over_n / 2.0) / (1.0 + z2_over_n)
    half = math.sqrt(z2_over_n * (value * (1.0 - value) + z2_over_n / 4.0)) / (1.0 + z2_over_n)
    return Interval(value, max(0.0, min(centre - half, value)), min(1.0, max(centre + half, value)))


def hanley_mcneil_pairs(area: float, n_present: int, n_absent: int) -> float:
    """How many independent pairs of trials give an AUC the variance of Hanley and McNeil, Radiology 143, 29 (1982).

    Examples
    --------
    >>> round(hanley_mcneil_pairs(0.8, 50, 50), 1)
    80.8
    """
    inner = min(max(area, 0.5 / (n_present * n_absent)), 1.0 - 0.5 / (n_present * n_absent))
    q1, q2 = inner / (2.0 - inner), 2.0 * inner**2 / (1.0 + inner)
    variance = inner * (1.0 - inner) + (n_present - 1) * (q1 - inner**2) + (n_absent - 1) * (q2 - inner**2)
    return inner * (1.0 - inner) * n_present * n_absent / variance


class NoiseModel:
    """A model with internal noise of one kind: its proportion correct in every condition as a function of θ."""

    def __init__(
        self, models: Sequence[ModelDecisions], kind: NoiseKind, n_alternatives: int, *, law: Law = "normal"
    ) -> None:
        self.models, self.kind, self.n_alternatives, self.law = models, kind, n_alternatives, law
        self.units = np.array([model.units[kind] for model in models])
        self.reference = min((model.std / u) ** 2 for model, u in zip(models, self.units, strict=True))
        """r, in the squared unit of α."""
        table = [self._exact(number, _GRID) for number in range(len(models))]
        self._spline = CubicSpline(_GRID, np.array(table), axis=1)

    def _exact(self, number: int, theta: Floats) -> Floats:
        variance = self.reference * np.expm1(theta) * self.units[number] ** 2
        return model_proportion(self.models[number], variance, self.n_alternatives, law=self.law)

    def alpha(self, theta: float) -> float:
        """α of a θ, 0 where people do better than the model without noise."""
        return math.sqrt(self.reference * max(math.expm1(theta), 0.0))

    def proportion(self, theta: float) -> Floats:
        """Proportion correct in every condition, `(n_conditions,)`."""
        return np.clip(self._spline(theta), _LEAST, 1.0 - _LEAST)

    def slope(self, theta: float) -> Floats:
        """Its derivative by θ."""
        return np.asarray(self._spline(theta, 1))

    def log_likelihood(self, theta: float, counts: ReaderCounts, used: NDArray[np.bool_]) -> float:
        """Binomial, of the conditions that are used, less what no model changes."""
        p = self.proportion(theta)[used]
        n, k = counts.n_of_condition[used], counts.n_correct.sum(axis=0)[used]
        return float(np.sum(xlogy(k, p) + xlogy(n - k, 1.0 - p)))

    def fit(self, counts: ReaderCounts, used: NDArray[np.bool_] | None = None) -> float:
        """θ of the highest likelihood, over the conditions that are used.

        Raises
        ------
        UserError
            If readers are at chance, or so good that no noise describes them.
        """
        use = np.full(len(self.models), True) if used is None else used
        heights = [self.log_likelihood(theta, counts, use) for theta in _GRID]
        best = int(np.argmax(heights))
        low, high = _GRID[max(best - 1, 0)], _GRID[min(best + 1, len(_GRID) - 1)]
        found = minimize_scalar(
            lambda theta: -self.log_likelihood(theta, counts, use), bounds=(low, high), method="bounded",
            options={"xatol": 1e-6},
        )  # fmt: skip
        theta = float(found.x)
        if theta < _GRID[0] + _NEAR_EDGE:
            raise UserError(
                "readers are right so often that no internal noise describes them: give harder conditions, or another "
                "observer"
            )
        if theta > _GRID[-1] - _NEAR_EDGE:
            raise UserError(
                "readers do no better than chance, so how much internal noise they have cannot be told: give easier "
                "conditions, and look whether n_correct and n_trials are in place"
            )
        return theta


@dataclass(frozen=True)
class Disagreement:
    """How far readers and a model lie apart in one condition, or on average over several."""

    difference: Interval
    """Proportion correct of the readers less that of the model."""
    p_value: float
    """Two-sided."""


@dataclass(frozen=True)
class GoodnessOfFit:
    """Whether a model with one α describes all conditions."""

    deviance: float
    """Twice the log-likelihood that a proportion of its own in each condition would add."""
    df: int
    """Conditions less the numbers fitted."""
    chi_square: float
    """Squared residuals over their variance, binomial and of the model's trials; NaN without degrees of freedom."""
    p_binomial: float
    """Of this chi-square: the chance of it, were readers' trials independent."""
    f_statistic: float
    """The same with the spread of readers × conditions in place of the binomial one; NaN for fewer than 2 readers."""
    p_readers: float
    """Of this F."""
    overdispersion: float
    """Pearson's chi-square of readers within conditions over its degrees of freedom: 1 where readers differ by chance
    alone; NaN for one reader."""


@dataclass(frozen=True)
class _Spread:
    """Variance of an estimate from few readers and from the model's trials.

    Half the width of the interval is √(t² v + z² w). By Satterthwaite's degrees of freedom, which the few readers' own
    variance sets, intervals of 95 % covered 0.87 to 0.94 with 2 to 6 readers; by this rule 0.93 to 0.965.
    """

    of_readers: float
    df: int
    other: float
    """What is taken as known: of the model's trials, or of one reader's."""

    def half_width(self, confidence: float) -> float:
        q = (1.0 + confidence) / 2.0
        t, z = float(stdtrit(self.df, q)) if self.of_readers else 0.0, float(ndtri(q))
        return math.sqrt(t**2 * self.of_readers + z**2 * self.other)

    def p_value(self, value: float) -> float:
        """Two-sided: one less the confidence at which the interval of a value just reaches 0."""
        if value == 0.0:
            return 1.0
        if self.half_width(1.0 - 1e-12) <= abs(value):
            return 0.0
        return 1.0 - float(brentq(lambda c: self.half_width(c) - abs(value), 0.0, 1.0 - 1e-12, xtol=1e-12))


@dataclass(frozen=True)
class Prediction:
    """What a model makes of the readers when one condition is left out of the fit."""

    proportion: Floats
    """Of every condition, predicted from the others, `(n_conditions,)`; NaN where it cannot be."""
    rmse: float
    """Root mean square of prediction less readers; NaN where a condition cannot be predicted."""


class FittedNoiseModel:
    """A model with internal noise, fitted to readers.

    Parameters
    ----------
    model
        The model with noise of one kind.
    counts
        What readers did, in the order of its conditions.
    confidence
        Coverage of intervals, in (0, 1).
    seed, n_bootstrap
        Of the bootstrap of the model's trials; None draws as often as `N_DRAWS` says.
    without_noise
        Whether α is held at 0: the model as it is.
    bounded
        Whether α² is at least 0, as a noise must be. False lets people do better than the model: of noise in proportion
        to the test statistic that is one efficiency for all conditions.
    """

    def __init__(
        self,
        model: NoiseModel,
        counts: ReaderCounts,
        *,
        confidence: float = 0.95,
        seed: int = 0,
        n_bootstrap: int | None = None,
        without_noise: bool = False,
        bounded: bool = True,
    ) -> None:
        self.model, self.counts, self.confidence = model, counts, confidence
        self.free = 0.0 if without_noise else model.fit(counts)
        """θ where it may have either sign."""
        self.without_noise, self.bounded = without_noise, bounded
        self.theta = max(self.free, 0.0) if bounded else self.free
        self._n_bootstrap = N_DRAWS[model.law] if n_bootstrap is None else n_bootstrap
        self._seed = seed

    @cached_property
    def proportion(self) -> Floats:
        """Of the fitted model, `(n_conditions,)`."""
        return self.model.proportion(self.theta)

    @cached_property
    def _weight(self) -> Floats:
        """Inverse binomial variance n / (p (1 − p)) at the free fit, `(n_conditions,)`."""
        p = self.model.proportion(self.free)
        found: Floats = self.counts.n_of_condition / (p * (1.0 - p))
        return found

    @cached_property
    def _information(self) -> float:
        return float(np.sum(self._weight * self.model.slope(self.free) ** 2))

    @cached_property
    def _gradient(self) -> Floats:
        """Derivative of θ by the readers' proportions, `(n_conditions,)`; zeros where nothing is fitted."""
        if self.without_noise:
            return np.zeros(len(self._weight))
        found: Floats = self._weight * self.model.slope(self.free) / self._information
        return found

    @cached_property
    def _influence(self) -> Floats:
        """What each reader adds to θ, `(n_readers,)`; all zeros where nothing is fitted."""
        if self.without_noise:
            return np.zeros(self.counts.n_readers)
        p, slope = self.model.proportion(self.free), self.model.slope(self.free)
        score = ((self.counts.n_correct - self.counts.n_trials * p) / (p * (1.0 - p))) @ slope
        found: Floats = score / self._information
        return found

    @cached_property
    def _of_trials(self) -> Floats:
        """Errors of the proportions, at the free fit, from the model's trials, `(n_draws, n_conditions)`."""
        model, drawn = self.model, np.empty((self._n_bootstrap, len(self.model.models)))
        variance = model.reference * math.expm1(self.free) * model.units**2
        for b in range(self._n_bootstrap):
            for c, one in enumerate(model.models):
                # The same draw for conditions that image the same trials.
                names = one.trials or (f"condition {c}", f"condition {c}")
                rngs = {name: np.random.default_rng([self._seed, b, *name.encode()]) for name in names}
                other = one.resampled([rngs[name] for name in names])
                v = max(float(variance[c]), -0.9 * other.std**2)
                drawn[b, c] = model_proportion(other, np.array([v]), model.n_alternatives, law=model.law)[0]
        found: Floats = drawn - drawn.mean(axis=0)
        return found

    @cached_property
    def _theta_of_trials(self) -> Floats:
        """What these errors make of θ, `(n_draws,)`."""
        if self.without_noise:
            return np.zeros(self._n_bootstrap)
        found: Floats = -self._of_trials @ self._gradient
        return found

    def _spread(self, of_reader: Floats, binomial: float, of_trials: Floats, gradient: Floats) -> "_Spread":
        """Of an estimate: what each reader, one reader's trials, the model's trials and those in common add to it.

        `gradient` is that by the readers' proportions, `(n_conditions,)`.
        """
        n = self.counts.n_readers
        trials = float(of_trials.var(ddof=1)) + self.counts.shared_variance(gradient)
        if n < 2:
            return _Spread(0.0, 1, binomial + trials)
        return _Spread(n / (n - 1) * float(np.sum((of_reader - of_reader.mean()) ** 2)), n - 1, trials)

    @cached_property
    def theta_interval(self) -> Interval:
        """θ with its interval, of either sign."""
        half = self._spread(self._influence, 1.0 / self._information, self._theta_of_trials, self._gradient).half_width(
            self.confidence
        )
        return Interval(self.free, self.free - half, self.free + half)

    @cached_property
    def alpha(self) -> Interval:
        """α with its interval, none of them below 0."""
        if self.without_noise:
            return Interval(0.0, 0.0, 0.0)
        found = self.theta_interval
        return Interval(*(self.model.alpha(theta) for theta in (found.value, found.ci_low, found.ci_high)))

    @cached_property
    def efficiency(self) -> Interval:
        """Squared ratio of d′, readers to model: e^−θ where the noise is in proportion to the statistic."""
        found = self.theta_interval
        return Interval(*(math.exp(-theta) for theta in (found.value, found.ci_high, found.ci_low)))

    @property
    def n_parameters(self) -> int:
        """Numbers that were fitted."""
        return 0 if self.without_noise else 1

    @property
    def _n_free(self) -> int:
        """Numbers that the fit could turn to the readers; none where α² is held at 0, by the model or by its bound."""
        return 0 if self.without_noise or self.theta != self.free else 1

    @property
    def log_likelihood(self) -> float:
        """Binomial, less what no model changes."""
        return self.model.log_likelihood(self.theta, self.counts, np.full(len(self.proportion), True))

    @property
    def aic(self) -> float:
        """Akaike's criterion, twice the parameters less twice the log-likelihood; lower is better."""
        return 2.0 * self.n_parameters - 2.0 * self.log_likelihood

    def disagreement(self, weights: NDArray[np.floating]) -> Disagreement:
        """Readers less model, summed over conditions with `weights`, `(n_conditions,)`.

        What each reader and each trial of the model adds to the fit is taken into account. Where as many numbers are
        fitted as there are conditions nothing is left to differ: 0, with p = 1.
        """
        if self._n_free == len(self.proportion):
            return Disagreement(Interval(0.0, 0.0, 0.0), 1.0)
        g, counts = np.asarray(weights, dtype=np.float64), self.counts
        y, n = counts.proportion, counts.n_of_condition
        slope = self.model.slope(self.theta) if self._n_free else np.zeros_like(y)
        value = float(g @ (y - self.proportion))
        of_reader = ((counts.n_correct - counts.n_trials * y) / n) @ g - float(g @ slope) * self._influence
        p = self.proportion
        binomial = float(np.sum(g**2 * p * (1.0 - p) / n))
        if self._n_free:
            binomial -= float(g @ slope) ** 2 / self._information
        of_trials = -(self._of_trials @ g) - float(g @ slope) * self._theta_of_trials
        gradient = g - float(g @ slope) * self._gradient
        spread = self._spread(of_reader, max(binomial, 0.0), of_trials, gradient)
        half = spread.half_width(self.confidence)
        return Disagreement(Interval(value, value - half, value + half), spread.p_value(value))

    @cached_property
    def goodness(self) -> GoodnessOfFit:
        """Whether one α describes all conditions; see `GoodnessOfFit`."""
        counts, p = self.counts, self.proportion
        n, y = counts.n_of_condition, counts.proportion
        k, df = n * y, len(p) - self._n_free
        deviance = max(2.0 * float(np.sum(xlogy(k, y / p) + xlogy(n - k, (1.0 - y) / (1.0 - p)))), 0.0)
        if df < 1:
            return GoodnessOfFit(deviance, df, math.nan, math.nan, math.nan, math.nan, _overdispersion(counts))
        chi_square = self._residuals(1.0)
        p_binomial = float(chdtrc(df, chi_square))
        within, f, p_readers = self._within_readers(df), math.nan, math.nan
        if within > 0.0:
            f = self._residuals(within) / df
            p_readers = float(fdtrc(df, (counts.n_readers - 1) * df, f))
        return GoodnessOfFit(deviance, df, chi_square, p_binomial, f, p_readers, _overdispersion(counts))

    def _residuals(self, dispersion: float) -> float:
        """Generalised sum of squares of readers less model, without what another α would explain.

        Their covariance is the binomial one times a dispersion, and that of the model's own trials.
        """
        p = self.proportion
        n_draws, n = self._of_trials.shape
        covariance = np.diag(dispersion * p * (1.0 - p) / self.counts.n_of_condition)
        covariance += self._of_trials.T @ self._of_trials / (n_draws - 1)
        if self.counts.shared is not None:
            covariance += self.counts.shared
        inverse = np.linalg.inv(covariance)
        e, slope = self.counts.proportion - p, self.model.slope(self.theta)
        squares = float(e @ inverse @ e)
        if self._n_free == 0 or n < 2:
            return squares
        return max(squares - float(slope @ inverse @ e) ** 2 / float(slope @ inverse @ slope), 0.0)

    def _within_readers(self, df: int) -> float:
        """Mean square of readers × conditions over the binomial one, each reader's own α apart; NaN without."""
        counts, p = self.counts, self.proportion
        n_readers = counts.n_readers
        if n_readers < 2 or (counts.n_trials <= 0.0).any():
            return math.nan
        z = (counts.n_correct / counts.n_trials - p) / np.sqrt(p * (1.0 - p) / (counts.n_of_condition / n_readers))
        if self._n_free:
            along = self.model.slope(self.theta) / np.sqrt(p * (1.0 - p) / counts.n_of_condition)
            along /= np.linalg.norm(along)
            z = z - (z @ along)[:, None] * along
        return float(np.sum((z - z.mean(axis=0)) ** 2)) / ((n_readers - 1) * df)

    @cached_property
    def left_out(self) -> Prediction:
        """Every condition predicted from the others."""
        counts, n = self.counts, len(self.proportion)
        if self.without_noise:
            predicted = self.proportion
        elif n < 2:
            predicted = np.full(n, np.nan)
        else:
            predicted = np.empty(n)
            for c in range(n):
                try:
                    theta = self.model.fit(counts, np.arange(n) != c)
                except UserError:  # the others are at chance, or at its opposite
                    predicted[c] = np.nan
                    continue
                predicted[c] = self.model.proportion(max(theta, 0.0) if self.bounded else theta)[c]
        return Prediction(predicted, float(np.sqrt(np.mean((predicted - counts.proportion) ** 2))))

    def alphas_of_readers(self) -> Floats:
        """α of each reader alone, `(n_readers,)`; NaN for a reader at chance, or right in all trials."""
        found = np.full(self.counts.n_readers, np.nan)
        for r in range(self.counts.n_readers):
            read = self.counts.n_trials[r] > 0.0
            n, k = (np.where(read, values[r], 0.0)[None] for values in (self.counts.n_trials, self.counts.n_correct))
            n = np.where(read, n, 1.0)  # not used
            try:
                found[r] = self.model.alpha(self.model.fit(ReaderCounts(n, k, self.counts.n_alternatives), read))
            except UserError:
                continue
        return found


def _overdispersion(counts: ReaderCounts) -> float:
    y = counts.proportion
    spread = np.where((y > 0.0) & (y < 1.0), y * (1.0 - y), np.inf)
    read = counts.n_trials > 0.0
    squares = (counts.n_correct - counts.n_trials * y) ** 2 / np.where(read, counts.n_trials, np.inf) / spread
    df = int((read & np.isfinite(spread)).sum() - np.isfinite(spread).sum())
    return float(squares.sum()) / df if df > 0 else math.nan
