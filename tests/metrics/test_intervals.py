"""The bootstrap against closed forms: width, coverage, clusters."""

import numpy as np
import pytest
from scipy.stats import binom, norm, t

from taskct.metrics.intervals import Interval, bootstrap_interval, resample_counts


def test_interval_of_a_mean_has_the_width_of_the_central_limit_theorem():
    values = np.random.default_rng(1).normal(3.0, 2.0, size=2000)
    interval = bootstrap_interval(values, n_bootstrap=4000, seed=2)
    half_width = norm.ppf(0.975) * values.std() / np.sqrt(len(values))
    assert interval.value == pytest.approx(values.mean(), rel=1e-12)
    # An end of 4000 replicates has a standard error of 4.2 % of σ/√n, 2.2 % of the half-width: 10 % is 4.6 of
    # them, false alarm 1e-5.
    assert interval.ci_high - interval.value == pytest.approx(half_width, rel=0.1)
    assert interval.value - interval.ci_low == pytest.approx(half_width, rel=0.1)


def test_interval_of_a_mean_covers_it():
    rng = np.random.default_rng(3)
    n_replicates = 600
    covered = 0
    for replicate in range(n_replicates):
        interval = bootstrap_interval(rng.exponential(size=200), n_bootstrap=400, seed=replicate)
        covered += interval.ci_low <= 1.0 <= interval.ci_high
    # A true coverage of 0.93 to 0.965 is allowed (skew, 400 resamples); the bounds are the 1e-4 points of the
    # binomial on either side, so the false-alarm rate is below 1e-4.
    assert binom.ppf(1e-4, n_replicates, 0.93) <= covered <= binom.isf(1e-4, n_replicates, 0.965)


def test_root_of_a_mean_is_the_root_of_its_bounds():
    # The square root is monotone, so the percentiles of the root are the roots of the percentiles.
    squared_error = np.random.default_rng(4).exponential(25.0, size=500)
    mean = bootstrap_interval(squared_error, n_bootstrap=1001, confidence=0.9, seed=5)
    root = bootstrap_interval(squared_error, np.sqrt, n_bootstrap=1001, confidence=0.9, seed=5)
    assert root.value == pytest.approx(np.sqrt(mean.value), rel=1e-12)
    assert (root.ci_low, root.ci_high) == pytest.approx((np.sqrt(mean.ci_low), np.sqrt(mean.ci_high)), rel=1e-9)


def test_several_values_a_trial_are_drawn_together():
    x = np.random.default_rng(6).exponential(size=300)
    ratio = bootstrap_interval(np.stack([3.0 * x, x], axis=1), lambda mean: mean[:, 0] / mean[:, 1], seed=7)
    assert (ratio.value, ratio.ci_low, ratio.ci_high) == pytest.approx((3.0, 3.0, 3.0), rel=1e-12)


@pytest.mark.parametrize("k", [6, 30])
def test_few_clusters_have_students_interval(k):
    rng = np.random.default_rng(8)
    ratios = []
    for replicate in range(60):
        values = rng.normal(size=k)
        interval = bootstrap_interval(values, seed=replicate, clusters=np.arange(k))
        ratios.append((interval.ci_high - interval.ci_low) / (2.0 * t.ppf(0.975, k - 1) * values.std(ddof=1) / k**0.5))
    # Normal means: Student's t is exact. A mean of few draws is less spread than normal in its tails, some 5 % of the
    # width for six; plain percentiles of k draws have 70 %. The mean of 60 ratios scatters by less than 1 %.
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.08 if k == 6 else 0.03)


def test_copies_of_a_trial_add_nothing():
    values = np.random.default_rng(8).normal(size=50)
    single = bootstrap_interval(values, seed=9, clusters=np.arange(50))
    copied = bootstrap_interval(np.repeat(values, 7), seed=9, clusters=np.repeat(np.arange(50), 7))
    assert (copied.ci_low, copied.ci_high) == pytest.approx((single.ci_low, single.ci_high), rel=1e-12)


def test_correlated_clusters_widen_the_interval_by_the_design_effect():
    rng = np.random.default_rng(10)
    clusters = np.repeat(np.arange(400), 10)
    values = rng.normal(size=400)[clusters] + rng.normal(size=4000)  # correlation within a cluster: ½
    plain = bootstrap_interval(values, n_bootstrap=2000, seed=11)
    clustered = bootstrap_interval(values, n_bootstrap=2000, seed=11, clusters=rng.permutation(400)[clusters])
    ratio = (clustered.ci_high - clustered.ci_low) / (plain.ci_high - plain.ci_low)
    # Design effect 1 + (10 − 1)·½ (Kish). The ratio's standard error is about 5 % (400 clusters, 2000
    # resamples): 20 % is 4 of them, false alarm 1e-4.
    assert ratio == pytest.approx(np.sqrt(1.0 + 9.0 * 0.5), rel=0.2)


def test_clusters_of_unequal_size_keep_the_plain_mean_as_the_value():
    interval = bootstrap_interval(np.array([1.0, 1.0, 1.0, 5.0]), seed=0, clusters=np.array([7, 7, 7, 2]))
    assert interval == Interval(2.0, 1.0, 5.0)  # a resample of two clusters draws one of them


def test_same_seed_same_interval():
    values = np.random.default_rng(12).normal(size=40)
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)


def test_counts_are_multinomial():
    counts = resample_counts(np.random.default_rng(13), n_units=20, n_resamples=50_000)
    assert (counts.sum(axis=1) == 20).all()
    # Count of a unit: binomial(20, 1/20), mean 1, variance 0.95; 20 units at 5 standard errors, false alarm
    # 2e-5.
    np.testing.assert_allclose(counts.mean(axis=0), 1.0, atol=5 * np.sqrt(0.95 / 50_000))
    covariance = np.cov(counts[:, 0], counts[:, 1])[0, 1]
    assert covariance == pytest.approx(-1 / 20, abs=5 * 0.95 / np.sqrt(50_000))


@pytest.mark.parametrize(
    ("values", "settings", "message"),
    [
        (np.array([1.0, np.nan]), {}, "finite"),
        (np.array([1.0]), {}, "at least 2"),
        (np.array([]), {}, "at least 2"),
        (np.ones(4), {"clusters": np.zeros(4, dtype=int)}, "at least 2"),
        (np.ones(4), {"clusters": np.zeros(3, dtype=int)}, "shape"),
        (np.ones(4), {"confidence": 95.0}, "confidence"),
        (np.ones(4), {"n_bootstrap": 1}, "n_bootstrap"),
        (np.ones((4, 2)), {}, "one number"),
    ],
)
def test_misuse_is_refused(values, settings, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(values, seed=0, **settings)
