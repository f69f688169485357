"""The trial store: image pairs, their truth and their split, in one Zarr group."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray

from taskct.errors import UserError

SPLITS = ("train", "validation", "fresh", "test")
"""Networks learn on train; every choice is made on validation; fresh observers learn on fresh; figures are test's."""

TRUTH = ("case", "region_x_mm", "region_y_mm", "x_mm", "y_mm", "diameter_mm", "contrast_hu")
"""Columns of the truth table. Place and size stand for signal-absent trials too: where a signal might have been."""

CHUNK_TRIALS = 256


@dataclass(frozen=True)
class Trials:
    """The trials of one split, in memory.

    Raises
    ------
    ValueError
        If the arrays differ in length or shape, or the truth table lacks a column or has one too many.
    """

    noisy: NDArray[np.float32]
    """Low-dose images, HU, `(n, height, width)`: the region and its margin."""
    reference: NDArray[np.float32]
    """Training targets, HU, same shape."""
    signal_present: NDArray[np.bool_]
    """`(n,)`."""
    truth: dict[str, NDArray[np.float64]]
    """A column of length `n` for every name in `TRUTH`; offsets are from the region's centre."""

    def __len__(self) -> int:
        return len(self.signal_present)

    def __post_init__(self) -> None:
        n = len(self.signal_present)
        shapes = {self.noisy.shape, self.reference.shape}
        if len(shapes) != 1 or len(self.noisy) != n or any(len(column) != n for column in self.truth.values()):
            raise ValueError("noisy, reference, signal_present and truth differ in length or shape")
        if set(self.truth) != set(TRUTH):
            raise ValueError(f"the truth table has {sorted(self.truth)}, not {sorted(TRUTH)}")


def check_disjoint(splits: Mapping[str, Trials]) -> None:
    """Check that no background stands in more than one split.

    Parameters
    ----------
    splits
        Trials by split name.

    Raises
    ------
    ValueError
        If one does.
    """
    owner: dict[int, str] = {}
    for name, trials in splits.items():
        for case in np.unique(trials.truth["case"]):
            if owner.setdefault(int(case), name) != name:
                raise ValueError(f"background {int(case)} stands in both {owner[int(case)]} and {name}")


def write_trials(path: Path, splits: Mapping[str, Trials], *, group_name: str = "phantoms") -> None:
    """Write all splits, or nothing.

    Parameters
    ----------
    path
        The store's folder; what stood there before is replaced when the new one is complete.
    splits
        Trials by split name.
    group_name
        What a case is, in the plural: "phantoms", "slices" or "patients".

    Raises
    ------
    ValueError
        If two splits share a background.
    """
    check_disjoint(splits)
    partial, earlier = path.with_name(path.name + ".partial"), _earlier(path)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write(partial, splits, group_name)
        if path.exists():
            shutil.rmtree(earlier, ignore_errors=True)  # left by a run killed after its new store was in place
            path.rename(earlier)
        partial.rename(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        if not path.exists() and earlier.exists():
            earlier.rename(path)
        raise
    shutil.rmtree(earlier, ignore_errors=True)


def _earlier(path: Path) -> Path:
    """Where the earlier store stands while a new one takes its place; read when a run was killed in that instant."""
    return path.with_name(path.name + ".earlier")


def _write(path: Path, splits: Mapping[str, Trials], group_name: str) -> None:
    root = zarr.open_group(str(path), mode="w", attributes={"group_name": group_name})
    for name, trials in splits.items():
        group = root.create_group(name)
        for key in ("noisy", "reference"):
            images = getattr(trials, key)
            chunks = (max(min(CHUNK_TRIALS, len(trials)), 1), *images.shape[1:])
            # Noise does not compress: storing it plain is faster and hardly larger.
            group.create_array(key, data=images, chunks=chunks, compressors=None).attrs["unit"] = "HU"
        group.create_array("signal_present", data=trials.signal_present)
        table = group.create_group("truth")
        for key, column in trials.truth.items():
            table.create_array(key, data=column)


def read_trials(path: Path, split: str) -> Trials:
    """Read one split into memory.

    Parameters
    ----------
    path
        The store's folder.
    split
        One of `SPLITS`.

    Returns
    -------
    Its trials.

    Raises
    ------
    UserError
        If the store or the split is missing.
    """
    store = path if path.exists() else _earlier(path)
    if not (store / split).is_dir():
        raise UserError(f"no {split} trials in {path}: run `taskct simulate` on this run folder first")
    group = zarr.open_group(str(store / split), mode="r")
    return Trials(
        noisy=np.asarray(group["noisy"]),
        reference=np.asarray(group["reference"]),
        signal_present=np.asarray(group["signal_present"]),
        truth={key: np.asarray(group[f"truth/{key}"]) for key in TRUTH},
    )


def read_group_name(path: Path) -> str:
    """What a case of a store is, in the plural: "phantoms", "slices" or "patients"."""
    store = path if path.exists() else _earlier(path)
    return str(zarr.open_group(str(store), mode="r").attrs["group_name"])


def crop(images: NDArray[np.float32], margin: int) -> NDArray[np.float32]:
    """Crop images to their region of interest.

    Parameters
    ----------
    images
        Shape `(n, height, width)`.
    margin
        Pixels to leave out on each side.

    Returns
    -------
    View, shape `(n, height − 2·margin, width − 2·margin)`.
    """
    return images[:, margin:-margin, margin:-margin] if margin else images
