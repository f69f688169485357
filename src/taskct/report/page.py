"""Assemble the page: one file that opens offline."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from taskct.files import whole_file, write_text
from taskct.names import LOW_DOSE, MSE
from taskct.report import figures, tables
from taskct.report.headline import headline
from taskct.report.html import template
from taskct.report.labels import observer_label
from taskct.report.load import load_run
from taskct.report.run import Run
from taskct.report.tradeoff import tradeoff_figure

_PANEL_TRIALS = 4  # of each class: enough to compare, few enough to print on a page


def write_report(folder: Path) -> Path:
    """Write `report.html` into a run folder, whole or not at all.

    Parameters
    ----------
    folder
        A run folder that `taskct evaluate` has finished.

    Returns
    -------
    The page: one HTML file, figures included, that loads nothing from elsewhere.

    Raises
    ------
    UserError
        If a file of the run is missing or broken.
    """
    page = folder / "report.html"
    write_text(page, render(load_run(folder)))
    return page


def tradeoff_png(folder: Path, path: Path) -> Path:
    """Save the trade-off picture as a PNG, whole or not at all.

    Parameters
    ----------
    folder
        A run folder that `taskct evaluate` has finished.
    path
        Where to save it.

    Returns
    -------
    `path`.

    Raises
    ------
    UserError
        If a file of the run is missing or broken.
    """
    figure = tradeoff_figure(load_run(folder))
    with whole_file(path) as partial:
        figure.savefig(partial, format="png", dpi=150)
    return path


def render(run: Run) -> str:
    """Return the page of a loaded run as HTML."""
    control, chosen = run.tradeoff.control, run.choices.chosen_arm
    shown = _distinct([MSE, control, chosen])
    roc_arms = _distinct([LOW_DOSE, MSE, control, chosen])
    templates = _distinct(name for name in (control, chosen) if name in run.examples.template)
    pictures = {
        "tradeoff": figures.encode(tradeoff_figure(run), "svg"),
        "roc": figures.encode(figures.roc_figure(run, roc_arms), "svg"),
    }
    for name, present in (("present", True), ("absent", False)):
        trials = np.flatnonzero(run.examples.signal_present == present)[:_PANEL_TRIALS].tolist()
        if trials:
            pictures[name] = figures.encode(figures.panel_figure(run.examples, run.task, shown, trials), "png")
    if templates:
        pictures["template"] = figures.encode(figures.template_figure(run.examples, templates), "png")
    return template("page.html.j2").render(
        run=run,
        headline=headline(run),
        pictures=pictures,
        tables=tables,
        label=observer_label,
        observers=[observer_label(observer) for observer in run.observers],
        control=run.arm(control).label,
        chosen=run.arm(chosen).label,
    )


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
