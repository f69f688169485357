"""A study with a task path: one training, images on the line from the control, prices met on validation trials."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from taskct.study.arm_result import read_images, read_result
from taskct.study.arms import Arm, arms_of
from taskct.study.evaluate import Evaluator
from taskct.study.models import path_of_arm
from taskct.study.run_folder import RunFolder
from tiny_study import run_study, tiny_settings

PRICES = [0.01, 0.05, 0.1]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    settings = tiny_settings(training={"method": "task-path"}, path={"prices": PRICES, "trained_at": 0.05, "epochs": 2})
    return run_study(tmp_path_factory.mktemp("path") / "run", settings)


def arms(run: RunFolder) -> dict[str, Arm]:
    return {arm.name: arm for arm in arms_of(run.settings)}


def test_every_price_is_met_on_the_validation_trials(run: RunFolder) -> None:
    """The squared error is quadratic along the path, so the dial is exact where it was set."""
    known = arms(run)
    control = read_result(run, known["lambda=0"]).validation_rmse_hu
    for price in PRICES:
        found = read_result(run, known[f"path price={price:g}"]).validation_rmse_hu
        assert found / control == pytest.approx(1.0 + price, rel=1e-5)


def test_the_images_of_a_price_are_those_of_the_denoiser_at_it(run: RunFolder) -> None:
    """Mixed of what two evaluations left behind, they are what the one file with the dial makes."""
    evaluator = Evaluator(run)
    for price in PRICES:
        arm = arms(run)[f"path price={price:g}"]
        denoiser, card = path_of_arm(run, arm)
        assert (card["control"], card["arm"], denoiser.price) == ("lambda=0", "path", price)
        trials = run.read("test")
        with torch.no_grad():
            image = denoiser(torch.from_numpy(np.array(trials.noisy))).numpy()
        margin = trials.margin
        mixed = evaluator.images(arm)["test"]
        assert np.abs(mixed - image[:, margin:-margin, margin:-margin]).max() < 2e-3


def test_one_training_and_its_files(run: RunFolder) -> None:
    models = {file.stem for file in (run.path / "models").glob("*.safetensors")}
    assert models == {"mse_seed=0", "lambda=0_seed=0", "path_seed=0"}
    assert (run.path / "logs" / "path_seed=0.jsonl").is_file()
    assert read_images(run.evaluated("path_price=0.05_seed=0")).keys() >= {"test", "fresh"}
    assert not run.state("path_seed=0").exists()
    summary = json.loads((run.path / "summary.json").read_text())
    assert [arm["price"] for arm in summary["arms"]] == [None, None, None, *PRICES]
    chosen = json.loads((run.path / "choices.json").read_text())
    assert chosen["chosen_arm"].startswith("path price=")
    assert "price of the task path" in chosen["rule"]


def test_a_grid_over_the_network_has_a_path_of_its_own(tmp_path: Path) -> None:
    grid = {"denoiser.arguments.n_channels": [4, 6]}
    settings = tiny_settings(training={"method": "task-path"}, grid=grid)
    stages = [arm.stage for arm in arms_of(settings) if arm.price and arm.trained]
    assert stages == ["path seed=0", "path n_channels=6 seed=0"]
