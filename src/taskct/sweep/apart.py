"""Stages on machines that share no disk: what a stage builds on travels to its worker, and what it leaves comes back.

The run folder stays with whoever gave the command. A worker does a stage in a folder of its own, which holds the study,
the records and the files of the stages before, fetched by their digests and kept for the next stage. It leaves files in
the store, then a note under the stage's key that tells of them: a stage whose note is there is done, whatever becomes
of the worker or of the command.
"""

import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from taskct.config import to_yaml
from taskct.denoisers.import_path import trusted_networks
from taskct.errors import UserError
from taskct.files import write_text
from taskct.machine import resolve_device
from taskct.progress import Progress
from taskct.reading import digests_of
from taskct.simulation.sources import files_of
from taskct.study.graph import Stage, simulation_inputs
from taskct.study.records import log, read_record, stage_path, write_record
from taskct.study.run_folder import RunFolder
from taskct.study.train import LAST_GOOD
from taskct.sweep.dask_cluster import DaskCluster
from taskct.sweep.executors import TELL_EVERY_S, Crew, ProgressFile, before, do_in_folder
from taskct.sweep.object_store import FilesLostError, Held, ObjectStore

N_BROUGHT = 4
"""Stages whose files are brought back at a time."""


@dataclass(frozen=True)
class Order:
    """A stage, with all that is to be known to do it elsewhere."""

    stage: str
    key: str
    study: str
    """The settings, YAML."""
    records: dict[str, dict[str, Any]]
    """Of every stage before it, and those before them."""
    files: dict[str, Held]
    """What those left, by name in the run folder."""
    store: str
    """URL of the store that holds the files."""
    topic: str
    """Of Dask's events, by which the worker tells how far it is."""


def order_of(run: RunFolder, stage: Stage, *, store: str, topic: str) -> Order:
    """What is to be sent for a stage; a `UserError` if what it builds on is not done, or is not whole any more."""
    depends_on = before(run, stage)
    records: dict[str, dict[str, Any]] = {}
    known: set[str] = set()
    waiting = list(depends_on)
    while waiting:
        name = waiting.pop()
        if name in records:
            continue
        run.require(name, known)
        records[name] = read_record(run.path, name) or {}
        waiting += records[name].get("depends_on") or []
    files = {
        name: (digest, (run.path / name).stat().st_size)
        for record in records.values()
        for name, digest in (record.get("digests") or {}).items()
    }
    return Order(stage.name, run.key(stage.name, depends_on), to_yaml(run.settings), records, files, store, topic)


def is_of(stage: Stage, name: str) -> bool:
    """Whether a file of this name, relative to the run folder, is one that a stage may leave.

    Examples
    --------
    >>> stage = Stage("simulate", "simulate", None, (), ("trials",))
    >>> is_of(stage, "trials/test/noisy.npy"), is_of(stage, "models/a.json"), is_of(stage, "trials/../../b")
    (True, False, False)
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or str(path) != name:
        return False
    places = set(stage.outputs)
    if stage.arm is not None:
        stem = stage.arm.weights_stem
        places |= {f"logs/{stem}.jsonl", f"logs/tensorboard/{stem}"}
        places |= {f"models/{stem}{LAST_GOOD}{end}" for end in (".safetensors", ".json")}
    return any(name == place or name.startswith(place + "/") for place in places)


class RunCopy(RunFolder):
    """A run folder where only what a stage builds on is there, and the user's images are not."""

    def _files(self) -> str:
        record = read_record(self.path, "simulate")
        return simulation_inputs(self.settings) if record is None else str(record.get("files", ""))


def do_stage_apart(
    order: Order, device: str, n_threads: int, trusted: tuple[str, ...] = (), place: Path | None = None
) -> dict[str, Any]:
    """Do a stage in a worker that sees no run folder; as `do_stage`, with what it left in the store.

    `place` is a folder of this worker alone, by default in its Dask worker's own. The answer has `record` and `files`
    too, as the note has; `lost` alone if the store does not hold what the stage builds on.
    """
    store, tell = ObjectStore(order.store), _tell_nobody
    if place is None:
        from distributed import get_worker

        worker: Any = get_worker()
        place = Path(worker.local_directory) / "taskct"
        tell = EventProgress(lambda message: worker.log_event(order.topic, message), order.stage)
    try:
        return _do(order, store, place, device, n_threads, trusted, tell)
    except FilesLostError:
        return {"lost": True}


def _do(
    order: Order, store: ObjectStore, place: Path, device: str, n_threads: int, trusted: tuple[str, ...], tell: Progress
) -> dict[str, Any]:
    # Always the same path: digests that this process knows of files are by path, size and time.
    folder, kept = place / "run", place / "files"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    kept.mkdir(exist_ok=True)
    try:
        wanted = {digest: (digest, size) for digest, size in order.files.values()}
        store.fetch(kept, {digest: held for digest, held in wanted.items() if not (kept / digest).is_file()})
        for name, (digest, _) in order.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.link(kept / digest, folder / name)
        write_text(folder / "study.yaml", order.study)
        for name, record in order.records.items():
            write_record(folder, name, {key: value for key, value in record.items() if key != "stage"})

        def open_copy() -> RunFolder:
            return RunCopy(folder, None, device=resolve_device(device))

        try:
            answer = do_in_folder(open_copy, order.stage, n_threads, trusted, tell)
        except UserError as error:
            raise UserError(str(error).replace(f"{folder}", "the run folder")) from None
        if answer["problem"] is not None:
            answer["problem"] = answer["problem"].replace(f"{folder}/", "")
        stage = open_copy().graph[order.stage]
        found = [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]
        left = [name for name in sorted(found) if name not in order.files and is_of(stage, name)]
        files = {name: (str(d), (folder / name).stat().st_size) for name, d in digests_of(folder, left).items()}
        store.send(folder, files)
        for name, (digest, _) in files.items():
            with contextlib.suppress(FileExistsError):
                os.link(folder / name, kept / digest)
        answer |= {"record": read_record(folder, order.stage), "files": files}
        if answer["problem"] is None:
            store.write_note(order.key, {name: answer[name] for name in ("record", "files", "notes")})
        return answer
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tell_nobody(done: int, total: int, detail: str) -> None:
    """The progress of a stage that nobody watches."""


class EventProgress:
    """Tells how far a stage is by Dask's events; called as (done, in all, detail)."""

    def __init__(self, send: Callable[[dict[str, Any]], None], stage: str) -> None:
        self._send, self._stage = send, stage
        self._told = 0.0
        send({"stage": stage, "pid": os.getpid()})

    def __call__(self, done: int, total: int, detail: str) -> None:
        """Tell it, at most twice a second."""
        if time.monotonic() - self._told >= TELL_EVERY_S:
            self._told = time.monotonic()
            self._send({"stage": self._stage, "done": done, "total": total, "detail": detail})


def crew_apart(crew: Crew, run: RunFolder, url: str) -> Crew:
    """A cluster's crew that sees no run folder: files go by the store at a URL. A `UserError` if it cannot be used.

    What the folder's own machine does: the result files, for which all evaluations are there, and trials of the user's
    own images, which do not travel.
    """
    try:
        store = ObjectStore(url)
        store.check()
        courier = Courier(run, store)
        cluster = crew.start()
        if not isinstance(cluster, DaskCluster):
            raise TypeError("stages travel to the workers of a Dask cluster")
        cluster.listen(courier.topic, courier.hear)
    except BaseException:
        crew.stop(False)
        raise
    own_images = bool(files_of(run.settings))

    def explain(error: BaseException) -> str | None:
        if isinstance(error, FilesLostError):
            return f"what it builds on or left was lost at {url}"
        return crew.explain(error)

    def stop(finished: bool) -> None:
        crew.stop(finished)
        courier.close()

    return replace(
        crew,
        does_here=lambda stage: stage.kind == "results" or (stage.kind == "simulate" and own_images),
        submit=courier.submit,
        explain=explain,
        stop=stop,
    )


class Courier:
    """Sends what stages build on to the store, and brings what they left into the run folder."""

    def __init__(self, run: RunFolder, store: ObjectStore) -> None:
        self.run, self.store = run, store
        self.topic = f"taskct-{secrets.token_hex(8)}"
        self._pool = ThreadPoolExecutor(N_BROUGHT)
        self._tells: dict[str, ProgressFile] = {}
        """Of the stages that are being done."""

    def submit(
        self, executor: Executor, run: RunFolder, stage: Stage, device: str, n_threads: int
    ) -> Future[dict[str, Any]]:
        """Have a stage done by a worker, or take what one has left that ended after its command had gone."""
        order = order_of(run, stage, store=self.store.url, topic=self.topic)
        answer: Future[dict[str, Any]] = Future()
        note = self.store.read_note(order.key)
        if isinstance(note, dict):
            done: Future[dict[str, Any]] = Future()
            done.set_result({"did": True, "problem": None, **note})
        else:
            self.store.send(run.path, order.files)
            self._tells[stage.name] = ProgressFile(stage_path(run.path, stage.name, ".progress"))
            done = executor.submit(do_stage_apart, order, device, n_threads, trusted_networks())

        def bring(done: Future[dict[str, Any]]) -> None:
            try:
                self._pool.submit(self._bring, stage, order, done, answer)
            except RuntimeError:  # the command has ended
                answer.cancel()

        done.add_done_callback(bring)
        return answer

    def _bring(self, stage: Stage, order: Order, done: Future[dict[str, Any]], answer: Future[dict[str, Any]]) -> None:
        """Put what a stage left in its place, its record last, and set the answer of whoever waits."""
        self._tells.pop(stage.name, None)
        try:
            told = done.result()
            if told.get("lost"):
                raise FilesLostError("what the stage builds on")
            take(self.run, stage, order, told, self.store)
        except BaseException as error:
            if isinstance(error, FilesLostError):
                self.store.forget()
                self.store.remove_note(order.key)
            answer.set_exception(error)
        else:
            answer.set_result({name: told[name] for name in ("did", "problem", "notes")})
        finally:
            stage_path(self.run.path, stage.name, ".progress").unlink(missing_ok=True)

    def hear(self, event: tuple[float, Any]) -> None:
        """Keep what a worker tells of its stage where `taskct watch` looks for it."""
        told = event[1]
        tell = self._tells.get(str(told.get("stage")))
        if tell is None:
            return
        if "pid" in told:
            log(self.run.path, "start", str(told["stage"]), pid=int(told["pid"]))
        else:
            tell(int(told["done"]), int(told["total"]), str(told["detail"]))

    def close(self) -> None:
        """Bring what is on its way, and nothing more."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def take(run: RunFolder, stage: Stage, order: Order, told: dict[str, Any], store: ObjectStore) -> None:
    """Fetch the files that a stage left into its run folder, then write its record.

    `FilesLostError` if the store does not hold them, or the record does not describe them; a `UserError` if they are
    not such as the stage leaves.
    """
    files = _checked_files(stage, told.get("files"))
    store.fetch(run.path, files)
    store.note_held(files)
    record, folder = told.get("record"), run.path
    for note in told.get("notes") or []:
        log(folder, "note", stage.name, note=str(note))
    if told.get("problem") is not None:
        log(folder, "failed", stage.name, problem=str(told["problem"]))
        return
    if not isinstance(record, dict) or record.get("key") != order.key:
        raise FilesLostError("the record of the stage")
    write_record(folder, stage.name, {key: value for key, value in record.items() if key != "stage"})
    if not run.has(stage, before(run, stage)):
        raise FilesLostError("the outputs of the stage")
    log(folder, "end", stage.name)
    if stage.arm is not None and stage.kind in ("pretrain", "finetune"):
        run.state(stage.arm.weights_stem).unlink(missing_ok=True)


def _checked_files(stage: Stage, told: object) -> dict[str, Held]:
    """The files that a worker or a note tells of, all of them such as the stage may leave."""
    files: dict[str, Held] = {}
    for name, held in told.items() if isinstance(told, dict) else ():
        if not isinstance(held, Sequence) or len(held) != 2 or not is_of(stage, str(name)):
            raise UserError(f"{stage.name}: the store tells of a file that is none of this stage: {json.dumps(name)}")
        files[str(name)] = str(held[0]), int(held[1])
    return files
