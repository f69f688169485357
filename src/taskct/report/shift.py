"""The page of a task shift: where a gain holds, and where it turns into harm."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from taskct.files import write_text
from taskct.literal import figure_text
from taskct.names import ArmName
from taskct.report.families import BLACK, BLUE, GREEN, GREY, ORANGE, PINK
from taskct.report.figures import encode, new_figure, style
from taskct.report.html import template
from taskct.report.labels import arm_label, interval, listed, observer_label
from taskct.report.load import read_checked
from taskct.report.schema import ArmText, FileInterval
from taskct.report.tables import Table

RESULT, PAGE, TABLE, FIGURE = "shift.json", "shift.html", "shift.csv", "shift.svg"

FITTED = {"fresh": "fitted afresh there", "frozen": "fitted on the training's own task", "joint": "trained jointly"}

COLORS = (BLUE, ORANGE, GREEN, PINK, BLACK, GREY)
MARKERS = "osD^vP"
MAX_SERIES = 6
"""Arms that a figure tells apart; all of them stand in the tables."""


@dataclass(frozen=True)
class Place:
    """A training, and the task that it is tested on."""

    training: str
    task: str
    arm: ArmText
    seed: int


@dataclass(frozen=True)
class AucRow(Place):
    """An observer's AUC, or LROC area, on the test trials of a task."""

    observer: str
    fitted: Literal["fresh", "frozen", "joint"]
    auc: FileInterval


@dataclass(frozen=True)
class DeltaRow(Place):
    """An arm's AUC less that of the MSE denoiser that it was fine-tuned from, on the same trials."""

    observer: str
    fitted: Literal["fresh", "frozen", "joint"]
    versus: ArmText
    delta: FileInterval
    p_value: float | None
    p_holm: float | None
    """Adjusted by Holm's procedure over all cells of the observer."""
    verdict: Literal["harm", "gain", "open", "reversed"]
    """"harm" where the whole interval lies below 0; "reversed" where the observer is worse than chance after MSE."""


@dataclass(frozen=True)
class QualityRow(Place):
    """RMSE on the test trials of a task."""

    rmse_hu: FileInterval
    rmse_ratio: FileInterval | None
    """To the MSE denoiser's."""


@dataclass(frozen=True)
class TestedTask:
    """A test task."""

    name: str
    changes: list[str]
    localize_mm: float | None
    description: str


@dataclass(frozen=True)
class TrainingRun:
    """A run whose denoisers are tested."""

    name: str
    study: str


@dataclass(frozen=True)
class NTrials:
    """Trials of every task."""

    validation: int
    fresh: int
    test: int


@dataclass(frozen=True)
class ShiftFile:
    """`shift.json`."""

    schema: Literal[1]
    confidence: float
    n_trials: NTrials
    trainings: list[TrainingRun]
    tasks: list[TestedTask]
    rows: list[AucRow]
    deltas: list[DeltaRow]
    quality: list[QualityRow]
    notes: dict[str, str]
    """By observer: that it has few trials, or why a cell lacks it."""


def load_shift(folder: Path) -> ShiftFile:
    """Read `shift.json`; a `UserError` if it is missing or broken."""
    return read_checked(folder / RESULT, ShiftFile, "run `taskct shift` with this --out again")


def harmed(shift: ShiftFile) -> list[DeltaRow]:
    """The differences whose whole interval lies below 0, those of the control (λ = 0) among them."""
    return [row for row in shift.deltas if row.verdict == "harm"]


def write_shift(folder: Path) -> Path:
    """Write `shift.html`, `shift.csv` and `shift.svg` beside `shift.json`, and return the page."""
    shift = load_shift(folder)
    write_text(folder / TABLE, deltas_csv(shift))
    figure = shift_figure(shift)
    with style():
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    write_text(folder / FIGURE, out.getvalue())
    page = template("shift.html.j2").render(
        shift=shift,
        sentence=sentence(shift),
        picture=encode(figure, "svg"),
        shown=observer_text(_shown_observer(shift), "fresh"),
        tables=[_table(shift, *family) for family in _families(shift)],
        quality=_quality_table(shift),
        tasks=_task_table(shift),
        notes=[f"{observer_text(name, 'fresh')}: {text}" for name, text in shift.notes.items()],
    )
    write_text(folder / PAGE, page)
    return folder / PAGE


def observer_text(observer: str, fitted: str) -> str:
    """An observer of a shift in words."""
    if observer.startswith("scan_"):
        label = observer_label(observer.removeprefix("scan_")).removeprefix("fresh ")
        return f"searching {label} (LROC area)"
    return f"{observer_label(observer).removeprefix('fresh ')}, {FITTED[fitted]}"


def sentence(shift: ShiftFile) -> str:
    """What the cells say of task-informed training (λ > 0), in two sentences."""
    rows = [row for row in shift.deltas if _task_informed(row.arm)]
    bad, good = ([row for row in rows if row.verdict == verdict] for verdict in ("harm", "gain"))
    counts = (
        f"Of {len(rows)} differences between task-informed denoisers (λ > 0) and MSE, {len(good)} are gains, "
        f"{len(bad)} are harm, and {len(rows) - len(good) - len(bad)} say neither"
    )
    several = len(shift.trainings) > 1
    places = dict.fromkeys(
        f"{row.task} (trained for {row.training})" if several else row.task for row in bad if row.fitted == "fresh"
    )
    if not places:
        return f"{counts}. No observer that was fitted afresh to a task loses by task-informed training there."
    return f"{counts}. Observers fitted afresh lose by task-informed training on: {listed(places)}."


def _families(shift: ShiftFile) -> list[tuple[str, str]]:
    """Observers with differences, and what they were fitted on."""
    return list(dict.fromkeys((row.observer, row.fitted) for row in shift.deltas))


def _arms(rows: Sequence[DeltaRow]) -> list[tuple[str, int]]:
    return list(dict.fromkeys((row.arm, row.seed) for row in rows))


def _arm_text(arm: str, seed: int, *, several: bool) -> str:
    return arm_label(f"{arm} seed={seed}" if several else arm)


SIGNS = {"harm": "▼ harm", "gain": "▲", "open": "", "reversed": "(reversed)"}


def _table(shift: ShiftFile, observer: str, fitted: str) -> Table:
    """The cells of an observer: a row for every training and task, a column for every arm."""
    rows = [row for row in shift.deltas if (row.observer, row.fitted) == (observer, fitted)]
    arms = _arms(rows)
    several = len({row.seed for row in rows}) > 1
    found = {(row.training, row.task, row.arm, row.seed): row for row in rows}
    base = {
        (row.training, row.task, row.seed): row.auc
        for row in shift.rows
        if (row.observer, row.fitted) == (observer, fitted) and row.arm == "mse"
    }
    lines = []
    for training, task in dict.fromkeys((row.training, row.task) for row in rows):
        seed = next(row.seed for row in rows if (row.training, row.task) == (training, task))
        mse = base.get((training, task, seed))
        line = [task, training, "" if mse is None else interval(mse, 3)]
        for arm, of_seed in arms:
            row = found.get((training, task, arm, of_seed))
            text = "–" if row is None else f"{interval(row.delta, 3, signed=True)} {SIGNS[row.verdict]}".strip()
            line.append(text)
        lines.append(line)
    return Table(
        f"ΔAUC to MSE: {observer_text(observer, fitted)}",
        ["tested on", "trained for", "AUC after MSE", *(_arm_text(*arm, several=several) for arm in arms)],
        lines,
    )


def _quality_table(shift: ShiftFile) -> Table:
    rows = [row for row in shift.quality if row.rmse_ratio is not None]
    arms = list(dict.fromkeys((row.arm, row.seed) for row in rows))
    several = len({row.seed for row in rows}) > 1
    found = {(row.training, row.task, row.arm, row.seed): row.rmse_ratio for row in rows}
    lines = []
    for training, task in dict.fromkeys((row.training, row.task) for row in rows):
        ratios = (found.get((training, task, *arm)) for arm in arms)
        lines.append([task, training, *("–" if one is None else interval(one, 3) for one in ratios)])
    labels = [_arm_text(*arm, several=several) for arm in arms]
    return Table("RMSE over that of MSE", ["tested on", "trained for", *labels], lines)


def _task_table(shift: ShiftFile) -> Table:
    rows = [[task.name, "; ".join(task.changes) or "a training's own task", task.description] for task in shift.tasks]
    return Table("The tasks", ["task", "what it changes", "in words"], rows)


def _task_informed(arm: str) -> bool:
    """Whether an arm was trained for the task: with λ > 0, or as a price of a task path."""
    name = ArmName.parse(arm)
    return bool(name.task_weight) or name.price is not None


def _shown_observer(shift: ShiftFile) -> str:
    """The observer of the figure: behind an eye where there is one, as the one nearest to a reader."""
    names = [row.observer for row in shift.deltas if row.fitted == "fresh" and not row.observer.startswith("scan_")]
    return "ho_eye" if "ho_eye" in names else names[0]


def shift_figure(shift: ShiftFile, observer: str | None = None) -> Figure:
    """Draw the difference to MSE on every task, with its interval, for an observer fitted afresh there.

    A row for every training and task, with a mark for every arm; first training seed. Filled marks have an interval
    that does not hold 0.
    """
    observer = _shown_observer(shift) if observer is None else observer
    rows = [row for row in shift.deltas if (row.observer, row.fitted) == (observer, "fresh")]
    rows = [row for row in rows if row.seed == rows[0].seed]
    places = list(dict.fromkeys((row.training, row.task) for row in rows))
    several = len({training for training, _ in places}) > 1
    arms = list(dict.fromkeys(row.arm for row in rows))
    if len(arms) > MAX_SERIES:  # the control, and those with most λ or the largest price
        order = sorted(arms, key=lambda arm: (ArmName.parse(arm).task_weight or 0.0, ArmName.parse(arm).price or 0.0))
        arms = [order[0], *order[1 - MAX_SERIES :]]
    with style():
        figure = new_figure(7.2, 1.1 + 0.12 * len(places) * (len(arms) + 1))
        ax = figure.subplots()
        ax.axvline(0.0, color="0.6", linewidth=0.8)
        handles = []
        for number, arm in enumerate(arms):
            color, marker = COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)]
            for row in (row for row in rows if row.arm == arm):
                y = places.index((row.training, row.task)) * (len(arms) + 1) + number
                d = row.delta
                ax.plot([d.ci_low, d.ci_high], [y, y], color=color, linewidth=1.2)
                face = "white" if row.verdict in ("open", "reversed") else color
                ax.plot(d.value, y, marker=marker, color=color, markerfacecolor=face, markersize=5)
            label = figure_text(arm_label(arm))
            handles.append(Line2D([], [], color=color, marker=marker, linewidth=1.2, label=label))
        middle = (len(arms) - 1) / 2.0
        names = [f"{task} ← {training}" if several else task for training, task in places]
        ticks = [index * (len(arms) + 1) + middle for index in range(len(places))]
        ax.set_yticks(ticks, [figure_text(name) for name in names])
        ax.invert_yaxis()
        ax.set(xlabel=f"ΔAUC to MSE, {figure_text(observer_text(observer, 'fresh'))}")
        figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def deltas_csv(shift: ShiftFile) -> str:
    """`shift.csv`: a row for every difference, with the AUC that it is of."""
    header = [
        "training",
        "task",
        "arm",
        "seed",
        "observer",
        "fitted",
        "auc",
        "versus",
        "delta_auc",
        "ci_low",
        "ci_high",
    ]
    auc = {(r.training, r.task, r.arm, r.seed, r.observer, r.fitted): r.auc.value for r in shift.rows}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*header, "p_value", "p_holm", "verdict"])
    for r in shift.deltas:
        key = r.training, r.task, r.arm, r.seed, r.observer, r.fitted
        numbers = (f"{x:.6g}" for x in (r.delta.value, r.delta.ci_low, r.delta.ci_high))
        p = ("" if x is None else f"{x:.4g}" for x in (r.p_value, r.p_holm))
        writer.writerow([*key, f"{auc[key]:.6g}", r.versus, *numbers, *p, r.verdict])
    return out.getvalue()
