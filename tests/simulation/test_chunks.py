"""Chunks: the same bytes whoever makes them, and after any kill."""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dicom_files import save_series
from taskct.config import make_settings
from taskct.simulation import simulate as simulation
from taskct.simulation.chunks import plan_split
from taskct.simulation.simulate import simulate, simulate_store
from taskct.trials.store import read_trials
from taskct.trials.trials import SPLITS
from tiny_study import TINY, tiny_settings, tiny_yaml

MANY = {"trials": {**TINY["trials"], "n_train": 700, "n_validation": 300, "n_fresh": 300, "n_test": 600}}


def bytes_of(store: Path) -> dict[str, str]:
    files = sorted(file for file in store.rglob("*") if file.is_file())
    return {str(file.relative_to(store)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def simulate_command(folder: Path) -> list[str]:
    """Simulate the study into `folder` / "run"."""
    study = tiny_yaml(folder / "many.yaml", **MANY)
    return [sys.executable, "-m", "taskct", "simulate", str(study), "--out", str(folder / "run"), "--device", "cpu"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The store as one process makes it at a stretch."""
    path = tmp_path_factory.mktemp("whole") / "trials"
    simulate_store(path, make_settings(TINY, MANY))
    return path


def test_two_processes_write_the_bytes_of_one(whole, tmp_path):
    simulate_store(tmp_path / "trials", make_settings(TINY, MANY), workers=2)
    assert bytes_of(tmp_path / "trials") == bytes_of(whole)


def test_the_store_holds_what_is_simulated_in_memory(whole):
    splits = simulate(make_settings(TINY, MANY))
    for name in SPLITS:
        stored = read_trials(whole, name)
        np.testing.assert_array_equal(stored.noisy, splits[name].noisy)
        assert set(stored.truth) == set(splits[name].truth)
        for column in stored.truth:
            np.testing.assert_array_equal(stored.truth[column], splits[name].truth[column])


def test_a_killed_simulation_goes_on_with_what_is_missing(whole, tmp_path):
    command = simulate_command(tmp_path)
    done = tmp_path / "run" / "trials.partial" / ".done"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen([*command, "--workers", "2"], env=environment, stdout=subprocess.DEVNULL)
    started = time.monotonic()
    while len(list(done.glob("*.*"))) < 1 and child.poll() is None and time.monotonic() - started < 300:
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    child.wait()
    time.sleep(0.5)  # the workers end with their parent: soon nothing more is written
    partly = {file.name for file in done.glob("*.*")}
    time.sleep(0.5)
    assert {file.name for file in done.glob("*.*")} == partly
    assert 0 < len(partly) < 10
    subprocess.run([*command, "--workers", "1"], env=environment, check=True, stdout=subprocess.DEVNULL)
    assert bytes_of(tmp_path / "run" / "trials") == bytes_of(whole)


def test_no_two_chunks_or_splits_share_their_randomness(whole):
    """Noise of the same trial of two splits and of two chunks: 80,000 pixels, of which some 20,000 are independent."""
    train, test = (read_trials(whole, name) for name in ("train", "test"))
    noise = {name: trials.noisy - trials.reference for name, trials in (("train", train), ("test", test))}
    pairs = [(noise["train"][:200], noise["test"][:200]), (noise["train"][:200], noise["train"][256:456])]
    for one, other in pairs:
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.05  # seven standard errors
    for column in ("x_mm", "diameter_mm", "contrast_hu"):
        assert not np.array_equal(train.truth[column][:200], test.truth[column][:200])
        assert not np.array_equal(train.truth[column][:200], train.truth[column][256:456])
    assert 0.4 < train.signal_present[:256].mean() < 0.6  # each chunk has both
    runs = np.diff(train.signal_present.astype(int)) != 0
    assert 0.4 < runs.mean() < 0.6  # in random order: a period of two would give 1


def workers_of(pid: int) -> list[int]:
    """Worker processes of a process, by Linux's own list."""
    found = []
    for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(OSError):  # gone meanwhile
            if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes():
                found.append(int(one))
    return found


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the workers as Linux lists them")
def test_a_worker_that_is_killed_is_one_clear_line(whole, tmp_path):
    command = simulate_command(tmp_path)
    options = {"env": {**os.environ, "OMP_NUM_THREADS": "1"}, "text": True}
    child = subprocess.Popen([*command, "--workers", "2"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, **options)
    started = time.monotonic()
    # Both have started, and both still import torch: nothing is done yet.
    while len(found := workers_of(child.pid)) < 2 and child.poll() is None and time.monotonic() - started < 300:
        time.sleep(0.01)
    time.sleep(0.2)
    os.kill(found[0], signal.SIGKILL)
    said = child.communicate(timeout=120)[1]
    assert child.returncode == 2
    assert "\ntaskct: one of the 2 processes that simulate was killed" in "\n" + said
    assert "Traceback" not in said.partition("taskct: one of")[0]
    subprocess.run([*command, "--workers", "1"], check=True, stdout=subprocess.DEVNULL, **options)
    assert bytes_of(tmp_path / "run" / "trials") == bytes_of(whole)


def test_only_missing_chunks_are_made(tmp_path, monkeypatch):
    settings, made = make_settings(TINY, MANY), []
    make = simulation.ChunkMaker.make

    def stop_after_two(self, split, start, n):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append((split, start))
        return make(self, split, start, n)

    with monkeypatch.context() as patch:
        patch.setattr(simulation.ChunkMaker, "make", stop_after_two)
        with pytest.raises(KeyboardInterrupt):
            simulate_store(tmp_path / "trials", settings)
    again = []

    def record(self, split, start, n):
        again.append((split, start))
        return make(self, split, start, n)

    monkeypatch.setattr(simulation.ChunkMaker, "make", record)
    simulate_store(tmp_path / "trials", settings)
    assert len(made) == 2
    assert not set(made) & set(again)
    assert len(again) == len(set(again)) == 3 + 2 + 2 + 3 - 2


def test_the_key_is_that_of_what_trials_depend_on():
    settings, other = tiny_settings(), make_settings(TINY, {"seed": 1})
    assert simulation.simulation_key(settings, "cpu") != simulation.simulation_key(other, "cpu")
    assert simulation.simulation_key(settings, "cpu") == simulation.simulation_key(
        make_settings(TINY, {"training": {"pretrain_epochs": 9}}), "cpu"
    )


def test_the_key_changes_with_the_files_of_a_series(tmp_path):
    save_series(tmp_path / "ct")
    settings = tiny_settings(background={"kind": "series", "path": str(tmp_path / "ct")})
    key = simulation.simulation_key(settings, "cpu")
    assert simulation.simulation_key(settings, "cpu") == key
    file = next(path for path in (tmp_path / "ct").iterdir())
    file.write_bytes(file.read_bytes() + b"\0\0")
    assert simulation.simulation_key(settings, "cpu") != key


def test_the_key_changes_with_the_file_of_a_layout(tmp_path):
    file = tmp_path / "mine.yaml"
    text = "diameter_mm: 200\nrods: [{diameter_mm: 7, contrast_hu: 5, radius_mm: 40, angle_deg: 0}]\n"
    file.write_text(text, encoding="utf-8")
    settings = tiny_settings(background={"kind": "phantom", "layout": str(file)})
    key = simulation.simulation_key(settings, "cpu")
    assert simulation.simulation_key(settings, "cpu") == key
    file.write_text(text.replace("200", "2000e-1"), encoding="utf-8")
    assert simulation.simulation_key(settings, "cpu") != key


@pytest.mark.parametrize(("n_trials", "n_objects"), [(1000, 1000), (1000, 3), (7, 7), (4000, 56), (513, 2), (5, 1)])
def test_a_plan_shares_out_every_trial_once(n_trials, n_objects):
    plan = plan_split(n_trials, n_objects)
    seen: list[int] = []
    for start in range(0, n_trials, plan.chunk_trials):
        index, count = plan.objects(start, min(plan.chunk_trials, n_trials - start))
        assert not set(index.tolist()) & set(seen)  # no object in two chunks
        seen += np.repeat(index, count).tolist()
    assert len(seen) == n_trials
    assert len(set(seen)) <= n_objects
    assert np.bincount(seen).max() == plan.trials_per_object
