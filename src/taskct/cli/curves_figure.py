"""The picture of curves against dose, diameter and contrast, with bands."""

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from taskct.apply.curves.curves import CurvePoint, DoseCurves
from taskct.literal import figure_text
from taskct.metrics.dose_areas import POOLED
from taskct.metrics.dose_curves import monotone_auc
from taskct.metrics.intervals import Interval
from taskct.report.families import BLACK, BLUE, GREEN, ORANGE, PINK, SKY
from taskct.report.figures import new_figure, style

MOST_COLUMNS = 5
LOOKS = list(zip((BLUE, ORANGE, GREEN, PINK, BLACK, SKY), "osDv^P", strict=True))
"""Colour and mark of each reconstruction, in their order."""
_LETTERS_PER_INCH, _LETTERS_OF_A_MARK = 13, 6  # of a legend
_FINE = 60
"""Places at which a curve is drawn between two doses."""


@dataclass(frozen=True)
class _Panel:
    title: str
    draw: Callable[[Axes], None]


def curves_figure(found: DoseCurves, *, dose_unit: str = "") -> Figure:
    """AUC and d′ against dose, a panel for each rod, and AUC against diameter and contrast, a panel for each dose.

    Parameters
    ----------
    found
        What was found.
    dose_unit
        Of the doses, for the axis; empty where it is not known.
    """
    label = f"dose ({dose_unit})" if dose_unit else "dose"
    rows = _rows(found, label)
    grid = [row[i : i + MOST_COLUMNS] for row in rows for i in range(0, len(row), MOST_COLUMNS)]
    n_columns = max(len(row) for row in grid)
    with style():
        figure = new_figure(max(2.6 * n_columns, 4.0), 2.5 * len(grid) + 0.5)
        axes = figure.subplots(len(grid), n_columns, squeeze=False)
        for of_row, panels in zip(axes, grid, strict=True):
            for ax, panel in zip(of_row, panels, strict=False):
                panel.draw(ax)
                ax.set_title(figure_text(panel.title), fontsize=9)
            for ax in of_row[len(panels) :]:
                ax.set_axis_off()
            shown = [ax.get_ylim() for ax in of_row[: len(panels)]]
            for ax in of_row[: len(panels)]:  # one scale a row, so that panels can be held against each other
                ax.set_ylim(min(low for low, _ in shown), max(high for _, high in shown))
        handles, labels = axes[0, 0].get_legend_handles_labels()
        fitting = int(figure.get_figwidth() * _LETTERS_PER_INCH)
        named = [textwrap.fill(label, fitting - _LETTERS_OF_A_MARK) for label in labels]
        longest = max(len(line) for label in named for line in label.splitlines()) + _LETTERS_OF_A_MARK
        columns = min(len(labels), 4, max(1, fitting // longest))
        figure.legend(handles, named, loc="outside lower center", ncols=columns, frameon=False)
    return figure


def _rows(found: DoseCurves, dose_label: str) -> list[list[_Panel]]:
    rows = [
        [_Panel(rod, partial(_against_dose, found=found, rod=rod, label=dose_label, what=what)) for rod in found.rods]
        for what in ("auc", "d_prime")
    ]
    doses = sorted({point.cell.dose for point in found.points})
    unit = dose_label.removeprefix("dose").strip(" ()")
    for size, words in (("diameter_mm", "diameter (mm)"), ("contrast_hu", "contrast (HU)")):
        if len({getattr(one, size) for one in found.sizes.values()} - {None}) > 1:
            for what in ("auc", "d_prime"):
                draw = partial(_against_size, found=found, size=size, words=words, what=what)
                rows.append([_Panel(f"dose {dose:g} {unit}".strip(), partial(draw, dose=dose)) for dose in doses])
    return rows


def _against_dose(ax: Axes, found: DoseCurves, rod: str, label: str, what: str) -> None:
    for number, name in enumerate(found.areas.reconstructions):
        points = sorted(
            (p for p in found.points if (p.cell.reconstruction, p.cell.rod) == (name, rod)), key=lambda p: p.cell.dose
        )
        if not points:
            continue
        color, marker = LOOKS[number % len(LOOKS)]
        doses = np.array([point.cell.dose for point in points])
        draw_band(ax, doses, [getattr(point, what) for point in points], color, marker, name)
        if len(points) > 1:
            x, auc = _fine(*monotone_auc(found.areas, name, rod))
            with np.errstate(divide="ignore"):
                ax.plot(x, auc if what == "auc" else math.sqrt(2.0) * ndtri(auc), color=color, linewidth=1.2)
    ax.set_xlabel(figure_text(label))
    ax.set_xlim(left=0.0)
    _label(ax, what, POOLED if rod == POOLED else "")


def _fine(doses: NDArray[np.float64], auc: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The curve between the doses, straight in d′ against the square root of dose."""
    root = np.linspace(math.sqrt(doses[0]), math.sqrt(doses[-1]), _FINE * (len(doses) - 1) + 1)
    return root**2, np.asarray(ndtr(np.interp(root, np.sqrt(doses), ndtri(auc))))


def _against_size(ax: Axes, found: DoseCurves, dose: float, size: str, words: str, what: str) -> None:
    for number, name in enumerate(found.areas.reconstructions):
        color, marker = LOOKS[number % len(LOOKS)]
        points = [(_size(found, p, size), getattr(p, what)) for p in found.points if p.cell[:2] == (name, dose)]
        sized = sorted(((x, one) for x, one in points if x is not None), key=lambda pair: pair[0])
        if sized:
            x, intervals = np.array([x for x, _ in sized]), [one for _, one in sized]
            draw_band(ax, x, intervals, color, marker, name)
            value = np.array([one.value for one in intervals])
            ax.plot(x, np.where(np.isfinite(value), value, np.nan), ":", color=color, linewidth=1.0)
    ax.set_xlabel(words)
    _label(ax, what, "")


def _size(found: DoseCurves, point: CurvePoint, what: str) -> float | None:
    size = found.sizes.get(point.cell.rod)
    value = None if size is None else getattr(size, what)
    return None if value is None else float(value)


def draw_band(
    ax: Axes, x: NDArray[np.float64], intervals: Sequence[Interval], color: str, marker: str, name: str
) -> None:
    """Values with their intervals as a band, or a bar where there is one alone.

    What is infinite is left out, and a bound reaches to the highest value.
    """
    value, low, high = (np.array([getattr(one, part) for one in intervals]) for part in ("value", "ci_low", "ci_high"))
    finite = np.concatenate([v[np.isfinite(v)] for v in (value, low, high)])
    top, bottom = (float(finite.max()), float(finite.min())) if finite.size else (1.0, 0.0)
    low, high = np.clip(low, bottom, top), np.clip(high, bottom, top)
    if len(x) > 1:
        ax.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)
    else:  # a band needs two doses
        ax.vlines(x, low, high, color=color, alpha=0.5, linewidth=1.2)
    ax.plot(x, np.where(np.isfinite(value), value, np.nan), marker, color=color, markersize=4, label=figure_text(name))


def _label(ax: Axes, what: str, of: str) -> None:
    mean = "mean " if of else ""
    ax.set_ylabel(f"{mean}AUC" if what == "auc" else ("d′ of mean AUC" if of else "d′"))
    ax.axhline(0.5 if what == "auc" else 0.0, color="0.8", linewidth=0.8, zorder=0)
