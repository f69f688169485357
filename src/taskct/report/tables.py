"""The report's tables: rows of text, worked out from the run's numbers."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from taskct.metrics.comparisons import holm
from taskct.metrics.intervals import Interval
from taskct.names import JOINT, LOW_DOSE, MSE, setting_text
from taskct.report.caveats import at_n, no_p
from taskct.report.labels import arm_label, interval, number, observer_label, percent
from taskct.report.run import Quoted, Run
from taskct.report.schema import Span

NONE = "–"


@dataclass(frozen=True)
class Table:
    """One table of the page; the first column heads its rows."""

    caption: str
    columns: Sequence[str]
    rows: list[list[str]]


def _if_several(run: Run, seed: object) -> list[str]:
    """A cell, or the heading, of the column of seeds that a run with several has."""
    return [str(seed)] if len(run.seeds) > 1 else []


def _or_none(found: Interval | None, digits: int, *, signed: bool = False) -> str:
    return NONE if found is None else interval(found, digits, signed=signed)


def _bounded(value: float, low: float | None, high: float | None, *, signed: bool = False) -> str:
    """A number with its interval, or alone where nothing can be said of it."""
    if low is None or high is None:
        return f"{number(value, 3, signed=signed)} [{NONE}]"
    return interval(Interval(value, low, high), 3, signed=signed)


def _for_observers(run: Run, what: str = "AUC") -> list[str]:
    """Headings of a column for every observer."""
    return [f"{what}, {observer_label(observer)}" for observer in run.observers]


def _by_observer(run: Run, cells: Iterable[tuple[tuple[str, ...], str, str]]) -> list[list[str]]:
    """Rows with a column for every observer, from the first cells of a row, an observer and its cell."""
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for first, observer, cell in cells:
        rows.setdefault(first, {})[observer] = cell
    return [[*first, *(by.get(observer, NONE) for observer in run.observers)] for first, by in rows.items()]


def key_table(run: Run) -> Table:
    """Tabulate what the headline says, one row per observer, quoted seed: in the limit where it can be had."""
    chosen, control = run.choices.chosen_arm, run.tradeoff.control
    rows = []
    for observer in run.observers:
        arms = [run.quoted_auc(name, observer) for name in (LOW_DOSE, MSE, control, chosen)]
        deltas = [run.quoted_delta(*pair, observer) for pair in ((MSE, LOW_DOSE), (chosen, control))]
        shown = [_quoted(run, auc) for auc in arms] + [_quoted(run, delta, signed=True) for delta in deltas]
        rows.append([observer_label(observer), *shown])
    columns = [
        "Observer",
        "AUC, low-dose images",
        "AUC, MSE",
        f"AUC, {arm_label(control)} (control)",
        f"AUC, {arm_label(chosen)} (chosen)",
        "ΔAUC, MSE − low-dose",
        "ΔAUC, chosen − control",
    ]
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
        aucs = (_or_none(arm.observers.get(observer), 3) for observer in run.observers)
        rows.append([arm.label, *_if_several(run, arm.seed), *shown, *aucs])
    columns = ["Arm", *_if_several(run, "Seed"), "RMSE (HU)", "PSNR (dB)", "SSIM", *_for_observers(run)]
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
        plain, adjusted_p = (_p_value(p) if shown else NONE for p in (row.p_value, p_holm))
        p = f"p\N{NO-BREAK SPACE}{plain} (Holm\N{NO-BREAK SPACE}{adjusted_p})"
        first = (arm_label(row.arm), arm_label(row.versus), *_if_several(run, row.seed))
        cells.append((first, row.observer, f"{interval(row.delta, 3, signed=True)} {p}"))
    columns = ["Arm", "Versus", *_if_several(run, "Seed"), *_for_observers(run, "ΔAUC")]
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
    return Table(caption, columns, _by_observer(run, cells))


def group_table(run: Run) -> Table:
    """Tabulate the AUC of every task, site or region by itself, for the quoted seed; no rows where there is one."""
    cells = [
        ((arm_label(row.arm), row.group), row.observer, _bounded(row.auc, row.ci_low, row.ci_high))
        for row in run.groups.rows
        if row.seed == run.seed
    ]
    columns = ["Arm", "Task", *_for_observers(run)]
    caption = (
        f"Each task by itself (seed {run.seed}): AUC on its test trials [95 % interval]. The joint head is the task's "
        "own, the fresh observers are those fitted to all tasks together. A task with one background of a class "
        "has no interval."
    )
    return Table(caption, columns, _by_observer(run, cells))


def retraining_table(run: Run) -> Table:
    """Tabulate the differences over training seeds and test trials at once; no rows with a single seed."""
    shown, unit = run.task.resampling.p_values, run.task.resampling.unit
    rows = run.retraining.rows
    plain = [math.nan if row.p_value is None else row.p_value for row in rows]
    cells = []
    for row, p, adjusted in zip(rows, plain, holm(plain).tolist() if rows else [], strict=True):
        said = f"{_p_value(p)} (Holm\N{NO-BREAK SPACE}{_p_value(adjusted)})" if shown else NONE
        spread = "" if row.seed_std is None else f", trainings ±{number(row.seed_std, 3)}"
        bounded = _bounded(row.delta_auc, row.ci_low, row.ci_high, signed=True)
        cell = f"{bounded}{spread} p\N{NO-BREAK SPACE}{said}"
        cells.append(((arm_label(row.arm), arm_label(row.versus)), row.observer, cell))
    columns = ["Arm", "Versus", *_for_observers(run, "ΔAUC")]
    how = {"background": "Obuchowski–Rockette, clustered covariance", "trial": "one-shot U-statistic"}[unit]
    n_seeds = max((row.n_seeds for row in run.retraining.rows), default=0)
    caption = (
        f"The same differences over {n_seeds} training seeds and the test trials at once: seeds are the readers of an "
        f"MRMC analysis ({how}), so the interval holds another training too [95 % interval]. "
        "After ± stands the standard deviation over trainings alone, apart from the test trials. AUCs are those at "
        "the number of training trials that the observers had. "
    ) + ("In brackets p is adjusted (Holm) for all of this table." if shown else no_p(run))
    return Table(caption, columns, _by_observer(run, cells))


def _p_value(p: float) -> str:
    if math.isnan(p):
        return NONE
    return "<\N{NO-BREAK SPACE}0.001" if p < 0.001 else number(p, 3)


def hallucination_table(run: Run) -> Table:
    """Tabulate the bias at the signal site and how often an arm paints a signal anywhere."""
    rows = []
    for arm in run.summary.arms:
        bias = run.site_bias[arm.name, arm.seed]
        spread = [
            " to ".join(number(v, 1, signed=True) for v in np.percentile(values, [5, 95])) if values.size else NONE
            for values in (bias.absent, bias.present)
        ]
        mean, painted = arm.hallucination, run.false_signal(arm)
        delta = painted.delta_to_control
        absent, present = (interval(m, 2, signed=True) for m in (mean.absent_bias_hu, mean.present_bias_hu))
        rate = interval(percent(painted.false_signal_rate), 1)
        more = _or_none(None if delta is None else percent(delta), 1, signed=True)
        rows.append([arm.label, *_if_several(run, arm.seed), absent, spread[0], present, spread[1], rate, more])
    columns = ["Arm", *_if_several(run, "Seed"), "Mean, signal absent (HU)", "5th to 95th percentile of trials (HU)"]
    columns += ["Mean, signal present (HU)", "5th to 95th percentile of trials (HU)"]
    columns += ["False-signal rate (% of signal-absent trials)", "Rate minus control's (percentage points)"]
    caption = "Image minus reference at the signal site, and false signals anywhere in the region [95 % interval]."
    return Table(caption, columns, rows)


def limit_table(run: Run) -> Table | None:
    """Tabulate every arm's AUC in the limit of many training trials; None where the run has none."""
    if not run.has_limits:
        return None
    reasons = list(dict.fromkeys(row.why_not for row in run.limits.rows if row.limit is None and row.why_not))
    marks = {reason: f"– ({number})" for number, reason in enumerate(reasons, start=1)}
    cells = [
        (
            (arm_label(row.arm), *_if_several(run, row.seed)),
            row.observer,
            marks.get(row.why_not or "", NONE) if row.limit is None else interval(row.limit, 3),
        )
        for row in run.limits.rows
    ]
    caption = f"AUC in the limit of many training trials of the observer [95 % interval]. {_sentence(run.limits.how)}"
    caption += "".join(f" ({mark[3:-1]}) {_sentence(reason)}" for reason, mark in marks.items())
    return Table(caption.strip(), ["Arm", *_if_several(run, "Seed"), *_for_observers(run)], _by_observer(run, cells))


def limit_paired_table(run: Run) -> Table | None:
    """Tabulate the differences of AUCs in the limit of many training trials; None where the run has none."""
    if all(row.delta is None for row in run.limits.paired):
        return None
    cells = []
    for row in run.limits.paired:
        p = _p_value(row.p_value) if run.task.resampling.p_values and row.p_value is not None else NONE
        delta = NONE if row.delta is None else f"{interval(row.delta, 3, signed=True)} p\N{NO-BREAK SPACE}{p}"
        cells.append(((arm_label(row.arm), arm_label(row.versus), *_if_several(run, row.seed)), row.observer, delta))
    columns = ["Arm", "Versus", *_if_several(run, "Seed"), *_for_observers(run, "ΔAUC")]
    caption = (
        "Differences in AUC in the limit of many training trials, on the same test trials [95 % interval]. These "
        f"compare images of different noise. {no_p(run) or 'p is not adjusted.'}"
    )
    return Table(caption, columns, _by_observer(run, cells))


def _sentence(text: str) -> str:
    """A file's words as a sentence of a caption; empty stays empty."""
    text = text.strip()
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""


def frozen_table(run: Run) -> Table | None:
    """Tabulate observers that were fitted on other images and not refitted, quoted seed; None where there are none."""
    mine = [row for row in run.frozen.rows if row.seed == run.arm(row.arm).seed]
    if not mine:
        return None
    rows = [
        [
            arm_label(row.arm),
            observer_label(row.observer).removeprefix("fresh "),
            arm_label(row.fitted_on) if row.fitted_on in (LOW_DOSE, MSE) else "references",
            interval(row.auc, 3),
            _or_none(row.delta, 3, signed=True),
            _or_none(run.arm(row.arm).observers.get(row.observer), 3),
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
            arm_label(row.arm),
            observer_label(row.observer),
            interval(row.auc, 3) + ("" if row.limit or not in_limit else "*"),
            _or_none(row.d_a_squared, 2),
            _or_none(row.ratio, 2),
        ]
        for row in run.efficiency.rows
    ]
    columns = ["Step", "Arm", "Observer", "AUC", "d_a²", "d_a² / first step"]
    caption = "The chain of detection efficiency: what each step keeps of what is there to detect [95 % interval]."
    if in_limit:
        caption += f" AUCs are those in the limit of many training trials; * marks one {at_n(run)}."
    return Table(caption, columns, rows)


def harm_table(run: Run) -> Table | None:
    """Tabulate what every arm does to contrast, noise and resolution; None where the run has not measured it."""
    if not run.harm.rows:
        return None
    rows = []
    for row in run.harm.rows:
        kept = None if row.contrast_recovery is None else percent(row.contrast_recovery)
        shown = [_or_none(kept, 0), _or_none(row.noise_hu, 2), _or_none(row.nps_mean_per_mm, 3)]
        shown += [_or_none(row.ttf50_per_mm, 3), *map(_hu, (row.site_map_max_abs_hu, row.map_max_abs_hu))]
        rows.append([arm_label(row.arm), *_if_several(run, row.seed), *shown])
    columns = [
        "Arm",
        *_if_several(run, "Seed"),
        "Contrast left (%)",
        "Noise (HU)",
        "Mean frequency of the noise (1/mm)",
    ]
    columns += ["Half of the signal left at (1/mm)", "Largest mean error at the site (HU)", "Anywhere (HU)"]
    caption = "What an arm does to contrast, noise and resolution [95 % interval]; errors are means of image minus "
    caption += f"reference over signal-absent trials. {_sentence(run.harm.how)}"
    why = dict.fromkeys(f"{arm_label(row.arm)}: {text}" for row in run.harm.rows for text in row.why_not.values())
    if why:
        caption += f" Missing: {'; '.join(why)}."
    return Table(caption.strip(), columns, rows)


def _hu(value: float | None) -> str:
    return NONE if value is None else number(value, 2)


def false_positive_table(run: Run) -> Table | None:
    """Tabulate what observers say at a criterion set beforehand, quoted seed; None where that was not measured."""
    rows = [
        [
            arm_label(row.arm),
            observer_label(one.observer).removeprefix("fresh "),
            "the arm's images" if one.fitted_on == "own" else arm_label(one.fitted_on),
            interval(percent(one.false_positive_fraction), 1),
            interval(percent(one.true_positive_fraction), 1),
        ]
        for row in run.harm.rows
        if row.seed == run.arm(row.arm).seed
        for one in row.false_positives
    ]
    if not rows:
        return None
    columns = ["Arm", "Observer", "Fitted on", "False positives (%)", "True positives (%)"]
    caption = (
        "What observers say at a criterion that was set on validation trials of the images they were fitted on [95 % "
        "interval]."
    )
    return Table(caption, columns, rows)


def strata_table(run: Run) -> Table | None:
    """Tabulate AUC by size and contrast of the lesion, quoted seed; None for a task of one size and one contrast."""
    mine = [row for row in run.strata.rows if row.seed == run.arm(row.arm).seed]
    if not mine:
        return None
    cells = [
        (
            (arm_label(row.arm), _span(row.size, "mm"), _span(row.contrast, "HU"), str(row.n_present)),
            row.observer,
            interval(row.auc, 3)
            + ("" if row.delta is None else f" Δ\N{NO-BREAK SPACE}{interval(row.delta, 3, signed=True)}"),
        )
        for row in mine
    ]
    columns = ["Arm", "Size", "Contrast", "Signals", *_for_observers(run)]
    caption = (
        f"AUC by size and contrast of the lesion (seed {run.seed}), against all signal-absent trials [95 % interval]; "
        f"Δ is the difference to the control. Fresh observers {at_n(run)}."
    )
    return Table(caption, columns, _by_observer(run, cells))


def convention_table(run: Run) -> Table | None:
    """Tabulate image quality as public benchmarks count it, quoted seed; None where the run has not measured it."""
    mine = [row for row in run.conventions.rows if row.seed == run.arm(row.arm).seed]
    if not mine:
        return None
    order = {one.name: number for number, one in enumerate(run.conventions.conventions)}
    rows = [
        [
            row.convention,
            arm_label(row.arm),
            *(_or_none(found, digits) for found, digits in ((row.rmse_hu, 2), (row.psnr_db, 2), (row.ssim, 4))),
        ]
        for row in sorted(mine, key=lambda row: order.get(row.convention, len(order)))
    ]
    caption = (
        f"Image quality in the conventions of public benchmarks: means over {mine[0].n_trials} test images [95 % "
        "interval], to be set beside theirs. "
    ) + " ".join(f"{one.name}: {one.text} ({one.source})." for one in run.conventions.conventions)
    return Table(caption.strip(), ["Convention", "Arm", "RMSE (HU)", "PSNR (dB)", "SSIM"], rows)


def _span(span: Span, unit: str) -> str:
    return f"{setting_text(span.low)} to {setting_text(span.high)}\N{NO-BREAK SPACE}{unit}"


def tradeoff_table(run: Run) -> Table:
    """Tabulate which curve is the better bargain, and the best arm at almost no price."""
    rows = []
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
            name = "none but the control" if within.arm == run.tradeoff.control else arm_label(within.arm)
            best = [name, *numbers, interval(within.delta_auc, 3, signed=True)]
        drops = {True: "no", False: "yes", None: NONE}[tradeoff.monotone]
        rows.append([observer_label(observer), *better, drops, *best])
    percent = f"{100 * run.tradeoff.tolerance:g} %"
    columns = [
        "Observer",
        "Better curve",
        "ΔAUC, blend − trained",
        "RMSE range (HU)",
        "AUC drops as λ rises",
        f"Best arm within {percent}",
        "RMSE / control",
        "AUC",
        "ΔAUC to control",
    ]
    caption = (
        "Left: the two curves at equal RMSE, averaged over the range that both cover. "
        f"Right, under a limit of {percent} of the control's RMSE whatever the rule of the choice is: the arm with "
        "most AUC among those that keep it on validation trials; its numbers are from test trials [95 % interval], "
        "where an arm may come to lie on the other side. "
        f"RMSE rises with λ throughout, but for chance: {'yes' if run.tradeoff.rmse_monotone else 'no'}."
    )
    if run.has_limits:
        caption += f" AUCs are {at_n(run)}, not in the limit."
    if JOINT in run.observers:
        caption += " The joint SLNN-NO has no better curve: a blend has no jointly trained head."
    if len(run.seeds) > 1:
        caption += f" Seed {run.tradeoff.seed}."
    return Table(caption, columns, rows)


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
        [arm_label(name), number(rmse[name], 2), *(cells.get((name, observer), NONE) for observer, _ in found)]
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


def regularization_table(run: Run) -> Table:
    """Tabulate how strongly each observer was regularized."""
    by_arm = run.choices.regularization
    observers = list(dict.fromkeys(observer for values in by_arm.values() for observer in values))
    rows = [[arm_label(arm), *(_plain(values.get(o)) for o in observers)] for arm, values in by_arm.items()]
    caption = "Regularization of each observer, chosen on validation trials."
    return Table(caption, ["Arm", *map(observer_label, observers)], rows)


def validation_table(run: Run) -> Table:
    """Tabulate the validation numbers that the choices rest on."""
    observers = list(dict.fromkeys(observer for row in run.choices.validation for observer in row.auc))
    rows = []
    for row in run.choices.validation:
        aucs = [row.auc.get(observer) for observer in observers]
        cells = [NONE if auc is None else number(auc, 3) for auc in aucs]
        rows.append([arm_label(row.arm), number(row.rmse_hu, 2), *cells])
    columns = ["Arm", "RMSE (HU)", *(f"AUC, {observer_label(o)}" for o in observers)]
    return Table("Validation trials: what choices were made on.", columns, rows)


def trial_table(run: Run) -> Table:
    """Tabulate trials and distinct phantoms, slices or patients of each split."""
    task = run.task
    rows = [[split, str(n), str(task.n_backgrounds.get(split, NONE))] for split, n in task.n_trials.items()]
    return Table("Trials of each split.", ["Split", "Trials", f"Distinct {task.case_kind}"], rows)


def stage_table(run: Run) -> Table:
    """Tabulate the wall time of each stage."""
    rows = [
        [name, duration_text(stage.wall_s), _moment(stage.finished)] for name, stage in run.provenance.stages.items()
    ]
    return Table("Wall time of each stage.", ["Stage", "Wall time", "Finished"], rows)


def duration_text(seconds: float | None) -> str:
    """Write a time as people say it; a dash for None."""
    if seconds is None:
        return NONE
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _moment(finished: str | float | None) -> str:
    if isinstance(finished, float):
        return datetime.fromtimestamp(finished, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return finished or NONE


def provenance_table(run: Run) -> Table:
    """Tabulate versions, machine and seed."""
    made = run.provenance
    rows = [
        ["taskct", made.taskct_version],
        ["commit", _plain(made.commit)],
        ["Python", made.python],
        ["platform", made.platform],
        ["device", _plain(made.device)],
        ["threads", _plain(made.n_threads)],
        ["seed", _plain(made.seed)],
        *([name, version] for name, version in made.libraries.items()),
    ]
    return Table("Made with.", ["What", "Value"], rows)


def settings_table(run: Run) -> Table:
    """Tabulate every setting of `study.yaml` by its dotted name."""
    return Table("Settings, defaults included (study.yaml).", ["Setting", "Value"], flat_settings(run.settings))


def flat_settings(settings: dict[str, Any], prefix: str = "") -> list[list[str]]:
    """List settings by their dotted names, with their values as text; folders of images are not named."""
    rows: list[list[str]] = []
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            rows += flat_settings(value, f"{prefix}{key}.")
        elif key == "path" and value is not None:
            # A folder of images is often named after its patient, and a report travels.
            rows.append([f"{prefix}{key}", "(a folder, not shown)"])
        else:
            rows.append([f"{prefix}{key}", _plain(value)])
    return rows


def _plain(value: object) -> str:
    if value is None:
        return NONE
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or NONE
    return setting_text(value) if isinstance(value, float) else str(value)
