"""Task losses: what, beside the mean squared error, a denoiser is trained for.

Each is a `TaskLoss`, so that one study can compare them under one λ. A perceptual loss is left out: its features come
from a network trained on natural images, whose weights would have to be downloaded; "observer-feature" is the loss of
that kind whose network learns from the trials themselves.
"""

from taskct.training.losses.base import TaskLoss
from taskct.training.losses.detectability import DetectabilityTask, detectability2
from taskct.training.losses.observer_feature import ObserverFeatureTask
from taskct.training.losses.several import SeveralTasks
from taskct.training.losses.signal_promoter import SignalPromoterTask
from taskct.training.losses.slnn import SLNNTask, start_head

__all__ = [
    "TASKS",
    "DetectabilityTask",
    "ObserverFeatureTask",
    "SLNNTask",
    "SeveralTasks",
    "SignalPromoterTask",
    "TaskLoss",
    "detectability2",
    "start_head",
]

TASKS: dict[str, type[TaskLoss]] = {
    "slnn": SLNNTask,
    "observer-feature": ObserverFeatureTask,
    "signal-promoter": SignalPromoterTask,
    "detectability": DetectabilityTask,
}
"""Task losses by the name that a study gives them."""
