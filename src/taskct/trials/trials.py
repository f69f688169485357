"""Trials: image pairs, their truth and their split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Images = TypeVar("Images", NDArray[np.float32], "torch.Tensor")

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
    margin: int = 0
    """Pixels around the region, on each side of every image, that a denoiser sees and no figure counts."""
    pixel_mm: float | None = None
    """Side of a pixel, mm; None where nobody said."""
    signal: NDArray[np.float32] | None = None
    """What the signal of each trial adds to its image, or would have added where it is absent, HU, same shape; None
    where nobody said."""

    def __len__(self) -> int:
        return len(self.signal_present)

    def __post_init__(self) -> None:
        n = len(self.signal_present)
        shapes = {self.noisy.shape, self.reference.shape}
        if len(shapes) != 1 or len(self.noisy) != n or any(len(column) != n for column in self.truth.values()):
            raise ValueError("noisy, reference, signal_present and truth differ in length or shape")
        if self.signal is not None and self.signal.shape != self.noisy.shape:
            raise ValueError(f"signal has shape {self.signal.shape}, and the images {self.noisy.shape}")
        if missing := set(TRUTH) - set(self.truth):
            raise ValueError(f"the truth table lacks {sorted(missing)}")
        if not 0 <= 2 * self.margin < min(self.noisy.shape[1:]):
            raise ValueError(f"margin is {self.margin}; images of {self.noisy.shape[1:]} pixels must keep a region")

    def __repr__(self) -> str:
        rows, columns = self.noisy.shape[1:]
        size = f"{rows}×{columns} pixels" + ("" if self.pixel_mm is None else f" of {self.pixel_mm:g} mm")
        n_present = int(np.count_nonzero(self.signal_present))
        share = f", {n_present / len(self):.0%} with the signal" if len(self) else ""
        n_cases = len(np.unique(self.truth["case"]))
        return f"Trials({len(self)} of {size}, margin {self.margin}{share}, {n_cases} backgrounds)"

    def plot(
        self,
        which: int | Sequence[int] = 4,
        *,
        images: Mapping[str, NDArray[np.floating]] | None = None,
        window_hu: tuple[float, float] | None = None,
    ) -> "NDArray[np.object_]":
        """Show trials: a row for each, with its reference, its low-dose image, and other images of it.

        Parameters
        ----------
        which
            How many to show, half of them with the signal; or the numbers of some.
        images
            Other images of the same trials by title, such as denoised ones, HU: `(n, height, width)`, with or without
            the margin.
        window_hu
            Centre and width of the display window, HU. None fits it to the low-dose images.

        Returns
        -------
        Matplotlib axes, one row a trial and one column a kind of image. A ring marks the place of a signal.

        Raises
        ------
        UserError
            If a trial does not exist, or other images have another shape.
        """
        from taskct.trials.plot import plot_trials  # here, since it loads matplotlib

        return plot_trials(self, which, images={} if images is None else images, window_hu=window_hu)

    @property
    def noisy_regions(self) -> NDArray[np.float32]:
        """Low-dose images without their margin, HU, a view."""
        return crop(self.noisy, self.margin)

    @property
    def reference_regions(self) -> NDArray[np.float32]:
        """Training targets without their margin, HU, a view."""
        return crop(self.reference, self.margin)

    @property
    def twins(self) -> "Trials | None":
        """The same trials with the other truth: the signal taken away where it is present, put in where it is absent.

        A trial and its twin share background and noise. What is not the same in a scan, the little that the signal
        changes of the noise, is left out. None where the signals are not known.
        """
        if self.signal is None:
            return None
        step = np.where(self.signal_present, np.float32(-1), np.float32(1))[:, None, None] * self.signal
        return replace(
            self,
            noisy=self.noisy + step,
            reference=self.reference + step,
            signal_present=~self.signal_present,
        )


def select(trials: Trials, which: slice | NDArray[np.generic]) -> Trials:
    """Some of the trials, by a slice, a mask or indices."""
    return Trials(
        noisy=trials.noisy[which],
        reference=trials.reference[which],
        signal_present=trials.signal_present[which],
        truth={name: column[which] for name, column in trials.truth.items()},
        margin=trials.margin,
        pixel_mm=trials.pixel_mm,
        signal=None if trials.signal is None else trials.signal[which],
    )


def first_repeated(trials: Trials, n: int | None) -> Trials:
    """The first `n` trials, over and over until there are as many as before; None leaves them as they are.

    What is trained on them takes as many steps as on all: the number of distinct trials is all that differs.
    """
    return trials if n is None or n >= len(trials) else select(trials, np.arange(len(trials)) % n)


def crop(images: Images, margin: int) -> Images:
    """Crop images, an array or a tensor `(n, height, width)`, by `margin` pixels on each side: a view."""
    return images[:, margin:-margin, margin:-margin] if margin else images
