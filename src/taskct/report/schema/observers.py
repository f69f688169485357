"""What observers say beyond an AUC at n: `limits.json`, `frozen.json` and `efficiency.json`."""

from dataclasses import dataclass, field

from taskct.report.schema.fields import ArmText, FileInterval


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
