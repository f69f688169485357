"""Several losses at once: their mean."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from taskct.errors import UserError
from taskct.seeds import derive_seed
from taskct.training.gradient import scale_value
from taskct.training.losses.base import Batch, Loss


class SeveralLosses(Loss):
    """The mean of several losses, as of a head that sees pixels and one behind an eye.

    Each loss's own parameters receive the full gradient of their own loss, whatever λ is and however many there are.

    Parameters
    ----------
    losses
        At least one.

    Raises
    ------
    UserError
        If there is none.
    """

    def __init__(self, losses: Sequence[Loss]) -> None:
        super().__init__()
        if not losses:
            raise UserError("several losses at once need at least one")
        self.tasks = nn.ModuleList(losses)  # the name that states of trainings have on the disk
        self.needs_signal = any(loss.needs_signal for loss in losses)

    @property
    def members(self) -> list[Loss]:
        """The losses, in order."""
        return [loss for loss in self.tasks if isinstance(loss, Loss)]

    def noise_shape(self, n: int) -> tuple[int, ...] | None:  # noqa: D102 - as in Loss
        each = [math.prod(shape[1:]) for loss in self.members if (shape := loss.noise_shape(n)) is not None]
        return (n, sum(each)) if each else None

    def start(self, denoised: torch.Tensor, batch: Batch, *, seed: int) -> None:  # noqa: D102 - as in Loss
        for number, loss in enumerate(self.members):
            loss.start(denoised, batch, seed=derive_seed(seed, "task", number))

    def forward(self, denoised: torch.Tensor, batch: Batch) -> torch.Tensor:  # noqa: D102 - as in Loss
        return torch.stack([loss(denoised, own) for loss, own in self._each(batch)]).mean()

    def shared(self, denoised: torch.Tensor, batch: Batch, task_weight: float) -> torch.Tensor:  # noqa: D102 - as in Loss
        # Each of m losses lets 1/m of λ into the images; its own parameters see all of the gradient.
        m = len(self.tasks)
        values = [loss.shared(denoised, own, task_weight / m) for loss, own in self._each(batch)]
        return scale_value(torch.stack(values).sum(), 1.0 / m)

    def _each(self, batch: Batch) -> Iterator[tuple[Loss, Batch]]:
        """Every loss, and the batch with its own part of the noise."""
        n, first = len(batch.signal_present), 0
        for loss in self.members:
            shape, own = loss.noise_shape(n), None
            if shape is not None and batch.noise is not None:
                width = math.prod(shape[1:])
                own = batch.noise[:, first : first + width].reshape(shape)
                first += width
            yield loss, batch._replace(noise=own)
