"""Other settings in the folder of a finished study: what is done stays, what changed is done anew, nothing is lost."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from taskct.config import Settings
from taskct.errors import UserError
from taskct.study.changes import Change, change_of, counted, differences
from taskct.study.graph import stages_of
from taskct.study.run_folder import RunFolder
from taskct.sweep.dry_run import plan_run
from taskct.sweep.executors import Machine
from taskct.sweep.pipeline import sweep
from tiny_study import files_of, tiny_run, tiny_settings

__all__ = ["tiny_run"]  # a fixture

CPU = torch.device("cpu")
SEEDS = {"seeds": [0, 1]}  # of `tiny_run`


def change(**training: Any) -> Change:
    held = tiny_settings(training=SEEDS)
    return of(held, tiny_settings(training={**SEEDS, **training}))


def of(held: Settings, asked: Settings) -> Change:
    """The change of a study of which every stage is done."""
    return change_of(held, asked, [stage.name for stage in stages_of(held)], lambda name: False)


def test_differences_name_both_values() -> None:
    a, b = tiny_settings(), tiny_settings(denoiser={"arguments": {"n_layers": 3}}, training=SEEDS)
    assert differences(a, a) == []
    assert differences(a, b) == [
        "denoiser.arguments {'n_layers': 2, 'n_channels': 4} → {'n_layers': 3, 'n_channels': 4}",
        "training.seeds [0] → [0, 1]",
    ]
    grid = tiny_settings(grid={"training.loss": ["detectability"]})
    assert differences(a, grid) == ["grid {} → {'training.loss': ['detectability']}"]
    assert differences(grid, a) == ["grid {'training.loss': ['detectability']} → {}"]


def test_a_seed_more_does_nothing_anew_but_the_results() -> None:
    found = change(seeds=[0, 1, 2])
    assert (found.loses, found.anew, found.left_out) == ((), ("results",), ())
    # Of the third seed, as of the others: one pretraining, two λ for two heads, one blend file, and their evaluations.
    assert counted(found.more) == "1 pretraining, 4 fine-tunings, 1 blend and 6 evaluations"


def test_a_lambda_less_leaves_its_stages_out_and_does_no_training_anew() -> None:
    held = tiny_settings(training={"lambdas": [0, 0.5, 0.9], "other_head_lambda": 0.5})
    less = tiny_settings(training={"lambdas": [0, 0.5], "other_head_lambda": 0.5, "blend_lambda": None})
    found = of(held, less)
    assert found.loses == ()
    assert found.left_out == (
        "finetune lambda=0.9 seed=0",
        "blend lambda=0.9 seed=0",
        "evaluate lambda=0.9 seed=0",
        "evaluate lambda=0.9 alpha=0.5 seed=0",
    )


@pytest.mark.parametrize(
    ("changed", "lost"),
    [
        ({"scanner": {"dose_fraction": 0.5}}, ("simulate", "pretrain", "finetune")),
        ({"seed": 1}, ("simulate", "pretrain", "finetune")),
        ({"training": {"learning_rate": 1e-4}}, ("pretrain", "finetune")),
        ({"training": {"finetune_epochs": 2}}, ("finetune",)),
        ({"observers": {"more": ["npwe"]}}, ()),
        ({"evaluation": {"n_bootstrap": 200}}, ()),
        ({"name": "other"}, ()),
        ({"grid": {"training.finetune_learning_rate": [3e-3]}}, ()),
    ],
)
def test_what_would_be_lost(changed: dict[str, Any], lost: tuple[str, ...]) -> None:
    held = tiny_settings()
    found = of(held, tiny_settings(**changed))
    assert tuple(dict.fromkeys(found.loses)) == lost
    assert "results" in found.anew


@pytest.fixture
def copy(tiny_run: RunFolder, tmp_path: Path) -> RunFolder:
    """A finished run of two seeds that a test may change."""
    shutil.copytree(tiny_run.path, tmp_path / "run")
    return RunFolder(tmp_path / "run", None, device=CPU)


def go_on(run: RunFolder, **changed: Any) -> tuple[RunFolder, list[str]]:
    """The same folder with other settings, done to the end; what was done for it."""
    training = {**SEEDS, **changed.pop("training", {})}
    later = RunFolder(run.path, tiny_settings(training=training, **changed), device=CPU)
    return later, sweep(later, ["simulate", "train", "evaluate"], Machine(threads=1)).did


def kept(run: Path, before: dict[str, bytes], *folders: str) -> None:
    """All that was in these folders is there, byte for byte."""
    now = files_of(run)
    for name, data in before.items():
        if name.startswith(folders) and not name.endswith(".results.json"):
            assert now[name] == data, name


def arms_of_summary(run: Path) -> list[str]:
    return [f"{arm['name']} {arm['seed']}" for arm in json.loads((run / "summary.json").read_text())["arms"]]


def test_a_lambda_is_added_to_a_finished_run(copy: RunFolder) -> None:
    before = files_of(copy.path)
    stay = {"blend_lambda": 0.9, "other_head_lambda": 0.9}
    run, did = go_on(copy, training={"lambdas": [0, 0.5, 0.9], **stay})
    assert did == [f"{what} lambda=0.5 seed={seed}" for what in ("finetune", "evaluate") for seed in (0, 1)] + [
        "results"
    ]
    kept(run.path, before, "trials", "models", "evaluated", "logs")
    assert "lambda=0.5 1" in arms_of_summary(run.path)
    # And less again: the files of the arm that is left out stay, for the day it comes back.
    less, did = go_on(run)
    assert did == ["results"]
    assert (less.path / "models" / "lambda=0.5_seed=0.safetensors").is_file()
    assert files_of(less.path)["summary.json"] == before["summary.json"]
    assert go_on(less, training={"lambdas": [0, 0.5, 0.9], **stay})[1] == ["results"]


def test_a_task_path_is_added_to_a_finished_run(copy: RunFolder) -> None:
    before = files_of(copy.path)
    run, did = go_on(copy, training={"method": "both"}, path={"epochs": 1})
    trained = [name for name in did if not name.startswith(("evaluate ", "results"))]
    assert trained == ["path seed=0", "path seed=1"]
    kept(run.path, before, "trials", "models", "logs")


def test_an_observer_is_added_to_a_finished_run(copy: RunFolder) -> None:
    before = files_of(copy.path)
    run, did = go_on(copy, observers={"more": ["npwe"]})
    assert {name.partition(" ")[0] for name in did} == {"evaluate", "results"}
    kept(run.path, before, "trials", "models", "logs")
    found = json.loads((run.path / "summary.json").read_text())["arms"]
    was = json.loads(before["summary.json"])["arms"]
    for now, then in zip(found, was, strict=True):
        assert "npwe" in now["observers"]
        assert {name: now["observers"][name] for name in then["observers"]} == then["observers"]


def test_another_dose_is_refused_and_touches_nothing(copy: RunFolder) -> None:
    before = files_of(copy.path)
    with pytest.raises(UserError, match="would do the trials, 2 pretrainings, 8 fine-tunings, 2 blends, 13 eval"):
        go_on(copy, scanner={"dose_fraction": 0.5})
    assert files_of(copy.path) == before


def test_a_plan_of_other_settings_writes_nothing(copy: RunFolder) -> None:
    before = files_of(copy.path)
    settings = tiny_settings(training={"seeds": [0, 1, 2]})
    plan = plan_run(RunFolder(copy.path, settings, device=CPU, read_only=True), Machine(workers=1))
    todo = [row.name for row in plan.stages if not row.done]
    assert all("seed=2" in name for name in todo[:-1])
    assert todo[-1] == "results"
    assert files_of(copy.path) == before


def test_a_grid_is_added_to_a_finished_run_and_is_in_its_study(copy: RunFolder) -> None:
    """A grid was once not seen as a difference: the folder kept its old study, and its workers did that."""
    grid = {"training.finetune_learning_rate": [3e-3]}
    later = RunFolder(copy.path, tiny_settings(training=SEEDS, grid=grid), device=CPU)
    assert RunFolder(copy.path, None, device=CPU).settings.grid == {name: tuple(v) for name, v in grid.items()}
    assert later.change is not None
    assert later.change.anew == ("results",)
