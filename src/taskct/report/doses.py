"""Runs of one study at several doses, as readings of one observer: arms are reconstructions, signals are rods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtri

from taskct.errors import UserError
from taskct.metrics.clustered import Clusters
from taskct.metrics.dose_areas import DoseAreas, DoseCell, DoseReading
from taskct.metrics.intervals import Interval
from taskct.names import LOW_DOSE, MSE
from taskct.report.compare import Compared
from taskct.report.families import main_observer
from taskct.report.load import load_run
from taskct.report.run import Run
from taskct.report.tables import flat_settings

DOSE_UNIT = "% of full dose"

SWEPT = ("name", "scanner.dose_fraction")
"""Settings, beside those of the signal, in which runs of one curve may differ."""

_Z = -float(ndtri(0.025))


def readings_of_runs(
    folders: Sequence[Path], *, observer: str | None = None, arms: Sequence[str] = ()
) -> tuple[list[DoseReading], dict[str, tuple[float, float]], str, list[str]]:
    """Test statistics of some arms in runs that differ in dose, or in the size and contrast of the signal.

    Parameters
    ----------
    folders
        Finished run folders.
    observer
        Whose test statistics, as scores.csv names it; None for the one that a report quotes.
    arms
        Names as scores.csv has them; none for the low-dose images, MSE, the control and the chosen arm of the first
        run.

    Returns
    -------
    Readings, the dose in percent of full dose; diameter (mm) and contrast (HU) of each rod, the middle of their range;
    the observer; and notes. Test trials of one number are one scan in all runs: they are paired within a run, and
    across runs where they share their draw.

    Raises
    ------
    UserError
        If a run cannot be read, has no dose of its own, or lacks the observer or an arm, or two are of one dose and
        signal.
    """
    found = _found(folders, observer, arms)
    readings = []
    for one in found.runs:
        scans = _scans(one.run)
        for arm in found.arms:
            cell = DoseCell(one.run.label(arm), one.dose, one.rod)
            readings.append(_reading(one, cell, (arm, found.observer), scans))
    notes = _other_differences(found.runs)
    if len({len(one.t_present) for one in readings}) > 1:
        notes.append("the runs have different numbers of test trials: those of one number are paired across runs")
    if any(one.run.has_limits for one in found.runs):
        notes.append(
            "AUCs are those at the number of training trials of the runs, whose observers learn less from noisier "
            "images; --in-limit takes those in the limit of many"
        )
    return readings, found.sizes, found.observer, notes


def limits_of_runs(
    folders: Sequence[Path], *, observer: str | None = None, arms: Sequence[str] = ()
) -> tuple[DoseAreas, dict[str, tuple[float, float]], str, list[str]]:
    """AUCs in the limit of many training trials, of the same arms and runs.

    Parameters
    ----------
    folders, observer, arms
        As for `readings_of_runs`, with its errors; each arm must have its limit in every run.

    Returns
    -------
    The AUCs, and the rest as `readings_of_runs` has it. Their variances are those of the intervals on record. Two arms
    of a run are paired where the run compared them in the limit, else taken as independent, as all runs are.
    """
    found = _found(folders, observer, arms)
    cells, limits, n_scans, keys = [], [], [], []
    for number, one in enumerate(found.runs):
        counted = [len(set(names)) for names in _scans(one.run)]
        for arm in found.arms:
            row = one.run.limit(arm, found.observer)
            if row is None or row.limit is None:
                why = "it has none" if row is None or not row.why_not else row.why_not
                raise UserError(f"{one.folder}: no AUC of {found.observer} of {arm} in the limit of many trials: {why}")
            cells.append(DoseCell(one.run.label(arm), one.dose, one.rod))
            limits.append(row.limit)
            n_scans.append(counted)
            keys.append((number, arm))
    variances = [_variance(limit) for limit in limits]
    covariance = np.diag(variances)
    for i, (number, arm) in enumerate(keys):
        for j, (other, versus) in enumerate(keys[:i]):
            if (
                number == other
                and (delta := found.runs[number].run.limit_delta(arm, versus, found.observer)) is not None
            ):
                covariance[i, j] = covariance[j, i] = (variances[i] + variances[j] - _variance(delta)) / 2.0
    areas = DoseAreas(tuple(cells), np.array([limit.value for limit in limits]), covariance, np.array(n_scans))
    notes = _other_differences(found.runs)
    notes += ["AUCs are those in the limit of many training trials; runs are taken as independent of each other"]
    return areas, found.sizes, found.observer, notes


@dataclass(frozen=True)
class _AtDose:
    """A run, and where it belongs."""

    folder: Path
    run: Run
    dose: float
    rod: str


@dataclass(frozen=True)
class _Found:
    """Runs at several doses, and what is asked of them."""

    runs: list[_AtDose]
    observer: str
    arms: list[str]
    sizes: dict[str, tuple[float, float]]


def _found(folders: Sequence[Path], observer: str | None, arms: Sequence[str]) -> _Found:
    runs = [load_run(folder) for folder in folders]
    chosen = list(arms) or [
        arm
        for arm in dict.fromkeys((LOW_DOSE, MSE, runs[0].tradeoff.control, runs[0].choices.chosen_arm))
        if all(any(one.name == arm for one in run.summary.arms) for run in runs)
    ]
    sizes: dict[str, tuple[float, float]] = {}
    places: dict[tuple[float, str], Path] = {}
    placed = []
    for folder, run in zip(folders, runs, strict=True):
        dose, (rod, size) = dose_percent(folder, run.settings), _signal(run.settings)
        if (other := places.setdefault((dose, rod), folder)) != folder:
            raise UserError(f"{folder} and {other} are of one dose and signal, {dose:g} {DOSE_UNIT}, {rod}: give one")
        for arm in chosen:
            if not any(one.name == arm for one in run.summary.arms):
                raise UserError(f"{folder} has no arm {arm!r}")
        sizes[rod] = size
        placed.append(_AtDose(folder, run, dose, rod))
    return _Found(placed, observer.replace("-", "_") if observer else main_observer(runs[0]), chosen, sizes)


def _other_differences(runs: Sequence[_AtDose]) -> list[str]:
    """A note where runs differ in more than dose and signal."""
    first, *others = (dict(flat_settings(dict(one.run.settings))) for one in runs)
    differing = sorted({name for other in others for name in {**first, **other} if first.get(name) != other.get(name)})
    more = [name for name in differing if name not in SWEPT and not name.startswith("signal.")]
    if not more:
        return []
    named = ", ".join(more[:4]) + (", …" if len(more) > 4 else "")
    return [f"the runs differ in more than dose and signal, and so may their curves: {named}"]


def _variance(found: Interval) -> float:
    """Of an estimate, from its 95 % interval on record."""
    return ((found.ci_high - found.ci_low) / (2.0 * _Z)) ** 2


def dose_percent(folder: Path, settings: Mapping[str, Any]) -> float:
    """The dose of a run, percent of full dose; a `UserError` where its images were not simulated at one."""
    kind = (settings.get("background") or {}).get("kind")
    fraction = (settings.get("scanner") or {}).get("dose_fraction")
    if kind == "paired" or not isinstance(fraction, int | float) or not fraction > 0.0:
        raise UserError(f"{folder}: its images have the dose of their files, which taskct does not know; leave it out")
    return 100.0 * float(fraction)


def _signal(settings: Mapping[str, Any]) -> tuple[str, tuple[float, float]]:
    """What the signal of a run is called, and the middle of its diameters (mm) and contrasts (HU)."""
    signal = settings.get("signal") or {}
    texts, middles = [], []
    for name, unit in (("diameter_mm", "mm"), ("contrast_hu", "HU")):
        low, high = (float(bound) for bound in signal[name])
        texts.append(f"{low:g} {unit}" if low == high else f"{low:g} to {high:g} {unit}")
        middles.append((low + high) / 2.0)
    return ", ".join(texts), (middles[0], middles[1])


def _scans(run: Run) -> tuple[list[str], list[str]]:
    """Names of the scans of the test trials of each class: backgrounds where the run resamples them, else trials."""
    clusters: Clusters | None = Compared("", run).clusters
    if clusters is not None:
        return [f"background {k}" for k in clusters.present], [f"background {k}" for k in clusters.absent]
    score = next(iter(run.scores.values()))
    return [f"present {k}" for k in range(len(score.present))], [f"absent {k}" for k in range(len(score.absent))]


def _reading(at: _AtDose, cell: DoseCell, who: tuple[str, str], scans: tuple[list[str], list[str]]) -> DoseReading:
    arm, observer = who
    seeds = [seed for name, seed, read in at.run.scores if (name, read) == (arm, observer)]
    if not seeds:
        known = ", ".join(sorted({read for name, _, read in at.run.scores if name == arm}))
        raise UserError(f"{at.folder} has no {observer!r} of {arm}; there are {known}")
    score = at.run.scores[arm, at.run.seed if at.run.seed in seeds else seeds[0], observer]
    return DoseReading(cell, np.asarray(score.present), np.asarray(score.absent), *scans)
