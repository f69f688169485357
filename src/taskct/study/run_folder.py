"""The run folder: which study it holds, which stages are done, and where they came from."""

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from taskct import __version__
from taskct.config import Settings, make_settings, to_yaml
from taskct.config.read import with_present_names
from taskct.config.yaml_files import read_yaml
from taskct.errors import UserError
from taskct.files import write_text
from taskct.reading import digests_of, read_json, sha256_of
from taskct.simulation.sources import files_of
from taskct.study.arms import Arm
from taskct.study.changes import KEPT, Change, by_name, change_of, counted
from taskct.study.graph import Stage, StageInputs, evaluation_stage, simulation_inputs, stage_key, stages_of
from taskct.study.records import commit, environment, lock_folder, log, read_record, read_records, write_record
from taskct.trials.store import read_trials
from taskct.trials.trials import Trials

LEFTOVERS = (".partial", ".lock")
"""Endings of what a start that was stopped may leave in a folder that holds nothing else."""


class RunFolder:
    """A run folder bound to one study, its own where `settings` are None; made if it is missing, unless `read_only`.

    Raises
    ------
    UserError
        If the folder holds something else, no study where none is given, or another one whose trials or trainings these
        settings would do anew; if its study or a record is broken; or if another process works in it while the study
        would have to be written.
    """

    change: Change | None = None
    """How `settings` differ from those of the study that the folder held; None if they do not."""

    def __init__(self, path: Path, settings: Settings | None, *, device: torch.device, read_only: bool = False) -> None:
        self.path = path
        self.device = device
        held = self._held(any_version=read_only and settings is None)
        if settings is None:
            if held is None:
                raise UserError(f"{path} is not a run folder: `taskct simulate` or `taskct run` makes one")
            self.settings = held
            return
        self.settings = settings
        if held is None:
            if path.exists() and (not path.is_dir() or any(one.suffix not in LEFTOVERS for one in path.iterdir())):
                raise UserError(f"{path} exists and is not a run folder: choose another --out folder")
        elif held != settings:
            self.change = self._changed(held)
        else:
            return
        if read_only:
            return
        path.mkdir(parents=True, exist_ok=True)
        with lock_folder(path):
            if self.change is not None:
                log(path, "settings", "", changed=list(self.change.settings))
            write_text(path / "study.yaml", to_yaml(settings))

    def _changed(self, held: Settings) -> Change | None:
        """What the settings change of the study held, None if nothing is done; `UserError` if work would be lost."""
        done = self.provenance()["stages"]
        if not done:  # a first attempt that failed before its first stage was done
            return None

        def fits(name: str) -> bool:
            return bool(done[name]["key"] == self.key(name, self.graph[name].depends_on))

        change = change_of(held, self.settings, done, fits)
        if change.loses:
            raise UserError(
                f"{self.path} holds another study ({change.differences}), and these settings would do "
                f"{counted(change.anew)} anew: choose another --out folder, and what is there stays as it is"
            )
        return change

    def _held(self, *, any_version: bool = False) -> Settings | None:
        """The study that the folder holds, if any; of an earlier version only to read what it holds."""
        file = self.path / "study.yaml"
        if not file.is_file():
            return None
        try:
            tree, former = with_present_names(read_yaml(file))
            settings = make_settings(tree)
        except UserError as error:
            raise UserError(
                f"{file} is broken, or another version's ({error}): put back a copy, or do the study anew in another "
                "--out folder"
            ) from error
        if former and not any_version:
            raise UserError(
                f"{file} holds {former[0]}: an earlier taskct wrote it, whose runs this one ({__version__}) can "
                "report but not go on with; do the study anew in another --out folder"
            )
        given = by_name(tree)
        missing = [name for name in by_name(settings.model_dump(mode="json")) if name not in given]
        if missing:
            raise UserError(
                f"{file} lacks {missing[0]}: an earlier taskct wrote it, whose runs this one ({__version__}) cannot go "
                f"on with, or it was cut short; do the study anew by `taskct run {file} --out NEW_FOLDER`"
            )
        return settings

    def check_unchanged(self) -> None:
        """Raise a `UserError` if another process has put another study into the folder since it was opened."""
        if self._held() != self.settings:
            raise UserError(f"{self.path} was given another study by another taskct: choose another --out folder")

    @cached_property
    def graph(self) -> dict[str, Stage]:
        """Every stage of the study by name, each after those that it builds on."""
        return {stage.name: stage for stage in stages_of(self.settings)}

    @property
    def trials(self) -> Path:
        """The trial store."""
        return self.path / "trials"

    def read(self, split: str) -> Trials:
        """The trials of a split, see `read_trials`."""
        if (changed := changed_output(self.path, read_record(self.path, "simulate") or {})) is not None:
            raise UserError(
                f"{self.path / changed} has changed since the trials were simulated; put back a copy, or delete it and "
                "`taskct simulate` makes the trials anew"
            )
        trials = read_trials(self.trials, split, margin=self.settings.trials.margin_pixels)
        return replace(trials, pixel_mm=self.settings.scanner.pixel_mm)

    def weights(self, stem: str) -> Path:
        """Weights of an arm."""
        return self.path / "models" / f"{stem}.safetensors"

    def card(self, stem: str) -> Path:
        """What a model is and how it came about."""
        return self.path / "models" / f"{stem}.json"

    def state(self, stem: str) -> Path:
        """Where the training of an arm stands while it lasts, to go on from after a kill."""
        return self.path / "training" / f"{stem}.safetensors"

    def evaluated(self, stem: str) -> Path:
        """What the evaluation of an arm found, without its ending."""
        return self.path / "evaluated" / stem

    def evaluated_as(self, arm: Arm) -> Arm:
        """The arm whose evaluation stands for an arm's: what is the same for every training seed has one."""
        stage = self.graph.get(evaluation_stage(arm))
        return arm if stage is None or stage.arm is None else stage.arm

    def evaluation_of(self, arm: Arm) -> Path:
        """What the evaluation of an arm found, without its ending."""
        return self.evaluated(self.evaluated_as(arm).file_stem)

    def provenance(self) -> dict[str, Any]:
        """How the folder came about: the record of each finished stage, by name, under "stages"."""
        return {"stages": read_records(self.path, list(self.graph))}

    def write_provenance(self) -> None:
        """Write `provenance.json`: the records of all stages, below version and machine of this session."""
        content = {**environment(self.settings, self.device), **self.provenance()}
        write_text(self.path / "provenance.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def is_done(self, name: str, outputs: Sequence[Path], depends_on: Sequence[str] = ()) -> bool:
        """Whether a stage has finished, its inputs have not changed since, and its outputs are all there."""
        record = read_record(self.path, name)
        return (
            record is not None
            and record["key"] == self.key(name, depends_on)
            and record.get("bytes") == self._sizes(outputs)
        )

    def has(self, stage: Stage, depends_on: Sequence[str] | None = None) -> bool:
        """Whether a stage of the graph is done; `depends_on` where it builds on fewer than the graph says."""
        outputs = [self.path / name for name in stage.outputs]
        return self.is_done(stage.name, outputs, stage.depends_on if depends_on is None else depends_on)

    def _sizes(self, outputs: Sequence[Path]) -> dict[str, int | None]:
        return {output.relative_to(self.path).as_posix(): size_of(output) for output in outputs}

    def key(self, name: str, depends_on: Sequence[str] = ()) -> str:
        """Hash of what a stage depends on: the settings it reads, the version, and the stages before it."""
        before = []
        for stage in depends_on:
            record = read_record(self.path, stage) or {"key": "", "finished": ""}
            before.append((stage, record["key"], record["finished"]))
        files = self._files() if name == "simulate" else self._file_of(name)
        return stage_key(name, __version__, self._inputs.of(self.graph.get(name)), files, before)

    @cached_property
    def _inputs(self) -> StageInputs:
        return StageInputs(self.settings)

    def _files(self) -> str:
        """Digest of the user's images that the trials are made of: names, sizes and times of change.

        Where this machine does not have the images, the digest is the one on record.
        """
        if all(path.exists() for path in files_of(self.settings)):
            return self._files_here
        return str((read_record(self.path, "simulate") or {}).get("files", ""))

    def _file_of(self, name: str) -> str:
        """SHA-256 of the user's file that a stage reads, as `_files`: given weights, a fitted observer; or nothing."""
        stage = self.graph.get(name)
        if stage is None or stage.arm is None:
            return ""
        path = None
        if stage.kind == "pretrain":
            path = stage.arm.settings(self.settings).denoiser.weights
        elif stage.kind == "evaluate":
            path = self.settings.observers.human
        if path is None:
            return ""
        return sha256_of(Path(path)) or str((read_record(self.path, name) or {}).get("files", ""))

    @cached_property
    def _files_here(self) -> str:
        return simulation_inputs(self.settings)

    def run_stage(
        self, name: str, work: Callable[[], None], outputs: Sequence[Path], depends_on: Sequence[str] = ()
    ) -> bool:
        """Do a stage unless it is done, and say whether it was to do.

        `work` writes all of `outputs`, each whole or not at all. When a stage of `depends_on` was done anew, so is
        this; a `UserError` if one is not done, was done from other inputs than it would have now, or lost some of its
        output.
        """
        if self.is_done(name, outputs, depends_on):
            return False
        known: set[str] = set()
        for stage in depends_on:
            self.require(stage, known)
        start = time.perf_counter()
        work()
        wall = time.perf_counter() - start
        record = {
            "key": self.key(name, depends_on),
            "wall_s": round(wall, 2),
            "finished": datetime.now(UTC).isoformat(timespec="microseconds"),
            "depends_on": list(depends_on),
            "bytes": self._sizes(outputs),
            "digests": digests_of(self.path, self._sizes(outputs)),
            "version": __version__,
            "commit": commit(),
            "device": str(self.device),
            "n_threads": torch.get_num_threads(),
        }
        if files := self._files() if name == "simulate" else self._file_of(name):
            record["files"] = files
        write_record(self.path, name, record)
        return True

    def outdated(self, stage: str) -> str | None:
        """Say why a stage that is on record cannot be built on.

        None if it can, or if it is not on record. It cannot if another version of taskct did it, or if the images that
        the trials are made of have changed since. It is not done anew without being asked for.
        """
        record = read_record(self.path, stage)
        if record is None:
            return None
        version = record.get("version") or self._version_told
        if version is not None and version != __version__:
            return f"was done by taskct {version}, and this is {__version__}: go on with that one"
        if stage == "simulate" and self._files_changed(record):
            paths = [
                f"background.{name}" for name in ("path", "organs_path") if getattr(self.settings.background, name)
            ]
            return (
                f"was done from other files: what {' and '.join(paths)} names has changed since (names, sizes or times "
                "of change); put back what was there"
            )
        return None

    def _files_changed(self, record: dict[str, Any]) -> bool:
        """Whether the files are all that differs since the trials were made."""
        files = str(record.get("files", ""))
        then = stage_key("simulate", __version__, self._inputs.of(self.graph["simulate"]), files, [])
        return record["key"] == then and files != self._files()

    @cached_property
    def _version_told(self) -> str | None:
        """The version that `provenance.json` tells of, for records that have none."""
        try:
            told = read_json(self.path / "provenance.json")
        except UserError:
            return None
        return str(told["taskct_version"]) if isinstance(told, dict) and "taskct_version" in told else None

    def check_kept(self, stage: Stage) -> None:
        """Raise a `UserError` if doing a stage would overwrite trials or a training that another version made."""
        if stage.kind in KEPT and (why := self.outdated(stage.name)) is not None:
            raise UserError(f"{self.path}: the stage {stage.name!r} {why}, or choose another --out folder")

    def require(self, stage: str, known: set[str] | None = None) -> None:
        """Raise a `UserError` that names the command to give, unless a stage and all before it are done and up to date.

        Stages that are `known` to be so are not checked again; those found now are added.
        """
        known = set() if known is None else known
        if stage in known:
            return
        record = read_record(self.path, stage) or {}
        before = record.get("depends_on") or []
        for earlier in before:
            self.require(earlier, known)
        if not record:
            state = "is not done"
        elif (why := self.outdated(stage)) is not None:
            raise UserError(f"{self.path}: the stage {stage!r} {why}, or do the study anew in another folder")
        elif record["key"] != self.key(stage, before):
            state = "is out of date: what it builds on was done anew, or another version did it"
        elif (changed := changed_output(self.path, record)) is not None:
            # A file of the size that it had stands for a stage that is done, until it is gone.
            state = f"is not whole any more ({changed} has changed); put back a copy, or delete it, and then"
        else:
            known.add(stage)
            return
        kind = self.graph[stage].kind if stage in self.graph else "finetune"
        if kind == "import":
            name = stage.removeprefix("import=")
            raise UserError(
                f"{self.path}: the images of {name} are not there, or not those of these trials: `taskct export "
                f"{self.path} DIR` writes what it is to denoise, and `taskct import {self.path} DIR --name {name}` "
                "takes its images back"
            )
        command = {"simulate": "simulate", "evaluate": "evaluate", "results": "evaluate"}.get(kind, "train")
        end = "" if state.endswith("then") else ";"
        raise UserError(f"{self.path}: the stage {stage!r} {state}{end} `taskct {command}` or `taskct run` does it")

    def free_bytes(self) -> int:
        """Space left on the disk that holds the folder, or would."""
        there = next(folder for folder in (self.path, *self.path.absolute().parents) if folder.exists())
        return shutil.disk_usage(there).free


def changed_output(folder: Path, record: Mapping[str, Any]) -> str | None:
    """An output of a stage, as its record names it, that is not any more what the stage left; None if all are.

    A missing file or another size shows at once; then contents count. Records of earlier versions have sizes alone.
    """
    sizes, digests = record.get("bytes") or {}, record.get("digests") or {}
    for name, size in sizes.items():
        if size_of(folder / name) != size:
            return str(name)
    found = digests_of(folder, digests)
    return next((str(name) for name, digest in digests.items() if found.get(name) != digest), None)


def check_model(path: Path) -> None:
    """Refuse weights of a run folder, or their card, that are not any more what their training left, by its record."""
    place = path.absolute().parent
    names = [f"models/{one.name}" for one in (path, path.with_suffix(".json"))]
    if place.name != "models" or not (place.parent / "stages").is_dir():
        return
    found = digests_of(place.parent, names)
    for record in read_records(place.parent).values():
        for name in names:
            if (record.get("digests") or {}).get(name, found[name]) != found[name]:
                raise UserError(
                    f"{path.parent / Path(name).name} has changed since it was trained; put back a copy, or delete it "
                    "and `taskct train` makes it anew"
                )


def size_of(path: Path) -> int | None:
    """Bytes in a file, or in all files of a folder; None if there is neither."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size if path.is_file() else None


def ended(run: RunFolder) -> list[str]:
    """Names of the evaluations that are done, in order: those that the result files are made of."""
    return [stage.name for stage in run.graph.values() if stage.kind == "evaluate" and run.has(stage)]
