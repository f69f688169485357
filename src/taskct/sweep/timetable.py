"""When stages would run on so many workers, worked out from the time that each takes: no worker is needed for it.

As in a sweep, a stage begins when a worker is free and what it builds on is done, those of the graph's order first.
Where workers share no disk, each first fetches what it has not had yet, and sends what it leaves.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from taskct.study.graph import Kind

NUMBERS = (1, 2, 4, 8, 16, 32, 64, 100)
"""Of workers, for a table."""


class Timed(Protocol):
    """A stage with what it takes."""

    @property
    def name(self) -> str:
        """Of the stage."""

    @property
    def kind(self) -> Kind:
        """Of the stage."""

    @property
    def depends_on(self) -> tuple[str, ...]:
        """Stages before it."""

    @property
    def done(self) -> bool:
        """Whether it takes no time any more."""

    @property
    def seconds(self) -> float:
        """By itself, on one worker."""

    @property
    def n_bytes(self) -> float:
        """Of its outputs."""


@dataclass(frozen=True)
class Timetable:
    """How a graph of stages goes on so many workers."""

    workers: int
    seconds: float
    """Until the last stage ends."""
    critical: tuple[str, ...]
    """The chain of stages that takes longest; no number of workers gets below it."""
    critical_seconds: float
    """What that chain takes, without transfer."""
    busy_seconds: float
    """Of all workers together, at stages."""
    transfer_seconds: float
    """Of all workers together, at fetching and sending."""
    transfer_bytes: float
    """That they fetch and send."""

    @property
    def idle(self) -> float:
        """Share of the workers' time in which they have nothing to do, in [0, 1]."""
        whole = self.workers * self.seconds
        # Sums in another order may come out above the whole by rounding.
        return max(0.0, 1.0 - (self.busy_seconds + self.transfer_seconds) / whole) if whole > 0.0 else 0.0


def timetable(stages: Sequence[Timed], *, workers: int, bytes_per_s: float | None = None) -> Timetable:
    """How stages, each after those that it builds on, go on so many workers.

    `bytes_per_s` is what a worker sends or fetches in a second, where workers share no disk; None where they do. The
    result files then are made where all else is, and take no transfer.

    Examples
    --------
    >>> from taskct.sweep.dry_run import PlannedStage
    >>> two = [PlannedStage("a", "tune", (), False, 2.0, 0), PlannedStage("b", "tune", (), False, 3.0, 0)]
    >>> three = [*two, PlannedStage("c", "results", ("a", "b"), False, 1.0, 0)]
    >>> timetable(three, workers=1).seconds, timetable(three, workers=2).seconds, timetable(three, workers=2).idle
    (6.0, 4.0, 0.25)
    """
    place = {stage.name: number for number, stage in enumerate(stages)}
    before = _all_before(stages)
    waits = {stage.name: {one for one in stage.depends_on if not stages[place[one]].done} for stage in stages}
    after: dict[str, list[str]] = {stage.name: [] for stage in stages}
    for stage in stages:
        for one in waits[stage.name]:
            after[one].append(stage.name)
    ready = [place[stage.name] for stage in stages if not stage.done and not waits[stage.name]]
    heapq.heapify(ready)
    free = list(range(workers))
    holds: list[set[str]] = [set() for _ in range(workers)]
    running: list[tuple[float, int, int]] = []
    """End, place of the stage, worker."""
    now = busy = moving = moved = 0.0
    while ready or running:
        while ready and free:
            stage, worker = stages[heapq.heappop(ready)], heapq.heappop(free)
            n_bytes = 0.0
            if bytes_per_s is not None and stage.kind != "results":
                n_bytes = stage.n_bytes + sum(stages[place[one]].n_bytes for one in before[stage.name] - holds[worker])
                holds[worker] |= before[stage.name] | {stage.name}
            transfer = 0.0 if bytes_per_s is None else n_bytes / bytes_per_s
            busy, moving, moved = busy + stage.seconds, moving + transfer, moved + n_bytes
            heapq.heappush(running, (now + transfer + stage.seconds, place[stage.name], worker))
        now, ended, worker = heapq.heappop(running)
        heapq.heappush(free, worker)
        for name in after[stages[ended].name]:
            waits[name].discard(stages[ended].name)
            if not waits[name]:
                heapq.heappush(ready, place[name])
    critical = critical_path(stages)
    least = sum(stages[place[name]].seconds for name in critical)
    return Timetable(workers, now, critical, least, busy, moving, moved)


def critical_path(stages: Sequence[Timed]) -> tuple[str, ...]:
    """The chain of stages still to do that takes longest, first to last.

    Examples
    --------
    >>> from taskct.sweep.dry_run import PlannedStage
    >>> stages = [PlannedStage("a", "simulate", (), False, 1.0, 0), PlannedStage("b", "tune", ("a",), False, 9.0, 0)]
    >>> critical_path([*stages, PlannedStage("c", "evaluate", ("a",), False, 2.0, 0)])
    ('a', 'b')
    """
    ends: dict[str, tuple[float, str | None]] = {}
    for stage in stages:
        if stage.done:
            continue
        begun = max(((ends[one][0], one) for one in stage.depends_on if one in ends), default=(0.0, None))
        ends[stage.name] = begun[0] + stage.seconds, begun[1]
    name = max(ends, key=lambda one: ends[one][0], default=None)
    chain = []
    while name is not None:
        chain.append(name)
        name = ends[name][1]
    return tuple(reversed(chain))


def numbers_up_to(workers: int) -> list[int]:
    """Numbers of workers for a table that ends at this one.

    >>> numbers_up_to(10)
    [1, 2, 4, 8, 10]
    """
    return [*(number for number in NUMBERS if number < workers), workers]


def _all_before(stages: Sequence[Timed]) -> Mapping[str, set[str]]:
    """Every stage that a stage builds on, and those before them, by name."""
    found: dict[str, set[str]] = {}
    for stage in stages:
        found[stage.name] = set(stage.depends_on).union(*(found[one] for one in stage.depends_on))
    return found
