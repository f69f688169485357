"""The machine: its devices, cores and threads, and the processes that work on it."""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.process import BaseProcess
from typing import ParamSpec, TypeVar

import torch
from threadpoolctl import threadpool_limits

from taskct.errors import UserError

P = ParamSpec("P")
T = TypeVar("T")


def resolve_device(name: str) -> torch.device:
    """The device for "auto", "cpu", "cuda" or "cuda:N"; on CUDA, torch is told to be exact and deterministic.

    Raises
    ------
    UserError
        If there is no such CUDA device, or the name is unknown.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (":" in name and not (kind == "cuda" and number.isdecimal())):
        raise UserError(f"--device {name}: choose auto, cpu or cuda")
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise UserError(f"--device {name}: torch sees no CUDA device here; use --device cpu or auto")
        if number and int(number) >= torch.cuda.device_count():
            raise UserError(f"--device {name}: there are {torch.cuda.device_count()} CUDA devices, counted from 0")
        # The one place: the same algorithms in every session, and float32 means float32, not TF32. What runs in
        # bfloat16 does not see the latter.
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
    return torch.device(name)


@contextlib.contextmanager
def threads(n_threads: int) -> Iterator[None]:
    """Let torch, NumPy and SciPy have this many threads within."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        # NumPy's and SciPy's libraries count their threads on their own.
        with threadpool_limits(n_threads):
            yield
    finally:
        torch.set_num_threads(before)


M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
"""Parameters of glibc's mallopt."""
KEPT_BYTES, STEP_BYTES, LARGEST_BYTES = 2**31 - 1, 2**26, 2**25
"""Free memory that is kept, what is asked for at a time, and the largest block that glibc keeps."""


@contextlib.contextmanager
def memory_kept() -> Iterator[None]:
    """Let memory that is freed stay with this process within, and go back to the system at the end.

    Work that takes and frees arrays of some MB over and over, as the layers of a network do, otherwise has the system
    hand over and clear every page anew. For glibc; elsewhere nothing is changed.
    """
    library = ctypes.CDLL(None) if os.name == "posix" else None
    if library is None or not (hasattr(library, "mallopt") and hasattr(library, "malloc_trim")):
        yield
        return
    settings = {M_MMAP_THRESHOLD: LARGEST_BYTES, M_TRIM_THRESHOLD: KEPT_BYTES, M_TOP_PAD: STEP_BYTES}
    for parameter, value in settings.items():
        library.mallopt(parameter, value)
    try:
        yield
    finally:
        # As glibc itself ends up with once blocks of that size were freed.
        library.mallopt(M_TRIM_THRESHOLD, 2 * LARGEST_BYTES)
        library.mallopt(M_TOP_PAD, 0)
        library.malloc_trim(0)


PARENT_HEARS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name))
"""Signals that workers leave to their parent."""


class WorkerPool(ProcessPoolExecutor):
    """Processes on this machine that end with this one, even one that was killed, and leave interruptions to it."""

    def __init__(self, workers: int, initializer: Callable[..., None] | None = None, *arguments: object) -> None:
        # Forking a process whose torch has started its threads may hang: start fresh ones.
        context = multiprocessing.get_context("spawn")
        with _unheard():  # Python's own helper process, which is started here too
            super().__init__(workers, context, initializer=_as_worker, initargs=(initializer, arguments))
        self._others = set(multiprocessing.active_children())
        self._own: set[BaseProcess] = set()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As every executor's; processes that it starts never see an interruption, not even while they start."""

        def start() -> Future[T]:
            with _unheard():
                future = super(WorkerPool, self).submit(fn, *args, **kwargs)
            self._own |= set(multiprocessing.active_children()) - self._others
            return future

        # In a thread of its own: an interruption of this one would leave a process half started.
        with ThreadPoolExecutor(1) as starter:
            return starter.submit(start).result()

    def kill(self) -> None:
        """End the processes whatever they do."""
        for child in self._own:
            child.kill()
        self.shutdown(wait=True, cancel_futures=True)

    def why_broken(self) -> str:
        """How the process ended that broke the pool, in words."""
        codes = []
        for child in self._own:
            child.join(1.0)
            codes.append(child.exitcode)
        if -signal.SIGKILL in codes:
            return "was killed (SIGKILL), as the system does where memory is short"
        # The pool itself ends the others by SIGTERM.
        signals = [signal.Signals(-code).name for code in codes if code and code < 0 and code != -signal.SIGTERM]
        return f"crashed ({signals[0]})" if signals else "was ended"


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """Processes that are started within do not hear Ctrl-C nor the end of a session; their parent hears it after."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PARENT_HEARS)  # which a new process inherits
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _as_worker(initializer: Callable[..., None] | None, arguments: tuple[object, ...]) -> None:
    for number in PARENT_HEARS:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()
    if initializer is not None:
        initializer(*arguments)


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
