"""A Dask cluster that goes away, comes late, has another version or speaks TLS; each in one line, and bounded."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dask_processes import cluster_of, other_version
from taskct.config import Settings, make_settings
from taskct.config.yaml_files import read_yaml
from taskct.errors import UserError
from taskct.study.run_folder import RunFolder
from taskct.sweep.dask_cluster import _problem
from taskct.sweep.executors import Machine
from taskct.sweep.pipeline import sweep
from tiny_study import tiny_yaml

pytest.importorskip("distributed")
dask = pytest.importorskip("dask")

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
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


def wait_for_workers(address: str, n_workers: int) -> None:
    """Until the scheduler knows of so many."""
    from distributed import Client

    with Client(address.replace("dask://", "tcp://"), set_as_default=False) as client:
        wait_for(lambda: len(client.nthreads()) == n_workers)


def load_study(file: Path) -> Settings:
    return make_settings(read_yaml(file))


def tls_settings(certificate: Path, key: Path) -> dict[str, str]:
    """Dask's, of a client."""
    place = "distributed.comm.tls"
    own = {f"{place}.client.key": str(key), f"{place}.client.cert": str(certificate)}
    return {f"{place}.ca-file": str(certificate), **own}


def told(line: str) -> Callable[[Path], bool]:
    return lambda out: (out / "stages" / "log.jsonl").exists() and line in (out / "stages" / "log.jsonl").read_text()


def end_of(process: subprocess.Popen[str], seconds: float = 60.0) -> tuple[int, list[str]]:
    """Exit status, and what it said apart from stages that ended."""
    _, stderr = process.communicate(timeout=seconds)
    assert "Traceback" not in stderr
    return process.returncode, [line for line in stderr.splitlines() if line.startswith(("taskct: ", "note: "))]


def test_the_scheduler_goes_away_in_the_middle(tmp_path: Path) -> None:
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


def test_a_worker_of_another_version_is_given_nothing(tmp_path: Path) -> None:
    """At first it is refused before anything is done; one that comes later is told of, and others work."""
    study, out = tiny_yaml(tmp_path / "tiny.yaml"), tmp_path / "run"
    other = {"PYTHONPATH": other_version(tmp_path, "torch")}
    words = r"the worker tcp://\S+ {}has torch 0\.0\.1 and this is \S+: install the same version on all workers"
    with cluster_of(tmp_path, 0) as cluster:
        unfit = cluster.worker(**other)
        run_folder = RunFolder(out, load_study(study), device=CPU)
        sweep(run_folder, ["simulate"])
        log = (out / "stages" / "log.jsonl").read_text()
        wait_for_workers(cluster.address, 1)
        with pytest.raises(UserError, match=words.format("")):
            sweep(run_folder, ["train"], Machine(executor=cluster.address))
        assert (out / "stages" / "log.jsonl").read_text() == log  # nothing was sent

        unfit.kill()
        wait_for_workers(cluster.address, 0)
        run = taskct("train", out, "--device", "cpu", "--executor", cluster.address)
        assert run.stderr is not None
        heard = [run.stderr.readline()]
        assert "has no worker that fits: stages wait for one" in heard[0]
        cluster.worker(**other)
        heard.append(run.stderr.readline())
        assert re.search(words.format("is given no stage: it "), heard[1])
        good = cluster.worker()
        assert end_of(run) == (0, [])
    begun = [
        json.loads(line) for line in (out / "stages" / "log.jsonl").read_text().splitlines()[len(log.splitlines()) :]
    ]
    assert {line["pid"] for line in begun} == {good.pid}


def test_tls_takes_the_settings_of_dask(tmp_path: Path) -> None:
    """With the certificates there is a run; without them, or by dask://, it is refused."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("openssl makes the certificate")
    study, out = tiny_yaml(tmp_path / "tiny.yaml"), tmp_path / "run"
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    settings = {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(certificate)}
    for part in ("SCHEDULER", "WORKER", "CLIENT"):
        settings[f"DASK_DISTRIBUTED__COMM__TLS__{part}__KEY"] = str(key)
        settings[f"DASK_DISTRIBUTED__COMM__TLS__{part}__CERT"] = str(certificate)
    run = RunFolder(out, load_study(study), device=CPU)
    with cluster_of(tmp_path, 1, environment=settings, scheme="tls") as cluster:
        sweep(run, ["simulate"])
        plain = cluster.address.replace("tls://", "dask://")
        with_certificate = tls_settings(certificate, key)
        for address, known in ((cluster.address, {}), (plain, with_certificate)):
            with dask.config.set(known), pytest.raises(UserError) as refused:
                sweep(run, ["train"], Machine(executor=address))
            assert str(refused.value).startswith(f"--executor {address}: no Dask scheduler answers there")
        with dask.config.set(with_certificate):
            wait_for_workers(cluster.address, 1)
            sweep(run, ["train"], Machine(executor=cluster.address)).check()
            with dask.config.set({"distributed.comm.require-encryption": True}):
                assert sweep(run, ["evaluate"], Machine(executor=plain)).did
    assert (out / "summary.json").exists()


def test_which_worker_is_fit() -> None:
    here: dict[str, str | None] = {"python": "3.12", "taskct": "1.0", "torch": "2.6"}
    assert _problem(here, here, 1) == ""
    for name in here:
        assert _problem(here, {**here, name: "0.1"}, 1).startswith(f"has {name} 0.1 and this is {here[name]}: ")
        assert _problem(here, {**here, name: None}, 1).startswith(f"has no {name}: ")
    assert "start workers with --nthreads 1" in _problem(here, here, 2)
