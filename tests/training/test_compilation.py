"""torch.compile: the same network, faster, and left as it was."""

import os
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from taskct.denoisers.cnn import ResidualCNN
from taskct.denoisers.context import ContextCNN
from taskct.denoisers.denoiser import Denoiser
from taskct.errors import UserError
from taskct.training import descent
from taskct.training.descent import MIN_STEPS, can_compile, compiled, compiles

PLAIN = nn.Identity()


@pytest.mark.skipif(not can_compile("cpu"), reason="no C++ compiler")
def test_a_compiled_network_gives_the_same_images() -> None:
    torch.manual_seed(0)
    denoiser = Denoiser(ResidualCNN(n_layers=2, n_channels=3), offset_hu=-900.0, scale_hu=10.0)
    names = list(denoiser.state_dict())
    images = -900.0 + 10.0 * torch.randn(2, 8, 8)
    expected = denoiser(images).detach()
    with compiled(denoiser, on=True):
        assert denoiser.network._compiled_call_impl is not None
        torch.testing.assert_close(denoiser(images).detach(), expected, rtol=0, atol=1e-3)
        with torch.autocast("cpu", dtype=torch.bfloat16):  # which has steps of 4 HU in lung
            torch.testing.assert_close(denoiser(images).detach(), expected, rtol=0, atol=0.2)
        with torch.no_grad():  # as it stands, to the bit
            torch.testing.assert_close(denoiser(images), expected, rtol=0, atol=0)
        assert list(denoiser.state_dict()) == names
    assert denoiser.network._compiled_call_impl is None


@pytest.mark.skipif(not can_compile("cpu"), reason="no C++ compiler")
def test_networks_alike_share_a_graph_that_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TASKCT_CACHE", str(tmp_path))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    torch._dynamo.reset()
    counters["stats"].clear()
    for seed in range(2):
        torch.manual_seed(seed)
        denoiser = Denoiser(ResidualCNN(n_layers=2, n_channels=4), offset_hu=0.0, scale_hu=10.0)
        images = 10.0 * torch.randn(2, 8, 8)
        expected = denoiser(images).detach()
        with compiled(denoiser, on=True):
            torch.testing.assert_close(denoiser(images).detach(), expected, rtol=0, atol=1e-3)
        assert counters["stats"]["unique_graphs"] == 1
    assert any((tmp_path / "compiled").rglob("*.so"))
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ


@pytest.mark.slow
@pytest.mark.skipif(not can_compile("cpu"), reason="no C++ compiler")
def test_a_dilated_network_of_a_user_trains_compiled_in_bfloat16() -> None:
    """Left to itself torch 2.13 lays it out in channels_last, where oneDNN's gradients of its weights are wrong."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 24, 3, padding=2, dilation=2), nn.Conv2d(24, 1, 1)
    )
    denoiser = Denoiser(network, offset_hu=0.0, scale_hu=10.0)
    images = 10.0 * torch.randn(16, 32, 32)

    def gradients() -> list[torch.Tensor]:
        denoiser.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            denoiser(images).square().mean().backward()
        return [p.grad.clone() for p in denoiser.parameters() if p.grad is not None]

    with compiled(denoiser, on=True):
        found = gradients()
    for one, expected in zip(found, gradients(), strict=True):
        assert (one - expected).norm() <= 0.05 * expected.norm() + 1e-6


def test_it_is_off_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import cpp_builder

    def none_found() -> str:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none_found)
    assert not can_compile("cpu")
    assert not compiles("auto", PLAIN, n_steps=10 * MIN_STEPS, device="cpu")
    with pytest.raises(UserError, match="compile is always but there is no compiler"):
        compiles("always", PLAIN, n_steps=1, device="cpu")


def test_a_short_training_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descent, "can_compile", lambda device: True)
    assert not compiles("auto", PLAIN, n_steps=MIN_STEPS - 1, device="cpu")
    assert compiles("auto", PLAIN, n_steps=MIN_STEPS, device="cpu")
    assert compiles("always", PLAIN, n_steps=1, device="cpu")
    assert not compiles("never", PLAIN, n_steps=MIN_STEPS, device="cpu")


def test_a_network_that_gathers_every_other_pixel_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a seventh longer compiled than as it stands."""
    monkeypatch.setattr(descent, "can_compile", lambda device: True)
    assert not compiles("auto", ContextCNN(), n_steps=MIN_STEPS, device="cpu")
    assert compiles("always", ContextCNN(), n_steps=1, device="cpu")
    assert compiles("auto", ContextCNN(dilations=[1]), n_steps=MIN_STEPS, device="cpu")


def test_off_does_nothing() -> None:
    network = nn.Identity()
    with compiled(network, on=False):
        assert network._compiled_call_impl is None
