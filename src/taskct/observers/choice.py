"""Choose the strength of an observer's regularisation by its AUC on validation trials.

A value that the trials do not allow, such as a rank above that of their covariance or a ridge that rounding swallows,
is left out, and `Chosen.note` says so; an observer fails only if none of its values is allowed.
"""

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.metrics.roc import auc
from taskct.observers.base import PathObserver, SmallSampleWarning, TrainingTrials, Truth, check_images
from taskct.observers.covariance import CovarianceObserver, Moments
from taskct.ranges import Range

AnyPath = TypeVar("AnyPath", bound=PathObserver)

RIDGES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Ridges to choose from, relative to the mean pixel variance."""
WEIGHT_DECAYS = tuple(ridge / 4.0 for ridge in RIDGES)
"""Weight decays of the SLNN to choose from; for a weak signal they regularise as `RIDGES` do."""
RANKS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200)  # ranks to choose from, as far as the trials have them

SHARE = Range(0.0, 1.0, open_low=True, open_high=True)


@dataclass(frozen=True)
class Chosen(Generic[AnyPath]):
    """An observer with the regularisation that its validation trials chose."""

    observer: AnyPath
    """Fitted; on all training trials where validation trials were held out from them."""
    value: float
    """Chosen value of the hyper-parameter that the observer's `path_parameter` names."""
    validation_auc: dict[float, float]
    """AUC on the validation trials by value; the chosen one's is too high, being the largest of several."""
    at_edge: bool
    """Whether the chosen value is the smallest or the largest that was tried, so that one beyond may do better."""
    left_out: dict[float, str] = field(default_factory=dict)
    """Values that these trials do not allow, and why."""

    @property
    def note(self) -> str:
        """What a reader must know of the values that were left out; empty if there are none."""
        if not self.left_out:
            return ""
        name, values = self.observer.path_parameter, ", ".join(f"{value:g}" for value in self.left_out)
        return f"{name} {values} was left out of the choice: {next(iter(self.left_out.values()))}"


def fit_chosen(
    observer: AnyPath,
    images: NDArray[np.floating] | TrainingTrials,
    signal_present: NDArray[np.bool_] | None = None,
    *,
    validation: tuple[NDArray[np.floating], NDArray[np.bool_]] | None = None,
    values: Sequence[float] | None = None,
    validation_fraction: float = 0.25,
    seed: int = 0,
) -> Chosen[AnyPath]:
    """Fit an observer with the regularisation of the highest AUC on validation trials.

    Of values with the same AUC the strongest regularisation is taken. Values that are out of range, or that the trials
    do not allow, are left out; where all ranks are too high, the highest rank that the trials have is taken. Where
    trials are held out, the observer is fitted again on all training trials once the value is chosen.

    Parameters
    ----------
    observer
        What to fit; it is left as it was.
    images, signal_present
        Training trials, as for `Observer.fit`; or `TrainingTrials` alone, so that observers that are fitted on the same
        trials in turn share what they can.
    validation
        Images and truth of validation trials. None holds some of the training trials out, at random; if several of
        them come from one case, divide them yourself so that no case is on both sides.
    values
        Of the hyper-parameter that `path_parameter` names, each counted once; None takes `default_values`.
    validation_fraction, seed
        Share of each class that is held out, in (0, 1), and seed of the choice of trials.

    Raises
    ------
    UserError, ValueError
        If there is no value to choose from or none that the trials allow, the fraction is out of range, or a class has
        too few trials to hold 2 out and fit on 2; otherwise as for `Observer.fit`.

    Examples
    --------
    >>> from taskct.observers import Hotelling
    >>> rng = np.random.default_rng(0)
    >>> signal_present = np.arange(400) % 2 == 0
    >>> images = rng.normal(0.0, 20.0, (400, 8, 8))
    >>> images[signal_present, 3:5, 3:5] += 15.0
    >>> chosen = fit_chosen(Hotelling(), images, signal_present, values=[0.1, 1.0, 10.0])
    >>> sorted(chosen.validation_auc)
    [0.1, 1.0, 10.0]
    """
    trials = _training_trials(images, signal_present)
    held_out = None
    if validation is not None:
        _check_validation(validation[1], len(validation[0]))
        fit_trials = trials
        unseen, truth = check_images(validation[0], trials.images.shape[1:]), validation[1]
    else:
        held_out = hold_out(trials.signal_present, validation_fraction, seed=seed)
        fit_trials = TrainingTrials(trials.images[~held_out], trials.signal_present[~held_out])
        unseen, truth = trials.images[held_out], trials.signal_present[held_out]
    if values is None:
        n_varying = int(np.count_nonzero(np.ptp(fit_trials.images, axis=0)))  # constant pixels add nothing to a rank
        values = default_values(observer, len(fit_trials), n_varying)
    path = _fit_path(observer, fit_trials, list(dict.fromkeys(values)), quietly=held_out is not None)
    statistics = {value: one._statistic(unseen) for value, one in path.fitted.items()}
    lost = {value: "its test statistic is not finite" for value, t in statistics.items() if not np.isfinite(t).all()}
    areas = {value: auc(t[truth], t[~truth]) for value, t in statistics.items() if value not in lost}
    left_out = {**path.left_out, **lost}
    if not areas:
        raise UserError(
            f"no {observer.path_parameter} of {', '.join(f'{v:g}' for v in lost)} gives finite test statistics"
        )
    sign = -1.0 if observer.path_parameter in WEAKER_WHEN_LARGER else 1.0
    best = max(areas, key=lambda value: (areas[value], sign * value))
    chosen = path.fitted[best]
    if held_out is not None:
        _fit_again(chosen, path.moments, trials, held_out)
    return Chosen(
        observer=chosen,
        value=best,
        validation_auc=areas,
        at_edge=len(areas) > 1 and best in (min(areas), max(areas)),
        left_out=left_out,
    )


def _training_trials(images: NDArray[np.floating] | TrainingTrials, signal_present: Truth | None) -> TrainingTrials:
    if isinstance(images, TrainingTrials):
        if signal_present is not None:
            raise ValueError("TrainingTrials have their truth; leave signal_present out")
        return images
    if signal_present is None:
        raise ValueError("signal_present is missing")
    return TrainingTrials.of(images, signal_present)


WEAKER_WHEN_LARGER = ("rank",)  # hyper-parameters of which a larger value regularises less


def default_values(observer: PathObserver, n_trials: int, n_pixels: int) -> Sequence[float]:
    """Values to choose a "ridge", "weight_decay" or "rank" from, ranks only as far as the trials have them."""
    if observer.path_parameter == "rank":
        return [rank for rank in RANKS if rank <= min(n_trials - 2, n_pixels)]
    known = {"ridge": RIDGES, "weight_decay": WEIGHT_DECAYS}
    if observer.path_parameter not in known:
        raise ValueError(f"no default values are known for {observer.path_parameter!r}; give values")
    return known[observer.path_parameter]


def hold_out(signal_present: Truth, fraction: float, *, seed: int) -> NDArray[np.bool_]:
    """Draw a share of each class at random, at least 2 trials and all but 2; which they are, bool, `(n_trials,)`."""
    SHARE.check("validation_fraction", fraction)
    rng = np.random.default_rng(seed)
    held_out = np.zeros(len(signal_present), dtype=np.bool_)
    for members in (np.flatnonzero(signal_present), np.flatnonzero(~signal_present)):
        if len(members) < 4:
            raise UserError(
                "to hold out validation trials takes at least 4 training trials of each class; give validation trials "
                "or fit with a fixed value"
            )
        n_held_out = int(np.clip(round(fraction * len(members)), 2, len(members) - 2))
        held_out[rng.choice(members, n_held_out, replace=False)] = True
    return held_out


@dataclass(frozen=True)
class _Path(Generic[AnyPath]):
    """Fitted copies of an observer by value, values that the trials do not allow, and the moments behind both."""

    fitted: dict[float, AnyPath]
    left_out: dict[float, str]
    moments: Moments | None


def _fit_path(observer: AnyPath, trials: TrainingTrials, values: Sequence[float], *, quietly: bool) -> _Path[AnyPath]:
    """One fitted copy for each value that the trials allow."""
    if not len(values):
        raise UserError("there is no value to choose from; give at least one")
    left_out: dict[float, str] = {}
    for value in values:
        try:
            observer.checked(observer.path_parameter, value)
        except UserError as error:
            left_out[value] = str(error)
    values = [value for value in values if value not in left_out]
    if not values:
        raise UserError(next(iter(left_out.values())))
    height, width = trials.images.shape[1:]
    moments = observer.moments(trials) if isinstance(observer, CovarianceObserver) else None

    def fit(some: Sequence[float]) -> dict[float, AnyPath]:
        path = {value: copy.copy(observer) for value in some}
        for value, one in path.items():
            setattr(one, observer.path_parameter, float(value))
        if isinstance(observer, CovarianceObserver) and moments is not None:
            observer.fit_moments(list(path.values()), moments, (height, width))
        else:
            observer._fit_together(list(path.values()), trials)
        return path

    with warnings.catch_warnings():
        if quietly:  # the fit on all trials warns
            warnings.simplefilter("ignore", SmallSampleWarning)
        try:
            return _Path(fit(values), left_out, moments)
        except UserError as error:
            together = error
        # They share their work, so one value's failure is all of theirs: each has to stand for itself.
        largest = observer.largest_value(moments) if isinstance(observer, CovarianceObserver) and moments else np.inf
        left_out |= {value: f"these trials allow {largest:g} at most" for value in values if value > largest}
        allowed = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SmallSampleWarning)
            for value in [value for value in values if value <= largest] or [largest]:
                try:
                    fit([value])
                    allowed.append(value)
                except UserError as error:
                    left_out[value] = str(error)
        if not allowed:
            raise together
        return _Path(fit(allowed), left_out, moments)


def _fit_again(
    observer: PathObserver, moments: Moments | None, trials: TrainingTrials, held_out: NDArray[np.bool_]
) -> None:
    """Fit on all trials; the moments of those not held out are used again if they are a covariance."""
    if isinstance(observer, CovarianceObserver) and moments is not None and moments.classes is not None:
        height, width = trials.images.shape[1:]
        whole = moments.with_trials(observer.pixels(trials.images[held_out]), trials.signal_present[held_out])
        observer.fit_moments([observer], whole, (height, width))
    else:
        observer._fit_together([observer], trials)


def _check_validation(signal_present: Truth, n_trials: int) -> None:
    signal_present = np.asarray(signal_present)
    if signal_present.dtype != np.bool_ or signal_present.shape != (n_trials,):
        raise ValueError(
            f"signal_present of the validation trials must be bool of shape ({n_trials},), "
            f"not {signal_present.dtype} of shape {signal_present.shape}"
        )
    if min(signal_present.sum(), (~signal_present).sum()) < 2:
        raise UserError("the validation trials are to hold 2 or more of each class, signal-present and signal-absent")
