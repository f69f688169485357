"""What a study varies in its training: AUC and RMSE against depth, fine-tuned layers, training trials or seeds."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from taskct.literal import figure_text
from taskct.metrics.intervals import Interval
from taskct.names import ArmName, setting_text
from taskct.report.families import BLACK, BLUE, GREEN, GREY, ORANGE, PINK
from taskct.report.figures import new_figure, style
from taskct.report.labels import observer_label
from taskct.report.run import Run
from taskct.report.schema import ArmFigures

SEEDS = "training.seeds"
TITLES = {
    "denoiser.arguments.n_layers": "layers of the network",
    "denoiser.arguments.n_channels": "channels of the network",
    "training.trainable": "what is fine-tuned",
    "training.n_trials": "training trials of the denoiser",
    "training.finetune_learning_rate": "learning rate of fine-tuning",
    SEEDS: "training seed",
}
WHEN_NULL = {"training.n_trials": "trials.n_train"}
"""What a null of a setting stands for."""

LOGARITHMIC = 8.0
"""Values that span more than this ratio are drawn on a logarithmic axis."""

COLORS = (GREY, BLUE, ORANGE, GREEN, PINK, BLACK)
MARKERS = "so^Dvp"
COMPARED = ("mse", "lambda", "path")
"""Kinds of arms that have a place on an axis."""


@dataclass(frozen=True)
class Value:
    """A value of an axis."""

    text: str
    place: float
    """Where it stands: the value itself where all are numbers, else its turn."""


@dataclass(frozen=True)
class AxisPoint:
    """An arm at a value of an axis, one observer."""

    axis: str
    """Dotted name of the setting."""
    value: str
    place: float
    arm: str
    """Its name without the setting of this axis, so that what belongs to one line is called alike."""
    seed: int
    observer: str
    auc: Interval
    """In the limit of many training trials of the observer where that is known, else at the study's."""
    in_the_limit: bool
    delta_auc: Interval | None
    """AUC less that of the control (λ = 0 with all else alike) on the same trials; None without a control."""
    rmse_hu: Interval


@dataclass(frozen=True)
class Axis:
    """A setting that a study varies, and what was measured at its values."""

    name: str
    points: list[AxisPoint]
    numeric: bool

    @property
    def title(self) -> str:
        """The setting in words, where there are some."""
        return TITLES.get(self.name, self.name)

    @property
    def lines(self) -> list[tuple[str, int]]:
        """Arm and seed of every line; along the seeds a line is an arm."""
        return list(dict.fromkeys((point.arm, 0 if self.name == SEEDS else point.seed) for point in self.points))


def axes_of(run: Run) -> list[Axis]:
    """Every setting of training or network that the study varies, with the arms that differ in it alone.

    Those are the settings of the grid, each with the others as the study has them, and the training seeds where there
    are several. Low-dose images, filters and blends have no place on them: their settings are those of others.
    """
    grid: Mapping[str, Any] = run.settings.get("grid") or {}
    found = [_axis(run, name, list(values)) for name, values in grid.items()]
    if len(run.seeds) > 1:
        found.append(_seed_axis(run))
    return [axis for axis in found if len({point.value for point in axis.points}) > 1]


def _axis(run: Run, name: str, values: list[Any]) -> Axis:
    own = _setting(run.settings, name)
    values = [value for value in values if value is not None]
    base = _setting(run.settings, WHEN_NULL[name]) if own is None and name in WHEN_NULL else own
    texts = [_text(value) for value in values]
    if base is not None and _text(base) not in texts:
        texts.append(_text(base))
    places, numeric = _places(texts)
    keys = {".".join(name.split(".")[-n:]) for n in (1, 2)}  # as the names of variants have it
    points = []
    for arm in run.summary.arms:
        parsed = ArmName.parse(arm.name)
        pairs = dict(parsed.variant)
        here = [pairs.pop(key) for key in keys & set(pairs)]
        if parsed.kind not in COMPARED or pairs or (not here and base is None):
            continue
        text = here[0] if here else _text(base)
        if text in places:
            line = str(replace(parsed, variant=(), seed=None))
            points += _points(run, arm, name, Value(text, places[text]), line)
    return Axis(name, _with_shared(name, points, places), numeric)


def _with_shared(name: str, points: list[AxisPoint], places: Mapping[str, float]) -> list[AxisPoint]:
    """Points in order; a network that all values of an axis share, as one pretraining, stands at each of them."""
    found = list(points)
    for line in {(point.arm, point.seed, point.observer) for point in points}:
        mine = [point for point in points if (point.arm, point.seed, point.observer) == line]
        if len(mine) == 1 and line[0] == "mse":
            others = ((text, place) for text, place in places.items() if text != mine[0].value)
            found += [replace(mine[0], value=text, place=place) for text, place in others]
    return sorted(found, key=lambda point: (point.axis, point.arm, point.seed, point.observer, point.place))


def _seed_axis(run: Run) -> Axis:
    points = []
    for arm in run.summary.arms:
        parsed = ArmName.parse(arm.name)
        if parsed.kind in COMPARED and not parsed.variant:
            points += _points(run, arm, SEEDS, Value(str(arm.seed), float(run.seeds.index(arm.seed))), arm.name)
    return Axis(SEEDS, points, numeric=False)


def _points(run: Run, arm: ArmFigures, axis: str, value: Value, line: str) -> list[AxisPoint]:
    found, control = [], str(ArmName.parse(arm.name).control)
    for observer, auc in arm.observers.items():
        delta = run.quoted_delta(arm.name, control, observer, arm.seed) if arm.lambda_ or arm.price else None
        quoted = run.quoted_auc(arm.name, observer, arm.seed)
        found.append(
            AxisPoint(
                axis=axis,
                value=value.text,
                place=value.place,
                arm=line,
                seed=arm.seed,
                observer=observer,
                auc=auc if quoted is None else quoted.interval,
                in_the_limit=quoted is not None and quoted.in_limit,
                delta_auc=None if delta is None else delta.interval,
                rmse_hu=arm.image_quality.rmse_hu,
            )
        )
    return found


def _setting(settings: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - whatever YAML holds
    value: Any = settings
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _text(value: object) -> str:
    """A value as the names of arms have it."""
    return setting_text(value) if isinstance(value, float) else re.sub(r"\s+", "", str(value))


def _places(texts: list[str]) -> tuple[dict[str, float], bool]:
    """Where values stand along an axis, and whether as numbers.

    Numbers stand at themselves; first:K and last:K in the order of K, with "all" at the end; others in their order.

    >>> _places(["all", "last:2", "last:1"])
    ({'last:1': 0.0, 'last:2': 1.0, 'all': 2.0}, False)
    >>> _places(["5", "3"])
    ({'3': 3.0, '5': 5.0}, True)
    """
    try:
        return dict(sorted(((text, float(text)) for text in texts), key=lambda pair: pair[1])), True
    except ValueError:
        pass
    counted = {text: int(found[1]) for text in texts if (found := re.fullmatch(r"(?:first|last):(\d+)", text))}
    order = sorted(texts, key=lambda text: counted.get(text, 10**6 if text == "all" else 0))
    return {text: float(place) for place, text in enumerate(order)}, False


def axes_rows(run: Run) -> list[dict[str, Any]]:
    """Every point of every axis as a row of numbers, for a table of one's own."""
    rows = []
    for axis in axes_of(run):
        for point in axis.points:
            row = asdict(point)
            for name in ("auc", "delta_auc", "rmse_hu"):
                own = row.pop(name) or {"value": None, "ci_low": None, "ci_high": None}
                row |= {name: own["value"], f"{name}_low": own["ci_low"], f"{name}_high": own["ci_high"]}
            rows.append(row)
    return rows


def axis_figure(run: Run, axis: Axis, observer: str) -> Figure:
    """Draw AUC, its difference to the control and RMSE against an axis: a line with intervals for every arm and seed.

    Parameters
    ----------
    run
        A loaded run.
    axis
        Of `axes_of`.
    observer
        Whose AUC.
    """
    with style():
        figure = new_figure(9.6, 3.2)
        left, middle, right = figure.subplots(1, 3)
        middle.axhline(0.0, color="0.7", linewidth=0.8)
        arms = sorted({arm for arm, _ in axis.lines}, key=_rank)
        for number, arm in enumerate(arms):
            marker = MARKERS[(number + number // len(COLORS)) % len(MARKERS)]
            look: dict[str, Any] = {"color": COLORS[number % len(COLORS)], "marker": marker}
            seeds = list(dict.fromkeys(seed for name, seed in axis.lines if name == arm))
            for seed in seeds:
                mine = [
                    point
                    for point in axis.points
                    if point.arm == arm and point.observer == observer and (axis.name == SEEDS or point.seed == seed)
                ]
                label = figure_text(run.label(arm)) if seed == seeds[0] else None
                _draw(left, axis, mine, [point.auc for point in mine], label, look)
                compared = [point for point in mine if point.delta_auc is not None]
                _draw(middle, axis, compared, [p.delta_auc for p in compared if p.delta_auc is not None], None, look)
                _draw(right, axis, mine, [point.rmse_hu for point in mine], None, look)
        limit = any(point.in_the_limit for point in axis.points if point.observer == observer)
        left.set_ylabel(f"AUC, {figure_text(observer_label(observer))}" + (", many trials" if limit else ""))
        middle.set_ylabel("ΔAUC to λ = 0")
        right.set_ylabel("RMSE (HU)")
        for ax in (left, middle, right):
            _dress(ax, axis)
        if arms:
            left.legend(frameon=False, fontsize=8)
    return figure


def _rank(arm: str) -> tuple[int, float]:
    """MSE first, then by λ, then by price."""
    name = ArmName.parse(arm)
    return COMPARED.index(name.kind), name.task_weight or name.price or 0.0


def _draw(
    ax: Axes, axis: Axis, points: list[AxisPoint], values: list[Interval], label: str | None, look: Mapping[str, Any]
) -> None:
    x, y = [point.place for point in points], [one.value for one in values]
    # Resampling may put a bound a hair beyond the value.
    below = [max(one.value - one.ci_low, 0.0) for one in values]
    above = [max(one.ci_high - one.value, 0.0) for one in values]
    line = "none" if axis.name == SEEDS else "-"
    ax.errorbar(x, y, yerr=[below, above], label=label, linestyle=line, linewidth=1.1, markersize=4, capsize=2, **look)


def _dress(ax: Axes, axis: Axis) -> None:
    ax.set_xlabel(figure_text(axis.title))
    places = dict(sorted({(point.value, point.place) for point in axis.points}, key=lambda pair: pair[1]))
    span = list(places.values())
    ratios = [b / a for a, b in pairwise(span) if a > 0]
    if axis.numeric and len(ratios) == len(span) - 1 and span[-1] / span[0] > LOGARITHMIC:
        ax.set_xscale("log")
        ax.minorticks_off()
    ax.set_xticks(span, [figure_text(text) for text in places])
