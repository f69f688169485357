"""Weights on disk, and trainings that were stopped: safetensors and JSON, never pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from taskct.errors import UserError, unreadable
from taskct.files import whole_file, write_text
from taskct.reading import check_budget, check_regular, read_json, reading

PICKLED = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin")
"""Endings of files that hold pickles, which are never loaded: they can run any code."""

KINDS = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F64": torch.float64,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""Types of tensors that networks have, as a safetensors header calls them; integers and truth values are buffers."""

WEIGHTS, AGAIN = "safetensors", "copy it again, or train this arm again"
"""What a file of weights is called in messages, and what to do about a damaged one."""

LONGEST_NAME = 80
"""Characters of a tensor's name that messages show."""


def save_weights(path: Path, modules: Mapping[str, nn.Module], card: Mapping[str, Any]) -> None:
    """Save the weights of several modules in one file, and their card beside it.

    Parameters
    ----------
    path
        Ends in `.safetensors`; the card has the same name with `.json`. The card is written last: a file of weights
        without one is not finished.
    modules
        By name; each tensor is stored as `name.key`.
    card
        What is needed to build the modules again.
    """
    save_tensors(path, snapshot(modules), card)


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], card: Mapping[str, Any]) -> None:
    """Save tensors in one file, and their card beside it, as `save_weights` does."""
    _write(path, tensors)
    write_text(path.with_suffix(".json"), json.dumps(card, indent=2, ensure_ascii=False) + "\n")


def _write(path: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with whole_file(path) as partial:
        save_file(stored, str(partial), metadata)


def read_card(path: Path) -> dict[str, Any]:
    """The JSON card beside a file of weights.

    Raises
    ------
    UserError
        If the weights or the card are missing or unreadable, or the weights are a pickle.
    """
    if path.suffix in PICKLED:
        raise UserError(
            f"{path} holds a pickle, which can run any code and is never loaded: save its weights as .safetensors "
            "(safetensors.torch.save_file) with the card of a taskct model beside it"
        )
    card = path.with_suffix(".json")
    if not path.is_file() or not card.is_file():
        raise UserError(
            f"no model {path}: it needs weights (.safetensors) and a card (.json) of the same name; `taskct train` "
            "makes those of a run folder"
        )
    content = read_json(card, "a model's card", "it must be the card that taskct wrote")
    if not isinstance(content, dict):
        raise UserError(f"{card} is not a model card: it must be the card that taskct wrote")
    return content


def read_shapes(path: Path) -> dict[str, torch.Tensor]:
    """Shapes and types of the tensors of a file, without values (torch's meta device), from its header alone.

    A `UserError` if the file is missing or broken, over the budget of `reading`, or holds what no network has, such as
    complex numbers.
    """
    check_regular(path)
    with reading(path, WEIGHTS, AGAIN):
        check_budget(path, path.stat().st_size)
        with safe_open(str(path), framework="pt") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            stored = {name: (part.get_shape(), part.get_dtype()) for name, part in parts.items()}
        for name, (_, kind) in stored.items():
            if kind not in KINDS:
                raise UserError(f"{path} holds {brief(name)} as {kind}: weights must be one of {', '.join(KINDS)}")
        return {name: torch.empty(shape, dtype=KINDS[kind], device="meta") for name, (shape, kind) in stored.items()}


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file; a `UserError` as `read_shapes` has it, or if values or a scale (HU) cannot be used."""
    read_shapes(path)
    with reading(path, WEIGHTS, AGAIN):
        tensors: dict[str, torch.Tensor] = load_file(str(path))
    for name, value in tensors.items():
        # As float32, which networks have: a larger number of float64 is infinite there.
        if value.is_floating_point() and not bool(torch.isfinite(value.to(torch.float32)).all()):
            raise UserError(f"{path} holds weights that are not finite ({brief(name)}): train this arm again")
        if name.endswith(".scale_hu") and not bool((value.to(torch.float32) > 0).all()):
            raise UserError(f"{path} holds a scale ({brief(name)}) that is not above 0 HU: train this arm again")
    return tensors


def check_fit(path: Path, wanted: Mapping[str, nn.Module], held: Mapping[str, torch.Tensor]) -> None:
    """Raise a `UserError` unless a file holds the tensors of modules, with their shapes and types.

    Parameters
    ----------
    path
        The file; named in messages.
    wanted
        Modules by name, on the meta device or any other; what the file holds of others is passed over.
    held
        What the file holds, or only its shapes.
    """
    for name, module in wanted.items():
        own, state = of_module(held, name), module.state_dict()
        both = state.keys() & own.keys()
        parts = [
            ("lacks", state.keys() - own.keys()),
            ("has besides", own.keys() - state.keys()),
            ("has in another shape", {key for key in both if state[key].shape != own[key].shape}),
            ("has in another type", {key for key in both if not suits(own[key].dtype, state[key].dtype)}),
        ]
        found = ", ".join(f"{what} {brief(min(keys))} and {len(keys) - 1} more" for what, keys in parts if keys)
        if found:
            raise UserError(
                f"{path} holds the weights of another network: for {name} it {found.replace(' and 0 more', '')}; give "
                "the card that came with them"
            )


def of_module(tensors: Mapping[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """The tensors of one module, by their names within it."""
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}


def suits(stored: torch.dtype, wanted: torch.dtype) -> bool:
    """Whether a tensor of a file can become one of a module: of the same type, or both of floating point."""
    return stored == wanted or (stored.is_floating_point and wanted.is_floating_point)


def brief(name: str) -> str:
    """A tensor's name, which is the file's text, for messages."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def load_weights(
    path: Path, modules: Mapping[str, nn.Module], *, tensors: Mapping[str, torch.Tensor] | None = None
) -> None:
    """Load the weights of modules saved by `save_weights` into modules of the same shape.

    Parameters
    ----------
    path
        The file; named in messages.
    modules
        By name; weights of others are passed over.
    tensors
        What the file holds, if it was read before.

    Raises
    ------
    UserError
        If the file is missing, broken, holds values that are not finite or a scale that is not above 0, or does not fit
        the modules.
    """
    held = load_tensors(path) if tensors is None else tensors
    check_fit(path, modules, held)
    for name, module in modules.items():
        module.load_state_dict(of_module(held, name))


def save_state(path: Path, tensors: Mapping[str, torch.Tensor], content: Mapping[str, Any]) -> None:
    """Write a training, tensors and JSON whose floats come back to the bit, in one file, whole or not at all."""
    _write(path, tensors, {"state": json.dumps(content)})


def load_state(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """What `save_state` wrote; None if there is nothing, a `UserError` if the file is broken."""
    if not path.is_file():
        return None
    try:
        with safe_open(str(path), framework="pt") as file:
            content = json.loads(file.metadata()["state"])
            if not isinstance(content, dict):
                raise TypeError("its state is no mapping")
            return {name: file.get_tensor(name) for name in file.keys()}, content  # noqa: SIM118 - no mapping
    except OSError as error:
        raise unreadable(path, error) from error
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError, RuntimeError) as error:
        raise UserError(f"{path} is broken ({error}): delete it, and this training starts anew") from error


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    """The state of an optimizer as tensors by `optimizer.INDEX.NAME`, and its groups as JSON holds them."""
    state = optimizer.state_dict()
    tensors = {
        f"optimizer.{index}.{name}": torch.as_tensor(value)
        for index, values in state["state"].items()
        for name, value in values.items()
    }
    return tensors, state["param_groups"]


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor], groups: list[dict[str, Any]]
) -> None:
    """Give an optimizer of the same parameters the state that `optimizer_tensors` took.

    Files hold row-major tensors; each takes the layout of its parameter, which a step would have given it, so that the
    steps that follow do the same arithmetic in the same order as those of a training that was not stopped.
    """
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".", 2)
            state.setdefault(int(index), {})[name] = value
    for group in groups:
        group["betas"] = tuple(group["betas"])
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if value.shape == parameter.shape and value.dim():
                values[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def snapshot(modules: Mapping[str, nn.Module]) -> dict[str, torch.Tensor]:
    """A copy of modules' weights on the CPU, keyed `module.name`."""
    return {
        f"{name}.{key}": value.detach().cpu().clone()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }


def restore(modules: Mapping[str, nn.Module], tensors: Mapping[str, torch.Tensor]) -> None:
    """Give modules the weights that `snapshot` took."""
    for name, module in modules.items():
        start = f"{name}."
        module.load_state_dict({k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)})
