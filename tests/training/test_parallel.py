"""Two processes on the CPU find what one finds with the same global batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from taskct.errors import UserError
from taskct.training.parallel import share
from tiny_training import tiny_train

RUNNER = """
import json, os, sys
import torch
torch.set_num_threads(1)
from dataclasses import asdict
from pathlib import Path
from safetensors.torch import save_file
sys.path.insert(0, sys.argv[1])
from tiny_training import tiny_train
weights, history = tiny_train(None, dropout=0.0)
rank = os.environ["RANK"]
save_file(weights, Path(sys.argv[2]) / f"{rank}.safetensors")
(Path(sys.argv[2]) / f"{rank}.json").write_text(json.dumps([asdict(epoch) for epoch in history]))
"""


def test_two_processes_find_the_losses_of_one(tmp_path: Path) -> None:
    runner = tmp_path / "runner.py"
    runner.write_text(RUNNER)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=0", "--standalone"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(
        [*command, str(runner), str(Path(__file__).parents[1]), str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=240,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    # Dropout is left out: each process draws its own.
    expected, history = tiny_train(None, dropout=0.0)
    both = [load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1)]
    for key, value in expected.items():
        assert torch.equal(both[0][key], both[1][key]), key  # all processes end alike
        # 60 steps of Adam on sums that were rounded in another order.
        torch.testing.assert_close(both[0][key], value, rtol=1e-3, atol=1e-5)
    for rank in (0, 1):
        losses = json.loads((tmp_path / f"{rank}.json").read_text())
        for found, epoch in zip(losses, history, strict=True):
            assert np.isclose(found["rmse_hu"], epoch.rmse_hu, rtol=1e-5)
            assert np.isclose(found["task"], epoch.task, rtol=1e-4)
            assert np.isclose(found["validation_loss"], epoch.validation_loss, rtol=1e-4)


@pytest.mark.parametrize(("n", "world"), [(8, 2), (9, 2), (7, 3)])
def test_shares_are_equal_and_disjoint(n: int, world: int) -> None:
    shares = [share(torch.arange(n), rank=rank, world=world) for rank in range(world)]
    assert {len(one) for one in shares} == {n // world}
    assert torch.cat(shares).tolist() == list(range(n // world * world))


def test_fewer_trials_than_processes_are_refused() -> None:
    with pytest.raises(UserError, match="3 processes share a batch of 2"):
        share(torch.arange(2), rank=0, world=3)
