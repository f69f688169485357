"""The commands of a study as sweeps over its graph: which stages, by whom, and what is told afterwards."""

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from taskct.errors import UserError
from taskct.reading import read_json
from taskct.study.graph import levels, part_of, share_threads
from taskct.study.records import lock_folder, write_failures
from taskct.study.run_folder import RunFolder
from taskct.sweep.apart import crew_apart
from taskct.sweep.dask_cluster import dask_crew
from taskct.sweep.executors import Machine, local_crew, n_workers
from taskct.sweep.schedule import Outcome, ProgressDisplay, run_graph
from taskct.training.parallel import is_first, n_processes

ALONE = Machine()
"""One stage at a time, in this process."""


def sweep(
    run: RunFolder, parts: Sequence[str], machine: Machine = ALONE, *, show: ProgressDisplay | None = None
) -> Outcome:
    """Do the stages of some commands ("simulate", "train", "evaluate") that are not done yet.

    A training that diverges ends its arm, not the sweep; whatever else goes wrong is a `UserError`.
    """
    if n_processes() > 1 and set(parts) != {"train"}:
        raise UserError(
            f"{n_processes()} processes were started together (torchrun), which only train together: use them for "
            "`taskct train`, and give the other commands by themselves"
        )
    stages = part_of(list(run.graph.values()), parts)
    todo = [stage for stage in stages if not run.has(stage)]
    if not todo:
        if is_first():
            _tell_provenance(run)
            if "train" in parts:
                write_failures(run.path, [], [])
        return Outcome()
    for stage in todo:
        run.check_kept(stage)
    together = n_processes() > 1  # started by torchrun: every process does every stage, at the same time
    with lock_folder(run.path) if is_first() else nullcontext():
        run.check_unchanged()
        n_threads = machine.threads
        if machine.executor is not None:
            crew, n_threads = dask_crew(machine.executor, machine.device or str(run.device)), n_threads or 1
            share = dict.fromkeys(run.graph, n_threads)
            if machine.store is not None:
                crew = crew_apart(crew, run, machine.store)
        else:
            workers = 1 if together else n_workers(machine, run.device)
            # Processes take seconds to start: no more of them than can ever work side by side.
            level = levels(list(run.graph.values()))
            widest = max(Counter(level[stage.name] for stage in todo).values())
            crew = local_crew(run.device, min(workers, widest))
            share = share_threads(list(run.graph.values()), workers=workers, n_threads=crew.n_threads or 1)
            if n_threads is not None:
                share, crew.n_threads = dict.fromkeys(run.graph, n_threads), None
        simulators = machine.workers or (1 if run.device.type == "cuda" else n_workers(machine, run.device))
        outcome = run_graph(run, stages, crew, n_threads=share, simulators=simulators, show=show)
        if is_first():
            _tell_provenance(run)
            if "train" in parts:
                write_failures(run.path, *_failures(run, outcome))
    return outcome


def _tell_provenance(run: RunFolder) -> None:
    """Write `provenance.json` unless it tells of the very records that are there."""
    file = run.path / "provenance.json"
    try:
        told = read_json(file)["stages"]
    except (UserError, KeyError, TypeError):
        told = None
    if told != run.provenance()["stages"]:
        run.write_provenance()


def _failures(run: RunFolder, outcome: Outcome) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    def row(name: str, what: str, text: str) -> dict[str, Any]:
        arm = run.graph[name].arm
        return {
            "stage": name,
            "arm": None if arm is None else arm.name,
            "seed": None if arm is None else arm.seed,
            what: text,
        }

    failed = [row(name, "problem", problem) for name, problem in outcome.failed.items()]
    return failed, [row(name, "because", because) for name, because in outcome.skipped.items() if because]
