"""Modules that cannot be trained are told in one line, before anything is."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from taskct.denoisers.checks import Use, try_network
from taskct.denoisers.denoiser import NETWORKS, make_network
from taskct.denoisers.dncnn import DnCNN
from taskct.denoisers.redcnn import REDCNN
from taskct.errors import UserError


class Module(nn.Module):
    """A module from a function of images and of whether it is training, after a gain that is learned."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, image: torch.Tensor) -> object:
        return self.function(image * self.gain, self.training)  # type: ignore[operator]  # a function


def fail(image: torch.Tensor, training: bool) -> None:
    raise KeyError("no such\nmap")


def add_in_place(image: torch.Tensor, training: bool) -> torch.Tensor:
    """The root's gradient is a quotient by the root itself, which is changed."""
    root = (image * image + 1.0).sqrt()
    root += 1.0
    return root


def use(side: int = 28, **changed: object) -> Use:
    return Use("mine.Net", side, **changed)  # type: ignore[arg-type]  # settings by name


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Module(lambda x, t: x / (x - x)), "returned NaN or infinity in 1568 of 1568 pixels"),
        (Module(lambda x, t: x.sqrt() if t else x), r"returned NaN or infinity in \d+ of 1568 pixels .* training mode"),
        (Module(lambda x, t: x[..., 1:-1]), r"turned .*\(2, 1, 28, 28\) into \(2, 1, 28, 26\) in evaluation mode"),
        (Module(lambda x, t: [x, x] if t else x), "turned .* into list in training mode"),
        (Module(lambda x, t: x.int()), "returned torch.int32 in evaluation mode"),
        (
            Module(fail),
            r"cannot take images of 28 x 28 pixels in evaluation mode: it must take \(n, 1, height, width\) and return "
            r"the same shape; in its own words: KeyError: 'no such\\nmap'$",
        ),
        (
            nn.Conv2d(3, 1, 3, padding=1),
            "cannot take images of 28 x 28 .*: it takes 3 channels and CT has one: set its channels to 1 in "
            "denoiser.arguments; in its own words: RuntimeError: ",
        ),
        (nn.Conv3d(1, 1, 3, padding=1), "it is made for volumes: make it one for 2 dimensions in denoiser.arguments"),
        (
            Module(lambda x, t: x + torch.zeros(64, 64)),
            "it does take 64 x 64: choose trials.region_pixels . 2 trials.margin_pixels to suit",
        ),
        (Module(lambda x, t: fail(x, t) if t else x), "in training mode: it does take them in evaluation mode"),
        (Module(lambda x, t: x + x.reshape(1, 1, 28, 28)), "it takes one image at a time: make it take batches"),
        (
            Module(lambda x, t: x.squeeze().permute(0, 2, 1)[:, None]),
            "takes batches of images, but not one alone, as slices are denoised: give squeeze.. an axis; in its own ",
        ),
        (
            Module(lambda x, t: x.detach()),
            "no gradient of its output reaches .*: its forward runs under torch.no_grad, or detaches what it returns",
        ),
        (Module(lambda x, t: torch.no_grad()(torch.square)(x)), "runs under torch.no_grad, or detaches"),
        (Module(add_in_place), r"changes in place what its own gradient needs: .*inplace=False.*; in its own words: "),
        (Module(lambda x, t: x + nn.Parameter(torch.ones(1)).add_(1.0) if t else x), "changes in place what its own"),
        (Module(lambda x, t: (x - x).sqrt() + x), "the gradient of gain is NaN or infinite"),
    ],
)
def test_networks_that_are_refused(network: nn.Module, message: str) -> None:
    with pytest.raises(UserError, match=f"^denoiser.network 'mine.Net':? .*{message}") as caught:
        try_network(network, use())
    assert "\n" not in str(caught.value)
    assert "arguments right" not in str(caught.value)


def test_a_long_message_is_cut() -> None:
    def shout(image: torch.Tensor, training: bool) -> None:
        raise RuntimeError("no " * 1000)

    with pytest.raises(UserError) as caught:
        try_network(Module(shout), use())
    assert len(str(caught.value)) < 500


class Counted(nn.Linear):
    """Keeps a number that is no tensor."""

    def get_extra_state(self) -> object:
        return {"seen": 3}

    def set_extra_state(self, state: object) -> None:
        pass


def test_state_that_is_no_tensor_is_named() -> None:
    for network, part in ((nn.Sequential(nn.Identity(), Counted(28, 28)), "its part '1'"), (Counted(28, 28), "it")):
        with pytest.raises(
            UserError, match=rf"^denoiser.network 'mine.Net': {part} keeps extra state of type dict \(get_extra_state\)"
        ):
            try_network(network, use())


def test_parameters_that_nothing_uses() -> None:
    network = Module(lambda x, t: x)
    network.gain.requires_grad_(False)
    network.spare = nn.Parameter(torch.ones(3))
    with pytest.raises(UserError, match=r"no gradient .*: its forward runs under torch.no_grad, or"):
        try_network(network, use())
    network.other = nn.Conv2d(1, 1, 1)
    network.function = lambda x, t: network.other(x.detach())
    network.other.weight.requires_grad_(False)
    try_network(network, use())  # one that is used will do: a network may hold what its forward never uses


@pytest.mark.parametrize("side", [20, 28])
def test_patches_are_tried_too(side: int) -> None:
    """At their size, where the regions' own would do."""
    network = Module(lambda x, t: F.max_pool2d(x, 4).repeat_interleave(4, -1).repeat_interleave(4, -2))
    try_network(network, use(28, patch_pixels=side))
    with pytest.raises(UserError, match=r"\(2, 1, 22, 22\) into \(2, 1, 20, 20\)"):
        try_network(network, use(28, patch_pixels=22))
    try_network(network, use(28, patch_pixels=22, multiple=4))


def test_what_runs_only_in_float32_is_found() -> None:
    """As a function that an older torch has in float32 alone: which ones these are differs between its releases."""
    convolution = nn.Conv2d(1, 1, 3, padding=1)

    def in_float32(image: torch.Tensor, _: bool) -> torch.Tensor:
        features = convolution(image)
        if features.dtype != torch.float32:
            raise RuntimeError(f"not implemented for {features.dtype}")
        return features

    network = Module(in_float32)
    try_network(network, use())
    with pytest.raises(UserError, match=r"cannot take images .* in its own words: RuntimeError: not implemented for "):
        try_network(network, use(dtype="bfloat16"))


class Unlike(nn.Module):
    """A convolution whose input is changed in place afterwards, or whose weights are of another dtype."""

    def __init__(self, dtype: torch.dtype, in_place: bool) -> None:
        super().__init__()
        self.layer, self.in_place = nn.Conv2d(1, 1, 3, padding=1, dtype=dtype), in_place

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        noise = self.layer(image)
        if self.in_place:
            image += noise
            return image
        return image + noise


@pytest.mark.parametrize(
    ("dtype", "in_place", "message"),
    [
        (torch.float32, True, "changes in place what its own gradient needs"),
        (torch.float16, False, "it has weights of float16 and images are float32: leave its weights in float32"),
    ],
)
def test_what_runs_only_in_bfloat16_is_found(dtype: torch.dtype, in_place: bool, message: str) -> None:
    """Autocast copies what a layer takes and casts weights; in float32, where the reach is measured, it would fail."""
    with pytest.raises(UserError, match=message):
        try_network(Unlike(dtype, in_place), use(dtype="bfloat16"))


def test_a_view_of_what_lies_in_another_order_is_found() -> None:
    """Networks run in `channels_last`, where a view that is right for contiguous maps fails."""
    convolution = nn.Conv2d(1, 4, 3, padding=1).to(memory_format=torch.channels_last)
    network = Module(lambda x, t: convolution(x).view(len(x), -1).view(len(x), 4, 28, 28)[:, :1])
    with pytest.raises(UserError, match=r"cannot take images .*in its own words: RuntimeError: view size"):
        try_network(network, use())


def test_a_network_that_says_itself_what_it_needs() -> None:
    with pytest.raises(UserError, match=r"^redcnn takes images of at least 21"):
        try_network(REDCNN(n_channels=2), Use("redcnn", 20))


@pytest.mark.parametrize("name", list(NETWORKS))
def test_our_own_pass(name: str) -> None:
    arguments = {} if name in ("cnn", "context") else {"n_channels": 4}
    try_network(make_network(name, arguments), use(33, patch_pixels=24, dtype="bfloat16"))


class InPlace(nn.Module):
    """Changes its input, as `ReLU(inplace=True)` in front does, which its gradient does not mind."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.last(image.mul_(0.5).relu_())
        return result


def old_weight_norm() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and used all the same
        return nn.Sequential(nn.utils.weight_norm(nn.Conv2d(1, 2, 3, padding=1)), nn.Conv2d(2, 1, 3, padding=1))


@pytest.mark.parametrize("make", [InPlace, old_weight_norm])
def test_networks_that_are_unusual_but_right(make: type[nn.Module]) -> None:
    """Neither is copied or differentiated at its input, which would fail."""
    network = make()
    network(torch.ones(1, 1, 8, 8))
    try_network(network, use())


def test_what_is_checked_stays_as_it_was() -> None:
    """Neither weights nor the statistics of a normalization nor the generator nor gradients move."""
    network = nn.Sequential(DnCNN(n_layers=3, n_channels=2), nn.Dropout(), nn.Conv2d(1, 1, 1).eval())
    before, state = {k: v.clone() for k, v in network.state_dict().items()}, torch.get_rng_state()
    try_network(network, use(16, patch_pixels=12))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert network.training
    assert not network[2].training
    assert all(parameter.grad is None for parameter in network.parameters())
