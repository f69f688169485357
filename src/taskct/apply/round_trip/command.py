"""A denoiser that is a command of the user's: the round trip of a study's images through it, in one go.

The command runs with the rights of whoever starts taskct, without a shell. It is never read from a file.
"""

import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from taskct.apply.round_trip.exporting import ExportOptions, export_study
from taskct.apply.round_trip.importing import Imported, ImportOptions, import_study
from taskct.apply.round_trip.low_dose import DEFAULT_SPLITS
from taskct.errors import UserError
from taskct.names import check_import_name
from taskct.progress import Progress
from taskct.study.imports import import_card
from taskct.study.run_folder import RunFolder

IN, OUT = "{in}", "{out}"
"""What a command has in the place of the two folders."""

LONGEST_LINE = 200
"""Characters that are told of what a command said last."""


@dataclass(frozen=True)
class DenoiserCommand:
    """A command that denoises a folder of images into another.

    Examples
    --------
    >>> DenoiserCommand.parse("vendor-x=denoise --strong {in} {out}").words
    ('denoise', '--strong', '{in}', '{out}')
    """

    name: str
    """Of the arm, `import=NAME`."""
    words: tuple[str, ...]
    """The program and its arguments, `{in}` and `{out}` among them."""

    @classmethod
    def parse(cls, text: str) -> "DenoiserCommand":
        """From `NAME=PROGRAM ARGUMENTS`, quoted as in a shell.

        Raises
        ------
        UserError
            If the name is none, the quotes are not closed, or `{in}` or `{out}` is missing.
        """
        name, _, line = text.partition("=")
        try:
            check_import_name(name)
        except ValueError as error:
            raise UserError(f"--command is {text[:80]!r}: give NAME='PROGRAM {IN} {OUT}'; {error}") from None
        try:
            words = tuple(shlex.split(line))
        except ValueError as error:
            raise UserError(f"--command {name}: {error}; quote its words as in a shell") from error
        missing = [what for what in (IN, OUT) if not any(what in word for word in words)]
        if missing:
            raise UserError(
                f"--command {name} lacks {missing[0]}: {IN} is the folder of low-dose images, {OUT} that for the others"
            )
        return cls(name, words)

    @property
    def line(self) -> str:
        """As one would type it."""
        return shlex.join(self.words)

    def filled(self, folders: Mapping[str, Path]) -> list[str]:
        """The words with the folders in place."""
        words = list(self.words)
        for what, folder in folders.items():
            words = [word.replace(what, str(folder)) for word in words]
        return words


def check_commands(commands: Sequence[DenoiserCommand]) -> None:
    """Raise a `UserError` if two commands have one name."""
    names = [one.name for one in commands]
    if doubled := [name for name in names if names.count(name) > 1]:
        raise UserError(f"--command names {doubled[0]} twice: give each a name of its own")


def through_command(
    run: RunFolder, command: DenoiserCommand, *, image_format: str = "npy", progress: Progress | None = None
) -> Imported | None:
    """Export a study, run a command on its images, and import what it made; None where that is done already.

    What the command says goes to `RUN/logs/command_NAME.txt`. Training images are shown to it where a task path starts
    from it.

    Raises
    ------
    UserError
        If the images of this name are another command's, it cannot be started, fails, or its images are refused.
    """
    if run.has(run.graph[f"import={command.name}"]):
        known = import_card(run, command.name).get("command")
        if known != command.line:
            raise UserError(
                f"{run.path} has images of {command.name} already, of another command ({known or 'none'}): give this "
                "one another name"
            )
        return None
    splits = (*DEFAULT_SPLITS, "train") if run.settings.imported.path_of == command.name else DEFAULT_SPLITS
    log = run.path / "logs" / f"command_{command.name}.txt"
    log.parent.mkdir(exist_ok=True)
    with ExitStack() as closing:
        place = closing.enter_context(tempfile.TemporaryDirectory(prefix="taskct-command-"))
        folders = {IN: Path(place) / "in", OUT: Path(place) / "out"}
        key = export_study(run, folders[IN], ExportOptions(splits=splits, format=image_format), progress=progress)
        closing.callback(key.path(run.path).unlink, missing_ok=True)  # its images go with the folder
        folders[OUT].mkdir()
        with log.open("wb") as said:
            try:
                done = subprocess.run(
                    command.filled(folders),
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    check=False,
                )
            except OSError as error:
                raise UserError(f"--command {command.name} cannot be started: {error.strerror or error}") from error
        if done.returncode != 0:
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            last = lines[-1][:LONGEST_LINE] if lines else "it said nothing"
            raise UserError(
                f"--command {command.name} ended with status {done.returncode} ({last}); {log} has all that it said"
            )
        options = ImportOptions(command=command.line, replace=True)
        try:
            return import_study(run, folders[OUT], command.name, options, progress=progress)
        except UserError as error:  # the folder is gone when it is read
            raise UserError(str(error).replace(str(folders[OUT]), f"images of --command {command.name}")) from error
