"""The trade-off picture: what a denoiser gains in AUC against what it pays in image quality."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from taskct.literal import figure_text
from taskct.names import LOW_DOSE, MSE, setting_text
from taskct.report.figures import BLACK, BLUE, GREEN, GREY, ORANGE, new_figure, style
from taskct.report.labels import observer_label
from taskct.report.run import Floats, Run
from taskct.report.schema import ArmFigures

_HALO = withStroke(linewidth=2, foreground="white")


def tradeoff_figure(run: Run) -> Figure:
    """Draw AUC against RMSE and against SSIM, one row per observer, every arm with both intervals.

    Parameters
    ----------
    run
        A loaded run. Every seed is drawn; only the quoted one is labelled.
    """
    with style():
        observers = run.observers
        figure = new_figure(10.5, 3.3 * len(observers) + 0.7)
        axes = figure.subplots(len(observers), 2, squeeze=False, sharey="row")
        for row, observer in zip(axes, observers, strict=True):
            for ax, measure in zip(row, ("rmse_hu", "ssim"), strict=True):
                draw_tradeoff(ax, run, observer, measure)
            row[0].set_ylabel(f"AUC\n{figure_text(observer_label(observer))}")
        axes[-1, 0].set_xlabel("RMSE (HU); left is better")
        axes[-1, 1].set_xlabel("SSIM; right is better")
        handles: dict[str, Any] = {}
        for ax in axes.flat:
            for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle[0])  # the marker, without its bars
        figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=5, frameon=False)
    return figure


def draw_tradeoff(ax: Axes, run: Run, observer: str, measure: str) -> None:
    """Draw one observer's AUC against "rmse_hu" or "ssim" of every arm that it was read on, all seeds."""
    for seed in run.seeds:
        opacity = 1.0 if seed == run.seed else 0.35
        series = _series(run, observer, seed)
        for label, (arms, look, to) in series.items():
            x, y, xerr, yerr = _points(arms, observer, measure)
            line = _points(to, observer, measure)
            ax.plot(*line[:2], look["line"], color=look["color"], linewidth=1, alpha=opacity, zorder=2)
            ax.errorbar(
                x,
                y,
                xerr=xerr,
                yerr=yerr,
                fmt=look["marker"],
                color=look["color"],
                markerfacecolor=look.get("face", look["color"]),
                markersize=5.5,
                elinewidth=0.8,
                alpha=opacity,
                label=label,
                zorder=3,
            )
    ax.margins(0.1, 0.12)
    low_dose = run.arm(LOW_DOSE)
    if observer in low_dose.observers:
        _low_dose(ax, low_dose, observer, measure)
    series = _series(run, observer, run.seed)
    boxes = []
    for arms, _, _ in series.values():
        x, y, _, _ = _points(arms, observer, measure)
        boxes += [_box(ax, *point, 0.02, 0.03) for point in zip(x, y, strict=True)]
    for label, (arms, look, _) in series.items():
        if label != "MSE":
            x, y, _, _ = _points(arms, observer, measure)
            symbols = [("λ", arm.lambda_ or 0.0) if arm.alpha is None else ("α", arm.alpha) for arm in arms]
            texts = [f"{symbol}={setting_text(value)}" for symbol, value in symbols]
            _label_points(ax, x, y, texts, look["color"], boxes)


def _series(run: Run, observer: str, seed: int) -> dict[str, tuple[list[ArmFigures], dict[str, Any], list[ArmFigures]]]:
    """Group one seed's arms: legend label → (arms with a marker, look, arms the line runs through)."""
    arms = [a for a in run.summary.arms if a.seed == seed and observer in a.observers]
    head = run.arm(run.tradeoff.control).head
    tuned = sorted((a for a in arms if a.lambda_ is not None), key=lambda a: (a.lambda_ or 0, a.alpha or 0))
    trained = [a for a in tuned if a.alpha is None and a.head == head]
    other = [a for a in tuned if a.alpha is None and a.head != head]
    blends = [a for a in tuned if a.alpha is not None]
    series: dict[str, tuple[list[ArmFigures], dict[str, Any], list[ArmFigures]]] = {}
    if trained:
        label = f"trained with λ{f' ({head} head)' if head else ''}"
        series[label] = (trained, {"color": BLUE, "marker": "o", "line": "-"}, trained)
    for key in sorted({(a.lambda_ or 0.0, a.head or "") for a in blends}):
        part = [a for a in blends if (a.lambda_ or 0.0, a.head or "") == key]
        # A blend starts at the control (α = 0) and ends at the network it blends in (α = 1).
        ends = [a for a in tuned if a.alpha is None and (a.head or "") == key[1]]
        start = [a for a in ends if a.lambda_ == 0]
        stop = [a for a in ends if a.lambda_ == key[0]]
        look = {"color": ORANGE, "marker": "s", "line": "--"}
        series[f"blend of λ = {setting_text(key[0])} with the control"] = (part, look, [*start, *part, *stop])
    for name in sorted({a.head or "no" for a in other}):
        part = [a for a in other if (a.head or "no") == name]
        look = {"color": GREEN, "marker": "D", "line": ":", "face": "none"}
        series[f"trained with λ ({name} head)"] = (part, look, part)
    mse = [a for a in arms if a.name == MSE]
    if mse:
        series["MSE"] = (mse, {"color": BLACK, "marker": "^", "line": ""}, [])
    return {figure_text(label): found for label, found in series.items()}


def _points(arms: Sequence[ArmFigures], observer: str, measure: str) -> tuple[Floats, Floats, Floats, Floats]:
    x = [getattr(arm.image_quality, measure) for arm in arms]
    y = [arm.observers[observer] for arm in arms]

    def errors(found: list[Any]) -> Floats:
        sides = [[max(0.0, e.value - e.ci_low), max(0.0, e.ci_high - e.value)] for e in found]
        return np.array(sides).reshape(-1, 2).T

    return np.array([e.value for e in x]), np.array([e.value for e in y]), errors(x), errors(y)


_Box = tuple[float, float, float, float]


def _box(ax: Axes, x: float, y: float, width: float, height: float) -> _Box:
    """Return left, right, bottom and top of a box around a point, in fractions of the axes."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    at_x, at_y = (x - left) / (right - left), (y - bottom) / (top - bottom)
    return at_x - width / 2, at_x + width / 2, at_y - height / 2, at_y + height / 2


def _label_points(ax: Axes, x: Floats, y: Floats, texts: list[str], color: str, boxes: list[_Box]) -> None:
    """Label the points, ends first, each at its first free corner; a label without one is left out."""
    order = [len(x) - 1, 0, *range(len(x) - 2, 0, -1)] if len(x) > 1 else [0]
    for i in order:
        for side, level in ((-1, 1), (1, -1), (1, 1), (-1, -1)):
            left, right, bottom, top = _box(ax, x[i], y[i], 0.12, 0.07)
            box = (left + 0.07 * side, right + 0.07 * side, bottom + 0.06 * level, top + 0.06 * level)
            if any(box[0] < b[1] and b[0] < box[1] and box[2] < b[3] and b[2] < box[3] for b in boxes):
                continue
            boxes.append(box)
            _write(ax, texts[i], (x[i], y[i]), (4 * side, 4 * level), color)
            break


def _write(ax: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], color: str) -> None:
    """Write beside a point, `offset` points from it."""
    ax.annotate(
        text,
        at,
        xytext=offset,
        textcoords="offset points",
        ha="left" if offset[0] > 0 else "right",
        va="bottom" if offset[1] > 0 else "top",
        fontsize=7.5,
        color=color,
        path_effects=[_HALO],
        zorder=6,
    )


def _low_dose(ax: Axes, arm: ArmFigures, observer: str, measure: str) -> None:
    """Draw the undenoised images as a line with a band: their RMSE would squeeze all else to one side."""
    auc, quality = arm.observers[observer], getattr(arm.image_quality, measure)
    left, right = ax.get_xlim()
    ax.axhspan(auc.ci_low, auc.ci_high, color=GREY, alpha=0.13, linewidth=0, zorder=0)
    ax.axhline(auc.value, color=GREY, linestyle=(0, (5, 3)), linewidth=1, zorder=1)
    x = min(max(quality.value, left), right)
    off_scale = x != quality.value
    _, _, xerr, yerr = _points([arm], observer, measure)
    ax.errorbar(
        [x],
        [auc.value],
        xerr=None if off_scale else xerr,
        yerr=yerr,
        fmt="X",
        color=GREY,
        markersize=7,
        elinewidth=0.8,
        clip_on=False,
        label="low-dose images",
        zorder=4,
    )
    text = f"{quality.value:.1f} HU" if measure == "rmse_hu" else f"{quality.value:.3f}"
    if off_scale:
        at_right = x == right
        arrow = f"at {text} →" if at_right else f"← at {text}"
        _write(ax, arrow, (x, auc.value), (-8 if at_right else 8, 3), GREY)
    ax.set_xlim(left, right)
