"""Killing whoever is at a stage of a run, for tests, and what its log must say in the end."""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from taskct.study.run_folder import RunFolder


def log_of(run: Path) -> list[dict[str, Any]]:
    file = run / "stages" / "log.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def check_each_once(run: RunFolder) -> None:
    """Every stage has its record and ended once, wherever and however often it began."""
    assert list(run.provenance()["stages"]) == list(run.graph)
    ends = Counter(line["stage"] for line in log_of(run.path) if line["event"] == "end")
    assert ends == Counter(dict.fromkeys(run.graph, 1))


@contextmanager
def killing(run: Path, begins_with: str) -> Iterator[list[int]]:
    """SIGKILL whoever is in the middle of the first such stage; the list gets its process id."""
    killed: list[int] = []

    def watch() -> None:
        end = time.monotonic() + 90
        while time.monotonic() < end and not killed:
            lines = [one for one in log_of(run) if one["event"] == "start" and one["stage"].startswith(begins_with)]
            if lines:
                time.sleep(0.2)  # it has begun to train
                os.kill(lines[0]["pid"], signal.SIGKILL)
                killed.append(lines[0]["pid"])
            time.sleep(0.02)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        killed or killed.append(0)
        thread.join()
