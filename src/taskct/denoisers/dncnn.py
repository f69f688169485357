"""DnCNN: a deep residual denoiser with batch normalization."""

import torch
from torch import nn


class DnCNN(nn.Module):
    """Convolutions of 3 × 3 with batch normalization and ReLU; the output is the input minus the predicted noise.

    The first layer has no normalization, the last neither that nor a ReLU; convolutions before a normalization have
    no bias, which it would remove.

    Parameters
    ----------
    n_layers
        Convolutions, at least 2; the receptive field reaches as many pixels to each side. The paper takes 17 for a
        known noise level and 20 for an unknown one.
    n_channels
        Feature maps between them.

    References
    ----------
    .. [1] Zhang, Zuo, Chen, Meng, Zhang, "Beyond a Gaussian denoiser: residual learning of deep CNN for image
       denoising", IEEE Trans. Image Process. 26, 3142 (2017).
    """

    def __init__(self, *, n_layers: int = 17, n_channels: int = 64) -> None:
        super().__init__()
        if n_layers < 2 or n_channels < 1:
            raise ValueError(f"n_layers must be at least 2 ({n_layers}) and n_channels at least 1 ({n_channels})")
        layers: list[nn.Module] = [nn.Conv2d(1, n_channels, 3, padding=1), nn.ReLU()]
        for _ in range(n_layers - 2):
            layers += [
                nn.Conv2d(n_channels, n_channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(n_channels),
                nn.ReLU(),
            ]
        layers.append(nn.Conv2d(n_channels, 1, 3, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Denoise scaled images, shape `(n, 1, height, width)`, to the same shape, float32."""
        # In float32, whatever the convolutions ran in: bf16 would round the image itself.
        denoised: torch.Tensor = image.float() - self.layers(image).float()
        return denoised
