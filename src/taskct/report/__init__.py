"""Saved results to figures and one HTML page; reads files only."""

from taskct.report.load import load_run
from taskct.report.page import tradeoff_png, write_report

__all__ = ["load_run", "tradeoff_png", "write_report"]
