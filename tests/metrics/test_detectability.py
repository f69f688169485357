"""d_a and snr_t against closed forms, noncentral t by simulation, and each other."""

import math

import numpy as np
import pytest
from scipy.stats import binom, nct, norm

from taskct.metrics.detectability import d_a, d_a_interval, snr_t, snr_t_interval
from taskct.metrics.roc import auc, delong_interval


def test_d_a_of_equal_variance_normals_is_their_distance():
    for distance in (-2.0, 0.0, 0.3, 1.0, 4.0):
        assert d_a(norm.cdf(distance / math.sqrt(2.0))) == pytest.approx(distance, abs=1e-12)
    # Unequal variances: distance over the root of the mean variance.
    assert d_a(norm.cdf(1.5 / math.sqrt(1.0 + 2.0**2))) == pytest.approx(1.5 / math.sqrt(2.5), rel=1e-12)


def test_d_a_interval_says_what_the_auc_interval_says():
    rng = np.random.default_rng(1)
    present, absent = 1.0 + rng.normal(size=60), rng.normal(size=50)
    area, distance = delong_interval(present, absent), d_a_interval(present, absent)
    for a, d in zip(*[(i.ci_low, i.value, i.ci_high) for i in (area, distance)], strict=True):
        assert norm.cdf(d / math.sqrt(2.0)) == pytest.approx(a, rel=1e-9)


def test_d_a_at_the_ends_is_infinite_and_bounded_from_one_side():
    present, absent = np.arange(20.0) + 100.0, np.arange(30.0)
    interval = d_a_interval(present, absent)
    assert interval.value == interval.ci_high == math.inf
    assert norm.cdf(interval.ci_low / math.sqrt(2.0)) ** 20 == pytest.approx(0.025, rel=1e-9)
    turned = d_a_interval(-present, -absent)
    assert turned.value == turned.ci_low == -math.inf
    assert turned.ci_high == pytest.approx(-interval.ci_low, rel=1e-9)
    constant = d_a_interval(np.ones(4), np.ones(4))
    assert (constant.ci_low, constant.value, constant.ci_high) == (0.0, 0.0, 0.0)


def test_snr_t_by_its_definition_and_its_laws():
    rng = np.random.default_rng(2)
    present, absent = 3.0 + 2.0 * rng.normal(size=40), rng.normal(size=25)
    expected = (present.mean() - absent.mean()) / math.sqrt((present.var(ddof=1) + absent.var(ddof=1)) / 2.0)
    assert snr_t(present, absent) == pytest.approx(expected, rel=1e-12)
    assert snr_t(5.0 - 3.0 * absent, 5.0 - 3.0 * present) == pytest.approx(expected, rel=1e-12)
    ours, scaled = snr_t_interval(present, absent), snr_t_interval(10.0 * present - 4.0, 10.0 * absent - 4.0)
    assert (ours.ci_low, ours.ci_high) == pytest.approx((scaled.ci_low, scaled.ci_high), rel=1e-9)
    turned = snr_t_interval(absent, present)
    assert (turned.ci_low, turned.ci_high) == pytest.approx((-ours.ci_high, -ours.ci_low), rel=1e-9)


def test_snr_t_and_d_a_agree_on_normal_scores():
    rng = np.random.default_rng(3)
    present, absent = 1.5 + rng.normal(size=100_000), rng.normal(size=100_000)
    # Standard errors: √(2/n + snr²/(4n)) = 0.005 for snr_t, little more for d_a; 5 of 0.008. False alarm 1e-6.
    assert snr_t(present, absent) == pytest.approx(1.5, abs=0.04)
    assert d_a(auc(present, absent)) == pytest.approx(1.5, abs=0.04)


@pytest.mark.parametrize("distance", [-1.0, 0.0, 2.0, 30.0])
def test_snr_t_interval_inverts_the_noncentral_t(distance):
    rng = np.random.default_rng(4)
    present, absent = rng.normal(size=12), rng.normal(size=12)
    present = (present - present.mean()) / present.std(ddof=1) + distance
    absent = (absent - absent.mean()) / absent.std(ddof=1)
    interval = snr_t_interval(present, absent, confidence=0.9)
    assert interval.value == pytest.approx(distance, abs=1e-12)
    root = math.sqrt(12 / 2)  # equal variances: Student's t with 22 degrees of freedom
    assert nct.sf(root * distance, 22, root * interval.ci_low) == pytest.approx(0.05, rel=1e-4)
    assert nct.cdf(root * distance, 22, root * interval.ci_high) == pytest.approx(0.05, rel=1e-4)


@pytest.mark.parametrize(("n_present", "n_absent", "spread"), [(5, 5, 1.0), (40, 15, 2.0)])
def test_snr_t_interval_covers(n_present, n_absent, spread):
    rng = np.random.default_rng(5)
    truth, n_studies, covered = 2.0 / math.sqrt((1.0 + spread**2) / 2.0), 1000, 0
    for _ in range(n_studies):
        interval = snr_t_interval(2.0 + spread * rng.normal(size=n_present), rng.normal(size=n_absent))
        covered += interval.ci_low <= truth <= interval.ci_high
    # Exact for the first; 0.94 to 0.96 allowed for the second. Bounds at the 1e-4 points of the binomial.
    assert binom.ppf(1e-4, n_studies, 0.94) <= covered <= binom.isf(1e-4, n_studies, 0.96)


def test_misuse_is_refused():
    for area in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="AUC"):
            d_a(area)
    for function in (snr_t, snr_t_interval):
        with pytest.raises(ValueError, match="no variance"):
            function(np.ones(3), np.zeros(3))
        with pytest.raises(ValueError, match="at least 2"):
            function(np.ones(1), np.zeros(3))
        with pytest.raises(ValueError, match="finite"):
            function(np.array([1.0, np.inf]), np.zeros(3))
    with pytest.raises(ValueError, match="confidence"):
        snr_t_interval(np.array([1.0, 2.0]), np.array([0.0, 1.0]), confidence=95)
