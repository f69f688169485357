"""What can be known to fail before an hour of simulation, found in a second."""

import torch

from taskct.config import Settings
from taskct.denoisers.denoiser import Denoiser, make_network, receptive_radius
from taskct.errors import UserError
from taskct.training.layers import freeze_all_but


def check_network(settings: Settings) -> int:
    """Build the network of a study and run it once on an image of the study's size.

    Returns
    -------
    How far an output pixel reaches, pixels to each side; at most half the image.

    Raises
    ------
    UserError
        If the network cannot be built, takes no such image, or `training.trainable` leaves nothing to train.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = make_network(settings.denoiser.network, settings.denoiser.arguments)
    freeze_all_but(network, settings.training.trainable)
    side = settings.trials.region_pixels + 2 * settings.trials.margin_pixels
    try:
        with torch.no_grad():
            Denoiser(network, offset_hu=0.0, scale_hu=1.0).eval()(torch.zeros(2, side, side))
        return receptive_radius(network, n_pixels=side)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"denoiser.network {settings.denoiser.network!r} fails on images of {side} x {side} pixels "
            f"(trials.region_pixels and twice trials.margin_pixels): {error}"
        ) from error
