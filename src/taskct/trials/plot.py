"""Trials to look at."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.trials.trials import Trials, crop

RING = "#F0E442"  # told apart from grey with every colour vision


def plot_trials(
    trials: Trials,
    which: int | Sequence[int],
    *,
    images: Mapping[str, NDArray[np.floating]],
    window_hu: tuple[float, float] | None,
) -> NDArray[np.object_]:
    """Show trials; see `Trials.plot`."""
    rows = chosen(trials, which)
    columns: dict[str, NDArray[np.floating]] = {"reference": trials.reference_regions, "low-dose": trials.noisy_regions}
    for title, given in images.items():
        columns[title] = crop(np.asarray(given), trials.margin) if given.shape == trials.noisy.shape else given
        if columns[title].shape != trials.noisy_regions.shape:
            raise UserError(
                f"images {title!r} have the shape {given.shape}: give {trials.noisy.shape}, or "
                f"{trials.noisy_regions.shape} without the margin"
            )
    low, high = np.percentile(trials.noisy_regions[rows], (0.5, 99.5)) if window_hu is None else _bounds(window_hu)
    unit, pitch = ("pixels", 1.0) if trials.pixel_mm is None else ("mm", trials.pixel_mm)
    height, width = (side * pitch / 2.0 for side in trials.noisy_regions.shape[1:])
    size = (2.1 * len(columns) + 1.2, 2.2 * len(rows) + 0.4)
    figure, axes = plt.subplots(
        len(rows), len(columns), figsize=size, squeeze=False, sharex=True, sharey=True, layout="constrained"
    )
    for row, k in zip(axes, rows, strict=True):
        for ax, (title, stack) in zip(row, columns.items(), strict=True):
            shown = ax.imshow(stack[k], cmap="gray", vmin=low, vmax=high, extent=(-width, width, height, -height))
            if ax.get_subplotspec().is_first_row():
                ax.set_title(title)
            if trials.signal_present[k] and trials.pixel_mm is not None:
                at, diameter = (trials.truth["x_mm"][k], trials.truth["y_mm"][k]), trials.truth["diameter_mm"][k]
                radius = diameter / 2.0 + 2.0 * pitch  # wide enough not to touch the signal
                ax.add_patch(Circle(at, radius, fill=False, edgecolor=RING, linewidth=1.0))
        present = "present" if trials.signal_present[k] else "absent"
        row[0].set_ylabel(f"trial {k}, signal {present}\ny ({unit})")
    for ax in axes[-1]:
        ax.set_xlabel(f"x ({unit})")
    figure.colorbar(shown, ax=axes, label="HU", shrink=min(1.0, 2.0 / len(rows)), aspect=30)
    return np.asarray(axes)


def chosen(trials: Trials, which: int | Sequence[int]) -> list[int]:
    """Numbers of the trials to show: those given, or the first ones, as many with the signal as without."""
    n = len(trials)
    if not isinstance(which, int):
        if not len(which) or any(not 0 <= k < n for k in which):
            raise UserError(f"trials {list(which)} are not all there: give numbers from 0 to {n - 1}")
        return [int(k) for k in which]
    if which < 1:
        raise UserError(f"{which} trials to show: give at least 1")
    present, absent = (np.flatnonzero(trials.signal_present == truth) for truth in (True, False))
    n_present = min(len(present), max(which - which // 2, which - len(absent)))
    return [int(k) for k in [*present[:n_present], *absent[: which - n_present]]]


def _bounds(window_hu: tuple[float, float]) -> tuple[float, float]:
    center, width = window_hu
    if not width > 0.0:
        raise UserError(f"window_hu has the width {width:g} HU: give the centre and a width above 0 HU")
    return center - width / 2.0, center + width / 2.0
