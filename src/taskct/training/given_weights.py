"""Weights that were trained elsewhere, for a network that they fit: safetensors, or a file of torch, but no code."""

import pickle
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from taskct.errors import UserError
from taskct.reading import check_budget, check_regular, reading, sha256_of
from taskct.training.checkpoints import brief, read_shapes, suits

KIND = "the weights of a network"
SAVE = "save the state_dict of the network, by safetensors.torch.save_file or torch.save(network.state_dict(), FILE)"

DEPTH = 4
"""How deep in the mappings of a checkpoint a state_dict may lie."""

WRAPPER = "_orig_mod."
"""What torch.compile puts before the names of a module's tensors."""

COUNTER = "num_batches_tracked"
"""Steps that a batch normalization has seen: old files lack it, and evaluation does not use it."""

OWN = "denoiser."
"""What the names in a model of taskct begin with; its scaling lies beside the network."""

State = dict[str, torch.Tensor]


@dataclass(frozen=True)
class GivenWeights:
    """A network's weights from a file."""

    tensors: State
    """By the network's own names."""
    found: str
    """Where in the file they were, such as `state_dict, module.`; empty where they are all that it holds."""
    sha256: str
    """Of the file, 64 hexadecimal digits."""
    offset_hu: float | None = None
    scale_hu: float | None = None
    """The scaling that the file holds, as a model of taskct does."""


def read_given_weights(path: Path, network: nn.Module, name: str) -> GivenWeights:
    """The weights of a file that fit a network.

    A file of torch may hold a checkpoint, with the weights in mappings such as `state_dict`. What was put before
    their names, as by `DataParallel`, `torch.compile` or a module around the network, is left out. Nothing in a file
    is run: of torch's, it is read with `weights_only`.

    Parameters
    ----------
    path
        A `.safetensors` file, or any other as `torch.save` writes it since torch 1.6.
    network
        What they are for; it stays as it is.
    name
        What messages call the network.

    Raises
    ------
    UserError
        If there is no such file; it is broken, too large or holds code; its weights do not fit the network (the first
        key that is missing, left over, or of another shape or type is named), are not finite, or several in it fit.
    """
    if not path.is_file():
        raise UserError(f"denoiser.weights: no file {path} here: give a file of weights, on every machine that trains")
    check_regular(path)
    states = {"": _safetensors(path)} if path.suffix == ".safetensors" else dict(_states(_torch_file(path)))
    if not any(states.values()):
        raise UserError(f"{path} holds no tensors by name: {SAVE}")
    wanted = network.state_dict()
    fits = [
        (where, prefix, state)
        for where, state in states.items()
        for prefix in _prefixes(state, wanted)
        if _misfit(_under(state, prefix), wanted) is None
    ]
    if not fits:
        where, prefix, state = max(
            ((where, prefix, state) for where, state in states.items() for prefix in _prefixes(state, wanted)),
            key=lambda one: len(_under(one[2], one[1]).keys() & wanted.keys()),
        )
        raise UserError(
            f"{path} does not fit denoiser.network {name!r}: {_misfit(_under(state, prefix), wanted)}; give the "
            "network and the denoiser.arguments that it was trained with"
        )
    if len(fits) > 1:
        places = " and ".join(_place(where, prefix) for where, prefix, _ in fits[:2])
        raise UserError(f"{path} holds several networks that fit ({places}): save the one that is meant alone")
    where, prefix, state = fits[0]
    if prefix.startswith(("control.", "task.")):
        raise UserError(f"{path} is a blend or a task path of several networks: give the file of an arm with one")
    tensors = {key: value for key, value in _under(state, prefix).items() if key in wanted}
    for key, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value.to(torch.float32)).all()):
            raise UserError(f"{path} holds weights that are not finite ({brief(key)}): give those of another epoch")
    scaling = [state.get(f"{OWN}{one}") for one in ("offset_hu", "scale_hu")] if prefix.startswith(OWN) else []
    known = [float(one) for one in scaling if one is not None and one.numel() == 1]
    return GivenWeights(
        tensors=tensors | {key: wanted[key] for key in wanted.keys() - tensors.keys()},
        found=_place(where, prefix) if where or prefix else "",
        sha256=str(sha256_of(path)),
        offset_hu=known[0] if len(known) == 2 else None,
        scale_hu=known[1] if len(known) == 2 else None,
    )


def _place(where: str, prefix: str) -> str:
    return ", ".join(brief(one) for one in (where, prefix) if one) or "the file as a whole"


def _safetensors(path: Path) -> State:
    read_shapes(path)  # types and the budget, before memory is taken
    with reading(path, KIND, SAVE):
        tensors: State = load_file(str(path))
    return tensors


def _torch_file(path: Path) -> object:
    """What `torch.save` wrote, but for code."""
    with reading(path, KIND, SAVE):
        if not zipfile.is_zipfile(path):
            raise ValueError("written before torch 1.6, or no file of torch")
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        check_budget(path, sum(member.file_size for member in members))
        try:
            content: object = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            if "Unsupported global" not in str(error):
                raise
            raise UserError(
                f"{path} holds more than tensors, as a whole module does, which can run code and is never loaded: "
                "torch.save(network.state_dict(), FILE)"
            ) from error
        tensors = [tensor for _, state in _states(content) for tensor in state.values()]
        if any(tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta for tensor in tensors):
            raise UserError(f"{path} holds sparse, quantized or empty tensors: {SAVE}")
        # By strides of 0 a tensor may be larger than what the file holds of it.
        check_budget(path, sum(tensor.numel() * tensor.element_size() for tensor in tensors))
        return content


def _states(
    content: object, where: str = "", depth: int = 0, seen: set[int] | None = None
) -> Iterator[tuple[str, State]]:
    """Every mapping of names to tensors in a checkpoint, with the keys that lead to it; each once."""
    seen = set() if seen is None else seen
    if not isinstance(content, Mapping) or depth > DEPTH or id(content) in seen:
        return
    seen.add(id(content))
    state = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, torch.Tensor)}
    if state:
        yield where, {key.replace(WRAPPER, ""): value.detach() for key, value in state.items()}
    for key, value in content.items():
        if isinstance(key, str):
            yield from _states(value, f"{where}.{key}" if where else key, depth + 1, seen)


def _prefixes(state: State, wanted: Mapping[str, Any]) -> list[str]:
    """What may stand before the names of a network in a state: that of any name that ends as one of the network's."""
    found = dict.fromkeys([""])
    for key in state:
        parts = key.split(".", 32)
        for n in range(1, len(parts)):
            if ".".join(parts[n:]) in wanted:
                found[".".join(parts[:n]) + "."] = None
    return list(found)


def _under(state: State, prefix: str) -> State:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _misfit(held: State, wanted: Mapping[str, torch.Tensor]) -> str | None:
    """How tensors differ from a network's, by the first of each kind; None if they fit."""
    lacks = [key for key in wanted if key not in held and not key.endswith(COUNTER)]
    more = [key for key in held if key not in wanted]
    shapes = [key for key in wanted if key in held and held[key].shape != wanted[key].shape]
    types = [key for key in wanted if key in held and not suits(held[key].dtype, wanted[key].dtype)]
    told = [f"it lacks {brief(lacks[0])}{_and(lacks)}"] if lacks else []
    told += [f"it has {brief(more[0])}{_and(more)} besides"] if more else []
    if shapes:
        key = shapes[0]
        told.append(
            f"its {brief(key)} has the shape {tuple(held[key].shape)}, the network's {tuple(wanted[key].shape)}"
            f"{_and(shapes)}"
        )
    told += [f"its {brief(types[0])} is of {held[types[0]].dtype}{_and(types)}"] if types else []
    return ", ".join(told) or None


def _and(keys: list[str]) -> str:
    return f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
