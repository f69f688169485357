"""What the command mrmc works out beside the analysis, and the tables it prints."""

import math
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any

from taskct.apply.ratings import ReaderStudy
from taskct.apply.reader_study.section import StudySection
from taskct.apply.reader_study.wanted import Wanted
from taskct.cli.mrmc_sections import sections_json
from taskct.cli.terminal import interval_text, margin_text, number_text, plain_table, print_line, print_table
from taskct.errors import UserError
from taskct.metrics.comparisons import Comparison, holm, why_no_margin
from taskct.metrics.intervals import Interval
from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.mrmc.areas import DifferenceAUC, MRMCAnalysis
from taskct.metrics.mrmc.margins import margin_tests
from taskct.metrics.mrmc.obuchowski_rockette import ObuchowskiRockette, obuchowski_rockette
from taskct.metrics.mrmc.ratings import Ratings
from taskct.metrics.mrmc.sizing import StudyPower, size_study

TRIED_CASES = 20
"""Cases of a class below which a note says that coverage is not known."""


@dataclass(frozen=True)
class MRMCResult:
    """The analysis of the AUCs of a reader study, and what was asked beside it."""

    ratings: Ratings
    areas: MRMCAnalysis
    adjusted: dict[str, float]
    """Holm's p values of the differences."""
    margins: dict[str, tuple[Comparison, ...]]
    """Non-inferiority and equivalence, by pair of modalities."""
    sizes: dict[str, tuple[StudyPower, ...]]
    """Studies that would detect `wanted.detect`, by pair."""
    anova: ObuchowskiRockette | None
    """None unless fully crossed."""
    wanted: Wanted
    notes: tuple[str, ...]


def analyse(study: ReaderStudy, wanted: Wanted) -> MRMCResult:
    """All that is said of the AUCs."""
    found = analyze(study.ratings, pairs=study.pairs, confidence=wanted.confidence)
    adjusted = dict(
        zip(found.differences, holm([d.p_value_interval for d in found.differences.values()]).tolist(), strict=True)
    )
    notes = [*study.notes, *found.notes]
    if (fewest := min(found.n_present, found.n_absent)) < TRIED_CASES:
        notes.append(
            f"{fewest} cases of a class are few: intervals and margins were held against simulated studies of "
            f"{TRIED_CASES} and more"
        )
    margins: dict[str, tuple[Comparison, ...]] = {}
    sizes: dict[str, tuple[StudyPower, ...]] = {}
    if (wanted.margin is not None or wanted.detect is not None) and not found.differences:
        notes.append("no two modalities are compared, so there is nothing to test with a margin or to size a study for")
    for pair, difference in found.differences.items():
        # What cannot be said of one pair is a note: the analysis of the others stands.
        if wanted.margin is not None:
            areas = [found.modalities[name].auc for name in (difference.first, difference.second)]
            if why := why_no_margin(*areas):
                notes.append(f"{pair}: no verdict on the margin: {why}")
            elif found.spread(difference):
                margins[pair] = margin_tests(
                    difference, noninferiority_margin=wanted.margin, confidence=wanted.confidence
                )
            else:
                notes.append(f"{pair}: a margin cannot be tested, since the variance of the difference is not known")
        if wanted.detect is not None:
            try:
                sizes[pair] = sizes_of(found, difference, wanted)
            except UserError as error:
                notes.append(f"{pair}: {error}")
    return MRMCResult(
        study.ratings, found, adjusted, margins, sizes, anova_of(study.ratings, found), wanted, tuple(notes)
    )


def study_json(result: MRMCResult, sections: Sequence[StudySection]) -> dict[str, Any]:
    """Everything as `--json` prints it."""
    content = result.areas.as_dict()
    content["notes"] = list(result.notes)
    for pair, plain in content["differences"].items():
        plain["p_holm"] = result.adjusted[pair]
        plain |= {test.aim: asdict(test) for test in result.margins.get(pair, ())}
    content["obuchowski_rockette"] = None
    if result.anova is not None:
        components = asdict(result.anova.dorfman_berbaum_metz)
        content["obuchowski_rockette"] = {**asdict(result.anova), "dorfman_berbaum_metz": components}
    if result.sizes:
        content["sizes"] = {pair: [size_json(size) for size in table] for pair, table in result.sizes.items()}
    return content | sections_json(sections)


def anova_of(ratings: Ratings, found: MRMCAnalysis) -> ObuchowskiRockette | None:
    """The analysis of variance of what was analysed, where it is fully crossed and there are modalities to compare."""
    if found.n_readers < 2 or not found.fully_crossed or len(found.modalities) < 2:
        return None
    at = [ratings.modalities.index(name) for name in found.modalities]
    return obuchowski_rockette(ratings.part(modalities=at), confidence=found.confidence)


def sizes_of(found: MRMCAnalysis, difference: DifferenceAUC, wanted: Wanted) -> tuple[StudyPower, ...]:
    """Studies of 2 to 20 readers that would detect a difference of AUCs."""
    if difference.components is None:
        kind = found.reader_kind
        raise UserError(f"a study cannot be sized from one {kind}: the spread between {kind}s is not known")
    ratio = found.n_absent / found.n_present
    return size_study(
        difference.components,
        wanted.detect or 0.0,
        n_readers=range(2, 21),
        power=wanted.power,
        absent_per_present=ratio,
        alpha=wanted.alpha,
    )


def size_json(size: StudyPower) -> dict[str, float]:
    """A sized study as `--json` prints it."""
    d = size.design
    return {"readers": d.n_readers, "present": d.n_present, "absent": d.n_absent, "power": size.power}


def print_mrmc(result: MRMCResult) -> None:
    """Print the AUCs, their differences, and what was asked of them."""
    found = result.areas
    _print_areas(found, result.adjusted)
    for pair, tests in result.margins.items():
        for test in tests:
            difference = found.differences[pair]
            print_line(margin_text(test, difference.first, difference.second))
    if result.anova is not None:
        whole, kind = result.anova.random_readers_random_cases, found.reader_kind
        print_line(
            f"Obuchowski-Rockette, random {kind}s and cases: F = {number_text(whole.f_statistic)}, "
            f"df = {number_text(whole.df_denominator)}, p = {number_text(whole.p_value)} (all modalities alike)"
        )
    for pair, table in result.sizes.items():
        needed = plain_table(numbers=[f"{found.reader_kind}s", "present", "absent", "power"])
        for size in table:
            d = size.design
            needed.add_row(str(d.n_readers), str(d.n_present), str(d.n_absent), f"{size.power:.3f}")
        title = f"{pair}: cases to detect {result.wanted.detect:g} with power {result.wanted.power:g}"
        print_table(needed, title)


def _print_areas(found: MRMCAnalysis, adjusted: dict[str, float]) -> None:
    design = "fully crossed" if found.fully_crossed else "not fully crossed"
    kind = found.reader_kind
    readers = kind if found.n_readers == 1 else f"{kind}s"
    title = f"{found.n_readers} {readers}, {found.n_present} cases with the signal, {found.n_absent} without; {design}"
    auc = f"AUC ({100 * found.confidence:g}%)"
    table = plain_table("modality", numbers=[auc, "variance", "biased twin", "df", "p", "p (Holm)"])
    for name, one in found.modalities.items():
        interval = interval_text(Interval(one.auc, one.ci_low, one.ci_high), 4)
        table.add_row(name, interval, *map(number_text, (one.variance, one.variance_mle, one.df)), "", "")
    for name, two in found.differences.items():
        interval = interval_text(Interval(two.auc, two.ci_low, two.ci_high), 4, sign=True)
        numbers = (two.variance, two.variance_mle, two.df_bdg, two.p_value_interval, adjusted[name])
        table.add_row(name, interval, *map(number_text, numbers))
    print_table(table, title)
    _print_readers(found)
    shown = {name: one.contributions for name, one in found.modalities.items() if one.contributions is not None}
    shown |= {name: one.contributions for name, one in found.differences.items() if one.contributions is not None}
    if not shown:
        return
    headings = (f"{kind}s", "present", "absent", "present × absent", f"{kind}s × present", f"{kind}s × absent", "rest")
    parts = plain_table("", numbers=headings)
    for name, components in shown.items():
        parts.add_row(name, *(number_text(value) for value in astuple(components)))
    print_table(parts, "What puts how much into the variance")


def _print_readers(found: MRMCAnalysis) -> None:
    """A line for each reader in each modality in which they rated both classes."""
    table = plain_table("modality", found.reader_kind, numbers=[f"AUC ({100 * found.confidence:g}%)"])
    table.columns[1].no_wrap = True
    modalities = dict.fromkeys(name for of_reader in found.readers.values() for name in of_reader)
    for modality in modalities:
        for reader, of_reader in found.readers.items():
            one = of_reader[modality]
            if math.isfinite(one.auc):
                known = math.isfinite(one.ci_low)
                interval = interval_text(Interval(one.auc, one.ci_low, one.ci_high), 4) if known else f"{one.auc:.4f}"
                table.add_row(modality, reader, interval)
    print_table(table, f"Each {found.reader_kind}, with an interval of the choice of cases alone (DeLong)")
