"""RED-CNN: the residual encoder-decoder network for low-dose CT."""

import torch
from torch import nn

from taskct.errors import UserError

N_LAYERS, KERNEL = 5, 5
"""Convolutions, and as many transposed convolutions; side of their kernels, pixels."""


class REDCNN(nn.Module):
    """Five convolutions and five transposed convolutions of 5 × 5, with three residual connections.

    As in the paper nothing is padded: each convolution takes 4 pixels off, each transposed one gives them back, and
    the size is restored exactly. Images must therefore be at least 21 × 21 pixels, and the receptive field reaches
    20 pixels to each side. The encoder's second and fourth maps are added to the decoder's maps of the same size,
    before their ReLU, and the image to the last. There the paper has one more ReLU, since its images are not negative;
    ours are scaled HU of either sign, so it is left out.

    Parameters
    ----------
    n_channels
        Feature maps; the paper has 96.

    References
    ----------
    .. [1] Chen, Zhang, Kalra, Lin, Chen, Liao, Zhou, Wang, "Low-dose CT with a residual encoder-decoder convolutional
       neural network", IEEE Trans. Med. Imaging 36, 2524 (2017).
    """

    def __init__(self, *, n_channels: int = 96) -> None:
        super().__init__()
        if n_channels < 1:
            raise ValueError(f"n_channels must be at least 1, not {n_channels}")
        last = N_LAYERS - 1
        self.encoder = nn.ModuleList(
            nn.Conv2d(1 if i == 0 else n_channels, n_channels, KERNEL) for i in range(N_LAYERS)
        )
        self.decoder = nn.ModuleList(
            nn.ConvTranspose2d(n_channels, 1 if i == last else n_channels, KERNEL) for i in range(N_LAYERS)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Denoise scaled images, shape `(n, 1, height, width)`, to the same shape, float32.

        Raises
        ------
        UserError
            If a side is shorter than 21 pixels.
        """
        least = N_LAYERS * (KERNEL - 1) + 1
        if min(image.shape[-2:]) < least:
            height, width = image.shape[-2:]
            raise UserError(
                f"redcnn takes images of at least {least} x {least} pixels, not {height} x {width}: its unpadded "
                "convolutions leave nothing of smaller ones; use larger regions or another denoiser.network"
            )
        maps = [image]
        for layer in self.encoder:
            maps.append(torch.relu(layer(maps[-1])))
        decoded = maps[-1]
        # Layer i of the decoder gives back the size of the map before layer N_LAYERS - i of the encoder.
        for index, layer in enumerate(self.decoder[:-1]):
            decoded = layer(decoded)
            if index % 2 == 0:
                decoded = decoded + maps[N_LAYERS - 1 - index]
            decoded = torch.relu(decoded)
        # In float32, whatever the convolutions ran in: bf16 would round the image itself.
        denoised: torch.Tensor = image.float() + self.decoder[-1](decoded).float()
        return denoised
