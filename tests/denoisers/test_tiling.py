"""A slice in pieces gives what the whole slice gives."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from taskct.denoisers.denoiser import Denoiser, denoise, make_network
from taskct.denoisers.tiling import Reach, find_reach, run_in_tiles
from taskct.errors import UserError


def make(name: str, **arguments: object) -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(make_network(name, arguments), offset_hu=40.0, scale_hu=30.0).eval()


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(40, 60, shape).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("cnn", {}),
        ("cnn", {"dilations": [1, 2, 4, 2, 1], "residual": False}),
        ("context", {"n_channels": 8, "context_channels": 8}),
        ("dncnn", {"n_layers": 5, "n_channels": 8}),
        ("redcnn", {"n_channels": 8}),
        ("unet", {"n_levels": 2, "n_channels": 4}),
    ],
)
@pytest.mark.parametrize("tile", [17, 40])
def test_tiles_give_the_whole_slice(name: str, arguments: dict[str, object], tile: int) -> None:
    """To the rounding of float32, at sizes that no tile divides, borders included."""
    denoiser, images = make(name, **arguments), draw(2, 61, 83)
    whole = denoise(denoiser, images, dtype="float32")
    tiled = denoise(denoiser, images, dtype="float32", tile=tile)
    assert (tiled.shape, tiled.dtype) == (whole.shape, np.float32)
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5 * float(np.abs(whole).max()))
    cut = denoise(denoiser, images, dtype="float32", tile=tile, margin=3)
    np.testing.assert_array_equal(cut, tiled[:, 3:-3, 3:-3])


@torch.no_grad()
def test_a_halo_one_pixel_short_shows() -> None:
    """A network of positive weights passes every pixel on; 1/9 a layer leaves 1/6561 of it at the end of its reach."""
    denoiser = make("cnn", n_layers=4, n_channels=2, residual=False)
    for name, parameter in denoiser.named_parameters():
        nn.init.constant_(parameter, 1 / (9 * parameter.shape[1]) if name.endswith("weight") else 0.0)
    image = torch.from_numpy(np.abs(draw(1, 40, 40)) + 1000)
    whole = denoiser(image)
    right, short = (run_in_tiles(denoiser, image, tile=16, reach=Reach(radius=r, alignment=1)) for r in (4, 3))
    assert find_reach(denoiser, image[0]) == Reach(radius=4, alignment=1)
    assert float((right - whole).abs().max()) < 1e-3
    assert float((short - whole).abs().max()) > 0.05


def test_the_reach_can_be_given() -> None:
    """One that is too short is not questioned: nothing was measured."""
    denoiser, images = make("cnn"), draw(1, 40, 40)
    short, right = (Reach(radius=r, alignment=1) for r in (0, 5))
    found = denoise(denoiser, images, dtype="float32", tile=16)
    np.testing.assert_array_equal(denoise(denoiser, images, dtype="float32", tile=16, reach=right), found)
    assert np.abs(denoise(denoiser, images, dtype="float32", tile=16, reach=short) - found).max() > 0.1


def test_the_alignment_of_modules_inside_counts() -> None:
    """What a blend of two U-Nets names is a multiple of both, even where drawn weights would not show it."""
    mean = nn.ModuleList([make("unet", n_levels=n, n_channels=1) for n in (1, 2)])
    mean.forward = lambda image: (mean[0](image) + mean[1](image)) / 2  # type: ignore[method-assign]
    assert find_reach(mean, torch.from_numpy(draw(60, 60))) == Reach(radius=23, alignment=4)


def test_pieces_are_small() -> None:
    """No piece is larger than a tile and its halo on both sides; a U-Net's are aligned."""
    sizes: list[tuple[int, ...]] = []

    def run(image: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(image.shape))
        return image

    image = torch.from_numpy(draw(3, 50, 64))
    result = run_in_tiles(run, image, tile=18, reach=Reach(radius=5, alignment=4))
    assert torch.equal(result, image)
    assert len(sizes) == 4 * 4  # tiles of 16
    assert max(max(size[1:]) for size in sizes) == 16 + 2 * 8
    assert min(sizes)[1] == 2 + 8  # the last two rows


class HU(nn.Module):
    """A denoiser of HU from a function of images."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, image_hu: torch.Tensor) -> torch.Tensor:
        return self.function(image_hu[:, None])[:, 0]  # type: ignore[operator]  # a function


def test_an_alignment_that_nobody_names_is_measured() -> None:
    def cells(image: torch.Tensor) -> torch.Tensor:
        height, width = image.shape[-2:]
        padded = F.pad(image, (0, -width % 4, 0, -height % 4), mode="replicate")
        return F.interpolate(F.max_pool2d(padded, 4), scale_factor=4)[..., :height, :width]

    images = draw(1, 45, 50)
    assert find_reach(HU(cells), torch.from_numpy(images[0])) == Reach(radius=3, alignment=4)
    whole, tiled = (denoise(HU(cells), images, dtype="float32", tile=tile) for tile in (None, 10))
    np.testing.assert_array_equal(tiled, whole)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (nn.InstanceNorm2d(1), "normalize over the whole image"),
        (nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), "circular padding"),
        (lambda x: x * torch.linspace(0, 1, x.shape[-1]), "where that lies in the image"),
        (lambda x: x + torch.rand_like(x), "drawn at random"),
    ],
)
def test_denoisers_that_no_tiles_can_give(function: object, message: str) -> None:
    images = draw(1, 40, 40)
    with pytest.raises(UserError, match=f"^this denoiser cannot run in tiles: .*{message}.*; leave tile out"):
        denoise(HU(function), images, dtype="float32", tile=16)
    assert denoise(HU(function), images, dtype="float32", tile=40).shape == images.shape  # one piece is the whole


def test_an_image_that_is_constant_is_tiled_as_well() -> None:
    denoiser, images = make("cnn"), np.full((1, 40, 40), -1000, dtype=np.float32)
    whole, tiled = (denoise(denoiser, images, dtype="float32", tile=tile) for tile in (None, 16))
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=0.02)


@pytest.mark.parametrize("tile", [0, -8])
def test_tiles_of_no_size(tile: int) -> None:
    with pytest.raises(ValueError, match="at least 1 pixel"):
        denoise(make("cnn"), draw(1, 40, 40), dtype="float32", tile=tile)
