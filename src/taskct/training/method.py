"""The method: a denoiser is pretrained by MSE, gets an observer appended, and is fine-tuned jointly with it.

    1. `pretrain`      minimise MSE(f(noisy), reference) over the denoiser f;
    2. `append_head`   append to f the SLNN-NO, a numerical observer: one fully connected layer on the denoised region,
                       whose output is the test statistic for "signal present"; fit it to the regions that f makes;
    3. `finetune`      minimise L(λ), the formula of `HybridLoss`, over f, and the cross-entropy over the observer.

λ = 0 is the control: it is trained as long as the others, but by MSE alone. Images are in HU everywhere.

References
----------
.. [1] Li, Li, Anastasio, Proc. SPIE Medical Imaging (2022); arXiv 2211.13303; J. Med. Imaging 11, 055501 (2024).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from taskct.denoisers.denoiser import Denoiser
from taskct.observers.slnn_head import SLNNHead
from taskct.training.layers import copied
from taskct.training.loop import train
from taskct.training.losses.base import Loss
from taskct.training.losses.slnn import SLNNLoss
from taskct.training.plan import FINETUNING, PRETRAINING, HeadTraining, Plan, Upkeep
from taskct.training.record import Epoch
from taskct.training.regions import append_loss, as_denoiser, mean_squared_error, regions_of, settled
from taskct.training.samples import TaskTrials, as_task_trials, check_kind
from taskct.training.step import HybridLoss
from taskct.trials.trials import Trials


@dataclass(frozen=True)
class Trained:
    """What a training leaves."""

    denoiser: Denoiser
    history: tuple[Epoch, ...]
    """The losses of every epoch."""
    mse_pretrained: float
    """MSE_pre, HU²: of the pretrained denoiser's regions, on validation trials if there were any."""
    loss: Loss | None = None
    """The loss, with its trained observer; None after pretraining."""

    def __repr__(self) -> str:
        network, loss = type(self.denoiser.network).__name__, "MSE" if self.loss is None else type(self.loss).__name__
        return f"Trained({network} by {loss}, {len(self.history)} epochs, last RMSE {self.history[-1].rmse_hu:.2f} HU)"


def pretrain(
    network: nn.Module,
    trials: Trials,
    validation: Trials | None = None,
    plan: Plan = PRETRAINING,
    *,
    upkeep: Upkeep | None = None,
) -> Trained:
    """Train a denoiser by MSE, in place.

    Parameters
    ----------
    network
        A `Denoiser`, or a network that maps `(n, 1, height, width)` to the same, which becomes one, see `as_denoiser`.
    trials, validation
        To learn from, and to look at after every epoch.
    plan, upkeep
        How long, how fast and in what precision; progress, state on the disk and log.

    Raises
    ------
    TrainingFailed
        If a loss is not finite, or the denoiser has collapsed.
    UserError
        If the network does not take these images, or `plan` does not fit them.
    """
    denoiser = as_denoiser(network, trials)
    plan = settled(plan, denoiser, trials)
    # Divided by the variance of the images, the loss is near 1 for any window of HU.
    hybrid = HybridLoss(mse_pretrained=float(denoiser.scale_hu) ** 2)
    known, seen = as_task_trials(trials), as_task_trials(validation)
    history = train(denoiser, hybrid, known, plan, validation=seen, upkeep=upkeep)
    judged = trials if validation is None else validation
    mse = mean_squared_error(regions_of(denoiser, judged, plan), judged.reference_regions)
    return Trained(denoiser, tuple(history), mse)


def append_head(
    denoiser: Denoiser,
    trials: Trials,
    *,
    kind: Literal["pixel", "eye", "channels"] = "pixel",
    training: HeadTraining = "warm",
    pixel_mm: float | None = None,
    channel_matrix: NDArray[np.floating] | None = None,
    internal_noise_hu: float = 0.0,
    plan: Plan = FINETUNING,
) -> SLNNLoss:
    """Append the SLNN-NO to a denoiser: its cross-entropy, with a head fitted to the denoised regions.

    Parameters
    ----------
    denoiser
        The pretrained denoiser; it stays as it is.
    trials
        The first `START_TRIALS` of them fit the head.
    kind, pixel_mm, channel_matrix, internal_noise_hu
        What the head sees, as for `SLNNHead`.
    training
        Whether it starts fitted and learns on, starts from 0, or is kept as fitted, see `SLNNLoss`.
    plan
        Its seed, and the device and precision in which the denoiser runs.
    """

    def build(regions: NDArray[np.float32]) -> SLNNLoss:
        shape, offset_hu, scale_hu = regions.shape[1:], float(regions.mean()), float(regions.std())
        head = SLNNHead(
            shape,
            kind=kind,
            offset_hu=offset_hu,
            scale_hu=scale_hu,
            pixel_mm=pixel_mm,
            channel_matrix=channel_matrix,
            internal_noise_hu=internal_noise_hu,
        )
        return SLNNLoss(head, training=training)

    return append_loss(denoiser, trials, build, plan)


def finetune(
    denoiser: Denoiser,
    loss: Loss,
    trials: Trials | TaskTrials,
    task_weight: float,
    plan: Plan = FINETUNING,
    validation: Trials | TaskTrials | None = None,
    *,
    mse_pretrained: float | None = None,
    upkeep: Upkeep | None = None,
    copy: bool = True,
) -> Trained:
    """Train a denoiser jointly with the observer that was appended to it, by L(λ); see `HybridLoss`.

    Parameters
    ----------
    denoiser
        The pretrained denoiser; or another to be trained in its place.
    loss
        From `append_head` or `append_loss`.
    trials, validation
        To learn from, and to look at after every epoch; with their signals or head groups if the loss needs them.
    task_weight
        λ in [0, 1); 0 is the control.
    plan, upkeep
        As for `pretrain`.
    mse_pretrained
        MSE_pre, HU²; None measures it on the validation trials, or on `trials` if there are none.
    copy
        Whether denoiser and loss stay as they are and copies of them are trained.

    Raises
    ------
    TrainingFailed
        If a loss is not finite.
    UserError
        If λ is out of range, or `plan` does not fit the trials.
    """
    known, judged = as_task_trials(trials), as_task_trials(validation)
    check_kind("loss", loss, Loss)
    plan = settled(plan, denoiser, known.trials)
    if mse_pretrained is None:
        some = (judged or known).trials
        mse_pretrained = mean_squared_error(regions_of(denoiser, some, plan), some.reference_regions)
    if copy:
        denoiser, loss = copied(denoiser), copied(loss)
    hybrid = HybridLoss(mse_pretrained, loss, task_weight)
    history = train(denoiser, hybrid, known, plan, validation=judged, upkeep=upkeep)
    return Trained(denoiser.eval(), tuple(history), mse_pretrained, loss.eval())
