"""Images of sizes that a network does not take are padded by reflection and cropped, everywhere alike."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from taskct.denoisers.blend import Blend
from taskct.denoisers.cnn import ResidualCNN
from taskct.denoisers.denoiser import NETWORKS, Denoiser, denoise, make_network
from taskct.denoisers.reach import receptive_radius
from taskct.denoisers.sizes import Padded, find_multiple, pad_to_multiple, run_padded
from taskct.denoisers.tiling import Reach, find_reach
from taskct.errors import UserError


class Halving(nn.Module):
    """A U-Net's way down and up, as in many libraries: it fails on images that cannot be halved so often."""

    def __init__(self, n_levels: int = 3, *, factor: int = 2) -> None:
        super().__init__()
        self.factor = factor
        self.down = nn.ModuleList(nn.Conv2d(1 if i == 0 else 4, 4, 3, padding=1) for i in range(n_levels))
        self.up = nn.ModuleList(nn.ConvTranspose2d(4, 4, factor, stride=factor) for _ in range(n_levels))
        self.last = nn.Conv2d(4, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features, skipped = image, []
        for layer in self.down:
            features = torch.relu(layer(features))
            skipped.append(features)
            features = F.max_pool2d(features, self.factor)
        for layer in self.up:
            features = skipped.pop() + layer(features)
        result: torch.Tensor = image - self.last(features)
        return result


class OneSize(nn.Module):
    """Takes images of 24 x 24 pixels alone."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(24, 24))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image + self.place


def halving(n_levels: int = 3, *, seed: int = 0, factor: int = 2) -> Halving:
    torch.manual_seed(seed)
    return Halving(n_levels, factor=factor)


def of(network: nn.Module) -> Denoiser:
    return Denoiser(network, offset_hu=40.0, scale_hu=30.0, size_multiple=find_multiple(network) or 1).eval()


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(40, 60, shape).astype(np.float32)


@pytest.mark.parametrize(("height", "width", "multiple"), [(33, 47, 8), (32, 40, 8), (5, 3, 16), (1, 6, 4), (7, 1, 4)])
def test_padding_is_numpys_reflection(height: int, width: int, multiple: int) -> None:
    image = draw(2, 1, height, width)
    found = pad_to_multiple(torch.from_numpy(image), multiple).numpy()
    down, right = -height % multiple, -width % multiple
    np.testing.assert_array_equal(found, np.pad(image, ((0, 0), (0, 0), (0, down), (0, right)), mode="reflect"))


@pytest.mark.parametrize(
    ("network", "multiple"),
    [
        (nn.Conv2d(1, 1, 3, padding=1), 1),
        (halving(1), 2),
        (halving(3), 8),
        (halving(6), 64),
        (halving(1, factor=3), 3),
        (nn.Sequential(halving(1, factor=3), halving(2)), 12),
        (nn.Sequential(nn.PixelUnshuffle(4), nn.Conv2d(16, 16, 1), nn.PixelShuffle(4)), 4),
        (nn.Sequential(nn.AvgPool2d((4, 1)), nn.Upsample(scale_factor=(4, 1))), 4),  # one side alone
        (nn.Sequential(nn.MaxPool2d(7), nn.Upsample(scale_factor=7)), 7),
        (nn.Conv2d(1, 1, 3), None),
        (nn.Linear(48, 48), None),
        (OneSize(), None),
    ],
)
def test_the_sizes_that_a_network_takes(network: nn.Module, multiple: int | None) -> None:
    before = torch.get_rng_state()
    assert find_multiple(network) == multiple
    assert network.training
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_our_own_networks_take_any(name: str) -> None:
    """So they are left as they were: nothing is padded and nothing is in their cards but a 1."""
    assert find_multiple(make_network(name, {} if name in ("cnn", "context") else {"n_channels": 4})) == 1


def test_a_size_that_the_network_takes_is_left_to_the_bit() -> None:
    network, image = halving(), torch.from_numpy(draw(2, 32, 40))
    plain = Denoiser(network, offset_hu=40.0, scale_hu=30.0)
    assert torch.equal(of(network)(image), plain(image))
    assert list(of(network).state_dict()) == list(plain.state_dict())


@pytest.mark.parametrize("shape", [(33, 47), (40, 41), (3, 30)])
def test_other_sizes_are_padded_and_cropped(shape: tuple[int, int]) -> None:
    """As the image that NumPy continues by reflection, in training and in `denoise`."""
    network, image = halving(), draw(2, *shape)
    with pytest.raises(UserError, match=f"network fails on images of {shape[0]} x {shape[1]} pixels"):
        Denoiser(network, offset_hu=40.0, scale_hu=30.0)(torch.from_numpy(image))
    down, right = (-side % 8 for side in shape)
    whole = np.pad(image, ((0, 0), (0, down), (0, right)), mode="reflect")
    expected = of(network)(torch.from_numpy(whole))[:, : shape[0], : shape[1]]
    torch.testing.assert_close(of(network).train()(torch.from_numpy(image)), expected, rtol=0, atol=1e-4)
    found = denoise(of(network), image, dtype="float32")
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("shape", [(61, 83), (33, 47), (129, 40)])
@pytest.mark.parametrize("n_levels", [1, 3])
def test_tiles_give_the_whole_slice(shape: tuple[int, int], n_levels: int) -> None:
    """Only the slice's own end is padded: tiles lie on the grid."""
    denoiser, images = of(halving(n_levels)), draw(1, *shape)
    assert find_reach(denoiser, torch.from_numpy(images[0])).alignment % 2**n_levels == 0
    whole = denoise(denoiser, images, dtype="float32")
    for tile in (16, 24):
        tiled = denoise(denoiser, images, dtype="float32", tile=tile)
        np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5 * float(np.abs(whole).max()))


class Whole(nn.Module):
    """Refuses sizes that are no multiples of 8, though no pixel sees another."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        assert image.shape[-1] % 8 == image.shape[-2] % 8 == 0
        return 2 * image


def test_a_last_tile_of_one_pixel() -> None:
    """Which has nothing to be reflected, and needs nothing."""
    denoiser, images = of(Whole()), draw(1, 33, 33)
    assert find_reach(denoiser, torch.from_numpy(images[0])) == Reach(radius=0, alignment=8)
    whole, tiled = (denoise(denoiser, images, dtype="float32", tile=tile) for tile in (None, 16))
    np.testing.assert_array_equal(whole, tiled)


def test_the_reach_of_a_padded_network() -> None:
    """On a probe of any size, as on one that it takes."""
    assert receptive_radius(Padded(halving(2), 4), n_pixels=63) == receptive_radius(halving(2), n_pixels=64)


def test_a_blend_of_padded_networks() -> None:
    control, task = of(halving(seed=0)), of(halving(seed=1))
    images = torch.from_numpy(draw(1, 33, 47))
    with torch.no_grad():
        expected = 0.75 * control(images) + 0.25 * task(images)
        torch.testing.assert_close(Blend(control, task, alpha=0.25)(images), expected, rtol=0, atol=1e-4)


def test_a_network_of_one_size_refuses_others_in_one_line() -> None:
    with pytest.raises(
        UserError,
        match=r"^the denoiser's network fails on images of 33 x 47 pixels: give images of a size that it takes",
    ) as caught:
        denoise(of(OneSize()), draw(1, 33, 47), dtype="float32")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="fails on images of 64 x 64"):
        denoise(of(OneSize()), draw(1, 33, 47), dtype="float32", tile=16)
    assert denoise(of(OneSize()), draw(1, 24, 24), dtype="float32").shape == (1, 24, 24)


def test_an_input_that_is_reshaped_in_place_is_no_output_of_the_right_shape() -> None:
    class Squeezing(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image.squeeze_(1)

    with pytest.raises(UserError, match="must keep the shape"):
        Denoiser(Squeezing(), offset_hu=0.0, scale_hu=1.0)(torch.zeros(2, 8, 8))


def test_a_convolution_over_volumes_inside() -> None:
    """Torch refuses a module with weights of five dimensions in `channels_last`."""

    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv3d(1, 1, (1, 3, 3), padding=(0, 1, 1))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.layer(image[:, None])[:, 0]
            return result

    assert denoise(of(Deep()), draw(1, 20, 20), dtype="float32").shape == (1, 20, 20)


def test_what_is_not_cropped() -> None:
    """An output of another shape is passed on as it is, for the message to tell."""
    assert run_padded(nn.AvgPool2d(2), torch.zeros(1, 1, 6, 6), 4).shape == (1, 1, 4, 4)


def test_a_multiple_that_is_none() -> None:
    with pytest.raises(ValueError, match="size_multiple must be at least 1 pixel, not 0"):
        Denoiser(ResidualCNN(n_layers=2), offset_hu=0.0, scale_hu=1.0, size_multiple=0)
