"""Tables of what AUC is bought with what RMSE."""

from taskct.names import JOINT
from taskct.report.caveats import at_n
from taskct.report.labels import interval, number, observer_label
from taskct.report.run import Run
from taskct.report.tables.cells import NONE, Table


def tradeoff_table(run: Run) -> Table:
    """Tabulate which curve is the better bargain, and the best arm at almost no price."""
    rows = []
    # A study of a task path has one λ, and so no curve of λ.
    swept = any(one.curves or one.monotone is not None for one in run.tradeoff.observers.values())
    for observer in run.observers:
        tradeoff = run.tradeoff.observers.get(observer)
        if tradeoff is None:
            continue
        curves, within = tradeoff.curves, tradeoff.within_tolerance
        better, best = [NONE] * 3, [NONE] * 4
        if curves:
            span = f"{curves.rmse_range_hu[0]:.2f} to {curves.rmse_range_hu[1]:.2f}"
            better = [curves.better, interval(curves.delta_auc, 3, signed=True), span]
        if within:
            numbers = interval(within.rmse_ratio, 3), interval(within.auc, 3)
            name = "none but the control" if within.arm == run.tradeoff.control else run.label(within.arm)
            best = [name, *numbers, interval(within.delta_auc, 3, signed=True)]
        drops = {True: "no", False: "yes", None: NONE}[tradeoff.monotone]
        rows.append([observer_label(observer), *([*better, drops] if swept else []), *best])
    percent = f"{100 * run.tradeoff.tolerance:g} %"
    columns = [
        "Observer",
        *(["Better curve", "ΔAUC, blend − trained", "RMSE range (HU)", "AUC drops as λ rises"] if swept else []),
        f"Best arm within {percent}",
        "RMSE / control",
        "AUC",
        "ΔAUC to control",
    ]
    left = (
        "Left: the two curves at equal RMSE, averaged over the range that both cover. Right, under"
        if swept
        else "Under"
    )
    caption = (
        f"{left} a limit of {percent} of the control's RMSE whatever the rule of the choice is: the arm with "
        "most AUC among those that keep it on validation trials; its numbers are from test trials [95 % interval], "
        "where an arm may come to lie on the other side."
    )
    if swept:
        caption += f" RMSE rises with λ throughout, but for chance: {'yes' if run.tradeoff.rmse_monotone else 'no'}."
    if run.has_limits:
        caption += f" AUCs are {at_n(run)}, not in the limit."
    if swept and JOINT in run.observers:
        caption += " The joint SLNN-NO has no better curve: a blend has no jointly trained head."
    if len(run.seeds) > 1:
        caption += f" Seed {run.tradeoff.seed}."
    return Table(caption, columns, rows)


def path_curve_table(run: Run) -> Table | None:
    """Tabulate the task path against blends and trained λ at equal RMSE; None where the study compared none."""
    rows = []
    for observer in run.observers:
        tradeoff = run.tradeoff.observers.get(observer)
        for curve in () if tradeoff is None else tradeoff.path_curves:
            versus = {"blend": "blend", "trained": "trained with λ"}[curve.versus]
            better = {"path": "task path", "neither": "neither"}.get(curve.better, versus)
            span = f"{curve.rmse_range_hu[0]:.2f} to {curve.rmse_range_hu[1]:.2f}"
            drops = {True: "no", False: "yes", None: NONE}[tradeoff.path_monotone if tradeoff else None]
            delta = interval(curve.delta_auc, 3, signed=True)
            rows.append([observer_label(observer), versus, better, delta, span, drops])
    if not rows:
        return None
    columns = ["Observer", "Task path against", "Better curve", "ΔAUC, task path − other", "RMSE range (HU)"]
    caption = "The task path against the other curves at equal RMSE, averaged over the range that both cover."
    if run.has_limits:
        caption += f" AUCs are {at_n(run)}, not in the limit."
    return Table(caption, [*columns, "AUC drops as the price rises"], rows)


def front_table(run: Run) -> Table | None:
    """Tabulate RMSE and AUC with simultaneous bands, arms on the Pareto front marked; None where there is no front."""
    found = [(o, t.front) for o in run.observers if (t := run.tradeoff.observers.get(o)) is not None and t.front]
    if not found:
        return None
    cells = {
        (arm.arm, observer): f"{interval(arm.auc, 3)}{' ●' if arm.on_front else ''}"
        for observer, front in found
        for arm in front.arms
    }
    rmse = {arm.arm: arm.rmse_hu for _, front in found for arm in front.arms}
    rows = [
        [run.label(name), number(rmse[name], 2), *(cells.get((name, observer), NONE) for observer, _ in found)]
        for name in sorted(rmse, key=rmse.__getitem__)
    ]
    columns = ["Arm", "RMSE (HU)"]
    for observer, front in found:
        where = "" if observer == JOINT else f" {'in the limit' if front.in_limit else at_n(run)}"
        columns.append(f"AUC{where}, {observer_label(observer)}")
    caption = (
        "Pareto front. ● is on it: no other arm has less RMSE and no less AUC, or more AUC and no more RMSE. "
        "In brackets: bands that hold for all arms of an observer together with 95 %; those in the limit hold "
        "over training trials too. The low-dose images stand outside: nobody pays for them."
    )
    if len(run.seeds) > 1:
        caption += f" Seed {run.tradeoff.seed}."
    return Table(caption, columns, rows)
