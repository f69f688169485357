"""What a task loss is, and the checks of what goes into one."""

import torch
from torch import nn

from taskct.errors import UserError


class TaskLoss(nn.Module):
    """What the task asks of denoised regions: L(λ) = (1−λ)·MSE/MSE_pre + λ·task.

    Attributes
    ----------
    needs_signal
        Whether `forward` wants the noise-free signal image of every trial.
    """

    needs_signal: bool = False

    def start(
        self,
        denoised: torch.Tensor,
        reference: torch.Tensor,
        signal_present: torch.Tensor,
        *,
        seed: int,
        signal: torch.Tensor | None = None,
        group: torch.Tensor | None = None,
    ) -> None:
        """Fit what must be known before training; by default nothing.

        No gradient reaches `denoised`. In a run of several processes every one of them gets all the trials.

        Parameters
        ----------
        denoised
            Regions of the start network, HU, float32, shape `(n, height, width)`.
        reference, signal_present, signal, group
            As for `forward`.
        seed
            Of every draw.

        Raises
        ------
        UserError
            If the trials do not serve, as with one class alone.
        """

    def forward(
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
        """What to add to (1−λ)·MSE/MSE_pre, and the task's loss.

        Parameters
        ----------
        denoised, reference
            Regions, HU, shape `(n, height, width)`.
        signal_present
            Bool, shape `(n,)`.
        task_weight
            λ in [0, 1).
        noise
            Standard normal values of the shape that `noise_shape` gives.
        signal
            Noise-free signal of every trial, HU, shape `(n, height, width)`, for a task with `needs_signal`.
        group
            Which task, site or region a trial belongs to, int64, shape `(n,)`, for a task that tells them apart.

        Returns
        -------
        term
            A scalar. Its gradient into `denoised` is λ times that of the task; its gradient into parameters of the
            task itself, such as a head's, is the full one whatever λ is.
        value
            The task's loss, detached; 1 means chance, or where the start network stands.

        Raises
        ------
        UserError
            If λ is out of range, or the batch does not serve.
        ValueError
            If a shape does not match.
        """
        raise NotImplementedError(f"{type(self).__name__} is no task loss: it has no forward")

    def noise_shape(self, n: int) -> tuple[int, ...] | None:
        """Shape of the standard normal noise that `forward` wants for `n` trials; None for none."""
        return None


def check_batch(
    denoised: torch.Tensor, reference: torch.Tensor, signal_present: torch.Tensor, *, task_weight: float
) -> None:
    """Refuse what no task loss can work on.

    Parameters
    ----------
    denoised, reference, signal_present, task_weight
        As for `TaskLoss.forward`.

    Raises
    ------
    UserError
        If λ is not in [0, 1).
    ValueError
        If shapes do not match or `signal_present` is not bool.
    """
    if not 0.0 <= task_weight < 1.0:
        raise UserError(f"task_weight (λ) is {task_weight}; it must be at least 0 and below 1")
    check_trials(denoised, reference, signal_present)


def check_trials(denoised: torch.Tensor, reference: torch.Tensor, signal_present: torch.Tensor) -> None:
    """Refuse regions and truths that do not belong together; raises ValueError."""
    if denoised.ndim != 3 or denoised.shape != reference.shape:
        raise ValueError(
            f"denoised {tuple(denoised.shape)} and reference {tuple(reference.shape)} must both be (n, height, width)"
        )
    if signal_present.dtype != torch.bool or signal_present.shape != denoised.shape[:1]:
        raise ValueError(
            f"signal_present must be bool of shape ({len(denoised)},), not {signal_present.dtype} "
            f"{tuple(signal_present.shape)}"
        )
