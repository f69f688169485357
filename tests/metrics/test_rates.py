"""Rates: exact for single trials, and right for clusters whatever their correlation is."""

import numpy as np
import pytest
from scipy.stats import binom

from taskct.metrics.rates import design_effect, rate_interval


@pytest.mark.parametrize(("hits", "n"), [(0, 30), (1, 30), (12, 30), (30, 30)])
def test_single_trials_have_the_binomial_law(hits, n):
    found = rate_interval(np.arange(n) < hits)
    assert found.value == hits / n
    # Clopper and Pearson's definition: each bound leaves 2.5 % beyond what was seen.
    if hits:
        assert binom.sf(hits - 1, n, found.ci_low) == pytest.approx(0.025, rel=1e-6)
    if hits < n:
        assert binom.cdf(hits, n, found.ci_high) == pytest.approx(0.025, rel=1e-6)
    assert (found.ci_low == 0.0) is (hits == 0)
    assert (found.ci_high == 1.0) is (hits == n)


def test_copies_of_a_trial_add_nothing():
    hits = np.random.default_rng(0).random(40) < 0.2
    clusters = np.arange(40)
    single = rate_interval(hits)
    assert design_effect(hits, clusters) == 1.0
    for copies in (1, 7):
        found = rate_interval(np.repeat(hits, copies), clusters=np.repeat(clusters, copies))
        bounds = found.value, found.ci_low, found.ci_high
        assert bounds == pytest.approx((single.value, single.ci_low, single.ci_high), rel=1e-9)


def test_without_hits_a_cluster_counts_once():
    # Of k clusters none holds a hit with probability (1 − p)^k or less, whatever the correlation within them.
    none = np.zeros(300, dtype=bool)
    clusters = np.arange(300) // 10
    assert rate_interval(none, clusters=clusters).ci_high == pytest.approx(1.0 - 0.025 ** (1 / 30), rel=1e-9)
    assert rate_interval(~none, clusters=clusters).ci_low == pytest.approx(0.025 ** (1 / 30), rel=1e-9)
    # A large cluster leaves fewer than there are: 200 trials of one and 100 of ten others.
    uneven = np.concatenate([np.zeros(200, dtype=int), 1 + np.arange(100) // 10])
    alike = 300**2 / (200**2 + 10 * 10**2)
    assert rate_interval(none, clusters=uneven).ci_high == pytest.approx(1.0 - 0.025 ** (1 / alike), rel=1e-9)


def test_independent_trials_in_many_clusters_come_near_the_binomial_law():
    hits = np.random.default_rng(1).random(4000) < 0.3
    plain, clustered = rate_interval(hits), rate_interval(hits, clusters=np.arange(4000) // 10)
    # 400 clusters: the design effect scatters by 7 % (the width by half) and is drawn up by 9/400: 10 % is 2.5 errors.
    assert clustered.ci_high - clustered.ci_low == pytest.approx(plain.ci_high - plain.ci_low, rel=0.1)


def test_misuse_is_refused():
    hits = np.zeros(4, dtype=bool)
    for call, message in [
        (lambda: rate_interval(np.zeros(4)), "bool"),
        (lambda: rate_interval(hits[:0]), "shape"),
        (lambda: rate_interval(hits, confidence=95.0), "confidence"),
        (lambda: rate_interval(hits, clusters=np.zeros(3, dtype=int)), "one label"),
        (lambda: rate_interval(hits, clusters=np.zeros(4, dtype=int)), "at least 2 clusters"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
