"""A loaded run: its files together, and what the page asks of them."""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.metrics.comparisons import holm
from taskct.metrics.intervals import Interval
from taskct.names import JOINT, LOW_DOSE, MSE, ArmName
from taskct.report import schema
from taskct.report.labels import OBSERVERS

Floats = NDArray[np.float64]

LONGEST_FILE = 40
"""Characters of a file name that a label has."""

LEVEL = 0.05
"""Holm-adjusted p below which the verdict calls a gain one."""


@dataclass(frozen=True)
class OfClasses:
    """A value of every test trial of one arm and seed, by the truth of the trial."""

    present: Floats
    """Shape `(n_present,)`; of a test statistic, higher means present."""
    absent: Floats
    """Shape `(n_absent,)`."""


@dataclass(frozen=True)
class Examples:
    """A few trials to look at."""

    trial: NDArray[np.int64]
    """Shape `(k,)`."""
    signal_present: NDArray[np.bool_]
    """Shape `(k,)`."""
    center_px: Floats
    """Row and column of the signal, shape `(k, 2)`; NaN when absent."""
    diameter_px: Floats
    """Shape `(k,)`."""
    reference: Floats
    """HU, shape `(k, height, width)`."""
    noisy: Floats
    """HU, shape `(k, height, width)`."""
    denoised: dict[str, Floats]
    """Per arm, HU, shape `(k, height, width)`."""
    template: dict[str, Floats]
    """Per arm, joint SLNN-NO, 1/HU, shape `(height, width)`."""
    why: tuple[str, ...] = ()
    """Why each trial is here: "first", "contrast loss" or "false signal"; empty in the runs of earlier versions."""


@dataclass(frozen=True)
class HarmMaps:
    """`harm.npz`: what arms of the quoted seed do to images without a signal, by the name of the arm."""

    frequency_per_mm: Floats
    """Of the rings of the spectra, cycles/mm, shape `(n,)`."""
    site_map: dict[str, Floats]
    """Mean of denoised − reference about the would-be site of the signal, HU, `(side, side)`."""
    region_map: dict[str, Floats]
    """The same over the region, HU, `(height, width)`."""
    nps: dict[str, Floats]
    """Noise power by ring, HU² mm², `(n,)`."""
    ttf: dict[str, Floats]
    """Transfer function of the signal by ring, `(n,)`; NaN where it cannot be told."""


@dataclass(frozen=True)
class PhysicsCurves:
    """`physics.npz`: curves of the arms of the quoted seed, by the name of the arm."""

    frequency_per_mm: Floats
    """Of the rings of the spectra, cycles/mm, shape `(n,)`."""
    distance_mm: Floats
    """From the middle of the region, mm, shape `(m,)`."""
    nps_ratio: dict[str, Floats]
    """Noise power over that of the low-dose images, `(n,)`."""
    noise_by_position: dict[str, Floats]
    """Noise by distance, HU, `(m,)`."""


@dataclass(frozen=True)
class Quoted:
    """An AUC, or a difference of two, and whether it holds in the limit of many training trials of the observer."""

    interval: Interval
    in_limit: bool
    """False: of an observer fitted on n trials, or of one that is not fitted afresh."""
    p_value: float = math.nan
    """Of a difference; NaN where there is none."""


@dataclass(frozen=True)
class Run:
    """All that a report needs of a run folder."""

    path: Path
    summary: schema.Summary
    scores: dict[tuple[str, int, str], OfClasses]
    """Test statistics, keyed by arm, seed and observer."""
    site_bias: dict[tuple[str, int], OfClasses]
    """Denoised − reference at the site of the signal, HU, keyed by arm and seed."""
    choices: schema.Choices
    tradeoff: schema.Tradeoff
    false_signals: schema.FalseSignals
    retraining: schema.Retraining
    groups: schema.Groups
    task: schema.TaskFile
    examples: Examples
    settings: dict[str, Any]
    """`study.yaml`, nested."""
    provenance: schema.Provenance
    failures: schema.Failures = field(default_factory=lambda: schema.Failures([], []))
    """Of training; none in most runs."""
    limits: schema.Limits = field(default_factory=schema.Limits)
    """AUCs in the limit of many training trials; empty where the run has none, as the next ones."""
    frozen: schema.Frozen = field(default_factory=schema.Frozen)
    efficiency: schema.Efficiency = field(default_factory=schema.Efficiency)
    harm: schema.HarmFile = field(default_factory=schema.HarmFile)
    strata: schema.Strata = field(default_factory=schema.Strata)
    conventions: schema.Conventions = field(default_factory=schema.Conventions)
    harm_maps: HarmMaps | None = None
    physics: schema.PhysicsFile = field(default_factory=schema.PhysicsFile)
    physics_curves: PhysicsCurves | None = None
    task_path: schema.TaskPathFile = field(default_factory=schema.TaskPathFile)
    """Working points of a task path; without rows where the study has none."""

    @property
    def trained(self) -> bool:
        """Whether anything was trained; else denoisers elsewhere and filters are compared with the low-dose images."""
        return self.tradeoff.control != LOW_DOSE

    @property
    def given(self) -> str | None:
        """File name of the weights that the denoiser came with; None where it was trained here."""
        weights = (self.settings.get("denoiser") or {}).get("weights")
        return None if weights is None else PurePath(str(weights)).name

    def label(self, name: str) -> str:
        """Name an arm as the page does; a network that came with its weights is named by their file, not by MSE."""
        arm = ArmName.parse(name)
        of_variant = dict(arm.variant).get("weights", self.given)
        if arm.kind != "mse" or of_variant is None:
            return arm.label
        rest = tuple(pair for pair in arm.variant if pair[0] != "weights")
        file = of_variant if len(of_variant) <= LONGEST_FILE else f"{of_variant[: LONGEST_FILE - 1]}…"
        return f"{file} (as it came){replace(arm, variant=rest).label.removeprefix('MSE')}"

    def has(self, name: str) -> bool:
        """Whether the study has an arm of this name."""
        return any(arm.name == name for arm in self.summary.arms)

    @property
    def standing(self) -> list[str]:
        """The arms that every picture shows: low-dose images, MSE where there is one, the control, the chosen arm."""
        names = dict.fromkeys((LOW_DOSE, MSE, self.tradeoff.control, self.choices.chosen_arm))
        return [name for name in names if self.has(name)]

    @property
    def seeds(self) -> list[int]:
        """Seeds of the control, ascending."""
        return sorted({arm.seed for arm in self.summary.arms if arm.name == self.tradeoff.control})

    @property
    def seed(self) -> int:
        """The seed that text and figures quote."""
        return self.choices.seed

    @property
    def observers(self) -> list[str]:
        """Observers that any arm has, in the page's order."""
        found = {observer for arm in self.summary.arms for observer in arm.observers}
        return [o for o in OBSERVERS if o in found] + sorted(found - set(OBSERVERS))

    @property
    def drawn_observers(self) -> list[str]:
        """Those that an arm other than the low-dose images has: of the others a trade-off has no point."""
        return [
            o for o in self.observers if any(o in arm.observers for arm in self.summary.arms if arm.name != LOW_DOSE)
        ]

    def arm(self, name: str, seed: int | None = None) -> schema.ArmFigures:
        """Return one arm, of the quoted seed unless told; an arm without seeds of its own has its only one.

        Raises
        ------
        KeyError
            If no arm has this name.
        """
        arms = [arm for arm in self.summary.arms if arm.name == name]
        if not arms:
            raise KeyError(name)
        wanted = self.seed if seed is None else seed
        return next((arm for arm in arms if arm.seed == wanted), arms[0])

    def comparison(self, arm: str, versus: str, observer: str, seed: int | None = None) -> schema.Paired | None:
        """Return how two arms compare on the same test trials, or None where the study has no such pair."""
        wanted = self.seed if seed is None else seed
        for row in self.summary.paired:
            if (row.observer, row.seed) == (observer, wanted):
                if (row.arm, row.versus) == (arm, versus):
                    return row
                if (row.arm, row.versus) == (versus, arm):
                    low, high = -row.ci_high, -row.ci_low
                    return replace(row, arm=arm, versus=versus, delta_auc=-row.delta_auc, ci_low=low, ci_high=high)
        return None

    def delta(self, arm: str, versus: str, observer: str, seed: int | None = None) -> Interval | None:
        """Return AUC(arm) − AUC(versus) on the same test trials, or None where the study has no such pair."""
        found = self.comparison(arm, versus, observer, seed)
        return None if found is None else found.delta

    @property
    def has_limits(self) -> bool:
        """Whether any AUC in the limit of many training trials is known."""
        return any(row.limit is not None for row in self.limits.rows)

    def limit(self, arm: str, observer: str, seed: int | None = None) -> schema.LimitRow | None:
        """Return an arm's AUC in the limit of many training trials, or why there is none; None without a row."""
        wanted = self.arm(arm, seed).seed
        rows = (row for row in self.limits.rows if (row.arm, row.observer) == (arm, observer))
        return next((row for row in rows if row.seed == wanted), None)

    def limit_comparison(
        self, arm: str, versus: str, observer: str, seed: int | None = None
    ) -> schema.LimitPaired | None:
        """Return how two arms compare in the limit, or None where the study has no such pair or no limit of it."""
        wanted = self.seed if seed is None else seed
        for row in self.limits.paired:
            if (row.observer, row.seed) == (observer, wanted) and row.delta is not None:
                if (row.arm, row.versus) == (arm, versus):
                    return row
                if (row.arm, row.versus) == (versus, arm):
                    turned = Interval(-row.delta.value, -row.delta.ci_high, -row.delta.ci_low)
                    return replace(row, arm=arm, versus=versus, delta=turned)
        return None

    def limit_delta(self, arm: str, versus: str, observer: str, seed: int | None = None) -> Interval | None:
        """Return AUC(arm) − AUC(versus) in the limit, or None where the study has no such pair or no limit of it."""
        found = self.limit_comparison(arm, versus, observer, seed)
        return None if found is None else found.delta

    def quoted_auc(self, arm: str, observer: str, seed: int | None = None) -> Quoted | None:
        """Return the AUC that text quotes: in the limit where it can be had, else at n; None without this observer."""
        row, figures = self.limit(arm, observer, seed), self.arm(arm, seed)
        if row is not None and row.limit is not None:
            return Quoted(row.limit, in_limit=True)
        return Quoted(figures.observers[observer], in_limit=False) if observer in figures.observers else None

    def quoted_delta(self, arm: str, versus: str, observer: str, seed: int | None = None) -> Quoted | None:
        """Return the difference of AUCs that text quotes: in the limit where it can be had, else at n."""
        in_limit = self.limit_comparison(arm, versus, observer, seed)
        if in_limit is not None and in_limit.delta is not None:
            p = math.nan if in_limit.p_value is None else in_limit.p_value
            return Quoted(in_limit.delta, in_limit=True, p_value=p)
        at_n = self.comparison(arm, versus, observer, seed)
        return None if at_n is None else Quoted(at_n.delta, in_limit=False, p_value=at_n.p_value)

    def price(self, arm: str) -> Interval | None:
        """Return an arm's RMSE over the control's on the test trials, or None in the runs of earlier versions."""
        return next((row.rmse_ratio for row in self.tradeoff.prices if row.arm == arm), None)

    def path_points(self, arm: str | None = None) -> list[schema.PathRow]:
        """Return the working points of the task path that an arm is on, quoted seed, by rising price.

        Those of the control, and so of the study's own settings, unless told; none where there is no such path.
        """
        variant = ArmName.parse(self.tradeoff.control if arm is None else arm).variant
        rows = self.task_path.rows
        mine = [row for row in rows if row.seed == self.seed and ArmName.parse(row.arm).variant == variant]
        return sorted(mine, key=lambda row: row.price)

    def false_signal(self, arm: schema.ArmFigures) -> schema.FalseSignal:
        """Return how often an arm paints a signal."""
        return next(row for row in self.false_signals.arms if (row.arm, row.seed) == (arm.name, arm.seed))

    def harm_of(self, arm: schema.ArmFigures) -> schema.HarmRow | None:
        """Return what an arm does beside its purpose, or None where the run has no `harm.json`."""
        return next((row for row in self.harm.rows if (row.arm, row.seed) == (arm.name, arm.seed)), None)

    @property
    def repeats_of_control(self) -> list[str]:
        """Names of the arms with λ = 0 and another head than the control: their images are the control's."""
        head = self.arm(self.tradeoff.control).head
        found = [arm.name for arm in self.summary.arms if arm.lambda_ == 0 and arm.alpha is None and arm.head != head]
        return list(dict.fromkeys(found))

    def adjusted_over_table(self) -> list[float]:
        """Holm-adjusted p of every paired comparison; NaN where it only repeats one of the control's."""
        same = self.repeats_of_control
        paired = self.summary.paired
        p = [math.nan if row.arm in same and row.observer != JOINT else row.p_value for row in paired]
        adjusted: list[float] = holm(p).tolist()
        return adjusted

    def gains_and_losses(self) -> tuple[list[str], list[str], list[str]]:
        """Split the observers of the chosen arm into those that gain on the control, lose, and show neither.

        The differences are those that text quotes, in the limit where it can be had. A gain needs a Holm-adjusted p
        below 0.05 over these observers; a loss only an interval below zero, so that the adjustment hides no harm.
        """
        pairs = {o: self.quoted_delta(self.choices.chosen_arm, self.tradeoff.control, o) for o in self.observers}
        found = {observer: pair for observer, pair in pairs.items() if pair is not None}
        adjusted = dict(zip(found, holm([pair.p_value for pair in found.values()]).tolist(), strict=True))
        gains = [o for o, pair in found.items() if pair.interval.value > 0 and adjusted[o] < LEVEL]
        losses = [o for o, pair in found.items() if pair.interval.ci_high < 0]
        return gains, losses, [o for o in found if o not in gains + losses]
