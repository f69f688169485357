"""The one form in which the rest of taskct sees a denoiser: HU in, HU out."""

import contextlib
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from taskct.denoisers.cnn import ResidualCNN
from taskct.denoisers.context import ContextCNN
from taskct.denoisers.dncnn import DnCNN
from taskct.denoisers.import_path import find_object
from taskct.denoisers.redcnn import REDCNN
from taskct.denoisers.sizes import in_fast_order, memory_format, quiet_evaluation, run_padded
from taskct.denoisers.tiling import Reach, find_reach, run_in_tiles
from taskct.denoisers.unet import ResidualUNet
from taskct.errors import UserError, memory_wanted
from taskct.literal import shown
from taskct.reading import check_budget
from taskct.trials.trials import crop

NETWORKS: dict[str, type[nn.Module]] = {
    "cnn": ResidualCNN,
    "context": ContextCNN,
    "dncnn": DnCNN,
    "redcnn": REDCNN,
    "unet": ResidualUNet,
}
"""Networks by short name; any other module is named by its import path."""

LARGEST_ARGUMENT = 4096
"""The largest number that an argument of taskct's own networks may be, and the longest list: a card may hold any."""

CACHED_PIXELS = 2**16
"""Of images at a time on a processor: what layers pass on then stays in its cache."""

LONGEST = 200
"""Characters of a library's own message that are passed on."""


class Denoiser(nn.Module):
    """A network with the scaling it needs inside, so that images cross in HU.

    Parameters
    ----------
    network
        Maps `(n, 1, height, width)` to the same shape.
    offset_hu, scale_hu
        The network sees `(image − offset_hu) / scale_hu`, the scale above 0. Both are part of the saved weights.
    size_multiple
        Images whose sides are no multiples of this, pixels, are padded by reflection at the bottom and the right, and
        the result is cropped; see `find_multiple`. 1 leaves every image as it is. It stands in a model's card.
    """

    offset_hu: torch.Tensor
    scale_hu: torch.Tensor

    def __init__(self, network: nn.Module, *, offset_hu: float, scale_hu: float, size_multiple: int = 1) -> None:
        super().__init__()
        if not scale_hu > 0:
            raise ValueError(f"scale_hu must be positive, not {scale_hu}")
        if size_multiple < 1:
            raise ValueError(f"size_multiple must be at least 1 pixel, not {size_multiple}")
        self.network = in_fast_order(network)
        self.size_multiple = size_multiple
        self.register_buffer("offset_hu", torch.tensor(float(offset_hu)))
        self.register_buffer("scale_hu", torch.tensor(float(scale_hu)))

    def forward(self, image_hu: torch.Tensor) -> torch.Tensor:
        """Denoise images in HU, shape `(n, height, width)`, to float32 HU of the same shape.

        A UserError, if the network fails on images of this size, or does not keep their shape.
        """
        # In float32 to the network and from it, under autocast too: bfloat16 has steps of 4 HU at -900 HU.
        scaled = ((image_hu.float() - self.offset_hu) / self.scale_hu)[:, None].contiguous(
            memory_format=memory_format(self.network)
        )
        shape = scaled.shape  # a network may change its input in place
        try:
            output = run_padded(self.network, scaled, self.size_multiple)
        except Exception as error:  # a user's module may raise anything
            if isinstance(error, UserError) or memory_wanted(error) is not None:
                raise
            raise UserError(
                f"the denoiser's network fails on images of {shape[2]} x {shape[3]} pixels: give images of a size that "
                f"it takes, as that of its training regions; in its own words: {own_words(error)}"
            ) from error
        if not isinstance(output, torch.Tensor) or output.shape != shape:
            found = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
            raise UserError(
                f"the denoiser turned images of shape {tuple(shape)} into {found}: it must keep the shape "
                "(n, 1, height, width)"
            )
        image: torch.Tensor = output[:, 0].float() * self.scale_hu + self.offset_hu
        return image

    def extra_repr(self) -> str:
        """What `repr` says of it beside its layers."""
        padded = f", size_multiple={self.size_multiple}" if self.size_multiple > 1 else ""
        return f"offset_hu={self.offset_hu:.4g}, scale_hu={self.scale_hu:.4g}{padded}"


def own_words(error: BaseException) -> str:
    """What a library says, on one line and not too long."""
    return _one_line(f"{type(error).__name__}: {error}")


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def rounds_image(network: nn.Module, *, n_pixels: int, multiple: int = 1) -> bool:
    """Whether a network's image goes through its layers, so that bfloat16 would leave 8 bits of every pixel.

    One that takes the noise from its input lets the image by. Told by a change of the input far below a step of
    bfloat16: it shows in the image, or not. The network is on the CPU, and left as it was.
    """
    image = 3.0 + 0.5 * torch.rand((1, 1, n_pixels, n_pixels), generator=torch.Generator().manual_seed(0))
    change = 2.0**-16  # bfloat16 has steps of 2^-6 there, float32 of 2^-22
    with quiet_evaluation(network), torch.autocast("cpu", dtype=torch.bfloat16):
        try:
            still, moved = (run_padded(network, image + add, multiple).float() for add in (0.0, change))
        except Exception:  # bfloat16 is not for it, or it is not for anything; the checks say what it is
            return True
    # The median: a few pixels lie where the change does carry them over a step.
    return bool(((moved - still).median() / change).abs() < 0.5)


def make_network(name: str, kwargs: Mapping[str, object]) -> nn.Module:
    """Build a network from its short name or import path.

    Parameters
    ----------
    name, kwargs
        A key of `NETWORKS`, or an import path such as `monai.networks.nets.UNet`; arguments of its constructor.

    Raises
    ------
    UserError
        If its arguments are out of range or ask for more memory than the budget of `taskct.reading`; if it is not
        taskct's own and the user has not named it (see `trust_network`), cannot be imported (with the part
        of the path that is at fault), is no class of `torch.nn.Module`, refuses
        its arguments, or has no parameters.
    """
    factory: object = NETWORKS.get(name)
    if factory is None:
        if "." not in name:
            known = ", ".join(NETWORKS)
            raise UserError(f"denoiser.network {name!r} is unknown: use {known}, or an import path like package.Class")
        try:
            factory = find_object(name)
        except ImportError as error:
            raise UserError(f"denoiser.network {name!r} cannot be imported: {error}") from error
    # Checked before the call: a model card from elsewhere must not name any function it likes.
    if not (isinstance(factory, type) and issubclass(factory, nn.Module)):
        kind = f"the class {factory.__name__}" if isinstance(factory, type) else f"of type {type(factory).__name__}"
        raise UserError(
            f"denoiser.network {name!r} is not a torch.nn.Module but {kind}: give the import path of a class of modules"
        )
    try:
        if name in NETWORKS:
            _check_arguments(name, factory, kwargs)
        network = factory(**kwargs)
    except UserError:
        raise
    except ImportError as error:  # as of a package that some of its layers need
        raise UserError(f"denoiser.network {name!r} lacks a package; in its own words: {own_words(error)}") from error
    except Exception as error:  # a user's constructor may raise anything
        raise UserError(f"denoiser.arguments do not fit {name}: {_one_line(str(error))}") from error
    parameters = list(network.parameters())
    if any(isinstance(parameter, nn.parameter.UninitializedParameter) for parameter in parameters):
        raise UserError(f"denoiser.network {name!r} has lazy layers: give every layer its number of channels")
    if not any(parameter.numel() for parameter in parameters):
        raise UserError(
            f"denoiser.network {name!r} has no parameters, so there is nothing to train: choose a network with weights"
        )
    return network


def _check_arguments(name: str, factory: type[nn.Module], kwargs: Mapping[str, object]) -> None:
    """Refuse arguments of a network of taskct's own that are too large, before it takes any memory."""
    for key, value in kwargs.items():
        members = value if isinstance(value, list | tuple) else [value]
        if len(members) > LARGEST_ARGUMENT or any(
            isinstance(one, int | float) and not abs(one) <= LARGEST_ARGUMENT for one in members
        ):
            raise UserError(
                f"denoiser.arguments.{shown(key)[:LONGEST]} of {name} is too large: numbers go up to "
                f"{LARGEST_ARGUMENT}, and lists have as many at most"
            )
    with torch.device("meta"):  # shapes without values; it draws no random numbers
        state = factory(**kwargs).state_dict()
    check_budget(f"denoiser.network {name!r}", sum(value.numel() * value.element_size() for value in state.values()))


def resolve_dtype(dtype: str, device: torch.device | str) -> str:
    """The precision, "bfloat16" or "float32", that "auto" (or either of them) stands for on a device.

    That is bfloat16 where the device computes in it (a CPU with the instructions that oneDNN needs, a CUDA device that
    says so). Elsewhere bfloat16 is emulated, at a hundredth of the speed of float32.
    """
    if dtype not in ("auto", "bfloat16", "float32"):
        raise ValueError(f"dtype is {dtype!r}; it must be 'auto', 'bfloat16' or 'float32'")
    if dtype != "auto":
        return dtype
    kind = torch.device(device).type
    if kind == "cpu":
        # The operator is there only when torch was built with oneDNN.
        there: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # untyped in torch
        fast = there and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    elif kind == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = False
    return "bfloat16" if fast else "float32"


def autocast(device: torch.device | str, dtype: str) -> contextlib.AbstractContextManager[object]:
    """The context a network runs in: bfloat16 autocast for "bfloat16", nothing for "float32", see `resolve_dtype`."""
    if resolve_dtype(dtype, device) == "float32":
        return contextlib.nullcontext()
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)


@torch.no_grad()
def denoise(
    denoiser: nn.Module,
    images_hu: NDArray[np.float32],
    *,
    device: torch.device | str = "cpu",
    dtype: str = "auto",
    margin: int = 0,
    batch_size: int | None = None,
    tile: int | None = None,
    reach: Reach | None = None,
) -> NDArray[np.float32]:
    """Run a denoiser over images; HU, shape `(n, height − 2·margin, width − 2·margin)`.

    Parameters
    ----------
    denoiser, images_hu
        Maps HU `(n, height, width)` to the same; such images.
    device, dtype
        Where and in what precision: "bfloat16", "float32" or "auto", see `resolve_dtype`.
    margin, batch_size
        Pixels to cut from each side of the result; images at a time. None takes as many as stay in a processor's cache,
        or 64 on another device.
    tile
        Side of the pieces, pixels, in which slices are denoised when memory is short: each with a halo of the
        denoiser's reach, so that the result is that of whole slices, to the rounding of its precision. None is whole
        slices.
    reach
        The denoiser's, for tiles. None finds it, which takes some evaluations; see `find_reach` to do that once for
        many calls.

    Raises
    ------
    ValueError
        If the shape is wrong, the margin leaves nothing or the tile is less than a pixel.
    UserError
        If the denoiser cannot be run in tiles exactly, see `find_reach`, or its images are not finite.
    """
    if tile is not None and tile < 1:
        raise ValueError(f"tile is {tile}; it must be at least 1 pixel, or None for whole slices")
    if images_hu.ndim != 3 or len(images_hu) == 0 or not 0 <= 2 * margin < min(images_hu.shape[1:]):
        raise ValueError(f"a margin of {margin} pixels leaves nothing of images of shape {images_hu.shape}")
    denoiser.eval()
    if batch_size is None:
        in_cache = max(1, CACHED_PIXELS // (images_hu.shape[1] * images_hu.shape[2]))
        batch_size = in_cache if torch.device(device).type == "cpu" else 64

    def run(image_hu: torch.Tensor) -> torch.Tensor:
        with autocast(device, dtype):
            output: torch.Tensor = denoiser(image_hu.to(device))
        return output.float()

    if tile is not None and tile >= max(images_hu.shape[1:]):
        tile = None  # one piece is the whole
    if tile is not None and reach is None:
        reach = find_reach(denoiser, torch.from_numpy(np.array(images_hu[0], dtype=np.float32)).to(device))
    height, width = (side - 2 * margin for side in images_hu.shape[1:])
    denoised = np.empty((len(images_hu), height, width), dtype=np.float32)
    for first in range(0, len(images_hu), batch_size):
        # A copy in C order: torch takes no array that is read-only or runs backwards.
        batch = torch.from_numpy(np.array(images_hu[first : first + batch_size], dtype=np.float32, order="C"))
        # With tiles, only a piece at a time is on the device.
        output = run(batch) if tile is None or reach is None else run_in_tiles(run, batch, tile=tile, reach=reach)
        inner = crop(output, margin)
        if n_bad := int((~torch.isfinite(inner)).sum()):
            raise UserError(
                f"the denoiser returned NaN or infinity in {n_bad} of {inner.numel()} pixels: its weights or its scale "
                "are broken, or the images are far outside the range of CT in HU"
            )
        denoised[first : first + len(inner)] = inner.cpu().numpy()
    return denoised
