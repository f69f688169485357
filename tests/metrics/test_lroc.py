"""LROC analysis against its O(n²) definition, scikit-learn's ROC, theory of U-statistics, and laws."""

import numpy as np
import pytest
from scipy.stats import beta, chi2

from taskct.errors import UserError
from taskct.metrics.lroc import (
    correct_fraction,
    correct_localization,
    lroc_area,
    lroc_covariance,
    lroc_curve,
    lroc_interval,
    lroc_ratings,
    paired_lroc,
)
from taskct.metrics.roc import auc, delong_covariance, delong_interval, paired_delong, roc_curve


def draw(rng, n_methods=3, n_present=37, n_absent=52, decimals=None, n_sites=4, signal=1.5):
    """Maxima over independent sites of correlated methods, and whether the signal's own site was the maximum."""
    mixing = np.eye(n_methods) + 0.5
    present = np.tensordot(mixing, rng.normal(size=(n_methods, n_present, n_sites)), 1)
    absent = np.tensordot(mixing, rng.normal(size=(n_methods, n_absent, n_sites)), 1).max(axis=-1)
    present[..., 0] += signal * mixing.sum(axis=1)[:, None]
    t_present, correct = present.max(axis=-1), present.argmax(axis=-1) == 0
    if decimals is not None:
        t_present, absent = t_present.round(decimals), absent.round(decimals)
    return t_present, absent, correct


def kernel(present, absent, correct):
    """The definition, for each pair: located and above, a tie one half."""
    above = (present[:, None] > absent) + 0.5 * (present[:, None] == absent)
    return above * correct[:, None]


@pytest.mark.parametrize("decimals", [None, 0])
def test_area_is_the_mean_of_the_kernel(decimals):
    present, absent, correct = (x[0] for x in draw(np.random.default_rng(1), decimals=decimals))
    expected = kernel(present, absent, correct).mean()
    assert lroc_area(present, absent, correct) == pytest.approx(expected, rel=1e-12)
    assert lroc_area(present.astype(np.float32), absent.astype(np.float32), correct) == pytest.approx(
        expected, rel=1e-4
    )


@pytest.mark.parametrize("decimals", [None, 0])
def test_covariance_is_that_of_the_structural_components(decimals):
    present, absent, correct = draw(np.random.default_rng(2), decimals=decimals)
    kernels = np.array([kernel(*method) for method in zip(present, absent, correct, strict=True)])
    expected = np.cov(kernels.mean(axis=2)) / 37 + np.cov(kernels.mean(axis=1)) / 52
    np.testing.assert_allclose(lroc_covariance(present, absent, correct), expected, rtol=1e-10)
    weights = np.array([1.0, -1.0, 0.0])
    difference = paired_lroc(present[:2], absent[:2], correct[:2])
    half_width = 1.959964 * np.sqrt(weights @ expected @ weights)
    assert difference.ci_high - difference.delta_auc == pytest.approx(half_width, rel=1e-6)


def test_everything_is_the_roc_analysis_where_all_are_located():
    present, absent, _ = draw(np.random.default_rng(3), n_methods=2, decimals=1)
    located = np.ones_like(present, dtype=bool)
    assert lroc_area(present[0], absent[0], located[0]) == auc(present[0], absent[0])
    np.testing.assert_array_equal(lroc_covariance(present, absent, located), delong_covariance(present, absent))
    assert lroc_interval(present[0], absent[0], located[0]) == delong_interval(present[0], absent[0])
    assert paired_lroc(present, absent, located) == paired_delong(present, absent)
    for ours, theirs in zip(
        lroc_curve(present[0], absent[0], located[0]), roc_curve(present[0], absent[0]), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("decimals", [None, 0])
def test_curve_is_its_definition_and_encloses_the_area(decimals):
    present, absent, correct = (x[0] for x in draw(np.random.default_rng(4), decimals=decimals))
    fpf, found = lroc_curve(present, absent, correct)
    assert (fpf[0], found[0], fpf[-1], found[-1]) == (0.0, 0.0, 1.0, correct.mean())
    assert np.trapezoid(found, fpf) == pytest.approx(lroc_area(present, absent, correct), rel=1e-12)
    for threshold in (0.0, 1.0, 2.0):
        point = (np.mean(absent >= threshold), np.mean(correct & (present >= threshold)))
        assert np.isclose(np.stack([fpf, found], axis=1), point).all(axis=1).any()


def test_covariance_has_the_mean_that_the_spread_of_the_areas_has():
    rng = np.random.default_rng(5)
    studies = [draw(rng, n_methods=2, n_present=40, n_absent=60) for _ in range(1500)]
    areas = np.array([[lroc_area(*method) for method in zip(*study, strict=True)] for study in studies])
    estimates = np.array([lroc_covariance(*study) for study in studies])
    # Of a difference too, which holds the covariance. The estimate is biased by less than 1/40 + 1/60 (Hoeffding's
    # second-order term, counted twice); the spread of 1500 areas has a chi-squared error, 1e-6 on either side.
    for weights in (np.array([1.0, 0.0]), np.array([1.0, -1.0])):
        spread = np.var(areas @ weights, ddof=1)
        ratio = (weights @ estimates @ weights).mean() / spread
        low, high = 1499 / chi2.ppf([1 - 1e-6, 1e-6], 1499)
        assert low * (1 - 0.01) < ratio < high * (1 + 1 / 40 + 1 / 60)


def test_interval_covers():
    rng = np.random.default_rng(6)
    present, absent, correct = (x[0] for x in draw(rng, 1, 400_000, 400_000))
    truth = lroc_area(present, absent, correct)  # standard error 0.0008, a fortieth of an interval
    hits = 0
    for _ in range(2000):
        interval = lroc_interval(*(x[0] for x in draw(rng, 1, 100, 100)))
        hits += interval.ci_low <= truth <= interval.ci_high
    # Binomial(2000, 0.95) leaves 0.935 to 0.965 with probability 0.002; the interval is itself approximate.
    assert 0.935 <= hits / 2000 <= 0.965


def test_wrong_places_count_for_nothing_whatever_the_rating():
    present, absent = np.array([5.0, 6.0, 7.0, 8.0]), np.array([1.0, 2.0, 3.0])
    correct = np.array([True, True, True, False])
    assert lroc_area(present, absent, correct) == 0.75
    assert lroc_area(present, absent, np.zeros(4, dtype=bool)) == 0.0
    for huge in (1e300, -1e300, 1e-300):
        assert lroc_area(present + huge, absent + huge, ~correct) <= 0.25
    ratings = lroc_ratings(present, absent, correct)
    np.testing.assert_array_equal(ratings[correct], present[correct])
    assert ratings[3] < absent.min()


def test_edges_have_honest_intervals():
    present, absent = np.arange(10.0, 20.0), np.arange(8.0)
    all_found = lroc_interval(present, absent, np.ones(10, dtype=bool))
    assert (all_found.value, all_found.ci_high) == (1.0, 1.0)
    assert all_found.ci_low == pytest.approx(0.025 ** (1 / 8))
    none_found = lroc_interval(present, absent, np.zeros(10, dtype=bool))
    assert (none_found.value, none_found.ci_low) == (0.0, 0.0)
    assert none_found.ci_high == pytest.approx(1 - 0.025 ** (1 / 8))


def test_localization_within_the_radius():
    found = np.array([[[10.0, 10.0], [10.0, 10.0]], [[0.0, 0.0], [3.0, 4.0]]])
    true = np.array([[[12.0, 10.0], [10.0, 12.1]], [[3.0, 4.0], [3.0, 4.0]]])
    result = correct_localization(found, true, radius_mm=1.0, pixel_mm=0.5)
    np.testing.assert_array_equal(result, [[True, False], [False, True]])
    assert result.dtype == np.bool_
    with pytest.raises(UserError, match=r"radius is -1.* at least 0 mm"):
        correct_localization(found, true, radius_mm=-1.0, pixel_mm=0.5)
    with pytest.raises(UserError, match="pixel_mm is 0"):
        correct_localization(found, true, radius_mm=1.0, pixel_mm=0.0)
    with pytest.raises(ValueError, match="shapes"):
        correct_localization(found, true[0], radius_mm=1.0, pixel_mm=0.5)
    with pytest.raises(ValueError, match="not finite"):
        correct_localization(found * np.nan, true, radius_mm=1.0, pixel_mm=0.5)


@pytest.mark.parametrize("n_correct", [0, 1, 17, 30])
def test_fraction_has_the_exact_interval(n_correct):
    interval = correct_fraction(np.arange(30) < n_correct, confidence=0.9)
    assert interval.value == n_correct / 30
    assert interval.ci_low == pytest.approx(beta.ppf(0.05, n_correct, 31 - n_correct) if n_correct else 0.0)
    assert interval.ci_high == pytest.approx(beta.ppf(0.95, n_correct + 1, 30 - n_correct) if n_correct < 30 else 1.0)


def test_bad_input():
    present, absent, correct = (x[0] for x in draw(np.random.default_rng(7)))
    with pytest.raises(ValueError, match="correct must be bool"):
        lroc_area(present, absent, correct[1:])
    with pytest.raises(ValueError, match="correct must be bool"):
        lroc_area(present, absent, correct.astype(int))
    with pytest.raises(ValueError, match="not finite"):
        lroc_area(np.where(correct, present, np.nan), absent, correct)
    with pytest.raises(ValueError, match="do not fit together"):
        lroc_area(present, absent[:0], correct)
    with pytest.raises(ValueError, match="at least 2 trials"):
        lroc_area(present[:1], absent, correct[:1])
    with pytest.raises(ValueError, match="confidence is 95"):
        lroc_interval(present, absent, correct, confidence=95)
    with pytest.raises(ValueError, match="needs 2 methods"):
        paired_lroc(present[None], absent[None], correct[None])
    with pytest.raises(ValueError, match="correct must be bool"):
        correct_fraction(np.zeros(0, dtype=bool))
