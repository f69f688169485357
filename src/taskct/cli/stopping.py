"""Signals that end a command, and standard streams that are closed: no traceback, and nothing left running."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

TIDY_S = 5.0
"""So long a second signal is not heard, since wrappers and impatience send several; after that it ends all at once."""


class Stopped(KeyboardInterrupt):
    """A signal told the command to end; what tidies up after Ctrl-C does so after it."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.name = signal.Signals(number).name
        self.status = 128 + number
        """Exit status, as shells have it."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise `Stopped` at the first of the signals; those that are ignored, as under `nohup`, stay so.

    Nothing is changed where torchrun started the process, which ends its processes itself.
    """
    heard: list[float] = []

    def hear(number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if heard:
            if now - heard[0] > TIDY_S:
                os._exit(128 + number)
            return
        heard.append(now)
        raise Stopped(number)

    if threading.current_thread() is not threading.main_thread() or "WORLD_SIZE" in os.environ:
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, hear)
    try:
        yield
    finally:
        for number, handler in before.items():  # nor must a second signal disturb the end of the interpreter
            signal.signal(number, signal.SIG_IGN if heard else handler)


def open_standard_streams() -> None:
    """Put the null device where a standard stream was closed (`>&-`), else the next file that is opened takes it."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def flush_output() -> None:
    """Write what standard output still holds; where nobody reads it any more (`| head`), it is let go of."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the interpreter's end
        raise
