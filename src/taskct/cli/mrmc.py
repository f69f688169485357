"""The command mrmc: reader studies."""

from dataclasses import astuple
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from taskct.cli.app import Confidence, Json, app
from taskct.cli.tables import interval_text, number_text, print_json
from taskct.errors import UserError
from taskct.metrics.intervals import Interval
from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.mrmc.results import MRMCAnalysis
from taskct.metrics.mrmc.sizing import StudyPower, size_study
from taskct.study.ratings import read_ratings
from taskct.terminal import note, print_table


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
    confidence: Confidence = 0.95,
    as_json: Json = False,
) -> None:
    """Analyse a reader study: AUCs averaged over readers, with readers and cases as random effects.

    As in: taskct mrmc SCORES.imrmc --json

    The variance is the U-statistic of FDA's iMRMC (Gallas), beside its biased twin; fully crossed studies get the
    Obuchowski-Rockette analysis too. Split-plot studies and missing ratings are allowed.
    """
    if not 0.0 < confidence < 1.0:
        raise UserError(f"--confidence is {confidence:g}; it must lie between 0 and 1 (0.95, not 95)")
    ratings = read_ratings(source, observer=observer)
    found = analyze(ratings, confidence=confidence)
    sizes: dict[str, tuple[StudyPower, ...]] = {}
    if detect is not None:
        for pair, difference in found.differences.items():
            if difference.components is None:
                raise UserError("a study cannot be sized from one reader: the spread between readers is not known")
            sizes[pair] = size_study(
                difference.components,
                detect,
                n_readers=range(2, 21),
                power=power,
                absent_per_present=found.n_absent / found.n_present,
            )
    if as_json:
        content = found.as_dict()
        if sizes:
            content["sizes"] = {
                pair: [
                    {
                        "readers": one.design.n_readers,
                        "present": one.design.n_present,
                        "absent": one.design.n_absent,
                        "power": one.power,
                    }
                    for one in table
                ]
                for pair, table in sizes.items()
            }
        print_json(content)
    else:
        _print_mrmc(found, sizes, detect, power)
        for line in found.notes:
            note(line)


def _print_mrmc(
    found: MRMCAnalysis, sizes: dict[str, tuple[StudyPower, ...]], detect: float | None, power: float
) -> None:
    design = "fully crossed" if found.fully_crossed else "not fully crossed"
    title = f"{found.n_readers} readers, {found.n_present} cases with the signal, {found.n_absent} without; {design}"
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("modality", no_wrap=True)
    for heading in (f"AUC ({found.confidence:.0%})", "variance", "biased twin", "df", "p"):
        table.add_column(heading, justify="right")
    for name, one in found.modalities.items():
        interval = interval_text(Interval(one.auc, one.ci_low, one.ci_high), 4)
        table.add_row(name, interval, number_text(one.variance), number_text(one.variance_mle), number_text(one.df), "")
    for name, two in found.differences.items():
        interval = interval_text(Interval(two.auc, two.ci_low, two.ci_high), 4, sign=True)
        cells = (
            number_text(two.variance),
            number_text(two.variance_mle),
            number_text(two.df_bdg),
            number_text(two.p_value),
        )
        table.add_row(name, interval, *cells)
    print_table(table, title)
    parts = Table(box=None, header_style="bold", pad_edge=False)
    parts.add_column("", no_wrap=True)
    shown = {name: one.contributions for name, one in found.modalities.items() if one.contributions is not None}
    shown |= {name: one.contributions for name, one in found.differences.items() if one.contributions is not None}
    if shown:
        headings = ("readers", "present", "absent", "present × absent", "readers × present", "readers × absent", "rest")
        for heading in headings:
            parts.add_column(heading, justify="right")
        for name, components in shown.items():
            parts.add_row(name, *(number_text(value) for value in astuple(components)))
        print_table(parts, "What puts how much into the variance")
    for pair, table_of in sizes.items():
        needed = Table(box=None, header_style="bold", pad_edge=False)
        for heading in ("readers", "present", "absent", "power"):
            needed.add_column(heading, justify="right")
        for size in table_of:
            d = size.design
            needed.add_row(str(d.n_readers), str(d.n_present), str(d.n_absent), f"{size.power:.3f}")
        print_table(needed, f"{pair}: cases to detect {detect:g} with power {power:g}")
