"""Intervals of a study whose test trials share backgrounds, as its result files have them: simulated coverage."""

import numpy as np
from scipy.stats import norm

from taskct.config import make_settings
from taskct.metrics.tradeoff import compare_curves, monotone_within_intervals
from taskct.names import ArmName
from taskct.study.arm_result import ArmResult
from taskct.study.arms import Arm
from taskct.study.resampling import Resampling
from taskct.study.summary import retraining
from taskct.trials.trials import TRUTH, Trials
from validation.check import Check
from validation.roc import N, covers

N_BACKGROUNDS, N_TRIALS = 30, 20
SETTING = f"{N_BACKGROUNDS} backgrounds of {N_TRIALS} trials"
CONSERVATIVE = "at least 93.5 %: it may cover more, as an exact binomial interval does"


def checks() -> list[Check]:
    """Every line of this area; about a minute and a half on one thread."""
    return [*quality(), *few(), *false_signals(), *curves(), *order(), *seeds()]


def resampling(n_backgrounds=N_BACKGROUNDS, *, single=False, n_bootstrap=1000):
    """The study's own, for trials of both classes by turns on every background."""
    n = n_backgrounds * N_TRIALS
    case = np.arange(n) if single else np.arange(n) // N_TRIALS
    images = np.zeros((n, 1, 1), dtype=np.float32)
    truth = {name: np.zeros(n) for name in TRUTH} | {"case": case.astype(float)}
    settings = make_settings({"evaluation": {"n_bootstrap": n_bootstrap}})
    return Resampling.of(Trials(images, images, np.arange(n) % 2 == 0, truth), settings)


def coverage(claim, hits):
    """A line on intervals that should cover 95 %."""
    error = 4.0 * np.sqrt(0.95 * 0.05 / N)
    basis = "nominal 0.95 and 4 Monte Carlo standard errors"
    return Check(f"{claim}; {N:,} studies", 0.95 - error, 0.95 + error, float(np.mean(hits)), 0.95, basis)


def in_backgrounds(values):
    """One value of a background for each of its trials, in the last axis."""
    return np.repeat(values, N_TRIALS, axis=-1)


def squared_errors(rng, n_backgrounds, scales):
    """MSE of several arms, HU², `(n_trials, n_arms)`: means are the squares of `scales`; backgrounds differ by half."""
    difficulty = in_backgrounds(rng.gamma(4.0, 0.25, size=n_backgrounds))
    own = rng.gamma(50.0, 0.02, size=(len(difficulty), len(scales)))
    return difficulty[:, None] * own * np.square(scales)


def quality():
    """RMSE, PSNR, an SSIM, biases and the RMSE ratio."""
    rng = np.random.default_rng([20, 0])
    known, plain = resampling(), resampling(single=True, n_bootstrap=200)
    present = known.unit.present
    hits = np.zeros((N, 8), dtype=bool)
    for study in range(N):
        mse = squared_errors(rng, N_BACKGROUNDS, (10.0, 9.0))
        hits[study, 0] = covers(known.interval(mse[:, 0], np.sqrt), 10.0)
        hits[study, 1] = covers(plain.interval(mse[:, 0], np.sqrt), 10.0)
        psnr = known.interval(mse[:, 0], lambda m: 10.0 * np.log10(400.0**2 / m))
        hits[study, 2] = covers(psnr, 20.0 * np.log10(40.0))
        level = rng.beta(18.0, 2.0, size=N_BACKGROUNDS)  # an SSIM about 0.9
        hits[study, 3] = covers(known.interval(in_backgrounds(level) + 0.02 * rng.normal(size=len(mse))), 0.9)
        ratio = mse * rng.gamma(20.0, 0.05, size=(N_BACKGROUNDS, 2)).repeat(N_TRIALS, axis=0)
        hits[study, 4] = covers(known.interval(ratio, lambda m: np.sqrt(m[:, 0] / m[:, 1])), 10.0 / 9.0)
        biases = in_backgrounds(rng.normal(size=(2, N_BACKGROUNDS))).T + rng.normal(size=(len(mse), 2)) - (5.0, 3.0)
        hits[study, 5] = covers(known.interval(biases[:, 0], of=present), -5.0)
        hits[study, 6] = covers(known.interval(biases[:, 0], of=~present), -5.0)
        size = known.interval(biases, lambda mean: np.abs(mean[:, 0]) - np.abs(mean[:, 1]), of=present)
        hits[study, 7] = covers(size, 2.0)
    yield coverage(f"RMSE, {SETTING}, errors of a background alike: coverage", hits[:, 0])
    claim = f"RMSE on the same trials taken as single ones: coverage; {N:,} studies"
    yield Check(claim, 0.0, 0.935, float(hits[:, 1].mean()), None, "undercoverage: why the unit matters")
    yield coverage(f"PSNR, {SETTING}: coverage", hits[:, 2])
    yield coverage(f"mean of an SSIM about 0.9, {SETTING}: coverage", hits[:, 3])
    yield coverage(f"ratio of two arms' RMSE, {SETTING}: coverage", hits[:, 4])
    yield coverage(f"mean bias of signal-present trials, {SETTING}, correlation ½: coverage", hits[:, 5])
    yield coverage(f"mean bias of signal-absent trials, {SETTING}, correlation ½: coverage", hits[:, 6])
    yield coverage(f"size of one mean bias less another's, {SETTING}: coverage", hits[:, 7])


def few():
    """So few that the page warns."""
    for k in (5, 10):
        rng, known = np.random.default_rng([21, k]), resampling(k)
        hits = [covers(known.interval(squared_errors(rng, k, (10.0,))[:, 0], np.sqrt), 10.0) for _ in range(N)]
        claim = f"RMSE, {k} backgrounds of {N_TRIALS} trials: coverage; {N:,} studies"
        basis = "reported as it is: below 50 backgrounds the page warns that intervals are somewhat too narrow"
        yield Check(claim, 0.85, 0.965, float(np.mean(hits)), 0.95, basis)


def false_signals():
    """Shares of signal-absent trials in which a signal is painted, correlated within a background, and differences."""
    for rate, correlation in ((0.005, 0.0), (0.02, 0.1), (0.02, 0.4), (0.1, 0.1), (0.1, 0.4)):
        rng, known = np.random.default_rng([22, round(1000 * rate), round(10 * correlation)]), resampling()
        absent = ~known.unit.present
        hits = []
        for _ in range(N):
            painted = rng.random(len(absent)) < in_backgrounds(_chance(rng, rate, correlation))
            hits.append(covers(known.rate(painted, of=absent), rate))
        claim = f"false-signal rate {rate}, {SETTING}, correlation {correlation}: coverage; {N:,} studies"
        yield Check(claim, 0.935, 1.0, float(np.mean(hits)), 0.95, CONSERVATIVE)
    rng, known = np.random.default_rng(23), resampling()
    absent = ~known.unit.present
    hits = []
    for _ in range(N):
        chance = in_backgrounds(_chance(rng, 0.1, 0.2))
        control, more = rng.random((2, len(absent))) < np.stack([chance, 0.1 * np.ones_like(chance)])
        hits.append(covers(known.rate_difference(control | more, control, of=absent), 0.09))
    yield coverage(f"false-signal rate 0.19 less the control's 0.1, {SETTING}, correlation 0.2: coverage", hits)


def _chance(rng, rate, correlation):
    """Chance of a hit on each background: a beta law with this mean and correlation of trials."""
    if correlation == 0.0:
        return np.full(N_BACKGROUNDS, rate)
    total = 1.0 / correlation - 1.0
    return rng.beta(rate * total, (1.0 - rate) * total, size=N_BACKGROUNDS)


def scores_of(rng, shifts, present):
    """Test statistics of arms `(n_arms, n_trials)`, of variance 3 and correlated in a background and between arms.

    A background moves each class by amounts of its own, half of it alike in all arms. So every pair of a present and
    an absent trial has the same chance to be ordered, and the AUC of a shift d is Φ(d/√6).
    """
    common, own = rng.normal(size=(1, 2, N_BACKGROUNDS)), rng.normal(size=(len(shifts), 2, N_BACKGROUNDS))
    background = in_backgrounds(np.sqrt(0.75) * (common + own))
    noise = rng.normal(size=len(present)) + np.sqrt(0.5) * rng.normal(size=(len(shifts), len(present)))
    return np.where(present, background[:, 0], background[:, 1]) + noise + np.outer(shifts, present)


def curves():
    """Two trade-off curves: scores and errors correlated within backgrounds."""
    sigma, shifts = np.array([1.0, 1.2, 1.4]), {"a": np.array([1.0, 1.7, 1.9]), "b": np.array([1.0, 1.3, 1.9])}
    grid = np.linspace(1.0, 1.4, 2001)
    a, b = (np.interp(grid, sigma, norm.cdf(d / np.sqrt(6.0))) for d in shifts.values())
    truth = float(np.mean(a - b))
    known = resampling()
    unit = known.unit
    rng = np.random.default_rng(24)
    hits = np.zeros((N, 2), dtype=bool)
    for study in range(N):
        scores = scores_of(rng, np.concatenate(list(shifts.values())), unit.present)
        mse = squared_errors(rng, N_BACKGROUNDS, np.tile(sigma, 2)).T
        arms = scores[:3], mse[:3], scores[3:], mse[3:]
        for column, clusters in enumerate((unit.clusters, None)):
            found = compare_curves(*arms, unit.present, clusters=clusters, n_bootstrap=100, seed=study, n_grid=21)
            hits[study, column] = covers(found, truth)
    yield coverage(f"trade-off curves at equal RMSE, {SETTING}, 100 resamples: coverage", hits[:, 0])
    claim = f"trade-off curves on the same trials taken as single ones: coverage; {N:,} studies"
    yield Check(claim, 0.0, 0.935, float(hits[:, 1].mean()), None, "undercoverage: why the unit matters")


def order():
    """Two arms of one AUC whose backgrounds favour now one, now the other: how often a fall is seen."""
    unit = resampling().unit
    rng = np.random.default_rng(25)
    fell = np.zeros((N, 2), dtype=bool)
    for study in range(N):
        scores = scores_of(rng, np.array([1.5, 1.5]), unit.present)
        both = scores[:, unit.present], scores[:, ~unit.present]
        for column, clusters in enumerate((unit.clusters, None)):
            fell[study, column] = not monotone_within_intervals(*both, clusters=clusters)
    limit = 4.0 * np.sqrt(0.025 * 0.975 / N)
    basis = "nominal 0.025 (one tail) and 4 Monte Carlo standard errors, and half of it for few backgrounds"
    claim = f"a fall of the AUC seen where there is none, {SETTING}: rate; {N:,} studies"
    yield Check(claim, 0.025 - limit, 0.0375 + limit, float(fell[:, 0].mean()), 0.025, basis)
    claim = f"the same taken as single trials: rate; {N:,} studies"
    yield Check(claim, 0.025 + limit, 1.0, float(fell[:, 1].mean()), None, "false alarms: why the unit matters")


def seeds():
    """Three trainings of two arms that are equally good on average: the difference over seeds and backgrounds."""
    unit = resampling().unit
    rng = np.random.default_rng(26)
    hits = []
    for _ in range(N):
        shifts = 1.5 + 0.15 * rng.normal(size=6)
        t = scores_of(rng, shifts, unit.present)
        results = [
            ArmResult(Arm(ArmName("lambda", weight, seed=seed)), {"ho": t[3 * number + seed]}, {}, {}, {}, 1.0, None)
            for number, weight in enumerate((0.0, 0.9))
            for seed in range(3)
        ]
        (row,) = retraining(results, [("lambda=0", "lambda=0.9")], unit)
        hits.append(row["ci_low"] <= 0.0 <= row["ci_high"])
    claim = f"difference over 3 training seeds and {SETTING} (Obuchowski–Rockette): coverage; {N:,} studies"
    basis = "at least 93.5 %: the law of few readers covers more"
    yield Check(claim, 0.935, 0.99, float(np.mean(hits)), 0.95, basis)
