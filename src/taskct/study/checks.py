"""What can be known to fail before an hour of simulation, found in a second."""

import torch

from taskct.config import Settings
from taskct.denoisers.checks import check_network_output
from taskct.denoisers.denoiser import make_network
from taskct.denoisers.reach import receptive_radius
from taskct.errors import UserError
from taskct.study.arms import arms_of
from taskct.study.groups import group_labels
from taskct.training.layers import freeze_all_but


def check_arms(settings: Settings) -> int:
    """Build the network of every variant of a study and run it once on an image of the study's size.

    Returns
    -------
    How far an output pixel reaches in the widest of them, pixels to each side; at most half the image.

    Raises
    ------
    UserError
        If a network cannot be built or takes no such image, `training.trainable` leaves nothing to train, or heads are
        asked for that the study has no groups for.
    """
    reach = 0
    tried: set[str] = set()
    for arm in {arm.overrides: arm for arm in arms_of(settings)}.values():
        variant = arm.settings(settings)
        group_labels(variant)
        what = f"{variant.denoiser.model_dump_json()} {variant.training.trainable}"
        if what not in tried:  # a sweep has few networks and many settings of their training
            tried.add(what)
            reach = max(reach, check_network(variant))
    return reach


def check_network(settings: Settings) -> int:
    """Build the network of a study and run it once on an image of the study's size; as `check_arms`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = make_network(settings.denoiser.network, settings.denoiser.arguments)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise UserError(
            f"denoiser.network {settings.denoiser.network!r} has frozen all its parameters, so nothing is left to "
            "train: leave requires_grad on where it is to learn"
        )
    freeze_all_but(network, settings.training.trainable)
    side = settings.trials.region_pixels + 2 * settings.trials.margin_pixels
    check_network_output(network, name=settings.denoiser.network, n_pixels=side)
    return receptive_radius(network, n_pixels=side)
