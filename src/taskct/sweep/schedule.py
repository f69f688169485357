"""Doing a graph of stages: each as soon as those that it builds on have ended, by whoever is there to do them."""

import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any, Protocol

from taskct.errors import UserError
from taskct.progress import Progress
from taskct.study.choices import quoted_seed
from taskct.study.graph import Stage
from taskct.study.records import read_failures, stage_path
from taskct.study.run_folder import RunFolder, ended
from taskct.sweep.executors import Crew, InProcess, before, do_here, read_progress
from taskct.training.parallel import agree, is_first, n_processes

MAX_BREAKS = 3
"""How often a stage is begun again because a process died while it ran."""

POLL_S = 0.5


class ProgressDisplay(Protocol):
    """Shows the progress of several stages at once."""

    def open(self, title: str) -> Progress:
        """Begin a stage; the result is called as (done, in all, detail)."""

    def close(self, title: str, *, finished: bool) -> None:
        """End it."""


@dataclass
class Outcome:
    """How a sweep ended."""

    did: list[str] = field(default_factory=list)
    """Stages that were done now, in the order in which they ended."""
    failed: dict[str, str] = field(default_factory=dict)
    """Trainings that went wrong, with the reason."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Stages that were left out, with the failed one that they build on; "" for results that have too little."""

    def lines(self) -> list[str]:
        """One line for every training that went wrong."""
        found = []
        for name, problem in self.failed.items():
            n = sum(because == name for because in self.skipped.values())
            left = ("", "; its evaluation was left out", f"; {n} stages that build on it were left out")[min(n, 2)]
            found.append(f"{problem}{left}")
        return found

    def lost(self, stage: Stage) -> str | None:
        """The failed stage that a stage builds on; None where there is none."""
        return next((self.skipped.get(one, one) for one in stage.depends_on if one in self.failed | self.skipped), None)

    def check(self) -> None:
        """Raise a `UserError` if a training went wrong."""
        if self.failed:
            raise UserError("; ".join(self.lines()))


def run_graph(
    run: RunFolder,
    stages: Sequence[Stage],
    crew: Crew,
    *,
    n_threads: dict[str, int],
    simulators: int = 1,
    show: ProgressDisplay | None = None,
) -> Outcome:
    """Do stages as soon as those that they build on have ended, as many at a time as the crew can.

    A stage outside `stages` must be done, or have failed by `failures.json`. `n_threads` are those of each stage, and
    `simulators` processes simulate. A training that diverged takes the stages that build on it with it; the result
    files are made of the rest. If a stage cannot be done for another reason, a `UserError` ends the others, to go on
    next time.
    """
    todo = {stage.name: stage for stage in stages}
    failed_before = {name: why for name, why in read_failures(run.path).items() if name in run.graph}
    outcome = Outcome(
        failed={name: why for name, why in failed_before.items() if name not in todo and not run.has(run.graph[name])}
    )
    for name, stage in run.graph.items():  # what an earlier training left out, too
        if name not in todo and (root := outcome.lost(stage)) is not None and not run.has(stage):
            outcome.skipped[name] = root
    if n_processes() > 1:  # what is to do is found once, and done by all
        for name in agree(up_to_date(run, stages), run.device):
            del todo[name]
    place = {name: number for number, name in enumerate(todo)}
    sorter = TopologicalSorter({name: [one for one in stage.depends_on if one in todo] for name, stage in todo.items()})
    sorter.prepare()
    ready: list[str] = []
    at_work = _AtWork(run, crew, n_threads, simulators, show)
    finished = False
    try:
        while sorter.is_active():
            while new := sorter.get_ready():
                for name in new:
                    if _needs_no_doing(run, todo[name], outcome):
                        sorter.done(name)
                    else:
                        ready.append(name)
            ready.sort(key=place.__getitem__)
            # The next in line gets what becomes free, however many threads it wants.
            while ready and at_work.has_room(todo[ready[0]]):
                at_work.begin(todo[ready.pop(0)])
            for stage, answer in at_work.wait():
                if answer is None:
                    ready.append(stage.name)
                    place[stage.name] = -1
                    continue
                if answer["problem"] is not None:
                    outcome.failed[stage.name] = answer["problem"]
                elif answer["did"]:
                    outcome.did.append(stage.name)
                sorter.done(stage.name)
        finished = True
    finally:
        crew.stop(finished)
    return outcome


def _needs_no_doing(run: RunFolder, stage: Stage, outcome: Outcome) -> bool:
    """Whether a stage is done, or left out, which is then noted."""
    root = outcome.lost(stage)
    if root is not None and stage.kind != "results":
        outcome.skipped[stage.name] = root
        return True
    if stage.kind == "results" and outcome.failed and not _can_compare(run):
        outcome.skipped[stage.name] = ""
        return True
    return n_processes() == 1 and run.has(stage, before(run, stage))


def up_to_date(run: RunFolder, stages: Sequence[Stage]) -> list[str]:
    """Names of the stages that are done and build on none that is not."""
    done: list[str] = []
    inside = {stage.name for stage in stages}
    for stage in stages:
        if all(name in done or name not in inside for name in stage.depends_on) and run.has(stage):
            done.append(stage.name)
    return done


def _can_compare(run: RunFolder) -> bool:
    """Whether what was evaluated is enough for a report."""
    done = set(ended(run))
    arms = [stage.arm for stage in run.graph.values() if stage.name in done and stage.arm is not None]
    try:
        quoted_seed(arms, run.settings)
    except UserError:
        return False
    return True


class _AtWork:
    """The stages that are being done, and what they take."""

    def __init__(
        self, run: RunFolder, crew: Crew, n_threads: dict[str, int], simulators: int, show: ProgressDisplay | None
    ) -> None:
        self.run, self.crew, self.n_threads, self.simulators, self.show = run, crew, n_threads, simulators, show
        self.running: dict[Future[dict[str, Any]], tuple[Stage, str]] = {}
        self._free = None if crew.slots is None else list(crew.slots)
        self._executor: Executor | None = None
        self._breaks: Counter[str] = Counter()
        self._shown: dict[str, Progress] = {}

    def has_room(self, stage: Stage) -> bool:
        """Whether another stage may begin now."""
        if self._free is not None and not self._free:
            return False
        taken = sum(self.n_threads[one.name] for one, _ in self.running.values())
        return not taken or self.crew.n_threads is None or taken + self.n_threads[stage.name] <= self.crew.n_threads

    def begin(self, stage: Stage) -> None:
        """Have a stage done."""
        slot = self.crew.device if self._free is None else self._free.pop(0)
        if self.show is not None and stage.name not in self._shown:
            self._shown[stage.name] = self.show.open(stage.name)
        n_threads = self.n_threads[stage.name]
        if self.crew.does_here(stage):
            progress = self._shown.get(stage.name)
            done = InProcess().submit(
                do_here, self.run, stage.name, n_threads, workers=self.simulators, progress=progress
            )
            self.running[done] = stage, slot
            return
        if self._executor is None:
            self._executor = self.crew.start()
        try:
            future = self.crew.submit(self._executor, self.run, stage, slot, n_threads)
        except BrokenExecutor as error:  # a process died between two stages
            future = Future()
            future.set_exception(error)
        self.running[future] = stage, slot

    def wait(self) -> list[tuple[Stage, dict[str, Any] | None]]:
        """Those that have ended, with their answers; None for one whose process died, to be begun again."""
        ended_now, _ = wait(self.running, timeout=POLL_S, return_when=FIRST_COMPLETED)
        self.crew.check()
        for stage, _ in self.running.values():
            shown, known = (
                self._shown.get(stage.name),
                read_progress(stage_path(self.run.path, stage.name, ".progress")),
            )
            if shown is not None and known is not None:
                shown(*known)
        answers: list[tuple[Stage, dict[str, Any] | None]] = []
        for future in ended_now:
            stage, slot = self.running.pop(future)
            if self._free is not None:
                self._free.append(slot)
                self._free.sort(key=(self.crew.slots or []).index)
            answers.append((stage, self._answer(future, stage)))
        return answers

    def _answer(self, future: Future[dict[str, Any]], stage: Stage) -> dict[str, Any] | None:
        try:
            answer = future.result()
        except BrokenExecutor as error:
            self._executor = None
            self._breaks[stage.name] += 1
            if self._breaks[stage.name] > MAX_BREAKS:
                reason = self.crew.explain(error) or "its process died"
                raise UserError(f"{stage.name}: {MAX_BREAKS + 1} times {reason}; finished stages stay") from error
            return None
        except BaseException as error:
            if (why := self.crew.explain(error)) is None:
                raise
            raise UserError(f"{stage.name}: {why}; the same command goes on with what is not done") from error
        for text in answer["notes"]:
            warnings.warn(text, stacklevel=2)
        if self.show is not None:
            self.show.close(stage.name, finished=answer["problem"] is None)
            self._shown.pop(stage.name, None)
        if answer["did"] and is_first():
            self.run.write_provenance()
        return answer
