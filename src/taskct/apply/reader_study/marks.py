"""Marks of a reader study: figures of merit, their differences, and curves."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.apply.ratings import Choice
from taskct.apply.reader_study.section import Drawing, Line, ResultTable, StudySection
from taskct.apply.reader_study.sizes import SizeBasis, section_of_sizes
from taskct.apply.reader_study.wanted import Wanted
from taskct.io.marks_files import read_marks
from taskct.metrics.comparisons import CEILING, Comparison, equivalence, noninferiority
from taskct.metrics.froc import FigureOfMerit, afroc_curve, froc_curve, sensitivity_on
from taskct.metrics.intervals import Interval
from taskct.metrics.marks import NO_LESION, MarkStudy
from taskct.metrics.mrmc.free_response import MarksAnalysis, MarksDifference, analyze_marks
from taskct.metrics.mrmc.margins import law_margin_tests

Floats = NDArray[np.float64]
Pairs = tuple[tuple[str, str], ...]

_NONE = "–"
_SOURCES = {"hr-auc": "froc", "lroc": "lroc", "wafroc": "weighted-afroc", "wafroc1": "weighted-afroc"}
_SOURCES |= {"afroc": "jafroc", "afroc1": "jafroc"}
_POINTS = 100


def read_mark_study(source: Path, choice: Choice | None = None) -> tuple[MarkStudy, Pairs]:
    """Read a table of marks and choose what is compared.

    Raises
    ------
    UserError
        If the table cannot be read, or an arm is unknown or to be compared with itself.
    """
    study = read_marks(source)
    kept, pairs = (choice or Choice()).among(study.modalities, source)
    return study.part([study.modalities.index(name) for name in kept]), pairs


def marks_sections(study: MarkStudy, wanted: Wanted, pairs: Pairs | None = None) -> list[StudySection]:
    """Analyse marks: the figure of merit and its curves, and the size of the next study where `detect` is wanted.

    Parameters
    ----------
    study
        Marks of a fully crossed study.
    wanted
        What is asked: the figure of merit, a margin, a difference to detect; the rest does not matter here.
    pairs
        Modalities to compare, first minus second; every pair when left out.

    Raises
    ------
    UserError
        As `analyze_marks`, or if there is no such figure of merit.
    """
    figure = FigureOfMerit(wanted.figure_of_merit) if wanted.figure_of_merit else FigureOfMerit()
    found = analyze_marks(study, figure, pairs=pairs, confidence=wanted.confidence)
    sections = [_section(study, found, wanted)]
    components = found.components()
    if wanted.detect is not None and components is not None and found.n_normal:
        ratio = found.n_normal / found.n_diseased
        basis = SizeBasis(" and ".join(found.modalities), components, ratio, "hillis")
        sizes = section_of_sizes([basis], wanted, study.reader_kind)
        sections += [] if sizes is None else [sizes]
    return sections


def _section(study: MarkStudy, found: MarksAnalysis, wanted: Wanted) -> StudySection:
    tests = _margins(found, wanted)
    content = found.as_dict()
    for pair, of_pair in tests.items():
        content["differences"][pair] |= {test.aim: asdict(test) for test in of_pair}
    content["marks"] = {name: _counts(study, m) for m, name in enumerate(study.modalities)}
    return StudySection(
        "marks",
        f"Marks: {found.figure.words}",
        content,
        answers=(*_answers(found), *_verdicts(tests)),
        grids=_grids(study, found),
        drawings=_drawings(study, found),
        notes=(*study.notes, *_notes(study, found, wanted)),
        methods=_methods(study, found),
    )


def _margins(found: MarksAnalysis, wanted: Wanted) -> dict[str, tuple[Comparison, ...]]:
    """Non-inferiority and equivalence, at one-sided sizes whose interval is the one that is shown."""
    if wanted.margin is None:
        return {}
    margin, alpha = wanted.margin, (1.0 - wanted.confidence) / 2.0
    return {
        pair: tuple(
            test(two.value, two.std_error, noninferiority_margin=margin, alpha=alpha, limit=1.0)
            for test in (noninferiority, equivalence)
        )
        if two.law is None
        else law_margin_tests(two.law, noninferiority_margin=margin, confidence=wanted.confidence)
        for pair, two in found.differences.items()
        if _why_no_margin(found, two) is None
    }


def _why_no_margin(found: MarksAnalysis, two: MarksDifference) -> str | None:
    """Why a margin proves nothing of a difference; None where it can."""
    figures = [found.modalities[name].value for name in (two.first, two.second)]
    if min(figures) > CEILING:
        shown = " and ".join(f"{value:.3f}" for value in figures)
        return f"figures of merit of {shown} are both above {CEILING}: these cases are too easy"
    return None if two.std_error > 0.0 else "the difference does not scatter at all"


def _answers(found: MarksAnalysis) -> tuple[str, ...]:
    words = found.figure.words[0].upper() + found.figure.words[1:]
    if not found.differences:
        shown = "; ".join(f"{name} {_interval(one)}" for name, one in found.modalities.items())
        return (f"{words}: {shown}.",)
    return tuple(
        f"{words} of {two.first} {'differs' if two.p_holm < 0.05 else 'is not shown to differ'} from that of "
        f"{two.second}: {_interval(Interval(two.value, two.ci_low, two.ci_high), sign=True)}, "
        f"p (Holm) {_p(two.p_holm)}."
        for two in found.differences.values()
    )


def _verdicts(tests: dict[str, tuple[Comparison, ...]]) -> tuple[str, ...]:
    return tuple(
        f"{pair}: {test.aim} within {test.margin:g} is {'shown' if test.shown else 'not shown'}, one-sided p "
        f"{_p(test.p_value)}."
        for pair, of_pair in tests.items()
        for test in of_pair
    )


def _grids(study: MarkStudy, found: MarksAnalysis) -> tuple[ResultTable, ...]:
    kind, level = study.reader_kind, f"{100 * found.confidence:g} %"
    heading = f"{found.figure.words} [{level}]"
    effects = "cases alone" if len(study.readers) == 1 else f"{kind}s and cases"
    by_modality = []
    for m, (name, one) in enumerate(found.modalities.items()):
        counts = _counts(study, m)
        numbers = (f"{counts['lesions_marked']:.3f}", f"{counts['false_marks_an_image']:.3f}")
        by_modality.append((name, _interval(one), *numbers))
    grids = [
        ResultTable(
            f"{_counted(study)}, {found.n_lesions} lesions in {found.n_diseased} cases, {found.n_normal} "
            f"cases without; {effects} as random effects",
            ("modality",),
            (heading, "lesions marked", "false marks an image"),
            tuple(by_modality),
        )
    ]
    if found.differences:
        rows = [
            (
                pair,
                _interval(Interval(two.value, two.ci_low, two.ci_high), sign=True),
                _NONE if math.isinf(two.df) else f"{two.df:.1f}",
                _p(two.p_value),
                _p(two.p_holm),
            )
            for pair, two in found.differences.items()
        ]
        title = "Differences, first minus second"
        grids.append(ResultTable(title, ("modalities",), (f"difference [{level}]", "df", "p", "p (Holm)"), tuple(rows)))
    readers = [
        (modality, reader, _interval(of_reader[modality]))
        for modality in found.modalities
        for reader, of_reader in found.readers.items()
    ]
    title = f"Each {kind}, with an interval of the choice of cases alone"
    return (*grids, ResultTable(title, ("modality", kind), (heading,), tuple(readers)))


def _counted(study: MarkStudy) -> str:
    n = len(study.readers)
    return f"{n} {study.reader_kind}{'' if n == 1 else 's'}"


def _counts(study: MarkStudy, modality: int) -> dict[str, Any]:
    """Fraction of lesions marked and false marks an image, averaged over readers."""
    on_lesions = study.highest_on_lesions()[modality]
    mine = study.mark_at[study.mark_at[:, 0] == modality]
    n_false, n_read = int((mine[:, 3] == NO_LESION).sum()), int(study.read[modality].sum())
    return {
        "lesions_marked": float(np.isfinite(on_lesions).sum() / (~np.isnan(on_lesions)).sum()),
        "false_marks_an_image": n_false / n_read,
    }


def _drawings(study: MarkStudy, found: MarksAnalysis) -> tuple[Drawing, ...]:
    kind = study.reader_kind
    numbers = range(len(study.readers))
    curves = {name: [froc_curve(study, m, r) for r in numbers] for m, name in enumerate(study.modalities)}
    most = max(float(curve[0][-1]) for of_modality in curves.values() for curve in of_modality)
    grid = np.linspace(0.0, most if most > 0.0 else 1.0, _POINTS)
    froc = [
        Line(name, grid, np.mean([sensitivity_on(curve, grid) for curve in of_modality], axis=0))
        for name, of_modality in curves.items()
    ]
    drawings = [
        Drawing(
            f"FROC curves of {len(curves)} modalities: fraction of lesions found, averaged over {kind}s at equal "
            "numbers of false marks an image. Beyond the last mark of a reader a curve stays where it is.",
            "false marks an image",
            "lesions found",
            tuple(froc),
            in_terminal=True,
        )
    ]
    if found.n_normal:
        unit = np.linspace(0.0, 1.0, _POINTS)
        weighted = [
            Line(name, unit, np.mean([sensitivity_on(afroc_curve(study, m, r), unit) for r in numbers], axis=0))
            for m, name in enumerate(study.modalities)
        ]
        drawings.append(
            Drawing(
                f"Weighted AFROC curves of {len(curves)} modalities: weighted fraction of lesions found, averaged over "
                f"{kind}s, against the fraction of cases without a lesion that have a false mark.",
                "cases without a lesion that are marked",
                "lesions found (weighted)",
                tuple(weighted),
            )
        )
    return tuple(drawings)


def _notes(study: MarkStudy, found: MarksAnalysis, wanted: Wanted) -> tuple[str, ...]:
    kind, notes = study.reader_kind, []
    if len(study.readers) == 1:
        notes.append(
            f"one {kind}: the scatter between {kind}s cannot be told. Intervals and p values are of the choice of "
            f"cases alone and hold for this {kind} only"
        )
    elif len(study.readers) == 2:
        notes.append(
            f"two {kind}s: their scatter is hardly known, and intervals are wide to make up for it; have three or more"
        )
    if any(math.isnan(one.ci_low) for one in found.modalities.values()):
        notes.append("a figure of merit is 0 or 1: there is no scatter to tell its interval from")
    if wanted.margin is not None:
        reasons = {pair: _why_no_margin(found, two) for pair, two in found.differences.items()}
        notes += [f"{pair}: no verdict on the margin: {why}" for pair, why in reasons.items() if why is not None]
        if not reasons:
            notes.append("no two modalities are compared, so there is nothing to test with a margin")
    if wanted.detect is not None and (found.components() is None or not found.n_normal):
        notes.append(
            f"a study cannot be sized from this one: it takes two modalities, two {kind}s and cases without a lesion"
        )
    return tuple(notes)


def _methods(study: MarkStudy, found: MarksAnalysis) -> tuple[tuple[str, tuple[str, ...]], ...]:
    kind, figure = study.reader_kind, found.figure
    what = f"{len(study.readers)} {kind}s marked {len(study.cases)} cases; the figure of merit is the {figure.words}"
    covariance = "the jackknife over cases" if figure.name in _SOURCES else "the bootstrap over cases"
    analysis = (
        f"Its errors were estimated by {covariance}"
        if found.anova is None
        else f"Modalities were compared by the analysis of Obuchowski and Rockette, with {kind}s and cases random and "
        f"errors estimated by {covariance}"
    )
    sources = () if found.anova is None else ("obuchowski-rockette", "mover")
    return ((what, (_SOURCES.get(figure.name, "froc"),)), (analysis, sources))


def _interval(one: Interval, *, sign: bool = False) -> str:
    plus = "+" if sign else ""
    if math.isnan(one.ci_low):
        return f"{one.value:{plus}.3f}"
    return f"{one.value:{plus}.3f} [{one.ci_low:{plus}.3f}, {one.ci_high:{plus}.3f}]"


def _p(p_value: float) -> str:
    if math.isnan(p_value):
        return _NONE
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"
