"""The training loop: pretraining by MSE, joint fine-tuning with a task; killable at any moment."""

import hashlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from taskct.denoisers.denoiser import autocast, resolve_dtype
from taskct.errors import UserError
from taskct.progress import Progress
from taskct.seeds import derive_seed
from taskct.training.compilation import compiled
from taskct.training.layers import set_training_mode
from taskct.training.log import TrainingLog
from taskct.training.losses.base import TaskLoss
from taskct.training.parallel import make_fabric, share
from taskct.training.state import load_state, optimizer_tensors, restore, restore_optimizer, save_state, snapshot
from taskct.training.step import Step, patch
from taskct.training.validation import task_noise, validate
from taskct.trials.trials import Trials

STATE_EVERY_S = 30.0
"""Seconds between two states on the disk within an epoch."""


class TrainingFailed(UserError):  # noqa: N818 - it says what happened
    """A training came to nothing; it is the arm's fault, and other arms go on."""


class TrainingDiverged(TrainingFailed):
    """A loss or a weight was not finite; carries the last weights known to be good."""

    def __init__(self, message: str, last_good: dict[str, torch.Tensor]) -> None:
        super().__init__(message)
        self.last_good = last_good


@dataclass(frozen=True)
class Epoch:
    """Mean losses of one epoch."""

    rmse_hu: float
    """Root of the mean squared error over the region, HU."""
    task: float
    """The task's loss, 1 at chance for the SLNN; nan in pretraining."""
    validation_rmse_hu: float = math.nan
    """After the epoch, on validation trials; nan without them."""
    validation_task: float = math.nan
    validation_loss: float = math.nan
    """(1−λ)·MSE/MSE_pre + λ·task there: what the best epoch is chosen by."""


@dataclass
class _Place:
    """Where a training stands; with the weights and the optimizer's moments it is all there is to know.

    Every random draw is derived from the seed and the step's number, so there is no other state of a generator.
    """

    epoch: int = 0
    step: int = 0
    """Within the epoch."""
    sum_mse: float = 0.0
    sum_task: float = 0.0
    best_loss: float = math.inf
    best_epoch: int = -1


def batches(n: int, batch_size: int, *, seed: int) -> Iterator[torch.Tensor]:
    """Indices of one shuffled epoch, full batches only (all of it if there are fewer than one batch)."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
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
    task: TaskLoss | None = None,
    task_learning_rate: float = 1e-3,
    task_weight_decay: float = 0.0,
    task_weight: float = 0.0,
    mse_pretrained: float = 1.0,
    signal: torch.Tensor | None = None,
    group: torch.Tensor | None = None,
    patch_pixels: int | None = None,
    max_gradient_norm: float | None = None,
    validation: Trials | None = None,
    validation_signal: torch.Tensor | None = None,
    validation_group: torch.Tensor | None = None,
    keep: Literal["last", "best"] = "last",
    patience: int | None = None,
    device: torch.device | str = "cpu",
    dtype: str = "auto",
    compile_network: bool = False,
    state: Path | None = None,
    identity: str = "",
    log: TrainingLog | None = None,
    stage: str = "pretrain",
    progress: Progress | None = None,
) -> list[Epoch]:
    """Train a denoiser in place, with a one-cycle schedule.

    Started by `torchrun`, every process calls it alike; each takes its share of every batch, and all end with the same
    weights. Process 0 alone writes files.

    Parameters
    ----------
    denoiser
        Maps HU `(n, h, w)` to the same; only its parameters that require a gradient are trained.
    trials
        Images with their margin.
    n_epochs, batch_size, learning_rate
        Of Adam; the batch is that of all processes together, the learning rate is the schedule's peak.
    margin
        Pixels cut from each side before any loss is taken.
    seed
        Root of every draw: the order of the trials, patches, a task's internal noise and what the network draws itself,
        as dropout does; each derived by name, see `derive_seed`. The global generators are left as they were.
    task
        None to train by MSE; otherwise what is trained jointly, see `TaskLoss`.
    task_learning_rate, task_weight_decay
        Of the task's own parameters.
    task_weight, mse_pretrained
        λ in [0, 1) and the normalization of the MSE, HU².
    signal, group
        Of every trial, for a task that needs them, see `TaskLoss`.
    patch_pixels
        Side of the squares, margin included, that are cut at random from the images of every batch; None takes them
        whole. Without a task only.
    max_gradient_norm
        Gradients longer than this are shortened to it; None leaves them.
    validation, validation_signal, validation_group
        Trials to look at after every epoch; needed for `keep="best"` and `patience`.
    keep
        Which weights stand in the end: those after the last epoch, or after the one with the lowest validation loss.
    patience
        Epochs without a lower validation loss after which training ends; None never does.
    device, dtype
        Where and in what precision: "bfloat16", "float32" or "auto".
    compile_network
        Whether `torch.compile` makes the network's step; see `taskct.training.compilation`.
    state
        A file for the whole state of the training, written after every epoch and every `STATE_EVERY_S` seconds. If it
        is there and of this very training, training goes on from it and ends with the same bits as if it had never
        stopped. It stays: the caller removes it once the weights are saved.
    identity
        Stands for everything else that the training depends on: the trials and the task.
    log
        Gets every epoch's losses.
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
    UserError
        If there are fewer trials in a batch than processes, or `state` is broken.
    ValueError
        If an argument is out of range, or validation trials are missing.
    """
    if not 0.0 <= task_weight < 1.0:
        raise ValueError(f"task_weight is {task_weight}; it must lie in [0, 1)")
    if validation is None and (keep == "best" or patience is not None):
        raise ValueError("keep='best' and patience need validation trials")
    if patch_pixels is not None and task is not None:
        raise ValueError("a task needs whole regions: patch_pixels is for training by MSE alone")
    device = torch.device(device)
    dtype = resolve_dtype(dtype, device)
    fabric = make_fabric(device)
    device = fabric.device
    set_training_mode(denoiser.to(device))
    modules: dict[str, nn.Module] = {"denoiser": denoiser}
    groups: list[dict[str, Any]] = [{"params": [p for p in denoiser.parameters() if p.requires_grad]}]
    peaks = [learning_rate]
    if task is not None:
        modules["task"] = task.to(device).train()
        own = [p for p in task.parameters() if p.requires_grad]
        if own:
            groups.append({"params": own, "weight_decay": task_weight_decay})
            peaks.append(task_learning_rate)
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, weight_decay=0.0)
    steps_per_epoch = max(len(trials) // batch_size, 1)
    schedule = _one_cycle(optimizer, peaks, n_steps=steps_per_epoch * n_epochs)
    step = Step(denoiser, task, margin=margin, mse_pretrained=mse_pretrained)
    run_step, wrapped = fabric.setup(step, optimizer)

    key = _key(
        identity=identity,
        n_trials=len(trials),
        shape=trials.noisy.shape[1:],
        n_epochs=n_epochs,
        batch_size=batch_size,
        peaks=peaks,
        decay=task_weight_decay,
        margin=margin,
        seed=seed,
        task=type(task).__name__,
        task_weight=task_weight,
        mse_pretrained=mse_pretrained,
        patch=patch_pixels,
        norm=max_gradient_norm,
        keep=keep,
        patience=patience,
        dtype=dtype,
        compiled=compile_network,
        tensors={name: list(value.shape) for name, value in sorted(snapshot(modules).items())},
        trained=sorted(name for name, p in step.named_parameters() if p.requires_grad),
    )
    place, history, run_id = _Place(), list[Epoch](), None
    start, best = snapshot(modules), snapshot(modules)
    held = None if state is None or not fabric.is_global_zero else load_state(state)
    held = fabric.broadcast(held)  # other processes may not see the disk, or see it late
    if held is not None and held[1]["key"] == key:
        tensors, content = held
        restore(modules, tensors)
        restore_optimizer(optimizer, tensors, content["groups"])
        schedule.load_state_dict(content["schedule"])
        place, run_id = _Place(**content["place"]), content.get("run_id")
        history = [Epoch(**{k: math.nan if v is None else v for k, v in epoch.items()}) for epoch in content["history"]]
        start = {k.removeprefix("start."): v for k, v in tensors.items() if k.startswith("start.")}
        best = {k.removeprefix("best."): v for k, v in tensors.items() if k.startswith("best.")}
    if log is not None and fabric.is_global_zero:
        log.resume(place.epoch, run_id=run_id)

    def save() -> None:
        if state is None or not fabric.is_global_zero:
            return
        moments, parameter_groups = optimizer_tensors(optimizer)
        tensors = snapshot(modules) | moments
        tensors |= {f"start.{k}": v for k, v in start.items()} | {f"best.{k}": v for k, v in best.items()}
        content = {
            "key": key,
            "groups": parameter_groups,
            "schedule": schedule.state_dict(),
            "place": asdict(place),
            "run_id": None if log is None else log.run_id,
            "history": [{k: v if math.isfinite(v) else None for k, v in asdict(e).items()} for e in history],
        }
        save_state(state, tensors, content)

    def diverged(where: str, what: str) -> TrainingDiverged:
        setting = "training.learning_rate" if task is None else "training.finetune_learning_rate"
        advice = f"lower {setting} ({learning_rate:g})"
        advice += " or use training.dtype=float32" if dtype == "bfloat16" else ""
        return TrainingDiverged(f"{stage}: {what} {where}; {advice}", start)

    noisy, reference = torch.from_numpy(trials.noisy), torch.from_numpy(trials.reference)
    present = torch.from_numpy(trials.signal_present)
    per_step = min(batch_size, len(trials))
    n_total = n_epochs * steps_per_epoch * per_step
    saved = time.monotonic()
    # A network's own draws come from the global generators: seeded at every step, a resumed run equals an unbroken one.
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda), compiled(denoiser, on=compile_network):
        while place.epoch < n_epochs:
            if patience is not None and place.epoch - 1 - place.best_epoch >= patience:
                break
            order = batches(len(trials), batch_size, seed=derive_seed(seed, "order", place.epoch))
            for number, whole in enumerate(order):
                if number < place.step:
                    continue
                at = place.epoch * steps_per_epoch + number
                noise = task_noise(task, len(whole), seed=derive_seed(seed, "noise", at))
                index = share(whole, rank=fabric.global_rank, world=fabric.world_size)
                images = [noisy[index], reference[index]]
                if patch_pixels is not None:
                    images = patch(images, patch_pixels, seed=derive_seed(seed, "patch", at))
                torch.manual_seed(derive_seed(seed, "network", at, fabric.global_rank))
                with autocast(device, dtype):  # of the layers alone: HU go in and come out in float32
                    loss, parts = run_step(
                        images[0].to(device, non_blocking=True),
                        images[1].to(device, non_blocking=True),
                        present[index].to(device),
                        task_weight=task_weight,
                        noise=None if noise is None else _rows(noise, fabric.global_rank, len(index)).to(device),
                        signal=None if signal is None else signal[index].to(device),
                        group=None if group is None else group[index].to(device),
                    )
                if fabric.world_size > 1:
                    parts = fabric.all_reduce(parts, reduce_op="mean")
                mse, value = parts.tolist()
                # In every process alike, since the parts are everybody's.
                if not (math.isfinite(mse) and (task is None or math.isfinite(value))):
                    where = f"in epoch {place.epoch + 1}, step {number + 1} of {steps_per_epoch}"
                    raise diverged(where, "the loss is not finite")
                optimizer.zero_grad(set_to_none=True)
                fabric.backward(loss)
                if max_gradient_norm is not None:
                    fabric.clip_gradients(run_step, wrapped, max_norm=max_gradient_norm, error_if_nonfinite=False)
                wrapped.step()
                schedule.step()
                place.sum_mse += mse
                place.sum_task += value
                place.step = number + 1
                if progress is not None:
                    done = (at + 1) * per_step
                    progress(done, n_total, f"RMSE {math.sqrt(place.sum_mse / place.step):.2f} HU")
                if time.monotonic() - saved > STATE_EVERY_S:
                    save()
                    saved = time.monotonic()
            if fabric.world_size > 1:  # running statistics are each process's own until the next step
                for buffer in step.buffers():
                    buffer.copy_(fabric.broadcast(buffer))
            now = snapshot(modules)
            # The last step of an epoch may break the weights without a loss that tells.
            if not all(bool(torch.isfinite(value).all()) for value in now.values()):
                where = f"after epoch {place.epoch + 1}, step {steps_per_epoch} of {steps_per_epoch}"
                raise diverged(where, "the weights are not finite")
            seen = {}
            if validation is not None:
                seen = validate(
                    step,
                    validation,
                    signal=validation_signal,
                    group=validation_group,
                    task_weight=task_weight,
                    seed=seed,
                    device=device,
                    dtype=dtype,
                )
                seen = fabric.broadcast(seen)
                set_training_mode(denoiser)
                if task is not None:
                    task.train()
            epoch = Epoch(
                rmse_hu=math.sqrt(place.sum_mse / steps_per_epoch), task=place.sum_task / steps_per_epoch, **seen
            )
            history.append(epoch)
            if epoch.validation_loss < place.best_loss:
                best, place.best_loss, place.best_epoch = now, epoch.validation_loss, place.epoch
            start = now
            place = _Place(place.epoch + 1, best_loss=place.best_loss, best_epoch=place.best_epoch)
            if log is not None and fabric.is_global_zero:
                log.write(place.epoch - 1, asdict(epoch))
            save()
            saved = time.monotonic()
    if keep == "best" and place.best_epoch >= 0:
        restore(modules, best)
    fabric.barrier()
    return history


def _one_cycle(
    optimizer: torch.optim.Optimizer, peaks: list[float], *, n_steps: int
) -> torch.optim.lr_scheduler.OneCycleLR:
    # OneCycleLR divides by zero when its warm-up has one step, or when nothing is left after it.
    n_steps = max(n_steps, 3)
    warm_up = max(0.2, 2.0 / n_steps)
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=peaks, total_steps=n_steps, pct_start=warm_up)


def _key(**what: object) -> str:
    """Hash of what a training is, so that another one's state is not taken for its own."""
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


def _rows(noise: torch.Tensor, rank: int, n: int) -> torch.Tensor:
    return noise[rank * n : (rank + 1) * n]


def mean_squared_error(denoised: np.ndarray, reference: np.ndarray) -> float:
    """Mean squared error over all trials, HU²."""
    return float(np.mean((denoised.astype(np.float64) - reference) ** 2))
