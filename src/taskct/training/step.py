"""One step of training: denoise, cut the margin off, and weigh the mean squared error against the task."""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import nn

from taskct.errors import UserError
from taskct.training.gradient import Number, scale_value
from taskct.training.losses.base import Batch, Loss
from taskct.training.plan import TASK_WEIGHT
from taskct.trials.trials import crop


class Objective(Protocol):
    """What a training descends: a `HybridLoss`, or the price and the task of a task path."""

    @property
    def mse_pretrained(self) -> float:
        """MSE of what the training starts from, HU²."""

    @property
    def loss(self) -> Loss | None:
        """Of the task; None to train by MSE alone."""

    @property
    def task_weight(self) -> float:
        """What weighs the task against the MSE: λ, or a price."""

    @property
    def rate_setting(self) -> str:
        """Name of the setting that has the learning rate, for messages."""

    def __call__(self, mse: float, task: float) -> float:
        """What validation judges the training by, of the MSE in HU² and of the task's loss."""

    def step(self, trained: nn.Module, *, margin: int) -> nn.Module:
        """Of a batch, noisy images and what else is known: the loss to descend, and MSE and task's loss, `(2,)`."""


@dataclass(frozen=True, eq=False)
class HybridLoss:
    """What the denoiser is trained for, and every validation judges it by.

        L(λ) = (1 − λ) · MSE / MSE_pre + λ · task,    task = BCE / ln 2 for the SLNN-NO,

    so that at the pretrained denoiser, with an observer that knows nothing, L = 1 whatever λ is. Pretraining is the
    case without a task, at λ = 0.

    The denoiser descends L(λ). The observer that is trained with it descends `task` itself, so that it learns equally
    well in every arm, at λ = 0 too; therefore `task` must be `Loss.shared`, of whose gradient λ reaches the denoiser.

    Raises
    ------
    UserError
        If λ is not in [0, 1).
    """

    mse_pretrained: float
    """MSE_pre, HU²."""
    loss: Loss | None = None
    """Of the task; None to train by MSE alone."""
    task_weight: float = 0.0
    """λ."""

    def __post_init__(self) -> None:
        TASK_WEIGHT.check("task_weight (λ)", self.task_weight)

    def __call__(self, mse: Number, task: Number) -> Number:
        """L(λ) of the mean squared error in HU² and of the task's loss, tensors or numbers."""
        return (1.0 - self.task_weight) * mse / self.mse_pretrained + scale_value(task, self.task_weight)

    @property
    def rate_setting(self) -> str:
        """Name of the setting that has the learning rate, for messages."""
        return "training.learning_rate" if self.loss is None else "training.finetune_learning_rate"

    def step(self, trained: nn.Module, *, margin: int) -> "Step":
        """A step of a denoiser."""
        return Step(trained, self, margin=margin)


class Step(nn.Module):
    """Denoiser and loss in one module, so that a data-parallel wrapper sees all parameters of a step.

    The denoiser maps HU `(n, h, w)` to the same; `margin` pixels are cut from each side before any loss is taken.
    """

    def __init__(self, denoiser: nn.Module, hybrid: HybridLoss, *, margin: int) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.loss = hybrid.loss
        self.hybrid = hybrid
        self.margin = margin

    def forward(self, noisy: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """L(λ) to descend, a scalar, of noisy images in HU `(n, h, w)` and what else is known, both with the margin.

        Also what it is made of: MSE in HU² and the task's loss, nan without a task; shape `(2,)`, detached.
        """
        output = self.denoiser(noisy)
        if output.shape != noisy.shape:
            raise UserError(
                f"the denoiser turned images of shape {tuple(noisy.shape)} into {tuple(output.shape)}: it must keep "
                "the shape"
            )
        with torch.autocast(noisy.device.type, enabled=False):  # losses in float32
            denoised, batch = crop(output.float(), self.margin), batch.region(self.margin)
            mse = F.mse_loss(denoised, batch.reference)
            if self.loss is None:
                loss, task = self.hybrid(mse, torch.zeros_like(mse)), torch.full_like(mse, torch.nan)
            else:
                task = self.loss.shared(denoised, batch, self.hybrid.task_weight)
                loss = self.hybrid(mse, task)
        return loss, torch.stack([mse.detach(), task.detach().to(mse.dtype)])
