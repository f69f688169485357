"""Observers with channels of a fixed form see nothing of an image but the outputs of their channels.

So the images are passed through all channels once, a few at a time; what is fitted, read and resampled afterwards are
trials of a few numbers each, as large as the channels are many. Results are those of the images, to rounding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from taskct.apply.observe.task import Task
from taskct.io.stored_images import BLOCK, StoredImages
from taskct.observers import ChannelizedHotelling, Observer


@dataclass(frozen=True)
class ChannelSpace:
    """What an observer meets in the place of the images."""

    observers: tuple[Observer, ...]
    """Of each set of images; their channels are the axes of this space."""
    stacks: tuple[NDArray[np.float64], ...]
    """Outputs of the channels, made orthonormal, as images of one row: `(n, 1, rank)`, HU."""
    task: Task
    """The same trials, of which the whole is seen."""
    basis: NDArray[np.float64]
    """Axes of the space, in pixels, `(n_pixels, rank)`."""


def channel_spaces(
    made: Mapping[str, Sequence[Observer]], stacks: Sequence[StoredImages], task: Task
) -> dict[str, ChannelSpace]:
    """The spaces of those observers, by name, whose channels are fixed; all channels are applied in one pass.

    `made` holds an observer for each set of images. In scanning mode there is none: channels move over the image.
    """
    if task.mode == "scanning":
        return {}
    side = task.window_px
    shape = stacks[0].shape[1:] if side is None else (side, side)
    bases = {name: basis for name, (one, *_) in made.items() if (basis := _fixed_basis(one, shape)) is not None}
    if not bases:
        return {}
    outputs = [_outputs(stack, task, np.concatenate(list(bases.values()), axis=1)) for stack in stacks]
    ends = np.cumsum([basis.shape[1] for basis in bases.values()]).tolist()
    seen = replace(task, mode="whole", window_px=None)
    spaces = {}
    for name, basis, end in zip(bases, bases.values(), ends, strict=True):
        rank = basis.shape[1]
        spaces[name] = ChannelSpace(
            tuple(_of_outputs(one, rank) for one in made[name]),
            tuple(values[:, None, end - rank : end] for values in outputs),
            seen,
            basis,
        )
    return spaces


def _fixed_basis(observer: Observer, shape: tuple[int, int]) -> NDArray[np.float64] | None:
    return observer.fixed_basis(shape) if isinstance(observer, ChannelizedHotelling) else None


def _of_outputs(observer: Observer, rank: int) -> ChannelizedHotelling:
    assert isinstance(observer, ChannelizedHotelling)
    return ChannelizedHotelling(channels=np.eye(rank), internal_noise=observer.internal_noise, seed=observer.seed)


def _outputs(images: StoredImages, task: Task, basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Outputs of the channels, `(n, n_channels)`, for what observers see of each image."""
    outputs = np.empty((len(images), basis.shape[1]))
    for first in range(0, len(images), BLOCK):
        some = np.arange(first, min(first + BLOCK, len(images)))
        seen = task.windows(images, some)
        outputs[some] = seen.reshape(len(seen), -1).astype(np.float64) @ basis
    return outputs
