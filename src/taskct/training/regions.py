"""A denoiser on trials: its scaling, its precision, what it makes of their regions, and how far that is off."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from taskct.denoisers.denoiser import Denoiser, denoise, resolve_dtype, rounds_image
from taskct.denoisers.sizes import find_multiple
from taskct.training.plan import Plan
from taskct.training.record import TrainingFailed
from taskct.trials.trials import Trials

MIN_SPREAD_HU = 1e-3
"""A denoiser whose images differ from trial to trial by less than this has collapsed."""


def as_denoiser(network: nn.Module, trials: Trials) -> Denoiser:
    """A network with the mean and the standard deviation of the noisy images as its scaling; a `Denoiser` as it is."""
    if isinstance(network, Denoiser):
        return network
    offset_hu, scale_hu = float(trials.noisy.mean()), float(trials.noisy.std())
    return Denoiser(network, offset_hu=offset_hu, scale_hu=scale_hu, size_multiple=find_multiple(network) or 1)


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
