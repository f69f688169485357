"""Real servers of reading studies, each in a process of its own, for tests."""

import contextlib
import multiprocessing
import os
import resource
import signal
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from reading_client import HttpAsker, PageClient
from taskct.cli.stopping import stoppable
from taskct.reading_room.serve import serve

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["taskct.reading_room.app", "taskct.reading_room.serve", "uvicorn", "uvicorn.protocols.http.h11_impl"]
)
WAIT_S = 60


@dataclass
class Running:
    """A server that runs."""

    process: multiprocessing.Process
    port: int
    address: str
    askers: list = field(default_factory=list)

    def asker(self):
        self.askers.append(HttpAsker(self.port))
        return self.askers[-1]

    def page(self, study, reader="reader-1"):
        p = study.protocol
        return PageClient(self.asker(), study.links.readers[reader], (p.height, p.width))

    def kill(self, number=signal.SIGKILL):
        for asker in self.askers:
            asker.close()
        os.kill(self.process.pid, number)
        self.process.join(WAIT_S)


def start(path, said=None, largest=None, **options):
    """Start a server on a free port; `said` is a file for what it prints, `largest` bytes of any file it writes."""
    here, there = _FORKS.Pipe(duplex=False)
    process = _FORKS.Process(target=_serve, args=(path, there, said, largest, options), daemon=True)
    process.start()
    there.close()
    if not here.poll(WAIT_S):
        process.kill()
        raise AssertionError("the server did not start")
    try:
        address = here.recv()
    except EOFError:
        process.join(WAIT_S)
        raise AssertionError(f"the server ended with {process.exitcode}") from None
    return Running(process, int(address.rsplit(":", 1)[1]), address)


@contextmanager
def running(path, **options):
    """A server that runs until the block ends."""
    server = start(path, **options)
    try:
        yield server
    finally:
        server.kill(signal.SIGTERM)


def _serve(path: Path, pipe, said, largest, options):
    if said is not None:
        with said.open("ab") as out:
            for number in (1, 2):
                os.dup2(out.fileno(), number)
    if largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    with contextlib.suppress(KeyboardInterrupt), stoppable():  # as the command line does
        serve(path, port=0, announce=lambda study, address: pipe.send(address), **options)
