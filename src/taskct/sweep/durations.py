"""How long the parts of a study take on one idle core of this machine, from a second or two of each.

Rates are CPU time, so that other work on the machine does not show in them; on CUDA they are time by the clock.
"""

import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from taskct.config import Settings
from taskct.denoisers.classical import CLASSICAL, N_REFINEMENTS, filter_images, n_tuned
from taskct.denoisers.denoiser import autocast
from taskct.denoisers.task_path import Correction
from taskct.machine import threads
from taskct.observers.base import SmallSampleWarning
from taskct.observers.cnn import CNNObserver
from taskct.observers.fresh import make_observer
from taskct.simulation.chunks import ChunkMaker
from taskct.simulation.sources import make_sources
from taskct.study.evaluate import SPLITS_SEEN, fit_fresh
from taskct.study.models import build_denoiser, network_dtype
from taskct.trials.trials import TRUTH, Trials

TRIALS = 64
"""Trials that are simulated to know the rate."""

FIT_TRIALS = (128, 256)
"""Two sizes that the observers are fitted to: what does not grow is told from what does."""

CNN_STEPS = (20, 40)
"""Two lengths of the CNN observer's training: what does not grow is told from what does."""

STEP_S = 0.1
"""A training step that takes so long says enough; a shorter one is tried on more images."""


def clock(device: torch.device) -> float:
    """CPU time of this process; on CUDA time by the clock, once all work has ended, s."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """What a piece of work takes, s; see `clock`."""
    start = clock(device)
    work()
    return clock(device) - start


@contextmanager
def _no_cache() -> Iterator[None]:
    """Keep the scanner's matrices in memory only."""
    before = os.environ.get("TASKCT_CACHE")
    os.environ["TASKCT_CACHE"] = "off"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TASKCT_CACHE"]
        else:
            os.environ["TASKCT_CACHE"] = before


def simulation_seconds(settings: Settings, device: torch.device) -> tuple[float, float]:
    """What the trials of a study take: to get ready, in every process, and for all of them together, s."""
    with _no_cache(), threads(1):
        start = clock(device)
        maker = ChunkMaker(settings, make_sources(settings), device)
        ready = clock(device) - start
        plan = maker.plans["test"]
        # Whole objects, as in a chunk.
        n = min(plan.n_trials, plan.trials_per_object * max(TRIALS // plan.trials_per_object, 1))
        each = seconds_of(lambda: maker.make("test", 0, n), device) / n
    return ready, each * sum(one.n_trials for one in maker.plans.values())


def image_seconds(settings: Settings, device: torch.device) -> float:
    """What a training step by MSE takes for each image of a batch, s, from a few steps on random images."""
    denoiser = build_denoiser(settings, offset_hu=40.0, scale_hu=20.0, seed=0).to(device)
    return _step_seconds(settings, device, denoiser, denoiser)


def correction_seconds(settings: Settings, device: torch.device) -> float:
    """What a training step of a task path's correction takes for each image of a batch, s; without its control."""
    p = settings.path
    sizes = {"n_channels": p.n_channels, "pool": p.pool}
    correction = Correction(offset_hu=40.0, scale_hu=20.0, **sizes).to(device)
    return _step_seconds(settings, device, correction, lambda images: correction(images, images))


def _step_seconds(
    settings: Settings, device: torch.device, network: nn.Module, forward: Callable[[torch.Tensor], Any]
) -> float:
    """Seconds of a step for each image of a batch, there and back."""
    side = settings.trials.region_pixels + 2 * settings.trials.margin_pixels
    most = min(settings.training.batch_size, settings.trials.n_train)
    batch = np.random.default_rng(0).normal(40.0, 20.0, (most, side, side)).astype(np.float32)

    def step(n: int) -> None:
        images = torch.from_numpy(batch[:n]).to(device)
        with autocast(device, network_dtype(settings, device)):
            loss = forward(images).float().square().mean()
        loss.backward()
        network.zero_grad()

    with threads(1):
        n = most if device.type == "cuda" else min(2, most)
        step(n)  # the first step of a kind sets things up
        while True:
            took = min(seconds_of(lambda n=n: step(n), device) for _ in range(2))  # type: ignore[misc]
            if took >= STEP_S or n == most:
                return took / n
            n = min(4 * n, most)


def fit_seconds(settings: Settings, device: torch.device) -> float:
    """What fitting a study's observers afresh takes, s: a part that does not grow, and one with the trials squared.

    They form products of all pairs. The CNN observer, which does not, has `cnn_seconds`.
    """
    side, rng = settings.trials.region_pixels, np.random.default_rng(0)
    more = tuple(name for name in settings.observers.more if name != "cnn")
    observers = settings.observers.model_copy(update={"more": more})
    fitted = settings.model_copy(update={"observers": observers})

    def fit(n: int) -> float:
        images, splits = {}, {}
        for name in SPLITS_SEEN:
            images[name] = rng.normal(0.0, 10.0, (n, side, side)).astype(np.float32)
            present = np.arange(n) % 2 == 0
            splits[name] = Trials(images[name], images[name], present, dict.fromkeys(TRUTH, np.zeros(n)))
        return seconds_of(lambda: fit_fresh(fitted, images, splits), torch.device("cpu"))

    n = settings.trials.n_fresh
    few, many = FIT_TRIALS
    with threads(1):
        if n <= many:
            return fit(n)
        first, second = fit(few), fit(many)
    growing = max(second - first, 0.0) / (many**2 - few**2)
    return second + growing * (n**2 - many**2)


def cnn_seconds(settings: Settings, device: torch.device) -> float:
    """What fitting the CNN observer takes, s: its linear start grows with the trials, its network with its steps."""
    side, rng, n = settings.trials.region_pixels, np.random.default_rng(0), FIT_TRIALS[1]
    n = min(n, settings.trials.n_fresh)
    images, present = rng.normal(0.0, 10.0, (n, side, side)).astype(np.float32), np.arange(n) % 2 == 0

    def fit(n_steps: int) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SmallSampleWarning)
            observer = make_observer("cnn", seed=0, device=device, n_steps=n_steps)
            return seconds_of(lambda: observer.fit(images, present), device)

    few, many = CNN_STEPS
    with threads(1):
        fit(few)  # the first one of a kind sets things up
        first, second = fit(few), fit(many)
    step = max(second - first, 0.0) / (many - few)
    start = max(first - few * step, 0.0)
    return start * settings.trials.n_fresh / n + step * CNNObserver.n_steps


def filter_seconds(settings: Settings, name: str) -> tuple[float, float]:
    """What a classical filter takes for an image, s: averaged over what its tuning tries, and at its slowest."""
    side = settings.trials.region_pixels + 2 * settings.trials.margin_pixels
    image = np.random.default_rng(0).normal(40.0, 20.0, (1, side, side)).astype(np.float32)
    chosen = CLASSICAL[name]
    strength = chosen.grid[len(chosen.grid) // 2] * 20.0
    took = []
    with threads(1):
        for second in chosen.choices:
            parameters = {"strength_hu": strength, "noise_hu": 20.0, chosen.second: second}
            took.append(seconds_of(lambda p=parameters: filter_images(name, image, p), torch.device("cpu")))  # type: ignore[misc]
    return sum(took) / len(took), max(took)


def n_tried(settings: Settings, name: str) -> int:
    """Images that the tuning of a classical filter filters, about."""
    t, chosen = settings.trials, CLASSICAL[name]
    pixels = (t.region_pixels + 2 * t.margin_pixels) ** 2
    return n_tuned(t.n_validation, pixels) * (len(chosen.grid) * len(chosen.choices) + N_REFINEMENTS)


def step_bytes(settings: Settings) -> float:
    """Memory of a training step: what the network keeps of a batch for the way back, and four numbers a weight.

    What is kept is counted as torch saves it, for one image, and is that of a batch in proportion.
    """
    side = settings.trials.region_pixels + 2 * settings.trials.margin_pixels
    denoiser = build_denoiser(settings, offset_hu=40.0, scale_hu=20.0, seed=0)
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    images = torch.from_numpy(np.random.default_rng(0).normal(40.0, 20.0, (1, side, side)).astype(np.float32))
    with threads(1), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = denoiser(images).float().square().mean()
    weights = sum(parameter.numel() * 4 for parameter in denoiser.parameters())
    each = max(sum(kept.values()) - weights, 0)
    del loss
    # Weights, their gradients and the two moments of the optimizer; and the gradients of a layer on its way.
    return 4.0 * weights + 1.5 * each * min(settings.training.batch_size, settings.trials.n_train)
