"""Fixtures for every room's tests."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode does not put it there
os.environ["TASKCT_CACHE"] = "off"  # no test leaves a matrix in the user's cache
if "PYTEST_XDIST_WORKER" in os.environ:  # a process for each core: threads within it would only wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from real_ct import real_ct_or_skip
from taskct.denoisers import import_path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first: begun at the end, a long one would leave the other processes idle."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def _no_word_but_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins with no network trusted."""
    monkeypatch.setattr(import_path, "_trusted", set[str]())


@pytest.fixture(scope="session")
def real_ct() -> Path:
    """Folder of a real CT series of 20 slices; skips the test, with the reason, where it cannot be had."""
    return real_ct_or_skip()
