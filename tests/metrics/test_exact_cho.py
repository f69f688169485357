"""Exact intervals of channelized Hotelling observers: SciPy's distributions, direct formulas, and coverage."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr
from scipy.stats import chi2, ncf, ncx2

from taskct.metrics.exact_cho import cho_snr2, exact_cho_interval, exact_cho_snr2_interval, hotelling_t2_cdf


def draw(rng, n_present, n_absent, n_channels, snr2):
    """Correlated channel outputs with a given SNR², and the difference of their means."""
    difference = np.zeros(n_channels)
    difference[0] = np.sqrt(snr2)
    mix = rng.standard_normal((n_channels, n_channels))
    present = (rng.standard_normal((n_present, n_channels)) + difference) @ mix
    return present, rng.standard_normal((n_absent, n_channels)) @ mix, difference @ mix


@pytest.mark.parametrize(
    ("p", "n", "noncentrality"), [(1, 4, 2.0), (3, 20, 0.0), (3, 20, 15.0), (10, 100, 400.0), (40, 42, 9.0)]
)
def test_distribution_of_t2_is_an_integral_over_its_chi2(p, n, noncentrality):
    # T²/(N − 2) is a noncentral χ² of p degrees of freedom over an independent χ² of N − p − 1.
    for t2 in (0.3 * (p + noncentrality), p + noncentrality, 4.0 * (p + noncentrality)):

        def integrand(y, t2=t2):
            x = y * t2 / (n - 2)
            below = ncx2.cdf(x, p, noncentrality) if noncentrality else chi2.cdf(x, p)
            return below * chi2.pdf(y, n - p - 1)

        low, high = chi2.ppf([1e-13, 1 - 1e-13], n - p - 1)
        expected = quad(integrand, low, high, epsabs=1e-10, limit=400, points=[chi2.median(n - p - 1)])[0]
        assert hotelling_t2_cdf(t2, p, n, noncentrality) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("noncentrality", [1e3, 1e5])
def test_distribution_of_t2_is_scipys_noncentral_f(noncentrality):
    ratio = np.array([0.9, 1.0, 1.1])
    ours = [hotelling_t2_cdf(r * noncentrality, 5, 1_000, noncentrality) for r in ratio]
    f = ratio * noncentrality * 994 / (5 * 998)
    np.testing.assert_allclose(ours, ncf.cdf(f, 5, 994, noncentrality), atol=1e-9)


@pytest.mark.parametrize("noncentrality", [1e7, 1e9, 1e12])
def test_distribution_of_t2_for_huge_noncentralities(noncentrality):
    # The noncentral χ² is then its mean: T²/noncentrality = (N − 2)/χ², but for terms of 1/noncentrality.
    ratio = np.array([0.9, 1.0, 1.1])
    ours = [hotelling_t2_cdf(r * noncentrality, 5, 1_000, noncentrality) for r in ratio]
    np.testing.assert_allclose(ours, chi2.sf(998 / ratio, 994), atol=1e-4)


def test_bounds_invert_the_noncentral_f():
    present, absent, _ = draw(np.random.default_rng(1), 30, 50, 6, 1.5)
    residuals = np.concatenate([present - present.mean(0), absent - absent.mean(0)])
    difference = present.mean(0) - absent.mean(0)
    plug_in = difference @ np.linalg.solve(residuals.T @ residuals / 78, difference)
    snr2 = cho_snr2(present, absent)
    assert snr2.plug_in == pytest.approx(plug_in, rel=1e-10)
    assert snr2.unbiased == pytest.approx(71 / 78 * plug_in - 6 * 80 / 1500, rel=1e-10)
    interval = exact_cho_snr2_interval(present, absent, confidence=0.9)
    f = 1500 / 80 * 73 / (6 * 78) * plug_in
    for bound, level in ((interval.ci_low, 0.95), (interval.value, 0.5), (interval.ci_high, 0.05)):
        assert ncf.cdf(f, 6, 73, 1500 / 80 * bound) == pytest.approx(level, abs=1e-7)
    auc = exact_cho_interval(present, absent, confidence=0.9)
    for bound, of_auc in ((interval.ci_low, auc.ci_low), (interval.value, auc.value), (interval.ci_high, auc.ci_high)):
        assert of_auc == pytest.approx(ndtr(np.sqrt(bound / 2)), rel=1e-12)


@pytest.mark.parametrize(
    ("n_present", "n_absent", "p", "snr2"), [(25, 25, 3, 0.1), (20, 60, 6, 1.2), (60, 60, 40, 3.0), (4, 5, 5, 2.0)]
)
@pytest.mark.parametrize("known", [False, True])
def test_coverage(n_present, n_absent, p, snr2, known):
    rng = np.random.default_rng(2)
    auc = ndtr(np.sqrt(snr2 / 2.0))
    low = high = above = 0
    for _ in range(2_000):
        present, absent, difference = draw(rng, n_present, n_absent, p, snr2)
        interval = exact_cho_interval(present, absent, known_difference=difference if known else None)
        low += auc < interval.ci_low
        high += auc > interval.ci_high
        above += auc > interval.value
    # Standard error of the coverage 0.0049: 3 of them either way, 1 in 400 a case. Of each tail 0.0035, 4: 1 in 16,000.
    assert 0.935 <= 1.0 - (low + high) / 2_000 <= 0.965
    assert low / 2_000 == pytest.approx(0.025, abs=0.014)
    assert high / 2_000 == pytest.approx(0.025, abs=0.014)
    # The estimate lies below the truth in half the studies: standard error 0.011, 4 of them: 1 in 16,000.
    assert above / 2_000 == pytest.approx(0.5, abs=0.045)


def test_without_a_signal_the_lower_bound_is_one_half():
    rng = np.random.default_rng(3)
    intervals = [exact_cho_interval(*draw(rng, 20, 20, 4, 0.0)[:2]) for _ in range(1_000)]
    # An AUC of ½ cannot be missed from above, so 97.5 % cover it: standard error 0.0049, 4 of them: 1 in 16,000.
    assert np.mean([i.ci_low == 0.5 for i in intervals]) == pytest.approx(0.975, abs=0.02)
    assert all(0.5 <= i.ci_low <= i.value <= i.ci_high for i in intervals)


def test_the_unbiased_estimate_is():
    rng = np.random.default_rng(4)
    estimates = np.array([cho_snr2(*draw(rng, 12, 18, 5, 0.8)[:2]).unbiased for _ in range(4_000)])
    # 4 standard errors of the mean: 1 in 16,000.
    assert estimates.mean() == pytest.approx(0.8, abs=4.0 * estimates.std() / np.sqrt(4_000))
    assert estimates.min() < 0.0


@pytest.mark.parametrize("known", [False, True])
def test_only_the_span_of_the_channels_matters(known):
    rng = np.random.default_rng(5)
    present, absent, difference = draw(rng, 20, 30, 4, 1.0)
    mix, shift = rng.standard_normal((4, 4)) * [1e-6, 1.0, 1e3, 1e6], rng.standard_normal(4)
    expected = exact_cho_interval(present, absent, known_difference=difference if known else None)
    mixed = exact_cho_interval(
        present @ mix + shift, absent @ mix + shift, known_difference=difference @ mix if known else None
    )
    swapped = exact_cho_interval(absent, present, known_difference=-difference if known else None)
    for other in (mixed, swapped):
        np.testing.assert_allclose(
            [other.value, other.ci_low, other.ci_high], [expected.value, expected.ci_low, expected.ci_high], rtol=1e-6
        )


def test_the_edges_of_small_and_easy():
    rng = np.random.default_rng(6)
    smallest = exact_cho_interval(rng.standard_normal((2, 1)) + 5.0, rng.standard_normal((2, 1)))
    assert 0.5 <= smallest.ci_low <= smallest.value <= smallest.ci_high <= 1.0
    separated = exact_cho_interval(rng.standard_normal((50, 2)) + 1e5, rng.standard_normal((50, 2)))
    assert separated.ci_low == separated.ci_high == 1.0
    wide, narrow = (exact_cho_interval(*draw(rng, 50, 50, 3, 1.0)[:2], confidence=c) for c in (0.99, 0.5))
    assert wide.ci_high - wide.ci_low > 2.0 * (narrow.ci_high - narrow.ci_low)
    nothing = exact_cho_interval(*rng.standard_normal((2, 9, 3)), known_difference=np.zeros(3))
    assert nothing.ci_low == nothing.ci_high == 0.5


def test_bad_channel_outputs():
    v_present, v_absent = np.random.default_rng(7).standard_normal((2, 10, 4))
    with pytest.raises(ValueError, match="with as many channels in both"):
        exact_cho_interval(v_present, v_absent[:, 1:])
    with pytest.raises(ValueError, match="with as many channels in both"):
        exact_cho_interval(v_present[:, 0], v_absent[:, 0])
    with pytest.raises(ValueError, match="there are 10 signal-present and 1 signal-absent"):
        exact_cho_interval(v_present, v_absent[:1])
    with pytest.raises(ValueError, match="not finite"):
        exact_cho_interval(v_present, np.where(v_absent > 1.0, np.inf, v_absent))
    with pytest.raises(ValueError, match="confidence is 95"):
        exact_cho_interval(v_present, v_absent, confidence=95)
    with pytest.raises(ValueError, match="5 trials for 4 channels; an exact interval needs 6 or more"):
        exact_cho_interval(v_present[:2], v_absent[:3])
    with pytest.raises(ValueError, match="4 trials for 4 channels; an exact interval needs 5 or more"):
        exact_cho_interval(v_present[:2], v_absent[:2], known_difference=np.ones(4))
    with pytest.raises(ValueError, match="7 trials for 4 channels have no unbiased SNR²; it needs 8 or more"):
        cho_snr2(v_present[:4], v_absent[:3])
    with pytest.raises(ValueError, match="known_difference must be 4 finite values"):
        exact_cho_interval(v_present, v_absent, known_difference=np.ones(3))
    for weights in ([1.0, 0.0, 0.0, 0.0], [1.0, -2.0, 0.5, 0.0]):
        present, absent = (np.column_stack([v, v @ weights]) for v in (v_present, v_absent))
        with pytest.raises(ValueError, match="5 channels is singular"):
            exact_cho_interval(present, absent)
    constant = np.full((10, 1), 0.1)
    with pytest.raises(ValueError, match="1 of 5 channels do not vary"):
        exact_cho_interval(np.hstack([v_present, constant]), np.hstack([v_absent, constant + 1.0]))
