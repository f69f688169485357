"""Gradients in bfloat16 are those of float32, but for its 8 bits."""

import pytest
import torch

from taskct.denoisers.cnn import ResidualCNN
from taskct.denoisers.context import ContextCNN
from taskct.denoisers.denoiser import Denoiser, autocast


@pytest.mark.parametrize(
    "network",
    [
        lambda: ContextCNN(),
        lambda: ContextCNN(n_layers=3, n_channels=16),
        lambda: ResidualCNN(n_layers=5, n_channels=24, dilations=(1, 2, 3, 2, 1)),
        lambda: ResidualCNN(n_layers=5, n_channels=24),
    ],
    ids=["context", "context preset", "dilated cnn", "cnn"],
)
@pytest.mark.parametrize("side", [44, 70, 88])
def test_gradients_in_bfloat16_are_those_of_float32(network, side):
    """Of dilated layers of 24 channels in channels_last they were 1e36 times too large, or NaN."""
    torch.manual_seed(0)
    denoiser = Denoiser(network(), offset_hu=0.0, scale_hu=1.0)
    images = torch.randn((2, side, side), generator=torch.Generator().manual_seed(1))

    def gradients(dtype):
        with autocast("cpu", dtype):
            loss = denoiser(images).square().mean()
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(denoiser.parameters()))])

    exact, rounded = gradients("float32"), gradients("bfloat16")
    assert (rounded - exact).norm() < 0.05 * exact.norm()
