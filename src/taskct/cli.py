"""The command line: parse, call, print."""

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
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
    read_yaml,
    to_yaml,
    unit_of,
)
from taskct.errors import UserError
from taskct.report import write_report
from taskct.study.denoise import denoise_path
from taskct.study.pipeline import evaluate_stage, simulate_stage, train_stage
from taskct.study.stages import RunFolder, resolve_device

INTERRUPTED = 130

app = typer.Typer(
    name="taskct",
    help="Train low-dose CT denoisers so that what must be found survives, and measure whether it did.",
    epilog="First try: taskct run --preset demo --out runs/demo; then open runs/demo/report.html.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
out = Console()
err = Console(stderr=True)

Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.", metavar="auto|cpu|cuda")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change one setting, as in --set scanner.dose_fraction=0.5; repeatable.",
    ),
]
Seed = Annotated[
    int | None, typer.Option("--seed", min=0, help="Seed of the simulation (the setting `seed`).")
]
Preset = Annotated[
    str | None, typer.Option("--preset", help="Settings that come with taskct: demo or smoke.")
]
Config = Annotated[
    Path | None, typer.Argument(metavar="[CONFIG]", help="A YAML file of settings.", show_default=False)
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]
Out = Annotated[Path, typer.Option("--out", metavar="RUN", help="The run folder: made, or gone on with.")]


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


class StageProgress:
    """Progress bars: one line a stage, with its rate and the time left."""

    def __init__(self, bars: Progress) -> None:
        self.bars = bars

    def open(self, title: str) -> Callable[[int, int, str], None]:
        """A line for a stage; call the result as (done, in all, detail)."""
        task = self.bars.add_task(title, total=None, detail="")

        def update(done: int, total: int, detail: str) -> None:
            self.bars.update(task, completed=done, total=total, detail=detail)

        return update


@contextmanager
def _progress() -> Iterator[StageProgress]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", style="dim"),
    )
    with Progress(*columns, console=err, refresh_per_second=4) as bars:
        yield StageProgress(bars)


def _settings(
    config: Path | None, preset: str | None, overrides: list[str] | None, seed: int | None
) -> Settings:
    if config is not None and preset is not None:
        raise UserError("give either a settings file or --preset, not both")
    base = read_yaml(config) if config is not None else read_preset(preset) if preset is not None else {}
    return make_settings(base, parse_overrides(overrides or []), {} if seed is None else {"seed": seed})


def _need_settings(config: Path | None, preset: str | None) -> None:
    if config is None and preset is None:
        raise UserError(
            f"say which study: a settings file, or --preset with one of {', '.join(preset_names())}"
        )


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
) -> None:
    """Do everything: simulate, train, evaluate, report. A killed run goes on where it stopped."""
    _need_settings(config, preset)
    folder = RunFolder(out_folder, _settings(config, preset, overrides, seed), device=resolve_device(device))
    with _progress() as progress:
        simulate_stage(folder, progress.open)
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
) -> None:
    """Simulate the trials of a study into a run folder."""
    _need_settings(config, preset)
    folder = RunFolder(out_folder, _settings(config, preset, overrides, seed), device=resolve_device(device))
    with _progress() as progress:
        done = simulate_stage(folder, progress.open)
    out.print(f"Trials: {folder.trials}{'' if done else ' (done before)'}", highlight=False, soft_wrap=True)


@app.command()
def train(run_folder: Run, device: Device = "auto") -> None:
    """Pretrain the denoiser of a run folder and fine-tune it for every lambda."""
    folder = RunFolder(run_folder, None, device=resolve_device(device))
    with _progress() as progress:
        train_stage(folder, progress.open)
    out.print(f"Models: {folder.path / 'models'}", highlight=False, soft_wrap=True)


@app.command()
def evaluate(run_folder: Run, device: Device = "auto") -> None:
    """Measure observers and image quality of every arm on the test trials."""
    folder = RunFolder(run_folder, None, device=resolve_device(device))
    with _progress() as progress:
        done = evaluate_stage(folder, progress.open)
    out.print(
        f"Results: {folder.path / 'summary.json'}{'' if done else ' (done before)'}",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def report(run_folder: Run) -> None:
    """Write report.html from the result files of a run folder."""
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
    device: Device = "auto",
) -> None:
    """Denoise a .npy image or stack in HU, a DICOM slice, or a CT series."""
    with _progress() as progress:
        written = denoise_path(
            model, source, target, device=resolve_device(device), progress=progress.open("denoise")
        )
    out.print(f"Denoised: {written}", highlight=False, soft_wrap=True)


@app.command()
def config(
    source: Config = None,
    preset: Preset = None,
    overrides: SetOption = None,
    as_yaml: Annotated[
        bool, typer.Option("--yaml", help="Print a settings file instead of the table.")
    ] = False,
) -> None:
    """Print every setting with its value, unit, range and meaning."""
    settings = _settings(source, preset, overrides, None)
    if as_yaml:
        sys.stdout.write(to_yaml(settings))
        return
    table = Table("setting", "value", "unit", "allowed", "meaning", show_lines=False, header_style="bold")
    values = settings.model_dump(mode="json")
    for name, field in dotted_settings():
        value: object = values
        for part in name.split("."):
            value = value[part]  # type: ignore[index]
        table.add_row(
            name,
            "null" if value is None else str(value),
            unit_of(field),
            range_of(field),
            field.description or "",
        )
    out.print(table, markup=False) if False else out.print(table)


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error and status 2."""
    try:
        app(standalone_mode=True)
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            _fail("the disk is full: make room and run the same command again; finished stages stay")
        if isinstance(error, PermissionError):
            _fail(f"no permission for {error.filename}: choose a folder that you may write to")
        raise
    except KeyboardInterrupt:
        err.print("Interrupted: finished stages stay; run the same command again to go on.", highlight=False)
        sys.exit(INTERRUPTED)


def _fail(message: str) -> None:
    err.print(f"taskct: {' '.join(message.split())}", highlight=False, markup=False, soft_wrap=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
