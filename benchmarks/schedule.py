"""The schedule of a study on more and more workers, from the times that its stages took in a finished run.

    .venv/bin/python benchmarks/schedule.py FINISHED_RUN [--workers 100] [--megabytes-per-s 100] [--figure FILE.svg]

Told are, for every number of workers, the time until the last stage ends, the share in which workers are idle, and
what travels where they share no disk; then the chain of stages that no number of workers shortens. What the run itself
took is told beside what its timetable says for as many workers as it had at once: they should agree.
"""

import argparse
import json
from pathlib import Path

from taskct.study.graph import stages_of
from taskct.study.records import read_records
from taskct.study.run_folder import RunFolder
from taskct.sweep.dry_run import PlannedStage
from taskct.sweep.timetable import numbers_up_to, timetable


def stages_as_measured(folder, kinds=None):
    """Every stage of a finished run with the time it took and the bytes it left; of some kinds only, if asked."""
    import torch

    run = RunFolder(folder, None, device=torch.device("cpu"))
    records = read_records(folder)
    found = []
    for stage in stages_of(run.settings):
        if kinds is not None and stage.kind not in kinds:
            continue
        record = records[stage.name]
        n_bytes = float(sum(size or 0 for size in record["bytes"].values()))
        found.append((stage, float(record["wall_s"]), n_bytes))
    inside = {stage.name for stage, _, _ in found}
    return [
        PlannedStage(s.name, s.kind, tuple(one for one in s.depends_on if one in inside), False, seconds, n_bytes)
        for s, seconds, n_bytes in found
    ]


def seconds_by_workers(folder, numbers, kinds=("evaluate",)):
    """Seconds that the stages of these kinds take on so many workers, by number: for a plot of growth."""
    stages = stages_as_measured(folder, kinds)
    return {number: timetable(stages, workers=number).seconds for number in numbers}


def as_it_went(folder):
    """Seconds from the first stage's begin to the last one's end in the log, and stages at work at once at most."""
    lines = [json.loads(line) for line in (folder / "stages" / "log.jsonl").read_text().splitlines()]
    events = sorted((one["time"], one["event"]) for one in lines if one["event"] in ("start", "end"))
    at_once = most = 0
    for _, event in events:
        at_once += 1 if event == "start" else -1
        most = max(most, at_once)
    return events[-1][0] - events[0][0], most


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--megabytes-per-s", type=float, default=100.0)
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    stages = stages_as_measured(given.run)
    rate = 1e6 * given.megabytes_per_s
    rows = []
    print("workers   shared disk   idle   by a store   idle   transfer")
    for number in numbers_up_to(given.workers):
        disk, store = timetable(stages, workers=number), timetable(stages, workers=number, bytes_per_s=rate)
        rows.append((number, disk.seconds, store.seconds))
        print(
            f"{number:7d} {disk.seconds:11.1f} s {disk.idle:6.0%} {store.seconds:10.1f} s {store.idle:6.0%}"
            f" {store.transfer_bytes / 1e6:8.0f} MB {store.transfer_seconds:7.1f} s"
        )
    print(f"longest chain: {disk.critical_seconds:.1f} s: {' → '.join(disk.critical)}")
    seconds, most = as_it_went(given.run)
    told = timetable(stages, workers=most).seconds
    print(f"as it went, up to {most} at once: {seconds:.1f} s; its timetable: {told:.1f} s, ratio {seconds / told:.2f}")
    if given.figure is not None:
        draw(rows, disk.critical_seconds, given.figure)


def draw(rows, least, file):
    """Time against workers, with the two bounds: the work shared evenly, and the longest chain."""
    from matplotlib.figure import Figure

    numbers = [row[0] for row in rows]
    axes = (figure := Figure(figsize=(6, 4), layout="constrained")).subplots()
    axes.loglog(numbers, [row[1] for row in rows], "o-", label="shared disk")
    axes.loglog(numbers, [row[2] for row in rows], "s--", label="by a store")
    axes.loglog(numbers, [rows[0][1] / n for n in numbers], ":", color="gray", label="work shared evenly")
    axes.axhline(least, color="gray", linewidth=0.8, label="longest chain")
    axes.set_xlabel("workers")
    axes.set_ylabel("time (s)")
    axes.legend()
    figure.savefig(file)


if __name__ == "__main__":
    main()
