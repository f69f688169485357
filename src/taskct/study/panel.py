"""The trials and images of the page's panel: the first ones, which nobody picks, and those that MSE treats worst.

Where nothing was trained, those that the chosen denoiser treats worst.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.config import Settings
from taskct.names import LOW_DOSE, MSE
from taskct.study.arm_result import ArmResult
from taskct.study.arms import control_of
from taskct.trials.trials import Trials

N_WORST = 4
"""Trials with the greatest loss of contrast, and as many with the greatest false signal."""

BUDGET_BYTES = 20_000_000
"""Of all images of the panel, before they are packed."""

FIRST, LOSS, FALSE = "first", "contrast loss", "false signal"


@dataclass(frozen=True)
class Panel:
    """Which test trials are shown, and why."""

    index: NDArray[np.int64]
    """Numbers of the trials, `(k,)`."""
    why: tuple[str, ...]
    """FIRST, LOSS or FALSE, of each."""

    @property
    def worst(self) -> NDArray[np.int64]:
        """Numbers of those that were picked."""
        return self.index[[why != FIRST for why in self.why]]


def first_trials(settings: Settings, test: Trials) -> NDArray[np.int64]:
    """The first trials of each class, so that nobody picks them by eye."""
    k = settings.evaluation.n_examples
    present, absent = np.flatnonzero(test.signal_present), np.flatnonzero(~test.signal_present)
    return np.concatenate([present[:k], absent[:k]])


def contrast_loss_hu(result: ArmResult, test: Trials) -> NDArray[np.float64]:
    """By how much the mean at the site falls short of the reference's, towards the background, HU, `(n,)`."""
    return np.asarray(-np.sign(test.truth["contrast_hu"]) * result.quality["site_bias_hu"], dtype=np.float64)


def panel_of(settings: Settings, test: Trials, mse: ArmResult, *, n_worst: int = N_WORST) -> Panel:
    """The first trials of each class, then those with the greatest contrast loss and the greatest false signal in MSE.

    A trial that is shown already is not shown again. A false signal is the brightest disc of a signal's size in
    denoised − reference, on signal-absent trials.
    """
    index = first_trials(settings, test)
    picked, why = [index], [FIRST] * len(index)
    rules = (
        (LOSS, contrast_loss_hu(mse, test), test.signal_present),
        (FALSE, mse.quality["peak_disc_hu"], ~test.signal_present),
    )
    for rule, value, of_class in rules:
        others = np.setdiff1d(np.flatnonzero(of_class), index)
        worst = others[np.argsort(-value[others], kind="stable")][:n_worst]
        picked.append(worst)
        why += [rule] * len(worst)
    return Panel(np.concatenate(picked), tuple(why))


def examples(
    settings: Settings,
    test: Trials,
    results: Sequence[ArmResult],
    *,
    chosen: str,
    seed: int,
    denoise: Callable[[ArmResult, NDArray[np.int64]], NDArray[np.float32]],
) -> dict[str, NDArray[Any]]:
    """`examples.npz`: the panel's trials of the quoted seed in every arm, and the joint templates.

    `denoise` gives an arm's regions of some test trials, by number. Reference, low-dose, MSE, control and the chosen
    arm are always there; if they alone would pass the budget, fewer trials are picked beside the first ones. Other arms
    follow in the report's order as long as the budget lasts; `left_out` names the rest.
    """
    mine = {r.arm.name: r for r in results if r.arm.seed == seed}
    always = [name for name in dict.fromkeys((LOW_DOSE, MSE, control_of(settings), chosen)) if name in mine]
    judged = mine.get(MSE, mine[chosen])
    image_bytes = 4 * settings.trials.region_pixels**2
    n_first = len(first_trials(settings, test))
    room = BUDGET_BYTES // (image_bytes * (1 + len(always))) - n_first
    panel = panel_of(settings, test, judged, n_worst=int(np.clip(room // 2, 0, N_WORST)))
    index = panel.index
    middle = (settings.trials.region_pixels - 1) / 2.0
    place = np.stack([test.truth["y_mm"], test.truth["x_mm"]], axis=1)[index] / settings.scanner.pixel_mm + middle
    place[~test.signal_present[index]] = np.nan
    arrays: dict[str, NDArray[Any]] = {
        "trial": index,
        "signal_present": test.signal_present[index],
        "why": np.array(panel.why),
        "center_px": place,
        "diameter_px": test.truth["diameter_mm"][index] / settings.scanner.pixel_mm,
        "contrast_hu": test.truth["contrast_hu"][index],
        "contrast_loss_hu": contrast_loss_hu(judged, test)[index],
        "false_signal_hu": judged.quality["peak_disc_hu"][index],
        "reference": test.reference_regions[index],
    }
    left = BUDGET_BYTES - arrays["reference"].nbytes
    left_out = []
    for name in [*always, *(name for name in mine if name not in always)]:
        result = mine[name]
        if result.template is not None:
            arrays[f"template/{name}"] = result.template
        n_bytes = len(index) * image_bytes
        if name not in always and n_bytes > left:
            left_out.append(name)
            continue
        left -= n_bytes
        worst = denoise(result, panel.worst) if len(panel.worst) else result.examples[:0]
        arrays["noisy" if name == LOW_DOSE else f"denoised/{name}"] = np.concatenate([result.examples, worst])
        for key, values in (("loss", contrast_loss_hu(result, test)), ("false", result.quality["peak_disc_hu"])):
            arrays[f"{key}/{name}"] = values[index]
    arrays["left_out"] = np.array(left_out, dtype=np.str_)
    return arrays
