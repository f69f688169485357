"""Who does the stages: a failing arm, a killed process, a cluster without a worker; nothing is lost or done twice."""

import csv
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path
from typing import Any

import pytest
import torch

import taskct.sweep.executors
from command_line import Call, call, refused
from dask_processes import cluster_of
from killing import check_each_once, killing, log_of
from taskct.config import Settings, make_settings, read_preset, to_yaml
from taskct.errors import UserError
from taskct.study.arms import Arm
from taskct.study.records import FOLDER_LOCK, lock_folder, read_failures
from taskct.study.run_folder import RunFolder
from taskct.sweep.dask_cluster import dask_crew
from taskct.sweep.executors import Crew, InProcess, Machine, ProgressFile, _portable, do_stage, read_progress
from taskct.sweep.pipeline import sweep
from taskct.sweep.schedule import Outcome, run_graph
from taskct.training.record import TrainingDiverged
from tiny_study import TINY, files_of, tiny_run, tiny_settings, tiny_yaml

__all__ = ["call", "refused", "tiny_run"]  # fixtures

CPU = torch.device("cpu")
EVERYTHING = ["simulate", "train", "evaluate"]


REDUCED: dict[str, Any] = {
    **{name: TINY[name] for name in ("background", "scanner", "trials", "evaluation")},
    "signal": {"position_mm": 2},
    "denoiser": {"arguments": {"n_layers": 3, "n_channels": 4}},
    "training": {
        "lambdas": [0, 0.9],
        "seeds": [0, 1],
        "pretrain_epochs": 10,
        "finetune_epochs": 60,
        "batch_size": 16,
        "dtype": "float32",
    },
    "grid": {"denoiser.arguments.n_layers": [3, 2]},
}


def reduced_paper() -> Settings:
    """The graph of the preset `paper` in small: λ, seeds, layers; trainings last long enough to be killed in one."""
    return make_settings(read_preset("paper"), REDUCED)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reduced study done at one go in this process."""
    run = RunFolder(tmp_path_factory.mktemp("unbroken") / "run", reduced_paper(), device=CPU)
    sweep(run, EVERYTHING, Machine(threads=1))
    return run.path


def same_results(a: Path, b: Path) -> None:
    names = [
        "scores.csv",
        "quality.csv",
        "summary.json",
        *(str(f.relative_to(a)) for f in a.glob("models/*.safetensors")),
    ]
    for name in names:
        assert (a / name).read_bytes() == (b / name).read_bytes(), name


@pytest.mark.slow
def test_a_process_of_the_pool_is_killed_and_every_stage_ends_once(unbroken: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", reduced_paper(), device=CPU)
    with killing(run.path, "finetune") as killed:
        sweep(run, EVERYTHING, Machine(workers=2, threads=1))
    assert killed[0] not in (0, os.getpid())
    starts = Counter(line["stage"] for line in log_of(run.path) if line["event"] == "start")
    assert max(starts.values()) >= 2  # what was killed began again
    check_each_once(run)
    same_results(run.path, unbroken)
    assert not list(run.path.rglob("*.progress"))


@pytest.mark.slow
def test_four_workers_of_a_cluster_one_of_them_killed_do_the_paper_as_one_machine(
    unbroken: Path, tmp_path: Path
) -> None:
    pytest.importorskip("distributed")
    study, out = tmp_path / "paper.yaml", tmp_path / "run"
    study.write_text(to_yaml(reduced_paper()), encoding="utf-8")
    with cluster_of(tmp_path, 4) as cluster:
        command = ["run", str(study), "--out", str(out), "--executor", cluster.address, "--device", "cpu"]
        with killing(out, "finetune") as killed:
            done = subprocess.run(
                [sys.executable, "-m", "taskct", *command], capture_output=True, text=True, timeout=240, check=False
            )
        assert done.returncode == 0, done.stderr
        pids = {process.pid for process in cluster.processes[1:]}
    assert killed[0] in pids
    run = RunFolder(out, None, device=CPU)
    check_each_once(run)
    assert {line["pid"] for line in log_of(out) if line["event"] == "end"} <= pids
    assert {record["n_threads"] for record in run.provenance()["stages"].values()} == {1}
    same_results(out, unbroken)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("dask://127.0.0.1:1", "no Dask scheduler answers there"),
        ("http://127.0.0.1:8786", "write dask://HOST:PORT"),
        ("dask://127.0.0.1", "write dask://HOST:PORT"),
    ],
)
def test_no_scheduler(
    refused: Callable[..., str], tiny_run: RunFolder, tmp_path: Path, address: str, message: str
) -> None:
    pytest.importorskip("distributed")
    study = tiny_yaml(tmp_path / "tiny.yaml")
    start = time.monotonic()
    line = refused("run", study, "--out", tmp_path / "run", "--executor", address, "--device", "cpu")
    assert f"--executor {address}" in line
    assert message in line
    assert time.monotonic() - start < 20  # 8 s to give up, on a busy machine


def test_without_distributed_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match=r"pip install 'taskct\[cluster\]'"):
        dask_crew("dask://127.0.0.1:8786", "cpu")


def test_a_worker_that_does_not_see_the_folder(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"does not see the run folder .*: give --out as a path on a disk that all workers"
    ):
        do_stage(str(tmp_path / "elsewhere"), "simulate", "cpu", 1)


def diverging(which: Callable[[Arm], bool]) -> Callable[..., None]:
    real = taskct.sweep.executors.train_arm

    def train_arm(run: RunFolder, arm: Arm, **options: Any) -> None:
        if which(arm):
            raise TrainingDiverged(f"{arm.name}, seed {arm.seed}: the loss is not finite in epoch 1", {})
        real(run, arm, **options)

    return train_arm


def test_an_arm_that_diverges_ends_alone(
    call: Call, tiny_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is trained, measured and reported; what builds on it is left out; status 2 and a line say so."""
    study = tiny_yaml(tmp_path / "tiny.yaml", training={"seeds": [0, 1]})
    out, whole = tmp_path / "run", tiny_run
    bad = {("lambda=0.9", 0), ("lambda=0 head=eye", 1)}
    monkeypatch.setattr(taskct.sweep.executors, "train_arm", diverging(lambda arm: (arm.name, arm.seed) in bad))
    code, stdout, stderr = call("run", study, "--out", out, "--device", "cpu", "--workers", "1")
    assert code == 2
    told = [line for line in stderr.splitlines() if line.startswith("taskct: ")]
    assert [line.partition(": the loss")[0] for line in told] == [
        "taskct: lambda=0.9, seed 0",
        "taskct: lambda=0 head=eye, seed 1",
    ]
    assert told[0].endswith("; 3 stages that build on it were left out")  # its evaluation, the blend and the blend's
    assert "report.html" in stdout
    assert json.loads((out / "choices.json").read_text())["seed"] == 1  # seed 0 has no λ > 0 to show
    assert set(read_failures(out)) == {f"finetune {name} seed={seed}" for name, seed in bad}
    skipped = json.loads((out / "failures.json").read_text())["skipped"]
    assert {"evaluate lambda=0.9 alpha=0.5 seed=0"} < {row["stage"] for row in skipped}

    def rows(folder: Path) -> dict[tuple[str, str], list[dict[str, str]]]:
        found: dict[tuple[str, str], list[dict[str, str]]] = {}
        with (folder / "scores.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault((row["arm"], row["seed"]), []).append(row)
        return found

    mine, all_arms = rows(out), rows(whole.path)
    lost = {("lambda=0.9", "0"), ("lambda=0.9 alpha=0.5", "0"), ("lambda=0 head=eye", "1")}
    assert set(mine) == set(all_arms) - lost
    assert all(mine[key] == all_arms[key] for key in mine)  # untouched by what went wrong
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "lambda=0.9, seed 0: the loss is not finite in epoch 1" in page

    # `taskct evaluate` alone says it again and repeats nothing; once the training ends well, all is made whole.
    before = {name: data for name, data in files_of(out).items() if not name.endswith(".lock")}
    code, _, stderr = call("evaluate", out, "--device", "cpu", "--workers", "1")
    assert (code, len(stderr.splitlines())) == (2, 2)
    assert {name: data for name, data in files_of(out).items() if not name.endswith(".lock")} == before
    monkeypatch.undo()
    assert call("run", study, "--out", out, "--device", "cpu", "--workers", "1")[0] == 0
    assert not (out / "failures.json").exists()
    same_results(out, whole.path)


def test_a_pretraining_that_diverges_leaves_nothing_to_compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taskct.sweep.executors, "train_arm", diverging(lambda arm: arm.pretrained))
    run = RunFolder(tmp_path / "run", tiny_settings(), device=CPU)
    outcome = sweep(run, EVERYTHING)
    assert list(outcome.failed) == ["pretrain seed=0"]
    assert outcome.did == ["simulate", "evaluate low-dose"]
    assert outcome.skipped.pop("results") == ""
    assert set(outcome.skipped.values()) == {"pretrain seed=0"}
    with pytest.raises(UserError, match="the loss is not finite"):
        sweep(run, ["evaluate"]).check()


class Dying(Executor):
    """An executor whose process dies with everything it is given."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_exception(BrokenExecutor("killed"))
        return future


def test_a_stage_that_kills_every_process_is_given_up(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", tiny_settings(), device=CPU)
    started: list[Executor] = []

    def start() -> Executor:
        started.append(Dying())
        return started[-1]

    stage = run.graph["evaluate low-dose"]
    crew = Crew(start, ["cpu", "cpu"], 1, "cpu")
    with pytest.raises(UserError, match=r"evaluate low-dose: 4 times its process died; finished stages stay"):
        run_graph(run, [stage], crew, n_threads={stage.name: 1})
    assert len(started) == 4


def test_in_this_process_an_error_waits_for_whoever_asks() -> None:
    assert InProcess().submit(divmod, 7, 2).result() == (3, 1)
    with pytest.raises(ZeroDivisionError):
        InProcess().submit(divmod, 7, 0).result()


def test_errors_survive_the_journey() -> None:
    full = RuntimeError("a library's own words")
    full.__cause__ = OSError(28, "No space left on device")
    assert _portable(full).errno == 28  # type: ignore[attr-defined]
    assert type(_portable(TrainingDiverged("so", {}))) is UserError
    bug = KeyError("a bug")
    assert _portable(bug) is bug

    class OwnError(Exception):
        pass

    assert str(_portable(OwnError("x"))) == "OwnError: x"


def test_a_folder_in_use_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    """By one line; and the lock of a process that was killed is gone with it."""
    study, out = tiny_yaml(tmp_path / "tiny.yaml"), tmp_path / "run"
    RunFolder(out, tiny_settings(), device=CPU)
    code = "import sys, time; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire(); "
    code += "print('held', flush=True); time.sleep(600)"
    holding = [sys.executable, "-c", code, str(out / FOLDER_LOCK)]  # as `lock_folder` does, without its imports
    with subprocess.Popen(holding, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        line = refused("run", study, "--out", out, "--device", "cpu")
        holder.kill()
    assert line == (
        f"taskct: {out}: another taskct works in this folder; wait until it ends or stop it, or choose another --out"
    )
    lock_folder(out).release()


def test_progress_travels_by_file(tmp_path: Path) -> None:
    file = tmp_path / "a.progress"
    assert read_progress(file) is None
    tell = ProgressFile(file)
    tell(3, 10, "RMSE 4.00 HU")
    assert read_progress(file) == (3, 10, "RMSE 4.00 HU")
    tell(4, 10, "")  # at most twice a second
    assert read_progress(file) == (3, 10, "RMSE 4.00 HU")
    file.write_text("half")
    assert read_progress(file) is None
    assert Outcome().lines() == []
