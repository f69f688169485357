"""A reader who learned on references: a fixed observer that the loss of a task path asks beside its own head.

The head of a loss learns to read whatever the correction writes. This observer was fitted to images without noise and
does not learn: a correction pleases it only by making a lesion look as it does there.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from taskct.observers.base import PathObserver
from taskct.observers.choice import fit_chosen
from taskct.observers.fresh import small_samples
from taskct.training.losses.base import Batch


class ReferenceReader(nn.Module):
    """A linear observer that is fitted to the references of a loss's first trials, and frozen.

    Parameters
    ----------
    observer
        Not fitted; its regularization is chosen on a quarter of the trials.
    shape
        Of the regions, pixels.
    """

    template: torch.Tensor
    offset: torch.Tensor

    def __init__(self, observer: PathObserver, shape: tuple[int, int]) -> None:
        super().__init__()
        self.observer = observer
        # Buffers, so that a training that goes on from the disk goes on with them.
        self.register_buffer("template", torch.zeros(shape))
        self.register_buffer("offset", torch.zeros(()))

    @torch.no_grad()
    def start(self, denoised: torch.Tensor, batch: Batch) -> None:
        """Fit the observer to the references of a batch, and scale it to a logit on the denoised regions.

        Both are regions in HU, `(n, height, width)`. The scale is that of two normal classes of the same variance, the
        observer's internal noise included. A `UserError` says that the references do not suit the observer.
        """
        present = batch.signal_present.cpu().numpy()
        with small_samples():  # a choice on held-out trials says what few of them are worth
            fitted = fit_chosen(self.observer, batch.reference.cpu().numpy(), present).observer
        template = fitted.template_
        statistic = np.einsum("nij,ij->n", denoised.cpu().numpy().astype(np.float64), template)
        mean = [float(statistic[of_class].mean()) for of_class in (present, ~present)]
        variance = sum(float(statistic[of_class].var()) for of_class in (present, ~present)) / 2.0
        scale = (mean[0] - mean[1]) / (variance + fitted.internal_std_**2)
        self.template.copy_(torch.from_numpy(template * scale))
        self.offset.fill_(-scale * (mean[0] + mean[1]) / 2.0)

    def forward(self, denoised: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Cross-entropy of what it reads of regions, HU `(n, height, width)`, over ln 2: 1 at chance; a scalar."""
        with torch.autocast(denoised.device.type, enabled=False):  # the HU of a weak signal do not fit bfloat16
            logits = denoised.float().flatten(1) @ self.template.flatten() + self.offset
            return F.binary_cross_entropy_with_logits(logits, batch.signal_present.to(logits)) / math.log(2.0)
