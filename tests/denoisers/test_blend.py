"""The blend of two denoisers is the mean of their images, and runs what they share once."""

import copy

import pytest
import torch
from torch import nn

from taskct.denoisers.blend import Blend, shared_layers
from taskct.denoisers.cnn import ResidualCNN
from taskct.denoisers.denoiser import Denoiser


def pair(*, n_changed: int) -> tuple[Denoiser, Denoiser]:
    """Two denoisers whose last `n_changed` convolutions differ."""
    torch.manual_seed(0)
    control = Denoiser(ResidualCNN(n_layers=4, n_channels=6), offset_hu=40.0, scale_hu=20.0).eval()
    task = copy.deepcopy(control)
    convolutions = [m for m in task.network.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        for layer in convolutions[len(convolutions) - n_changed :]:
            layer.weight += 0.1 * torch.randn(layer.weight.shape)
    return control, task


@pytest.mark.parametrize("n_changed", [0, 1, 2, 4])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_a_blend_is_the_mean_of_the_two(n_changed: int, alpha: float) -> None:
    control, task = pair(n_changed=n_changed)
    images = 40.0 + 20.0 * torch.randn(3, 9, 11, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = (1 - alpha) * control(images) + alpha * task(images)
        blend = Blend(control, task, alpha=alpha)
        for _ in range(2):  # nothing is left over from the pass before
            torch.testing.assert_close(blend(images), expected, rtol=0, atol=1e-4)
        other = images + 5.0
        torch.testing.assert_close(blend(other), blend(other.clone()), rtol=0, atol=0)
        assert not torch.allclose(blend(other), expected)


@pytest.mark.parametrize(("n_changed", "expected"), [(0, 4), (1, 5), (2, 6), (4, 8)])
def test_a_shared_trunk_is_run_once(n_changed: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four convolutions in each of the two: eight in all, less those that are alike."""
    blend = Blend(*pair(n_changed=n_changed), alpha=0.5)
    calls = 0
    convolve = nn.Conv2d._conv_forward

    def count(self: nn.Conv2d, *arguments: torch.Tensor | None) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return convolve(self, *arguments)  # type: ignore[arg-type]  # as torch calls it

    monkeypatch.setattr(nn.Conv2d, "_conv_forward", count)
    with torch.no_grad():
        blend(torch.randn(2, 8, 8))
    assert calls == expected


def test_a_layer_that_is_alike_behind_one_that_is_not_is_run_twice() -> None:
    """Equal weights do not make equal features: here the first convolution differs, the later ones are alike."""
    control, task = pair(n_changed=0)
    with torch.no_grad():
        next(m for m in task.network.modules() if isinstance(m, nn.Conv2d)).bias += 1.0  # type: ignore[operator]  # has one
        images = torch.randn(2, 8, 8) * 20 + 40
        expected = 0.5 * control(images) + 0.5 * task(images)
        torch.testing.assert_close(Blend(control, task, alpha=0.5)(images), expected, rtol=0, atol=1e-4)


class InPlace(nn.Module):
    """Works in place on what its layers give, as many networks do, and calls one of them with more than its input."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 1, 3, padding=1)
        self.spread = nn.ConvTranspose2d(4, 4, 3, padding=1)
        self.bend = nn.LeakyReLU(0.5, inplace=True)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = self.first(image)
        features += image
        features = self.bend(self.bend(features))
        features = self.spread(features, output_size=features.shape[-2:])
        result: torch.Tensor = self.last(features)
        return result


def test_a_network_that_works_in_place_is_blended_right() -> None:
    torch.manual_seed(0)
    control = Denoiser(InPlace(), offset_hu=40.0, scale_hu=20.0).eval()
    task = copy.deepcopy(control)
    with torch.no_grad():
        next(m for m in task.network.modules() if isinstance(m, nn.Conv2d) and m.out_channels == 1).weight += 0.1  # type: ignore[operator]  # has one
        images = torch.randn(2, 8, 8) * 20 + 40
        expected = 0.5 * control(images) + 0.5 * task(images)
        torch.testing.assert_close(Blend(control, task, alpha=0.5)(images), expected, rtol=0, atol=1e-4)


def test_what_depends_on_more_than_its_input_is_not_shared() -> None:
    a = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1), nn.Dropout(0.5), nn.ReLU())
    assert shared_layers(a, copy.deepcopy(a)) == ["0", "3"]
    assert shared_layers(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1)), nn.Sequential(nn.Conv2d(1, 1, 3))) == []


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_alpha_out_of_range_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match=r"it must lie in \[0, 1\]"):
        Blend(*pair(n_changed=1), alpha=alpha)
