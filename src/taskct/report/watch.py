"""The page of a sweep that is under way: it loads itself again until the sweep has ended."""

# ruff: noqa: D102 - the properties of the protocols are described where they are made

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Protocol

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from taskct.literal import figure_text
from taskct.report.figures import encode, new_figure, style
from taskct.report.sections import Captioned, PageSection, SectionsPage, write_sections
from taskct.report.tables import NONE, Table, duration_text

FILE = "watch.html"

_MOST_LINES = 12  # trainings that a drawing tells apart
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")


class StageState(Protocol):
    """A stage of a sweep: the attributes of `taskct.sweep.watching.WatchedStage`, which says what each is."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def share(self) -> float | None: ...
    @property
    def detail(self) -> str: ...
    @property
    def seconds(self) -> float: ...


class History(Protocol):
    """Losses of a training: the attributes of `taskct.sweep.watching.LossHistory`."""

    @property
    def rmse_hu(self) -> list[float]: ...
    @property
    def validation_rmse_hu(self) -> list[float]: ...
    @property
    def task(self) -> list[float]: ...


class Sweep(Protocol):
    """A sweep at one moment: the attributes of `taskct.sweep.watching.Watched`."""

    @property
    def stages(self) -> Sequence[StageState]: ...
    @property
    def losses(self) -> Mapping[str, History]: ...
    @property
    def seconds_left(self) -> float: ...
    @property
    def over(self) -> bool: ...


def state_line(sweep: Sweep) -> str:
    """Say in one line where a sweep stands."""
    n = {state: sum(one.state == state for one in sweep.stages) for state in ("done", "running", "failed", "left out")}
    text = f"{n['done']} of {len(sweep.stages)} stages are done"
    text += "".join(f", {n[state]} {state}" for state in ("running", "failed", "left out") if n[state])
    if n["done"] + n["failed"] + n["left out"] == len(sweep.stages):
        return f"{text}: the sweep has ended"
    if sweep.over:
        return f"{text}: nobody works in this folder; the same command goes on"
    return f"{text}; about {duration_text(sweep.seconds_left)} are left"


def write_watch(folder: Path, study: str, sweep: Sweep, *, every_s: int) -> Path:
    """Write `watch.html` into a run folder, whole or not at all; it loads itself again while the sweep goes on."""
    ended = PageSection(
        "The report", texts=["The page of the results is report.html in this folder, once it is written."]
    )
    page = SectionsPage(
        "watch",
        study,
        [f"{state_line(sweep)}."],
        [
            *([ended] if sweep.over else []),
            *([PageSection("Losses so far", pictures=[_losses(sweep.losses)])] if sweep.losses else []),
            PageSection("Stages", tables=[_stage_table(sweep.stages)]),
        ],
        0 if sweep.over else every_s,
    )
    return write_sections(folder / FILE, page)


def _stage_table(stages: Sequence[StageState]) -> Table:
    order = ("running", "failed", "to do", "left out", "done")
    rows = []
    for one in sorted(stages, key=lambda stage: order.index(stage.state)):
        share = NONE if one.share is None else f"{100 * one.share:.0f} %"
        time = NONE if one.state in ("failed", "left out") else duration_text(one.seconds)
        rows.append([one.name, one.state, share, time, one.detail or NONE])
    caption = "Stages: those that run first. Time is what a stage took, or is expected to take still."
    return Table(caption, ["Stage", "State", "Done", "Time", "Detail"], rows)


def _losses(losses: Mapping[str, History]) -> Captioned:
    shown = dict(list(losses.items())[-_MOST_LINES:])
    left_out = len(losses) - len(shown)
    more = f" The first {left_out} trainings are left out." if left_out else ""
    return Captioned(
        encode(_loss_figure(shown), "svg"),
        f"Losses of {len(shown)} trainings against the epoch: RMSE, and the task's loss where there is one.",
        "RMSE is that on validation trials (solid), or on training trials where there is no validation (dashed). The "
        f"task's loss is that on validation trials; 1 is chance.{more}",
    )


def _loss_figure(losses: Mapping[str, History]) -> Figure:
    with style():
        figure = new_figure(10.0, 3.6)
        tasks = any(not np.isnan(history.task).all() for history in losses.values())
        left, *rest = figure.subplots(1, 2 if tasks else 1, squeeze=False)[0]
        for (name, history), color in zip(losses.items(), cycle(_COLORS), strict=False):
            epochs = np.arange(1, len(history.rmse_hu) + 1)
            seen = not np.isnan(history.validation_rmse_hu).all()
            values = history.validation_rmse_hu if seen else history.rmse_hu
            label, marker = figure_text(name), "." if len(epochs) < 2 else ""
            left.plot(epochs, values, "-" if seen else "--", color=color, linewidth=1.2, marker=marker, label=label)
            for right in rest if not np.isnan(history.task).all() else ():
                right.plot(epochs, history.task, color=color, linewidth=1.2, marker=marker)
        for ax, what in zip((left, *rest), ("RMSE (HU)", "task loss"), strict=False):
            ax.set(xlabel="epoch", ylabel=what)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(*left.get_legend_handles_labels(), loc="outside right upper", fontsize=7.5, frameon=False)
    return figure
