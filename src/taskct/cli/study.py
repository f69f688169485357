"""Commands on a study and its run folder: run, simulate, train, evaluate, report, preview.

What computes is imported by the command that needs it, so that `--help` answers at once.
"""

from pathlib import Path
from typing import Annotated

import typer

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
from taskct.cli.terminal import out
from taskct.config import preset_names
from taskct.errors import UserError


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
    from taskct.cli.run_folder import do_stages, end_with, note_without_effect, open_study, print_plan, report_run
    from taskct.sweep.executors import Machine

    if summary and not dry_run:
        raise UserError("--summary is of a plan: give it with --dry-run")
    machine = Machine(workers, threads, executor, device)
    folder = open_study(out_folder, config, preset, overrides, seed, device, read_only=dry_run)
    if dry_run:
        print_plan(folder, machine, summary=summary)
        note_without_effect(folder.settings)
        return
    do_stages(folder, ["simulate"], machine, progress)
    note_without_effect(folder.settings)
    outcome = do_stages(folder, ["train", "evaluate"], machine, progress)
    if "results" not in outcome.skipped:
        report_run(folder.path)
    end_with(outcome)


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
    from taskct.cli.run_folder import do_stages, note_without_effect, open_study
    from taskct.sweep.executors import Machine

    folder = open_study(out_folder, config, preset, overrides, seed, device)
    done = "simulate" in do_stages(folder, ["simulate"], Machine(workers), progress).did
    note_without_effect(folder.settings)
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
    from taskct.cli.run_folder import do_stages, end_with, open_run
    from taskct.sweep.executors import Machine
    from taskct.training.parallel import is_first

    folder = open_run(run_folder, device)
    outcome = do_stages(folder, ["train"], Machine(workers, threads, executor, device), progress)
    if is_first():  # of the processes that torchrun started
        out.print(f"Models: {folder.path / 'models'}", highlight=False, soft_wrap=True)
    end_with(outcome)


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
    from taskct.cli.run_folder import do_stages, end_with, open_run
    from taskct.sweep.executors import Machine

    folder = open_run(run_folder, device)
    outcome = do_stages(folder, ["evaluate"], Machine(workers, threads, executor, device), progress)
    if "results" not in outcome.skipped:
        done = "" if "results" in outcome.did else " (done before)"
        out.print(f"Results: {folder.path / 'summary.json'}{done}", highlight=False, soft_wrap=True)
    end_with(outcome)


@app.command()
def report(run_folder: Run) -> None:
    """Write report.html from the results of a run folder.

    One file that opens offline; nothing is computed anew from images.
    """
    from taskct.cli.run_folder import report_run

    report_run(run_folder)


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
    from taskct.cli.run_folder import note_without_effect
    from taskct.cli.settings import given_settings
    from taskct.machine import resolve_device
    from taskct.report.preview import write_preview
    from taskct.simulation.preview import make_preview

    if config is None and preset is None:
        raise UserError(f"say which study: a settings file, or --preset with one of {', '.join(preset_names())}")
    settings = given_settings(config, preset, overrides, seed)
    if not page.parent.is_dir():
        raise UserError(f"{page.parent} is no folder: choose another --out for the page")
    shown = make_preview(settings, n_trials=n_trials, device=resolve_device(device))
    note_without_effect(settings)
    written = write_preview(page, shown)
    out.print(f"Preview: {written}", highlight=False, soft_wrap=True)
