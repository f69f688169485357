"""Agreement of readers: published examples, independent packages, and laws."""

import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from taskct.errors import UserError
from taskct.metrics.mrmc.agreement import agreement_coefficient, intraclass_correlation, mean_coefficient

SHROUT_FLEISS = np.array([[9, 6, 8, 7, 10, 6], [2, 1, 4, 1, 5, 2], [5, 3, 6, 2, 6, 4], [8, 2, 8, 6, 9, 7]])
FLEISS_COHEN_EVERITT = np.array([[106, 10, 4], [22, 28, 10], [2, 12, 6]])
FOUR = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 5, 3, 1],
        [1, 2, 3, 3, 2, 2, 4, 2, 2, 5, 4, 1],
        [2, 3, 3, 3, 2, 3, 4, 2, 3, 5, 3, 2],
        [1, 2, 4, 3, 2, 4, 4, 1, 2, 5, 2, 1],
    ]
)


def of_table(table):
    first, second = np.indices(table.shape)
    return np.stack([np.repeat(index.ravel(), table.ravel()) for index in (first, second)])


# R package vcd 1.4-11: Kappa(table, weights = "Equal-Spacing") and "Fleiss-Cohen"; value and asymptotic standard error.
@pytest.mark.parametrize(
    ("weights", "value", "std_error"),
    [
        ("unweighted", 0.4285714286, 0.0537110049),
        ("linear", 0.4923076923, 0.0507186076),
        ("quadratic", 0.5666666667, 0.0556663402),
    ],
)
def test_the_example_of_fleiss_cohen_and_everitt(weights, value, std_error):
    found = agreement_coefficient(of_table(FLEISS_COHEN_EVERITT), weights=weights)
    assert found.value == pytest.approx(value, abs=1e-10)
    assert found.std_error * math.sqrt(199 / 200) == pytest.approx(std_error, abs=1e-10)


# Python package irrCAC 0.4.4, CAC(...).conger(), .fleiss() and .gwet(): value and standard error.
IRRCAC = {
    ("unweighted", "each reader's"): (0.4650817236, 0.1323605706),
    ("unweighted", "pooled"): (0.4539249147, 0.1407982797),
    ("unweighted", "gwet"): (0.4851166533, 0.1213487119),
    ("linear", "each reader's"): (0.6347826087, 0.1322941464),
    ("linear", "pooled"): (0.6288933068, 0.1374859501),
    ("linear", "gwet"): (0.7158802638, 0.0815058355),
    ("quadratic", "each reader's"): (0.7701711491, 0.1259740209),
    ("quadratic", "pooled"): (0.767829577, 0.1285707742),
    ("quadratic", "gwet"): (0.8566800076, 0.0603875959),
}


@pytest.mark.parametrize(("weights", "chance"), IRRCAC)
def test_many_readers_as_irrcac(weights, chance):
    found = agreement_coefficient(FOUR, weights=weights, chance=chance)
    assert (found.value, found.std_error) == pytest.approx(IRRCAC[weights, chance], abs=1e-8)


@pytest.mark.parametrize("weights", ["unweighted", "linear", "quadratic"])
def test_two_readers_as_scikit_learn(weights):
    rng = np.random.default_rng(0)
    first = rng.integers(1, 6, 60)
    second = np.clip(first + rng.integers(-2, 3, 60), 1, 5)
    wanted = cohen_kappa_score(first, second, weights=None if weights == "unweighted" else weights)
    assert agreement_coefficient([first, second], weights=weights).value == pytest.approx(wanted, abs=1e-12)


def test_quadratic_kappa_is_lins_concordance():
    rng = np.random.default_rng(1)
    first = rng.integers(0, 101, 50)
    second = np.clip(first + rng.integers(-20, 25, 50), 0, 100)
    covariance = np.cov(first, second, bias=True)
    wanted = 2.0 * covariance[0, 1] / (np.trace(covariance) + (first.mean() - second.mean()) ** 2)
    assert agreement_coefficient([first, second]).value == pytest.approx(wanted, abs=1e-12)


def test_the_standard_error_is_that_of_the_jackknife():
    rng = np.random.default_rng(2)
    case = rng.normal(size=150)
    scores = np.clip(np.round(3.0 + case + 0.6 * rng.normal(size=(3, 150))), 1, 5)
    for chance in ("each reader's", "pooled", "gwet"):
        left_out = [agreement_coefficient(np.delete(scores, case, axis=1), chance=chance).value for case in range(150)]
        jackknife = math.sqrt(149 * np.var(left_out))
        assert agreement_coefficient(scores, chance=chance).std_error == pytest.approx(jackknife, rel=0.05)


def test_cases_of_one_patient_count_once():
    rng = np.random.default_rng(3)
    case = rng.normal(size=80)
    scores = np.clip(np.round(3.0 + case + 0.6 * rng.normal(size=(2, 80))), 1, 5)
    twice = agreement_coefficient(np.tile(scores, 2), clusters=np.tile(np.arange(80), 2))
    once = agreement_coefficient(scores)
    assert twice.value == pytest.approx(once.value)
    assert twice.std_error == pytest.approx(once.std_error, rel=1e-9)
    assert (twice.ci_low, twice.ci_high) == pytest.approx((once.ci_low, once.ci_high))
    of_icc = intraclass_correlation(np.tile(scores, 2), clusters=np.tile(np.arange(80), 2))
    assert of_icc.std_error == pytest.approx(intraclass_correlation(scores).std_error, rel=0.05)
    assert of_icc.ci_low < of_icc.value < of_icc.ci_high


def test_a_mean_of_equal_pairs_is_the_pair_and_of_independent_ones_is_surer():
    rng = np.random.default_rng(4)
    case = rng.normal(size=400)
    scores = np.clip(np.round(3.0 + case + 0.6 * rng.normal(size=(2, 4, 400))), 1, 5)
    pair = agreement_coefficient(scores[0, :2])
    same = mean_coefficient(np.stack([scores[0, :2]] * 3))
    assert (same.value, same.std_error) == pytest.approx((pair.value, pair.std_error))
    several = mean_coefficient(scores.transpose(1, 0, 2))
    assert several.std_error < pair.std_error


def test_a_missing_rating_leaves_out_its_case():
    scores = FOUR.astype(float)
    scores[1, 3] = np.nan
    found, wanted = agreement_coefficient(scores), agreement_coefficient(np.delete(FOUR, 3, axis=1))
    assert found == wanted
    assert found.n_cases == 11


def test_full_agreement_is_not_certain():
    scores = np.tile([1, 2, 3, 4, 5, 1, 2, 3, 4, 5], (2, 3))
    found = agreement_coefficient(scores)
    assert (found.value, found.ci_high, found.std_error) == (1.0, 1.0, 0.0)
    assert 0.0 < found.ci_low < 0.9
    more = agreement_coefficient(np.tile(scores, 10))
    assert found.ci_low < more.ci_low < 1.0
    assert intraclass_correlation(scores).value == pytest.approx(1.0)


def test_nothing_to_agree_on_has_no_value():
    found = agreement_coefficient(np.ones((2, 20)))
    assert math.isnan(found.value)
    assert math.isnan(found.ci_low)
    assert math.isnan(intraclass_correlation(np.ones((2, 20))).value)


def test_icc_of_shrout_and_fleiss():
    found = intraclass_correlation(SHROUT_FLEISS)
    assert found.value == pytest.approx(0.29, abs=0.005)  # as published
    # R package psych, ?ICC on this example, and Python package pingouin.
    assert (found.ci_low, found.ci_high) == pytest.approx((0.019, 0.761), abs=5e-4)


def test_icc_rises_as_readers_do_and_sees_their_offsets():
    rng = np.random.default_rng(5)
    case = rng.normal(size=100)
    noisy, sure = (case + sigma * rng.normal(size=(4, 100)) for sigma in (1.0, 0.3))
    assert intraclass_correlation(noisy).value == pytest.approx(0.5, abs=0.1)
    assert intraclass_correlation(sure).value > 0.85
    apart = sure + np.arange(4)[:, None]
    assert intraclass_correlation(apart).value < 0.6


@pytest.mark.parametrize("what", [agreement_coefficient, intraclass_correlation])
def test_what_cannot_be_compared(what):
    with pytest.raises(ValueError, match="at least 2 readers"):
        what(np.ones((1, 5)))
    with pytest.raises(UserError, match="agreement needs 2 cases"):
        what([[1.0, np.nan, 3.0], [np.nan, 2.0, 3.0]])
    with pytest.raises(UserError, match="agreement needs 2 clusters"):
        what([[1.0, 2.0], [1.0, 2.0]], clusters=np.zeros(2, dtype=int))
    with pytest.raises(ValueError, match="confidence"):
        what(FOUR, confidence=95)


def test_readers_who_differ_by_offsets_alone_have_no_interval():
    found = intraclass_correlation([[3.0] * 8, [4.0] * 8, [6.0] * 8])
    assert found.value == pytest.approx(0.0, abs=1e-12)
    assert math.isnan(found.ci_low)


@pytest.mark.parametrize("unit", [1e-300, 1e-9, 1e9, 1e300])
def test_agreement_does_not_depend_on_the_unit_of_scores(unit):
    scores = np.random.default_rng(2).normal(size=40) + np.random.default_rng(3).normal(size=(3, 40))
    for what in (agreement_coefficient, intraclass_correlation):
        one, other = what(scores), what(unit * scores)
        assert (other.value, other.ci_low) == pytest.approx((one.value, one.ci_low), rel=1e-9)
