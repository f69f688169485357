"""Pure functions on arrays: ROC and LROC analysis, intervals and tests, image quality, reader studies (`mrmc`)."""

from typing import TYPE_CHECKING

from taskct.lazy import lazy_names

if TYPE_CHECKING:
    from taskct.metrics.auc_bootstrap import bootstrap_auc as bootstrap_auc
    from taskct.metrics.auc_bootstrap import bootstrap_difference as bootstrap_difference
    from taskct.metrics.clustered import Clusters as Clusters
    from taskct.metrics.comparisons import Comparison as Comparison
    from taskct.metrics.comparisons import compare_aucs as compare_aucs
    from taskct.metrics.comparisons import equivalence as equivalence
    from taskct.metrics.comparisons import holm as holm
    from taskct.metrics.comparisons import noninferiority as noninferiority
    from taskct.metrics.comparisons import superiority as superiority
    from taskct.metrics.detectability import d_a as d_a
    from taskct.metrics.detectability import d_a_interval as d_a_interval
    from taskct.metrics.detectability import snr_t as snr_t
    from taskct.metrics.detectability import snr_t_interval as snr_t_interval
    from taskct.metrics.exact_cho import cho_snr2 as cho_snr2
    from taskct.metrics.exact_cho import exact_cho_interval as exact_cho_interval
    from taskct.metrics.exact_cho import exact_cho_snr2_interval as exact_cho_snr2_interval
    from taskct.metrics.image_quality import mse_hu2 as mse_hu2
    from taskct.metrics.image_quality import peak_disc_hu as peak_disc_hu
    from taskct.metrics.image_quality import psnr_db as psnr_db
    from taskct.metrics.image_quality import rmse_hu as rmse_hu
    from taskct.metrics.image_quality import site_bias_hu as site_bias_hu
    from taskct.metrics.image_quality import ssim as ssim
    from taskct.metrics.intervals import Interval as Interval
    from taskct.metrics.intervals import bootstrap_interval as bootstrap_interval
    from taskct.metrics.lroc import correct_fraction as correct_fraction
    from taskct.metrics.lroc import correct_localization as correct_localization
    from taskct.metrics.lroc import lroc_area as lroc_area
    from taskct.metrics.lroc import lroc_covariance as lroc_covariance
    from taskct.metrics.lroc import lroc_curve as lroc_curve
    from taskct.metrics.lroc import lroc_interval as lroc_interval
    from taskct.metrics.lroc import paired_lroc as paired_lroc
    from taskct.metrics.operating import partial_auc as partial_auc
    from taskct.metrics.operating import partial_auc_interval as partial_auc_interval
    from taskct.metrics.operating import sensitivity_at as sensitivity_at
    from taskct.metrics.operating import sensitivity_interval as sensitivity_interval
    from taskct.metrics.operating import specificity_at as specificity_at
    from taskct.metrics.operating import specificity_interval as specificity_interval
    from taskct.metrics.roc import PairedDifference as PairedDifference
    from taskct.metrics.roc import auc as auc
    from taskct.metrics.roc import delong_covariance as delong_covariance
    from taskct.metrics.roc import delong_interval as delong_interval
    from taskct.metrics.roc import paired_delong as paired_delong
    from taskct.metrics.roc import roc_curve as roc_curve
    from taskct.metrics.tradeoff import auc_at_rmse as auc_at_rmse
    from taskct.metrics.tradeoff import best_within as best_within
    from taskct.metrics.tradeoff import compare_curves as compare_curves
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "auc_bootstrap": ["bootstrap_auc", "bootstrap_difference"],
            "clustered": ["Clusters"],
            "comparisons": ["Comparison", "compare_aucs", "equivalence", "holm", "noninferiority", "superiority"],
            "detectability": ["d_a", "d_a_interval", "snr_t", "snr_t_interval"],
            "exact_cho": ["cho_snr2", "exact_cho_interval", "exact_cho_snr2_interval"],
            "image_quality": ["mse_hu2", "peak_disc_hu", "psnr_db", "rmse_hu", "site_bias_hu", "ssim"],
            "intervals": ["Interval", "bootstrap_interval"],
            "lroc": [
                "correct_fraction",
                "correct_localization",
                "lroc_area",
                "lroc_covariance",
                "lroc_curve",
                "lroc_interval",
                "paired_lroc",
            ],
            "operating": [
                "partial_auc",
                "partial_auc_interval",
                "sensitivity_at",
                "sensitivity_interval",
                "specificity_at",
                "specificity_interval",
            ],
            "roc": ["PairedDifference", "auc", "delong_covariance", "delong_interval", "paired_delong", "roc_curve"],
            "tradeoff": ["auc_at_rmse", "best_within", "compare_curves"],
        },
        rooms=["mrmc"],
    )
