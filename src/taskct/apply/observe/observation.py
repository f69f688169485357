"""What observers can do on a user's images: the numbers, and the files that hold them."""

import csv
import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.apply.observe.readings import Reading
from taskct.apply.observe.scans_needed import ScansNeeded
from taskct.files import whole_folder, write_json, write_text
from taskct.io.ratings_files import write_imrmc
from taskct.literal import csv_text
from taskct.metrics.comparisons import Comparison, holm
from taskct.metrics.intervals import Interval
from taskct.metrics.mrmc.ratings import Ratings
from taskct.metrics.roc import PairedDifference
from taskct.observers.learning import LearningCurve, LearningDifference

IMAGES, VERSUS = "images", "versus"
"""The two sets of images, as results name them."""


@dataclass(frozen=True)
class Performance:
    """What one observer can do on one set of images."""

    auc: Interval
    method: str
    """Where the interval comes from, and what it covers."""
    d_a: Interval
    """√2 Φ⁻¹ of the AUC and of its bounds."""
    sensitivity: Interval
    """At the specificity asked for; of the first training set."""
    lroc_area: Interval | None
    """Area under the LROC curve, scanning mode only."""
    located: Interval | None
    """Share of signal-present trials located within the radius, scanning mode only; of the first training set."""
    gaussian_auc: Interval | None
    """AUC that a channelized Hotelling observer with endless training has if its outputs are Gaussian; exact."""
    readings: tuple[Reading, ...]
    n_channels: int = 0
    """Of the observer of `gaussian_auc`."""

    @property
    def statistics(self) -> NDArray[np.float64]:
        """Test statistics of every training set, shape `(n_training_sets, n_test)`."""
        return np.stack([reading.statistic for reading in self.readings])


@dataclass(frozen=True)
class Rival:
    """What an observer can do on images that the first are held against."""

    name: str
    performance: Performance
    difference: PairedDifference
    """AUC on the images minus that on these, on the same test trials."""
    comparisons: tuple[Comparison, ...]
    """Non-inferiority and equivalence, where a margin was given."""
    learning: LearningDifference | None = None
    """The difference against training trials, with the curves on both sets of images."""


@dataclass(frozen=True)
class ObserverResult:
    """An observer on the images, and on those that they are held against."""

    name: str
    images: Performance
    rivals: tuple[Rival, ...]
    """In the order they were given."""
    notes: tuple[str, ...]
    """What a reader of the result must know."""
    learning: LearningCurve | None = None
    """AUC against training trials, on the images."""
    scans: ScansNeeded | None = None
    """How many scans an interval of a given width takes, where that was asked for."""

    @property
    def versus(self) -> Performance | None:
        """On the first of the images that these are held against."""
        return self.rivals[0].performance if self.rivals else None

    @property
    def difference(self) -> PairedDifference | None:
        """From the first of them."""
        return self.rivals[0].difference if self.rivals else None

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Tests against the first of them."""
        return self.rivals[0].comparisons if self.rivals else ()

    @property
    def learning_difference(self) -> LearningDifference | None:
        """Learning curves on the images and on the first of them."""
        return self.rivals[0].learning if self.rivals else None


@dataclass(frozen=True)
class Observation:
    """The results, and what they rest on."""

    observers: tuple[ObserverResult, ...]
    """In the order they were asked for."""
    signal_present: NDArray[np.bool_]
    """Truth of the test trials, shape `(n_test,)`."""
    test: NDArray[np.int64]
    """Numbers of the test trials, shape `(n_test,)`."""
    cases: NDArray[np.int64]
    """Number of the case of each test trial, shape `(n_test,)`; that of the trial where each is a case of its own."""
    notes: tuple[str, ...]
    """What a reader of all results must know."""
    failed: dict[str, str]
    """Why an observer has no result, by its name."""
    about: dict[str, Any]
    """Numbers of trials, mode, seed and settings, ready for JSON."""
    family: dict[tuple[str, str], float] | None = None
    """Holm-adjusted p by observer and rival, over more differences than these, such as those of other rods."""

    def ratings(self, name: str) -> Ratings:
        """Ratings of one observer: training sets are readers, sets of images modalities, trials cases."""
        result = next(one for one in self.observers if one.name == name)
        names = (IMAGES, *(rival.name for rival in result.rivals))
        every = [result.images, *(rival.performance for rival in result.rivals)]
        return as_ratings(np.stack([one.statistics for one in every]), self.signal_present, self.test, names)

    def as_dict(self) -> dict[str, Any]:
        """Everything as a plain dict, ready for JSON."""
        adjusted = self.p_holm()
        observers = {one.name: _observer_json(one, adjusted) for one in self.observers}
        return {"schema": 1, **self.about, "notes": list(self.notes), "failed": self.failed, "observers": observers}

    def p_holm(self) -> dict[tuple[str, str], float]:
        """Holm-adjusted p of each difference, by observer and rival, over all there are."""
        if self.family is not None:
            return self.family
        found = {(one.name, rival.name): rival.difference.p_value for one in self.observers for rival in one.rivals}
        return dict(zip(found, holm(list(found.values())).tolist(), strict=True))


def as_ratings(
    scores: NDArray[np.float64],
    present: NDArray[np.bool_],
    trials: NDArray[np.int64],
    names: tuple[str, ...] = (IMAGES, VERSUS),
) -> Ratings:
    """Ratings of training sets as readers, and of sets of images as modalities.

    Scores have the shape `(n_sets_of_images, n_training_sets, n_trials)`.
    """
    return Ratings(
        scores=scores,
        signal_present=present,
        modalities=names[: len(scores)],
        readers=tuple(f"training set {i + 1}" for i in range(scores.shape[1])),
        cases=tuple(f"trial {number}" for number in trials),
    )


def _observer_json(result: ObserverResult, adjusted: dict[tuple[str, str], float]) -> dict[str, Any]:
    content = {**_performance_json(result.images), "notes": list(result.notes)}
    told = {rival.name: _rival_json(rival, adjusted[result.name, rival.name]) for rival in result.rivals}
    if list(told) == [VERSUS]:
        content |= told[VERSUS]
    elif told:
        content["rivals"] = told
    if result.learning is not None:
        content["learning_curve"] = _curve_json(result.learning)
    if result.scans is not None:
        content["scans_needed"] = result.scans.as_dict()
    return content


def _rival_json(rival: Rival, p_holm: float) -> dict[str, Any]:
    content = {
        "versus": _performance_json(rival.performance),
        "difference": asdict(rival.difference) | {"p_holm": p_holm},
    }
    if (curves := rival.learning) is not None:
        content["versus"]["learning_curve"] = _curve_json(curves.second)
        content["difference"]["learning_curve"] = _means_json(curves, "delta_auc") | {"message": curves.message}
    return content | {test.aim: asdict(test) for test in rival.comparisons}


def _curve_json(curve: LearningCurve) -> dict[str, Any]:
    asymptote = None if curve.asymptote is None else asdict(curve.asymptote)
    told = {"asymptote": asymptote, "small_sample": curve.small_sample, "message": curve.message}
    return _means_json(curve, "auc") | told


def _means_json(curve: LearningCurve | LearningDifference, what: str) -> dict[str, Any]:
    values = {"n_trials": curve.n_trials, what: curve.mean, "ci_low": curve.ci_low, "ci_high": curve.ci_high}
    return {name: array.tolist() for name, array in values.items()}


def _performance_json(performance: Performance) -> dict[str, Any]:
    found = {
        name: getattr(performance, name) for name in ("d_a", "sensitivity", "lroc_area", "located", "gaussian_auc")
    }
    return {
        "auc": performance.auc.value,
        "ci_low": performance.auc.ci_low,
        "ci_high": performance.auc.ci_high,
        "method": performance.method,
        **{name: None if interval is None else asdict(interval) for name, interval in found.items()},
        "regularization": [reading.regularization for reading in performance.readings],
    }


def write_observation(folder: Path, found: Observation, *, roc_png: bytes, page: str) -> None:
    """Write `observe.html`, `observe.json`, `roc.png`, `scores.csv` and `ratings_OBSERVER.imrmc` into a new folder.

    All or nothing; `page` is the HTML of the first.

    Images are named by their number alone, since file names may tell who a patient is.
    """
    with whole_folder(folder) as partial:
        write_json(partial / "observe.json", found.as_dict())
        write_text(partial / "observe.html", page)
        write_text(partial / "scores.csv", _scores_csv(found))
        for one in found.observers:
            about = f"taskct observe: {one.name}; readers are training sets, modalities sets of images"
            if found.about["test"]["cases"] is not None:
                about += f"; the trials are of {found.about['test']['cases']} cases, so they are not independent"
            write_imrmc(partial / f"ratings_{one.name}.imrmc", found.ratings(one.name), description=about)
        partial.joinpath("roc.png").write_bytes(roc_png)


def _scores_csv(found: Observation) -> str:
    scanning = found.about["mode"] == "scanning"
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    site = ["row_px", "column_px"] if scanning else []
    writer.writerow(["observer", "images", "training_set", "trial", "case", "signal_present", "test_statistic", *site])
    trials = list(
        zip(found.test.tolist(), found.cases.tolist(), found.signal_present.astype(int).tolist(), strict=True)
    )
    for one in found.observers:
        sets = {IMAGES: one.images} | {rival.name: rival.performance for rival in one.rivals}
        for name, performance in sets.items():
            for number, reading in enumerate(performance.readings, start=1):
                places = [()] * len(trials) if reading.found_px is None else reading.found_px.tolist()
                rows = zip(trials, reading.statistic.tolist(), places, strict=True)
                writer.writerows(
                    (csv_text(one.name), csv_text(name), number, *trial, f"{t:.9g}", *place) for trial, t, place in rows
                )
    return out.getvalue()
