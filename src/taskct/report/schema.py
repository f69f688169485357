"""What a run folder holds, as plain dataclasses; pydantic checks them when `load` reads the files."""

import math
from dataclasses import asdict, dataclass, field
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, FiniteFloat

from taskct.metrics.intervals import Interval
from taskct.names import ArmName


def _readable(name: str) -> str:
    ArmName.parse(name)
    return name


def _value_by_any_name(given: object) -> object:
    # The value stands under the name of what it estimates.
    if isinstance(given, dict):
        return {"value" if name in ("auc", "delta_auc") else name: value for name, value in given.items()}
    return given


def _in_order(found: Interval) -> Interval:
    for name, value in asdict(found).items():
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}")
    if found.ci_low > found.ci_high:
        raise ValueError(f"ci_low {found.ci_low} is above ci_high {found.ci_high}")
    return found


FileInterval = Annotated[Interval, BeforeValidator(_value_by_any_name), AfterValidator(_in_order)]
"""A number with its confidence interval, all in one unit."""

ArmText = Annotated[str, AfterValidator(_readable)]
"""The name of an arm, which `ArmName` reads."""


def sign(interval: Interval) -> int:
    """1 or -1 when the whole interval lies above or below zero, else 0."""
    return int(interval.ci_low > 0) - int(interval.ci_high < 0)


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


@dataclass(frozen=True)
class Validation:
    """One arm on the validation trials, where choices are made."""

    arm: ArmText
    rmse_hu: float
    auc: dict[str, float | None]
    """Per observer, in [0, 1]."""


@dataclass(frozen=True)
class AtEdge:
    """A regularization chosen at the end of its list of candidates."""

    arm: ArmText
    """The arm's name; with " seed=1" behind it for a seed other than 0."""
    observer: str
    value: float | str


@dataclass(frozen=True)
class Choices:
    """`choices.json`: what was decided on validation trials."""

    chosen_arm: ArmText
    rule: str
    regularization: dict[ArmText, dict[str, float | str | None]]
    validation: list[Validation]
    seed: int
    """Training seed that the page quotes."""
    at_edge: list[AtEdge]


@dataclass(frozen=True)
class Curves:
    """Blend against trained λ at equal RMSE, averaged over the shared range."""

    better: Literal["blend", "trained", "neither"]
    delta_auc: FileInterval
    """AUC(blend) − AUC(trained)."""
    rmse_range_hu: tuple[float, float]
    """HU; the range both curves cover."""


@dataclass(frozen=True)
class WithinTolerance:
    """The arm with most AUC whose validation RMSE is within the tolerance; numbers from test trials."""

    arm: ArmText
    rmse_ratio: FileInterval
    """RMSE over the control's."""
    auc: FileInterval
    delta_auc: FileInterval
    """AUC minus the control's."""


@dataclass(frozen=True)
class Price:
    """What an arm of the quoted seed costs in RMSE on the test trials."""

    arm: ArmText
    rmse_ratio: FileInterval
    """RMSE over that of the control, paired on the same trials."""


@dataclass(frozen=True)
class FrontArm:
    """One arm beside the Pareto front of an observer."""

    arm: ArmText
    rmse_hu: float
    auc: FileInterval
    """With a band that holds for all arms together."""
    on_front: bool
    """Whether no other arm has less RMSE and no less AUC, or more AUC and no more RMSE."""


@dataclass(frozen=True)
class Front:
    """Which arms no other beats in RMSE and AUC at once."""

    in_limit: bool
    """Whether the AUCs are those in the limit of many training trials of the observer."""
    standard_errors: float
    """Half-width of the bands."""
    arms: list[FrontArm]


@dataclass(frozen=True)
class ObserverTradeoff:
    """Trade-off of one observer; None where the study could not work it out."""

    curves: Curves | None = None
    within_tolerance: WithinTolerance | None = None
    monotone: bool | None = None
    """Whether AUC never drops, beyond chance, from one λ to the next."""
    front: Front | None = None


@dataclass(frozen=True)
class Tradeoff:
    """`tradeoff.json`."""

    tolerance: float
    """Allowed rise of RMSE over the control's, relative: 0.02 is 2 %."""
    control: ArmText
    observers: dict[str, ObserverTradeoff]
    seed: int
    rmse_monotone: bool
    """Whether RMSE never falls, beyond chance, from one λ to the next."""
    prices: list[Price] = field(default_factory=list)
    """None in the files of earlier versions."""


@dataclass(frozen=True)
class FalseSignal:
    """How often one arm paints a signal where there is none."""

    arm: ArmText
    seed: int
    false_signal_rate: FileInterval
    """Share of the signal-absent test trials, in [0, 1]."""
    delta_to_control: FileInterval | None
    """Rate minus the control's."""
    excess_present_bias_hu: FileInterval | None
    """Size of the mean bias at real signals minus that of the control's, HU."""


@dataclass(frozen=True)
class FalseSignals:
    """`hallucination.json`: signals painted anywhere in the region."""

    disc_mm: float
    threshold_hu: float
    """Mean of denoised − reference in the disc, towards the signal's contrast, that counts as a signal; HU."""
    control: ArmText
    arms: list[FalseSignal]


@dataclass(frozen=True)
class ResamplingUnit:
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
class TaskFile:
    """`task.json`."""

    description: str
    n_trials: dict[str, int]
    n_backgrounds: dict[str, int]
    """Distinct backgrounds per split."""
    case_kind: Annotated[Literal["phantoms", "slices", "patients"], Field(validation_alias="group_name")]
    """What `n_backgrounds` counts."""
    resampling: ResamplingUnit
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
    n_shared_backgrounds: int | None = None
    """Backgrounds that stand in more than one split; None in the files of earlier versions."""


@dataclass(frozen=True)
class StageRecord:
    """One stage of the study."""

    wall_s: float | None = None
    finished: str | float | None = None
    digests: dict[str, str | None] = field(default_factory=dict)
    """Of the files that it left, by name; none in the records of earlier versions."""


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
    stages: dict[str, StageRecord]


@dataclass(frozen=True)
class LimitRow:
    """The AUC that an observer fitted afresh would have in the limit of many training trials."""

    arm: ArmText
    seed: int
    observer: str
    n_fresh: int
    """Training trials behind `auc`."""
    auc: FileInterval
    """At `n_fresh`, as `summary.json` has it."""
    limit: FileInterval | None
    why_not: str | None = None
    """Why there is no limit; None where there is one."""


@dataclass(frozen=True)
class LimitPaired:
    """Difference of two arms' AUC in the limit, on the same trials."""

    arm: ArmText
    versus: ArmText
    observer: str
    seed: int
    delta: FileInterval | None
    """Limit of the arm minus that of the other."""
    p_value: float | None = None
    """Two-sided, not adjusted."""
    why_not: str | None = None


@dataclass(frozen=True)
class Limits:
    """`limits.json`."""

    rows: list[LimitRow] = field(default_factory=list)
    paired: list[LimitPaired] = field(default_factory=list)
    how: str = ""
    """How the limit was worked out, in words."""


@dataclass(frozen=True)
class FrozenRow:
    """An observer fitted once on other images, applied unchanged to this arm's."""

    arm: ArmText
    seed: int
    observer: str
    fitted_on: str
    """The images that it was fitted on: "low-dose", "mse" or "reference"."""
    auc: FileInterval
    delta: FileInterval | None = None
    """Minus the same observer's AUC on the control's images."""


@dataclass(frozen=True)
class Frozen:
    """`frozen.json`."""

    rows: list[FrozenRow] = field(default_factory=list)


@dataclass(frozen=True)
class EfficiencyRow:
    """A step of the chain of detection efficiency."""

    step: str
    arm: ArmText
    observer: str
    auc: FileInterval
    d_a_squared: FileInterval | None = None
    ratio: FileInterval | None = None
    """Of d_a² to that of the first step; None where an AUC is not above ½."""
    limit: bool = False
    """Whether the AUC is that in the limit of many training trials."""


@dataclass(frozen=True)
class Efficiency:
    """`efficiency.json`: the steps in order."""

    rows: list[EfficiencyRow] = field(default_factory=list)


@dataclass(frozen=True)
class FalsePositives:
    """What an observer says at a criterion that was set on validation trials."""

    observer: str
    fitted_on: str
    """"own" for an observer fitted afresh to the arm's images, else what it was fitted on."""
    false_positive_fraction: FileInterval
    """Share of the signal-absent trials, in [0, 1]."""
    true_positive_fraction: FileInterval
    """Share of the signal-present trials, in [0, 1]."""


@dataclass(frozen=True)
class HarmRow:
    """What an arm does to the images beside what it is for; None where it could not be measured."""

    arm: ArmText
    seed: int
    contrast_recovery: FileInterval | None = None
    """Share of the true contrast of the signals that is left."""
    map_max_abs_hu: float | None = None
    """Largest size of the mean of denoised − reference over signal-absent trials, over the region, HU."""
    site_map_max_abs_hu: float | None = None
    """The same about the would-be site of the signal, HU."""
    noise_hu: FileInterval | None = None
    """Standard deviation of denoised − reference on signal-absent trials, HU."""
    nps_peak_per_mm: float | None = None
    """Where its power spectrum peaks, cycles/mm."""
    nps_mean_per_mm: FileInterval | None = None
    """Mean frequency of that spectrum, cycles/mm."""
    ttf50_per_mm: FileInterval | None = None
    """Where half of the signal's transfer function is left, cycles/mm."""
    false_positives: list[FalsePositives] = field(default_factory=list)
    why_not: dict[str, str] = field(default_factory=dict)
    """Why a figure is missing, by its name."""


@dataclass(frozen=True)
class HarmFile:
    """`harm.json`."""

    rows: list[HarmRow] = field(default_factory=list)
    how: str = ""
    """How the figures were measured, in words."""


@dataclass(frozen=True)
class ConventionText:
    """How a public benchmark counts image quality."""

    name: str
    text: str
    source: str
    """The code that does so."""


@dataclass(frozen=True)
class ConventionRow:
    """Image quality of one arm in one convention: means over images."""

    arm: ArmText
    seed: int
    convention: str
    n_trials: int
    rmse_hu: FileInterval | None
    psnr_db: FileInterval | None
    """None where an image equals its reference."""
    ssim: FileInterval | None


@dataclass(frozen=True)
class Conventions:
    """`conventions.json`."""

    rows: list[ConventionRow] = field(default_factory=list)
    conventions: list[ConventionText] = field(default_factory=list)


@dataclass(frozen=True)
class Span:
    """A range of sizes or contrasts."""

    low: FiniteFloat
    high: FiniteFloat


@dataclass(frozen=True)
class StratumRow:
    """An observer's AUC on lesions of some size and contrast, against all signal-absent trials."""

    arm: ArmText
    seed: int
    observer: str
    size: Span
    """Diameter, mm."""
    contrast: Span
    """Size of the contrast, HU."""
    n_present: int
    auc: FileInterval
    delta: FileInterval | None = None
    """Minus the control's."""


@dataclass(frozen=True)
class Strata:
    """`strata.json`; without rows where the task has one size and one contrast."""

    rows: list[StratumRow] = field(default_factory=list)


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
