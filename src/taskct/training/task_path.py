"""The task path: one training for every price in RMSE. A correction Δ is added to the images of a frozen control f₀.

    1. `pretrain`, and on by MSE alone: the control f₀, nearly the conditional mean, which is then frozen;
    2. `start_path_loss`: an SLNN-NO on its regions, which sees them with white noise, as an eye does, and a reader who
       learned on references and stays as it is;
    3. `train_path`: minimise BCE/ln 2 of the two on f₀ + Δ, plus μ · E[Δ²] / (((1 + p)² − 1) · MSE₀), over Δ and
       the observer; μ follows the energy until the price p is met.

The error of f₀ is orthogonal to any function of the image as far as f₀ is the conditional mean. So f₀ + a·Δ has the
mean squared error MSE₀ + a²·E[Δ²], and the same Δ serves every other price by its strength a, see `SquaredError`. There
is no λ to guess, and no gradient noise of the mean squared error. Images are in HU everywhere.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from taskct.denoisers.denoiser import Denoiser, autocast, denoise
from taskct.denoisers.prices import SquaredError
from taskct.denoisers.task_path import Correction, TaskPath
from taskct.observers.base import PathObserver
from taskct.observers.grouped_head import GroupedHead
from taskct.observers.slnn_head import SLNNHead
from taskct.training.loop import train
from taskct.training.losses.base import Batch
from taskct.training.losses.slnn import SLNNLoss
from taskct.training.plan import PATH, HeadTraining, PathPrice, Plan, Upkeep
from taskct.training.reader import ReferenceReader
from taskct.training.recombined import RecombinedTrials, recombined
from taskct.training.record import Epoch, TrainingFailed
from taskct.training.regions import append_loss, settled
from taskct.training.samples import TaskTrials, as_task_trials, check_kind
from taskct.trials.trials import Trials, crop

START, HELD = 0.05, 48
"""Where the multiplier μ starts, and for how many steps it stays there: the correction starts from 0."""

GAIN, MEMORY = 0.02, 0.98
"""How fast log μ follows the energy, and how long the energy's running mean remembers, both per step."""

LEAST, MOST = 1e-3, 50.0
"""Bounds of μ."""


class PathLoss(SLNNLoss):
    """The cross-entropy of an SLNN-NO that sees white noise on every pixel, and the multiplier μ of the price.

    Parameters
    ----------
    head, training
        As for `SLNNLoss`.
    noise_hu
        Standard deviation of the noise, HU; a head behind an eye or with channels has its own instead.
    reader
        Asked beside the head, for half of the loss; None leaves it to the head.
    """

    multiplier: torch.Tensor
    mean_ratio: torch.Tensor
    n_steps: torch.Tensor

    def __init__(
        self,
        head: SLNNHead | GroupedHead,
        *,
        training: HeadTraining = "warm",
        noise_hu: float = 4.0,
        reader: ReferenceReader | None = None,
    ) -> None:
        super().__init__(head, training=training)
        self.noise_hu = noise_hu
        self.reader = reader
        # Buffers, so that a training that goes on from the disk goes on with them.
        self.register_buffer("multiplier", torch.tensor(START))
        self.register_buffer("mean_ratio", torch.tensor(1.0))
        self.register_buffer("n_steps", torch.tensor(0))

    def noise_shape(self, n: int) -> tuple[int, ...] | None:  # noqa: D102 - as in Loss
        own = super().noise_shape(n)
        if own is not None or self.noise_hu == 0.0:
            return own
        head = self.head if isinstance(self.head, SLNNHead) else self.head.members[0]
        return (n, *head.shape)

    @torch.no_grad()
    def start(self, denoised: torch.Tensor, batch: Batch, *, seed: int) -> None:  # noqa: D102 - as in Loss
        super().start(denoised, batch, seed=seed)
        if self.reader is not None:
            self.reader.start(denoised, batch)

    def forward(self, denoised: torch.Tensor, batch: Batch) -> torch.Tensor:  # noqa: D102 - as in Loss
        read = None if self.reader is None else self.reader(denoised, batch)
        if batch.noise is not None and super().noise_shape(len(denoised)) is None:
            denoised, batch = denoised + self.noise_hu * batch.noise, batch._replace(noise=None)
        own = super().forward(denoised, batch)
        return own if read is None else (own + read) / 2.0

    @torch.no_grad()
    def follow(self, ratio: torch.Tensor, *, held: int) -> None:
        """Let μ rise where the energy is above what the price allows, and fall below it; not in the first steps.

        `ratio` is the energy of a batch over that, `held` how many steps come first.
        """
        before = torch.where(self.n_steps == 0, ratio, self.mean_ratio)
        self.mean_ratio.copy_(MEMORY * before + (1.0 - MEMORY) * ratio)
        self.n_steps += 1
        grown = (self.multiplier * torch.exp(GAIN * (self.mean_ratio - 1.0))).clamp(LEAST, MOST)
        self.multiplier.copy_(torch.where(self.n_steps > held, grown, self.multiplier))


@dataclass(frozen=True, eq=False)
class PricedTask:
    """What a correction is trained for: the task's loss plus μ times its energy over what the price allows."""

    mse_pretrained: float
    """MSE₀ of the control, HU²."""
    loss: PathLoss
    price: PathPrice
    held: int
    """Steps before the multiplier moves."""
    rate_setting: str = "path.learning_rate"

    @property
    def task_weight(self) -> float:
        """The price."""
        return self.price.rmse

    @property
    def allowed(self) -> float:
        """Energy that the price pays for, HU²."""
        return ((1.0 + self.price.rmse) ** 2 - 1.0) * self.mse_pretrained

    def __call__(self, mse: float, task: float) -> float:
        """The same of validation trials, where the mean squared error above the control's stands for the energy."""
        return task + float(self.loss.multiplier) * (mse - self.mse_pretrained) / self.allowed

    def step(self, trained: nn.Module, *, margin: int) -> "PathStep":
        """A step of a correction."""
        return PathStep(trained, self, margin=margin)


class PathStep(nn.Module):
    """A correction and its loss in one module; as `Step`, for batches with the control's images.

    What it draws comes from the global generator, which the training seeds at every step.
    """

    def __init__(self, correction: nn.Module, priced: PricedTask, *, margin: int) -> None:
        super().__init__()
        self.correction = correction
        self.loss = priced.loss
        self.priced = priced
        self.margin = margin

    def forward(self, noisy: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss to descend, a scalar, of noisy images in HU `(n, h, w)`; MSE in HU² and the task's loss, `(2,)`."""
        # The step itself is put in evaluation mode by every validation; the correction tells which it is.
        training, control = self.correction.training, batch.control
        if control is None:
            raise ValueError("a task path is trained on the images of its control")
        way = int(torch.randint(8, ())) if training and self.priced.price.mirrored else 0
        added = turned_back(self.correction(turned(noisy, way), turned(control, way)), way)
        with torch.autocast(noisy.device.type, enabled=False):  # losses in float32
            added, batch = crop(added.float(), self.margin), batch.region(self.margin)
            denoised = crop(control, self.margin) + added
            mse = torch.mean((denoised - batch.reference) ** 2)
            task = self.loss(denoised, batch)
            ratio = torch.mean(added**2) / self.priced.allowed
            loss = task + self.loss.multiplier.clone() * ratio
            if training:
                self.loss.follow(ratio.detach(), held=self.priced.held)
        return loss, torch.stack([mse.detach(), task.detach()])


def turned(images: torch.Tensor, way: int) -> torch.Tensor:
    """Images `(n, h, w)` in one of the eight ways that a square lies on itself; 0 leaves them."""
    if way & 4:
        images = images.transpose(-1, -2)
    axes = [axis for bit, axis in ((1, -1), (2, -2)) if way & bit]
    return images.flip(axes) if axes else images


def turned_back(images: torch.Tensor, way: int) -> torch.Tensor:
    """Undo `turned`.

    Examples
    --------
    >>> image = torch.arange(6.0).reshape(1, 2, 3)
    >>> all(bool((turned_back(turned(image, way), way) == image).all()) for way in range(8))
    True
    """
    axes = [axis for bit, axis in ((1, -1), (2, -2)) if way & bit]
    images = images.flip(axes) if axes else images
    return images.transpose(-1, -2) if way & 4 else images


@dataclass(frozen=True)
class TrainedPath:
    """What the training of a task path leaves."""

    denoiser: TaskPath
    """Control, correction and dial."""
    history: tuple[Epoch, ...]
    """The losses of every epoch."""
    loss: PathLoss
    """The loss, with its trained observer."""


def start_path_loss(
    control: Denoiser,
    trials: Trials | TaskTrials,
    head: SLNNHead | GroupedHead | None = None,
    price: PathPrice = PathPrice(),  # noqa: B008 - frozen
    plan: Plan = PATH,
    *,
    reader: PathObserver | None = None,
) -> PathLoss:
    """An observer appended to a control: fitted to its regions, and trained on with the correction.

    Parameters
    ----------
    control, trials, plan
        As for `append_head`.
    head
        What it sees; None is every pixel of the region.
    price
        Its noise.
    reader
        To be fitted to the references and asked beside it, such as a `HotellingEye`; None for no reader.
    """

    def build(regions: NDArray[np.float32]) -> PathLoss:
        own, shape = head, (regions.shape[1], regions.shape[2])
        if own is None:
            own = SLNNHead(shape, offset_hu=float(regions.mean()), scale_hu=float(regions.std()))
        asked = None if reader is None else ReferenceReader(reader, shape)
        return PathLoss(own, noise_hu=price.noise_hu, reader=asked)

    return append_loss(control, trials, build, plan)


def train_path(
    control: Denoiser,
    trials: Trials | TaskTrials | RecombinedTrials,
    validation: Trials | TaskTrials,
    plan: Plan = PATH,
    price: PathPrice = PathPrice(),  # noqa: B008 - frozen
    *,
    loss: PathLoss | None = None,
    correction: Correction | None = None,
    upkeep: Upkeep | None = None,
) -> TrainedPath:
    """Train the correction of a frozen control, and the observer with it, in place.

    Parameters
    ----------
    control
        The control f₀; it stays as it is. Where trials hold its images already, these count, and there are no copies.
        It may be `Elsewhere`, if both splits hold its images.
    trials, validation
        To learn from, with their signals where they are known; and to look at after every epoch and to set the dial by.
    plan, upkeep
        As for `finetune`.
    price
        At which the correction is trained, and how.
    loss
        From `start_path_loss`; None makes it, with a head on every pixel.
    correction
        To be trained; None draws a new one from the plan's seed.

    Raises
    ------
    TrainingFailed
        If a loss is not finite, or the correction has come to nothing.
    UserError
        If `plan` does not fit the trials.
    """
    known, judged = as_task_trials(trials), as_task_trials(validation)
    plan = settled(plan, control, known.trials)
    if loss is None:
        loss = start_path_loss(control, known, price=price, plan=plan)
    check_kind("loss", loss, PathLoss)
    judged = _with_control(control, judged, plan)
    if correction is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed)
            correction = Correction(offset_hu=float(control.offset_hu), scale_hu=float(control.scale_hu))
    for parameter in control.parameters():
        parameter.requires_grad_(False)
    given = known.control is not None or isinstance(known, RecombinedTrials)
    if not given and (price.copies or known.signal is not None):
        known = recombined(known, control, plan, copies=price.copies, moved=price.moved)
    known = _with_control(control, known, plan)
    mse = square_of(judged, None).control
    n_steps = plan.epochs * max(len(known) // plan.batch_size, 1)
    priced = PricedTask(mse, loss, price, held=min(HELD, n_steps // 8))
    history = train(correction, priced, known, plan, validation=judged, upkeep=upkeep)
    square = square_of(judged, correction, plan)
    if not square.energy > 0.0:
        raise TrainingFailed("the correction has come to nothing: it adds 0 HU everywhere")
    path = TaskPath(control, correction.eval(), square=square, price=min(price.rmse, 0.02))
    return TrainedPath(path.eval(), tuple(history), loss.eval())


def _with_control(control: Denoiser, trials: TaskTrials, plan: Plan) -> TaskTrials:
    """Trials with the control's images; those that they have already stay."""
    if trials.control is not None or isinstance(trials, RecombinedTrials):
        return trials
    control.to(plan.device)
    images = denoise(control, trials.trials.noisy, device=plan.device, dtype=plan.dtype)
    return replace(trials, control=torch.from_numpy(images))


@torch.no_grad()
def square_of(trials: TaskTrials, correction: nn.Module | None, plan: Plan = PATH) -> SquaredError:
    """The mean squared error along a path on the regions of trials that hold the control's images.

    Without a correction, that of the control alone.
    """
    if trials.control is None:
        raise ValueError("the trials hold no images of a control")
    margin, control = trials.trials.margin, trials.control
    error = crop(control, margin).double() - torch.from_numpy(trials.trials.reference_regions)
    mse = float(torch.mean(error**2))
    if correction is None:
        return SquaredError(mse, 0.0, 0.0)
    added = crop(corrections(trials, correction, plan), margin).double()
    return SquaredError(mse, float(2.0 * torch.mean(error * added)), float(torch.mean(added**2)))


@torch.no_grad()
def corrections(trials: TaskTrials, correction: nn.Module, plan: Plan = PATH) -> torch.Tensor:
    """What a correction adds to the control's images of trials, HU, margin included, `(n, height, width)`."""
    if trials.control is None:
        raise ValueError("the trials hold no images of a control")
    correction.eval().to(plan.device)
    noisy, parts = torch.from_numpy(trials.trials.noisy), []
    for first in range(0, len(trials), plan.batch_size):
        some = slice(first, first + plan.batch_size)
        with autocast(plan.device, plan.dtype):
            added = correction(noisy[some].to(plan.device), trials.control[some].to(plan.device))
        parts.append(added.float().cpu())
    return torch.cat(parts)
