"""How networks respond to contrast, level and far pixels, where that is known."""

import pytest
import torch
from torch import nn

from taskct.denoisers.denoiser import NETWORKS, make_network
from taskct.denoisers.response import Response, measure_response, note_of_sizes, notes_of


class Through(nn.Module):
    """A module from a function of images."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.function(image)  # type: ignore[operator]  # a function


def standardised(image: torch.Tensor) -> torch.Tensor:
    return nn.functional.instance_norm(image)


@pytest.mark.parametrize(
    ("function", "contrast", "level", "far"),
    [
        # Of noise of s.d. 1: f(2x) - f(x) = x and f(x + 1) - f(x) = 1.
        (lambda x: x, 1.0, 1.0, 0.0),
        (lambda x: 3 * x - 7, 1.0, 1.0, 0.0),
        (lambda x: x - x.mean(dim=(2, 3), keepdim=True), 1.0, 0.0, 2.5),  # a quarter by 10 moves the mean by 2.5
        (lambda x: x.sign(), 0.0, None, 0.0),
        (lambda x: x + x.mean(dim=(2, 3), keepdim=True), 1.0, 2.0, 2.5),
        (standardised, 0.0, 0.0, None),
    ],
)
def test_responses_in_closed_form(function: object, contrast: float, level: float | None, far: float | None) -> None:
    """4,096 pixels fix a standard deviation to 1.1 %; 5 % are 4 of these and more."""
    found = measure_response(Through(function), n_pixels=128)
    assert found is not None
    assert found.distance == 64
    assert found.contrast == pytest.approx(contrast, rel=0.05, abs=1e-3)
    if level is not None:
        assert found.level == pytest.approx(level, rel=0.05, abs=1e-3)
    if far is not None:
        assert found.far == pytest.approx(far, rel=0.05, abs=1e-6)


@pytest.mark.parametrize(
    "function",
    [lambda x: 0 * x, lambda x: torch.rand_like(x), lambda x: 0 * x + 5, lambda x: x + torch.zeros(48, 48)],
)
def test_what_cannot_be_told(function: object) -> None:
    assert measure_response(Through(function), n_pixels=64) is None
    assert notes_of(None, name="mine.Net") == []


def test_notes_are_a_line_each() -> None:
    lines = notes_of(measure_response(Through(standardised), n_pixels=128), name="mine.Net")
    starts = ("does not respond to amplitude", "does not respond to an offset", "couples far pixels")
    assert len(lines) == len(starts)
    for line, start in zip(lines, starts, strict=True):
        assert line.startswith(f"denoiser.network 'mine.Net' {start}: ")
        assert "\n" not in line
    assert notes_of(Response(0.11, 0.11, 0.009, 64), name="mine.Net") == []


@pytest.mark.parametrize("name", list(NETWORKS))
def test_of_our_own_there_is_nothing_to_say(name: str) -> None:
    torch.manual_seed(0)
    network = make_network(name, {} if name in ("cnn", "context") else {"n_channels": 4})
    found = measure_response(network, n_pixels=128)
    assert found is not None
    assert notes_of(found, name=name) == []
    assert found.contrast > 0.3
    assert found.level > 0.3


def test_what_is_measured_stays_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1), nn.ReLU(inplace=True))
    before, state = {k: v.clone() for k, v in network.state_dict().items()}, torch.get_rng_state()
    measure_response(network, n_pixels=32)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert network.training


def test_sizes_are_told() -> None:
    assert note_of_sizes(name="mine.Net", multiple=1, n_pixels=40) == []
    (line,) = note_of_sizes(name="mine.Net", multiple=8, n_pixels=40)
    assert "multiples of 8 pixels: others are padded by reflection" in line
    (line,) = note_of_sizes(name="mine.Net", multiple=None, n_pixels=40)
    assert "takes images of 40 x 40 pixels, but" in line
