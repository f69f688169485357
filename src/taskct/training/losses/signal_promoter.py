"""A signal-promoter loss: the share of a planted signal's contrast that the denoised regions lose."""

import torch

from taskct.training.losses.base import TaskLoss, check_batch, check_trials
from taskct.training.losses.moments import ClassMoments


class SignalPromoterTask(TaskLoss):
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
    def start(  # noqa: D102 - as in TaskLoss
        self,
        denoised: torch.Tensor,
        reference: torch.Tensor,
        signal_present: torch.Tensor,
        *,
        seed: int,
        signal: torch.Tensor | None = None,
        group: torch.Tensor | None = None,
    ) -> None:
        check_trials(denoised, reference, signal_present)
        if signal is not None:  # without it, the first batches are all that is remembered
            self.moments.remember(*_errors(denoised, reference, signal_present, signal), least=(0, 1))

    def forward(  # noqa: D102 - as in TaskLoss
        self,
        denoised: torch.Tensor,
        reference: torch.Tensor,
        signal_present: torch.Tensor,
        *,
        task_weight: float,
        noise: torch.Tensor | None = None,
        signal: torch.Tensor | None = None,
        group: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        check_batch(denoised, reference, signal_present, task_weight=task_weight)
        if signal is None:
            raise ValueError("the signal-promoter loss needs the noise-free signal of every trial")
        with torch.autocast(denoised.device.type, enabled=False):
            errors, present = _errors(denoised, reference, signal_present, signal)
            mean, _ = self.moments(errors, present, least=(0, 1))
            loss = (mean[0, 0] - mean[1, 0]).square().to(denoised)
        return task_weight * loss, loss.detach()


def _errors(
    denoised: torch.Tensor, reference: torch.Tensor, signal_present: torch.Tensor, signal: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """E of the trials that have a signal, `(n, 1)` in float64, and their truth."""
    if signal.shape != denoised.shape:
        raise ValueError(f"signal is {tuple(signal.shape)} but the regions are {tuple(denoised.shape)}")
    wanted = signal.flatten(1).double()
    energy = wanted.square().sum(dim=1)
    has = energy > 0.0
    difference = (denoised.double() - reference.double()).flatten(1)
    return ((wanted * difference).sum(dim=1)[has] / energy[has])[:, None], signal_present[has]
