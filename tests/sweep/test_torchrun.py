"""`torchrun -m taskct train`: two processes make the models of one run folder together."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from taskct.study.run_folder import RunFolder
from taskct.sweep.pipeline import sweep
from tiny_study import tiny_settings


def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    settings = tiny_settings(training={"other_head_lambda": None, "pretrain_epochs": 2})
    runs = [RunFolder(tmp_path / name, settings, device=torch.device("cpu")) for name in ("one", "two")]
    for run in runs:
        sweep(run, ["simulate"])
    sweep(runs[0], ["train"]).check()
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    answer = subprocess.run(
        [*launcher, "-m", "taskct", "train", str(runs[1].path), "--device", "cpu"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=240,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    models = [{file.name for file in (run.path / "models").iterdir()} for run in runs]
    assert models[0] == models[1]
    for name in models[0]:
        files = [run.path / "models" / name for run in runs]
        if name.endswith(".safetensors"):
            one, two = map(load_file, files)
            for key, value in one.items():
                torch.testing.assert_close(two[key], value, rtol=1e-3, atol=1e-4)
        else:
            cards = [json.loads(file.read_text()) for file in files]
            for first, second in zip(cards[0].get("epochs", []), cards[1].get("epochs", []), strict=True):
                assert abs(first["rmse_hu"] - second["rmse_hu"]) <= 1e-4 * first["rmse_hu"]
    # Each stage is on record once, by the first process.
    log = [json.loads(line) for line in (runs[1].path / "stages" / "log.jsonl").read_text().splitlines()]
    ends = [line["stage"] for line in log if line.get("event") == "end"]
    assert len(ends) == len(set(ends)) >= 4
