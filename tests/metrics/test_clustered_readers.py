"""Readers on clustered trials: against MRMC without clusters, a direct sum, and simulated studies."""

import math

import numpy as np
import pytest

from taskct.metrics.clustered import Clusters
from taskct.metrics.clustered_readers import clustered_readers_difference, clustered_readers_interval, reader_mean
from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.mrmc.ratings import Ratings
from taskct.metrics.roc import auc, delong_covariance


def scores(rng, n_modalities, n_readers, n_cases, per_case):
    """Readers of one skill; what a case's trials share is half their variance."""
    cases = np.repeat(np.arange(n_cases), per_case)
    shared = rng.normal(size=(n_modalities, 1, n_cases))[..., cases]
    own = rng.normal(size=(n_modalities, 1, len(cases)))
    return (shared + own) / math.sqrt(2) + 0.5 * rng.normal(size=(n_modalities, n_readers, len(cases))), cases


def test_variance_is_that_of_readers_and_what_cases_share():
    rng = np.random.default_rng(0)
    areas, c = rng.random(4), np.cov(rng.normal(size=(4, 9)))
    mean = reader_mean(areas, c, n_cases=9)
    shared = max(np.mean([c[i, j] for i in range(4) for j in range(4) if i != j]), 0.0)
    among = sum((a - areas.mean()) ** 2 for a in areas) / 3
    assert (mean.value, mean.error.variance) == pytest.approx((areas.mean(), among / 4 + shared))
    assert mean.error.of_readers == pytest.approx(among / 4)
    assert (mean.error.df_readers, mean.error.df_cases) == (3.0, 8.0)
    assert reader_mean(np.full(3, 0.8), np.zeros((3, 3)), n_cases=5).error.variance == 0.0


def test_with_one_trial_a_case_it_agrees_with_the_mrmc_u_statistic():
    rng = np.random.default_rng(1)
    present, absent = rng.normal(1.0, 1.0, (4, 300)), rng.normal(0.0, 1.0, (4, 300))
    present += rng.normal(size=300)
    absent += rng.normal(size=300)
    found = clustered_readers_interval(present, absent, Clusters.of(np.arange(300), 300 + np.arange(300)))
    truth = np.arange(600) < 300
    both = np.concatenate([present, absent], axis=1)[None]
    study = Ratings(both, truth, ("A",), tuple("1234"), tuple(map(str, range(600))))
    wanted = analyze(study).modalities["A"]
    assert found.value == pytest.approx(wanted.auc)
    # Two estimators of one variance that differ in terms of 1/n; and degrees of freedom by different formulas.
    assert found.ci_high - found.ci_low == pytest.approx(wanted.ci_high - wanted.ci_low, rel=0.05)


def test_a_difference_is_that_of_the_means_and_one_of_nothing_is_certain():
    rng = np.random.default_rng(2)
    t, cases = scores(rng, 2, 3, 30, 4)
    clusters = Clusters.of(cases, cases)
    present, absent = t + 1.0, scores(rng, 2, 3, 30, 4)[0]
    found, law = clustered_readers_difference(present, absent, clusters)
    areas = np.array([[auc(p, a) for p, a in zip(*m, strict=True)] for m in zip(present, absent, strict=True)])
    assert found.delta_auc == pytest.approx(areas[0].mean() - areas[1].mean())
    c = delong_covariance(present.reshape(6, -1), absent.reshape(6, -1), clusters)
    pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
    shared = np.mean([c[i, j] + c[3 + i, 3 + j] - c[i, 3 + j] - c[3 + i, j] for i, j in pairs])
    assert law.error.variance == pytest.approx(np.var(areas[0] - areas[1], ddof=1) / 3 + max(shared, 0.0))
    of_first = np.mean([c[i, j] for i, j in pairs])
    assert law.variance_first == pytest.approx(np.var(areas[0], ddof=1) / 3 + max(of_first, 0.0))
    assert (found.ci_low, found.ci_high, found.p_value) == (*law.bounds(0.95), law.p_value())
    same = clustered_readers_difference(np.stack([present[0]] * 2), np.stack([absent[0]] * 2), clusters)[0]
    assert (same.delta_auc, same.p_value) == (0.0, 1.0)


def test_at_an_area_of_1_the_interval_is_the_exact_one():
    present, absent = np.full((3, 20), 1.0), np.zeros((3, 20))
    found = clustered_readers_interval(present, absent, Clusters.of(np.arange(20) // 2, 10 + np.arange(20) // 2))
    assert found.ci_low == pytest.approx(0.025 ** (1 / 3))  # three pairs share neither reader nor case
    assert found.ci_high == 1.0
