"""What a run folder holds, as plain dataclasses; pydantic checks them when `load` reads the files."""

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, BeforeValidator, Field, FiniteFloat

from taskct.report.labels import arm_label

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A number with its confidence interval."""

    value: Annotated[FiniteFloat, Field(validation_alias=AliasChoices("value", "auc", "delta_auc"))]
    """In the unit of what it estimates."""
    ci_low: FiniteFloat
    """Lower end of the interval, same unit."""
    ci_high: FiniteFloat
    """Upper end, not below `ci_low`."""

    def __post_init__(self) -> None:
        if self.ci_low > self.ci_high:
            raise ValueError(f"ci_low {self.ci_low} is above ci_high {self.ci_high}")

    @property
    def sign(self) -> int:
        """1 or -1 when the whole interval lies above or below zero, else 0."""
        return int(self.ci_low > 0) - int(self.ci_high < 0)


@dataclass(frozen=True)
class ImageQuality:
    """Image quality of one arm over the test trials, against the reference."""

    rmse_hu: Estimate
    """HU, ≥ 0."""
    psnr_db: Estimate
    """dB."""
    ssim: Estimate
    """At most 1."""


@dataclass(frozen=True)
class Hallucination:
    """Mean of denoised − reference at the signal site."""

    absent_bias_hu: Estimate
    """HU, over signal-absent trials."""
    present_bias_hu: Estimate
    """HU, over signal-present trials."""


def _drop_empty(observers: object) -> object:
    # An observer that does not exist for an arm may be left out, null or {}.
    return {k: v for k, v in observers.items() if v} if isinstance(observers, dict) else observers


@dataclass(frozen=True)
class Arm:
    """One denoiser (or none) and all that was measured of it."""

    name: str
    """As in every file: "low-dose", "mse", "lambda=0.9", "lambda=0.9 alpha=0.2", "lambda=0 head=pixel"."""
    lambda_: Annotated[float | None, Field(validation_alias="lambda")]
    """Weight of the task term, in [0, 1); None when untrained for the task."""
    alpha: float | None
    """Share of the task-informed network in a blend, in [0, 1]; None when not a blend."""
    head: str | None
    """What the joint SLNN-NO sees: "pixel" or "eye"."""
    seed: int
    image_quality: ImageQuality
    observers: Annotated[dict[str, Estimate], BeforeValidator(_drop_empty)]
    """AUC of each observer, in [0, 1]."""
    hallucination: Hallucination

    @property
    def label(self) -> str:
        """The name as the page writes it."""
        return arm_label(self.name)


@dataclass(frozen=True)
class Paired:
    """Difference of two arms' AUC on the same test trials."""

    arm: str
    versus: str
    observer: str
    seed: int
    delta_auc: FiniteFloat
    """AUC(arm) − AUC(versus)."""
    ci_low: FiniteFloat
    ci_high: FiniteFloat
    p_value: Annotated[float, BeforeValidator(lambda p: math.nan if p is None else p)]
    """Two-sided, not adjusted; NaN (null in the file) when the two arms score every trial alike."""

    @property
    def delta(self) -> Estimate:
        """The difference with its interval."""
        return Estimate(self.delta_auc, self.ci_low, self.ci_high)


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
    arms: list[Arm]
    paired: list[Paired]


@dataclass(frozen=True)
class RetrainingRow:
    """Difference of two arms' AUC with training seeds and test trials as random effects (MRMC)."""

    arm: str
    versus: str
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


@dataclass(frozen=True)
class Retraining:
    """`retraining.json`."""

    rows: list[RetrainingRow]
    """None with a single training seed."""


@dataclass(frozen=True)
class GroupRow:
    """An observer's AUC on the test trials of one task, site or region."""

    arm: str
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


@dataclass(frozen=True)
class Validation:
    """One arm on the validation trials, where choices are made."""

    arm: str
    rmse_hu: float
    auc: dict[str, float | None]
    """Per observer, in [0, 1]."""


@dataclass(frozen=True)
class AtEdge:
    """A regularization chosen at the end of its list of candidates."""

    arm: str
    """The arm's name; with " seed=1" behind it for a seed other than 0."""
    observer: str
    value: float | str


@dataclass(frozen=True)
class Choices:
    """`choices.json`: what was decided on validation trials."""

    chosen_arm: str
    rule: str
    """The rule, in words."""
    regularization: dict[str, dict[str, float | str | None]]
    """Per arm and observer."""
    validation: list[Validation]
    seed: int
    """Training seed that the page quotes."""
    at_edge: list[AtEdge]
    """Regularizations chosen at the end of their list of candidates."""


@dataclass(frozen=True)
class Curves:
    """Blend against trained λ at equal RMSE, averaged over the shared range."""

    better: Literal["blend", "trained", "neither"]
    delta_auc: Estimate
    """AUC(blend) − AUC(trained)."""
    rmse_range_hu: tuple[float, float]
    """HU; the range both curves cover."""


@dataclass(frozen=True)
class WithinTolerance:
    """The arm with most AUC whose validation RMSE is within the tolerance; numbers from test trials."""

    arm: str
    rmse_ratio: Estimate
    """RMSE over the control's."""
    auc: Estimate
    delta_auc: Estimate
    """AUC minus the control's."""


@dataclass(frozen=True)
class ObserverTradeoff:
    """Trade-off of one observer; None where the study could not work it out."""

    curves: Curves | None = None
    within_tolerance: WithinTolerance | None = None
    monotone: bool | None = None
    """Whether AUC never drops, beyond chance, from one λ to the next."""


@dataclass(frozen=True)
class Tradeoff:
    """`tradeoff.json`."""

    tolerance: float
    """Allowed rise of RMSE over the control's, relative: 0.02 is 2 %."""
    control: str
    observers: dict[str, ObserverTradeoff]
    seed: int
    rmse_monotone: bool
    """Whether RMSE never falls, beyond chance, from one λ to the next."""


@dataclass(frozen=True)
class FalseSignal:
    """How often one arm paints a signal where there is none."""

    arm: str
    seed: int
    false_signal_rate: Estimate
    """Share of the signal-absent test trials, in [0, 1]."""
    delta_to_control: Estimate | None
    """Rate minus the control's."""
    excess_present_bias_hu: Estimate | None
    """Size of the mean bias at real signals minus that of the control's, HU."""


@dataclass(frozen=True)
class FalseSignals:
    """`hallucination.json`: signals painted anywhere in the region."""

    disc_mm: float
    """Diameter of the disc, mm."""
    threshold_hu: float
    """Mean of denoised − reference in the disc, towards the signal's contrast, that counts as a signal; HU."""
    control: str
    arms: list[FalseSignal]


@dataclass(frozen=True)
class Resampling:
    """What every interval of the run resamples, as the study decided."""

    unit: Literal["trial", "background"]
    """A background where test trials share some."""
    over_backgrounds: bool
    """Whether the intervals hold for other backgrounds too."""
    few: bool
    """Whether the backgrounds are so few that intervals are somewhat too narrow."""
    p_values: bool
    """Whether they are enough for a p-value to mean something."""


@dataclass(frozen=True)
class Task:
    """`task.json`."""

    description: str
    n_trials: dict[str, int]
    """Per split."""
    n_backgrounds: dict[str, int]
    """Distinct backgrounds per split."""
    group_name: Literal["phantoms", "slices", "patients"]
    """What `n_backgrounds` counts."""
    resampling: Resampling
    background_note: str | None
    pixel_mm: Annotated[float, Field(gt=0)]
    roi_px: int
    data_range_hu: float
    """HU; range that PSNR and SSIM use."""
    window_hu: tuple[float, float]
    """Centre and width of the display window, HU."""
    difference_window_hu: Annotated[float, Field(gt=0)]
    """Width of the display window of difference images, HU; centred on zero."""
    observer_notes: dict[str, str] = field(default_factory=dict)
    """By observer: that it was fitted on few trials."""


@dataclass(frozen=True)
class Stage:
    """One stage of the study."""

    wall_s: float | None = None
    """Wall time, s."""
    finished: str | float | None = None
    """When it ended."""


@dataclass(frozen=True)
class Provenance:
    """`provenance.json`."""

    taskct_version: str
    commit: str | None
    python: str
    platform: str
    libraries: dict[str, str]
    device: str | None
    n_threads: int | None
    seed: int | list[int] | None
    stages: dict[str, Stage]


@dataclass(frozen=True)
class Failure:
    """A training that went wrong."""

    stage: str
    problem: str


@dataclass(frozen=True)
class Skipped:
    """A stage that was left out."""

    stage: str
    because: str
    """The stage that failed, and that it builds on."""


@dataclass(frozen=True)
class Failures:
    """`failures.json`: what is missing from the results, and why."""

    failed: list[Failure]
    skipped: list[Skipped]


@dataclass(frozen=True)
class Scores:
    """Test statistics of one observer on one arm and seed."""

    t_present: Floats
    """Shape `(n_present,)`; higher means present."""
    t_absent: Floats
    """Shape `(n_absent,)`."""


@dataclass(frozen=True)
class SiteBias:
    """Denoised − reference at the signal site of every test trial of one arm and seed."""

    present: Floats
    """HU, shape `(n_present,)`."""
    absent: Floats
    """HU, shape `(n_absent,)`."""


@dataclass(frozen=True)
class Examples:
    """A few trials to look at."""

    trial: NDArray[np.int64]
    """Shape `(k,)`."""
    signal_present: NDArray[np.bool_]
    """Shape `(k,)`."""
    center_px: Floats
    """Row and column of the signal, shape `(k, 2)`; NaN when absent."""
    diameter_px: Floats
    """Shape `(k,)`."""
    reference: Floats
    """HU, shape `(k, height, width)`."""
    noisy: Floats
    """HU, shape `(k, height, width)`."""
    denoised: dict[str, Floats]
    """Per arm, HU, shape `(k, height, width)`."""
    template: dict[str, Floats]
    """Per arm, joint SLNN-NO, 1/HU, shape `(height, width)`."""
