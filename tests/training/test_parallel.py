"""Two processes on the CPU find what one finds with the same global batch."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from taskct.errors import UserError
from taskct.training.parallel import share
from tiny_training import tiny_train

RUNNER = """
import atexit, json, os, sys
import torch
torch.set_num_threads(1)
from dataclasses import asdict
from pathlib import Path
from safetensors.torch import save_file
sys.path.insert(0, sys.argv[1])
from tiny_training import tiny_train
# What is registered first comes last.
left = Path(sys.argv[2]) / ("left." + os.environ["RANK"])
atexit.register(lambda: torch.distributed.is_initialized() or left.touch())
weights, history = tiny_train(None, dropout=0.0, **json.loads(sys.argv[3]))
rank = os.environ["RANK"]
save_file(weights, Path(sys.argv[2]) / f"{rank}.safetensors")
(Path(sys.argv[2]) / f"{rank}.json").write_text(json.dumps([asdict(epoch) for epoch in history]))
"""


def both_processes(folder: Path, **changed: Any) -> tuple[list[dict[str, torch.Tensor]], list[list[dict[str, float]]]]:
    """Weights and history of each of two processes that train together. Dropout is left out: each draws its own."""
    runner = folder / "runner.py"
    runner.write_text(RUNNER)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    answer = subprocess.run(
        [*command, str(runner), str(Path(__file__).parents[1]), str(folder), json.dumps(changed)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=240,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert all((folder / f"left.{rank}").exists() for rank in (0, 1))  # gloo's threads may abort the interpreter's end
    weights = [load_file(folder / f"{rank}.safetensors") for rank in (0, 1)]
    return weights, [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def test_two_processes_find_the_losses_of_one(tmp_path: Path) -> None:
    expected, history = tiny_train(None, dropout=0.0)
    weights, losses = both_processes(tmp_path)
    for key, value in expected.items():
        assert torch.equal(weights[0][key], weights[1][key]), key  # all processes end alike
        # 60 steps of Adam on sums that were rounded in another order.
        torch.testing.assert_close(weights[0][key], value, rtol=1e-3, atol=1e-5)
    for rank in (0, 1):
        for found, epoch in zip(losses[rank], history, strict=True):
            assert np.isclose(found["rmse_hu"], epoch.rmse_hu, rtol=1e-5)
            assert np.isclose(found["task"], epoch.task, rtol=1e-4)
            assert np.isclose(found["validation_loss"], epoch.validation_loss, rtol=1e-4)


def test_processes_with_statistics_of_their_own_decide_as_one(tmp_path: Path) -> None:
    """Batch normalization sees each process's share alone; which epoch is best and when to stop is one answer."""
    weights, losses = both_processes(tmp_path, norm=True, epochs=12, patience=1)
    assert losses[0] == losses[1]
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())


def test_two_processes_in_bfloat16_take_their_losses_in_float32(tmp_path: Path) -> None:
    """Of weights that hardly move, and in lung, where bfloat16 has steps of 4 HU: one process finds the same RMSE.

    The layers' own rounding changes it by 1 part in 10,000 here, rounded references and images by 1 in 1,000.
    """
    how = {"epochs": 1, "learning_rate": 1e-9, "head_learning_rate": 1e-9, "level_hu": -900.0}
    _, (epoch,) = tiny_train(None, dropout=0.0, dtype="float32", **how)
    _, losses = both_processes(tmp_path, dtype="bfloat16", **how)
    for rank in (0, 1):
        assert losses[rank][0]["rmse_hu"] == pytest.approx(epoch.rmse_hu, rel=3e-4)
        assert losses[rank][0]["validation_rmse_hu"] == pytest.approx(epoch.validation_rmse_hu, rel=3e-4)


@pytest.mark.parametrize(("n", "world"), [(8, 2), (9, 2), (7, 3)])
def test_shares_are_equal_and_disjoint(n: int, world: int) -> None:
    shares = [share(torch.arange(n), rank=rank, world=world) for rank in range(world)]
    assert {len(one) for one in shares} == {n // world}
    assert torch.cat(shares).tolist() == list(range(n // world * world))


def test_fewer_trials_than_processes_are_refused() -> None:
    with pytest.raises(UserError, match="3 processes share a batch of 2"):
        share(torch.arange(2), rank=0, world=3)
