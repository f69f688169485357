"""Analysis of a reader study: AUCs averaged over readers, their differences, intervals and p values."""

import math
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import t

from taskct.errors import UserError
from taskct.metrics.intervals import check_confidence
from taskct.metrics.mrmc.moments import MomentSums, by_class, distinct, moment_sums
from taskct.metrics.mrmc.obuchowski_rockette import hillis_df, u_statistic_covariances
from taskct.metrics.mrmc.one_shot import Contrast, contrast, one_shot
from taskct.metrics.mrmc.ratings import Ratings
from taskct.metrics.mrmc.results import DifferenceAUC, IntervalFrom, ModalityAUC, MRMCAnalysis, ReaderAUC
from taskct.metrics.roc import delong_covariance, delong_interval, paired_delong

_NOTHING = 1e-14  # a variance below it is rounding; that of 10^6 cases is not


def analyze(ratings: Ratings, *, confidence: float = 0.95) -> MRMCAnalysis:
    """Analyse a reader study of any design: fully crossed, split-plot, or with ratings missing.

    The variance over readers and cases is the U-statistic that FDA's iMRMC computes. Intervals and p values are of
    Student's t with BDG degrees of freedom; the interval of an AUC is symmetric in its logit.

    Parameters
    ----------
    ratings
        Scores; NaN where a reader did not rate a case.
    confidence
        Coverage wanted of the intervals, in (0, 1).

    Returns
    -------
    AUCs, variances, intervals and p values, with notes.

    Raises
    ------
    UserError
        If a class of cases is empty, a modality was not rated, the design allows no variance, or two differences
        would have one name.
    ValueError
        If `confidence` is out of range.

    Notes
    -----
    Which variance an interval rests on is said in `interval_from`, and in a note where it is not the plain one:

    - `u-statistic`: the unbiased variance; in a fully crossed study, and in split-plot ones with equal groups.
    - `centred u-statistic`: where readers rated unequal numbers of cases; see `one_shot`.
    - `mle`: the biased twin, where the unbiased variance came out negative. (iMRMC gives no interval then.)
    - `delong`: with a single reader, whose scatter nobody can tell: the interval is of cases alone.
    - `exact`: an AUC of 1 in a fully crossed study. If the true AUC is A, then m successes that share neither reader
      nor case all come out right with a chance of at most A^m, where m is the least of readers, present and absent
      cases. So the interval is [(α/2)^(1/m), 1], with α = 1 − confidence; mirrored for an AUC of 0.
    - `none`: where the twin is negative as well, or an AUC is 0 or 1 and ratings are missing. No interval.

    Where the variance of a difference is 0 the interval is a single point, and the p value is 1 without a difference,
    0 with one: the cases were too easy to tell anything.

    iMRMC's intervals are symmetric, those of AUCs too, and it takes the normal distribution above 50 degrees of
    freedom. In simulated studies by the model of Roe & Metz (1,500 each, 3 to 6 readers, 25 to 50 cases of each class,
    AUC near 0.7 or 0.85) symmetric 95 % intervals of an AUC covered 91 to 95 %, those by the logit 94 to 96 %; near an
    AUC of 0.96, and with much scatter between 5 readers, 88 and 92 %. Intervals of differences covered 95 to 97 % where
    the modalities are alike. Where one AUC is well above the other they miss more often on the side of the lower one:
    coverage 93 to 95 % (91 % between 0.96 and 0.99), and a one-sided test of size 0.025 may reach 0.03 to 0.05. Two
    readers are too few: 88 to 95 %.

    References
    ----------
    .. [1] Gallas, Bandos, Samuelson & Wagner, Commun. Stat. Theory Methods 38, 2586 (2009).
    .. [2] Obuchowski, Gallas & Hillis, Acad. Radiol. 19, 1508 (2012), degrees of freedom.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = np.arange(60) < 30
    >>> scores = rng.normal(size=(2, 4, 60)) + truth
    >>> study = Ratings(scores, truth, ("A", "B"), ("1", "2", "3", "4"), tuple(map(str, range(60))))
    >>> result = analyze(study)
    >>> result.differences["A-B"].interval_from, result.notes
    ('u-statistic', ())
    """
    check_confidence(confidence)
    names = [f"{a}-{b}" for a, b in combinations(ratings.modalities, 2)]
    if len(set(names)) < len(names):
        raise UserError(f"two differences of modalities would both be called {_repeated(names)!r}: rename a modality")
    sums = moment_sums(ratings)
    readers = _readers(ratings, sums)
    crossed = not bool(np.isnan(ratings.scores).any())
    notes = [] if crossed else [_missing_note(ratings)]
    notes += _constant_notes(ratings)
    if len(ratings.readers) == 1:
        modalities, differences = _single_reader(ratings, confidence)
        notes.append(
            "one reader: the variance between readers cannot be estimated. Variances, intervals and p values are of "
            "the choice of cases alone (DeLong) and hold for this reader only"
        )
    else:
        if len(ratings.readers) == 2:
            notes.append(
                "two readers: their scatter is hardly known, and 95 % intervals covered only 88 to 95 % in simulated "
                "studies; have three or more"
            )
        modalities, differences = _many_readers(ratings, sums, crossed, confidence, notes)
    return MRMCAnalysis(
        modalities=modalities,
        differences=differences,
        readers=readers,
        n_readers=len(ratings.readers),
        n_present=int(ratings.signal_present.sum()),
        n_absent=int((~ratings.signal_present).sum()),
        fully_crossed=crossed,
        confidence=confidence,
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Basis:
    """What an interval rests on."""

    variance: float
    df: float
    kind: IntervalFrom

    def half_width(self, confidence: float) -> float:
        """Of a symmetric interval; NaN if there is none."""
        return float(t.isf((1.0 - confidence) / 2.0, self.df)) * math.sqrt(self.variance)

    @property
    def df_or_none(self) -> float | None:
        return self.df if math.isfinite(self.df) else None


def _even(part: Contrast) -> bool:
    """Whether every success has the same weight, so that centring changes nothing."""
    return math.isclose(part.variance, part.variance_centred, rel_tol=1e-9, abs_tol=_NOTHING)


def _basis(part: Contrast, name: str, notes: list[str]) -> _Basis:
    """Choose the variance by the rule in `analyze`, and note what is not plain."""
    if part.variance_centred > _NOTHING:
        return _Basis(part.variance_centred, part.df, "u-statistic" if _even(part) else "centred u-statistic")
    if part.variance_mle_centred > _NOTHING:
        notes.append(
            f"{name}: the unbiased variance is not positive ({part.variance_centred:.3g}), as happens with few readers "
            f"and cases; the interval rests on its biased twin ({part.variance_mle_centred:.3g})"
        )
        return _Basis(part.variance_mle_centred, part.df_mle, "mle")
    if part.variance_mle_centred < -_NOTHING:
        notes.append(
            f"{name}: both variances are negative, since different cases were rated in the two modalities: "
            "there is no interval"
        )
        return _Basis(math.nan, math.inf, "none")
    notes.append(f"{name}: the variance is 0, which says that these cases are too easy or too alike to tell")
    return _Basis(0.0, math.inf, "u-statistic")


def _logit_bounds(area: float, half_width: float) -> tuple[float, float]:
    """Bounds of an AUC in (0, 1), symmetric in its logit."""
    centre, half = float(logit(area)), half_width / (area * (1.0 - area))
    return float(expit(centre - half)), float(expit(centre + half))


def _perfect_bounds(area: float, n_independent: int, confidence: float) -> tuple[float, float]:
    """Bounds of an AUC of 0 or 1 from how many successes share neither reader nor case."""
    margin = 1.0 - ((1.0 - confidence) / 2.0) ** (1.0 / n_independent)
    return (1.0 - margin, 1.0) if area == 1.0 else (0.0, margin)


def _p_value(difference: float, basis: _Basis) -> float:
    """Two-sided, of no difference; NaN without an interval."""
    if basis.variance == 0.0:
        return float(difference == 0.0)
    return 2.0 * float(t.sf(abs(difference) / math.sqrt(basis.variance), basis.df))


def _many_readers(
    ratings: Ratings, sums: MomentSums, crossed: bool, confidence: float, notes: list[str]
) -> tuple[dict[str, ModalityAUC], dict[str, DifferenceAUC]]:
    """Results over readers and cases; what is not plain is added to `notes`."""
    shot = one_shot(sums)
    _, other = u_statistic_covariances(sums) if crossed else (None, None)
    n_cases = sums.by_present.shape[-1], sums.by_absent.shape[-1]
    modalities, differences, uneven = {}, {}, False
    for index, name in enumerate(ratings.modalities):
        part = contrast(shot, index)
        basis = _basis(part, name, notes)
        half_width = basis.half_width(confidence)
        low, high = part.estimate - half_width, part.estimate + half_width
        if part.estimate not in (0.0, 1.0):
            ci_low, ci_high = _logit_bounds(part.estimate, half_width)
        elif crossed:
            basis = replace(basis, kind="exact")
            ci_low, ci_high = _perfect_bounds(part.estimate, min(ratings.scores.shape[1], *n_cases), confidence)
        else:
            basis = replace(basis, kind="none")
            ci_low = ci_high = math.nan
        uneven |= not _even(part)
        modalities[name] = ModalityAUC(
            auc=part.estimate,
            variance=part.variance,
            variance_centred=part.variance_centred,
            variance_mle=part.variance_mle,
            variance_mle_centred=part.variance_mle_centred,
            df=basis.df_or_none,
            df_hillis=None if other is None else _hillis(sums.reader_auc[index], other[index, index]),
            ci_low=ci_low,
            ci_high=ci_high,
            ci_low_symmetric=low,
            ci_high_symmetric=high,
            interval_variance=basis.variance,
            interval_from=basis.kind,
            components=part.components,
            contributions=part.contributions,
            moments=tuple(shot.moments[index, index].tolist()),
            coefficients=tuple(shot.coefficients[index, index].tolist()),
        )
    for a, b in combinations(range(len(ratings.modalities)), 2):
        first, second = ratings.modalities[a], ratings.modalities[b]
        name, part = f"{first}-{second}", contrast(shot, a, b)
        basis = _basis(part, name, notes)
        half_width = basis.half_width(confidence)
        uneven |= not _even(part)
        df_hillis = None
        if other is not None:
            shared = other[a, a] + other[b, b] - other[a, b] - other[b, a]
            df_hillis = _hillis(sums.reader_auc[a] - sums.reader_auc[b], shared)
        differences[name] = DifferenceAUC(
            first=first,
            second=second,
            auc=part.estimate,
            variance=part.variance,
            variance_centred=part.variance_centred,
            variance_mle=part.variance_mle,
            variance_mle_centred=part.variance_mle_centred,
            df_bdg=basis.df_or_none,
            df_hillis=df_hillis,
            ci_low=part.estimate - half_width,
            ci_high=part.estimate + half_width,
            p_value=_p_value(part.estimate, basis),
            interval_variance=basis.variance,
            interval_from=basis.kind,
            components=part.components,
            contributions=part.contributions,
        )
    if uneven:
        notes.append(
            "readers rated unequal numbers of cases: AUCs are pooled over all pairs of cases, so that readers weigh by "
            "their pairs, and intervals rest on the centred variance, which scatters less than the plain one"
        )
    return modalities, differences


def _hillis(by_reader: NDArray[np.float64], shared: float) -> float | None:
    """Hillis' degrees of freedom of a mean over readers whose errors have the covariance `shared`."""
    scatter = float(by_reader.var(ddof=1))
    df = hillis_df(scatter, scatter + len(by_reader) * max(float(shared), 0.0), len(by_reader))
    return df if math.isfinite(df) else None


def _single_reader(ratings: Ratings, confidence: float) -> tuple[dict[str, ModalityAUC], dict[str, DifferenceAUC]]:
    """Results of the choice of cases alone."""
    rated = ~np.isnan(ratings.scores[:, 0])
    if (rated != rated[0]).any():
        raise UserError(
            "one reader who rated different cases in different modalities: give one modality, or leave out the "
            "cases that were not rated in all"
        )
    present, absent = (scores[:, 0] for scores in by_class(ratings))
    present, absent = (scores[:, ~np.isnan(scores[0])] for scores in (present, absent))
    if min(present.shape[1], absent.shape[1]) < 2:
        raise UserError(
            f"{present.shape[1]} signal-present and {absent.shape[1]} signal-absent cases; 2 each are needed"
        )
    covariance = delong_covariance(present, absent)
    modalities, differences = {}, {}
    nothing = dict.fromkeys(
        (
            "variance",
            "variance_centred",
            "variance_mle",
            "variance_mle_centred",
            "df_hillis",
            "components",
            "contributions",
        )
    )
    for index, name in enumerate(ratings.modalities):
        interval = delong_interval(present[index], absent[index], confidence=confidence)
        basis = _Basis(float(covariance[index, index]), math.inf, "delong")
        modalities[name] = ModalityAUC(
            auc=interval.value,
            **nothing,
            df=None,
            ci_low=interval.ci_low,
            ci_high=interval.ci_high,
            ci_low_symmetric=interval.value - basis.half_width(confidence),
            ci_high_symmetric=interval.value + basis.half_width(confidence),
            interval_variance=basis.variance,
            interval_from="delong",
            moments=None,
            coefficients=None,
        )
    for a, b in combinations(range(len(covariance)), 2):
        paired = paired_delong(present[[a, b]], absent[[a, b]], confidence=confidence)
        differences[f"{ratings.modalities[a]}-{ratings.modalities[b]}"] = DifferenceAUC(
            first=ratings.modalities[a],
            second=ratings.modalities[b],
            auc=paired.delta_auc,
            **nothing,
            df_bdg=None,
            ci_low=paired.ci_low,
            ci_high=paired.ci_high,
            p_value=paired.p_value,
            interval_variance=float(covariance[a, a] + covariance[b, b] - 2.0 * covariance[a, b]),
            interval_from="delong",
        )
    return modalities, differences


def _readers(ratings: Ratings, sums: MomentSums) -> dict[str, dict[str, ReaderAUC]]:
    """Every reader's AUC with the variance that the cases give it."""
    result: dict[str, dict[str, ReaderAUC]] = {name: {} for name in ratings.readers}
    for m, r in np.ndindex(sums.reader_auc.shape):
        present, absent = (own[m, r][~np.isnan(own[m, r])] for own in by_class(ratings))
        area, variance, delong = float(sums.reader_auc[m, r]), math.nan, math.nan
        if min(len(present), len(absent)) >= 2:
            products, counts = (distinct(x[m, m, r]) for x in (sums.reader_products, sums.reader_counts))
            variance = area**2 - float(products[3] / counts[3])
            delong = float(delong_covariance(present[None], absent[None])[0, 0])
        result[ratings.readers[r]][ratings.modalities[m]] = ReaderAUC(area, variance, delong)
    return result


def _constant_notes(ratings: Ratings) -> list[str]:
    """Readers who gave all their cases of a modality the same score while others did not."""
    notes = []
    for m, modality in enumerate(ratings.modalities):
        spreads = [
            np.ptp(scores[~np.isnan(scores)]) if (~np.isnan(scores)).any() else 1.0 for scores in ratings.scores[m]
        ]
        constant = [reader for reader, spread in zip(ratings.readers, spreads, strict=True) if spread == 0.0]
        if constant and len(constant) < len(ratings.readers):
            notes.append(f"{modality}: reader {constant[0]!r} gave every case the same score, so tells nothing apart")
    return notes


def _missing_note(ratings: Ratings) -> str:
    """How many ratings are missing, and an example."""
    missing = np.argwhere(np.isnan(ratings.scores))
    modality, reader, case = missing[0]
    return (
        f"not fully crossed: {len(missing)} of {ratings.scores.size} ratings are missing, the first is that of case "
        f"{ratings.cases[case]!r} by reader {ratings.readers[reader]!r} in modality {ratings.modalities[modality]!r}"
    )


def _repeated(names: list[str]) -> str:
    return next(name for name in names if names.count(name) > 1)
