"""The command compare: several runs on one page."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from taskct.cli.app import app
from taskct.cli.page_target import check_page
from taskct.cli.terminal import print_line


@app.command()
def compare(
    runs: Annotated[
        list[Path], Argument(metavar="RUN RUN…", help="Run folders; the others are held against the first.")
    ],
    page: Annotated[Path, Option("--out", metavar="PAGE", help="The page to write.")] = Path("compare.html"),
) -> None:
    """Put several runs on one page: trade-offs together, differences, and the settings that differ.

    As in: taskct compare runs/demo runs/deeper --out compare.html

    Runs that were tested on the very same trials are compared trial by trial, others by their AUCs alone.
    """
    from taskct.report.compare import write_comparison

    check_page(page, "--out for the page")
    print_line(f"Comparison: {write_comparison(runs, page)}")
