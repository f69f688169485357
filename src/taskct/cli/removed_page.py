"""The page of what a denoiser took away."""

import numpy as np
from matplotlib.figure import Figure

from taskct.apply.removed import HOW, Removed
from taskct.report.figures import encode, new_figure, style
from taskct.report.labels import interval
from taskct.report.sections import Captioned, PageSection, SectionsPage
from taskct.report.tables import NONE, Table


def removed_page(removed: Removed) -> SectionsPage:
    """Return the page: the answer, a slice with its map, the autocorrelation and the numbers."""
    found = removed.found
    along, of_all, between = (
        NONE if one is None else interval(one, 3) for one in (found.along_edges, found.of_all, found.between_slices)
    )
    rows = [
        ["Share of the variance at edges that runs along them", along],
        ["The same as a share of all that was taken", of_all],
        ["Standard deviation of what was taken (HU)", f"{found.noise_hu:.2f}"],
        ["Half width of its autocorrelation (pixels)", f"{found.half_width_px:.2f}"],
        ["Its correlation between neighbouring slices", between],
        ["Images; pixels on edges; lag along them (pixels)", _numbers(removed)],
    ]
    worst = int(np.einsum("nhw,nhw->n", found.map_hu, found.map_hu, dtype=np.float64).argmax())
    picture = Captioned(
        encode(_slice_figure(removed, worst), "png"),
        "The low-dose image, what was taken from it, and what of that runs along edges.",
        f"Slice {worst + 1} of {len(removed.low_dose)}, where most runs along edges. The last picture is what was "
        "taken, averaged along the edge through each pixel: noise falls there, what was blurred stays.",
        drawing=False,
    )
    shared = Captioned(
        encode(_correlation_figure(removed), "svg"),
        "Autocorrelation of what was taken against the lag in pixels.",
        "Autocorrelation of what was taken, along rows and columns.",
    )
    sections = [
        PageSection("What was taken", pictures=[picture]),
        PageSection("Numbers", tables=[Table("[interval]", ["What", "Value"], rows)]),
        PageSection("Texture", pictures=[shared]),
        PageSection("Methods", texts=[HOW]),
    ]
    return SectionsPage("removed", "What the denoiser took away", [removed.sentence], sections)


def _numbers(removed: Removed) -> str:
    return f"{len(removed.low_dose)}; {removed.found.edge_pixels:,}; {removed.found.lag_px}"


def _slice_figure(removed: Removed, k: int) -> Figure:
    image = removed.low_dose[k]
    taken, along = image - removed.denoised[k], removed.found.map_hu[k]
    low, high = np.percentile(image[image > -900.0] if (image > -900.0).any() else image, [1, 99])
    limit = 3.0 * removed.found.noise_hu
    with style():
        figure = new_figure(9.0, 3.2)
        axes = figure.subplots(1, 3)
        shown = (("low dose", image, "gray", low, high), ("taken away", taken, "RdBu_r", -limit, limit))
        for ax, (title, values, colours, bottom, top) in zip(
            axes, (*shown, ("along edges", along, "RdBu_r", -limit, limit)), strict=True
        ):
            drawn = ax.imshow(values, cmap=colours, vmin=bottom, vmax=top)
            ax.set(title=title, xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        figure.colorbar(drawn, ax=list(axes[1:]), label="HU", shrink=0.8)
    return figure


def _correlation_figure(removed: Removed) -> Figure:
    shared = removed.found.autocorrelation
    reach = shared.shape[0] // 2
    with style():
        figure = new_figure(5.0, 2.6)
        ax = figure.subplots()
        lag = np.arange(reach + 1)
        ax.plot(lag, shared[reach, reach:], label="along rows", linewidth=1.3)
        ax.plot(lag, shared[reach:, reach], label="along columns", linewidth=1.3, linestyle="--")
        ax.axhline(0.0, color="0.8", linewidth=0.8, zorder=0)
        ax.set(xlabel="lag (pixels)", ylabel="autocorrelation", xlim=(0, reach))
        ax.legend(frameon=False)
    return figure
