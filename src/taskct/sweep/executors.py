"""Who does the stages: this process, a pool of processes on this machine, or the workers of a Dask cluster.

All are reached through the standard `concurrent.futures.Executor`; what travels to a worker is a path, a name, a device
and a number.
"""

import contextlib
import errno
import multiprocessing
import os
import platform
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch
from filelock import FileLock

from taskct.denoisers.import_path import trust_network, trusted_networks
from taskct.errors import UserError, memory_wanted
from taskct.files import whole_file
from taskct.machine import WorkerPool, n_cores, resolve_device, threads
from taskct.progress import Progress
from taskct.simulation.simulate import simulate_store, trials_bytes
from taskct.study.evaluate import evaluate_arm
from taskct.study.graph import Stage
from taskct.study.models import save_blend
from taskct.study.records import log, stage_path
from taskct.study.result_files import write_results
from taskct.study.run_folder import RunFolder, ended, size_of
from taskct.study.train import train_arm
from taskct.sweep.object_store import check_url
from taskct.training.parallel import is_first, n_processes
from taskct.training.record import TrainingFailed

P = ParamSpec("P")
T = TypeVar("T")

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LESS: dict[str, str] = {
    "simulate": "lower scanner.n_views, scanner.n_bins or scanner.object_pixels",
    "results": "lower trials.n_test or evaluation.n_bootstrap",
    **dict.fromkeys(("pretrain", "finetune", "tune"), "lower training.batch_size or trials.n_train"),
    **dict.fromkeys(("blend", "evaluate"), "lower trials.n_fresh and trials.n_test"),
}
"""How a stage takes less memory, by its kind."""

QUIET = (DeprecationWarning, PendingDeprecationWarning, ResourceWarning, ImportWarning)
TELL_EVERY_S = 0.5

_one_at_a_time = threading.Lock()
"""Of a process: torch's threads and its global random state serve one stage."""


@dataclass(frozen=True)
class Machine:
    """What a sweep may use."""

    workers: int | None = 1
    """Stages, and processes that simulate, at a time; None for one a core, or one a GPU."""
    threads: int | None = None
    """Threads of every stage; None to share those of this machine out fairly, or for 1 on a cluster."""
    executor: str | None = None
    """Address of a Dask scheduler, `dask://HOST:PORT` or `tls://HOST:PORT`; None for this machine."""
    store: str | None = None
    """URL by which files travel to and from workers that do not see the run folder; None where all see it."""
    device: str | None = None
    """Where workers of a cluster compute, as `resolve_device` has it; None for the run folder's own."""

    def __post_init__(self) -> None:
        """Refuse a store without a cluster, and a URL that tells a secret."""
        if self.store is not None:
            check_url(self.store)
            if self.executor is None:
                raise UserError("--store is for the workers of a cluster: give --executor with it")


def do_stage(run_path: str, name: str, device: str, n_threads: int, trusted: tuple[str, ...] = ()) -> dict[str, Any]:
    """Do one stage of a run folder in a worker process, unless it is done.

    The folder is given as this worker sees it, the device as `resolve_device` has it. Returns `did` (whether it was
    still to do), `problem` (why a training went wrong, or None) and `notes` (warnings). A `UserError` if the folder is
    not to be seen from here, or the stage cannot be done.
    """
    folder = Path(run_path)
    if not (folder / "study.yaml").is_file():
        raise UserError(
            f"the worker on {platform.node()} does not see the run folder {folder}: give --out as a path on a disk "
            "that all workers share, or --store with a URL that all reach"
        )
    tell = ProgressFile(stage_path(folder, name, ".progress"))
    return do_in_folder(lambda: RunFolder(folder, None, device=resolve_device(device)), name, n_threads, trusted, tell)


def do_in_folder(
    open_run: Callable[[], RunFolder], name: str, n_threads: int, trusted: tuple[str, ...], tell: Progress
) -> dict[str, Any]:
    """Do one stage of a folder that is opened here; the answer, and what an error becomes, are those of `do_stage`."""
    with _one_at_a_time, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        try:
            trust_network(*trusted)
            run = open_run()
            # A worker that may not have children simulates alone.
            workers = 1 if multiprocessing.current_process().daemon else n_threads
            answer = do_here(run, name, n_threads, workers=workers, progress=tell)
        except Exception as error:  # whatever it is, it must survive the way back
            raise _portable(error) from None
    notes = list(dict.fromkeys(str(one.message) for one in caught if not issubclass(one.category, QUIET)))
    for note in notes:  # a run folder must tell later, too, what was said of its figures
        log(run.path, "note", name, note=note)
    return {**answer, "notes": notes}


def submit_by_path(
    executor: Executor, run: RunFolder, stage: Stage, device: str, n_threads: int
) -> Future[dict[str, Any]]:
    """Have a stage done by a worker that sees the run folder."""
    return executor.submit(do_stage, str(run.path.resolve()), stage.name, device, n_threads, trusted_networks())


@dataclass
class Crew:
    """Those who do the stages of one sweep."""

    start: Callable[[], Executor]
    """Makes the executor; called again when its processes have died."""
    slots: list[str] | None
    """Device of each stage that may run at a time; None where the executor itself queues what it is given."""
    n_threads: int | None
    """Threads that what runs at a time may have together; None where they are not this machine's."""
    device: str
    """Where stages run when there are no slots."""
    does_here: Callable[[Stage], bool] = lambda stage: False
    """Whether a stage runs in this process, where progress needs no files."""
    submit: Callable[[Executor, RunFolder, Stage, str, int], Future[dict[str, Any]]] = submit_by_path
    """Has the executor do a stage of a run on a device with so many threads."""
    check: Callable[[], None] = lambda: None
    """Called now and then while stages are waited for; raises a `UserError` when they can never end."""
    explain: Callable[[BaseException], str | None] = lambda error: None
    """What an error of the executor itself means, in words; None if it is none."""
    stop: Callable[[bool], None] = lambda finished: None
    """Lets go of everything; stages that still run are ended where that can be done."""


def before(run: RunFolder, stage: Stage) -> tuple[str, ...]:
    """What a stage builds on: the result files on the evaluations that have ended."""
    return ("simulate", *ended(run)) if stage.kind == "results" else stage.depends_on


def do_here(
    run: RunFolder, name: str, n_threads: int, *, workers: int = 1, progress: Progress | None = None
) -> dict[str, Any]:
    """Do one stage in this process, unless it is done; as `do_stage`, but for notes.

    Whoever else has begun it is waited for: the lock goes with the process that holds it, and nothing is done twice.
    """
    stage = run.graph[name]
    depends_on = before(run, stage)
    answer: dict[str, Any] = {"did": False, "problem": None, "notes": []}
    first = is_first() or n_processes() == 1
    (run.path / "stages").mkdir(exist_ok=True)
    with FileLock(stage_path(run.path, name, ".lock")) if first else contextlib.nullcontext(), threads(n_threads):
        if n_processes() == 1 and run.has(stage, depends_on):
            return answer
        if not first:  # the first of several processes that train together keeps the record, and does the rest alone
            try:
                if stage.kind in ("pretrain", "finetune"):
                    work_of(run, stage, workers=workers, progress=progress)
            except TrainingFailed as error:
                return {**answer, "problem": str(error)}
            return {**answer, "did": True}
        log(run.path, "start", name)
        try:
            outputs = [run.path / output for output in stage.outputs]
            run.run_stage(name, lambda: work_of(run, stage, workers=workers, progress=progress), outputs, depends_on)
        except TrainingFailed as error:
            log(run.path, "failed", name, problem=str(error))
            return {**answer, "problem": str(error)}
        except Exception as error:
            if isinstance(error, UserError) or (wanted := memory_wanted(error)) is None:
                raise
            raise UserError(f"{name}: out of memory{wanted}; {LESS[stage.kind]}, or give fewer --workers") from error
        finally:
            stage_path(run.path, name, ".progress").unlink(missing_ok=True)
        log(run.path, "end", name)
        if stage.kind in ("pretrain", "finetune") and stage.arm is not None:
            # Not before the stage is on record: a kill in between must cost nothing.
            run.state(stage.arm.weights_stem).unlink(missing_ok=True)
    return {**answer, "did": True}


def work_of(run: RunFolder, stage: Stage, *, workers: int = 1, progress: Progress | None = None) -> None:
    """Do a stage of the graph; whoever calls it sees that it is to be done and keeps its record.

    The stages that it builds on are done; `workers` are processes that simulate. `TrainingFailed` if a training came to
    nothing, as when a loss is not finite; a `UserError` if something it needs is missing or cannot be used.
    """
    if stage.kind == "simulate":
        check_space(run)
        simulate_store(run.trials, run.settings, device=run.device, workers=workers, progress=progress)
    elif stage.kind == "results":
        write_results(run, progress=progress)
    elif stage.arm is None:
        raise ValueError(f"the stage {stage.name!r} has no arm")
    elif stage.kind == "blend":
        save_blend(run, stage.arm)
    elif stage.kind == "evaluate":
        keep_images = any(name.endswith(".images.npz") for name in stage.outputs)
        evaluate_arm(run, stage.arm, keep_images=keep_images, progress=progress)
    else:
        train_arm(run, stage.arm, progress=progress)


def check_space(run: RunFolder) -> None:
    """Raise a `UserError` if the disk has no room for the trials."""
    needed = trials_bytes(run.settings)
    there = size_of(run.trials.with_name("trials.partial")) or 0
    if run.free_bytes() + there < 1.2 * needed:
        raise UserError(
            f"the trials need {needed / 1e6:.0f} MB but {run.path} has {run.free_bytes() / 1e6:.0f} MB free: "
            "make room, or lower the numbers in trials"
        )


class ProgressFile:
    """Tells whoever reads the file how far a stage is; called as (done, in all, detail)."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._told = 0.0

    def __call__(self, done: int, total: int, detail: str) -> None:
        """Write it, at most twice a second."""
        now = time.monotonic()
        if now - self._told < TELL_EVERY_S:
            return
        self._told = now
        with whole_file(self.file, durable=False) as partial:
            partial.write_text(f"{done} {total} {detail}", encoding="utf-8")


def read_progress(file: Path) -> tuple[int, int, str] | None:
    """What a `ProgressFile` has told last; None if nothing, or nothing that can be read."""
    try:
        done, total, detail = file.read_text(encoding="utf-8").split(" ", 2)
        return int(done), int(total), detail
    except (OSError, ValueError):
        return None


def _portable(error: Exception) -> Exception:
    """An error that can be sent to another process, and there says the same."""
    if isinstance(error, UserError):
        return UserError(str(error))
    link: BaseException | None = error
    while link is not None:  # what a library's own words hide: causes do not travel
        if isinstance(link, OSError) and link.errno in FULL:
            return OSError(link.errno, os.strerror(link.errno))
        link = link.__cause__ or link.__context__
    if type(error).__module__ == "builtins":
        return error
    plain = RuntimeError(f"{type(error).__name__}: {error}")  # a library's error may not survive the journey
    plain.add_note("".join(traceback.format_exception(error)))
    return plain


class InProcess(Executor):
    """Does what it is given at once, in this process."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function and hold its result."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # it is raised again where the result is asked for
            future.set_exception(error)
        return future


def devices_of(device: torch.device) -> list[str]:
    """The devices that workers take in turn: every GPU for "cuda", the very device for any other."""
    if device.type == "cuda" and device.index is None and torch.cuda.device_count() > 1:
        return [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return [str(device)]


def n_workers(machine: Machine, device: torch.device) -> int:
    """Stages that may run at a time on this machine."""
    devices = devices_of(device)
    return machine.workers or (len(devices) if device.type == "cuda" else n_cores())


def local_crew(device: torch.device, workers: int) -> Crew:
    """The present process for one worker, else a pool of processes."""
    devices, n_threads = devices_of(device), torch.get_num_threads()
    if workers == 1:
        return Crew(InProcess, [str(device)], n_threads, str(device), does_here=lambda stage: True)
    pools: list[WorkerPool] = []

    def start() -> Executor:
        pools.append(WorkerPool(workers))
        return pools[-1]

    def explain(error: BaseException) -> str | None:
        lost = isinstance(error, BrokenExecutor) and pools
        return f"its process {pools[-1].why_broken()}: give fewer --workers" if lost else None

    def stop(finished: bool) -> None:
        for pool in pools:
            if finished:
                pool.shutdown(wait=True)
            else:
                pool.kill()

    slots = [devices[index % len(devices)] for index in range(workers)]

    def simulates(stage: Stage) -> bool:  # by processes of its own, started from this one
        return stage.kind == "simulate"

    return Crew(start, slots, n_threads, str(device), does_here=simulates, explain=explain, stop=stop)
