"""Observers fitted to people: simulated panels of readers with a known internal noise."""

import functools
import math

import numpy as np
from scipy.special import ndtri

from taskct.metrics.forced_choice import proportion_correct
from taskct.metrics.internal_noise import ModelDecisions, NoiseKind, NoiseModel
from taskct.metrics.noise_fit import FittedNoiseModel
from taskct.metrics.reader_counts import ReaderCounts
from validation.check import Check

D_PRIMES = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5)
ALPHA, SCATTER, N_TRIALS, N_IMAGES = 0.8, 0.2, 100, 200
"""Internal noise, standard deviation of its logarithm over readers, trials of a condition, images of a class."""
N_PANELS = 800


def exact_decisions(d_primes, n=2000):
    """Test statistics of a Hotelling observer, quantiles of their normal laws: d′ is exact but for rounding."""
    z = ndtri((np.arange(n) + 0.5) / n)
    z /= z.std(ddof=1)
    return [
        ModelDecisions(d * (z + d / 2.0), d * (z - d / 2.0), {"proportional": d, "constant": 1.0}) for d in d_primes
    ]


def drawn_decisions(rng, n=N_IMAGES):
    """The same, drawn: means ± d′²/2, standard deviation d′."""
    return [
        ModelDecisions(rng.normal(d * d / 2, d, n), rng.normal(-d * d / 2, d, n), {"proportional": d, "constant": 1.0})
        for d in D_PRIMES
    ]


def of_strength(alpha, n_alternatives):
    """Proportion correct of a reader with noise in proportion to the test statistic."""
    return proportion_correct(np.array(D_PRIMES) / math.sqrt(1.0 + alpha**2), n_alternatives)


def sought(n_alternatives):
    """The strength that describes readers on average: their mean proportions, as many readers would have them."""
    x, weights = np.polynomial.hermite_e.hermegauss(21)
    weights /= weights.sum()
    mean = sum(w * of_strength(ALPHA * math.exp(SCATTER * z), n_alternatives) for z, w in zip(x, weights, strict=True))
    model = NoiseModel(exact_decisions(D_PRIMES), "proportional", n_alternatives)
    return model.alpha(model.fit(ReaderCounts(np.full((1, len(D_PRIMES)), 1e6), 1e6 * mean[None], n_alternatives)))


def panels(n_panels, n_readers, n_alternatives, seed, kind: NoiseKind = "proportional"):
    """Fits to panels of readers who differ."""
    rng = np.random.default_rng(seed)
    for number in range(n_panels):
        model = NoiseModel(drawn_decisions(rng), kind, n_alternatives)
        alphas = ALPHA * np.exp(SCATTER * rng.standard_normal(n_readers))
        k = np.array([rng.binomial(N_TRIALS, of_strength(alpha, n_alternatives)) for alpha in alphas], dtype=float)
        counts = ReaderCounts(np.full(k.shape, float(N_TRIALS)), k, n_alternatives)
        yield FittedNoiseModel(model, counts, seed=number, n_bootstrap=40)


def panel_covers(*, n_panels, n_readers, n_alternatives, seed):
    """Whether the interval of each panel holds the strength."""
    target = sought(n_alternatives)
    return [
        fit.alpha.ci_low <= target <= fit.alpha.ci_high for fit in panels(n_panels, n_readers, n_alternatives, seed)
    ]


def coverage(n_readers, n_alternatives, seed):
    """One line."""
    covered = panel_covers(n_panels=N_PANELS, n_readers=n_readers, n_alternatives=n_alternatives, seed=seed)
    return Check(
        f"Interval (95 %) of the internal noise fitted to {n_readers} readers who differ by {100 * SCATTER:g} %, "
        f"{len(D_PRIMES)} conditions of {N_TRIALS} trials, {n_alternatives}AFC: share of {N_PANELS} panels whose noise "
        "it holds",
        0.935,
        0.965,
        float(np.mean(covered)),
        expected=0.95,
        basis="requirement",
    )


@functools.cache
def checks():
    """Measure this area."""
    return [coverage(4, 2, seed=1), coverage(6, 4, seed=2)]
