"""How the command line talks: results, progress, and what went wrong as one line."""

# ruff: noqa: D102 - what overrides a method does what the method says

import errno
import json
import math
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NoReturn, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TaskProgressColumn, TextColumn
from rich.table import Column, Table
from rich.text import Text

from taskct.cli.app import USAGE_ERROR
from taskct.cli.stopping import Stopped
from taskct.errors import UserError, memory_wanted
from taskct.literal import shown
from taskct.progress import Progress as Told
from taskct.training.parallel import is_first

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from taskct.metrics.comparisons import Comparison
    from taskct.metrics.intervals import Interval

MISTAKE, INTERRUPTED = 2, 130
WHOLE = (
    "denoise",
    "preview",
    "lower-dose",
    "export",
    "import",
    "read",
)  # commands that write nothing until all is done
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MAY_NOT = "choose a place where you may read and write"
ADVICE = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR), MAY_NOT),
    errno.ENAMETOOLONG: "the file system takes no name so long: choose a shorter path",
    errno.EMFILE: "raise the limit of open files (ulimit -n), or give fewer --workers",
}
"""What to do when the machine says no, by the number of its error."""

SMALLER = {
    **dict.fromkeys(("run", "simulate", "train", "evaluate", "preview"), "lower the numbers in trials"),
    "denoise": "give --tile N, with N of 256 pixels or fewer, or free memory",
    "lower-dose": "free memory, or take a machine that has more",
    "observe": "give fewer images, or smaller ones",
    **dict.fromkeys(("export", "import"), "free memory, or export fewer splits"),
    "mrmc": "give fewer readers or cases, or fewer resamples",
    "read": "give fewer --cases or --arms",
}
"""How a command takes less memory."""

EVERY_S = 50.0
"""Where there is no terminal, what runs is told so often: at least once a minute, whatever else the machine does."""

MAX_RUNNING = 4
"""Stages that one line tells of."""


class Output(Console):
    """A console that writes control codes to terminals alone, also where FORCE_COLOR is set."""

    @property
    def is_terminal(self) -> bool:
        """Whether it writes to a terminal."""
        try:
            return bool(self.file.isatty())
        except (AttributeError, ValueError):  # no file, or one that is closed
            return False


out = Output()
err = Output(stderr=True)


WIDE = 170  # columns of a table that goes to a file or a pipe


def print_line(line: str) -> None:
    """Print a line of the result as it is."""
    out.print(literal(line), soft_wrap=True)


class PlainTable(Table):
    """A table whose cells are shown as they are: no name in them is taken for markup, an emoji or a control code."""

    def __init__(self, *headings: str, show_header: bool = True) -> None:
        super().__init__(box=None, header_style="bold", pad_edge=False, show_header=show_header)
        for heading in headings:
            self.add_column(literal(heading))

    def add_row(self, *cells: str) -> None:  # type: ignore[override]  # cells of text alone
        super().add_row(*map(literal, cells))


def literal(text: str) -> Text:
    """A text that the console shows as it is; given as a `str`, `:smile:` would be an emoji even without markup."""
    return Text(shown(text))


def plain_table(*headings: str, numbers: Sequence[str] = ()) -> PlainTable:
    """A table without lines; the columns of numbers come last, and its first column is not folded."""
    table = PlainTable(*headings)
    for heading in numbers:
        table.add_column(literal(heading), justify="right")
    table.columns[0].no_wrap = True
    return table


def print_table(table: Table, title: str = "") -> None:
    """Print a table, below its title, as wide as the terminal, or without folding where there is none."""
    if title:
        print_line(title)
    (out if out.is_terminal else Output(width=WIDE)).print(table)


def print_json(content: object) -> None:
    """Print JSON on standard output; what is not finite becomes null."""
    from taskct.files import json_values  # here, since it loads NumPy

    sys.stdout.write(json.dumps(json_values(content), indent=1) + "\n")


def interval_text(interval: "Interval", digits: int = 3, *, sign: bool = False) -> str:
    """A value and its bounds, such as `0.851 [0.813, 0.883]`; the value alone where it has none."""
    shape = f"{'+' if sign else ''}.{digits}f"
    if math.isnan(interval.ci_low) or math.isnan(interval.ci_high):
        return f"{interval.value:{shape}}"
    return f"{interval.value:{shape}} [{interval.ci_low:{shape}}, {interval.ci_high:{shape}}]"


def margin_text(test: "Comparison", first: str, second: str) -> str:
    """What a test with a margin found of the first against the second, in one line."""
    claim = "not inferior to" if test.aim == "non-inferiority" else "equivalent to"
    found = "shown" if test.shown else "not shown"
    return (
        f"{first} {claim} {second} within {test.margin:g}: {found}, p = {test.p_value:.2g} "
        f"({test.aim}, one-sided alpha {test.alpha:g})"
    )


def number_text(value: float | None) -> str:
    """Three significant digits; a dash for nothing."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.3g}"


def explain(error: BaseException, command: str | None) -> None:
    """End a command with one line where a user or the machine is at fault; for all else there is none."""
    if isinstance(error, KeyboardInterrupt):
        how, status = (error.name, error.status) if isinstance(error, Stopped) else ("SIGINT", INTERRUPTED)
        how = "interrupted" if how == "SIGINT" else f"ended by {how}"
        kept = "nothing was written" if command in WHOLE else "finished stages stay"
        fail(f"{how}: {kept}; the same command goes on from there", status=status)
    if isinstance(error, USAGE_ERROR):
        _misused(error)
    if isinstance(error, UserError):
        fail(str(error))
    if (wanted := memory_wanted(error)) is not None:
        fail(f"out of memory{wanted}: {SMALLER.get(command or '', 'free memory, or give less at a time')}")
    if disk_is_full(error):  # it shows in many ways
        fail("the disk is full, or a quota is: make room and give the same command; finished stages stay")
    if isinstance(error, OSError) and error.filename is not None and error.errno != errno.EPIPE:
        advice = ADVICE.get(error.errno or 0, "mend that and give the same command; finished stages stay")
        fail(f"{error.filename}: {error.strerror}; {advice}")


def _misused(error: Any) -> None:  # noqa: ANN401 - a UsageError
    """End the command with a line that says what it does not take, unless its help is to be shown."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return
    context = error.ctx
    message = str(error.format_message()).replace("Value error, ", "").rstrip(".?").replace("'. Did", "': did")
    path = "taskct" if context is None else str(context.command_path)
    where = path.partition(" ")[2]
    fail(f"{where + ': ' if where else ''}{message[0].lower()}{message[1:]}; `{path} --help` lists what it takes")


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


def _say(line: str) -> None:
    """One line on standard error."""
    err.print(literal(" ".join(line.split())), soft_wrap=True)


def fail(*messages: str, status: int = MISTAKE) -> NoReturn:
    """End the command with a line on standard error for each thing that went wrong."""
    for message in messages:
        _say(f"taskct: {message}")
    raise typer.Exit(status)


class TimeColumn(ProgressColumn):
    """How long a stage will still take; once it is done, how long it took."""

    def render(self, task: Task) -> Text:
        seconds = task.finished_time if task.finished else task.time_remaining
        if seconds is None:
            return Text("-")
        return Text(f"in {clock_text(seconds)}" if task.finished else f"{clock_text(seconds)} left")


class ProgressMode(StrEnum):
    """How progress is shown."""

    PLAIN = "plain"
    BAR = "bar"
    NONE = "none"


class StageProgress:
    """Shows how far several stages are at once; this one shows nothing."""

    def open(self, title: str) -> Told:
        """Begin a stage; call the result as (done, in all, detail)."""
        return lambda done, total, detail: None

    def close(self, title: str, *, finished: bool = True) -> None:
        """End a stage, finished or not."""


class Bars(StageProgress):
    """A bar for every stage, several at once."""

    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self._begun: dict[str, TaskID] = {}

    def open(self, title: str) -> Told:
        bars = self.bars
        ended = [task for task in bars.tasks if task.finished and task.visible]
        # What does not fit on the screen is not drawn at all: let the bars that ended first make room.
        for old in ended[: max(0, sum(task.visible for task in bars.tasks) + 2 - bars.console.height)]:
            bars.update(old.id, visible=False)
        task = bars.add_task(shown(title), total=None, detail="")
        self._begun[title] = task
        return lambda done, total, detail: bars.update(task, completed=done, total=total, detail=shown(detail))

    def close(self, title: str, *, finished: bool = True) -> None:
        task = self._begun.pop(title)
        if finished:
            known = next(one for one in self.bars.tasks if one.id == task)
            total = known.total or 1
            self.bars.update(task, completed=total, total=total)
        else:
            self.bars.update(task, detail="failed")
            self.bars.stop_task(task)


@dataclass
class _Running:
    begun: float
    done: int = 0
    total: int = 0
    detail: str = ""

    def text(self, title: str, now: float) -> str:
        so_far = now - self.begun
        parts = [f"{clock_text(so_far)} so far"]
        if 0 < self.done <= self.total:
            parts.append(f"{self.done / self.total:.0%} ({self.done} of {self.total})")
            if self.done < self.total:
                parts.append(f"about {clock_text(so_far * (self.total / self.done - 1))} left")
        return f"{title}: {', '.join([*parts, *([self.detail] if self.detail else [])])}"


class Lines(StageProgress):
    """For logs: a line for every stage that ends, and one of those that run at least once a minute."""

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def open(self, title: str) -> Told:
        running = _Running(time.monotonic())
        with self._lock:
            self._running[title] = running

        def tell(done: int, total: int, detail: str) -> None:
            running.done, running.total, running.detail = done, total, detail

        return tell

    def close(self, title: str, *, finished: bool = True) -> None:
        with self._lock:
            running = self._running.pop(title)
        if finished:
            _say(f"{title}: {time.monotonic() - running.begun:.1f} s")

    def _tell(self) -> None:
        while not self._ended.wait(EVERY_S):
            now = time.monotonic()
            with self._lock:
                texts = [running.text(title, now) for title, running in self._running.items()]
            if texts:
                more = f"; and {len(texts) - MAX_RUNNING} more" if len(texts) > MAX_RUNNING else ""
                _say("; ".join(texts[:MAX_RUNNING]) + more)


def clock_text(seconds: float) -> str:
    """A time as a clock shows it.

    >>> clock_text(5), clock_text(3725)
    ('0:05', '1:02:05')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


@contextmanager
def show_progress(mode: ProgressMode | None = None) -> Iterator[StageProgress]:
    """Show the progress of what is done within: by bars in a terminal and lines elsewhere, unless `mode` is given.

    Bars need a terminal: elsewhere, as in a log, there are lines even if bars are asked for, and a note.
    """
    drawable = err.is_terminal and not err.is_dumb_terminal
    if mode == ProgressMode.BAR and not drawable:
        note("--progress bar needs a terminal, and standard error is none: lines instead")
    if mode == ProgressMode.NONE or not is_first():
        yield StageProgress()
        return
    if mode == ProgressMode.PLAIN or not drawable:
        with Lines() as lines:
            yield lines
        return
    columns = (
        TextColumn("{task.description}", markup=False, table_column=Column(overflow="ellipsis", no_wrap=True)),
        BarColumn(bar_width=30 if err.width >= 100 else 6),
        TaskProgressColumn(table_column=Column(min_width=4)),
        TimeColumn(table_column=Column(min_width=10)),
        TextColumn("{task.fields[detail]}", style="dim", markup=False, table_column=Column(no_wrap=True, min_width=14)),
    )
    with Progress(*columns, console=err, refresh_per_second=4) as bars:
        yield Bars(bars)


def note(text: str) -> None:
    """Tell what a user should know, in one line on standard error."""
    _say(f"note: {text}")


Curves = Mapping[str, "tuple[NDArray[np.float64], NDArray[np.float64]]"]
"""Lines by label: x and y of each."""


def print_roc(curves: Curves) -> None:
    """Draw ROC curves, false-positive and true-positive fractions by label, in text with the labels below."""
    figure = _text_figure("FPF", "TPF")
    figure.set_x_limits(0.0, 1.0)
    figure.set_y_limits(0.0, 1.0)
    figure.plot([0.0, 1.0], [0.0, 1.0])
    _print_drawn(figure, curves, "AUC of the curves:")


def print_lines(lines: Curves, x_label: str, y_label: str) -> None:
    """Draw lines in text with the labels below."""
    figure = _text_figure(x_label, y_label)
    xs, ys = ([float(v) for line in lines.values() for v in line[axis]] for axis in (0, 1))
    figure.set_x_limits(min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1.0)
    inside = min(ys) >= 0.0 and max(ys) <= 1.0  # a fraction
    figure.set_y_limits(0.0 if inside else min(ys), 1.0 if inside else max(ys) + 1e-9)
    _print_drawn(figure, lines, f"{y_label} against {x_label}:")


def _text_figure(x_label: str, y_label: str) -> Any:  # noqa: ANN401 - plotille has no types
    import plotille  # here: only this needs it, and NumPy with it

    figure = plotille.Figure()
    figure.color_mode = "names"
    figure.with_colors = out.is_terminal
    figure.width, figure.height = 40, 20
    figure.x_label, figure.y_label = x_label, y_label
    figure.register_label_formatter(float, lambda value, chars, delta, left=False: f"{value:.2f}".rjust(chars))
    return figure


def _print_drawn(figure: Any, curves: Curves, heading: str) -> None:  # noqa: ANN401 - plotille has no types
    colors = ("green", "cyan", "magenta", "yellow", "blue", "red")
    legend = Text()
    for index, (label, (x, y)) in enumerate(curves.items()):
        color = colors[index % len(colors)]
        figure.plot(x.tolist(), y.tolist(), lc=color, label=label)
        legend.append(f"  {shown(label)}", style=color)
    # Drawn lines must not be folded, and their colours must not count as characters.
    out.print(Text.from_ansi(str(figure.show(legend=False))), highlight=False, soft_wrap=True)
    out.print(Text(heading).append_text(legend), highlight=False, soft_wrap=True)
