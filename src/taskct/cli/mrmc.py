"""The command mrmc: reader studies."""

import math
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from taskct.apply.ratings import Choice, export_ratings, read_study
from taskct.cli.app import app
from taskct.cli.options import Confidence, Json, Margin
from taskct.cli.tables import interval_text, margin_text, number_text, print_json
from taskct.cli.terminal import note, out, print_table
from taskct.errors import UserError
from taskct.metrics.comparisons import Comparison, equivalence, holm, noninferiority, why_no_margin
from taskct.metrics.intervals import Interval
from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.mrmc.areas import DifferenceAUC, MRMCAnalysis
from taskct.metrics.mrmc.obuchowski_rockette import ObuchowskiRockette, obuchowski_rockette
from taskct.metrics.mrmc.ratings import Ratings
from taskct.metrics.mrmc.sizing import StudyPower, size_study


@app.command()
def mrmc(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RATINGS",
            help="An .imrmc file, a CSV of ratings, or a run folder (its training seeds are the readers).",
            show_default=False,
        ),
    ],
    observer: Annotated[
        str | None,
        typer.Option("--observer", metavar="NAME", help="Of a run folder: whose test statistics.", show_default=False),
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            "--arm",
            metavar="NAME",
            help="Only these: arms as scores.csv of a run names them, or modalities of a file; repeatable.",
            show_default=False,
        ),
    ] = None,
    versus: Annotated[
        list[str] | None,
        typer.Option(
            "--versus",
            metavar="NAME",
            help="Compare --arm, or all others, with this one alone; repeatable.",
            show_default=False,
        ),
    ] = None,
    margin: Margin = None,
    detect: Annotated[
        float | None,
        typer.Option(
            "--detect",
            metavar="DELTA",
            help="Size a study: readers and cases to detect this difference of AUCs.",
            show_default=False,
        ),
    ] = None,
    power: Annotated[float, typer.Option("--power", metavar="P", help="Power wanted of that study.")] = 0.8,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="FILE",
            help="Write the ratings to a new .imrmc or .csv file, for other programs.",
            show_default=False,
        ),
    ] = None,
    confidence: Confidence = 0.95,
    as_json: Json = False,
) -> None:
    """Analyse a reader study: AUCs averaged over readers, with readers and cases as random effects.

    As in: taskct mrmc SCORES.imrmc --json

    Or: taskct mrmc RUN --observer ho --arm lambda=0.9 --versus lambda=0

    The variance is the U-statistic of FDA's iMRMC (Gallas), beside its biased twin, and p values and intervals take the
    whole part of the degrees of freedom (df), as iMRMC does; fully crossed studies get the Obuchowski-Rockette analysis
    too. Split-plot studies and missing ratings are allowed.
    """
    if not 0.0 < confidence < 1.0:
        raise UserError(f"--confidence is {confidence:g}; it must lie between 0 and 1 (0.95, not 95)")
    for name, value, low in (("margin", margin, 0.0), ("detect", detect, -1.0), ("power", power, 0.05)):
        if value is not None and (not low < value < 1.0 or value == 0.0):
            raise UserError(f"--{name} is {value:g}; it must lie between {low:g} and 1, and not be 0")
    study = read_study(source, observer=observer, choice=Choice(tuple(arm or ()), tuple(versus or ())))
    if export is not None:
        export_ratings(export, study.ratings)
    found = analyze(study.ratings, pairs=study.pairs, confidence=confidence)
    adjusted = dict(zip(found.differences, holm([d.p_value for d in found.differences.values()]).tolist(), strict=True))
    notes = [*study.notes, *found.notes]
    margins: dict[str, tuple[Comparison, ...]] = {}
    sizes: dict[str, tuple[StudyPower, ...]] = {}
    if (margin is not None or detect is not None) and not found.differences:
        notes.append("no two modalities are compared, so there is nothing to test with a margin or to size a study for")
    for pair, difference in found.differences.items():
        # What cannot be said of one pair is a note: the analysis of the others stands.
        if margin is not None:
            areas = [found.modalities[name].auc for name in (difference.first, difference.second)]
            if why := why_no_margin(*areas):
                notes.append(f"{pair}: no verdict on the margin: {why}")
            elif found.spread(difference):
                margins[pair] = _margins(difference, margin, confidence)
            else:
                notes.append(f"{pair}: a margin cannot be tested, since the variance of the difference is not known")
        if detect is not None:
            try:
                sizes[pair] = _sizes(found, difference, detect, power)
            except UserError as error:
                notes.append(f"{pair}: {error}")
    anova = _anova(study.ratings, found)
    if as_json:
        content = found.as_dict()
        content["notes"] = notes
        for pair, plain in content["differences"].items():
            plain["p_holm"] = adjusted[pair]
            plain |= {test.aim: asdict(test) for test in margins.get(pair, ())}
        content["obuchowski_rockette"] = None
        if anova is not None:
            components = asdict(anova.dorfman_berbaum_metz)
            content["obuchowski_rockette"] = {**asdict(anova), "dorfman_berbaum_metz": components}
        if sizes:
            content["sizes"] = {pair: [_size_json(size) for size in table] for pair, table in sizes.items()}
        print_json(content)
        return
    _print_mrmc(found, adjusted)
    for pair, tests in margins.items():
        for test in tests:
            difference = found.differences[pair]
            line = margin_text(test, difference.first, difference.second)
            out.print(line, highlight=False, markup=False, soft_wrap=True)
    if anova is not None:
        whole, kind = anova.random_readers_random_cases, found.reader_kind
        out.print(
            f"Obuchowski-Rockette, random {kind}s and cases: F = {number_text(whole.f_statistic)}, "
            f"df = {number_text(whole.df_denominator)}, p = {number_text(whole.p_value)} (all modalities alike)",
            highlight=False,
            soft_wrap=True,
        )
    for pair, table in sizes.items():
        needed = Table(box=None, header_style="bold", pad_edge=False)
        for heading in (f"{found.reader_kind}s", "present", "absent", "power"):
            needed.add_column(heading, justify="right")
        for size in table:
            d = size.design
            needed.add_row(str(d.n_readers), str(d.n_present), str(d.n_absent), f"{size.power:.3f}")
        print_table(needed, f"{pair}: cases to detect {detect:g} with power {power:g}")
    for line in notes:
        note(line)


def _anova(ratings: Ratings, found: MRMCAnalysis) -> ObuchowskiRockette | None:
    """The analysis of variance of what was analysed, where it is fully crossed and there are modalities to compare."""
    if found.n_readers < 2 or not found.fully_crossed or len(found.modalities) < 2:
        return None
    at = [ratings.modalities.index(name) for name in found.modalities]
    return obuchowski_rockette(ratings.part(modalities=at), confidence=found.confidence)


def _margins(difference: DifferenceAUC, margin: float, confidence: float) -> tuple[Comparison, ...]:
    """Non-inferiority and equivalence at one-sided sizes whose interval, of the same df, is the one that is shown."""
    alpha, df = (1.0 - confidence) / 2.0, difference.df_whole or math.inf
    std_error = math.sqrt(difference.interval_variance)
    return tuple(
        test(difference.auc, std_error, noninferiority_margin=margin, alpha=alpha, df=df, limit=1.0)
        for test in (noninferiority, equivalence)
    )


def _sizes(found: MRMCAnalysis, difference: DifferenceAUC, detect: float, power: float) -> tuple[StudyPower, ...]:
    if difference.components is None:
        kind = found.reader_kind
        raise UserError(f"a study cannot be sized from one {kind}: the spread between {kind}s is not known")
    ratio = found.n_absent / found.n_present
    return size_study(difference.components, detect, n_readers=range(2, 21), power=power, absent_per_present=ratio)


def _size_json(size: StudyPower) -> dict[str, float]:
    d = size.design
    return {"readers": d.n_readers, "present": d.n_present, "absent": d.n_absent, "power": size.power}


def _print_mrmc(found: MRMCAnalysis, adjusted: dict[str, float]) -> None:
    design = "fully crossed" if found.fully_crossed else "not fully crossed"
    kind = found.reader_kind
    readers = kind if found.n_readers == 1 else f"{kind}s"
    title = f"{found.n_readers} {readers}, {found.n_present} cases with the signal, {found.n_absent} without; {design}"
    table = _table("modality")
    for heading in (f"AUC ({found.confidence:.0%})", "variance", "biased twin", "df", "p", "p (Holm)"):
        table.add_column(heading, justify="right")
    for name, one in found.modalities.items():
        interval = interval_text(Interval(one.auc, one.ci_low, one.ci_high), 4)
        table.add_row(name, interval, *map(number_text, (one.variance, one.variance_mle, one.df)), "", "")
    for name, two in found.differences.items():
        interval = interval_text(Interval(two.auc, two.ci_low, two.ci_high), 4, sign=True)
        numbers = (two.variance, two.variance_mle, two.df_bdg, two.p_value, adjusted[name])
        table.add_row(name, interval, *map(number_text, numbers))
    print_table(table, title)
    _print_readers(found)
    shown = {name: one.contributions for name, one in found.modalities.items() if one.contributions is not None}
    shown |= {name: one.contributions for name, one in found.differences.items() if one.contributions is not None}
    if not shown:
        return
    parts = _table("")
    headings = (f"{kind}s", "present", "absent", "present × absent", f"{kind}s × present", f"{kind}s × absent", "rest")
    for heading in headings:
        parts.add_column(heading, justify="right")
    for name, components in shown.items():
        parts.add_row(name, *(number_text(value) for value in astuple(components)))
    print_table(parts, "What puts how much into the variance")


def _print_readers(found: MRMCAnalysis) -> None:
    """A line for each reader in each modality in which they rated both classes."""
    table = _table("modality")
    table.add_column(found.reader_kind, no_wrap=True)
    table.add_column(f"AUC ({found.confidence:.0%})", justify="right")
    modalities = dict.fromkeys(name for of_reader in found.readers.values() for name in of_reader)
    for modality in modalities:
        for reader, of_reader in found.readers.items():
            one = of_reader[modality]
            if math.isfinite(one.auc):
                known = math.isfinite(one.ci_low)
                interval = interval_text(Interval(one.auc, one.ci_low, one.ci_high), 4) if known else f"{one.auc:.4f}"
                table.add_row(modality, reader, interval)
    print_table(table, f"Each {found.reader_kind}, with an interval of the choice of cases alone (DeLong)")


def _table(first: str) -> Table:
    """A table without lines whose first column is a name."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(first, no_wrap=True)
    return table
