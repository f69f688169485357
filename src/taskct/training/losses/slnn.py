"""The paper's task loss: the cross-entropy of an SLNN-NO on the denoised region."""

import math
from typing import get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.observers.base import check_training
from taskct.observers.grouped_head import GroupedHead
from taskct.observers.slnn import logistic_path
from taskct.observers.slnn_head import SLNNHead
from taskct.training.gradient import scale_gradient
from taskct.training.losses.base import Batch, Loss, LossContext, check_trials
from taskct.training.losses.several import SeveralLosses
from taskct.training.plan import HeadTraining

HEAD_START_WEIGHT_DECAY = 1.0
"""Strong enough that the start is no choice to tune: training goes on from there in every arm alike."""


class SLNNLoss(Loss):
    """Binary cross-entropy of an SLNN-NO, in units of ln 2 nats, of which 1 is chance: BCE/ln 2.

    Parameters
    ----------
    head
        A head on the region, or a `GroupedHead` with one for each site, region or shape; batches then need `group`.
    training
        "warm": the head starts as the SLNN fitted to what it sees of the start network's images and is trained on.
        "joint": it starts from its weights as they are, 0 for a new one. "frozen": it starts as "warm" does and stays.

    Raises
    ------
    UserError
        If `training` is none of these.

    References
    ----------
    .. [1] Li, Li, Anastasio, Proc. SPIE Medical Imaging (2022); arXiv 2211.13303; J. Med. Imaging 11, 055501 (2024).
    """

    def __init__(self, head: SLNNHead | GroupedHead, *, training: HeadTraining = "warm") -> None:
        super().__init__()
        if training not in get_args(HeadTraining):
            raise UserError(f"training of the SLNN head is {training!r}; it must be 'warm', 'joint' or 'frozen'")
        self.head = head
        self.head_training = training
        if training == "frozen":
            head.requires_grad_(False)

    @classmethod
    def of(cls, context: LossContext) -> Loss:  # noqa: D102 - as in Loss
        losses = [cls(head, training=context.head_training) for head in context.heads()]
        return losses[0] if len(losses) == 1 else SeveralLosses(losses)

    def noise_shape(self, n: int) -> tuple[int, ...] | None:  # noqa: D102 - as in Loss
        return self.head.noise_shape(n)

    @torch.no_grad()
    def start(self, denoised: torch.Tensor, batch: Batch, *, seed: int) -> None:  # noqa: D102 - as in Loss
        check_trials(denoised, batch)
        if self.head_training == "joint":
            return
        images, present = denoised.cpu().numpy(), batch.signal_present.cpu().numpy()
        if isinstance(self.head, SLNNHead):
            start_head(self.head, images, present)
            return
        groups = self.head.check_group(_group(batch), len(images)).cpu().numpy()
        for index, head in enumerate(self.head.members):
            inside = groups == index
            try:
                start_head(head, images[inside], present[inside])
            except UserError as error:
                raise UserError(f"group {index}: {error}") from None

    def forward(self, denoised: torch.Tensor, batch: Batch) -> torch.Tensor:  # noqa: D102 - as in Loss
        check_trials(denoised, batch)
        if isinstance(self.head, GroupedHead):
            logits = self.head(denoised, _group(batch), noise=batch.noise)
        else:
            logits = self.head(denoised, noise=batch.noise)
        return F.binary_cross_entropy_with_logits(logits, batch.signal_present.to(logits)) / math.log(2.0)

    def shared(self, denoised: torch.Tensor, batch: Batch, task_weight: float) -> torch.Tensor:
        """The same value, λ of whose gradient reaches the images and all of it the head, whatever λ is.

        So every arm's head is equally well trained, and at λ = 0 the task does not reach the denoiser.
        """
        return self(scale_gradient(denoised, task_weight), batch)  # type: ignore[no-any-return]  # untyped in torch


def _group(batch: Batch) -> torch.Tensor:
    if batch.group is None:
        raise ValueError("several heads need the group of every trial")
    return batch.group


@torch.no_grad()
def start_head(
    head: SLNNHead,
    images: NDArray[np.floating],
    signal_present: NDArray[np.bool_],
    *,
    weight_decay: float = HEAD_START_WEIGHT_DECAY,
) -> None:
    """Set a head's weights to those of an SLNN fitted to what it sees of regions, HU `(n, h, w)`, without its noise.

    `weight_decay` is as of `taskct.observers.SLNN` on all pixels. Fewer weights need less of it: those of unit-norm
    channels are penalised as the pixels' would be, times n_channels / n_pixels.

    Raises
    ------
    UserError
        If a class has fewer than 2 trials, a value is not finite, all images are the same, or nothing can be fitted.
    """
    checked, present = check_training(images, signal_present)
    device = head.weight.device
    seen = head.seen(torch.from_numpy(checked).to(device)).cpu().numpy()
    seen_mean = seen.mean(axis=0)
    spread = checked - checked.mean(axis=0) if head.kind == "channels" else seen - seen_mean
    scale = float(np.sqrt(np.mean(spread**2)))
    weight_decay *= head.weight.numel() / checked[0].size
    try:
        ((weights, bias),) = logistic_path((seen - seen_mean) / scale, present, [weight_decay])
    except RuntimeError as error:
        raise UserError(f"the observer head cannot be started ({error}); the images hardly differ") from error
    layer = torch.from_numpy(weights / scale).reshape(head.weight.shape)
    head.weight.copy_(layer.to(device) * float(head.scale_hu) * math.sqrt(layer.numel()))
    head.bias.fill_(bias - float((weights / scale) @ seen_mean))
