"""Commands that are ended from outside: by signals, by a reader that has seen enough, by streams that are closed."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tiny_study import files_of, tiny_yaml

STAY = "finished stages stay; the same command goes on from there"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def listen() -> None:
    # A test runner started in the background ignores Ctrl-C, and its children would too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def group_of(number: int) -> list[int]:
    """Processes of a group that still do something."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[2]) == number and fields[0] != "Z":
            found.append(int(folder.name))
    return found


def wait_for(true: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are counted in /proc")
@pytest.mark.parametrize("part", ["simulate", "pretrain"])
@pytest.mark.parametrize(
    ("signals", "status", "how"),
    [
        ([signal.SIGTERM], 143, "ended by SIGTERM"),
        ([signal.SIGHUP], 129, "ended by SIGHUP"),
        ([signal.SIGINT, signal.SIGINT], 130, "interrupted"),
    ],
    ids=["TERM", "HUP", "INT-twice"],
)
def test_a_signal_ends_all_processes_by_one_line(
    tmp_path: Path, part: str, signals: list[signal.Signals], status: int, how: str
) -> None:
    """To the whole group, as a terminal, a batch system or `timeout` sends it."""
    if part == "simulate":
        study = tiny_yaml(tmp_path / "tiny.yaml", trials={"n_train": 200_000})
    else:
        study = tiny_yaml(tmp_path / "tiny.yaml", training={"seeds": [0, 1], "pretrain_epochs": 5000})
    command = [sys.executable, "-m", "taskct", "run", str(study), "--out", str(tmp_path / "run"), "--device", "cpu"]
    command += ["--workers", "2"]
    log = tmp_path / "run" / "stages" / "log.jsonl"
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=listen, start_new_session=True, env=ENVIRONMENT
    ) as process:
        try:
            wait_for(lambda: log.exists() and f'"start", "stage": "{part}' in log.read_text())
            wait_for(lambda: len(group_of(process.pid)) >= 3)  # itself, Python's helper and a worker
            for number in signals:
                os.killpg(process.pid, number)
                time.sleep(0.1)
            lines = process.communicate(timeout=30)[1].splitlines()
        finally:
            process.kill()
    assert process.returncode == status, lines
    assert "Traceback" not in "".join(lines), lines
    assert [line for line in lines if not line.startswith("simulate: ")] == [f"taskct: {how}: {STAY}"]
    wait_for(lambda: not group_of(process.pid))
    assert not [name for name in files_of(tmp_path / "run") if name.endswith(".partial")]


@pytest.mark.parametrize("arguments", ["config --yaml", "config", "--help", "config --help", "--version"])
def test_output_that_nobody_takes(arguments: str) -> None:
    """A reader that has gone, a stream that is closed, a device that is full."""
    command = [sys.executable, "-m", "taskct", *arguments.split()]
    ours, theirs = os.pipe()
    os.close(ours)  # `| head` that has seen enough
    gone = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, check=False)
    os.close(theirs)
    assert (gone.returncode, gone.stderr) == (1, "")
    shell = ["sh", "-c", f"{shlex.join(command)} >&-"]
    closed = subprocess.run(shell, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, check=False)
    assert (closed.returncode, closed.stderr) == (0, "")
    if Path("/dev/full").exists():
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, check=False)
        assert done.returncode == 2
        assert done.stderr.startswith("taskct: the disk is full")
        assert len(done.stderr.splitlines()) == 1


def test_a_closed_stream_is_not_taken_by_a_file(tmp_path: Path) -> None:
    """The next file to be opened takes the lowest free number: what a library prints would go into it."""
    code = (
        "import os, sys; from taskct.cli.stopping import open_standard_streams; open_standard_streams(); "
        f"file = open({str(tmp_path / 'a')!r}, 'wb'); os.write(1, b'printed'); print('more', flush=True); "
        "sys.exit(file.fileno() < 3)"
    )
    shell = f"{shlex.join([sys.executable, '-c', code])} <&- >&-"
    assert subprocess.run(["sh", "-c", shell], env=ENVIRONMENT, check=False).returncode == 0
    assert (tmp_path / "a").read_bytes() == b""


def test_under_nohup_the_end_of_the_session_is_not_heard() -> None:
    code = (
        "import os, signal; from taskct.cli.stopping import Stopped, stoppable; "
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with stoppable(): os.kill(os.getpid(), signal.SIGHUP)\n"
        "try:\n    with stoppable(): os.kill(os.getpid(), signal.SIGTERM)\n"
        "except Stopped as stop: print(stop.name, stop.status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert (done.returncode, done.stdout) == (0, "SIGTERM 143\n"), done.stderr
