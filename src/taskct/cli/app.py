"""The command line's root: its version, and its commands, each imported when it is first needed.

`taskct --version` and `taskct --help` import none of them, and so nothing that computes.
"""

import importlib
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from taskct import __version__
from taskct.cli.stopping import flush_output

USAGE_ERROR: Any = typer.BadParameter.__base__
"""What the command line cannot be read as; typer has it from click, or from a copy of click of its own."""

COMMANDS = {
    "run": ("study", "Do everything: simulate, train, evaluate, report."),
    "simulate": ("study", "Begin a run folder with the trials of a study."),
    "train": ("study", "Train the denoisers of a run folder."),
    "evaluate": ("study", "Measure every denoiser of a run folder on the test trials."),
    "report": ("study", "Write report.html from the results of a run folder."),
    "shift": ("shift", "Test the denoisers of finished runs on tasks that they were not trained for."),
    "compare": (
        "compare",
        "Put several runs on one page: trade-offs together, differences, and the settings that differ.",
    ),
    "watch": (
        "watch",
        "Follow a running sweep: stages, losses so far and the time left, in RUN/watch.html and here.",
    ),
    "preview": ("study", "Draw a page of trials with their truth, before anything is simulated or trained at length."),
    "config": ("settings", "Print settings with their value, unit, range and meaning."),
    "denoise": ("images", "Denoise a .npy file in HU, a NIfTI file, a DICOM slice or a CT series."),
    "card": ("card", "Print the card of a model: what it learned on, what it is for, and its test results."),
    "export-model": ("images", "Write a trained denoiser as an ONNX file or a MONAI bundle, its dial an input."),
    "export": ("round_trip", "Write a study's low-dose images for a denoiser elsewhere."),
    "import": ("round_trip", "Take denoised images of a study back, as one more arm."),
    "lower-dose": ("images", "Simulate a lower dose in an existing CT series by inserting the noise that is missing."),
    "observe": ("observe", "Measure how well numerical observers find a signal in your images."),
    "curves": (
        "curves",
        "Draw detectability against dose, and tell the dose at which one reconstruction reaches the AUC of another.",
    ),
    "removed": ("removed", "Ask how much of what a denoiser took away runs along the edges of the image."),
    "human": (
        "human",
        "Give an observer the internal noise that makes it as good as people were, and tell where the two disagree.",
    ),
    "mrmc": ("mrmc", "Analyse a reader study: AUCs averaged over readers, with readers and cases as random effects."),
    "read": ("read", "Make a reading study of denoised images, serve it to readers' browsers, and tell what came out."),
}
"""By name, in the order of `taskct --help`: the module of `taskct.cli` that holds the command, and its line there."""


class LazyCommand(TyperCommand):
    """A command that is known by its name and line until it is called."""

    def __init__(self, name: str, module: str, line: str) -> None:
        super().__init__(name, help=line)
        self.module = module

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:  # noqa: ANN401 - as typer has it
        """Import the command's module, and let the command itself parse its arguments."""
        importlib.import_module(f"taskct.cli.{self.module}")
        known = typer.main.get_group(app).commands
        return known[str(self.name)].make_context(info_name, args, parent, **extra)


class Commands(TyperGroup):
    """The commands; what goes wrong by a user's or the machine's fault is one line on standard error."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - as typer has them
        super().__init__(**settings)
        lazy = {name: LazyCommand(name, module, line) for name, (module, line) in COMMANDS.items()}
        self.commands = {**lazy, **self.commands}  # those that are imported are in place, in the order of --help

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:  # noqa: ANN401 - as typer has it
        """Read the options that stand before the command."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except (KeyboardInterrupt, OSError, USAGE_ERROR) as error:
            if type(error).__name__ != "NoArgsIsHelpError":
                from taskct.cli.terminal import explain  # here, as below

                explain(error, None)
            raise

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as typer has it
        """Run a command."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                flush_output()
        except (KeyboardInterrupt, Exception) as error:
            from taskct.cli.terminal import explain  # here, as what a command imports is not for --version and --help

            explain(error, ctx.invoked_subcommand)
            raise


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


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"taskct {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass
