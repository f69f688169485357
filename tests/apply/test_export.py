"""ONNX files give the images of taskct: one network, blend and path, at any dial, number and size of images."""

import importlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from command_line import Call, call, refused
from path_files import CARD, SQUARE, save_task_path
from taskct.apply import export_graph
from taskct.apply.denoise import load_denoiser
from taskct.apply.export import Exported, export_onnx
from taskct.apply.export_graph import strength_of
from taskct.denoisers.denoiser import Denoiser, make_network
from taskct.denoisers.import_path import trust_network
from taskct.denoisers.prices import SquaredError
from taskct.errors import UserError
from taskct.training.checkpoints import save_weights
from users_networks import import_networks

__all__ = ["call", "refused"]  # fixtures

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
pytest.importorskip("torch", minversion="2.9")  # as the extra asks for

SIZES = ((1, 40, 40), (2, 65, 64), (3, 47, 91))
"""Of images: even and odd, smaller and larger than those that the graph is made with."""


def save(file: Path, network: str, arguments: dict[str, Any], *, size_multiple: int = 1) -> Path:
    torch.manual_seed(0)
    denoiser = Denoiser(make_network(network, arguments), offset_hu=40.0, scale_hu=20.0, size_multiple=size_multiple)
    card = {"network": network, "arguments": arguments, "size_multiple": size_multiple}
    save_weights(file, {"denoiser": denoiser}, CARD | card | {"stage": "finetune", "arm": "lambda=0.9"})
    return file


def session(file: Path) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    return runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def images(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).normal(40.0, 30.0, shape).astype(np.float32)


def check(file: Path, denoiser: nn.Module, dials: dict[str, tuple[float, ...]], sizes: Any = SIZES) -> None:
    """The file's images are those of a module of taskct, in float32."""
    run = session(file)
    (name, values) = next(iter(dials.items()), ("", (0.0,)))
    for shape in sizes:
        image = images(shape)
        for value in values:
            feed = {"image_hu": image} | ({name: np.array(value, dtype=np.float32)} if name else {})
            if name:
                setattr(denoiser, name, value)
            with torch.no_grad():
                expected = denoiser(torch.from_numpy(image)).numpy()
            (found,) = run.run(["denoised_hu"], feed)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected, atol=1e-3, rtol=0)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Exported]:
    """A task path and its ONNX file, in a folder that was not there; nobody may change them."""
    model = save_task_path(tmp_path_factory.mktemp("path") / "path_seed=0.safetensors")
    return model, export_onnx(model, model.parent / "new" / "path.onnx")


@pytest.mark.parametrize(
    ("network", "arguments"),
    [
        pytest.param("cnn", {"n_layers": 3, "n_channels": 4}, marks=pytest.mark.slow),
        ("context", {"n_layers": 2, "n_channels": 4, "context_channels": 4}),
        pytest.param("dncnn", {"n_layers": 3, "n_channels": 4}, marks=pytest.mark.slow),
        pytest.param("redcnn", {"n_channels": 4}, marks=pytest.mark.slow),
        ("unet", {"n_levels": 2, "n_channels": 4}),
    ],
)
def test_every_network_of_taskct_takes_any_size(tmp_path: Path, network: str, arguments: dict[str, Any]) -> None:
    model = save(tmp_path / "m.safetensors", network, arguments)
    written = export_onnx(model, tmp_path / "m.onnx")
    assert (written.dial, written.size_multiple) == (None, 1)
    check(written.path, load_denoiser(model).denoiser, {})


def test_a_path_has_its_price_as_an_input(path: tuple[Path, Exported]) -> None:
    model, written = path
    assert (written.dial, written.size_multiple) == ("price", 1)
    check(written.path, load_denoiser(model).denoiser, {"price": (0.0, 0.001, 0.02, 0.05, 0.2)})
    run, image = session(written.path), images((1, 40, 40))
    for wrong in (-0.01, 0.21, 2.0, math.nan):
        (found,) = run.run(None, {"image_hu": image, "price": np.array(wrong, dtype=np.float32)})
        assert np.isnan(found).all()


def test_a_blend_has_alpha_as_an_input(tmp_path: Path) -> None:
    model = tmp_path / "b.blend.safetensors"
    torch.manual_seed(1)
    pair = [Denoiser(make_network("cnn", CARD["arguments"]), offset_hu=40.0, scale_hu=20.0) for _ in range(2)]
    save_weights(model, dict(zip(("control", "task"), pair, strict=True)), CARD | {"stage": "blend", "alpha": 0.3})
    written = export_onnx(model, tmp_path / "b.onnx")
    assert written.dial == "alpha"
    check(written.path, load_denoiser(model).denoiser, {"alpha": (0.0, 0.3, 1.0)})
    held = {one.key: one.value for one in onnx.load(written.path).metadata_props}
    assert held["alpha"] == "0.3"


def test_what_pads_images_to_a_multiple_takes_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's network that halves images, as the denoiser around it runs it."""
    name = import_networks(tmp_path, monkeypatch)
    trust_network(f"{name}.Halving")
    model = save(tmp_path / "m.safetensors", f"{name}.Halving", {}, size_multiple=8)
    written = export_onnx(model, tmp_path / "m.onnx")
    assert written.size_multiple == 1
    check(written.path, load_denoiser(model).denoiser, {})


def theirs(folder: Path, monkeypatch: pytest.MonkeyPatch, network: str, **arguments: Any) -> Path:
    """A model with a network of a user's module."""
    name = f"{import_networks(folder, monkeypatch)}.{network}"
    trust_network(name)
    return save(folder / "m.safetensors", name, arguments)


@pytest.mark.parametrize(
    "network", ["Deciding", *(pytest.param(name, marks=pytest.mark.slow) for name in ("Area", "Antialiased"))]
)
def test_a_network_that_decides_by_the_size_is_held_to_its_multiples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str
) -> None:
    """The graph is that of even sides; odd ones would come out wrong."""
    model = theirs(tmp_path, monkeypatch, network)
    written = export_onnx(model, tmp_path / "m.onnx")
    assert written.size_multiple == 2
    check(written.path, load_denoiser(model).denoiser, {}, sizes=((1, 40, 48), (2, 66, 64)))
    held = {one.key: one.value for one in onnx.load(written.path).metadata_props}
    assert held["size_multiple"] == "2"
    run = session(written.path)
    for shape in ((1, 65, 64), (2, 64, 41), (1, 33, 33)):
        try:
            (found,) = run.run(None, {"image_hu": images(shape)})
        except runtime.capi.onnxruntime_pybind11_state.Fail:
            continue
        assert np.isnan(found).all()


def test_a_network_of_one_size_has_a_graph_of_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = theirs(tmp_path, monkeypatch, "OneSize")
    written = export_onnx(model, tmp_path / "m.onnx")
    assert (written.size_multiple, written.side) == (1, 24)
    check(written.path, load_denoiser(model).denoiser, {}, sizes=((1, 24, 24), (3, 24, 24)))
    (content,) = onnx.load(written.path).graph.input
    assert [side.dim_param or side.dim_value for side in content.type.tensor_type.shape.dim] == ["n", 24, 24]
    with pytest.raises(runtime.capi.onnxruntime_pybind11_state.InvalidArgument):
        session(written.path).run(None, {"image_hu": images((1, 25, 24))})


def test_a_strength_that_is_a_number_of_python_is_the_network_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = theirs(tmp_path, monkeypatch, "Dialled", strength=0.75)
    written = export_onnx(model, tmp_path / "m.onnx")
    assert (written.dial, written.size_multiple) == (None, 1)
    check(written.path, load_denoiser(model).denoiser, {})


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("Looping", "in torch's words: "),
        pytest.param("Autocast", "ONNX Runtime does not load what torch wrote: .*bfloat16", marks=pytest.mark.slow),
        pytest.param("Pooled", r"HU apart, and 0\.01 HU are allowed; .*adaptive pooling do$", marks=pytest.mark.slow),
    ],
)
def test_a_network_without_a_graph_that_gives_its_images_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str, words: str
) -> None:
    model = theirs(tmp_path, monkeypatch, network)
    with pytest.raises(UserError, match=f"cannot be exported to ONNX: .*{words}") as refused:
        export_onnx(model, tmp_path / "new" / "m.onnx")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "new").exists()


def test_images_that_differ_from_the_network_s_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the reason: here ONNX Runtime's images are 0.02 HU off."""
    model = save(tmp_path / "m.safetensors", "cnn", {"n_layers": 2, "n_channels": 2})
    real = runtime.InferenceSession

    class Off:
        def __init__(self, *arguments: Any, **named: Any) -> None:
            self.session = real(*arguments, **named)

        def get_inputs(self) -> Any:
            return self.session.get_inputs()

        def run(self, names: Any, feed: Any) -> Any:
            return [one + np.float32(0.02) for one in self.session.run(names, feed)]

    monkeypatch.setattr(runtime, "InferenceSession", Off)
    monkeypatch.setattr(export_graph, "MULTIPLES", (1,))
    with pytest.raises(UserError, match=r"come out 0\.02 HU apart, and 0\.01 HU are allowed"):
        export_onnx(model, tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_the_file_says_what_it_is_and_nothing_of_the_machine(path: tuple[Path, Exported]) -> None:
    model, written = path
    assert [file.name for file in written.path.parent.iterdir()] == ["path.onnx"]  # no data beside it
    content = onnx.load(written.path)
    onnx.checker.check_model(content)
    held = {one.key: one.value for one in content.metadata_props}
    assert {
        "unit": "HU",
        "offset_hu": "0",
        "price": "0.02",
        "max_price": "0.2",
        "pixel_mm": "0.7",
    }.items() <= held.items()
    card = json.loads(held["card"])
    assert (card["stage"], card["network"], card["correction"]) == ("path", "cnn", CARD["correction"])
    for images in (content.graph.input[0], content.graph.output[0]):
        assert [side.dim_param for side in images.type.tensor_type.shape.dim] == ["n", "height", "width"]
    text = str(content)
    for word in (str(model.parent), "site-packages", "File ", str(Path(__file__).parents[2])):
        assert word not in text


@pytest.mark.parametrize("mixed", [-3.0, -1e-3, 0.0, 1e-3, 3.0])
def test_the_strength_loses_no_digits_in_float32(mixed: float) -> None:
    square = SquaredError(SQUARE.control, mixed, SQUARE.energy)
    for price in (0.0, 1e-4, 0.001, 0.02, 0.2):
        found = float(strength_of(square, torch.tensor(price)))
        assert found == pytest.approx(square.strength(price), rel=1e-5)


def test_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: tuple[Path, Exported]) -> None:
    model, _ = path
    (tmp_path / "there.onnx").write_text("mine")
    for target, message in (("m.pt", "ends in .onnx"), ("there.onnx", "exists: choose another output")):
        with pytest.raises(UserError, match=message):
            export_onnx(model, tmp_path / target)
    assert (tmp_path / "there.onnx").read_text() == "mine"
    real = importlib.import_module

    def lacking(name: str) -> Any:
        if name == "onnxscript":
            raise ImportError("No module named 'onnxscript'")
        return real(name)

    monkeypatch.setattr(importlib, "import_module", lacking)
    with pytest.raises(UserError, match=r"need the package onnxscript \(No module .*\): pip install 'taskct\[onnx\]'$"):
        export_onnx(model, tmp_path / "m.onnx")


def test_the_command_line(call: Call, refused: Callable[..., str], tmp_path: Path, path: tuple[Path, Exported]) -> None:
    model, _ = path
    code, out, _ = call("export-model", model, tmp_path / "p.onnx")
    assert (code, out) == (0, f"Written: {tmp_path / 'p.onnx'}; inputs: image_hu, of any size, price\n")
    assert "exists: choose another output" in refused("export-model", model, tmp_path / "p.onnx")
