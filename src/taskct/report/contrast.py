"""How much of a signal's contrast is left in the images: kept, lost and invented, in HU and as a share."""

from dataclasses import dataclass

import numpy as np

from taskct.metrics.intervals import Interval
from taskct.names import LOW_DOSE, MSE
from taskct.report.labels import interval, number, percent
from taskct.report.run import Run

FLAT = ("disc", "sphere", "ellipsoid", "lobulated", "spiculated", "lidc")
"""Shapes of one contrast throughout: the bias at their site is contrast that is lost. Others fall off to the rim."""


def polarity(run: Run) -> int:
    """1 where the signals are brighter than their background, −1 where they are darker, by the saved references."""
    examples, darker = run.examples, 0.0
    height, width = examples.reference.shape[1:]
    rows, columns = np.mgrid[:height, :width]
    for trial in np.flatnonzero(examples.signal_present):
        row, column = examples.center_px[trial]
        far = np.hypot(rows - row, columns - column)
        radius = max(float(examples.diameter_px[trial]) / 2.0, 1.0)
        inside, around = far <= 0.7 * radius, (far > 1.5 * radius) & (far <= 3.0 * radius)
        if inside.any() and around.any():
            image = examples.reference[trial]
            darker += float(np.sign(image[around].mean() - image[inside].mean()))
    return -1 if darker > 0 else 1


@dataclass(frozen=True)
class Kept:
    """What one arm leaves of the signals' contrast."""

    label: str
    """The arm, as the page writes it."""
    share: Interval
    """Of the true contrast, 1 where all of it is left; below 0 where the sign has turned."""

    @property
    def words(self) -> str:
        """The share in percent, with its interval."""
        return f"{interval(percent(self.share), 0)} %"


def true_contrast_hu(run: Run) -> float | None:
    """Return the signals' mean contrast, HU, from the settings; None where their shape has no single one."""
    signal = run.settings.get("signal")
    if not isinstance(signal, dict):
        return None
    contrast, shapes = signal.get("contrast_hu"), signal.get("shape")
    if not (isinstance(contrast, list) and len(contrast) == 2 and isinstance(shapes, list)):
        return None
    if not all(isinstance(one, int | float) for one in contrast) or not set(map(str, shapes)) <= set(FLAT):
        return None
    return (float(contrast[0]) + float(contrast[1])) / 2 or None


def contrast_kept(run: Run) -> list[Kept]:
    """Return what the low-dose images, MSE and the recommended arm leave of the contrast; empty where it is not known.

    Measured where `harm.json` has it. Else it is 1 + bias / contrast, with the bias at the site of real signals and the
    mean contrast of the settings.
    """
    names = [name for name in run.standing if name in (LOW_DOSE, MSE, run.choices.chosen_arm)]
    found = [(name, _share(run, name)) for name in names]
    return [Kept(run.label(name), share) for name, share in found if share is not None]


def _share(run: Run, name: str) -> Interval | None:
    arm = run.arm(name)
    harm = run.harm_of(arm)
    if harm is not None and harm.contrast_recovery is not None:
        return harm.contrast_recovery
    true = true_contrast_hu(run)
    if true is None:
        return None
    bias = arm.hallucination.present_bias_hu
    bounds = sorted(1 + bound / true for bound in (bias.ci_low, bias.ci_high))
    return Interval(1 + bias.value / true, *bounds)


def contrast_words(run: Run) -> str:
    """Say in plain words what is left of the signals' contrast after denoising; empty where it is not known.

    As in "about half of the contrast is gone: of 50 HU, 28.6 HU (57 %) are left, after MSE 25.1 HU (50 %)".
    """
    kept = {one.label: one for one in contrast_kept(run)}
    chosen, mse = run.label(run.choices.chosen_arm), run.label(MSE)
    if chosen not in kept:
        return ""
    true = true_contrast_hu(run)

    def left(label: str) -> str:
        share = kept[label].share
        if true is None:
            return f"{number(100 * share.value, 0)} %"
        return f"{number(true * share.value, 1)} HU ({number(100 * share.value, 0)} %)"

    text = f"{_gone(kept[chosen].share.value)}: of "
    text += "the signals' contrast" if true is None else f"the signals' {number(true, 0)} HU"
    text += f", {left(chosen)} are left"
    return f"{text}, after {mse} {left(mse)}" if mse in kept else text


def contrast_in_short(run: Run) -> str:
    """Say how much of the contrast is gone, with the share that is left; empty where it is not known.

    As in "about half of the contrast is gone (57 [55, 59] % left)".
    """
    chosen = run.label(run.choices.chosen_arm)
    kept = next((one for one in contrast_kept(run) if one.label == chosen), None)
    return "" if kept is None else f"{_gone(kept.share.value)} ({kept.words} left)"


def _gone(share: float) -> str:
    """How much is gone, in words."""
    lost = 1 - share
    if lost >= 0.6:
        return "most of the contrast is gone"
    if lost >= 0.4:
        return "about half of the contrast is gone"
    if lost >= 0.15:
        return "part of the contrast is gone"
    return "the contrast is kept" if lost > -0.15 else "the contrast is overdrawn"
