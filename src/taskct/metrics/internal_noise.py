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
from scipy.optimize import minimize_scalar
from scipy.special import ndtr, xlogy

from taskct.errors import UserError
from taskct.metrics.forced_choice import d_prime_of, proportion_correct
from taskct.metrics.reader_counts import ReaderCounts

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
