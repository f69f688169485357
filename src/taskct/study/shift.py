"""Task shift: what becomes of a denoiser's gain where the task is another one than it was trained for."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct import __version__
from taskct.config import Settings
from taskct.config.tree import LOCALIZE
from taskct.denoisers.denoiser import denoise
from taskct.errors import UserError
from taskct.metrics.comparisons import holm
from taskct.metrics.image_quality import mse_hu2
from taskct.metrics.intervals import Interval
from taskct.metrics.lroc import correct_localization, lroc_ratings
from taskct.names import JOINT, LOW_DOSE, MSE
from taskct.observers.base import Observer
from taskct.observers.fresh import Eye, Fitted, decided, each_alone, observer_told, small_samples
from taskct.observers.scanning import Scanning
from taskct.seeds import derive_seed
from taskct.simulation.describe import describe
from taskct.study.arms import Arm, arms_of, override
from taskct.study.changes import differences
from taskct.study.evaluate import SPLITS_SEEN, fit_fresh
from taskct.study.groups import group_of
from taskct.study.models import denoiser_of_arm, head_statistic, load_head
from taskct.study.records import read_record
from taskct.study.resampling import CONFIDENCE, Resampling, interval_json, unit_of
from taskct.study.run_folder import RunFolder
from taskct.trials.trials import Trials

SEARCHER = "cho_lg"
"""The observer that searches where a test task asks for the place: the scanning CHO of Gifford et al."""

SCANNING = f"scan_{SEARCHER}"

FROZEN = "frozen/"
"""Before the name of an observer that was fitted on the images of the training's own task."""

SMALLEST_WINDOW = 7
"""Least side of the window of a searching observer, pixels."""

Splits = Mapping[str, Trials]
Scores = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class ShiftTask:
    """A task on whose trials denoisers are tested."""

    name: str
    settings: Settings
    """A study's, with what the task changes."""
    changes: tuple[str, ...] = ()
    """Settings that differ from the study's, each as `name OLD → NEW`; none for the task of a training itself."""
    localize_mm: float | None = None
    """A signal counts only if its place is found within this distance, too, mm; None where detection is asked for."""

    @property
    def description(self) -> str:
        """The task in words."""
        where = "" if self.localize_mm is None else f" Its place must be found within {self.localize_mm:g} mm."
        return describe(self.settings) + where


def tasks_of(study: Settings) -> list[ShiftTask]:
    """The test tasks that a study names in `tests`; a `UserError` if one does not make a study, or searches in vain."""
    plain = study.model_copy(update={"tests": {}, "grid": {}})
    tasks = []
    for name, given in study.tests.items():
        changes, place = dict(given), given.get(LOCALIZE)
        changes.pop(LOCALIZE, None)
        try:
            settings = override(plain, tuple(changes.items()))
        except UserError as error:
            raise UserError(f"tests.{name}: {error}") from None
        if place is not None:
            if isinstance(place, bool) or not isinstance(place, int | float) or not 0 < place <= 100:
                raise UserError(f"tests.{name}.{LOCALIZE} is {place!r}: give a distance above 0 and at most 100 mm")
            _window(settings, name)
            place = float(place)
        tasks.append(ShiftTask(name, settings, tuple(differences(plain, settings)), place))
    return tasks


def _window(settings: Settings, name: str) -> int:
    """Side of the window of a searching observer: it fits about every place that a signal may have, pixels."""
    pixel_mm = settings.scanner.pixel_mm
    reach = settings.signal.position_mm
    if settings.signal.site == "list":
        reach = max(abs(offset) for site in settings.signal.sites_mm for offset in site)
    side = settings.trials.region_pixels - 2 * int(np.ceil(reach / pixel_mm))
    side -= 1 - side % 2  # odd, so that it has a middle
    if side < SMALLEST_WINDOW:
        raise UserError(
            f"tests.{name}: places up to {reach:g} mm from the middle leave a searching observer a window of {side} "
            f"pixels in a region of {settings.trials.region_pixels}; it needs {SMALLEST_WINDOW}: lower "
            "signal.position_mm, or enlarge trials.region_pixels"
        )
    return side


def arms_tested(settings: Settings, names: Sequence[str] = ()) -> list[Arm]:
    """The arms of a study that are tested: low-dose, MSE, and every λ of its own settings, or those named beside MSE.

    A `UserError` if a name is none of an arm that has a network of its own.
    """
    arms = [arm for arm in arms_of(settings) if arm.name == LOW_DOSE or arm.pretrained or arm.swept]
    known = list(dict.fromkeys(arm.name for arm in arms))
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"no arm {unknown[0]!r} can be tested on other tasks: choose of {', '.join(known)}")
    first = settings.training.seeds[0]
    wanted = {*names, *(arm.start.name for arm in arms if arm.name in names), MSE, LOW_DOSE}
    return [
        arm
        for arm in arms
        if (arm.name in wanted if names else not arm.overrides) and (arm.name != LOW_DOSE or arm.seed == first)
    ]


@dataclass
class Training:
    """A finished run whose denoisers are tested."""

    name: str
    run: RunFolder
    arms: list[Arm]

    @cached_property
    def splits(self) -> dict[str, Trials]:
        """Trials of its own task."""
        return {name: self.run.read(name) for name in SPLITS_SEEN}

    def identity(self, arm: Arm) -> str:
        """What the images of an arm depend on: the record of the stage that trained it."""
        record = read_record(self.run.path, arm.stage or "simulate") or {}
        return f"{record.get('key')} {record.get('finished')}"

    def images(self, arm: Arm, splits: Splits) -> dict[str, NDArray[np.float32]]:
        """An arm's images of any trials, HU."""
        if arm.name == LOW_DOSE:
            return {name: trials.noisy_regions for name, trials in splits.items()}
        denoiser, card = denoiser_of_arm(self.run, arm)
        how: dict[str, Any] = {"device": self.run.device, "dtype": str(card["dtype"])}
        return {name: denoise(denoiser, one.noisy, margin=one.margin, **how) for name, one in splits.items()}

    def fit(self, arm: Arm) -> dict[str, Fitted]:
        """Observers fitted on an arm's images of its own task."""
        images = self.images(arm, self.splits)
        return fit_fresh(self.run.settings, images, self.splits, device=self.run.device)[0]


@dataclass(frozen=True)
class Cell:
    """What an arm of a training does on the test trials of a task."""

    scores: Scores
    """Test statistics `(n_test,)`, or ratings whose AUC is the LROC area, by observer: fresh ones by their name, those
    fitted on the training's own task after `FROZEN`, the jointly trained one, and one that searches."""
    mse_hu2: NDArray[np.float64]
    """`(n_test,)`."""
    notes: dict[str, str]
    """Why an observer is missing, or what is to be known of it, by name."""


def cell_key(training: Training, arm: Arm, task: ShiftTask, trials_key: str) -> str:
    """Hash of all that a cell depends on."""
    tree = training.run.settings.model_dump(mode="json", include={"observers", "signal", "seed"})
    content = [__version__, training.identity(arm), str(arm.identity), trials_key, task.localize_mm, tree]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def evaluate_cell(training: Training, arm: Arm, task: ShiftTask, splits: Splits, frozen: Mapping[str, Fitted]) -> Cell:
    """Test an arm of a training on the trials of a task: its observers are fitted afresh there.

    `frozen` are observers of the training's own task, applied as they are where the pixels are as large.
    """
    run, test = training.run, splits["test"]
    # The observers are those of the training's study; the task is the test's.
    settings = task.settings.model_copy(update={"observers": run.settings.observers})
    images, present = training.images(arm, splits), test.signal_present
    fresh, failed = fit_fresh(settings, images, dict(splits), device=run.device)
    observers: dict[str, Observer] = {name: one.observer for name, one in fresh.items()}
    if settings.scanner.pixel_mm == run.settings.scanner.pixel_mm:
        observers |= {FROZEN + name: one.observer for name, one in frozen.items()}
    scores, undecided = each_alone(observers, lambda name: decided(observers[name], images["test"], present))
    if arm.trained and arm.head is not None and arm.settings(run.settings).training.head_per == "study":
        group = group_of(arm.settings(run.settings), test)
        seed = derive_seed(run.settings.seed, "evaluate", "internal noise", "test")
        scores[JOINT] = head_statistic(load_head(run, arm), images["test"], group, seed=seed)
    notes = {name: "; ".join(one.notes) for name, one in fresh.items() if one.notes} | failed | undecided
    if task.localize_mm is not None:
        with small_samples() as said:
            scores[SCANNING] = _search(settings, task, splits, images)
        if said:
            notes[SCANNING] = "; ".join(said)
    return Cell(scores, mse_hu2(images["test"], test.reference_regions), notes)


def _search(
    settings: Settings, task: ShiftTask, splits: Splits, images: Mapping[str, NDArray[np.float32]]
) -> NDArray[np.float64]:
    """Ratings of the test trials whose AUC is the LROC area of a searching observer."""
    o, pixel_mm = settings.observers, settings.scanner.pixel_mm
    eye = Eye(pixel_mm, o.viewing_distance_mm, o.magnification, o.internal_noise_hu)
    observer = observer_told(SEARCHER, eye, seed=settings.seed)
    scanning = Scanning(observer, size_px=_window(settings, task.name), seed=settings.seed)
    scanning.fit(images["fresh"], splits["fresh"].signal_present, _places_px(splits["fresh"], settings))
    test = splits["test"]
    statistic, found = scanning.locate(images["test"])
    present = test.signal_present
    correct = correct_localization(
        found[present],
        _places_px(test, settings)[present],
        radius_mm=float(task.localize_mm or 0.0),
        pixel_mm=pixel_mm,
    )
    ratings = statistic.copy()
    ratings[present] = lroc_ratings(statistic[present], statistic[~present], correct)
    return ratings


def _places_px(trials: Trials, settings: Settings) -> NDArray[np.float64]:
    """Where a trial's signal is, or might have been: (row, column) in the region, pixels, `(n, 2)`."""
    middle = (settings.trials.region_pixels - 1) / 2.0
    place = np.stack([trials.truth["y_mm"], trials.truth["x_mm"]], axis=1) / settings.scanner.pixel_mm
    return np.asarray(place + middle, dtype=np.float64)


def as_told(name: str) -> tuple[str, str]:
    """An observer of a cell as the files have it: its name, and what it was fitted on.

    >>> as_told("ho"), as_told("frozen/ho"), as_told("slnn_joint")
    (('ho', 'fresh'), ('ho', 'frozen'), ('slnn_joint', 'joint'))
    """
    if name.startswith(FROZEN):
        return name.removeprefix(FROZEN), "frozen"
    return name, "joint" if name == JOINT else "fresh"


def shift_rows(
    training: Training, task: ShiftTask, test: Trials, cells: Mapping[Arm, Cell]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """The cells of a training and a task as `shift.json` has them: AUCs, their differences to MSE, and RMSE.

    Intervals are over the unit of the test trials of the task; a difference is paired; see `_verdict`.
    """
    unit, resampling = unit_of(test), Resampling.of(test, task.settings)
    place = {"training": training.name, "task": task.name}
    rows, deltas, quality = list[dict[str, Any]](), list[dict[str, Any]](), list[dict[str, Any]]()
    for arm, cell in cells.items():
        of_arm = place | {"arm": arm.name, "seed": arm.seed}
        base = None if arm.name == LOW_DOSE or arm.pretrained else cells.get(arm.start)
        for name, scores in cell.scores.items():
            observer, fitted = as_told(name)
            what = of_arm | {"observer": observer, "fitted": fitted}
            rows.append(what | {"auc": interval_json(unit.auc(scores))})
            if base is not None and name in base.scores:
                d = unit.auc_difference(np.stack([scores, base.scores[name]]))
                delta = Interval(d.delta_auc, d.ci_low, d.ci_high)
                verdict = _verdict(delta, unit.auc(base.scores[name]), chance=0.0 if name == SCANNING else 0.5)
                p_value = d.p_value if np.isfinite(d.p_value) else None
                versus = str(arm.start.identity.of_seed(None))
                row = what | {"versus": versus, "delta": interval_json(delta), "p_value": p_value}
                deltas.append(row | {"verdict": verdict})
        rmse = resampling.interval(cell.mse_hu2, np.sqrt)
        ratio = None
        if base is not None:
            pair = np.stack([cell.mse_hu2, base.mse_hu2], axis=1)
            ratio = interval_json(resampling.interval(pair, lambda m: np.sqrt(m[:, 0] / m[:, 1])))
        quality.append(of_arm | {"rmse_hu": interval_json(rmse), "rmse_ratio": ratio})
    return rows, deltas, quality


def _verdict(delta: Interval, base: Interval, *, chance: float) -> str:
    """What a difference to MSE says: "harm" where the whole interval lies below 0, "gain" where it lies above.

    "open" where it holds 0, and "reversed" where the observer rates MSE images worse than by chance: it looks for the
    opposite, and more of it would be no gain.

    >>> _verdict(Interval(-0.02, -0.03, -0.01), Interval(0.7, 0.68, 0.72), chance=0.5)
    'harm'
    >>> _verdict(Interval(0.02, 0.01, 0.03), Interval(0.34, 0.32, 0.36), chance=0.5)
    'reversed'
    """
    if base.ci_high < chance:
        return "reversed"
    return "harm" if delta.ci_high < 0 else "gain" if delta.ci_low > 0 else "open"


def with_adjusted(deltas: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Differences with the p-value that Holm's procedure makes of theirs, over all cells of an observer, `p_holm`."""
    told = [dict(row) for row in deltas]
    for row in told:
        row["p_holm"] = None
    for family in dict.fromkeys((row["observer"], row["fitted"]) for row in told):
        rated = [r for r in told if (r["observer"], r["fitted"]) == family and r["p_value"] is not None]
        for row, adjusted in zip(rated, holm([row["p_value"] for row in rated]), strict=True):
            row["p_holm"] = float(adjusted)
    return told


def shift_json(
    trainings: Sequence[Training],
    tasks: Sequence[ShiftTask],
    tables: Iterable[tuple[Any, Any, Any]],
    notes: Iterable[Mapping[str, str]],
) -> dict[str, Any]:
    """`shift.json`, of what `shift_rows` gave for every training and task, and the notes of all cells."""
    told: dict[str, str] = {}
    for of_cell in notes:
        told |= {name: text for name, text in of_cell.items() if name not in told}
    rows, deltas, quality = list[Any](), list[Any](), list[Any]()
    for table in tables:
        for all_of, some in zip((rows, deltas, quality), table, strict=True):
            all_of.extend(some)
    t = tasks[0].settings.trials
    return {
        "schema": 1,
        "confidence": CONFIDENCE,
        "n_trials": {"validation": t.n_validation, "fresh": t.n_fresh, "test": t.n_test},
        "trainings": [{"name": one.name, "study": one.run.settings.name} for one in trainings],
        "tasks": [
            {
                "name": task.name,
                "changes": list(task.changes),
                "localize_mm": task.localize_mm,
                "description": task.description,
            }
            for task in tasks
        ],
        "rows": rows,
        "deltas": with_adjusted(deltas),
        "quality": quality,
        "notes": told,
    }
