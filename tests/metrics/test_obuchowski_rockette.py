"""The Obuchowski–Rockette analysis against loops, the jackknife, pseudovalues and scipy."""

from dataclasses import astuple, replace
from itertools import product

import numpy as np
import pytest
from scipy.stats import chi2, f, norm, t, ttest_1samp, ttest_rel

from taskct.errors import UserError
from taskct.metrics.clustered import Clusters
from taskct.metrics.mrmc.obuchowski_rockette import hillis_df, obuchowski_rockette, obuchowski_rockette_of
from taskct.metrics.mrmc.ratings import Ratings
from taskct.metrics.roc import delong_covariance


def study(seed=0, n_modalities=3, n_readers=4, n_present=9, n_absent=7, decimals=1):
    rng = np.random.default_rng(seed)
    shape = (n_modalities, n_readers, n_present + n_absent)
    scores = rng.normal(size=shape) + rng.normal(size=shape[2]) + rng.normal(size=(n_modalities, 1, shape[2]))
    scores += (np.arange(shape[2]) < n_present) * rng.uniform(0.5, 2.0, size=(n_modalities, n_readers, 1))
    return Ratings(
        scores=scores.round(decimals),
        signal_present=np.arange(shape[2]) < n_present,
        modalities=tuple("ABC"[:n_modalities]),
        readers=tuple("abcdefgh"[:n_readers]),
        cases=tuple(str(c) for c in range(shape[2])),
    )


def area(scores, truth):
    difference = scores[truth][:, None] - scores[~truth]
    return ((difference > 0) + 0.5 * (difference == 0)).mean()


def areas(ratings):
    return np.array([[area(scores, ratings.signal_present) for scores in by_reader] for by_reader in ratings.scores])


def without_each_case(ratings):
    """AUCs without one case, `(n_cases, m, r)`."""
    cases = np.arange(len(ratings.cases))
    return np.array(
        [
            areas(
                replace(
                    ratings,
                    scores=np.delete(ratings.scores, c, axis=2),
                    signal_present=np.delete(ratings.signal_present, c),
                    cases=tuple(np.delete(ratings.cases, c)),
                )
            )
            for c in cases
        ]
    )


def averages(covariance, n_modalities, n_readers):
    """Var(error), Cov1, Cov2 and Cov3: means over pairs of modality and reader, by loops."""
    kinds = {(True, True): [], (False, True): [], (True, False): [], (False, False): []}
    at = list(product(range(n_modalities), range(n_readers)))
    for (x, (m, r)), (y, (k, s)) in product(enumerate(at), enumerate(at)):
        kinds[m == k, r == s].append(covariance[x, y])
    return [np.mean(kind) for kind in kinds.values()]


def test_mean_squares_are_those_of_a_two_way_analysis_of_variance():
    ratings = study()
    found, a = obuchowski_rockette(ratings), areas(ratings)
    np.testing.assert_allclose(found.reader_auc, a, rtol=1e-12)
    n_modalities, n_readers = a.shape
    centre = a.mean()
    ss_t = sum(n_readers * (a[m].mean() - centre) ** 2 for m in range(n_modalities))
    ss_r = sum(n_modalities * (a[:, r].mean() - centre) ** 2 for r in range(n_readers))
    ss_all = sum((x - centre) ** 2 for x in a.ravel())
    assert found.ms_t == pytest.approx(ss_t / (n_modalities - 1))
    assert found.ms_r == pytest.approx(ss_r / (n_readers - 1))
    assert found.ms_tr == pytest.approx((ss_all - ss_t - ss_r) / ((n_modalities - 1) * (n_readers - 1)))


def test_covariances_are_means_of_delongs_and_of_the_jackknifes():
    ratings = study(1)
    n_modalities, n_readers, n_cases = ratings.scores.shape
    flat = ratings.scores.reshape(-1, n_cases)
    deleted = without_each_case(ratings).reshape(n_cases, -1)
    jackknife = np.cov(deleted.T, ddof=0) * (n_cases - 1)
    delong = delong_covariance(flat[:, ratings.signal_present], flat[:, ~ratings.signal_present])
    for method, covariance in (("delong", delong), ("jackknife", jackknife)):
        found = obuchowski_rockette(ratings, covariance=method)
        mine = [found.var_error, found.cov1, found.cov2, found.cov3]
        np.testing.assert_allclose(mine, averages(covariance, n_modalities, n_readers), rtol=1e-9)


def test_jackknife_analysis_is_the_analysis_of_variance_of_pseudovalues():
    ratings = study(2)
    n_modalities, n_readers, n_cases = ratings.scores.shape
    values = n_cases * areas(ratings) - (n_cases - 1) * without_each_case(ratings)
    values += areas(ratings) - values.mean(axis=0)  # normalised: their mean is the AUC
    y = np.moveaxis(values, 0, 2)
    means = {
        axes: y.mean(axis=axes, keepdims=True) for axes in ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))
    }
    tr, tc, rc, trc = means[2,], means[1,], means[0,], means[()]
    t_, r_, c_, all_ = means[1, 2], means[0, 2], means[0, 1], means[0, 1, 2]
    dt, dr, dc = n_modalities - 1, n_readers - 1, n_cases - 1
    ms_t = n_readers * n_cases * ((t_ - all_) ** 2).sum() / dt
    ms_tr = n_cases * ((tr - t_ - r_ + all_) ** 2).sum() / (dt * dr)
    ms_tc = n_readers * ((tc - t_ - c_ + all_) ** 2).sum() / (dt * dc)
    ms_rc = n_modalities * ((rc - r_ - c_ + all_) ** 2).sum() / (dr * dc)
    ms_c = n_modalities * n_readers * ((c_ - all_) ** 2).sum() / dc
    ms_r = n_modalities * n_cases * ((r_ - all_) ** 2).sum() / dr
    ms_trc = ((trc - tr - tc - rc + t_ + r_ + c_ - all_) ** 2).sum() / (dt * dr * dc)
    found = obuchowski_rockette(ratings, covariance="jackknife")
    expected = {
        "var_r": (ms_r - ms_tr - ms_rc + ms_trc) / (n_modalities * n_cases),
        "var_c": (ms_c - ms_tc - ms_rc + ms_trc) / (n_modalities * n_readers),
        "var_tr": (ms_tr - ms_trc) / n_cases,
        "var_tc": (ms_tc - ms_trc) / n_readers,
        "var_rc": (ms_rc - ms_trc) / n_modalities,
        "var_trc": ms_trc,
    }
    for name, value in expected.items():
        assert getattr(found.dorfman_berbaum_metz, name) == pytest.approx(value, rel=1e-9)
    assert ms_tc > ms_trc  # else Hillis leaves the term out
    assert found.random_readers_random_cases.f_statistic == pytest.approx(ms_t / (ms_tr + ms_tc - ms_trc))
    parts = found.dorfman_berbaum_metz
    total = parts.var_tr / n_readers + parts.var_tc / n_cases + parts.var_trc / (n_readers * n_cases)
    assert found.variance_of_difference == pytest.approx(2.0 * total)


def test_random_readers_and_cases():
    ratings = study(3)
    found = obuchowski_rockette(ratings, confidence=0.9)
    test = found.random_readers_random_cases
    error = found.ms_tr + 4 * max(found.cov2 - found.cov3, 0.0)
    df = error**2 / (found.ms_tr**2 / 6)
    assert test.f_statistic == pytest.approx(found.ms_t / error)
    assert (test.df_numerator, test.df_denominator) == (2, pytest.approx(df))
    assert test.p_value == pytest.approx(f.sf(found.ms_t / error, 2, df))
    a = areas(ratings).mean(axis=1)
    part = test.differences["A-C"]
    std_error = (2 * error / 4) ** 0.5
    expected = (a[0] - a[2], std_error, df)
    assert (part.estimate, part.std_error, part.df) == pytest.approx(expected)
    assert part.ci_high - part.estimate == pytest.approx(t.ppf(0.95, df) * std_error)
    assert part.p_value == pytest.approx(2 * t.sf(abs(a[0] - a[2]) / std_error, df))
    assert error > found.ms_tr


def test_a_modality_alone_is_analysed_as_in_a_study_of_its_own():
    ratings = study(4)
    whole = obuchowski_rockette(ratings)
    for index, name in enumerate(ratings.modalities):
        alone = obuchowski_rockette(replace(ratings, scores=ratings.scores[[index]], modalities=(name,)))
        assert np.isnan([alone.ms_t, alone.ms_tr, alone.cov1, alone.cov3, alone.fixed_cases.p_value]).all()
        for analysis in ("random_readers_random_cases", "fixed_readers", "fixed_cases"):
            one, other = (getattr(x, analysis).modalities[name] for x in (whole, alone))
            assert astuple(one) == pytest.approx(astuple(other))
        error = alone.ms_r + 4 * max(alone.cov2, 0.0)
        part = alone.random_readers_random_cases.modalities[name]
        assert part.std_error == pytest.approx((error / 4) ** 0.5)
        assert part.df == pytest.approx(3 * (error / alone.ms_r) ** 2)


def test_fixed_readers_have_delongs_variance_of_their_mean():
    ratings = study(5, n_modalities=2)
    n_readers = 4
    flat = ratings.scores.reshape(2 * n_readers, -1)
    delong = delong_covariance(flat[:, ratings.signal_present], flat[:, ~ratings.signal_present])
    weights = np.repeat([1.0, -1.0], n_readers) / n_readers
    found = obuchowski_rockette(ratings)
    assert found.cov2 > found.cov3  # else Hillis leaves the term out
    part, test = found.fixed_readers.differences["A-B"], found.fixed_readers
    assert part.std_error**2 == pytest.approx(weights @ delong @ weights)
    assert part.p_value == pytest.approx(2 * norm.sf(abs(part.estimate) / part.std_error))
    assert test.p_value == pytest.approx(part.p_value)
    assert test.p_value == pytest.approx(chi2.sf((part.estimate / part.std_error) ** 2, 1))
    alone = found.fixed_readers.modalities["A"]
    assert alone.std_error**2 == pytest.approx(delong[:n_readers, :n_readers].mean())


def test_fixed_cases_are_a_paired_t_test_of_the_readers():
    ratings = study(6, n_modalities=2)
    a = areas(ratings)
    found = obuchowski_rockette(ratings).fixed_cases
    expected = ttest_rel(a[0], a[1])
    interval = expected.confidence_interval(0.95)
    part = found.differences["A-B"]
    assert (part.p_value, found.p_value) == pytest.approx((expected.pvalue,) * 2)
    assert (part.ci_low, part.ci_high) == pytest.approx((interval.low, interval.high))
    assert found.modalities["A"].p_value == pytest.approx(ttest_1samp(a[0], 0.5).pvalue)


def test_readers_who_agree_in_all_leave_no_difference():
    ratings = study(7, n_modalities=1)
    twice = replace(ratings, scores=np.repeat(ratings.scores, 2, axis=0), modalities=("A", "B"))
    found = obuchowski_rockette(twice)
    for test in (found.random_readers_random_cases, found.fixed_cases):
        part = test.differences["A-B"]
        assert (part.estimate, part.ci_low, part.ci_high, part.p_value) == (0.0, 0.0, 0.0, 1.0)
        assert test.p_value == 1.0


def test_hillis_df_without_scatter_is_infinite():
    assert hillis_df(0.0, 0.1, 5) == np.inf


def missing(ratings):
    scores = ratings.scores.copy()
    scores[1, 2, 3] = np.nan
    return replace(ratings, scores=scores)


def first_cases(ratings, n):
    kept = slice(9 - n, None)
    return replace(
        ratings,
        scores=ratings.scores[..., kept],
        signal_present=ratings.signal_present[kept],
        cases=ratings.cases[kept],
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (missing, "reader 'c' did not rate case '3' in modality 'B'"),
        (lambda r: replace(r, scores=r.scores[:, :1], readers=("a",)), "at least 2 readers"),
        (lambda r: first_cases(r, 1), "2 signal-present cases; there are 1"),
        (lambda r: first_cases(r, 0), "2 signal-present cases; there are 0"),
    ],
)
def test_impossible_studies_are_one_clear_line(change, message):
    with pytest.raises(UserError, match=message) as caught:
        obuchowski_rockette(change(study()))
    assert "\n" not in str(caught.value)


def test_clusters_of_copies_are_their_cases():
    """DeLong's covariance for single cases, and the same again where every case comes several times in a cluster."""
    ratings = study(n_present=12, n_absent=10, decimals=3)
    present = ratings.signal_present
    single = obuchowski_rockette(ratings)
    for copies in (1, 5):
        many = replace(
            ratings,
            scores=np.repeat(ratings.scores, copies, axis=2),
            signal_present=np.repeat(present, copies),
            cases=tuple(map(str, range(len(present) * copies))),
        )
        case = np.repeat(np.arange(len(present)), copies)
        clusters = Clusters.of(case[many.signal_present], case[~many.signal_present])
        found = obuchowski_rockette(many, clusters=clusters)
        for name in ("random_readers_random_cases", "fixed_readers"):
            for pair, wanted in getattr(single, name).differences.items():
                assert astuple(getattr(found, name).differences[pair]) == pytest.approx(astuple(wanted), rel=1e-9)
        # As cases of their own the copies would narrow it.
        if copies > 1:
            assert obuchowski_rockette(many).var_error < 0.3 * found.var_error
    with pytest.raises(ValueError, match="independent"):
        obuchowski_rockette(many, clusters=clusters, covariance="jackknife")


def test_any_figure_of_merit_with_its_covariance():
    ratings = study()
    n_modalities, n_readers = ratings.scores.shape[:2]
    flat = ratings.scores.reshape(n_modalities * n_readers, -1)
    covariance = delong_covariance(flat[:, ratings.signal_present], flat[:, ~ratings.signal_present])
    found = obuchowski_rockette_of(
        areas(ratings),
        covariance.reshape(n_modalities, n_readers, n_modalities, n_readers),
        modalities=ratings.modalities,
        n_cases=len(ratings.cases),
    )
    wanted = obuchowski_rockette(ratings)
    for name in ("ms_t", "ms_r", "ms_tr", "var_error", "cov1", "cov2", "cov3"):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), rel=1e-9)
    for pair, difference in wanted.random_readers_random_cases.differences.items():
        assert astuple(found.random_readers_random_cases.differences[pair]) == pytest.approx(astuple(difference))


@pytest.mark.parametrize(
    ("shape", "names", "error", "match"),
    [((2, 1), "AB", UserError, "at least 2 readers"), ((2, 3), "ABC", ValueError, "3 names and a covariance")],
)
def test_what_no_analysis_can_take(shape, names, error, match):
    with pytest.raises(error, match=match):
        obuchowski_rockette_of(np.ones(shape), np.ones(shape * 2), modalities=tuple(names), n_cases=9)
