"""One step of training: denoise, cut the margin off, weigh the mean squared error against the task."""

import torch
import torch.nn.functional as F
from torch import nn

from taskct.errors import UserError
from taskct.training.losses.base import TaskLoss
from taskct.trials.trials import crop


class Step(nn.Module):
    """Denoiser and task in one module, so that a data-parallel wrapper sees all parameters of a step.

    Parameters
    ----------
    denoiser
        Maps HU `(n, h, w)` to the same.
    task
        None to train by MSE alone.
    margin
        Pixels cut from each side before any loss is taken.
    mse_pretrained
        Normalization of the MSE, HU².
    """

    def __init__(self, denoiser: nn.Module, task: TaskLoss | None, *, margin: int, mse_pretrained: float) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.task = task
        self.margin = margin
        self.mse_pretrained = mse_pretrained

    def forward(
        self,
        noisy: torch.Tensor,
        reference: torch.Tensor,
        signal_present: torch.Tensor,
        *,
        task_weight: float,
        noise: torch.Tensor | None = None,
        signal: torch.Tensor | None = None,
        group: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss to descend, and what it is made of.

        Parameters
        ----------
        noisy, reference
            HU with their margin, shape `(n, h, w)`.
        signal_present
            Shape `(n,)`.
        task_weight
            λ in [0, 1).
        noise, signal, group
            For the task, see `TaskLoss`; `signal` with its margin, HU.

        Returns
        -------
        loss, parts
            A scalar; and MSE in HU² and the task's value, shape `(2,)`, detached; the latter is nan without a task.
        """
        output = self.denoiser(noisy)
        if output.shape != noisy.shape:
            raise UserError(
                f"the denoiser turned images of shape {tuple(noisy.shape)} into {tuple(output.shape)}: it must keep "
                "the shape"
            )
        with torch.autocast(noisy.device.type, enabled=False):  # losses in float32
            denoised, target = crop(output.float(), self.margin), crop(reference, self.margin)
            mse = F.mse_loss(denoised, target)
            if self.task is None:
                # Divided by the target's variance the loss is near 1 for any window of HU.
                loss, value = mse / self.mse_pretrained, torch.full_like(mse.detach(), torch.nan)
            else:
                wanted = None if signal is None else crop(signal, self.margin)
                term, value = self.task(
                    denoised,
                    target,
                    signal_present,
                    task_weight=task_weight,
                    noise=noise,
                    signal=wanted,
                    group=group,
                )
                loss = (1.0 - task_weight) * mse / self.mse_pretrained + term
        return loss, torch.stack([mse.detach(), value.detach().to(mse.dtype)])


def patch(images: list[torch.Tensor], side: int, *, seed: int) -> list[torch.Tensor]:
    """The same square of images, at a place drawn from a seed.

    Parameters
    ----------
    images
        Each `(n, h, w)`, of one shape.
    side
        Of the square, pixels; as large as the images or larger leaves them whole.
    seed
        Of the place.
    """
    height, width = images[0].shape[-2:]
    generator = torch.Generator().manual_seed(seed)
    rows, columns = min(side, height), min(side, width)
    top = int(torch.randint(height - rows + 1, (1,), generator=generator))
    left = int(torch.randint(width - columns + 1, (1,), generator=generator))
    return [image[:, top : top + rows, left : left + columns] for image in images]
