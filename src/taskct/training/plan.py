"""How a network is trained, and what goes on beside it. Nothing here needs torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from taskct.denoisers.prices import MAX_PRICE
from taskct.errors import UserError
from taskct.progress import Progress
from taskct.ranges import Range
from taskct.training.log import TrainingLog

Keep = Literal["last", "best"]
Precision = Literal["auto", "bfloat16", "float32"]
Compile = Literal["auto", "always", "never"]
HeadTraining = Literal["warm", "joint", "frozen"]

PRICE = Range(0.0, MAX_PRICE, open_low=True)
NOISE = Range(0.0, 1000.0, unit="HU")
COPIES = Range(0, 16, whole=True)
RATE = Range(0.0, 1.0, open_low=True)
TASK_WEIGHT = Range(0.0, 1.0, open_high=True)
RANGES = {
    "epochs": Range(1, 10000, whole=True),
    "learning_rate": RATE,
    "batch_size": Range(1, 4096, whole=True),
    "head_learning_rate": RATE,
    "head_weight_decay": Range(0, 100),
    "seed": Range(0, 2**63 - 1, whole=True),
    "patience": Range(1, unit="epochs", whole=True),
    "max_gradient_norm": Range(0.0, open_low=True),
    "patch_pixels": Range(8, 1024, unit="pixels", whole=True),
}
"""Of the numbers of a `Plan`; the settings of a study have the same."""
CHOICES = {"keep": Keep, "dtype": Precision, "compile": Compile}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long, how fast and in what precision a network is trained, by Adam with a one-cycle schedule.

    Raises
    ------
    UserError
        If a value is out of its range, see `RANGES`.

    Examples
    --------
    >>> Plan(epochs=0)
    Traceback (most recent call last):
    ...
    taskct.errors.UserError: epochs is 0; it must be a whole number from 1 to 10000
    """

    epochs: int = 6
    learning_rate: float = 3e-3
    """Peak of the denoiser's, no unit."""
    batch_size: int = 64
    """Trials in a step, of all processes together."""
    head_learning_rate: float = 1e-2
    """Peak of that of the loss's own parameters: the observer head's."""
    head_weight_decay: float = 0.0
    seed: int = 0
    """Root of every draw, see `derive_seed`: the order of the trials, patches, internal noise, and what the network
    draws itself, as dropout does."""
    keep: Keep = "last"
    """Which weights stand in the end: those after the last epoch, or after the one with the lowest validation loss."""
    patience: int | None = None
    """Epochs without a lower validation loss after which training ends; None never does."""
    max_gradient_norm: float | None = None
    """Gradients longer than this are shortened to it; None leaves them."""
    patch_pixels: int | None = None
    """Side of the squares, margin included, that are cut at random from the images of every batch of pretraining; None
    takes them whole."""
    dtype: str = "auto"
    """Precision of the network's layers, "auto", "bfloat16" or "float32", see `resolve_dtype`."""
    compile: Compile = "auto"
    """Whether `torch.compile` makes the network's step; "auto" where it pays."""
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, allowed in RANGES.items():
            if getattr(self, name) is not None:
                allowed.check(name, getattr(self, name))
        for name, choice in CHOICES.items():
            if getattr(self, name) not in get_args(choice):
                raise UserError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(get_args(choice))}")


PRETRAINING = Plan()
FINETUNING = Plan(epochs=5, learning_rate=1e-3)
PATH = Plan(epochs=6, head_learning_rate=5e-3)
"""Of a task path's correction."""


@dataclass(frozen=True, kw_only=True)
class PathPrice:
    """What a task path is trained at, and what keeps it from learning its trials by heart.

    Raises
    ------
    UserError
        If a value is out of its range.
    """

    rmse: float = 0.02
    """RMSE over the control's, less 1, that the correction may cost; the dial has the others."""
    noise_hu: float = 4.0
    """Standard deviation of white noise on every pixel that the head sees in training, HU."""
    mirrored: bool = True
    """Whether the correction sees trials mirrored and turned, one of eight ways; the head sees them upright."""
    copies: int = 2
    """Copies of the trials in which each background has another trial's noise; 0 takes the trials as they are."""
    moved: bool = True
    """Whether copies have another trial's signal, too: not where a signal belongs to its place."""

    def __post_init__(self) -> None:
        PRICE.check("rmse", self.rmse)
        NOISE.check("noise_hu", self.noise_hu)
        COPIES.check("copies", self.copies)


@dataclass(frozen=True, kw_only=True)
class Upkeep:
    """What goes on beside a training and changes none of its weights."""

    name: str = "training"
    """In messages."""
    progress: Progress | None = None
    """Called after every step."""
    state: Path | None = None
    """A file for the whole state of the training, written after every epoch and every half minute. If it is there and
    of this very training, training goes on from it and ends with the same bits as if it had never stopped. It stays:
    the caller removes it once the weights are saved."""
    identity: str = ""
    """Stands for everything else that the training depends on: the trials and the task. Goes into the state."""
    log: TrainingLog | None = None
    """Gets every epoch's losses."""
