"""The preview's page: trials with their truth."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from numpy.typing import NDArray

from taskct.files import write_whole
from taskct.report.figures import BLUE, ORANGE, encode, new_figure, scale_bar, style

COLUMNS = (
    ("case", "background", ".0f"),
    ("x_mm", "x (mm)", ".1f"),
    ("y_mm", "y (mm)", ".1f"),
    ("diameter_mm", "diameter (mm)", ".1f"),
    ("contrast_hu", "contrast (HU)", "+.0f"),
    ("blur_mm", "blur (mm)", ".2f"),
    ("aspect", "aspect", ".2f"),
)
OF_SHAPES = (
    ("exponent", "exponent", ".2f"),
    ("n_lobes", "lobes", ".0f"),
    ("lobe_depth", "depth of lobes", ".2f"),
    ("outline", "outline in LIDC", ".0f"),
)
"""Columns of some shapes only, shown where a trial has one: 0 (or −1 for an outline) stands for none."""


class Images(Protocol):
    """Trials: images in HU, `(n, height, width)`, and their truth."""

    @property
    def noisy(self) -> NDArray[np.float32]: ...  # noqa: D102 - as in Trials
    @property
    def reference(self) -> NDArray[np.float32]: ...  # noqa: D102 - as in Trials
    @property
    def signal_present(self) -> NDArray[np.bool_]: ...  # noqa: D102 - as in Trials
    @property
    def truth(self) -> dict[str, NDArray[np.float64]]: ...  # noqa: D102 - as in Trials


def write_preview(
    path: Path,
    *,
    title: str,
    description: str,
    notes: Sequence[str],
    facts: Sequence[tuple[str, str]],
    trials: Images,
    numbers: NDArray[np.int64],
    shape: Sequence[str],
    all_truth: Mapping[str, NDArray[np.float64]],
    objects_hu: NDArray[np.float32],
    object_pixel_mm: float,
    field_of_view_mm: float,
    region_mm: NDArray[np.float64],
    pixel_mm: float,
    window_hu: tuple[float, float],
) -> Path:
    """Write a page of trials with their truth, one HTML file that opens offline, whole or not at all.

    Parameters
    ----------
    path
        The page.
    title, description, notes, facts
        Of the study; facts are names with values.
    trials, numbers, shape
        The trials to show, their numbers in the split and the shapes of their signals ("none" where there is none).
    all_truth
        The truth of more trials, for its distribution.
    objects_hu, object_pixel_mm, field_of_view_mm, region_mm
        Objects `(n, side, side)`, HU, their pitch, the field of view, and for each the region's centre and side, mm.
    pixel_mm, window_hu
        Pitch of the trials, mm, and the display window, HU.

    Returns
    -------
    `path`.
    """
    pictures = {
        "objects": encode(_objects(objects_hu, object_pixel_mm, field_of_view_mm, region_mm, window_hu), "png"),
        "trials": encode(_trials(trials, numbers, shape, pixel_mm, window_hu), "png"),
        "truth": encode(_distributions(all_truth), "svg"),
    }
    truth = trials.truth
    columns = [*COLUMNS, *(c for c in OF_SHAPES if (truth[c[0]] > (-1 if c[0] == "outline" else 0)).any())]
    rows = [
        [
            str(number),
            "H1" if present else "H0",
            kind,
            *(f"{truth[name][k]:{form}}".replace("-", "−") for name, _, form in columns),
        ]
        for k, (number, present, kind) in enumerate(zip(numbers, trials.signal_present, shape, strict=True))
    ]
    environment = Environment(loader=PackageLoader("taskct.report", "."), autoescape=True, undefined=StrictUndefined)
    page = environment.get_template("preview.html.j2").render(
        title=title,
        description=description,
        notes=notes,
        facts=facts,
        columns=["trial", "hypothesis", "shape", *(text for _, text, _ in columns)],
        rows=rows,
        pictures=pictures,
        window=f"window centre {window_hu[0]:g} HU, width {window_hu[1]:g} HU",
        some_without="none" in shape,
    )
    return write_whole(path, lambda file: file.write_text(page, encoding="utf-8"))


def _objects(
    objects_hu: NDArray[np.float32],
    pixel_mm: float,
    field_of_view_mm: float,
    region_mm: NDArray[np.float64],
    window_hu: tuple[float, float],
) -> Figure:
    low, high = window_hu[0] - window_hu[1] / 2.0, window_hu[0] + window_hu[1] / 2.0
    with style():
        figure = new_figure(3.3 * len(objects_hu), 3.3)
        half = objects_hu.shape[-1] * pixel_mm / 2.0
        for ax, image, (x, y, side) in zip(
            figure.subplots(1, len(objects_hu), squeeze=False)[0], objects_hu, region_mm, strict=True
        ):
            ax.imshow(image, cmap="gray", vmin=low, vmax=high, extent=(-half, half, half, -half))
            box = (x - side / 2.0, y - side / 2.0)
            ax.add_patch(Rectangle(box, side, side, fill=False, edgecolor="#F0E442", linewidth=1.2))
            ax.add_patch(Circle((0, 0), field_of_view_mm / 2.0, fill=False, edgecolor=BLUE, linestyle="--"))
            ax.set(xlabel="x (mm)", ylabel="y (mm)", xlim=(-half, half), ylim=(half, -half))
    return figure


def _trials(
    trials: Images,
    numbers: NDArray[np.int64],
    shape: Sequence[str],
    pixel_mm: float,
    window_hu: tuple[float, float],
) -> Figure:
    present, absent = np.flatnonzero(trials.signal_present), np.flatnonzero(~trials.signal_present)
    width = max(len(present), len(absent))
    low, high = window_hu[0] - window_hu[1] / 2.0, window_hu[0] + window_hu[1] / 2.0
    middle = (trials.noisy.shape[-1] - 1) / 2.0
    with style():
        figure = new_figure(1.75 * width, 7.3)
        axes = figure.subplots(4, width, squeeze=False)
        for ax in axes.ravel():
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        for row, group, name in ((0, present, "H1"), (2, absent, "H0")):
            axes[row, 0].set_ylabel(f"{name}\nnoisy")
            axes[row + 1, 0].set_ylabel("reference")
            for column, k in enumerate(group.tolist()):
                for offset, image in ((0, trials.noisy[k]), (1, trials.reference[k])):
                    ax = axes[row + offset, column]
                    ax.imshow(image, cmap="gray", vmin=low, vmax=high)
                    if offset and shape[k] != "none":
                        place = (trials.truth[axis][k] / pixel_mm + middle for axis in ("x_mm", "y_mm"))
                        radius = max(trials.truth["diameter_mm"][k] / pixel_mm * 0.8, 3.0)
                        ax.add_patch(Circle(tuple(place), radius, fill=False, edgecolor="#F0E442", linewidth=1))
                axes[row, column].set_title(f"{numbers[k]}", fontsize=8)
        scale_bar(axes[1, 0], pixel_mm, trials.noisy.shape[-2:])
    return figure


def _distributions(truth: Mapping[str, NDArray[np.float64]]) -> Figure:
    with style():
        figure = new_figure(9.6, 2.8)
        left, middle, right = figure.subplots(1, 3)
        left.hist(truth["contrast_hu"], bins=24, color=BLUE)
        left.set(xlabel="contrast (HU)", ylabel="trials")
        middle.hist(truth["diameter_mm"], bins=24, color=BLUE)
        middle.set(xlabel="diameter (mm)")
        right.plot(truth["x_mm"], truth["y_mm"], ".", color=ORANGE, markersize=3)
        right.set(xlabel="x in the region (mm)", ylabel="y (mm)", aspect="equal")
        right.invert_yaxis()
    return figure
