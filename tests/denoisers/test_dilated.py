"""Dilated convolutions as plain ones of every other pixel, and interpolation by slices: torch's own are the judge."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from taskct.denoisers.cnn import ResidualCNN
from taskct.denoisers.context import ContextCNN, twice_as_fine
from taskct.denoisers.dilated import DilatedConv2d, join_phases, split_phases
from taskct.denoisers.sizes import memory_format


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (5, 3), (1, 1)])
@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_it_is_the_dilated_convolution(step: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    ours = DilatedConv2d(3, 5, dilation=step)
    theirs = nn.Conv2d(3, 5, 3, padding=step, dilation=step)
    theirs.load_state_dict(ours.state_dict())  # the same names
    maps = torch.randn(2, 3, *size, requires_grad=True)
    found, expected = ours(maps), theirs(maps)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    towards = torch.randn_like(expected)
    for one, other in zip(
        torch.autograd.grad(found, [maps, *ours.parameters()], towards),
        torch.autograd.grad(expected, [maps, *theirs.parameters()], towards),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)


def test_phases_are_joined_as_they_were_split() -> None:
    maps = torch.arange(2.0 * 3 * 6 * 9).reshape(2, 3, 6, 9)
    phases = split_phases(maps, 3)
    assert phases.shape == (18, 3, 2, 3)
    torch.testing.assert_close(phases[4], maps[0, :, 1::3, 1::3], rtol=0, atol=0)
    torch.testing.assert_close(join_phases(phases, 3), maps, rtol=0, atol=0)


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="odd, not 4"):
        DilatedConv2d(1, 1, 4)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (6, 7)])
def test_maps_twice_as_fine_are_torchs(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 3, *size, requires_grad=True)
    found = twice_as_fine(maps)
    expected = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    towards = torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad(found, maps, towards), torch.autograd.grad(expected, maps, towards), rtol=1e-5, atol=1e-5
    )


def test_networks_of_ours_are_in_the_fast_order_dilated_or_not() -> None:
    for network in (ContextCNN(), ResidualCNN(dilations=[1, 2, 4, 2, 1])):
        assert memory_format(network) == torch.channels_last
    assert memory_format(nn.Conv2d(1, 1, 3, dilation=2)) == torch.contiguous_format


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_gradients_in_bfloat16_are_those_of_float32(dtype: torch.dtype) -> None:
    """Where oneDNN's own dilated convolution in channels_last is up to 1e36 off; bfloat16 rounds by 0.4 %."""
    torch.manual_seed(0)
    network = ContextCNN(n_layers=2, n_channels=8, context_channels=24)
    network.to(memory_format=torch.channels_last)
    images = torch.randn(16, 1, 32, 32)

    def gradients(kind: torch.dtype) -> list[torch.Tensor]:
        network.zero_grad()
        with torch.autocast("cpu", dtype=kind, enabled=kind != torch.float32):
            network(images).square().mean().backward()
        return [p.grad.clone() for p in network.parameters() if p.grad is not None]

    for found, exact in zip(gradients(dtype), gradients(torch.float32), strict=True):
        assert (found - exact).norm() <= 0.05 * exact.norm()
