"""The page of a reader study: readers are numbered, since their names tell who they are."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from taskct.apply.reader_study.section import StudySection
from taskct.cli.mrmc_results import MRMCResult
from taskct.cli.mrmc_sections import anonymous, methods_text, page_sections
from taskct.literal import figure_text
from taskct.metrics.comparisons import holm
from taskct.metrics.intervals import Interval
from taskct.metrics.mrmc.areas import MRMCAnalysis
from taskct.metrics.mrmc.ratings import Ratings
from taskct.metrics.roc import roc_curve
from taskct.report.figures import encode, new_figure, style
from taskct.report.labels import interval, listed
from taskct.report.methods import Citations
from taskct.report.sections import Captioned, PageSection, SectionsPage, write_sections
from taskct.report.tables import NONE, Table

Floats = NDArray[np.float64]

LEVEL = 0.05
"""Holm-adjusted p below which the page calls a difference one."""

TRAINING_SEED = "training seed"
"""The kind of reader that has a number, not a name."""


def write_mrmc_page(path: Path, result: MRMCResult, sections: Sequence[StudySection] = ()) -> Path:
    """Write the page of an analysis of ratings, whole or not at all."""
    return write_sections(path, mrmc_page(result, sections))


def mrmc_page(result: MRMCResult, sections: Sequence[StudySection] = ()) -> SectionsPage:
    """Return the page of an analysis of ratings."""
    ratings, found = result.ratings, result.areas
    kind, names = found.reader_kind, _names(found)
    method, sources = _methods(found, sections)
    parts = [
        PageSection("AUC", tables=[_modality_table(found)]),
        *([PageSection("Differences", tables=[_difference_table(found)])] if found.differences else []),
        PageSection("ROC curves", pictures=[_curves(ratings, found)]),
        PageSection(f"Each {kind}", tables=[_reader_table(found)]),
        *page_sections(sections, names),
        PageSection("Methods", texts=[method], items=sources),
    ]
    if result.notes:
        told = list(result.notes) if kind == TRAINING_SEED else anonymous(result.notes, tuple(found.readers))
        parts.append(PageSection("What to know of these results", notes=told))
    title = "A reader study" if kind != TRAINING_SEED else "Training seeds as the readers of a study"
    return SectionsPage("mrmc", title, _leads(found), parts)


def _names(found: MRMCAnalysis) -> dict[str, str]:
    """What the page calls each reader: training seeds by their numbers, people by a number of the page's own."""
    if found.reader_kind == TRAINING_SEED:
        return {name: name for name in found.readers}
    return {name: f"{found.reader_kind} {number}" for number, name in enumerate(found.readers, start=1)}


def _adjusted(found: MRMCAnalysis) -> dict[str, float]:
    p = [difference.p_value_interval for difference in found.differences.values()]
    return dict(zip(found.differences, holm(p).tolist(), strict=True))


def _leads(found: MRMCAnalysis) -> list[str]:
    n = found.n_readers
    base = (
        f"{n} {found.reader_kind}{'s' if n != 1 else ''}, {found.n_present} cases with the signal and {found.n_absent} "
        f"without, {'fully crossed' if found.fully_crossed else 'not fully crossed'}."
    )
    adjusted = _adjusted(found)
    parts = []
    for name, two in found.differences.items():
        shown = interval(Interval(two.auc, two.ci_low, two.ci_high), 3, signed=True)
        word = "differs" if adjusted[name] < LEVEL else "is not shown to differ"
        parts.append(f"AUC of {two.first} {word} from that of {two.second}: {shown}")
    return [f"{'; '.join(parts)}.", base] if parts else [base]


def _modality_table(found: MRMCAnalysis) -> Table:
    rows = []
    for name, one in found.modalities.items():
        spread = NONE if one.variance is None else f"{one.variance:.3g}"
        df = NONE if one.df is None else f"{one.df:.1f}"
        rows.append([name, interval(Interval(one.auc, one.ci_low, one.ci_high), 3), spread, df])
    kind = found.reader_kind
    caption = f"AUC averaged over {kind}s [{100 * found.confidence:g} % interval, {kind}s and cases as random effects]."
    return Table(caption, ["Modality", "AUC", "Variance", "Degrees of freedom"], rows)


def _difference_table(found: MRMCAnalysis) -> Table:
    adjusted = _adjusted(found)
    rows = []
    for name, two in found.differences.items():
        df = NONE if two.df_bdg is None else f"{two.df_bdg:.1f}"
        shown = interval(Interval(two.auc, two.ci_low, two.ci_high), 3, signed=True)
        rows.append([name, shown, df, _p(two.p_value_interval), _p(adjusted[name])])
    caption = f"Differences of AUC, first minus second [{100 * found.confidence:g} % interval]."
    return Table(caption, ["Modalities", "Difference", "Degrees of freedom", "p", "p (Holm)"], rows)


def _reader_table(found: MRMCAnalysis) -> Table:
    names, modalities = _names(found), list(dict.fromkeys(m for one in found.readers.values() for m in one))
    rows = []
    for reader, of_reader in found.readers.items():
        cells = []
        for modality in modalities:
            one = of_reader.get(modality)
            if one is None or not math.isfinite(one.auc):
                cells.append(NONE)
            elif math.isfinite(one.ci_low):
                cells.append(interval(Interval(one.auc, one.ci_low, one.ci_high), 3))
            else:
                cells.append(f"{one.auc:.3f}")
        rows.append([names[reader], *cells])
    kind = found.reader_kind
    caption = f"AUC of each {kind} [{100 * found.confidence:g} % interval of the choice of cases alone, DeLong]."
    return Table(caption, [kind.capitalize(), *(f"AUC, {modality}" for modality in modalities)], rows)


def _curves(ratings: Ratings, found: MRMCAnalysis) -> Captioned:
    n = len(ratings.readers)
    return Captioned(
        encode(_figure(ratings), "svg"),
        f"ROC curves of {len(ratings.modalities)} modalities, averaged over {n} {found.reader_kind}s. AUCs are in the "
        "table.",
        f"Thick: true-positive fraction averaged over {found.reader_kind}s at each false-positive fraction. Thin: each "
        "of them.",
    )


def _figure(ratings: Ratings) -> Figure:
    grid = np.linspace(0.0, 1.0, 201)
    with style():
        figure = new_figure(6.2, 5.2)
        ax = figure.subplots()
        ax.plot([0, 1], [0, 1], color="0.8", linewidth=0.8)
        for number, (name, of_modality) in enumerate(zip(ratings.modalities, ratings.scores, strict=True)):
            curves = []
            color = f"C{number % 10}"
            for scores in of_modality:
                rated = np.isfinite(scores)
                present, absent = (scores[rated & truth] for truth in (ratings.signal_present, ~ratings.signal_present))
                if min(len(present), len(absent)) < 2:
                    continue
                fpf, tpf = roc_curve(present, absent)
                ax.plot(fpf, tpf, color=color, linewidth=0.5, alpha=0.5)
                curves.append(np.interp(grid, *_upper(fpf, tpf)))
            if curves:
                ax.plot(grid, np.mean(curves, axis=0), color=color, linewidth=2, label=figure_text(name))
        ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        ax.set(xlabel="False-positive fraction", ylabel="True-positive fraction")
        if ax.get_legend_handles_labels()[0]:  # none, where no reader rated two cases of each class
            ax.legend(loc="lower right", fontsize=8, frameon=False)
    return figure


def _upper(fpf: Floats, tpf: Floats) -> tuple[Floats, Floats]:
    """A curve with the upper end of each straight rise alone: a function of the false-positive fraction."""
    distinct = np.unique(fpf)
    return distinct, tpf[np.searchsorted(fpf, distinct, side="right") - 1]


def _methods(found: MRMCAnalysis, sections: Sequence[StudySection]) -> tuple[str, list[str]]:
    cite = Citations()
    kind, n = found.reader_kind, found.n_readers
    modalities = listed(found.modalities)
    text = (
        f"{found.n_present} cases with the signal and {found.n_absent} without were scored by {n} "
        f"{kind}{'s' if n != 1 else ''} in {len(found.modalities)} modalities ({modalities}). The area under the ROC "
        f"curve is the Mann–Whitney statistic {cite('auc')}, averaged over {kind}s. Its variance is the U-statistic "
        f"over {kind}s and cases {cite('one-shot')}"
    )
    text += (
        f", beside the analysis of Obuchowski and Rockette {cite('obuchowski-rockette')}" if found.fully_crossed else ""
    )
    text += f". Intervals cover {100 * found.confidence:g} %."
    if found.differences:
        text += f" P values are two-sided and adjusted by Holm's method over the differences {cite('holm')}."
    more = methods_text(sections, cite)
    return f"{text} {more}".rstrip(), cite.sources


def _p(p_value: float) -> str:
    if math.isnan(p_value):
        return NONE
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"
