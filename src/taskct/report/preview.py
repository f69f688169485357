"""The preview's page: trials with their truth."""

# ruff: noqa: D102 - the properties of the protocols are described where they are made

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from numpy.typing import NDArray

from taskct.files import write_text
from taskct.report.families import BLUE, ORANGE
from taskct.report.figures import RING, encode, new_figure, scale_bar, style
from taskct.report.html import template

Stack = NDArray[np.float32]

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
    def noisy(self) -> Stack: ...
    @property
    def reference(self) -> Stack: ...
    @property
    def signal_present(self) -> NDArray[np.bool_]: ...
    @property
    def truth(self) -> dict[str, NDArray[np.float64]]: ...


class Shown(Protocol):
    """What a preview shows: the attributes of `taskct.simulation.preview.Preview`, which says what each is."""

    @property
    def title(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def facts(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def trials(self) -> Images: ...
    @property
    def numbers(self) -> NDArray[np.int64]: ...
    @property
    def shape(self) -> tuple[str, ...]: ...
    @property
    def all_truth(self) -> dict[str, NDArray[np.float64]]: ...
    @property
    def objects_hu(self) -> Stack: ...
    @property
    def object_pixel_mm(self) -> float: ...
    @property
    def field_of_view_mm(self) -> float: ...
    @property
    def region_mm(self) -> NDArray[np.float64]: ...
    @property
    def pixel_mm(self) -> float: ...
    @property
    def window_hu(self) -> tuple[float, float]: ...


def write_preview(path: Path, shown: Shown) -> Path:
    """Write a page of trials with their truth, one HTML file that opens offline, whole or not at all."""
    pictures = {
        "objects": encode(_objects(shown), "png"),
        "trials": encode(_trials(shown), "png"),
        "truth": encode(_distributions(shown.all_truth), "svg"),
    }
    truth, window_hu = shown.trials.truth, shown.window_hu
    columns = [*COLUMNS, *(c for c in OF_SHAPES if (truth[c[0]] > (-1 if c[0] == "outline" else 0)).any())]
    rows = [
        [
            str(number),
            "H1" if present else "H0",
            kind,
            *(f"{truth[name][k]:{form}}".replace("-", "−") for name, _, form in columns),
        ]
        for k, (number, present, kind) in enumerate(
            zip(shown.numbers, shown.trials.signal_present, shown.shape, strict=True)
        )
    ]
    page = template("preview.html.j2").render(
        shown=shown,
        columns=["trial", "hypothesis", "shape", *(text for _, text, _ in columns)],
        rows=rows,
        pictures=pictures,
        window=f"window centre {window_hu[0]:g} HU, width {window_hu[1]:g} HU",
        some_without="none" in shown.shape,
    )
    write_text(path, page)
    return path


def _grey(window_hu: tuple[float, float]) -> dict[str, Any]:
    """How matplotlib shows an image in a display window of a centre and a width, HU."""
    center, width = window_hu
    return {"cmap": "gray", "vmin": center - width / 2.0, "vmax": center + width / 2.0}


def _objects(shown: Shown) -> Figure:
    with style():
        figure = new_figure(3.3 * len(shown.objects_hu), 3.3)
        half = shown.objects_hu.shape[-1] * shown.object_pixel_mm / 2.0
        axes = figure.subplots(1, len(shown.objects_hu), squeeze=False)[0]
        for ax, image, (x, y, side) in zip(axes, shown.objects_hu, shown.region_mm, strict=True):
            ax.imshow(image, extent=(-half, half, half, -half), **_grey(shown.window_hu))
            box = (x - side / 2.0, y - side / 2.0)
            ax.add_patch(Rectangle(box, side, side, fill=False, edgecolor=RING, linewidth=1.2))
            ax.add_patch(Circle((0, 0), shown.field_of_view_mm / 2.0, fill=False, edgecolor=BLUE, linestyle="--"))
            ax.set(xlabel="x (mm)", ylabel="y (mm)", xlim=(-half, half), ylim=(half, -half))
    return figure


def _trials(shown: Shown) -> Figure:
    trials = shown.trials
    present, absent = np.flatnonzero(trials.signal_present), np.flatnonzero(~trials.signal_present)
    width = max(len(present), len(absent))
    middle = (trials.noisy.shape[-1] - 1) / 2.0
    with style():
        figure = new_figure(1.75 * width, 7.3)
        axes = figure.subplots(4, width, squeeze=False)
        for ax in axes.ravel():
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        for row, of_class, name in ((0, present, "H1"), (2, absent, "H0")):
            axes[row, 0].set_ylabel(f"{name}\nnoisy")
            axes[row + 1, 0].set_ylabel("reference")
            for column, k in enumerate(of_class.tolist()):
                for offset, image in ((0, trials.noisy[k]), (1, trials.reference[k])):
                    ax = axes[row + offset, column]
                    ax.imshow(image, **_grey(shown.window_hu))
                    if offset and shown.shape[k] != "none":
                        place = (trials.truth[axis][k] / shown.pixel_mm + middle for axis in ("x_mm", "y_mm"))
                        radius = max(trials.truth["diameter_mm"][k] / shown.pixel_mm * 0.8, 3.0)
                        ax.add_patch(Circle(tuple(place), radius, fill=False, edgecolor=RING, linewidth=1))
                axes[row, column].set_title(f"{shown.numbers[k]}", fontsize=8)
        scale_bar(axes[1, 0], shown.pixel_mm, trials.noisy.shape[-2:])
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
