"""Numerical observers, one contract: hyper-parameters, `fit`, `test_statistic`."""

from typing import TYPE_CHECKING

from taskct.lazy import lazy_names

if TYPE_CHECKING:
    from taskct.observers.base import LinearObserver as LinearObserver
    from taskct.observers.base import Observer as Observer
    from taskct.observers.base import PathObserver as PathObserver
    from taskct.observers.base import SmallSampleWarning as SmallSampleWarning
    from taskct.observers.channelized import ChannelizedHotelling as ChannelizedHotelling
    from taskct.observers.choice import Chosen as Chosen
    from taskct.observers.choice import fit_chosen as fit_chosen
    from taskct.observers.cnn import CNNObserver as CNNObserver
    from taskct.observers.crops import centred_crops as centred_crops
    from taskct.observers.fresh import OBSERVERS as OBSERVERS
    from taskct.observers.fresh import Eye as Eye
    from taskct.observers.fresh import make_observer as make_observer
    from taskct.observers.hotelling import Hotelling as Hotelling
    from taskct.observers.hotelling import HotellingEye as HotellingEye
    from taskct.observers.hotelling import HotellingLedoitWolf as HotellingLedoitWolf
    from taskct.observers.hotelling import HotellingSVD as HotellingSVD
    from taskct.observers.learning import LabelledTrials as LabelledTrials
    from taskct.observers.learning import LearningCurve as LearningCurve
    from taskct.observers.learning import LearningDifference as LearningDifference
    from taskct.observers.learning import learning_curve as learning_curve
    from taskct.observers.learning import learning_difference as learning_difference
    from taskct.observers.learning_law import expected_auc as expected_auc
    from taskct.observers.lumpy_ideal import LumpyImages as LumpyImages
    from taskct.observers.lumpy_ideal import lumpy_log_likelihood_ratio as lumpy_log_likelihood_ratio
    from taskct.observers.nonprewhitening import NPW as NPW
    from taskct.observers.nonprewhitening import NPWE as NPWE
    from taskct.observers.prewhitening import PWMF as PWMF
    from taskct.observers.scanning import Scanning as Scanning
    from taskct.observers.slnn import SLNN as SLNN
    from taskct.observers.slnn_head import GroupedHead as GroupedHead
    from taskct.observers.slnn_head import SLNNHead as SLNNHead
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "base": ["LinearObserver", "Observer", "PathObserver", "SmallSampleWarning"],
            "channelized": ["ChannelizedHotelling"],
            "choice": ["Chosen", "fit_chosen"],
            "cnn": ["CNNObserver"],
            "crops": ["centred_crops"],
            "fresh": ["OBSERVERS", "Eye", "make_observer"],
            "hotelling": ["Hotelling", "HotellingEye", "HotellingLedoitWolf", "HotellingSVD"],
            "learning": [
                "LabelledTrials",
                "LearningCurve",
                "LearningDifference",
                "learning_curve",
                "learning_difference",
            ],
            "learning_law": ["expected_auc"],
            "lumpy_ideal": ["LumpyImages", "lumpy_log_likelihood_ratio"],
            "nonprewhitening": ["NPW", "NPWE"],
            "prewhitening": ["PWMF"],
            "scanning": ["Scanning"],
            "slnn": ["SLNN"],
            "slnn_head": ["GroupedHead", "SLNNHead"],
        },
    )
