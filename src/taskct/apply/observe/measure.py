"""Measure observers on a user's images: AUC with its interval, and what goes with it."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from taskct.apply.observe.cases import join_copies
from taskct.apply.observe.channel_space import ChannelSpace, channel_spaces
from taskct.apply.observe.crossed import crossed
from taskct.apply.observe.crossed_results import performance_of, rivals_of
from taskct.apply.observe.division import counts, divide, n_sets_allowed
from taskct.apply.observe.observation import VERSUS, Observation, ObserverResult, Performance, Rival
from taskct.apply.observe.performance import compare, learn, perform
from taskct.apply.observe.pilots import of_easy_rivals, pilot_of
from taskct.apply.observe.readings import KNOWN_SIGNAL, Known, build, learns, take_reading
from taskct.apply.observe.remarks import below_chance, of_readings, one_set_only, which_way
from taskct.apply.observe.scans_needed import scans_needed
from taskct.apply.observe.shared_noise import other_scans
from taskct.apply.observe.task import EvaluationPlan, Task
from taskct.errors import UserError
from taskct.io.stored_images import BLOCK, StoredImages
from taskct.observer_registry import OBSERVERS, observers_needing
from taskct.observers import Observer
from taskct.observers.covariance import check_noise
from taskct.observers.fresh import Eye, each_alone, registered_name
from taskct.progress import Progress

if TYPE_CHECKING:  # it takes long, and few observers need it
    import torch


@dataclass(frozen=True)
class _Work:
    """What an observer meets: the images, their truth, who learns from what, and a count of what is done."""

    stacks: tuple[NDArray[np.floating] | StoredImages, ...]
    """Of the images, and of those compared with; or of what channels pass on of them."""
    rivals: tuple[str, ...]
    """Names of those compared with."""
    task: Task
    sets: list[NDArray[np.int64]]
    test: NDArray[np.int64]
    plan: EvaluationPlan
    known: Known
    noise: Callable[[], tuple[float, ...]]
    """Variance of a pixel in each set of images, HU², worked out once."""
    step: Callable[[str], None]

    @property
    def train(self) -> NDArray[np.int64]:
        return np.sort(np.concatenate(self.sets))

    def within(self, space: ChannelSpace | None) -> "_Work":
        """The same for an observer that meets the trials in a space of channels."""
        if space is None:
            return self
        return replace(self, stacks=space.stacks, task=space.task, known=self.known.through(space.basis))

    def n_learned(self, sets: Sequence[NDArray[np.int64]]) -> tuple[int, int]:
        """Trials of each class in a training set, on average."""
        n_present = sum(int(self.task.signal_present[train].sum()) for train in sets)
        n_all = sum(len(train) for train in sets)
        return round(n_present / len(sets)), round((n_all - n_present) / len(sets))


def observe(
    images: NDArray[np.float32] | StoredImages,
    task: Task,
    names: Sequence[str],
    *,
    eye: Eye,
    plan: EvaluationPlan | None = None,
    versus: NDArray[np.float32] | StoredImages | Mapping[str, NDArray[np.float32] | StoredImages] | None = None,
    known: Known | None = None,
    channels: Mapping[str, Mapping[str, object]] | None = None,
    device: "torch.device | str" = "cpu",
    progress: Progress | None = None,
) -> Observation:
    """Train observers on some of the images, test them on others, and say how well they do.

    Parameters
    ----------
    images
        HU, or any unit, shape `(n, height, width)`; in memory or in their files, of which a few are read at a time.
    task
        The truth of every image, and whether sites are given or searched.
    names
        Registered observers; a hyphen does for an underscore.
    eye
        Pixel size, viewing, internal noise.
    plan
        Division of the trials, margin, confidence, seed; as `EvaluationPlan` has them where left out.
    versus
        The same trials imaged otherwise (denoised, at another dose), shape as `images`, or several such by name:
        observers are trained afresh on them, on the same trials, and the differences are paired.
    known
        A covariance, a signal: what observers are told and need not learn.
    channels
        Settings of channelized observers, such as `n_channels`, by the observer's name.
    device
        Where networks are trained.
    progress
        Called as (readings done, in all, what is next).

    Returns
    -------
    The results of every observer; one that cannot be trained on these images fails alone, and is named.

    Raises
    ------
    UserError
        If a name is unknown, a class too small, shapes differ, a setting is out of range, or every observer fails.
    """
    plan = EvaluationPlan() if plan is None else plan
    rivals = {} if versus is None else dict(versus) if isinstance(versus, Mapping) else {VERSUS: versus}
    _check(images, task, names, plan, rivals)
    known = (known or Known()).seen(task, images.shape[1:])
    if known.signal is not None and all(learns(name, known) and not _channelized(name) for name in names):
        raise UserError(
            f"a signal is for {', '.join(KNOWN_SIGNAL)} and the exact interval of a CHO, the others learn it: add one "
            "of these, or leave it out"
        )
    made = {
        name: [
            build(name, eye, known.of(number), seed=plan.seed, device=device, channels=(channels or {}).get(name))
            for number in range(len(rivals) + 1)
        ]
        for name in names
    }
    first, *others = stacks = tuple(StoredImages.of(one) for one in (images, *rivals.values()))
    truth, notes = join_copies({"images": first} | _worded(dict(zip(rivals, others, strict=True))), task.truth)
    task = replace(task, truth=truth)
    for name, stack in zip(rivals, others, strict=True):
        which = "the images compared with" if name == VERSUS else f"the images of {name}"
        if first.same_as(stack):
            notes.append(f"{which} are the images themselves, to the last bit: there is nothing to compare")
        elif (shared := other_scans(first, stack, task.signal_present)) is not None:
            notes.append(
                f"{which} share no noise with their counterparts (mean correlation {round(shared, 2) + 0.0:.2f}), so "
                "they are of other scans: the difference is that of independent images, and pairing "
                "makes it no more precise"
            )
    n_sets = n_sets_allowed(truth, plan.train_share) if plan.n_training_sets is None else plan.n_training_sets
    crossing = plan.division == "cross" or (plan.division == "auto" and n_sets == 1 and _may_cross(task, plan))
    everything = np.arange(len(images))
    sets, test = ([everything], everything) if crossing else divide(truth, plan.train_share, n_sets, plan.seed)
    n_steps = len(made) * (len(stacks) * (1 if crossing else len(sets)) + plan.learn)
    done = 0

    def step(detail: str) -> None:
        nonlocal done
        if progress is not None:
            progress(min(done, n_steps), n_steps, detail)  # an observer that starts again counts twice
        done += 1

    train = np.sort(np.concatenate(sets))
    noise = functools.cache(lambda: tuple(_noise(stack, task, train) for stack in stacks))
    work = _Work(stacks, tuple(rivals), task, sets, test, plan, known, noise, step)
    spaces = channel_spaces(made, stacks, task)

    def observed(name: str) -> ObserverResult:
        space = spaces.get(name)
        observers, here = (made[name], work) if space is None else (space.observers, work.within(space))
        return (_observed_crossed if crossing else _observed)(name, observers, learns(name, known), here)

    found, failed = each_alone(made, observed)
    if progress is not None:
        progress(n_steps, n_steps, "")
    about = {
        "image": {"height_px": images.shape[1], "width_px": images.shape[2], "pixel_mm": eye.pixel_mm},
        "train": counts(task.truth, work.train),
        "test": counts(task.truth, test),
        "n_training_sets": n_sets,
        "cross_validated": crossing,
        "mode": task.mode,
        "window_px": task.window_px,
        "radius_px": task.site_radius_px if task.mode == "scanning" else None,
        "specificity": plan.specificity,
        "confidence": plan.confidence,
        "seed": plan.seed,
    }
    cases = test if truth.cases is None else truth.cases[test]
    return Observation(tuple(found.values()), task.signal_present[test], test, cases, tuple(notes), failed, about)


def _worded(rivals: Mapping[str, StoredImages]) -> dict[str, StoredImages]:
    return {"images compared with" if name == VERSUS else f"images of {name}": stack for name, stack in rivals.items()}


def _channelized(name: str) -> bool:
    return OBSERVERS[registered_name(name)].module == "channelized"


def _may_cross(task: Task, plan: EvaluationPlan) -> bool:
    """Whether the trials may be cross-validated where nobody has said how they are to be divided."""
    return plan.n_training_sets is None and task.truth.in_test is None and task.mode != "scanning" and not plan.learn


def _check(
    images: NDArray[np.float32] | StoredImages,
    task: Task,
    names: Sequence[str],
    plan: EvaluationPlan,
    rivals: Mapping[str, NDArray[np.float32] | StoredImages],
) -> None:
    if not names or len(set(names)) < len(names):
        raise UserError(f"the observers are {', '.join(names) or 'none'}: give one or more, each once")
    for rival, stack in rivals.items():
        if stack.shape != images.shape:
            which = "the images to compare with" if rival == VERSUS else f"the images of {rival}"
            raise UserError(f"{which} have shape {stack.shape}, the others {images.shape}: give the same trials")
    if len(rivals) > 1 and plan.learn:
        raise UserError("a learning curve is for one set of images to compare with: leave the others out")
    if plan.division == "cross" and task.mode == "scanning":
        raise UserError("cross-validation is not for mode scanning: choose mode whole or centred, or leave it out")
    told = [name for name in names if name.replace("-", "_") in observers_needing("covariance")]
    if rivals and told:
        raise UserError(f"{told[0]} has the covariance of one set of images: observe the other set with its own")
    if task.radius_px is not None and task.radius_px > math.hypot(*images.shape[1:]):
        raise UserError(
            f"the radius is {task.radius_px:g} pixels, wider than the images; it must be above 0 and at most "
            f"{math.hypot(*images.shape[1:]):.0f} pixels, their diagonal"
        )
    if plan.margin is not None and not rivals:
        raise UserError("a margin is for a comparison: give the images to compare with, or leave it out")


def _observed(name: str, observers: Sequence[Observer], learns_signal: bool, work: _Work) -> ObserverResult:
    """One observer on the images, and on those they are held against."""
    task, test, plan = work.task, work.test, work.plan
    sets, notes = work.sets, []
    if not learns_signal:  # one set is as good as several, and the larger the better for what is left to estimate
        sets = [work.train]
    try:
        performances = _performances(name, observers, sets, work)
    except UserError as error:
        if plan.n_training_sets is not None or len(sets) == 1:
            raise
        sets = [work.train]
        notes.append(
            f"it cannot learn from one of {len(work.sets)} training sets ({error}), so it learned from all at once and "
            "the interval holds the choice of test trials alone"
        )
        performances = _performances(name, observers, sets, work)
    if not learns_signal:
        kind = "DeLong: over test trials" if task.truth.cases is None else "clustered by case: over test cases"
        told = f"{kind}; it was told the signal, and nothing it learned changes its AUC"
        performances = [replace(one, method=told) for one in performances]
    mine, *others = performances
    notes += of_readings([reading for one in performances for reading in one.readings])
    if learns_signal and len(work.sets) == 1 and plan.n_training_sets is None:
        notes.append(one_set_only(task, work.train))
    rivals: list[Rival] = []
    for number, (rival, other) in enumerate(zip(work.rivals, others, strict=True), start=1):
        judged, why = compare(rival, mine, other, task, test, plan)
        rivals.append(judged)
        notes += why
        if learns_signal:
            can_be_told = name.replace("-", "_") in KNOWN_SIGNAL
            both = work.noise()[0], work.noise()[number]
            notes.append(which_way(both, work.n_learned(sets), told=can_be_told, rival=rival))
    notes += below_chance(mine)
    curve = None
    if plan.learn:
        work.step(f"{name}, learning curve")
        curve, of_difference = learn(observers, performances, work.stacks, task, (work.train, test), plan)
        rivals = [replace(rival, learning=of_difference) for rival in rivals]
        if task.mode == "scanning":
            notes.append("the learning curve is that of the observer in windows around known sites")
    notes += of_easy_rivals(mine, rivals, plan.width)
    needed = None if plan.width is None else scans_needed(pilot_of(mine, rivals, task, test, plan), plan.width)
    return ObserverResult(name, mine, tuple(rivals), tuple(dict.fromkeys(notes)), curve, needed)


def _observed_crossed(name: str, observers: Sequence[Observer], learns_signal: bool, work: _Work) -> ObserverResult:
    """One observer on the images, and on those they are held against, cross-validated over the same folds."""
    task, plan, everything = work.task, work.plan, work.test
    readings = []
    for number, (observer, stack) in enumerate(zip(observers, work.stacks, strict=True)):
        work.step(name)
        readings.append(
            crossed(
                observer,
                task.windows(stack, everything),
                task.signal_present,
                task.truth.cases,
                folding=plan.folding,
                confidence=plan.confidence,
                seed=plan.seed,
                signal=work.known.of(number).signal,
            )
        )
    if not learns_signal:
        told_signal = "it was told the signal, and nothing it learned changes its AUC"
        readings = [replace(one, method=f"{one.method}; {told_signal}") for one in readings]
    mine = performance_of(readings[0], task, plan)
    notes = [note for one in readings for note in one.notes]
    rivals, why = rivals_of(readings, mine, work.rivals, task, plan)
    notes += why
    if learns_signal:
        fold = readings[0].readings.fold[0]
        learned = work.n_learned([everything[fold != number] for number in range(int(fold.max()) + 1)])
        told = name.replace("-", "_") in KNOWN_SIGNAL
        notes += [
            which_way((work.noise()[0], work.noise()[number]), learned, told=told, rival=rival)
            for number, rival in enumerate(work.rivals, start=1)
        ]
    notes += below_chance(mine)
    notes += of_easy_rivals(mine, rivals, plan.width)
    needed = None if plan.width is None else scans_needed(pilot_of(mine, rivals, task, everything, plan), plan.width)
    return ObserverResult(name, mine, tuple(rivals), tuple(dict.fromkeys(notes)), None, needed)


def _performances(
    name: str, observers: Sequence[Observer], sets: Sequence[NDArray[np.int64]], work: _Work
) -> list[Performance]:
    """What the observer does on each set of images, trained afresh on each training set of it."""
    performances: list[Performance] = []
    for observer, stack in zip(observers, work.stacks, strict=False):
        readings = []
        for train in sets:
            work.step(name)
            readings.append(take_reading(observer, stack, work.task, train=train, test=work.test, seed=work.plan.seed))
        told = work.known.of(len(performances)).signal
        performances.append(perform(readings, stack, work.task, work.test, work.plan, signal=told))
    return performances


def _noise(images: StoredImages, task: Task, trials: NDArray[np.int64]) -> float:
    """Mean of the classes' variances of a pixel in what observers see of some trials, HU²; a few images at a time."""
    variances, largest = [], 0.0
    for of_class in (True, False):
        members = trials[task.signal_present[trials] == of_class]
        first = task.windows(images, members[:1])[0].astype(np.float64)
        total, squares = np.zeros_like(first), np.zeros_like(first)
        for start in range(0, len(members), BLOCK):
            seen = task.windows(images, members[start : start + BLOCK]).astype(np.float64)
            largest = max(largest, float(np.abs(seen).max()))
            seen -= first  # so that squares of a mean far from 0 lose no digits
            total += seen.sum(axis=0)
            squares += np.square(seen).sum(axis=0)
        variances.append(float(((squares - total**2 / len(members)) / (len(members) - 1)).mean()))
    variance = sum(variances) / 2.0
    check_noise(variance, largest)
    return variance
