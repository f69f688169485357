"""A task path after a denoiser elsewhere: the images of that denoiser beside the low-dose ones."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from taskct.denoisers.elsewhere import Elsewhere
from taskct.denoisers.task_path import TaskPath
from taskct.errors import UserError
from taskct.io.slices import SliceSource

LEAST_AGREEMENT = 0.2
"""Correlation of a denoised slice with its low-dose slice below which they are taken for two slices.

It finds what is of another place, or turned; a neighbouring slice of one body has more."""

N_TRIED = 5
"""Slices that are compared."""


def check_after(network: nn.Module, *, given: bool, tile: int | None) -> None:
    """Raise a `UserError` unless images of a denoiser elsewhere are given just where a task path starts from them."""
    wanted = isinstance(network, TaskPath) and isinstance(network.control, Elsewhere)
    if wanted and not given:
        raise UserError(
            "this task path corrects the images of a denoiser elsewhere: give the images that it made of the input by "
            "--after, in Python as after"
        )
    if given and tile is not None:
        raise UserError("a task path on images of a denoiser elsewhere runs on whole slices: leave --tile out")
    if given and not wanted:
        raise UserError(
            "--after is for a task path on images of a denoiser elsewhere, models/path_import=NAME_seed=0: this model "
            "runs by itself, so leave it out"
        )


def check_same_slices(low: SliceSource, after: SliceSource, low_name: Path, after_name: Path) -> None:
    """Raise a `UserError` if two sources differ in size, some of their slices are not alike, or all are the same."""
    if low.shape != after.shape:
        sizes = (" × ".join(map(str, one.shape)) for one in (low, after))
        raise UserError(
            f"{low_name.name} is {next(sizes)} (slices, rows, columns) and {after_name.name} {next(sizes)}: give the "
            "images that the denoiser made of the input, each slice once"
        )
    which = np.unique(np.linspace(0, low.shape[0] - 1, N_TRIED).astype(int)).tolist()
    same = True
    for index, one, other in zip(which, low.read(which), after.read(which), strict=True):
        same = same and np.array_equal(one.image_hu, other.image_hu)
        if (found := agreement(one.image_hu, other.image_hu)) < LEAST_AGREEMENT:
            raise UserError(
                f"slice {index} of {after_name.name} is not one of {low_name.name} denoised: they correlate by "
                f"{found:.2f}, and {LEAST_AGREEMENT:g} is the least; give both in the same order and position"
            )
    if same:
        raise UserError(
            f"{after_name.name} holds the images of {low_name.name} themselves: give by --after what the denoiser "
            "elsewhere made of them"
        )


def agreement(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Correlation of two images; 1 where both are even, 0 where one is.

    Examples
    --------
    >>> agreement(np.arange(4.0), 2.0 * np.arange(4.0) + 1.0)
    1.0
    """
    a, b = (image.astype(np.float64).ravel() - float(image.mean()) for image in (one, other))
    norms = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if not all(norms):
        return float(norms[0] == norms[1])
    return round(float(a @ b) / (norms[0] * norms[1]), 12)
