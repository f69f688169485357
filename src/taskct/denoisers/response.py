"""How a network responds to contrast, to level and to far pixels, and what a user must know of that."""

from dataclasses import dataclass

import torch
from torch import nn

from taskct.denoisers.sizes import MAX_MULTIPLE, quiet_evaluation, takes

LEAST_RESPONSE = 0.1
"""Share of its output's spread by which a network must answer to twice the contrast, and to 1 s.d. more everywhere."""

MOST_FAR = 0.01
"""Share of its output's spread that a bright object far away may change."""


@dataclass(frozen=True)
class Response:
    """How a network in evaluation mode answers to Gaussian noise (s.d. 1) that is changed, over its output's spread."""

    contrast: float
    """RMS of f(2x) − f(x)."""
    level: float
    """RMS of f(x + 1) − f(x)."""
    far: float
    """RMS of the change in the first quarter of the columns by 10 more in the last."""
    distance: int
    """From the one to the other, pixels."""


def measure_response(network: nn.Module, *, n_pixels: int) -> Response | None:
    """Try how a network responds to contrast, to level and to far pixels; away from the border, but for the last.

    Parameters
    ----------
    network, n_pixels
        Maps `(n, 1, height, width)` to the same shape, and is left as it was; side of the image.

    Returns
    -------
    The response; None if the network takes no image of this size, or its output is the same in all pixels, as of some
    untrained networks, or is drawn at random.
    """
    image = torch.randn((1, 1, n_pixels, n_pixels), generator=torch.Generator().manual_seed(0))
    quarter = n_pixels // 4
    bright = image.clone()
    bright[..., n_pixels - quarter :] += 10.0
    with quiet_evaluation(network):
        if not takes(network, n_pixels, n_pixels):
            return None
        still = network(image.clone())
        again, double, shifted, moved = (network(x.clone()) - still for x in (image, 2 * image, image + 1, bright))
    spread = float(still.std())
    if not spread > 0 or float(again.abs().max()) > 1e-3 * spread:
        return None

    def share(change: torch.Tensor) -> float:
        return float(change.square().mean().sqrt()) / spread

    inner = (..., slice(quarter, n_pixels - quarter), slice(quarter, n_pixels - quarter))
    distance = n_pixels - 2 * quarter
    return Response(share(double[inner]), share(shifted[inner]), share(moved[..., :quarter]), distance)


def notes_of(response: Response | None, *, name: str) -> list[str]:
    """What a user must know of how a network responds, a line each."""
    if response is None:
        return []
    where, lines = f"denoiser.network {name!r}", []
    if response.contrast < LEAST_RESPONSE:
        lines.append(
            f"{where} does not respond to amplitude: an image of twice the contrast comes out the same, to "
            f"{response.contrast:.1%} of its spread, so contrast in HU is lost (instance normalization?)"
        )
    if response.level < LEAST_RESPONSE:
        lines.append(
            f"{where} does not respond to an offset: an image brighter by its s.d. in every pixel comes out the same, "
            f"to {response.level:.1%} of its spread, so the level in HU is lost (instance normalization?)"
        )
    if response.far > MOST_FAR:
        lines.append(
            f"{where} couples far pixels: a bright object {response.distance} pixels away changes its image by "
            f"{response.far:.0%} of its spread, so a region alone and in its slice come out unlike, and slices cannot "
            "be tiled (normalization or attention over the whole image?)"
        )
    return lines


def note_of_sizes(*, name: str, multiple: int | None, n_pixels: int) -> list[str]:
    """What a user must know of the sizes that a network takes, a line or none; as `find_multiple` found them."""
    where = f"denoiser.network {name!r}"
    if multiple is None:
        return [
            f"{where} takes images of {n_pixels} x {n_pixels} pixels, but not every multiple of any number up to "
            f"{MAX_MULTIPLE}: slices of other sizes cannot be padded for it, and `taskct denoise` refuses them"
        ]
    if multiple > 1:
        return [
            f"{where} takes images whose sides are multiples of {multiple} pixels: others are padded by reflection at "
            "the bottom and the right, and cropped"
        ]
    return []
