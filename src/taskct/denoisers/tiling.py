"""Whole slices in pieces, with the result of doing them at once."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from taskct.denoisers.reach import MAX_ALIGNMENT, measured_alignment, receptive_radius, wraps_around
from taskct.errors import UserError

FIRST_PROBE, LAST_PROBE = 64, 512
"""Sides of the images on which the reach is looked for, pixels: the first, doubled up to the last or to four times
the image at hand, when tiles could save nothing."""


@dataclass(frozen=True)
class Reach:
    """What must be known of a denoiser to cut its images in pieces."""

    radius: int
    """How far an output pixel reaches, pixels."""
    alignment: int
    """Pieces must start at multiples of this, pixels."""


class _HUNetwork(nn.Module):
    """A denoiser of HU in the form of a network, around the level and spread of the images at hand."""

    def __init__(self, denoiser: nn.Module, *, mean_hu: float, std_hu: float) -> None:
        super().__init__()
        self.denoiser, self.mean_hu, self.std_hu = denoiser, mean_hu, std_hu
        # Of the network inside a `Denoiser`, or of both inside a blend.
        named = [a for part in denoiser.modules() if isinstance(a := getattr(part, "alignment", None), int)]
        if named:
            self.alignment = math.lcm(*named)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = (self.denoiser(image[:, 0] * self.std_hu + self.mean_hu) - self.mean_hu) / self.std_hu
        return output[:, None]


def find_reach(denoiser: nn.Module, image_hu: torch.Tensor) -> Reach:
    """Find the radius and alignment of a denoiser, or that it cannot be tiled exactly.

    Parameters
    ----------
    denoiser
        Maps HU `(n, height, width)` to the same. It, or modules in it, may name an `alignment` in pixels: the result is
        then a common multiple of these and of what is measured.
    image_hu
        An image it is for, HU, shape `(height, width)`, on the denoiser's device.

    Raises
    ------
    UserError
        If every output pixel depends on pixels as far away as the probe goes, as with a normalization over the whole
        image; if opposite borders are coupled; or if the result does not move with the image.
    """
    std = float(image_hu.float().std(correction=0))
    network = _HUNetwork(denoiser, mean_hu=float(image_hu.float().mean()), std_hu=std if std > 0 else 1.0).eval()
    advice = "leave tile out, so that whole slices are denoised at once"
    last = min(LAST_PROBE, 4 * max(image_hu.shape))
    side = FIRST_PROBE
    while (radius := receptive_radius(network, n_pixels=side)) >= side // 2:
        if side >= last:
            raise UserError(
                f"this denoiser cannot run in tiles: an output pixel depends on pixels {radius} or more away (does it "
                f"normalize over the whole image?); {advice}"
            )
        side *= 2
    if wraps_around(network, radius=radius, n_pixels=side):
        raise UserError(
            "this denoiser cannot run in tiles: one border of the image depends on the opposite one (circular "
            f"padding?); {advice}"
        )
    n = 2 * (radius + MAX_ALIGNMENT) + FIRST_PROBE
    probe = torch.randn((1, 1, n, n), generator=torch.Generator().manual_seed(1)).to(image_hu.device)
    measured = measured_alignment(network, radius=radius, probe=probe)
    if measured is None:
        raise UserError(
            "this denoiser cannot run in tiles: what it makes of a pixel depends on where that lies in the image, or "
            f"is drawn at random; {advice}"
        )
    # What is padded to a multiple must start on one, so that only the image's own end is padded.
    multiples = [m for part in denoiser.modules() if isinstance(m := getattr(part, "size_multiple", None), int)]
    alignment = math.lcm(measured, getattr(network, "alignment", 1), *multiples)
    return Reach(radius=radius, alignment=alignment)


def _pieces(n_pixels: int, tile: int, reach: Reach) -> Iterator[tuple[int, int, int, int]]:
    """Start and end of every piece with its halo, and of its own part, along one side of the image."""
    step = max(tile // reach.alignment, 1) * reach.alignment
    halo = -(-reach.radius // reach.alignment) * reach.alignment
    for start in range(0, n_pixels, step):
        end = min(start + step, n_pixels)
        # Cut off at the image's border, where the network's own padding belongs.
        yield max(start - halo, 0), min(end + halo, n_pixels), start, end


def run_in_tiles(
    run: Callable[[torch.Tensor], torch.Tensor], image_hu: torch.Tensor, *, tile: int, reach: Reach
) -> torch.Tensor:
    """Run a denoiser on pieces of images, each with a halo of its reach, and put their own parts together.

    `run` maps HU `(n, height, width)` to the same. `tile` is a piece's side without its halo, pixels; it is rounded
    down to a multiple of the alignment, or up to the first. The result is `run(image_hu)`, but for the rounding of sums
    in another order; float32 HU, on the images' device.
    """
    result = torch.empty(image_hu.shape, dtype=torch.float32, device=image_hu.device)
    height, width = image_hu.shape[1:]
    for top, bottom, first_row, end_row in _pieces(height, tile, reach):
        for left, right, first_column, end_column in _pieces(width, tile, reach):
            piece = run(image_hu[:, top:bottom, left:right].contiguous())
            own = piece[:, first_row - top : end_row - top, first_column - left : end_column - left]
            result[:, first_row:end_row, first_column:end_column] = own.to(result.device)
    return result
