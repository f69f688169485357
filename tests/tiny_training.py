"""A training of a second with all that has a state: moments, schedule, a head with noise, dropout, the best epoch."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from taskct.denoisers.denoiser import Denoiser
from taskct.observers import SLNNHead
from taskct.progress import Progress
from taskct.training.log import TrainingLog
from taskct.training.loop import train
from taskct.training.losses.base import Batch
from taskct.training.losses.slnn import SLNNLoss
from taskct.training.plan import Plan, Upkeep
from taskct.training.record import Epoch
from taskct.training.samples import TaskTrials
from taskct.training.step import HybridLoss
from taskct.trials.trials import TRUTH, Trials

SIDE = 12


def tiny_trials(n: int = 96, *, seed: int = 0, level_hu: float = 50.0) -> Trials:
    rng = np.random.default_rng(seed)
    reference = rng.normal(level_hu, 20.0, (n, SIDE, SIDE))
    present = np.arange(n) % 2 == 0
    reference[present, 5:7, 5:7] += 15.0
    noisy = reference + rng.normal(0.0, 20.0, reference.shape)
    truth = {name: np.zeros(n) for name in TRUTH}
    return Trials(noisy.astype(np.float32), reference.astype(np.float32), present, truth, margin=1)


def head_at(level_hu: float, side: int) -> SLNNHead:
    """A head with internal noise for regions around a level of HU."""
    return SLNNHead((side, side), kind="eye", pixel_mm=0.7, offset_hu=level_hu, scale_hu=20.0, internal_noise_hu=2.0)


def tiny_modules(*, dropout: float = 0.2, norm: bool = False, level_hu: float = 50.0) -> tuple[Denoiser, SLNNLoss]:
    torch.manual_seed(5)
    first, last = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 1, 3, padding=1)
    between = [nn.BatchNorm2d(6)] if norm else []
    network = nn.Sequential(first, *between, nn.ReLU(), nn.Dropout(dropout), last)
    return Denoiser(network, offset_hu=level_hu, scale_hu=30.0), SLNNLoss(head_at(level_hu, SIDE - 2))


def tiny_train(
    state: Path | None,
    *,
    dropout: float = 0.2,
    norm: bool = False,
    level_hu: float = 50.0,
    log: TrainingLog | None = None,
    progress: Progress | None = None,
    **changed: Any,
) -> tuple[dict[str, torch.Tensor], list[Epoch]]:
    """Weights and history of a training that goes on from `state`, with a plan that is changed so."""
    denoiser, loss = tiny_modules(dropout=dropout, norm=norm, level_hu=level_hu)
    trials, validation = tiny_trials(level_hu=level_hu), tiny_trials(40, seed=1, level_hu=level_hu)
    start = torch.from_numpy(trials.noisy_regions.copy())
    loss.start(start, Batch(start, torch.from_numpy(trials.signal_present)), seed=0)
    plan = Plan(
        **{
            "epochs": 5,
            "batch_size": 8,
            "learning_rate": 5e-3,
            "head_learning_rate": 5e-3,
            "seed": 3,
            "max_gradient_norm": 1.0,
            "keep": "best",
            "dtype": "float32",
            **changed,
        }
    )
    history = train(
        denoiser,
        HybridLoss(200.0, loss, 0.5),
        TaskTrials(trials),
        plan,
        validation=TaskTrials(validation),
        upkeep=Upkeep(state=state, log=log, progress=progress),
    )
    weights = {f"denoiser.{k}": v.contiguous() for k, v in denoiser.state_dict().items()}
    return weights | {f"task.{k}": v.contiguous() for k, v in loss.state_dict().items()}, history
