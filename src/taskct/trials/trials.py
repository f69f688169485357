"""Trials: image pairs, their truth and their split."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "validation", "fresh", "test")
"""Networks learn on train; every choice is made on validation; fresh observers learn on fresh; figures are test's."""

TRUTH = ("case", "region_x_mm", "region_y_mm", "x_mm", "y_mm", "diameter_mm", "contrast_hu")
"""Columns that every truth table has; more may follow. Place and size stand for signal-absent trials too: where a
signal might have been."""


@dataclass(frozen=True)
class Trials:
    """The trials of one split, in memory or mapped from a store.

    Raises
    ------
    ValueError
        If the arrays differ in length or shape, or the truth table lacks a column.
    """

    noisy: NDArray[np.float32]
    """Low-dose images, HU, `(n, height, width)`: the region and its margin."""
    reference: NDArray[np.float32]
    """Training targets, HU, same shape."""
    signal_present: NDArray[np.bool_]
    """`(n,)`."""
    truth: dict[str, NDArray[np.float64]]
    """A column of length `n` for every name in `TRUTH`, and maybe more; offsets are from the region's centre."""

    def __len__(self) -> int:
        return len(self.signal_present)

    def __post_init__(self) -> None:
        n = len(self.signal_present)
        shapes = {self.noisy.shape, self.reference.shape}
        if len(shapes) != 1 or len(self.noisy) != n or any(len(column) != n for column in self.truth.values()):
            raise ValueError("noisy, reference, signal_present and truth differ in length or shape")
        if missing := set(TRUTH) - set(self.truth):
            raise ValueError(f"the truth table lacks {sorted(missing)}")


def select(trials: Trials, which: slice | NDArray[np.generic]) -> Trials:
    """Some of the trials, by a slice, a mask or indices."""
    return Trials(
        noisy=trials.noisy[which],
        reference=trials.reference[which],
        signal_present=trials.signal_present[which],
        truth={name: column[which] for name, column in trials.truth.items()},
    )


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
