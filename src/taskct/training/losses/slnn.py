"""The paper's task loss: the cross-entropy of an SLNN-NO on the denoised region."""

import math
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.observers.base import check_training
from taskct.observers.slnn import logistic_path
from taskct.observers.slnn_head import GroupedHead, SLNNHead
from taskct.training.losses.base import TaskLoss, check_batch, check_trials
from taskct.training.losses.gradient import scale_gradient

HEAD_START_WEIGHT_DECAY = 1.0
"""Strong enough that the start is no choice to tune: training goes on from there in every arm alike."""


class SLNNTask(TaskLoss):
    """Binary cross-entropy of an SLNN-NO, in units of ln 2 nats, of which 1 is chance.

    The denoiser receives λ times the gradient of BCE/ln 2 and the head all of it, so that every arm's head is equally
    well trained; at λ = 0 the task does not reach the denoiser.

    Parameters
    ----------
    head
        A head on the region, or a `GroupedHead` with one for each task, site or region; `forward` then wants `group`.
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

    def __init__(self, head: SLNNHead | GroupedHead, *, training: Literal["warm", "joint", "frozen"] = "warm") -> None:
        super().__init__()
        if training not in ("warm", "joint", "frozen"):
            raise UserError(f"training of the SLNN head is {training!r}; it must be 'warm', 'joint' or 'frozen'")
        self.head = head
        self.head_training = training
        if training == "frozen":
            head.requires_grad_(False)

    def noise_shape(self, n: int) -> tuple[int, ...] | None:  # noqa: D102 - as in TaskLoss
        return self.head.noise_shape(n)

    @torch.no_grad()
    def start(  # noqa: D102 - as in TaskLoss
        self,
        denoised: torch.Tensor,
        reference: torch.Tensor,
        signal_present: torch.Tensor,
        *,
        seed: int,
        signal: torch.Tensor | None = None,
        group: torch.Tensor | None = None,
    ) -> None:
        check_trials(denoised, reference, signal_present)
        if self.head_training == "joint":
            return
        images, present = denoised.cpu().numpy(), signal_present.cpu().numpy()
        if isinstance(self.head, SLNNHead):
            start_head(self.head, images, present)
            return
        groups = self.head.check_group(self._group(group), len(images)).cpu().numpy()
        for index, head in enumerate(self.head.members):
            inside = groups == index
            try:
                start_head(head, images[inside], present[inside])
            except UserError as error:
                raise UserError(f"group {index}: {error}") from None

    def forward(  # noqa: D102 - as in TaskLoss
        self,
        denoised: torch.Tensor,
        reference: torch.Tensor,
        signal_present: torch.Tensor,
        *,
        task_weight: float,
        noise: torch.Tensor | None = None,
        signal: torch.Tensor | None = None,
        group: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        check_batch(denoised, reference, signal_present, task_weight=task_weight)
        seen = scale_gradient(denoised, task_weight)
        if isinstance(self.head, GroupedHead):
            logits = self.head(seen, self._group(group), noise=noise)
        else:
            logits = self.head(seen, noise=noise)
        term = F.binary_cross_entropy_with_logits(logits, signal_present.to(logits)) / math.log(2.0)
        return term, term.detach()

    @staticmethod
    def _group(group: torch.Tensor | None) -> torch.Tensor:
        if group is None:
            raise ValueError("several heads need the group of every trial")
        return group


@torch.no_grad()
def start_head(
    head: SLNNHead,
    images: NDArray[np.floating],
    signal_present: NDArray[np.bool_],
    *,
    weight_decay: float = HEAD_START_WEIGHT_DECAY,
) -> None:
    """Set a head's weights to those of an SLNN fitted to what the head sees, without its internal noise.

    Parameters
    ----------
    head
        Its weights and bias are overwritten.
    images
        Regions, HU, shape `(n, height, width)`.
    signal_present
        Bool, shape `(n,)`.
    weight_decay
        As of `taskct.observers.SLNN` on all pixels. Fewer weights need less of it: those of unit-norm channels are
        penalised as the pixels' would be, times n_channels / n_pixels.

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
