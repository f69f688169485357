"""What the page's script works with: arms, intervals, ROC curves and the plan of the images, as JSON has them."""

from typing import Any

import numpy as np

from taskct.literal import shown
from taskct.metrics.intervals import Interval
from taskct.metrics.roc import roc_curve
from taskct.names import LOW_DOSE
from taskct.report.contrast import polarity
from taskct.report.families import (
    DASHES,
    SYMBOLS,
    VIOLET,
    Family,
    arm_of_seed,
    families,
    main_observer,
    quoted_arms,
    short_label,
)
from taskct.report.front import FRONT_LABEL, front_shown, steps
from taskct.report.images import Raw, ring_of
from taskct.report.labels import observer_label
from taskct.report.mixtures import PriceLaw, mixture_of, price_law
from taskct.report.run import Floats, Run
from taskct.report.schema import ArmFigures
from taskct.report.tradeoff import AXES, auc_axis

_ROC_NUMBERS = 400_000  # of all curves together: about 2 MB of the page
_ROC_POINTS = 20, 120  # fewest and most of one curve
_ROC_SCALE = 10_000


def live_data(run: Run, raw: Raw) -> dict[str, Any]:
    """Everything that the page's script shows, in JSON's kinds; text is as a page may show it."""
    position = {(arm.name, arm.seed): i for i, arm in enumerate(run.summary.arms)}
    n_curves = max(1, len(run.scores))
    n_points = min(max(_ROC_NUMBERS // (2 * n_curves), _ROC_POINTS[0]), _ROC_POINTS[1])
    quoted = quoted_arms(run)
    data = {
        "seeds": run.seeds,
        "seed": run.seed,
        "observer": main_observer(run),
        "observers": [{"key": o, "label": observer_label(o), "axis": auc_axis(run, o)} for o in run.drawn_observers],
        "measures": [{"key": key, "label": label} for key, label in AXES.items()],
        "arms": [_arm(run, arm, n_points) for arm in run.summary.arms],
        "families": [_family(family) for family in families(run)],
        "series": {str(seed): _series(run, position, seed) for seed in run.seeds},
        "fronts": {o: found for o in run.observers if (found := _front(run, o)) is not None},
        "front": {"label": FRONT_LABEL, "color": VIOLET},
        "lowDose": position[LOW_DOSE, run.arm(LOW_DOSE).seed],
        "control": run.tradeoff.control,
        "chosen": run.choices.chosen_arm,
        "quoted": [name for name in quoted if name != run.tradeoff.control],
        "rocScale": _ROC_SCALE,
        "images": _images(run, raw),
    }
    literal: dict[str, Any] = _literal(data)
    return literal


def _literal(value: object) -> Any:  # noqa: ANN401 - of JSON's kinds
    """The same with every text as a page may show it."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, dict):
        return {_literal(key): _literal(one) for key, one in value.items()}
    return [_literal(one) for one in value] if isinstance(value, list) else value


def _arm(run: Run, arm: ArmFigures, n_points: int) -> dict[str, Any]:
    quality = arm.image_quality
    aucs = {o: run.quoted_auc(arm.name, o, arm.seed) for o in run.observers}
    return {
        "name": arm.name,
        "label": run.label(arm.name),
        "short": short_label(arm.name),
        "seed": arm.seed,
        **{key: _three(getattr(quality, key)) for key in AXES},
        "auc": {o: [*_three(found.interval), int(found.in_limit)] for o, found in aucs.items() if found is not None},
        "atN": {o: _three(found) for o, found in arm.observers.items()},
        "roc": {o: _roc(run, arm, o, n_points) for o in arm.observers},
    }


def _three(found: Interval) -> list[float]:
    return [float(f"{value:.6g}") for value in (found.value, found.ci_low, found.ci_high)]


def _roc(run: Run, arm: ArmFigures, observer: str, n_points: int) -> list[list[int]]:
    """False-positive and true-positive fractions of a thinned curve, in steps of 1 / `_ROC_SCALE`."""
    score = run.scores[arm.name, arm.seed, observer]
    fpf, tpf = roc_curve(score.present, score.absent)
    keep = np.unique(np.linspace(0, len(fpf) - 1, n_points).round().astype(int))

    def steps(fractions: Floats) -> list[int]:
        found: list[int] = np.rint(fractions[keep] * _ROC_SCALE).astype(int).tolist()
        return found

    return [steps(fpf), steps(tpf)]


def _family(family: Family) -> dict[str, Any]:
    look = family.look
    return {
        "label": family.label,
        "color": look.color,
        "symbol": SYMBOLS[look.marker],
        "dash": DASHES[look.line],
        "line": bool(look.line),
    }


def _series(run: Run, position: dict[tuple[str, int], int], seed: int) -> list[dict[str, list[int]]]:
    """Positions of each family's arms, and of those that its line runs through, of one seed."""
    found = []
    for family in families(run):
        parts = {}
        for key, names in (("arms", family.names), ("line", family.line)):
            arms = [arm for name in names if (arm := arm_of_seed(run, name, seed)) is not None]
            parts[key] = [position[arm.name, arm.seed] for arm in arms]
        found.append(parts)
    return found


def _front(run: Run, observer: str) -> list[list[float]] | None:
    """RMSE, AUC and the band's ends where each step of the front begins, quoted seed; None where none is shown."""
    front = front_shown(run, observer)
    if front is None:
        return None
    found = steps(front)
    rows = np.stack([found.rmse_hu, found.auc, found.low, found.high], axis=1)
    return [[float(f"{value:.6g}") for value in row] for row in rows]


def _images(run: Run, raw: Raw) -> dict[str, Any]:
    examples, task = run.examples, run.task
    names = [LOW_DOSE, *raw.arms]
    centre, width = task.window_hu
    return {
        "height": examples.reference.shape[1],
        "width": examples.reference.shape[2],
        "step": raw.step_hu,
        "pixelMm": task.pixel_mm,
        "window": [centre, width],
        "differenceWindow": task.difference_window_hu,
        "discPx": run.false_signals.disc_mm / task.pixel_mm,
        "thresholdHu": run.false_signals.threshold_hu,
        "names": names,
        "labels": [run.label(name) for name in names],
        "trials": [_trial(run, trial) for trial in raw.trials],
        "dials": _dials(run, names),
        "leftOut": raw.left_out,
    }


def _trial(run: Run, trial: int) -> dict[str, Any]:
    examples = run.examples
    return {
        "number": int(examples.trial[trial]),
        "present": bool(examples.signal_present[trial]),
        "ring": ring_of(examples, trial),
        "radius": float(examples.diameter_px[trial]) / 2.0,
        "polarity": polarity(run),
        "why": examples.why[trial] if examples.why else "first",
    }


def _dials(run: Run, names: list[str]) -> list[dict[str, Any]]:
    """Task paths and blends whose two ends have images: the arms along each, and what its slider stands for.

    A blend's slider is its α. A task path's is a price in percent of RMSE, which the law turns into a share of the end.
    """
    found = []
    position = {(arm.name, arm.seed): i for i, arm in enumerate(run.summary.arms)}
    for family in families(run):
        mixed = [one for name in family.names if (one := mixture_of(run, name)) is not None]
        if not mixed or not {mixed[0].start, mixed[0].end} <= set(names):
            continue
        start, end, law = mixed[0].start, mixed[0].end, _law(run, mixed[0].end)
        line = [arm for name in family.line if (arm := arm_of_seed(run, name, run.seed)) is not None]
        arms = [(arm, share) for arm in line if (share := _share(run, arm.name, (start, end))) is not None]
        found.append(
            {
                "label": family.label,
                "ends": [names.index(start), names.index(end)],
                "arms": [position[arm.name, arm.seed] for arm, _ in arms],
                "at": [share if law is None else float(f"{100 * (arm.price or 0.0):.6g}") for arm, share in arms],
                "shares": [share for _, share in arms],
                "law": None if law is None else {"linear": law.linear, "square": law.square},
            }
        )
    return sorted(found, key=lambda dial: dial["law"] is None)


def _law(run: Run, end: str) -> PriceLaw | None:
    """The law of the task path that ends at an arm; None for a blend."""
    rows = run.path_points(end)
    strength = next((row.strength for row in rows if row.arm == end), None)
    return None if strength is None else price_law(rows, strength)


def _share(run: Run, name: str, ends: tuple[str, str]) -> float | None:
    """How much of a dial's end an arm has: 0 at the control, 1 at the end; None where it is not mixed of them."""
    if name in ends:
        return float(ends.index(name))
    mixed = mixture_of(run, name)
    return mixed.share if mixed is not None and (mixed.start, mixed.end) == ends else None
