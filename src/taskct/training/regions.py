"""What a denoiser makes of the regions of trials, and how far that is from their references."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from taskct.denoisers.denoiser import Denoiser, denoise, resolve_dtype, rounds_image
from taskct.training.plan import Plan
from taskct.training.record import TrainingFailed
from taskct.trials.trials import Trials

MIN_SPREAD_HU = 1e-3
"""A denoiser whose images differ from trial to trial by less than this has collapsed."""


def settled(plan: Plan, denoiser: Denoiser, trials: Trials) -> Plan:
    """The plan with its precision chosen: float32 for a network whose layers make the image, see `rounds_image`."""
    dtype = resolve_dtype(plan.dtype, plan.device)
    if plan.dtype == "auto" and dtype == "bfloat16":
        device, n_pixels = denoiser.offset_hu.device, trials.noisy.shape[1]
        if rounds_image(denoiser.cpu().network, n_pixels=n_pixels, multiple=denoiser.size_multiple):
            dtype = "float32"
        denoiser.to(device)
    return replace(plan, dtype=dtype)


def regions_of(denoiser: Denoiser, trials: Trials, plan: Plan) -> NDArray[np.float32]:
    """Denoised regions, HU, shape `(n, height, width)`.

    Raises
    ------
    TrainingFailed
        If nothing can be measured on them: a value is not finite, or they are all alike, to `MIN_SPREAD_HU`.
    """
    denoiser.to(plan.device)
    regions = denoise(denoiser, trials.noisy, device=plan.device, dtype=plan.dtype, margin=trials.margin)
    if not np.isfinite(regions).all():
        raise TrainingFailed("the denoiser's images are not finite")
    if float(np.ptp(regions, axis=0).max()) < MIN_SPREAD_HU:
        raise TrainingFailed("the denoiser has collapsed, its image is the same for every trial")
    return regions


def mean_squared_error(denoised: NDArray[np.floating], reference: NDArray[np.floating]) -> float:
    """Mean squared error over all trials, HU²."""
    return float(np.mean((denoised.astype(np.float64) - reference) ** 2))
