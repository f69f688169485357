"""Tables of a task path: a gain in three currencies, and what the correction does."""

from collections.abc import Sequence

from taskct.metrics.intervals import Interval
from taskct.names import percent_text
from taskct.report.caveats import at_n
from taskct.report.labels import interval, number, observer_label, percent
from taskct.report.run import Quoted, Run
from taskct.report.schema import PathRow
from taskct.report.tables.cells import NONE, Table, or_none

CURRENCIES = ("control", "reference")
"""What the observers of the second and the third currency were fitted on, as `frozen.json` has it."""

KNOWN_SIGNAL = "npwe"
"""The observer that is told the signal and the noise, and learns nothing from the arm's images."""


def currency_table(run: Run) -> Table | None:
    """Tabulate a gain in three currencies, a row for each price and observer, quoted seed; None without a path.

    Refitted to the arm's images; frozen on the control's; frozen on references, as a reader who learned from clean
    images. NPWE with the known signal stands beside them where the study has it.
    """
    points = run.path_points()
    frozen = {row.observer for row in run.frozen.rows if row.fitted_on in CURRENCIES}
    observers = [o for o in run.observers if o in frozen or o == KNOWN_SIGNAL]
    if not points or not observers:
        return None
    control = run.tradeoff.control
    rows = []
    for price, arm, ratio in [("0 (control)", control, None), *_priced(points)]:
        rate = interval(percent(run.false_signal(run.arm(arm)).false_signal_rate), 2)
        for observer in observers:
            own = _with_gain(run, run.quoted_auc(arm, observer), run.quoted_delta(arm, control, observer))
            others = [_frozen(run, arm, observer, source) for source in CURRENCIES]
            way = _way(points, arm, observer)
            name = observer_label(observer).removeprefix("fresh ")
            rows.append([price, or_none(ratio, 4), name, own, *others, way, rate])
    columns = ["Price", "RMSE / control", "Observer", "AUC, refitted", "AUC, frozen on the control's images"]
    columns += ["AUC, frozen on references", "Way to the bound (%)", "False signals (%)"]
    caption = (
        "A gain in three currencies [95 % interval]; Δ is the gain on the control. Refitted: the observer learned from "
        "the arm's own images, so it may read what no one else sees. Frozen: it learned from other images and was told "
        "nothing of the correction."
    )
    if run.has_limits:
        caption += f" Refitted AUCs are in the limit of many training trials, * marks one {at_n(run)}; frozen ones are "
        caption += f"{at_n(run)}."
    if run.settings.get("path", {}).get("reader"):
        caption += (
            " Half of the correction's loss was that of a Hotelling observer behind an eye that learned on references. "
            "So the last of the three was trained for, on other trials; observers of other kinds check it."
        )
    if KNOWN_SIGNAL in observers:
        caption += " NPWE is told the signal and learns from no image."
    return Table(caption, columns, rows)


def _priced(points: Sequence[PathRow]) -> list[tuple[str, str, Interval | None]]:
    return [(percent_text(row.price), row.arm, row.rmse_ratio) for row in points]


def _with_gain(run: Run, auc: Quoted | None, gain: Quoted | None) -> str:
    """An AUC and its gain on the control in one cell, both in the limit or neither."""
    if auc is None:
        return NONE
    text = interval(auc.interval, 3) + ("*" if run.has_limits and not auc.in_limit else "")
    return text if gain is None else f"{text} Δ\N{NO-BREAK SPACE}{interval(gain.interval, 3, signed=True)}"


def _frozen(run: Run, arm: str, observer: str, source: str) -> str:
    seed = run.arm(arm).seed
    wanted = (arm, seed, observer, source)
    row = next((r for r in run.frozen.rows if (r.arm, r.seed, r.observer, r.fitted_on) == wanted), None)
    if row is None:
        return NONE
    gain = "" if row.delta is None else f" Δ\N{NO-BREAK SPACE}{interval(row.delta, 3, signed=True)}"
    return f"{interval(row.auc, 3)}{gain}"


def _way(points: Sequence[PathRow], arm: str, observer: str) -> str:
    found = next((row.way_to_bound.get(observer) for row in points if row.arm == arm), None)
    return NONE if found is None else interval(percent(found), 0)


def correction_table(run: Run) -> Table | None:
    """Tabulate what the correction of a task path does, a row for each price, quoted seed; None without a path."""
    points = run.path_points()
    if not points:
        return None
    principle = {one.price: one.auc for one in run.task_path.principle or ()}
    rows = [
        [
            percent_text(row.price),
            number(row.strength, 3),
            number(row.predicted_rmse_ratio, 4),
            interval(row.rmse_ratio, 4),
            or_none(None if row.energy_near is None else percent(row.energy_near), 1),
            NONE if row.area_near is None else number(100 * row.area_near, 1),
            or_none(row.mean_present_hu, 2, signed=True),
            or_none(row.mean_absent_hu, 2, signed=True),
            *([number(principle[row.price], 3) if row.price in principle else NONE] if principle else []),
        ]
        for row in points
    ]
    columns = ["Price", "Strength a", "RMSE / control by the energy alone", "RMSE / control, measured"]
    columns += [
        "Energy near the lesion (%)",
        "Area there (%)",
        "Added over a lesion (HU)",
        "At a site without one (HU)",
    ]
    columns += ["Most AUC in principle"] if principle else []
    caption = (
        "What the correction adds to the control's images [95 % interval]. By the energy alone: the price that Δ would "
        "have, were it orthogonal to the control's error, on validation trials; measured on test trials. Near is "
        "within two diameters of the site; added is the mean over the site's disc."
    )
    if principle:
        caption += (
            " In principle: the most AUC that the observer behind an eye can have at that price, with the most that "
            "any observer here reads in the place of the ideal one."
        )
    return Table(caption, columns, rows)
