"""A network of another library, by its import path; `pip install taskct[monai]` brings the library."""

import warnings

import numpy as np
import pytest
import torch

from taskct.denoisers.checks import check_network_output
from taskct.denoisers.denoiser import Denoiser, denoise, make_network
from taskct.errors import UserError

NAME = "monai.networks.nets.BasicUNet"
ARGUMENTS: dict[str, object] = {
    "spatial_dims": 2,
    "in_channels": 1,
    "out_channels": 1,
    "features": [8, 8, 16, 16, 16, 8],
}


@pytest.fixture(scope="module", autouse=True)
def monai() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing it warns about other packages
        pytest.importorskip("monai.networks.nets", reason="MONAI is not installed: it is the extra `monai`")


def make(**arguments: object) -> torch.nn.Module:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's own
        return make_network(NAME, ARGUMENTS | arguments)


def test_a_unet_of_monai_is_a_denoiser() -> None:
    network = make()
    check_network_output(network, name=NAME, n_pixels=40)
    images = np.random.default_rng(0).normal(50, 20, (2, 40, 37)).astype(np.float32)
    denoiser = Denoiser(network, offset_hu=50.0, scale_hu=20.0)
    result = denoise(denoiser, images, dtype="float32")
    assert (result.shape, result.dtype) == (images.shape, np.float32)
    denoiser(torch.from_numpy(images)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_its_instance_normalization_cannot_be_tiled() -> None:
    images = np.random.default_rng(0).normal(50, 20, (1, 40, 40)).astype(np.float32)
    with pytest.raises(UserError, match="normalize over the whole image"):
        denoise(Denoiser(make(), offset_hu=50.0, scale_hu=20.0), images, dtype="float32", tile=16)


def test_its_batch_normalization_can() -> None:
    """It names no alignment, so that is measured; four levels of pooling are 16 pixels."""
    denoiser = Denoiser(make(norm="batch", features=[4, 4, 4, 4, 4, 4]), offset_hu=50.0, scale_hu=20.0)
    images = np.random.default_rng(0).normal(50, 20, (1, 77, 300)).astype(np.float32)
    whole, tiled = (denoise(denoiser, images, dtype="float32", tile=tile) for tile in (None, 64))
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5 * float(np.abs(whole).max()))


def test_arguments_it_refuses() -> None:
    with pytest.raises(UserError, match=f"^denoiser.arguments do not fit {NAME}: .*n_levels"):
        make(n_levels=3)
