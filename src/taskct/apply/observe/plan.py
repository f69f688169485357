"""How observers are trained and tested: shares, sets, margins and the seed."""

from dataclasses import dataclass

from taskct.errors import UserError


@dataclass(frozen=True)
class Plan:
    """Settings of `observe` that are about trials and statistics, not about images.

    Raises
    ------
    UserError
        If a setting is out of range.
    """

    train_share: float = 0.5
    """Of the trials (of the cases), in (0, 1), where the truth names no split."""
    n_training_sets: int | None = None
    """Above 1, the training trials are divided into as many sets. Observers trained on each count as readers, and the
    interval covers the choice of training trials as well as of test trials (MRMC). None: 4, or 3, as far as each set
    gets 10 trials of each class (of 10 cases, where trials are clustered), else 1, and a note says so."""
    learn: bool = False
    """Whether to draw learning curves."""
    margin: float | None = None
    """Of tests of non-inferiority and equivalence against the images compared with, in (0, 0.5); None for none."""
    specificity: float = 0.9
    """At which sensitivity is given, in (0, 1)."""
    confidence: float = 0.95
    """Of every interval, 0.5 to 0.9999."""
    seed: int = 0
    """Of every random choice."""

    def __post_init__(self) -> None:
        if not 0.5 <= self.confidence <= 0.9999:
            raise UserError(f"confidence is {self.confidence:g}; it must lie between 0.5 and 0.9999 (0.95, not 95)")
        for name in ("train_share", "specificity"):
            value = getattr(self, name)
            if not 0.0 < value < 1.0:
                raise UserError(f"{name} is {value:g}; it must lie between 0 and 1, both excluded")
        if self.n_training_sets is not None and self.n_training_sets < 1:
            raise UserError(f"{self.n_training_sets} training sets; there must be at least 1")
        if self.margin is not None and not 0.0 < self.margin < 0.5:
            raise UserError(f"the margin is {self.margin:g}; it must lie between 0 and 0.5, such as 0.05")
