"""Losses: what, beside the mean squared error, a denoiser is trained for.

Each is a `taskct.training.losses.base.Loss`, so that one study can compare them under one λ. A perceptual loss is left
out: its features come from a network trained on natural images, whose weights would have to be downloaded;
"observer-feature" is the loss of that kind whose network learns from the trials themselves.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskct.training.losses.base import Loss

LOSSES = {
    "slnn": "slnn.SLNNLoss",
    "observer-feature": "observer_feature.ObserverFeatureLoss",
    "signal-promoter": "signal_promoter.SignalPromoterLoss",
    "detectability": "detectability.DetectabilityLoss",
}
"""The classes by the names that a study gives them. Named, not imported: settings are read without torch."""


def find_loss(name: str) -> "type[Loss]":
    """The class of a loss, by its name in `LOSSES`."""
    module, _, classname = LOSSES[name].partition(".")
    found: type[Loss] = getattr(importlib.import_module(f"{__name__}.{module}"), classname)
    return found
