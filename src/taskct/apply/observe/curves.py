"""Learning curves of an observer on a user's images, and of its difference between two sets of them."""

import copy
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from taskct.apply.observe.observation import Performance
from taskct.apply.observe.plan import Plan
from taskct.apply.observe.task import Task
from taskct.observers import Observer
from taskct.observers.learning import LearningCurve, LearningDifference, learning_curve, learning_difference
from taskct.observers.learning_trials import LabelledTrials


def learn(
    observers: Sequence[Observer],
    performances: Sequence[Performance],
    stacks: Sequence[NDArray[np.float32]],
    task: Task,
    trials: tuple[NDArray[np.int64], NDArray[np.int64]],
    plan: Plan,
) -> tuple[LearningCurve, LearningDifference | None]:
    """Learning curves with the regularization that was chosen, in windows around the sites where observers scan.

    Parameters
    ----------
    observers, performances, stacks
        Of the images, and of those they are held against if there are some.
    task
        Their truth.
    trials
        Numbers of the training and of the test trials.
    plan
        Confidence and seed.

    Returns
    -------
    The curve on the images, and both curves with their difference where there are two sets.
    """
    chosen = [_with_choice(one, done) for one, done in zip(observers, performances, strict=False)]
    pools, tests = ([_labelled(stack, task, part) for stack in stacks] for part in trials)
    if len(stacks) > 1:
        both = learning_difference(chosen, pools, tests, confidence=plan.confidence, seed=plan.seed)
        return both.first, both
    pool = pools[0]
    curve = learning_curve(
        chosen[0],
        pool.images,
        pool.signal_present,
        cases=pool.cases,
        test=tests[0],
        confidence=plan.confidence,
        seed=plan.seed,
    )
    return curve, None


def _with_choice(observer: Observer, performance: Performance) -> Observer:
    observer = copy.copy(observer)
    for name, value in performance.readings[0].regularization.items():
        setattr(observer, name, value)
    return observer


def _labelled(images: NDArray[np.float32], task: Task, trials: NDArray[np.int64]) -> LabelledTrials:
    cases = task.truth.cases
    return LabelledTrials(
        task.windows(images, trials), task.signal_present[trials], None if cases is None else cases[trials]
    )
