"""The schedule worked out from times: laws that hold for every graph, and small ones worked out by hand."""

import itertools

import numpy as np
import pytest

from taskct.config import make_settings, read_preset
from taskct.study.graph import stages_of
from taskct.sweep.dry_run import PlannedStage
from taskct.sweep.timetable import critical_path, numbers_up_to, timetable


def paper(seed: int) -> list[PlannedStage]:
    """The paper's graph with drawn times and sizes."""
    rng = np.random.default_rng(seed)
    return [
        PlannedStage(one.name, one.kind, one.depends_on, False, float(rng.uniform(1, 100)), float(rng.uniform(1, 10)))
        for one in stages_of(make_settings(read_preset("paper")))
    ]


@pytest.mark.parametrize("seed", [0, 1])
def test_bounds_of_every_schedule(seed: int) -> None:
    """No less than the longest chain and a fair share of the work; no more than both together (Graham's bound)."""
    stages = paper(seed)
    work = sum(stage.seconds for stage in stages)
    assert timetable(stages, workers=1).seconds == pytest.approx(work)
    for workers in (2, 7, 100, 2000):
        found = timetable(stages, workers=workers)
        least = max(found.critical_seconds, work / workers)
        assert least * (1 - 1e-12) <= found.seconds <= found.critical_seconds + work / workers
        assert found.busy_seconds == pytest.approx(work)
        assert found.idle == pytest.approx(1 - work / (workers * found.seconds))
    assert timetable(stages, workers=2000).seconds == pytest.approx(found.critical_seconds)


def test_the_chain_that_takes_longest_is_one_of_the_graph() -> None:
    stages = {stage.name: stage for stage in paper(0)}
    chain = critical_path(list(stages.values()))
    assert chain[0] == "simulate"
    assert chain[-1] == "results"
    for earlier, later in itertools.pairwise(chain):
        assert earlier in stages[later].depends_on


def fork() -> list[PlannedStage]:
    """Trials of 10 bytes, two trainings of 1 byte, and the results."""
    return [
        PlannedStage("simulate", "simulate", (), False, 2.0, 10.0),
        PlannedStage("a", "pretrain", ("simulate",), False, 3.0, 1.0),
        PlannedStage("b", "pretrain", ("simulate",), False, 5.0, 1.0),
        PlannedStage("c", "finetune", ("a", "simulate"), False, 1.0, 1.0),
        PlannedStage("results", "results", ("a", "b", "c"), False, 1.0, 7.0),
    ]


def test_what_travels_is_sent_once_and_fetched_once_by_each_worker() -> None:
    """By hand: worker 0 sends the trials, which worker 1 fetches; c runs where a ran and needs no more."""
    found = timetable(fork(), workers=2, bytes_per_s=1.0)
    assert found.transfer_bytes == 10 + 1 + (10 + 1) + 1
    # simulate ends at 2 + 10; b fetches 10, takes 5 and sends 1; the results take 1, and no transfer.
    assert found.seconds == pytest.approx(12 + 10 + 5 + 1 + 1)
    alone = timetable(fork(), workers=1, bytes_per_s=1.0)
    assert alone.transfer_bytes == 13
    assert alone.seconds == pytest.approx(12 + 13)
    shared = timetable(fork(), workers=2)
    assert (shared.transfer_bytes, shared.transfer_seconds) == (0.0, 0.0)
    assert shared.seconds == pytest.approx(8)
    assert shared.idle == pytest.approx(1 - 12 / 16)


def test_what_is_done_takes_nothing() -> None:
    done = [PlannedStage(s.name, s.kind, s.depends_on, True, s.seconds, s.n_bytes) for s in fork()]
    found = timetable(done, workers=3)
    assert (found.seconds, found.idle, found.critical) == (0.0, 0.0, ())
    rest = timetable([*done[:2], *fork()[2:]], workers=1)
    assert rest.seconds == pytest.approx(7)


def test_numbers_of_a_table() -> None:
    assert numbers_up_to(1) == [1]
    assert numbers_up_to(100) == [1, 2, 4, 8, 16, 32, 64, 100]
    assert numbers_up_to(300)[-2:] == [100, 300]
