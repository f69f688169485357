"""A training that was stopped, and a model that was saved, go on with tensors laid out as those they came from."""

from pathlib import Path

import pytest
import torch
from torch import nn

from taskct.denoisers.denoiser import NETWORKS, Denoiser
from taskct.training.checkpoints import (
    load_state,
    load_weights,
    optimizer_tensors,
    restore,
    restore_optimizer,
    save_state,
    save_weights,
    snapshot,
)

SMALL = {
    "cnn": {"n_layers": 3, "n_channels": 4},
    "context": {"n_channels": 4},
    "dncnn": {"n_layers": 4, "n_channels": 4},
    "redcnn": {"n_channels": 4},
    "unet": {"n_channels": 4},
}
IMAGES = torch.randn(2, 24, 24, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=sorted(NETWORKS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def denoiser(name: str, *, seed: int) -> Denoiser:
    torch.manual_seed(seed)
    return Denoiser(NETWORKS[name](**SMALL[name]), offset_hu=0.1 * seed, scale_hu=1.0 + seed)


def layouts(tensors: dict[str, torch.Tensor]) -> dict[str, tuple[tuple[int, ...], int]]:
    """Strides, and the place within 64 bytes, which is where torch aligns its own."""
    return {key: (value.stride(), value.data_ptr() % 64) for key, value in tensors.items()}


def step(module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    (module(IMAGES) - IMAGES).square().mean().backward()
    optimizer.step()


def test_a_network_that_was_loaded_is_laid_out_as_the_one_it_came_from(name: str, tmp_path: Path) -> None:
    saved, loaded = denoiser(name, seed=1), denoiser(name, seed=2)
    path = tmp_path / "model.safetensors"
    save_weights(path, {"denoiser": saved}, {})
    load_weights(path, {"denoiser": loaded})
    assert layouts(loaded.state_dict()) == layouts(saved.state_dict())
    with torch.no_grad():
        assert torch.equal(loaded.eval()(IMAGES), saved.eval()(IMAGES))


def moments(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, torch.Tensor]:
    return {
        f"{key}.{name}": value
        for key, parameter in module.named_parameters()
        for name, value in optimizer.state[parameter].items()
        if value.dim()
    }


def test_a_resumed_optimizer_is_laid_out_as_the_one_it_came_from(name: str, tmp_path: Path) -> None:
    """Files hold row-major tensors; the network's convolutions and their moments are not row-major."""
    first, again = denoiser(name, seed=1), denoiser(name, seed=2)
    whole, resumed = (torch.optim.AdamW(module.parameters(), lr=1e-2) for module in (first, again))
    for _ in range(2):
        step(first, whole)
    tensors, groups = optimizer_tensors(whole)
    save_state(tmp_path / "state.safetensors", snapshot({"denoiser": first}) | tensors, {"groups": groups})
    held = load_state(tmp_path / "state.safetensors")
    assert held is not None
    restore({"denoiser": again}, held[0])
    restore_optimizer(resumed, held[0], held[1]["groups"])
    expected, found = moments(whole, first), moments(resumed, again)
    assert expected
    assert layouts(found) == layouts(expected)
    assert all(torch.equal(found[key], value) for key, value in expected.items())
    for _ in range(2):
        step(first, whole)
        step(again, resumed)
    for key, value in first.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
