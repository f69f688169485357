"""A small task path on disk, as a training leaves it: real weights, no training."""

from pathlib import Path
from typing import Any

import torch

from taskct.denoisers.cnn import ResidualCNN
from taskct.denoisers.denoiser import Denoiser
from taskct.denoisers.prices import SquaredError
from taskct.denoisers.task_path import Correction, TaskPath
from taskct.training.checkpoints import save_weights

SQUARE = SquaredError(25.0, 0.2, 9.0)
"""Along the path: an RMSE of 5 HU at the control."""

SIZES = {"n_channels": 4, "pool": 2}

CARD: dict[str, Any] = {
    "schema": 1,
    "stage": "path",
    "arm": "path",
    "seed": 0,
    "network": "cnn",
    "arguments": {"n_layers": 2, "n_channels": 4},
    "size_multiple": 1,
    "dtype": "float32",
    "pixel_mm": 0.7,
    "control": "lambda=0",
    "correction": SIZES,
    "squared_error_hu2": list(SQUARE),
    "price": 0.02,
    "trained_at": 0.05,
    "max_price": 0.2,
    "rmse_validation_hu": 5.0,
}


def task_path() -> TaskPath:
    """Control and correction with weights drawn from a seed."""
    torch.manual_seed(0)
    control = Denoiser(ResidualCNN(n_layers=2, n_channels=4), offset_hu=40.0, scale_hu=20.0)
    correction = Correction(offset_hu=40.0, scale_hu=20.0, **SIZES)
    for weight in correction.parameters():  # of a fresh one the last layers are 0
        torch.nn.init.normal_(weight, std=0.2)
    return TaskPath(control, correction, square=SQUARE).eval()


def save_task_path(file: Path) -> Path:
    """Weights and card of `task_path`."""
    path = task_path()
    save_weights(file, {"control": path.control, "correction": path.correction}, CARD)
    return file
