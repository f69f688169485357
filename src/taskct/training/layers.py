"""Which layers of a network are fine-tuned, and in what mode."""

from torch import nn

from taskct.errors import UserError


def freeze_all_but(network: nn.Module, trainable: str) -> list[nn.Parameter]:
    """Choose which parameters of a network are fine-tuned; the others are frozen in place.

    Parameters
    ----------
    network
        The network.
    trainable
        "all"; "last:K" for the last K modules that own parameters; or a pattern that parameter names must contain.

    Returns
    -------
    The parameters that stay trainable.

    Raises
    ------
    UserError
        If nothing is left to train.
    """
    names = [name for name, _ in network.named_parameters()]
    owners = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
    if trainable == "all":
        chosen = set(names)
    elif trainable.startswith("last:") and trainable[5:].isdigit():
        last = set(owners[-int(trainable[5:]) :]) if int(trainable[5:]) else set()
        chosen = {name for name in names if name.rpartition(".")[0] in last}
    else:
        chosen = {name for name in names if trainable in name}
    if not chosen:
        raise UserError(
            f"training.trainable {trainable!r} leaves nothing to train: use all, last:K, or a part of these names: "
            f"{', '.join(names[:6])}…"
        )
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in chosen)
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def set_training_mode(network: nn.Module) -> None:
    """Training mode for what is trained, evaluation mode for what is frozen.

    Once any parameter is frozen, modules without a trainable one stay in evaluation mode, so that the running
    statistics of a frozen normalization do not change. Otherwise the whole network is in training mode.

    Parameters
    ----------
    network
        The network, as `freeze_all_but` left it.
    """
    network.train()
    if all(parameter.requires_grad for parameter in network.parameters()):
        return
    for module in network.modules():
        module.training = any(parameter.requires_grad for parameter in module.parameters())
