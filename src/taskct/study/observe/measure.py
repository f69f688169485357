"""Measure observers on a user's images: AUC with its interval, and what goes with it."""

import copy
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import orth

from taskct.errors import UserError
from taskct.metrics.clustered import clustered_difference, clustered_interval
from taskct.metrics.comparisons import Comparison, equivalence, noninferiority
from taskct.metrics.detectability import d_a
from taskct.metrics.exact_cho import exact_cho_interval
from taskct.metrics.intervals import Interval
from taskct.metrics.lroc import correct_fraction, correct_localization, lroc_interval, lroc_ratings
from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.operating import sensitivity_interval
from taskct.metrics.roc import PairedDifference, delong_difference, delong_interval, normal_difference
from taskct.observers import Observer
from taskct.observers.learning import LearningCurve, learning_curve
from taskct.study.observe.readings import Eye, Reading, build, take_reading
from taskct.study.observe.results import IMAGES, VERSUS, Observation, ObserverResult, Performance, make_ratings
from taskct.study.observe.task import Task
from taskct.study.observe.trial_split import divide_trials
from taskct.truth_table import Truth

Progress = Callable[[int, int, str], None]


def observe(
    images: NDArray[np.float32],
    task: Task,
    names: Sequence[str],
    *,
    versus: NDArray[np.float32] | None = None,
    eye: Eye,
    covariance: NDArray[np.float64] | None = None,
    train_share: float = 0.5,
    n_training_sets: int = 1,
    learn: bool = False,
    margin: float | None = None,
    specificity: float = 0.9,
    confidence: float = 0.95,
    seed: int = 0,
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
    versus
        The same trials imaged otherwise (denoised, at another dose), shape as `images`: observers are trained afresh on
        them, on the same trials, and the differences are paired.
    eye
        Pixel size, viewing, internal noise.
    covariance
        Of the images, for the PWMF, shape `(n_pixels, n_pixels)`.
    train_share
        Of the trials (of the cases), in (0, 1), where the truth names no split.
    n_training_sets
        Above 1, the training trials are divided into as many sets. Observers trained on each count as readers, and the
        interval covers the choice of training trials as well as of test trials (MRMC).
    learn
        Whether to draw learning curves.
    margin
        Of tests of non-inferiority and equivalence against `versus`, above 0; None for none.
    specificity
        At which sensitivity is given, in (0, 1).
    confidence
        Of every interval, in (0, 1).
    seed
        Of every random choice.
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
    if not names or len(set(names)) < len(names):
        raise UserError(f"the observers are {', '.join(names) or 'none'}: give one or more, each once")
    if versus is not None and versus.shape != images.shape:
        raise UserError(
            f"the images to compare with have shape {versus.shape}, the others {images.shape}: give the same trials"
        )
    for name, value in (("train_share", train_share), ("specificity", specificity), ("confidence", confidence)):
        if not 0.0 < value < 1.0:
            raise UserError(f"{name} is {value:g}; it must lie between 0 and 1, both excluded")
    if versus is not None and "pwmf" in names:
        raise UserError("pwmf has the covariance of one set of images: observe the other set with its own")
    if learn and task.truth.cases is not None:
        raise UserError("a learning curve takes trials to be independent, but the truth names cases: leave one out")
    if margin is not None and versus is None:
        raise UserError("a margin is for a comparison: give the images to compare with, or leave it out")
    if margin is not None and not 0.0 < margin < 1.0:
        raise UserError(f"the margin is {margin:g}; it must lie between 0 and 1, such as 0.05")
    sets, test = _divide(task.truth, train_share, n_training_sets, seed)
    made = {name: build(name, eye, covariance=covariance, seed=seed, device=torch.device(device)) for name in names}
    stacks = [images] if versus is None else [images, versus]
    n_steps, done = len(made) * (len(stacks) * len(sets) + learn), 0

    def step(detail: str) -> None:
        nonlocal done
        if progress is not None:
            progress(done, n_steps, detail)
        done += 1

    results = []
    for name, observer in made.items():
        performances = []
        for stack in stacks:
            readings = []
            for train in sets:
                step(name)
                try:
                    readings.append(take_reading(observer, stack, task, train=train, test=test, seed=seed))
                except UserError as error:
                    raise UserError(f"{name}: {error}") from error
            gaussian = _gaussian_auc(readings[0], stack, task, confidence)
            performances.append(
                _performance(readings, task, test, gaussian, specificity=specificity, confidence=confidence)
            )
        curve = None
        if learn:
            step(f"{name}, learning curve")
            chosen = performances[0].readings[0].regularization
            curve = _curve(observer, chosen, images, task, np.concatenate(sets), test, confidence=confidence, seed=seed)
        mine, *others = performances
        other = others[0] if others else None
        notes = [note for one in performances for reading in one.readings for note in reading.notes]
        difference: PairedDifference | None = None
        comparisons: tuple[Comparison, ...] = ()
        if other is not None:
            difference, comparisons = _difference(mine, other, task, test, margin=margin, confidence=confidence)
            if margin is not None and not comparisons:
                notes.append("the margin cannot be tested: an AUC is 0 or 1, or the two sets rank the trials alike")
        if mine.auc.ci_high < 0.5:
            notes.append(
                "its AUC is below chance: it learned from too few trials, or from trials that are not like those it is "
                "tested on"
            )
        if curve is not None and task.mode == "scanning":
            notes.append("the learning curve is that of the observer in windows around known sites")
        results.append(ObserverResult(name, mine, other, difference, comparisons, tuple(dict.fromkeys(notes)), curve))
    if progress is not None:
        progress(n_steps, n_steps, "")
    about = {
        "image": {"height_px": images.shape[1], "width_px": images.shape[2], "pixel_mm": eye.pixel_mm},
        "train": _counts(task.truth, np.concatenate(sets)),
        "test": _counts(task.truth, test),
        "n_training_sets": n_training_sets,
        "mode": task.mode,
        "window_px": task.window_px,
        "radius_px": task.site_radius_px if task.mode == "scanning" else None,
        "specificity": specificity,
        "confidence": confidence,
        "seed": seed,
    }
    return Observation(tuple(results), task.signal_present[test], test, about)


def _divide(
    truth: Truth, train_share: float, n_sets: int, seed: int
) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
    """Training sets and test trials that share no case."""
    if n_sets < 1:
        raise UserError(f"{n_sets} training sets; there must be at least 1")
    if truth.cases is not None and n_sets > 1:
        raise UserError(
            "several training sets (MRMC) need independent test trials, but the truth names cases: give one training "
            "set, whose interval is clustered by case"
        )
    if truth.in_test is None:
        shares = (*(train_share / n_sets,) * n_sets, 1.0 - train_share)
        *sets, test = divide_trials(truth.signal_present, truth.cases, shares=shares, seed=seed)
        return sets, test
    train, test = np.flatnonzero(~truth.in_test), np.flatnonzero(truth.in_test)
    if truth.cases is not None and (shared := set(truth.cases[train]) & set(truth.cases[test])):
        raise UserError(f"{len(shared)} cases stand in both splits of the truth table: a case is for one of them")
    if truth.cases is not None:
        for present in (True, False):
            if len(np.unique(truth.cases[test][truth.signal_present[test] == present])) == 1:
                raise UserError("one case holds all test images of a class: give two cases or more, or leave case out")
    for part, name in ((train, "train"), (test, "test")):
        n_present = int(truth.signal_present[part].sum())
        if min(n_present, len(part) - n_present) < 2:
            raise UserError(
                f"the split {name} of the truth table has {n_present} signal-present and {len(part) - n_present} "
                "signal-absent images: give 2 of each or more"
            )
    parts = divide_trials(truth.signal_present[train], None, shares=(1.0 / n_sets,) * n_sets, seed=seed)
    return [train[part] for part in parts], test


def _counts(truth: Truth, trials: NDArray[np.int64]) -> dict[str, int | None]:
    n_present = int(truth.signal_present[trials].sum())
    n_cases = None if truth.cases is None else len(np.unique(truth.cases[trials]))
    return {"present": n_present, "absent": len(trials) - n_present, "cases": n_cases}


def _performance(
    readings: Sequence[Reading],
    task: Task,
    test: NDArray[np.int64],
    gaussian: Interval | None,
    *,
    specificity: float,
    confidence: float,
) -> Performance:
    present = task.signal_present[test]
    first = readings[0].statistic
    t_present, t_absent = first[present], first[~present]
    clusters = task.clusters(test)
    if len(readings) > 1:
        found = analyze(make_ratings(readings, None, present, test), confidence=confidence).modalities[IMAGES]
        area, method = Interval(found.auc, found.ci_low, found.ci_high), "MRMC: over test trials and training sets"
    elif clusters is not None:
        area = clustered_interval(t_present, t_absent, clusters, confidence=confidence)
        method = "clustered by case: over test cases, for one training set"
    else:
        area = delong_interval(t_present, t_absent, confidence=confidence)
        method = "DeLong: over test trials, for one training set"
    lroc, located = None, None
    if readings[0].found_px is not None:
        correct = correct_localization(
            readings[0].found_px[present],
            task.sites(test)[present],
            radius_mm=task.site_radius_px,
            pixel_mm=1.0,  # so all is in pixels
        )
        if clusters is None:
            lroc = lroc_interval(t_present, t_absent, correct, confidence=confidence)
        else:
            rated = lroc_ratings(t_present, t_absent, correct)
            lroc = clustered_interval(rated, t_absent, clusters, confidence=confidence)
        cases = None if clusters is None else clusters.present
        located = correct_fraction(correct, clusters=cases, confidence=confidence)
    return Performance(
        auc=area,
        method=method,
        d_a=Interval(*(d_a(value) for value in (area.value, area.ci_low, area.ci_high))),
        sensitivity=sensitivity_interval(
            t_present, t_absent, specificity=specificity, clusters=clusters, confidence=confidence, seed=0
        ),
        lroc_area=lroc,
        located=located,
        gaussian_auc=gaussian,
        readings=tuple(readings),
    )


def _difference(
    mine: Performance,
    other: Performance,
    task: Task,
    test: NDArray[np.int64],
    *,
    margin: float | None,
    confidence: float,
) -> tuple[PairedDifference, tuple[Comparison, ...]]:
    """Difference of AUCs with its interval, and the tests with a margin whose interval is the same."""
    present, clusters = task.signal_present[test], task.clusters(test)
    df = math.inf
    if len(mine.readings) > 1:
        ratings = make_ratings(mine.readings, other.readings, present, test)
        found = analyze(ratings, confidence=confidence).differences[f"{IMAGES}-{VERSUS}"]
        difference = PairedDifference(found.auc, found.ci_low, found.ci_high, found.p_value)
        std_error, df = math.sqrt(found.interval_variance), found.df_bdg or math.inf
    else:
        t = np.stack([mine.readings[0].statistic, other.readings[0].statistic])
        both = t[:, present], t[:, ~present]
        delta, std_error = delong_difference(*both) if clusters is None else clustered_difference(*both, clusters)
        difference = normal_difference(delta, std_error, confidence=confidence)
    if margin is None or std_error == 0.0 or {mine.auc.value, other.auc.value} & {0.0, 1.0}:
        return difference, ()  # trials that are too easy to err on say nothing of a margin
    alpha = (1.0 - confidence) / 2.0
    tests = (
        test_of(difference.delta_auc, std_error, margin=margin, alpha=alpha, df=df)
        for test_of in (noninferiority, equivalence)
    )
    return difference, tuple(tests)


def _gaussian_auc(reading: Reading, images: NDArray[np.floating], task: Task, confidence: float) -> Interval | None:
    """Exact interval from the channel outputs of all trials; channels that were learned, or cases, do not allow it."""
    if reading.channel_matrix is None or task.mode == "scanning" or task.truth.cases is not None:
        return None
    seen = task.windows(images, np.arange(len(images)))
    outputs = seen.reshape(len(seen), -1).astype(np.float64) @ orth(reading.channel_matrix)
    if len(outputs) < outputs.shape[1] + 2:
        return None
    present = task.signal_present
    return exact_cho_interval(outputs[present], outputs[~present], confidence=confidence)


def _curve(
    observer: Observer,
    regularization: dict[str, float],
    images: NDArray[np.float32],
    task: Task,
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    *,
    confidence: float,
    seed: int,
) -> LearningCurve:
    """Of an observer with the regularization that was chosen, in windows around the sites where it scans."""
    observer = copy.copy(observer)
    for name, value in regularization.items():
        setattr(observer, name, value)
    pool, unseen = task.windows(images, train), task.windows(images, test)
    present = task.signal_present
    return learning_curve(
        observer, pool, present[train], test=(unseen, present[test]), confidence=confidence, seed=seed
    )
