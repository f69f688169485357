"""The method and its training loop, losses, checkpoints."""

from typing import TYPE_CHECKING

from taskct.lazy import lazy_names

if TYPE_CHECKING:
    from taskct.training.checkpoints import load_weights as load_weights
    from taskct.training.checkpoints import read_card as read_card
    from taskct.training.checkpoints import save_weights as save_weights
    from taskct.training.loop import train as train
    from taskct.training.losses import LOSSES as LOSSES
    from taskct.training.losses import find_loss as find_loss
    from taskct.training.losses.base import Batch as Batch
    from taskct.training.losses.base import Loss as Loss
    from taskct.training.losses.detectability import DetectabilityLoss as DetectabilityLoss
    from taskct.training.losses.observer_feature import ObserverFeatureLoss as ObserverFeatureLoss
    from taskct.training.losses.several import SeveralLosses as SeveralLosses
    from taskct.training.losses.signal_promoter import SignalPromoterLoss as SignalPromoterLoss
    from taskct.training.losses.slnn import SLNNLoss as SLNNLoss
    from taskct.training.method import Trained as Trained
    from taskct.training.method import append_head as append_head
    from taskct.training.method import append_loss as append_loss
    from taskct.training.method import finetune as finetune
    from taskct.training.method import pretrain as pretrain
    from taskct.training.plan import Plan as Plan
    from taskct.training.plan import Upkeep as Upkeep
    from taskct.training.record import Epoch as Epoch
    from taskct.training.record import TrainingDiverged as TrainingDiverged
    from taskct.training.record import TrainingFailed as TrainingFailed
    from taskct.training.samples import LabelledTrials as LabelledTrials
    from taskct.training.step import HybridLoss as HybridLoss
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "checkpoints": ["load_weights", "read_card", "save_weights"],
            "loop": ["train"],
            "losses": ["LOSSES", "find_loss"],
            "losses.base": ["Batch", "Loss"],
            "losses.detectability": ["DetectabilityLoss"],
            "losses.observer_feature": ["ObserverFeatureLoss"],
            "losses.several": ["SeveralLosses"],
            "losses.signal_promoter": ["SignalPromoterLoss"],
            "losses.slnn": ["SLNNLoss"],
            "method": ["Trained", "append_head", "append_loss", "finetune", "pretrain"],
            "plan": ["Plan", "Upkeep"],
            "record": ["Epoch", "TrainingDiverged", "TrainingFailed"],
            "samples": ["LabelledTrials"],
            "step": ["HybridLoss"],
        },
        rooms=["losses"],
    )
