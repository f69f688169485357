"""Images as networks take them: padded by reflection to a size, cropped again, and in the fastest order in memory."""

import contextlib
import warnings
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn

from taskct.denoisers.dilated import DilatedConv2d
from taskct.denoisers.exporting import exporting

MAX_MULTIPLE = 64
"""The coarsest sizes that are looked for in a network, pixels."""

PROBE = 64
"""Side of the images on which they are looked for, pixels, about."""


def memory_format(network: nn.Module) -> torch.memory_format:
    """The order in memory in which a network's convolutions are fastest and right.

    That is channels_last, but for dilated convolutions: of these torch 2.13 (oneDNN, processors with AVX512_BF16)
    returns a wrong gradient of the weights in bfloat16, up to 1e36 times too large or NaN, for 24 channels. taskct's
    own networks have none: see `DilatedConv2d`.
    """
    dilated = any(
        isinstance(part, nn.Conv2d) and max(part.dilation) > 1 and not isinstance(part, DilatedConv2d)
        for part in network.modules()
    )
    return torch.contiguous_format if dilated else torch.channels_last


def in_fast_order(network: nn.Module) -> nn.Module:
    """A network with its weights in that order, in place; the same values."""
    # Of weights of five dimensions, as of a convolution over volumes inside, torch refuses the whole module.
    if all(tensor.dim() < 5 for tensor in (*network.parameters(), *network.buffers())):
        network.to(memory_format=memory_format(network))  # type: ignore[call-overload]  # torch's stubs lack it
    return network


def pad_to_multiple(image: torch.Tensor, multiple: int) -> torch.Tensor:
    """Continue images by reflection, at the bottom and the right, to sides that are multiples of some pixels.

    At the end alone, so that a network's grid starts with the image, whatever its size.
    """
    if exporting():
        # As below for sides longer than what is added; torch.onnx has no remainder by a size (torch 2.13).
        height, width = image.shape[-2:]
        return F.pad(image, (0, -width % multiple, 0, -height % multiple), mode="reflect")
    for axis in (-2, -1):
        size = image.shape[axis]
        if size % multiple:
            # To and fro as often as it takes; a single row has only itself.
            there = torch.arange(size - size % -multiple, device=image.device) % max(2 * (size - 1), 1)
            image = image.index_select(axis, torch.minimum(there, 2 * (size - 1) - there) if size > 1 else there)
    return image


def run_padded(network: nn.Module, image: torch.Tensor, multiple: int) -> torch.Tensor:
    """What a network makes of images, `(n, 1, height, width)`, that are padded to a multiple of some pixels.

    It is cropped to their size. What does not have the shape of the padded images is returned as it is.
    """
    if multiple == 1:
        whole: torch.Tensor = network(image)
        return whole
    padded = pad_to_multiple(image, multiple).contiguous(memory_format=memory_format(network))
    shape, (height, width) = padded.shape, image.shape[-2:]
    output: torch.Tensor = network(padded)
    return output[..., :height, :width] if isinstance(output, torch.Tensor) and output.shape == shape else output


class Padded(nn.Module):
    """A network that takes images of any size, as a `Denoiser` runs it; for measurements of its reach and response."""

    def __init__(self, network: nn.Module, multiple: int) -> None:
        super().__init__()
        self.network, self.multiple = network, multiple
        if isinstance(alignment := getattr(network, "alignment", None), int):
            self.alignment = alignment

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """As the network's."""
        return run_padded(self.network, image, self.multiple)


@contextlib.contextmanager
def modes_kept(network: nn.Module) -> Iterator[None]:
    """Whatever is done to the modes, training or evaluation, of a network's modules: they come back."""
    modes = {module: module.training for module in network.modules()}
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextlib.contextmanager
def quiet_evaluation(network: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients, warnings or a trace in the generators; modules' modes come back."""
    # Seeded, so that a network that draws does not move the generator of whoever calls.
    with modes_kept(network), torch.no_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        network.eval()
        yield


def takes(network: nn.Module, height: int, width: int) -> bool:
    """Whether a network maps an image of this size to one of the same, as it stands."""
    image = torch.zeros((1, 1, height, width)).contiguous(memory_format=memory_format(network))
    try:
        output = network(image)
    except Exception:  # a user's module may raise anything
        return False
    return isinstance(output, torch.Tensor) and output.shape == (1, 1, height, width)


def find_multiple(network: nn.Module) -> int | None:
    """The least number of pixels whose multiples a network on the CPU takes as sides of an image; it is left as it was.

    1 for a network that takes any size, though it may have a least one; 2, 4 or 8 for one that halves an image once,
    twice or three times and does not say what to do with odd ones; up to `MAX_MULTIPLE`. None if there is no such
    number, as for a network of one size.
    """
    powers = [1 << k for k in range(MAX_MULTIPLE.bit_length())]
    others = [m for m in range(3, MAX_MULTIPLE + 1) if m not in powers]
    with quiet_evaluation(network):
        for multiple in powers + others:
            # Two multiples in a row: a coarser grid has at most one of them.
            one = -(-PROBE // multiple) * multiple
            two = one + multiple
            if takes(network, one, two) and takes(network, two, one):
                return multiple
    return None
