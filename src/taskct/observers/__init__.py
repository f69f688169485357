"""Numerical observers, one contract: hyper-parameters, `fit`, `test_statistic`."""

from taskct.observer_registry import OBSERVERS
from taskct.observers.base import LinearObserver, Observer, PathObserver, SmallSampleWarning
from taskct.observers.channelized import ChannelizedHotelling
from taskct.observers.choice import Chosen, fit_chosen
from taskct.observers.cnn import CNNObserver
from taskct.observers.crops import centred_crops
from taskct.observers.fresh import make_observer
from taskct.observers.hotelling import Hotelling, HotellingEye, HotellingLedoitWolf, HotellingSVD
from taskct.observers.learning import LearningCurve, LearningDifference, learning_curve, learning_difference
from taskct.observers.learning_law import expected_auc
from taskct.observers.learning_trials import LabelledTrials
from taskct.observers.lumpy_ideal import lumpy_log_likelihood_ratio
from taskct.observers.nonprewhitening import NPW, NPWE
from taskct.observers.prewhitening import PWMF
from taskct.observers.scanning import Scanning
from taskct.observers.slnn import SLNN
from taskct.observers.slnn_head import GroupedHead, SLNNHead

__all__ = [
    "NPW",
    "NPWE",
    "OBSERVERS",
    "PWMF",
    "SLNN",
    "CNNObserver",
    "ChannelizedHotelling",
    "Chosen",
    "GroupedHead",
    "Hotelling",
    "HotellingEye",
    "HotellingLedoitWolf",
    "HotellingSVD",
    "LabelledTrials",
    "LearningCurve",
    "LearningDifference",
    "LinearObserver",
    "Observer",
    "PathObserver",
    "SLNNHead",
    "Scanning",
    "SmallSampleWarning",
    "centred_crops",
    "expected_auc",
    "fit_chosen",
    "learning_curve",
    "learning_difference",
    "lumpy_log_likelihood_ratio",
    "make_observer",
]
