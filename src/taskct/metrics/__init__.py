"""Pure functions on arrays: ROC and LROC analysis, intervals and tests, image quality, reader studies (`mrmc`)."""

from taskct.metrics.auc_bootstrap import bootstrap_auc, bootstrap_difference
from taskct.metrics.clustered import Clusters
from taskct.metrics.comparisons import Comparison, compare_aucs, equivalence, holm, noninferiority, superiority
from taskct.metrics.detectability import d_a, d_a_interval, snr_t, snr_t_interval
from taskct.metrics.exact_cho import cho_snr2, exact_cho_interval, exact_cho_snr2_interval
from taskct.metrics.intervals import Interval, bootstrap_interval
from taskct.metrics.lroc import (
    correct_fraction,
    correct_localization,
    lroc_area,
    lroc_covariance,
    lroc_curve,
    lroc_interval,
    paired_lroc,
)
from taskct.metrics.operating import (
    partial_auc,
    partial_auc_interval,
    sensitivity_at,
    sensitivity_interval,
    specificity_at,
    specificity_interval,
)
from taskct.metrics.roc import PairedDifference, auc, delong_covariance, delong_interval, paired_delong, roc_curve

__all__ = [
    "Clusters",
    "Comparison",
    "Interval",
    "PairedDifference",
    "auc",
    "bootstrap_auc",
    "bootstrap_difference",
    "bootstrap_interval",
    "cho_snr2",
    "compare_aucs",
    "correct_fraction",
    "correct_localization",
    "d_a",
    "d_a_interval",
    "delong_covariance",
    "delong_interval",
    "equivalence",
    "exact_cho_interval",
    "exact_cho_snr2_interval",
    "holm",
    "lroc_area",
    "lroc_covariance",
    "lroc_curve",
    "lroc_interval",
    "noninferiority",
    "paired_delong",
    "paired_lroc",
    "partial_auc",
    "partial_auc_interval",
    "roc_curve",
    "sensitivity_at",
    "sensitivity_interval",
    "snr_t",
    "snr_t_interval",
    "specificity_at",
    "specificity_interval",
    "superiority",
]
