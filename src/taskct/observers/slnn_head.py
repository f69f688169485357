"""The SLNN-NO as a head that is trained jointly with a denoiser."""

import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from taskct.errors import UserError
from taskct.observer_registry import VIEWING_DISTANCE_MM, conditions
from taskct.observers.base import Array, check_images
from taskct.observers.channels import unit_channels
from taskct.observers.eye import apply_eye_filter, eye_filter
from taskct.ranges import Range

RANGES = {"scale_hu": Range(0.0, unit="HU", open_low=True), **conditions("internal_noise_hu")}


class SLNNHead(nn.Module):
    """The SLNN-NO as a head that is trained jointly with a denoiser: one fully connected layer on the region [1].

    The logit is the test statistic. What the layer sees, and where the internal noise is, the `kind` says:

    - `"pixel"`: every pixel, without noise; the paper's.
    - `"eye"`: the pixels E f behind an eye filter E, with white noise on every one.
    - `"channels"`: the outputs Uᵀf of a few channels, with the same noise on every one, so that the template is
      in the span of U [2].

    In training mode `forward` adds the noise; in evaluation mode it does not, and `test_statistic` does. The weights
    start at 0. Inside, images are standardised and divided by √(number of weights), so that a step of an optimiser
    moves the logit about as much as a step in a convolution does. All of it is float32, under autocast too.

    Every buffer is kept in row-major order in torch's own memory, whatever the order of the array it came from: a
    product in floating point depends on both in its last bits, and a head that was saved and loaded must give those of
    the one it came from.

    Parameters
    ----------
    shape
        Height and width of the region, pixels.
    kind
        `"pixel"`, `"eye"` or `"channels"`.
    offset_hu, scale_hu
        Subtracted from every image, one value or a mean image `(height, width)`, HU, and typical standard deviation of
        the images around it, HU, above 0.
    pixel_mm, viewing_distance_mm, magnification
        Of the eye, mm, mm and no unit; `pixel_mm` is needed for `kind="eye"` alone.
    channel_matrix
        U, shape `(n_pixels, n_channels)`, from `taskct.observers.channels`; for `kind="channels"` alone. Each
        channel is scaled to unit norm, so that the noise means the same in all of them.
    internal_noise_hu
        Standard deviation of the noise, HU, at least 0: per pixel behind an eye, per channel of unit norm; not for
        `kind="pixel"`.

    Raises
    ------
    UserError
        If a setting is out of range.

    References
    ----------
    .. [1] Li, Li, Anastasio, Proc. SPIE Medical Imaging (2022); arXiv 2211.13303.
    .. [2] Barrett & Myers, Foundations of Image Science, Wiley (2004), ch. 14: channels and internal noise.

    Examples
    --------
    >>> head = SLNNHead((8, 8), offset_hu=40.0, scale_hu=20.0)
    >>> head(torch.full((3, 8, 8), 40.0)).shape
    torch.Size([3])
    """

    offset_hu: torch.Tensor
    scale_hu: torch.Tensor
    internal_noise_hu: torch.Tensor
    response: torch.Tensor
    channel_matrix: torch.Tensor

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        kind: Literal["pixel", "eye", "channels"] = "pixel",
        offset_hu: float | NDArray[np.floating] | torch.Tensor = 0.0,
        scale_hu: float = 1.0,
        pixel_mm: float | None = None,
        channel_matrix: NDArray[np.floating] | None = None,
        internal_noise_hu: float = 0.0,
        viewing_distance_mm: float = VIEWING_DISTANCE_MM,
        magnification: float = 1.0,
    ) -> None:
        super().__init__()
        if kind not in ("pixel", "eye", "channels"):
            raise UserError(f"kind of the SLNN head is {kind!r}; it must be 'pixel', 'eye' or 'channels'")
        scale_hu = RANGES["scale_hu"].check("scale_hu", scale_hu)
        if (channel_matrix is not None) != (kind == "channels"):
            raise UserError("a channel_matrix is needed for an SLNN head of kind 'channels' and for no other")
        self.kind = kind
        self.shape = (int(shape[0]), int(shape[1]))
        if isinstance(offset_hu, np.ndarray):
            offset_hu = np.ascontiguousarray(offset_hu)
        offset = torch.as_tensor(offset_hu, dtype=torch.float32)
        self.register_buffer("offset_hu", offset.expand(self.shape).clone(memory_format=torch.contiguous_format))
        self.register_buffer("scale_hu", torch.tensor(scale_hu))
        weights: tuple[int, ...] = self.shape
        if kind == "eye":
            if pixel_mm is None:
                raise UserError("an SLNN head of kind 'eye' needs pixel_mm, the pixel size in mm")
            response = eye_filter(
                self.shape, pixel_mm=pixel_mm, viewing_distance_mm=viewing_distance_mm, magnification=magnification
            )
            self.register_buffer("response", torch.tensor(response, dtype=torch.float32))
        elif channel_matrix is not None:
            matrix = unit_channels(channel_matrix, self.shape)
            self.register_buffer("channel_matrix", torch.tensor(matrix, dtype=torch.float32))
            weights = (matrix.shape[1],)
        elif internal_noise_hu != 0.0:
            raise UserError(
                "internal_noise_hu is for an SLNN head of kind 'eye' or 'channels'; leave it at 0 for 'pixel'"
            )
        if kind != "pixel":
            noise = RANGES["internal_noise_hu"].check("internal_noise_hu", internal_noise_hu)
            self.register_buffer("internal_noise_hu", torch.tensor(noise))
        self.weight = nn.Parameter(torch.zeros(weights))
        self.bias = nn.Parameter(torch.zeros(()))

    def extra_repr(self) -> str:  # noqa: D102 - as in torch
        return f"{self.kind!r}, {self.shape[0]}×{self.shape[1]}, {self.weight.numel()} weights"

    @property
    def layer(self) -> torch.Tensor:
        """Weights of the layer on what it sees, 1/HU, shape `(height, width)`, or `(n_channels,)` for channels."""
        return self.weight / (self.scale_hu * math.sqrt(self.weight.numel()))

    @property
    def template(self) -> torch.Tensor:
        """Effective template on the image, 1/HU, shape `(height, width)`: w, E w or U w."""
        if self.kind == "eye":
            return apply_eye_filter(self.layer, self.response)
        if self.kind == "channels":
            return (self.channel_matrix @ self.layer).reshape(self.shape)
        return self.layer

    def noise_shape(self, n_trials: int) -> tuple[int, ...] | None:
        """Shape of the standard normal noise that `forward` takes for `n_trials` trials; None without noise."""
        return None if self.kind == "pixel" else (n_trials, *self.weight.shape)

    def seen(self, image_hu: torch.Tensor) -> torch.Tensor:
        """What the layer sees of images less `offset_hu`, without noise, HU, shape `(n_trials, n_weights)`."""
        centred = (image_hu - self.offset_hu.to(image_hu)).contiguous()
        if self.kind == "eye":
            centred = apply_eye_filter(centred, self.response)
        if self.kind == "channels":
            return centred.flatten(1) @ self.channel_matrix.to(image_hu)
        return centred.flatten(1)

    def forward(
        self, image_hu: torch.Tensor, generator: torch.Generator | None = None, *, noise: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logit of every trial, float32, shape `(n_trials,)`; higher means signal present.

        Parameters
        ----------
        image_hu
            Regions, HU, shape `(n_trials, height, width)`.
        generator
            Of the internal noise; this or `noise` is needed in training mode, but for a head that sees pixels.
        noise
            Standard normal values of the shape that `noise_shape` gives, in place of a draw, in evaluation mode too.
        """
        check_shape(image_hu, self.shape)
        noise = internal_noise(self, len(image_hu), generator, noise, training=self.training)
        with torch.autocast(image_hu.device.type, enabled=False):  # the HU of a weak signal do not fit bfloat16
            # E is symmetric and U linear: applying them to the template once does for every image.
            centred = (image_hu.float() - self.offset_hu).contiguous()
            logits = centred.flatten(1) @ self.template.flatten() + self.bias
            if noise is not None:
                logits = logits + self.internal_noise_hu * (noise.to(logits).flatten(1) @ self.layer.flatten())
        return logits

    @torch.no_grad()
    def test_statistic(
        self, images: NDArray[np.floating] | torch.Tensor, generator: torch.Generator | None = None
    ) -> NDArray[np.float64]:
        """Test statistic of every trial, float64, `(n_trials,)`, with the internal noise if there is any, in any mode.

        The generator is of the internal noise N(0, σ²‖w‖²), w the layer's weights; only a head that sees pixels needs
        none. Seed it alike in every arm of a study, so that trial i meets the same noise. Images are in HU, `(n_trials,
        height, width)`.
        """
        array = images.detach().cpu().numpy() if isinstance(images, torch.Tensor) else images
        checked = check_images(array, self.shape)
        template = self.template.double().cpu()
        offset = float(self.bias.double().cpu() - (template * self.offset_hu.double().cpu()).sum())
        # NumPy's product: torch's gives other last bits where an array lies elsewhere in memory.
        statistic: Array = checked.reshape(len(checked), -1) @ template.numpy().ravel() + offset
        if self.kind != "pixel":
            if generator is None:
                raise ValueError(f"an SLNN head of kind '{self.kind}' needs a generator for its internal noise")
            noise = torch.randn(len(checked), generator=generator, device=generator.device).double().cpu().numpy()
            statistic += float((self.internal_noise_hu * self.layer.norm()).double().cpu()) * noise
        return statistic


def check_shape(image_hu: torch.Tensor, shape: tuple[int, int]) -> None:
    """Raise a ValueError for images that are no regions of a head."""
    if image_hu.ndim != 3 or tuple(image_hu.shape[1:]) != shape:
        raise ValueError(
            f"the head takes images of shape (n_trials, {shape[0]}, {shape[1]}), not {tuple(image_hu.shape)}"
        )


def internal_noise(
    head: SLNNHead, n_trials: int, generator: torch.Generator | None, noise: torch.Tensor | None, *, training: bool
) -> torch.Tensor | None:
    """The noise given or drawn, of the head's `noise_shape`; None where there is none."""
    shape = head.noise_shape(n_trials)
    if noise is not None:
        if tuple(noise.shape) != shape:
            raise ValueError(f"the head's internal noise has shape {shape}, not {tuple(noise.shape)}")
        return noise
    if shape is None or not training:
        return None
    if generator is None:
        raise ValueError(f"an SLNN head of kind '{head.kind}' needs a generator for its noise in training, or noise")
    return torch.randn(shape, generator=generator, device=generator.device)
