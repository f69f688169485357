"""A signal-promoter loss: the share of a planted signal's contrast that the denoised regions lose."""

import torch

from taskct.training.losses.base import Batch, Loss, check_trials
from taskct.training.losses.moments import ClassMoments


class SignalPromoterLoss(Loss):
    """Squared share of the planted signals' contrast that is lost; 1 when they are wiped out, 0 when they are there.

    The contrast that an image keeps of a signal s is read by the matched filter of that signal, the template of the
    non-prewhitening observer, from what the denoiser adds to or takes from the reference r:

        e = ⟨s, f − r⟩ / ⟨s, s⟩,    lost = ē₀ − ē₁,    loss = lost².

    e is 0 where the signal stands as in the reference and −1 where it is gone; ē₁ is its mean over signal-present
    trials. ē₀ is that over signal-absent trials for which a signal is given, the one that might have been there: a
    denoiser that paints it everywhere gains nothing then. It is 0 if none is given (zeros). The means are taken over
    the batch and about `memory` trials of each class before it (see `ClassMoments`), else the square would be of the
    noise of a batch.

    The loss is not normalised by the start network's: 1, a signal wiped out, is chance already.

    Parameters
    ----------
    memory
        Trials of each class that are remembered, at least 0.

    Raises
    ------
    UserError
        If a setting is out of range.

    Notes
    -----
    After Lantz et al. [1], who add to the MSE a term that makes a network's reconstructions show weak signals that were
    planted in its training images, with a model observer as the idea behind it. Of their paper we could read the
    abstract, the beginning of the introduction and a summary, not the formula; the one above is our own, and results
    with it are no results of theirs.

    References
    ----------
    .. [1] Lantz, Sidky, Reiser, Pan, Ongie, arXiv 2402.10010 (2024).
    """

    needs_signal = True

    def __init__(self, *, memory: int = 1000) -> None:
        super().__init__()
        self.moments = ClassMoments(1, memory=memory)

    @torch.no_grad()
    def start(self, denoised: torch.Tensor, batch: Batch, *, seed: int) -> None:  # noqa: D102 - as in Loss
        check_trials(denoised, batch)
        if batch.signal is not None:  # without it, the first batches are all that is remembered
            self.moments.remember(*_errors(denoised, batch, batch.signal), least=(0, 1))

    def forward(self, denoised: torch.Tensor, batch: Batch) -> torch.Tensor:  # noqa: D102 - as in Loss
        check_trials(denoised, batch)
        if batch.signal is None:
            raise ValueError("the signal-promoter loss needs the noise-free signal of every trial")
        with torch.autocast(denoised.device.type, enabled=False):
            errors, present = _errors(denoised, batch, batch.signal)
            mean, _ = self.moments(errors, present, least=(0, 1))
            loss: torch.Tensor = (mean[0, 0] - mean[1, 0]).square().to(denoised)
        return loss


def _errors(denoised: torch.Tensor, batch: Batch, signal: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """E of the trials that have a signal, `(n, 1)` in float64, and their truth."""
    if signal.shape != denoised.shape:
        raise ValueError(f"signal is {tuple(signal.shape)} but the regions are {tuple(denoised.shape)}")
    wanted = signal.flatten(1).double()
    energy = wanted.square().sum(dim=1)
    has = energy > 0.0
    difference = (denoised.double() - batch.reference.double()).flatten(1)
    return ((wanted * difference).sum(dim=1)[has] / energy[has])[:, None], batch.signal_present[has]
