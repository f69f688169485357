"""Moments of two classes against numpy's, whole and in parts, and the templates from either side of K = ZᵀZ."""

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.observers.covariance import ClassScatter, Moments, class_means, ridge_templates, within_class_variance


@pytest.fixture
def pixels():
    # Far from 0, as CT numbers of bone or air are: the sums must not lose digits.
    return 1000.0 + np.random.default_rng(0).normal(0.0, [5.0, 10.0, 20.0, 2.0, 1.0], (40, 5))


@pytest.fixture
def present():
    return np.arange(40) < 15


def mean_covariance(pixels, present):
    return (np.cov(pixels[present].T) + np.cov(pixels[~present].T)) / 2.0


def test_moments(pixels, present):
    moments = Moments.of(pixels, present)
    np.testing.assert_allclose(moments.gram, mean_covariance(pixels, present), rtol=1e-10, atol=1e-10)
    means = pixels[present].mean(0), pixels[~present].mean(0)
    np.testing.assert_allclose(moments.difference, means[0] - means[1], rtol=1e-10)
    np.testing.assert_allclose(moments.midpoint, (means[0] + means[1]) / 2.0, rtol=1e-12)
    assert (moments.n_trials, moments.n_pixels) == (40, 5)
    assert moments.pixel_variance == pytest.approx(np.trace(mean_covariance(pixels, present)) / 5, rel=1e-10)
    np.testing.assert_allclose(class_means(pixels, present), (moments.difference, moments.midpoint), rtol=1e-10)
    assert within_class_variance(pixels, present) == pytest.approx(moments.pixel_variance, rel=1e-10)


def test_fewer_trials_than_pixels_keeps_residuals(pixels, present):
    wide = np.random.default_rng(1).normal(0.0, 5.0, (40, 60)) + np.arange(60.0)
    moments = Moments.of(wide, present)
    covariance = mean_covariance(wide, present)
    np.testing.assert_allclose(moments.residuals.T @ moments.residuals, covariance, rtol=1e-9, atol=1e-12)
    assert moments.gram.shape == (40, 40)
    assert np.vdot(moments.gram, moments.gram) == pytest.approx(np.vdot(covariance, covariance), rel=1e-10)
    assert moments.pixel_variance == pytest.approx(np.trace(covariance) / 60, rel=1e-10)
    for load, template in zip([0.5, 20.0], ridge_templates(moments, [0.5, 20.0]), strict=True):
        expected = np.linalg.solve(covariance + load * np.eye(60), moments.difference)
        np.testing.assert_allclose(template, expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("n_first", [20, 38])
def test_moments_in_parts_equal_moments_of_the_whole(pixels, present, n_first):
    order = np.random.default_rng(2).permutation(40)
    order = np.concatenate([order[(order != 0) & (order != 39)], [0, 39]])  # the last part has both classes
    first, rest = order[:n_first], order[n_first:]
    joined = Moments.of(pixels[first], present[first]).with_trials(pixels[rest], present[rest])
    whole = Moments.of(pixels, present)
    assert joined.n_trials == 40
    for name in ("gram", "difference", "midpoint"):
        np.testing.assert_allclose(getattr(joined, name), getattr(whole, name), rtol=1e-9, atol=1e-9)


def test_one_trial_has_no_scatter(pixels):
    one = ClassScatter.of(pixels[:1])
    assert not one.scatter.any()
    both = one + ClassScatter.of(pixels[1:2])
    np.testing.assert_allclose(both.scatter, np.cov(pixels[:2].T), rtol=1e-9, atol=1e-9)


def test_errors(present):
    with pytest.raises(UserError, match="the covariance of 60 pixels from 40 trials is singular"):
        ridge_templates(Moments.of(np.random.default_rng(3).normal(size=(40, 60)), present), [0.0])
    for n_pixels in (5, 60):
        with pytest.raises(UserError, match="all alike"):
            Moments.of(np.full((40, n_pixels), 40.1), present).check_noise()
    with pytest.raises(UserError, match="all alike"):
        within_class_variance(np.full((40, 5), 40.1), present)
