"""One case: change a file, read it, and see that taskct returned something or refused in one harmless line."""

import contextlib
import io
import os
import random
import resource
import shutil
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FrameType

import numpy as np

import taskct.cli
from fuzz.mutate import CANARY_PATH, mutate
from fuzz.targets import IDENTIFIER, TARGETS, Target, endings
from taskct.errors import UserError

CPU_S, WALL_S = 10, 120
"""What a case may take of a core, and by the clock, s."""
MEMORY = 2**30
"""What a case may add to the largest memory of the process, bytes; `TASKCT_READ_LIMIT` is well below."""
READ_LIMIT = "64MiB"
MESSAGE = 600
"""Characters of the longest message."""


class Hang(BaseException):
    """Not an `Exception`: a guard that catches all must not catch it."""


@dataclass
class Outcome:
    """What came of a case."""

    kind: str
    """"read", "refused", or else what failed: "TypeError", "hang", "leak"…"""
    detail: str = ""

    @property
    def failed(self) -> bool:
        return self.kind not in ("read", "refused")


@dataclass
class Spy:
    """Sees what is imported of the name that no file may have imported."""

    asked: list[str] = field(default_factory=list)

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name.split(".")[0] == CANARY_PATH.split(".")[0]:
            self.asked.append(name)
        return None


def changed_file(place: Path, name: str, seed: int, index: int) -> tuple[Path, bytes | None]:
    """The file of a case, and what it holds then; None where it is missing."""
    rng = random.Random(f"{name} {seed} {index}")
    patterns = TARGETS[name].files
    files = sorted({file for pattern in patterns for file in place.glob(pattern) if file.is_file()})
    file = rng.choice(files)
    if len(files) > 3 and rng.random() < 0.03:
        return file, None
    data = mutate(file.read_bytes(), endings(file), rng)
    if rng.random() < 0.25:
        with contextlib.suppress(Exception):  # a second change may find no structure left: the first one stays
            data = mutate(data, endings(file), rng)
    return file, data


def run_case(place: Path, name: str, seed: int, index: int) -> Outcome:
    """Change a file of the workspace, read it, and put everything back."""
    target = TARGETS[name]
    file, data = changed_file(place, name, seed, index)
    before = _Snapshot(place / file.relative_to(place).parts[0])
    elsewhere = place / "elsewhere"
    if data is None:
        file.unlink()
    else:
        file.write_bytes(data)
    stood = _stats(before.area)
    spy, largest = Spy(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.meta_path.insert(0, spy)  # type: ignore[arg-type]
    here, limit = Path.cwd(), os.environ.get("TASKCT_READ_LIMIT")
    os.environ["TASKCT_READ_LIMIT"] = READ_LIMIT
    os.chdir(place)
    try:
        outcome = _outcome(place, target, by_command=bool(target.command) and index % 4 == 3)
        after = _stats(before.area)
        grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - largest)
        written = {path.name for path in stood.keys() ^ after.keys()}
        written |= {path.name for path in stood.keys() & after.keys() if stood[path] != after[path]}
        strays = sorted(written - set(target.writes)) if target.writes != ("*",) else []
        strays += [path.name for path in elsewhere.iterdir()]
        if not outcome.failed and strays:
            outcome = Outcome("wrote", ", ".join(strays))
        if not outcome.failed and spy.asked and not target.trusted:
            outcome = Outcome("imported", spy.asked[0])
        if not outcome.failed and grown > MEMORY:
            outcome = Outcome("memory", f"{grown / 2**30:.1f} GiB")
    finally:
        os.chdir(here)
        sys.meta_path.remove(spy)  # type: ignore[arg-type]
        if limit is None:
            del os.environ["TASKCT_READ_LIMIT"]
        else:
            os.environ["TASKCT_READ_LIMIT"] = limit
        before.restore()
        for folder in (place / "out", elsewhere):
            shutil.rmtree(folder)
            folder.mkdir()
    return outcome


def _outcome(place: Path, target: Target, *, by_command: bool) -> Outcome:
    with warnings.catch_warnings(record=True) as told, _limited():
        warnings.simplefilter("default")
        try:
            outcome = _by_command(place, target) if by_command else _by_function(place, target)
        except Hang:
            outcome = Outcome("hang", traceback.format_exc(limit=-6))
        except Exception as error:
            named = {"wrong": AssertionError, "MemoryError": MemoryError}  # NumPy's is a subclass of another name
            kind = next((name for name, of in named.items() if isinstance(error, of)), type(error).__name__)
            outcome = Outcome(kind, f"{_place(error)}\n{traceback.format_exc()}")
    if not outcome.failed and any(IDENTIFIER in str(one.message) for one in told):
        return Outcome("leak", "in a warning")
    return outcome


def _place(error: Exception) -> str:
    """Where in taskct an error came out, such as `taskct/io/dicom.py:230`."""
    frames = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    ours = [frame[frame.rindex("taskct/") :] for frame in frames if "/src/taskct/" in frame]
    return ours[-1] if ours else "elsewhere"


def _by_function(place: Path, target: Target) -> Outcome:
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            target.read(place)
    except UserError as error:
        return _judged([str(error)])
    return Outcome("read")


def _by_command(place: Path, target: Target) -> Outcome:
    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = [
        "taskct",
        *target.command.split(),
        *(["--device", "cpu"] if target.command.startswith("denoise") else []),
    ]
    status: object = None
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            taskct.cli.main()
    except SystemExit as stop:
        status = stop.code or 0
    finally:
        sys.argv = argv
    if status not in (0, 2):
        return Outcome("status", f"{status}: {err.getvalue()}")
    for file in (place / "out").rglob("*.npy"):
        assert np.isfinite(np.load(file)).all(), "what was written is not finite"
    written = out.getvalue().replace("\n", "")
    judged = _judged([*err.getvalue().splitlines(), *([] if written.isprintable() else [written[:MESSAGE]])])
    if status == 2 and not judged.failed and not err.getvalue().splitlines()[-1:][0].startswith("taskct: "):
        return Outcome("message", err.getvalue())
    return judged if judged.failed or status == 2 else Outcome("read")


def _judged(lines: Sequence[str]) -> Outcome:
    """Whether every line may be shown."""
    for line in lines:
        if IDENTIFIER in line:
            return Outcome("leak", line)
        if not line.isprintable() or len(line) > MESSAGE or "Traceback" in line:
            return Outcome("message", repr(line[: 2 * MESSAGE]))
    return Outcome("refused", lines[-1] if lines else "")


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """A bound on the time of what is done within; CPU time, since the machine may be busy, and the clock, for waits."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise Hang

    timers = ((signal.ITIMER_PROF, signal.SIGPROF, CPU_S), (signal.ITIMER_REAL, signal.SIGALRM, WALL_S))
    before = [signal.signal(number, stop) for _, number, _ in timers]
    for timer, _, seconds in timers:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for (timer, number, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def _stats(area: Path) -> dict[Path, tuple[int, int]]:
    stats = {path: path.stat() for path in area.rglob("*") if path.is_file()}
    return {path: (stat.st_mtime_ns, stat.st_size) for path, stat in stats.items()}


class _Snapshot:
    """What a folder holds, to be put back."""

    def __init__(self, area: Path) -> None:
        self.area = area
        self.stats = _stats(area)
        self.contents = {path: path.read_bytes() for path in self.stats}

    def restore(self) -> None:
        now = _stats(self.area)
        for path in now.keys() - self.stats.keys():
            path.unlink()
        for path, (time_ns, _) in self.stats.items():
            if now.get(path) != self.stats[path]:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.contents[path])
                os.utime(path, ns=(time_ns, time_ns))
