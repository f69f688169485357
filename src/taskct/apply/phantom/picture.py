"""A picture of what was found in scans of a phantom: its rim, its rods, and the regions that are cut."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from taskct.apply.phantom.cut import RodTrials
from taskct.apply.phantom.find import FoundPhantom
from taskct.files import whole_file
from taskct.literal import figure_text

LEAST_WINDOW_HU = 20.0
HALF_STEP_HU = 500.0  # from water to air
RIM_PX = 2  # width in which a blurred rim falls
SMOOTHING_PX = 1.5  # of what is shown, so that the eye finds the rods
MOST_NAMES = 8  # of rods that are written into the picture
SIDE_IN, DPI = 6.0, 150


def write_picture(
    path: Path, images: NDArray[np.floating], found: FoundPhantom, trials: Sequence[RodTrials] = ()
) -> None:
    """Draw the average of some scans with the cylinder's circle, the rods and the regions, as PNG.

    Parameters
    ----------
    path
        The file; it is written whole or not at all.
    images
        HU, an offset does not matter, `(n, height, width)`.
    found
        Where the phantom lies in them.
    trials
        What was cut from them: solid squares with a rod, dashed ones without, where these come from the same scans.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle, Rectangle

    row, column = found.centre_px
    average = _smoothed(np.asarray(images, dtype=np.float64).mean(axis=0), row, column, found.radius_px)
    inner = average[_disc(average.shape, row, column, 0.8 * found.radius_px)]
    level, width = float(np.median(inner)), max(LEAST_WINDOW_HU, 6.0 * float(inner.std()))
    figure = Figure(figsize=(SIDE_IN, SIDE_IN), layout="constrained")
    axes = figure.subplots()
    axes.imshow(average, cmap="gray", vmin=level - width / 2.0, vmax=level + width / 2.0, interpolation="nearest")
    axes.add_patch(Circle((column, row), found.radius_px, fill=False, color="tab:cyan", linewidth=1.0))
    axes.plot([column], [row], "+", color="tab:cyan")
    for rod, (y, x) in zip(found.layout.rods, found.sites_px(), strict=True):
        axes.add_patch(
            Circle((x, y), rod.diameter_mm / 2.0 / found.pixel_mm, fill=False, color="tab:orange", linewidth=1.0)
        )
        if len(found.layout.rods) <= MOST_NAMES:
            above = max(
                [rod.diameter_mm / 2.0 / found.pixel_mm, *[t.images.shape[-1] / 2.0 for t in trials if t.rod == rod]]
            )
            axes.text(
                x, y - above - 2.0, figure_text(rod.name), color="tab:orange", ha="center", va="bottom", fontsize=8
            )
    for one in trials:
        side = one.images.shape[-1]
        shown: set[tuple[bool, int, int]] = set()
        for present, (y, x) in zip(one.signal_present, np.floor(one.centres_px + 0.5), strict=True):
            place = (bool(present), int(y), int(x))
            if place in shown or (not present and not one.turn_deg):  # those are of other scans, at the rod's place
                continue
            shown.add(place)
            axes.add_patch(
                Rectangle(
                    (x - side / 2.0, y - side / 2.0), side, side, fill=False, linewidth=0.8,
                    color="tab:green" if present else "tab:red", linestyle="-" if present else "--",
                )
            )  # fmt: skip
    axes.set_title(figure_text(found.sentence()) + " (shown smoothed)", fontsize=7, wrap=True)
    axes.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial, partial.open("wb") as file:
        figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})


def _smoothed(image: NDArray[np.float64], row: float, column: float, radius: float) -> NDArray[np.float64]:
    """Smooth the body by what lies within its rim: air would darken some pixels, and the circle would seem too wide."""
    water = float(np.median(image[_disc(image.shape, row, column, 0.8 * radius)]))
    body = image > water - HALF_STEP_HU
    inside = ndimage.binary_erosion(body, iterations=RIM_PX)
    weight = ndimage.gaussian_filter(inside.astype(np.float64), SMOOTHING_PX)
    summed = ndimage.gaussian_filter(np.where(inside, image, 0.0), SMOOTHING_PX)
    return np.where(body & (weight > 0.0), summed / np.maximum(weight, 1e-12), image)


def _disc(shape: tuple[int, ...], row: float, column: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.indices(shape)
    return np.asarray(np.hypot(rows - row, columns - column) <= radius)
