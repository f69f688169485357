"""A plain convolutional denoiser that predicts the noise."""

import torch
from torch import nn


class ResidualCNN(nn.Module):
    """A stack of 3 × 3 convolutions and ReLUs; its output is the input minus the predicted noise.

    Parameters
    ----------
    n_layers
        Convolutions, at least 2; the receptive field reaches `n_layers` pixels to each side.
    n_channels
        Feature maps between them.

    References
    ----------
    .. [1] Zhang et al., "Beyond a Gaussian denoiser", IEEE Trans. Image Process. 26, 3142 (2017), without its batch
       normalization.
    """

    def __init__(self, *, n_layers: int = 5, n_channels: int = 24) -> None:
        super().__init__()
        if n_layers < 2 or n_channels < 1:
            raise ValueError(f"n_layers must be at least 2 ({n_layers}) and n_channels at least 1 ({n_channels})")
        layers: list[nn.Module] = [nn.Conv2d(1, n_channels, 3, padding=1), nn.ReLU()]
        for _ in range(n_layers - 2):
            layers += [nn.Conv2d(n_channels, n_channels, 3, padding=1), nn.ReLU()]
        layers.append(nn.Conv2d(n_channels, 1, 3, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Denoise scaled images, shape `(n, 1, height, width)`, to the same shape."""
        # In float32, whatever the convolutions ran in: bf16 would round the image itself.
        denoised: torch.Tensor = image.float() - self.layers(image).float()
        return denoised
