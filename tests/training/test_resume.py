"""A training killed at any moment ends with the very bits of one that was not."""

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from other_logs import shown_by_mlflow, shown_by_tensorboard
from taskct.errors import UserError
from taskct.training import record
from taskct.training.checkpoints import load_state, save_state
from taskct.training.log import TrainingLog
from tiny_training import tiny_train

RUNNER = """
import os, random, signal, sys, time
import torch
torch.set_num_threads(1)
from pathlib import Path
from safetensors.torch import save_file
from taskct.training import record
sys.path.insert(0, sys.argv[1])
from tiny_training import tiny_train

record.STATE_EVERY_S = 0.0  # so that kills fall within epochs as well
folder = Path(sys.argv[2])
start = time.perf_counter()
weights, history = tiny_train(folder / "unbroken.safetensors")
wall = time.perf_counter() - start
save_file(weights, folder / "expected.safetensors")
rng = random.Random(1)
kills = 0
while True:
    steps, grant = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(grant)
        # A step takes a byte: four are granted to each of ten, of sixty, so that none reaches the end before its kill.
        weights, again = tiny_train(folder / "state.safetensors", progress=lambda *_: os.read(steps, 1))
        assert again == history
        save_file(weights, folder / "found.safetensors")
        os._exit(0)
    os.close(steps)
    if kills < 10:
        os.write(grant, b"....")
        time.sleep(rng.uniform(0.005, 0.1) * wall)
        os.kill(pid, signal.SIGKILL)
    else:
        os.close(grant)  # nothing is left to wait for
    _, status = os.waitpid(pid, 0)
    if status == 0:
        break
    assert status == signal.SIGKILL, status
    os.close(grant)
    kills += 1
print("kills", kills)
"""


def test_ten_kills_at_random_times_change_no_bit(tmp_path: Path) -> None:
    """The runner forks before it has started threads, kills its child ten times, and lets the last one end."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RUNNER, str(Path(__file__).parents[1]), str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, check=False)
    assert answer.returncode == 0, answer.stderr
    expected, found = (load_file(tmp_path / f"{name}.safetensors") for name in ("expected", "found"))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert answer.stdout.split() == ["kills", "10"]


class Stopped(BaseException):
    pass


@pytest.mark.parametrize("step", [1, 12, 13, 30])
def test_a_stop_at_any_step_changes_no_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """At the first step, at an epoch's last, at the next one's first, within; with a state after every step."""
    monkeypatch.setattr(record, "STATE_EVERY_S", -1.0)
    expected, history = tiny_train(None)
    calls = 0

    def stop(done: int, total: int, detail: str) -> None:
        nonlocal calls
        calls += 1
        if calls == step:
            raise Stopped

    state = tmp_path / "state.safetensors"
    with pytest.raises(Stopped):
        tiny_train(state, progress=stop)
    seen: list[int] = []
    weights, again = tiny_train(state, progress=lambda done, total, detail: seen.append(done))
    assert all(torch.equal(weights[key], value) for key, value in expected.items())
    assert again == history
    assert seen[0] == 8 * step  # the step that was stopped was not on the disk yet, all before it were


@pytest.mark.parametrize("extra", ["tensorboard", "mlflow"])
def test_a_resumed_training_is_logged_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str) -> None:
    """Stopped in epoch 3, with a state of epoch 1: epoch 2, which was logged, comes again with the same values."""
    pytest.importorskip(extra, reason="an extra")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "runs").as_uri())
    state, early = tmp_path / "state.safetensors", tmp_path / "early.safetensors"

    def stop(done: int, total: int, detail: str) -> None:
        if done == 8 * 13:
            shutil.copy(state, early)
        if done == 8 * 30:
            raise Stopped

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own
        with pytest.raises(Stopped):
            tiny_train(state, log=TrainingLog(tmp_path / "arm.jsonl", extra=extra), progress=stop)  # type: ignore[arg-type]  # one of its literals
        early.replace(state)
        log = TrainingLog(tmp_path / "arm.jsonl", extra=extra)  # type: ignore[arg-type]  # as above
        _, history = tiny_train(state, log=log)
        log.close()
        if extra == "tensorboard":
            seen = shown_by_tensorboard(tmp_path / "tensorboard" / "arm", "rmse_hu")
        else:
            (seen,) = shown_by_mlflow("rmse_hu")
    assert [step for step, _ in seen] == list(range(5))
    assert [value for _, value in seen] == pytest.approx([epoch.rmse_hu for epoch in history], rel=1e-6)
    lines = (tmp_path / "arm.jsonl").read_text().splitlines()
    assert [json.loads(line)["rmse_hu"] for line in lines] == [epoch.rmse_hu for epoch in history]


def test_the_state_of_another_training_is_not_taken(tmp_path: Path) -> None:
    state = tmp_path / "state.safetensors"
    tiny_train(state, epochs=1)
    expected, _ = tiny_train(None, seed=4, epochs=2)
    found, _ = tiny_train(state, seed=4, epochs=2)
    assert all(torch.equal(found[key], value) for key, value in expected.items())


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", None])
def test_a_broken_state_is_one_clear_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "state.safetensors"
    save_state(path, {"a": torch.arange(1000.0)}, {"x": 0.1})
    path.write_bytes(path.read_bytes()[:-20] if content is None else content)
    with pytest.raises(UserError, match=r"state\.safetensors is broken .* delete it") as caught:
        load_state(path)
    assert "\n" not in str(caught.value)


def test_a_state_comes_back_to_the_bit(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    assert load_state(path) is None
    value = torch.tensor([0.1, -0.0, 1e-40])
    save_state(path, {"a": value}, {"x": 0.1 + 0.2, "n": [1, None]})
    found = load_state(path)
    assert found is not None
    assert found[0]["a"].numpy().tobytes() == value.numpy().tobytes()
    assert found[1] == {"x": 0.1 + 0.2, "n": [1, None]}
