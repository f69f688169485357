"""Weights on disk: safetensors and a JSON card, never pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from taskct.errors import UserError


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


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
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{name}.{key}": value.detach().cpu().contiguous().clone()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    partial = path.with_name(path.name + ".partial")
    try:
        save_file(tensors, str(partial))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    write_text(path.with_suffix(".json"), json.dumps(card, indent=2, ensure_ascii=False) + "\n")


def read_card(path: Path) -> dict[str, Any]:
    """The JSON card beside a file of weights.

    Raises
    ------
    UserError
        If the weights or the card are missing or unreadable.
    """
    card = path.with_suffix(".json")
    if not path.is_file() or not card.is_file():
        raise UserError(
            f"no model {path}: it needs weights (.safetensors) and a card (.json) of the same name; `taskct train` "
            "makes those of a run folder"
        )
    try:
        content = json.loads(card.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError(f"{card} cannot be read ({error}): it must be the card that taskct wrote") from error
    if not isinstance(content, dict):
        raise UserError(f"{card} is not a model card: it must be the card that taskct wrote")
    return content


def load_weights(path: Path, modules: Mapping[str, nn.Module]) -> None:
    """Load the weights of modules saved by `save_weights` into modules of the same shape.

    Raises
    ------
    UserError
        If the file is missing, broken, holds values that are not finite, or does not fit the modules.
    """
    try:
        tensors = load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read as safetensors ({error}): train this arm again") from error
    broken = [key for key, value in tensors.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise UserError(f"{path} holds weights that are not finite ({broken[0]}): train this arm again")
    for name, module in modules.items():
        own = {key[len(name) + 1 :]: value for key, value in tensors.items() if key.startswith(name + ".")}
        try:
            module.load_state_dict(own)
        except RuntimeError as error:
            first = str(error).splitlines()[-1].strip()
            raise UserError(f"the weights in {path} do not fit {name}: {first}") from error
