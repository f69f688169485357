"""The workers of a Dask cluster as a crew: each is asked for its versions before it is given a stage.

Whoever reaches the ports of a Dask cluster can run code on it; TLS with certificates of one's own keeps strangers out.
"""

import asyncio
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from taskct.errors import UserError
from taskct.sweep.executors import Crew

P = ParamSpec("P")
T = TypeVar("T")

CONNECT_S = 8.0
"""Seconds after which a scheduler that does not answer is given up."""

ANSWER_S = 60.0
"""Seconds after which a scheduler that did answer once is given up; a busy one may take long."""

ASK_EVERY_S = 0.4

SAME = ("python", "taskct", "torch")
"""What a worker must have in the same version as this process."""

GONE = "finished stages stay, and the same command goes on with what is not done"


def dask_crew(address: str, device: str) -> Crew:
    """The workers of the Dask cluster at an address, who compute on a device as `resolve_device` has it.

    The address is `dask://HOST:PORT`, or `tls://HOST:PORT` for a cluster with TLS, whose certificates are told by
    Dask's own settings `distributed.comm.tls`. A `dask://` address means TLS too where those settings demand it.

    A worker that would do several stages at once, or has another version of Python, taskct or torch, is told of and
    given no stage, also one that comes later. A `UserError` if all that are there at first are such, if `distributed`
    is missing, or if nothing answers there.
    """
    cluster = DaskCluster(_connect(address), address)
    try:
        cluster.look_around(first=True)
    except BaseException:
        cluster.close()
        raise
    return Crew(lambda: cluster, None, None, device, check=cluster.check, explain=cluster.explain, stop=cluster.stop)


def _connect(address: str) -> Any:  # noqa: ANN401 - a Client, whose package may be missing
    """A client of the scheduler at an address."""
    scheme, _, place = address.partition("://")
    host, _, port = place.rpartition(":")
    if scheme not in ("dask", "tls") or not port.isdecimal() or not host:
        raise UserError(
            f"--executor {address}: write dask://HOST:PORT, the address of a Dask scheduler, or tls://HOST:PORT"
        )
    try:
        import dask
        from distributed import Client, Security
        from distributed.comm.core import connect
    except ImportError as error:
        raise UserError(
            f"--executor {address} needs the package distributed ({error}): pip install 'taskct[cluster]'"
        ) from error
    for name in list(logging.root.manager.loggerDict):  # their tracebacks, where one line of ours says the same
        if name.partition(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    tls = scheme == "tls" or dask.config.get("distributed.comm.default-scheme") == "tls"
    tls = tls or bool(dask.config.get("distributed.comm.require-encryption"))
    there = f"{'tls' if tls else 'tcp'}://{place}"
    make: Any = Client
    security: Any = Security
    open_comm: Any = connect  # all untyped

    async def reach() -> None:  # a client that finds nobody ends in a traceback later
        comm = await open_comm(there, timeout=CONNECT_S, **security().get_connection_args("client"))
        await comm.close()

    try:
        with ThreadPoolExecutor(max_workers=1) as apart:  # a notebook's own thread runs a loop already
            apart.submit(lambda: asyncio.run(reach())).result()
        return make(there, timeout=CONNECT_S, set_as_default=False)
    except Exception as error:  # whatever listens there, and whatever the certificates are
        why = " ".join(str(error).split())[:100] or type(error).__name__
        advice = (
            "start one with `dask scheduler`, and workers with `dask worker`, and tell Dask's settings "
            "distributed.comm.tls of the certificates"
            if tls
            else "start one with `dask scheduler`, and workers with `dask worker`; one with TLS is tls://HOST:PORT"
        )
        raise UserError(f"--executor {address}: no Dask scheduler answers there ({why}); {advice}") from error


class SchedulerLostError(Exception):
    """The scheduler no longer knows of a stage that it was given."""


class DaskCluster(Executor):
    """Gives each worker that has the right versions one call at a time.

    The queue is here and not in the scheduler, which would give a stage to any worker that comes.
    """

    def __init__(self, client: Any, address: str) -> None:  # noqa: ANN401 - a Client
        self.client, self.address = client, address
        self._queue: list[tuple[Callable[[str], Any], Future[Any]]] = []
        self._at_work: dict[str, tuple[Any, Future[Any]]] = {}
        """By worker: Dask's future and ours."""
        self._problems: dict[str, str] = {}
        """By worker: why it is given nothing; "" for those that may work."""
        self._alone = False
        self._asked = 0.0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a function called by the first worker that is free."""

        def send(worker: str) -> Any:  # noqa: ANN401 - Dask's future
            return self.client.submit(fn, *args, **kwargs, workers=[worker], allow_other_workers=False, pure=False)

        answer: Future[T] = Future()
        self._queue.append((send, answer))
        self._give_out()
        return answer

    def listen(self, topic: str, hear: Callable[[tuple[float, Any]], None]) -> None:
        """Have a function called with each event of a topic that a worker tells of: its time, and what is told."""
        with self._there():
            self.client.subscribe_topic(topic, hear)

    def check(self) -> None:
        """See who is there, and give out what waits; a `UserError` if the scheduler is gone."""
        if time.monotonic() - self._asked > ASK_EVERY_S:
            self.look_around()
        self._give_out()

    def look_around(self, *, first: bool = False) -> None:
        """Learn which workers came and went; at first, a `UserError` if there are some and none is fit."""
        n_threads: dict[str, int] = self._ask(lambda scheduler: scheduler.ncores())
        self._asked = time.monotonic()
        for gone in self._problems.keys() - n_threads.keys():
            del self._problems[gone]
        for gone in self._at_work.keys() - n_threads.keys():
            dask_future, answer = self._at_work.pop(gone)
            if not answer.done():
                answer.set_exception(BrokenExecutor("the worker is gone"))
                dask_future.cancel()
        if new := [name for name in n_threads if name not in self._problems]:
            self._examine(new, n_threads, alone=first)
        alone = not any(problem == "" for problem in self._problems.values())
        if alone and not self._alone:
            warnings.warn(f"the scheduler at {self.address} has no worker that fits: stages wait for one", stacklevel=2)
        self._alone = alone

    def _examine(self, new: list[str], n_threads: dict[str, int], *, alone: bool) -> None:
        """Find out which of these workers are fit; `alone` if there are no others, and one of them must be."""
        from distributed.versions import get_versions

        here = _versions(get_versions(SAME[1:]))
        # An operation of Dask's own, which a worker without taskct understands too.
        question = {"op": "versions", "packages": list(SAME[1:])}
        told = self._ask(lambda scheduler: scheduler.broadcast(msg=question, workers=new, on_error="ignore"))
        # Who does not answer is gone again, or busy, and is asked once more.
        found = {name: _problem(here, _versions(told[name]), n_threads[name]) for name in new if name in told}
        unfit = {name: problem for name, problem in found.items() if problem}
        if alone and unfit and len(unfit) == len(found):
            name, problem = next(iter(unfit.items()))
            raise UserError(f"--executor {self.address}: the worker {name} {problem}")
        for name, problem in unfit.items():
            warnings.warn(f"the worker {name} is given no stage: it {problem}", stacklevel=2)
        self._problems |= found

    def _give_out(self) -> None:
        for worker, problem in self._problems.items():
            if not self._queue:
                return
            if problem or (worker in self._at_work and not self._at_work[worker][1].done()):
                continue
            send, answer = self._queue.pop(0)
            with self._there():
                dask_future = send(worker)
                self._at_work[worker] = dask_future, answer
                dask_future.add_done_callback(_pass_on(answer))

    def _ask(self, question: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - what the scheduler says
        """What the scheduler answers, within `ANSWER_S`."""
        with self._there():
            return self.client.sync(lambda: question(self.client.scheduler), callback_timeout=ANSWER_S)

    @contextmanager
    def _there(self) -> Iterator[None]:
        """Whatever goes wrong with the scheduler: closed, cut off, too late. Dask has an error for each."""
        try:
            yield
        except Exception as error:
            raise UserError(f"--executor {self.address}: the scheduler is gone; {GONE}") from error

    def explain(self, error: BaseException) -> str | None:
        """What an error of the cluster means, in words; None if it is none."""
        if isinstance(error, BrokenExecutor):
            return "its worker died or was cut off, perhaps for want of memory: give the workers more of it"
        if isinstance(error, SchedulerLostError):
            return f"the scheduler at {self.address} is gone or was started anew"
        return None

    def stop(self, finished: bool) -> None:
        """Let go of the cluster; what its workers are at ends there, and is kept."""
        if not finished:
            for dask_future, answer in self._at_work.values():
                if not answer.done():
                    dask_future.cancel()
        self.close()

    def close(self) -> None:
        """Close the connection; that it cannot be closed well, since nobody is there, matters no more."""
        try:
            self.client.close(timeout=CONNECT_S)
        except Exception as error:
            logging.getLogger(__name__).debug("closing the client: %s", error)


def _pass_on(answer: Future[Any]) -> Callable[[Any], None]:
    """What sets our future as Dask's has ended."""
    from distributed import KilledWorker

    def set_answer(dask_future: Any) -> None:  # noqa: ANN401 - Dask's future
        if answer.done():  # its worker is gone, and somebody else is at it
            return
        try:
            if dask_future.status in ("cancelled", "lost"):
                raise CancelledError
            answer.set_result(dask_future.result())
        except KilledWorker as error:
            answer.set_exception(BrokenExecutor(str(error)))
        except CancelledError:
            answer.set_exception(SchedulerLostError("cancelled"))
        except Exception as error:
            answer.set_exception(error)

    return set_answer


def _versions(told: dict[str, Any]) -> dict[str, str | None]:
    """By name of `SAME`: the version, of Python its first two numbers; None where it is missing."""
    packages = told["packages"]
    return {name: packages.get(name) for name in SAME} | {"python": ".".join(packages["python"].split(".")[:2])}


def _problem(here: dict[str, str | None], there: dict[str, str | None], n_threads: int) -> str:
    """Why a worker is not fit, in words that follow its name; "" if it is.

    Examples
    --------
    >>> here = {"python": "3.12", "taskct": "1.0", "torch": "2.6"}
    >>> _problem(here, here, 1), _problem(here, {**here, "torch": "2.7"}, 1)
    ('', 'has torch 2.7 and this is 2.6: install the same version on all workers')
    """
    if n_threads > 1:
        return (
            f"has {n_threads} threads and would take as many stages at once; start workers with --nthreads 1, and give "
            "--threads N for the threads of a stage"
        )
    for name in SAME:
        if there[name] is None:
            return f"has no {name}: install it there, in the version of this machine ({here[name]})"
        if there[name] != here[name]:
            return f"has {name} {there[name]} and this is {here[name]}: install the same version on all workers"
    return ""
