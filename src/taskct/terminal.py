"""How the command line talks: results, progress, and what went wrong as one line."""

import errno
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
import plotille
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TaskProgressColumn, TextColumn
from rich.table import Column, Table
from rich.text import Text
from typer.core import TyperGroup

from taskct.errors import UserError
from taskct.training.parallel import is_first

MISTAKE, INTERRUPTED = 2, 130
WHOLE = ("denoise", "preview", "lower-dose")  # commands that write nothing until all is done
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MAY_NOT = "choose a place where you may read and write"
ADVICE = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR), MAY_NOT),
    errno.ENAMETOOLONG: "the file system takes no name so long: choose a shorter path",
    errno.EMFILE: "raise the limit of open files (ulimit -n), or give fewer --workers",
}
"""What to do when the machine says no, by the number of its error."""

out = Console()
err = Console(stderr=True)


WIDE = 170  # columns of a table that goes to a file or a pipe


def print_table(table: Table, title: str = "") -> None:
    """Print a table, below its title, as wide as the terminal, or without folding where there is none."""
    if title:
        out.print(title, highlight=False, markup=False, soft_wrap=True)
    (out if out.is_terminal else Console(width=WIDE)).print(table)


class Commands(TyperGroup):
    """The commands; what goes wrong by a user's or the machine's fault is one line on standard error."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as typer has it
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            kept = "nothing was written" if ctx.invoked_subcommand in WHOLE else "finished stages stay"
            fail(f"interrupted: {kept}; the same command goes on from there", status=INTERRUPTED)
        except UserError as error:
            fail(str(error))
        except MemoryError as error:
            fail(f"out of memory ({error}): lower the numbers in trials or training.batch_size")
        except Exception as error:  # a full disk shows in many ways; all else is raised again
            if disk_is_full(error):
                fail("the disk is full, or a quota is: make room and give the same command; finished stages stay")
            if isinstance(error, OSError) and error.filename is not None and error.errno != errno.EPIPE:
                advice = ADVICE.get(error.errno or 0, "mend that and give the same command; finished stages stay")
                fail(f"{error.filename}: {error.strerror}; {advice}")
            raise


def disk_is_full(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, says that a disk is full; safetensors and NumPy do in words only."""
    while error is not None:
        number = error.errno if isinstance(error, OSError) else None
        in_words = re.search(r"\(os error (\d+)\)", str(error))
        if number in FULL or (in_words and int(in_words[1]) in FULL):
            return True
        if isinstance(error, OSError) and re.search(r"\d+ requested and \d+ written", str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def fail(*messages: str, status: int = MISTAKE) -> NoReturn:
    """End the command with a line on standard error for each thing that went wrong."""
    for message in messages:
        err.print(f"taskct: {' '.join(message.split())}", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(status)


class TimeColumn(ProgressColumn):
    """How long a stage will still take; once it is done, how long it took."""

    def render(self, task: Task) -> Text:
        """The time of one stage."""
        seconds = task.finished_time if task.finished else task.time_remaining
        if seconds is None:
            return Text("-")
        minutes, seconds = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        clock = f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
        return Text(f"in {clock}" if task.finished else f"{clock} left")


class StageProgress:
    """A bar for every stage in a terminal, several at once; elsewhere, as in a log, a line for each that ends."""

    def __init__(self, bars: Progress | None, *, quiet: bool = False) -> None:
        self.bars = bars
        self.quiet = quiet
        self._begun: dict[str, tuple[float, TaskID | None]] = {}

    def open(self, title: str) -> Callable[[int, int, str], None]:
        """Begin a stage; call the result as (done, in all, detail)."""
        if self.bars is None:
            self._begun[title] = time.perf_counter(), None
            return lambda done, total, detail: None
        bars = self.bars
        ended = [task for task in bars.tasks if task.finished and task.visible]
        # What does not fit on the screen is not drawn at all: let the bars that ended first make room.
        for old in ended[: max(0, sum(task.visible for task in bars.tasks) + 2 - bars.console.height)]:
            bars.update(old.id, visible=False)
        task = bars.add_task(title, total=None, detail="")
        self._begun[title] = time.perf_counter(), task
        return lambda done, total, detail: bars.update(task, completed=done, total=total, detail=detail)

    def close(self, title: str, *, finished: bool = True) -> None:
        """End a stage, finished or not."""
        begun, task = self._begun.pop(title)
        if self.bars is not None and task is not None:
            if finished:
                known = next(one for one in self.bars.tasks if one.id == task)
                total = known.total or 1
                self.bars.update(task, completed=total, total=total)
            else:
                self.bars.update(task, detail="failed")
                self.bars.stop_task(task)
        elif finished and not self.quiet:
            wall = time.perf_counter() - begun
            err.print(f"{title}: {wall:.1f} s", highlight=False, markup=False, soft_wrap=True)


@contextmanager
def show_progress() -> Iterator[StageProgress]:
    """Show the progress of what is done within; see `StageProgress`."""
    if not err.is_terminal:
        yield StageProgress(None, quiet=not is_first())
        return
    columns = (
        TextColumn("{task.description}", table_column=Column(overflow="ellipsis", no_wrap=True)),
        BarColumn(bar_width=30 if err.width >= 100 else 6),
        TaskProgressColumn(table_column=Column(min_width=4)),
        TimeColumn(table_column=Column(min_width=10)),
        TextColumn("{task.fields[detail]}", style="dim", table_column=Column(no_wrap=True, min_width=14)),
    )
    with Progress(*columns, console=err, refresh_per_second=4) as bars:
        yield StageProgress(bars)


def show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning as one line that a user can act on."""
    note(str(message))


def note(text: str) -> None:
    """Tell what a user should know, in one line on standard error."""
    err.print(f"note: {' '.join(text.split())}", highlight=False, markup=False, soft_wrap=True)


def print_roc(curves: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]) -> None:
    """Draw ROC curves in text, with their labels below.

    Parameters
    ----------
    curves
        False-positive and true-positive fractions, by label.
    """
    figure = plotille.Figure()
    figure.color_mode = "names"
    figure.with_colors = out.is_terminal
    figure.width, figure.height = 40, 20
    figure.set_x_limits(0.0, 1.0)
    figure.set_y_limits(0.0, 1.0)
    figure.x_label, figure.y_label = "FPF", "TPF"
    figure.register_label_formatter(float, lambda value, chars, delta, left=False: f"{value:.2f}".rjust(chars))
    figure.plot([0.0, 1.0], [0.0, 1.0])
    colors = ("green", "cyan", "magenta", "yellow", "blue", "red")
    legend = Text()
    for index, (label, (fpf, tpf)) in enumerate(curves.items()):
        color = colors[index % len(colors)]
        figure.plot(fpf.tolist(), tpf.tolist(), lc=color, label=label)
        legend.append(f"  {label}", style=color)
    # Drawn lines must not be folded, and their colours must not count as characters.
    out.print(Text.from_ansi(str(figure.show(legend=False))), highlight=False, soft_wrap=True)
    out.print(Text("AUC of the curves:").append_text(legend), highlight=False, soft_wrap=True)
