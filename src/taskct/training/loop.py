"""The training loop: pretraining by MSE, joint fine-tuning by the hybrid loss."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from taskct.denoisers.denoiser import autocast
from taskct.errors import UserError
from taskct.observers.slnn import SLNNHead
from taskct.training.layers import set_training_mode
from taskct.training.losses import joint_loss
from taskct.trials import Trials

Progress = Callable[[int, int, str], None]
"""Called as (images done, images in all, what the losses are)."""


class TrainingDiverged(UserError):  # noqa: N818 - it says what happened
    """A loss or a weight was not finite; carries the last weights known to be good."""

    def __init__(self, message: str, last_good: dict[str, torch.Tensor]) -> None:
        super().__init__(message)
        self.last_good = last_good


@dataclass(frozen=True)
class Epoch:
    """Mean losses of one epoch."""

    rmse_hu: float
    """Root of the mean squared error over the region, HU."""
    bce: float
    """Binary cross-entropy, nats; nan in pretraining."""


def batches(n: int, batch_size: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Indices of one shuffled epoch, full batches only (all of it if there are fewer than one batch)."""
    order = torch.randperm(n, generator=generator)
    if n < batch_size:
        yield order
        return
    for first in range(0, n - n % batch_size, batch_size):
        yield order[first : first + batch_size]


def train(
    denoiser: nn.Module,
    trials: Trials,
    *,
    n_epochs: int,
    batch_size: int,
    learning_rate: float,
    margin: int,
    seed: int,
    head: SLNNHead | None = None,
    head_learning_rate: float = 1e-3,
    head_weight_decay: float = 0.0,
    task_weight: float = 0.0,
    mse_pretrained: float = 1.0,
    device: torch.device | str = "cpu",
    dtype: str = "bfloat16",
    stage: str = "pretrain",
    progress: Progress | None = None,
) -> list[Epoch]:
    """Train a denoiser in place, with a one-cycle schedule.

    Parameters
    ----------
    denoiser
        Maps HU `(n, h, w)` to the same; only its parameters that require a gradient are trained.
    trials
        Images with their margin.
    n_epochs, batch_size, learning_rate
        Of Adam; the learning rate is the schedule's peak.
    margin
        Pixels cut from each side before any loss is taken.
    seed
        Of the shuffling, of the head's internal noise and of what the network draws itself, as dropout does. The
        global generators are left as they were.
    head
        None to pretrain by MSE; otherwise the observer to train jointly, see `joint_loss`.
    head_learning_rate, head_weight_decay
        Of the head.
    task_weight, mse_pretrained
        λ and the normalization of the MSE, see `hybrid_loss`.
    device, dtype
        Where and in what precision, "bfloat16" or "float32".
    stage
        Name used in messages.
    progress
        Called after every batch.

    Returns
    -------
    The losses of every epoch.

    Raises
    ------
    TrainingDiverged
        At the first loss that is not finite, or after an epoch that left weights that are not; the weights at the
        start of that epoch come with it.
    """
    generator = torch.Generator().manual_seed(seed)
    noise_generator = torch.Generator(device=device).manual_seed(seed + 1)
    noisy, reference = torch.from_numpy(trials.noisy), torch.from_numpy(trials.reference)
    present = torch.from_numpy(trials.signal_present)
    set_training_mode(denoiser.to(device))
    groups: list[dict[str, Any]] = [{"params": [p for p in denoiser.parameters() if p.requires_grad]}]
    modules: dict[str, nn.Module] = {"denoiser": denoiser}
    peaks = [learning_rate]
    if head is not None:
        head.to(device).train()
        modules["head"] = head
        groups.append({"params": list(head.parameters()), "weight_decay": head_weight_decay})
        peaks.append(head_learning_rate)
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, weight_decay=0.0)
    steps_per_epoch = max(len(trials) // batch_size, 1)
    # OneCycleLR divides by zero when its warm-up has one step, or when nothing is left after it.
    n_steps = max(steps_per_epoch * n_epochs, 3)
    warm_up = max(0.2, 2.0 / n_steps)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=peaks, total_steps=n_steps, pct_start=warm_up)
    setting = "training.learning_rate" if head is None else "training.finetune_learning_rate"
    advice = f"lower {setting} ({learning_rate:g})" + (" or use training.dtype=float32" if dtype == "bfloat16" else "")
    history: list[Epoch] = []
    n_seen, n_total = 0, n_epochs * steps_per_epoch * min(batch_size, len(trials))
    # A network's own draws come from the global generators: seeded here, a resumed run equals an unbroken one.
    cuda = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        for epoch in range(n_epochs):
            last_good = snapshot(modules)
            sum_mse, sum_bce = 0.0, 0.0
            for step, index in enumerate(batches(len(trials), batch_size, generator)):
                with autocast(device, dtype):
                    output = denoiser(noisy[index].to(device))
                denoised = crop(output.float(), margin)
                target = crop(reference[index].to(device), margin)
                if head is None:
                    mse = F.mse_loss(denoised, target)
                    # Divided by the target's variance the loss is near 1 for any window of HU.
                    loss, bce = mse / mse_pretrained, torch.tensor(math.nan)
                else:
                    loss, mse, bce = joint_loss(
                        denoised,
                        target,
                        present[index].to(device),
                        head,
                        task_weight=task_weight,
                        mse_pretrained=mse_pretrained,
                        generator=noise_generator,
                    )
                if not bool(torch.isfinite(loss)):
                    where = f"epoch {epoch + 1}, step {step + 1} of {steps_per_epoch}"
                    raise TrainingDiverged(f"{stage}: the loss is not finite in {where}; {advice}", last_good)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
                optimizer.step()
                schedule.step()
                sum_mse += float(mse.detach())
                sum_bce += float(bce)
                n_seen += len(index)
                if progress is not None:
                    progress(n_seen, n_total, f"RMSE {math.sqrt(sum_mse / (step + 1)):.2f} HU")
            # The last step of an epoch may break the weights without a loss that tells.
            if not all(bool(torch.isfinite(value).all()) for value in snapshot(modules).values()):
                where = f"epoch {epoch + 1}, step {steps_per_epoch} of {steps_per_epoch}"
                raise TrainingDiverged(f"{stage}: the weights are not finite after {where}; {advice}", last_good)
            history.append(Epoch(rmse_hu=math.sqrt(sum_mse / steps_per_epoch), bce=sum_bce / steps_per_epoch))
    return history


def snapshot(modules: dict[str, nn.Module]) -> dict[str, torch.Tensor]:
    """A copy of the modules' weights, keyed `module.name`."""
    return {
        f"{name}.{key}": copy.deepcopy(value.detach()).cpu()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }


def crop(images: torch.Tensor, margin: int) -> torch.Tensor:
    """Cut `margin` pixels from each side, shape `(n, h, w)`."""
    return images[:, margin:-margin, margin:-margin] if margin else images


def mean_squared_error(denoised: np.ndarray, reference: np.ndarray) -> float:
    """Mean squared error over all trials, HU²."""
    return float(np.mean((denoised.astype(np.float64) - reference) ** 2))
