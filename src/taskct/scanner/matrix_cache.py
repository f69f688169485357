"""System matrices kept on disk, so that a matrix that takes seconds to build is built once.

A matrix is one `.npy` file of 32-bit integers, written whole and named by a hash of all it depends on. It is loaded
memory-mapped and copy-on-write, so worker processes share its pages. A file that is not exactly what was written is
built anew; a disk that cannot be written to is gone without.

The folder is `matrices` in taskct's cache folder, see `taskct.cache`.
"""

import hashlib
import json
import os
import re
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from taskct.cache import cache_folder
from taskct.files import whole_file

FORMAT = 2
"""Part of every key: raise it whenever a matrix is stored, or computed, in another way."""
MIN_BYTES = 2**25
"""Smaller matrices are built faster than they are worth keeping (32 MiB: below half a second)."""
MAX_BYTES = 8 * 2**30
"""Bound on all files together; those not used for longest are removed first."""
ABANDONED_S = 3600.0
"""A temporary file older than this was left by a process that is gone, s."""
OURS = re.compile(r"[0-9a-f]{32}\.npy|[0-9a-f]{32}.*\.(tmp|partial)")
"""Nothing else in the folder is ever removed."""
HEADER = 16  # digest (8 words), rows, columns, entries, unused, checksum (2 words), unused (2 words)


def cached_matrix(key: Mapping[str, Any], build: Callable[[], sparse.csr_matrix]) -> sparse.csr_matrix:
    """Load a matrix from the cache, or build and keep it.

    The key is all that the matrix depends on, as JSON holds it. A matrix has float32 values and 32-bit indices; writing
    to its arrays never reaches the file.
    """
    folder = cache_folder("matrices")
    if folder is None:
        return build()
    text = json.dumps({"format": FORMAT, **key}, sort_keys=True, default=lambda number: number.item())  # NumPy scalars
    digest = np.frombuffer(hashlib.sha256(text.encode()).digest(), dtype=np.int32)
    path = folder / f"{digest.tobytes().hex()[:32]}.npy"
    matrix = _load(path, digest)
    if matrix is None:
        matrix = build()
        if matrix.nnz * 8 >= MIN_BYTES:
            with suppress(OSError):  # a full or read-only disk: go on without
                _save(path, digest, matrix)
    return matrix


def _load(path: Path, digest: NDArray[np.int32]) -> sparse.csr_matrix | None:
    """Map a file, or None unless it is whole and ours."""
    try:
        words = np.asarray(np.lib.format.open_memmap(path, mode="c"))  # copy-on-write; refuses pickles
    except (OSError, ValueError, EOFError, OverflowError):
        return None
    if words.dtype != np.int32 or words.ndim != 1 or len(words) < HEADER or not np.array_equal(words[:8], digest):
        return None
    n_rows, n_columns, n_entries = (int(number) for number in words[8:11])
    if min(n_rows, n_columns, n_entries) < 0 or len(words) != HEADER + n_rows + 1 + 2 * n_entries:
        return None
    pointer, indices, values = np.split(words[HEADER:], [n_rows + 1, n_rows + 1 + n_entries])
    if not np.array_equal(words[12:14], _checksum(pointer, indices, values)):
        return None
    with suppress(OSError):
        os.utime(path)  # the time of last use
    # An empty matrix of a shape, which the stubs do not know.
    matrix: sparse.csr_matrix = sparse.csr_matrix((n_rows, n_columns), dtype=np.float32)  # type: ignore[arg-type]
    # Not by the constructor, which copies an array that is less than half of the one it is a part of.
    matrix.data, matrix.indices, matrix.indptr = values.view(np.float32), indices, pointer
    return matrix


def _checksum(*parts: NDArray[np.int32]) -> NDArray[np.int32]:
    """CRC-32 of all words in their order, which a swap of two blocks changes too, and how many there are."""
    crc = 0
    for part in parts:
        crc = zlib.crc32(np.ascontiguousarray(part).data, crc)
    return np.array([crc, sum(map(len, parts)) % 2**32], dtype=np.uint32).view(np.int32)


def _save(path: Path, digest: NDArray[np.int32], matrix: sparse.csr_matrix) -> None:
    """Write a file whole, or raise OSError and leave nothing behind."""
    parts = [np.ascontiguousarray(matrix.indptr, dtype=np.int32), np.ascontiguousarray(matrix.indices, dtype=np.int32)]
    parts.append(np.ascontiguousarray(matrix.data, dtype=np.float32).view(np.int32))
    header = np.zeros(HEADER, dtype=np.int32)
    header[:8], header[8:11], header[12:14] = digest, [*matrix.shape, matrix.nnz], _checksum(*parts)
    length = HEADER + sum(map(len, parts))
    path.parent.mkdir(parents=True, exist_ok=True)
    if not _make_room(path.parent, 4 * length):
        return
    with whole_file(path) as partial, partial.open("wb") as file:
        descr = np.lib.format.dtype_to_descr(header.dtype)
        np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": (length,)})
        for part in (header, *parts):
            file.write(part.data)


def _make_room(folder: Path, n_bytes: int) -> bool:
    """Remove what was abandoned, then the least recently used matrices; False if there cannot be room."""
    if n_bytes > MAX_BYTES:
        return False
    files = []
    for path in folder.iterdir():
        if not OURS.fullmatch(path.name):
            continue
        with suppress(OSError):
            status = path.stat()
            if path.suffix == ".npy":
                files.append((status.st_mtime, status.st_size, path))
            elif time.time() - status.st_mtime > ABANDONED_S:
                path.unlink()
    total = n_bytes + sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= MAX_BYTES:
            break
        path.unlink(missing_ok=True)
        total -= size
    return total <= MAX_BYTES
