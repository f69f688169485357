"""The command line: parse, call, print."""

import io
import os
import sys
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from taskct import __version__
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
from taskct.scanner.presets import SCANNERS
from taskct.study.checks import check_network
from taskct.study.denoise import denoise_path
from taskct.study.lower_dose import lower_dose
from taskct.study.pipeline import evaluate_stage, simulate_stage, train_stage
from taskct.study.preview import make_preview
from taskct.study.stages import RunFolder, resolve_device
from taskct.terminal import Commands, note, out, show_progress, show_warning
from taskct.yaml_files import read_yaml

app = typer.Typer(
    name="taskct",
    cls=Commands,
    help="Train low-dose CT denoisers so that what must be found survives, and measure whether it did.",
    epilog="First try: taskct run --preset demo --out runs/demo; then open runs/demo/report.html.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Device = Annotated[
    str, typer.Option("--device", help="Where to compute; auto takes CUDA if there is any.", metavar="auto|cpu|cuda")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change one setting, as in --set scanner.dose_fraction=0.5; repeatable. `taskct config` lists them.",
    ),
]
Seed = Annotated[
    int | None, typer.Option("--seed", metavar="N", min=0, help="The same as --set seed=N: another draw of the trials.")
]
Preset = Annotated[
    str | None,
    typer.Option("--preset", metavar="NAME", help=f"Settings that come with taskct: {' or '.join(preset_names())}."),
]
Config = Annotated[
    Path | None,
    typer.Argument(
        metavar="[CONFIG]", help="A YAML file of settings; `taskct config --yaml` prints one.", show_default=False
    ),
]
Run = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="A run folder, as `taskct run` or `taskct simulate` makes it.", show_default=False
    ),
]
Out = Annotated[
    Path, typer.Option("--out", metavar="RUN", help="The run folder; made, or gone on with if it is there.")
]


Workers = Annotated[
    int | None,
    typer.Option("--workers", metavar="N", min=1, help="Processes that simulate; all cores by default, 1 on CUDA."),
]


def _version(asked: bool) -> None:
    if asked:
        out.print(f"taskct {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


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
def denoise(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Weights: RUN/models/ARM.safetensors.", show_default=False)
    ],
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="A .npy file in HU, a DICOM slice, or a folder with one CT series.",
            show_default=False,
        ),
    ],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="A .npy file, or a folder for DICOM.", show_default=False)
    ],
    alpha: Annotated[
        float,
        typer.Option(
            "--alpha",
            metavar="A",
            help="Share of MODEL in a blend with the control beside it, lambda=0 of the same seed; 0 < A <= 1.",
        ),
    ] = 1.0,
    device: Device = "auto",
) -> None:
    """Denoise a .npy file in HU, a DICOM slice or a CT series.

    As in: taskct denoise runs/demo/models/lambda=0.9_seed=0.safetensors CT_FOLDER OUT_FOLDER

    With --alpha A the result is (1 - A) times the control's image plus A times that of MODEL.
    """
    where = resolve_device(device)
    with show_progress() as progress:
        opened = progress.open("denoise")
        written = denoise_path(model, source, target, alpha=alpha, device=where, progress=opened)
    out.print(f"Denoised: {written}", highlight=False, soft_wrap=True)


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


@app.command(name="lower-dose")
def lower_dose_command(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="A folder with one CT series, or a DICOM slice.", show_default=False)
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="A folder for the new series.", show_default=False)],
    dose_fraction: Annotated[
        float, typer.Option("--dose-fraction", metavar="D", help="Of the dose of the series, in (0, 1).")
    ],
    noise_hu: Annotated[
        float,
        typer.Option("--noise-hu", metavar="HU", help="Noise of the series in the middle of its middle slice."),
    ],
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help=f"Scanner: {', '.join(SCANNERS)}.")
    ] = "siemens-definition-as",
    kernel: Annotated[
        str, typer.Option("--kernel", metavar="NAME", help="What the series was reconstructed with: soft, sharp, hann…")
    ] = "soft",
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the noise.")] = 0,
    device: Device = "auto",
) -> None:
    """Simulate a lower dose in an existing CT series by inserting the noise that is missing.

    As in: taskct lower-dose CT_FOLDER OUT_FOLDER --dose-fraction 0.25 --noise-hu 12

    The noise has the correlation of the kernel and follows the attenuation of every ray; each slice has its own, also
    where slices overlap. Measure --noise-hu in a uniform organ near the middle, at the dose that the series has.
    """
    where = resolve_device(device)
    with show_progress() as progress:
        written = lower_dose(
            source,
            target,
            dose_fraction=dose_fraction,
            noise_hu=noise_hu,
            model=model,
            kernel=kernel,
            seed=seed,
            device=where,
            progress=progress.open("lower dose"),
        )
    out.print(f"Written: {written}", highlight=False, soft_wrap=True)


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
    (out if out.is_terminal else Console(width=170)).print(table)


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error and status 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without λ shows ? and goes on
    warnings.showwarning = show_warning
    app(prog_name="taskct")


if __name__ == "__main__":
    main()
