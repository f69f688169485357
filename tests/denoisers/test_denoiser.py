"""The way in for a user's module, its errors, and running a denoiser over images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from taskct.denoisers.cnn import ResidualCNN
from taskct.denoisers.denoiser import NETWORKS, Denoiser, autocast, denoise, make_network, resolve_dtype
from taskct.denoisers.import_path import trust_network
from taskct.errors import UserError

MODULE = """
import torch
from torch import nn

class Blur(nn.Module):
    def __init__(self, *, side: int = 3) -> None:
        super().__init__()
        self.mean = nn.Conv2d(1, 1, side, padding=side // 2, bias=False)
        nn.init.constant_(self.mean.weight, 1 / side**2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.mean(image)

class Pool(nn.AvgPool2d):
    class Inner(nn.Conv2d):
        pass

class Strict(nn.Module):
    def __init__(self) -> None:
        raise RuntimeError("no licence")

class Wanting(nn.Module):
    def __init__(self) -> None:
        import a_package_that_is_absent

def called() -> None:
    raise AssertionError("a function that is no module was called")

number = 3
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of the user's, importable by the name that is returned."""
    name = f"users_module_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / f"{name}_broken.py").write_text("1 / 0\n")
    (tmp_path / f"{name}_wants.py").write_text("import a_package_that_is_absent\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_a_users_module_by_its_import_path(mine: str) -> None:
    """A mean over 3 x 3 leaves a plane as it is and takes 8/9 of the variance of white noise."""
    trust_network(f"{mine}.Blur")
    denoiser = Denoiser(make_network(f"{mine}.Blur", {"side": 3}), offset_hu=40.0, scale_hu=20.0)
    plane = torch.arange(16.0).expand(1, 16, 16) * 3
    torch.testing.assert_close(denoiser(plane)[:, 1:-1, 1:-1], plane[:, 1:-1, 1:-1])
    noise = 30 * torch.randn((40, 32, 32), generator=torch.Generator().manual_seed(0))
    # 40 x 30 x 30 pixels, correlated over 9: the relative s.d. of the variance is about 2 %; 8 % is 4 s.d.
    assert float(denoiser(noise)[:, 1:-1, 1:-1].detach().var()) == pytest.approx(100.0, rel=0.08)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("no_such_net", {}, f"is unknown: use {', '.join(NETWORKS)}, or an import path like package.Class"),
        ("no_such_package.Net", {}, "cannot be imported: there is no package no_such_package: install it"),
        ("{mine}.NoSuchClass", {}, "{mine} is there, but has nothing called NoSuchClass"),
        ("{mine}.Blur.Inner", {}, "{mine}.Blur is there, but has nothing called Inner"),
        ("xml.sax.no_such_module.Net", {}, "xml.sax is there, but has nothing called no_such_module"),
        ("{mine}_broken.Net", {}, "importing {mine}_broken raised ZeroDivisionError: division by zero"),
        ("{mine}_wants.Net", {}, "raised ModuleNotFoundError: No module named 'a_package_that_is_absent'"),
        ("..Net", {}, "it is not a path of names joined by dots"),
        ("{mine}.number", {}, "is not a torch.nn.Module but of type int"),
        # Never called: a card may come from elsewhere.
        ("{mine}.called", {}, "is not a torch.nn.Module but of type function"),
        ("os.getcwd", {}, "is not a torch.nn.Module but of type builtin_function_or_method"),
        ("decimal.Decimal", {}, "is not a torch.nn.Module but the class Decimal"),
        ("{mine}.Pool", {"kernel_size": 3}, "has no parameters, so there is nothing to train"),
        ("torch.nn.LazyConv2d", {"out_channels": 1, "kernel_size": 3}, "has lazy layers"),
        ("{mine}.Blur", {"radius": 3}, "do not fit"),
        ("{mine}.Strict", {}, "do not fit"),
        ("{mine}.Wanting", {}, "lacks a package; in its own words: ModuleNotFoundError: No module named"),
        ("cnn", {"n_layers": 1}, "do not fit cnn: n_layers must be at least 2"),
        ("cnn", {"n_channels": 0}, "do not fit cnn"),
        ("cnn", {"n_layers": "five"}, "do not fit cnn"),
    ],
)
def test_networks_that_cannot_be_built(mine: str, name: str, arguments: dict[str, object], message: str) -> None:
    name = name.format(mine=mine)
    if "." in name and not name.startswith("."):
        trust_network(name)
    with pytest.raises(UserError, match=r"^denoiser\.") as caught:
        make_network(name, arguments)
    assert message.replace("{mine}", mine) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_class_inside_a_class_and_a_module_not_yet_imported(mine: str) -> None:
    arguments = {"in_channels": 1, "out_channels": 1, "kernel_size": 1}
    trust_network(f"{mine}.Pool.Inner", "torch.nn.modules.conv.Conv2d")
    assert isinstance(make_network(f"{mine}.Pool.Inner", arguments), nn.Conv2d)
    assert isinstance(make_network("torch.nn.modules.conv.Conv2d", arguments), nn.Conv2d)


class Changed(nn.Module):
    def __init__(self, result: object) -> None:
        super().__init__()
        self.result = result

    def forward(self, image: torch.Tensor) -> object:
        return self.result


@pytest.mark.parametrize("result", [torch.zeros(2, 1, 7, 8), torch.zeros(2, 8, 8), (torch.zeros(2, 1, 8, 8),)])
def test_a_network_that_changes_the_shape(result: object) -> None:
    with pytest.raises(UserError, match="it must keep the shape"):
        Denoiser(Changed(result), offset_hu=0.0, scale_hu=1.0)(torch.zeros(2, 8, 8))


@pytest.mark.parametrize("scale_hu", [0.0, -1.0, float("nan")])
def test_a_scale_that_is_none(scale_hu: float) -> None:
    with pytest.raises(ValueError, match="scale_hu must be positive"):
        Denoiser(nn.Identity(), offset_hu=0.0, scale_hu=scale_hu)


class Count(nn.Module):
    """Adds the number of the batch, so that batches can be told apart."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, image_hu: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(image_hu))
        return image_hu + 1


@pytest.mark.parametrize("n", [1, 4, 7, 8, 9])
def test_denoise_keeps_order_and_cuts_the_margin(n: int) -> None:
    images = np.arange(n * 10 * 12, dtype=np.float32).reshape(n, 10, 12)
    network = Count()
    result = denoise(network, images, dtype="float32", margin=2, batch_size=4)
    np.testing.assert_array_equal(result, images[:, 2:-2, 2:-2] + 1)
    assert result.dtype == np.float32
    assert max(network.sizes) <= 4
    assert sum(network.sizes) == n


def test_as_many_images_at_a_time_as_the_cache_holds() -> None:
    for side, wanted in ((64, 16), (256, 1), (512, 1)):
        network = Count()
        denoise(network, np.zeros((17, side, side), dtype=np.float32), dtype="float32")
        assert max(network.sizes) == wanted
        assert sum(network.sizes) == 17


def test_a_margin_of_the_receptive_radius_hides_the_padding() -> None:
    """Cut by the network's reach, a region is denoised as if it lay in the whole image."""
    torch.manual_seed(0)
    denoiser = Denoiser(ResidualCNN(n_layers=4, n_channels=8), offset_hu=0.0, scale_hu=20.0)
    image = np.random.default_rng(0).normal(0, 20, (1, 40, 40)).astype(np.float32)
    whole = denoise(denoiser, image, dtype="float32")
    region = denoise(denoiser, image[:, 10:30, 8:28], dtype="float32", margin=4)
    np.testing.assert_allclose(region, whole[:, 14:26, 12:24], atol=1e-4)
    short = denoise(denoiser, image[:, 10:30, 8:28], dtype="float32", margin=3)
    assert np.abs(short - whole[:, 13:27, 11:25]).max() > 1e-3


def test_denoise_takes_any_array_of_numbers() -> None:
    images = np.arange(5 * 8 * 8.0).reshape(5, 8, 8)
    images.flags.writeable = False
    result = denoise(Count(), images[::-2, ::-1], dtype="float32")  # type: ignore[arg-type]  # float64 on purpose
    np.testing.assert_array_equal(result, images[::-2, ::-1] + 1)


@pytest.mark.parametrize(("shape", "margin"), [((2, 8, 8), 4), ((2, 8, 20), -1), ((8, 8), 0), ((0, 8, 8), 0)])
def test_denoise_refuses_what_leaves_nothing(shape: tuple[int, ...], margin: int) -> None:
    with pytest.raises(ValueError, match="leaves nothing"):
        denoise(nn.Identity(), np.zeros(shape, dtype=np.float32), margin=margin)


def test_an_unknown_precision() -> None:
    with pytest.raises(ValueError, match="'auto', 'bfloat16' or 'float32'"):
        autocast("cpu", "float16")


@pytest.mark.parametrize(
    ("device", "can", "dtype"),
    [
        ("cpu", True, "bfloat16"),
        ("cpu", False, "float32"),
        ("cuda", True, "bfloat16"),
        ("cuda:1", False, "float32"),
        ("mps", True, "float32"),
    ],
)
def test_bfloat16_only_where_the_device_computes_in_it(
    monkeypatch: pytest.MonkeyPatch, device: str, can: bool, dtype: str
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: can and device == "cpu")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: can and device == "cuda")
    assert resolve_dtype("auto", device) == dtype
    assert resolve_dtype("float32", device) == "float32"
    assert resolve_dtype("bfloat16", device) == "bfloat16"


def test_automatic_precision_is_one_of_the_two() -> None:
    images = np.random.default_rng(0).normal(0, 20, (1, 12, 12)).astype(np.float32)
    torch.manual_seed(0)
    denoiser = Denoiser(ResidualCNN(n_layers=2, n_channels=2), offset_hu=0.0, scale_hu=20.0)
    named = denoise(denoiser, images, dtype=resolve_dtype("auto", "cpu"))
    np.testing.assert_array_equal(denoise(denoiser, images, dtype="auto"), named)
