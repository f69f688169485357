"""A Dask cluster that goes away, comes late, has another version or speaks TLS; each in one line, and bounded."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import Call, call, refused
from dask_processes import cluster_of, other_version
from taskct.sweep.dask_cluster import _problem
from tiny_study import tiny_yaml

pytest.importorskip("distributed")

__all__ = ["call", "refused"]  # fixtures

pytestmark = pytest.mark.slow

LONG = {"pretrain_epochs": 3000, "finetune_epochs": 1}


def taskct(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "taskct", *(str(one) for one in arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **environment})


def wait_for(true: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def told(line: str) -> Callable[[Path], bool]:
    return lambda out: (out / "stages" / "log.jsonl").exists() and line in (out / "stages" / "log.jsonl").read_text()


def end_of(process: subprocess.Popen[str], seconds: float = 60.0) -> tuple[int, list[str]]:
    """Exit status, and what it said apart from stages that ended."""
    _, stderr = process.communicate(timeout=seconds)
    assert "Traceback" not in stderr
    return process.returncode, [line for line in stderr.splitlines() if line.startswith(("taskct: ", "note: "))]


def test_the_scheduler_goes_away_in_the_middle(call: Call, tmp_path: Path) -> None:
    study, out = tiny_yaml(tmp_path / "tiny.yaml", training=LONG), tmp_path / "run"
    with cluster_of(tmp_path, 1) as cluster:
        run = taskct("run", study, "--out", out, "--device", "cpu", "--executor", cluster.address)
        wait_for(lambda: told('"start", "stage": "pretrain seed=0"')(out))
        cluster.scheduler.kill()
        begun = time.monotonic()
        code, lines = end_of(run)
        assert time.monotonic() - begun < 40
    assert code == 2
    assert len(lines) == 1, lines
    assert "the scheduler" in lines[0]
    assert " is gone" in lines[0]
    assert "the same command goes on with what is not done" in lines[0]
    assert (out / "stages" / "simulate.json").exists()  # what was done stays


def test_a_worker_of_another_version_is_given_nothing(call: Call, tmp_path: Path) -> None:
    study, out = tiny_yaml(tmp_path / "tiny.yaml"), tmp_path / "run"
    arguments = ("simulate", study, "--out", out, "--device", "cpu")
    assert call(*arguments)[0] == 0
    log = (out / "stages" / "log.jsonl").read_text()
    other = {"PYTHONPATH": other_version(tmp_path, "torch")}
    with cluster_of(tmp_path, 0) as cluster:
        cluster.worker(**other)
        command = ("train", out, "--device", "cpu", "--executor", cluster.address)
        wait_for(lambda: "has torch" in " ".join(end_of(taskct(*command))[1]), 60)
        assert (out / "stages" / "log.jsonl").read_text() == log  # nothing was sent
        # One that comes later is told of, and waits while others work.
        cluster.processes.pop().kill()
