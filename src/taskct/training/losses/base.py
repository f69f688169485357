"""What a loss is, what it sees of the trials, and the checks of what goes into one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from taskct.observers.grouped_head import GroupedHead
from taskct.observers.slnn_head import SLNNHead
from taskct.training.gradient import scale_gradient
from taskct.training.plan import HeadTraining
from taskct.trials.trials import crop


class Batch(NamedTuple):
    """What is known of some trials beside their noisy or denoised images."""

    reference: torch.Tensor
    """HU, float32, shape `(n, height, width)`."""
    signal_present: torch.Tensor
    """Bool, shape `(n,)`."""
    noise: torch.Tensor | None = None
    """Standard normal values of the shape that `Loss.noise_shape` gives."""
    signal: torch.Tensor | None = None
    """The noise-free signal of every trial, HU, shape of `reference`, for a loss with `needs_signal`."""
    group: torch.Tensor | None = None
    """Which head judges a trial: that of its site, region or shape; int64, shape `(n,)`."""
    control: torch.Tensor | None = None
    """Images of a frozen control, HU, shape of `reference`, for the task path."""

    def region(self, margin: int) -> "Batch":
        """The same without the margin of the images."""
        names = "reference", "signal", "control"
        images = {name: image for name in names if (image := getattr(self, name)) is not None}
        return self._replace(**{name: crop(image, margin) for name, image in images.items()})

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return Batch._make(None if value is None else value.to(device, non_blocking=True) for value in self)


@dataclass(frozen=True)
class LossContext:
    """What a study knows of its regions that a loss can be built from."""

    shape: tuple[int, int]
    """Height and width of the region, pixels."""
    heads: Callable[[], Sequence[SLNNHead | GroupedHead]]
    """The observer heads that are asked for, not started."""
    head_training: HeadTraining
    channels: Callable[[], NDArray[np.float64]]
    """A channel matrix, shape `(n_pixels, n_channels)`."""
    internal_noise_hu: float
    """Of an observer, HU."""


class Loss(nn.Module):
    """What is asked of denoised regions beside a low mean squared error; 1 at chance, or where the start network is."""

    needs_signal: bool = False
    """Whether it wants the noise-free signal of every trial."""

    @classmethod
    def of(cls, context: LossContext) -> "Loss | Self":
        """The loss for a study's regions."""
        return cls()

    def start(self, denoised: torch.Tensor, batch: Batch, *, seed: int) -> None:
        """Fit what must be known before training; by default nothing.

        No gradient reaches `denoised`. In a run of several processes every one of them gets all the trials.

        Parameters
        ----------
        denoised
            Regions of the start network, HU, float32, shape `(n, height, width)`.
        batch
            What else is known of the trials; there is no noise.
        seed
            Of every draw.

        Raises
        ------
        UserError
            If the trials do not serve, as with one class alone.
        """

    def forward(self, denoised: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The loss, a scalar.

        Raises
        ------
        UserError
            If the batch does not serve.
        ValueError
            If a shape does not match.
        """
        raise NotImplementedError(f"{type(self).__name__} is no loss: it has no forward")

    def shared(self, denoised: torch.Tensor, batch: Batch, task_weight: float) -> torch.Tensor:
        """The same value, λ of whose gradient reaches the denoised images.

        A loss with parameters of its own must give those the full gradient, whatever λ is.
        """
        return scale_gradient(self(denoised, batch), task_weight)

    def noise_shape(self, n: int) -> tuple[int, ...] | None:
        """Shape of the standard normal noise that `forward` wants for `n` trials; None for none."""
        return None


def check_trials(denoised: torch.Tensor, batch: Batch) -> None:
    """Refuse regions and truths that do not belong together; raises ValueError."""
    reference, present = batch.reference, batch.signal_present
    if denoised.ndim != 3 or denoised.shape != reference.shape:
        raise ValueError(
            f"denoised {tuple(denoised.shape)} and reference {tuple(reference.shape)} must both be (n, height, width)"
        )
    if present.dtype != torch.bool or present.shape != denoised.shape[:1]:
        raise ValueError(
            f"signal_present must be bool of shape ({len(denoised)},), not {present.dtype} {tuple(present.shape)}"
        )
