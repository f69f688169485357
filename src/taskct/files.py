"""Files are written whole or not at all; arrays in .npz and .npy, the rest in JSON, never a pickle."""

import errno
import json
import math
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TRUTH = dict.fromkeys(("1", "1.0", "true", "yes", "present"), True) | dict.fromkeys(
    ("0", "0.0", "false", "no", "absent"), False
)


@contextmanager
def whole_file(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A place to write a file whose contents then replace `path` whole or not at all; a link there is replaced.

    Several processes may write the same file. A `durable` one is whole after a power cut too, which costs a wait for
    the disk.
    """
    if path.is_dir() and not path.is_symlink():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    # A name that nobody can guess, and made here: what lies there already, such as a link, is not written to.
    partial = named(path, f".{secrets.token_hex(8)}.partial")
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield partial
        if durable:
            _to_disk(partial)
        partial.replace(path)
        if durable:
            _to_disk(path.parent)  # the name too
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A place to write a folder of files that then takes `path`, new or an empty folder, whole or not at all."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        partial.mkdir(parents=True)
        yield partial
        if path.exists():
            path.rmdir()
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all; missing folders are made, here and below."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def json_values(content: object) -> Any:  # noqa: ANN401 - of JSON's kinds
    """The same content in JSON's own kinds: arrays and tuples as lists, what is not finite as None.

    What neither JSON nor NumPy has is left as it is, for `json` to refuse.

    >>> json_values({"auc": float("nan"), "bounds": (0.5, np.float64(1.0))})
    {'auc': None, 'bounds': [0.5, 1.0]}
    """
    if isinstance(content, np.ndarray | np.generic):
        content = content.tolist()
    if isinstance(content, dict):
        return {key: json_values(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [json_values(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def write_json(path: Path, content: object) -> None:
    """Write JSON whole or not at all; a value that is not finite is written as null."""
    write_text(path, json.dumps(json_values(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def named(place: Path, ending: str) -> Path:
    """A path with something appended to its name, dots and all."""
    return place.with_name(place.name + ending)


def read_truth_value(text: str) -> bool:
    """Truth of a table's cell: 1, true, yes or present; 0, false, no or absent; in any case. Else a `ValueError`.

    >>> read_truth_value("1"), read_truth_value("False")
    (True, False)
    """
    if (truth := _TRUTH.get(text.lower())) is None:
        raise ValueError(f"{text!r} is neither 1 nor 0")
    return truth


def write_npy(path: Path, array: NDArray[Any]) -> None:
    """Write an array whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial, partial.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]], *, compress: bool = True) -> None:
    """Write arrays by name, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial, partial.open("wb") as file:
        (np.savez_compressed if compress else np.savez)(file, **arrays)  # type: ignore[arg-type]
