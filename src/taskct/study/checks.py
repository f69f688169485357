"""What can be known to fail before an hour of simulation, found in a second."""

from dataclasses import dataclass

import torch

from taskct.config import Settings
from taskct.denoisers.checks import Use, try_network
from taskct.denoisers.denoiser import NETWORKS
from taskct.denoisers.reach import receptive_radius
from taskct.denoisers.response import measure_response, note_of_sizes, notes_of
from taskct.denoisers.sizes import Padded, find_multiple
from taskct.errors import UserError
from taskct.study.arms import arms_of
from taskct.study.evaluate import human_noise
from taskct.study.given import given_denoiser, shift_note
from taskct.study.groups import group_labels
from taskct.study.models import network_dtype, rounds_own_image, twin
from taskct.study.shift import tasks_of
from taskct.training.layers import freeze_all_but
from taskct.training.log import check_extra

RESPONSE_PIXELS = 128
"""Side of the images on which a network's response is tried: its far side is 64 pixels away."""


@dataclass(frozen=True)
class Checked:
    """What is known of a study's networks."""

    reach: int
    """How far an output pixel reaches in the widest of them, pixels to each side; at most half the image."""
    notes: tuple[str, ...] = ()
    """What a user must know of them, a line each."""


def check_arms(settings: Settings, device: torch.device | str = "cpu") -> Checked:
    """Build the network of every variant of a study and try it on the CPU as the study will use it, on images of noise.

    `device` is where the study will run, which decides the precision. A `UserError` if a network cannot be built, takes
    no image of a size that the study has, or cannot be trained; if `training.trainable` leaves nothing to train; if
    heads are asked for that the study has no groups for; if a test task of `tests` makes no study; if the file of
    `observers.human` is missing or broken; or if the package of `training.log_to` is missing.
    """
    check_extra(settings.training.log_to)
    tasks_of(settings)
    human_noise(settings)
    found: dict[str, Checked] = {}
    for arm in {arm.overrides: arm for arm in arms_of(settings)}.values():
        variant = arm.settings(settings)
        group_labels(variant)
        t = variant.training  # a sweep has few networks and many settings of their training
        what = f"{variant.denoiser.model_dump_json()} {t.trainable} {t.patch_pixels} {t.dtype}"
        if what not in found:
            found[what] = check_network(variant, device)
    notes = dict.fromkeys(line for one in found.values() for line in one.notes)
    return Checked(max((one.reach for one in found.values()), default=0), tuple(notes))


def check_network(settings: Settings, device: torch.device | str = "cpu") -> Checked:
    """Build the network of a study and try it; as `check_arms`."""
    name, t = settings.denoiser.network, settings.training
    given = None if settings.denoiser.weights is None else given_denoiser(settings)[0]
    network = twin(name, settings.denoiser.arguments) if given is None else given.network
    training = t.method != "none"
    if training and not any(parameter.requires_grad for parameter in network.parameters()):
        raise UserError(
            f"denoiser.network {name!r} has frozen all its parameters, so nothing is left to "
            "train: leave requires_grad on where it is to learn"
        )
    side = settings.trials.region_pixels + 2 * settings.trials.margin_pixels
    if training:
        freeze_all_but(network, t.trainable)
    # Of taskct's own networks all this is known.
    known = name in NETWORKS
    multiple = 1 if known else find_multiple(network)
    dtype = network_dtype(settings, torch.device(device))
    use = Use(name, side, patch_pixels=t.patch_pixels, multiple=multiple or 1, dtype=dtype, training=training)
    try_network(network, use)
    padded, notes = Padded(network, use.multiple), list[str]()
    if given is not None:
        notes += shift_note(given, name, n_pixels=side)
    if not known:
        notes += note_of_sizes(name=name, multiple=multiple, n_pixels=side)
        response = measure_response(padded, n_pixels=side if multiple is None else RESPONSE_PIXELS)
        notes += notes_of(response, name=name)
    if dtype == "bfloat16" and rounds_own_image(settings):
        notes.append(
            f"denoiser.network {name!r} makes its image in bfloat16, which rounds the distance of every pixel from the "
            "mean HU to 1 part in 256: training.dtype=auto runs it in float32"
        )
    return Checked(receptive_radius(padded, n_pixels=side), tuple(notes))
