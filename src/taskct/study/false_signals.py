"""Signals that an arm paints where there are none, and how far it overdraws or fades those that are there."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from taskct.config import Settings
from taskct.names import CONTROL
from taskct.study.evaluate import false_signal
from taskct.study.evaluated import ArmResult
from taskct.study.resampling import Resampling, interval_json
from taskct.trials.trials import Trials


def hallucination(results: Sequence[ArmResult], test: Trials, settings: Settings) -> dict[str, Any]:
    """`hallucination.json`: in what share of signal-absent trials a signal was painted somewhere in the region.

    A painted signal is a disc of the signals' mean diameter whose mean exceeds the reference by their least contrast.
    Beside it stands by how much the mean bias at real signals exceeds the control's in size.

    Parameters
    ----------
    results
        Every arm.
    test
        The test trials.
    settings
        The study.
    """
    disc_mm, threshold, _ = false_signal(settings)
    resampling, present = Resampling.of(test, settings), test.signal_present
    by_name = {(r.arm.name, r.arm.seed): r for r in results}
    arms = []
    for r in results:
        control = by_name.get((r.arm.control, r.arm.seed))
        painted = r.quality["peak_disc_hu"] >= threshold
        delta = excess = None
        if control is not None and r.arm.task_weight is not None and r.arm.name != r.arm.control:
            others = control.quality["peak_disc_hu"] >= threshold
            delta = interval_json(resampling.rate_difference(painted, others, of=~present))
            biases = np.stack([r.quality["site_bias_hu"], control.quality["site_bias_hu"]], axis=1)
            sizes = resampling.interval(biases, lambda mean: np.abs(mean[:, 0]) - np.abs(mean[:, 1]), of=present)
            excess = interval_json(sizes)
        arms.append(
            {
                "arm": r.arm.name,
                "seed": r.arm.seed,
                "false_signal_rate": interval_json(resampling.rate(painted, of=~present)),
                "delta_to_control": delta,
                "excess_present_bias_hu": excess,
            }
        )
    return {"disc_mm": disc_mm, "threshold_hu": threshold, "control": CONTROL, "arms": arms}
