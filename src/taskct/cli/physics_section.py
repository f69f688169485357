"""The physics of a user's images on the page of what observers found: a table and the noise power."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from taskct.cli.terminal import plain_table, print_line, print_table
from taskct.literal import figure_text
from taskct.metrics.intervals import Interval
from taskct.report.figures import encode, new_figure, style
from taskct.report.labels import NBSP, interval
from taskct.report.sections import Captioned, PageSection
from taskct.report.tables import NONE, Table


def physics_sections(physics: Mapping[str, Any] | None) -> list[PageSection]:
    """The section, from what `physics_of_sets` found; none where nothing was measured."""
    if not physics:
        return []
    sets: Mapping[str, Any] = physics["sets"]
    if not sets:
        return [PageSection("Physics of the images", notes=[f"Not measured: {physics['why_not']}."])]
    rows = [
        [
            name,
            _cell(one["noise_hu"], 2),
            _cell(one.get("noise_ratio"), 3),
            _cell(one["nps_mean_per_mm"], 3),
            _cell(one.get("nps_mean_ratio"), 3),
            _cell(one["nps_peak_per_mm"], 3),
            _cell(one["noise_border_over_middle"], 2),
            _cell(one["uneven_hu"], 2),
        ]
        for name, one in sets.items()
    ]
    columns = ["Images", "Noise (HU)", "Over the first", "Mean frequency of the noise (1/mm)", "Over the first"]
    columns += ["Its peak (1/mm)", "Noise, border over middle", "Unevenness (HU)"]
    caption = f"Of {physics['n_images']} images without a signal [95 % interval]. {physics['how']}"
    picture = Captioned(
        encode(_figure(sets), "svg"),
        "Noise power against frequency, of each set of images.",
        "Noise power of the images without a signal, means over rings of frequency up to Nyquist.",
    )
    return [PageSection("Physics of the images", pictures=[picture], tables=[Table(caption, columns, rows)])]


ROD_FIGURES = {
    "contrast_hu": ("Contrast (HU)", 1),
    "noise_hu": ("Noise (HU)", 1),
    "nps_mean_per_mm": ("Its mean frequency (1/mm)", 3),
    "cnr": ("CNR", 2),
    "ttf50_per_mm": ("Half of it left at (1/mm)", 3),
    "ttf10_per_mm": ("A tenth left at (1/mm)", 3),
    "d_npw": ("d′ NPW", 2),
    "d_npwe": ("d′ NPWE", 2),
}
"""Of a rod: what the page calls it, and digits after the point."""

HOW_RODS = (
    "Contrast of the inner 0.8 of the radius over the same place without the rod; noise of a pixel without it, and the "
    "mean frequency of its power; CNR, contrast over noise; task transfer function; d′ from it and the noise power. "
    "Intervals are over scans. A dash where the scans do not tell."
)


def rod_cells(physics: Mapping[str, Any]) -> list[str]:
    """The figures of one rod as a table has them, in the order of `ROD_FIGURES`."""
    return [_cell(physics.get(kind), digits) for kind, (_, digits) in ROD_FIGURES.items()]


def rod_physics_table(physics: Mapping[str, Mapping[str, Any]], of: str) -> Table:
    """Contrast, noise, resolution and d′ of rods in some scans, from what `physics_of_rods` found."""
    missing = "".join(f" {rod}: {one['why_not']}." for rod, one in physics.items() if "why_not" in one)
    columns = ["Rod", *(name for name, _ in ROD_FIGURES.values())]
    rows = [[rod, *rod_cells(one)] for rod, one in physics.items()]
    return Table(f"Physics of the rods in {of} [95 % interval]. {HOW_RODS}{missing}", columns, rows)


def print_rod_physics(physics: Mapping[str, Mapping[str, Any]], title: str) -> None:
    """Print the figures of rods that fit into 80 columns, and what could not be measured."""
    kinds = ("contrast_hu", "cnr", "ttf50_per_mm", "d_npw")
    table = plain_table("rod", numbers=["contrast (HU)", "CNR", "TTF 50 % (1/mm)", "d′ NPW"])
    for rod, one in physics.items():
        cells = [_cell(one.get(kind), digits) for kind, digits in zip(kinds, (1, 2, 2, 1), strict=True)]
        table.add_row(rod, *(cell.replace(NBSP, " ") for cell in cells))
    print_table(table, title)
    for rod, one in physics.items():
        if "why_not" in one:
            print_line(f"{rod}: {one['why_not']}")


def _cell(found: Mapping[str, float] | None, digits: int) -> str:
    return NONE if found is None else interval(Interval(**found), digits)


def _figure(sets: Mapping[str, Any]) -> Figure:
    with style():
        figure = new_figure(5.6, 3.0)
        ax = figure.subplots()
        for index, (name, one) in enumerate(sets.items()):
            look = ("-", "--", ":", "-.")[index % 4]
            frequency, power = np.array(one["frequency_per_mm"]), np.array(one["nps"])
            ax.plot(frequency, power, label=figure_text(name), linewidth=1.3, linestyle=look)
        ax.set(xlabel="frequency (cycles/mm)", ylabel="noise power (HU² mm²)", ylim=(0, None))
        ax.legend(frameon=False)
    return figure
