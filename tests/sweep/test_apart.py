"""Workers that share no disk: the same bits, everything sent once, and whatever is lost is done again."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest
import torch

from command_line import call, refused
from dask_processes import cluster_of
from killing import check_each_once, killing
from object_storage import SECRET, s3_server
from taskct.config import to_yaml
from taskct.errors import UserError
from taskct.study.graph import Stage
from taskct.study.records import stage_path
from taskct.study.run_folder import RunFolder
from taskct.sweep.apart import Courier, do_stage_apart, is_of, order_of, take
from taskct.sweep.executors import Crew, Machine
from taskct.sweep.object_store import ObjectStore
from taskct.sweep.pipeline import sweep
from taskct.sweep.schedule import run_graph
from taskct.training.record import TrainingDiverged
from tiny_study import files_of, tiny_settings

__all__ = ["call", "refused"]  # fixtures

CPU = torch.device("cpu")
SHORT: dict[str, Any] = {"other_head_lambda": None, "method": "both"}
"""A small graph that has every kind of stage."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The study done at one go in this process."""
    run = RunFolder(tmp_path_factory.mktemp("whole") / "run", tiny_settings(training=SHORT), device=CPU)
    sweep(run, ["simulate", "train", "evaluate"], Machine(threads=1))
    return run


def what_it_found(folder: Path) -> dict[str, bytes]:
    """Every file that does not tell of a moment."""
    passing = re.compile(r"(stages/|logs/|training/|provenance\.json|run\.lock|report\.html)")
    return {name: content for name, content in files_of(folder).items() if not passing.match(name)}


class TwoWorkers(Executor):
    """Take turns at what they are given, at once; each has a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.n_given = folder, 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.n_given += 1
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, place=self.folder / f"worker{self.n_given % 2}"))
        except Exception as error:
            future.set_exception(error)
        return future


def crew_of(run: RunFolder, store: ObjectStore, workers: Executor) -> tuple[Crew, Courier]:
    courier = Courier(run, store)
    crew = Crew(
        lambda: workers,
        None,
        None,
        "cpu",
        does_here=lambda stage: stage.kind == "results",
        submit=courier.submit,
        stop=lambda finished: courier.close(),
    )
    return crew, courier


def work(run: RunFolder, store: ObjectStore, workers: Executor, stages: list[Stage] | None = None) -> list[str]:
    """Do a run's stages by workers that share no disk; the names of those that were done."""
    crew, _ = crew_of(run, store, workers)
    outcome = run_graph(run, stages or list(run.graph.values()), crew, n_threads=dict.fromkeys(run.graph, 1))
    outcome.check()
    return outcome.did


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run", tiny_settings(training=SHORT), device=CPU)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(f"file://{tmp_path}/store")


@pytest.fixture
def workers(tmp_path: Path) -> TwoWorkers:
    return TwoWorkers(tmp_path)


def with_stages(run: RunFolder, whole: RunFolder, *names: str) -> RunFolder:
    """A run folder where these stages are done."""
    for name in names:
        for output in whole.graph[name].outputs:
            there = run.path / output
            there.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (whole.path / output).is_dir() else shutil.copy2)(whole.path / output, there)
        (run.path / "stages").mkdir(exist_ok=True)
        shutil.copy2(stage_path(whole.path, name), run.path / "stages")
    return run


def test_a_study_without_a_shared_disk_is_that_of_one_machine(
    whole: RunFolder, run: RunFolder, store: ObjectStore, workers: TwoWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit; and no worker fetches a file twice."""
    fetched: Counter[tuple[Path, str]] = Counter()
    real = ObjectStore._fetch

    def count(self: ObjectStore, file: Path, digest: str, size: int) -> None:
        fetched[file.parent, digest] += 1
        real(self, file, digest, size)

    monkeypatch.setattr(ObjectStore, "_fetch", count)
    assert sorted(work(run, store, workers)) == sorted(run.graph)
    assert what_it_found(run.path) == what_it_found(whole.path)
    assert set(fetched.values()) == {1}
    assert {file.name for file in (run.path / "logs").iterdir()} == {f.name for f in (whole.path / "logs").iterdir()}
    ends = [json.loads(line) for line in (run.path / "stages" / "log.jsonl").read_text().splitlines()]
    assert sorted(line["stage"] for line in ends if line["event"] == "end") == sorted(run.graph)
    assert not [name for name in files_of(run.path) if name.endswith((".progress", ".partial"))]
    assert not (workers.folder / "worker0" / "run").exists()  # what is kept there is files by their digests
    assert work(RunFolder(run.path, None, device=CPU), store, workers) == []


def test_what_a_worker_ended_when_the_command_had_gone_is_taken(
    whole: RunFolder, run: RunFolder, store: ObjectStore, workers: TwoWorkers, tmp_path: Path
) -> None:
    with_stages(run, whole, "simulate")
    stage = run.graph["pretrain seed=0"]
    order = order_of(run, stage, store=store.url, topic="t")
    store.send(run.path, order.files)
    do_stage_apart(order, "cpu", 1, place=tmp_path / "gone")
    assert not run.has(stage)
    assert work(run, store, workers, [stage]) == [stage.name]
    assert workers.n_given == 0
    assert run.has(stage)


@pytest.mark.parametrize("lost", ["input", "output", "note"])
def test_what_is_lost_in_the_store_is_sent_or_done_again(
    whole: RunFolder, run: RunFolder, store: ObjectStore, workers: TwoWorkers, tmp_path: Path, lost: str
) -> None:
    with_stages(run, whole, "simulate")
    stage = run.graph["pretrain seed=0"]
    order = order_of(run, stage, store=store.url, topic="t")
    store.send(run.path, order.files)
    files = tmp_path / "store" / "files"
    if lost == "input":  # while this process takes it that it is there
        shutil.rmtree(files)
    else:
        told = do_stage_apart(order, "cpu", 1, place=tmp_path / "gone")
        if lost == "output":
            digest = told["files"]["models/mse_seed=0.safetensors"][0]
            (files / digest[:2] / digest).write_bytes(b"half")
        else:
            (tmp_path / "store" / "notes" / f"{order.key}.json").write_bytes(b'{"record": ')
    assert work(run, store, workers, [stage]) == [stage.name]
    assert workers.n_given == (2 if lost == "input" else 1)
    model = "models/mse_seed=0.safetensors"
    assert (run.path / model).read_bytes() == (whole.path / model).read_bytes()


def test_a_store_that_loses_everything_ends_the_command(
    whole: RunFolder, run: RunFolder, store: ObjectStore, tmp_path: Path
) -> None:
    with_stages(run, whole, "simulate")

    class Losing(TwoWorkers):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            shutil.rmtree(tmp_path / "store" / "files", ignore_errors=True)
            return super().submit(fn, *args, **kwargs)

    losing = Losing(tmp_path)
    with pytest.raises(UserError, match=r"pretrain seed=0: 4 times .*; finished stages stay"):
        work(run, store, losing, [run.graph["pretrain seed=0"]])
    assert losing.n_given == 4


def test_a_training_that_diverges_far_away_brings_its_last_good_weights(
    whole: RunFolder, run: RunFolder, store: ObjectStore, workers: TwoWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_stages(run, whole, "simulate", "pretrain seed=0")
    stage = run.graph["finetune lambda=0.9 seed=0"]
    assert stage.arm is not None

    def diverge(copy: RunFolder, arm: Any, **_: object) -> None:
        path = copy.weights(f"{arm.file_stem}.last-good")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"weights")
        raise TrainingDiverged(f"the loss is not finite; the weights before are in {path}", {})

    monkeypatch.setattr("taskct.sweep.executors.train_arm", diverge)
    crew, _ = crew_of(run, store, workers)
    outcome = run_graph(run, [stage], crew, n_threads={stage.name: 1})
    kept = f"models/{stage.arm.file_stem}.last-good.safetensors"
    assert outcome.failed == {stage.name: f"the loss is not finite; the weights before are in {kept}"}
    assert (run.path / kept).read_bytes() == b"weights"
    assert not run.has(stage)


def test_files_that_are_none_of_the_stage_are_refused(run: RunFolder, store: ObjectStore) -> None:
    """Whoever writes to the store must not write elsewhere in the run folder, nor out of it."""
    stage = run.graph["pretrain seed=0"]
    assert is_of(stage, "models/mse_seed=0.safetensors")
    for name in ("study.yaml", "../a", "/etc/a", "models/../study.yaml", "models/mse_seed=0.safetensors/../../a", ""):
        assert not is_of(stage, name)
        told = {"record": {}, "files": {name: ["0" * 32, 1]}, "notes": []}
        with pytest.raises(UserError, match="none of this stage"):
            take(run, stage, None, told, store)  # type: ignore[arg-type]


def test_a_store_needs_a_cluster(refused: Callable[..., str], tmp_path: Path) -> None:
    told = refused("run", "--preset", "smoke", "--out", tmp_path / "run", "--dry-run", "--store", "s3://a/b")
    assert "--store is for the workers of a cluster: give --executor with it" in told
    command = ("run", "--preset", "smoke", "--out", tmp_path / "run", "--executor", "dask://h:1")
    told = refused(*command, "--store", "s3://me:hidden@a/b")
    assert "without credentials" in told
    assert "hidden" not in told


@pytest.mark.slow
def test_two_workers_that_share_only_object_storage_and_one_is_killed(tmp_path: Path) -> None:
    """The results are those of one machine, bit for bit, and the storage's secret stands nowhere."""
    pytest.importorskip("distributed")
    pytest.importorskip("s3fs")
    settings = tiny_settings(training={**SHORT, "finetune_epochs": 60})
    study, out = tmp_path / "tiny.yaml", tmp_path / "run"
    study.write_text(to_yaml(settings), encoding="utf-8")
    serial = RunFolder(tmp_path / "serial", settings, device=CPU)
    sweep(serial, ["simulate", "train", "evaluate"], Machine(threads=1))
    with s3_server() as environment, cluster_of(tmp_path, 2, environment=environment) as cluster:
        command = ["run", str(study), "--out", str(out), "--device", "cpu"]
        command += ["--executor", cluster.address, "--store", "s3://studies/tiny"]
        with killing(out, "finetune") as killed:
            done = subprocess.run(
                [sys.executable, "-m", "taskct", *command],
                env={**os.environ, **environment},
                capture_output=True,
                text=True,
                timeout=240,
                check=False,
            )
        assert done.returncode == 0, done.stderr
        assert killed[0] in {process.pid for process in cluster.processes[1:]}
    check_each_once(RunFolder(out, None, device=CPU))
    assert what_it_found(out) == what_it_found(serial.path)
    told = [done.stdout.encode(), done.stderr.encode(), *files_of(tmp_path).values()]
    assert not any(SECRET.encode() in one for one in told)
