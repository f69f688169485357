"""Apply a trained denoiser to a user's images."""

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from taskct.apply.after import check_after
from taskct.apply.validity import Measured, Validity, compare, measure, some_of, told_in_a_line
from taskct.denoisers.blend import Blend
from taskct.denoisers.denoiser import autocast
from taskct.denoisers.denoiser import denoise as denoise_stack
from taskct.denoisers.import_path import trust_network
from taskct.denoisers.prices import PRICE
from taskct.denoisers.task_path import TaskPath, correct_images
from taskct.denoisers.tiling import Reach, find_reach
from taskct.errors import UserError, memory_wanted
from taskct.io.volume import Volume
from taskct.machine import resolve_device
from taskct.names import NARROW, ArmName, percent_text, setting_text
from taskct.progress import Progress
from taskct.study.cards import read_denoiser_card
from taskct.study.models import load_blend, load_denoiser_of, load_task_path
from taskct.study.run_folder import check_model
from taskct.trials.trials import crop

SLICE_PIXELS = 2**18
"""Pixels that are denoised at a time, or those of one slice that has more."""


class LoadedDenoiser(nn.Module):
    """A trained denoiser of a run: HU in, HU out, in the precision that it was trained in.

    `denoiser` maps HU `(n, height, width)` to the same; `card` is what its file says of it: `arm`, `seed`, `network`,
    `pixel_mm` and more.
    """

    def __init__(self, denoiser: nn.Module, card: Mapping[str, Any]) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.card = dict(card)
        self.eval()

    @property
    def dtype(self) -> str:
        """The precision that it runs in, "bfloat16" or "float32"; images are float32 before and after."""
        return str(self.card["dtype"])

    @property
    def alpha(self) -> float | None:
        """α, the dial of a blend; None for others."""
        return self.denoiser.alpha if isinstance(self.denoiser, Blend) else None

    @property
    def price(self) -> float | None:
        """The dial of a task path: RMSE over its control's on validation trials, less 1; None for others."""
        return self.denoiser.price if isinstance(self.denoiser, TaskPath) else None

    @property
    def rmse_validation_hu(self) -> float | None:
        """RMSE on validation trials where the dial of a task path stands, HU; None for others."""
        if not isinstance(self.denoiser, TaskPath):
            return None
        square = self.denoiser.square
        return math.sqrt(square.control) * square.rmse_ratio(self.denoiser.strength)

    def forward(
        self,
        image_hu: torch.Tensor | NDArray[np.generic],
        *,
        price: float | None = None,
        anyway: bool = False,
        after: NDArray[np.generic] | None = None,
    ) -> torch.Tensor | NDArray[np.float32]:
        """Denoise images, HU, shape `(n, height, width)` or `(height, width)`, to float32 HU of the same shape.

        Parameters
        ----------
        image_hu
            A tensor, or an array, which makes an array.
        price
            Of a task path, for these images alone: RMSE over its control's, less 1, from 0 to 0.2. None is where its
            dial stands.
        anyway, after
            Of arrays, as for `denoise`; tensors are not held against what the model learned on.

        Raises
        ------
        UserError
            If a price is out of range or this is no task path, and for arrays as `denoise`.
        """
        with self._at(price):
            if not isinstance(image_hu, torch.Tensor):
                return denoise(self, image_hu, anyway=anyway, after=after)
            stack = image_hu if image_hu.ndim > 2 else image_hu[None]
            with autocast(image_hu.device, self.dtype):
                output: torch.Tensor = self.denoiser(stack)
            return output.float() if image_hu.ndim > 2 else output.float()[0]

    @contextlib.contextmanager
    def _at(self, price: float | None) -> Iterator[None]:
        """The dial of a task path somewhere else for a while."""
        if price is None:
            yield
            return
        if not isinstance(self.denoiser, TaskPath):
            raise UserError(f"price is {price:g}, but {_NO_PATH}")
        before = self.denoiser.price
        self.denoiser.price = price
        try:
            yield
        finally:
            self.denoiser.price = before

    def __repr__(self) -> str:
        n = sum(parameter.numel() for parameter in self.parameters())
        name, dial = self.card.get("arm") or self.card.get("task"), ""
        if self.alpha is not None:
            dial = f" blended with its control, alpha={setting_text(self.alpha)}"
        if self.price is not None:
            dial = (
                f" at a price of {percent(self.price)} in RMSE, {self.rmse_validation_hu:.4g} HU on validation trials"
            )
        network = f"{self.card['network']} of {n:,} weights"
        return f"{type(self).__name__}({name}{dial}, seed={self.card.get('seed')}, {network}, {self.dtype})"


_NO_PATH = (
    "this is no task path, the only denoiser with a price: give alpha to a blend, or the file of a path, "
    "RUN/models/path_seed=0.safetensors"
)


def percent(price: float) -> str:
    """As 2%, in ASCII for headers."""
    return percent_text(price).replace(NARROW, "")


def load_denoiser(
    path: str | Path, alpha: float | None = None, *, price: float | None = None, trust: Sequence[str] = ()
) -> LoadedDenoiser:
    """A trained denoiser, a blend or a task path, from its weights and card.

    Parameters
    ----------
    path
        Weights of an arm, `RUN/models/ARM.safetensors`, of a blend, or of a task path,
        `RUN/models/path_seed=0.safetensors`.
    alpha
        α in [0, 1]: the share of the task in the blend. None is where a blend's dial stands, and 1 for an arm. Below 1
        an arm needs the control, λ = 0 of the same training seed, beside it.
    price
        Where the dial of a task path stands: RMSE over its control's on validation trials, less 1, from 0 to 0.2. None
        is where its card has it.
    trust
        Import paths of networks outside taskct, such as `("monai.networks.nets.BasicUNet",)`, which may be imported
        where the card names them. Importing runs their code.

    Returns
    -------
    A module in evaluation mode, on the CPU.

    Raises
    ------
    UserError
        If the weights or the card are missing, broken, changed since their training, or do not fit each other, α or
        the price is out of range or not this file's dial, or there is no control to blend with.
    """
    path = Path(path)
    trust_network(*trust)
    if alpha is not None and not 0.0 <= alpha <= 1.0:
        raise UserError(f"alpha is {alpha:g}: give the task's share of the blend, in [0, 1]")
    if price is not None:
        PRICE.check("price", price)
    card = read_denoiser_card(path)
    check_model(path)
    if card.get("stage") == "path":
        if alpha is not None:
            raise UserError(
                f"{path} is a task path, whose dial is its price in RMSE: give a price, as 0.02 (2%), and no alpha"
            )
        task_path = load_task_path(path, card)
        task_path.price = task_path.price if price is None else price
        return LoadedDenoiser(task_path, card)
    if price is not None:
        raise UserError(f"{path}: {_NO_PATH}")
    if card.get("stage") == "blend":
        blend = load_blend(path, card)
        blend.alpha = blend.alpha if alpha is None else alpha
        return LoadedDenoiser(blend, card)
    denoiser = load_denoiser_of(path, card)
    if alpha is None or alpha == 1.0:
        return LoadedDenoiser(denoiser, card)
    control = load_denoiser(control_of(path, card)).denoiser
    return LoadedDenoiser(Blend(control, denoiser, alpha=alpha), card)


def denoise(
    denoiser: nn.Module,
    images: NDArray[np.generic] | Volume,
    *,
    margin: int = 0,
    tile: int | None = None,
    device: str | torch.device | None = None,
    progress: Progress | None = None,
    pixel_mm: float | None = None,
    anyway: bool = False,
    after: NDArray[np.generic] | None = None,
) -> NDArray[np.float32]:
    """Denoise images, or a CT series.

    The images are held against what the denoiser learned on, if it is one of `load_denoiser`: pixel size, noise and
    range of HU. What lies outside is warned of in one line.

    Parameters
    ----------
    denoiser
        Maps HU `(n, height, width)` to the same, as `load_denoiser` gives it. A module of another kind runs in float32.
    images
        HU, shape `(n, height, width)` or `(height, width)`; or a series as `read_series` gives it, whose padding stays
        as it is.
    margin
        Pixels to cut from each side of the result, as `Trials.margin`.
    tile
        Side of the pieces in which slices are denoised when memory is short, at least 16 pixels; the result is the
        same. None is whole slices.
    device
        Where to run, "cpu", "cuda" or "auto"; the denoiser goes there. None is where it is.
    progress
        Called as (slices done, in all, nothing).
    pixel_mm
        Side of a pixel of an array, mm; None where it is not known. A series has its own.
    anyway
        Whether to denoise images that lie far outside what the denoiser learned on.
    after
        Of a task path that starts from a denoiser elsewhere: what that made of the images, HU, of their shape.

    Returns
    -------
    HU, of the shape of the images less the margin.

    Raises
    ------
    UserError
        If the images have another shape or are not finite, lie far outside what the denoiser learned on, a tile is too
        small, the denoiser cannot be run in tiles, its images are not finite, or memory is short.
    """
    network = denoiser.denoiser if isinstance(denoiser, LoadedDenoiser) else denoiser
    check_after(network, given=after is not None, tile=tile)
    if isinstance(images, Volume):
        check_validity(denoiser, volume_measured(images), "the series", anyway=anyway)
        how: dict[str, Any] = {"tile": tile, "device": device, "progress": progress, "after": _shaped(after, images)}
        result = _denoise_stack(denoiser, images.image_hu, **how)
        if images.padding is not None:
            result[images.padding] = images.image_hu[images.padding]
        return crop(result, margin)
    images_hu = np.asarray(images)
    stack = images_hu[None] if images_hu.ndim == 2 else images_hu
    if stack.ndim != 3 or not stack.size:
        raise UserError(f"images of shape {images_hu.shape}: give (n, height, width) or (height, width), HU")
    if stack.dtype.kind not in "biuf" or not np.isfinite(stack).all():
        raise UserError(f"images of {stack.dtype} hold what is no finite real number: give HU")
    if isinstance(denoiser, LoadedDenoiser):
        measured = measure([(stack[i], None) for i in some_of(len(stack))], pixel_mm=pixel_mm)
        check_validity(denoiser, measured, "the input", anyway=anyway)
    how = {"tile": tile, "device": device, "progress": progress, "after": _shaped(after, images_hu)}
    result = _denoise_stack(denoiser, stack, margin=margin, **how)
    return result[0] if images_hu.ndim == 2 else result


def _shaped(after: NDArray[np.generic] | None, images: NDArray[np.generic] | Volume) -> NDArray[np.float32] | None:
    """What a denoiser elsewhere made of images, `(n, height, width)`; a `UserError` if it is not of their shape."""
    if after is None:
        return None
    shape = images.image_hu.shape if isinstance(images, Volume) else images.shape
    made = np.asarray(after, dtype=np.float32)
    if made.shape != shape or not np.isfinite(made).all():
        raise UserError(f"after is of shape {made.shape} or not finite: give finite HU of the images' shape {shape}")
    return made[None] if made.ndim == 2 else made


def volume_measured(volume: Volume) -> Measured:
    """What a volume is like."""
    which = some_of(len(volume.image_hu))
    some = [(volume.image_hu[i], None if volume.padding is None else volume.padding[i]) for i in which]
    return measure(some, pixel_mm=math.sqrt(math.prod(volume.pixel_mm)), slice_mm=volume.slice_mm)


def check_validity(
    denoiser: nn.Module,
    measured: Measured,
    name: str,
    *,
    anyway: bool,
    tell: Callable[[str], object] = warnings.warn,
) -> Validity | None:
    """Tell of an input outside what a denoiser learned on; a `UserError` if it is far outside, but for `anyway`.

    None for a module that has no card.
    """
    if not isinstance(denoiser, LoadedDenoiser):
        return None
    validity = compare(denoiser.card, measured)
    if validity.far and not anyway:
        raise UserError(told_in_a_line(name, validity.far, refused=True))
    if validity.outside:
        tell(told_in_a_line(name, validity.outside))
    return validity


def _denoise_stack(
    denoiser: nn.Module,
    stack: NDArray[np.generic],
    *,
    margin: int = 0,
    tile: int | None,
    device: str | torch.device | None,
    progress: Progress | None,
    after: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    """Denoise images `(n, height, width)` that are known to be finite HU."""
    run, parts = Runner(denoiser, stack.shape[1:], margin=margin, tile=tile, device=device), []
    for first in range(0, len(stack), run.step):
        some = stack[first : first + run.step]
        parts.append(run(some, None if after is None else after[first : first + run.step]))
        if progress is not None:
            progress(first + len(some), len(stack), "")
    return np.concatenate(parts)


class Runner:
    """A denoiser where it runs, for some slices of one size at a time.

    Parameters and errors are those of `denoise`; `shape` is that of a slice. `step` says how many slices to give at a
    time: with other numbers the last bits may differ.
    """

    def __init__(
        self,
        denoiser: nn.Module,
        shape: Sequence[int],
        *,
        margin: int = 0,
        tile: int | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        if not isinstance(denoiser, nn.Module):
            kind = type(denoiser).__name__
            raise UserError(
                f"the denoiser is a {kind}: give a torch.nn.Module, as `load_denoiser` does, or a training's"
            )
        if tile is not None and tile < 16:
            raise UserError(f"tile is {tile} pixels: give at least 16, as 128 or 256")
        self._where = next((p.device for p in denoiser.parameters()), torch.device("cpu"))
        if device is not None:
            self._where = resolve_device(str(device))
            denoiser.to(self._where)
        self._network, self._dtype = denoiser, "float32"
        if isinstance(denoiser, LoadedDenoiser):
            self._network, self._dtype = denoiser.denoiser, denoiser.dtype
        self._shape, self._margin, self._tile = shape, margin, tile
        self._reach: Reach | None = None
        self.step = max(SLICE_PIXELS // math.prod(shape), 1)

    def __call__(self, images_hu: NDArray[Any], after: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Denoise images `(n, height, width)`, HU; `after` is as for `denoise`, and takes no tiles."""
        if after is not None and isinstance(self._network, TaskPath):
            how: dict[str, Any] = {"device": self._where, "dtype": self._dtype, "margin": self._margin}
            with _memory_told(self._shape, self._where, self._tile):
                return correct_images(self._network, np.asarray(images_hu, dtype=np.float32), after, **how)
        with _memory_told(self._shape, self._where, self._tile):
            if self._reach is None and self._tile is not None and self._tile < max(self._shape):
                # Once for all slices.
                first = torch.from_numpy(np.array(images_hu[0], dtype=np.float32)).to(self._where)
                self._reach = find_reach(self._network, first)
            return denoise_stack(
                self._network,
                images_hu,
                device=self._where,
                dtype=self._dtype,
                margin=self._margin,
                batch_size=self.step,
                tile=self._tile,
                reach=self._reach,
            )


@contextlib.contextmanager
def _memory_told(shape: Sequence[int], device: torch.device, tile: int | None) -> Iterator[None]:
    """One line where memory is short: for what, how much was wanted, and what to do."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # of the processor or of the GPU
        if (wanted := memory_wanted(error)) is None:
            raise
        advice = "give --tile 256" if tile is None else f"give a smaller --tile than {tile}"
        raise UserError(
            f"not enough memory on {device} to denoise slices of {shape[0]} x {shape[1]} pixels{wanted}: {advice}, or "
            "free memory; the result is the same in tiles"
        ) from error


def control_of(model: Path, card: dict[str, Any]) -> Path:
    """Weights of the control that lies beside a model: λ = 0 of the same training seed, with all else alike."""
    seed, name = card.get("seed"), card.get("arm")
    if not isinstance(seed, int) or not isinstance(name, str):
        raise UserError(f"{model.with_suffix('.json')} names no seed, so its control is unknown: leave alpha at 1")
    try:
        control = model.with_name(f"{ArmName.parse(name).of_seed(seed).control.file_stem}.safetensors")
    except ValueError:
        raise UserError(
            f"{model.with_suffix('.json')} names no arm, so its control is unknown: leave alpha at 1"
        ) from None
    if not control.is_file():
        raise UserError(
            f"no control {control} to blend with: put {control.name} and its card (.json) beside the model, or leave "
            "alpha at 1"
        )
    return control
