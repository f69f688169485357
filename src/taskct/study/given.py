"""The network of a study that comes with its weights: how it sees HU, and what its card says of it."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from taskct.config import Settings
from taskct.denoisers.denoiser import Denoiser
from taskct.errors import UserError
from taskct.study.models import size_multiple, twin
from taskct.training.given_weights import read_given_weights

TRIED_HU, TRIED_NOISE_HU = 40.0, 20.0
"""Mean and noise of the images on which a scaling is tried, HU: soft tissue at a low dose."""

MOST_SHIFT_HU = 10.0
"""By how much the mean of such images may change before it is told, HU."""


def given_denoiser(settings: Settings) -> tuple[Denoiser, dict[str, Any]]:
    """The network of `denoiser.weights` with its weights and scaling, and the part of its card that tells of them.

    A `UserError` if the file cannot be read or does not fit the network, or nothing says how the network sees HU.
    """
    d = settings.denoiser
    if d.weights is None:
        raise ValueError("the study gives no weights")
    path, network = Path(d.weights), twin(d.network, d.arguments)
    given = read_given_weights(path, network, d.network)
    network.load_state_dict(given.tensors)
    offset_hu = given.offset_hu if d.offset_hu is None else d.offset_hu
    scale_hu = given.scale_hu if d.scale_hu is None else d.scale_hu
    if offset_hu is None or scale_hu is None:
        raise UserError(
            f"denoiser.weights={path}: say how the network sees HU, as (HU - denoiser.offset_hu)/denoiser.scale_hu: "
            "for a window from L to H that became [0, 1] they are L and H - L, for HU as they are 0 and 1"
        )
    multiple = size_multiple(d.network, d.arguments)
    denoiser = Denoiser(network, offset_hu=offset_hu, scale_hu=scale_hu, size_multiple=multiple)
    told = {"file": path.name, "sha256": given.sha256, "found": given.found}
    return denoiser, {"weights_from": told, "offset_hu": offset_hu, "scale_hu": scale_hu}


def shift_note(denoiser: nn.Module, name: str, *, n_pixels: int) -> list[str]:
    """A line if the mean of soft tissue does not stay where it is: the scaling that was stated may be another's."""
    generator = torch.Generator().manual_seed(0)
    image = TRIED_HU + TRIED_NOISE_HU * torch.randn((1, n_pixels, n_pixels), generator=generator)
    with torch.no_grad():
        mean = float(denoiser.eval()(image).mean())
    if abs(mean - TRIED_HU) <= MOST_SHIFT_HU:
        return []
    return [
        f"denoiser.network {name!r} with its weights makes {mean:.4g} HU of even tissue of {TRIED_HU:g} HU with noise "
        f"of {TRIED_NOISE_HU:g} HU: are denoiser.offset_hu and denoiser.scale_hu those of its training?"
    ]
