"""The physics of a user's images on the page of what observers found: a table and the noise power."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from taskct.literal import figure_text
from taskct.metrics.intervals import Interval
from taskct.report.figures import encode, new_figure, style
from taskct.report.labels import interval, number
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
            number(one["nps_peak_per_mm"], 3),
            number(one["noise_border_over_middle"], 2),
            number(one["uneven_hu"], 2),
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


def rod_physics_table(physics: Mapping[str, Mapping[str, Any]]) -> Table:
    """Contrast, CNR, resolution and d′ of rods, from what `physics_of_rods` found."""
    kinds = (("contrast_hu", 1), ("cnr", 2), ("ttf50_per_mm", 3), ("ttf10_per_mm", 3))
    rows = [
        [
            rod,
            *(_cell(one.get(kind), digits) for kind, digits in kinds),
            *(NONE if one.get(kind) is None else number(one[kind], 2) for kind in ("d_npw", "d_npwe")),
        ]
        for rod, one in physics.items()
    ]
    columns = [
        "Rod",
        "Contrast (HU)",
        "CNR",
        "Half of it left at (1/mm)",
        "A tenth left at (1/mm)",
        "d′ NPW",
        "d′ NPWE",
    ]
    caption = (
        "Physics of the rods in the first scans [95 % interval]: contrast of the inner 0.8 of the radius; CNR, that "
        "over the noise of a pixel; task transfer function; d′ from it and the noise power. A dash where the scans "
        "do not tell."
    )
    missing = [f"{rod}: {one['why_not']}" for rod, one in physics.items() if "why_not" in one]
    return Table(" ".join([caption, *(f"{text}." for text in missing)]), columns, rows)


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
