"""What a run rests on: `task.json`, `provenance.json` and `failures.json`."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field


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
