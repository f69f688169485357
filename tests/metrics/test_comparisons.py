"""Tests of a difference: against their own definitions, the interval that says the same, and brute force."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import norm, ttest_1samp

from taskct.errors import UserError
from taskct.metrics.comparisons import (
    compare_aucs,
    equivalence,
    holm,
    noninferiority,
    superiority,
    why_no_margin,
    why_no_test,
)
from taskct.metrics.roc import delong_difference, paired_delong


def sample(seed, n=12, mean=0.3):
    return np.random.default_rng(seed).normal(mean, 1.0, size=n)


@pytest.mark.parametrize("seed", [1, 2])
def test_with_degrees_of_freedom_they_are_students_tests(seed):
    x = sample(seed)
    delta, std_error, df = x.mean(), x.std(ddof=1) / np.sqrt(len(x)), len(x) - 1
    assert superiority(delta, std_error, df=df).p_value == pytest.approx(ttest_1samp(x, 0.0).pvalue, rel=1e-9)
    above = ttest_1samp(x, -0.5, alternative="greater").pvalue
    below = ttest_1samp(x, 0.5, alternative="less").pvalue
    assert noninferiority(delta, std_error, noninferiority_margin=0.5, df=df).p_value == pytest.approx(above, rel=1e-9)
    assert equivalence(delta, std_error, noninferiority_margin=0.5, df=df).p_value == pytest.approx(
        max(above, below), rel=1e-9
    )
    interval = ttest_1samp(x, 0.0).confidence_interval(0.9)
    assert noninferiority(delta, std_error, noninferiority_margin=0.5, alpha=0.05, df=df).ci_low == pytest.approx(
        interval.low
    )
    assert superiority(delta, std_error, alpha=0.1, df=df).ci_high == pytest.approx(interval.high)


def test_without_them_they_are_normal():
    assert superiority(0.06, 0.03).p_value == pytest.approx(2 * norm.sf(2.0), rel=1e-12)
    assert noninferiority(-0.02, 0.03, noninferiority_margin=0.05).p_value == pytest.approx(norm.sf(1.0), rel=1e-12)
    assert equivalence(0.02, 0.03, noninferiority_margin=0.05).p_value == pytest.approx(norm.sf(1.0), rel=1e-12)


def test_the_interval_and_the_verdict_are_one_statement():
    for delta, std_error, df, alpha in itertools.product(
        np.linspace(-0.12, 0.12, 25), [0.005, 0.02, 0.05], [3.0, math.inf], [0.025, 0.05]
    ):
        better = superiority(delta, std_error, alpha=alpha, df=df)
        assert better.shown == (better.ci_low > 0.0)
        not_worse = noninferiority(delta, std_error, noninferiority_margin=0.05, alpha=alpha, df=df)
        assert not_worse.shown == (not_worse.ci_low > -0.05)
        alike = equivalence(delta, std_error, noninferiority_margin=0.05, alpha=alpha, df=df)
        assert alike.shown == (alike.ci_low > -0.05 and alike.ci_high < 0.05)
        # Non-inferiority of both to each other is equivalence.
        turned = noninferiority(-delta, std_error, noninferiority_margin=0.05, alpha=alpha, df=df)
        assert alike.shown == (not_worse.shown and turned.shown)
        assert alike.p_value == max(not_worse.p_value, turned.p_value)


def test_no_standard_error_leaves_the_estimate_to_decide():
    assert (superiority(0.0, 0.0).p_value, superiority(0.1, 0.0).p_value) == (1.0, 0.0)
    assert not superiority(-0.1, 0.0).shown
    assert noninferiority(-0.04, 0.0, noninferiority_margin=0.05).shown
    assert not noninferiority(-0.05, 0.0, noninferiority_margin=0.05).shown
    assert equivalence(0.04, 0.0, noninferiority_margin=0.05).shown
    assert not equivalence(0.05, 0.0, noninferiority_margin=0.05).shown


def test_comparison_of_aucs_takes_delongs_standard_error():
    rng = np.random.default_rng(3)
    t = rng.normal(size=(2, 80)) + rng.normal(size=80) + 1.5 * (np.arange(80) < 40)
    t_present, t_absent = t[:, :40], t[:, 40:]
    delta, std_error = delong_difference(t_present, t_absent)
    better = compare_aucs(t_present, t_absent, "superiority")
    paired = paired_delong(t_present, t_absent)
    assert (better.delta, better.p_value) == pytest.approx((paired.delta_auc, paired.p_value), rel=1e-9)
    assert (better.ci_low, better.ci_high) == pytest.approx((paired.ci_low, paired.ci_high), rel=1e-9)
    not_worse = compare_aucs(t_present, t_absent, "non-inferiority", noninferiority_margin=0.1)
    assert not_worse.p_value == pytest.approx(norm.sf((delta + 0.1) / std_error), rel=1e-9)
    alike = compare_aucs(t_present, t_absent, "equivalence", noninferiority_margin=0.1)
    assert alike.p_value == pytest.approx(norm.sf((0.1 - abs(delta)) / std_error), rel=1e-9)


def test_perfect_methods_are_not_called_equivalent():
    t_present, t_absent = np.array([[5.0, 6.0, 7.0], [7.0, 6.0, 5.0]]), np.array([[1.0, 2.0], [2.0, 1.0]])
    for aim, margin in [("superiority", None), ("non-inferiority", 0.05), ("equivalence", 0.05)]:
        with pytest.raises(UserError, match="too easy"):
            compare_aucs(t_present, t_absent, aim, noninferiority_margin=margin)


def closed_holm(p_values):
    """Closed testing with Bonferroni: the smallest level that rejects every hypothesis together with any others."""
    n = len(p_values)
    adjusted = []
    for i in range(n):
        others = [j for j in range(n) if j != i]
        subsets = [{i, *chosen} for k in range(n) for chosen in itertools.combinations(others, k)]
        adjusted.append(max(min(1.0, len(s) * min(p_values[j] for j in s)) for s in subsets))
    return adjusted


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_the_closed_test_of_bonferroni(seed):
    p_values = np.random.default_rng(seed).beta(0.5, 2.0, size=6).round(2)  # rounded: with ties
    np.testing.assert_allclose(holm(p_values), closed_holm(p_values), rtol=1e-12)


def test_holm_leaves_out_nan():
    adjusted = holm([0.04, math.nan, 0.01])
    assert math.isnan(adjusted[1])
    np.testing.assert_allclose(adjusted[[0, 2]], [0.04, 0.02])
    assert len(holm([])) == 0


def test_misuse_is_one_clear_line():
    with pytest.raises(UserError, match="alpha"):
        superiority(0.1, 0.1, alpha=5)
    for function in (noninferiority, equivalence):
        for margin in (0.0, -0.05, math.nan, math.inf):
            with pytest.raises(UserError, match="margin"):
                function(0.1, 0.1, noninferiority_margin=margin)
    for delta, std_error, df in [(math.nan, 0.1, 1.0), (0.1, -0.1, 1.0), (0.1, math.nan, 1.0), (0.1, 0.1, 0.0)]:
        with pytest.raises(ValueError, match="out of range"):
            superiority(delta, std_error, df=df)
    for p_values in ([0.5, 1.5], [-0.1], [[0.1]]):
        with pytest.raises(ValueError, match="p-values"):
            holm(p_values)
    scores = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 0.5], [0.0, 0.5]])
    for aim, margin in [("superiority", 0.1), ("equivalence", None), ("non-inferiority", 2.0)]:
        with pytest.raises(UserError, match="margin"):
            compare_aucs(*scores, aim, noninferiority_margin=margin)


def test_bounds_of_a_difference_of_areas_stay_within_1():
    for test in (superiority(0.778, 0.249, limit=1.0), equivalence(-0.9, 0.2, noninferiority_margin=0.05, limit=1.0)):
        assert -1.0 <= test.ci_low <= test.delta <= test.ci_high <= 1.0
    assert superiority(0.778, 0.249, limit=1.0).ci_high == 1.0
    assert superiority(0.778, 0.249).ci_high > 1.0  # a difference in another unit has no such limit
    # A value within is rejected by the cut interval exactly where the whole one rejects it.
    cut, whole = (noninferiority(0.9, 0.3, noninferiority_margin=0.05, limit=limit) for limit in (1.0, math.inf))
    assert (cut.ci_low, cut.p_value, cut.shown) == (whole.ci_low, whole.p_value, whole.shown)


def test_few_trials_or_cases_are_no_test():
    assert "3 + 3 test trials" in why_no_test(3, 3)
    assert "9 + 100" in why_no_test(9, 100)
    assert why_no_test(10, 10) is None
    assert "cases" in why_no_test(12, 9, 21)
    assert "19 test cases" in why_no_test(12, 12, 19)
    assert why_no_test(20, 20, 20) is None


def test_at_the_ceiling_no_margin_is_shown():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(2, 2, 60))
    present, absent = noise[0] + 4.0, noise[1]  # AUC 0.998
    assert why_no_margin(0.985, 0.981)
    assert why_no_margin(0.98, 0.999) is None
    with pytest.raises(UserError, match="too easy for a margin"):
        compare_aucs(present, absent, "equivalence", noninferiority_margin=0.05)
