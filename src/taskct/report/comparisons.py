"""What the paired comparisons may claim together: Holm's adjustment."""

import math

from taskct.metrics.comparisons import holm
from taskct.names import JOINT
from taskct.report.run import Run
from taskct.report.schema import Paired

LEVEL = 0.05
"""Holm-adjusted p below which the verdict calls a gain one."""


def same_denoiser(run: Run) -> list[str]:
    """Name the arms with λ = 0 and another head than the control: their images are the control's."""
    head = run.arm(run.tradeoff.control).head
    found = [arm.name for arm in run.summary.arms if arm.lambda_ == 0 and arm.alpha is None and arm.head != head]
    return list(dict.fromkeys(found))


def adjusted_over_table(run: Run) -> list[float]:
    """Holm-adjusted p of every paired comparison; NaN where it only repeats one of the control's."""
    same = same_denoiser(run)

    def p_value(row: Paired) -> float:
        return math.nan if row.arm in same and row.observer != JOINT else row.p_value

    adjusted: list[float] = holm([p_value(row) for row in run.summary.paired]).tolist()
    return adjusted


def gains_and_losses(run: Run) -> tuple[list[str], list[str], list[str]]:
    """Split the observers of the chosen arm into those that gain on the control, lose, and show neither.

    A gain needs a Holm-adjusted p below 0.05 over these observers; a loss only an interval below zero, so that
    the adjustment hides no harm.
    """
    pairs = {o: run.comparison(run.choices.chosen_arm, run.tradeoff.control, o) for o in run.observers}
    found = {observer: pair for observer, pair in pairs.items() if pair is not None}
    adjusted = dict(zip(found, holm([pair.p_value for pair in found.values()]).tolist(), strict=True))
    gains = [o for o, pair in found.items() if pair.delta_auc > 0 and adjusted[o] < LEVEL]
    losses = [o for o, pair in found.items() if pair.delta.sign < 0]
    return gains, losses, [o for o in found if o not in gains + losses]
