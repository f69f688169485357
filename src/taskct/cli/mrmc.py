"""The command mrmc: reader studies."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from taskct.cli.app import app
from taskct.cli.options import Confidence, Json, Margin
from taskct.cli.terminal import margin_text, note, number_text, plain_table, print_json, print_line, print_table
from taskct.errors import UserError


@app.command()
def mrmc(
    source: Annotated[
        Path,
        Argument(
            metavar="RATINGS",
            help="An .imrmc file, a CSV of ratings, or a run folder (its training seeds are the readers).",
        ),
    ],
    observer: Annotated[str | None, Option(metavar="NAME", help="Of a run folder: whose test statistics.")] = None,
    arm: Annotated[
        list[str] | None,
        Option(
            metavar="NAME",
            help="Only these: arms as scores.csv of a run names them, or modalities of a file; repeatable.",
        ),
    ] = None,
    versus: Annotated[
        list[str] | None, Option(metavar="NAME", help="Compare --arm, or all others, with this one alone; repeatable.")
    ] = None,
    margin: Margin = None,
    detect: Annotated[
        float | None, Option(metavar="DELTA", help="Size a study: readers and cases to detect this difference of AUCs.")
    ] = None,
    power: Annotated[float, Option(metavar="P", help="Power wanted of that study.")] = 0.8,
    export: Annotated[
        Path | None, Option(metavar="FILE", help="Write the ratings to a new .imrmc or .csv file, for other programs.")
    ] = None,
    page: Annotated[
        Path | None, Option(metavar="PAGE", help="Write a page: AUCs, differences, ROC curves and methods; HTML.")
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
    from taskct.apply.ratings import Choice, export_ratings, read_study
    from taskct.cli.mrmc_page import write_mrmc_page
    from taskct.cli.mrmc_results import anova_of, print_mrmc, size_json, sizes_of, tests_of
    from taskct.metrics.comparisons import Comparison, holm, why_no_margin
    from taskct.metrics.mrmc.analysis import analyze
    from taskct.metrics.mrmc.sizing import StudyPower

    if not 0.0 < confidence < 1.0:
        raise UserError(f"--confidence is {confidence:g}; it must lie between 0 and 1 (0.95, not 95)")
    for name, value, low in (("margin", margin, 0.0), ("detect", detect, -1.0), ("power", power, 0.05)):
        if value is not None and (not low < value < 1.0 or value == 0.0):
            raise UserError(f"--{name} is {value:g}; it must lie between {low:g} and 1, and not be 0")
    if page is not None and not page.parent.is_dir():
        raise UserError(f"{page.parent} is no folder: choose another --page")
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
                margins[pair] = tests_of(difference, margin, confidence)
            else:
                notes.append(f"{pair}: a margin cannot be tested, since the variance of the difference is not known")
        if detect is not None:
            try:
                sizes[pair] = sizes_of(found, difference, detect, power)
            except UserError as error:
                notes.append(f"{pair}: {error}")
    anova = anova_of(study.ratings, found)
    if page is not None:
        write_mrmc_page(page, study.ratings, found, notes=notes)
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
            content["sizes"] = {pair: [size_json(size) for size in table] for pair, table in sizes.items()}
        print_json(content)
        return
    print_mrmc(found, adjusted)
    if page is not None:
        print_line(f"Page: {page}")
    for pair, tests in margins.items():
        for test in tests:
            difference = found.differences[pair]
            print_line(margin_text(test, difference.first, difference.second))
    if anova is not None:
        whole, kind = anova.random_readers_random_cases, found.reader_kind
        print_line(
            f"Obuchowski-Rockette, random {kind}s and cases: F = {number_text(whole.f_statistic)}, "
            f"df = {number_text(whole.df_denominator)}, p = {number_text(whole.p_value)} (all modalities alike)"
        )
    for pair, table in sizes.items():
        needed = plain_table(numbers=[f"{found.reader_kind}s", "present", "absent", "power"])
        for size in table:
            d = size.design
            needed.add_row(str(d.n_readers), str(d.n_present), str(d.n_absent), f"{size.power:.3f}")
        print_table(needed, f"{pair}: cases to detect {detect:g} with power {power:g}")
    for line in notes:
        note(line)
