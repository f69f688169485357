"""Run folders as the commands on a study open, fill and tell of them.

Apart from the commands, which so answer `--help` without importing what computes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from taskct.cli.settings import given_settings
from taskct.cli.terminal import ProgressMode, fail, note, plain_table, print_line, print_table, show_progress
from taskct.config import Settings, preset_names, without_effect
from taskct.errors import UserError
from taskct.machine import resolve_device
from taskct.study.changes import Change, counted
from taskct.study.checks import check_arms
from taskct.study.imports import names_imported, with_import
from taskct.study.run_folder import RunFolder
from taskct.sweep.dry_run import STORE_BYTES_PER_S, RunPlan, plan_run
from taskct.sweep.executors import Machine as Machine
from taskct.sweep.pipeline import sweep
from taskct.sweep.schedule import Outcome


def note_without_effect(settings: Settings) -> None:
    """Tell which settings have no effect beside the others."""
    for line in without_effect(settings):
        note(line)


@dataclass(frozen=True)
class Asked:
    """The study that a command line asks for."""

    config: Path | None
    preset: str | None
    overrides: tuple[str, ...]
    seed: int | None
    device: str
    imports: tuple[str, ...] = ()
    """Denoisers elsewhere beside those of the settings; those whose images the folder has stay in the study."""


def settings_of(path: Path, asked: Asked) -> Settings:
    """The settings of the study asked for in a run folder, which need not be there."""
    config, preset = asked.config, asked.preset
    held = config is None and preset is None and (path / "study.yaml").is_file()
    if held:
        config = path / "study.yaml"  # the study that the folder holds, with what --set changes
    if config is None and preset is None:
        raise UserError(
            f"say which study: a settings file, --preset with one of {', '.join(preset_names())}, or the --out folder "
            "of a run"
        )
    settings = given_settings(config, preset, list(asked.overrides), asked.seed, held=held)
    for name in dict.fromkeys([*names_imported(path), *asked.imports]):
        settings = with_import(settings, name)
    return settings


def open_study(path: Path, asked: Asked, *, read_only: bool = False) -> RunFolder:
    """The run folder of the study that a command line asks for, with what is to be known of it told."""
    settings = settings_of(path, asked)
    where = resolve_device(asked.device)
    checked, margin = check_arms(settings, where), settings.trials.margin_pixels
    folder = RunFolder(path, settings, device=where, read_only=read_only)
    for line in checked.notes:
        note(line)
    if checked.reach > margin:
        known = f"the network reaches {checked.reach} pixels or more and trials.margin_pixels is {margin}"
        note(f"{known}: padding touches the scored region")
    if folder.change is not None:
        _note_change(folder.change)
    return folder


def open_run(path: Path, device: str) -> RunFolder:
    """A run folder with the study that it holds.

    Raises
    ------
    UserError
        If there is none.
    """
    return RunFolder(path, None, device=resolve_device(device))


def _note_change(change: Change) -> None:
    """Tell what other settings come to in the folder of a study that was begun."""
    note(f"the study of this folder changes: {change.differences}; what else is done there stays")
    if change.more:
        note(f"in addition to do: {counted(change.more)}")
    if anew := [kind for kind in change.anew if kind != "results"]:
        note(f"to do anew: {counted(anew)}")
    if change.left_out:
        names = ", ".join(change.left_out[:4]) + (", …" if len(change.left_out) > 4 else "")
        note(f"no more part of the study, and left as they are: {names}")


def do_stages(
    folder: RunFolder, parts: Sequence[str], machine: Machine, progress: ProgressMode | None = None
) -> Outcome:
    """Do what is left of some parts of a study, and show how far it is."""
    with show_progress(progress) as show:
        return sweep(folder, parts, machine, show=show)


def end_with(outcome: Outcome) -> None:
    """A line and status 2 for what went wrong, once all else is done."""
    if lines := outcome.lines():
        fail(*lines)


def print_plan(folder: RunFolder, machine: Machine, *, summary: bool) -> RunPlan:
    """Print what a run would do: its stages, or in a summary its kinds of stage, and what they add up to."""
    plan = plan_run(folder, machine)
    print_table(_kinds_table(plan) if summary else _stages_table(plan))
    on_cluster = machine.executor is not None and plan.timetables[-1].seconds > 0.0
    if summary and on_cluster:
        print_table(_workers_table(plan))
    _print_total(folder, plan)
    if on_cluster:  # here stages share the threads of one machine, and no worker is idle for want of a stage
        _print_schedule(plan)
    for line in plan.how:
        note(line)
    return plan


def _kinds_table(plan: RunPlan) -> Table:
    table = plain_table("kind", "stages", "done", "time", "disk")
    for kind in plan.kinds:
        todo = kind.n_done < kind.n_stages
        time = duration_text(kind.seconds) if todo else ""
        table.add_row(
            kind.kind, str(kind.n_stages), str(kind.n_done), time, f"{kind.n_bytes / 1e6:.1f} MB" if todo else ""
        )
    return table


def _stages_table(plan: RunPlan) -> Table:
    table = plain_table("stage", "depends on", "state", "time", "disk")
    table.columns[1].overflow = "fold"
    for row in plan.stages:
        before = ", ".join(row.depends_on[:3]) + (f", … ({len(row.depends_on)})" if len(row.depends_on) > 3 else "")
        table.add_row(
            row.name,
            before or "–",
            "done" if row.done else "to do",
            "" if row.done else duration_text(row.seconds),
            f"{row.n_bytes / 1e6:.1f} MB",
        )
    return table


def _workers_table(plan: RunPlan) -> Table:
    """What more workers would come to."""
    table = plain_table("workers", "time", "idle", "transfer")
    for row in plan.timetables:
        moved = f"{row.transfer_bytes / 1e9:.1f} GB" if row.transfer_bytes else "–"
        table.add_row(str(row.workers), duration_text(row.seconds), f"{100 * row.idle:.0f} %", moved)
    return table


def _print_schedule(plan: RunPlan) -> None:
    """Print what keeps so many workers from being as many times faster."""
    last = plan.timetables[-1]
    kinds = {stage.name: stage.kind for stage in plan.stages}
    chain = " → ".join(dict.fromkeys(kinds[name] for name in last.critical))
    idle = f"the workers are idle for {100 * last.idle:.0f} % of the time"
    print_line(f"Schedule: the longest chain ({chain}) takes {duration_text(last.critical_seconds)}; {idle}")
    if last.transfer_bytes:
        share = last.transfer_seconds / (last.workers * last.seconds)
        print_line(
            f"Transfer: {last.transfer_bytes / 1e9:.1f} GB, {100 * share:.2g} % of the workers' time at "
            f"{STORE_BYTES_PER_S / 1e6:.0f} MB/s for each"
        )


def _print_total(folder: RunFolder, plan: RunPlan) -> None:
    """Print what a dry run adds up to, and how it was estimated."""
    n_done = sum(row.done for row in plan.stages)
    if n_done == len(plan.stages):
        summary = f"All {n_done} stages are done: nothing is left to do"
    else:
        time = f"the others take about {duration_text(plan.seconds)} {plan.by}"
        summary = f"{n_done} of {len(plan.stages)} stages are done; {time}"
    print_line(summary)
    if n_done < len(plan.stages):
        unit = "GPU" if folder.device.type == "cuda" else "core"
        hours = plan.core_seconds / 3600
        work = f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"
        print_line(f"Work: {work} {unit}-hours; memory: {plan.memory_bytes / 1e9:.2g} GB a process")
    print_line(f"Disk: {plan.bytes_to_write / 1e6:.0f} MB to write, {folder.free_bytes() / 1e6:.0f} MB free")


def duration_text(seconds: float) -> str:
    """A time as a user plans with it, such as `40 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
