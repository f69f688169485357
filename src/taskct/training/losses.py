"""The hybrid loss and how its gradient is shared between denoiser and observer."""

import math
from typing import Any

import torch
import torch.nn.functional as F


def hybrid_loss(mse: torch.Tensor, bce: torch.Tensor, *, task_weight: float, mse_pretrained: float) -> torch.Tensor:
    """L(λ) = (1−λ)·MSE/MSE_pre + λ·BCE/ln 2.

    Parameters
    ----------
    mse
        Mean squared error, HU².
    bce
        Binary cross-entropy of the task, nats.
    task_weight
        λ in [0, 1).
    mse_pretrained
        The pretrained denoiser's validation MSE, HU²: with it both terms are near 1 at the start of fine-tuning.

    Returns
    -------
    The loss, no unit.

    References
    ----------
    .. [1] Li, Li, Anastasio, SPIE Medical Imaging (2022); the normalization is ours.
    """
    return (1.0 - task_weight) * mse / mse_pretrained + task_weight * bce / math.log(2.0)


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, factor: float) -> torch.Tensor:  # noqa: ANN401 - torch's own context
        ctx.factor = factor
        return values.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:  # noqa: ANN401 - torch's own context
        return gradients[0] * ctx.factor, None


def scale_gradient(values: torch.Tensor, factor: float) -> torch.Tensor:
    """The same values; their gradient arrives multiplied by `factor`."""
    scaled: torch.Tensor = _ScaleGradient.apply(values, factor)  # type: ignore[no-untyped-call]  # untyped in torch
    return scaled


def joint_loss(
    denoised: torch.Tensor,
    reference: torch.Tensor,
    signal_present: torch.Tensor,
    head: torch.nn.Module,
    *,
    task_weight: float,
    mse_pretrained: float,
    generator: torch.Generator | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What a fine-tuning step descends.

    The denoiser receives the gradient of `hybrid_loss`, the head that of the full BCE/ln 2 whatever λ is, so that
    every arm's head is equally well trained. The returned loss therefore has the value
    (1−λ)·MSE/MSE_pre + BCE/ln 2; only its gradient is shared out.

    Parameters
    ----------
    denoised, reference
        The region in HU, shape `(n, height, width)`.
    signal_present
        Shape `(n,)`, 0 or 1.
    head
        Maps the region to logits, `(n,)`; called as `head(image_hu, generator)`.
    task_weight, mse_pretrained
        As for `hybrid_loss`.
    generator
        Of the head's internal noise.

    Returns
    -------
    loss, mse, bce
        Scalars; HU² and nats for the last two, detached.
    """
    mse = F.mse_loss(denoised, reference)
    logits = head(scale_gradient(denoised, task_weight), generator)
    bce = F.binary_cross_entropy_with_logits(logits, signal_present.to(logits.dtype))
    loss = (1.0 - task_weight) * mse / mse_pretrained + bce / math.log(2.0)
    return loss, mse.detach(), bce.detach()
