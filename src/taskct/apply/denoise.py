"""Apply a trained denoiser to a user's images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from taskct.denoisers.blend import Blend
from taskct.denoisers.denoiser import denoise
from taskct.denoisers.tiling import find_reach
from taskct.errors import UserError
from taskct.files import write_npy
from taskct.io.dicom import read_series, read_slice
from taskct.io.dicom_write import check_free, write_series
from taskct.io.image_stack import read_npy
from taskct.names import ArmName, setting_text
from taskct.progress import Progress
from taskct.study.blend_file import load_blend
from taskct.study.models import denoiser_of
from taskct.training.checkpoints import load_weights, read_card


def load_model(path: Path, *, alpha: float | None = None) -> tuple[nn.Module, str]:
    """A trained denoiser, or a blend, and the precision it runs in, from its weights and card.

    Parameters
    ----------
    path
        Weights of an arm, or of a blend.
    alpha
        α: the share of the task in the blend. None is where a blend's dial stands, and 1 for an arm. Below 1 an arm
        needs the control, λ = 0 of the same training seed, beside it.

    Raises
    ------
    UserError
        If the weights or the card are missing, broken, or do not fit each other, α is out of range, or there is no
        control to blend with.
    """
    if alpha is not None and not 0.0 <= alpha <= 1.0:
        raise UserError(f"alpha is {alpha:g}: give the task's share of the blend, in [0, 1]")
    card = read_card(path)
    missing = [key for key in ("network", "arguments", "dtype") if key not in card]
    if missing:
        raise UserError(f"{path.with_suffix('.json')} lacks {missing[0]}: it must be the card that taskct wrote")
    if not isinstance(card["arguments"], dict) or card["dtype"] not in ("bfloat16", "float32"):
        raise UserError(f"{path.with_suffix('.json')} is broken: it must be the card that taskct wrote")
    if card.get("stage") == "blend":
        blend = load_blend(path, card)
        blend.alpha = blend.alpha if alpha is None else alpha
        return blend, str(card["dtype"])
    denoiser = denoiser_of(card)
    load_weights(path, {"denoiser": denoiser})
    if alpha is None or alpha == 1.0:
        return denoiser, str(card["dtype"])
    control, _ = load_model(control_of(path, card))
    return Blend(control, denoiser, alpha=alpha), str(card["dtype"])


def denoise_path(
    model: Path,
    source: Path,
    target: Path,
    *,
    alpha: float | None = None,
    tile: int | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Path:
    """Denoise a file or a series, by an arm, by its blend with the control, or by a blend's file.

    Parameters
    ----------
    model
        Weights of an arm or of a blend.
    source
        A `.npy` file in HU, `(height, width)` or `(n, height, width)`; a DICOM slice; or a folder with one series.
    target
        A `.npy` file for a `.npy` source; otherwise a folder that does not exist or is empty, or for a single slice a
        file that ends in .dcm.
    alpha
        α in [0, 1]: the result is (1 − α) · control + α · task, in HU; see `load_model`.
    tile
        Side of the pieces in which slices are denoised when memory is short, pixels; the result is the same.
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
    if tile is not None and tile < 16:
        raise UserError(f"tile is {tile} pixels: give at least 16, as 128 or 256")
    denoiser, dtype = load_model(model, alpha=alpha)
    run = _Slices(denoiser.to(device), dtype, tile=tile, device=device, progress=progress)
    if not source.exists():
        raise UserError(f"{source} does not exist: give a .npy file, a DICOM slice or a folder with a CT series")
    array = source.suffix == ".npy"
    if target.exists() and (array or not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} exists: choose another output, nothing is overwritten")
    if array != (target.suffix == ".npy"):
        wanted = (
            "the output of a .npy file is a .npy file"
            if array
            else "the output of DICOM is a folder, or a .dcm file for one slice"
        )
        raise UserError(f"{wanted}, not {target.name}")
    if array:
        images = read_npy(source)
        result = run(images if images.ndim == 3 else images[None])
        write_npy(target, result if images.ndim == 3 else result[0])
        return target
    check_free(target, single=not source.is_dir())
    if source.is_dir() and target.resolve().is_relative_to(source.resolve()):
        raise UserError(f"{target} lies inside {source}: choose a folder outside the series")
    # The network takes slices one by one, so a leaning stack does not matter.
    series = read_series(source, allow_tilt=True) if source.is_dir() else read_slice(source)
    result = run(series.image_hu)
    result[series.padding] = series.image_hu[series.padding]
    name = model.stem.encode("ascii", "replace").decode().replace("\\", "?")
    blend = f" alpha={setting_text(denoiser.alpha)}" if isinstance(denoiser, Blend) else ""
    write_series(result, series, target, description=f"taskct {name}"[: 64 - len(blend)] + blend)
    return target


def control_of(model: Path, card: dict[str, Any]) -> Path:
    """Weights of the control that lies beside a model: λ = 0 of the same training seed, with all else alike.

    Raises
    ------
    UserError
        If the card of the model names no seed or arm, or there is no control.
    """
    seed, name = card.get("seed"), card.get("arm")
    if not isinstance(seed, int) or not isinstance(name, str):
        raise UserError(f"{model.with_suffix('.json')} names no seed, so its control is unknown: leave alpha at 1")
    control = model.with_name(f"{ArmName.parse(name).of_seed(seed).control.file_stem}.safetensors")
    if not control.is_file():
        raise UserError(
            f"no control {control} to blend with: put {control.name} and its card (.json) beside the model, or leave "
            "alpha at 1"
        )
    return control


@dataclass
class _Slices:
    """Denoises stacks slice by slice, `(n, height, width)`, HU."""

    denoiser: nn.Module
    dtype: str
    tile: int | None
    device: torch.device | str
    progress: Progress | None

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        reach = None
        if self.tile is not None and self.tile < max(images.shape[1:]):
            # Once for all slices.
            reach = find_reach(self.denoiser, torch.from_numpy(np.array(images[0], dtype=np.float32)).to(self.device))
        result = np.empty(images.shape, dtype=np.float32)
        for index in range(len(images)):
            (result[index],) = denoise(
                self.denoiser,
                images[index : index + 1],
                device=self.device,
                dtype=self.dtype,
                tile=self.tile,
                reach=reach,
            )
            if self.progress is not None:
                self.progress(index + 1, len(images), "")
        return result
