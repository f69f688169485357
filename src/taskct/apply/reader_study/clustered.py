"""AUC of a reader study whose cases come in clusters: of one patient, or on one background."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.apply.ratings import ReaderStudy
from taskct.apply.reader_study.cells import df_cell, interval_cell, p_cell, percent
from taskct.apply.reader_study.section import ResultTable, StudySection
from taskct.apply.reader_study.wanted import Wanted
from taskct.metrics.clustered import Clusters
from taskct.metrics.clustered_readers import clustered_readers_difference, clustered_readers_interval
from taskct.metrics.comparisons import Comparison, holm, noninferiority, why_no_margin
from taskct.metrics.intervals import Interval
from taskct.metrics.mrmc.margins import law_margin_tests
from taskct.metrics.roc import delong_difference, delong_interval, paired_delong

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Difference:
    """Of two modalities, first minus second."""

    interval: Interval
    p_value: float
    df: float
    """Of the Student's t whose interval this is; infinite for the normal distribution."""
    non_inferiority: Comparison | None
    """None where no margin is asked about, or these AUCs allow no verdict."""


def clustered_section(study: ReaderStudy, wanted: Wanted) -> StudySection | None:
    """AUCs over readers and clusters of cases, and their differences; None where each case stands alone.

    It needs a fully crossed study of the people; of another one it says so.
    """
    if study.clusters is None:
        return None
    people = [r for r, name in enumerate(study.ratings.readers) if name not in wanted.programs]
    ratings = study.ratings.part(readers=people)
    rated = ~np.isnan(ratings.scores)
    used = [np.flatnonzero(rated.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    kept = ratings.part(modalities=used[0], readers=used[1], cases=used[2])
    labels, kind = study.clusters[used[2]], ratings.reader_kind
    independent = (
        "the AUCs of the first table count cases as independent, though some are of one cluster: their intervals are "
        "too narrow and p too small"
    )
    if why := _why_not(kept.scores, labels, kept.signal_present, kind):
        return StudySection("clustered", _HEADING, {"why_not": why}, notes=(f"{independent}. {why}",))
    present, absent = kept.scores[..., kept.signal_present], kept.scores[..., ~kept.signal_present]
    clusters = Clusters.of(labels[kept.signal_present], labels[~kept.signal_present])
    areas = {
        name: _area(p, a, clusters, wanted.confidence)
        for name, p, a in zip(kept.modalities, present, absent, strict=True)
    }
    at = {name: index for index, name in enumerate(kept.modalities)}
    pairs = [pair for pair in study.pairs if set(pair) <= set(at)]
    notes, differences = [f"{independent}; those here hold"], {}
    for first, second in pairs:
        both, margin = [at[first], at[second]], wanted.margin
        if margin is not None and (reason := why_no_margin(areas[first].value, areas[second].value)):
            notes.append(f"{first}-{second}: no verdict on the margin: {reason}")
            margin = None
        found = _difference(present[both], absent[both], clusters, replace(wanted, margin=margin))
        differences[f"{first}-{second}"] = found
    adjusted = holm([one.p_value for one in differences.values()]).tolist() if differences else []
    return StudySection(
        "clustered",
        _HEADING,
        _content(areas, differences, adjusted, clusters),
        answers=_answers(pairs, differences, adjusted, clusters, wanted),
        grids=_tables(areas, differences, adjusted, wanted, kind),
        notes=tuple(notes),
        methods=(
            (
                f"Cases of one cluster are not independent. AUCs over {kind}s and clusters have the variance of "
                "Obuchowski and Rockette with Obuchowski's covariance of clustered areas",
                ("obuchowski-rockette", "clusters"),
            ),
        ),
    )


_HEADING = "AUC with clusters of cases"


def _why_not(scores: Floats, labels: NDArray[np.intp], present: NDArray[np.bool_], kind: str) -> str | None:
    """Why clusters allow no AUC; None if they do."""
    if np.isnan(scores).any():
        return f"AUC with clusters needs every {kind} to rate every case in every modality; here ratings are missing"
    for of_class, name in ((present, "present"), (~present, "absent")):
        n = len(np.unique(labels[of_class]))
        if n < 2:
            return f"AUC with clusters needs two clusters of each class; signal-{name} cases are of {n}"
    return None


def _area(present: Floats, absent: Floats, clusters: Clusters, confidence: float) -> Interval:
    """Of one modality, `(n_readers, n_cases)` of each class."""
    if len(present) == 1:
        return delong_interval(present[0], absent[0], clusters, confidence=confidence)
    return clustered_readers_interval(present, absent, clusters, confidence=confidence)


def _difference(present: Floats, absent: Floats, clusters: Clusters, wanted: Wanted) -> _Difference:
    """Of two modalities, `(2, n_readers, n_cases)` of each class."""
    if present.shape[1] > 1:
        pair, law = clustered_readers_difference(present, absent, clusters, confidence=wanted.confidence)
        df = law.error.student_df(wanted.confidence) if law.error.variance > 0.0 else math.inf
        test = None
        if wanted.margin is not None:
            test, _ = law_margin_tests(law, noninferiority_margin=wanted.margin, confidence=wanted.confidence)
    else:
        both, df, test = (present[:, 0], absent[:, 0]), math.inf, None
        pair = paired_delong(*both, clusters, confidence=wanted.confidence)
        if wanted.margin is not None:
            delta, std_error = delong_difference(*both, clusters)
            alpha = (1.0 - wanted.confidence) / 2.0
            test = noninferiority(delta, std_error, noninferiority_margin=wanted.margin, alpha=alpha, limit=1.0)
    return _Difference(Interval(pair.delta_auc, pair.ci_low, pair.ci_high), pair.p_value, df, test)


def _answers(
    pairs: Sequence[tuple[str, str]],
    differences: Mapping[str, _Difference],
    adjusted: Sequence[float],
    clusters: Clusters,
    wanted: Wanted,
) -> tuple[str, ...]:
    sentences = []
    for (first, second), one, p in zip(pairs, differences.values(), adjusted, strict=True):
        word = "differs" if p < 1.0 - wanted.confidence else "is not shown to differ"
        shown = interval_cell(one.interval, digits=4, sign=True)
        sentences.append(f"With clusters of cases, AUC of {first} {word} from that of {second}: {shown}.")
        if (test := one.non_inferiority) is not None:
            sentences.append(
                f"With clusters of cases, {first} not inferior to {second} within {test.margin:g}: "
                f"{'shown' if test.shown else 'not shown'}, p = {test.p_value:.2g} (one-sided alpha {test.alpha:g})."
            )
    n_cases = len(clusters.present) + len(clusters.absent)
    return (*sentences, f"{n_cases} cases are of {clusters.n} clusters.")


def _tables(
    areas: dict[str, Interval],
    differences: dict[str, _Difference],
    adjusted: list[float],
    wanted: Wanted,
    kind: str,
) -> tuple[ResultTable, ...]:
    level = f"[{percent(wanted.confidence)} interval, {kind}s and clusters of cases as random effects]"
    tables = [
        ResultTable(
            f"AUC {level}", ("modality",), ("AUC",), tuple((n, interval_cell(a, digits=4)) for n, a in areas.items())
        )
    ]
    if differences:
        rows = tuple(
            (name, interval_cell(one.interval, digits=4, sign=True), df_cell(one.df), p_cell(one.p_value), p_cell(p))
            for (name, one), p in zip(differences.items(), adjusted, strict=True)
        )
        headings = ("difference", "df", "p", "p (Holm)")
        tables.append(ResultTable(f"Differences, first less second {level}", ("modalities",), headings, rows))
    return tuple(tables)


def _content(
    areas: Mapping[str, Interval],
    differences: Mapping[str, _Difference],
    adjusted: Sequence[float],
    clusters: Clusters,
) -> dict[str, Any]:
    """For `--json`."""
    return {
        "n_clusters": clusters.n,
        "modalities": {name: asdict(area) for name, area in areas.items()},
        "differences": {
            name: asdict(one) | {"p_holm": p} for (name, one), p in zip(differences.items(), adjusted, strict=True)
        },
    }
