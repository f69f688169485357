"""Losses on validation trials, and the internal noise of a task."""

import math

import torch

from taskct.denoisers.denoiser import autocast
from taskct.seeds import derive_seed
from taskct.training.losses.base import TaskLoss
from taskct.training.step import Step
from taskct.trials.trials import Trials

VALIDATION_BATCH = 250
"""Trials at a time, about."""


def task_noise(task: TaskLoss | None, n: int, *, seed: int) -> torch.Tensor | None:
    """Internal noise of a whole batch, on the CPU, so that it is the same on every device and for all processes."""
    shape = None if task is None else task.noise_shape(n)
    return None if shape is None else torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def validate(
    step: Step,
    trials: Trials,
    *,
    signal: torch.Tensor | None,
    group: torch.Tensor | None,
    task_weight: float,
    seed: int,
    device: torch.device,
    dtype: str,
) -> dict[str, float]:
    """Losses on validation trials.

    Parameters
    ----------
    step
        What is trained; its denoiser and its task are left in evaluation mode.
    trials, signal, group
        As for `taskct.training.loop.train`.
    task_weight
        λ.
    seed
        Of the task's internal noise, which is the same in every epoch.
    device, dtype
        Where and in what precision.

    Returns
    -------
    `validation_rmse_hu`, `validation_task` and `validation_loss`, as `Epoch` has them.
    """
    step.eval()
    noisy, reference = torch.from_numpy(trials.noisy), torch.from_numpy(trials.reference)
    present = torch.from_numpy(trials.signal_present)
    total, n_seen = torch.zeros(2, dtype=torch.float64), 0
    n_batches = max(round(len(trials) / VALIDATION_BATCH), 1)
    for number, index in enumerate(torch.arange(len(trials)).chunk(n_batches)):
        noise = task_noise(step.task, len(index), seed=derive_seed(seed, "validation noise", number))
        with autocast(device, dtype):
            _, parts = step(
                noisy[index].to(device),
                reference[index].to(device),
                present[index].to(device),
                task_weight=task_weight,
                noise=None if noise is None else noise.to(device),
                signal=None if signal is None else signal[index].to(device),
                group=None if group is None else group[index].to(device),
            )
        total += len(index) * parts.double().cpu()
        n_seen += len(index)
    mse, value = (total / n_seen).tolist()
    loss = mse / step.mse_pretrained
    if step.task is not None:
        loss = (1.0 - task_weight) * loss + (task_weight * value if task_weight else 0.0)
    return {"validation_rmse_hu": math.sqrt(mse), "validation_task": value, "validation_loss": loss}
