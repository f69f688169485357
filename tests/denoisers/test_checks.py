"""Modules that cannot be trained are told in one line, before anything is."""

import pytest
import torch
from torch import nn

from taskct.denoisers.checks import check_network_output
from taskct.denoisers.dncnn import DnCNN
from taskct.denoisers.redcnn import REDCNN
from taskct.errors import UserError


class Module(nn.Module):
    """A module from a function of images and of whether it is training."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, image: torch.Tensor) -> object:
        return self.function(image, self.training)  # type: ignore[operator]  # a function


def fail(image: torch.Tensor, training: bool) -> None:
    raise KeyError("no such\nmap")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Module(lambda x, t: x / (x - x)), "returned NaN or infinity in 1568 of 1568 pixels"),
        (Module(lambda x, t: x.sqrt() if t else x), r"returned NaN or infinity in \d+ of 1568 pixels .* training mode"),
        (Module(lambda x, t: x[..., 1:-1]), r"\(2, 1, 28, 28\) into \(2, 1, 28, 26\) in evaluation mode"),
        (Module(lambda x, t: [x, x] if t else x), "into list in training mode"),
        (Module(lambda x, t: x.int()), "returned torch.int32 in evaluation mode"),
        (Module(fail), r"fails on images of 28 x 28 pixels in evaluation mode: KeyError: 'no such\\nmap'"),
        (nn.Conv2d(3, 1, 3, padding=1), "fails on images of 28 x 28 pixels .*RuntimeError"),
    ],
)
def test_networks_that_are_refused(network: nn.Module, message: str) -> None:
    with pytest.raises(UserError, match=f"^denoiser.network 'mine.Net' .*{message}") as caught:
        check_network_output(network, name="mine.Net", n_pixels=28)
    assert "\n" not in str(caught.value)


def test_a_network_that_says_itself_what_it_needs() -> None:
    with pytest.raises(UserError, match=r"^redcnn takes images of at least 21"):
        check_network_output(REDCNN(n_channels=2), name="redcnn", n_pixels=20)


def test_what_is_checked_stays_as_it_was() -> None:
    """Neither the statistics of a normalization nor the generator move."""
    network = nn.Sequential(DnCNN(n_layers=3, n_channels=2), nn.Dropout())
    before, state = {k: v.clone() for k, v in network.state_dict().items()}, torch.get_rng_state()
    check_network_output(network, name="mine.Net", n_pixels=16)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert network.training
