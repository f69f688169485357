"""The machine: its devices, cores and threads, and the processes that work on it."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator

import torch
from threadpoolctl import threadpool_limits

from taskct.errors import UserError


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


def as_worker() -> None:
    """Make this process a worker: its parent ends it, and it ends with its parent, even one that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
