"""Which trials a step sees, and what of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import overload

import torch

from taskct.errors import UserError
from taskct.training.losses.base import Batch, Loss
from taskct.trials.trials import Trials


@dataclass(frozen=True)
class TaskTrials:
    """Trials with what some losses need beside them, see `taskct.training.losses.base.Batch`."""

    trials: Trials
    signal: torch.Tensor | None = None
    """The noise-free signal of every trial, for signal-absent ones that which might have been or zeros; HU, of the
    shape of the images, margin included."""
    group: torch.Tensor | None = None
    """Which head judges a trial, int64, shape `(n,)`."""
    control: torch.Tensor | None = None
    """Images of a frozen control, HU, of the shape of the images, margin included."""

    @property
    def images_each(self) -> int:
        """Images that one index stands for."""
        return 1

    def __len__(self) -> int:
        return len(self.trials)

    def take(self, index: torch.Tensor | slice) -> tuple[torch.Tensor, Batch]:
        """Noisy images of some trials, HU, margin included, and what else is known of them; without noise."""
        trials = self.trials
        noisy, reference = torch.from_numpy(trials.noisy)[index], torch.from_numpy(trials.reference)[index]
        signal = None if self.signal is None else self.signal[index]
        group = None if self.group is None else self.group[index]
        control = None if self.control is None else self.control[index]
        present = torch.from_numpy(trials.signal_present)[index]
        return noisy, Batch(reference, present, signal=signal, group=group, control=control)


def check_kind(what: str, value: object, *kinds: type) -> None:
    """Refuse what is given in another's place, as a whole `Trained` for its denoiser; raises UserError."""
    if not isinstance(value, kinds):
        hint = "; give its `denoiser`" if hasattr(value, "denoiser") else ""
        raise UserError(f"{what} must be a {kinds[0].__name__}, not a {type(value).__name__}{hint}")


@overload
def as_task_trials(trials: Trials | TaskTrials) -> TaskTrials: ...
@overload
def as_task_trials(trials: Trials | TaskTrials | None) -> TaskTrials | None: ...
def as_task_trials(trials: Trials | TaskTrials | None) -> TaskTrials | None:
    """Trials as the loop takes them; None stays None."""
    if trials is not None:
        check_kind("trials", trials, Trials, TaskTrials)
    return TaskTrials(trials) if isinstance(trials, Trials) else trials


def batches(n: int, batch_size: int, *, seed: int) -> Iterator[torch.Tensor]:
    """Indices of one shuffled epoch, full batches only (all of it if there are fewer than one batch)."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    if n < batch_size:
        yield order
        return
    for first in range(0, n - n % batch_size, batch_size):
        yield order[first : first + batch_size]


def internal_noise(loss: Loss | None, n: int, *, seed: int) -> torch.Tensor | None:
    """Noise of a loss for a whole batch, on the CPU, so that it is the same on every device and for all processes."""
    shape = None if loss is None else loss.noise_shape(n)
    return None if shape is None else torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def patch(images: list[torch.Tensor], side: int, *, seed: int) -> list[torch.Tensor]:
    """The same square of images `(n, h, w)`, at a place drawn from a seed; a side beyond theirs leaves them whole."""
    height, width = images[0].shape[-2:]
    generator = torch.Generator().manual_seed(seed)
    rows, columns = min(side, height), min(side, width)
    top = int(torch.randint(height - rows + 1, (1,), generator=generator))
    left = int(torch.randint(width - columns + 1, (1,), generator=generator))
    return [image[:, top : top + rows, left : left + columns] for image in images]
