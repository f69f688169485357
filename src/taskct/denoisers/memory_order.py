"""The order in memory of weights and images, on which torch's choice of a convolution hangs."""

import torch
from torch import nn


def memory_format(network: nn.Module) -> torch.memory_format:
    """The order in memory in which a network's convolutions are fastest and right.

    That is channels_last, but for dilated convolutions: of these torch 2.13 (oneDNN, processors with AVX512_BF16)
    returns a wrong gradient of the weights in bfloat16, up to 1e36 times too large or NaN, for 24 channels.
    """
    dilated = any(isinstance(part, nn.Conv2d) and max(part.dilation) > 1 for part in network.modules())
    return torch.contiguous_format if dilated else torch.channels_last


def in_fast_order(network: nn.Module) -> nn.Module:
    """A network with its weights in that order, in place; the same values."""
    # Of weights of five dimensions, as of a convolution over volumes inside, torch refuses the whole module.
    if all(tensor.dim() < 5 for tensor in (*network.parameters(), *network.buffers())):
        network.to(memory_format=memory_format(network))  # type: ignore[call-overload]  # torch's stubs lack it
    return network
