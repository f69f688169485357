"""Measure observers on a user's images: AUC with its interval, and what goes with it."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from taskct.apply.observe.cases import join_copies
from taskct.apply.observe.channel_space import ChannelSpace, channel_spaces
from taskct.apply.observe.division import FEWEST_OF_A_SET, SETS, counts, divide, n_sets_allowed
from taskct.apply.observe.observation import Observation, ObserverResult, Performance
from taskct.apply.observe.performance import compare, learn, perform
from taskct.apply.observe.readings import KNOWN_SIGNAL, Known, Reading, build, learns, take_reading
from taskct.apply.observe.task import EvaluationPlan, Task
from taskct.errors import UserError
from taskct.io.stored_images import BLOCK, StoredImages
from taskct.metrics.comparisons import Comparison
from taskct.metrics.roc import PairedDifference
from taskct.observer_registry import observers_needing
from taskct.observers import Observer
from taskct.observers.covariance import check_noise
from taskct.observers.fresh import Eye, each_alone
from taskct.progress import Progress

if TYPE_CHECKING:  # it takes long, and few observers need it
    import torch

_ALIKE = 0.02  # a difference of noise, relative, that is not worth a word


@dataclass(frozen=True)
class _Work:
    """What an observer meets: the images, their truth, who learns from what, and a count of what is done."""

    stacks: tuple[NDArray[np.floating] | StoredImages, ...]
    """Of the images, and of those compared with; or of what channels pass on of them."""
    task: Task
    sets: list[NDArray[np.int64]]
    test: NDArray[np.int64]
    plan: EvaluationPlan
    noise: Callable[[], tuple[float, ...]]
    """Variance of a pixel in each set of images, HU², worked out once."""
    step: Callable[[str], None]

    @property
    def train(self) -> NDArray[np.int64]:
        return np.sort(np.concatenate(self.sets))

    def within(self, space: ChannelSpace | None) -> "_Work":
        """The same for an observer that meets the trials in a space of channels."""
        return self if space is None else replace(self, stacks=space.stacks, task=space.task)

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
    versus: NDArray[np.float32] | StoredImages | None = None,
    known: Known | None = None,
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
        Shares, training sets, margin, confidence, seed; as `EvaluationPlan` has them where left out.
    versus
        The same trials imaged otherwise (denoised, at another dose), shape as `images`: observers are trained afresh on
        them, on the same trials, and the differences are paired.
    known
        A covariance, a signal: what observers are told and need not learn.
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
    _check(images, task, names, plan, versus)
    known = (known or Known()).seen(task, images.shape[1:])
    if known.signal is not None and all(learns(name, known) for name in names):
        raise UserError(
            f"a signal is for {', '.join(KNOWN_SIGNAL)}, the others learn it: add one of these, or leave it out"
        )
    made = {
        name: [build(name, eye, known.of(other), seed=plan.seed, device=device) for other in (False, True)]
        for name in names
    }
    stacks = tuple(StoredImages.of(one) for one in (images, versus) if one is not None)
    truth, notes = join_copies(stacks, task.truth)
    task = replace(task, truth=truth)
    if len(stacks) > 1 and stacks[0].same_as(stacks[1]):
        notes.append("the images compared with are the images themselves, to the last bit: there is nothing to compare")
    n_sets = n_sets_allowed(truth, plan.train_share) if plan.n_training_sets is None else plan.n_training_sets
    sets, test = divide(truth, plan.train_share, n_sets, plan.seed)
    n_steps, done = len(made) * (len(stacks) * len(sets) + plan.learn), 0

    def step(detail: str) -> None:
        nonlocal done
        if progress is not None:
            progress(min(done, n_steps), n_steps, detail)  # an observer that starts again counts twice
        done += 1

    train = np.sort(np.concatenate(sets))
    noise = functools.cache(lambda: tuple(_noise(stack, task, train) for stack in stacks))
    work = _Work(stacks, task, sets, test, plan, noise, step)
    spaces = channel_spaces(made, stacks, task)

    def observed(name: str) -> ObserverResult:
        space = spaces.get(name)
        observers = made[name] if space is None else space.observers
        return _observed(name, observers, learns(name, known), work.within(space))

    found, failed = each_alone(made, observed)
    if progress is not None:
        progress(n_steps, n_steps, "")
    about = {
        "image": {"height_px": images.shape[1], "width_px": images.shape[2], "pixel_mm": eye.pixel_mm},
        "train": counts(task.truth, work.train),
        "test": counts(task.truth, test),
        "n_training_sets": n_sets,
        "mode": task.mode,
        "window_px": task.window_px,
        "radius_px": task.site_radius_px if task.mode == "scanning" else None,
        "specificity": plan.specificity,
        "confidence": plan.confidence,
        "seed": plan.seed,
    }
    cases = test if truth.cases is None else truth.cases[test]
    return Observation(tuple(found.values()), task.signal_present[test], test, cases, tuple(notes), failed, about)


def _check(
    images: NDArray[np.float32] | StoredImages,
    task: Task,
    names: Sequence[str],
    plan: EvaluationPlan,
    versus: NDArray[np.float32] | StoredImages | None,
) -> None:
    if not names or len(set(names)) < len(names):
        raise UserError(f"the observers are {', '.join(names) or 'none'}: give one or more, each once")
    if versus is not None and versus.shape != images.shape:
        raise UserError(
            f"the images to compare with have shape {versus.shape}, the others {images.shape}: give the same trials"
        )
    told = [name for name in names if name.replace("-", "_") in observers_needing("covariance")]
    if versus is not None and told:
        raise UserError(f"{told[0]} has the covariance of one set of images: observe the other set with its own")
    if task.radius_px is not None and task.radius_px > math.hypot(*images.shape[1:]):
        raise UserError(
            f"the radius is {task.radius_px:g} pixels, wider than the images; it must be above 0 and at most "
            f"{math.hypot(*images.shape[1:]):.0f} pixels, their diagonal"
        )
    if plan.margin is not None and versus is None:
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
    other = others[0] if others else None
    notes += _of_readings([reading for one in performances for reading in one.readings])
    if learns_signal and len(work.sets) == 1 and plan.n_training_sets is None:
        notes.append(_one_set_only(task, work.train))
    difference: PairedDifference | None = None
    comparisons: tuple[Comparison, ...] = ()
    if other is not None:
        difference, comparisons, why = compare(mine, other, task, test, plan)
        notes += why
        if learns_signal:
            can_be_told = name.replace("-", "_") in KNOWN_SIGNAL
            notes.append(_which_way(work.noise(), work.n_learned(sets), can_be_told))
    if mine.auc.ci_high < 0.5:
        notes.append(
            "its AUC is below chance: it learned from too few trials, or from trials that are not like those it is "
            "tested on"
        )
    curve, of_difference = None, None
    if plan.learn:
        work.step(f"{name}, learning curve")
        curve, of_difference = learn(observers, performances, work.stacks, task, (work.train, test), plan)
        if task.mode == "scanning":
            notes.append("the learning curve is that of the observer in windows around known sites")
    noted = tuple(dict.fromkeys(notes))
    return ObserverResult(name, mine, other, difference, comparisons, noted, curve, of_difference)


def _performances(
    name: str, observers: Sequence[Observer], sets: Sequence[NDArray[np.int64]], work: _Work
) -> list[Performance]:
    """What the observer does on each set of images, trained afresh on each training set of it."""
    performances = []
    for observer, stack in zip(observers, work.stacks, strict=False):
        readings = []
        for train in sets:
            work.step(name)
            readings.append(take_reading(observer, stack, work.task, train=train, test=work.test, seed=work.plan.seed))
        performances.append(perform(readings, stack, work.task, work.test, work.plan))
    return performances


def _of_readings(readings: Sequence[Reading]) -> list[str]:
    """What the trained instances of one observer say, each thing once."""
    notes = list(dict.fromkeys(note for reading in readings for note in reading.notes))
    few = [reading.small_sample for reading in readings if reading.small_sample]
    if few:  # they differ in their numbers alone
        others = "" if len(set(few)) == 1 else f" (likewise in {len(few)} of {len(readings)} trainings)"
        notes.insert(0, few[0] + others)
    return notes


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


def _which_way(noise: Sequence[float], n_learned: tuple[int, int], told: bool) -> str:
    """Which way the difference of an observer errs that learned from `n_learned` trials of each class.

    `noise` is the variance of a pixel in the two sets of images; `told` is whether it could have been told the signal.
    """
    here = ""
    if abs(noise[0] / noise[1] - 1.0) > _ALIKE:
        here = ", here " + ("the first images" if noise[0] < noise[1] else "those of --versus")
    advice = (
        "give --signal if the mean signal is known" if told else "more training trials lessen it (--learning-curve)"
    )
    return (
        f"learned from {n_learned[0]} + {n_learned[1]} trials a set: what noise does to its template costs the noisier "
        f"images more AUC than the smoother ones, so the difference errs in favour of the smoother{here}; {advice}"
    )


def _one_set_only(task: Task, train: NDArray[np.int64]) -> str:
    """That the interval of an observer that learned from these trials does not hold its training."""
    cases = train if task.truth.cases is None else task.truth.cases[train]
    unit = "trials" if task.truth.cases is None else "cases"
    present = task.signal_present[train]
    n_present, n_absent = (len(np.unique(cases[of_class])) for of_class in (present, ~present))
    return (
        f"the interval holds the choice of test {unit} alone: {n_present} + {n_absent} training {unit} are too few for "
        f"{SETS[-1]} sets of {FEWEST_OF_A_SET} of each class, and trained on others the observer would do otherwise"
    )
