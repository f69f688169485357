"""The images of a study that make the round trip: its low-dose images by split, and their noise-free ones."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from taskct.apply.round_trip.key import TWINS
from taskct.errors import UserError
from taskct.study.run_folder import RunFolder
from taskct.trials.trials import SPLITS, Trials, select

N_TWINS = 1000
"""Of the first fresh trials the twins go along, where the simulation knows them."""

DEFAULT_SPLITS = ("test", "fresh", "validation")


def read_split(run: RunFolder, split: str) -> Trials | None:
    """The trials of a split, or of the twins; None for twins that are not known.

    Raises
    ------
    UserError
        If the run is not simulated, or has no such trials any more.
    """
    if split != TWINS:
        return run.read(split)
    fresh = run.read("fresh")
    return None if fresh.signal is None else select(fresh, slice(N_TWINS)).twins


def read_splits(run: RunFolder, splits: Sequence[str]) -> dict[str, Trials]:
    """The trials of some splits, and those of the twins behind fresh.

    Raises
    ------
    UserError
        If a split is unknown or named twice, or the run is not simulated.
    """
    if not splits or len(set(splits)) < len(splits) or not set(splits) <= set(SPLITS):
        raise UserError(f"--split is {','.join(splits)}: give some of {', '.join(SPLITS)}, each once")
    run.require("simulate")
    wanted = [split for split in SPLITS if split in splits]
    trials = {split: read_split(run, split) for split in [*wanted, *([TWINS] if "fresh" in wanted else [])]}
    return {split: found for split, found in trials.items() if found is not None}


def digest(images: NDArray[np.float32]) -> str:
    """SHA-256 of images as float32, little endian, in order."""
    found = hashlib.sha256()
    for start in range(0, len(images), 256):
        found.update(np.ascontiguousarray(images[start : start + 256], dtype="<f4").tobytes())
    return found.hexdigest()
