"""The task path: a frozen control plus a correction for the task, with one dial in percent of RMSE."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from taskct.denoisers.denoiser import CACHED_PIXELS, autocast
from taskct.denoisers.dilated import DilatedConv2d
from taskct.denoisers.exporting import exporting
from taskct.denoisers.prices import CORRECTION, PRICE, SquaredError
from taskct.denoisers.sizes import in_fast_order, memory_format


class Residual(nn.Module):
    """A dilated 3 × 3 convolution whose rectified output is added to its input."""

    def __init__(self, n_channels: int, dilation: int) -> None:
        super().__init__()
        self.convolution = DilatedConv2d(n_channels, n_channels, dilation=dilation)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps `(n, n_channels, height, width)` to the same shape."""
        return maps + F.relu(self.convolution(maps))


class Correction(nn.Module):
    """What is added to a control's image for the task: a small network that sees that image and the low-dose one.

    A lesion is many pixels wide, so it works on squares of `pool` × `pool` pixels, where a layer sees further and costs
    little: with its defaults a fifth of a small denoiser. The last layer starts at 0: the path starts at the control.

    Parameters
    ----------
    offset_hu, scale_hu
        Both images are seen as (image − offset) / scale; HU, the scale above 0. They are part of the weights.
    n_channels
        Feature maps.
    pool
        Side of a square, pixels: a few of them across the smallest lesion.

    Raises
    ------
    UserError
        If a number is out of its range, see `taskct.denoisers.prices.CORRECTION`.
    """

    offset_hu: torch.Tensor
    scale_hu: torch.Tensor

    DILATIONS = (1, 1, 2, 2, 1)

    def __init__(self, *, offset_hu: float = 0.0, scale_hu: float = 1.0, n_channels: int = 32, pool: int = 4) -> None:
        super().__init__()
        for name, value in (("n_channels", n_channels), ("pool", pool)):
            CORRECTION[name].check(name, value)
        self.alignment = pool
        self.arguments = {"n_channels": n_channels, "pool": pool}
        last = nn.Conv2d(n_channels, 1, 1)
        layers = [
            nn.PixelUnshuffle(pool),
            nn.Conv2d(2 * pool**2, n_channels, 3, padding=1),
            nn.ReLU(),
            *(Residual(n_channels, dilation) for dilation in self.DILATIONS),
            last,
        ]
        self.network = in_fast_order(nn.Sequential(*layers))
        nn.init.zeros_(last.weight)
        if last.bias is not None:
            nn.init.zeros_(last.bias)
        self.register_buffer("offset_hu", torch.tensor(float(offset_hu)))
        self.register_buffer("scale_hu", torch.tensor(float(scale_hu)))

    def forward(self, image_hu: torch.Tensor, control_hu: torch.Tensor) -> torch.Tensor:
        """What is added to `control_hu`, HU; low-dose image, control's image and the result are `(n, h, w)`."""
        both = (torch.stack([image_hu.float(), control_hu.float()], dim=1) - self.offset_hu) / self.scale_hu
        height, width = both.shape[-2:]
        pad = (0, -width % self.alignment, 0, -height % self.alignment)
        whole = F.pad(both, pad, mode="replicate") if exporting() or any(pad) else both
        # In float32, whatever the convolutions ran in.
        squares = self.network(whole.contiguous(memory_format=memory_format(self.network))).float()
        if self.alignment > 1:
            squares = F.interpolate(squares, scale_factor=self.alignment, mode="bilinear", align_corners=False)
        added: torch.Tensor = squares[:, 0, :height, :width] * self.scale_hu
        return added


class TaskPath(nn.Module):
    """A denoiser with a dial: f = f₀ + a·Δ, the control plus a correction of the strength that a price pays for.

    The control f₀ has been trained by MSE to the end. It is nearly the conditional mean, so its error is orthogonal to
    any function of the image, and what the correction costs is its energy alone: MSE(a) = MSE₀ + a²·E[Δ²], but for the
    small mixed term that is measured.

    Parameters
    ----------
    control
        Maps HU `(n, height, width)` to the same.
    correction
        Maps such images and the control's to what is added, HU, see `Correction`.
    square
        The mean squared error along the path, measured on validation trials.
    price
        Where the dial stands: RMSE over the control's on such trials, less 1; from 0 to `MAX_PRICE`.

    Raises
    ------
    UserError
        If the price is out of range.

    Examples
    --------
    >>> path = TaskPath(nn.Identity(), Correction(), square=SquaredError(25.0, 0.0, 1.0), price=0.0)
    >>> path(torch.ones(2, 16, 16)).mean().item()
    1.0
    """

    def __init__(self, control: nn.Module, correction: nn.Module, *, square: SquaredError, price: float = 0.02) -> None:
        super().__init__()
        self.control = control
        self.correction = correction
        self.square = SquaredError(*square)
        if not (self.square.control > 0.0 and self.square.energy > 0.0):
            raise ValueError(f"the mean squared error along the path is {tuple(square)}: it must rise with a²")
        self.price = price

    @property
    def price(self) -> float:
        """RMSE over the control's on validation trials, less 1."""
        return self._price

    @price.setter
    def price(self, value: float) -> None:
        self._price = float(PRICE.check("price", value))

    @property
    def strength(self) -> float:
        """a, the factor of the correction."""
        return self.square.strength(self.price)

    def extra_repr(self) -> str:
        """What `repr` says of it beside its layers."""
        return f"price={self.price:g}"

    def correct(self, image_hu: torch.Tensor, control_hu: torch.Tensor) -> torch.Tensor:
        """The path's images from low-dose images and the control's, wherever those come from; HU, `(n, height, width)`.

        At no price these are the control's, to the bit.
        """
        if self.price == 0.0:
            return control_hu
        added: torch.Tensor = self.correction(image_hu, control_hu)
        return control_hu + self.strength * added

    def forward(self, image_hu: torch.Tensor) -> torch.Tensor:
        """Denoise images in HU, shape `(n, height, width)`, to float32 HU of the same shape."""
        return self.correct(image_hu, self.control(image_hu).float())


@torch.no_grad()
def correct_images(
    path: TaskPath,
    images_hu: NDArray[np.float32],
    control_hu: NDArray[np.float32],
    *,
    device: torch.device | str = "cpu",
    dtype: str = "auto",
    margin: int = 0,
) -> NDArray[np.float32]:
    """A path's images from low-dose images and the control's, wherever these come from.

    Parameters
    ----------
    path
        With its dial where it is wanted.
    images_hu, control_hu
        Low-dose and control's images, HU, `(n, height, width)` both.
    device, dtype, margin
        As for `taskct.denoisers.denoise`.

    Returns
    -------
    HU, `(n, height − 2·margin, width − 2·margin)`.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if images_hu.shape != control_hu.shape or images_hu.ndim != 3:
        raise ValueError(f"low-dose images of shape {images_hu.shape} and control's of {control_hu.shape}")
    path.eval().to(device)
    height, width = images_hu.shape[1:]
    size = max(1, CACHED_PIXELS // (height * width))
    made = np.empty((len(images_hu), height - 2 * margin, width - 2 * margin), dtype=np.float32)
    for first in range(0, len(images_hu), size):
        some = slice(first, first + size)
        low, control = (torch.from_numpy(np.array(one[some], dtype=np.float32)) for one in (images_hu, control_hu))
        with autocast(device, dtype):
            image = path.correct(low.to(device), control.to(device)).float().cpu()
        made[some] = image[:, margin : height - margin, margin : width - margin].numpy()
    return made
