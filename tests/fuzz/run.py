"""Fuzz by hand, for minutes or hours: `python tests/fuzz/run.py --seed 1 --cases 15640 [--format dicom-slice]`.

Every batch runs in a process of its own, so that a death of the process is seen and counted. A failure is told with
what repeats it: `python tests/fuzz/run.py --format NAME --seed S --case I [--keep FILE]`.
"""

import argparse
import faulthandler
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ["TASKCT_CACHE"] = "off"

BATCH = 200
FINE = ("read", "refused")
ADDRESS_SPACE = 4 * 2**30
"""What a process may take beyond what it has after its imports, bytes."""


def limits() -> None:
    """Bound the memory of this process, and end it where a library waits without end."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + ADDRESS_SPACE, resource.getrlimit(resource.RLIMIT_AS)[1]))


def work(place: Path, name: str, seed: int, first: int, last: int) -> None:
    """Do some cases of one format and write a line of JSON for each, before and after."""
    from fuzz.harness import WALL_S, run_case

    limits()
    for index in range(first, last):
        faulthandler.dump_traceback_later(WALL_S + 60, exit=True)
        sys.stdout.write(json.dumps({"begun": index}) + "\n")
        sys.stdout.flush()
        outcome = run_case(place, name, seed, index)
        sys.stdout.write(json.dumps({"case": index, "kind": outcome.kind, "detail": outcome.detail}) + "\n")
        sys.stdout.flush()


def batch(place: Path, seed: int, name: str, first: int, last: int) -> list[dict]:
    """The outcomes of some cases, each batch in a process; one that dies is counted, and the rest goes on."""
    found: list[dict] = []
    while first < last:
        arguments = [
            "--work",
            str(place),
            "--format",
            name,
            "--seed",
            str(seed),
            "--first",
            str(first),
            "--last",
            str(last),
        ]
        with tempfile.TemporaryDirectory() as scratch:
            copy = shutil.copytree(place, Path(scratch) / "w")
            cases = ["--seed", str(seed), "--first", str(first), "--last", str(last)]
            arguments = ["--work", str(copy), "--format", name, *cases]
            done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        found += [line for line in lines if "case" in line]
        if done.returncode == 0:
            return found
        if done.returncode > 0 and "Timeout (" not in done.stderr:
            raise SystemExit(f"the harness itself failed:\n{done.stderr[-3000:]}")
        begun = max(line["begun"] for line in lines if "begun" in line)
        found.append({"case": begun, "kind": f"killed {done.returncode}", "detail": done.stderr[-1500:]})
        first = begun + 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=2000, help="of all formats together, or of the one that is named")
    parser.add_argument("--format", action="append", help="one of fuzz.targets.TARGETS; repeatable")
    parser.add_argument("--jobs", type=int, default=1, help="batches at a time")
    parser.add_argument("--case", type=int, help="repeat this one of the format, and show all that it says")
    parser.add_argument("--keep", type=Path, help="with --case: write the changed file there")
    parser.add_argument("--place", type=Path, help="a workspace that was made before, or where to make and leave one")
    parser.add_argument("--log", type=Path, help="append every failure to this file, as lines of JSON")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--last", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work is not None:
        work(given.work, given.format[0], given.seed, given.first, given.last)
        return

    from fuzz.targets import TARGETS, make_workspace

    with tempfile.TemporaryDirectory() as scratch:
        place = given.place or Path(scratch) / "workspace"
        if not (place / "run" / "report.html").is_file():
            make_workspace(place)
        if given.case is not None:
            repeat(place, given.format[0], given.seed, given.case, given.keep)
            return
        names = given.format or list(TARGETS)
        shares = {name: TARGETS[name].share for name in names}
        counts = {name: max(1, round(given.cases * share / sum(shares.values()))) for name, share in shares.items()}
        tasks = [(name, at, min(n, at + BATCH)) for name, n in counts.items() for at in range(0, n, BATCH)]
        results = {name: Counter[str]() for name in names}
        with ThreadPoolExecutor(given.jobs) as pool:
            for (name, *_), found in zip(
                tasks, pool.map(lambda one: batch(place, given.seed, *one), tasks), strict=True
            ):
                results[name].update(one["kind"] for one in found)
                if given.log is not None:
                    bad = [{"format": name, "seed": given.seed, **one} for one in found if one["kind"] not in FINE]
                    with given.log.open("a", encoding="utf-8") as log:
                        log.writelines(json.dumps(one) + "\n" for one in bad)
        results["all"] = sum(results.values(), Counter[str]())
        sys.stdout.write("| format | cases | read | refused | failed | how |\n|---|---|---|---|---|---|\n")
        for name, kinds in results.items():
            bad = Counter({kind: count for kind, count in kinds.items() if kind not in FINE})
            told = ", ".join(f"{kind} {count}" for kind, count in bad.most_common())
            row = (name, kinds.total(), kinds["read"], kinds["refused"], bad.total(), told)
            sys.stdout.write(f"| {' | '.join(map(str, row))} |\n")
        raise SystemExit(1 if bad else 0)  # of the last row, all


def repeat(place: Path, name: str, seed: int, index: int, keep: Path | None) -> None:
    """Do one case again, and show what came of it."""
    from fuzz.harness import changed_file, run_case

    file, data = changed_file(place, name, seed, index)
    sys.stdout.write(f"{file.relative_to(place)}: {'missing' if data is None else f'{len(data)} bytes'}\n")
    if keep is not None and data is not None:
        keep.write_bytes(data)
    outcome = run_case(place, name, seed, index)
    sys.stdout.write(f"{outcome.kind}\n{outcome.detail}\n")


if __name__ == "__main__":
    main()
