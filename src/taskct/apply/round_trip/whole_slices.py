"""Whole slices for an export: simulated again about the trials of a run, and kept on disk while they are written."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.progress import Progress
from taskct.simulation.whole import WholeSlices
from taskct.study.imports import TRAIN_TWINS, TWINS
from taskct.study.run_folder import RunFolder
from taskct.trials.trials import Trials

SAME_HU = 0.05
"""How far the trials of the store may lie off their windows: another grid sums in another order."""

PARTNERS = {TWINS: "fresh", TRAIN_TWINS: "train"}
"""Whose twins they are."""

BATCH = 32


def make_whole(
    run: RunFolder, trials: Mapping[str, Trials], place: Path, progress: Progress | None
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """The whole slices of some splits, and first row and column of the trial in each, `(n, 2)`.

    The slices lie in files in a folder, `place`. Where the trial lies, each is that of the store, bit for bit.
    `progress` is called as (slices done, slices in all, split).

    Raises
    ------
    UserError
        If the study's slices cannot be made whole, or this machine makes other trials than those of the store.
    """
    maker = WholeSlices(run.settings, run.device)
    made: dict[str, tuple[NDArray[np.float32], NDArray[np.int64]]] = {}
    done, total = 0, sum(len(found) for found in trials.values())
    for split, found in sorted(trials.items(), key=lambda item: item[0] in PARTNERS):  # partners first
        slices = np.lib.format.open_memmap(place / f"{split}.npy", "w+", "<f4", (len(found), maker.side, maker.side))
        corners = np.empty((len(found), 2), dtype=np.int64)
        if split in PARTNERS:
            _add_signals(maker, found, made[PARTNERS[split]], slices, corners)
        else:
            first = 0
            for images, at in maker.slices(split):
                slices[first : first + len(images)], corners[first : first + len(images)] = images, at
                first += len(images)
        _fit_in(found, slices, corners, maker.window, run.path)
        made[split] = slices, corners
        done += len(found)
        if progress is not None:
            progress(done, total, f"whole {split}")
    return made


def _add_signals(
    maker: WholeSlices,
    twins: Trials,
    partners: tuple[NDArray[np.float32], NDArray[np.int64]],
    slices: NDArray[np.float32],
    corners: NDArray[np.int64],
) -> None:
    """Twins: their partners' slices, with the signal put in or taken away."""
    corners[:] = partners[1][: len(twins)]
    for start in range(0, len(twins), BATCH):
        part = slice(start, min(start + BATCH, len(twins)))
        signals = maker.signals({name: column[part] for name, column in twins.truth.items()})
        sign = np.where(twins.signal_present[part], np.float32(1), np.float32(-1))[:, None, None]
        slices[part] = partners[0][part] + sign * signals


def _fit_in(trials: Trials, slices: NDArray[np.float32], corners: NDArray[np.int64], window: int, run: Path) -> None:
    """Put the trials themselves where they lie, once it is known that they do."""
    for image, (row, column), trial in zip(slices, corners, trials.noisy, strict=True):
        there = image[row : row + window, column : column + window]
        if not np.abs(there - trial).max() < SAME_HU:
            raise UserError(
                f"{run}: the trials are not what this machine makes of the study: export where they were simulated, on "
                "the same --device, or export without --whole"
            )
        there[:] = trial
