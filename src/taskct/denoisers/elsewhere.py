"""The place of a denoiser that is elsewhere: only its images are here."""

import torch
from torch import nn

from taskct.denoisers.denoiser import Denoiser
from taskct.errors import UserError

ELSEWHERE = "elsewhere"
"""What a card calls the network of a task path whose control is a denoiser elsewhere."""


class Elsewhere(Denoiser):
    """A control that cannot be run: a task path on it is given its images, see `TaskPath.correct`.

    Parameters
    ----------
    offset_hu, scale_hu
        As for `Denoiser`: the mean and the standard deviation of the low-dose images, HU.
    """

    def __init__(self, *, offset_hu: float = 0.0, scale_hu: float = 1.0) -> None:
        super().__init__(nn.Identity(), offset_hu=offset_hu, scale_hu=scale_hu)

    def forward(self, image_hu: torch.Tensor) -> torch.Tensor:
        """Raise a `UserError`: there is nothing to run."""
        raise UserError(
            "this task path corrects the images of a denoiser elsewhere, which cannot be run here: give its images by "
            "--after, or to `correct(image_hu, control_hu)`"
        )
