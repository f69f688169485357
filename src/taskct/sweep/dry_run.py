"""What a run would do: its stages, what is done already, and an estimate of time and disk; nothing is written."""

import time
from dataclasses import dataclass
from functools import cached_property

import torch

from taskct.config import Settings
from taskct.simulation.simulate import trials_bytes
from taskct.study.arms import Overrides, override
from taskct.study.evaluate import SPLITS_SEEN, fresh_names
from taskct.study.frozen import frozen_names, source_name, sources
from taskct.study.graph import Kind, Stage, share_threads
from taskct.study.models import build_denoiser
from taskct.study.panel import BUDGET_BYTES, N_WORST
from taskct.study.run_folder import RunFolder
from taskct.sweep.durations import (
    cnn_seconds,
    correction_seconds,
    filter_seconds,
    fit_seconds,
    image_seconds,
    n_tried,
    simulation_seconds,
    step_bytes,
)
from taskct.sweep.executors import Machine, n_workers
from taskct.sweep.schedule import up_to_date
from taskct.sweep.timetable import Timetable, numbers_up_to, timetable

SCORE_BYTES, QUALITY_BYTES = 45, 90
"""Length of a row of scores.csv and of quality.csv."""

REPORTED_BYTES, ROW_BYTES = 8000, 1500
"""What an arm takes in the JSON files: by itself, and for each observer."""

FORWARD = 1 / 3
"""A forward pass takes about a third of a training step."""

EFFICIENCY = 0.9
"""Threads that share the sums of a stage: n of them do the work of n to this power."""

START_S = 4.0
"""Until a run has loaded its libraries, in each of its processes at the same time."""

LIBRARIES_BYTES = 4.5e8
"""Memory of a process that has loaded its libraries."""

STORE_BYTES_PER_S = 1e8
"""What a worker fetches from a store, or sends, in a second: about a link of 1 Gbit/s."""

MEASURE_S = 4.0
"""Time after which further networks of a sweep are not tried but judged by their number of weights."""


@dataclass(frozen=True)
class PlannedStage:
    """A stage of the plan."""

    name: str
    kind: Kind
    depends_on: tuple[str, ...]
    done: bool
    seconds: float
    """Of what is to do."""
    n_bytes: float


@dataclass(frozen=True)
class KindTotal:
    """All stages of one kind."""

    kind: Kind
    n_stages: int
    n_done: int
    seconds: float
    """Of what is to do, one stage after the other."""
    n_bytes: float
    """Of what is to do."""


@dataclass(frozen=True)
class RunPlan:
    """What a run would do."""

    stages: list[PlannedStage]
    seconds: float
    """Of all that is to do, side by side as far as the graph allows."""
    core_seconds: float
    """Of all that is to do, of one core, or one GPU for what runs there, one stage after the other."""
    memory_bytes: float
    """Of the process that needs most, on the side of the processor."""
    by: str
    """On what machine."""
    how: list[str]
    """How time was estimated, in words."""
    timetables: list[Timetable]
    """Of what is to do, without the start, on more and more workers; the last has as many as were asked for."""

    @property
    def bytes_to_write(self) -> float:
        """Of all that is to do."""
        return sum(stage.n_bytes for stage in self.stages if not stage.done)

    @property
    def kinds(self) -> list[KindTotal]:
        """The stages by kind, in their order."""
        found = []
        for kind in dict.fromkeys(stage.kind for stage in self.stages):
            alike = [stage for stage in self.stages if stage.kind == kind]
            todo = [stage for stage in alike if not stage.done]
            seconds, n_bytes = sum(stage.seconds for stage in todo), sum(stage.n_bytes for stage in todo)
            found.append(KindTotal(kind, len(alike), len(alike) - len(todo), seconds, n_bytes))
        return found


def plan_run(run: RunFolder, machine: Machine) -> RunPlan:
    """The graph of a run, whose folder need not exist, with what is done and what the rest would take.

    The time of a stage is that of its parts on one idle core, measured in a few seconds here, shared by its threads,
    and scaled by how long stages of its kind took in this folder, where some have ended. A `UserError` if the run would
    be refused, since it would throw away what is there.
    """
    stages = list(run.graph.values())
    current = up_to_date(run, stages)
    for stage in stages:
        if stage.name not in current:
            run.check_kept(stage)
    workers = n_workers(machine, run.device)
    n_threads = torch.get_num_threads()
    share = share_threads(stages, workers=workers, n_threads=n_threads)
    if machine.threads is not None or machine.executor is not None:
        share = dict.fromkeys(share, machine.threads or 1)
    elif run.device.type == "cpu":  # more stages than threads wait for each other
        workers = min(workers, n_threads)
    # One worker of a cluster simulates, with its threads' number of processes.
    simulators = workers if machine.executor is None else share["simulate"]
    estimate = _Estimate(run, share, simulators)
    planned, core_seconds, memory = [], 0.0, 0.0
    for stage in stages:
        done = stage.name in current
        seconds = 0.0 if done else estimate.seconds(stage)
        if not done:
            core_seconds += seconds * estimate.cores(stage)
            memory = max(memory, estimate.memory(stage))
        planned.append(PlannedStage(stage.name, stage.kind, stage.depends_on, done, seconds, estimate.n_bytes(stage)))
    rate = None if machine.store is None else STORE_BYTES_PER_S
    tables = [timetable(planned, workers=number, bytes_per_s=rate) for number in numbers_up_to(workers)]
    seconds = tables[-1].seconds + START_S * (len(current) < len(planned))
    if machine.executor is None:
        who = f"with {workers} worker{'s' if workers > 1 else ''} on this machine"
    else:
        who = f"on {workers} workers as fast as this machine"
    return RunPlan(planned, seconds, core_seconds, memory, who, estimate.told, tables)


def network_key(settings: Settings) -> str:
    """What the weights and the speed of a network depend on."""
    return f"{settings.denoiser.network} {sorted(settings.denoiser.arguments.items())} {settings.training.dtype}"


class _Estimate:
    """Seconds and bytes of a stage: from rates on an idle core, and from how long others took in this folder."""

    def __init__(self, run: RunFolder, share: dict[str, int], simulators: int) -> None:
        self.run, self.share, self.simulators = run, share, simulators
        self._settings: dict[Overrides, Settings] = {(): run.settings}
        self._weights: dict[str, int] = {}
        """By `network_key`, as the rates."""
        self._rates: dict[str, float] = {}
        self._spent = 0.0
        self._told: dict[str, list[str]] = {}
        self._factors: dict[Kind, float] = {}
        self._filters: dict[str, tuple[float, float]] = {}
        self._steps: dict[str, float] = {}
        self._recorded: dict[Kind, list[tuple[Stage, float, int]]] = {}
        for name, record in run.provenance()["stages"].items():
            if (stage := run.graph.get(name)) is not None:
                took = stage, float(record.get("wall_s", 0.0)), int(record.get("n_threads", 1))
                self._recorded.setdefault(stage.kind, []).append(took)

    def _settings_of(self, stage: Stage) -> Settings:
        """Those of a stage's arm."""
        own = () if stage.arm is None else stage.arm.overrides
        if own not in self._settings:
            self._settings[own] = override(self.run.settings, own)
        return self._settings[own]

    def _n_weights(self, settings: Settings) -> int:
        """How many numbers a network's file holds; each network is built once."""
        key = network_key(settings)
        if key not in self._weights:
            network = build_denoiser(settings, offset_hu=0.0, scale_hu=1.0, seed=0)
            self._weights[key] = sum(int(value.numel()) for value in network.state_dict().values())
        return self._weights[key]

    @cached_property
    def _simulation(self) -> tuple[float, float]:
        return simulation_seconds(self.run.settings, self.run.device)

    @cached_property
    def _fit(self) -> float:
        return fit_seconds(self.run.settings, self.run.device)

    @cached_property
    def _fit_cnn(self) -> float:
        return cnn_seconds(self.run.settings, self.run.device)

    def _filter(self, name: str) -> tuple[float, float]:
        if name not in self._filters:
            self._filters[name] = filter_seconds(self.run.settings, name)
        return self._filters[name]

    def busy(self, n_threads: int) -> float:
        """How many cores' work a stage with so many threads does."""
        return 1.0 if self.run.device.type == "cuda" else float(n_threads**EFFICIENCY)

    def cores(self, stage: Stage) -> float:
        """How many cores' work a stage does."""
        return self.simulators if stage.kind == "simulate" else self.busy(self.share[stage.name])

    def seconds(self, stage: Stage) -> float:
        """What a stage takes."""
        return self._alone(stage, self.share[stage.name]) * self._factor(stage.kind)

    def _factor(self, kind: Kind) -> float:
        """How long stages of a kind took in this folder over what was expected; of all kinds where none has ended."""
        if kind not in self._factors:
            took = self._recorded.get(kind, [])
            who = f"the {len(took)} that ended in this folder"
            if not took and kind not in ("simulate", "tune"):
                took = [one for own, several in self._recorded.items() if own != "simulate" for one in several]
                who = f"the {len(took)} stages that ended in this folder"
            expected = sum(self._alone(stage, n_threads) for stage, _, n_threads in took)
            seconds = sum(wall for _, wall, _ in took)
            self._factors[kind] = seconds / expected if took and expected > 0 and seconds > 0 else 1.0
            if took:
                self._tell(kind, f"times {self._factors[kind]:.2g}, as {who} took")
        return self._factors[kind]

    def _alone(self, stage: Stage, n_threads: int) -> float:
        """Seconds on an otherwise idle machine."""
        run, t = self.run, self.run.settings.trials
        if stage.kind == "simulate":
            self._tell("simulate", "from a few trials made on one core here")
            ready, trials = self._simulation
            return ready + trials / self.simulators
        if stage.kind == "results":
            self._tell("results", "roughly, by the number of resamples")
            n_arms = sum(one.kind == "evaluate" for one in run.graph.values())
            return 2e-7 * n_arms * run.settings.evaluation.n_bootstrap * t.n_test
        if stage.kind == "import":
            return 0.0  # the user brings its images
        if stage.arm is None:
            raise ValueError(f"the stage {stage.name!r} has no arm")
        if stage.kind == "tune":
            self._tell("tune", "from single images filtered on one core here")
            return n_tried(run.settings, str(stage.arm.filter)) * self._filter(str(stage.arm.filter))[0]
        settings = self._settings_of(stage)
        if stage.kind == "finetune" and stage.arm.price is not None:
            return self._path(settings) / self.busy(n_threads)
        n_images = self._images(stage, settings)
        seconds = n_images * self._image(stage.kind, settings) if n_images else 0.0
        if stage.kind == "evaluate":
            self._tell("evaluate", "from two small fits of the observers on one core here")
            seconds += self._fit
            if stage.arm.filter is not None:
                self._tell("evaluate", "filters from single images at their slowest setting")
                seconds += self._filter(stage.arm.filter)[1] * sum(int(getattr(t, f"n_{name}")) for name in SPLITS_SEEN)
            if "cnn" in fresh_names(run.settings, stage.arm):
                self._tell("evaluate", "the CNN observer from two short trainings of it here")
                seconds += self._fit_cnn
        return seconds / self.busy(n_threads)

    def _images(self, stage: Stage, settings: Settings) -> float:
        """How many images a stage would take through a training step in the same time."""
        t, n, arm = settings.training, settings.trials, stage.arm
        if stage.kind == "blend":
            return 2 * FORWARD * n.n_validation
        if stage.kind == "evaluate":
            has_network = arm is not None and not arm.mixed and (arm.pretrained or arm.trained)
            return has_network * FORWARD * sum(int(getattr(n, f"n_{name}")) for name in SPLITS_SEEN)
        if stage.kind == "pretrain" and settings.denoiser.weights is not None:
            return FORWARD * n.n_validation
        epochs = t.pretrain_epochs if stage.kind == "pretrain" else t.finetune_epochs
        if stage.kind == "finetune" and t.start == "scratch":
            epochs += t.pretrain_epochs
        return epochs * (n.n_train + FORWARD * n.n_validation)

    def _path(self, settings: Settings) -> float:
        """Seconds of the training of a task path on one core: steps of its correction, and images of its control."""
        self._tell("finetune", "a task path from a few steps of its correction on one core here")
        n, p = settings.trials, settings.path
        # Copies stand in pairs, with and without their signal.
        copies = max(p.copies, 1) if settings.imported.path_of is None else 1
        n_shown = n.n_train * copies * (1 if settings.absent_signal.inserted else 2)
        shown = p.epochs * (n_shown + FORWARD * n.n_validation)
        n_control = n_shown + n.n_validation
        return shown * self._correction + FORWARD * n_control * self._image("finetune", settings)

    @cached_property
    def _correction(self) -> float:
        return correction_seconds(self.run.settings, self.run.device)

    def _image(self, kind: Kind, settings: Settings) -> float:
        """Seconds of a training step for each image of a batch, on one core."""
        key = network_key(settings)
        self._tell(kind, "from a few steps of its network on one core here")
        if key not in self._rates:
            n_weights = self._n_weights(settings)
            if self._spent < MEASURE_S:
                start = time.process_time()
                self._rates[key] = image_seconds(settings, self.run.device)
                self._spent += time.process_time() - start
            else:
                n_tried = len(self._rates)
                each = sum(self._rates.values()) / max(sum(self._weights[one] for one in self._rates), 1)
                self._tell(kind, f"{n_tried} networks were tried, the others are judged by their number of weights")
                return each * n_weights
        return self._rates[key]

    @property
    def told(self) -> list[str]:
        """How times were estimated, in words."""
        return [f"time of {', '.join(kinds)}: {text}" for text, kinds in self._told.items()]

    def _tell(self, kind: Kind, text: str) -> None:
        kinds = self._told.setdefault(text, [])
        if kind not in kinds:
            kinds.append(kind)

    def memory(self, stage: Stage) -> float:
        """Memory that a stage needs, on the side of the processor, bytes: worked out from the sizes of its arrays.

        Images are mapped from the disk, and count as if all were read. A training has a step more, see `step_bytes`,
        unless a GPU does it; an evaluation has its arm's images and the products of all pairs of fresh trials.
        """
        t = self.run.settings.trials
        whole, region = 4.0 * (t.region_pixels + 2 * t.margin_pixels) ** 2, 4.0 * t.region_pixels**2
        if stage.kind in ("pretrain", "finetune"):
            settings = self._settings_of(stage)
            key = network_key(settings)
            if key not in self._steps:
                self._steps[key] = step_bytes(settings) if self.run.device.type == "cpu" else 0.0
            regions = 4 * region * t.n_train * (stage.kind == "finetune")  # the head is fitted to them first
            return LIBRARIES_BYTES + 2 * whole * (t.n_train + t.n_validation) + regions + self._steps[key]
        if stage.kind == "evaluate":
            n_seen = sum(int(getattr(t, f"n_{name}")) for name in SPLITS_SEEN)
            return LIBRARIES_BYTES + (2 * whole + 3 * region) * n_seen + 3 * 8.0 * t.n_fresh**2
        return LIBRARIES_BYTES

    def n_bytes(self, stage: Stage) -> float:
        """Disk that the outputs of a stage take, bytes."""
        run, t = self.run, self.run.settings.trials
        region = 4.0 * t.region_pixels**2
        n_observers = len(fresh_names(run.settings, stage.arm))
        if stage.kind == "simulate":
            return float(trials_bytes(run.settings))
        if stage.kind in ("pretrain", "finetune", "blend"):
            return 4.0 * self._n_weights(self._settings_of(stage)) + region + 2000
        if stage.kind == "evaluate":
            kept = any(name.endswith(".images.npz") for name in stage.outputs)
            n_seen = sum(int(getattr(t, f"n_{name}")) for name in SPLITS_SEEN)
            n_carried = len(frozen_names(run.settings))
            left = stage.arm is not None and source_name(stage.arm, run.settings) is not None
            templates = 2.0 * region * 2 * n_carried * left
            kept_of_all = 8.0 * t.n_test * (n_observers + 6 + len(sources(run.settings)) * n_carried)
            return kept * n_seen * region + kept_of_all + templates + 3.0 * region + REPORTED_BYTES
        if stage.kind == "results":
            n_arms = sum(one.kind == "evaluate" for one in run.graph.values())
            shown = 2 * (run.settings.evaluation.n_examples + N_WORST) * region
            tables = float(n_arms * t.n_test) * (SCORE_BYTES * (n_observers + 0.5) + QUALITY_BYTES)
            reported = n_arms * (region + n_observers * ROW_BYTES + REPORTED_BYTES)
            return tables + min(n_arms * shown, BUDGET_BYTES) + reported
        return 2000.0
