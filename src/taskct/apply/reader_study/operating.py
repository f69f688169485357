"""Sensitivity and specificity of readers at a cut-off: averaged, compared, and of each reader."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.apply.ratings import ReaderStudy
from taskct.apply.reader_study.cells import NONE, df_cell, interval_cell, p_cell, percent
from taskct.apply.reader_study.section import ResultTable, StudySection
from taskct.apply.reader_study.wanted import Wanted
from taskct.errors import UserError
from taskct.metrics.comparisons import holm
from taskct.metrics.mrmc.cutoffs import OperatingPoints, operating_points
from taskct.metrics.mrmc.proportions import ProportionDifference, Proportions
from taskct.metrics.mrmc.ratings import Ratings

MEASURES = ("sensitivity", "specificity")


def operating_section(study: ReaderStudy, wanted: Wanted) -> StudySection | None:
    """Sensitivity and specificity over the people, their differences, and of each reader; None without a cut-off.

    Raises
    ------
    UserError
        If a cut-off is no number or of no reader, a reader has none, or a class of cases allows no rate.
    """
    if not wanted.cutoffs:
        return None
    ratings = study.ratings
    cutoffs = cutoffs_of(ratings, wanted.cutoffs)
    people = [r for r, name in enumerate(ratings.readers) if name not in wanted.programs]
    found = operating_points(
        ratings.part(readers=people),
        cutoffs[people],
        clusters=study.clusters,
        pairs=study.pairs,
        confidence=wanted.confidence,
    )
    everybody = found
    if len(people) < len(ratings.readers):
        everybody = operating_points(ratings, cutoffs, clusters=study.clusters, pairs=(), confidence=wanted.confidence)
    tests = _differences(found)
    adjusted = holm([one.p_value for _, one in tests]).tolist() if tests else []
    kind = ratings.reader_kind
    grids = [_average_table(found, wanted, kind)]
    if tests:
        grids.append(_difference_table(found, adjusted, wanted))
    grids.append(_reader_table(everybody, ratings, cutoffs, wanted))
    return StudySection(
        "operating_points",
        "Sensitivity and specificity",
        _content(found, everybody, ratings, cutoffs, adjusted, wanted),
        answers=_answers(found, tests, adjusted, wanted),
        grids=tuple(grids),
        notes=_notes(study, found, cutoffs, people),
        methods=(
            (
                f"A case with a score at or above the cut-off was called positive. Sensitivity and specificity are "
                f"averaged over {kind}s; their variance is the U-statistic over {kind}s and "
                f"{'clusters of cases' if study.clusters is not None else 'cases'}",
                ("one-shot",),
            ),
            *(
                [("P values are adjusted by Holm's method over all differences of either rate", ("holm",))]
                if tests
                else []
            ),
        ),
    )


def cutoffs_of(ratings: Ratings, texts: Sequence[str]) -> NDArray[np.float64]:
    """The cut-off of each reader, `(n_readers,)`, from `SCORE` for all and `READER=SCORE` for one.

    Raises
    ------
    UserError
        If a score is no finite number, a reader is unknown or named twice, or one is left without a cut-off.
    """
    for_all, own = [], dict[str, float]()
    for text in texts:
        if (score := _number(text)) is not None:
            for_all.append(score)
            continue
        reader, equals, after = text.rpartition("=")
        score = _number(after)
        if not equals or score is None:
            raise UserError(f"--cutoff {text}: give a score such as 3.5, or READER=SCORE for one {ratings.reader_kind}")
        if reader not in ratings.readers:
            known = ", ".join(ratings.readers)
            raise UserError(f"--cutoff {text}: no such {ratings.reader_kind}; there are {known}")
        if reader in own:
            raise UserError(f"--cutoff {text}: {reader} has one already; give each {ratings.reader_kind} one")
        own[reader] = score
    if len(for_all) > 1:
        raise UserError(f"--cutoff is given twice for all {ratings.reader_kind}s: give one, or READER=SCORE for others")
    if not for_all and (lacking := [name for name in ratings.readers if name not in own]):
        raise UserError(f"--cutoff lacks {', '.join(lacking)}: add {lacking[0]}=SCORE, or a score for all the others")
    return np.array([own.get(name, for_all[0] if for_all else math.nan) for name in ratings.readers])


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None


def _differences(found: OperatingPoints) -> list[tuple[str, ProportionDifference]]:
    """All of sensitivity and of specificity: the family of tests."""
    return [(measure, one) for measure in MEASURES for one in _of(found, measure).differences.values()]


def _of(found: OperatingPoints, measure: str) -> Proportions:
    return found.sensitivity if measure == "sensitivity" else found.specificity


def _answers(
    found: OperatingPoints, tests: Sequence[tuple[str, ProportionDifference]], adjusted: Sequence[float], wanted: Wanted
) -> tuple[str, ...]:
    sentences = []
    for (measure, one), p in zip(tests, adjusted, strict=True):
        word = "differs" if p < 1.0 - wanted.confidence else "is not shown to differ"
        shown = interval_cell(one.interval, sign=True)
        sentences.append(f"{measure.capitalize()} of {one.first} {word} from that of {one.second}: {shown}.")
        if wanted.margin is not None:
            p_margin, alpha = one.p_not_worse(wanted.margin), (1.0 - wanted.confidence) / 2.0
            shown = "shown" if p_margin < alpha else "not shown"
            sentences.append(
                f"{measure.capitalize()} of {one.first} not inferior to that of {one.second} within "
                f"{wanted.margin:g}: {shown}, p = {p_margin:.2g} (one-sided alpha {alpha:g})."
            )
    if tests:
        return tuple(sentences)
    return tuple(
        f"{name}: sensitivity {interval_cell(one.interval)}, specificity "
        f"{interval_cell(found.specificity.modalities[name].interval)}."
        for name, one in found.sensitivity.modalities.items()
        if name in found.specificity.modalities
    )


def _average_table(found: OperatingPoints, wanted: Wanted, kind: str) -> ResultTable:
    rows = []
    for measure in MEASURES:
        for name, one in _of(found, measure).modalities.items():
            rows.append((measure, name, interval_cell(one.interval), f"{one.variance:.3g}", df_cell(one.df)))
    rows += [("Youden's index", name, interval_cell(one), NONE, NONE) for name, one in found.youden.items()]
    scatter = (
        f"{kind}s and cases as random effects" if found.sensitivity.n_readers > 1 else "of the choice of cases alone"
    )
    title = f"Averages over {kind}s [{percent(wanted.confidence)} interval, {scatter}]"
    return ResultTable(title, ("measure", "modality"), ("value", "variance", "df"), tuple(rows))


def _difference_table(found: OperatingPoints, adjusted: Sequence[float], wanted: Wanted) -> ResultTable:
    rows = [
        (measure, f"{one.first}-{one.second}", interval_cell(one.interval, sign=True), p_cell(one.p_value), p_cell(p))
        for (measure, one), p in zip(_differences(found), adjusted, strict=True)
    ]
    rows += [
        ("Youden's index", pair, interval_cell(one.interval, sign=True), p_cell(one.p_value), NONE)
        for pair, one in found.youden_differences.items()
    ]
    title = f"Differences, first less second [{percent(wanted.confidence)} interval]"
    return ResultTable(title, ("measure", "modalities"), ("difference", "p", "p (Holm)"), tuple(rows))


def _reader_table(
    found: OperatingPoints, ratings: Ratings, cutoffs: NDArray[np.float64], wanted: Wanted
) -> ResultTable:
    rows = []
    for modality in ratings.modalities:
        for reader, cutoff in zip(ratings.readers, cutoffs.tolist(), strict=True):
            rates = [_of(found, measure).readers[reader].get(modality) for measure in MEASURES]
            if any(rate is not None for rate in rates):
                cells = (NONE if rate is None else interval_cell(rate) for rate in rates)
                rows.append((modality, reader, f"{cutoff:g}", *cells))
    return ResultTable(
        f"Each {ratings.reader_kind} [{percent(wanted.confidence)} interval of the choice of cases alone]",
        ("modality", ratings.reader_kind),
        ("cut-off", *MEASURES),
        tuple(rows),
    )


def _notes(
    study: ReaderStudy, found: OperatingPoints, cutoffs: NDArray[np.float64], people: Sequence[int]
) -> tuple[str, ...]:
    notes = list(dict.fromkeys(f"{m}: {text}" for m in MEASURES for text in _of(found, m).notes))
    scores, kind = study.ratings.scores[:, people], study.ratings.reader_kind
    called = scores >= cutoffs[people][None, :, None]
    rated = ~np.isnan(scores)
    never, always = ((~called | ~rated).all(axis=(0, 2)).sum(), (called | ~rated).all(axis=(0, 2)).sum())
    for n, word in ((never, "below"), (always, "at or above")):
        if n:
            notes.append(f"all scores of {n} {kind}{'s' if n > 1 else ''} lie {word} the cut-off: look at the cut-off")
    return tuple(notes)


def _content(
    found: OperatingPoints,
    everybody: OperatingPoints,
    ratings: Ratings,
    cutoffs: NDArray[np.float64],
    adjusted: Sequence[float],
    wanted: Wanted,
) -> dict[str, Any]:
    """For `--json`."""
    content: dict[str, Any] = {
        "cutoffs": dict(zip(ratings.readers, cutoffs.tolist(), strict=True)),
        "n_clusters": {measure: _of(found, measure).n_clusters for measure in MEASURES},
    }
    p_holm = iter(adjusted)
    for measure in MEASURES:
        of = _of(found, measure)
        differences = {}
        for pair, one in of.differences.items():
            plain = {
                "interval": asdict(one.interval),
                "variance": one.variance,
                "variance_mle": one.variance_mle,
                "df": one.df,
                "p_value": one.p_value,
                "p_holm": next(p_holm),
            }
            if wanted.margin is not None:
                plain["p_not_inferior"] = one.p_not_worse(wanted.margin)
            differences[pair] = plain
        content[measure] = {
            "modalities": {name: asdict(one) for name, one in of.modalities.items()},
            "differences": differences,
            "readers": {
                reader: {name: asdict(one) for name, one in of_reader.items()}
                for reader, of_reader in _of(everybody, measure).readers.items()
            },
        }
    content["youden"] = {
        "modalities": {name: asdict(one) for name, one in found.youden.items()},
        "differences": {pair: asdict(one) for pair, one in found.youden_differences.items()},
    }
    return content
