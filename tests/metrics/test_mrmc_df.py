"""Degrees of freedom as FDA's iMRMC takes them: its published figures, and one number for p, interval and margin."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm, t

from taskct.errors import UserError
from taskct.metrics.comparisons import equivalence, noninferiority
from taskct.metrics.mrmc import RoeMetz, analyze
from taskct.metrics.mrmc.basis import Basis, whole_df
from taskct.metrics.mrmc.margins import margin_tests
from taskct.metrics.mrmc.sizing import Design

# Of the tests that come with iMRMC's R package (AUC or difference, variance, BDG degrees of freedom, lower bound; p).
IMRMC = [
    (0.6920837, 0.0008662066, 66.01861, 0.63439921, None),
    (0.7090612, 0.0008119780, 69.87244, 0.65321155, None),
    (0.6920837 - 0.7090612, 0.0006429189, 37.40402, -0.06835332, 0.5072895),
    (0.78959, 0.001558203, 18.09487, 0.70665804, None),
    (0.79517, 0.001514700, 18.05763, 0.71340391, None),
    (0.78959 - 0.79517, 0.0008030667, 48.47472, -0.06255824, 0.8447327),
]


@pytest.mark.parametrize(("estimate", "variance", "df", "low", "p_value"), IMRMC)
def test_bounds_and_p_values_are_those_of_imrmc(estimate, variance, df, low, p_value):
    basis = Basis(variance, df, "u-statistic")
    assert estimate - basis.half_width(0.95) == pytest.approx(low, abs=2e-7)  # AUCs are given to 1e-7
    if p_value is not None:
        assert basis.p_value(estimate) == pytest.approx(p_value, abs=5e-6)
        assert basis.p_value(estimate, fractional=True) != pytest.approx(p_value, abs=5e-6)


def test_the_example_of_seven_degrees_and_a_third():
    # iMRMC's example: p is 0.4686 with 7, and 0.4674 with 7.35 degrees of freedom.
    variance = 0.001
    difference = 0.7662 * math.sqrt(variance)
    basis = Basis(variance, 7.35, "u-statistic")
    assert basis.p_value(difference) == pytest.approx(0.4686, abs=5e-5)
    assert basis.p_value(difference, fractional=True) == pytest.approx(0.4674, abs=5e-5)
    assert basis.df_whole == 7
    assert basis.df_or_none == 7.35
    assert basis.half_width(0.9) == pytest.approx(t.isf(0.05, 7) * math.sqrt(variance))


def test_whole_degrees_of_freedom():
    assert [whole_df(df) for df in (1.0, 1.99, 4.0, 7.35, 50.0)] == [1.0, 1.0, 4.0, 7.0, 50.0]
    assert whole_df(4.0 - 1e-12) == 4.0  # rounding does not cost a degree
    assert [whole_df(df) for df in (50.01, 180.0, math.inf)] == [math.inf] * 3
    assert math.isnan(whole_df(math.nan))
    assert Basis(0.01, 180.0, "u-statistic").half_width(0.95) == pytest.approx(0.1 * norm.isf(0.025))
    assert Basis(0.01, 180.0, "u-statistic").df_whole is None


@pytest.mark.parametrize("seed", range(8))
def test_p_value_and_symmetric_interval_decide_alike_and_so_do_those_that_are_shown_and_the_margin(seed):
    model = RoeMetz.published("HH", 0.855, mu=(2.2, 1.5))
    ratings = model.simulate(np.random.default_rng(seed), Design(4, 20, 20))
    part = analyze(ratings).differences["A-B"]
    df, std_error = part.df_whole or math.inf, math.sqrt(part.interval_variance)
    assert part.df_bdg is not None
    assert df == whole_df(part.df_bdg)
    # p below 0.05 exactly where the 95 % interval leaves 0 out, and the bounds are at p = 0.05 from it.
    assert (part.p_value < 0.05) == (part.ci_low_symmetric > 0.0 or part.ci_high_symmetric < 0.0)
    for bound in (part.ci_low_symmetric, part.ci_high_symmetric):
        assert 2.0 * t.sf(abs(part.auc - bound) / std_error, df) == pytest.approx(0.05)
    assert (part.p_value_interval < 0.05) == (part.ci_low > 0.0 or part.ci_high < 0.0)
    for bound in (part.ci_low, part.ci_high):
        assert part.law.p_value(bound) == pytest.approx(0.05)
    # The whole part is the smaller number, so its p is the larger one, unless the normal distribution takes over.
    assert (part.p_value >= part.p_value_fractional) == (part.df_bdg <= 50.0)
    for margin in (0.05, 0.1, 0.3):
        non_inferior, equivalent = margin_tests(part, noninferiority_margin=margin)
        assert (non_inferior.ci_low, equivalent.ci_high) == (part.ci_low, part.ci_high)
        assert non_inferior.shown == (part.ci_low > -margin)
        assert equivalent.shown == (part.ci_low > -margin and part.ci_high < margin)
        assert non_inferior.p_value <= equivalent.p_value


def test_a_margin_at_a_bound_is_tested_at_just_its_size():
    ratings = RoeMetz.published("HH", 0.855).simulate(np.random.default_rng(3), Design(4, 20, 20))
    part = analyze(ratings).differences["A-B"]
    assert part.ci_low < 0.0 < part.ci_high
    assert margin_tests(part, noninferiority_margin=-part.ci_low)[0].p_value == pytest.approx(0.025)
    # On the other side of the estimate p is beyond a half; both sides of one bound add up to 1.
    below, above = (margin_tests(x, noninferiority_margin=part.ci_high)[0] for x in (part, flipped(part)))
    assert above.p_value == pytest.approx(0.025)
    assert below.p_value == pytest.approx(0.5 * part.law.p_value(-part.ci_high))
    with pytest.raises(UserError, match="margin"):
        margin_tests(part, noninferiority_margin=0.0)


def flipped(part):
    """Second modality minus first."""
    law = replace(
        part.law,
        first=part.law.second,
        second=part.law.first,
        variance_first=part.law.variance_second,
        variance_second=part.law.variance_first,
    )
    return replace(part, auc=-part.auc, law=law)


def test_one_reader_has_the_margins_of_delong():
    ratings = RoeMetz.published("HH", 0.855).simulate(np.random.default_rng(4), Design(2, 30, 30)).part(readers=[0])
    part = analyze(ratings).differences["A-B"]
    std_error = math.sqrt(part.interval_variance)
    for mine, test in zip(margin_tests(part, noninferiority_margin=0.1), (noninferiority, equivalence), strict=True):
        assert mine == test(part.auc, std_error, noninferiority_margin=0.1, alpha=(1.0 - 0.95) / 2.0, limit=1.0)
