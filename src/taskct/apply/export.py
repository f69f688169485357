"""A trained denoiser as an ONNX file, for programs without Python: HU in, HU out, its dial an input."""

import contextlib
import importlib
import json
import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from taskct.apply.denoise import LoadedDenoiser, load_denoiser
from taskct.denoisers.blend import Blend
from taskct.denoisers.denoiser import own_words
from taskct.denoisers.prices import MAX_PRICE, SquaredError
from taskct.denoisers.task_path import TaskPath
from taskct.errors import UserError
from taskct.files import whole_file

IMAGE, RESULT = "image_hu", "denoised_hu"
"""Names of the images in the graph, float32, `(n, height, width)`."""

OPSET = 18
"""Version of the operators: ONNX Runtime has it since 1.14."""

MULTIPLES = (1, 2, 4, 8, 16, 32, 64)
"""Numbers of pixels whose multiples the sides of images may have to be."""

LEAST = 64
"""Side of the images with which a graph is made and tried, pixels, at least."""

TOLERANCE_HU = 1e-3
"""By how much a graph may differ from its network, HU."""

CARD_KEYS = ("schema", "stage", "arm", "task", "seed", "network", "arguments", "pixel_mm", "correction", "control")
"""What the file tells of the card, beside the dial."""


class _Network(nn.Module):
    """One network, without a dial."""

    dial: str | None = None

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image_hu: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.network(image_hu)
        return output


class _Mixed(nn.Module):
    """A blend whose share of the task is an input; outside [0, 1] its images are NaN."""

    dial: str | None = "alpha"

    def __init__(self, blend: Blend) -> None:
        super().__init__()
        self.control, self.task = blend.control, blend.task

    def forward(self, image_hu: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        share = _within(alpha, alpha, 1.0)
        mean: torch.Tensor = (1.0 - share) * self.control(image_hu).float() + share * self.task(image_hu).float()
        return mean


class _Path(nn.Module):
    """A task path whose price is an input; outside its range its images are NaN."""

    dial: str | None = "price"

    def __init__(self, path: TaskPath) -> None:
        super().__init__()
        self.control, self.correction, self.square = path.control, path.correction, path.square

    def forward(self, image_hu: torch.Tensor, price: torch.Tensor) -> torch.Tensor:
        control: torch.Tensor = self.control(image_hu).float()
        strength = _within(price, strength_of(self.square, price), MAX_PRICE)
        image: torch.Tensor = control + strength * self.correction(image_hu, control)
        return image


def strength_of(square: SquaredError, price: torch.Tensor) -> torch.Tensor:
    """As `SquaredError.strength`, of a scalar tensor, float32.

    In the form of the root that subtracts nothing, since float32 would lose digits of a small price.
    """
    excess = square.control * price * (2.0 + price)
    root = torch.sqrt(square.mixed**2 + 4.0 * square.energy * excess)
    if square.mixed < 0.0:
        strength = (root - square.mixed) / (2.0 * square.energy)
    else:
        strength = 2.0 * excess / (root + square.mixed)
    return torch.where(price == 0.0, torch.zeros_like(price), strength)


def _within(dial: torch.Tensor, value: torch.Tensor, most: float) -> torch.Tensor:
    """A value where a dial stands between 0 and its end, else NaN: a graph can refuse nothing in words."""
    # A price of 20 % is 0.2 of float32, a little above that of Python.
    inside = (dial >= 0.0) & (dial <= most * (1.0 + 1e-6))
    return torch.where(inside, value, torch.full_like(value, math.nan))


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    dial: str | None
    """Name of the scalar input that turns it; None for one network."""
    size_multiple: int
    """The sides of images must be multiples of so many pixels."""


def export_onnx(model: Path, target: Path) -> Exported:
    """Write a trained denoiser, a blend or a task path as one ONNX file.

    Its inputs are `image_hu`, HU, float32 `(n, height, width)`, and for a blend `alpha`, in [0, 1], for a task path
    `price`, from 0 to 0.2 (RMSE over the control's, less 1), both scalars of float32. Its output is `denoised_hu`, HU,
    float32, of the images' shape. It computes in float32, also where taskct would in bfloat16. Its metadata hold the
    card (`card`, JSON), the unit and where the dial stands in taskct.

    Parameters
    ----------
    model
        Weights, `RUN/models/ARM.safetensors`, with their card.
    target
        A new file that ends in .onnx.

    Raises
    ------
    UserError
        If the model cannot be loaded, the target exists or ends otherwise, the packages of `taskct[onnx]` are missing,
        or the network cannot be written as a graph for images of any number and of many sizes.
    """
    if target.suffix.lower() != ".onnx":
        raise UserError(f"{target}: the output is a new file that ends in .onnx; choose another name")
    if target.exists():
        raise UserError(f"{target} exists: choose another output, nothing is overwritten")
    _check_packages()
    loaded = load_denoiser(model)
    graph = _graph(loaded)
    with _quietly(), torch.no_grad():
        program, multiple = _capture(graph, model)
        try:
            written = torch.onnx.export(program, dynamo=True, opset_version=OPSET, output_names=[RESULT], verbose=False)
            proto = cast(torch.onnx.ONNXProgram, written).model_proto
        except Exception as error:  # a user's network may hold what ONNX has no operator for
            raise UserError(f"{model} cannot be exported to ONNX; in torch's words: {_innermost(error)}") from error
    _tidy(proto)
    for name, value in _metadata(loaded, graph.dial, multiple).items():
        proto.metadata_props.add(key=name, value=value)
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target) as partial:
        partial.write_bytes(proto.SerializeToString())
    return Exported(target, graph.dial, multiple)


def _innermost(error: BaseException) -> str:
    """What went wrong first: the exporter wraps it in advice for its developers."""
    while error.__cause__ is not None:
        error = error.__cause__
    return own_words(error)


def _tidy(proto: Any) -> None:  # noqa: ANN401 - onnx is imported only where it is used
    """Call the sides of the images what they are, and leave out what tells of the machine, as paths in stack traces."""
    for part in (*proto.graph.node, proto.graph, proto):
        del part.metadata_props[:]
    del proto.graph.value_info[:]  # the shapes in between, by the sides' earlier names
    for images in (proto.graph.input[0], proto.graph.output[0]):
        for side, name in zip(images.type.tensor_type.shape.dim, ("n", "height", "width"), strict=True):
            side.dim_param = name


def _graph(loaded: LoadedDenoiser) -> "_Network | _Mixed | _Path":
    denoiser = loaded.denoiser
    if isinstance(denoiser, Blend):
        return _Mixed(denoiser).eval()
    if isinstance(denoiser, TaskPath):
        return _Path(denoiser).eval()
    return _Network(denoiser).eval()


def _capture(graph: "_Network | _Mixed | _Path", model: Path) -> tuple[torch.export.ExportedProgram, int]:
    """The graph for images of any number, and of sides that are multiples of as few pixels as it takes.

    What a network does may depend on the size, as where it pads odd ones. A graph is what it did once, so each is tried
    on other sizes.
    """
    words = ""
    for multiple in MULTIPLES:
        first = (LEAST // multiple) | 1  # odd, so that the sides are multiples of no more
        sizes = [(first + more) * multiple for more in (0, 1, 2, 3)]
        try:
            program = torch.export.export(graph, _example(graph, 2, sizes[0], sizes[2]), dynamic_shapes=_shapes(graph))
            run = program.module(check_guards=False)
            tried = [_example(graph, n, sizes[i], sizes[j]) for n, i, j in ((1, 1, 0), (3, 2, 3), (2, 3, 1))]
            apart = max(float((run(*one) - graph(*one)).abs().max()) for one in tried)
        except Exception as error:  # a user's network may do anything, and torch.export has many errors
            words = own_words(error)
            continue
        if apart <= TOLERANCE_HU:
            return program, multiple
        words = f"images of other sizes come out {apart:.3g} HU apart"
    raise UserError(f"{model} cannot be exported to ONNX for images of more than one size; in torch's words: {words}")


def _example(graph: "_Network | _Mixed | _Path", n: int, height: int, width: int) -> tuple[torch.Tensor, ...]:
    """Images of a soft-tissue level, HU, and a dial in between."""
    images = 40.0 + 30.0 * torch.randn((n, height, width), generator=torch.Generator().manual_seed(0))
    return (images,) if graph.dial is None else (images, torch.tensor(0.125))


def _shapes(graph: "_Network | _Mixed | _Path") -> dict[str, Any]:
    any_size = torch.export.Dim.DYNAMIC
    shapes: dict[str, Any] = {IMAGE: {0: any_size, 1: any_size, 2: any_size}}
    return shapes if graph.dial is None else {**shapes, graph.dial: None}


def _metadata(loaded: LoadedDenoiser, dial: str | None, multiple: int) -> Mapping[str, str]:
    """What the file says of itself; no path and no name of a machine."""
    from taskct import __version__  # the root of the package imports the rooms

    card = {name: loaded.card[name] for name in CARD_KEYS if name in loaded.card}
    found = {
        "taskct": __version__,
        "unit": "HU",
        "offset_hu": "0",  # of the values to HU: water is 0, and nothing is added
        "size_multiple": str(multiple),
        "pixel_mm": str(loaded.card.get("pixel_mm", "")),
        "card": json.dumps(card, ensure_ascii=False),
    }
    if dial == "price":
        found |= {"price": str(loaded.price), "max_price": str(MAX_PRICE)}
    elif dial == "alpha":
        found |= {"alpha": str(loaded.alpha)}
    return found


def _check_packages() -> None:
    """Refuse to begin without what torch writes ONNX with."""
    for name in ("onnx", "onnxscript"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UserError(f"ONNX files need the package {name} ({error}): pip install 'taskct[onnx]'") from error


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what the exporter says of itself and of packages that are not needed."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
