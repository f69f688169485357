"""The trial store: image pairs, their truth and their split, written part by part, read as memory maps.

A store is a folder of `.npy` files, which NumPy opens without this package: of every split `noisy.npy` and
`reference.npy`, float32, HU, `(n, height, width)`, and `truth.npy`, a table with named columns; `signal.npy` of splits
whose signals are known, see `Trials.signal`. `store.json` says how they came about. Processes that read the same split
share its pages.

A store is filled beside its place, as `NAME.partial`, and takes that place when every part is written; a writer that
was stopped goes on with the parts that are missing.
"""

import math
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.files import write_json
from taskct.reading import check_regular, read_json, reading
from taskct.trials.trials import Trials, select
from taskct.zarr_guard import check_zarr

CHUNK_TRIALS = 256
"""Trials that are written at a time, and go on from there after a stop."""

IMAGES = ("noisy", "reference")
SIGNAL = "signal"

_ABOUT = "store.json"
_PRESENT = "signal_present"  # the first column of truth.npy; the others are float64
_DONE = ".done"  # in a store that is being filled: one empty file a chunk


def check_disjoint(cases: Mapping[str, NDArray[np.floating]]) -> None:
    """Raise a `ValueError` if a background, by case number, stands in more than one split."""
    owner: dict[int, str] = {}
    for name, column in cases.items():
        for case in np.unique(column):
            if owner.setdefault(int(case), name) != name:
                raise ValueError(f"background {int(case)} stands in both {owner[int(case)]} and {name}")


def chunk_starts(n: int, chunk: int) -> Iterator[tuple[int, int]]:
    """First trial and number of trials of every chunk.

    >>> list(chunk_starts(5, 2))
    [(0, 2), (2, 2), (4, 1)]
    """
    yield from ((start, min(chunk, n - start)) for start in range(0, n, chunk))


class PartialStore:
    """A trial store that is being filled at `path` + ".partial", by several processes if need be.

    `sizes` are by split: its trials, and how many of them a chunk holds. `image_shape` is (height, width), `columns`
    the names of the truth table's columns, `case_kind` what a case is: "phantoms", "slices" or "patients"; `signals`
    names the splits that keep what their signals add. `key` stands for all that the trials depend on: what an earlier
    writer left is kept if it had the same key, and removed otherwise; an empty key keeps nothing.
    """

    def __init__(
        self,
        path: Path,
        sizes: Mapping[str, tuple[int, int]],
        *,
        image_shape: tuple[int, int],
        columns: Sequence[str],
        case_kind: str,
        key: str,
        signals: Collection[str] = (),
    ) -> None:
        self.path = path
        self.sizes = dict(sizes)
        self.partial = path.with_name(path.name + ".partial")
        about = {
            "key": key,
            "group_name": case_kind,
            "columns": list(columns),
            "sizes": {name: list(size) for name, size in sizes.items()},
            "image_shape": list(image_shape),
            "signals": sorted(signals),
        }
        if key and (path / _DONE).is_dir() and _about(path) == about:
            path.rename(self.partial)  # its writer was stopped between putting it in place and saying so
        if key and _about(self.partial) == about:
            return
        shutil.rmtree(self.partial, ignore_errors=True)
        row = np.dtype([(_PRESENT, "?"), *((name, "<f8") for name in columns)])
        for name, (n, _) in sizes.items():
            folder = self.partial / name
            folder.mkdir(parents=True)
            # Of full size from the start, with holes, for parts to be written in any order.
            for image in (*IMAGES, SIGNAL) if name in signals else IMAGES:
                np.lib.format.open_memmap(folder / f"{image}.npy", "w+", "<f4", (n, *image_shape))
            np.lib.format.open_memmap(folder / "truth.npy", "w+", row, (n,))
        (self.partial / _DONE).mkdir()
        write_json(self.partial / _ABOUT, about)  # the last: with it the files are there

    def missing(self) -> list[tuple[str, int, int]]:
        """Split, first trial and number of trials of every chunk that is not written yet."""
        return [
            (name, start, n)
            for name, (total, chunk) in self.sizes.items()
            for start, n in chunk_starts(total, chunk)
            if not (self.partial / _DONE / f"{name}.{start}").exists()
        ]

    def write(self, split: str, start: int, trials: Trials) -> None:
        """Write one chunk; `start` is its first trial."""
        write_chunk(self.partial, split, start, trials)

    def finish(self) -> None:
        """Put the store in its place; what stood there before is replaced."""
        if missing := self.missing():
            raise ValueError(f"{len(missing)} chunks are not written, the first is {missing[0]}")
        check_disjoint({name: _mapped(self.partial / name / "truth.npy")["case"] for name in self.sizes})
        earlier = _earlier(self.path)
        try:
            if self.path.exists():
                shutil.rmtree(earlier, ignore_errors=True)  # left by a run killed after its new store was in place
                self.path.rename(earlier)
            self.partial.rename(self.path)
        except BaseException:
            if not self.path.exists() and earlier.exists():
                earlier.rename(self.path)
            raise
        shutil.rmtree(self.path / _DONE)
        shutil.rmtree(earlier, ignore_errors=True)


def write_chunk(partial: Path, split: str, start: int, trials: Trials) -> None:
    """Write one chunk of a store that is being filled, and then mark it as done.

    `partial` is `PartialStore.partial`; `start` is the first trial of a whole chunk.
    """
    folder = partial / split
    for name in IMAGES:
        _write_rows(folder / f"{name}.npy", start, getattr(trials, name))
    if trials.signal is not None:
        _write_rows(folder / f"{SIGNAL}.npy", start, trials.signal)
    table = np.empty(len(trials), _mapped(folder / "truth.npy").dtype)
    for name in table.dtype.names or ():
        table[name] = trials.signal_present if name == _PRESENT else trials.truth[name]
    _write_rows(folder / "truth.npy", start, table)
    (partial / _DONE / f"{split}.{start}").touch()


def write_trials(path: Path, splits: Mapping[str, Trials], *, case_kind: str = "phantoms") -> None:
    """Write splits that are in memory, by name, or nothing; a store that stood there is replaced at the end.

    All have the same columns of truth; `case_kind` is as for `PartialStore`.

    Raises
    ------
    ValueError
        If two splits share a background.
    """
    check_disjoint({name: trials.truth["case"] for name, trials in splits.items()})
    first = next(iter(splits.values()))
    store = PartialStore(
        path,
        {name: (len(trials), CHUNK_TRIALS) for name, trials in splits.items()},
        image_shape=(first.noisy.shape[1], first.noisy.shape[2]),
        columns=list(first.truth),
        case_kind=case_kind,
        key="",
        signals=[name for name, trials in splits.items() if trials.signal is not None],
    )
    try:
        for name, start, n in store.missing():
            store.write(name, start, select(splits[name], slice(start, start + n)))
        store.finish()
    finally:
        shutil.rmtree(store.partial, ignore_errors=True)  # gone once it is finished


def read_trials(path: str | Path, split: str, *, margin: int = 0) -> Trials:
    """Read one split.

    Parameters
    ----------
    path
        The store's folder.
    split
        One of `SPLITS`.
    margin
        Pixels of the images around the region, on each side, see `Trials`.

    Returns
    -------
    Its trials. The images are memory maps of the store's files, copied on write: to change them is allowed and does
    not reach the store. A Zarr store, as earlier versions wrote it, is read into memory.

    Raises
    ------
    UserError
        If the store or the split is missing, or a file is not whole.
    """
    folder = _standing(Path(path)) / split
    if not folder.is_dir():
        raise UserError(f"no {split} trials in {path}: run `taskct simulate` on this run folder first")
    if (folder / "zarr.json").is_file():
        return _read_zarr(folder, margin)
    table = _mapped(folder / "truth.npy")
    noisy, reference = (_mapped(folder / f"{name}.npy") for name in IMAGES)
    columns = {name: np.array(table[name]) for name in table.dtype.names or () if table.ndim == 1}
    signal = _mapped(folder / f"{SIGNAL}.npy") if (folder / f"{SIGNAL}.npy").exists() else None
    return _checked(folder, (noisy, reference, signal), columns.pop(_PRESENT, np.empty(0)), columns, margin)


def _checked(
    folder: Path,
    images: tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None],
    present: NDArray[Any],
    truth: dict[str, NDArray[Any]],
    margin: int,
) -> Trials:
    """Trials, once they are of the kinds that a store is written with."""
    for name, array in zip((*IMAGES, SIGNAL), images, strict=True):
        if array is not None and (array.dtype != np.float32 or array.ndim != 3):
            raise UserError(
                f"{folder / name} holds {array.dtype} of {array.ndim} dimensions, not float32 of 3; simulate the "
                "trials again"
            )
    if present.dtype != np.bool_ or not all(column.dtype == np.float64 for column in truth.values()):
        raise UserError(f"{folder}: the truth table has columns of a wrong kind; simulate the trials again")
    with reading(folder, "trials", "simulate the trials again"):
        noisy, reference, signal = images
        return Trials(noisy, reference, present, truth, margin, signal=signal)


def read_case_kind(path: Path) -> str:
    """What a case of a store is, in the plural: "phantoms", "slices" or "patients"."""
    store = _standing(path)
    with reading(store, "trials", "simulate the trials again"):
        return str((_about(store) or _zarr(store).attrs)["group_name"])


def _write_rows(file: Path, start: int, rows: NDArray[Any]) -> None:
    # Written, not mapped: on a full disk a write fails with a message, a store into a mapped hole kills the process.
    with file.open("r+b") as opened:
        np.lib.format.read_magic(opened)
        shape, _, dtype = np.lib.format.read_array_header_1_0(opened)
        opened.seek(start * math.prod(shape[1:]) * dtype.itemsize, os.SEEK_CUR)
        opened.write(np.ascontiguousarray(rows, dtype=dtype).tobytes())


def _mapped(file: Path) -> NDArray[Any]:
    """A memory map of a file, copied on write."""
    if not file.exists():
        raise UserError(f"{file} is missing; simulate the trials again")
    check_regular(file)
    with reading(file, "an array", "simulate the trials again"):
        mapped: NDArray[Any] = np.load(file, mmap_mode="c", allow_pickle=False)
        if not isinstance(mapped, np.ndarray):
            raise ValueError("an archive")
        return mapped


def _zarr(folder: Path) -> Any:  # noqa: ANN401 - zarr's members are untyped unions
    """A group of a Zarr store, as earlier versions wrote it."""
    import zarr  # not above: it takes long, and stores of today do without

    check_zarr(folder)
    return zarr.open_group(str(folder), mode="r", use_consolidated=False)


def _read_zarr(folder: Path, margin: int) -> Trials:
    with reading(folder, "trials", "simulate the trials again"):
        group = _zarr(folder)
        noisy, reference, present, table = (np.asarray(group[name]) for name in (*IMAGES, _PRESENT, "truth"))
        truth = {name: table[:, i].copy() for i, name in enumerate(group["truth"].attrs["columns"])}
    return _checked(folder, (noisy, reference, None), present, truth, margin)


def _standing(path: Path) -> Path:
    return path if path.exists() else _earlier(path)


def _earlier(path: Path) -> Path:
    """Where the earlier store stands while a new one takes its place; read when a run was killed in that instant."""
    return path.with_name(path.name + ".earlier")


def _about(store: Path) -> dict[str, Any] | None:
    """How a store came about; None where that is not said, as in one of Zarr."""
    file = store / _ABOUT
    if not file.exists():
        return None
    about = read_json(file, "how trials came about", "simulate the trials again")
    if not isinstance(about, dict):
        raise UserError(f"{file} is broken; simulate the trials again")
    return about
