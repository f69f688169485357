"""A trained denoiser as an ONNX file, for programs without Python: HU in, HU out, its dial an input."""

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from taskct.apply.denoise import LoadedDenoiser, load_denoiser
from taskct.apply.export_graph import (
    IMAGE,
    RESULT,
    Graph,
    UnlikeError,
    apart_text,
    captured,
    check_new,
    for_sizes,
    graph_of,
    other_examples,
)
from taskct.denoisers.denoiser import own_words
from taskct.denoisers.prices import MAX_PRICE
from taskct.errors import UserError
from taskct.files import whole_file

OPSET = 18
"""Version of the operators: ONNX Runtime has it since 1.14."""

MOST_BYTES = 2**31 - 1
"""The largest file that ONNX has: it is one message of protobuf."""

CARD_KEYS = ("schema", "stage", "arm", "task", "seed", "network", "arguments", "pixel_mm", "correction", "control")
"""What the file tells of the card, beside the dial."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    dial: str | None
    """Name of the scalar input that turns it; None for one network."""
    size_multiple: int
    """The sides of images must be multiples of so many pixels; the images of others come out as NaN."""
    side: int | None = None
    """The only side of images that the network takes, pixels; None if it takes several."""


def export_onnx(model: Path, target: Path) -> Exported:
    """Write a trained denoiser, a blend or a task path as one ONNX file.

    Its inputs are `image_hu`, HU, float32 `(n, height, width)`, and for a blend `alpha`, in [0, 1], for a task path
    `price`, from 0 to 0.2 (RMSE over the control's, less 1), both scalars of float32. Its output is `denoised_hu`, HU,
    float32, of the images' shape. It computes in float32, also where taskct would in bfloat16. Its metadata hold the
    card (`card`, JSON), the unit and where the dial stands in taskct.

    What ONNX Runtime makes of the file is compared with the network, on images of even, odd and mixed sides other than
    those it was made with.

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
        or the network cannot be written as a graph whose images are the network's to 0.01 HU. Nothing is written then.
    """
    if target.suffix.lower() != ".onnx":
        raise UserError(f"{target}: the output is a new file that ends in .onnx; choose another name")
    check_new(model, target)
    _check_packages()
    loaded = load_denoiser(model)
    graph = graph_of(loaded)
    content, multiple, side = for_sizes(
        graph, lambda multiple, side: _written(graph, loaded, multiple, side), f"{model} cannot be exported to ONNX"
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target) as partial:
        partial.write_bytes(content)
    return Exported(target, graph.dial, multiple, side)


def _written(graph: Graph, loaded: LoadedDenoiser, multiple: int, side: int | None) -> bytes:
    """The bytes of an ONNX file whose images are the network's, for images of some sizes; else an `UnlikeError`."""
    program = captured(graph, multiple, side)
    content = _file(program, loaded, graph.dial, multiple, side)
    if (problem := _problem(graph, content, multiple, side)) is not None:
        raise UnlikeError(problem)
    return content


def _file(
    program: torch.export.ExportedProgram, loaded: LoadedDenoiser, dial: str | None, multiple: int, side: int | None
) -> bytes:
    """The bytes of an ONNX file."""
    written = torch.onnx.export(program, dynamo=True, opset_version=OPSET, output_names=[RESULT], verbose=False)
    proto = cast(torch.onnx.ONNXProgram, written).model_proto
    _tidy(proto, fixed=side is not None)
    if multiple > 1:
        _refuse_others(proto, multiple)
    for name, value in _metadata(loaded, dial, multiple, side).items():
        proto.metadata_props.add(key=name, value=value)
    if proto.ByteSize() > MOST_BYTES:
        raise ValueError(f"an ONNX file holds up to {MOST_BYTES / 1e9:.3g} GB, and this network has more weights")
    content: bytes = proto.SerializeToString()
    return content


def _problem(graph: Graph, content: bytes, multiple: int, side: int | None = None) -> str | None:
    """Why a file is not the network, or None: what ONNX Runtime makes of it is compared with torch."""
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # as for types that do not go together, after autocast inside a network
        return f"ONNX Runtime does not load what torch wrote: {own_words(error)}"
    names = [one.name for one in session.get_inputs()]

    def run(*inputs: torch.Tensor) -> torch.Tensor:
        feed = dict(zip(names, (one.numpy() for one in inputs), strict=True))
        return torch.from_numpy(session.run(None, feed)[0])

    return apart_text(graph, run, other_examples(graph, multiple, side))


def _tidy(proto: Any, *, fixed: bool) -> None:  # noqa: ANN401 - onnx is imported only where it is used
    """Call the sides of the images what they are, and leave out what tells of the machine, as paths in stack traces."""
    _forget(proto.graph)
    del proto.metadata_props[:]
    proto.doc_string = ""
    for function in proto.functions:
        _forget(function)
    del proto.graph.value_info[:]  # the shapes in between, by the sides' earlier names
    for images in (proto.graph.input[0], proto.graph.output[0]):
        names = ("n",) if fixed else ("n", "height", "width")
        for side, name in zip(images.type.tensor_type.shape.dim, names, strict=not fixed):
            side.dim_param = name


def _forget(graph: Any) -> None:  # noqa: ANN401 - as above
    """Leave metadata and words out of a graph, its nodes, and the graphs inside these."""
    for part in (graph, *graph.node):
        del part.metadata_props[:]
        part.doc_string = ""
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                _forget(inner)


def _refuse_others(proto: Any, multiple: int) -> None:  # noqa: ANN401 - as above
    """Make images NaN whose sides are no multiples of so many pixels: a graph can refuse nothing in words."""
    onnx: Any = importlib.import_module("onnx")
    inner = f"{RESULT}_of_multiples"
    for node in proto.graph.node:
        node.output[:] = [inner if name == RESULT else name for name in node.output]
        node.input[:] = [inner if name == RESULT else name for name in node.input]
    numbers = {
        "sides_of_images": onnx.helper.make_tensor("", onnx.TensorProto.INT64, (2,), [1, 2]),
        "size_multiple": onnx.helper.make_tensor("", onnx.TensorProto.INT64, (1,), [multiple]),
        "no_remainder": onnx.helper.make_tensor("", onnx.TensorProto.INT64, (), [0]),
        "no_image": onnx.helper.make_tensor("", onnx.TensorProto.FLOAT, (), [float("nan")]),
    }
    for name, tensor in numbers.items():
        tensor.name = name
        proto.graph.initializer.append(tensor)
    make = onnx.helper.make_node
    proto.graph.node.extend(
        [
            make("Shape", [IMAGE], ["shape_of_images"]),
            make("Gather", ["shape_of_images", "sides_of_images"], ["sides"]),
            make("Mod", ["sides", "size_multiple"], ["remainders"]),
            make("ReduceMax", ["remainders"], ["remainder"], keepdims=0),
            make("Equal", ["remainder", "no_remainder"], ["fits"]),
            make("Where", ["fits", inner, "no_image"], [RESULT]),
        ]
    )


def _metadata(loaded: LoadedDenoiser, dial: str | None, multiple: int, side: int | None) -> Mapping[str, str]:
    """What the file says of itself; no path and no name of a machine."""
    from taskct import __version__  # the root of the package imports the rooms

    card = {name: loaded.card[name] for name in CARD_KEYS if name in loaded.card}
    found = {
        "taskct": __version__,
        "unit": "HU",
        "offset_hu": "0",  # of the values to HU: water is 0, and nothing is added
        "size_multiple": str(multiple),
        "pixel_mm": str(loaded.card.get("pixel_mm") or ""),
        "card": json.dumps(card, ensure_ascii=False),
    }
    if side is not None:
        found["side"] = str(side)
    if dial == "price":
        found |= {"price": str(loaded.price), "max_price": str(MAX_PRICE)}
    elif dial == "alpha":
        found |= {"alpha": str(loaded.alpha)}
    return found


def _check_packages() -> None:
    """Refuse to begin without what torch writes ONNX with, and what reads it."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UserError(f"ONNX files need the package {name} ({error}): pip install 'taskct[onnx]'") from error
