"""Where a sweep stands that another process does: stages, losses so far, and the time that is left."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from taskct.reading import check_regular
from taskct.study.graph import Kind, Stage
from taskct.study.records import FOLDER, FOLDER_LOCK, read_records, stage_path
from taskct.study.run_folder import RunFolder
from taskct.sweep.dry_run import PlannedStage, plan_run
from taskct.sweep.executors import Machine, n_workers, read_progress
from taskct.sweep.schedule import up_to_date
from taskct.sweep.timetable import timetable

State = Literal["done", "running", "failed", "left out", "to do"]


@dataclass(frozen=True)
class WatchedStage:
    """A stage, and where it stands."""

    name: str
    kind: Kind
    state: State
    share: float | None
    """Of the work that is done, in [0, 1], while it runs; None where it is not known."""
    detail: str
    """What it tells of itself, or why it failed."""
    seconds: float
    """What it took, or is still expected to take."""


@dataclass(frozen=True)
class LossHistory:
    """A training's losses, epoch by epoch; NaN where an epoch has none."""

    rmse_hu: list[float]
    """On training trials, HU."""
    validation_rmse_hu: list[float]
    task: list[float]
    """The task's loss on validation trials, 1 at chance."""


@dataclass(frozen=True)
class Watched:
    """A sweep at one moment."""

    stages: list[WatchedStage]
    losses: dict[str, LossHistory]
    """By training, in the order of the stages."""
    seconds_left: float
    """Until all that can be done is done."""
    at_work: bool
    """Whether a command works in the folder."""

    @property
    def over(self) -> bool:
        """Whether nothing more will change: all is done that can be, or nobody is at work."""
        return not self.at_work or all(one.state in ("done", "failed", "left out") for one in self.stages)

    def count(self, state: State) -> int:
        """How many stages stand there."""
        return sum(one.state == state for one in self.stages)


class Watch:
    """Looks at a run folder; how long its stages take is estimated once, as `taskct run --dry-run` does."""

    def __init__(self, run: RunFolder, machine: Machine) -> None:
        self.run = run
        self.workers = n_workers(machine, run.device)
        self.planned = {stage.name: stage for stage in plan_run(run, machine).stages}

    def look(self) -> Watched:
        """Where the sweep stands now."""
        run, stages = self.run, list(self.run.graph.values())
        at_work = is_at_work(run.path)
        records, done, events = read_records(run.path), set(up_to_date(run, stages)), last_events(run.path)
        found: dict[str, WatchedStage] = {}
        for stage in stages:
            event = events.get(stage.name, {})
            took = float(records[stage.name].get("wall_s") or 0.0) if stage.name in done else 0.0
            if stage.name in done:
                found[stage.name] = WatchedStage(stage.name, stage.kind, "done", 1.0, "", took)
            elif event.get("event") == "failed":
                text = str(event.get("problem", ""))
                found[stage.name] = WatchedStage(stage.name, stage.kind, "failed", None, text, 0.0)
            elif stage.kind != "results" and any(_lost(found.get(name)) for name in stage.depends_on):
                found[stage.name] = WatchedStage(stage.name, stage.kind, "left out", None, "", 0.0)
            elif at_work and event.get("event") == "start":
                found[stage.name] = self._running(stage, _moment(event.get("time")))
            else:
                seconds = self.planned[stage.name].seconds
                found[stage.name] = WatchedStage(stage.name, stage.kind, "to do", None, "", seconds)
        losses = {
            stage.name: history
            for stage in stages
            if stage.arm is not None and stage.kind in ("pretrain", "finetune")
            if (history := read_losses(run.path / "logs" / f"{stage.arm.weights_stem}.jsonl")) is not None
        }
        return Watched(list(found.values()), losses, self._left(found), at_work)

    def _running(self, stage: Stage, begun: float) -> WatchedStage:
        told = read_progress(stage_path(self.run.path, stage.name, ".progress"))
        so_far, planned = max(time.time() - begun, 0.0), self.planned[stage.name].seconds
        if told is not None and 0 < told[0] <= told[1]:
            share = told[0] / told[1]
            return WatchedStage(stage.name, stage.kind, "running", share, told[2], so_far * (1.0 / share - 1.0))
        return WatchedStage(stage.name, stage.kind, "running", None, "", max(planned - so_far, 0.0))

    def _left(self, found: dict[str, WatchedStage]) -> float:
        """Time until the last stage ends; those to do take longer or shorter as those of their kind have."""
        pace: dict[Kind, float] = {}
        for kind in {stage.kind for stage in found.values()}:
            alike = [one for one in found.values() if one.kind == kind and one.state == "done"]
            expected = sum(self.planned[one.name].seconds for one in alike)
            took = sum(one.seconds for one in alike if self.planned[one.name].seconds > 0.0)
            pace[kind] = took / expected if took > 0.0 and expected > 0.0 else 1.0
        todo: list[PlannedStage] = []
        for name, planned in self.planned.items():
            one = found[name]
            over = one.state in ("done", "failed", "left out")
            seconds = 0.0 if over else one.seconds * (pace[one.kind] if one.state == "to do" else 1.0)
            todo.append(replace(planned, done=over, seconds=seconds))
        return timetable(todo, workers=self.workers).seconds


def _moment(told: object) -> float:
    """When a stage began, s since 1970, as the log has it."""
    return float(told) if isinstance(told, int | float) else time.time()


def _lost(stage: WatchedStage | None) -> bool:
    return stage is not None and stage.state in ("failed", "left out")


def is_at_work(folder: Path) -> bool:
    """Whether a command works in a run folder: it holds the folder's lock."""
    file = folder / FOLDER_LOCK
    if not file.is_file():
        return False
    lock = FileLock(file)
    try:
        lock.acquire(blocking=False)
    except (Timeout, OSError):  # held, or on a disk where one may only read
        return True
    lock.release()
    return False


def last_events(folder: Path) -> dict[str, dict[str, object]]:
    """The last line of each stage in `stages/log.jsonl` that says that it began, ended or failed."""
    found: dict[str, dict[str, object]] = {}
    for line in _json_lines(folder / FOLDER / "log.jsonl"):
        if line.get("event") in ("start", "end", "failed"):
            found[str(line.get("stage"))] = line
    return found


def read_losses(file: Path) -> LossHistory | None:
    """The losses of a training so far; None before its first epoch."""
    epochs = {int(str(line["epoch"])): line for line in _json_lines(file) if "epoch" in line}
    if not epochs:
        return None
    rows: Sequence[dict[str, object]] = [epochs[number] for number in sorted(epochs)]

    def column(name: str) -> list[float]:
        values = [row.get(name) for row in rows]
        return [float(value) if isinstance(value, int | float) else float("nan") for value in values]

    return LossHistory(column("rmse_hu"), column("validation_rmse_hu"), column("validation_task"))


def _json_lines(file: Path) -> list[dict[str, object]]:
    """Lines of JSON; one that is just being written is passed over."""
    if not file.is_file():
        return []
    check_regular(file)
    found = []
    for text in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            found.append(line)
    return found
