"""How the terminal shows what observers found: narrow tables, then a line for each thing said."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from taskct.apply.observe import Observation
from taskct.cli.terminal import interval_text, margin_text, plain_table, print_line, print_roc, print_table
from taskct.metrics.intervals import Interval
from taskct.metrics.roc import roc_curve


def print_observation(found: Observation) -> None:
    """Print the results; every table fits into 80 columns."""
    about = found.about
    train, test = about["train"], about["test"]
    percent = f"{about['confidence']:.0%}"
    n_sets = max(len(one.images.readings) for one in found.observers)
    learned = f"{train['present']} + {train['absent']} trials"
    if n_sets > 1:  # an observer learned from one of them, and its AUC is that of so few trials
        learned = f"{n_sets} sets of {round(train['present'] / n_sets)} + {round(train['absent'] / n_sets)} trials"
    title = f"Trained on {learned}, tested on {test['present']} + {test['absent']}"
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
    compared = [(o.name, o.versus, o.difference) for o in found.observers if o.versus and o.difference]
    if compared:
        _print_table(
            f"Against --versus, paired by {about['paired_by']}" if about.get("paired_by") else "Against --versus",
            ["AUC, versus", "difference", "p", "p (Holm)"],
            [
                [
                    name,
                    interval_text(other.auc),
                    interval_text(Interval(delta.delta_auc, delta.ci_low, delta.ci_high), sign=True),
                    _p_text(delta.p_value),
                    _p_text(adjusted[name]),
                ]
                for name, other, delta in compared
            ],
        )
    for method in dict.fromkeys(p.method for _, p in performances):
        names = [n for n, p in performances if p.method == method]
        of = "" if len(names) == len(performances) else f" of {', '.join(names)}"
        print_line(f"Intervals{of}: {method}.")
    if about.get("cases"):
        how_many = "" if test["cases"] is None else f"; learned from {train['cases']}, tested on {test['cases']}"
        print_line(f"Cases: {about['cases']}{how_many}.")
    for one in found.observers:
        if (gaussian := one.images.gaussian_auc) is not None:
            area = interval_text(gaussian)
            print_line(f"{one.name} with endless training, if Gaussian: AUC {area}, exact interval.")
        for test_of in one.comparisons:
            print_line(f"{one.name}: {margin_text(test_of, 'the images', 'those of --versus')}")
        if one.learning is not None:
            print_line(f"{one.name}: {one.learning.message}")
        if (theirs := one.learning_difference) is not None:
            print_line(f"{one.name}, versus: {theirs.second.message}")
            print_line(f"{one.name}: {theirs.message}")
    print_roc(roc_curves(found))


def roc_curves(found: Observation) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """ROC curves of the first training set, by observer and AUC."""
    present = found.signal_present
    curves = {}
    for one in found.observers:
        for label, performance in ((one.name, one.images), (f"{one.name}, versus", one.versus)):
            if performance is not None:
                statistic = performance.readings[0].statistic
                named = f"{label} {performance.auc.value:.3f}"
                curves[named] = roc_curve(statistic[present], statistic[~present])
    return curves


def _print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = plain_table("observer", numbers=headings)
    for row in rows:
        table.add_row(*row)
    print_table(table, title)


def _p_text(p_value: float) -> str:
    return "–" if math.isnan(p_value) else f"{p_value:.2g}"
