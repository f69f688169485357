"""One suite over every network: what the rest of taskct may rely on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from taskct.denoisers.denoiser import NETWORKS, Denoiser, denoise, make_network, rounds_image
from taskct.denoisers.reach import receptive_radius
from taskct.testing import Check, denoiser_checks
from taskct.training.checkpoints import load_weights, save_weights

OFFSET_HU, SCALE_HU = 45.0, 30.0

CASES: dict[str, tuple[str, dict[str, object], int]] = {
    "cnn": ("cnn", {}, 5),
    "linear cnn": ("cnn", {"linear": True}, 5),
    "cnn of the image": ("cnn", {"residual": False}, 5),
    "dilated cnn": ("cnn", {"n_layers": 4, "dilations": [1, 2, 3, 1]}, 1 + 2 + 3 + 1),
    # Half the resolution: six 3 x 3 layers, two of them dilated, and bilinear interpolation.
    "context": ("context", {"n_layers": 3, "n_channels": 8, "context_channels": 8}, 2 * (4 * 1 + 2 * 2) + 2),
    "dncnn": ("dncnn", {"n_layers": 6, "n_channels": 16}, 6),
    "redcnn": ("redcnn", {"n_channels": 8}, 2 * 5 * 2),
    # Four 3 x 3 layers a level and two at the lowest, of 4 pixels, whose cells add 3 more.
    "unet": ("unet", {"n_levels": 2, "n_channels": 8}, 4 * (1 + 2) + 2 * 4 + 3),
}
"""Networks of a test's size: name, arguments, receptive radius in closed form."""


def make(case: str, *, offset_hu: float = OFFSET_HU, scale_hu: float = SCALE_HU, seed: int = 0) -> Denoiser:
    torch.manual_seed(seed)
    network, arguments, _ = CASES[case]
    return Denoiser(make_network(network, arguments), offset_hu=offset_hu, scale_hu=scale_hu).eval()


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return OFFSET_HU + SCALE_HU * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=list(CASES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_registered_network_is_here() -> None:
    assert {network for network, _, _ in CASES.values()} == set(NETWORKS)


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{case}-{'x'.join(map(str, sides))}-{check}")
        for case in CASES
        for sides in ((24, 24), (23, 37))
        for check in denoiser_checks(make(case), sides=sides, level_hu=OFFSET_HU, std_hu=SCALE_HU)
    ],
)
def test_suite(check: Check) -> None:
    check()


@torch.no_grad()
def test_an_untrained_network_keeps_the_scale_of_its_input(name: str) -> None:
    """It is no denoiser yet, but what a residual one returns is on that scale."""
    if name == "cnn of the image":
        pytest.skip("not residual")
    image = draw(3, 23, 37)
    assert 0.05 < float(make(name)(image).std() / image.std()) < 20


def test_receptive_radius_in_closed_form(name: str) -> None:
    assert receptive_radius(make(name).network, n_pixels=64) == CASES[name][2]


@torch.no_grad()
def test_weights_round_trip_through_a_checkpoint(name: str, tmp_path: Path) -> None:
    """The scaling travels with the weights."""
    saved, path = make(name), tmp_path / "weights.safetensors"
    save_weights(path, {"denoiser": saved}, {"schema": 1})
    other = make(name, offset_hu=0.0, scale_hu=1.0, seed=1)
    image = draw(2, 24, 24)
    assert not torch.allclose(saved(image), other(image))
    load_weights(path, {"denoiser": other})
    assert torch.equal(saved(image), other(image))


def convolutions(denoiser: Denoiser) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    return [module for module in denoiser.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]


def predicting_little(case: str) -> Denoiser:
    """With what makes one image of many maps turned down to 1 %: the predicted noise is small beside the image."""
    denoiser = make(case)
    for convolution in convolutions(denoiser):
        if convolution.out_channels == 1:
            for parameter in convolution.parameters():
                parameter.data *= 0.01
    return denoiser


@torch.no_grad()
def test_bfloat16_keeps_the_image(name: str) -> None:
    """Far from the offset, as in bone, the predicted noise is rounded to 8 bits but not the image itself."""
    if name == "cnn of the image":
        pytest.skip("it has no image to add; its last layer is tested in test_networks.py")
    image = draw(4, 32, 32) + 1000.0
    exact, rounding = predicting_little(name), predicting_little(name)
    for convolution in convolutions(rounding):  # each returns bfloat16, as under autocast, on any machine
        convolution.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(),))
        convolution.register_forward_hook(lambda _, inputs, output: output.bfloat16())
    difference = float((rounding(image) - exact(image)).abs().max())
    scaled = (image - OFFSET_HU) / SCALE_HU
    of_image = float((scaled.bfloat16().float() - scaled).abs().max()) * SCALE_HU  # some 4 HU
    assert 0 < difference < 0.05 * of_image


def test_bfloat16_lets_the_image_by(name: str) -> None:
    """But for the network that makes the image itself; that one runs in float32 by default."""
    assert rounds_image(make(name).network, n_pixels=33) == (name == "cnn of the image")


@pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor does not compute in bfloat16"
)
def test_bfloat16_autocast_keeps_the_image(name: str) -> None:
    if name == "cnn of the image":
        pytest.skip("as above")
    image = (draw(4, 32, 32) + 1000.0).numpy()
    exact, rounded = (denoise(predicting_little(name), image, dtype=dtype) for dtype in ("float32", "bfloat16"))
    assert 0 < float(np.abs(rounded - exact).max()) < 0.2  # HU; the image itself would be 4 HU off


@torch.no_grad()
def test_an_identity_network_returns_the_images() -> None:
    image = draw(2, 24, 24) * 10
    output = Denoiser(nn.Identity(), offset_hu=OFFSET_HU, scale_hu=SCALE_HU)(image)
    # Subtract, divide, multiply, add: a rounding of float32 each, the larger ones at the largest number involved.
    bound = 4 * torch.finfo(torch.float32).eps * (image.abs() + OFFSET_HU)
    assert bool(((output - image).abs() <= bound).all())
