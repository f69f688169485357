"""What a model learned on, for its card: measured on its training images, and told by the settings."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.config import Settings
from taskct.metrics.noise_level import measure_noise
from taskct.scanner.kernels import mtf_frequency
from taskct.simulation.describe import describe
from taskct.simulation.exposure import kernel_of
from taskct.simulation.scan import make_geometry
from taskct.tasks.background_registry import BACKGROUNDS
from taskct.trials.trials import Trials

LEARNED_ON = "learned_on"
"""Key of a card."""

MOST_IMAGES = 400
"""Training images that are measured, evenly spaced."""

RANGE = (0.001, 0.999)
"""Share of the training pixels below either end of the range of HU."""

NOISE_RANGE = (0.05, 0.95)
"""The same of training images, for the ranges of noise and texture."""


def learned_on(settings: Settings, trials: Trials) -> dict[str, Any]:
    """What a model learned on, as its card has it.

    Parameters
    ----------
    settings
        Of its arm.
    trials
        Its training trials; noise is measured on their low-dose images as `taskct denoise` measures an input's.

    Returns
    -------
    JSON: `pixel_mm`, `slice_mm`, `kernel` with `mtf50_per_mm` and `mtf10_per_mm`, `dose_fraction`, `anatomy`, `task`,
    `n_trials`, `image_pixels`, `range_hu`, and `noise_hu` and `texture_per_mm` as `{"mean", "low", "high"}`, 5 % of the
    images below `low` and above `high`. What is not known is None.
    """
    s = settings.scanner
    n = len(trials)
    some = trials.noisy[np.unique(np.linspace(0, n - 1, min(n, MOST_IMAGES)).astype(np.int64))]
    low, high = np.quantile(some, RANGE)
    return {
        "pixel_mm": s.pixel_mm,
        "slice_mm": s.slice_mm or None,
        "kernel": _kernel(settings),
        "dose_fraction": None if settings.background.kind == "paired" else s.dose_fraction,
        "anatomy": _anatomy(settings),
        "task": describe(settings),
        "n_trials": n,
        "image_pixels": list(trials.noisy.shape[1:]),
        "range_hu": [_short(low), _short(high)],
        **noise_ranges(some, pixel_mm=s.pixel_mm),
    }


def noise_ranges(images: NDArray[np.floating], *, pixel_mm: float) -> dict[str, Any]:
    """`noise_hu` and `texture_per_mm` of images in HU, `(n, height, width)`; None where they are too small to tell."""
    found = [one for one in map(measure_noise, images) if one is not None]
    texture = np.array([one.texture_per_pixel for one in found if np.isfinite(one.texture_per_pixel)]) / pixel_mm
    return {"noise_hu": _spread(np.array([one.level_hu for one in found])), "texture_per_mm": _spread(texture)}


def _spread(values: NDArray[np.float64]) -> dict[str, float] | None:
    if not values.size:
        return None
    low, high = np.quantile(values, NOISE_RANGE)
    return {"mean": _short(values.mean()), "low": _short(low), "high": _short(high)}


def _short(value: float) -> float:
    """Four digits: what is left of a number once machines have added in another order."""
    return float(f"{value:.4g}")


def _kernel(settings: Settings) -> dict[str, Any] | None:
    """The reconstruction's own; None where images were reconstructed by somebody else."""
    s = settings.scanner
    if settings.background.kind == "paired" or s.acquisition == "insertion":
        return None
    kernel, bin_mm = kernel_of(settings), make_geometry(settings).isocenter_bin_mm
    found = {"name": s.filter, "cutoff": kernel.cutoff}
    for level in (0.5, 0.1):
        frequency = mtf_frequency(level, isocenter_bin_mm=bin_mm, window=kernel.window, cutoff=kernel.cutoff)
        found[f"mtf{round(100 * level)}_per_mm"] = _short(frequency)
    return found


def _anatomy(settings: Settings) -> str:
    kind = BACKGROUNDS[settings.background.kind]
    return kind.text if kind.place is None else f"{kind.text}; regions in {kind.place}"
