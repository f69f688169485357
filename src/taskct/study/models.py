"""Networks, losses, observer heads and blends as a study's settings say, and as a run folder keeps them."""

import functools
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from taskct.config import Settings
from taskct.denoisers.blend import Blend
from taskct.denoisers.denoiser import NETWORKS, Denoiser, denoise, make_network, resolve_dtype, rounds_image
from taskct.denoisers.elsewhere import ELSEWHERE, Elsewhere
from taskct.denoisers.prices import SquaredError
from taskct.denoisers.sizes import find_multiple
from taskct.denoisers.task_path import Correction, TaskPath
from taskct.observers.channels import dense_dog, gabor, laguerre_gauss, sparse_dog
from taskct.observers.grouped_head import GroupedHead
from taskct.observers.slnn_head import SLNNHead
from taskct.study.arms import BLEND, Arm
from taskct.study.cards import ABOUT, read_denoiser_card
from taskct.study.groups import group_labels
from taskct.study.run_folder import RunFolder, check_model
from taskct.training.checkpoints import check_fit, load_tensors, load_weights, of_module, read_shapes, save_tensors
from taskct.training.losses import find_loss
from taskct.training.losses.base import Loss, LossContext

Kind = Literal["pixel", "eye", "channels"]

SIZE_MULTIPLE = "size_multiple"
"""Key of a card: to a multiple of what the denoiser pads images, pixels."""

LG_WIDTH = 1.5
"""Width of the Laguerre–Gauss channels over the signal's mean diameter: channel 0 then falls off as its rim does."""


def build_denoiser(settings: Settings, *, offset_hu: float, scale_hu: float, seed: int) -> Denoiser:
    """A denoiser with freshly drawn weights."""
    name, arguments = settings.denoiser.network, settings.denoiser.arguments
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = make_network(name, arguments)
    return Denoiser(network, offset_hu=offset_hu, scale_hu=scale_hu, size_multiple=size_multiple(name, arguments))


def load_denoiser_of(path: Path, card: Mapping[str, Any]) -> Denoiser:
    """The denoiser that a card describes, with the weights of a file; a `UserError` if they do not fit each other."""
    _check_shapes(path, card, read_shapes(path), "denoiser")
    denoiser = _denoiser_of(card)
    load_weights(path, {"denoiser": denoiser})
    return denoiser


def _denoiser_of(card: Mapping[str, Any]) -> Denoiser:
    """A denoiser as a card says, its weights and scaling yet to be loaded."""
    name, arguments = card["network"], card["arguments"]
    if name == ELSEWHERE:
        return Elsewhere()
    network = make_network(name, arguments)
    multiple = card.get(SIZE_MULTIPLE) or size_multiple(name, arguments)  # none in a card from before there was padding
    return Denoiser(network, offset_hu=0.0, scale_hu=1.0, size_multiple=multiple)


def _check_shapes(path: Path, card: Mapping[str, Any], shapes: Mapping[str, torch.Tensor], *parts: str) -> None:
    """Compare the weights' shapes with the card's network before memory is taken for it.

    Of a network from outside taskct, which the user trusts, they are compared once it is built: not every constructor
    runs without memory.
    """
    if card["network"] in (*NETWORKS, ELSEWHERE):
        with torch.device("meta"):
            outline = _denoiser_of(card)
        check_fit(path, dict.fromkeys(parts, outline), shapes)


def size_multiple(name: str, arguments: Mapping[str, Any]) -> int:
    """To a multiple of what images are padded for a network, pixels; 1 for one that takes any size, or but one size."""
    return 1 if name in NETWORKS else _find_multiple(name, json.dumps(arguments))


def network_dtype(settings: Settings, device: torch.device) -> str:
    """The precision in which a study's network trains and runs: "bfloat16" or "float32".

    What `training.dtype` says. For auto it is float32, wherever it runs, if bfloat16 would round the image itself, or
    the network comes with its weights: others run those in float32.
    """
    dtype = settings.training.dtype
    if dtype == "auto" and settings.denoiser.weights is not None:
        return "float32"
    found = resolve_dtype(dtype, device)
    return "float32" if dtype == "auto" and found == "bfloat16" and rounds_own_image(settings) else found


def rounds_own_image(settings: Settings) -> bool:
    """Whether bfloat16 would round the image of a study's network itself, see `rounds_image`."""
    d, t = settings.denoiser, settings.trials
    side = t.region_pixels + 2 * t.margin_pixels
    return _rounds_image(d.network, json.dumps(d.arguments), side)


def twin(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """A network to try things on, which no training uses; the generators are left as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make_network(name, arguments)


@functools.lru_cache
def _find_multiple(name: str, arguments: str) -> int:
    return find_multiple(twin(name, json.loads(arguments))) or 1


@functools.lru_cache
def _rounds_image(name: str, arguments: str, n_pixels: int) -> bool:
    network = twin(name, json.loads(arguments))
    return rounds_image(network, n_pixels=n_pixels, multiple=size_multiple(name, json.loads(arguments)))


def denoiser_of_arm(run: RunFolder, arm: Arm) -> tuple[Denoiser, dict[str, Any]]:
    """A trained denoiser of a run, no task path, and its card."""
    path = run.weights(arm.weights_stem)
    check_model(path)
    card = read_denoiser_card(path)
    return load_denoiser_of(path, card).to(run.device), card


def path_of_arm(run: RunFolder, arm: Arm) -> tuple[TaskPath, dict[str, Any]]:
    """The task path of a run at the price of an arm, and its card."""
    path = run.weights(arm.weights_stem)
    check_model(path)
    card = read_denoiser_card(path)
    found = load_task_path(path, card)
    found.price = arm.price or 0.0
    return found.to(run.device), card


def load_task_path(path: Path, card: Mapping[str, Any]) -> TaskPath:
    """A task path from its file, its dial where the card has it; a `UserError` if they do not fit each other."""
    _check_shapes(path, card, read_shapes(path), "control")
    control, correction = _denoiser_of(card), Correction(**card["correction"])
    load_weights(path, {"control": control, "correction": correction})
    return TaskPath(control, correction, square=SquaredError(*card["squared_error_hu2"]), price=float(card["price"]))


def squared_error_of(run: RunFolder, arm: Arm) -> SquaredError:
    """The mean squared error along the task path of an arm, on validation trials."""
    return SquaredError(*read_denoiser_card(run.weights(arm.weights_stem))["squared_error_hu2"])


def build_loss(settings: Settings, regions: NDArray[np.float32]) -> Loss:
    """The loss that `training.loss` names, on regions like these of the start network, HU `(n, h, w)`; not started."""
    scaling = {"offset_hu": float(regions.mean()), "scale_hu": float(regions.std())}
    context = LossContext(
        shape=regions.shape[1:],
        heads=lambda: [build_head(settings, kind, **scaling) for kind in head_kinds(settings)],
        head_training=settings.training.head_training,
        channels=lambda: channels(settings),
        internal_noise_hu=settings.observers.internal_noise_hu,
    )
    return find_loss(settings.training.loss).of(context)


def head_kinds(settings: Settings) -> tuple[Kind, ...]:
    """What the heads of `training.head` see; the first is the one that is reported."""
    return cast(tuple[Kind, ...], tuple(settings.training.head.split("+")))


def build_head(settings: Settings, kind: Kind, *, offset_hu: float, scale_hu: float) -> SLNNHead | GroupedHead:
    """An untrained observer head on the study's region."""
    side, o = settings.trials.region_pixels, settings.observers
    heads = []
    for number in range(len(group_labels(settings))):
        own: dict[str, Any] = {}
        if kind == "eye":
            own = {
                "pixel_mm": settings.scanner.pixel_mm,
                "viewing_distance_mm": o.viewing_distance_mm,
                "magnification": o.magnification,
            }
        elif kind == "channels":
            own = {"channel_matrix": channels(settings, group=number)}
        if kind != "pixel":
            own["internal_noise_hu"] = o.internal_noise_hu
        heads.append(SLNNHead((side, side), kind=kind, offset_hu=offset_hu, scale_hu=scale_hu, **own))
    return heads[0] if len(heads) == 1 else GroupedHead(heads)


def channels(settings: Settings, *, group: int = 0) -> NDArray[np.float64]:
    """Channels on the study's region, shape `(n_pixels, n_channels)`.

    They stand at every listed site, or at the site of a group where there is a head per site; where sites are drawn at
    random, in the region's middle alone.
    """
    t, g, side, pixel_mm = settings.training, settings.signal, settings.trials.region_pixels, settings.scanner.pixel_mm
    sites = g.sites_mm if g.site == "list" else ((0.0, 0.0),)
    if t.head_per == "site":
        sites = sites[group : group + 1]
    width_px = LG_WIDTH * sum(g.diameter_mm) / 2.0 / pixel_mm
    kinds: dict[str, Callable[..., NDArray[np.float64]]] = {
        "lg": functools.partial(laguerre_gauss, width_px=width_px),
        "gabor": gabor,
        "sdog": sparse_dog,
        "ddog": dense_dog,
    }
    make = kinds[t.head_channels]
    middle = (side - 1) / 2.0
    centres = [(middle + y / pixel_mm, middle + x / pixel_mm) for x, y in sites]
    return np.concatenate([make((side, side), centre=centre) for centre in centres], axis=1)


def load_head(run: RunFolder, arm: Arm) -> SLNNHead | GroupedHead:
    """The observer head that was trained with an arm; the first of several."""
    if arm.head is None or not arm.trained:
        raise ValueError(f"{arm.name} has no head")
    settings = arm.settings(run.settings)
    head = build_head(settings, head_kinds(settings)[0], offset_hu=0.0, scale_hu=1.0)
    load_weights(run.weights(arm.weights_stem), {"head": head})
    return head


def head_statistic(
    head: SLNNHead | GroupedHead, images: NDArray[np.float32], group: NDArray[np.int64], *, seed: int
) -> NDArray[np.float64]:
    """Test statistic of regions `(n, h, w)`, each from the head of its group; the seed is of internal noise."""
    generator = torch.Generator().manual_seed(seed)
    if isinstance(head, GroupedHead):
        return head.test_statistic(images, group, generator)
    return head.test_statistic(images, generator)


def blend_path(run: RunFolder, arm: Arm) -> Path:
    """The file of the blend of an arm with its control."""
    return run.weights(arm.file_stem + BLEND)


def save_blend(run: RunFolder, arm: Arm) -> None:
    """Write the blend of a λ arm with its control, without repeating layers that the two have in common.

    Its dial stands where the RMSE on the validation trials is `evaluation.tolerance` above the control's.
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
    kept = ("schema", "seed", "network", "arguments", SIZE_MULTIPLE, "dtype", "pixel_mm", *ABOUT)
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
    _check_shapes(path, card, _with_shared(read_shapes(path)), "control", "task")
    control, task = _denoiser_of(card), _denoiser_of(card)
    load_weights(path, {"control": control, "task": task}, tensors=_with_shared(load_tensors(path)))
    return Blend(control, task, alpha=float(card["alpha"]))


def _with_shared(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of a blend's file with those of its task that are the control's, and stored once."""
    shared = {f"task.{key}": value for key, value in of_module(tensors, "control").items()}
    return {**shared, **tensors}
