"""Copies of the training trials with the noise and the signals of others, so that nothing is learned by heart.

A trial is its background, its noise and perhaps its signal. These are drawn independently, so any background with any
noise and any signal is a trial, too. Where the signals are known, each copy stands with and without its signal: a pair
that differs in nothing else, which tells more of the signal than two trials that differ in all.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from taskct.denoisers.denoiser import denoise
from taskct.seeds import derive_seed
from taskct.training.losses.base import Batch
from taskct.training.plan import Plan
from taskct.training.samples import TaskTrials

BLOCK = 512
"""Trials at a time."""


@dataclass(frozen=True)
class RecombinedTrials(TaskTrials):
    """Recombined copies of some trials, with the control's images of them; an index stands for a pair if there are any.

    Images are kept in float16, less a level: to 0.06 HU at 100 HU from it, a tenth of what bfloat16 layers round.
    """

    level_hu: float = 0.0
    noisy: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    """Low-dose images less the level, float16, `(n_copies · n, height, width)`; without a signal in pairs."""
    shown: tuple[torch.Tensor, ...] = ()
    """The control's images of them, float16, of that shape; in pairs those without and with the signal."""
    signal_of: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    """Which trial's signal each index has, int64."""

    @property
    def images_each(self) -> int:
        """Images that one index stands for."""
        return len(self.shown)

    def __len__(self) -> int:
        return len(self.noisy)

    def take(self, index: torch.Tensor | slice) -> tuple[torch.Tensor, Batch]:
        """Noisy images of some trials, HU, margin included, and what else is known of them; first those without."""
        chosen = torch.arange(len(self))[index]
        background, signals = chosen % len(self.trials), self.signal_of[chosen]
        noisy = self.noisy[chosen].float() + self.level_hu
        control = torch.cat([one[chosen].float() for one in self.shown]) + self.level_hu
        reference = torch.from_numpy(self.trials.reference[background.numpy()])
        present = torch.from_numpy(self.trials.signal_present)[background]
        group = None if self.group is None else self.group[background].repeat(self.images_each)
        if self.signal is not None:
            own, added = self.signal[background], self.signal[signals]
            reference = reference - present[:, None, None] * own
            reference = torch.cat([reference, reference + added])
            noisy = torch.cat([noisy, noisy + added])
            present = torch.arange(2).repeat_interleave(len(chosen)) == 1
        return noisy, Batch(reference, present, group=group, control=control)


def recombined(
    trials: TaskTrials, control: nn.Module, plan: Plan, *, copies: int, moved: bool = True
) -> RecombinedTrials:
    """Copies of trials with other noise, in pairs with and without a signal where `trials.signal` holds them.

    Parameters
    ----------
    trials
        To be recombined.
    control, plan
        What makes the control's images, HU to HU, and where and in what precision; the plan's seed is of all draws.
    copies
        How many, at least 1; 0 gives the trials as they are, in pairs if there are any.
    moved
        Whether a copy has another trial's signal.
    """
    n, level = len(trials), float(np.mean(trials.trials.reference[:BLOCK]))
    seed = derive_seed(plan.seed, "recombined")
    generator = torch.Generator().manual_seed(seed)
    shape = (max(copies, 1) * n, *trials.trials.noisy.shape[1:])
    noisy = torch.empty(shape, dtype=torch.float16)
    shown = tuple(torch.empty(shape, dtype=torch.float16) for _ in range(1 if trials.signal is None else 2))
    signal_of = torch.arange(n).repeat(max(copies, 1))
    for copy in range(max(copies, 1)):
        noise_of = torch.randperm(n, generator=generator) if copies else torch.arange(n)
        if copies and moved and trials.signal is not None:
            signal_of[copy * n : (copy + 1) * n] = torch.randperm(n, generator=generator)
        for first in range(0, n, BLOCK):
            background = torch.arange(first, min(first + BLOCK, n))
            place = slice(copy * n + first, copy * n + first + len(background))
            images = _backgrounds(trials, background) + _noise(
                trials, noise_of[background], generator, mirrored=copies > 0
            )
            noisy[place] = (images - level).half()
            for with_signal, kept in enumerate(shown):
                seen = images if trials.signal is None or not with_signal else images + trials.signal[signal_of[place]]
                made = denoise(control, seen.numpy(), device=plan.device, dtype=plan.dtype)
                kept[place] = (torch.from_numpy(made) - level).half()
    base = {name: getattr(trials, name) for name in ("trials", "signal", "group")}
    return RecombinedTrials(**base, level_hu=level, noisy=noisy, shown=shown, signal_of=signal_of)


def paired(trials: TaskTrials, twin_control: torch.Tensor) -> RecombinedTrials:
    """Trials in pairs with and without their signal, the control's images of both given.

    Parameters
    ----------
    trials
        With their signals and the control's images of them.
    twin_control
        The control's images of their twins, HU, of the same shape: without the signal where it is present, and with it
        where it is absent.
    """
    if trials.signal is None or trials.control is None:
        raise ValueError("pairs are made of trials with their signals and a control's images")
    level = float(np.mean(trials.trials.reference[:BLOCK]))
    present = torch.from_numpy(trials.trials.signal_present)[:, None, None]
    noisy = torch.from_numpy(np.asarray(trials.trials.noisy)) - present * trials.signal
    shown = torch.where(present, twin_control, trials.control), torch.where(present, trials.control, twin_control)
    return RecombinedTrials(
        trials.trials,
        trials.signal,
        trials.group,
        level_hu=level,
        noisy=(noisy - level).half(),
        shown=tuple((one - level).half() for one in shown),
        signal_of=torch.arange(len(trials)),
    )


def _backgrounds(trials: TaskTrials, which: torch.Tensor) -> torch.Tensor:
    """References of some trials, HU, without their signal where it is known."""
    reference = torch.from_numpy(np.asarray(trials.trials.reference[which.numpy()]))
    if trials.signal is None:
        return reference
    present = torch.from_numpy(trials.trials.signal_present)[which]
    return reference - present[:, None, None] * trials.signal[which]


def _noise(trials: TaskTrials, which: torch.Tensor, generator: torch.Generator, *, mirrored: bool) -> torch.Tensor:
    """What the low-dose images of some trials differ in from their references, HU, mirrored along one axis or both.

    Not turned by a right angle: the noise of a scan may lie along one axis.
    """
    noise = torch.from_numpy(trials.trials.noisy[which.numpy()] - trials.trials.reference[which.numpy()])
    axes = [axis for axis in (-1, -2) if mirrored and bool(torch.randint(2, (), generator=generator))]
    return noise.flip(axes) if axes else noise
