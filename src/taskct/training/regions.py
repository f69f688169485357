"""A denoiser on trials: its scaling, its precision, the regions that it makes, and a loss that starts from those."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from taskct.denoisers.denoiser import Denoiser, denoise, resolve_dtype, rounds_image
from taskct.denoisers.sizes import find_multiple
from taskct.errors import UserError
from taskct.machine import resolve_device
from taskct.seeds import derive_seed
from taskct.training.losses.base import Loss
from taskct.training.plan import FINETUNING, Plan
from taskct.training.record import TrainingFailed
from taskct.training.samples import TaskTrials, as_task_trials, check_kind
from taskct.trials.trials import Trials, crop, select

L = TypeVar("L", bound=Loss)

START_TRIALS = 2000
"""Trials that an observer is started on, before joint training."""

MIN_SPREAD_HU = 1e-3
"""A denoiser whose images differ from trial to trial by less than this has collapsed."""


def as_denoiser(network: nn.Module, trials: Trials) -> Denoiser:
    """A network with the mean and the standard deviation of the noisy images as its scaling; a `Denoiser` as it is."""
    check_kind("trials", trials, Trials)
    check_kind("the network", network, nn.Module)
    if isinstance(network, Denoiser):
        return network
    offset_hu, scale_hu = float(trials.noisy.mean()), float(trials.noisy.std())
    return Denoiser(network, offset_hu=offset_hu, scale_hu=scale_hu, size_multiple=find_multiple(network) or 1)


def settled(plan: Plan, denoiser: Denoiser, trials: Trials) -> Plan:
    """The plan with its device and its precision chosen: float32 for layers that make the image, see `rounds_image`.

    Raises UserError for a device that is not there, or for what is no plan, no denoiser or no trials.
    """
    check_kind("plan", plan, Plan)
    check_kind("the denoiser", denoiser, Denoiser)
    check_kind("trials", trials, Trials)
    plan = replace(plan, device=str(resolve_device(plan.device)))
    dtype = resolve_dtype(plan.dtype, plan.device)
    if plan.dtype == "auto" and dtype == "bfloat16":
        device, n_pixels = denoiser.offset_hu.device, trials.noisy.shape[1]
        if rounds_image(denoiser.cpu().network, n_pixels=n_pixels, multiple=denoiser.size_multiple):
            dtype = "float32"
        denoiser.to(device)
    return replace(plan, dtype=dtype)


def regions_of(denoiser: Denoiser, trials: Trials, plan: Plan) -> NDArray[np.float32]:
    """Denoised regions, HU, `(n, h, w)`; `TrainingFailed` if they are not finite, or alike to `MIN_SPREAD_HU`."""
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


def append_loss(
    denoiser: Denoiser,
    trials: Trials | TaskTrials,
    build: Callable[[NDArray[np.float32]], L],
    plan: Plan = FINETUNING,
) -> L:
    """Append any loss to a denoiser, started on the regions that it makes.

    Parameters
    ----------
    denoiser, plan
        As for `append_head`.
    trials
        The first `START_TRIALS` of them start the loss; with their signals or head groups if it needs them. Where they
        hold a control's images, its regions are these.
    build
        Makes the loss for such regions, HU, shape `(n, height, width)`.

    Raises
    ------
    TrainingFailed
        If the denoiser has collapsed, or the loss cannot be started on its regions.
    """
    known, first = as_task_trials(trials), slice(0, START_TRIALS)
    some = select(known.trials, first)
    if known.control is None:
        regions = regions_of(denoiser, some, settled(plan, denoiser, some))
    else:  # a denoiser whose images are there, and which perhaps cannot be run
        regions = crop(known.control[first], some.margin).contiguous().numpy()
    loss = build(regions)
    batch = known.take(first)[1].region(some.margin)
    batch = batch._replace(reference=batch.reference.contiguous())  # sums over a view differ in their last bits
    try:
        loss.start(torch.from_numpy(regions), batch, seed=derive_seed(plan.seed, "task"))
    except UserError as error:
        raise TrainingFailed(f"the task cannot be started: {error}") from error
    return loss
