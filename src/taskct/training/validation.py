"""Losses on validation trials."""

import math

import torch

from taskct.denoisers.denoiser import autocast
from taskct.seeds import derive_seed
from taskct.training.samples import LabelledTrials, internal_noise
from taskct.training.step import Step

VALIDATION_BATCH = 250
"""Trials at a time, about."""


@torch.no_grad()
def validate(
    step: Step, trials: LabelledTrials, *, seed: int, device: torch.device, dtype: str
) -> tuple[float, float, float]:
    """Losses on validation trials.

    Parameters
    ----------
    step
        What is trained; its denoiser and its loss are left in evaluation mode.
    trials
        The validation trials.
    seed
        Of the internal noise, which is the same in every epoch.
    device, dtype
        Where and in what precision.

    Returns
    -------
    rmse_hu, task, loss
        Root of the mean squared error, HU; the task's loss; L(λ), see `HybridLoss`.
    """
    step.eval()
    total, n_seen = torch.zeros(2, dtype=torch.float64), 0
    n_batches = max(round(len(trials) / VALIDATION_BATCH), 1)
    for number, index in enumerate(torch.arange(len(trials)).chunk(n_batches)):
        noisy, batch = trials.take(index)
        noise = internal_noise(step.loss, len(index), seed=derive_seed(seed, "validation noise", number))
        with autocast(device, dtype):
            _, parts = step(noisy.to(device), batch._replace(noise=noise).to(device))
        total += len(index) * parts.double().cpu()
        n_seen += len(index)
    mse, task = (total / n_seen).tolist()
    return math.sqrt(mse), task, step.hybrid(mse, 0.0 if step.loss is None else task)
