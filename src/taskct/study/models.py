"""Networks and observer heads as a study's settings say, and as a run folder keeps them."""

import functools
from collections.abc import Callable
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from taskct.config import Settings
from taskct.denoisers.denoiser import Denoiser, make_network
from taskct.observers.channels import dense_dog, gabor, laguerre_gauss, sparse_dog
from taskct.observers.slnn_head import GroupedHead, SLNNHead
from taskct.study.arms import Arm
from taskct.study.groups import group_labels
from taskct.study.stages import RunFolder
from taskct.training.checkpoints import load_weights, read_card

Kind = Literal["pixel", "eye", "channels"]

LG_WIDTH = 1.5
"""Width of the Laguerre–Gauss channels over the signal's mean diameter: channel 0 then falls off as its rim does."""


def build_denoiser(settings: Settings, *, offset_hu: float, scale_hu: float, seed: int) -> Denoiser:
    """A denoiser with freshly drawn weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = make_network(settings.denoiser.network, settings.denoiser.arguments)
    return Denoiser(network, offset_hu=offset_hu, scale_hu=scale_hu)


def load_denoiser(run: RunFolder, arm: Arm) -> tuple[Denoiser, dict[str, Any]]:
    """A trained denoiser of a run and its card."""
    path = run.weights(arm.file_stem)
    card = read_card(path)
    network = make_network(str(card["network"]), card["arguments"])
    denoiser = Denoiser(network, offset_hu=0.0, scale_hu=1.0)
    load_weights(path, {"denoiser": denoiser})
    return denoiser.to(run.device), card


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
    load_weights(run.weights(arm.file_stem), {"head": head})
    return head


def head_statistic(
    head: SLNNHead | GroupedHead, images: NDArray[np.float32], group: NDArray[np.int64], *, seed: int
) -> NDArray[np.float64]:
    """Test statistic of regions `(n, h, w)`, each from the head of its group; the seed is of internal noise."""
    generator = torch.Generator().manual_seed(seed)
    if isinstance(head, GroupedHead):
        return head.test_statistic(images, group, generator)
    return head.test_statistic(images, generator)
