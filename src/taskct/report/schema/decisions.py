"""What was decided and what it costs: `choices.json` and `tradeoff.json`."""

from dataclasses import dataclass, field
from typing import Literal

from taskct.report.schema.fields import ArmText, FileInterval


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
class PathCurve:
    """The task path against another curve at equal RMSE, averaged over the shared range."""

    versus: Literal["blend", "trained"]
    better: Literal["path", "blend", "trained", "neither"]
    delta_auc: FileInterval
    """AUC(path) − AUC(other)."""
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
    path_curves: list[PathCurve] = field(default_factory=list)
    """None without a task path."""
    path_monotone: bool | None = None
    """Whether AUC never drops, beyond chance, from the control to one price after another."""


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
