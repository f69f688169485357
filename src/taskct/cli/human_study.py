"""An observer fitted to the readers of a reading study: what they did, and the images that the model learns from."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from taskct.apply.human.decisions import Decided, ModelTrials, decide, decide_crossed, notes_of
from taskct.apply.human.fit import FitPlan, HumanFit
from taskct.apply.human.people import Condition, People
from taskct.denoisers.import_path import trust_network
from taskct.errors import UserError
from taskct.io.truth_table import Truth
from taskct.metrics.reader_counts import ReaderCounts, hanley_mcneil_pairs, shared_covariance
from taskct.metrics.roc import auc
from taskct.reading_room.answers import ANSWERS, AnswerBook
from taskct.reading_room.folder import StudyFolder
from taskct.reading_room.key import Key
from taskct.reading_room.results import ReadingResults, results_of

if TYPE_CHECKING:
    from taskct.cli.human import KeepOptions, ModelOptions, PeopleOptions
    from taskct.observers.internal_noise import FittedNoise
    from taskct.progress import Progress


@dataclass(frozen=True)
class _Place:
    """A condition of a reading study: an arm, and a stratum of its signals."""

    arm: str
    group: str
    """Empty for all."""

    @property
    def name(self) -> str:
        return f"{self.arm}, {self.group}" if self.group else self.arm


@dataclass(frozen=True)
class Crossing:
    """How a model is cross-validated on the images of a study."""

    noise: "FittedNoise"
    n_folds: int
    seed: int
    progress: "Progress"


def fit_to_study(
    people: "PeopleOptions", model: "ModelOptions", plan: FitPlan, keep: "KeepOptions", progress: "Progress"
) -> HumanFit:
    """Fit an observer to the readers of a study, by arm and stratum.

    With the run that the study was made of, the observer learns from its fresh trials and is tested on its test trials;
    without, it is cross-validated on the study's own images. A `UserError` says that the study asks for no choice and
    no confidence, that nobody has answered, or that the run is another one.
    """
    study = StudyFolder.open(people.source)
    if study.protocol.design not in ("2afc", "4afc", "rating"):
        raise UserError(
            f"{people.source} has the design {study.protocol.design}; an observer is fitted to forced choice (2afc, "
            "4afc) or to confidence (rating)"
        )
    key = study.read_key()
    with AnswerBook(people.source / ANSWERS, read_only=True) as book:
        book.check_study(study.digest)
        results = results_of(study.protocol, key, book.answers())
    places = [_Place(arm, group) for arm in results.arms for group in _groups(results)]
    told = _people(study, key, results, places)
    size = model.pixel_mm or study.protocol.pixel_mm
    from taskct.cli.human import model_of

    noise = model_of(model, size, (study.protocol.height, study.protocol.width))
    if people.run is None:
        decided = _of_own_images(study, key, places, Crossing(noise, model.folds, plan.seed, progress))
    else:
        trust_network(*keep.trust or ())
        shows = functools.partial(_shows_study, study, key)
        decided = _of_run(people.run, places, noise, shows, (keep.device, progress))
    notes = notes_of({place.name: one for place, one in zip(places, decided, strict=True)})
    if not results.complete:
        notes.append("some trials are not answered yet: the fit is of those that are")
    return HumanFit(told, noise, [one.decisions for one in decided], plan=plan, notes=notes)


def _groups(results: ReadingResults) -> list[str]:
    """The strata of trials with a signal; one without a name where there are no several."""
    found = sorted({g for g, present in zip(results.groups, results.signal_present, strict=True) if present})
    return found if len(found) > 1 else [""]


def _people(study: StudyFolder, key: Key, results: ReadingResults, places: list[_Place]) -> People:
    """What readers did in every condition; a reader who has not begun with one counts in the others."""
    choices = results.protocol.n_alternatives > 1
    n, k = (np.zeros((len(results.readers), len(places))) for _ in range(2))
    # What each case adds to a proportion: right or wrong; or its placement among the cases of the other class.
    added = {truth: np.full((len(places), *results.scores.shape[1:]), np.nan) for truth in (True, False)}
    for c, place in enumerate(places):
        present = results.signal_present & np.array([place.group in ("", group) for group in results.groups])
        for r in range(len(results.readers)):
            scores = results.scores[results.arms.index(place.arm), r]
            answered = scores[present & np.isfinite(scores)]
            read = present & np.isfinite(scores)
            if choices:
                n[r, c], k[r, c] = len(answered), answered.sum()
                added[True][c, r, read] = answered
                continue
            without = scores[~results.signal_present & np.isfinite(scores)]
            if min(len(answered), len(without)) < 2:
                continue
            area = auc(answered, without)
            n[r, c] = hanley_mcneil_pairs(area, len(answered), len(without))
            k[r, c] = area * n[r, c]
            won = (answered[:, None] > without) + 0.5 * (answered[:, None] == without)
            added[True][c, r, read] = won.mean(axis=1)
            added[False][c, r, ~results.signal_present & np.isfinite(scores)] = won.mean(axis=0)
    if empty := [place.name for place, total in zip(places, n.sum(axis=0), strict=True) if total == 0.0]:
        raise UserError(f"nobody has answered enough of {empty[0]} yet: let readers go on")
    some = n.sum(axis=1) > 0.0
    weights = n[some] / n.sum(axis=0)
    shared = sum(shared_covariance(values[:, some], weights) for values in added.values())
    counts = ReaderCounts(n[some], k[some], results.protocol.n_alternatives if choices else 2, np.asarray(shared))
    conditions = tuple(_condition(key, place) for place in places)
    about: dict[str, object] = {"source": study.protocol.study, "sha256": study.digest}
    readers = tuple(reader for reader, used in zip(results.readers, some, strict=True) if used)
    return People(conditions, readers, counts, not choices, about)


def _condition(key: Key, place: _Place) -> Condition:
    """With the size and the contrast of its signals: the middle of those of all strata that share a span of them."""
    size, contrast = (
        [
            lesion
            for trial in key.trials
            if trial.arm == place.arm and (not place.group or _span(place.group, unit) == _span(trial.group, unit))
            for lesion in trial.lesions
        ]
        for unit in (" mm", " HU")
    )
    middle = _middle([one.diameter_mm for one in size]), _middle([one.contrast_hu for one in contrast])
    return Condition(place.name, *middle, place.arm)


def _span(group: str, unit: str) -> str:
    """The sizes or the contrasts of a stratum, in words.

    >>> _span("4 to 5 mm, 30 to 50 HU", " HU")
    '30 to 50 HU'
    """
    return next((words for words in group.split(", ") if words.endswith(unit)), group)


def _middle(values: list[float | None]) -> float | None:
    """The one value, else the median to two digits; None where one is not known."""
    known = [value for value in values if value is not None]
    if len(set(values)) == 1:
        return values[0]
    return float(f"{np.median(known):.2g}") if known and len(known) == len(values) else None


def _of_own_images(study: StudyFolder, key: Key, places: list[_Place], crossing: "Crossing") -> list[Decided]:
    """The model cross-validated on the images that readers saw."""
    found = []
    for number, place in enumerate(places):
        crossing.progress(number, len(places), place.name)
        with_signal, without = _rows(key, place)
        rows = np.array([*with_signal, *without], dtype=np.intp)
        truth = Truth(np.arange(len(rows)) < len(with_signal), None, None, None)
        images = study.images[rows].astype(np.float64)
        with _condition_named(place.name, "; or name the run that the study was made of by --run"):
            one = decide_crossed(
                crossing.noise,
                images,
                truth,
                n_folds=crossing.n_folds,
                seed=crossing.seed,
                trials=_trials_of(place),
            )
        found.append(one)
    crossing.progress(len(places), len(places), "")
    return found


def _trials_of(place: _Place) -> tuple[str, str]:
    """Names of the trials of a condition: arms show the same ones, and strata share those without a signal."""
    return f"with a signal: {place.group}", "without a signal"


def _rows(key: Key, place: _Place) -> tuple[list[int], list[int]]:
    """Rows of the study's images of an arm: with a signal of the stratum, and without any; by case, as in other arms.

    Four-alternative sets tell the case of their images without a signal only as a set.
    """
    with_signal, without = dict[int, None](), dict[int, None]()
    for trial in sorted(key.trials, key=lambda one: one.case):
        if trial.arm != place.arm:
            continue
        for number, row in enumerate(trial.images):
            if number != trial.present:
                without[row] = None
            elif place.group in ("", trial.group):
                with_signal[row] = None
    return list(with_signal), list(without)


def _shows_study(study: StudyFolder, key: Key, arm: str, images: NDArray[np.floating]) -> bool:
    """Whether images, HU, of an arm hold the first one of the study: within 1 HU, as another device may round."""
    row = next(trial.images[0] for trial in key.trials if trial.arm == arm)
    image = np.asarray(study.images[row], dtype=np.float64)
    return image.shape == images.shape[1:] and bool((np.abs(images - image).max(axis=(1, 2)) <= 1.0).any())


def _of_run(
    path: Path,
    places: list[_Place],
    noise: "FittedNoise",
    shows: Callable[[str, NDArray[np.floating]], bool],
    how: tuple[str, "Progress"],
) -> list[Decided]:
    """The model fitted on a run's fresh trials, and its test trials read; `how` is the device and the progress."""
    from taskct.machine import resolve_device
    from taskct.reading_room.from_run import arm_regions, arms_of_run, groups_of
    from taskct.study.run_folder import RunFolder

    device, progress = how
    run = RunFolder(path, None, device=resolve_device(device), read_only=True)
    arms = {arm.name: arm for arm in arms_of_run(run, list(dict.fromkeys(place.arm for place in places)))}
    splits = {name: run.read(name) for name in ("fresh", "test")}
    groups = {name: np.array(groups_of(run, trials)) for name, trials in splits.items()}
    shown: dict[str, dict[str, np.ndarray]] = {}
    found = []
    for number, place in enumerate(places):
        progress(number, len(places), place.name)
        if place.arm not in shown:
            shown = {  # of one arm at a time
                place.arm: {
                    name: arm_regions(run, arms[place.arm], name, trials, np.arange(len(trials)))
                    for name, trials in splits.items()
                }
            }
            if not shows(place.arm, shown[place.arm]["test"]):
                raise UserError(
                    f"{path}: its test trials are not the images of the study, arm {place.arm}: give the run that the "
                    "study was made of, as it was then"
                )
        parts = []
        for name, trials in splits.items():
            used = ~trials.signal_present | np.isin(groups[name], [place.group]) | (place.group == "")
            if not (used & trials.signal_present).any():
                raise UserError(
                    f"{path} has no {name} trials of {place.name}: give the run that the reading study was made of"
                )
            parts.append(ModelTrials(shown[place.arm][name][used], trials.signal_present[used]))
        with _condition_named(place.name):
            found.append(decide(noise, parts[0], parts[1], trials=_trials_of(place)))
    progress(len(places), len(places), "")
    return found


@contextmanager
def _condition_named(name: str, advice: str = "") -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise UserError(f"condition {name!r}: {error}{advice}") from error
