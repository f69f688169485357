"""The one form in which the rest of taskct sees a denoiser: HU in, HU out."""

import contextlib
import importlib
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from taskct.denoisers.cnn import ResidualCNN
from taskct.errors import UserError

NETWORKS: dict[str, type[nn.Module]] = {"cnn": ResidualCNN}
"""Networks by short name; any other module is named by its import path."""


class Denoiser(nn.Module):
    """A network with the scaling it needs inside, so that images cross in HU.

    Parameters
    ----------
    network
        Maps `(n, 1, height, width)` to the same shape.
    offset_hu, scale_hu
        The network sees `(image − offset_hu) / scale_hu`. Both are part of the saved weights.
    """

    offset_hu: torch.Tensor
    scale_hu: torch.Tensor

    def __init__(self, network: nn.Module, *, offset_hu: float, scale_hu: float) -> None:
        super().__init__()
        if not scale_hu > 0:
            raise ValueError(f"scale_hu must be positive, not {scale_hu}")
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        self.register_buffer("offset_hu", torch.tensor(float(offset_hu)))
        self.register_buffer("scale_hu", torch.tensor(float(scale_hu)))

    def forward(self, image_hu: torch.Tensor) -> torch.Tensor:
        """Denoise images in HU, shape `(n, height, width)`, to float32 HU of the same shape."""
        scaled = ((image_hu - self.offset_hu) / self.scale_hu)[:, None].contiguous(memory_format=torch.channels_last)
        output = self.network(scaled)
        if not isinstance(output, torch.Tensor) or output.shape != scaled.shape:
            found = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
            raise UserError(
                f"the denoiser turned images of shape {tuple(scaled.shape)} into {found}: it must keep the shape "
                "(n, 1, height, width)"
            )
        image: torch.Tensor = output[:, 0].float() * self.scale_hu + self.offset_hu
        return image


def make_network(name: str, kwargs: Mapping[str, object]) -> nn.Module:
    """Build a network from its short name or import path.

    Parameters
    ----------
    name
        A key of `NETWORKS`, or an import path such as `monai.networks.nets.BasicUNet`.
    kwargs
        Keyword arguments of its constructor.

    Raises
    ------
    UserError
        If it cannot be imported, is no `torch.nn.Module` or refuses its arguments.
    """
    factory: object = NETWORKS.get(name)
    if factory is None:
        module, _, attribute = name.rpartition(".")
        if not module:
            known = ", ".join(NETWORKS)
            raise UserError(f"denoiser.network {name!r} is unknown: use {known}, or an import path like package.Class")
        try:
            factory = getattr(importlib.import_module(module), attribute)
        except Exception as error:  # importing runs code that may raise anything
            raise UserError(
                f"denoiser.network {name!r} cannot be imported ({error}): is its package installed, or its folder on "
                "PYTHONPATH?"
            ) from error
    # Checked before the call: a model card from elsewhere must not name any function it likes.
    if not (isinstance(factory, type) and issubclass(factory, nn.Module)):
        raise UserError(f"denoiser.network {name!r} is not a torch.nn.Module: give the import path of a class")
    try:
        return factory(**kwargs)
    except Exception as error:  # as above
        raise UserError(f"denoiser.arguments do not fit {name}: {error}") from error


def receptive_radius(network: nn.Module, *, n_pixels: int) -> int:
    """How far an output pixel reaches, found from the gradient of the middle pixel.

    Parameters
    ----------
    network
        Maps `(n, 1, height, width)` to the same shape.
    n_pixels
        Side of the probe image; a network that reaches further gives `n_pixels // 2`.

    Returns
    -------
    Pixels to each side.
    """
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn((1, 1, n_pixels, n_pixels), generator=generator).requires_grad_()
    middle = n_pixels // 2
    was_training = network.training
    network.eval()
    (gradient,) = torch.autograd.grad(network(probe)[0, 0, middle, middle], probe)
    network.train(was_training)
    touched = gradient[0, 0].nonzero()
    return int((touched - middle).abs().max()) if len(touched) else 0


def autocast(device: torch.device | str, dtype: str) -> contextlib.AbstractContextManager[object]:
    """The context a network runs in: bfloat16 autocast for "bfloat16", nothing for "float32".

    Raises
    ------
    ValueError
        If `dtype` is neither.
    """
    if dtype == "float32":
        return contextlib.nullcontext()
    if dtype != "bfloat16":
        raise ValueError(f"dtype is {dtype!r}; it must be 'bfloat16' or 'float32'")
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)


@torch.no_grad()
def denoise(
    denoiser: nn.Module,
    images_hu: NDArray[np.float32],
    *,
    device: torch.device | str = "cpu",
    dtype: str = "bfloat16",
    margin: int = 0,
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Run a denoiser over images.

    Parameters
    ----------
    denoiser
        Maps HU `(n, height, width)` to the same.
    images_hu
        HU, shape `(n, height, width)`.
    device, dtype
        Where and in what precision, "bfloat16" or "float32".
    margin
        Pixels to cut from each side of the result.
    batch_size
        Images at a time.

    Returns
    -------
    HU, shape `(n, height − 2·margin, width − 2·margin)`.

    Raises
    ------
    ValueError
        If the shape is wrong or the margin leaves nothing.
    """
    if images_hu.ndim != 3 or len(images_hu) == 0 or not 0 <= 2 * margin < min(images_hu.shape[1:]):
        raise ValueError(f"a margin of {margin} pixels leaves nothing of images of shape {images_hu.shape}")
    denoiser.eval()
    parts = []
    for first in range(0, len(images_hu), batch_size):
        # A copy in C order: torch takes no array that is read-only or runs backwards.
        batch = torch.from_numpy(np.array(images_hu[first : first + batch_size], dtype=np.float32, order="C")).to(
            device
        )
        with autocast(device, dtype):
            output = denoiser(batch)
        inner = output[:, margin:-margin, margin:-margin] if margin else output
        parts.append(inner.float().cpu().numpy())
    return np.concatenate(parts)
