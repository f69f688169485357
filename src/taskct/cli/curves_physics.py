"""The physics of the rods of a phantom against dose: its picture and its part of the page."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from taskct.apply.curves import DoseCurves
from taskct.cli.curves_figure import LOOKS, draw_band
from taskct.cli.physics_section import HOW_RODS, ROD_FIGURES, rod_cells
from taskct.cli.terminal import plain_table, print_line, print_table
from taskct.literal import figure_text
from taskct.metrics.intervals import Interval
from taskct.report.figures import Picture, new_figure, style
from taskct.report.labels import NBSP
from taskct.report.sections import Captioned, PageSection
from taskct.report.tables import NONE, Table

DRAWN = {
    "contrast_hu": "contrast (HU)",
    "cnr": "CNR",
    "nps_mean_per_mm": "mean frequency\nof the noise (1/mm)",
    "ttf50_per_mm": "TTF falls to 50 %\nat (1/mm)",
}
"""What the picture has a row for, and its axis."""


def physics_figure(found: DoseCurves, *, dose_unit: str = "") -> Figure:
    """Contrast, CNR, mean frequency of the noise and resolution against dose, a panel for each rod.

    A row without a value in any panel is left out. A dashed line is the contrast that the layout of the phantom states.
    """
    rods = list(dict.fromkeys(cell.rod for cell in found.physics))
    kinds = [kind for kind in DRAWN if any(one.get(kind) is not None for one in found.physics.values())]
    with style():
        figure = new_figure(max(2.6 * len(rods), 4.0), 2.3 * max(len(kinds), 1) + 0.5)
        axes = figure.subplots(max(len(kinds), 1), len(rods), squeeze=False)
        for of_row, kind in zip(axes, kinds, strict=False):
            for ax, rod in zip(of_row, rods, strict=True):
                _panel(ax, found, kind, rod)
                ax.set_title(figure_text(rod), fontsize=9)
                ax.set_xlabel(figure_text(f"dose ({dose_unit})" if dose_unit else "dose"))
            of_row[0].set_ylabel(DRAWN[kind])
            if kind != "contrast_hu":  # that of rods differs as they were made
                shown = [ax.get_ylim() for ax in of_row]
                for ax in of_row:
                    ax.set_ylim(min(low for low, _ in shown), max(high for _, high in shown))
        handles, labels = axes[0, 0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4), frameon=False)
    return figure


def _panel(ax: Axes, found: DoseCurves, kind: str, rod: str) -> None:
    stated = found.sizes[rod].contrast_hu if kind == "contrast_hu" and rod in found.sizes else None
    if kind in ("contrast_hu", "cnr"):
        ax.axhline(0.0, color="0.8", linewidth=0.8, zorder=0)
    if stated is not None:
        ax.axhline(stated, color="0.4", linewidth=0.8, linestyle="--", zorder=0)
    for number, name in enumerate(found.areas.reconstructions):
        color, mark = LOOKS[number % len(LOOKS)]
        points = _points(found, name, rod, kind)
        doses = np.array([dose for dose, _ in points] or [np.nan])
        intervals = [one for _, one in points] or [Interval(np.nan, np.nan, np.nan)]
        draw_band(ax, doses, intervals, color, mark, name)
        ax.plot(doses, [one.value for one in intervals], color=color, linewidth=1.0)
    ax.set_xlim(left=0.0)


def _points(found: DoseCurves, name: str, rod: str, kind: str) -> list[tuple[float, Interval]]:
    """Dose and figure of a rod in a reconstruction, by rising dose; those that the scans do not tell are left out."""
    told = [
        (cell.dose, Interval(**one[kind]))
        for cell, one in found.physics.items()
        if (cell.reconstruction, cell.rod) == (name, rod) and one.get(kind) is not None
    ]
    return sorted(told, key=lambda point: point[0])


def physics_section(found: DoseCurves, picture: Picture, *, dose_unit: str = "") -> PageSection:
    """The picture, and every figure of every rod, reconstruction and dose in a table."""
    dose = f"Dose ({dose_unit})" if dose_unit else "Dose"
    columns = ["Reconstruction", "Rod", dose, *(name for name, _ in ROD_FIGURES.values())]
    rows = [[cell.reconstruction, cell.rod, f"{cell.dose:g}", *rod_cells(one)] for cell, one in found.physics.items()]
    resolved = any(one.get("ttf50_per_mm") for one in found.physics.values())
    missing = "" if resolved else " None of these scans tell where the transfer function falls to a half."
    captioned = Captioned(
        picture,
        f"Physics of {len({cell.rod for cell in found.physics})} rods against dose. The numbers are in the table.",
        f"Marks and bands: what was measured, with its 95 % interval over scans. Dashed: the contrast of the layout."
        f"{missing}",
    )
    notes = [
        f"{cell.reconstruction}, dose {cell.dose:g}, {cell.rod}: {one['why_not']}"
        for cell, one in found.physics.items()
        if "why_not" in one
    ]
    table = Table(f"At each dose [95 % interval]. {HOW_RODS}", columns, rows)
    return PageSection("Physics of the rods", pictures=[captioned], tables=[table], notes=notes)


def print_curves_physics(physics: Mapping[Any, Mapping[str, Any]]) -> None:
    """Print CNR, resolution and mean frequency of the noise; the table fits into 80 columns."""
    table = plain_table("reconstruction", "rod", numbers=["dose", "CNR", "TTF 50 %", "noise (1/mm)"])
    for cell, one in physics.items():
        told = dict(zip(ROD_FIGURES, rod_cells(one), strict=True))
        shown = [told[kind].replace(NBSP, " ") for kind in ("cnr", "ttf50_per_mm")]
        noise = NONE if one.get("nps_mean_per_mm") is None else f"{one['nps_mean_per_mm']['value']:.3f}"
        table.add_row(cell.reconstruction, cell.rod, f"{cell.dose:g}", *shown, noise)
    print_table(table, "CNR of the rods, resolution (1/mm), mean frequency of the noise")
    for cell, one in physics.items():
        if "why_not" in one:
            print_line(f"{cell.reconstruction}, dose {cell.dose:g}, {cell.rod}: {one['why_not']}")
