"""The cells of a task shift, one after the other: what is done is kept, and a stopped command goes on."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from taskct.config import Settings, to_yaml
from taskct.errors import UserError
from taskct.files import named, write_json, write_npz, write_text
from taskct.machine import n_cores
from taskct.observers.fresh import Fitted
from taskct.progress import Progress
from taskct.reading import read_json, read_npz
from taskct.simulation.simulate import simulate_store, simulation_key, trials_bytes
from taskct.study.arms import Arm
from taskct.study.evaluate import SPLITS_SEEN
from taskct.study.records import lock_folder
from taskct.study.run_folder import LEFTOVERS, RunFolder
from taskct.study.shift import (
    Cell,
    ShiftTask,
    Training,
    arms_tested,
    cell_key,
    evaluate_cell,
    shift_json,
    shift_rows,
    tasks_of,
)
from taskct.sweep.dry_run import FORWARD
from taskct.sweep.durations import fit_seconds, image_seconds, simulation_seconds
from taskct.sweep.schedule import ProgressDisplay
from taskct.trials.store import read_trials
from taskct.trials.trials import SPLITS, Trials

RESULT = "shift.json"
TASKS = "tasks"
CELLS = "cells"


@dataclass
class TestBed:
    """A task with its trials: those of a run whose own task it is, else of a store in the shift's folder."""

    task: ShiftTask
    own: Training | None
    folder: Path
    """Of its trials and settings, where it has some of its own."""
    device: torch.device
    """Where they are simulated."""

    @cached_property
    def key(self) -> str:
        """Hash of what its trials depend on; those of a run are told by when they were made."""
        if self.own is not None:
            return self.own.identity(self.own.arms[0])
        return simulation_key(self.task.settings, self.device)

    @property
    def done(self) -> bool:
        """Whether its trials are there."""
        about = self.folder / "done.json"
        return self.own is not None or (about.is_file() and read_json(about) == {"key": self.key})

    def simulate(self, *, workers: int, progress: Progress | None) -> None:
        """Make its trials: those of the splits that observers see."""
        write_text(self.folder / "study.yaml", to_yaml(self.task.settings))
        simulate_store(
            self.folder / "trials",
            self.task.settings,
            device=self.device,
            workers=workers,
            progress=progress,
            splits=SPLITS_SEEN,
        )
        write_json(self.folder / "done.json", {"key": self.key})

    @cached_property
    def splits(self) -> dict[str, Trials]:
        """Its trials, mapped from the disk."""
        if self.own is not None:
            return self.own.splits
        s = self.task.settings
        found = {name: read_trials(self.folder / "trials", name, margin=s.trials.margin_pixels) for name in SPLITS_SEEN}
        return {name: replace(trials, pixel_mm=s.scanner.pixel_mm) for name, trials in found.items()}


class Shift:
    """The denoisers of finished runs on their own and on each other's tasks, and on the tests that the first one names.

    Raises
    ------
    UserError
        If a run is not trained to the end, two runs have one name or trials that do not go together, an arm is unknown,
        a test cannot be simulated, or the folder holds something else.
    """

    def __init__(self, folder: Path, runs: Sequence[RunFolder], *, arms: Sequence[str] = ()) -> None:
        self.folder = folder
        self.trainings = [Training(run.path.resolve().name, run, arms_tested(run.settings, arms)) for run in runs]
        first = self.trainings[0]
        tests = tasks_of(first.run.settings)
        names = [*(one.name for one in self.trainings), *(task.name for task in tests)]
        if double := [name for name in names if names.count(name) > 1]:
            raise UserError(f"{double[0]!r} names two runs or tests: rename a run folder or a test")
        for one in self.trainings:
            if one.run.settings.trials != first.run.settings.trials:
                raise UserError(
                    f"{one.run.path} and {first.run.path} differ in their trials: runs that are tested on each other's "
                    "tasks need the same settings of trials, so that no background of a training is in a test"
                )
            for arm in one.arms:
                one.run.require(arm.stage or "simulate")
        place, device = folder / TASKS, first.run.device
        plain = {one.name: one.run.settings.model_copy(update={"tests": {}, "grid": {}}) for one in self.trainings}
        self.beds = [
            TestBed(ShiftTask(one.name, plain[one.name]), one, place / one.name, device) for one in self.trainings
        ]
        self.beds += [TestBed(task, None, place / task.name, device) for task in tests]
        if folder.exists() and (not folder.is_dir() or not self._is_ours()):
            raise UserError(f"{folder} exists and is no folder of a task shift: choose another --out folder")

    def _is_ours(self) -> bool:
        return all(
            one.name in (TASKS, CELLS) or one.stem == "shift" or one.suffix in LEFTOVERS
            for one in self.folder.iterdir()
        )

    def cell_place(self, training: Training, bed: TestBed, arm: Arm) -> Path:
        """Where a cell is kept, without its ending."""
        return self.folder / CELLS / training.name / bed.task.name / arm.file_stem

    def has(self, training: Training, bed: TestBed, arm: Arm) -> bool:
        """Whether a cell is done, from the models, trials and observers that are there now."""
        card = named(self.cell_place(training, bed, arm), ".json")
        if not card.is_file():
            return False
        told = read_json(card, "what a cell of a shift is", "delete it, and the cell is done anew")
        return isinstance(told, dict) and told.get("key") == cell_key(training, arm, bed.task, bed.key)

    def missing(self) -> Iterator[tuple[Training, Arm, list[TestBed]]]:
        """Every arm of a training that has cells to do, with their tasks."""
        for training in self.trainings:
            for arm in training.arms:
                if beds := [bed for bed in self.beds if not self.has(training, bed, arm)]:
                    yield training, arm, beds

    def work(self, *, workers: int | None = None, show: ProgressDisplay | None = None) -> Path:
        """Do what is missing, and write `shift.json`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with lock_folder(self.folder):
            for bed in self.beds:
                if not bed.done:
                    with _shown(show, f"simulate {bed.task.name}") as progress:
                        bed.simulate(workers=workers or n_cores(), progress=progress)
            for training, arm, beds in list(self.missing()):
                with _shown(show, f"test {training.name} {arm.identity}") as progress:
                    self._test(training, arm, beds, progress)
            path = self.folder / RESULT
            write_json(path, self._result())
        return path

    def _test(self, training: Training, arm: Arm, beds: Sequence[TestBed], progress: Progress | None) -> None:
        frozen: dict[str, Fitted] = training.fit(arm)
        for done, bed in enumerate(beds):
            if progress is not None:
                progress(done, len(beds), bed.task.name)
            cell = evaluate_cell(training, arm, bed.task, bed.splits, frozen)
            place = self.cell_place(training, bed, arm)
            arrays = {f"scores/{name}": scores for name, scores in cell.scores.items()}
            write_npz(named(place, ".npz"), arrays | {"mse_hu2": cell.mse_hu2}, compress=False)
            content = {"key": cell_key(training, arm, bed.task, bed.key), "notes": cell.notes}
            write_text(named(place, ".json"), json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        if progress is not None:
            progress(len(beds), len(beds), "")

    def _read(self, training: Training, bed: TestBed, arm: Arm) -> Cell:
        place = self.cell_place(training, bed, arm)
        arrays = read_npz(named(place, ".npz"))
        scores = {name.removeprefix("scores/"): a for name, a in arrays.items() if name.startswith("scores/")}
        notes = read_json(named(place, ".json"))["notes"]
        return Cell(scores, arrays["mse_hu2"], notes)

    def _result(self) -> dict[str, object]:
        tables, notes = [], []
        for training in self.trainings:
            for bed in self.beds:
                cells = {arm: self._read(training, bed, arm) for arm in training.arms}
                tables.append(shift_rows(training, bed.task, bed.splits["test"], cells))
                notes += [cell.notes for cell in cells.values()]
        return shift_json(self.trainings, [bed.task for bed in self.beds], tables, notes)

    def plan(self) -> tuple[int, int, float]:
        """Tasks to simulate, cells to do, and about how long all of it takes on one idle core here, s.

        A few trials of every other kind of scan or background are made, one small fit of the observers, and a few steps
        of the first network.
        """
        settings, device, seconds = self.trainings[0].run.settings, self.beds[0].device, 0.0
        rates: dict[str, tuple[float, float]] = {}
        todo = [bed for bed in self.beds if not bed.done]
        for bed in todo:
            s = bed.task.settings
            kind = f"{s.scanner.model_dump_json()} {s.background.model_dump_json()}"
            if kind not in rates:
                rates[kind] = simulation_seconds(s, device)
            ready, trials = rates[kind]
            seconds += ready + trials * _share_seen(s)
        groups = [beds for _, _, beds in self.missing()]
        if groups:
            n_images = sum(int(getattr(settings.trials, f"n_{name}")) for name in SPLITS_SEEN)
            each = fit_seconds(settings, device) + FORWARD * n_images * image_seconds(settings, device)
            seconds += each * sum(len(beds) + 1 for beds in groups)  # and one for the observers that are frozen
        return len(todo), sum(map(len, groups)), seconds

    @property
    def bytes_to_write(self) -> float:
        """Disk that what is missing takes, bytes."""
        trials = 0.0
        for bed in self.beds:
            if not bed.done:
                trials += trials_bytes(bed.task.settings) * _share_seen(bed.task.settings)
        n_test = self.beds[0].task.settings.trials.n_test
        return trials + sum(8.0 * n_test * 9 * len(beds) for _, _, beds in self.missing())


def _share_seen(settings: Settings) -> float:
    """Share of a study's trials that are in the splits that observers see."""
    n = {name: int(getattr(settings.trials, f"n_{name}")) for name in SPLITS}
    return sum(n[name] for name in SPLITS_SEEN) / sum(n.values())


@contextmanager
def _shown(show: ProgressDisplay | None, title: str) -> Iterator[Progress | None]:
    """The progress of a piece of work, shown as long as it lasts."""
    progress = None if show is None else show.open(title)
    finished = False
    try:
        yield progress
        finished = True
    finally:
        if show is not None:
            show.close(title, finished=finished)
