"""How long the parts of a study take on one idle core of this machine, from a second or two of each.

Rates are CPU time, so that other work on the machine does not show in them; on CUDA they are time by the clock.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from taskct.config import Settings
from taskct.denoisers.denoiser import autocast
from taskct.machine import threads
from taskct.simulation.chunks import ChunkMaker
from taskct.simulation.sources import make_sources
from taskct.study.evaluate import SPLITS_SEEN, fit_fresh
from taskct.study.models import build_denoiser, network_dtype
from taskct.trials.trials import TRUTH, Trials

TRIALS = 64
"""Trials that are simulated to know the rate."""

FIT_TRIALS = (128, 256)
"""Two sizes that the observers are fitted to: what does not grow is told from what does."""

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
    side = settings.trials.region_pixels + 2 * settings.trials.margin_pixels
    most = min(settings.training.batch_size, settings.trials.n_train)
    batch = np.random.default_rng(0).normal(40.0, 20.0, (most, side, side)).astype(np.float32)
    denoiser = build_denoiser(settings, offset_hu=40.0, scale_hu=20.0, seed=0).to(device)

    def step(n: int) -> None:
        images = torch.from_numpy(batch[:n]).to(device)
        with autocast(device, network_dtype(settings, device)):
            loss = denoiser(images).float().square().mean()
        loss.backward()
        denoiser.zero_grad()

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

    They form products of all pairs. The CNN observer is left out.
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
