"""What a run would do: its stages, what is done already, and an estimate of time and disk; nothing is written."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from taskct.config import Settings
from taskct.denoisers.denoiser import autocast
from taskct.study.arms import Arm
from taskct.study.chunks import ChunkMaker
from taskct.study.evaluate import SPLITS_SEEN, fit_fresh, fresh_names
from taskct.study.executors import Machine, n_workers, threads
from taskct.study.graph import Kind, Stage, share_threads
from taskct.study.models import build_denoiser, network_dtype
from taskct.study.sources import make_sources
from taskct.study.stages import RunFolder
from taskct.study.work import trials_bytes
from taskct.trials import TRUTH, Trials

TRIALS = 64
"""Trials that a measurement simulates or fits on."""

SCORE_BYTES, QUALITY_BYTES = 45, 90
"""Length of a row of scores.csv and of quality.csv."""

GROWTH = 2.0
"""Power of the number of trials with which the fit of an observer grows: it forms products of all pairs."""


@dataclass(frozen=True)
class Row:
    """A stage of the plan."""

    stage: str
    depends_on: tuple[str, ...]
    done: bool
    seconds: float
    n_bytes: float


@dataclass(frozen=True)
class Estimate:
    """What a run would do."""

    rows: list[Row]
    seconds: float
    """Of all that is to do, side by side as far as the graph allows."""
    by: str
    """On what machine."""
    how: list[str]
    """How time was estimated, in words."""

    @property
    def bytes_to_write(self) -> float:
        """Of all that is to do."""
        return sum(row.n_bytes for row in self.rows if not row.done)


def plan_run(run: RunFolder, machine: Machine) -> Estimate:
    """The graph of a run with what is done and what the rest would take.

    Parameters
    ----------
    run
        The run folder, which need not exist.
    machine
        What a run may use.

    Returns
    -------
    Stages in order. The time of a stage is the mean of its kind in this folder, where there is one, else measured in a
    few seconds on this machine: a few training steps on random images, one small fit of the observers, a few trials.
    """
    stages = list(run.graph.values())
    current: set[str] = set()
    for stage in stages:
        if all(name in current for name in stage.depends_on) and run.has(stage):
            current.add(stage.name)
    workers = n_workers(machine, run.device)
    share = share_threads(stages, workers=workers, n_threads=torch.get_num_threads())
    if machine.threads is not None or machine.executor is not None:
        share = dict.fromkeys(share, machine.threads or 1)
    timing = _Timing(run, share, workers)
    rows = []
    for stage in stages:
        done = stage.name in current
        rows.append(Row(stage.name, stage.depends_on, done, 0.0 if done else timing(stage), _bytes(run, stage)))
    seconds = makespan(rows, workers=workers)
    by = "on this machine" if machine.executor is None else f"on {workers} workers as fast as this machine"
    return Estimate(rows, seconds, f"with {workers} worker{'s' if workers > 1 else ''} {by}", timing.told)


def makespan(rows: Sequence[Row], *, workers: int) -> float:
    """Time that stages take side by side, s: each begins as soon as a worker is free and what it builds on is done.

    Parameters
    ----------
    rows
        Stages, each after those that it builds on.
    workers
        How many may run at a time.

    Examples
    --------
    >>> two = [Row("a", (), False, 2.0, 0), Row("b", (), False, 3.0, 0), Row("c", ("a", "b"), False, 1.0, 0)]
    >>> makespan(two, workers=1), makespan(two, workers=2)
    (6.0, 4.0)
    """
    free = [0.0] * workers
    ended: dict[str, float] = {}
    for row in rows:
        begin = max((ended[name] for name in row.depends_on), default=0.0)
        if row.done:
            ended[row.stage] = begin
            continue
        first = min(range(workers), key=free.__getitem__)
        ended[row.stage] = free[first] = max(begin, free[first]) + row.seconds
    return max(ended.values(), default=0.0)


class _Timing:
    """Seconds of a stage, from records of its kind or measured once a kind and variant."""

    def __init__(self, run: RunFolder, share: dict[str, int], workers: int) -> None:
        self.run, self.share, self.workers = run, share, workers
        self.told: list[str] = []
        self._known: dict[object, float] = {}
        self._recorded: dict[Kind, list[float]] = {}
        for name, record in run.provenance()["stages"].items():
            if name in run.graph:
                self._recorded.setdefault(run.graph[name].kind, []).append(float(record.get("wall_s", 0.0)))

    def __call__(self, stage: Stage) -> float:
        """Seconds."""
        if walls := self._recorded.get(stage.kind):
            self._tell(f"time of {stage.kind}: the mean of {len(walls)} in this folder")
            return float(np.mean(walls))
        arm = stage.arm
        if stage.kind == "simulate":
            return self._once("simulate", "simulate", lambda: simulation_seconds(self.run, self.workers))
        if stage.kind == "results":
            self._tell("time of results: roughly, by the number of resamples")
            rows = len([one for one in self.run.graph.values() if one.kind == "evaluate"])
            return 2e-7 * rows * self.run.settings.evaluation.n_bootstrap * self.run.settings.trials.n_test
        if stage.kind == "tune" or arm is None:
            self._tell("time of tune: not estimated")
            return 0.0
        n_threads = self.share[stage.name]
        denoiser = self._once(
            (arm.overrides, n_threads), stage.kind, lambda: step_seconds(self.run, arm, n_threads=n_threads)
        )
        settings = arm.settings(self.run.settings)
        t, n = settings.training, settings.trials
        if stage.kind == "blend":
            return 2.0 * denoiser / 3 * n.n_validation / t.batch_size
        if stage.kind == "evaluate":
            fit = self._once(("fit", n_threads), "evaluate", lambda: fit_seconds(self.run.settings, n_threads))
            seen = sum(int(getattr(n, f"n_{name}")) for name in SPLITS_SEEN)
            networks = arm.alpha is None and arm.pretrained | arm.trained
            # A forward pass takes about a third of a training step.
            return fit + networks * denoiser / 3 * seen / t.batch_size
        epochs = t.pretrain_epochs if stage.kind == "pretrain" else t.finetune_epochs
        if stage.kind == "finetune" and t.start == "scratch":
            epochs += t.pretrain_epochs
        return denoiser * epochs * (max(n.n_train // t.batch_size, 1) + n.n_validation / t.batch_size / 3)

    def _once(self, key: object, kind: str, measure: Callable[[], float]) -> float:
        if key not in self._known:
            what = {
                "simulate": f"{TRIALS} trials made here",
                "evaluate": f"the observers fitted to {TRIALS} trials here, and the network's training step",
            }.get(kind, "a few training steps on random images here")
            self._tell(f"time of {kind}: from {what}")
            self._known[key] = measure()
        return self._known[key]

    def _tell(self, text: str) -> None:
        if text not in self.told:
            self.told.append(text)


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


def simulation_seconds(run: RunFolder, workers: int) -> float:
    """Time that a study's trials take, s, from the first few.

    Raises
    ------
    UserError
        If the backgrounds cannot be used, as in the run itself.
    """
    with _no_cache():
        start = time.perf_counter()
        maker = ChunkMaker(run.settings, make_sources(run.settings), run.device)
        ready = time.perf_counter() - start
        plan = maker.plans["test"]
        # Whole objects, as in a chunk.
        n = min(plan.n_trials, plan.trials_per_object * max(TRIALS // plan.trials_per_object, 1))
        start = time.perf_counter()
        maker.make("test", 0, n)
        each = (time.perf_counter() - start) / n
    return ready + each * sum(one.n_trials for one in maker.plans.values()) / workers


def step_seconds(run: RunFolder, arm: Arm, *, n_threads: int) -> float:
    """Time of a training step of an arm's network by MSE, s, on random images; the median of three."""
    settings = arm.settings(run.settings)
    side = settings.trials.region_pixels + 2 * settings.trials.margin_pixels
    rng = np.random.default_rng(0)
    shape = (min(settings.training.batch_size, settings.trials.n_train), side, side)
    image = torch.from_numpy(rng.normal(40.0, 20.0, shape).astype(np.float32)).to(run.device)
    denoiser = build_denoiser(settings, offset_hu=40.0, scale_hu=20.0, seed=0).to(run.device)
    walls = []
    with threads(n_threads):
        for _ in range(4):
            start = time.perf_counter()
            with autocast(run.device, network_dtype(settings, run.device)):
                loss = denoiser(image).float().square().mean()
            loss.backward()
            if run.device.type == "cuda":
                torch.cuda.synchronize(run.device)
            walls.append(time.perf_counter() - start)
            denoiser.zero_grad()
    return float(np.median(walls[1:]))


def fit_seconds(settings: Settings, n_threads: int) -> float:
    """Time to fit a study's observers afresh, s, from a fit to a few random trials; it grows as trials squared."""
    side, rng = settings.trials.region_pixels, np.random.default_rng(0)
    images, splits = {}, {}
    for name in SPLITS_SEEN:
        images[name] = rng.normal(0.0, 10.0, (TRIALS, side, side)).astype(np.float32)
        present = np.arange(TRIALS) % 2 == 0
        splits[name] = Trials(images[name], images[name], present, dict.fromkeys(TRUTH, np.zeros(TRIALS)))
    slow = {"cnn"} & set(fresh_names(settings))
    with threads(n_threads):
        start = time.perf_counter()
        fit_fresh(_without(settings, slow), images, splits)
        wall = time.perf_counter() - start
    return wall * float(max(settings.trials.n_fresh / TRIALS, 1.0) ** GROWTH)


def _without(settings: Settings, names: set[str]) -> Settings:
    more = tuple(name for name in settings.observers.more if name not in names)
    return settings.model_copy(update={"observers": settings.observers.model_copy(update={"more": more})})


def _bytes(run: RunFolder, stage: Stage) -> float:
    """Disk that a stage's outputs take."""
    settings, t = run.settings, run.settings.trials
    region = 4.0 * t.region_pixels**2
    if stage.kind == "simulate":
        return float(trials_bytes(settings))
    if stage.kind in ("pretrain", "finetune", "blend") and stage.arm is not None:
        network = build_denoiser(stage.arm.settings(settings), offset_hu=0.0, scale_hu=1.0, seed=0)
        return 4.0 * sum(int(value.numel()) for value in network.state_dict().values()) + region + 2000
    if stage.kind == "evaluate":
        kept = any(name.endswith(".images.npz") for name in stage.outputs)
        n_seen = sum(int(getattr(t, f"n_{name}")) for name in SPLITS_SEEN)
        return kept * n_seen * region + 8.0 * t.n_test * (len(fresh_names(settings)) + 6)
    if stage.kind == "results":
        n_arms = sum(one.kind == "evaluate" for one in run.graph.values())
        n_rows = n_arms * t.n_test
        return float(n_rows) * (SCORE_BYTES * (len(fresh_names(settings)) + 0.5) + QUALITY_BYTES)
    return 2000.0
