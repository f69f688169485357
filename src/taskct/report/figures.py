"""The report's figures: data in, a matplotlib `Figure` out; no global state."""

import base64
import io
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from taskct.literal import figure_text
from taskct.metrics.roc import roc_curve
from taskct.names import LOW_DOSE
from taskct.report.families import BLACK, BLUE, GREY, ORANGE, PINK
from taskct.report.labels import arm_label, observer_label
from taskct.report.run import Examples, Floats, Run
from taskct.report.schema import TaskFile

RING = "#F0E442"  # around a signal: told apart from grey
_MAX_ROC_POINTS = 400
_PNG_DPI = 192  # twice the 96 of CSS, so that print and dense screens stay sharp


def style() -> AbstractContextManager[None]:
    """Return a context in which figures look alike; matplotlib's own settings stay as they are."""
    return matplotlib.rc_context(
        {
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "svg.hashsalt": "taskct",  # the same data give the same file
            "svg.fonttype": "none",  # text stays text: smaller, sharper, quicker
        }
    )


@dataclass(frozen=True)
class Picture:
    """A figure as an `<img>` of a page that must open offline takes it."""

    uri: str
    """The whole figure as a data URI."""
    width_px: int
    """Width on the page, CSS pixels."""


def encode(figure: Figure, kind: Literal["svg", "png"]) -> Picture:
    """Encode a figure for an offline page, at its own size: "svg" for lines, "png" for images."""
    buffer = io.BytesIO()
    with style():
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(buffer, format=kind, dpi=_PNG_DPI, metadata=metadata)
    mime = {"svg": "image/svg+xml", "png": "image/png"}[kind]
    uri = f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Picture(uri, round(96 * figure.get_figwidth()))


def png_picture(png: bytes, *, width_px: int) -> Picture:
    """Take a PNG file as a picture, at a width in CSS pixels."""
    return Picture(f"data:image/png;base64,{base64.b64encode(png).decode()}", width_px)


def new_figure(width_in: float, height_in: float, *, fitted: bool = True) -> Figure:
    """Return an empty figure of a size in inches, which draws without a display; `fitted` finds its margins."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained" if fitted else None)
    FigureCanvasAgg(figure)
    return figure


def roc_figure(run: Run, arms: Sequence[str]) -> Figure:
    """Draw the empirical ROC curves of some arms, one panel per observer, quoted seed.

    Parameters
    ----------
    run
        A loaded run.
    arms
        Arm names; one that an observer lacks is left out of its panel. To each panel the best of all other
        arms is added.
    """
    with style():
        observers = run.observers
        n_rows = (len(observers) + 1) // 2
        # Inches. Fixed margins: to fit them to the text takes as long as all the drawing.
        width, height = 9.5, 4.6 * n_rows
        figure = new_figure(width, height, fitted=False)
        axes = figure.subplots(n_rows, 2, squeeze=False)
        edges = {"left": 0.6 / width, "right": 1 - 0.2 / width, "bottom": 0.5 / height, "top": 1 - 0.3 / height}
        figure.subplots_adjust(**edges, wspace=0.16, hspace=0.22)
        for ax in axes.flat[len(observers) :]:
            ax.set_axis_off()
        for ax, observer in zip(axes.flat, observers, strict=False):
            styles = [(GREY, (0, (5, 3))), (BLACK, (0, (1, 1))), (BLUE, "-"), (ORANGE, "-")]
            shown = [(name, *style) for name, style in zip(arms, styles, strict=False)]
            best = best_other(run, observer, arms)
            if best is not None:
                shown.append((best, PINK, "-."))
            for name, color, line in shown:
                arm = run.arm(name)
                if observer not in arm.observers:
                    continue
                score = run.scores[arm.name, arm.seed, observer]
                fpf, tpf = _thin(*roc_curve(score.present, score.absent))
                label = f"{figure_text(run.label(arm.name))}: {arm.observers[observer].value:.3f}"
                ax.plot(fpf, tpf, color=color, linestyle=line, linewidth=1.3, label=label)
            ax.plot([0, 1], [0, 1], color="0.8", linewidth=0.8, zorder=0)
            ax.set(title=figure_text(observer_label(observer)), xlim=(0, 1), ylim=(0, 1), aspect="equal")
            ax.set(xlabel="False-positive fraction", ylabel="True-positive fraction")
            ax.legend(title="AUC", loc="lower right", fontsize=8, frameon=False)
    return figure


def best_other(run: Run, observer: str, arms: Sequence[str]) -> str | None:
    """Name the arm with the highest AUC that is not among `arms`, quoted seed; None if there is none."""
    others = [
        arm
        for arm in run.summary.arms
        if arm.name not in arms and arm.seed == run.arm(arm.name).seed and observer in arm.observers
    ]
    return max(others, key=lambda arm: arm.observers[observer].value).name if others else None


def _thin(fpf: Floats, tpf: Floats) -> tuple[Floats, Floats]:
    # Thousands of trials give thousands of steps; fewer look the same and keep the page small.
    keep = np.unique(np.linspace(0, len(fpf) - 1, _MAX_ROC_POINTS).round().astype(int))
    return fpf[keep], tpf[keep]


def panel_figure(
    examples: Examples,
    task: TaskFile,
    arms: Sequence[str],
    trials: Sequence[int],
    *,
    label: Callable[[str], str] = arm_label,
) -> Figure:
    """Show trials as reference, low-dose and denoised images, each above its difference from the reference.

    Parameters
    ----------
    examples
        The saved trials.
    task
        Gives the display windows and the pixel size.
    arms
        Arms of `examples.denoised` to show.
    trials
        Positions in `examples`, not trial numbers.
    label
        What the page calls an arm, such as `run.label`.
    """
    columns = {"reference": examples.reference, LOW_DOSE: examples.noisy}
    columns |= {name: examples.denoised[name] for name in arms}
    center, width = task.window_hu
    half = task.difference_window_hu / 2
    with style():
        figure = new_figure(1.75 * len(columns) + 0.6, 3.55 * len(trials))
        axes = figure.subplots(2 * len(trials), len(columns), squeeze=False)
        for ax in axes.flat:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        for i, k in enumerate(trials):
            for j, (name, images) in enumerate(columns.items()):
                top, below = axes[2 * i, j], axes[2 * i + 1, j]
                image = images[k]
                top.imshow(image, cmap="gray", vmin=center - width / 2, vmax=center + width / 2)
                _circle(top, examples, k)
                if i == 0:
                    top.set_title("reference" if name == "reference" else figure_text(label(name)), fontsize=9)
                if name == "reference":
                    below.set_axis_off()
                    continue
                difference = image - examples.reference[k]
                shown = below.imshow(difference, cmap="gray", vmin=-half, vmax=half)
                _circle(below, examples, k)
            present = "signal present" if examples.signal_present[k] else "signal absent"
            axes[2 * i, 0].set_ylabel(f"trial {examples.trial[k]}\n{present}")
            axes[2 * i + 1, 1].set_ylabel("minus reference", fontsize=8)
            scale = axes[2 * i + 1, 0].inset_axes((0.62, 0.1, 0.06, 0.8))
            figure.colorbar(shown, cax=scale, label="difference (HU)")
            scale.yaxis.set_ticks_position("left")
            scale.yaxis.set_label_position("left")
        scale_bar(axes[0, 0], task.pixel_mm, examples.reference.shape[-2:])
    return figure


def _circle(ax: Axes, examples: Examples, k: int) -> None:
    row, column = examples.center_px[k]
    if np.isfinite([row, column]).all():
        # Wide enough that the ring does not touch the signal.
        radius = max(examples.diameter_px[k], 4.0)
        ax.add_patch(Circle((column, row), radius, fill=False, edgecolor=RING, linewidth=1))


def scale_bar(ax: Axes, pixel_mm: float, shape: Sequence[int]) -> None:
    """Draw a bar of a round length into an image of this pitch (mm) and shape (pixels)."""
    height, width = shape
    fits = [mm for mm in (1, 2, 5, 10, 20, 50, 100) if mm / pixel_mm <= 0.4 * width] or [1]
    length = fits[-1] / pixel_mm
    x, y = 0.05 * width, 0.93 * height
    ax.add_patch(Rectangle((x, y), length, max(0.015 * height, 0.5), color="white", linewidth=0))
    ax.text(x, y - 0.02 * height, f"{fits[-1]} mm", color="white", fontsize=8, va="bottom")


def template_figure(examples: Examples, arms: Sequence[str], *, label: Callable[[str], str] = arm_label) -> Figure:
    """Show the joint SLNN-NO templates of some arms, each on its own scale that is symmetric about zero.

    Parameters
    ----------
    examples
        Holds the templates.
    arms
        Arms of `examples.template` to show.
    label
        What the page calls an arm, such as `run.label`.
    """
    with style():
        figure = new_figure(3.9 * len(arms), 3.3)
        for ax, name in zip(figure.subplots(1, len(arms), squeeze=False)[0], arms, strict=True):
            template = examples.template[name]
            limit = float(np.abs(template).max()) or 1.0
            shown = ax.imshow(template, cmap="RdBu_r", vmin=-limit, vmax=limit)
            ax.set(title=figure_text(label(name)), xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            bar = figure.colorbar(shown, ax=ax, label="weight (1/HU)", shrink=0.9)
            bar.ax.ticklabel_format(style="sci", scilimits=(-2, 2))
    return figure


def draw_roc(curves: Mapping[str, tuple[Floats, Floats]]) -> bytes:
    """Draw ROC curves, false-positive and true-positive fractions by label, as a PNG file."""
    figure = Figure(figsize=(5.0, 5.0), layout="constrained")
    axes = figure.subplots()
    axes.plot([0.0, 1.0], [0.0, 1.0], color="0.7", linewidth=1.0, linestyle="--")
    for index, (label, (fpf, tpf)) in enumerate(curves.items()):
        # The default colours come again after ten curves, then with another line.
        axes.plot(
            fpf, tpf, linewidth=1.5, label=figure_text(label), linestyle=("-", "--", ":")[math.floor(index / 10) % 3]
        )
    axes.set(xlim=(0.0, 1.0), ylim=(0.0, 1.0), aspect="equal")
    axes.set(xlabel="false-positive fraction", ylabel="true-positive fraction")
    axes.legend(loc="lower right", fontsize="small", title="observer, AUC", frameon=False)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=150)
    return out.getvalue()
