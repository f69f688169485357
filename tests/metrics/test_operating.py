"""Partial areas and operating points against scikit-learn, thresholds one by one, closed forms and laws."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import binom, norm
from sklearn.metrics import roc_auc_score

from taskct.metrics.auc_bootstrap import resample_trials
from taskct.metrics.clustered import Clusters
from taskct.metrics.operating import (
    partial_auc,
    partial_auc_interval,
    sensitivity_at,
    sensitivity_interval,
    specificity_at,
    specificity_interval,
)
from taskct.metrics.roc import auc, roc_curve

TIES = pytest.mark.parametrize("decimals", [None, 1, 0])


def draw(seed, n_present=43, n_absent=37, decimals=None):
    rng = np.random.default_rng(seed)
    present, absent = rng.normal(1.0, 1.3, size=n_present), rng.normal(size=n_absent)
    return (present, absent) if decimals is None else (present.round(decimals), absent.round(decimals))


@TIES
@pytest.mark.parametrize("highest", [0.05, 0.2, 0.5, 0.999])
def test_standardised_partial_area_is_scikit_learns(decimals, highest):
    present, absent = draw(1, decimals=decimals)
    truth = np.repeat([1, 0], [len(present), len(absent)])
    expected = roc_auc_score(truth, np.concatenate([present, absent]), max_fpr=highest)
    assert partial_auc(present, absent, fpf=(0.0, highest)) == pytest.approx(expected, rel=1e-12)


@TIES
def test_raw_partial_areas_are_those_under_the_curve(decimals):
    present, absent = draw(2, decimals=decimals)
    fpf, tpf = roc_curve(present, absent)
    fine = np.linspace(0.1, 0.4, 200_001)
    under = np.interp(fine, fpf, tpf)
    area = partial_auc(present, absent, fpf=(0.1, 0.4), standardised=False)
    assert area == pytest.approx(np.trapezoid(under, fine), abs=1e-5)
    # Over the sensitivity: 1 − FPF, read where the curve reaches it.
    fine = np.linspace(0.8, 0.95, 200_001)
    beside = np.interp(fine, tpf, 1.0 - fpf)
    area = partial_auc(present, absent, tpf=(0.8, 0.95), standardised=False)
    assert area == pytest.approx(np.trapezoid(beside, fine), abs=1e-5)


@TIES
def test_laws_of_partial_areas(decimals):
    present, absent = draw(3, decimals=decimals)
    for name in ("fpf", "tpf"):
        parts = [partial_auc(present, absent, **{name: r}, standardised=False) for r in [(0.0, 0.3), (0.3, 1.0)]]
        assert sum(parts) == pytest.approx(auc(present, absent), rel=1e-12)
        for standardised in (True, False):
            whole = partial_auc(present, absent, **{name: (0.0, 1.0)}, standardised=standardised)
            assert whole == pytest.approx(auc(present, absent), rel=1e-12)
    mirrored = partial_auc(-absent, -present, tpf=(0.8, 1.0))
    assert partial_auc(present, absent, fpf=(0.0, 0.2)) == pytest.approx(mirrored, rel=1e-12)


def test_partial_area_of_perfect_and_useless_tests():
    for part in ({"fpf": (0.1, 0.3)}, {"tpf": (0.7, 0.9)}):
        assert partial_auc(np.arange(5.0) + 10.0, np.arange(4.0), **part) == 1.0
        assert partial_auc(np.zeros(5), np.zeros(4), **part) == pytest.approx(0.5, rel=1e-12)
        assert partial_auc(np.arange(4.0), np.arange(5.0) + 10.0, **part, standardised=False) == 0.0


def test_partial_area_tends_to_the_binormal_integral():
    rng = np.random.default_rng(4)
    n, a, b = 50_000, 1.2, 0.8
    present, absent = (a + rng.normal(size=n)) / b, rng.normal(size=n)
    for low, high in [(0.0, 0.1), (0.05, 0.3)]:
        expected = quad(lambda f: norm.cdf(a + b * norm.ppf(f)), low, high)[0]
        area = partial_auc(present, absent, fpf=(low, high), standardised=False)
        # The mean height of the curve has a standard error below √(1/(4 n) + 25/(4 n)) (slopes below 5): 1.2 %.
        # 4 of them: false alarm below 6e-5.
        assert abs(area - expected) / (high - low) < 4 * 0.012


@pytest.mark.parametrize("specificity", [0.0, 0.5, 0.8, 0.9, 0.95, 1.0])
def test_sensitivity_without_ties_is_the_best_threshold(specificity):
    for seed, n_absent in [(5, 37), (6, 20), (7, 50)]:
        present, absent = draw(seed, n_absent=n_absent)
        allowed = [c for c in [*present, *absent, np.inf] if np.mean(absent < c) >= specificity - 1e-12]
        expected = max(np.mean(present >= c) for c in allowed)
        assert sensitivity_at(present, absent, specificity=specificity) == pytest.approx(expected, rel=1e-12)


@TIES
def test_operating_points_lie_on_the_curve(decimals):
    present, absent = draw(8, decimals=decimals)
    fpf, tpf = roc_curve(present, absent)
    off_the_steps = np.array([0.033, 0.123, 0.444, 0.81])
    assert not np.isclose(off_the_steps[:, None], np.concatenate([fpf, tpf])).any()
    for x in off_the_steps:
        at = sensitivity_at(present, absent, specificity=1.0 - x)
        assert at == pytest.approx(np.interp(x, fpf, tpf), rel=1e-9)
        at = specificity_at(present, absent, sensitivity=x)
        assert at == pytest.approx(1.0 - np.interp(x, tpf, fpf), rel=1e-9)
    for x, y in zip(fpf, tpf, strict=True):  # on a step the better end counts
        assert sensitivity_at(present, absent, specificity=1.0 - x) >= y - 1e-12
        assert specificity_at(present, absent, sensitivity=y) >= 1.0 - x - 1e-12


def test_ties_are_split_evenly():
    present, absent = np.zeros(10), np.zeros(20)
    assert sensitivity_at(present, absent, specificity=0.9) == pytest.approx(0.1, rel=1e-12)
    assert specificity_at(present, absent, sensitivity=0.9) == pytest.approx(0.1, rel=1e-12)


def test_intervals_resample_the_plain_statistics():
    present, absent = draw(9, n_present=14, n_absent=12, decimals=0)
    clusters = Clusters.of_single_trials(14, 12)
    repeats = [
        (np.repeat(present, np.rint(13 * p).astype(int)), np.repeat(absent, np.rint(11 * a).astype(int)))
        for w in [*resample_trials(clusters, n_bootstrap=40, seed=10)]
        for p, a in zip(w[0] / (14 / 13) / 13, w[1] / (12 / 11) / 11, strict=True)
    ]
    z = norm.ppf(0.975)
    drawn = np.array([sensitivity_at(p, a, specificity=0.8) for p, a in repeats])
    drawn = (14 * drawn + z**2 / 2) / (14 + z**2)
    interval = sensitivity_interval(present, absent, specificity=0.8, n_bootstrap=40, seed=10)
    assert interval.value == sensitivity_at(present, absent, specificity=0.8)
    assert interval.ci_low == pytest.approx(drawn.mean() - z * drawn.std(ddof=1), rel=1e-9)
    heights = np.array([partial_auc(p, a, fpf=(0.0, 0.5), standardised=False) / 0.5 for p, a in repeats])
    interval = partial_auc_interval(present, absent, fpf=(0.0, 0.5), standardised=False, n_bootstrap=40, seed=10)
    logit = np.log(heights / (1 - heights))
    mean = interval.value / 0.5
    # The basic bootstrap turns the quantiles over; the logit of a quantile is the quantile of the logit only nearly
    # (between two of 40 resamples), hence 2 %.
    upper = 2 * np.log(mean / (1 - mean)) - np.quantile(logit, 0.025)
    assert interval.ci_high / 0.5 == pytest.approx(1 / (1 + np.exp(-upper)), rel=0.02)


def test_mirrored_intervals_are_the_same():
    present, absent = draw(11)
    settings = {"n_bootstrap": 50, "seed": 12}
    clusters = Clusters.of(np.arange(43) // 2, np.arange(37) // 3 + 10)
    for groups in (None, clusters):
        turned = None if groups is None else groups.mirrored()
        ours = specificity_interval(present, absent, sensitivity=0.8, clusters=groups, **settings)
        assert ours == sensitivity_interval(-absent, -present, specificity=0.8, clusters=turned, **settings)
        ours = partial_auc_interval(present, absent, tpf=(0.8, 1.0), clusters=groups, **settings)
        theirs = partial_auc_interval(-absent, -present, fpf=(0.0, 0.2), clusters=turned, **settings)
        assert (ours.ci_low, ours.ci_high) == pytest.approx((theirs.ci_low, theirs.ci_high), rel=1e-9)


def test_standardised_interval_is_the_raw_one_rescaled():
    present, absent = draw(13)
    raw, scaled = (
        partial_auc_interval(present, absent, fpf=(0.1, 0.3), standardised=s, n_bootstrap=50, seed=14)
        for s in (False, True)
    )
    for a, b in [(raw.value, scaled.value), (raw.ci_low, scaled.ci_low), (raw.ci_high, scaled.ci_high)]:
        chance, best = 0.2 * 0.2, 0.2
        assert b == pytest.approx(0.5 * (1 + (a - chance) / (best - chance)), rel=1e-9)


def test_perfect_separation_leaves_the_exact_bound():
    present, absent = np.arange(30.0) + 100.0, np.arange(20.0)
    sensitivity = sensitivity_interval(present, absent, specificity=0.9, n_bootstrap=50, seed=0)
    assert (sensitivity.value, sensitivity.ci_high) == (1.0, 1.0)
    assert sensitivity.ci_low**30 == pytest.approx(0.025, rel=1e-9)
    partial = partial_auc_interval(present, absent, fpf=(0.0, 0.1), standardised=False, n_bootstrap=50, seed=0)
    assert partial.value == partial.ci_high == 0.1
    assert (partial.ci_low / 0.1) ** 20 == pytest.approx(0.025, rel=1e-9)


def test_intervals_cover():
    rng = np.random.default_rng(15)
    shift, n_studies, covered = 1.5, 300, np.zeros(2)
    sensitivity = norm.cdf(shift + norm.ppf(0.2))
    area = quad(lambda f: norm.cdf(shift + norm.ppf(f)), 0.0, 0.2)[0]
    for study in range(n_studies):
        present, absent = shift + rng.normal(size=100), rng.normal(size=100)
        settings = {"n_bootstrap": 200, "seed": study}
        s = sensitivity_interval(present, absent, specificity=0.8, **settings)
        p = partial_auc_interval(present, absent, fpf=(0.0, 0.2), standardised=False, **settings)
        covered += [s.ci_low <= sensitivity <= s.ci_high, p.ci_low <= area <= p.ci_high]
    # A true coverage of 0.93 to 0.975 is allowed; bounds at the 1e-4 points of the binomial.
    low, high = binom.ppf(1e-4, n_studies, 0.93), binom.isf(1e-4, n_studies, 0.975)
    assert (low <= covered).all()
    assert (covered <= high).all()


def test_misuse_is_refused():
    good = np.arange(5.0)
    for part in ({}, {"fpf": (0.0, 0.1), "tpf": (0.9, 1.0)}):
        with pytest.raises(ValueError, match="one of the two"):
            partial_auc(good, good, **part)
    for span in [(0.2, 0.2), (0.5, 0.1), (-0.1, 0.5), (0.0, 10.0), (0.0, np.nan)]:
        for name in ("fpf", "tpf"):
            with pytest.raises(ValueError, match="range"):
                partial_auc(good, good, **{name: span})
    for value in (-0.1, 90.0, np.nan):
        with pytest.raises(ValueError, match="specificity"):
            sensitivity_interval(good, good, specificity=value, seed=0)
        with pytest.raises(ValueError, match="sensitivity"):
            specificity_interval(good, good, sensitivity=value, seed=0)
    with pytest.raises(ValueError, match="finite"):
        sensitivity_at(good, np.array([np.nan, 1.0]), specificity=0.9)
    with pytest.raises(ValueError, match="clusters"):
        partial_auc_interval(good, good, fpf=(0, 1), clusters=Clusters.of_single_trials(4, 5), seed=0)
