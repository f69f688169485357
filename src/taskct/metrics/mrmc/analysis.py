"""Analysis of a reader study: AUCs averaged over readers, their differences, intervals and p values."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.metrics.intervals import check_confidence, perfect_bounds
from taskct.metrics.mrmc.area_scale import area_bounds
from taskct.metrics.mrmc.areas import DifferenceAUC, ModalityAUC, MRMCAnalysis, ReaderAUC
from taskct.metrics.mrmc.basis import Basis, basis_of, even
from taskct.metrics.mrmc.difference import DifferenceLaw
from taskct.metrics.mrmc.error_law import ErrorLaw
from taskct.metrics.mrmc.moments import MomentSums, by_class, distinct, moment_sums
from taskct.metrics.mrmc.obuchowski_rockette import hillis_df, u_statistic_covariances
from taskct.metrics.mrmc.one_shot import Contrast, contrast, one_shot
from taskct.metrics.mrmc.ratings import Ratings
from taskct.metrics.mrmc.usable import analysable, only_rated
from taskct.metrics.roc import delong_covariance, delong_interval, paired_delong

Pairs = Sequence[tuple[int, int]]
_VARIANCES = ("variance", "variance_centred", "variance_mle", "variance_mle_centred")


def analyze(
    ratings: Ratings, *, pairs: Sequence[tuple[str, str]] | None = None, confidence: float = 0.95
) -> MRMCAnalysis:
    """Analyse a reader study of any design: fully crossed, split-plot, or with ratings missing.

    The variance over readers and cases is the U-statistic that FDA's iMRMC computes. `ci_low` to `ci_high`, the p value
    that goes with it (`p_value_interval`) and tests of a margin (`margin_tests`) rest on one law of the error, see
    `ErrorLaw` and `DifferenceLaw`. Beside it stand iMRMC's symmetric interval and `p_value`: those of Student's t with
    the whole part of the BDG degrees of freedom.

    Parameters
    ----------
    ratings
        Scores; NaN where a reader did not rate a case. Cases that nobody rated are left out and counted, and so are
        readers and modalities without ratings. A modality that allows no variance over readers and cases, such as one
        that a single reader of several rated, is named in a note, and the rest is analysed.
    pairs
        Modalities to compare, first minus second; every pair when left out.
    confidence
        Coverage wanted of the intervals, in (0, 1).

    Raises
    ------
    UserError
        If a class of cases is empty or unrated, no modality allows a variance, or two differences would have one name.
    ValueError
        If `confidence` is out of range or a pair names no two modalities.

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

    Where the variance of a difference is 0 the interval is a single point, and the p value is 1 without a difference, 0
    with one: the cases were too easy to tell anything.

    FDA's iMRMC (R package 2.1.2, Java program 4.0.3) computes p values and intervals with the whole part of the degrees
    of freedom, and with the normal distribution above 50, and so it is here in `p_value` and the symmetric interval.
    The degrees of freedom as estimated are in `df` and `df_bdg`, as iMRMC prints them, and `p_value_fractional` takes
    those. (iMRMC's own example: 7.35 degrees of freedom, p = 0.4686 with 7 and 0.4674 with 7.35.) iMRMC's program also
    rounds Hillis' degrees of freedom down; `obuchowski_rockette` takes them as they are, as OR-DBM MRMC does, and
    `sizing` takes expected ones, which are no whole number either.

    Coverage of 95 % intervals in simulated studies by the model of Roe & Metz, 2,000 of each of 720 kinds that had no
    part in any choice of the method: AUCs of 0.6 to 0.975 and differences of 0 to 0.08, 25 to 120 cases of a class,
    little and much scatter of readers, present cases that scatter as absent ones do or more. The error of simulation is
    0.5 %.

    | | AUC | difference | each tail of the difference |
    |---|---|---|---|
    | 4 to 12 readers | 92.8 to 97.1 %, mean 95.2 % | 93.2 to 97.1 %, mean 95.1 % | 1.0 to 3.9 % |
    | 3 readers | 92.9 to 97.1 %, mean 95.3 % | 93.6 to 98.1 %, mean 95.7 % | 0.6 to 3.5 % |
    | 2 readers | 93.1 to 97.7 %, mean 95.5 % | 92.5 to 98.5 %, mean 96.7 % | 0.6 to 4.4 % |
    | iMRMC's symmetric interval, 3 readers or more | 84.8 to 95.9 % | 90.9 to 98.2 % | 0.2 to 8.2 % |
    | iMRMC's symmetric interval, 2 readers | 87.1 to 94.9 % | 89.3 to 98.1 % | 0.5 to 8.0 % |

    So `p_value` may lie below 0.05 where the interval holds 0, and the other way round: with two readers it claims a
    difference too often, and near an AUC of 1 too seldom. Two readers have one degree of freedom between them, so their
    intervals are honest but wide: a mean length of 0.6 for an AUC and 0.9 for a difference, where three readers have
    0.3 and 0.3. With AUCs of 0.98 to 0.99 intervals cover 92 to 98 %: little of 5 or more readers who differ much, and
    much with 25 cases.

    References
    ----------
    .. [1] Gallas, Bandos, Samuelson & Wagner, Commun. Stat. Theory Methods 38, 2586 (2009).
    .. [2] Obuchowski, Gallas & Hillis, Acad. Radiol. 19, 1508 (2012), degrees of freedom.
    .. [3] Roe & Metz, Acad. Radiol. 4, 298 (1997), the model.

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
    rated, notes = only_rated(ratings)
    kept, left_out = (rated, ()) if len(rated.readers) == 1 else analysable(rated)
    of_kept = _pairs(ratings, kept, pairs)
    found = [*notes, *left_out]
    sums = moment_sums(kept)
    crossed = not bool(np.isnan(kept.scores).any())
    if not crossed:
        found.append(_missing_note(kept))
    found += _constant_notes(kept)
    kind = ratings.reader_kind
    if len(kept.readers) == 1:
        modalities, differences = _single_reader(kept, of_kept, confidence)
        found.append(
            f"one {kind}: the variance between {kind}s cannot be estimated. Intervals and p values are of the "
            f"choice of cases alone (DeLong) and hold for this {kind} only"
        )
    else:
        if len(kept.readers) == 2:
            found.append(
                f"two {kind}s: their scatter has one degree of freedom, so that intervals are wide; of 95 %, they "
                "covered 93 to 98 % in simulated studies: have three or more"
            )
        modalities, differences = _many_readers(kept, sums, of_kept, confidence, found)
    return MRMCAnalysis(
        modalities=modalities,
        differences=differences,
        readers=_reader_aucs(rated, sums if rated is kept else moment_sums(rated), confidence=confidence),
        reader_kind=kind,
        n_readers=len(kept.readers),
        n_present=int(kept.signal_present.sum()),
        n_absent=int((~kept.signal_present).sum()),
        n_unrated=len(ratings.cases) - len(rated.cases),
        fully_crossed=crossed,
        confidence=confidence,
        notes=tuple(found),
    )


def _pairs(ratings: Ratings, kept: Ratings, pairs: Sequence[tuple[str, str]] | None) -> Pairs:
    """Numbers of the modalities to compare, among those that are kept."""
    wanted = list(combinations(ratings.modalities, 2)) if pairs is None else list(pairs)
    for a, b in wanted:
        if a == b or not {a, b} <= set(ratings.modalities):
            raise ValueError(f"({a!r}, {b!r}) are no two modalities of {ratings.modalities}")
    names = [f"{a}-{b}" for a, b in wanted]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise UserError(f"two differences of modalities would both be called {repeated[0]!r}: rename a modality")
    at = {name: index for index, name in enumerate(kept.modalities)}
    return [(at[a], at[b]) for a, b in wanted if a in at and b in at]


def _many_readers(
    ratings: Ratings, sums: MomentSums, pairs: Pairs, confidence: float, notes: list[str]
) -> tuple[dict[str, ModalityAUC], dict[str, DifferenceAUC]]:
    """Results over readers and cases; what is not plain is added to `notes`."""
    shot = one_shot(sums)
    crossed = not bool(np.isnan(ratings.scores).any())
    _, other = u_statistic_covariances(sums) if crossed else (None, None)
    n_cases = sums.by_present.shape[-1], sums.by_absent.shape[-1]
    modalities, differences, uneven = {}, {}, False
    variances: list[float] = []
    for index, name in enumerate(ratings.modalities):
        part = contrast(shot, index)
        basis = basis_of(part, name, notes)
        half_width = basis.half_width(confidence)
        variances.append(basis.variance)
        error = None
        if part.estimate not in (0.0, 1.0):
            error = _error_law(part, basis)
            half = np.array(error.critical(confidence) * error.std_error)
            ci_low, ci_high = (float(bound) for bound in area_bounds(part.estimate, half))
        elif crossed:
            basis = replace(basis, kind="exact")
            ci_low, ci_high = perfect_bounds(part.estimate, min(ratings.scores.shape[1], *n_cases), confidence)
        else:
            basis = replace(basis, kind="none")
            ci_low = ci_high = math.nan
        uneven |= not even(part)
        modalities[name] = ModalityAUC(
            **_in_both(part, basis),
            df=basis.df_or_none,
            df_hillis=None if other is None else _hillis(sums.reader_auc[index], other[index, index]),
            ci_low=ci_low,
            ci_high=ci_high,
            ci_low_symmetric=part.estimate - half_width,
            ci_high_symmetric=part.estimate + half_width,
            error=error,
            moments=tuple(shot.moments[index, index].tolist()),
            coefficients=tuple(shot.coefficients[index, index].tolist()),
        )
    for a, b in pairs:
        first, second = ratings.modalities[a], ratings.modalities[b]
        name, part = f"{first}-{second}", contrast(shot, a, b)
        basis = basis_of(part, name, notes)
        half_width = basis.half_width(confidence)
        law, (ci_low, ci_high), p_interval = None, (math.nan, math.nan), math.nan
        if basis.kind != "none":
            areas = float(shot.auc[a]), float(shot.auc[b])
            law = DifferenceLaw(areas[0], areas[1], variances[a], variances[b], _error_law(part, basis))
            (ci_low, ci_high), p_interval = law.bounds(confidence), law.p_value()
        uneven |= not even(part)
        df_hillis = None
        if other is not None:
            shared = other[a, a] + other[b, b] - other[a, b] - other[b, a]
            df_hillis = _hillis(sums.reader_auc[a] - sums.reader_auc[b], shared)
        differences[name] = DifferenceAUC(
            first=first,
            second=second,
            **_in_both(part, basis),
            df_bdg=basis.df_or_none,
            df_hillis=df_hillis,
            ci_low=ci_low,
            ci_high=ci_high,
            ci_low_symmetric=part.estimate - half_width,
            ci_high_symmetric=part.estimate + half_width,
            law=law,
            p_value_interval=p_interval,
            p_value=basis.p_value(part.estimate),
            p_value_fractional=basis.p_value(part.estimate, fractional=True),
        )
    if uneven:
        notes.append(
            f"{ratings.reader_kind}s rated unequal numbers of cases: AUCs are pooled over all pairs of cases, so that "
            f"{ratings.reader_kind}s weigh by their pairs, and intervals rest on the centred variance, which scatters "
            "less than the plain one"
        )
    return modalities, differences


def _error_law(part: Contrast, basis: Basis) -> ErrorLaw:
    """Law of the error that the interval rests on; for a variance that there is."""
    of_readers = min(part.of_readers, basis.variance)
    return ErrorLaw(basis.variance, of_readers, part.df_readers, part.df_cases)


def _in_both(part: Contrast, basis: Basis) -> dict[str, Any]:
    """What the results of a modality and of a difference have alike."""
    alike = {name: getattr(part, name) for name in (*_VARIANCES, "components", "contributions")}
    interval = {"df_whole": basis.df_whole, "interval_variance": basis.variance, "interval_from": basis.kind}
    return {"auc": part.estimate, **alike, **interval}


def _hillis(by_reader: NDArray[np.float64], shared: float) -> float | None:
    """Hillis' degrees of freedom of a mean over readers whose errors have the covariance `shared`."""
    scatter = float(by_reader.var(ddof=1))
    df = hillis_df(scatter, scatter + len(by_reader) * max(float(shared), 0.0), len(by_reader))
    return df if math.isfinite(df) else None


def _single_reader(
    ratings: Ratings, pairs: Pairs, confidence: float
) -> tuple[dict[str, ModalityAUC], dict[str, DifferenceAUC]]:
    """Results of the choice of cases alone."""
    rated = ~np.isnan(ratings.scores[:, 0])
    if (rated != rated[0]).any():
        raise UserError(
            f"one {ratings.reader_kind} who rated different cases in different modalities: give one modality, or leave "
            "out the cases that were not rated in all"
        )
    present, absent = (scores[:, 0] for scores in by_class(ratings))
    present, absent = (scores[:, ~np.isnan(scores[0])] for scores in (present, absent))
    if min(present.shape[1], absent.shape[1]) < 2:
        raise UserError(
            f"{present.shape[1]} signal-present and {absent.shape[1]} signal-absent cases; 2 each are needed"
        )
    covariance = delong_covariance(present, absent)
    modalities, differences = {}, {}
    nothing = dict.fromkeys((*_VARIANCES, "df_whole", "df_hillis", "components", "contributions"))
    for index, name in enumerate(ratings.modalities):
        interval = delong_interval(present[index], absent[index], confidence=confidence)
        basis = Basis(float(covariance[index, index]), math.inf, "delong")
        modalities[name] = ModalityAUC(
            auc=interval.value,
            **nothing,
            df=None,
            ci_low=interval.ci_low,
            ci_high=interval.ci_high,
            ci_low_symmetric=interval.value - basis.half_width(confidence),
            ci_high_symmetric=interval.value + basis.half_width(confidence),
            error=None,
            interval_variance=basis.variance,
            interval_from="delong",
            moments=None,
            coefficients=None,
        )
    for a, b in pairs:
        paired = paired_delong(present[[a, b]], absent[[a, b]], confidence=confidence)
        differences[f"{ratings.modalities[a]}-{ratings.modalities[b]}"] = DifferenceAUC(
            first=ratings.modalities[a],
            second=ratings.modalities[b],
            auc=paired.delta_auc,
            **nothing,
            df_bdg=None,
            ci_low=paired.ci_low,
            ci_high=paired.ci_high,
            ci_low_symmetric=paired.ci_low,
            ci_high_symmetric=paired.ci_high,
            law=None,
            p_value_interval=paired.p_value,
            p_value=paired.p_value,
            p_value_fractional=paired.p_value,
            interval_variance=float(covariance[a, a] + covariance[b, b] - 2.0 * covariance[a, b]),
            interval_from="delong",
        )
    return modalities, differences


def _reader_aucs(ratings: Ratings, sums: MomentSums, *, confidence: float) -> dict[str, dict[str, ReaderAUC]]:
    """AUC of every reader, then modality, with the interval that the cases give; NaN where one rated too little."""
    result: dict[str, dict[str, ReaderAUC]] = {name: {} for name in ratings.readers}
    present_of, absent_of = by_class(ratings)
    for m, r in np.ndindex(sums.reader_auc.shape):
        present, absent = (own[m, r][~np.isnan(own[m, r])] for own in (present_of, absent_of))
        area, variance, delong, low, high = float(sums.reader_auc[m, r]), *[math.nan] * 4
        if min(len(present), len(absent)) >= 2:
            products, counts = (distinct(x[m, m, r]) for x in (sums.reader_products, sums.reader_counts))
            variance = area**2 - float(products[3] / counts[3])
            delong = float(delong_covariance(present[None], absent[None])[0, 0])
            interval = delong_interval(present, absent, confidence=confidence)
            low, high = interval.ci_low, interval.ci_high
        result[ratings.readers[r]][ratings.modalities[m]] = ReaderAUC(area, variance, delong, low, high)
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
            kind = ratings.reader_kind
            notes.append(f"{modality}: {kind} {constant[0]!r} gave every case the same score, so tells nothing apart")
    return notes


def _missing_note(ratings: Ratings) -> str:
    """How many ratings are missing, an example, and what was not rated at all in a modality."""
    missing = np.isnan(ratings.scores)
    modality, reader, case = np.argwhere(missing)[0]
    text = (
        f"not fully crossed: {missing.sum()} of {missing.size} ratings are missing, the first is that of case "
        f"{ratings.cases[case]!r} by {ratings.reader_kind} {ratings.readers[reader]!r} in modality "
        f"{ratings.modalities[modality]!r}"
    )
    for name, of_modality in zip(ratings.modalities, missing, strict=True):
        n_cases, n_readers = int(of_modality.all(axis=0).sum()), int(of_modality.all(axis=1).sum())
        if n_cases:
            text += f"; {n_cases} of {len(ratings.cases)} cases were rated by nobody in modality {name!r}"
        if n_readers:
            text += f"; {n_readers} of {len(ratings.readers)} {ratings.reader_kind}s rated nothing in modality {name!r}"
    return text
