"""What is known of finished stages: a record for each, written whole, by whichever machine did it.

Of the machine there are versions, commit and kind: what a reader needs to do it again; nothing that identifies one.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock, Timeout

from taskct import __version__
from taskct.config import Settings
from taskct.errors import UserError
from taskct.files import write_text
from taskct.names import bounded
from taskct.reading import check_regular, read_json, reading

_KINDS = {
    **dict.fromkeys(("stage", "key", "finished"), "a word"),
    **dict.fromkeys(("version", "commit", "device", "files"), "a word or nothing"),
    **dict.fromkeys(("wall_s", "n_threads"), "a number or nothing"),
    **dict.fromkeys(("bytes", "digests"), "a mapping or nothing"),
    "depends_on": "a list or nothing",
}
"""What the entries of a record are."""

_TEMPORARY = re.compile(r".*\.[0-9a-f]{16}\.partial")

FOLDER = "stages"
FAILURES = "failures.json"
FOLDER_LOCK = "run.lock"
LIBRARIES = ("torch", "numpy", "scipy", "zarr", "safetensors", "lightning-fabric", "pydicom", "matplotlib", "pydantic")


def file_name(stage: str) -> str:
    """The start of the names of a stage's files.

    Examples
    --------
    >>> file_name("finetune lambda=0.9 seed=0")
    'finetune_lambda=0.9_seed=0'
    """
    return bounded(stage.replace("%", "%25").replace("/", "%2F").replace("_", "%5F").replace(" ", "_"), stage)


def stage_path(folder: Path, stage: str, ending: Literal[".json", ".lock", ".progress"] = ".json") -> Path:
    """A stage's record, its lock, which the system lets go of when its holder dies, or how far it is."""
    return folder / FOLDER / f"{file_name(stage)}{ending}"


def read_record(folder: Path, stage: str) -> dict[str, Any] | None:
    """The record of a stage, None if it has not finished; `UserError` if it is broken, `OSError` if unreadable here."""
    return _read(stage_path(folder, stage))


def _read(file: Path) -> dict[str, Any] | None:
    if not file.exists():
        return None
    advice = "put back a copy, or delete it and the stage is done anew"
    record = read_json(file, "the record of a stage", advice)
    if not isinstance(record, dict) or not all(_is_kind(record.get(name), kind) for name, kind in _KINDS.items()):
        raise UserError(f"{file} is broken: {advice}")
    # Earlier versions wrote the host's name, which is nobody's business.
    return {name: value for name, value in record.items() if name != "host"}


def _is_kind(value: object, kind: str) -> bool:
    if value is None:
        return kind.endswith("or nothing")
    if kind.startswith("a word"):
        return isinstance(value, str)
    if kind.startswith("a number"):
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
    if kind.startswith("a list"):
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    return isinstance(value, dict) and all(one is None or isinstance(one, int | str) for one in value.values())


def read_records(folder: Path, order: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Every record by the name of its stage: those of `order` first, then others by the moment they ended."""
    found = {}
    for file in sorted((folder / FOLDER).glob("*.json")):
        if (record := _read(file)) is not None:
            found[record["stage"]] = record
    place = {name: index for index, name in enumerate(order)}
    return dict(sorted(found.items(), key=lambda item: (place.get(item[0], len(place)), item[1]["finished"])))


def write_record(folder: Path, stage: str, record: dict[str, Any]) -> None:
    """Write a stage's record whole or not at all."""
    write_text(stage_path(folder, stage), json.dumps({"stage": stage, **record}, indent=2, ensure_ascii=False) + "\n")


def log(folder: Path, event: str, stage: str, **more: object) -> None:
    """Append a line to `stages/log.jsonl`: what began, ended or failed, when, and in which process.

    `event` is "start", "end", "failed", "settings", or "note" for a warning; `more` is whatever else is to be known.
    """
    line = {"time": round(time.time(), 3), "event": event, "stage": stage, "pid": os.getpid()}
    file = folder / FOLDER / "log.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    # Appending is not atomic on a network file system.
    with FileLock(file.with_suffix(".lock")), file.open("a", encoding="utf-8") as out:
        out.write(json.dumps({**line, **more}, ensure_ascii=False) + "\n")


def lock_folder(folder: Path) -> FileLock:
    """Claim a run folder until it is released or this process ends; a `UserError` if another process holds it."""
    _check_contents(folder)
    lock = FileLock(folder / FOLDER_LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise UserError(
            f"{folder}: another taskct works in this folder; wait until it ends or stop it, or choose another --out"
        ) from None
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written: {error.strerror or error}; make it so, or copy it to a place where it can"
        ) from error
    for file in list(folder.rglob("*.partial")):  # left by a process that was killed
        if not _TEMPORARY.fullmatch(file.name):
            continue
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file, ignore_errors=True)
        else:
            file.unlink(missing_ok=True)
    return lock


def _check_contents(folder: Path) -> None:
    """Refuse links in a folder that is to be written, since they lead out of it, and pipes, which would be waited for.

    `trials` alone may be a link, to read.
    """
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place) / name
            if path.is_symlink() and path != folder / "trials":
                raise UserError(
                    f"{path} is a link, and nothing is written through a link in a run folder: put there what it leads "
                    "to, or remove it"
                )
            check_regular(path)


def read_failures(folder: Path) -> dict[str, str]:
    """What went wrong, by the name of the stage, in the last training; empty where nothing did."""
    file = folder / FAILURES
    if not file.is_file():
        return {}
    advice = "delete it, and `taskct train` tries again what failed"
    content = read_json(file, "what failed", advice)
    with reading(file, "what failed", advice):
        return {str(row["stage"]): str(row["problem"]) for row in content["failed"]}


def write_failures(folder: Path, failed: Sequence[dict[str, Any]], skipped: Sequence[dict[str, Any]]) -> None:
    """Write `failures.json`, or remove it where nothing failed.

    Rows have `stage`, `arm`, `seed`, and the `problem`, or for those skipped `because`, the stage that failed.
    """
    if not failed:
        if (folder / FAILURES).exists():  # a disk that cannot be written refuses to remove what is not there, too
            (folder / FAILURES).unlink(missing_ok=True)
        return
    content = {"schema": 1, "failed": list(failed), "skipped": list(skipped)}
    write_text(folder / FAILURES, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def environment(settings: Settings, device: torch.device) -> dict[str, Any]:
    """Version, commit, libraries and machine: what a reader needs to run the study again."""
    libraries = {}
    for name in LIBRARIES:
        try:
            libraries[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # pragma: no cover - a library without metadata
            libraries[name] = "unknown"
    return {
        "taskct_version": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "libraries": libraries,
        "device": str(device),
        "n_threads": torch.get_num_threads(),
        "seed": settings.seed,
        "training_seeds": list(settings.training.seeds),
    }


def commit() -> str | None:
    """The commit of the checkout that taskct runs from, or None for an installed package."""
    here = Path(__file__).parent
    git = shutil.which("git")
    if git is None or "site-packages" in here.parts:
        return None
    answer = subprocess.run(
        [git, "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"],
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() or None if answer.returncode == 0 else None
