"""Weights on disk: safetensors and a JSON card, never pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from taskct.errors import UserError, unreadable
from taskct.files import whole_file, write_text

PICKLED = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin")
"""Endings of files that hold pickles, which are never loaded: they can run any code."""


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
    tensors = {f"{name}.{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    save_tensors(path, tensors, card)


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], card: Mapping[str, Any]) -> None:
    """Save tensors in one file, and their card beside it, as `save_weights` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with whole_file(path) as partial:
        save_file(stored, str(partial))
    write_text(path.with_suffix(".json"), json.dumps(card, indent=2, ensure_ascii=False) + "\n")


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
    try:
        content = json.loads(card.read_text(encoding="utf-8"))
    except OSError as error:
        raise unreadable(card, error) from error
    except ValueError as error:
        raise UserError(f"{card} cannot be read ({error}): it must be the card that taskct wrote") from error
    if not isinstance(content, dict):
        raise UserError(f"{card} is not a model card: it must be the card that taskct wrote")
    return content


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file; a `UserError` if it is missing or broken, or holds values that are not finite."""
    try:
        tensors: dict[str, torch.Tensor] = load_file(str(path))
    except OSError as error:
        raise unreadable(path, error) from error
    except SafetensorError as error:
        raise UserError(
            f"{path} cannot be read as safetensors ({error}): it was cut short or is something else; copy it again, or "
            "train this arm again"
        ) from error
    broken = [key for key, value in tensors.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise UserError(f"{path} holds weights that are not finite ({broken[0]}): train this arm again")
    return tensors


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
        If the file is missing, broken, holds values that are not finite, or does not fit the modules.
    """
    held = load_tensors(path) if tensors is None else tensors
    for name, module in modules.items():
        own = {key[len(name) + 1 :]: value for key, value in held.items() if key.startswith(name + ".")}
        wanted = module.state_dict()
        lacking, unknown = sorted(wanted.keys() - own.keys()), sorted(own.keys() - wanted.keys())
        shaped = [key for key in wanted.keys() & own.keys() if wanted[key].shape != own[key].shape]
        if lacking or unknown or shaped:
            parts = [("lacks", lacking), ("has besides", unknown), ("has in another shape", sorted(shaped))]
            found = ", ".join(f"{what} {keys[0]} and {len(keys) - 1} more" for what, keys in parts if keys)
            found = found.replace(" and 0 more", "")
            raise UserError(
                f"{path} holds the weights of another network: for {name} it {found}; give the card that came with them"
            )
        module.load_state_dict(own)
