"""A training on disk, whole: a run that was killed goes on from here and ends with the same bits."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from taskct.errors import UserError, unreadable
from taskct.files import whole_file


def save_state(path: Path, tensors: Mapping[str, torch.Tensor], content: Mapping[str, Any]) -> None:
    """Write tensors and JSON, whose floats come back to the bit, in one safetensors file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with whole_file(path) as partial:
        save_file(stored, str(partial), metadata={"state": json.dumps(content)})


def load_state(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """What `save_state` wrote; None if there is nothing, a `UserError` if the file is broken."""
    if not path.is_file():
        return None
    try:
        with safe_open(str(path), framework="pt") as file:
            content = json.loads(file.metadata()["state"])
            return {name: file.get_tensor(name) for name in file.keys()}, content  # noqa: SIM118 - no mapping
    except OSError as error:
        raise unreadable(path, error) from error
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
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
