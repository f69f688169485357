"""Assemble the page: one file that opens offline."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from taskct.files import whole_file, write_text
from taskct.names import LOW_DOSE, MSE
from taskct.report import figures, harm, tables
from taskct.report.axes import axes_of, axis_figure
from taskct.report.checks import checks
from taskct.report.families import main_observer, quoted_arms
from taskct.report.front import front_shown
from taskct.report.headline import headline
from taskct.report.html import template
from taskct.report.images import arm_images, panel, raw_images, strip
from taskct.report.labels import interval, listed, observer_label, percent
from taskct.report.live import live_data
from taskct.report.load import load_run
from taskct.report.methods import methods_section
from taskct.report.run import Run
from taskct.report.task_path import dial_said
from taskct.report.tradeoff import auc_axis, first_figure, tradeoff_figure


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
    templates = _distinct(name for name in (control, chosen) if name in run.examples.template)
    pictures = {
        "first": figures.encode(first_figure(run), "svg"),
        "tradeoff": figures.encode(tradeoff_figure(run), "svg"),
        "roc": figures.encode(figures.roc_figure(run, run.standing), "svg"),
    }
    if templates:
        pictures["template"] = figures.encode(figures.template_figure(run.examples, templates, label=run.label), "png")
    if run.harm_maps is not None and harm.harm_arms(run, run.harm_maps):
        pictures["spectra"] = figures.encode(harm.spectra_figure(run, run.harm_maps), "svg")
    if run.physics_curves is not None and harm.physics_arms(run, run.physics_curves):
        pictures["physics"] = figures.encode(harm.physics_figure(run, run.physics_curves), "svg")
    raw, observer = raw_images(run), main_observer(run)
    axes = [(axis, figures.encode(axis_figure(run, axis, observer), "svg")) for axis in axes_of(run)]
    return template("page.html.j2").render(
        run=run,
        headline=headline(run),
        pictures=pictures,
        axes=axes,
        tables=tables,
        checks=checks(run),
        methods=methods_section(run),
        label=observer_label,
        observers=[observer_label(observer) for observer in run.observers],
        main_observer=observer_label(observer),
        axis=auc_axis(run, observer),
        limits_shown=run.has_limits,
        dial=dial_said(run),
        fronts=[o for o in run.observers if front_shown(run, o) is not None],
        control=run.label(control),
        chosen=run.label(chosen),
        mse=run.label(MSE) if run.has(MSE) else None,
        strip=strip(run),
        strip_note=_strip_note(run),
        invented=_invented(run),
        panel=panel(run),
        maps=_maps(run),
        raw=raw,
        data=live_data(run, raw),
    )


def _maps(run: Run) -> list[tuple[str, harm.Maps]]:
    """Maps of harm by their headings; none in the runs of earlier versions."""
    if run.harm_maps is None or not harm.harm_arms(run, run.harm_maps):
        return []
    return [
        ("At the site where a signal would have been", harm.site_maps(run, run.harm_maps)),
        ("Over the whole region", harm.region_maps(run, run.harm_maps)),
    ]


def _invented(run: Run) -> str:
    """How often the images of the contrast bar show a signal where there is none."""
    names = [name for name in run.standing if name in (LOW_DOSE, MSE, run.choices.chosen_arm)]
    rates = {name: percent(run.false_signal(run.arm(name)).false_signal_rate) for name in names}
    return listed(f"{interval(rate, 1)} % ({run.label(name)})" for name, rate in rates.items())


def _strip_note(run: Run) -> str:
    """Which lesion the strip shows, and what it lacks."""
    examples = run.examples
    trial = next(iter(np.flatnonzero(examples.signal_present)), 0)
    text = f"Test trial {examples.trial[trial]}, the first saved one with a signal (the ring is around it)."
    missing = [run.label(name) for name in quoted_arms(run) if arm_images(run, name) is None]
    return f"{text} The run saved no images of {listed(missing)}." if missing else text


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
