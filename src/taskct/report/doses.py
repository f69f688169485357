"""Runs of one study at several doses, as readings of one observer: arms are reconstructions, signals are rods."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from taskct.errors import UserError
from taskct.metrics.clustered import Clusters
from taskct.metrics.dose_areas import DoseCell, DoseReading
from taskct.names import LOW_DOSE, MSE
from taskct.report.compare import Compared
from taskct.report.families import main_observer
from taskct.report.labels import arm_label
from taskct.report.load import load_run
from taskct.report.run import Run

DOSE_UNIT = "% of full dose"


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
    runs = [load_run(folder) for folder in folders]
    name = observer.replace("-", "_") if observer else main_observer(runs[0])
    chosen = list(arms) or [
        arm
        for arm in dict.fromkeys((LOW_DOSE, MSE, runs[0].tradeoff.control, runs[0].choices.chosen_arm))
        if all(any(one.name == arm for one in run.summary.arms) for run in runs)
    ]
    readings: list[DoseReading] = []
    sizes: dict[str, tuple[float, float]] = {}
    places: dict[tuple[float, str], Path] = {}
    for folder, run in zip(folders, runs, strict=True):
        dose, (rod, size) = dose_percent(folder, run.settings), _signal(run.settings)
        if (other := places.setdefault((dose, rod), folder)) != folder:
            raise UserError(f"{folder} and {other} are of one dose and signal, {dose:g} {DOSE_UNIT}, {rod}: give one")
        sizes[rod] = size
        present, absent = _scans(run)
        for arm in chosen:
            readings.append(_reading(folder, run, DoseCell(arm_label(arm), dose, rod), (arm, name), (present, absent)))
    notes = []
    if len({len(one.t_present) for one in readings}) > 1:
        notes.append("the runs have different numbers of test trials: those of one number are paired across runs")
    if any(run.has_limits for run in runs):
        notes.append(
            "AUCs are those at the number of training trials of the runs, whose observers learn less from noisier "
            "images; the report of each run has those in the limit of many"
        )
    return readings, sizes, name, notes


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


def _reading(
    folder: Path, run: Run, cell: DoseCell, who: tuple[str, str], scans: tuple[list[str], list[str]]
) -> DoseReading:
    arm, observer = who
    seeds = [seed for name, seed, read in run.scores if (name, read) == (arm, observer)]
    if not seeds:
        known = sorted({read for name, _, read in run.scores if name == arm})
        what = f"no arm {arm!r}" if not known else f"no {observer!r} of {arm}; there are {', '.join(known)}"
        raise UserError(f"{folder} has {what}")
    score = run.scores[arm, run.seed if run.seed in seeds else seeds[0], observer]
    return DoseReading(cell, np.asarray(score.present), np.asarray(score.absent), *scans)
