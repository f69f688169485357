"""What the command mrmc works out beside the analysis, and the tables it prints."""

import math
from dataclasses import astuple

from taskct.cli.terminal import interval_text, number_text, plain_table, print_table
from taskct.errors import UserError
from taskct.metrics.comparisons import Comparison, equivalence, noninferiority
from taskct.metrics.intervals import Interval
from taskct.metrics.mrmc.areas import DifferenceAUC, MRMCAnalysis
from taskct.metrics.mrmc.obuchowski_rockette import ObuchowskiRockette, obuchowski_rockette
from taskct.metrics.mrmc.ratings import Ratings
from taskct.metrics.mrmc.sizing import StudyPower, size_study


def anova_of(ratings: Ratings, found: MRMCAnalysis) -> ObuchowskiRockette | None:
    """The analysis of variance of what was analysed, where it is fully crossed and there are modalities to compare."""
    if found.n_readers < 2 or not found.fully_crossed or len(found.modalities) < 2:
        return None
    at = [ratings.modalities.index(name) for name in found.modalities]
    return obuchowski_rockette(ratings.part(modalities=at), confidence=found.confidence)


def tests_of(difference: DifferenceAUC, margin: float, confidence: float) -> tuple[Comparison, ...]:
    """Non-inferiority and equivalence at one-sided sizes whose interval, of the same df, is the one that is shown."""
    alpha, df = (1.0 - confidence) / 2.0, difference.df_whole or math.inf
    std_error = math.sqrt(difference.interval_variance)
    return tuple(
        test(difference.auc, std_error, noninferiority_margin=margin, alpha=alpha, df=df, limit=1.0)
        for test in (noninferiority, equivalence)
    )


def sizes_of(found: MRMCAnalysis, difference: DifferenceAUC, detect: float, power: float) -> tuple[StudyPower, ...]:
    """Studies of 2 to 20 readers that would detect a difference of AUCs."""
    if difference.components is None:
        kind = found.reader_kind
        raise UserError(f"a study cannot be sized from one {kind}: the spread between {kind}s is not known")
    ratio = found.n_absent / found.n_present
    return size_study(difference.components, detect, n_readers=range(2, 21), power=power, absent_per_present=ratio)


def size_json(size: StudyPower) -> dict[str, float]:
    """A sized study as `--json` prints it."""
    d = size.design
    return {"readers": d.n_readers, "present": d.n_present, "absent": d.n_absent, "power": size.power}


def print_mrmc(found: MRMCAnalysis, adjusted: dict[str, float]) -> None:
    """Print the tables of an analysis; `adjusted` are Holm's p values of its differences."""
    design = "fully crossed" if found.fully_crossed else "not fully crossed"
    kind = found.reader_kind
    readers = kind if found.n_readers == 1 else f"{kind}s"
    title = f"{found.n_readers} {readers}, {found.n_present} cases with the signal, {found.n_absent} without; {design}"
    auc = f"AUC ({found.confidence:.0%})"
    table = plain_table("modality", numbers=[auc, "variance", "biased twin", "df", "p", "p (Holm)"])
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
    headings = (f"{kind}s", "present", "absent", "present × absent", f"{kind}s × present", f"{kind}s × absent", "rest")
    parts = plain_table("", numbers=headings)
    for name, components in shown.items():
        parts.add_row(name, *(number_text(value) for value in astuple(components)))
    print_table(parts, "What puts how much into the variance")


def _print_readers(found: MRMCAnalysis) -> None:
    """A line for each reader in each modality in which they rated both classes."""
    table = plain_table("modality", found.reader_kind, numbers=[f"AUC ({found.confidence:.0%})"])
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
