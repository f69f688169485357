"""Networks of another library, by their import path; `pip install taskct[monai]` brings the library."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from taskct.config import make_settings, read_preset
from taskct.denoisers.checks import Use, try_network
from taskct.denoisers.denoiser import Denoiser, denoise, make_network, rounds_image
from taskct.denoisers.import_path import trust_network
from taskct.denoisers.response import measure_response, notes_of
from taskct.denoisers.sizes import Padded, find_multiple
from taskct.errors import UserError
from taskct.study.checks import check_network

BASIC, UNET = "monai.networks.nets.BasicUNet", "monai.networks.nets.UNet"
IN_2D: dict[str, object] = {"spatial_dims": 2, "in_channels": 1, "out_channels": 1}
SMALL: dict[str, dict[str, object]] = {
    BASIC: {**IN_2D, "features": [4, 4, 8, 8, 8, 4]},
    UNET: {**IN_2D, "channels": [4, 8, 8], "strides": [2, 2], "num_res_units": 2},
}


@pytest.fixture(scope="module", autouse=True)
def monai() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing it warns about other packages
        pytest.importorskip("monai.networks.nets", reason="MONAI is not installed: it is the extra `monai`")


def make(name: str, **arguments: object) -> torch.nn.Module:
    trust_network(name)
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's own
        return make_network(name, SMALL[name] | arguments)


@pytest.mark.parametrize(("name", "multiple"), [(BASIC, 1), (UNET, 4)])
def test_unets_without_normalization(name: str, multiple: int) -> None:
    """As documented: they learn, take any size, can be tiled, and there is nothing to warn of."""
    network = make(name, norm=None)
    assert find_multiple(network) == multiple
    try_network(network, Use(name, 42, multiple=multiple))
    assert notes_of(measure_response(Padded(network, multiple), n_pixels=128), name=name) == []
    images = np.random.default_rng(0).normal(50, 20, (1, 77, 131)).astype(np.float32)
    denoiser = Denoiser(network, offset_hu=50.0, scale_hu=20.0, size_multiple=multiple)
    whole, tiled = (denoise(denoiser, images, dtype="float32", tile=tile) for tile in (None, 64))
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5 * float(np.abs(whole).max()))


@pytest.mark.parametrize(("name", "n_notes"), [(BASIC, 3), (UNET, 1)])
def test_their_instance_normalization_is_told(name: str, n_notes: int) -> None:
    """As they come, a bright object far away shows; without residual units also f(2x) = f(x) and the level is lost."""
    network = make(name)
    response = measure_response(network, n_pixels=128)
    assert response is not None
    assert response.far > 0.3
    if name == BASIC:
        assert response.contrast < 1e-3
        assert response.level < 0.1
    lines = notes_of(response, name=name)
    assert len(lines) == n_notes
    assert "couples far pixels" in lines[-1]
    images = np.random.default_rng(0).normal(50, 20, (1, 40, 40)).astype(np.float32)
    with pytest.raises(UserError, match="normalize over the whole image"):
        denoise(Denoiser(network, offset_hu=50.0, scale_hu=20.0), images, dtype="float32", tile=16)


def test_batch_normalization_can_be_tiled() -> None:
    """It names no alignment, so that is measured; four levels of pooling are 16 pixels."""
    denoiser = Denoiser(make(BASIC, norm="batch", features=[4] * 6), offset_hu=50.0, scale_hu=20.0)
    images = np.random.default_rng(0).normal(50, 20, (1, 77, 300)).astype(np.float32)
    whole, tiled = (denoise(denoiser, images, dtype="float32", tile=tile) for tile in (None, 64))
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5 * float(np.abs(whole).max()))


def test_their_last_layer_makes_the_image() -> None:
    """So bfloat16 would round it."""
    assert rounds_image(make(BASIC, norm=None), n_pixels=40)


def test_the_documented_example() -> None:
    """Its very words: it trains on regions of the demo, and of it there is nothing to tell but the sizes it takes."""
    text = (Path(__file__).parents[2] / "docs" / "own-network.md").read_text(encoding="utf-8")
    name = re.findall(r"--set denoiser\.network=(monai\S+)", text)
    arguments = re.findall(r"--set 'denoiser\.arguments=(\{.*norm: null\})'", text)
    assert (len(name), len(arguments)) == (1, 1)
    settings = make_settings(
        read_preset("demo"), {"denoiser": {"network": name[0], "arguments": yaml.safe_load(arguments[0])}}
    )
    trust_network(name[0])
    (line,) = check_network(settings).notes
    assert "multiples of 4 pixels" in line


def test_arguments_it_refuses() -> None:
    with pytest.raises(UserError, match=f"^denoiser.arguments do not fit {BASIC}: .*n_levels"):
        make(BASIC, n_levels=3)
