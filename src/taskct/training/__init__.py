"""Losses, the training loop, checkpoints."""

from typing import TYPE_CHECKING

from taskct.lazy import lazy_names

if TYPE_CHECKING:
    from taskct.training.checkpoints import load_weights as load_weights
    from taskct.training.checkpoints import read_card as read_card
    from taskct.training.checkpoints import save_weights as save_weights
    from taskct.training.loop import Epoch as Epoch
    from taskct.training.loop import TrainingDiverged as TrainingDiverged
    from taskct.training.loop import TrainingFailed as TrainingFailed
    from taskct.training.loop import train as train
    from taskct.training.losses import TASKS as TASKS
    from taskct.training.losses import DetectabilityTask as DetectabilityTask
    from taskct.training.losses import ObserverFeatureTask as ObserverFeatureTask
    from taskct.training.losses import SeveralTasks as SeveralTasks
    from taskct.training.losses import SignalPromoterTask as SignalPromoterTask
    from taskct.training.losses import SLNNTask as SLNNTask
    from taskct.training.losses import TaskLoss as TaskLoss
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "checkpoints": ["load_weights", "read_card", "save_weights"],
            "loop": ["Epoch", "TrainingDiverged", "TrainingFailed", "train"],
            "losses": [
                "DetectabilityTask",
                "ObserverFeatureTask",
                "SLNNTask",
                "SeveralTasks",
                "SignalPromoterTask",
                "TASKS",
                "TaskLoss",
            ],
        },
        rooms=["losses"],
    )
