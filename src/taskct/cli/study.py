"""Commands on a study and its run folder: run, simulate, train, evaluate, report, preview."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from taskct.cli.app import app
from taskct.cli.options import (
    Config,
    Device,
    ExecutorOption,
    Out,
    Preset,
    ProgressOption,
    Run,
    Seed,
    SetOption,
    Threads,
    Workers,
)
from taskct.cli.settings import given_settings
from taskct.cli.terminal import ProgressMode, fail, note, out, print_table, show_progress
from taskct.config import Settings, preset_names, without_effect
from taskct.errors import UserError
from taskct.machine import resolve_device
from taskct.report import write_report
from taskct.report.preview import write_preview
from taskct.simulation.preview import make_preview
from taskct.study.changes import Change, counted
from taskct.study.checks import check_arms
from taskct.study.run_folder import RunFolder
from taskct.sweep.dry_run import RunPlan, plan_run
from taskct.sweep.executors import Machine
from taskct.sweep.pipeline import sweep
from taskct.sweep.schedule import Outcome
from taskct.training.ranks import is_first


def _note_without_effect(settings: Settings) -> None:
    for line in without_effect(settings):
        note(line)


def _open_study(
    path: Path,
    config: Path | None,
    preset: str | None,
    overrides: list[str] | None,
    seed: int | None,
    device: str,
    *,
    read_only: bool = False,
) -> RunFolder:
    if config is None and preset is None and (path / "study.yaml").is_file():
        config = path / "study.yaml"  # the study that the folder holds, with what --set changes
    if config is None and preset is None:
        raise UserError(
            f"say which study: a settings file, --preset with one of {', '.join(preset_names())}, or the --out folder "
            "of a run"
        )
    settings = given_settings(config, preset, overrides, seed)
    where = resolve_device(device)
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


def _sweep(folder: RunFolder, parts: Sequence[str], machine: Machine, progress: ProgressMode | None = None) -> Outcome:
    with show_progress(progress) as show:
        return sweep(folder, parts, machine, show=show)


def _end(outcome: Outcome) -> None:
    """A line and status 2 for what went wrong, once all else is done."""
    if lines := outcome.lines():
        fail(*lines)


def _report(run: Path) -> None:
    page = write_report(run)
    out.print(f"Report: {page}", highlight=False, soft_wrap=True)


@app.command()
def run(
    out_folder: Out,
    config: Config = None,
    preset: Preset = None,
    overrides: SetOption = None,
    seed: Seed = None,
    device: Device = "auto",
    workers: Workers = None,
    threads: Threads = None,
    executor: ExecutorOption = None,
    progress: ProgressOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print the stages, what is done, time and disk; writes nothing.")
    ] = False,
    summary: Annotated[
        bool, typer.Option("--summary", help="With --dry-run: a line for each kind of stage instead of each stage.")
    ] = False,
) -> None:
    """Do everything: simulate, train, evaluate, report.

    As in: taskct run --preset demo --out runs/demo

    A run that was stopped goes on when the same command is given again; what is done is not repeated.
    """
    if summary and not dry_run:
        raise UserError("--summary is of a plan: give it with --dry-run")
    machine = Machine(workers, threads, executor, device)
    folder = _open_study(out_folder, config, preset, overrides, seed, device, read_only=dry_run)
    if dry_run:
        plan = plan_run(folder, machine)
        print_table(_kinds_table(plan) if summary else _stages_table(plan))
        _print_total(folder, plan)
        _note_without_effect(folder.settings)
        return
    _sweep(folder, ["simulate"], machine, progress)
    _note_without_effect(folder.settings)
    outcome = _sweep(folder, ["train", "evaluate"], machine, progress)
    if "results" not in outcome.skipped:
        _report(folder.path)
    _end(outcome)


def _kinds_table(plan: RunPlan) -> Table:
    """A dry run by kind of stage."""
    table = Table("kind", "stages", "done", "time", "disk", box=None, header_style="bold", pad_edge=False)
    for kind in plan.kinds:
        todo = kind.n_done < kind.n_stages
        time = duration_text(kind.seconds) if todo else ""
        table.add_row(
            kind.kind, str(kind.n_stages), str(kind.n_done), time, f"{kind.n_bytes / 1e6:.1f} MB" if todo else ""
        )
    return table


def _stages_table(plan: RunPlan) -> Table:
    """A dry run stage by stage."""
    table = Table("stage", "depends on", "state", "time", "disk", box=None, header_style="bold", pad_edge=False)
    table.columns[0].no_wrap = True
    table.columns[1].overflow = "fold"
    for row in plan.stages:
        before = ", ".join(row.depends_on[:3]) + (f", … ({len(row.depends_on)})" if len(row.depends_on) > 3 else "")
        table.add_row(
            *(escape(text) for text in (row.name, before or "–", "done" if row.done else "to do")),
            "" if row.done else duration_text(row.seconds),
            f"{row.n_bytes / 1e6:.1f} MB",
        )
    return table


def _print_total(folder: RunFolder, plan: RunPlan) -> None:
    """Print what a dry run adds up to, and how it was estimated."""
    n_done = sum(row.done for row in plan.stages)
    if n_done == len(plan.stages):
        summary = f"All {n_done} stages are done: nothing is left to do"
    else:
        time = f"the others take about {duration_text(plan.seconds)} {plan.by}"
        summary = f"{n_done} of {len(plan.stages)} stages are done; {time}"
    out.print(summary, highlight=False, soft_wrap=True)
    out.print(
        f"Disk: {plan.bytes_to_write / 1e6:.0f} MB to write, {folder.free_bytes() / 1e6:.0f} MB free",
        highlight=False,
        soft_wrap=True,
    )
    for line in plan.how:
        note(line)


def duration_text(seconds: float) -> str:
    """A time as a user plans with it, such as `40 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@app.command()
def simulate(
    out_folder: Out,
    config: Config = None,
    preset: Preset = None,
    overrides: SetOption = None,
    seed: Seed = None,
    device: Device = "auto",
    workers: Workers = None,
    progress: ProgressOption = None,
) -> None:
    """Begin a run folder with the trials of a study.

    Trials are pairs of low-dose and reference images with or without a signal, in four splits that share no
    background. A stopped simulation goes on with the chunks that are missing. Next: taskct train RUN
    """
    folder = _open_study(out_folder, config, preset, overrides, seed, device)
    done = "simulate" in _sweep(folder, ["simulate"], Machine(workers), progress).did
    _note_without_effect(folder.settings)
    out.print(f"Trials: {folder.trials}{'' if done else ' (done before)'}", highlight=False, soft_wrap=True)


@app.command()
def train(
    run_folder: Run,
    device: Device = "auto",
    workers: Workers = None,
    threads: Threads = None,
    executor: ExecutorOption = None,
    progress: ProgressOption = None,
) -> None:
    """Train the denoisers of a run folder.

    Pretrains one by mean squared error, then fine-tunes it with its observer for every training.lambdas. Next:
    taskct evaluate RUN
    """
    folder = RunFolder(run_folder, None, device=resolve_device(device))
    outcome = _sweep(folder, ["train"], Machine(workers, threads, executor, device), progress)
    if is_first():  # of the processes that torchrun started
        out.print(f"Models: {folder.path / 'models'}", highlight=False, soft_wrap=True)
    _end(outcome)


@app.command()
def evaluate(
    run_folder: Run,
    device: Device = "auto",
    workers: Workers = None,
    threads: Threads = None,
    executor: ExecutorOption = None,
    progress: ProgressOption = None,
) -> None:
    """Measure every denoiser of a run folder on the test trials.

    Writes scores.csv, quality.csv and summary.json: observers' AUC and image quality with intervals. Next: taskct
    report RUN
    """
    folder = RunFolder(run_folder, None, device=resolve_device(device))
    outcome = _sweep(folder, ["evaluate"], Machine(workers, threads, executor, device), progress)
    if "results" not in outcome.skipped:
        done = "" if "results" in outcome.did else " (done before)"
        out.print(f"Results: {folder.path / 'summary.json'}{done}", highlight=False, soft_wrap=True)
    _end(outcome)


@app.command()
def report(run_folder: Run) -> None:
    """Write report.html from the results of a run folder.

    One file that opens offline; nothing is computed anew from images.
    """
    _report(run_folder)


@app.command()
def preview(
    page: Annotated[Path, typer.Option("--out", metavar="PAGE", help="The page to write.")] = Path("preview.html"),
    config: Config = None,
    preset: Preset = None,
    overrides: SetOption = None,
    seed: Seed = None,
    n_trials: Annotated[
        int, typer.Option("--trials", metavar="N", min=1, max=50, help="Trials of each hypothesis to show.")
    ] = 6,
    device: Device = "auto",
) -> None:
    """Draw a page of trials with their truth, before anything is simulated or trained at length.

    As in: taskct preview --preset demo --out preview.html
    """
    if config is None and preset is None:
        raise UserError(f"say which study: a settings file, or --preset with one of {', '.join(preset_names())}")
    settings = given_settings(config, preset, overrides, seed)
    if not page.parent.is_dir():
        raise UserError(f"{page.parent} is no folder: choose another --out for the page")
    shown = make_preview(settings, n_trials=n_trials, device=resolve_device(device))
    _note_without_effect(settings)
    written = write_preview(page, **{field.name: getattr(shown, field.name) for field in fields(shown)})
    out.print(f"Preview: {written}", highlight=False, soft_wrap=True)
