"""Reading what may come from a stranger: regular files alone, within a budget of memory, every fault one line.

The budget is for what one file holds when it is unpacked: 8 GiB, or what the environment variable `TASKCT_READ_LIMIT`
says (`500MB`, `32GiB`, bytes). Readers compare what a header declares with it before they take the memory.
"""

import codecs
import functools
import hashlib
import json
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError, memory_wanted, unreadable

LIMIT_VARIABLE = "TASKCT_READ_LIMIT"

DEFAULT_LIMIT = 8 * 2**30

TEXT_SHARE = 32
"""Parsed text takes many times the memory of the file: it may have this part of the budget."""

N_READERS = 4
"""Files of a folder that are hashed at a time."""

_HASHES: dict[str, Callable[[], Any]] = {
    "blake2b": functools.partial(hashlib.blake2b, digest_size=16),
    "sha256": hashlib.sha256,
}

_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12} | {
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}


def read_limit() -> int:
    """The budget, bytes; a `UserError` if the environment variable holds no size."""
    text = os.environ.get(LIMIT_VARIABLE, "").strip()
    if not text:
        return DEFAULT_LIMIT
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?|\d{1,18})\s*([a-z]*)", text.lower())
    if match is None or match[2] not in _UNITS or not (n_bytes := int(float(match[1]) * _UNITS[match[2]])):
        raise UserError(f"{LIMIT_VARIABLE} is {text!r}: give a size above 0, such as 500MB or 32GiB")
    return n_bytes


def size_text(n_bytes: float) -> str:
    """A size in memory, short.

    >>> size_text(512), size_text(3 * 2**30)
    ('512 bytes', '3 GiB')
    """
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if n_bytes < 1024:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.4g} TiB"


def check_budget(name: object, n_bytes: int) -> None:
    """Refuse what a file declares to hold where it is more than the budget; `name` is what messages call the file."""
    if n_bytes > (limit := read_limit()):
        raise UserError(
            f"{name}: would take {size_text(n_bytes)} of memory by what it declares, over the limit of "
            f"{size_text(limit)}; if that is right, raise the limit: {LIMIT_VARIABLE}={-(-n_bytes // 2**30)}GiB"
        )


def check_regular(path: Path, name: object = None) -> None:
    """Refuse a FIFO, a socket or a device, which are not files and may be waited for without end.

    What does not exist is passed over: whoever opens it says so.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        kind = next(
            (word for test, word in ((stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket")) if test(mode)), "device"
        )
        raise UserError(f"{path if name is None else name}: a {kind}, not a file; save it as a file first")


@contextmanager
def reading(name: object, what: str, advice: str = "copy it again, or give another file") -> Iterator[None]:
    """Whatever a library raises within, as one line; nothing of what the file holds is quoted.

    Parameters
    ----------
    name
        What the message calls the file.
    what
        What it is read as, such as "a NIfTI volume".
    advice
        What to do about a damaged one.

    Raises
    ------
    UserError
        For every error within; one from within is passed on as it is.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # libraries raise what they like on damaged files: struct.error, zlib.error, and more
        if (wanted := memory_wanted(error)) is not None:
            raise UserError(
                f"{name}: not enough memory{wanted} to read it as {what}; free memory, or give a smaller file"
            ) from error
        if isinstance(error, OSError) and error.errno is not None:
            raise unreadable(name, error) from error
        raise UserError(f"{name}: cannot be read as {what} (cut short, damaged or something else); {advice}") from error


def digest_of(path: Path) -> str | None:
    """BLAKE2b of a file, 32 hexadecimal digits; None if there is none.

    A file that has not changed since, by its size and time, is not read again by this process.
    """
    return _hash_of(path, "blake2b")


def sha256_of(path: Path) -> str | None:
    """SHA-256 of a file, 64 hexadecimal digits; as `digest_of`."""
    return _hash_of(path, "sha256")


def _hash_of(path: Path, kind: str) -> str | None:
    if not path.is_file():
        return None
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns, kind)


def digests_of(folder: Path, names: Iterable[str]) -> dict[str, str | None]:
    """Digests of files by their names in a folder; those of a folder in it are of each file there and below."""
    files: list[Path] = []
    for path in (folder / name for name in names):
        files += sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    with ThreadPoolExecutor(max_workers=N_READERS) as pool:  # hashing leaves Python to others
        return dict(
            zip((file.relative_to(folder).as_posix() for file in files), pool.map(digest_of, files), strict=True)
        )


@functools.lru_cache(maxsize=4096)
def _digest(path: Path, size: int, mtime_ns: int, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, _HASHES[kind]).hexdigest()


def read_text(
    path: Path, what: str = "text in UTF-8", advice: str = "save it as UTF-8", *, or_latin_1: bool = False
) -> str:
    """All of a text file, UTF-8 with or without a byte-order mark; a `UserError` as `reading` says.

    With `or_latin_1` what is no UTF-8 is read as Latin-1, in which old free text often is. UTF-16 is refused by name.
    """
    check_regular(path)
    with reading(path, what, advice):
        check_budget(path, TEXT_SHARE * path.stat().st_size)
        data = path.read_bytes()
        start = data[:64]
        # Without its mark, UTF-16 of these alphabets has a zero in every second byte.
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or (
            start.count(0) >= len(start) // 3 > 0 and (not any(start[::2]) or not any(start[1::2]))
        ):
            raise UserError(f"{path}: the text is UTF-16; save it as UTF-8")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            if not or_latin_1:
                raise
            return data.decode("latin-1")


def read_json(path: Path, what: str = "JSON", advice: str = "copy it again") -> Any:  # noqa: ANN401 - JSON's kinds
    """What a JSON file holds; NaN and infinities are no JSON. A `UserError` as `reading` says."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no number of JSON")

    text = read_text(path, what, advice)
    with reading(path, what, advice):
        return json.loads(text, parse_constant=refuse)


def read_npz(path: Path, advice: str = "delete it, and `taskct evaluate` makes it anew") -> dict[str, NDArray[Any]]:
    """Arrays by name, as `write_npz` wrote them; never a pickle. A `UserError` as `reading` says."""
    if not path.exists():
        raise UserError(f"{path} is missing: `taskct evaluate` makes it anew")
    check_regular(path)
    with reading(path, "arrays", advice), zipfile.ZipFile(path) as archive:
        check_budget(path, sum(member.file_size for member in archive.infolist()))
    with reading(path, "arrays", advice), np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):  # bytes, where a member is no array
            raise ValueError("a member is no array")
        return arrays
