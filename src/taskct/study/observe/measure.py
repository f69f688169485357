"""Measure observers on a user's images: AUC with its interval, and what goes with it."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.metrics.comparisons import Comparison
from taskct.metrics.roc import PairedDifference
from taskct.observers import Observer
from taskct.observers.learning import LearningCurve, learning_curve
from taskct.study.observe.cases import join_copies
from taskct.study.observe.comparison import compare
from taskct.study.observe.division import counts, divide
from taskct.study.observe.performance import perform
from taskct.study.observe.plan import Plan
from taskct.study.observe.readings import Eye, build, take_reading
from taskct.study.observe.results import Observation, ObserverResult
from taskct.study.observe.task import Task

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class _Work:
    """What every observer meets: the images, their truth, who learns from what, and a count of what is done."""

    stacks: tuple[NDArray[np.float32], ...]
    task: Task
    sets: list[NDArray[np.int64]]
    test: NDArray[np.int64]
    plan: Plan
    step: Callable[[str], None]

    @property
    def train(self) -> NDArray[np.int64]:
        return np.concatenate(self.sets)


def observe(
    images: NDArray[np.float32],
    task: Task,
    names: Sequence[str],
    *,
    eye: Eye,
    plan: Plan | None = None,
    versus: NDArray[np.float32] | None = None,
    covariance: NDArray[np.float64] | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Observation:
    """Train observers on some of the images, test them on others, and say how well they do.

    Parameters
    ----------
    images
        HU, or any unit, shape `(n, height, width)`.
    task
        The truth of every image, and whether sites are given or searched.
    names
        Registered observers; a hyphen does for an underscore.
    eye
        Pixel size, viewing, internal noise.
    plan
        Shares, training sets, margin, confidence, seed; as `Plan` has them where left out.
    versus
        The same trials imaged otherwise (denoised, at another dose), shape as `images`: observers are trained afresh on
        them, on the same trials, and the differences are paired.
    covariance
        Of the images, for the PWMF, shape `(n_pixels, n_pixels)`.
    device
        Where networks are trained.
    progress
        Called as (readings done, in all, what is next).

    Returns
    -------
    The results of every observer.

    Raises
    ------
    UserError
        If a name is unknown, a class too small, shapes differ, or a setting is out of range.
    """
    plan = Plan() if plan is None else plan
    _check(images, task, names, plan, versus)
    made = {
        name: build(name, eye, covariance=covariance, seed=plan.seed, device=torch.device(device)) for name in names
    }
    stacks = (images,) if versus is None else (images, versus)
    truth, notes = join_copies(stacks, task.truth)
    task = replace(task, truth=truth)
    sets, test = divide(task.truth, plan.train_share, plan.n_training_sets, plan.seed)
    n_steps, done = len(made) * (len(stacks) * len(sets) + plan.learn), 0

    def step(detail: str) -> None:
        nonlocal done
        if progress is not None:
            progress(done, n_steps, detail)
        done += 1

    work = _Work(stacks, task, sets, test, plan, step)
    results = [_observed(name, observer, work) for name, observer in made.items()]
    if progress is not None:
        progress(n_steps, n_steps, "")
    about = {
        "image": {"height_px": images.shape[1], "width_px": images.shape[2], "pixel_mm": eye.pixel_mm},
        "train": counts(task.truth, work.train),
        "test": counts(task.truth, test),
        "n_training_sets": plan.n_training_sets,
        "mode": task.mode,
        "window_px": task.window_px,
        "radius_px": task.site_radius_px if task.mode == "scanning" else None,
        "specificity": plan.specificity,
        "confidence": plan.confidence,
        "seed": plan.seed,
    }
    cases = test if truth.cases is None else truth.cases[test]
    return Observation(tuple(results), task.signal_present[test], test, cases, tuple(notes), about)


def _check(
    images: NDArray[np.float32], task: Task, names: Sequence[str], plan: Plan, versus: NDArray[np.float32] | None
) -> None:
    if not names or len(set(names)) < len(names):
        raise UserError(f"the observers are {', '.join(names) or 'none'}: give one or more, each once")
    if versus is not None and versus.shape != images.shape:
        raise UserError(
            f"the images to compare with have shape {versus.shape}, the others {images.shape}: give the same trials"
        )
    if versus is not None and "pwmf" in names:
        raise UserError("pwmf has the covariance of one set of images: observe the other set with its own")
    if plan.learn and task.truth.cases is not None:
        raise UserError("a learning curve takes trials to be independent, but the truth names cases: leave one out")
    if plan.margin is not None and versus is None:
        raise UserError("a margin is for a comparison: give the images to compare with, or leave it out")


def _observed(name: str, observer: Observer, work: _Work) -> ObserverResult:
    """One observer on the images, and on those they are held against."""
    task, test, plan = work.task, work.test, work.plan
    performances = []
    for stack in work.stacks:
        readings = []
        for train in work.sets:
            work.step(name)
            try:
                readings.append(take_reading(observer, stack, task, train=train, test=test, seed=plan.seed))
            except UserError as error:
                raise UserError(f"{name}: {error}") from error
        performances.append(perform(readings, stack, task, test, plan))
    curve = None
    if plan.learn:
        work.step(f"{name}, learning curve")
        curve = _curve(observer, performances[0].readings[0].regularization, work)
    mine, *others = performances
    other = others[0] if others else None
    notes = [note for one in performances for reading in one.readings for note in reading.notes]
    difference: PairedDifference | None = None
    comparisons: tuple[Comparison, ...] = ()
    if other is not None:
        difference, comparisons, why = compare(mine, other, task, test, plan)
        notes += why
    if mine.auc.ci_high < 0.5:
        notes.append(
            "its AUC is below chance: it learned from too few trials, or from trials that are not like those it is "
            "tested on"
        )
    if curve is not None and task.mode == "scanning":
        notes.append("the learning curve is that of the observer in windows around known sites")
    return ObserverResult(name, mine, other, difference, comparisons, tuple(dict.fromkeys(notes)), curve)


def _curve(observer: Observer, regularization: dict[str, float], work: _Work) -> LearningCurve:
    """Of an observer with the regularization that was chosen, in windows around the sites where it scans."""
    observer = copy.copy(observer)
    for name, value in regularization.items():
        setattr(observer, name, value)
    images, task, train, test = work.stacks[0], work.task, work.train, work.test
    pool, unseen = task.windows(images, train), task.windows(images, test)
    present = task.signal_present
    return learning_curve(
        observer,
        pool,
        present[train],
        test=(unseen, present[test]),
        confidence=work.plan.confidence,
        seed=work.plan.seed,
    )
