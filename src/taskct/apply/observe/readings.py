"""Train one observer on a user's images and let it read others."""

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from taskct.apply.observe.division import divide_trials
from taskct.apply.observe.task import Task
from taskct.errors import UserError
from taskct.io.stored_images import StoredImages
from taskct.metrics.scores import check_scores
from taskct.observer_registry import OBSERVERS, observers_needing
from taskct.observers import ChannelizedHotelling, Observer, PathObserver, SmallSampleWarning
from taskct.observers.choice import fit_chosen
from taskct.observers.crops import centred_crops
from taskct.observers.fresh import Eye as Eye
from taskct.observers.fresh import observer_told, registered_name, small_samples
from taskct.observers.internal_noise import FittedNoise
from taskct.observers.scanning import Scanning

if TYPE_CHECKING:  # it takes long, and few observers need it
    import torch

VALIDATION_SHARE = 0.25  # of the training trials, to choose a regularization; the observer then learns from all
_FEWEST_TO_CHOOSE = 8  # training trials, or cases, of a class, so that 2 validate


@dataclass(frozen=True)
class Known:
    """What observers are told, and need not learn."""

    covariance: NDArray[np.float64] | None = None
    """Of the images, for the PWMF, HU², shape `(n_pixels, n_pixels)`."""
    signal: NDArray[np.float64] | None = None
    """Mean signal in what the observers see (the image, or the window around a site), HU, shape `(height, width)`."""
    rival_signals: tuple[NDArray[np.float64], ...] = ()
    """The same in each set of images compared with; `signal` where left out."""
    human: FittedNoise | None = None
    """Internal noise of people, for the observer that has it."""

    def seen(self, task: Task, shape: tuple[int, ...]) -> "Known":
        """The same with signals as observers see them: in the window, where images of this shape have one site."""
        first = None if self.signal is None else _seen(self.signal, task, shape)
        return replace(self, signal=first, rival_signals=tuple(_seen(one, task, shape) for one in self.rival_signals))

    def through(self, basis: NDArray[np.float64]) -> "Known":
        """The same with signals as channels pass them on, `(1, rank)`; their basis is `(n_pixels, rank)`."""
        if self.signal is None:
            return Known()
        first, *others = ((one.ravel() @ basis)[None] for one in (self.signal, *self.rival_signals))
        return Known(None, first, tuple(others))

    def of(self, rival: int) -> "Known":
        """What is known of one of the sets of images: 0 for the first, then those compared with."""
        return replace(self, signal=self.rival_signals[rival - 1]) if rival and self.rival_signals else self


def _seen(signal: NDArray[np.float64], task: Task, shape: tuple[int, ...]) -> NDArray[np.float64]:
    centres, side = task.truth.centres_px, task.window_px
    wanted = tuple(shape) if side is None else (side, side)
    if signal.shape == wanted:
        return signal
    if side is not None and centres is not None and signal.shape == tuple(shape) and (centres == centres[0]).all():
        return np.asarray(centred_crops(signal[None], centres[:1], size_px=side)[0], dtype=np.float64)
    raise UserError(
        f"the signal is {' × '.join(map(str, signal.shape))} pixels, but observers see {wanted[0]} × {wanted[1]}: give "
        "it as they see it, with the site where the window has its centre"
    )


KNOWN_SIGNAL = observers_needing("signal")
"""Observers that can be told the signal. With it they learn nothing that an AUC depends on."""


def learns(name: str, known: Known) -> bool:
    """Whether an observer's AUC depends on its training trials."""
    return known.signal is None or name.replace("-", "_") not in KNOWN_SIGNAL


@dataclass(frozen=True)
class Reading:
    """What one trained observer said of the test trials."""

    statistic: NDArray[np.float64]
    """Shape `(n_test,)`; in scanning mode the largest over the sites."""
    found_px: NDArray[np.intp] | None
    """Where it was reached, (row, column), shape `(n_test, 2)`; None unless scanning."""
    regularization: dict[str, float]
    """What was chosen on validation trials, by hyper-parameter."""
    channel_matrix: NDArray[np.float64] | None
    """Channels of a channelized observer without internal noise, if they are not learned from trials; in the space
    that it met, which may be that of its channels' outputs."""
    notes: tuple[str, ...]
    """What a reader of the result must know."""
    small_sample: str
    """That the trials are few for what is learned from them; empty where they are not."""


def build(
    name: str,
    eye: Eye,
    known: Known,
    *,
    seed: int,
    device: "torch.device | str",
    channels: Mapping[str, object] | None = None,
) -> Observer:
    """Observer of a registered name with what it needs, and what it is told; `channels` are settings of its own."""
    if "covariance" in OBSERVERS[registered_name(name)].needs and known.covariance is None:
        raise UserError(
            f"the observer {name} needs --covariance, a .npy file of the images' covariance, (pixels, pixels)"
        )
    if "human" in OBSERVERS[registered_name(name)].needs and known.human is None:
        raise UserError(f"the observer {name} needs --human, a file that `taskct human` wrote")
    return observer_told(
        name,
        eye,
        seed=seed,
        device=device,
        signal=known.signal,
        covariance=known.covariance,
        human=known.human,
        settings=channels,
    )


def take_reading(
    observer: Observer,
    images: NDArray[np.floating] | StoredImages,
    task: Task,
    *,
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    seed: int,
) -> Reading:
    """Train a copy of an observer on some of the images, `(n, height, width)`, and let it read others.

    `train` and `test` are numbers of trials; `seed` is of the choice of validation trials, and of internal noise.
    """
    notes: list[str] = []
    regularization: dict[str, float] = {}
    present, learn = task.signal_present[train], task.windows(images, train)
    found = None
    with small_samples() as few:
        if isinstance(observer, PathObserver):
            cases = None if task.truth.cases is None else task.truth.cases[train]
            observer, regularization, edge = choose(observer, learn, present, cases, seed)
            notes += edge
        if task.mode == "scanning":
            scan = Scanning(observer, size_px=task.window_px or 1, seed=seed)
            statistic, found = scan.fit(images[train], present, task.sites(train)).locate(images[test])
            fitted = scan.observer_
        else:
            fitted = copy.deepcopy(observer).fit(learn, present)
            statistic = fitted.test_statistic(task.windows(images, test))
    if note := getattr(fitted, "note_", ""):
        notes.append(note)
    if fitted.validates_itself and task.truth.cases is not None:
        notes.append("its validation trials share cases with those it learned from, so the network is kept too easily")
    read = task.signal_present[test]
    check_scores(statistic[read], statistic[~read], name="this observer")
    said = tuple(dict.fromkeys(notes)), "; ".join(few)
    return Reading(statistic, found, regularization, _fixed_channels(fitted), *said)


def choose(
    observer: PathObserver,
    images: NDArray[np.floating],
    signal_present: NDArray[np.bool_],
    cases: NDArray[np.int64] | None,
    seed: int,
) -> tuple[PathObserver, dict[str, float], list[str]]:
    """The observer with the regularization that validation trials chose, what was chosen, and notes."""
    name = observer.path_parameter
    labels = np.arange(len(images)) if cases is None else cases
    fewest = min(len(np.unique(labels[of_class])) for of_class in (signal_present, ~signal_present))
    if fewest < _FEWEST_TO_CHOOSE:
        given, unit = f"{name} {getattr(observer, name):g}", "trials" if cases is None else "cases"
        return observer, {}, [f"{fewest} training {unit} of a class are too few to choose from: {given} was taken"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)  # the observer is fitted once more, on all trials
        if cases is None:
            chosen = fit_chosen(observer, images, signal_present, validation_fraction=VALIDATION_SHARE, seed=seed)
        else:
            shares = (1.0 - VALIDATION_SHARE, VALIDATION_SHARE)
            fit, validate = divide_trials(signal_present, cases, shares=shares, seed=seed)
            held_out = images[validate], signal_present[validate]
            chosen = fit_chosen(observer, images[fit], signal_present[fit], validation=held_out)
    notes = [f"the chosen {name} {chosen.value:g} is at the end of the list"] if chosen.at_edge else []
    notes += [chosen.note] if chosen.note else []
    return chosen.observer, {name: chosen.value}, notes


def _fixed_channels(observer: Observer) -> NDArray[np.float64] | None:
    """Channels that were not learned from the trials, of an observer without internal noise."""
    if not isinstance(observer, ChannelizedHotelling) or observer.internal_noise > 0.0:
        return None
    learned = isinstance(observer.channels, str) and observer.channels in ("pca", "pls")
    return None if learned else observer.channel_matrix_
