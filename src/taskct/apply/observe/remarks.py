"""What a reader of an observer's result must know, in one line each."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from taskct.apply.observe.division import FEWEST_OF_A_SET, SETS
from taskct.apply.observe.observation import Performance
from taskct.apply.observe.readings import Reading
from taskct.apply.observe.task import Task

_ALIKE = 0.02  # a difference of noise, relative, that is not worth a word


def of_readings(readings: Sequence[Reading]) -> list[str]:
    """What the trained instances of one observer say, each thing once."""
    notes = list(dict.fromkeys(note for reading in readings for note in reading.notes))
    few = [reading.small_sample for reading in readings if reading.small_sample]
    if few:  # they differ in their numbers alone
        others = "" if len(set(few)) == 1 else f" (likewise in {len(few)} of {len(readings)} trainings)"
        notes.insert(0, few[0] + others)
    return notes


def which_way(noise: Sequence[float], n_learned: tuple[int, int], *, told: bool, rival: str) -> str:
    """Which way the difference of an observer errs that learned from `n_learned` trials of each class.

    `noise` is the variance of a pixel in the images and in those of the rival; `told` is whether the observer could
    have been told the signal.
    """
    here = ""
    if abs(noise[0] / noise[1] - 1.0) > _ALIKE:
        theirs = f"those of --{rival}" if rival == "versus" else rival
        here = ", here " + ("the first images" if noise[0] < noise[1] else theirs)
    advice = (
        "give --signal if the mean signal is known" if told else "more training trials lessen it (--learning-curve)"
    )
    return (
        f"learned from {n_learned[0]} + {n_learned[1]} trials a set: what noise does to its template costs the noisier "
        f"images more AUC than the smoother ones, so the difference errs in favour of the smoother{here}; {advice}"
    )


def one_set_only(task: Task, train: NDArray[np.int64]) -> str:
    """That the interval of an observer that learned from these trials does not hold its training."""
    cases = train if task.truth.cases is None else task.truth.cases[train]
    unit = "trials" if task.truth.cases is None else "cases"
    present = task.signal_present[train]
    n_present, n_absent = (len(np.unique(cases[of_class])) for of_class in (present, ~present))
    return (
        f"the interval holds the choice of test {unit} alone: {n_present} + {n_absent} training {unit} are too few for "
        f"{SETS[-1]} sets of {FEWEST_OF_A_SET} of each class, and trained on others the observer would do otherwise"
    )


def below_chance(performance: Performance) -> list[str]:
    """That an observer is surely worse than chance, if it is."""
    if performance.auc.ci_high >= 0.5:
        return []
    return [
        "its AUC is below chance: it learned from too few trials, or from trials that are not like those it is tested "
        "on"
    ]
