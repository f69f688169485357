"""Commands on a study and its run folder: run, simulate, train, evaluate, report, preview, config."""

import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from taskct.cli.app import Config, Device, Out, Preset, Run, Seed, SetOption, Workers, app
from taskct.config import (
    Settings,
    dotted_settings,
    make_settings,
    parse_overrides,
    preset_names,
    range_of,
    read_preset,
    to_yaml,
    unit_of,
    without_effect,
)
from taskct.errors import UserError
from taskct.report import write_report
from taskct.report.preview import write_preview
from taskct.study.checks import check_network
from taskct.study.pipeline import evaluate_stage, simulate_stage, train_stage
from taskct.study.preview import make_preview
from taskct.study.stages import RunFolder, resolve_device
from taskct.terminal import note, out, print_table, show_progress
from taskct.yaml_files import read_yaml


def _settings(config: Path | None, preset: str | None, overrides: list[str] | None, seed: int | None) -> Settings:
    if config is not None and preset is not None:
        raise UserError("give either a settings file or --preset, not both")
    base = read_yaml(config) if config is not None else read_preset(preset) if preset is not None else {}
    return make_settings(base, parse_overrides(overrides or []), {} if seed is None else {"seed": seed})


def _note_without_effect(settings: Settings) -> None:
    for line in without_effect(settings):
        note(line)


def _open_study(
    path: Path, config: Path | None, preset: str | None, overrides: list[str] | None, seed: int | None, device: str
) -> RunFolder:
    if config is None and preset is None:
        raise UserError(f"say which study: a settings file, or --preset with one of {', '.join(preset_names())}")
    settings = _settings(config, preset, overrides, seed)
    where = resolve_device(device)
    reach, margin = check_network(settings), settings.trials.margin_pixels
    folder = RunFolder(path, settings, device=where)
    if reach > margin:
        known = f"the network reaches {reach} pixels or more and trials.margin_pixels is {margin}"
        note(f"{known}: padding touches the scored region")
    return folder


def _workers(asked: int | None, folder: RunFolder) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return asked or (1 if folder.device.type == "cuda" else cores)


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
) -> None:
    """Do everything: simulate, train, evaluate, report.

    Give a settings file or a preset, as in: taskct run --preset demo --out runs/demo

    A run that was stopped goes on when the same command is given again; what is done is not repeated.
    """
    folder = _open_study(out_folder, config, preset, overrides, seed, device)
    with show_progress() as progress:
        simulate_stage(folder, progress.open, workers=_workers(workers, folder))
        _note_without_effect(folder.settings)
        train_stage(folder, progress.open)
        evaluate_stage(folder, progress.open)
    _report(folder.path)


@app.command()
def simulate(
    out_folder: Out,
    config: Config = None,
    preset: Preset = None,
    overrides: SetOption = None,
    seed: Seed = None,
    device: Device = "auto",
    workers: Workers = None,
) -> None:
    """Begin a run folder with the trials of a study.

    Trials are pairs of low-dose and reference images with or without a signal, in four splits that share no
    background. A stopped simulation goes on with the chunks that are missing. Next: taskct train RUN
    """
    folder = _open_study(out_folder, config, preset, overrides, seed, device)
    with show_progress() as progress:
        done = simulate_stage(folder, progress.open, workers=_workers(workers, folder))
        _note_without_effect(folder.settings)
    out.print(f"Trials: {folder.trials}{'' if done else ' (done before)'}", highlight=False, soft_wrap=True)


@app.command()
def train(run_folder: Run, device: Device = "auto") -> None:
    """Train the denoisers of a run folder.

    Pretrains one by mean squared error, then fine-tunes it with its observer for every training.lambdas. Next:
    taskct evaluate RUN
    """
    folder = RunFolder(run_folder, None, device=resolve_device(device))
    with show_progress() as progress:
        train_stage(folder, progress.open)
    out.print(f"Models: {folder.path / 'models'}", highlight=False, soft_wrap=True)


@app.command()
def evaluate(run_folder: Run, device: Device = "auto") -> None:
    """Measure every denoiser of a run folder on the test trials.

    Writes scores.csv, quality.csv and summary.json: observers' AUC and image quality with intervals. Next: taskct
    report RUN
    """
    folder = RunFolder(run_folder, None, device=resolve_device(device))
    with show_progress() as progress:
        done = evaluate_stage(folder, progress.open)
    out.print(
        f"Results: {folder.path / 'summary.json'}{'' if done else ' (done before)'}",
        highlight=False,
        soft_wrap=True,
    )


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
    settings = _settings(config, preset, overrides, seed)
    if not page.parent.is_dir():
        raise UserError(f"{page.parent} is no folder: choose another --out for the page")
    shown = make_preview(settings, n_trials=n_trials, device=resolve_device(device))
    _note_without_effect(settings)
    written = write_preview(page, **{field.name: getattr(shown, field.name) for field in fields(shown)})
    out.print(f"Preview: {written}", highlight=False, soft_wrap=True)


@app.command()
def config(
    source: Config = None,
    preset: Preset = None,
    overrides: SetOption = None,
    as_yaml: Annotated[bool, typer.Option("--yaml", help="Print a settings file instead of the table.")] = False,
) -> None:
    """Print every setting with its value, unit, meaning and range.

    With a settings file, a preset or --set: the values they give. With --yaml: a file to start a study from.
    """
    settings = _settings(source, preset, overrides, None)
    if as_yaml:
        sys.stdout.write(to_yaml(settings))
        return
    table = Table("setting", "value", "meaning; allowed values", box=None, header_style="bold", pad_edge=False)
    table.columns[0].no_wrap = True
    table.columns[1].overflow = table.columns[2].overflow = "fold"
    values = settings.model_dump(mode="json")
    for name, field in dotted_settings():
        value: Any = values
        for part in name.split("."):
            value = value[part]
        text = "null" if value is None else f"{value} {unit_of(field)}".rstrip()
        meaning = "; ".join(part for part in (field.description, range_of(field)) if part)
        table.add_row(name, escape(text), escape(meaning))
    print_table(table)
