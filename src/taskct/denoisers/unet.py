"""A residual U-Net: a long reach at the cost of a few layers at full resolution."""

import torch
import torch.nn.functional as F
from torch import nn

from taskct.errors import UserError


def _two_convolutions(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU(), nn.Conv2d(n_out, n_out, 3, padding=1), nn.ReLU()
    )


class ResidualUNet(nn.Module):
    """Two convolutions a level, maximum pooling down, transposed convolutions up; the input minus the predicted noise.

    Built as in [1]_ but with padded convolutions, so that the size is kept, and, as in [2]_, predicting what is to be
    taken away. It has no normalization: nothing couples far parts of an image, and slices can be tiled exactly.

    Images of any size of at least `2**n_levels` pixels are padded at the bottom and the right by reflection, to a
    multiple of `2**n_levels`, and the result is cropped. The receptive field reaches `7 · 2**n_levels − 5` pixels: four
    convolutions at each level above the lowest, two there, and the size of its cells.

    Parameters
    ----------
    n_levels
        Times the resolution is halved, at least 1.
    n_channels
        Feature maps at full resolution; twice as many at each level below.

    References
    ----------
    .. [1] Ronneberger, Fischer, Brox, "U-Net", MICCAI 2015, LNCS 9351, 234.
    .. [2] Jin, McCann, Froustey, Unser, "Deep convolutional neural network for inverse problems in imaging", IEEE
       Trans. Image Process. 26, 4509 (2017).
    """

    def __init__(self, *, n_levels: int = 3, n_channels: int = 32) -> None:
        super().__init__()
        if n_levels < 1 or n_channels < 1:
            raise ValueError(f"n_levels ({n_levels}) and n_channels ({n_channels}) must be at least 1")
        widths = [n_channels * 2**level for level in range(n_levels + 1)]
        self.down = nn.ModuleList(
            _two_convolutions(n_in, n_out) for n_in, n_out in zip([1, *widths[:-1]], widths, strict=True)
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * n, n, 2, stride=2) for n in reversed(widths[:-1]))
        self.merge = nn.ModuleList(_two_convolutions(2 * n, n) for n in reversed(widths[:-1]))
        self.last = nn.Conv2d(n_channels, 1, 1)
        self.alignment = 2**n_levels
        """The result moves with the image only when that moves by multiples of this, pixels; see `tiling`."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Denoise scaled images, shape `(n, 1, height, width)`, to the same shape, float32.

        Raises
        ------
        UserError
            If a side is shorter than `2**n_levels` pixels.
        """
        height, width = image.shape[-2:]
        if min(height, width) < self.alignment:
            raise UserError(
                f"unet takes images of at least {self.alignment} x {self.alignment} pixels (2**n_levels), not "
                f"{height} x {width}: use larger regions or fewer n_levels"
            )
        # At the end only, so that the grid of every level starts with the image, whatever its size.
        features = F.pad(image, (0, -width % self.alignment, 0, -height % self.alignment), mode="reflect")
        skipped: list[torch.Tensor] = []
        for level, block in enumerate(self.down):
            if level:
                skipped.append(features)
                features = F.max_pool2d(features, 2)
            features = block(features)
        for up, merge in zip(self.up, self.merge, strict=True):
            features = merge(torch.cat([skipped.pop(), up(features)], dim=1))
        predicted = self.last(features)[..., :height, :width]
        # In float32, whatever the convolutions ran in: bf16 would round the image itself.
        denoised: torch.Tensor = image.float() - predicted.float()
        return denoised
