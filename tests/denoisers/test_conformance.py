"""One suite over every network: what the rest of taskct may rely on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from taskct.denoisers.denoiser import NETWORKS, Denoiser, denoise, make_network

OFFSET_HU, SCALE_HU = 45.0, 30.0


def make(name: str, *, offset_hu: float = OFFSET_HU, scale_hu: float = SCALE_HU, seed: int = 0) -> Denoiser:
    torch.manual_seed(seed)
    return Denoiser(make_network(name, {}), offset_hu=offset_hu, scale_hu=scale_hu).eval()


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return OFFSET_HU + SCALE_HU * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=sorted(NETWORKS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 24, 17)])
@torch.no_grad()
def test_hu_in_hu_out(name: str, shape: tuple[int, ...]) -> None:
    image = draw(*shape)
    before = image.clone()
    output = make(name)(image)
    assert (output.shape, output.dtype) == (image.shape, torch.float32)
    assert torch.equal(image, before)
    # An untrained network is no denoiser yet, but what it returns is on the scale of its input.
    assert 0.05 < float(output.std() / image.std()) < 20


@torch.no_grad()
def test_the_scaling_is_inside(name: str) -> None:
    """Images moved by c HU and stretched by k come back moved and stretched, when the scaling is told so."""
    image, move, stretch = draw(2, 20, 20), 1000.0, 4.0
    moved = make(name, offset_hu=OFFSET_HU * stretch + move, scale_hu=SCALE_HU * stretch)(image * stretch + move)
    # float32 keeps 1e-4 HU of 1000 HU; the network sees that error divided by the scale.
    torch.testing.assert_close((moved - move) / stretch, make(name)(image), rtol=1e-5, atol=2e-3)


@torch.no_grad()
def test_images_of_a_batch_do_not_mix(name: str) -> None:
    image, denoiser = draw(3, 16, 16), make(name)
    together = denoiser(image)
    for one, alone in zip(together, image, strict=True):
        torch.testing.assert_close(one, denoiser(alone[None])[0], rtol=1e-5, atol=1e-3)


@torch.no_grad()
def test_weights_round_trip_through_safetensors(name: str, tmp_path: Path) -> None:
    """The scaling travels with the weights."""
    saved = make(name)
    save_file({k: v.contiguous() for k, v in saved.state_dict().items()}, tmp_path / "weights.safetensors")
    other = make(name, offset_hu=0.0, scale_hu=1.0, seed=1)
    image = draw(2, 16, 16)
    assert not torch.allclose(saved(image), other(image))
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(saved(image), other(image))


def test_bfloat16_keeps_the_image(name: str) -> None:
    """Far from the offset, as in bone, the predicted noise is rounded to 8 bits but not the image itself."""
    image = draw(4, 32, 32) + 1000.0
    denoiser = make(name)
    exact, rounded = (denoise(denoiser, image.numpy(), dtype=dtype) for dtype in ("float32", "bfloat16"))
    difference = float(np.abs(rounded - exact).max())
    scaled = (image - OFFSET_HU) / SCALE_HU
    of_image = float((scaled.bfloat16().float() - scaled).abs().max()) * SCALE_HU  # some 4 HU
    assert 0 < difference < 0.2 * of_image


def test_every_network_learns(name: str) -> None:
    """One gradient step along every parameter: none is cut off."""
    denoiser = make(name).train()
    torch.manual_seed(1)
    denoiser(draw(2, 16, 16)).square().mean().backward()  # type: ignore[no-untyped-call]  # untyped in torch
    assert [k for k, p in denoiser.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@torch.no_grad()
def test_an_identity_network_returns_the_images() -> None:
    image = draw(2, 16, 16) * 10
    output = Denoiser(nn.Identity(), offset_hu=OFFSET_HU, scale_hu=SCALE_HU)(image)
    # Subtract, divide, multiply, add: a rounding of float32 each, the larger ones at the largest number involved.
    bound = 4 * torch.finfo(torch.float32).eps * (image.abs() + OFFSET_HU)
    assert bool(((output - image).abs() <= bound).all())
