"""What a terminal and a log are shown of what runs: no control code in a log, and a line at least once a minute."""

import io
import re
import threading
from collections.abc import Iterator

import pytest
from rich.table import Table

import taskct.cli.terminal
from command_line import Call, call, study
from taskct.cli.terminal import (
    EVERY_S,
    Bars,
    Lines,
    Output,
    ProgressMode,
    StageProgress,
    clock_text,
    print_table,
    show_progress,
)

__all__ = ["call", "study"]  # fixtures


class Log(io.StringIO):
    """A stream that tells when so many lines stand in it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Condition()

    def write(self, text: str) -> int:
        with self.written:
            n = super().write(text)
            self.written.notify_all()
        return n

    def wait_for(self, n_lines: int) -> list[str]:
        """The lines, once there are so many; a minute is more than enough."""
        with self.written:
            assert self.written.wait_for(lambda: self.getvalue().count("\n") >= n_lines, timeout=60)
            return self.getvalue().splitlines()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """Standard error as a log."""
    stream = Log()
    monkeypatch.setattr(taskct.cli.terminal, "err", Output(file=stream))
    yield stream
    assert "\x1b" not in stream.getvalue()


def test_a_log_hears_of_what_runs_at_least_once_a_minute(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    assert EVERY_S < 60
    monkeypatch.setattr(taskct.cli.terminal, "EVERY_S", 0.01)
    with show_progress() as show:
        assert isinstance(show, Lines)
        show.open("evaluate mse")  # one that tells nothing of itself, as while it fits observers
        tell = show.open("pretrain seed=0")
        tell(50, 200, "RMSE 7.20 HU")
        before = len(log.wait_for(2))
        tell(200, 200, "RMSE 7.10 HU")
        lines = log.wait_for(before + 3)
    assert lines[0].startswith("evaluate mse: 0:00 so far")
    told = "; ".join(lines)
    assert re.search(r"pretrain seed=0: 0:00 so far, 25% \(50 of 200\), about 0:00 left, RMSE 7.20 HU", told)
    assert "100% (200 of 200), RMSE 7.10 HU" in lines[-1]
    n = len(log.getvalue())
    threading.Event().wait(0.1)
    assert len(log.getvalue()) == n  # nothing is told once all is done


def test_a_line_for_every_stage_that_ends(log: Log) -> None:
    with show_progress(ProgressMode.PLAIN) as show:
        for name in ("a", "b"):
            show.open(name)
        show.close("a")
        show.close("b", finished=False)
    assert re.fullmatch(r"a: \d+\.\d s\n", log.getvalue())


def test_many_stages_make_one_line(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taskct.cli.terminal, "EVERY_S", 0.01)
    with show_progress() as show:
        for number in range(9):
            show.open(f"finetune {number}")
        lines = log.wait_for(20)
    full = [line for line in lines if "more" in line]
    assert full
    assert full[-1].count("so far") == 4
    assert full[-1].endswith("; and 5 more")


def test_nothing_is_shown_if_asked(log: Log) -> None:
    with show_progress(ProgressMode.NONE) as show:
        assert type(show) is StageProgress
        show.open("a")(1, 2, "half")
        show.close("a")
    assert log.getvalue() == ""


def test_bars_need_a_terminal(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    with show_progress(ProgressMode.BAR) as show:
        assert isinstance(show, Lines)
    assert log.getvalue().startswith("note: --progress bar needs a terminal")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(taskct.cli.terminal, "err", Output(file=Terminal(), width=80))
    with show_progress() as bars:
        assert isinstance(bars, Bars)
        bars.open("a")(1, 2, "half")
        bars.close("a")
    with show_progress(ProgressMode.PLAIN) as lines:
        assert isinstance(lines, Lines)
    monkeypatch.setenv("TERM", "dumb")  # it cannot move its cursor
    with show_progress() as show:
        assert isinstance(show, Lines)


def test_a_log_has_no_control_codes_whatever_the_environment_forces(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on build servers, which set FORCE_COLOR for all."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = io.StringIO()
    monkeypatch.setattr(taskct.cli.terminal, "out", Output(file=stream))
    monkeypatch.setattr("sys.stdout", stream)
    table = Table("a", "b", header_style="bold red")
    table.add_row("[bold]1", "2")
    print_table(table, "title")
    taskct.cli.terminal.out.print("[red]x")
    assert "title" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_a_clock() -> None:
    assert [clock_text(s) for s in (0, 59.4, 60, 3599.6, 7325)] == ["0:00", "0:59", "1:00", "1:00:00", "2:02:05"]


def test_every_command_that_lasts_takes_the_option(call: Call) -> None:
    for command in ("run", "simulate", "train", "evaluate", "denoise", "lower-dose", "observe"):
        assert re.search(r"--progress [\[<]plain\|bar\|none[\]>]", call(command, "--help")[1]), command


def test_a_command_in_silence(call: Call, study: object, tmp_path: object) -> None:
    args = ("simulate", study, "--out", f"{tmp_path}/run", "--device", "cpu", "--progress", "none")
    code, _, err = call(*args)
    assert (code, err) == (0, "")
