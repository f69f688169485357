"""What stands of every arm: `summary.json`, `retraining.json` and `groups.json`."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, FiniteFloat

from taskct.metrics.intervals import Interval
from taskct.names import ArmName
from taskct.report.schema.fields import ArmText, FileInterval


@dataclass(frozen=True)
class ImageQuality:
    """Image quality of one arm over the test trials, against the reference."""

    rmse_hu: FileInterval
    psnr_db: FileInterval
    ssim: FileInterval


@dataclass(frozen=True)
class Hallucination:
    """Mean of denoised − reference at the signal site."""

    absent_bias_hu: FileInterval
    """HU, over signal-absent trials."""
    present_bias_hu: FileInterval
    """HU, over signal-present trials."""


def _drop_empty(observers: object) -> object:
    # An observer that does not exist for an arm may be left out, null or {}.
    return {k: v for k, v in observers.items() if v} if isinstance(observers, dict) else observers


@dataclass(frozen=True)
class ArmFigures:
    """One denoiser (or none) and all that was measured of it."""

    name: ArmText
    """As in every file, such as "lambda=0.9 alpha=0.2"."""
    lambda_: Annotated[float | None, Field(validation_alias="lambda")]
    """Weight of the task term, in [0, 1); None when untrained for the task."""
    alpha: float | None
    """Share of the task-informed network in a blend, in [0, 1]; None when not a blend."""
    head: str | None
    """What the joint SLNN-NO sees: "pixel" or "eye"."""
    seed: int
    image_quality: ImageQuality
    observers: Annotated[dict[str, FileInterval], BeforeValidator(_drop_empty)]
    """AUC of each observer, in [0, 1]."""
    hallucination: Hallucination

    @property
    def label(self) -> str:
        """The name as the page writes it."""
        return ArmName.parse(self.name).label

    @property
    def price(self) -> float | None:
        """Price in RMSE that a working point of a task path was asked for, a fraction; None for other arms."""
        return ArmName.parse(self.name).price


@dataclass(frozen=True)
class Paired:
    """Difference of two arms' AUC on the same test trials."""

    arm: ArmText
    versus: ArmText
    observer: str
    seed: int
    delta_auc: FiniteFloat
    """AUC(arm) − AUC(versus)."""
    ci_low: FiniteFloat
    ci_high: FiniteFloat
    p_value: Annotated[float, BeforeValidator(lambda p: math.nan if p is None else p)]
    """Two-sided, not adjusted; NaN (null in the file) when the two arms score every trial alike."""

    @property
    def delta(self) -> Interval:
        """The difference with its interval."""
        return Interval(self.delta_auc, self.ci_low, self.ci_high)


@dataclass(frozen=True)
class NTest:
    """Number of test trials."""

    present: int
    absent: int


@dataclass(frozen=True)
class Summary:
    """`summary.json`."""

    schema: Literal[1]
    study: str
    n_test: NTest
    arms: list[ArmFigures]
    paired: list[Paired]


@dataclass(frozen=True)
class RetrainingRow:
    """Difference of two arms' AUC with training seeds and test trials as random effects (MRMC)."""

    arm: ArmText
    versus: ArmText
    observer: str
    n_seeds: int
    delta_auc: FiniteFloat
    """AUC(arm) − AUC(versus), mean over the seeds."""
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    """Two-sided, not adjusted; None where it cannot be said."""
    df: float | None
    """Degrees of freedom; None for the normal distribution."""
    seed_std: float | None = None
    """Spread of the difference over trainings, apart from the test trials; None in runs of before."""


@dataclass(frozen=True)
class Retraining:
    """`retraining.json`."""

    rows: list[RetrainingRow]
    """None with a single training seed."""


@dataclass(frozen=True)
class GroupRow:
    """An observer's AUC on the test trials of one head group: a site, a region or a shape."""

    arm: ArmText
    seed: int
    observer: str
    group: str
    n_present: int
    n_absent: int
    auc: FiniteFloat
    ci_low: float | None
    ci_high: float | None


@dataclass(frozen=True)
class Groups:
    """`groups.json`."""

    rows: list[GroupRow]
    """None where all trials are of one task."""
