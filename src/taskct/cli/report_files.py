"""The page of a run and the files beside it, as commands write them.

Apart from what opens a study, so that a page is there without importing what trains and simulates.
"""

from pathlib import Path

from taskct.cli.terminal import print_line
from taskct.report import load_run, write_figures, write_latex, write_report


def report_run(run: Path, *, figures: bool = False, latex: bool = False) -> None:
    """Write the report of a run, and its figures and tables as files if asked; tell where."""
    page = write_report(run)
    print_line(f"Report: {page}")
    if figures or latex:
        loaded = load_run(run)
        if figures:
            print_line(f"Figures: {write_figures(loaded)}")
        if latex:
            print_line(f"Tables: {write_latex(loaded)}")
