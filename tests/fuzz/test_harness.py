"""The harness sees each kind of failure, and its changes come from the seed alone."""

import importlib
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fuzz import harness
from fuzz.mutate import CANARY_PATH, STRUCTURE, mutate
from fuzz.targets import IDENTIFIER, TARGETS, Target, endings, make_workspace
from taskct.errors import UserError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("elsewhere", "out", "npy"):
        (tmp_path / name).mkdir()
    np.save(tmp_path / "npy" / "hu.npy", np.zeros((2, 3, 4), np.float32))
    return tmp_path


def _raise(error: Exception) -> None:
    raise error


def _wait(_: Path) -> None:
    end = time.process_time() + 5
    while time.process_time() < end:
        pass


def _import(_: Path) -> None:
    try:
        importlib.import_module(CANARY_PATH)
    except ImportError as error:
        raise UserError("no such network") from error


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("read", lambda place: None),
        ("refused", lambda place: _raise(UserError("hu.npy: cut short; copy it again"))),
        ("ValueError", lambda place: _raise(ValueError("x"))),
        ("RecursionError", lambda place: _raise(RecursionError("x"))),
        ("MemoryError", lambda place: _raise(MemoryError("x"))),
        ("wrong", lambda place: _raise(AssertionError("x"))),
        ("message", lambda place: _raise(UserError("long " * 200))),
        ("leak", lambda place: _raise(UserError(f"patient {IDENTIFIER}"))),
        ("wrote", lambda place: (place / "npy" / "other").touch()),
        ("wrote", lambda place: (place / "npy" / "hu.npy").write_bytes(b"anything else")),
        ("wrote", lambda place: (place / "elsewhere" / "x").touch()),
        ("imported", _import),
        ("memory", lambda place: np.ones(2**23).sum()),
        ("hang", _wait),
    ],
)
def test_a_failure_is_seen_and_the_files_are_put_back(
    place: Path, monkeypatch: pytest.MonkeyPatch, kind: str, read: Callable[[Path], object]
) -> None:
    monkeypatch.setitem(TARGETS, "odd", Target(("npy/*",), read))
    monkeypatch.setattr(harness, "CPU_S", 0.3)
    if kind == "memory":
        monkeypatch.setattr(harness, "MEMORY", -1)  # what a process has taken once does not shrink
    before = {file: file.read_bytes() for file in place.rglob("*") if file.is_file()}
    assert harness.run_case(place, "odd", 0, 0).kind == kind
    assert {file: file.read_bytes() for file in place.rglob("*") if file.is_file()} == before


def test_changes_come_from_the_seed_and_reach_every_format(tmp_path: Path) -> None:
    place, seen = make_workspace(tmp_path / "workspace"), set()
    for target in TARGETS.values():
        file = next(file for file in sorted(place.glob(target.files[0])) if file.is_file())
        data = file.read_bytes()
        changed = [mutate(data, endings(file), random.Random(seed)) for seed in range(60)]
        assert changed == [mutate(data, endings(file), random.Random(seed)) for seed in range(60)]
        assert len(set(changed) - {data}) > 30
        seen.add(endings(file))
    # Of a run's results, or beside others of their kind: not the first of their patterns.
    assert seen >= STRUCTURE.keys() - {".npz", ".mha", ".nrrd"}
