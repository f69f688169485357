"""Interval and test of a difference of two AUCs: laws of symmetry, limits, and each the other way round."""

import math

import numpy as np
import pytest

from taskct.metrics.mrmc.area_scale import area_bounds
from taskct.metrics.mrmc.difference import DifferenceLaw
from taskct.metrics.mrmc.error_law import ErrorLaw


def law(first, second, errors=(0.02, 0.03), correlation=0.4, share=0.4, df=3.0):
    one, two = errors
    variance = one**2 + two**2 - 2.0 * correlation * one * two
    return DifferenceLaw(first, second, one**2, two**2, ErrorLaw(variance, share * variance, df, 40.0))


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("first", "second"), [(0.8, 0.7), (0.97, 0.9), (0.9, 0.97), (0.6, 0.6)])
def test_bounds_are_where_p_is_one_less_the_confidence(first, second, confidence):
    one = law(first, second)
    low, high = one.bounds(confidence)
    assert low < one.difference < high
    for bound in (low, high):
        assert one.p_value(bound) == pytest.approx(1.0 - confidence, rel=1e-5)
    assert one.p_value(one.difference) == 1.0


def test_swapped_and_mirrored_modalities_have_the_mirrored_interval():
    low, high = law(0.95, 0.85).bounds(0.95)
    assert law(0.85, 0.95, errors=(0.03, 0.02)).bounds(0.95) == pytest.approx((-high, -low))
    assert law(0.05, 0.15).bounds(0.95) == pytest.approx((-high, -low))


def test_small_errors_give_the_plain_interval():
    one = law(0.8, 0.7, errors=(2e-5, 3e-5))
    half = one.error.critical(0.95) * one.error.std_error
    low, high = one.bounds(0.95)
    assert (one.difference - low, high - one.difference) == pytest.approx((half, half), rel=1e-3)


def test_it_is_longer_towards_larger_differences_near_one():
    low, high = law(0.97, 0.9, errors=(0.01, 0.03)).bounds(0.95)
    assert high - 0.07 > 1.1 * (0.07 - low)
    low, high = law(0.9, 0.9, errors=(0.02, 0.02)).bounds(0.95)
    assert high == pytest.approx(-low)


def test_independent_errors_add_the_squares_of_the_sides():
    one = law(0.9, 0.8, correlation=0.0)
    half = one.error.critical(0.95) * np.array([0.02, 0.03])
    (low_1, high_1), (low_2, high_2) = area_bounds(0.9, half[0]), area_bounds(0.8, half[1])
    below, above = math.hypot(0.9 - low_1, high_2 - 0.8), math.hypot(high_1 - 0.9, 0.8 - low_2)
    assert one.bounds(0.95) == pytest.approx((0.1 - below, 0.1 + above))


@pytest.mark.parametrize("seed", range(30))
def test_intervals_hold_those_of_less_confidence(seed):
    rng = np.random.default_rng(seed)
    errors = tuple(rng.uniform(0.005, 0.1, 2))
    one = law(*rng.uniform(0.5, 0.999, 2), errors=errors, correlation=rng.uniform(-0.5, 0.99), df=rng.integers(1, 6))
    bounds = np.array([one.bounds(confidence) for confidence in np.linspace(0.05, 0.999, 40)])
    assert (np.diff(bounds[:, 0]) <= 1e-4).all()
    assert (np.diff(bounds[:, 1]) >= -1e-4).all()
    assert (np.abs(bounds) <= 1.0).all()


@pytest.mark.parametrize(("first", "second"), [(1.0, 0.9), (0.9, 1.0), (0.0, 0.1)])
def test_an_auc_of_0_or_1_leaves_the_plain_interval(first, second):
    one = DifferenceLaw(first, second, 0.0 if first in (0.0, 1.0) else 9e-4, 9e-4, ErrorLaw(9e-4, 4e-4, 3.0, 40.0))
    half = one.error.critical(0.95) * 0.03
    assert one.bounds(0.95) == pytest.approx((one.difference - half, one.difference + half))
    assert one.p_value(0.0) == pytest.approx(one.error.p_value(one.difference / 0.03), rel=1e-6)
    assert one.bounds(0.999999)[0] >= -1.0


def test_without_variance_it_is_a_point():
    one = DifferenceLaw(0.8, 0.7, 1e-4, 1e-4, ErrorLaw(0.0, 0.0, 3.0, 40.0))
    assert one.bounds(0.95) == (one.difference, one.difference)
    assert (one.p_value(one.difference), one.p_value(0.0)) == (1.0, 0.0)


def test_variances_that_contradict_one_another_give_an_interval():
    # The difference scatters more than any correlation allows: it is as if errors were opposite.
    one = DifferenceLaw(0.8, 0.7, 1e-4, 1e-4, ErrorLaw(9e-4, 0.0, 3.0, 40.0))
    assert one.bounds(0.95) == law(0.8, 0.7, errors=(0.01, 0.01), correlation=-1.0, share=0.0).bounds(0.95)


def test_no_study_is_so_small_that_its_interval_never_reaches_zero():
    """Bounds of both AUCs end at 0 and 1, and their errors go together: the sides of the difference still grow."""
    rng = np.random.default_rng(3)
    for _ in range(300):
        first, second = rng.uniform(0.1, 0.9, 2)
        errors = rng.uniform(0.02, 0.3, 2)
        together = rng.uniform(0.9, 1.1)  # unbiased variances may contradict one another
        both = max(float((errors**2).sum() - 2.0 * together * errors.prod()), 1e-4)
        law = DifferenceLaw(first, second, *(errors**2).tolist(), ErrorLaw(both, 0.9 * both, 1.0, 7.0))
        assert law.p_value() > 1e-6
        low, high = zip(*(law.bounds(confidence) for confidence in (0.5, 0.9, 0.99, 0.9999999)), strict=True)
        assert (np.diff(low) <= 1e-4).all()  # the widest of a grid of critical values
        assert (np.diff(high) >= -1e-4).all()
        assert low[-1] <= 0.0 <= high[-1]
