"""Obuchowski–Rockette analysis of variance of a fully crossed reader study, with Hillis' degrees of freedom."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, t
from scipy.stats import f as f_distribution

from taskct.errors import UserError
from taskct.metrics.clustered import Clusters
from taskct.metrics.intervals import check_confidence, two_sided_p
from taskct.metrics.mrmc.moments import MomentSums, distinct, moment_sums
from taskct.metrics.mrmc.ratings import Ratings
from taskct.metrics.mrmc.usable import only_rated
from taskct.metrics.roc import delong_covariance, within_possible

CovarianceMethod = Literal["delong", "jackknife", "u-statistic"]
Population = Literal["readers and cases", "cases", "readers"]


@dataclass(frozen=True)
class ORInterval:
    """A modality's AUC, or the difference of two."""

    estimate: float
    """Mean over readers."""
    std_error: float
    """Its standard error."""
    df: float
    """Degrees of freedom; infinite where the normal distribution is used."""
    ci_low: float
    """Lower bound."""
    ci_high: float
    """Upper bound."""
    p_value: float
    """Two-sided, of no difference; of an AUC of ½ for a modality."""


@dataclass(frozen=True)
class ORTest:
    """One analysis: what its conclusions hold for is `population`."""

    population: Population
    """What is random, and hence generalised to."""
    f_statistic: float
    """Of no difference among the modalities; NaN with a single one."""
    df_numerator: float
    """Modalities less 1."""
    df_denominator: float
    """Infinite where the test is of chi square."""
    p_value: float
    """Of no difference among the modalities; NaN with a single one."""
    modalities: dict[str, ORInterval]
    """For each modality, with the error of that modality alone."""
    differences: dict[str, ORInterval]
    """For each pair of modalities, `A-B`, with the error of all modalities pooled."""


@dataclass(frozen=True)
class DorfmanBerbaumMetz:
    """Variance components of pseudovalues, those of cases for one case."""

    var_r: float
    """Reader."""
    var_c: float
    """Case."""
    var_tr: float
    """Modality by reader."""
    var_tc: float
    """Modality by case."""
    var_rc: float
    """Reader by case."""
    var_trc: float
    """Modality by reader by case, and error."""


@dataclass(frozen=True)
class ObuchowskiRockette:
    """Mean squares of the readers' AUCs, covariances of their errors, and three analyses.

    With a single modality, everything that compares modalities is NaN.
    """

    reader_auc: NDArray[np.float64]
    """AUC, or another figure of merit, of each reader in each modality, shape `(n_modalities, n_readers)`."""
    n_cases: int
    """Cases of both classes that were rated."""
    ms_t: float
    """Mean square of modalities."""
    ms_r: float
    """Mean square of readers."""
    ms_tr: float
    """Mean square of modality by reader."""
    var_error: float
    """Variance of the error of one reader's AUC in one modality."""
    cov1: float
    """Covariance of errors, same reader, different modalities."""
    cov2: float
    """Covariance of errors, different readers, same modality."""
    cov3: float
    """Covariance of errors, both different."""
    random_readers_random_cases: ORTest
    """Conclusions for readers and cases like these."""
    fixed_readers: ORTest
    """Conclusions for cases like these, and these readers alone."""
    fixed_cases: ORTest
    """Conclusions for readers like these, and these cases alone."""

    @property
    def var_r(self) -> float:
        """Variance component of readers; can be negative."""
        return (self.ms_r - self.ms_tr) / len(self.reader_auc) - self.cov1 + self.cov3

    @property
    def var_tr(self) -> float:
        """Variance component of modality by reader; can be negative."""
        return self.ms_tr - self.var_error + self.cov1 + self.cov2 - self.cov3

    @property
    def variance_of_difference(self) -> float:
        """Variance of the difference of two modalities' mean AUCs; no component is held at 0."""
        n_readers = int(self.reader_auc.shape[1])
        shared = (n_readers - 1) * (self.cov2 - self.cov3)
        return 2.0 / n_readers * (self.var_tr + self.var_error - self.cov1 + shared)

    @property
    def dorfman_berbaum_metz(self) -> DorfmanBerbaumMetz:
        """The same variances as components of the Dorfman–Berbaum–Metz model.

        2/r·var_tr + 2/c·var_tc + 2/(r·c)·var_trc, for r readers and c cases, is `variance_of_difference`.
        """
        return DorfmanBerbaumMetz(
            var_r=self.var_r,
            var_c=self.n_cases * self.cov3,
            var_tr=self.var_tr,
            var_tc=self.n_cases * (self.cov2 - self.cov3),
            var_rc=self.n_cases * (self.cov1 - self.cov3),
            var_trc=self.n_cases * (self.var_error - self.cov1 - self.cov2 + self.cov3),
        )


def obuchowski_rockette(
    ratings: Ratings,
    *,
    covariance: CovarianceMethod = "delong",
    clusters: Clusters | None = None,
    confidence: float = 0.95,
) -> ObuchowskiRockette:
    """Analyse a fully crossed study by Obuchowski and Rockette's method as revised by Hillis.

    Parameters
    ----------
    ratings, confidence
        Scores of at least 2 readers, who rated every case in every modality (what has no rating does not count);
        coverage wanted of the intervals, in (0, 1).
    covariance
        How errors of the AUCs are estimated: by DeLong's method, by the jackknife that leaves out one case, or by the
        unbiased U-statistic, with which the variance of a difference is the one-shot variance of `analyze`.
    clusters
        Cluster (patient, background) of every case of either class, where cases are not independent; the covariance is
        then Obuchowski's, which is DeLong's where each case is a cluster of its own.

    Raises
    ------
    UserError
        If a rating is missing, there are fewer than 2 readers or a class has fewer than 2 cases.
    ValueError
        If `confidence` is out of range, or clusters are given with another covariance than "delong" or for other cases.

    Notes
    -----
    Cov2 − Cov3, and Cov2 of a modality, count as 0 where negative. Intervals of AUCs are not cut at 1. On Van Dyke's
    data (2 modalities, 5 readers, 69 + 45 cases) all mean squares, covariances, components, degrees of freedom and
    intervals of the three analyses equalled those that the program OR-DBM MRMC 2.51 prints, in every digit (jackknife;
    compared once, the data are not ours to ship).

    References
    ----------
    .. [1] Obuchowski & Rockette, Commun. Stat. Simul. 24, 285 (1995).
    .. [2] Hillis, Stat. Med. 26, 596 (2007), degrees of freedom.
    .. [3] Hillis, Stat. Med. 33, 330 (2014), analyses of single modalities.
    .. [4] Hillis, Berbaum & Metz, Acad. Radiol. 15, 647 (2008), relation to Dorfman, Berbaum & Metz.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = np.arange(40) < 20
    >>> scores = rng.normal(size=(2, 3, 40)) + truth
    >>> study = Ratings(scores, truth, ("A", "B"), ("1", "2", "3"), tuple(map(str, range(40))))
    >>> sorted(obuchowski_rockette(study).random_readers_random_cases.differences)
    ['A-B']
    """
    check_confidence(confidence)
    ratings, _ = only_rated(ratings)
    _check_crossed(ratings)
    sums = moment_sums(ratings)
    if clusters is not None:
        if covariance != "delong":
            raise ValueError(f"the covariance {covariance!r} takes cases to be independent: leave clusters out")
        same, other = _clustered_covariances(ratings, clusters)
    elif covariance == "u-statistic":
        same, other = u_statistic_covariances(sums)
    else:
        same, other = _case_covariances(sums, covariance)
    return _analyse(ratings.modalities, len(ratings.cases), sums.reader_auc, (same, other), confidence)


def obuchowski_rockette_of(
    estimates: NDArray[np.float64],
    covariance: NDArray[np.float64],
    *,
    modalities: Sequence[str],
    n_cases: int,
    confidence: float = 0.95,
) -> ObuchowskiRockette:
    """Analyse any figure of merit of a fully crossed study, given the covariance that the cases put into it.

    Parameters
    ----------
    estimates
        Figure of merit of each reader in each modality, shape `(n_modalities, n_readers)`; `reader_auc` of the result.
    covariance
        Of their errors from the choice of cases, shape `(n_modalities, n_readers, n_modalities, n_readers)`.
    modalities, n_cases, confidence
        Names of the modalities; cases of the study; coverage wanted of the intervals, in (0, 1).

    Raises
    ------
    UserError
        If there are fewer than 2 readers.
    ValueError
        If `confidence` is out of range, or shapes and names do not match.

    References
    ----------
    .. [1] Hillis, Stat. Med. 26, 596 (2007): the method needs unbiased estimates and their covariance, whatever they
       are estimates of.

    Examples
    --------
    >>> areas = np.array([[0.8, 0.9], [0.7, 0.75]])
    >>> cases = 1e-4 * np.eye(4).reshape(2, 2, 2, 2)
    >>> found = obuchowski_rockette_of(areas, cases, modalities=("A", "B"), n_cases=100)
    >>> round(found.random_readers_random_cases.differences["A-B"].estimate, 3), found.var_error
    (0.125, 0.0001)
    """
    check_confidence(confidence)
    n_modalities, n_readers = estimates.shape
    if len(modalities) != n_modalities or covariance.shape != estimates.shape * 2:
        raise ValueError(
            f"{len(modalities)} names and a covariance of shape {covariance.shape} for figures of merit of shape "
            f"{estimates.shape}"
        )
    if n_readers < 2:
        raise UserError(f"an Obuchowski–Rockette analysis needs at least 2 readers; there are {n_readers}")
    whole = covariance.reshape(estimates.size, estimates.size)
    return _analyse(modalities, n_cases, estimates, _means_over_readers(whole, n_modalities, n_readers), confidence)


def hillis_df(mean_square: float, error: float, n_readers: int, n_modalities: int = 2) -> float:
    """Hillis' degrees of freedom; infinite where the readers do not scatter.

    `mean_square` is of modality by reader, or of the readers within one modality (`n_modalities` is 2 for that too);
    `error` is that plus what the cases add: the denominator of the F statistic. Source: Hillis, Stat. Med. 26, 596
    (2007).
    """
    if mean_square <= 0.0:
        return math.inf
    return float((n_readers - 1) * (n_modalities - 1) * (error / mean_square) ** 2)


def u_statistic_covariances(sums: MomentSums) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unbiased covariances of the errors of two readers' AUCs in a fully crossed study of 2 readers or more.

    Means over readers for one reader with themselves, and over pairs of different ones, `(n_modalities, n_modalities)`.
    """
    unbiased = distinct(sums.products) / distinct(sums.counts)
    same = sums.products[..., 3] / sums.counts[..., 3]
    other = (sums.products[..., 7] - sums.products[..., 3]) / (sums.counts[..., 7] - sums.counts[..., 3])
    return same - unbiased[..., 3], other - unbiased[..., 7]


def _case_covariances(sums: MomentSums, method: CovarianceMethod) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As `u_statistic_covariances`, by DeLong's method or the jackknife."""
    n_modalities, n_readers, n_present = sums.by_present.shape
    n_absent = sums.by_absent.shape[2]
    # An AUC without one case differs from the whole by that case's component less the AUC, over n − 1.
    divisors = {"delong": (n_present, n_absent), "jackknife": (n_present - 1, n_absent - 1)}[method]
    scale = {"delong": 1.0, "jackknife": 1.0 - 1.0 / (n_present + n_absent)}[method]
    methods = n_modalities * n_readers
    covariance = scale * sum(
        np.atleast_2d(np.cov(successes.reshape(methods, -1) / n_other)) / divisor
        for successes, n_other, divisor in zip(
            (sums.by_present, sums.by_absent), (n_absent, n_present), divisors, strict=True
        )
    )
    return _means_over_readers(covariance, n_modalities, n_readers)


def _clustered_covariances(ratings: Ratings, clusters: Clusters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As `u_statistic_covariances`, by Obuchowski's method for clustered cases."""
    n_modalities, n_readers, n_cases = ratings.scores.shape
    scores, present = ratings.scores.reshape(n_modalities * n_readers, n_cases), ratings.signal_present
    covariance = delong_covariance(scores[:, present], scores[:, ~present], clusters)
    return _means_over_readers(covariance, n_modalities, n_readers)


def _means_over_readers(
    covariance: NDArray[np.float64], n_modalities: int, n_readers: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means of a covariance of all AUCs over one reader with themselves, and over pairs of different ones."""
    by_pair = covariance.reshape(n_modalities, n_readers, n_modalities, n_readers)
    same = np.einsum("arbr->ab", by_pair)
    other = by_pair.sum(axis=(1, 3)) - same
    return same / n_readers, other / (n_readers * (n_readers - 1))


def _check_crossed(ratings: Ratings) -> None:
    """Refuse what an analysis of variance cannot take."""
    n_readers = len(ratings.readers)
    if n_readers < 2:
        raise UserError(f"an Obuchowski–Rockette analysis needs at least 2 readers; there are {n_readers}")
    for kind, number in (("present", ratings.signal_present.sum()), ("absent", (~ratings.signal_present).sum())):
        if number < 2:
            raise UserError(f"an Obuchowski–Rockette analysis needs at least 2 signal-{kind} cases; there are {number}")
    missing = np.argwhere(np.isnan(ratings.scores))
    if len(missing):
        modality, reader, case = missing[0]
        raise UserError(
            f"reader {ratings.readers[reader]!r} did not rate case {ratings.cases[case]!r} in modality "
            f"{ratings.modalities[modality]!r} ({len(missing)} ratings are missing in all): an Obuchowski–Rockette "
            "analysis needs all; the U-statistic analysis does not"
        )


def _analyse(
    modalities: Sequence[str],
    n_cases: int,
    areas: NDArray[np.float64],
    covariances: tuple[NDArray[np.float64], NDArray[np.float64]],
    confidence: float,
) -> ObuchowskiRockette:
    """Mean squares and the three analyses, from AUCs `(m, r)` and covariances of one and of two readers' errors."""
    same, other = covariances
    n_modalities, n_readers = areas.shape
    different = ~np.eye(n_modalities, dtype=np.bool_)
    single = n_modalities == 1
    var_error, cov2 = float(np.diag(same).mean()), float(np.diag(other).mean())
    cov1, cov3 = (math.nan if single else float(c[different].mean()) for c in (same, other))
    means, by_reader = areas.mean(axis=1), areas.mean(axis=0)
    residual = areas - means[:, None] - by_reader + means.mean()
    ms_t = math.nan if single else n_readers * float(means.var(ddof=1))
    ms_r = n_modalities * float(by_reader.var(ddof=1))
    ms_tr = math.nan if single else float((residual**2).sum()) / ((n_readers - 1) * (n_modalities - 1))
    shared = 0.0 if single else max(cov2 - cov3, 0.0)
    own_ms, own_error, own_shared = areas.var(axis=1, ddof=1), np.diag(same), np.maximum(np.diag(other), 0.0)

    def run(population: Population, error: float, own: NDArray[np.float64]) -> ORTest:
        """A test with the error of a reader's AUC given, in a comparison and for each modality alone."""
        df, own_df = math.inf, [math.inf] * n_modalities
        if population != "cases":
            df = hillis_df(ms_tr, error, n_readers, n_modalities)
            own_df = [hillis_df(float(ms), float(e), n_readers) for ms, e in zip(own_ms, own, strict=True)]
        f_statistic, p_value = (math.nan, math.nan) if single else _f_test(ms_t, error, n_modalities - 1, df)
        return ORTest(
            population,
            f_statistic,
            n_modalities - 1,
            math.nan if single else df,
            p_value,
            modalities={
                name: _interval(float(mean), 0.5, float(e) / n_readers, d, confidence)
                for name, mean, e, d in zip(modalities, means, own, own_df, strict=True)
            },
            differences={
                f"{modalities[a]}-{modalities[b]}": _interval(
                    float(means[a] - means[b]), 0.0, 2.0 * error / n_readers, df, confidence
                )
                for a, b in combinations(range(n_modalities), 2)
            },
        )

    return ObuchowskiRockette(
        reader_auc=areas,
        n_cases=n_cases,
        ms_t=ms_t,
        ms_r=ms_r,
        ms_tr=ms_tr,
        var_error=var_error,
        cov1=cov1,
        cov2=cov2,
        cov3=cov3,
        random_readers_random_cases=run(
            "readers and cases", ms_tr + n_readers * shared, own_ms + n_readers * own_shared
        ),
        fixed_readers=run(
            "cases", var_error - cov1 + (n_readers - 1) * shared, own_error + (n_readers - 1) * own_shared
        ),
        fixed_cases=run("readers", ms_tr, own_ms),
    )


def _f_test(mean_square: float, error: float, df_numerator: int, df: float) -> tuple[float, float]:
    """F statistic and p value; chi square where `df` is infinite. Without any error, 1 if all are equal, else 0."""
    if error <= 0.0:
        return math.nan, float(mean_square == 0.0)
    f_statistic = mean_square / error
    if math.isinf(df):
        return f_statistic, float(chi2.sf(df_numerator * f_statistic, df_numerator))
    return f_statistic, float(f_distribution.sf(f_statistic, df_numerator, df))


def _interval(estimate: float, null: float, variance: float, df: float, confidence: float) -> ORInterval:
    """Interval, symmetric but for what no area and no difference can be, and p value of the null."""
    std_error = math.sqrt(max(variance, 0.0))
    half_width = float(t.isf((1.0 - confidence) / 2.0, df)) * std_error
    # An area lies in [0, 1] about its null of 0.5, a difference in [−1, 1] about 0.
    low, high = within_possible(estimate - null - half_width, estimate - null + half_width, limit=1.0 - null)
    return ORInterval(estimate, std_error, df, null + low, null + high, two_sided_p(estimate - null, std_error, df))
