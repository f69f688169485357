"""The trial store: image pairs, their truth and their split, in one Zarr group, written part by part.

A store is filled beside its place, as `NAME.partial`, and takes that place when every part is written; a writer that
was stopped goes on with the parts that are missing.

The images of a split are one uncompressed Zarr chunk, that is one file which holds them as memory does. So they are
read as a memory map, without a copy, and processes that read the same split share its pages.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.trials.mapped_zarr import n_bytes, plain_file, read_array, write_rows
from taskct.trials.trials import Trials, select

CHUNK_TRIALS = 256
"""Trials that are written at a time, and go on from there after a stop."""

IMAGES = ("noisy", "reference")

_DONE = ".done"  # in a store that is being filled: one empty file a chunk, and one when its arrays are there
_CREATED = "created"


def check_disjoint(cases: Mapping[str, NDArray[np.floating]]) -> None:
    """Check that no background stands in more than one split.

    Parameters
    ----------
    cases
        Case numbers by split name.

    Raises
    ------
    ValueError
        If one does.
    """
    owner: dict[int, str] = {}
    for name, column in cases.items():
        for case in np.unique(column):
            if owner.setdefault(int(case), name) != name:
                raise ValueError(f"background {int(case)} stands in both {owner[int(case)]} and {name}")


def chunk_starts(n: int, chunk: int) -> Iterator[tuple[int, int]]:
    """First trial and number of trials of every chunk.

    Examples
    --------
    >>> list(chunk_starts(5, 2))
    [(0, 2), (2, 2), (4, 1)]
    """
    yield from ((start, min(chunk, n - start)) for start in range(0, n, chunk))


class PartialStore:
    """A trial store that is being filled, beside its place.

    Several processes may write different chunks at a time.

    Parameters
    ----------
    path
        Where the store shall stand; it is filled at `path` + ".partial".
    sizes
        By split: its trials, and how many of them a chunk holds.
    image_shape
        Height and width of the images.
    columns
        Names of the truth table's columns.
    group_name
        What a case is, in the plural: "phantoms", "slices" or "patients".
    key
        Stands for everything the trials depend on: what an earlier writer left is kept if it had the same key, and
        removed otherwise. An empty one keeps nothing.
    """

    def __init__(
        self,
        path: Path,
        sizes: Mapping[str, tuple[int, int]],
        *,
        image_shape: tuple[int, int],
        columns: Sequence[str],
        group_name: str,
        key: str,
    ) -> None:
        self.path = path
        self.sizes = dict(sizes)
        self.partial = path.with_name(path.name + ".partial")
        attributes: dict[str, Any] = {
            "key": key,
            "group_name": group_name,
            "columns": list(columns),
            "sizes": {name: list(size) for name, size in sizes.items()},
            "image_shape": list(image_shape),
        }
        if key and (path / _DONE).is_dir() and _attributes(path) == attributes:
            path.rename(self.partial)  # its writer was stopped between putting it in place and saying so
        if key and (self.partial / _DONE / _CREATED).is_file() and _attributes(self.partial) == attributes:
            return
        shutil.rmtree(self.partial, ignore_errors=True)
        root = zarr.open_group(str(self.partial), mode="w", attributes=attributes)
        for name, (n, chunk) in sizes.items():
            group, chunk = root.create_group(name), max(min(chunk, n), 1)
            for array_name in IMAGES:
                # Noise does not compress: storing it plain is faster, hardly larger, and can be mapped.
                images = group.create_array(
                    array_name,
                    shape=(n, *image_shape),
                    chunks=(max(n, 1), *image_shape),
                    dtype="float32",
                    compressors=None,
                    attributes={"unit": "HU"},
                )
                file = plain_file(self.partial / name / array_name, images)
                if file is not None:  # of full size from the start, with holes, for parts to be written in any order
                    file.parent.mkdir(parents=True, exist_ok=True)
                    with file.open("wb") as made:
                        made.truncate(n_bytes(images))
            group.create_array("signal_present", shape=(n,), chunks=(chunk,), dtype="bool")
            group.create_array(
                "truth",
                shape=(n, len(columns)),
                chunks=(chunk, max(len(columns), 1)),
                dtype="float64",
                attributes={"columns": list(columns)},
            )
        (self.partial / _DONE).mkdir()
        (self.partial / _DONE / _CREATED).touch()

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
        """Put the store in its place; what stood there before is replaced.

        Raises
        ------
        ValueError
            If a chunk is missing, or two splits share a background.
        """
        if missing := self.missing():
            raise ValueError(f"{len(missing)} chunks are not written, the first is {missing[0]}")
        check_disjoint({name: _column(self.partial, name, "case") for name in self.sizes})
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

    def discard(self) -> None:
        """Remove what was written."""
        shutil.rmtree(self.partial, ignore_errors=True)


def write_chunk(partial: Path, split: str, start: int, trials: Trials) -> None:
    """Write one chunk of a store that is being filled, and then mark it as done.

    Parameters
    ----------
    partial
        `PartialStore.partial`.
    split, start
        Where it belongs: its split and its first trial.
    trials
        A whole chunk.
    """
    group = _open(partial / split, "r+")
    part = slice(start, start + len(trials))
    names = list(group["truth"].attrs["columns"])
    for name in IMAGES:
        write_rows(partial / split / name, group[name], start, getattr(trials, name))
    group["signal_present"][part] = trials.signal_present
    group["truth"][part] = np.stack([trials.truth[name] for name in names], axis=1)
    (partial / _DONE / f"{split}.{start}").touch()


def write_trials(path: Path, splits: Mapping[str, Trials], *, group_name: str = "phantoms") -> None:
    """Write splits that are in memory, or nothing.

    Parameters
    ----------
    path
        The store's folder; what stood there before is replaced when the new one is complete.
    splits
        Trials by split name, with the same columns.
    group_name
        What a case is, in the plural: "phantoms", "slices" or "patients".

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
        group_name=group_name,
        key="",
    )
    try:
        for name, trials in splits.items():
            for start, n in chunk_starts(len(trials), CHUNK_TRIALS):
                store.write(name, start, select(trials, slice(start, start + n)))
        store.finish()
    except BaseException:
        store.discard()
        raise


def read_trials(path: Path, split: str, *, margin: int = 0) -> Trials:
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
    not reach the store. Images of an earlier store, of several chunks, are read into memory.

    Raises
    ------
    UserError
        If the store or the split is missing, or a file is not whole.
    """
    store = _standing(path)
    if not (store / split).is_dir():
        raise UserError(f"no {split} trials in {path}: run `taskct simulate` on this run folder first")
    group = _open(store / split)
    table = np.asarray(group["truth"])
    noisy, reference = (read_array(store / split / name, group[name]) for name in IMAGES)
    return Trials(
        noisy=noisy,
        reference=reference,
        signal_present=np.asarray(group["signal_present"]),
        truth={name: table[:, i].copy() for i, name in enumerate(group["truth"].attrs["columns"])},
        margin=margin,
    )


def read_group_name(path: Path) -> str:
    """What a case of a store is, in the plural: "phantoms", "slices" or "patients"."""
    return str(_attributes(_standing(path))["group_name"])


def _open(store: Path, mode: Literal["r", "r+"] = "r") -> Any:  # noqa: ANN401 - zarr's members are untyped unions
    return zarr.open_group(str(store), mode=mode)


def _standing(path: Path) -> Path:
    return path if path.exists() else _earlier(path)


def _earlier(path: Path) -> Path:
    """Where the earlier store stands while a new one takes its place; read when a run was killed in that instant."""
    return path.with_name(path.name + ".earlier")


def _attributes(store: Path) -> dict[str, object]:
    return dict(_open(store).attrs)


def _column(store: Path, split: str, name: str) -> NDArray[np.float64]:
    table = _open(store / split)["truth"]
    column: NDArray[np.float64] = np.asarray(table)[:, list(table.attrs["columns"]).index(name)]
    return column
