"""How the terminal shows what observers found: narrow tables, then a line for each thing said."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from taskct.apply.observe import Observation
from taskct.apply.observe.observation import VERSUS
from taskct.apply.observe.scans_needed import Needed, ScansNeeded
from taskct.cli.terminal import interval_text, margin_text, plain_table, print_line, print_roc, print_table
from taskct.metrics.intervals import Interval
from taskct.metrics.roc import PairedDifference, roc_curve


def print_observation(found: Observation) -> None:
    """Print the results; every table fits into 80 columns."""
    about = found.about
    train, test = about["train"], about["test"]
    percent = f"{100 * about['confidence']:g}%"
    n_sets = max(len(one.images.readings) for one in found.observers)
    learned = f"{train['present']} + {train['absent']} trials"
    if n_sets > 1:  # an observer learned from one of them, and its AUC is that of so few trials
        learned = f"{n_sets} sets of {round(train['present'] / n_sets)} + {round(train['absent'] / n_sets)} trials"
    title = f"Trained on {learned}, tested on {test['present']} + {test['absent']}"
    if about["cross_validated"]:
        title = f"Cross-validated, {test['present']} + {test['absent']} trials"
    performances = [(one.name, one.images) for one in found.observers]
    _print_table(
        f"{title} (signal present + absent)",
        [f"AUC ({percent})", f"d_a ({percent})", f"sensitivity at {about['specificity']:g}"],
        [[n, interval_text(p.auc), interval_text(p.d_a, 2), interval_text(p.sensitivity, 2)] for n, p in performances],
    )
    located = [(n, p.lroc_area, p.located) for n, p in performances if p.lroc_area is not None]
    if located:
        _print_table(
            f"Found within {about['radius_px']:g} pixels",
            ["LROC area", "located"],
            [[n, interval_text(area), "" if one is None else interval_text(one, 2)] for n, area, one in located],
        )
    adjusted = found.p_holm()
    for rival in dict.fromkeys(rival.name for one in found.observers for rival in one.rivals):
        what = "--versus" if rival == VERSUS else rival
        compared = [(one.name, other) for one in found.observers for other in one.rivals if other.name == rival]
        _print_table(
            f"Against {what}, paired by {about['paired_by']}" if about.get("paired_by") else f"Against {what}",
            ["AUC, versus", "difference", "p", "p (Holm)"],
            [
                [
                    name,
                    interval_text(other.performance.auc),
                    interval_text(interval_of(other.difference), sign=True),
                    p_text(other.difference.p_value),
                    p_text(adjusted[name, rival]),
                ]
                for name, other in compared
            ],
        )
    for method in dict.fromkeys(p.method for _, p in performances):
        names = [n for n, p in performances if p.method == method]
        of = "" if len(names) == len(performances) else f" of {', '.join(names)}"
        print_line(f"Intervals{of}: {method}.")
    if about.get("cases"):
        how_many = "" if test["cases"] is None else f"; learned from {train['cases']}, tested on {test['cases']}"
        if about["cross_validated"]:
            how_many = "" if test["cases"] is None else f"; there are {test['cases']}"
        print_line(f"Cases: {about['cases']}{how_many}.")
    for one in found.observers:
        if (gaussian := one.images.gaussian_auc) is not None:
            area = interval_text(gaussian)
            print_line(f"{one.name} with endless training, if Gaussian: AUC {area}, exact interval.")
        for held in one.rivals:
            theirs = "those of --versus" if held.name == VERSUS else f"those of {held.name}"
            for test_of in held.comparisons:
                print_line(f"{one.name}: {margin_text(test_of, 'the images', theirs)}")
        if one.learning is not None:
            print_line(f"{one.name}: {one.learning.message}")
        if (curves := one.learning_difference) is not None:
            print_line(f"{one.name}, versus: {curves.second.message}")
            print_line(f"{one.name}: {curves.message}")
        if one.scans is not None:
            _print_scans(one.name, one.scans)
    print_roc(roc_curves(found))


def _print_scans(name: str, found: ScansNeeded) -> None:
    """How many scans an interval takes, and a table of widths."""
    for one in found.needed:
        print_line(f"{name}: {scans_text(one, found)}")
    columns = [f"width, {KINDS[one.what]}" for one in found.needed]
    by_n = {n: [row for one in found.needed for row in one.table if row.n_cases == n] for n in _all_n(found)}
    table = plain_table("scans of each class", numbers=columns)
    for n, rows in by_n.items():
        if len(rows) == len(columns):
            table.add_row(str(n), *(interval_text(Interval(row.width, row.low, row.high), 3) for row in rows))
    print_table(table, f"{name}: width of the interval (at the bounds of the pilot's AUC)")


def _all_n(found: ScansNeeded) -> list[int]:
    return sorted({row.n_cases for one in found.needed for row in one.table})


KINDS = {"auc": "AUC", "limit": "AUC, exact", "difference": "difference"}
"""Kinds of intervals in words."""


def scans_text(one: Needed, found: ScansNeeded) -> str:
    """One line: how many scans one kind of interval takes."""
    if one.n_cases is None:
        return f"no number of scans below a million gives an interval of {found.width:g} ({KINDS[one.what]})"
    high = "more than a million" if one.high is None else str(one.high)
    span = "" if one.low == one.high else f", {one.low} to {high} at the bounds of the pilot's AUC"
    return f"an interval of {found.width:g} ({KINDS[one.what]}) takes {one.n_cases} scans of each class{span}"


def roc_curves(found: Observation) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """ROC curves of the first training set, by observer and AUC."""
    present = found.signal_present
    curves = {}
    for one in found.observers:
        others = [(f"{one.name}, {rival.name}", rival.performance) for rival in one.rivals]
        for label, performance in [(one.name, one.images), *others]:
            statistic = performance.readings[0].statistic
            named = f"{label} {performance.auc.value:.3f}"
            curves[named] = roc_curve(statistic[present], statistic[~present])
    return curves


def _print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = plain_table("observer", numbers=headings)
    for row in rows:
        table.add_row(*row)
    print_table(table, title)


def interval_of(difference: PairedDifference) -> Interval:
    """A difference of AUCs as an interval."""
    return Interval(difference.delta_auc, difference.ci_low, difference.ci_high)


def p_text(p_value: float) -> str:
    """A p value in two digits; a dash where there is none."""
    return "–" if math.isnan(p_value) else f"{p_value:.2g}"
