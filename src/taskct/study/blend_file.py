"""The blend of two trained arms as one model: one file, one dial, which stands where validation trials say."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from taskct.denoisers.blend import Blend
from taskct.denoisers.denoiser import denoise
from taskct.study.arms import BLEND, Arm
from taskct.study.models import SIZE_MULTIPLE, denoiser_of, denoiser_of_arm
from taskct.study.run_folder import RunFolder
from taskct.training.checkpoints import load_tensors, load_weights, save_tensors


def blend_path(run: RunFolder, arm: Arm) -> Path:
    """The file of the blend of an arm with its control."""
    return run.weights(arm.file_stem + BLEND)


def save_blend(run: RunFolder, arm: Arm) -> None:
    """Write the blend of a λ arm with its control, and where its dial stands, into a run folder that has both models.

    The dial stands where the RMSE on the validation trials is `evaluation.tolerance` above the control's. Layers that
    the two have in common are stored once.
    """
    (control, card), (task, _) = denoiser_of_arm(run, arm.control_arm), denoiser_of_arm(run, arm)
    validation, margin = run.read("validation"), run.settings.trials.margin_pixels
    images = [
        denoise(one, validation.noisy, device=run.device, dtype=str(card["dtype"]), margin=margin)
        for one in (control, task)
    ]
    square = squared_error(images[0], images[1], validation.reference_regions)
    tolerance = run.settings.evaluation.tolerance
    tensors = {f"control.{key}": value for key, value in control.state_dict().items()}
    tensors |= {
        f"task.{key}": value
        for key, value in task.state_dict().items()
        if not torch.equal(value, tensors[f"control.{key}"])
    }
    more = {
        "stage": "blend",
        "control": arm.control,
        "task": arm.name,
        "alpha": round(dial(square, tolerance), 4),
        "alpha_rule": f"RMSE on validation trials {100 * tolerance:g} % above the control's, or 1 if it never is",
        "squared_error_hu2": list(square),
    }
    kept = ("schema", "seed", "network", "arguments", SIZE_MULTIPLE, "dtype", "pixel_mm")
    save_tensors(blend_path(run, arm), tensors, {**{name: card[name] for name in kept if name in card}, **more})


def squared_error(
    control: NDArray[np.float32], task: NDArray[np.float32], reference: NDArray[np.float32]
) -> tuple[float, float, float]:
    """Coefficients of the mean squared error of a blend of images in HU: MSE(α) = a + b·α + c·α², HU²."""
    error = control.astype(np.float64) - reference
    difference = task.astype(np.float64) - control
    return float(np.mean(error**2)), float(2.0 * np.mean(error * difference)), float(np.mean(difference**2))


def dial(square: tuple[float, float, float], tolerance: float) -> float:
    """The largest α in [0, 1] whose RMSE is at most (1 + tolerance) times that at α = 0.

    Examples
    --------
    >>> round(dial((100.0, 0.0, 40.0), 0.05), 3)
    0.506
    """
    a, b, c = square
    if a + b + c <= a * (1.0 + tolerance) ** 2:
        return 1.0
    excess = a * ((1.0 + tolerance) ** 2 - 1.0)
    return (math.sqrt(b * b + 4.0 * c * excess) - b) / (2.0 * c)


def load_blend(path: Path, card: dict[str, Any]) -> Blend:
    """A blend that `save_blend` wrote, its dial where the card has it; a `UserError` if the file does not fit it."""
    tensors = load_tensors(path)
    parts: list[nn.Module] = []
    for name in ("control", "task"):
        denoiser = denoiser_of(card)
        own = {k: v for k, v in tensors.items() if k.startswith("control.")} if name == "task" else {}
        shared = {f"task.{k.removeprefix('control.')}": v for k, v in own.items()}
        load_weights(path, {name: denoiser}, tensors={**shared, **tensors})
        parts.append(denoiser)
    return Blend(parts[0], parts[1], alpha=float(card["alpha"]))
