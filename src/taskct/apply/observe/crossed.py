"""Cross-validation of an observer over cases: each is read by observers that were trained without it.

For repeated scans that are too few to be divided into training and test trials. What the interval holds, and how that
was measured, stands in `taskct.metrics.cross_validated`.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.apply.observe.folds import Folding, divide_into_folds
from taskct.apply.observe.readings import choose
from taskct.errors import UserError
from taskct.metrics.clustered import Clusters
from taskct.metrics.cross_validated import FoldReadings, cross_validated_difference
from taskct.metrics.detectability import d_a
from taskct.metrics.exact_cho import exact_cho_interval
from taskct.metrics.intervals import Interval
from taskct.metrics.roc import PairedDifference
from taskct.metrics.scores import check_scores
from taskct.observer_registry import observers_needing
from taskct.observers import ChannelizedHotelling, Observer, PathObserver
from taskct.observers.channelized import channel_outputs
from taskct.observers.fresh import Eye, observer_told, small_samples
from taskct.observers.nonprewhitening import NPW, NPWE

FEWEST_CASES = 10
"""Cases of each class from which the intervals were held against simulated studies."""
_NETWORK = Folding(5, 2)  # a network is trained ten times, where nothing is said


@dataclass(frozen=True, eq=False)
class Crossed:
    """What a cross-validated observer can do."""

    scores: NDArray[np.float64]
    """Held-out test statistic of every trial, in units of its spread within a class, mean over repeats, `(n,)`."""
    auc: Interval
    """Of an observer that is trained on all cases but a fold."""
    d_prime: Interval
    """√2 Φ⁻¹ of the AUC and of its bounds; infinite where that is 1."""
    method: str
    """Where the interval comes from, and what it covers."""
    notes: tuple[str, ...]
    """What a reader of the result must know."""
    readings: FoldReadings
    """What the observer of every fold said, for differences."""
    n_channels: int = 0
    """Of a channelized observer with channels that are independent of the images, else 0."""
    limit: Interval | None = None
    """AUC of a channelized Hotelling observer with endless training, with its exact interval; None where that is not
    known to hold: channels that are learned, or cases of several trials."""


def cross_validate(
    name: str,
    images: NDArray[np.floating],
    signal_present: NDArray[np.bool_],
    cases: NDArray[np.int64] | None,
    *,
    eye: Eye,
    folds: int | None = None,
    repeats: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    channels: Mapping[str, object] | None = None,
    signal: NDArray[np.float64] | None = None,
) -> Crossed:
    """Cross-validate an observer over cases, and say how well it does.

    Parameters
    ----------
    name
        Registered observer; a hyphen does for an underscore.
    images, signal_present, cases
        HU, or any unit, shape `(n, height, width)`; truth and case of each, shape `(n,)`. None: each is a case.
    eye
        Pixel size, viewing, internal noise.
    folds, repeats
        Folds of cases, 3 or more, None to leave one case of each class out where there are 20 or fewer, else 10. How
        often the cases are divided anew; None for as often as brings most trials of both classes together.
    confidence, seed
        Coverage wanted, and seed of the folds.
    channels
        Settings of the channels of a channelized observer, such as `n_channels`.
    signal
        Mean signal, HU, shape `(height, width)`, where it is known: NPW, NPWE and PWMF take it as their template, and
        the exact interval of a channelized observer is shorter with it.

    Raises
    ------
    UserError
        If the cases are too few, or the observer cannot be trained on them.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = rng.normal(0.0, 20.0, (20, 9, 9))
    >>> images[:10, 3:6, 3:6] += 30.0
    >>> found = cross_validate("cho-lg", images, np.arange(20) < 10, None, eye=Eye(0.7, 500.0, 1.0, 0.0),
    ...                        channels={"n_channels": 3})
    >>> found.auc.value > 0.9
    True
    """
    told = signal if name.replace("-", "_") in observers_needing("signal") else None
    observer = observer_told(name, eye, seed=seed, signal=told, settings=channels)
    return crossed(
        observer,
        images,
        signal_present,
        cases,
        folding=Folding(folds, repeats),
        confidence=confidence,
        seed=seed,
        signal=signal,
    )


def crossed(
    observer: Observer,
    images: NDArray[np.floating],
    signal_present: NDArray[np.bool_],
    cases: NDArray[np.int64] | None,
    *,
    folding: Folding,
    confidence: float,
    seed: int,
    signal: NDArray[np.float64] | None = None,
    step: Callable[[], None] = lambda: None,
) -> Crossed:
    """The same for an observer that is made; `step` is called for every training."""
    labels = np.arange(len(images)) if cases is None else np.unique(cases, return_inverse=True)[1].astype(np.int64)
    clusters = _clusters(labels, signal_present)
    if observer.validates_itself and folding == Folding():
        folding = _NETWORK
    fast = isinstance(observer, (ChannelizedHotelling, NPW, NPWE)) and _fixed(observer)
    n_folds, n_repeats = folding.of(clusters, dear=not fast)
    fold = divide_into_folds(signal_present, labels, n_folds=n_folds, n_repeats=n_repeats, seed=seed)
    seen, reader = _in_channels(observer, images)
    statistic = np.empty((n_repeats, n_folds, len(images)))
    few: list[str] = []
    notes: list[str] = []
    for repeat, of_trial in enumerate(fold):
        for number in range(n_folds):
            step()
            train = of_trial != number
            with small_samples() as said:
                fitted, told = _fitted(reader, seen[train], signal_present[train], labels[train], cases, seed)
                statistic[repeat, number] = fitted.test_statistic(seen)
            few += said
            notes += told
            read = statistic[repeat, number]
            check_scores(read[signal_present], read[~signal_present], name="this observer")
    readings = FoldReadings(statistic, fold, signal_present, labels)
    area = readings.interval(confidence=confidence)
    return Crossed(
        scores=readings.scores,
        auc=area,
        d_prime=Interval(*(d_a(value) for value in (area.value, area.ci_low, area.ci_high))),
        method=_method(n_folds, n_repeats, clusters),
        notes=tuple(dict.fromkeys([*few[:1], *notes, *_warnings(readings, clusters)])),
        readings=readings,
        n_channels=seen.shape[2] if reader is not observer else 0,
        limit=_limit(observer, images, signal_present, cases, signal, confidence),
    )


def crossed_difference(first: Crossed, second: Crossed, *, confidence: float = 0.95) -> tuple[PairedDifference, float]:
    """AUC of the first less that of the second, of the same cases in the same folds, and its standard error."""
    return cross_validated_difference(first.readings, second.readings, confidence=confidence)


def _clusters(labels: NDArray[np.int64], signal_present: NDArray[np.bool_]) -> Clusters:
    held = [len(np.unique(labels[of_class])) for of_class in (signal_present, ~signal_present)]
    if min(held) < 3:
        raise UserError(
            f"{held[0]} cases hold a signal and {held[1]} none; to leave one out and learn from the others takes 3 of "
            "each or more: give more scans"
        )
    return Clusters.of(labels[signal_present], labels[~signal_present])


def _fixed(observer: Observer) -> bool:
    """Whether its channels, if it has some, are not learned from the images."""
    if not isinstance(observer, ChannelizedHotelling) or not isinstance(observer.channels, str):
        return True
    return observer.channels not in ("pca", "pls")


def _in_channels(observer: Observer, images: NDArray[np.floating]) -> tuple[NDArray[np.floating], Observer]:
    """What is read, `(n, height, width)`: outputs of channels that are fixed, so that images pass them once."""
    if isinstance(observer, ChannelizedHotelling):
        height, width = images.shape[1:]
        basis = observer.fixed_basis((height, width))
        if basis is not None:
            reader = ChannelizedHotelling(
                channels=np.eye(basis.shape[1]), internal_noise=observer.internal_noise, seed=observer.seed
            )
            return channel_outputs(images, basis)[:, None, :], reader
    return images, observer


def _fitted(
    observer: Observer,
    images: NDArray[np.floating],
    signal_present: NDArray[np.bool_],
    labels: NDArray[np.int64],
    cases: NDArray[np.int64] | None,
    seed: int,
) -> tuple[Observer, list[str]]:
    """A trained copy, and what is to be said of it; what it chooses it chooses on these trials alone."""
    if isinstance(observer, PathObserver):
        observer, _, notes = choose(observer, images, signal_present, None if cases is None else labels, seed)
        return copy.deepcopy(observer).fit(images, signal_present), notes
    return copy.deepcopy(observer).fit(images, signal_present), []


def _method(n_folds: int, n_repeats: int, clusters: Clusters) -> str:
    unit = "one case of each class" if n_folds == clusters.n_pairs else f"a {_ordinal(n_folds)} of the cases"
    both = (clusters.holds_present & clusters.holds_absent).any()
    if n_folds == clusters.n_pairs and both:
        unit = "two cases"
    times = "once" if n_repeats == 1 else f"{n_repeats} times in other company"
    return f"cross-validated, {unit} left out at a time, {times}: over cases as test and as training trials"


def _ordinal(number: int) -> str:
    return {3: "third", 4: "quarter", 5: "fifth"}.get(number, f"{number}th")


def _warnings(readings: FoldReadings, clusters: Clusters) -> list[str]:
    notes = []
    fewest = min(int(clusters.holds_present.sum()), int(clusters.holds_absent.sum()))
    if fewest < FEWEST_CASES:
        notes.append(
            f"{fewest} cases of a class: below {FEWEST_CASES} the interval has not been shown to hold its confidence; "
            "take it as a hint, not as a result"
        )
    if readings.area in (0.0, 1.0):
        notes.append(
            f"every comparison came out {'right' if readings.area else 'wrong'}: these scans bound the AUC on one side "
            "alone, and it cannot be ranked against another as good; take a weaker signal, a lower dose or more scans"
        )
    return notes


def _limit(
    observer: Observer,
    images: NDArray[np.floating],
    signal_present: NDArray[np.bool_],
    cases: NDArray[np.int64] | None,
    signal: NDArray[np.float64] | None,
    confidence: float,
) -> Interval | None:
    """Exact interval of a channelized observer with endless training, where its conditions may hold."""
    if cases is not None or not isinstance(observer, ChannelizedHotelling) or observer.internal_noise > 0.0:
        return None
    height, width = images.shape[1:]
    basis = observer.fixed_basis((height, width))
    if basis is None or len(images) < basis.shape[1] + 2:
        return None
    outputs = channel_outputs(images, basis)
    difference = None if signal is None else np.asarray(signal, dtype=np.float64).ravel() @ basis
    return exact_cho_interval(
        outputs[signal_present], outputs[~signal_present], confidence=confidence, known_difference=difference
    )
