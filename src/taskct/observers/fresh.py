"""Observers by their registered name: made from what is known, and fitted afresh with what is to be said of the fit."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from taskct.errors import UserError
from taskct.metrics.roc import auc
from taskct.metrics.scores import check_scores
from taskct.observer_registry import CONDITIONS
from taskct.observer_registry import OBSERVERS as OBSERVERS
from taskct.observers.base import Array, Observer, PathObserver, SmallSampleWarning, TrainingTrials, Truth
from taskct.observers.choice import fit_chosen
from taskct.observers.internal_noise import FittedNoise
from taskct.ranges import check_ranges

if TYPE_CHECKING:  # it takes long, and few observers need it
    import torch

T = TypeVar("T")


@dataclass(frozen=True)
class Eye:
    """What observers with an eye, or noise of their own, need to know; a `UserError` if a number is out of range."""

    pixel_mm: float
    """Pixel size, mm."""
    viewing_distance_mm: float
    """From the eye to the display, mm."""
    magnification: float
    """Size on the display over size in the object."""
    internal_noise_hu: float
    """Of `ho_eye`, per pixel, HU."""
    internal_noise: float = 0.0
    """Of `npwe` and the channelized observers, relative to the test statistic's standard deviation within a class."""

    def __post_init__(self) -> None:
        check_ranges(CONDITIONS, **asdict(self))


def registered_name(name: str) -> str:
    """The name in the registry, a hyphen doing for an underscore; a `UserError` if there is no such observer."""
    key = name.replace("-", "_")
    if key not in OBSERVERS:
        raise UserError(f"unknown observer {name!r}; known observers: {', '.join(sorted(OBSERVERS))}")
    return key


def make_observer(name: str, **kwargs: Any) -> Observer:  # noqa: ANN401 - each observer names its own
    """Observer of a registered name, where a hyphen does for an underscore, with hyper-parameters of its own.

    A `UserError` says that the name is not registered, a hyper-parameter is unknown or missing, or a value is out of
    range.

    Examples
    --------
    >>> make_observer("ho", ridge=0.1).ridge
    0.1
    """
    entry = OBSERVERS[registered_name(name)]
    kind = getattr(import_module(f"taskct.observers.{entry.module}"), entry.name)
    try:
        observer: Observer = kind(**entry.settings, **kwargs)
    except TypeError as error:
        raise UserError(f"observer {name!r}: {error}") from None
    return observer


def observer_told(
    name: str,
    eye: Eye,
    *,
    seed: int,
    device: "torch.device | str" = "cpu",
    signal: ArrayLike | None = None,
    covariance: ArrayLike | None = None,
    human: FittedNoise | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Observer:
    """Observer of a registered name that is told what it needs of all this; see `ObserverEntry.needs`.

    `settings` are hyper-parameters of its own, such as `n_channels`. A `UserError` says that the observer with the
    noise of people is asked for without the noise.
    """
    known = {**asdict(eye), "seed": seed, "device": device, "signal": signal, "covariance": covariance, "human": human}
    needed = {what: known[what] for what in OBSERVERS[registered_name(name)].needs}
    if "human" in needed and human is None:
        raise UserError(f"observer {name!r} has the noise that was fitted to people: give the file of `taskct human`")
    return make_observer(name, **needed, **(settings or {}))


@contextmanager
def small_samples() -> Iterator[list[str]]:
    """Collect what each `SmallSampleWarning` says, once; other warnings are given again at the end."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SmallSampleWarning)
        yield said
    for warning in caught:
        if not issubclass(warning.category, SmallSampleWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        elif str(warning.message) not in said:
            said.append(str(warning.message))


@dataclass(frozen=True)
class Fitted:
    """An observer fitted afresh."""

    observer: Observer
    value: float | None  # regularization chosen on the validation trials; None for an observer without a choice
    validation_auc: float  # on those trials
    notes: tuple[str, ...]  # that it has few trials, or that candidates were left out


def fit_fresh(
    observer: Observer,
    trials: TrainingTrials,
    *,
    validation: tuple[NDArray[np.floating], NDArray[np.bool_]],
    values: Sequence[float] = (),
) -> Fitted:
    """Fit an observer, its regularization chosen on validation trials where there are values to choose from.

    Observers that are fitted on the same trials in turn share what they can. A `UserError` says that the trials do not
    suit the observer, or that it sees no difference between the validation images.
    """
    images, present = validation
    with small_samples() as said:
        if isinstance(observer, PathObserver) and values:
            found = fit_chosen(observer, trials, validation=validation, values=values)
            notes = [found.note] if found.note else []
            result = Fitted(found.observer, found.value, found.validation_auc[found.value], ())
        else:
            observer, notes = observer.fit(trials.images, trials.signal_present), []
            statistic = decided(observer, images, present)
            result = Fitted(observer, None, auc(statistic[present], statistic[~present]), ())
    return replace(result, notes=(*notes, *said))


def decided(observer: Observer, images: NDArray[np.floating], present: Truth) -> Array:
    """Test statistics `(n,)` of a fitted observer; a `UserError` if one is not finite, or all are the same."""
    statistic = observer.test_statistic(images)
    check_scores(statistic[present], statistic[~present], name="its test statistics")
    return statistic


def each_alone(names: Iterable[str], do: Callable[[str], T]) -> tuple[dict[str, T], dict[str, str]]:
    """Do something for each name: what each gave, and the `UserError` of those that failed.

    If all failed, one tells why.

    >>> def observe(name: str) -> int:
    ...     if name == "ho_svd":
    ...         raise UserError("rank is 20, but the covariance has rank 1")
    ...     return len(name)
    >>> each_alone(["ho", "ho_svd"], observe)
    ({'ho': 2}, {'ho_svd': 'rank is 20, but the covariance has rank 1'})
    """
    given: dict[str, T] = {}
    failed: dict[str, str] = {}
    for name in names:
        try:
            given[name] = do(name)
        except UserError as error:
            failed[name] = str(error)
    if failed and not given:
        reasons = dict.fromkeys(failed.values())
        if len(reasons) == 1:
            raise UserError(f"{', '.join(failed)}: {next(iter(reasons))}")
        raise UserError("no observer suits these trials: " + "; ".join(f"{n}: {why}" for n, why in failed.items()))
    return given, failed
