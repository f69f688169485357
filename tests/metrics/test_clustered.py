"""Clustered ROC analysis against Obuchowski's formulas pair by pair, DeLong, and simulated clusters."""

import numpy as np
import pytest
from scipy.stats import chi2

from taskct.metrics.clustered import Clusters
from taskct.metrics.roc import auc, delong_covariance, delong_difference, delong_interval, paired_delong


def draw(seed, n_methods=2, n_clusters=12, decimals=None):
    """Clusters of 0 to 3 trials of either class, correlated within."""
    rng = np.random.default_rng(seed)
    labels = [np.repeat(np.arange(n_clusters), rng.integers(0, 4, size=n_clusters)) for _ in range(2)]
    shared = rng.normal(size=(n_methods, n_clusters))
    t = [shared[:, c] + rng.normal(size=(n_methods, len(c))) + shift for c, shift in zip(labels, (1, 0), strict=True)]
    if decimals is not None:
        t = [x.round(decimals) for x in t]
    return t[0], t[1], labels


def obuchowski(t_present, t_absent, c_present, c_absent):
    """Sums over clusters as Obuchowski (1997) writes them; O(n²)."""
    n_methods, n_present = t_present.shape
    n_absent = t_absent.shape[1]
    ids = sorted({*c_present, *c_absent})
    sums = np.zeros((2, n_methods, len(ids)))
    for m in range(n_methods):
        kernel = (t_present[m][:, None] > t_absent[m]) + 0.5 * (t_present[m][:, None] == t_absent[m])
        area = kernel.mean()
        for i, cluster in enumerate(ids):
            v10, v01 = kernel.mean(axis=1)[c_present == cluster], kernel.mean(axis=0)[c_absent == cluster]
            sums[0, m, i], sums[1, m, i] = v10.sum() - len(v10) * area, v01.sum() - len(v01) * area
    i10, i01, i_all = len(set(c_present)), len(set(c_absent)), len(ids)
    expected = np.zeros((n_methods, n_methods))
    for r in range(n_methods):
        for s in range(n_methods):
            s10 = i10 / ((i10 - 1) * n_present) * (sums[0, r] @ sums[0, s])
            s01 = i01 / ((i01 - 1) * n_absent) * (sums[1, r] @ sums[1, s])
            s11 = i_all / (i_all - 1) * (sums[0, r] @ sums[1, s])
            s11_turned = i_all / (i_all - 1) * (sums[0, s] @ sums[1, r])
            expected[r, s] = s10 / n_present + s01 / n_absent + (s11 + s11_turned) / (n_present * n_absent)
    return expected


@pytest.mark.parametrize("decimals", [None, 0])
def test_covariance_is_obuchowskis(decimals):
    t_present, t_absent, (c_present, c_absent) = draw(1, n_methods=3, decimals=decimals)
    covariance = delong_covariance(t_present, t_absent, Clusters.of(c_present, c_absent))
    np.testing.assert_allclose(covariance, obuchowski(t_present, t_absent, c_present, c_absent), rtol=1e-10)


@pytest.mark.parametrize("decimals", [None, 0])
def test_single_trials_give_delong_exactly(decimals):
    t_present, t_absent, _ = draw(2, n_methods=3, decimals=decimals)
    n_present, n_absent = t_present.shape[1], t_absent.shape[1]
    labels = np.random.default_rng(3).permutation(n_present + n_absent)
    for single in (
        Clusters.of_single_trials(n_present, n_absent),
        Clusters.of(labels[:n_present], labels[n_present:]),
    ):
        covariance = delong_covariance(t_present, t_absent, single)
        np.testing.assert_allclose(covariance, delong_covariance(t_present, t_absent), rtol=1e-10)
        ours, plain = delong_interval(t_present[0], t_absent[0], single), delong_interval(t_present[0], t_absent[0])
        assert (ours.value, ours.ci_low, ours.ci_high) == pytest.approx((plain.value, plain.ci_low, plain.ci_high))
        ours, plain = (
            paired_delong(t_present[:2], t_absent[:2], single),
            paired_delong(t_present[:2], t_absent[:2]),
        )
        assert (ours.delta_auc, ours.p_value) == pytest.approx((plain.delta_auc, plain.p_value))


def test_labels_may_be_text_and_in_any_order():
    t_present, t_absent, (c_present, c_absent) = draw(4)
    named = Clusters.of([f"case {c}" for c in c_present], [f"case {c}" for c in c_absent])
    numbered = Clusters.of(c_present, c_absent)
    expected = delong_covariance(t_present, t_absent, numbered)
    np.testing.assert_allclose(delong_covariance(t_present, t_absent, named), expected, rtol=1e-12)
    order = np.random.default_rng(5).permutation(len(c_present))
    shuffled = delong_covariance(t_present[:, order], t_absent, Clusters.of(c_present[order], c_absent))
    np.testing.assert_allclose(shuffled, expected, rtol=1e-10)


def test_every_trial_k_times_in_its_cluster_says_no_more_than_once():
    t_present, t_absent, _ = draw(6)
    single = Clusters.of_single_trials(t_present.shape[1], t_absent.shape[1])
    once = delong_covariance(t_present, t_absent, single)
    repeated = Clusters.of(np.repeat(single.present, 5), np.repeat(single.absent, 5))
    five_times = delong_covariance(np.repeat(t_present, 5, axis=1), np.repeat(t_absent, 5, axis=1), repeated)
    np.testing.assert_allclose(five_times, once, rtol=1e-10)


@pytest.mark.parametrize("mixed", [False, True])
def test_variance_is_that_of_simulated_clusters(mixed):
    rng = np.random.default_rng(7)
    n_clusters, size, n_studies = 60, 4, 1500
    cluster = np.repeat(np.arange(n_clusters), size)
    is_present = np.arange(len(cluster)) % 2 == 0 if mixed else cluster < n_clusters // 2
    clusters = Clusters.of(cluster[is_present], cluster[~is_present])
    areas, estimates = np.empty(n_studies), np.empty(n_studies)
    for study in range(n_studies):
        t = rng.normal(size=n_clusters)[cluster] + rng.normal(size=len(cluster)) + 1.2 * is_present
        areas[study] = auc(t[is_present], t[~is_present])
        estimates[study] = delong_covariance(t[None, is_present], t[None, ~is_present], clusters)[0, 0]
    # The sample variance of the areas has a relative standard error of √(2/1500) = 3.7 %, at 1e-4 on either side;
    # 5 % are left to the approximation for many clusters. False-alarm rate below 2e-4.
    low, high = chi2.ppf([1e-4, 1.0 - 1e-4], n_studies - 1) / (n_studies - 1)
    assert low / 1.05 < areas.var(ddof=1) / estimates.mean() < high * 1.05
    ratio = delong_covariance(t[None, is_present], t[None, ~is_present], clusters) / delong_covariance(
        t[None, is_present], t[None, ~is_present]
    )
    assert (ratio < 0.9) if mixed else (ratio > 1.3)  # shared effects cancel within a cluster, or add up


def test_perfect_separation_counts_independent_pairs_of_clusters():
    clusters = Clusters.of(np.repeat(np.arange(6), 3), np.repeat(np.arange(2, 9), 2))
    assert clusters.n_pairs == 4  # 9 clusters make 4 pairs
    interval = delong_interval(np.arange(18.0) + 100.0, np.arange(14.0), clusters)
    assert interval.ci_low**4 == pytest.approx(0.025, rel=1e-9)
    assert interval.ci_high == 1.0


def test_methods_that_rank_alike_do_not_differ():
    t_present, t_absent, (c_present, c_absent) = draw(8, n_methods=1)
    twice = np.concatenate([t_present, t_present**3]), np.concatenate([t_absent, t_absent**3])
    assert delong_difference(*twice, Clusters.of(c_present, c_absent)) == (0.0, 0.0)


def test_difference_follows_from_the_covariance():
    t_present, t_absent, (c_present, c_absent) = draw(9)
    clusters = Clusters.of(c_present, c_absent)
    delta, std_error = delong_difference(t_present, t_absent, clusters)
    contrast = np.array([1.0, -1.0])
    variance = contrast @ delong_covariance(t_present, t_absent, clusters) @ contrast
    assert std_error == pytest.approx(np.sqrt(variance), rel=1e-9)
    assert delta == auc(t_present[0], t_absent[0]) - auc(t_present[1], t_absent[1])


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="at least 2 must"):
        Clusters.of([1, 1, 1], [1, 2, 3])
    for labels in ([], [[1, 2]]):
        with pytest.raises(ValueError, match="one for each trial"):
            Clusters.of(labels, [1, 2])
    clusters = Clusters.of([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="for 2 and 2"):
        delong_interval(np.array([1.0, 2.0]), np.array([0.0, 1.0]), clusters)
    with pytest.raises(ValueError, match="finite"):
        delong_interval(np.array([1.0, 2.0, np.nan]), np.array([0.0, 1.0]), clusters)
    with pytest.raises(ValueError, match="2 methods"):
        delong_difference(np.zeros((3, 3)), np.zeros((3, 2)), clusters)
