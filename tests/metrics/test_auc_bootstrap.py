"""Bootstrap of the AUC against sampled repetitions, DeLong's closed form, and clusters."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from taskct.metrics.auc_bootstrap import bootstrap_auc, bootstrap_difference, resample_trials
from taskct.metrics.clustered import Clusters
from taskct.metrics.roc import auc, delong_covariance, delong_difference, delong_interval


def draw(seed, n_present=150, n_absent=120, n_methods=2):
    rng = np.random.default_rng(seed)
    mixing = np.eye(n_methods) + 0.5
    return mixing @ rng.normal(0.8, 1.0, (n_methods, n_present)), mixing @ rng.normal(size=(n_methods, n_absent))


def half_width(interval):
    return (interval.ci_high - interval.ci_low) / 2.0


def test_width_is_that_of_delong():
    present, absent = draw(1)
    ours = bootstrap_auc(present[0], absent[0], n_bootstrap=4000, seed=2)
    theirs = delong_interval(present[0], absent[0])
    assert ours.value == theirs.value
    # 4000 resamples give a standard deviation within 1.1 % (one standard error); DeLong's interaction term differs
    # by less than 1 %. 6 % is over 4 standard errors: false alarm below 1e-4.
    assert half_width(ours) == pytest.approx(half_width(theirs), rel=0.06)
    delta, std_error = delong_difference(present, absent)
    difference = bootstrap_difference(present, absent, n_bootstrap=4000, seed=3)
    assert difference.delta_auc == delta
    assert half_width(difference) == pytest.approx(norm.ppf(0.975) * std_error, rel=0.06)
    z = norm.ppf(0.975) * delta / half_width(difference)
    assert difference.p_value == pytest.approx(2.0 * norm.sf(abs(z)), rel=1e-9)


def test_width_of_clusters_is_that_of_the_clustered_covariance():
    rng = np.random.default_rng(4)
    cluster = np.repeat(np.arange(120), 5)
    t = rng.normal(size=120)[cluster] + rng.normal(size=600)
    # Clusters of present trials only, absent trials only, and both.
    is_present = (cluster < 40) | ((cluster >= 80) & (np.arange(600) % 2 == 0))
    t += is_present
    clusters = Clusters.of(cluster[is_present], cluster[~is_present])
    ours = bootstrap_auc(t[is_present], t[~is_present], clusters=clusters, n_bootstrap=4000, seed=5)
    variance = delong_covariance(t[None, is_present], t[None, ~is_present], clusters)[0, 0]
    logit_half_width = norm.ppf(0.975) * np.sqrt(variance) / (ours.value * (1 - ours.value))
    bounds = np.log(ours.ci_high / (1 - ours.ci_high)) - np.log(ours.ci_low / (1 - ours.ci_low))
    # As above, and strata and their means differ from Obuchowski's common mean: 10 %. False alarm below 1e-4.
    assert bounds / 2.0 == pytest.approx(logit_half_width, rel=0.1)
    alone = bootstrap_auc(t[is_present], t[~is_present], n_bootstrap=1000, seed=6)
    assert half_width(ours) > 1.3 * half_width(alone)


def test_weights_are_whole_clusters_of_every_kind():
    clusters = Clusters.of([0, 0, 1, 2, 3, 3, 4], [3, 4, 4, 5, 6, 6])  # 3 with present trials, 2 absent, 2 both
    for w_present, w_absent in resample_trials(clusters, n_bootstrap=50, seed=7):
        assert (w_present[:, 0] == w_present[:, 1]).all()
        assert (w_present[:, 4] == w_absent[:, 0]).all()  # cluster 3, either class
        assert (w_present[:, 6] == w_absent[:, 1]).all()  # cluster 4
        np.testing.assert_allclose(w_present[:, [0, 2, 3]].sum(axis=1), 3.0)
        np.testing.assert_allclose(w_present[:, [4, 6]].sum(axis=1), 2.0)
        np.testing.assert_allclose(w_absent[:, [3, 4]].sum(axis=1), 2.0)


def test_weights_have_the_variance_of_a_mean():
    x = np.random.default_rng(8).normal(size=6)
    clusters = Clusters.of_single_trials(6, 6)
    means = np.concatenate([w @ x / 6 for w, _ in resample_trials(clusters, n_bootstrap=20_000, seed=9)])
    # Standard error of the mean with n − 1, not n. The variance of 20,000 has a relative standard error of at most
    # √(2/20000) = 1 % (kurtosis is below normal here): 5 % is 5 of them, false alarm 6e-7; n instead is 17 % off.
    assert means.var() == pytest.approx(x.var(ddof=1) / 6, rel=0.05)


def test_a_cluster_alone_of_its_kind_is_always_there():
    clusters = Clusters.of([0, 1, 1, 2], [1, 2, 3, 3])
    for w_present, w_absent in resample_trials(clusters, n_bootstrap=20, seed=10):
        assert (w_present[:, 0] == 1.0).all()
        assert (w_absent[:, 2:] == 1.0).all()
        assert set(np.unique(w_present[:, 1:])) == {0.0, 2.0}


def test_resamples_are_weighted_aucs():
    present, absent = (t[0] for t in draw(11, n_present=9, n_absent=8))
    present, absent = present.round(0), absent.round(0)
    draws = resample_trials(Clusters.of_single_trials(9, 8), n_bootstrap=30, seed=12)
    truth, scores = np.repeat([1, 0], [9, 8]), np.concatenate([present, absent])
    weights = np.concatenate([np.concatenate(w, axis=1) for w in draws])
    spread = np.std([roc_auc_score(truth, scores, sample_weight=w) for w in weights], ddof=1)
    interval = bootstrap_auc(present, absent, n_bootstrap=30, seed=12)
    centre, area = np.log(interval.value / (1 - interval.value)), interval.value
    expected = 1.0 / (1.0 + np.exp(-centre + norm.ppf(0.975) * spread / (area * (1 - area))))
    assert interval.ci_low == pytest.approx(expected, rel=1e-9)


def test_perfect_separation_and_constants():
    perfect = bootstrap_auc(np.arange(5.0) + 9.0, np.arange(4.0), seed=0)
    assert perfect == delong_interval(np.arange(5.0) + 9.0, np.arange(4.0))
    constant = bootstrap_auc(np.zeros(5), np.zeros(4), seed=0)
    assert (constant.value, constant.ci_low, constant.ci_high) == (0.5, 0.5, 0.5)


def test_same_seed_same_interval_whatever_the_order_of_methods():
    present, absent = draw(13, n_present=20, n_absent=25)
    assert bootstrap_auc(present[0], absent[0], seed=1) == bootstrap_auc(present[0], absent[0], seed=1)
    assert bootstrap_auc(present[0], absent[0], seed=1) != bootstrap_auc(present[0], absent[0], seed=2)
    ab, ba = (bootstrap_difference(present[::s], absent[::s], seed=3) for s in (1, -1))
    assert (ab.ci_low, ab.p_value) == pytest.approx((-ba.ci_high, ba.p_value), rel=1e-12)
    assert ab.delta_auc == auc(present[0], absent[0]) - auc(present[1], absent[1])


def test_misuse_is_refused():
    good = np.arange(4.0)
    with pytest.raises(ValueError, match="n_bootstrap"):
        bootstrap_auc(good, good, n_bootstrap=1, seed=0)
    with pytest.raises(ValueError, match="confidence"):
        bootstrap_auc(good, good, confidence=95, seed=0)
    with pytest.raises(ValueError, match="clusters"):
        bootstrap_auc(good, good, clusters=Clusters.of_single_trials(3, 4), seed=0)
    with pytest.raises(ValueError, match="finite"):
        bootstrap_auc(good, np.array([0.0, np.nan]), seed=0)
    with pytest.raises(ValueError, match="2 methods"):
        bootstrap_difference(np.zeros((3, 4)), np.zeros((3, 4)), seed=0)
