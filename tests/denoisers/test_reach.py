"""The receptive radius and the alignment of networks where both are known."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from taskct.denoisers.cnn import ResidualCNN
from taskct.denoisers.reach import measured_alignment, receptive_radius, wraps_around


class Through(nn.Module):
    """A module from a function of images."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.function(image)  # type: ignore[operator]  # a function


def pooled(side: int) -> Through:
    """The mean over cells, back at full size: reaches to the far end of a cell."""
    return Through(lambda x: F.interpolate(F.avg_pool2d(x, side), scale_factor=side))


@pytest.mark.parametrize("n_layers", [2, 3, 5, 8])
def test_the_cnn_reaches_one_pixel_a_layer(n_layers: int) -> None:
    assert receptive_radius(ResidualCNN(n_layers=n_layers, n_channels=8), n_pixels=33) == n_layers


@pytest.mark.parametrize(
    ("network", "radius"),
    [
        (nn.Identity(), 0),
        (nn.Conv2d(1, 1, 5, padding=2), 2),
        (nn.Conv2d(1, 1, (1, 7), padding=(0, 3)), 3),
        (nn.Conv2d(1, 1, 3, padding=4, dilation=4), 4),
        (nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Dropout(), nn.Conv2d(2, 1, 3, padding=1)), 2),
        (Through(lambda x: F.pad(x, (5, 0))[..., :-5]), 5),  # to the left only
        (Through(lambda x: F.pad(x, (0, 0, 0, 7))[..., 7:, :]), 7),  # downwards only
        (nn.MaxPool2d(5, stride=1, padding=2), 2),
        (nn.Conv2d(1, 1, 29, padding=14), 14),
        (nn.Conv2d(1, 1, 31, padding=15), 15),
        (nn.Conv2d(1, 1, 33, padding=16), 16),
        (nn.Conv2d(1, 1, 63, padding=31), 16),  # further than the probe
        (pooled(2), 1),
        (pooled(8), 7),
        (nn.InstanceNorm2d(1), 16),
        (Through(lambda x: torch.where(x > 0, x, -x).nan_to_num() + F.avg_pool2d(x, 3, 1, 1).nan_to_num()), 1),
    ],
)
def test_receptive_radius_of_known_networks(network: nn.Module, radius: int) -> None:
    assert receptive_radius(network, n_pixels=32) == radius
    assert network.training


def test_dead_layers_hide_nothing() -> None:
    """ReLUs that are off everywhere, and weights of zero, pass no gradient, but training may turn them on."""
    network = ResidualCNN(n_layers=4, n_channels=4)
    nn.init.constant_(network.layers[0].bias, -100.0)
    nn.init.zeros_(network.layers[4].weight)
    assert receptive_radius(network, n_pixels=32) == 4


def test_what_was_set_is_left_as_it_was() -> None:
    """Some modules in evaluation mode, as a frozen normalization, and the libraries' switches."""
    network = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1).eval())
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.no_grad():
        assert receptive_radius(network, n_pixels=16) == 1
    assert [module.training for module in network.modules()] == [True, True, False]
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert torch.backends.mkldnn.enabled
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_border_that_is_joined_to_the_other() -> None:
    for mode, joined in (("zeros", False), ("reflect", False), ("circular", True)):
        network = nn.Conv2d(1, 1, 5, padding=2, padding_mode=mode)
        assert receptive_radius(network, n_pixels=32) == 2
        assert wraps_around(network, radius=2, n_pixels=32) == joined


@pytest.mark.parametrize(
    ("network", "radius", "alignment"),
    [
        (nn.Conv2d(1, 1, 5, padding=2), 2, 1),
        (pooled(2), 1, 2),
        (pooled(8), 7, 8),
        (Through(lambda x: x + 0.1 * torch.arange(x.shape[-1])), 0, None),  # adds where it is
        (Through(lambda x: x + torch.rand_like(x)), 0, None),
        (pooled(3), 2, None),
    ],
)
def test_alignment_of_known_networks(network: nn.Module, radius: int, alignment: int | None) -> None:
    probe = torch.randn((1, 1, 128, 128), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)

    def even(image: torch.Tensor) -> torch.Tensor:
        """Continued to whole cells at the end."""
        height, width = image.shape[-2:]
        output: torch.Tensor = network(F.pad(image, (0, -width % 24, 0, -height % 24)))
        return output[..., :height, :width]

    assert measured_alignment(Through(even), radius=radius, probe=probe) == alignment
