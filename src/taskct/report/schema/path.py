"""The task path of a study: `path.json`."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field, FiniteFloat

from taskct.report.schema.fields import ArmText, FileInterval


@dataclass(frozen=True)
class PathRow:
    """A working point of a task path: what was asked, what it costs, and what Δ does to the test trials."""

    arm: ArmText
    seed: int
    price: Annotated[float, Field(ge=0)]
    """What was asked, a fraction of the control's RMSE."""
    strength: Annotated[float, Field(ge=0)]
    """a of control + a Δ."""
    predicted_rmse_ratio: FiniteFloat
    """RMSE over the control's by the energy of Δ alone, on validation trials."""
    rmse_ratio: FileInterval
    """RMSE over the control's on the test trials."""
    energy_near: FileInterval | None
    """Share of Δ's energy within two diameters of the site, in [0, 1], mean over trials."""
    area_near: float | None
    """Share of the region's area there."""
    mean_present_hu: FileInterval | None
    """Mean of a Δ over the disc at the site, signal-present trials, HU."""
    mean_absent_hu: FileInterval | None
    """The same on signal-absent trials, where a signal would have been."""
    way_to_bound: dict[str, FileInterval | None] = field(default_factory=dict)
    """By observer: its gain on the control over that of the bound; None where it cannot be said."""


@dataclass(frozen=True)
class PathBound:
    """The observer that no denoiser is expected to help beyond."""

    observer: str
    auc: FileInterval
    """On the low-dose images."""
    n_trials: int | None = None
    """Trials that it was fitted to."""
    passed: bool = False
    """Whether another observer reads more of some arm's images: then it is no bound."""


@dataclass(frozen=True)
class PrinciplePoint:
    """The most AUC that a linear observer can have at a price, whatever the correction."""

    price: float
    auc: float


@dataclass(frozen=True)
class TaskPathFile:
    """`path.json`."""

    rows: list[PathRow] = field(default_factory=list)
    """None in a study without a task path."""
    bound: PathBound | None = None
    principle: list[PrinciplePoint] | None = None
    trained_at: float | None = None
    """Price at which Δ was trained."""
    seed: int | None = None
