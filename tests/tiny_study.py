"""A study so small that all of it takes about a second: every stage is real, no figure means anything."""

import copy
import functools
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from taskct.config import Settings, make_settings
from taskct.report import write_report
from taskct.study.run_folder import RunFolder
from taskct.sweep.pipeline import sweep

TINY: dict[str, Any] = {
    "name": "tiny",
    "background": {"mean_lumps": 30},
    "signal": {"position_mm": 4},
    "scanner": {"n_views": 24, "n_bins": 64, "bin_mm": 10.0, "object_pixels": 32, "object_pixel_mm": 10.4},
    "trials": {
        "n_train": 48,
        "n_validation": 32,
        "n_fresh": 40,
        "n_test": 40,
        "region_pixels": 16,
        "margin_pixels": 2,
    },
    "denoiser": {"arguments": {"n_layers": 2, "n_channels": 4}},
    "training": {
        "pretrain_epochs": 1,
        "finetune_epochs": 1,
        "batch_size": 16,
        "lambdas": [0, 0.9],
        "blend_alphas": [0.5],
        "dtype": "float32",
    },
    "evaluation": {"n_bootstrap": 100},
}


def tiny_settings(**sections: Any) -> Settings:
    """The tiny study with some settings changed: `tiny_settings(training={"seeds": [0, 1]})`."""
    return make_settings(TINY, sections)


def tiny_yaml(path: Path, **sections: Any) -> Path:
    """Its settings file."""
    tree = copy.deepcopy(TINY)
    for name, section in sections.items():
        tree[name] = {**tree[name], **section} if isinstance(section, dict) else section
    path.write_text(yaml.safe_dump(tree))
    return path


def run_study(path: Path, settings: Settings, *, report: bool = False) -> RunFolder:
    """Simulate, train and evaluate, as `taskct run` does."""
    folder = RunFolder(path, settings, device=torch.device("cpu"))
    sweep(folder, ["simulate"])
    sweep(folder, ["train"]).check()
    sweep(folder, ["evaluate"]).check()
    if report:
        write_report(path)
    return folder


@functools.cache
def _finished(path: Path) -> RunFolder:
    return run_study(path, tiny_settings(training={"seeds": [0, 1]}), report=True)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished tiny run of two training seeds, one for all tests; nobody may change it."""
    return _finished(tmp_path_factory.getbasetemp() / "tiny-run")


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder with what it holds."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@functools.cache
def _finished_path(path: Path) -> RunFolder:
    settings = tiny_settings(
        training={"method": "both", "other_head_lambda": None},
        path={"prices": [0.02, 0.05], "trained_at": 0.05, "epochs": 1, "n_channels": 4},
        observers={"bound": "cnn"},
    )
    return run_study(path, settings)


@pytest.fixture(scope="session")
def path_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished tiny run with λ, a blend and a task path, one for all tests; nobody may change it."""
    return _finished_path(tmp_path_factory.getbasetemp() / "path-run")
