"""What a model without internal noise makes of images: its test statistics on trials that it has not learned from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.apply.observe.division import divide_trials
from taskct.errors import UserError
from taskct.io.truth_table import Truth
from taskct.metrics.internal_noise import ModelDecisions, NoiseKind
from taskct.observers.fresh import small_samples
from taskct.observers.internal_noise import FittedNoise, noise_units, without_noise


@dataclass(frozen=True)
class ModelTrials:
    """Images with their truth."""

    images: NDArray[np.floating]
    """HU, `(n, height, width)`."""
    signal_present: NDArray[np.bool_]
    """`(n,)`."""


@dataclass(frozen=True)
class Decided:
    """Test statistics of a model in one condition, and what is to be said of how it learned."""

    decisions: ModelDecisions
    notes: tuple[str, ...]


def notes_of(decided: Mapping[str, Decided]) -> list[str]:
    """What is to be said of the learning in all conditions, by their names; the same of several in one line."""
    said: dict[str, list[str]] = {}
    for name, one in decided.items():
        for text in one.notes:
            said.setdefault(text, []).append(name)
    more = "; the noise makes up for what it has not learned, so in a study with more trials it does better than people"
    return [
        f"{names[0] if len(names) == 1 else f'{len(names)} conditions'}: {text}{more}" for text, names in said.items()
    ]


def decide(
    model: FittedNoise, train: ModelTrials, test: ModelTrials, *, trials: tuple[str, str] | None = None
) -> Decided:
    """Fit a model on some trials and read others.

    `trials` names the test trials, see `ModelDecisions`. A `UserError` says that the images do not suit the observer.
    """
    with small_samples() as said:
        observer = without_noise(model, model.pixel_mm).fit(train.images, train.signal_present)
        statistic = observer.test_statistic(test.images)
        images = np.asarray(train.images, dtype=np.float64)
        units = noise_units(observer, images, train.signal_present)
    return Decided(_decisions(statistic, test.signal_present, units, trials), tuple(said))


def decide_crossed(
    model: FittedNoise,
    images: NDArray[np.floating],
    truth: Truth,
    *,
    n_folds: int,
    seed: int,
    trials: tuple[str, str] | None = None,
) -> Decided:
    """Read every image by a model that was fitted on the folds without it; whole cases make the folds.

    `trials` names the images with and without the signal, see `ModelDecisions`. A `UserError` says that there are too
    few images, or that they do not suit the observer.
    """
    present = truth.signal_present
    folds = divide_trials(present, truth.cases, shares=(1.0 / n_folds,) * n_folds, seed=seed)
    statistic = np.empty(len(present))
    squares: dict[NoiseKind, float] = {}
    notes: dict[str, None] = {}
    for fold in folds:
        others = np.setdiff1d(np.arange(len(present)), fold)
        with small_samples() as said:
            observer = without_noise(model, model.pixel_mm).fit(images[others], present[others])
            statistic[fold] = observer.test_statistic(images[fold])
            units = noise_units(observer, np.asarray(images[others], dtype=np.float64), present[others])
        notes |= dict.fromkeys(said)
        for kind, unit in units.items():
            squares[kind] = squares.get(kind, 0.0) + unit**2 / len(folds)
    mean = {kind: math.sqrt(square) for kind, square in squares.items()}
    return Decided(_decisions(statistic, present, mean, trials), tuple(notes))


def _decisions(
    statistic: NDArray[np.float64],
    present: NDArray[np.bool_],
    units: Mapping[NoiseKind, float],
    trials: tuple[str, str] | None,
) -> ModelDecisions:
    try:
        return ModelDecisions(statistic[present], statistic[~present], units, trials)
    except ValueError as error:
        raise UserError(f"{error}: give more images of this condition, or others") from None
