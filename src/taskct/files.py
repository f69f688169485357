"""Files are written whole or not at all; arrays in .npz and .npy, the rest in JSON, never a pickle."""

import json
import math
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError, unreadable


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A place to write a file whose contents then take `path` whole, also through a power cut, or not at all."""
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        _to_disk(partial)
        partial.replace(path)
        _to_disk(path.parent)  # the name too
    finally:
        partial.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_whole(path: Path, write: Callable[[Path], object]) -> Path:
    """Write beside the target and move it into place, so that a killed run leaves the old file as it was."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def json_values(content: object) -> object:
    """The same content in JSON's own kinds: arrays and tuples as lists, what is not finite as None.

    Parameters
    ----------
    content
        Numbers, text, None, and dicts, lists, tuples and arrays of them.

    Examples
    --------
    >>> json_values({"auc": float("nan"), "bounds": (0.5, np.float64(1.0))})
    {'auc': None, 'bounds': [0.5, 1.0]}
    """
    if isinstance(content, dict):
        return {key: json_values(value) for key, value in content.items()}
    if isinstance(content, np.ndarray):
        content = content.tolist()
    if isinstance(content, list | tuple):
        return [json_values(value) for value in content]
    if isinstance(content, np.generic):
        content = content.item()
    return None if isinstance(content, float) and not math.isfinite(content) else content


def write_json(path: Path, content: object) -> None:
    """Write JSON whole or not at all; a value that is not finite is written as null."""
    write_text(path, json.dumps(json_values(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def named(place: Path, ending: str) -> Path:
    """A path with something appended to its name, dots and all."""
    return place.with_name(place.name + ending)


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]], *, compress: bool = True) -> None:
    """Write arrays by name, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save: Callable[..., None] = np.savez_compressed if compress else np.savez
    with whole_file(path) as partial, partial.open("wb") as file:
        save(file, **arrays)


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays by name, as `write_npz` wrote them.

    Raises
    ------
    UserError
        If the file is missing or broken.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: `taskct evaluate` makes it anew") from None
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read ({error}): delete it, and `taskct evaluate` makes it anew") from error


def write_npy(path: Path, images: NDArray[np.float32]) -> None:
    """Write a `.npy` file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            np.save(file, images, allow_pickle=False)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
