"""A loaded run: its files together, and what the page asks of them."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from taskct.report.labels import OBSERVERS
from taskct.report.schema import (
    Arm,
    Choices,
    Estimate,
    Examples,
    Failures,
    FalseSignal,
    FalseSignals,
    Groups,
    Paired,
    Provenance,
    Retraining,
    Scores,
    SiteBias,
    Summary,
    Task,
    Tradeoff,
)


@dataclass(frozen=True)
class Run:
    """All that a report needs of a run folder."""

    path: Path
    summary: Summary
    scores: dict[tuple[str, int, str], Scores]
    """Keyed by arm, seed and observer."""
    site_bias: dict[tuple[str, int], SiteBias]
    """Keyed by arm and seed."""
    choices: Choices
    tradeoff: Tradeoff
    false_signals: FalseSignals
    retraining: Retraining
    groups: Groups
    task: Task
    examples: Examples
    settings: dict[str, Any]
    """`study.yaml`, nested."""
    provenance: Provenance
    failures: Failures = field(default_factory=lambda: Failures([], []))
    """Of training; none in most runs."""

    @property
    def seeds(self) -> list[int]:
        """Seeds of the control, ascending."""
        return sorted({arm.seed for arm in self.summary.arms if arm.name == self.tradeoff.control})

    @property
    def seed(self) -> int:
        """The seed that text and figures quote."""
        return self.choices.seed

    @property
    def observers(self) -> list[str]:
        """Observers that any arm has, in the page's order."""
        found = {observer for arm in self.summary.arms for observer in arm.observers}
        return [o for o in OBSERVERS if o in found] + sorted(found - set(OBSERVERS))

    def arm(self, name: str, seed: int | None = None) -> Arm:
        """Return one arm, of the quoted seed unless told; an arm without seeds of its own has its only one.

        Raises
        ------
        KeyError
            If no arm has this name.
        """
        arms = [arm for arm in self.summary.arms if arm.name == name]
        if not arms:
            raise KeyError(name)
        wanted = self.seed if seed is None else seed
        return next((arm for arm in arms if arm.seed == wanted), arms[0])

    def comparison(self, arm: str, versus: str, observer: str, seed: int | None = None) -> Paired | None:
        """Return how two arms compare on the same test trials, or None where the study has no such pair."""
        wanted = self.seed if seed is None else seed
        for row in self.summary.paired:
            if (row.observer, row.seed) == (observer, wanted):
                if (row.arm, row.versus) == (arm, versus):
                    return row
                if (row.arm, row.versus) == (versus, arm):
                    low, high = -row.ci_high, -row.ci_low
                    return replace(row, arm=arm, versus=versus, delta_auc=-row.delta_auc, ci_low=low, ci_high=high)
        return None

    def delta(self, arm: str, versus: str, observer: str, seed: int | None = None) -> Estimate | None:
        """Return AUC(arm) − AUC(versus) on the same test trials, or None where the study has no such pair."""
        found = self.comparison(arm, versus, observer, seed)
        return None if found is None else found.delta

    def false_signal(self, arm: Arm) -> FalseSignal:
        """Return how often an arm paints a signal."""
        return next(row for row in self.false_signals.arms if (row.arm, row.seed) == (arm.name, arm.seed))
