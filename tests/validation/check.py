"""One line of `docs/validation.md`: a claim, what it should be, what was measured, and how far it may stray."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """A claim that is measured."""

    claim: str
    """What is compared with what, in one line; with the numbers of trials, studies or pixels."""
    low: float
    """Lowest value that passes."""
    high: float
    """Highest value that passes."""
    measured: float
    """What came out."""
    expected: float | None = None
    """The closed form or the law, where it is one number."""
    basis: str = ""
    """Where the bounds come from: a standard error, a rounding, a requirement."""

    @property
    def passes(self) -> bool:
        """Whether the measured value lies within the bounds."""
        return self.low <= self.measured <= self.high
