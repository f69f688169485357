"""What is asked of a reader study, beside its AUCs."""

from collections.abc import Collection
from dataclasses import dataclass

from taskct.errors import UserError


@dataclass(frozen=True)
class Wanted:
    """Options of `taskct mrmc` that several analyses read.

    Raises
    ------
    UserError
        If a number is out of its range.
    """

    confidence: float = 0.95
    """Coverage of the intervals, in (0, 1)."""
    margin: float | None = None
    """Of non-inferiority and equivalence, in the unit of the figure of merit, in (0, 1)."""
    detect: float | None = None
    """Difference to size the next study for, in (-1, 1) without 0."""
    power: float = 0.8
    """Of that study, in (0.05, 1)."""
    programs: tuple[str, ...] = ()
    """Readers of the file that are programs."""
    cutoffs: tuple[str, ...] = ()
    """`SCORE`, or `READER=SCORE`: a case at or above it is called positive."""
    agreement: bool = False
    """Whether readers are compared with one another and with themselves."""
    figure_of_merit: str | None = None
    """Of marks; None takes the usual one."""

    def __post_init__(self) -> None:
        if not 0.0 < self.confidence < 1.0:
            raise UserError(f"--confidence is {self.confidence:g}; it must lie between 0 and 1 (0.95, not 95)")
        for name, value, low in (
            ("margin", self.margin, 0.0),
            ("detect", self.detect, -1.0),
            ("power", self.power, 0.05),
        ):
            if value is not None and (not low < value < 1.0 or value == 0.0):
                raise UserError(f"--{name} is {value:g}; it must lie between {low:g} and 1, and not be 0")

    @property
    def alpha(self) -> float:
        """Two-sided size of the tests that go with the intervals: 1 less the confidence."""
        return round(1.0 - self.confidence, 12)  # 0.05, not 0.05000000000000004

    def check_for(self, kind: str, allowed: Collection[str]) -> None:
        """Raise a `UserError` if an option is given that results of this kind know nothing of.

        `allowed` are those that it takes of `programs`, `cutoffs`, `agreement`, `figure_of_merit`, `margin`, `detect`.
        """
        for name, option in OPTIONS.items():
            if name not in allowed and getattr(self, name) not in (None, (), False):
                raise UserError(f"{option} is not for {kind}: leave it out")


OPTIONS = {
    "programs": "--program",
    "cutoffs": "--cutoff",
    "agreement": "--agreement",
    "figure_of_merit": "--figure-of-merit",
    "margin": "--margin",
    "detect": "--detect",
}
"""What the command line calls them."""
