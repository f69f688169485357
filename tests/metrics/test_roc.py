"""ROC analysis against scikit-learn, DeLong's own O(n²) form, binormal closed forms, and laws."""

import numpy as np
import pytest
from scipy.stats import binom, chi2, kstest, multivariate_normal, norm
from sklearn.metrics import roc_auc_score

from taskct.errors import UserError
from taskct.metrics.intervals import logit_interval
from taskct.metrics.roc import (
    auc,
    delong_covariance,
    delong_difference,
    delong_interval,
    normal_difference,
    paired_delong,
    roc_curve,
    structural_components,
    weighted_auc,
)
from taskct.metrics.scores import check_scores


def draw(seed, n_methods=3, n_present=37, n_absent=52, decimals=None):
    rng = np.random.default_rng(seed)
    mixing = np.eye(n_methods) + 0.5
    present = mixing @ rng.normal(0.8, 1.0, size=(n_methods, n_present))
    absent = mixing @ rng.normal(0.0, 1.0, size=(n_methods, n_absent))
    if decimals is not None:
        present, absent = present.round(decimals), absent.round(decimals)
    return present, absent


def sklearn_auc(present, absent, **weights):
    truth = np.repeat([1, 0], [len(present), len(absent)])
    return roc_auc_score(truth, np.concatenate([present, absent]), **weights)


def kernel(present, absent):
    """1, ½ or 0 for every pair: the definition, without ranks."""
    return (present[:, None] > absent[None, :]) + 0.5 * (present[:, None] == absent[None, :])


@pytest.mark.parametrize("decimals", [None, 1, 0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_auc_is_that_of_scikit_learn(decimals, dtype):
    present, absent = (t[0].astype(dtype) for t in draw(1, decimals=decimals))
    assert auc(present, absent) == pytest.approx(sklearn_auc(present, absent), rel=1e-12)
    assert auc(present, absent) == pytest.approx(kernel(present, absent).mean(), rel=1e-12)


@pytest.mark.parametrize("decimals", [None, 0])
def test_laws_of_the_auc(decimals):
    present, absent = (t[0] for t in draw(2, decimals=decimals))
    area = auc(present, absent)
    assert auc(-present, -absent) == pytest.approx(1.0 - area, rel=1e-12)
    assert auc(absent, present) == pytest.approx(1.0 - area, rel=1e-12)
    assert auc(np.exp(present), np.exp(absent)) == area
    assert auc(np.arange(5.0) + 10.0, np.arange(4.0)) == 1.0
    assert auc(np.ones(5), np.ones(4)) == 0.5


@pytest.mark.parametrize("decimals", [None, 0])
def test_weighted_auc_is_the_auc_of_repeated_trials(decimals):
    present, absent = (t[0] for t in draw(3, decimals=decimals))
    rng = np.random.default_rng(4)
    w_present, w_absent = (
        rng.integers(0, 4, size=(5, len(present))),
        rng.integers(0, 4, size=(5, len(absent))),
    )
    expected = [
        sklearn_auc(np.repeat(present, p), np.repeat(absent, a)) for p, a in zip(w_present, w_absent, strict=True)
    ]
    np.testing.assert_allclose(weighted_auc(present, absent, w_present, w_absent), expected, rtol=1e-12)


@pytest.mark.parametrize("decimals", [None, 0])
def test_roc_curve_is_monotone_and_encloses_the_auc(decimals):
    present, absent = (t[0] for t in draw(5, decimals=decimals))
    fpf, tpf = roc_curve(present, absent)
    assert (fpf[0], tpf[0], fpf[-1], tpf[-1]) == (0.0, 0.0, 1.0, 1.0)
    assert (np.diff(fpf) >= 0).all()
    assert (np.diff(tpf) >= 0).all()
    assert np.trapezoid(tpf, fpf) == pytest.approx(auc(present, absent), rel=1e-12)
    for threshold in (-0.5, 0.0, 1.0):
        point = (np.mean(absent >= threshold), np.mean(present >= threshold))
        assert np.isclose(np.stack([fpf, tpf], axis=1), point).all(axis=1).any()


@pytest.mark.parametrize("decimals", [None, 0])
def test_delong_is_the_covariance_of_its_structural_components(decimals):
    present, absent = draw(6, n_methods=4, decimals=decimals)
    kernels = np.array([kernel(p, a) for p, a in zip(present, absent, strict=True)])  # (method, present, absent)
    by_present, by_absent = kernels.mean(axis=2), kernels.mean(axis=1)
    expected = np.zeros((4, 4))
    for i in range(4):
        for j in range(4):
            for components in (by_present, by_absent):
                a, b = components[i] - components[i].mean(), components[j] - components[j].mean()
                expected[i, j] += (a @ b) / (len(a) - 1) / len(a)
    np.testing.assert_allclose(delong_covariance(present, absent), expected, rtol=1e-10)


def test_delong_has_the_mean_that_binormal_theory_gives():
    n_present, n_absent, shift, n_replicates = 15, 25, 1.0, 2000
    area = norm.cdf(shift / np.sqrt(2.0))
    # Two pairs that share a trial: differences of two unit normals, correlation ½, for either class.
    shared = multivariate_normal.cdf([shift / np.sqrt(2.0)] * 2, cov=[[1.0, 0.5], [0.5, 1.0]]) - area**2
    remainder = area * (1.0 - area) - 2.0 * shared
    first_order = shared / n_present + shared / n_absent
    n_pairs = n_present * n_absent
    exact_variance = first_order + remainder / n_pairs  # Hoeffding 1948, of a two-sample U statistic
    expected_estimate = first_order + 2.0 * remainder / n_pairs  # DeLong counts the last term twice
    rng = np.random.default_rng(7)
    areas, estimates = np.empty(n_replicates), np.empty(n_replicates)
    for replicate in range(n_replicates):
        present, absent = rng.normal(shift, size=n_present), rng.normal(size=n_absent)
        areas[replicate] = auc(present, absent)
        estimates[replicate] = delong_covariance(present[None], absent[None])[0, 0]
    # Each mean at 5 standard errors, false alarm 6e-7; the variance at 1e-6 on either side.
    assert abs(areas.mean() - area) < 5 * areas.std() / np.sqrt(n_replicates)
    assert abs(estimates.mean() - expected_estimate) < 5 * estimates.std() / np.sqrt(n_replicates)
    low, high = chi2.ppf([1e-6, 1 - 1e-6], n_replicates - 1) / (n_replicates - 1)
    assert low < areas.var(ddof=1) / exact_variance < high


def test_delong_interval_covers_the_binormal_auc():
    rng = np.random.default_rng(8)
    n_replicates, covered, left_unit_interval = 1000, 0, 0
    shift = 1.5
    area = norm.cdf(shift / np.sqrt(2.0))
    for _ in range(n_replicates):
        interval = delong_interval(rng.normal(shift, size=60), rng.normal(size=60))
        covered += interval.ci_low <= area <= interval.ci_high
        left_unit_interval += not 0.0 <= interval.ci_low < interval.value < interval.ci_high <= 1.0
    assert left_unit_interval == 0
    # Nominal 0.95, asymptotic: a true coverage of 0.94 to 0.965 is allowed; the bounds are the 1e-4 points of
    # the binomial on either side, so the false-alarm rate is below 1e-4.
    assert binom.ppf(1e-4, n_replicates, 0.94) <= covered <= binom.isf(1e-4, n_replicates, 0.965)


def test_delong_interval_mirrors_under_a_change_of_sign():
    present, absent = (t[0] for t in draw(9))
    interval, mirrored = delong_interval(present, absent), delong_interval(-present, -absent)
    expected = (1.0 - interval.ci_high, 1.0 - interval.ci_low)
    assert (mirrored.ci_low, mirrored.ci_high) == pytest.approx(expected, rel=1e-10)


def test_delong_interval_of_perfect_separation_is_the_exact_bound():
    present, absent = np.arange(40.0) + 100.0, np.arange(30.0)
    interval = delong_interval(present, absent, confidence=0.9)
    assert (interval.value, interval.ci_high) == (1.0, 1.0)
    assert interval.ci_low**30 == pytest.approx(0.05, rel=1e-10)  # 30 disjoint pairs, all right by chance of 5 %
    reversed_interval = delong_interval(-present, -absent, confidence=0.9)
    assert (reversed_interval.value, reversed_interval.ci_low) == (0.0, 0.0)
    assert reversed_interval.ci_high == pytest.approx(1.0 - interval.ci_low, rel=1e-10)


def test_delong_interval_of_a_constant_statistic_is_one_half():
    interval = delong_interval(np.zeros(7), np.zeros(11))
    assert (interval.value, interval.ci_low, interval.ci_high) == (0.5, 0.5, 0.5)


def test_a_method_does_not_differ_from_itself():
    present, absent = draw(10, n_methods=1, n_present=101, n_absent=77)
    twice = paired_delong(np.concatenate([present, present]), np.concatenate([absent, absent]))
    assert (twice.delta_auc, twice.ci_low, twice.ci_high, twice.p_value) == (0.0, 0.0, 0.0, 1.0)
    # Nor from a monotone transform of itself.
    cubed = paired_delong(np.concatenate([present, present**3]), np.concatenate([absent, absent**3]))
    assert cubed == twice


def test_a_difference_without_variance_has_p_0():
    present, absent = np.array([[5.0, 6.0], [0.0, 0.0]]), np.array([[1.0, 2.0], [0.0, 0.0]])
    difference = paired_delong(present, absent)
    assert (difference.delta_auc, difference.ci_low, difference.ci_high) == (0.5, 0.5, 0.5)
    assert difference.p_value == 0.0


def test_paired_delong_follows_from_the_covariance_and_changes_sign_with_the_order():
    present, absent = draw(11, n_methods=2)
    difference = paired_delong(present, absent, confidence=0.8)
    contrast = np.array([1.0, -1.0])
    std_error = np.sqrt(contrast @ delong_covariance(present, absent) @ contrast)
    delta = auc(present[0], absent[0]) - auc(present[1], absent[1])
    assert difference.delta_auc == pytest.approx(delta, abs=1e-15)
    assert (difference.ci_low, difference.ci_high) == pytest.approx(norm.interval(0.8, delta, std_error), rel=1e-9)
    assert difference.p_value == pytest.approx(2 * norm.sf(abs(delta) / std_error), rel=1e-9)
    swapped = paired_delong(present[::-1], absent[::-1], confidence=0.8)
    assert swapped.ci_low == pytest.approx(-difference.ci_high, rel=1e-12)
    assert swapped.p_value == pytest.approx(difference.p_value, rel=1e-12)


def test_paired_p_value_is_uniform_and_the_interval_covers_under_the_null():
    rng = np.random.default_rng(12)
    n_replicates, n, covered = 1000, 150, 0
    p_values = np.empty(n_replicates)
    for replicate in range(n_replicates):
        shared = rng.normal(size=(1, 2 * n))
        t = shared + 0.7 * rng.normal(size=(2, 2 * n)) + 1.2 * (np.arange(2 * n) < n)
        difference = paired_delong(t[:, :n], t[:, n:])
        p_values[replicate] = difference.p_value
        covered += difference.ci_low <= 0.0 <= difference.ci_high
    # Kolmogorov–Smirnov at 1e-3: that is its false-alarm rate (p is only asymptotically uniform; n is 150).
    assert kstest(p_values, "uniform").pvalue > 1e-3
    assert covered == np.sum(p_values >= 0.05)  # the interval and the test are one statement


BAD_STATISTICS = [
    (np.array([1.0]), np.array([1.0, 2.0]), "at least 2"),
    (np.array([1.0, 2.0]), np.array([]), "at least 2"),
    (np.array([1.0, np.nan]), np.array([1.0, 2.0]), "finite"),
    (np.array([1.0, 2.0]), np.array([1.0, np.inf]), "finite"),
]


@pytest.mark.parametrize(("present", "absent", "message"), BAD_STATISTICS)
def test_bad_statistics_are_refused(present, absent, message):
    for function in (auc, roc_curve, delong_interval):
        with pytest.raises(ValueError, match=message):
            function(present, absent)
    for function in (delong_covariance, paired_delong):
        with pytest.raises(ValueError, match=message):
            function(np.stack([present, present]), np.stack([absent, absent]))


def test_wrong_shapes_are_refused():
    good = np.zeros((2, 5))
    for function, present, absent in [
        (auc, good, good),
        (delong_interval, good, good),
        (delong_covariance, good[0], good[0]),
        (delong_covariance, good, np.zeros((3, 5))),
        (paired_delong, np.zeros((3, 5)), np.zeros((3, 5))),
    ]:
        with pytest.raises(ValueError, match=r"shapes|2 methods"):
            function(present, absent)
    with pytest.raises(ValueError, match="do not fit"):
        weighted_auc(good[0], good[0], np.ones((3, 5)), np.ones((3, 4)))
    for function, arguments in [(delong_interval, (good[0], good[0])), (paired_delong, (good, good))]:
        with pytest.raises(ValueError, match="confidence"):
            function(*arguments, confidence=95)


@pytest.mark.parametrize("decimals", [None, 0])
def test_structural_components_are_means_of_the_kernel(decimals):
    present, absent = draw(13, n_methods=2, decimals=decimals)
    by_present, by_absent = structural_components(present, absent)
    for method in range(2):
        pairs = kernel(present[method], absent[method])
        np.testing.assert_allclose(by_present[method], pairs.mean(axis=1), rtol=1e-12)
        np.testing.assert_allclose(by_absent[method], pairs.mean(axis=0), rtol=1e-12)


def test_difference_and_its_standard_error_make_the_paired_interval():
    present, absent = draw(14, n_methods=2)
    delta, std_error = delong_difference(present, absent)
    contrast = np.array([1.0, -1.0])
    assert std_error**2 == pytest.approx(contrast @ delong_covariance(present, absent) @ contrast, rel=1e-9)
    assert normal_difference(delta, std_error, confidence=0.9) == paired_delong(present, absent, confidence=0.9)


def test_logit_interval_is_symmetric_in_the_logit():
    interval = logit_interval(0.8, 0.0016, n_pairs=1, confidence=0.9)
    odds = [x / (1 - x) for x in (interval.ci_low, 0.8, interval.ci_high)]
    assert odds[1] / odds[0] == pytest.approx(odds[2] / odds[1], rel=1e-9)
    assert np.log(odds[2] / odds[1]) == pytest.approx(norm.ppf(0.95) * 0.04 / 0.16, rel=1e-9)
    for area, variance, n_pairs in [(1.2, 0.1, 1), (0.5, -0.1, 1), (0.5, np.nan, 1), (1.0, 0.0, 0)]:
        with pytest.raises(ValueError, match="out of range"):
            logit_interval(area, variance, n_pairs=n_pairs)


@pytest.mark.parametrize(("present", "absent", "message"), [*BAD_STATISTICS, (np.ones(3), np.ones(2), "all 5 trials")])
def test_scores_that_decide_nothing_are_one_line_for_the_user(present, absent, message):
    with pytest.raises(UserError, match=f"^npwe: .*{message}[^\n]*$"):
        check_scores(present, absent, name="npwe")


def test_scores_that_decide_something_pass():
    check_scores(np.array([1.0, 1.0]), np.array([0.0, 0.0]), name="ho")
    check_scores(np.array([1.0, 1.0]), np.array([1.0, 0.0]), name="ho")


@pytest.mark.parametrize("seed", range(40))
def test_no_interval_of_a_difference_passes_1(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 6))
    shift = np.array([[rng.choice([0.0, 3.0])], [rng.choice([0.0, -3.0])]])
    present, absent = rng.normal(size=(2, n)) + shift, rng.normal(size=(2, n))
    delta, std_error = delong_difference(present, absent)
    found = paired_delong(present, absent)
    assert -1.0 <= found.ci_low <= found.delta_auc <= found.ci_high <= 1.0
    whole = delta - 1.959963984540054 * std_error, delta + 1.959963984540054 * std_error
    assert (found.ci_low, found.ci_high) == pytest.approx((max(whole[0], -1.0), min(whole[1], 1.0)))
