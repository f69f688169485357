"""Which layers of a network are fine-tuned, in what mode, and whether in a copy."""

import copy
import fnmatch
import re
from typing import TypeVar

import torch
from torch import nn

from taskct.errors import UserError

M = TypeVar("M", bound=nn.Module)


def freeze_all_but(network: nn.Module, trainable: str) -> list[nn.Parameter]:
    """Choose which parameters of a network are fine-tuned and return them; the others are frozen in place.

    `trainable` is "all"; "last:K" or "first:K" for the last or first K modules that own parameters; or a pattern of
    parameter names, with * and ? as in file names, or a part of them. A `UserError` if nothing is left to train.
    """
    # What the network's own author froze stays frozen.
    names = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    owners = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
    if trainable == "all":
        chosen = set(names)
    elif end := re.fullmatch(r"(first|last):(\d+)", trainable):
        count = int(end[2])
        if count > len(owners):
            raise UserError(
                f"training.trainable is {trainable}, and the network has {len(owners)} layers with parameters: give at "
                "most that many, or all"
            )
        some = set(owners[:count] if end[1] == "first" else owners[max(len(owners) - count, 0) :])
        chosen = {name for name in names if name.rpartition(".")[0] in some}
    else:
        pattern = trainable if set(trainable) & set("*?[") else f"*{trainable}*"
        chosen = {name for name in names if fnmatch.fnmatchcase(name, pattern)}
    if not chosen:
        raise UserError(
            f"training.trainable {trainable!r} leaves nothing to train: use all, last:K, first:K, or a pattern of "
            f"these names: {', '.join(names[:6])}{'…' if len(names) > 6 else ''}"
        )
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in chosen)
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def set_training_mode(network: nn.Module) -> None:
    """Training mode for what is trained, evaluation mode for what is frozen.

    Once any parameter is frozen, modules without a trainable one stay in evaluation mode, so that the running
    statistics of a frozen normalization do not change. Otherwise the whole network is in training mode.
    """
    network.train()
    if all(parameter.requires_grad for parameter in network.parameters()):
        return
    for module in network.modules():
        module.training = any(parameter.requires_grad for parameter in module.parameters())


def copied(module: M) -> M:
    """A copy of a module that shares nothing with it."""
    tensors = (value for part in module.modules() for value in vars(part).values() if isinstance(value, torch.Tensor))
    # What a module computes before every pass, as an old weight norm does, is no leaf, which torch does not copy.
    computed = {id(value): value.detach().clone() for value in tensors if not value.is_leaf}
    return copy.deepcopy(module, computed)
