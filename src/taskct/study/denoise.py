"""Apply a trained denoiser to a user's images."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from taskct.denoisers.denoiser import Denoiser, denoise, make_network
from taskct.dicom import read_series, read_slice
from taskct.dicom_write import write_series
from taskct.errors import UserError
from taskct.image_stack import read_npy
from taskct.study.arms import CONTROL, Arm
from taskct.training.checkpoints import load_weights, read_card

Progress = Callable[[int, int, str], None]


def load_model(path: Path, *, device: torch.device | str = "cpu") -> tuple[Denoiser, str]:
    """A trained denoiser and the precision it runs in, from its weights and card.

    Raises
    ------
    UserError
        If the weights or the card are missing, broken, or do not fit each other.
    """
    card = read_card(path)
    missing = [key for key in ("network", "arguments", "dtype") if key not in card]
    if missing:
        raise UserError(f"{path.with_suffix('.json')} lacks {missing[0]}: it must be the card that taskct wrote")
    if not isinstance(card["arguments"], dict) or card["dtype"] not in ("bfloat16", "float32"):
        raise UserError(f"{path.with_suffix('.json')} is broken: it must be the card that taskct wrote")
    denoiser = Denoiser(make_network(str(card["network"]), card["arguments"]), offset_hu=0.0, scale_hu=1.0)
    load_weights(path, {"denoiser": denoiser})
    return denoiser.to(device), str(card["dtype"])


def denoise_path(
    model: Path,
    source: Path,
    target: Path,
    *,
    alpha: float = 1.0,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Path:
    """Denoise a file or a series, by an arm or by its blend with the control.

    Parameters
    ----------
    model
        Weights of an arm.
    source
        A `.npy` file in HU, `(height, width)` or `(n, height, width)`; a DICOM slice; or a folder with one series.
    target
        A `.npy` file for a `.npy` source; otherwise a folder that does not exist or is empty.
    alpha
        α in (0, 1]: the result is (1 − α) · control + α · model, in HU. Below 1 it needs the control, λ = 0 of the same
        training seed, beside the model.
    device
        Where to run.
    progress
        Called as (slices done, in all, nothing).

    Returns
    -------
    `target`.

    Raises
    ------
    UserError
        If the source cannot be read as CT, the target exists, α is out of range, or there is no control to blend with.
    """
    if not 0.0 < alpha <= 1.0:
        raise UserError(f"alpha is {alpha:g}: give the model's share of the blend, in (0, 1]")
    parts = [(alpha, *load_model(model, device=device))]
    if alpha < 1.0:
        parts.append((1.0 - alpha, *load_model(control_of(model), device=device)))
    if not source.exists():
        raise UserError(f"{source} does not exist: give a .npy file, a DICOM slice or a folder with a CT series")
    array = source.suffix == ".npy"
    if target.exists() and (array or not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} exists: choose another output, nothing is overwritten")
    if array != (target.suffix == ".npy"):
        wanted = "the output of a .npy file is a .npy file" if array else "the output of DICOM is a folder"
        raise UserError(f"{wanted}, not {target.name}")
    if array:
        images = read_npy(source)
        result = _slices(parts, images if images.ndim == 3 else images[None], device, progress)
        write_npy(target, result if images.ndim == 3 else result[0])
        return target
    if source.is_dir() and target.resolve().is_relative_to(source.resolve()):
        raise UserError(f"{target} lies inside {source}: choose a folder outside the series")
    # The network takes slices one by one, so a leaning stack does not matter.
    series = read_series(source, allow_tilt=True) if source.is_dir() else read_slice(source)
    result = _slices(parts, series.image_hu, device, progress)
    result[series.padding] = series.image_hu[series.padding]
    name = model.stem.encode("ascii", "replace").decode().replace("\\", "?")
    blend = f" alpha={alpha:g}" if alpha < 1.0 else ""
    write_series(result, series, target, description=f"taskct {name}"[: 64 - len(blend)] + blend)
    return target


def control_of(model: Path) -> Path:
    """Weights of the control that lies beside a model: λ = 0 of the same training seed, with the study's head.

    Raises
    ------
    UserError
        If the card of the model names no seed, or there is no control.
    """
    seed = read_card(model).get("seed")
    if seed is None:
        raise UserError(f"{model.with_suffix('.json')} names no seed, so its control is unknown: leave alpha at 1")
    control = model.with_name(f"{Arm(CONTROL, seed).file_stem}.safetensors")
    if not control.is_file():
        raise UserError(
            f"no control {control} to blend with: put {control.name} and its card (.json) beside the model, or leave "
            "alpha at 1"
        )
    return control


def write_npy(path: Path, images: NDArray[np.float32]) -> None:
    """Write a `.npy` file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            np.save(file, images, allow_pickle=False)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _slices(
    weighted: list[tuple[float, Denoiser, str]],
    images: NDArray[np.float32],
    device: torch.device | str,
    progress: Progress | None,
) -> NDArray[np.float32]:
    """The sum of weight · denoiser(image), slice by slice."""
    result = np.zeros(images.shape, dtype=np.float32)
    for index in range(len(images)):
        for weight, denoiser, dtype in weighted:
            one = denoise(denoiser, images[index : index + 1], device=device, dtype=dtype)[0]
            result[index] += np.float32(weight) * one
        if progress is not None:
            progress(index + 1, len(images), "")
    return result
