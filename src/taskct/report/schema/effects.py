"""What a denoiser does: `hallucination.json`, `harm.json`, `physics.json`, `strata.json` and `conventions.json`."""

from dataclasses import dataclass, field

from pydantic import FiniteFloat

from taskct.report.schema.fields import ArmText, FileInterval


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
class PhysicsRow:
    """The physics of an arm's images; None where it could not be measured."""

    arm: ArmText
    seed: int
    noise_ratio: FileInterval | None = None
    """Standard deviation of the noise over that of the low-dose images'."""
    nps_mean_ratio: FileInterval | None = None
    """Mean frequency of the noise over that of the low-dose images'."""
    noise_border_over_middle: FileInterval | None = None
    """Noise near the border of the region over that in its middle."""
    hu_bias: FileInterval | None = None
    """Mean of image − reference on signal-absent trials, HU."""
    hu_slope: FileInterval | None = None
    """HU of the image for each HU of the reference."""
    uneven_hu: FileInterval | None = None
    """Mean error at the side of the region where it differs most from the middle's, less the middle's, HU."""
    uneven_side: str = ""
    """Which side that is."""
    cnr: FileInterval | None = None
    """Mean contrast that is left at the site over the noise of a pixel."""
    ttf10_per_mm: FileInterval | None = None
    """Where a tenth of the signal's transfer function is left, cycles/mm."""
    ttf50_weak_per_mm: FileInterval | None = None
    """Where half of it is left for the weaker half of the contrasts, cycles/mm."""
    ttf50_strong_per_mm: FileInterval | None = None
    """The same for the stronger half."""
    d_npw: FileInterval | None = None
    """d′ of the NPW observer from transfer function and noise power."""
    d_npwe: FileInterval | None = None
    """d′ of the NPWE observer from the same."""
    why_not: dict[str, str] = field(default_factory=dict)
    """Why a figure is missing, by its name."""


@dataclass(frozen=True)
class PhysicsFile:
    """`physics.json`."""

    rows: list[PhysicsRow] = field(default_factory=list)
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
