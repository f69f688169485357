"""ROC statistics on simulated studies: coverage of intervals, size of tests, and closed forms."""

import numpy as np
from scipy.integrate import quad
from scipy.stats import kstest, norm

from taskct.metrics.auc_bootstrap import bootstrap_auc, bootstrap_difference
from taskct.metrics.clustered import Clusters
from taskct.metrics.comparisons import equivalence, noninferiority
from taskct.metrics.detectability import d_a, d_a_interval, snr_t_interval
from taskct.metrics.operating import partial_auc, partial_auc_interval, sensitivity_interval
from taskct.metrics.roc import auc, delong_covariance, delong_difference, delong_interval, paired_delong
from validation.check import Check

N = 2000
"""Studies behind every coverage and size."""
REQUIRED = "required: 93.5 to 96.5 % over ≥ 2,000 studies"


def checks() -> list[Check]:
    """Every line of this area; about half a minute on one thread."""
    return [
        delong_twin(),
        *delong_coverage(),
        *paired_coverage(),
        *bootstrap_coverage(),
        *clustered_coverage(),
        *operating_coverage(),
        *test_sizes(),
        *closed_forms(),
    ]


def separation(area):
    """Distance of two unit normals with this AUC."""
    return np.sqrt(2.0) * norm.ppf(area)


def covers(interval, truth):
    return interval.ci_low <= truth <= interval.ci_high


def coverage(claim, hits):
    return Check(f"{claim}; {N:,} studies", 0.935, 0.965, float(np.mean(hits)), 0.95, REQUIRED)


def delong_twin():
    """DeLong's covariance from every pair of trials, O(n²), against ours, with ties."""
    rng = np.random.default_rng(0)
    present, absent = (rng.normal(shift, 1.0, size=(3, n)).round(1) for shift, n in ((1.0, 150), (0.0, 230)))
    wins = (present[:, :, None] > absent[:, None]) + 0.5 * (present[:, :, None] == absent[:, None])
    twin = np.cov(wins.mean(axis=2)) / 150 + np.cov(wins.mean(axis=1)) / 230
    worst = float(np.abs(delong_covariance(present, absent) / twin - 1.0).max())
    claim = (
        "DeLong covariance of 3 methods, 150 + 230 trials with ties: largest relative difference from its O(n²) twin"
    )
    return Check(claim, -1e-15, 1e-10, worst, 0.0, "rounding")


def delong_coverage():
    for seed, (n_present, n_absent, area) in enumerate(
        [(30, 30, 0.7), (30, 30, 0.9), (100, 100, 0.8), (100, 100, 0.95), (40, 160, 0.85)]
    ):
        rng = np.random.default_rng([1, seed])
        hits = [
            covers(delong_interval(separation(area) + rng.normal(size=n_present), rng.normal(size=n_absent)), area)
            for _ in range(N)
        ]
        yield coverage(f"DeLong interval (logit), {n_present} + {n_absent} trials, AUC {area}: coverage", hits)


def pairs(rng, n, areas, correlation):
    """Two methods on the same trials, `(2, n)` for either class."""
    mixing = np.linalg.cholesky([[1.0, correlation], [correlation, 1.0]])
    shift = np.array([[separation(area)] for area in areas])
    return shift + mixing @ rng.normal(size=(2, n)), mixing @ rng.normal(size=(2, n))


def paired_coverage():
    for seed, (n, areas) in enumerate([(50, (0.85, 0.75)), (100, (0.9, 0.85))]):
        rng = np.random.default_rng([2, seed])
        hits = []
        for _ in range(N):
            found = paired_delong(*pairs(rng, n, areas, 0.5))
            hits.append(covers(found, areas[0] - areas[1]))
        yield coverage(f"paired DeLong difference, {n} + {n} trials, AUC {areas[0]} and {areas[1]}: coverage", hits)
    rng = np.random.default_rng(3)
    p_values = [paired_delong(*pairs(rng, 150, (0.8, 0.8), 0.5)).p_value for _ in range(N)]
    measured = float(kstest(p_values, "uniform").statistic)
    limit = 1.949 / np.sqrt(N)  # 0.1 % point of Kolmogorov's distribution
    claim = f"paired DeLong p-values without a difference, 150 + 150 trials, {N:,} studies: distance from uniform"
    yield Check(claim, 0.0, limit, measured, 0.0, "0.1 % point of Kolmogorov–Smirnov")


def bootstrap_coverage():
    for seed, (n, area) in enumerate([(30, 0.7), (30, 0.9), (50, 0.95)]):
        rng = np.random.default_rng([4, seed])
        hits = []
        for study in range(N):
            t_present, t_absent = separation(area) + rng.normal(size=n), rng.normal(size=n)
            hits.append(covers(bootstrap_auc(t_present, t_absent, seed=study), area))
        yield coverage(f"bootstrap of the AUC, {n} + {n} trials, AUC {area}, 1,000 resamples: coverage", hits)
    rng = np.random.default_rng(5)
    hits = []
    for study in range(N):
        found = bootstrap_difference(*pairs(rng, 50, (0.85, 0.75), 0.5), n_bootstrap=500, seed=study)
        hits.append(covers(found, 0.1))
    yield coverage("bootstrap of a difference, 50 + 50 trials, AUC 0.85 and 0.75, 500 resamples: coverage", hits)


def in_clusters(rng, cluster, is_present, area, correlation, n_methods=1):
    """Scores of unit variance, correlated within a cluster; `(n_methods, n)` for either class."""
    shared = rng.normal(size=(n_methods, cluster.max() + 1))[:, cluster]
    own = rng.normal(size=(n_methods, len(cluster)))
    t = np.sqrt(correlation) * shared + np.sqrt(1.0 - correlation) * own + separation(area) * is_present
    return t[:, is_present], t[:, ~is_present]


def clustered_coverage():
    cluster = np.repeat(np.arange(60), 4)
    is_present = (cluster < 20) | ((cluster >= 40) & (np.arange(240) % 2 == 0))
    clusters = Clusters.of(cluster[is_present], cluster[~is_present])
    rng = np.random.default_rng(6)
    hits = np.zeros((N, 3), dtype=bool)
    areas, variances = np.empty(N), np.empty((N, 2))
    for study in range(N):
        t_present, t_absent = in_clusters(rng, cluster, is_present, 0.85, 0.5)
        first, second = t_present[0], t_absent[0]
        areas[study] = auc(first, second)
        variances[study, 0] = delong_covariance(t_present, t_absent, clusters)[0, 0]
        variances[study, 1] = delong_covariance(t_present, t_absent)[0, 0]
        hits[study, 0] = covers(delong_interval(first, second, clusters), 0.85)
        hits[study, 1] = covers(bootstrap_auc(first, second, clusters=clusters, seed=study), 0.85)
        hits[study, 2] = covers(delong_interval(first, second), 0.85)
    setting = "60 clusters of 4 trials (20 present, 20 absent, 20 both), correlation 0.5, AUC 0.85"
    yield coverage(f"Obuchowski's interval (logit), {setting}: coverage", hits[:, 0])
    yield coverage(f"bootstrap of whole clusters, {setting}, 1,000 resamples: coverage", hits[:, 1])
    claim = f"DeLong's interval on the same clusters, which it takes for single trials: coverage; {N:,} studies"
    yield Check(claim, 0.0, 0.935, float(hits[:, 2].mean()), None, "undercoverage: why clusters matter")
    error = 4.0 * np.sqrt(2.0 / N)
    ratio = float(variances[:, 0].mean() / areas.var(ddof=1))
    claim = f"Obuchowski's variance over the variance of simulated AUCs, {setting}; {N:,} studies"
    yield Check(claim, 1.0 - error, 1.0 + error, ratio, 1.0, "4 standard errors of a sample variance")
    rng = np.random.default_rng(7)
    found = [paired_delong(*in_clusters(rng, cluster, is_present, 0.85, 0.5, n_methods=2), clusters) for _ in range(N)]
    yield coverage(f"Obuchowski's difference of two methods, {setting}: coverage", [covers(d, 0.0) for d in found])


def operating_coverage():
    n, shift, fpf = 100, 1.5, 0.2
    sensitivity = norm.cdf(shift + norm.ppf(fpf))
    partial = quad(lambda f: norm.cdf(shift + norm.ppf(f)), 0.0, fpf)[0]
    rng = np.random.default_rng(8)
    hits = np.zeros((N, 4), dtype=bool)
    for study in range(N):
        t_present, t_absent = shift + rng.normal(size=n), rng.normal(size=n)
        settings = {"n_bootstrap": 300, "seed": study}
        found = sensitivity_interval(t_present, t_absent, specificity=1.0 - fpf, **settings)
        hits[study, 0] = covers(found, sensitivity)
        found = partial_auc_interval(t_present, t_absent, fpf=(0.0, fpf), standardised=False, **settings)
        hits[study, 1] = covers(found, partial)
        hits[study, 2] = covers(d_a_interval(t_present, t_absent), shift)
        hits[study, 3] = covers(snr_t_interval(t_present, t_absent), shift)
    setting = f"{n} + {n} trials, unit normals at a distance of {shift}"
    names = (
        "sensitivity at specificity 0.8 (Zhou & Qin's BTII, 300 resamples)",
        "partial AUC for FPF below 0.2 (basic bootstrap, 300 resamples)",
        "d_a (from DeLong)",
        "snr_t (noncentral t)",
    )
    for name, hit in zip(names, hits.T, strict=True):
        yield coverage(f"{name}, {setting}: coverage", hit)


def test_sizes():
    limit = 0.05 + 4.0 * np.sqrt(0.05 * 0.95 / N)
    basis = "nominal 0.05 and 4 Monte Carlo standard errors"
    n, margin = 200, 0.05
    for seed, (name, test, first) in enumerate(
        [
            ("non-inferiority", noninferiority, 0.80),
            ("equivalence", equivalence, 0.80),
            ("equivalence", equivalence, 0.9),
        ]
    ):
        rng = np.random.default_rng([9, seed])
        areas = (first, 0.85)  # worse, or better, by exactly the margin
        shown = [
            test(*delong_difference(*pairs(rng, n, areas, 0.5)), noninferiority_margin=margin).shown for _ in range(N)
        ]
        claim = f"{name} of AUC {first:g} to 0.85, margin {margin}, {n} + {n} trials: claims; {N:,} studies"
        yield Check(claim, 0.0, limit, float(np.mean(shown)), 0.05, basis)


def closed_forms():
    n = 200_000
    rng = np.random.default_rng(10)
    a, b = 1.2, 0.8
    t_present, t_absent = (a + rng.normal(size=n)) / b, rng.normal(size=n)
    found = auc(t_present, t_absent)
    expected = float(norm.cdf(a / np.sqrt(1.0 + b**2)))
    error = float(np.sqrt(delong_covariance(t_present[None], t_absent[None])[0, 0]))
    basis = "4 standard errors (DeLong)"
    yield Check(
        f"binormal AUC, {n:,} + {n:,} trials", expected - 4 * error, expected + 4 * error, found, expected, basis
    )
    expected = a / b / float(np.sqrt((1.0 + 1.0 / b**2) / 2.0))
    slope = float(np.sqrt(2.0) / norm.pdf(norm.ppf(found)))
    allowed = 4 * error * slope
    claim = "d_a of the same against distance over the root of the mean variance"
    yield Check(claim, expected - allowed, expected + allowed, d_a(found), expected, basis)
    curves = {
        "fpf": lambda fpf: norm.cdf(a + b * norm.ppf(fpf)),
        "tpf": lambda fpf: norm.cdf((a - norm.ppf(1.0 - fpf)) / b),  # of the mirrored test: 1 − FPF against 1 − TPF
    }
    for name, span in (("fpf", (0.0, 0.1)), ("fpf", (0.05, 0.3)), ("tpf", (0.8, 1.0))):
        low, high = span if name == "fpf" else (1.0 - span[1], 1.0 - span[0])
        expected, error = partial_area(curves[name], low, high, n)
        measured = partial_auc(t_present, t_absent, **{name: span}, standardised=False)
        claim = f"binormal partial AUC for {name.upper()} {span[0]:g} to {span[1]:g}, {n:,} + {n:,} trials"
        yield Check(
            claim, expected - 4 * error, expected + 4 * error, measured, expected, "4 standard errors (integral)"
        )


def partial_area(curve, low, high, n):
    """∫ TPF dFPF over a range and the standard error of its estimate from n trials of a class."""
    area = quad(curve, low, high)[0]
    # A present trial adds how much of the range lies beyond it; an absent one moves the curve below it.
    of_present = quad(lambda f: 2.0 * (high - f) * curve(f), low, high)[0] - area**2
    ends = curve(low), curve(high)
    mean = area + low * ends[0] + (1.0 - high) * ends[1]
    square = quad(lambda f: curve(f) ** 2, low, high)[0] + low * ends[0] ** 2 + (1.0 - high) * ends[1] ** 2
    return area, float(np.sqrt((of_present + square - mean**2) / n))
