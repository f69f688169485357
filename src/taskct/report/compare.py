"""Several runs on one page: arms of each against its own control, the trade-offs together, and what differs."""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle
from pathlib import Path
from string import ascii_uppercase

import numpy as np
from matplotlib.figure import Figure
from scipy.special import ndtri

from taskct.errors import UserError
from taskct.literal import figure_text
from taskct.metrics.clustered import Clusters
from taskct.metrics.intervals import Interval
from taskct.metrics.roc import delong_covariance, paired_delong
from taskct.names import JOINT, LOW_DOSE, ArmName
from taskct.report.caveats import backgrounds
from taskct.report.figures import encode, new_figure, style
from taskct.report.headline import headline
from taskct.report.labels import interval, listed, number, observer_label
from taskct.report.load import load_run
from taskct.report.run import Run
from taskct.report.sections import Captioned, PageSection, SectionsPage, write_sections
from taskct.report.tables import NONE, Table, flat_settings

MOST_RUNS = len(ascii_uppercase)

_Z = -float(ndtri(0.025))

# Okabe and Ito's colours; each run has its own mark too.
_LOOKS = list(
    zip(
        ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"),
        ("o", "s", "D", "^", "v", "P", "X"),
        strict=True,
    )
)


@dataclass(frozen=True)
class Compared:
    """A run of the comparison."""

    letter: str
    """What the page calls it: names of folders may tell who a patient is."""
    run: Run

    @property
    def label(self) -> str:
        """The letter and the name of the study."""
        return f"{self.letter} ({self.run.summary.study})"

    @cached_property
    def clusters(self) -> Clusters | None:
        """The backgrounds of the test trials; None where the trials are the unit."""
        return None if self.run.task.resampling.unit == "trial" else _clusters(self.run.path / "quality.csv")

    @property
    def test_digests(self) -> dict[str, str | None]:
        """Digests of the test trials, by file; empty where none are on record."""
        record = self.run.provenance.stages.get("simulate")
        digests = {} if record is None else record.digests
        return {name: digest for name, digest in digests.items() if name.startswith("trials/test/")}


def _clusters(path: Path) -> Clusters:
    """The background of every test trial, from the rows of the first arm."""
    cases: dict[bool, list[str]] = {True: [], False: []}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            first = None
            for row in csv.DictReader(file):
                if first is None:
                    first = row["arm"], row["seed"]
                if (row["arm"], row["seed"]) != first:
                    break
                cases[row["signal_present"] == "1"].append(row["case"])
    except KeyError as error:
        raise UserError(f"{path} lacks the column {error}; evaluate the run again") from error
    return Clusters.of(cases[True], cases[False])


def write_comparison(folders: Sequence[Path], page: Path) -> Path:
    """Write a page that compares run folders, whole or not at all.

    Parameters
    ----------
    folders
        Two to 26 run folders that `taskct evaluate` has finished; the first is what the others are held against.
    page
        The page to write.

    Raises
    ------
    UserError
        If there are too few or too many, one is given twice, or a file of a run is missing or broken.
    """
    if not 2 <= len(folders) <= MOST_RUNS:
        raise UserError(f"{len(folders)} run folder{'s' * (len(folders) != 1)}: give 2 to {MOST_RUNS} to compare")
    resolved = [folder.resolve() for folder in folders]
    for number_, folder in enumerate(resolved):
        if folder in resolved[:number_]:
            raise UserError(f"{folders[number_]} is given twice: compare it with another run")
    runs = [Compared(letter, load_run(folder)) for letter, folder in zip(ascii_uppercase, folders, strict=False)]
    return write_sections(page, comparison(runs))


def comparison(runs: Sequence[Compared]) -> SectionsPage:
    """Return the page of some runs."""
    first, *others = runs
    between = [table for other in others for table in _between(first, other)]
    sections = [
        PageSection("The trade-offs", pictures=[_picture(runs)]),
        PageSection("Each run against its own control", tables=[_own_control(runs)]),
        PageSection("Runs against each other", texts=[_pairing(first, other) for other in others], tables=between),
        PageSection("What differs in the settings", tables=[_settings(runs)]),
        PageSection(
            "What the runs rest on",
            texts=[f"{one.label}: {one.run.task.description}" for one in runs],
            tables=[_basis(runs)],
        ),
    ]
    leads = [_lead(runs), *(f"{one.label}: {headline(one.run).two_sentences[0]}" for one in runs)]
    return SectionsPage("compare", f"{len(runs)} runs compared", leads, sections)


def share_trials(one: Compared, other: Compared) -> bool:
    """Whether two runs were tested on the very same trials, by the digests of their files."""
    return bool(one.test_digests) and one.test_digests == other.test_digests


def _lead(runs: Sequence[Compared]) -> str:
    first, *others = runs
    shared = [one.letter for one in others if share_trials(first, one)]
    parts = []
    if shared:
        parts.append(f"{listed([first.letter, *shared])} were tested on the very same trials: differences are paired")
    if apart := [one.letter for one in others if one.letter not in shared]:
        parts.append(
            f"{listed(apart)} {'was' if len(apart) == 1 else 'were'} tested on other trials than {first.letter}: "
            "differences are unpaired, and their intervals wider"
        )
    return f"{'; '.join(parts)}."


def _pairing(first: Compared, other: Compared) -> str:
    if share_trials(first, other):
        return f"{first.letter} and {other.letter} share their test trials (equal digests): differences are paired."
    why = "other trials, or no digests on record"
    return f"{first.letter} and {other.letter} do not share their test trials ({why}): differences are unpaired."


def observers_of(runs: Sequence[Compared]) -> list[str]:
    """Observers that every run has, in the page's order."""
    return [o for o in runs[0].run.observers if all(o in one.run.observers for one in runs[1:])]


def _own_control(runs: Sequence[Compared]) -> Table:
    observers = list(dict.fromkeys(o for one in runs for o in one.run.observers))
    limited = any(one.run.has_limits for one in runs)
    rows, starred = [], False
    for one in runs:
        run = one.run
        control = run.tradeoff.control
        for arm in run.summary.arms:
            deltas = {o: run.quoted_delta(arm.name, control, o, arm.seed) for o in observers}
            if arm.name == control or not any(deltas.values()) or arm.seed != run.arm(arm.name).seed:
                continue
            cells = []
            for found in deltas.values():
                mark = "*" if found is not None and limited and not found.in_limit else ""
                starred |= bool(mark)
                cells.append(NONE if found is None else interval(found.interval, 3, signed=True) + mark)
            rows.append([one.letter, run.label(arm.name), _price(run, arm.name), *cells])
    columns = ["Run", "Arm", "RMSE / control", *(f"ΔAUC, {observer_label(o)}" for o in observers)]
    caption = "Every arm against the control of its own run, on that run's test trials [95 % interval]."
    caption += " ΔAUC is that in the limit of many training trials of the observer." if limited else ""
    caption += " * marks one at the number of training trials of the run." if starred else ""
    return Table(caption, columns, rows)


def _price(run: Run, arm: str) -> str:
    ratio = run.price(arm)
    if ratio is not None:
        return interval(ratio, 3)
    control = run.arm(run.tradeoff.control).image_quality.rmse_hu.value
    return number(run.arm(arm).image_quality.rmse_hu.value / control, 3)


def difference(first: Compared, other: Compared, arm: str, observer: str) -> Interval | None:
    """Return AUC(other run) − AUC(first run) of an arm that both have, at n; None where one lacks the observer.

    On the same trials it is paired, else the variances of the two AUCs add.
    """
    scores = []
    for one in (first, other):
        figures = one.run.arm(arm)
        if observer not in figures.observers:
            return None
        scores.append(one.run.scores[arm, figures.seed, observer])
    if share_trials(first, other):
        present, absent = (np.stack([getattr(s, k) for s in reversed(scores)]) for k in ("present", "absent"))
        found = paired_delong(present, absent, first.clusters)
        return Interval(found.delta_auc, found.ci_low, found.ci_high)
    values = [one.run.arm(arm).observers[observer].value for one in (first, other)]
    variances = [
        float(delong_covariance(s.present[None], s.absent[None], one.clusters)[0, 0])
        for one, s in zip((first, other), scores, strict=True)
    ]
    return _unpaired(values[1] - values[0], math.sqrt(sum(variances)))


def limit_difference(first: Compared, other: Compared, arm: str, observer: str) -> Interval | None:
    """Return the difference of two runs' AUCs in the limit, its runs taken as independent; None without both limits."""
    rows = [one.run.limit(arm, observer) for one in (first, other)]
    limits = [row.limit for row in rows if row is not None and row.limit is not None]
    if len(limits) < 2:
        return None
    errors = [(limit.ci_high - limit.ci_low) / (2 * _Z) for limit in limits]
    return _unpaired(limits[1].value - limits[0].value, math.hypot(*errors))


def _unpaired(value: float, std_error: float) -> Interval:
    return Interval(value, max(value - _Z * std_error, -1.0), min(value + _Z * std_error, 1.0))


def _between(first: Compared, other: Compared) -> list[Table]:
    """Differences of the arms that two runs both have: at n, and in the limit where both have it."""
    theirs = {arm.name for arm in other.run.summary.arms}
    arms = list(dict.fromkeys(arm.name for arm in first.run.summary.arms if arm.name in theirs))
    observers = observers_of([first, other])
    paired = "paired on the same trials" if share_trials(first, other) else "unpaired"
    name = f"AUC of {other.letter} minus AUC of {first.letter}"
    n = [f"{one.run.task.n_trials.get('fresh', 0):,} in {one.letter}" for one in (first, other)]
    at_n = f"{name}, {paired} [95 % interval]; fresh observers have {listed(n)} training trials."
    if any(one.run.has_limits for one in (first, other)):
        at_n += " Where the images of the runs differ in noise, the table of the limit counts instead."
    in_limit = (
        f"{name} in the limit of many training trials [95 % interval, the runs taken as independent, so it is wide "
        "where they share trials]."
    )
    return [
        table
        for work_out, caption in ((difference, at_n), (limit_difference, in_limit))
        if (table := _difference_table(first, other, arms, observers, work_out, caption)) is not None
    ]


def _difference_table(
    first: Compared,
    other: Compared,
    arms: Sequence[str],
    observers: Sequence[str],
    work_out: Callable[[Compared, Compared, str, str], Interval | None],
    caption: str,
) -> Table | None:
    rows = []
    for arm in arms:
        found = [work_out(first, other, arm, observer) for observer in observers]
        if any(found):
            rmse = [number(one.run.arm(arm).image_quality.rmse_hu.value, 2) for one in (first, other)]
            cells = (NONE if one is None else interval(one, 3, signed=True) for one in found)
            rows.append([first.run.label(arm), " → ".join(rmse), *cells])
    columns = ["Arm", f"RMSE (HU), {first.letter} → {other.letter}", *(f"ΔAUC, {observer_label(o)}" for o in observers)]
    return Table(caption, columns, rows) if rows else None


def _settings(runs: Sequence[Compared]) -> Table:
    flat = [dict(flat_settings(one.run.settings)) for one in runs]
    names = list(dict.fromkeys(name for settings in flat for name in settings))
    rows = [
        [name, *(settings.get(name, NONE) for settings in flat)]
        for name in names
        if len({settings.get(name, NONE) for settings in flat}) > 1
    ]
    caption = "Settings in which the runs differ; all others are alike." if rows else "The runs differ in no setting."
    return Table(caption, ["Setting", *(one.letter for one in runs)], rows)


def _basis(runs: Sequence[Compared]) -> Table:
    rows = []
    for one in runs:
        run = one.run
        n, made = run.summary.n_test, run.provenance
        seeds = listed(map(str, run.seeds))
        tests = f"{n.present} + {n.absent}"
        version = f"{made.taskct_version} ({made.commit})" if made.commit else made.taskct_version
        rows.append([one.label, tests, backgrounds(run), seeds, run.label(run.choices.chosen_arm), version])
    columns = ["Run", "Test trials, present + absent", "Backgrounds", "Training seeds", "Chosen arm", "taskct"]
    return Table("What stands behind the figures of each run.", columns, rows)


def _picture(runs: Sequence[Compared]) -> Captioned:
    observers = [o for o in observers_of(runs) if o != JOINT] or observers_of(runs)
    if not observers:
        raise UserError("these runs have no observer in common: there is no trade-off to draw in one picture")
    limited = {o: _all_in_limit(runs, o) for o in observers}
    return Captioned(
        encode(_figure(runs, observers, limited), "svg"),
        f"AUC against RMSE of {len(runs)} runs, a panel for each of {len(observers)} observers. The numbers are in the "
        "tables.",
        "Each mark is an arm of a run, on its own test trials, with 95 % intervals. A line joins the arms trained with "
        "a growing λ, a dotted one the prices of a task path. The cross is the low-dose images' AUC, at the right "
        "edge. " + _axis_words(limited),
    )


def _axis_words(limited: dict[str, bool]) -> str:
    if all(limited.values()):
        return "AUC is that in the limit of many training trials."
    if not any(limited.values()):
        return "AUC is that at the number of training trials of each run."
    return "The axis says whether AUC is that in the limit of many training trials, or at the number of the run."


def _all_in_limit(runs: Sequence[Compared], observer: str) -> bool:
    """Whether every arm of every run that this observer read has a limit: an axis has one kind of AUC."""
    found = [one.run.quoted_auc(a.name, observer, a.seed) for one in runs for a in one.run.summary.arms]
    return all(auc.in_limit for auc in found if auc is not None)


def _figure(runs: Sequence[Compared], observers: Sequence[str], limited: dict[str, bool]) -> Figure:
    with style():
        n_rows = (len(observers) + 1) // 2
        figure = new_figure(10.0, 3.8 * n_rows + 0.5)
        axes = figure.subplots(n_rows, 2, squeeze=False).ravel()
        for ax in axes[len(observers) :]:
            ax.set_axis_off()
        for ax, observer in zip(axes, observers, strict=False):
            for one, (color, marker) in zip(runs, cycle(_LOOKS), strict=False):
                run = one.run
                mine = [a for a in run.summary.arms if observer in a.observers and a.seed == run.arm(a.name).seed]

                def auc(name: str, run: Run = run, observer: str = observer) -> Interval:
                    quoted = run.quoted_auc(name, observer)
                    at_n = run.arm(name).observers[observer]
                    return quoted.interval if quoted is not None and limited[observer] else at_n

                shown = [(a.image_quality.rmse_hu, auc(a.name)) for a in mine if a.name != LOW_DOSE]
                sweep = [a for a in mine if a.lambda_ is not None and a.alpha is None]
                variant = ArmName.parse(run.tradeoff.control).variant
                home = [a for a in sweep if ArmName.parse(a.name).variant == variant]
                home.sort(key=lambda a: a.lambda_ or 0.0)
                line = [(a.image_quality.rmse_hu.value, auc(a.name).value) for a in home]
                path = [a for a in mine if a.price is not None and ArmName.parse(a.name).variant == variant]
                path = [*home[:1], *sorted(path, key=lambda a: a.price or 0.0)] if path else []
                dial = [(a.image_quality.rmse_hu.value, auc(a.name).value) for a in path]
                for points, dash in ((line, "-"), (dial, ":")):
                    if points:
                        ax.plot(*zip(*points, strict=True), dash, color=color, linewidth=1, zorder=1)
                if shown:
                    x, y = ([found.value for found in axis] for axis in zip(*shown, strict=True))
                    xerr, yerr = (
                        np.abs([[f.value - f.ci_low for f in axis], [f.ci_high - f.value for f in axis]])
                        for axis in zip(*shown, strict=True)
                    )
                    label = figure_text(one.label)
                    ax.errorbar(x, y, yerr, xerr, fmt=marker, color=color, markersize=5, elinewidth=0.7, label=label)
                if any(a.name == LOW_DOSE for a in mine):
                    ax.plot(
                        [1.0],
                        [auc(LOW_DOSE).value],
                        "x",
                        color=color,
                        transform=ax.get_yaxis_transform(),
                        clip_on=False,
                    )
            where = "in the limit" if limited[observer] else "at n"
            ax.set(xlabel="RMSE (HU)", ylabel=f"AUC, {where}", title=figure_text(observer_label(observer)))
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    return figure
