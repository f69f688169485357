"""The plain convolutional denoiser of the papers, with depth, linearity and reach as settings."""

from collections.abc import Sequence

import torch
from torch import nn

from taskct.denoisers.dilated import DilatedConv2d


class ResidualCNN(nn.Module):
    """A stack of 3 × 3 convolutions and ReLUs; its output is the input minus the predicted noise.

    Parameters
    ----------
    n_layers
        Convolutions, at least 2; the receptive field reaches `sum(dilations)` pixels to each side, `n_layers` by
        default.
    n_channels
        Feature maps between them.
    linear
        Leave out the ReLUs: an affine map, the linear CNN of [2]_.
    residual
        Predict the noise, which is subtracted; False predicts the image itself, as the plain CNN of [2]_ does.
    dilations
        Pixels between the taps of each layer's kernel, one at least 1 per layer: a longer reach at the same cost.
        None is 1 everywhere.

    References
    ----------
    .. [1] Zhang et al., "Beyond a Gaussian denoiser", IEEE Trans. Image Process. 26, 3142 (2017), without its batch
       normalization.
    .. [2] Li, Zhou, Li, Anastasio, "Assessing the impact of deep neural network-based image denoising on binary signal
       detection tasks", IEEE Trans. Med. Imaging 40, 2295 (2021).
    """

    def __init__(
        self,
        *,
        n_layers: int = 5,
        n_channels: int = 24,
        linear: bool = False,
        residual: bool = True,
        dilations: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if n_layers < 2 or n_channels < 1:
            raise ValueError(f"n_layers must be at least 2 ({n_layers}) and n_channels at least 1 ({n_channels})")
        steps = [1] * n_layers if dilations is None else list(dilations)
        if len(steps) != n_layers or any(type(step) is not int or step < 1 for step in steps):
            raise ValueError(
                f"dilations must be n_layers = {n_layers} whole numbers of pixels, each at least 1, not {steps}"
            )
        layers: list[nn.Module] = []
        for index, step in enumerate(steps):
            n_in = 1 if index == 0 else n_channels
            n_out = 1 if index == n_layers - 1 else n_channels
            layers.append(DilatedConv2d(n_in, n_out, dilation=step))
            if index < n_layers - 1:
                # The identity keeps its place, so that weights have the same names in both variants.
                layers.append(nn.Identity() if linear else nn.ReLU())
        self.layers = nn.Sequential(*layers)
        self.residual = residual

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Denoise scaled images, shape `(n, 1, height, width)`, to the same shape, float32."""
        if self.residual:
            # In float32, whatever the convolutions ran in: bf16 would round the image itself.
            denoised: torch.Tensor = image.float() - self.layers(image).float()
            return denoised
        features = self.layers[:-1](image)
        # Here the last convolution makes the image itself: in float32 for the same reason.
        with torch.autocast(image.device.type, enabled=False):
            predicted: torch.Tensor = self.layers[-1](features.float())
        return predicted
