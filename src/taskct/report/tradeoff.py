"""The trade-off picture: what a denoiser gains in AUC against what it pays in image quality."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from taskct.literal import figure_text
from taskct.metrics.intervals import Interval
from taskct.names import JOINT, LOW_DOSE, ArmName
from taskct.report.families import (
    GREY,
    VIOLET,
    Family,
    Look,
    arm_of_seed,
    families,
    main_observer,
    quoted_arms,
    short_label,
)
from taskct.report.figures import new_figure, style
from taskct.report.front import FRONT_LABEL, front_shown, steps
from taskct.report.labels import NBSP, observer_label
from taskct.report.run import Floats, Run
from taskct.report.schema import ArmFigures

_HALO = withStroke(linewidth=2, foreground="white")
AXES = {
    "rmse_hu": "RMSE (HU); left is better",
    "psnr_db": "PSNR (dB); right is better",
    "ssim": "SSIM; right is better",
}
"""Quality metrics by their names in `summary.json`, as an axis writes them."""

# Inches. Fixed margins: to fit them to the text takes longer than all the drawing.
_LEFT, _RIGHT, _BOTTOM, _TOP, _BETWEEN, _ROW = 0.9, 0.12, 0.5, 0.12, 0.3, 0.24


def tradeoff_figure(run: Run) -> Figure:
    """Draw AUC against RMSE and against SSIM, one row per observer, every arm with both intervals.

    Parameters
    ----------
    run
        A loaded run. Every seed is drawn; only the quoted one is labelled.
    """
    return _grid(run, run.drawn_observers, ("rmse_hu", "ssim"), panel_in=(4.6, 2.7))


def first_figure(run: Run) -> Figure:
    """Draw the page's first picture: AUC against RMSE for the main observer, every arm with both intervals."""
    return _grid(run, [main_observer(run)], ("rmse_hu",), panel_in=(6.2, 3.7))


def auc_axis(run: Run, observer: str) -> str:
    """Name an axis of AUC: in the limit of many training trials, or at their number."""
    rows = [run.limit(arm.name, observer, arm.seed) for arm in run.summary.arms if observer in arm.observers]
    if any(row is not None and row.limit is not None for row in rows):
        return "AUC in the limit of many training trials"
    n_fresh = run.task.n_trials.get("fresh")
    if n_fresh is None or observer == JOINT:
        return "AUC"
    return f"AUC at {n_fresh:,} training trials"


def _grid(run: Run, observers: Sequence[str], measures: Sequence[str], panel_in: tuple[float, float]) -> Figure:
    n_rows, n_columns = len(observers), len(measures)
    with style():
        width = _LEFT + n_columns * panel_in[0] + (n_columns - 1) * _BETWEEN + _RIGHT
        found = families(run)
        n_legend = -(-(len(found) + 1) // max(1, int(width // 2.4)))
        with_front = "rmse_hu" in measures and any(front_shown(run, observer) is not None for observer in observers)
        top = _TOP + (n_legend + with_front) * _ROW
        height = top + n_rows * (panel_in[1] + _BETWEEN) - _BETWEEN + _BOTTOM
        figure = new_figure(width, height, fitted=False)
        figure.subplots_adjust(
            left=_LEFT / width,
            right=1 - _RIGHT / width,
            bottom=_BOTTOM / height,
            top=1 - top / height,
            wspace=_BETWEEN / panel_in[0],
            hspace=_BETWEEN / panel_in[1],
        )
        axes = figure.subplots(n_rows, n_columns, squeeze=False, sharey="row")
        for row, observer in zip(axes, observers, strict=True):
            for ax, measure in zip(row, measures, strict=True):
                draw_tradeoff(ax, run, observer, measure)
            name, axis = figure_text(observer_label(observer)), auc_axis(run, observer)
            row[0].set_ylabel(f"{axis}\n{name}" if panel_in[1] > 3 else f"{name}\n{axis}", fontsize=8)
        for ax, measure in zip(axes[-1], measures, strict=True):
            ax.set_xlabel(AXES[measure])
        handles: dict[str, Any] = {}
        for ax in axes.flat:
            for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
                # The marker, without its bars.
                handles.setdefault(label, handle[0] if isinstance(handle, ErrorbarContainer) else handle)
        # The front has a row of its own: its words are longer than a column.
        front = {label: handles.pop(label) for label in (FRONT_LABEL,) if label in handles}
        for down, shown in ((0, handles), (n_legend, front))[: 1 + bool(front)]:
            figure.legend(
                list(shown.values()),
                list(shown),
                loc="upper left",
                bbox_to_anchor=(_LEFT / width, 1.0 - down * _ROW / height),
                ncols=max(1, int(width // 2.4)),
                frameon=False,
                borderaxespad=0.1,
                fontsize=8.5,
            )
    return figure


@dataclass(frozen=True)
class Point:
    """One arm in a trade-off: its quality and its AUC, both with intervals."""

    arm: ArmFigures
    quality: Interval
    auc: Interval
    in_limit: bool
    """Whether the AUC is that of many training trials; else it is at their number."""


def points(run: Run, names: Iterable[str], observer: str, measure: str, seed: int) -> list[Point]:
    """The arms of these names and this seed that an observer was read on."""
    found = []
    for name in names:
        arm = arm_of_seed(run, name, seed)
        auc = None if arm is None else run.quoted_auc(arm.name, observer, arm.seed)
        if arm is not None and auc is not None:
            found.append(Point(arm, getattr(arm.image_quality, measure), auc.interval, auc.in_limit))
    return found


def draw_tradeoff(ax: Axes, run: Run, observer: str, measure: str) -> None:
    """Draw one observer's AUC against "rmse_hu", "psnr_db" or "ssim" of every arm it was read on, all seeds."""
    found = families(run)
    for seed in run.seeds:
        opacity = 1.0 if seed == run.seed else 0.35
        for family in found:
            _draw_family(ax, run, family, (observer, measure, seed), opacity)
    ax.margins(0.1, 0.12)
    if measure == "rmse_hu":
        _draw_front(ax, run, observer)
    low_dose = points(run, [LOW_DOSE], observer, measure, run.arm(LOW_DOSE).seed)
    if low_dose:
        _low_dose(ax, low_dose[0], measure)
    _label_all(ax, run, observer, measure)


def _draw_front(ax: Axes, run: Run, observer: str) -> None:
    """Draw the front of the quoted seed as steps up to the right edge, with its band."""
    front = front_shown(run, observer)
    if front is None:
        return
    found, limits = steps(front), ax.get_xlim()

    def to_edge(values: Floats) -> Floats:
        return np.append(values, values[-1])

    x = np.append(found.rmse_hu, limits[1])
    low, high = to_edge(found.low), to_edge(found.high)
    ax.fill_between(x, low, high, step="post", color=VIOLET, alpha=0.15, linewidth=0, zorder=0.5)
    ax.step(x, to_edge(found.auc), where="post", color=VIOLET, linewidth=1, zorder=1.5, label=FRONT_LABEL)
    ax.set_xlim(limits)


def _draw_family(ax: Axes, run: Run, family: Family, which: tuple[str, str, int], opacity: float) -> None:
    look = family.look
    shown = points(run, family.names, *which)
    if not shown:
        return
    line = _arrays(points(run, family.line, *which))
    if look.line:
        ax.plot(*line[:2], look.line, color=look.color, linewidth=1, alpha=opacity, zorder=2)
    some_limit = any(point.in_limit for point in shown)
    for in_limit in sorted({point.in_limit for point in shown}, reverse=True):
        part = [point for point in shown if point.in_limit == in_limit]
        x, y, xerr, yerr = _arrays(part)
        hollow = some_limit and not in_limit
        ax.errorbar(
            x,
            y,
            xerr=xerr,
            yerr=yerr,
            fmt=look.marker,
            color=look.color,
            markerfacecolor="none" if hollow else look.color,
            markersize=8.5 if look.marker == "*" else 5.5,  # a star of the same area is wider
            elinewidth=0.8,
            alpha=opacity,
            label=figure_text(family.label),
            zorder=3,
        )


def _arrays(found: Sequence[Point]) -> tuple[Floats, Floats, Floats, Floats]:
    x, y = [point.quality for point in found], [point.auc for point in found]

    def errors(intervals: list[Interval]) -> Floats:
        sides = [[max(0.0, e.value - e.ci_low), max(0.0, e.ci_high - e.value)] for e in intervals]
        return np.array(sides).reshape(-1, 2).T

    return np.array([e.value for e in x]), np.array([e.value for e in y]), errors(x), errors(y)


_Box = tuple[float, float, float, float]


def _label_all(ax: Axes, run: Run, observer: str, measure: str) -> None:
    """Label the arms of the quoted seed: those that text speaks of always, the others where there is room."""
    quoted = quoted_arms(run)
    shown: list[tuple[Point, Look]] = []
    for family in families(run):
        part = points(run, family.names, observer, measure, run.seed)
        # The ends of a family first, which say where it runs.
        ends = [*part[-1:], *part[:-1][:1], *part[-2:0:-1]] if len(part) > 1 else part
        shown += [(point, family.look) for point in ends if _labelled(family, point)]
    shown.sort(key=lambda one: quoted.index(one[0].arm.name) if one[0].arm.name in quoted else len(quoted))
    boxes = [_box(ax, point.quality.value, point.auc.value, 0.02, 0.03) for point, _ in shown]
    for point, look in shown:
        name = point.arm.name
        must = name in quoted and name != run.tradeoff.control
        text = _tight(run.label(name)) if must else short_label(name)
        _label(ax, point, text, look.color, boxes, must=must)


def _tight(label: str) -> str:
    """A label in as little room as it takes.

    >>> from taskct.report.labels import arm_label
    >>> _tight(arm_label("lambda=0.9 alpha=0.2")), _tight(arm_label("path price=0.02"))
    ('λ=0.9, α=0.2', 'task path, price 2%')
    """
    return label.replace(f"{NBSP}={NBSP}", "=").replace(f"{NBSP}%", "%").replace(NBSP, " ")


def _labelled(family: Family, point: Point) -> bool:
    # A lone MSE stands in the legend.
    return len(family.names) > 1 or ArmName.parse(point.arm.name).kind != "mse"


def _box(ax: Axes, x: float, y: float, width: float, height: float) -> _Box:
    """Return left, right, bottom and top of a box around a point, in fractions of the axes."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    at_x, at_y = (x - left) / (right - left), (y - bottom) / (top - bottom)
    return at_x - width / 2, at_x + width / 2, at_y - height / 2, at_y + height / 2


def _label(ax: Axes, point: Point, text: str, color: str, boxes: list[_Box], *, must: bool) -> None:
    """Label a point at its first free corner, near or farther; one that must have a label takes the freest."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    extent, point_px = ax.get_window_extent(), figure.dpi / 72.0
    across, up = extent.width / point_px, extent.height / point_px  # of the axes, in points of type
    width, height = (4.6 * len(text) + 2) / across, 9.5 / up
    x, y = _box(ax, point.quality.value, point.auc.value, 0, 0)[::2]
    best: tuple[float, _Box, tuple[float, float]] | None = None
    for far in (1.0, 2.6, 4.2, 6.0):
        for side, level in ((-1, 1), (1, -1), (1, 1), (-1, -1)):
            dx, dy = 4 * side, 4 * far * level
            left = x + dx / across - (width if side < 0 else 0)
            bottom = y + dy / up - (height if level < 0 else 0)
            box = (left, left + width, bottom, bottom + height)
            taken = sum(box[0] < b[1] and b[0] < box[1] and box[2] < b[3] and b[2] < box[3] for b in boxes)
            outside = box[0] < -0.02 or box[1] > 1.02 or box[2] < 0 or box[3] > 1
            if best is None or taken + 9 * outside < best[0]:
                best = (taken + 9 * outside, box, (dx, dy))
        if not must:
            break
    if best is None or (best[0] and not must):
        return
    boxes.append(best[1])
    _write(ax, figure_text(text), (point.quality.value, point.auc.value), best[2], color, bold=must)


def _write(
    ax: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], color: str, *, bold: bool = False
) -> None:
    """Write beside a point, `offset` points from it."""
    ax.annotate(
        text,
        at,
        xytext=offset,
        textcoords="offset points",
        ha="left" if offset[0] > 0 else "right",
        va="bottom" if offset[1] > 0 else "top",
        fontsize=7.5,
        fontweight="bold" if bold else "normal",
        color=color,
        path_effects=[_HALO],
        zorder=6,
    )


def _low_dose(ax: Axes, point: Point, measure: str) -> None:
    """Draw the undenoised images as a line with a band: their RMSE would squeeze all else to one side."""
    auc, quality = point.auc, point.quality
    left, right = ax.get_xlim()
    ax.axhspan(auc.ci_low, auc.ci_high, color=GREY, alpha=0.13, linewidth=0, zorder=0)
    ax.axhline(auc.value, color=GREY, linestyle=(0, (5, 3)), linewidth=1, zorder=1)
    x = min(max(quality.value, left), right)
    off_scale = x != quality.value
    _, _, xerr, yerr = _arrays([point])
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
    text = {"rmse_hu": f"{quality.value:.1f} HU", "psnr_db": f"{quality.value:.1f} dB", "ssim": f"{quality.value:.3f}"}
    if off_scale:
        at_right = x == right
        arrow = f"at {text[measure]} →" if at_right else f"← at {text[measure]}"
        _write(ax, arrow, (x, auc.value), (-8 if at_right else 8, 3), GREY)
    ax.set_xlim(left, right)
