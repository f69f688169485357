"""Commands on a study and its run folder: run, simulate, train, evaluate, report, preview.

What computes is imported by the command that needs it, so that `--help` answers at once.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from taskct.cli import options
from taskct.cli.app import app
from taskct.cli.page_target import check_page
from taskct.cli.terminal import ProgressMode, note, print_line, show_progress
from taskct.config import preset_names
from taskct.denoisers.import_path import trust_network
from taskct.errors import UserError

if TYPE_CHECKING:
    from taskct.apply.round_trip import DenoiserCommand
    from taskct.cli.run_folder import Machine
    from taskct.study.run_folder import RunFolder
    from taskct.sweep.schedule import Outcome


@app.command()
def run(
    out_folder: options.Out,
    config: options.Config = None,
    preset: options.Preset = None,
    overrides: options.SetOption = None,
    seed: options.Seed = None,
    trust: options.TrustOption = None,
    device: options.Device = "auto",
    workers: options.Workers = None,
    threads: options.Threads = None,
    executor: options.ExecutorOption = None,
    store: options.StoreOption = None,
    progress: options.ProgressOption = None,
    each: Annotated[
        list[str] | None,
        Option(
            metavar="NAME=A,B,...",
            help="A run for each value of a setting, each in a folder of its own in --out, as in --each "
            "scanner.dose_fraction=0.1,0.25,0.5; repeatable, for every combination.",
        ),
    ] = None,
    command: Annotated[
        list[str] | None,
        Option(
            metavar="NAME=LINE",
            help="A denoiser of yours as an arm: vendor-x='prog {in} {out}', which runs that program; repeatable.",
        ),
    ] = None,
    command_format: Annotated[
        str, Option(metavar="F", help="Images for --command: npy, dicom, nifti, zarr or mha.")
    ] = "npy",
    dry_run: Annotated[
        bool, Option("--dry-run", help="Only print the stages, what is done, time and disk; writes nothing.")
    ] = False,
    summary: Annotated[
        bool, Option("--summary", help="With --dry-run: a line for each kind of stage instead of each stage.")
    ] = False,
) -> None:
    """Do everything: simulate, train, evaluate, report.

    As in: taskct run --preset demo --out runs/demo

    With --each a run for each value, such as each dose, which `taskct curves` draws. A run that was stopped goes on
    when the same command is given again; what is done is not repeated.
    """
    from taskct.apply.round_trip import DenoiserCommand, check_commands
    from taskct.cli.each import do_each, plan_each
    from taskct.cli.run_folder import Asked, Machine, end_with, note_without_effect, open_study, print_plan

    if summary and not dry_run:
        raise UserError("--summary is of a plan: give it with --dry-run")
    machine = Machine(workers, threads, executor, store, device)
    trust_network(*trust or ())
    commands = [DenoiserCommand.parse(text) for text in command or ()]
    check_commands(commands)
    asked = Asked(config, preset, tuple(overrides or ()), seed, device, tuple(one.name for one in commands))
    if each and dry_run:
        plan_each(out_folder, asked, each, machine, summary=summary)
    elif each:
        do_each(out_folder, asked, each, lambda folder: _do_all(folder, machine, commands, command_format, progress))
    elif dry_run:
        folder = open_study(out_folder, asked, read_only=True)
        print_plan(folder, machine, summary=summary)
        note_without_effect(folder.settings)
    else:
        end_with(_do_all(open_study(out_folder, asked), machine, commands, command_format, progress))


def _do_all(
    folder: "RunFolder",
    machine: "Machine",
    commands: "Sequence[DenoiserCommand]",
    command_format: str,
    progress: ProgressMode | None,
) -> "Outcome":
    """Simulate, fetch the images of commands, train, evaluate, report."""
    from taskct.apply.round_trip import through_command
    from taskct.cli.report_files import report_run
    from taskct.cli.run_folder import do_stages, note_without_effect

    do_stages(folder, ["simulate"], machine, progress)
    note_without_effect(folder.settings)
    for one in commands:
        with show_progress(progress) as show:
            made = through_command(folder, one, image_format=command_format, progress=show.open(f"command {one.name}"))
        for line in () if made is None else made.notes:
            note(line)
    outcome = do_stages(folder, ["train", "evaluate"], machine, progress)
    if "results" not in outcome.skipped:
        report_run(folder.path)
    return outcome


@app.command()
def simulate(
    out_folder: options.Out,
    config: options.Config = None,
    preset: options.Preset = None,
    overrides: options.SetOption = None,
    seed: options.Seed = None,
    trust: options.TrustOption = None,
    device: options.Device = "auto",
    workers: options.Workers = None,
    progress: options.ProgressOption = None,
) -> None:
    """Begin a run folder with the trials of a study.

    Trials are pairs of low-dose and reference images with or without a signal, in four splits that share no
    background. A stopped simulation goes on with the chunks that are missing. Next: taskct train RUN
    """
    from taskct.cli.run_folder import Asked, Machine, do_stages, note_without_effect, open_study

    trust_network(*trust or ())
    folder = open_study(out_folder, Asked(config, preset, tuple(overrides or ()), seed, device))
    done = "simulate" in do_stages(folder, ["simulate"], Machine(workers), progress).did
    note_without_effect(folder.settings)
    print_line(f"Trials: {folder.trials}{'' if done else ' (done before)'}")


@app.command()
def train(
    run_folder: options.Run,
    trust: options.TrustOption = None,
    device: options.Device = "auto",
    workers: options.Workers = None,
    threads: options.Threads = None,
    executor: options.ExecutorOption = None,
    store: options.StoreOption = None,
    progress: options.ProgressOption = None,
) -> None:
    """Train the denoisers of a run folder.

    Pretrains one by mean squared error, then fine-tunes it with its observer for every training.lambdas. Next:
    taskct evaluate RUN
    """
    from taskct.cli.run_folder import Machine, do_stages, end_with, open_run
    from taskct.training.parallel import is_first

    trust_network(*trust or ())
    folder = open_run(run_folder, device)
    outcome = do_stages(folder, ["train"], Machine(workers, threads, executor, store, device), progress)
    if is_first():  # of the processes that torchrun started
        print_line(f"Models: {folder.path / 'models'}")
    end_with(outcome)


@app.command()
def evaluate(
    run_folder: options.Run,
    trust: options.TrustOption = None,
    device: options.Device = "auto",
    workers: options.Workers = None,
    threads: options.Threads = None,
    executor: options.ExecutorOption = None,
    store: options.StoreOption = None,
    progress: options.ProgressOption = None,
) -> None:
    """Measure every denoiser of a run folder on the test trials.

    Writes scores.csv, quality.csv and summary.json: observers' AUC and image quality with intervals. Next: taskct
    report RUN
    """
    from taskct.cli.run_folder import Machine, do_stages, end_with, open_run

    trust_network(*trust or ())
    folder = open_run(run_folder, device)
    outcome = do_stages(folder, ["evaluate"], Machine(workers, threads, executor, store, device), progress)
    if "results" not in outcome.skipped:
        done = "" if "results" in outcome.did else " (done before)"
        print_line(f"Results: {folder.path / 'summary.json'}{done}")
    end_with(outcome)


@app.command()
def report(
    run_folder: options.Run,
    figures: Annotated[
        bool,
        Option("--figures", help="Also write RUN/figures/: each figure as SVG, PNG and its data as CSV; some seconds."),
    ] = False,
    latex: Annotated[
        bool, Option("--latex", help="Also write RUN/tables.tex: the tables for LaTeX, booktabs.")
    ] = False,
) -> None:
    """Write report.html from the results of a run folder.

    One file that opens offline; nothing is computed anew from images.
    """
    from taskct.cli.report_files import report_run

    report_run(run_folder, figures=figures, latex=latex)


@app.command()
def preview(
    page: Annotated[Path, Option("--out", metavar="PAGE", help="The page to write.")] = Path("preview.html"),
    config: options.Config = None,
    preset: options.Preset = None,
    overrides: options.SetOption = None,
    seed: options.Seed = None,
    n_trials: Annotated[
        int, Option("--trials", metavar="N", min=1, max=50, help="Trials of each hypothesis to show.")
    ] = 6,
    device: options.Device = "auto",
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
    check_page(page, "--out for the page")
    shown = make_preview(settings, n_trials=n_trials, device=resolve_device(device))
    note_without_effect(settings)
    written = write_preview(page, shown)
    print_line(f"Preview: {written}")
