"""Tables of what observers see: AUC of every arm, and its differences."""

import math

from taskct.metrics.comparisons import holm
from taskct.names import LOW_DOSE, MSE
from taskct.report.caveats import at_n, no_p
from taskct.report.labels import interval, number, observer_label
from taskct.report.run import Quoted, Run
from taskct.report.tables.cells import (
    NONE,
    Table,
    as_sentence,
    bounded_text,
    by_observer,
    for_observers,
    if_several,
    or_none,
    p_text,
)


def key_table(run: Run) -> Table:
    """Tabulate what the headline says, one row per observer, quoted seed: in the limit where it can be had."""
    chosen, control = run.choices.chosen_arm, run.tradeoff.control
    said = {LOW_DOSE: "low-dose images", MSE: run.label(MSE), control: f"{run.label(control)} (control)"} | {
        chosen: f"{run.label(chosen)} (chosen)"
    }
    said[LOW_DOSE] = "low-dose images"
    pairs = [((MSE, LOW_DOSE), f"ΔAUC, {run.label(MSE)} − low-dose"), ((chosen, control), "ΔAUC, chosen − control")]
    if not run.has(MSE):
        word = "low-dose" if control == LOW_DOSE else "control"
        pairs = [((chosen, control), f"ΔAUC, chosen − {word}")]
    rows = []
    for observer in run.observers:
        arms = [run.quoted_auc(name, observer) for name in run.standing]
        deltas = [run.quoted_delta(*pair, observer) for pair, _ in pairs]
        shown = [_quoted(run, auc) for auc in arms] + [_quoted(run, delta, signed=True) for delta in deltas]
        rows.append([observer_label(observer), *shown])
    columns = ["Observer", *(f"AUC, {said[name]}" for name in run.standing), *(text for _, text in pairs)]
    caption = f"AUC on the test trials [95 % interval], {at_n(run)}."
    if run.has_limits:
        caption = (
            "AUC on the test trials [95 % interval], in the limit of many training trials of the observer; * marks one "
            f"that has no limit and is that of an observer {at_n(run)}, or trained with the denoiser."
        )
    return Table(caption, columns, rows)


def _quoted(run: Run, found: Quoted | None, *, signed: bool = False) -> str:
    """A figure of the key table, marked where others are in the limit and it is not."""
    if found is None:
        return NONE
    return interval(found.interval, 3, signed=signed) + ("*" if run.has_limits and not found.in_limit else "")


def arm_table(run: Run) -> Table:
    """Tabulate image quality and AUC of every arm and seed."""
    rows = []
    for arm in run.summary.arms:
        quality = arm.image_quality
        shown = [interval(quality.rmse_hu, 2), interval(quality.psnr_db, 2), interval(quality.ssim, 3)]
        aucs = (or_none(arm.observers.get(observer), 3) for observer in run.observers)
        rows.append([run.label(arm.name), *if_several(run, arm.seed), *shown, *aucs])
    columns = ["Arm", *if_several(run, "Seed"), "RMSE (HU)", "PSNR (dB)", "SSIM", *for_observers(run)]
    caption = f"Image quality and AUC of every arm on the test trials [95 % interval]; fresh observers {at_n(run)}."
    if run.repeats_of_control:
        caption += " λ = 0 with the other head is the same denoiser as the control; only its joint observer differs."
    return Table(caption, columns, rows)


def paired_table(run: Run) -> Table:
    """Tabulate the paired differences, p-values plain and Holm-adjusted over the table."""
    paired = run.summary.paired
    shown = run.task.resampling.p_values
    adjusted = run.adjusted_over_table()
    cells = []
    for row, p_holm in zip(paired, adjusted, strict=True):
        plain, adjusted_p = (p_text(p) if shown else NONE for p in (row.p_value, p_holm))
        p = f"p\N{NO-BREAK SPACE}{plain} (Holm\N{NO-BREAK SPACE}{adjusted_p})"
        first = (run.label(row.arm), run.label(row.versus), *if_several(run, row.seed))
        cells.append((first, row.observer, f"{interval(row.delta, 3, signed=True)} {p}"))
    columns = ["Arm", "Versus", *if_several(run, "Seed"), *for_observers(run, "ΔAUC")]
    how = {"background": "Obuchowski's variance", "trial": "paired DeLong"}[run.task.resampling.unit]
    caption = f"Differences in AUC on the same test trials ({how}) [95 % interval], fresh observers {at_n(run)}. "
    if run.has_limits:
        caption += "Where the images of two arms differ in noise, the differences in the limit count instead. "
    if shown:
        n_family = sum(not math.isnan(p) for p in adjusted)
        caption += f"p is not adjusted; in brackets it is adjusted (Holm) for the {n_family} comparisons that have one."
        if run.repeats_of_control:
            caption += " A fresh observer on λ = 0 with the other head only repeats the control and is left out there."
    else:
        caption += no_p(run)
    return Table(caption, columns, by_observer(run, cells))


def group_table(run: Run) -> Table:
    """Tabulate the AUC of every task, site or region by itself, for the quoted seed; no rows where there is one."""
    cells = [
        ((run.label(row.arm), row.group), row.observer, bounded_text(row.auc, row.ci_low, row.ci_high))
        for row in run.groups.rows
        if row.seed == run.seed
    ]
    columns = ["Arm", "Task", *for_observers(run)]
    caption = (
        f"Each task by itself (seed {run.seed}): AUC on its test trials [95 % interval]. The joint head is the task's "
        "own, the fresh observers are those fitted to all tasks together. A task with one background of a class "
        "has no interval."
    )
    return Table(caption, columns, by_observer(run, cells))


def retraining_table(run: Run) -> Table:
    """Tabulate the differences over training seeds and test trials at once; no rows with a single seed."""
    shown, unit = run.task.resampling.p_values, run.task.resampling.unit
    rows = run.retraining.rows
    plain = [math.nan if row.p_value is None else row.p_value for row in rows]
    cells = []
    for row, p, adjusted in zip(rows, plain, holm(plain).tolist() if rows else [], strict=True):
        said = f"{p_text(p)} (Holm\N{NO-BREAK SPACE}{p_text(adjusted)})" if shown else NONE
        spread = "" if row.seed_std is None else f", trainings ±{number(row.seed_std, 3)}"
        bounded = bounded_text(row.delta_auc, row.ci_low, row.ci_high, signed=True)
        cell = f"{bounded}{spread} p\N{NO-BREAK SPACE}{said}"
        cells.append(((run.label(row.arm), run.label(row.versus)), row.observer, cell))
    columns = ["Arm", "Versus", *for_observers(run, "ΔAUC")]
    how = {"background": "Obuchowski–Rockette, clustered covariance", "trial": "one-shot U-statistic"}[unit]
    n_seeds = max((row.n_seeds for row in run.retraining.rows), default=0)
    caption = (
        f"The same differences over {n_seeds} training seeds and the test trials at once: seeds are the readers of an "
        f"MRMC analysis ({how}), so the interval holds another training too [95 % interval]. "
        "After ± stands the standard deviation over trainings alone, apart from the test trials. AUCs are those at "
        "the number of training trials that the observers had. "
    ) + ("In brackets p is adjusted (Holm) for all of this table." if shown else no_p(run))
    return Table(caption, columns, by_observer(run, cells))


def limit_table(run: Run) -> Table | None:
    """Tabulate every arm's AUC in the limit of many training trials; None where the run has none."""
    if not run.has_limits:
        return None
    reasons = list(dict.fromkeys(row.why_not for row in run.limits.rows if row.limit is None and row.why_not))
    marks = {reason: f"– ({number})" for number, reason in enumerate(reasons, start=1)}
    cells = [
        (
            (run.label(row.arm), *if_several(run, row.seed)),
            row.observer,
            marks.get(row.why_not or "", NONE) if row.limit is None else interval(row.limit, 3),
        )
        for row in run.limits.rows
    ]
    caption = f"AUC in the limit of many training trials of the observer [95 % interval]. {as_sentence(run.limits.how)}"
    caption += "".join(f" ({mark[3:-1]}) {as_sentence(reason)}" for reason, mark in marks.items())
    return Table(caption.strip(), ["Arm", *if_several(run, "Seed"), *for_observers(run)], by_observer(run, cells))


def limit_paired_table(run: Run) -> Table | None:
    """Tabulate the differences of AUCs in the limit of many training trials; None where the run has none."""
    if all(row.delta is None for row in run.limits.paired):
        return None
    cells = []
    for row in run.limits.paired:
        p = p_text(row.p_value) if run.task.resampling.p_values and row.p_value is not None else NONE
        delta = NONE if row.delta is None else f"{interval(row.delta, 3, signed=True)} p\N{NO-BREAK SPACE}{p}"
        cells.append(((run.label(row.arm), run.label(row.versus), *if_several(run, row.seed)), row.observer, delta))
    columns = ["Arm", "Versus", *if_several(run, "Seed"), *for_observers(run, "ΔAUC")]
    caption = (
        "Differences in AUC in the limit of many training trials, on the same test trials [95 % interval]. These "
        f"compare images of different noise. {no_p(run) or 'p is not adjusted.'}"
    )
    return Table(caption, columns, by_observer(run, cells))


def frozen_table(run: Run) -> Table | None:
    """Tabulate observers that were fitted on other images and not refitted, quoted seed; None where there are none."""
    mine = [row for row in run.frozen.rows if row.seed == run.arm(row.arm).seed]
    if not mine:
        return None
    rows = [
        [
            run.label(row.arm),
            observer_label(row.observer).removeprefix("fresh "),
            run.label(row.fitted_on) if row.fitted_on in (LOW_DOSE, MSE) else "references",
            interval(row.auc, 3),
            or_none(row.delta, 3, signed=True),
            or_none(run.arm(row.arm).observers.get(row.observer), 3),
        ]
        for row in mine
    ]
    columns = ["Arm", "Observer", "Fitted on", "AUC", "ΔAUC to control", "AUC, fitted afresh"]
    caption = (
        "Observers fitted once on other images and applied unchanged to each arm's [95 % interval]: what an arm gains "
        "here is not the observer's adaptation to it. Beside them the AUC of the observer fitted afresh to the arm."
    )
    if run.has_limits:
        caption += f" AUCs are {at_n(run)}, not in the limit."
    return Table(caption, columns, rows)


def efficiency_table(run: Run) -> Table | None:
    """Tabulate the chain of detection efficiency; None where the run has none."""
    if not run.efficiency.rows:
        return None
    in_limit = any(row.limit for row in run.efficiency.rows)
    rows = [
        [
            row.step,
            run.label(row.arm),
            observer_label(row.observer),
            interval(row.auc, 3) + ("" if row.limit or not in_limit else "*"),
            or_none(row.d_a_squared, 2),
            or_none(row.ratio, 2),
        ]
        for row in run.efficiency.rows
    ]
    columns = ["Step", "Arm", "Observer", "AUC", "d_a²", "d_a² / first step"]
    caption = "The chain of detection efficiency: what each step keeps of what is there to detect [95 % interval]."
    if in_limit:
        caption += f" AUCs are those in the limit of many training trials; * marks one {at_n(run)}."
    return Table(caption, columns, rows)
