"""Trade-off curves whose points, or whose true curves, are known in closed form."""

import numpy as np
import pytest
from scipy.stats import binom, norm

from taskct.metrics.clustered import Clusters
from taskct.metrics.roc import delong_covariance
from taskct.metrics.tradeoff import auc_at_rmse, best_within, compare_curves, monotone_within_intervals

N_CLASS = 200
SIGNAL_PRESENT = np.arange(2 * N_CLASS) % 2 == 1  # the classes interleaved, so that a mask is needed


def exact_curve(points):
    """Scores and MSE whose (RMSE, AUC) are exactly `points`: a share AUC of the present beats all absent."""
    scores, mse = np.zeros((2, len(points), 2 * N_CLASS))
    for arm, (rmse, area) in enumerate(points):
        scores[arm, SIGNAL_PRESENT] = np.where(np.arange(N_CLASS) < round(area * N_CLASS), 1.0, -1.0)
        mse[arm] = rmse**2
    return scores, mse


def test_reading_a_curve():
    rmse, area = np.array([12.0, 10.0, 11.0]), np.array([0.9, 0.7, 0.8])
    np.testing.assert_allclose(
        auc_at_rmse(rmse, area, np.array([[10.0, 10.25], [11.5, 12.0]])), [[0.7, 0.725], [0.85, 0.9]]
    )
    assert auc_at_rmse(rmse, area, 10.5) == pytest.approx(0.75)
    assert np.isnan(auc_at_rmse(rmse, area, np.array([9.99, 12.01]))).all()


def test_mean_difference_is_the_area_between_the_curves():
    # A triangle over the shared ends: height 0.1 at the middle, so half of it on average. Arms in no order.
    a = exact_curve([(2.0, 0.8), (1.0, 0.6), (1.5, 0.8)])
    b = exact_curve([(1.0, 0.6), (2.0, 0.8)])
    comparison = compare_curves(*a, *b, SIGNAL_PRESENT, n_bootstrap=50, seed=1)
    assert comparison.delta_auc == pytest.approx(0.05, rel=1e-9)
    assert (comparison.rmse_low_hu, comparison.rmse_high_hu) == pytest.approx((1.0, 2.0), rel=1e-12)
    reverse = compare_curves(*b, *a, SIGNAL_PRESENT, n_bootstrap=50, seed=1)
    assert reverse.delta_auc == pytest.approx(-0.05, rel=1e-9)
    assert (reverse.ci_low, reverse.ci_high) == pytest.approx((-comparison.ci_high, -comparison.ci_low), rel=1e-9)


def test_only_the_shared_range_counts():
    a = exact_curve([(1.0, 0.5), (3.0, 0.9)])
    b = exact_curve([(2.0, 0.5), (5.0, 0.5)])
    comparison = compare_curves(*a, *b, SIGNAL_PRESENT, n_bootstrap=20, seed=1)
    assert (comparison.rmse_low_hu, comparison.rmse_high_hu) == pytest.approx((2.0, 3.0), rel=1e-12)
    assert comparison.delta_auc == pytest.approx(0.8 - 0.5, rel=1e-9)  # a at 2.5 is 0.8


def test_a_curve_does_not_differ_from_itself():
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(4, 2 * N_CLASS)) + SIGNAL_PRESENT
    mse = rng.exponential(size=scores.shape) * np.array([1.0, 1.2, 1.5, 2.0])[:, None]
    comparison = compare_curves(scores, mse, scores[::-1], mse[::-1], SIGNAL_PRESENT, n_bootstrap=100, seed=3)
    assert np.allclose([comparison.delta_auc, comparison.ci_low, comparison.ci_high], 0.0, atol=1e-12)


def test_interval_has_the_width_that_delong_gives_where_rmse_does_not_vary():
    rng = np.random.default_rng(4)
    shared = rng.normal(size=2 * N_CLASS)
    gain = np.array([0.8, 1.2, 1.5, 0.8, 1.0])  # three arms of a, then two of b
    scores = (shared + rng.normal(size=(5, 2 * N_CLASS)) + gain[:, None] * SIGNAL_PRESENT).round(1)  # with ties
    rmse = np.array([1.0, 1.5, 2.0, 1.0, 2.0])
    mse = np.repeat(rmse[:, None] ** 2, 2 * N_CLASS, axis=1)
    comparison = compare_curves(scores[:3], mse[:3], scores[3:], mse[3:], SIGNAL_PRESENT, n_bootstrap=4000, seed=5)
    contrast = np.array([0.25, 0.5, 0.25, -0.5, -0.5])  # the mean of straight lines, by their knots
    variance = contrast @ delong_covariance(scores[:, SIGNAL_PRESENT], scores[:, ~SIGNAL_PRESENT]) @ contrast
    width = 2.0 * norm.ppf(0.975) * np.sqrt(variance)
    # 4000 resamples give the width with a standard error of 1.5 %; bootstrap and DeLong variances differ by
    # O(1/n). 10 % is over 5 standard errors, false alarm below 1e-6.
    assert comparison.ci_high - comparison.ci_low == pytest.approx(width, rel=0.1)


def test_interval_follows_rmse_where_auc_does_not_vary():
    # a rises from an AUC of ½ (constant scores) at 1 HU to 1 (perfect ones) at about 3 HU; b stays at ½.
    tied, perfect = np.zeros(2 * N_CLASS), SIGNAL_PRESENT.astype(float)
    squared_error = np.random.default_rng(7).exponential(9.0, size=2 * N_CLASS)
    a_mse = np.stack([np.ones(2 * N_CLASS), squared_error])
    b_mse = np.repeat([[0.25], [25.0]], 2 * N_CLASS, axis=1)
    comparison = compare_curves(
        np.stack([tied, perfect]),
        a_mse,
        np.stack([tied, tied]),
        b_mse,
        SIGNAL_PRESENT,
        n_bootstrap=4000,
        seed=8,
    )
    end = np.sqrt(squared_error.mean())
    half_width = norm.ppf(0.975) * squared_error.std() / np.sqrt(2 * N_CLASS) / (2.0 * end)
    stretch = 1.0 + half_width / (end - 1.0)
    assert comparison.delta_auc == pytest.approx(0.25, rel=1e-6)
    # If the last arm ends at u of the range, the mean is 1/(4u) for u > 1, ½ − u/4 (its AUC held) below.
    # Each end has a standard error of 2.2 % of the excursion and a skew of about 2 %: 14 %, false alarm 1e-6.
    assert 0.25 - comparison.ci_low == pytest.approx(0.25 - 0.25 / stretch, rel=0.14)
    assert comparison.ci_high - 0.25 == pytest.approx(0.25 * (stretch - 1.0), rel=0.14)


def test_resamples_keep_the_size_of_each_class():
    # With 2 signal-present trials among 52, about one unstratified resample in eight has none.
    signal_present = np.arange(52) < 2
    scores = np.random.default_rng(9).normal(size=(2, 52))
    mse = np.repeat([[1.0], [4.0]], 52, axis=1)
    comparison = compare_curves(scores, mse, -scores, mse, signal_present, n_bootstrap=300, seed=10)
    assert np.isfinite([comparison.ci_low, comparison.ci_high]).all()


def test_interval_covers_the_true_difference_when_rmse_varies_too():
    # Scores of variance 1.25 and separation d; squared errors σ²·χ²₁₆/16, a difficulty that all arms share.
    # So the true RMSE is σ and the true AUC Φ(d / √2.5).
    sigma = np.array([1.0, 1.2, 1.4])
    shifts = {"a": np.array([0.8, 1.2, 1.3]), "b": np.array([0.8, 0.9, 1.3])}
    true_auc = {name: norm.cdf(d / np.sqrt(2.5)) for name, d in shifts.items()}
    grid = np.linspace(1.0, 1.4, 2001)
    truth = np.mean(np.interp(grid, sigma, true_auc["a"]) - np.interp(grid, sigma, true_auc["b"]))
    rng = np.random.default_rng(6)
    n_replicates, covered = 250, 0
    for replicate in range(n_replicates):
        shared, difficulty = rng.normal(size=2 * N_CLASS), rng.chisquare(16, size=2 * N_CLASS) / 16
        curves = []
        for d in shifts.values():
            noise = 0.5 * rng.normal(size=(3, 2 * N_CLASS))
            curves += [shared + noise + d[:, None] * SIGNAL_PRESENT, sigma[:, None] ** 2 * difficulty]
        comparison = compare_curves(*curves, SIGNAL_PRESENT, n_bootstrap=200, seed=replicate, n_grid=41)
        covered += comparison.ci_low <= truth <= comparison.ci_high
    # A true coverage of 0.91 to 0.98 is allowed (percentiles of 200 resamples); the bounds are the 1e-4
    # points of the binomial on either side, false alarm below 1e-4.
    assert binom.ppf(1e-4, n_replicates, 0.91) <= covered <= binom.isf(1e-4, n_replicates, 0.98)


def test_copies_of_a_trial_add_nothing():
    rng = np.random.default_rng(12)
    present = np.arange(60) % 2 == 0
    scores = (
        rng.normal(size=60) + 0.5 * rng.normal(size=(5, 60)) + np.array([[1.0], [1.2], [1.35], [1.0], [1.2]]) * present
    )
    mse = np.array([[1.0], [2.0], [4.0], [1.0], [4.0]]) * rng.chisquare(16, size=60) / 16
    case = np.arange(60) // 3  # of both classes

    def compared(copies):
        t, error, there, label = (np.repeat(a, copies, axis=-1) for a in (scores, mse, present, case))
        clusters = Clusters.of(label[there], label[~there])
        curves = t[:3], error[:3], t[3:], error[3:]
        found = compare_curves(*curves, there, clusters=clusters, n_bootstrap=100, seed=1)
        falling = t[[2, 1, 0]]
        rises = monotone_within_intervals(falling[:, there], falling[:, ~there], clusters=clusters)
        return found.delta_auc, found.ci_low, found.ci_high, rises

    assert compared(8) == pytest.approx(compared(1), rel=1e-9)
    # Taken as single trials the copies would show a fall, and a surer difference.
    t, there = np.repeat(scores, 8, axis=1), np.repeat(present, 8)
    assert compared(8)[3]
    assert not monotone_within_intervals(t[[2, 1, 0]][:, there], t[[2, 1, 0]][:, ~there])


def test_curves_without_a_shared_range_are_refused():
    a, b = exact_curve([(1.0, 0.6), (2.0, 0.7)]), exact_curve([(2.5, 0.6), (3.0, 0.7)])
    with pytest.raises(ValueError, match=r"share no range of RMSE: 1 to 2 HU and 2\.5 to 3 HU"):
        compare_curves(*a, *b, SIGNAL_PRESENT, seed=0)
    touching = exact_curve([(2.0, 0.6), (3.0, 0.7)])
    with pytest.raises(ValueError, match="share no range"):
        compare_curves(*a, *touching, SIGNAL_PRESENT, seed=0)


def test_best_arm_within_the_tolerance():
    rmse, area = np.array([10.0, 10.1, 10.2, 10.3, 9.0]), np.array([0.80, 0.85, 0.85, 0.95, 0.70])
    assert best_within(rmse, area, control_rmse=10.0) == 1  # 10.3 is out, the tie goes to the first
    assert best_within(rmse, area, control_rmse=10.0, tolerance=0.05) == 3
    assert best_within(rmse, area, control_rmse=10.0, tolerance=0.0) == 0
    assert best_within(rmse, area, control_rmse=9.0, tolerance=0.0) == 4
    with pytest.raises(ValueError, match="no arm"):
        best_within(rmse, area, control_rmse=8.0)


def arms(shifts, seed, n=400):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=2 * n)
    t = shared + 0.3 * rng.normal(size=(len(shifts), 2 * n)) + np.array(shifts)[:, None] * (np.arange(2 * n) < n)
    return t[:, :n], t[:, n:]


def test_a_rising_sequence_is_monotone_and_a_real_drop_is_not():
    # Steps of 0.5 in d move the AUC by 0.1, with a paired standard error below 0.01: false alarm below 1e-6.
    assert monotone_within_intervals(*arms([0.5, 1.0, 1.5], seed=1))
    assert not monotone_within_intervals(*arms([0.5, 1.5, 1.0], seed=1))
    assert not monotone_within_intervals(*arms([1.5, 1.0, 0.5], seed=1))


def test_a_drop_within_its_interval_passes_and_outside_it_does_not():
    # Without noise of its own the second arm is worse by construction in exactly k of 400 present trials.
    present, absent = arms([1.0], seed=2)
    worse = present.copy()
    worse[0, :2] -= 0.2
    t_present, t_absent = np.concatenate([present, worse]), np.concatenate([absent, absent])
    assert monotone_within_intervals(t_present, t_absent)
    worse[0, :100] = -10.0
    assert not monotone_within_intervals(np.concatenate([present, worse]), t_absent)
    assert monotone_within_intervals(np.concatenate([worse, present]), t_absent)


def test_flat_sequences_fail_as_often_as_the_confidence_says():
    n_replicates = 600
    failed = sum(
        not monotone_within_intervals(*arms([1.0, 1.0], seed, n=150), confidence=0.9) for seed in range(n_replicates)
    )
    # One step, one tail: 5 %. A true rate of 4 to 6.5 % is allowed; the bounds are the 1e-4 points of the
    # binomial on either side, false alarm below 1e-4.
    assert binom.ppf(1e-4, n_replicates, 0.04) <= failed <= binom.isf(1e-4, n_replicates, 0.065)


def test_misuse_is_refused():
    scores, mse = exact_curve([(1.0, 0.6), (2.0, 0.7)])
    holed = scores.copy()
    holed[0, 0] = np.nan
    curve = (scores, mse)
    points = np.array([1.0, 2.0])
    for call, message in [
        (lambda: compare_curves(scores, mse[:1], *curve, SIGNAL_PRESENT, seed=0), "curve a"),
        (lambda: compare_curves(*curve, scores[:, 1:], mse[:, 1:], SIGNAL_PRESENT, seed=0), "curve b"),
        (lambda: compare_curves(*curve, scores, -mse, SIGNAL_PRESENT, seed=0), "negative"),
        (lambda: compare_curves(holed, mse, *curve, SIGNAL_PRESENT, seed=0), "finite"),
        (lambda: compare_curves(*curve, *curve, SIGNAL_PRESENT.astype(int), seed=0), "boolean"),
        (lambda: compare_curves(*curve, *curve, np.ones_like(SIGNAL_PRESENT), seed=0), "at least 2"),
        (lambda: compare_curves(*curve, *curve, SIGNAL_PRESENT, seed=0, n_grid=1), "n_grid"),
        (lambda: compare_curves(*curve, *curve, SIGNAL_PRESENT, seed=0, confidence=1.0), "confidence"),
        (
            lambda: compare_curves(*curve, *curve, SIGNAL_PRESENT, seed=0, clusters=Clusters.of([0, 1], [0, 1])),
            "clusters",
        ),
        (lambda: auc_at_rmse(points, points[:1], 1.0), "shapes"),
        (lambda: auc_at_rmse(points, np.array([0.5, np.nan]), 1.0), "finite"),
        (lambda: best_within(points, points, control_rmse=1.0, tolerance=-0.1), "tolerance"),
        (lambda: monotone_within_intervals(np.zeros((1, 3)), np.zeros((1, 3))), "at least 2 arms"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
