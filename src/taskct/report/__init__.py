"""Saved results to figures and one HTML page; reads files only."""

from typing import TYPE_CHECKING

from taskct.lazy import lazy_names

if TYPE_CHECKING:
    from taskct.report.figures import panel_figure as panel_figure
    from taskct.report.figures import roc_figure as roc_figure
    from taskct.report.figures import template_figure as template_figure
    from taskct.report.labels import arm_label as arm_label
    from taskct.report.labels import observer_label as observer_label
    from taskct.report.load import load_run as load_run
    from taskct.report.page import tradeoff_png as tradeoff_png
    from taskct.report.page import write_report as write_report
    from taskct.report.run import Run as Run
    from taskct.report.schema import Estimate as Estimate
    from taskct.report.tradeoff import tradeoff_figure as tradeoff_figure
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "figures": ["panel_figure", "roc_figure", "template_figure"],
            "labels": ["arm_label", "observer_label"],
            "load": ["load_run"],
            "page": ["tradeoff_png", "write_report"],
            "run": ["Run"],
            "schema": ["Estimate"],
            "tradeoff": ["tradeoff_figure"],
        },
    )
