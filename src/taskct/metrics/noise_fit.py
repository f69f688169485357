"""The internal noise of a model that fits readers best: its intervals, its fit, and where the two disagree.

How the noise enters the model is told in `internal_noise`.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import chdtrc, fdtrc, ndtri, stdtrit, xlogy

from taskct.errors import UserError
from taskct.metrics.internal_noise import N_DRAWS, NoiseModel, model_proportion
from taskct.metrics.intervals import Interval
from taskct.metrics.reader_counts import ReaderCounts

Floats = NDArray[np.float64]


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
