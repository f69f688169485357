"""A plain convolutional denoiser with a second path that sees further at a quarter of the cost."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from taskct.denoisers.dilated import DilatedConv2d
from taskct.denoisers.exporting import exporting


class ContextCNN(nn.Module):
    """Two stacks of 3 × 3 convolutions whose outputs are summed: one for detail, one for what lies around.

    The context path works at half the resolution with dilated convolutions, so that a layer reaches 2 to 4 pixels and
    more at a quarter of the cost of a full one. What tells a lesion from a lump of the background is often wider than
    what the noise is removed by. The output is the input minus the predicted noise.

    Parameters
    ----------
    n_layers, n_channels
        Convolutions of the detail path, at least 2, and feature maps between them.
    dilations
        Of the context path's layers, each at least 1; there is one layer before and one of 1 × 1 after them.
    context_channels
        Feature maps of the context path.

    Notes
    -----
    With its defaults it reaches 2 · (1 + 1 + 1 + 2 + 2 + 1) + 2 pixels to each side. Tiles must start on even pixels.
    """

    alignment = 2

    def __init__(
        self,
        *,
        n_layers: int = 4,
        n_channels: int = 24,
        dilations: Sequence[int] = (1, 1, 2, 2, 1),
        context_channels: int = 24,
    ) -> None:
        super().__init__()
        if n_layers < 2 or n_channels < 1 or context_channels < 1:
            raise ValueError(
                f"n_layers must be at least 2 ({n_layers}), n_channels ({n_channels}) and context_channels "
                f"({context_channels}) at least 1"
            )
        if not dilations or any(type(step) is not int or step < 1 for step in dilations):
            raise ValueError(f"dilations must be whole numbers of pixels, each at least 1, not {list(dilations)}")
        detail: list[nn.Module] = [nn.Conv2d(1, n_channels, 3, padding=1), nn.ReLU()]
        for _ in range(n_layers - 2):
            detail += [nn.Conv2d(n_channels, n_channels, 3, padding=1), nn.ReLU()]
        self.detail = nn.Sequential(*detail, nn.Conv2d(n_channels, 1, 3, padding=1))
        context: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(4, context_channels, 3, padding=1), nn.ReLU()]
        for step in dilations:
            context += [DilatedConv2d(context_channels, context_channels, dilation=step), nn.ReLU()]
        self.context = nn.Sequential(*context, nn.Conv2d(context_channels, 1, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Denoise scaled images, shape `(n, 1, height, width)`, to the same shape, float32."""
        height, width = image.shape[-2:]
        odd = exporting() or height % 2 or width % 2
        even = F.pad(image, (0, width % 2, 0, height % 2), mode="replicate") if odd else image
        around = twice_as_fine(self.context(even).float())
        # In float32, whatever the convolutions ran in: bf16 would round the image itself.
        denoised: torch.Tensor = image.float() - self.detail(image).float() - around[..., :height, :width]
        return denoised


def twice_as_fine(maps: torch.Tensor) -> torch.Tensor:
    """Interpolate maps, `(n, c, height, width)`, linearly to twice the size, the edges continued.

    As `torch.nn.functional.interpolate` does with `mode="bilinear"` and `align_corners=False`, whose gradient takes
    several times as long on a CPU.
    """
    if exporting():
        return F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
    for axis in (2, 3):
        size = maps.shape[axis]
        first, last = maps.narrow(axis, 0, 1), maps.narrow(axis, size - 1, 1)
        before = torch.cat([first, maps.narrow(axis, 0, size - 1)], axis)
        after = torch.cat([maps.narrow(axis, 1, size - 1), last], axis)
        maps = torch.stack([torch.lerp(maps, side, 0.25) for side in (before, after)], axis + 1).flatten(axis, axis + 1)
    return maps
