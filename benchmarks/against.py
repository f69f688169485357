"""This build beside any other commit: time, work and memory of named pieces, in turns.

    .venv/bin/python benchmarks/against.py REF [--only NAME ...] [--rounds 5] [--preset demo] [--json FILE]

REF's files go into a temporary folder, whose `src` then comes first on PYTHONPATH; it gets a virtual environment of its
own only where the packages here do not satisfy what it asks for. A piece is a command of taskct, which both builds
have, or a benchmark of the build's own. What it starts from is made once by each build with its own code, and does not
count. The two builds take turns, so that whatever else the machine does falls on both. Printed are medians of the
rounds, and the ratio REF / here as the median of the rounds' ratios with the smallest and the largest of them. CPU is
that of all processes; memory is the most that they held together (proportional set size, sampled).
"""

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import tomllib
import venv
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from io import BytesIO
from pathlib import Path

import psutil
from packaging.requirements import Requirement

HERE = Path(__file__).resolve().parents[1]
FIVE_LAMBDAS = "training.lambdas=[0, 0.5, 0.7, 0.9, 0.95]"
NO_BLENDS = "training.blend_alphas=[]"
FEW_STEPS = ("training.pretrain_epochs=1", "training.finetune_epochs=1", "training.lambdas=[0, 0.5]", NO_BLENDS)
"""Networks that are enough to be evaluated: how long that takes does not depend on what they learned."""
SAMPLED_S = 0.1
FREE = {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONPATH"}  # not passed on: commands share the cores themselves
STEP = re.compile(r"^(?P<network>.+?)\s{2,}taskct.*?\s+(?P<ms>\d+)\s+\d+\s+[\d.]+×", re.MULTILINE)


@dataclass(frozen=True)
class Cost:
    """Of one round."""

    wall_s: float
    cpu_s: float
    peak_mib: float


class Build:
    """A tree of taskct and the Python that runs it."""

    def __init__(self, name: str, tree: Path, scratch: Path, preset: str) -> None:
        self.name, self.tree, self.preset = name, tree, preset
        self.folder = scratch / name
        self.folder.mkdir()
        self.python = interpreter(tree, scratch)
        environment = {key: value for key, value in os.environ.items() if key not in FREE}
        self.environment = environment | {"PYTHONPATH": str(tree / "src")}

    def knows(self, setting: str) -> bool:
        """Whether a study of this build has a setting."""
        return setting in self.run("-m", "taskct", "config")

    def run(self, *arguments: str) -> str:
        """Run Python with this build; a CalledProcessError shows what it said."""
        done = subprocess.run(
            [self.python, *arguments], env=self.environment, cwd=self.folder, text=True, capture_output=True
        )
        if done.returncode:
            raise SystemExit(f"{self.name}: {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
        return done.stdout

    def taskct(self, *arguments: str) -> str:
        """Run a command of this build."""
        return self.run("-m", "taskct", *arguments)

    def simulated(self, name: str, *settings: str) -> Path:
        """A run folder with trials, made once."""
        folder = self.folder / name
        if not folder.exists():
            chosen = [argument for one in settings for argument in ("--set", one)]
            self.taskct("simulate", "--preset", self.preset, "--out", str(folder), *chosen)
        return folder

    def copied(self, source: Path) -> Path:
        """A copy of a run folder to work in; the last one goes. Files are shared, for they are never written into."""
        target = self.folder / "work"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, copy_function=os.link)
        return target


Work = Callable[[], object]


def demo(build: Build) -> Work:
    """From nothing to the page."""

    def work() -> None:
        target = build.folder / "work"
        shutil.rmtree(target, ignore_errors=True)
        build.taskct("run", "--preset", build.preset, "--out", str(target))

    return work


def simulate(build: Build) -> Work:
    """All trials of the preset."""

    def work() -> None:
        target = build.folder / "work"
        shutil.rmtree(target, ignore_errors=True)
        build.taskct("simulate", "--preset", build.preset, "--out", str(target))

    return work


def sweep(build: Build) -> Work:
    """Trainings of five λ, or of one dial where the build has it, trials given."""
    dial = build.knows("training.method")
    trials = build.simulated("sweep", "training.method=task-path" if dial else FIVE_LAMBDAS, NO_BLENDS)
    return in_copy(build, trials, "train")


def evaluate(build: Build) -> Work:
    """Evaluation of four arms with three observers, their limits and the results, networks given."""
    return in_copy(build, trained(build), "evaluate")


def report(build: Build) -> Work:
    """The page, results given."""
    folder = build.copied(trained(build))
    build.taskct("evaluate", str(folder))
    done = build.folder / "evaluated"
    if not done.exists():
        folder.rename(done)
    return lambda: build.taskct("report", str(done))


def step(build: Build) -> Work:
    """Training steps, by the build's own benchmarks/training.py; what it measured counts, not how long it took."""
    return lambda: build.run(str(build.tree / "benchmarks" / "training.py"))


PIECES = {one.__name__: one for one in (demo, simulate, sweep, evaluate, report, step)}


def trained(build: Build) -> Path:
    """A run folder with trials and quickly trained networks, made once."""
    folder = build.simulated("trained", *FEW_STEPS)
    build.taskct("train", str(folder))
    return folder


def in_copy(build: Build, source: Path, command: str) -> Work:
    """A command on a copy of a run folder; the copy is not part of what is measured."""
    folder = build.copied(source)

    def work() -> None:
        build.taskct(command, str(folder))

    work.before = lambda: build.copied(source)  # type: ignore[attr-defined]  # a function, which may carry it
    return work


def measured(work: Work) -> tuple[Cost, object]:
    """What a piece cost, and what it gave."""
    getattr(work, "before", lambda: None)()
    stop, peak = threading.Event(), [0.0]
    watcher = threading.Thread(target=watch, args=(stop, peak))
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    watcher.start()
    try:
        given = work()
    finally:
        wall = time.perf_counter() - start
        stop.set()
        watcher.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, cpu, peak[0]), given


def watch(stop: threading.Event, peak: list[float]) -> None:
    """Keep the most that all processes below this one held together, MiB."""
    this = psutil.Process()
    while not stop.wait(SAMPLED_S):
        total = 0
        for process in this.children(recursive=True):
            try:
                total += process.memory_full_info().pss  # pages that processes share count once
            except psutil.Error:  # it has ended
                continue
        peak[0] = max(peak[0], total / 2**20)


def interpreter(tree: Path, scratch: Path) -> str:
    """This Python where its packages are what a tree asks for, else one of a virtual environment."""
    project = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if all(satisfied(Requirement(one)) for one in project["dependencies"]):
        return sys.executable
    home = scratch / "venv"
    venv.create(home, with_pip=True)
    python = str(home / "bin" / "python")
    index = ["--extra-index-url", "https://download.pytorch.org/whl/cpu"]
    constraints = ["-c", str(tree / "constraints.txt")]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *index, *constraints, str(tree)], check=True)
    return python


def satisfied(wanted: Requirement) -> bool:
    """Whether a package is here in a version that is wanted."""
    try:
        return wanted.specifier.contains(metadata.version(wanted.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return False


def copied_here(scratch: Path) -> Path:
    """The files of this build as they are now, so that changes in the meantime do not matter."""
    tree = scratch / "here-tree"
    for folder in ("src", "benchmarks"):
        shutil.copytree(HERE / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "constraints.txt"):
        shutil.copy(HERE / file, tree / file)
    return tree


def unpacked(reference: str, scratch: Path) -> Path:
    """The files of a commit."""
    packed = subprocess.run(["git", "-C", str(HERE), "archive", reference], capture_output=True)
    if packed.returncode:
        raise SystemExit(f"no commit {reference!r}: {packed.stderr.decode().strip()}")
    tree = scratch / "tree"
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
        archive.extractall(tree, filter="data")
    return tree


def row(name: str, unit: str, before: list[float], after: list[float]) -> dict[str, object]:
    """Medians, and the median ratio of the rounds with its range."""
    ratios = sorted(b / a for b, a in zip(before, after, strict=True) if a > 0.0)
    median = statistics.median(ratios) if ratios else float("nan")
    bounds = [ratios[0], ratios[-1]] if ratios else [float("nan")] * 2
    print(
        f"{name:28} {statistics.median(before):10.2f} {statistics.median(after):10.2f} {unit:4} "
        f"{median:7.2f} × ({bounds[0]:.2f} to {bounds[1]:.2f})",
        flush=True,
    )
    return {"piece": name, "unit": unit, "before": before, "after": after, "ratio": median, "range": bounds}


def compare(piece: str, builds: list[Build], rounds: int) -> list[dict[str, object]]:
    """Rows of one piece."""
    works = [PIECES[piece](build) for build in builds]
    found = [[measured(work) for work in works] for _ in range(rounds)]  # in turns
    costs = [[cost for cost, _ in side] for side in zip(*found, strict=True)]
    if piece == "step":
        times = [[steps(str(given)) for _, given in side] for side in zip(*found, strict=True)]
        names = [name for name in times[0][0] if name in times[1][0]]
        return [row(f"step, {n}", "ms", *([one[n] for one in side] for side in times)) for n in names]
    return [
        row(f"{piece}, {what}", unit, *([getattr(cost, name) for cost in side] for side in costs))
        for what, unit, name in (("wall", "s", "wall_s"), ("CPU", "s", "cpu_s"), ("memory", "MiB", "peak_mib"))
    ]


def steps(text: str) -> dict[str, float]:
    """The fastest step of every network that a benchmark of training printed, ms."""
    found: dict[str, float] = {}
    for one in STEP.finditer(text):
        # Of two builds a network may be another; the first word says which place it has.
        place = one["network"].split(",")[0].split()[0]
        found[place] = min(float(one["ms"]), found.get(place, float("inf")))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reference", metavar="REF", help="a commit, a tag or a branch")
    parser.add_argument("--only", nargs="+", choices=PIECES, default=list(PIECES), help="some pieces")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--preset", default="demo", help="settings that both builds have; smoke takes a minute")
    parser.add_argument("--json", type=Path, help="keep every round here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="against-") as temporary:
        scratch = Path(temporary)
        before = Build("before", unpacked(arguments.reference, scratch), scratch, arguments.preset)
        builds = [before, Build("here", copied_here(scratch), scratch, arguments.preset)]
        print(f"{arguments.rounds} rounds, {os.cpu_count()} cores, preset {arguments.preset}")
        print(f"{'':28} {arguments.reference[:10]:>10} {'here':>10}         ratio (range)")
        rows = [row for piece in arguments.only for row in compare(piece, builds, arguments.rounds)]
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
