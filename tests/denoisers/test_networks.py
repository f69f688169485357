"""What sets each network apart: the papers' structure, in laws and closed forms."""

import pytest
import torch
from torch import nn

from taskct.denoisers.cnn import ResidualCNN
from taskct.denoisers.dncnn import DnCNN
from taskct.denoisers.redcnn import REDCNN
from taskct.denoisers.unet import ResidualUNet
from taskct.errors import UserError


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def n_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("residual", [True, False])
@torch.no_grad()
def test_the_linear_cnn_is_affine(residual: bool) -> None:
    """f(a + b) − f(a) − f(b) + f(0) = 0 and f(ka) − f(0) = k (f(a) − f(0)); with ReLUs neither holds."""
    torch.manual_seed(0)
    a, b, zero = draw(2, 1, 16, 16), draw(2, 1, 16, 16, seed=1), torch.zeros(2, 1, 16, 16)

    def departure(network: nn.Module) -> float:
        additive = network(a + b) - network(a) - network(b) + network(zero)
        scaled = network(-3 * a) - network(zero) + 3 * (network(a) - network(zero))
        return float(torch.maximum(additive.abs().max(), scaled.abs().max()))

    assert departure(ResidualCNN(n_layers=4, linear=True, residual=residual)) < 1e-5
    assert departure(ResidualCNN(n_layers=4, residual=residual)) > 1e-3


@torch.no_grad()
def test_weights_fit_every_variant_of_the_cnn() -> None:
    """The names are `layers.N.weight` with N even; what is residual is the image minus what is not."""
    torch.manual_seed(0)
    residual, plain = ResidualCNN(n_layers=3), ResidualCNN(n_layers=3, residual=False)
    assert set(residual.state_dict()) == {f"layers.{n}.{kind}" for n in (0, 2, 4) for kind in ("weight", "bias")}
    plain.load_state_dict(residual.state_dict())
    ResidualCNN(n_layers=3, linear=True, dilations=(1, 2, 1)).load_state_dict(residual.state_dict())
    image = draw(2, 1, 16, 16)
    torch.testing.assert_close(residual(image), image - plain(image))


@torch.no_grad()
def test_dilation_is_a_convolution_of_every_second_pixel() -> None:
    """Where all dilations are 2, each of the four interleaved images is denoised by itself."""
    torch.manual_seed(0)
    near, far = ResidualCNN(n_layers=3, n_channels=4), ResidualCNN(n_layers=3, n_channels=4, dilations=[2, 2, 2])
    far.load_state_dict(near.state_dict())
    image = draw(1, 1, 20, 20)
    for row in (0, 1):
        for column in (0, 1):
            torch.testing.assert_close(far(image)[..., row::2, column::2], near(image[..., row::2, column::2]))


@pytest.mark.parametrize("dilations", [[1, 1], [1, 1, 0], [1, 1, 1.5], [1, True, 1]])
def test_dilations_that_are_none(dilations: list[int]) -> None:
    with pytest.raises(ValueError, match="whole numbers of pixels, each at least 1"):
        ResidualCNN(n_layers=3, dilations=dilations)


@torch.no_grad()
def test_an_image_that_is_predicted_is_not_rounded() -> None:
    """The last layer of the plain CNN runs in float32 under bfloat16 autocast, or its image had 8 bits."""
    torch.manual_seed(0)
    network = ResidualCNN(n_layers=2, n_channels=2, residual=False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = network(draw(1, 1, 8, 8))
    assert output.dtype == torch.float32
    assert not torch.equal(output, output.bfloat16().float())


def test_dncnn_is_as_large_as_in_the_paper() -> None:
    """17 layers of 64 maps: two outer convolutions with a bias, 15 without but with a scale and a shift."""
    inner = 64 * 64 * 9 + 2 * 64
    assert n_parameters(DnCNN()) == (64 * 9 + 64) + 15 * inner + (64 * 9 + 1)


@torch.no_grad()
def test_dncnn_normalizes_by_the_batch_in_training_only() -> None:
    """In training a contrast that is doubled before the first normalization does not get through it."""
    torch.manual_seed(0)
    network, image = DnCNN(n_layers=3, n_channels=8), draw(4, 1, 16, 16)
    for module in network.layers:
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.zeros_(module.bias)
    predicted, of_double = (x - network.train()(x) for x in (image, 2 * image))
    torch.testing.assert_close(predicted, of_double, rtol=1e-3, atol=1e-4)
    predicted, of_double = (x - network.eval()(x) for x in (image, 2 * image))
    assert float((of_double - predicted).abs().max()) > 1e-2


def test_redcnn_is_as_large_as_in_the_paper() -> None:
    """Ten layers of 5 x 5: eight between 96 maps, two from and to the image."""
    assert n_parameters(REDCNN()) == (96 * 25 + 96) + 8 * (96 * 96 * 25 + 96) + (96 * 25 + 1)


@torch.no_grad()
def test_the_three_ways_round_of_redcnn() -> None:
    """With the innermost decoder layers at zero, what is left goes by the residual connections."""
    torch.manual_seed(0)
    network, image = REDCNN(n_channels=4), draw(1, 1, 24, 27)

    def silence(index: int) -> None:
        nn.init.zeros_(network.decoder[index].weight)
        nn.init.zeros_(network.decoder[index].bias)

    def encode(n_layers: int) -> torch.Tensor:
        maps = image
        for layer in network.encoder[:n_layers]:
            maps = torch.relu(layer(maps))
        return maps

    def decode(maps: torch.Tensor, first: int) -> torch.Tensor:
        return torch.relu(network.decoder[first](torch.relu(maps)))

    silence(0)
    inner = torch.relu(network.decoder[2](decode(encode(4), 1)) + encode(2))
    expected = image + network.decoder[4](torch.relu(network.decoder[3](inner)))
    torch.testing.assert_close(network(image), expected)
    silence(2)
    expected = image + network.decoder[4](torch.relu(network.decoder[3](encode(2))))
    torch.testing.assert_close(network(image), expected)
    silence(4)
    torch.testing.assert_close(network(image), image)


@pytest.mark.parametrize(("network", "side"), [(REDCNN(n_channels=2), 21), (ResidualUNet(n_levels=3, n_channels=2), 8)])
def test_images_too_small_for_the_network(network: nn.Module, side: int) -> None:
    assert network(draw(1, 1, side, side + 3)).shape == (1, 1, side, side + 3)
    with pytest.raises(UserError, match=f"at least {side} x {side} pixels.* not {side + 1} x {side - 1}"):
        network(draw(1, 1, side + 1, side - 1))


@torch.no_grad()
def test_the_unet_pads_by_reflection() -> None:
    """An image of any size is denoised as the image that is continued by reflection to a multiple of 4."""
    torch.manual_seed(0)
    network, image = ResidualUNet(n_levels=2, n_channels=4), draw(1, 1, 13, 18)
    whole = nn.functional.pad(image, (0, 2, 0, 3), mode="reflect")
    torch.testing.assert_close(network(image), network(whole)[..., :13, :18])


@torch.no_grad()
def test_the_unet_moves_with_the_image_by_its_alignment() -> None:
    torch.manual_seed(0)
    network, image = ResidualUNet(n_levels=2, n_channels=4), draw(1, 1, 80, 80)
    network.last.weight *= 100  # of what is drawn, little comes from the coarse levels
    inner, still = slice(28, 44), network(image)
    for step in (4, 8):
        moved = network(image[..., step:, step:])[..., inner, inner]
        torch.testing.assert_close(moved, still[..., 28 + step : 44 + step, 28 + step : 44 + step], rtol=0, atol=1e-4)
    other = network(image[..., 2:, 2:])[..., inner, inner]
    assert float((other - still[..., 30:46, 30:46]).abs().max()) > 1e-3


@pytest.mark.parametrize(
    ("network", "arguments"),
    [
        (DnCNN, {"n_layers": 1}),
        (DnCNN, {"n_channels": 0}),
        (REDCNN, {"n_channels": 0}),
        (ResidualUNet, {"n_levels": 0}),
        (ResidualUNet, {"n_channels": 0}),
    ],
)
def test_sizes_out_of_range(network: type[nn.Module], arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        network(**arguments)
