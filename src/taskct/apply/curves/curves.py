"""All that is told of curves against dose: AUCs, doses at equal AUC, and non-inferiority at each dose."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from taskct.apply.curves.tables import RodSize
from taskct.errors import UserError
from taskct.literal import csv_text
from taskct.metrics.detectability import d_a
from taskct.metrics.dose_areas import POOLED, DoseAreas, DoseCell, auc_bands
from taskct.metrics.dose_curves import FIT, DoseTest, EqualDose, dose_at_equal, noninferiority_by_dose
from taskct.metrics.intervals import Interval

FEW_SCANS = 20
"""Scans of a class below which intervals are known from simulation to be somewhat too wide, and are seldom closed."""


_BOUNDS = {"": "value", "_ci_low": "ci_low", "_ci_high": "ci_high"}  # columns of an interval


@dataclass(frozen=True)
class CurvePlan:
    """What is asked for."""

    reference: str | None = None
    """The reconstruction that others are held against; None for the first."""
    rivals: tuple[str, ...] = ()
    """Those that are held against it; none for all others."""
    margin: float | None = None
    """Of non-inferiority, in AUC; None for no test."""
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.confidence < 1.0:
            raise UserError(f"the confidence is {self.confidence:g}; it must lie between 0 and 1 (0.95, not 95)")
        if self.margin is not None and not 0.0 < self.margin < 1.0:
            raise UserError(f"the margin is {self.margin:g}; it must lie between 0 and 1, such as 0.05")


@dataclass(frozen=True)
class CurvePoint:
    """A reconstruction at a dose, one rod or their mean."""

    cell: DoseCell
    auc: Interval
    d_prime: Interval
    """√2 Φ⁻¹(AUC), infinite for an AUC of 1."""
    n_present: int
    """Scans with the signal."""
    n_absent: int
    """Scans without it."""


@dataclass(frozen=True)
class DoseCurves:
    """What `taskct curves` found."""

    reference: str
    rivals: tuple[str, ...]
    points: tuple[CurvePoint, ...]
    """By rod, reconstruction and rising dose."""
    equal: tuple[EqualDose, ...]
    """By rival, rod and dose of the reference."""
    tests: tuple[DoseTest, ...]
    """Of non-inferiority; empty without a margin."""
    areas: DoseAreas
    """With the mean over rods."""
    sizes: Mapping[str, RodSize] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    physics: Mapping[DoseCell, Mapping[str, Any]] = field(default_factory=dict)
    """Contrast, noise, resolution and d′ of the rods of a phantom, as `physics_of_regions` has them; else empty."""

    @property
    def rods(self) -> list[str]:
        """Their names; the mean over them last, where there are several."""
        return self.areas.rods

    def as_dict(self) -> dict[str, Any]:
        """As `curves.json` has it; a dose out of range is null, with "beyond" telling which way."""
        return {
            "schema": 1,
            **self.about,
            "reference": self.reference,
            "rivals": list(self.rivals),
            "fit": FIT,
            "notes": list(self.notes),
            "points": [
                {
                    **point.cell._asdict(),
                    "auc": asdict(point.auc),
                    "d_prime": asdict(point.d_prime),
                    "n_present": point.n_present,
                    "n_absent": point.n_absent,
                    **asdict(self.sizes.get(point.cell.rod, RodSize())),
                }
                for point in self.points
            ],
            "dose_at_equal_auc": [_equal_json(one) for one in self.equal],
            "noninferiority": [_test_json(one) for one in self.tests],
            **({"physics": [cell._asdict() | dict(one) for cell, one in self.physics.items()]} if self.physics else {}),
        }

    def points_csv(self) -> str:
        """Every point as a line of `curves.csv`."""
        header = ["reconstruction", "dose", "rod", "diameter_mm", "contrast_hu", "scans_present", "scans_absent"]
        header += [f"{name}{end}" for name in ("auc", "d_prime") for end in ("", "_ci_low", "_ci_high")]
        rows = []
        for point in self.points:
            size = self.sizes.get(point.cell.rod, RodSize())
            rows.append(
                [
                    csv_text(point.cell.reconstruction),
                    f"{point.cell.dose:g}",
                    csv_text(point.cell.rod),
                    "" if size.diameter_mm is None else f"{size.diameter_mm:g}",
                    "" if size.contrast_hu is None else f"{size.contrast_hu:g}",
                    point.n_present,
                    point.n_absent,
                    *(_digits(value) for one in (point.auc, point.d_prime) for value in asdict(one).values()),
                ]
            )
        return _csv(header, rows)

    def physics_csv(self, kinds: Sequence[str]) -> str:
        """Figures of the rods of a phantom as lines of `physics.csv`; empty where the scans do not tell."""
        header = ["reconstruction", "dose", "rod", *(f"{kind}{end}" for kind in kinds for end in _BOUNDS)]
        rows = []
        for cell, one in self.physics.items():
            told = [one.get(kind) or {} for kind in kinds]
            values = ["" if name not in each else _digits(each[name]) for each in told for name in _BOUNDS.values()]
            rows.append([csv_text(cell.reconstruction), f"{cell.dose:g}", csv_text(cell.rod), *values])
        return _csv(header, rows)

    def equal_csv(self) -> str:
        """Every dose at equal AUC as a line of `dose.csv`; out of range is written as `>100` or `<10`."""
        header = ["reference", "rival", "rod", "reference_dose", "auc", "dose", "dose_ci_low", "dose_ci_high"]
        header += ["ratio", "ratio_ci_low", "ratio_ci_high", "told"]
        rows = []
        for one in self.equal:
            doses = [dose_text(dose, one) for dose in (one.dose, one.ci_low, one.ci_high)]
            ratios = [dose_text(dose, one, ratio=True) for dose in (one.dose, one.ci_low, one.ci_high)]
            names = [csv_text(name) for name in (one.reference, one.rival, one.rod)]
            rows.append([*names, f"{one.reference_dose:g}", _digits(one.auc), *doses, *ratios, one.told])
        return _csv(header, rows)


def dose_text(dose: float, of: EqualDose, *, ratio: bool = False) -> str:
    """A dose, or its ratio to the reference's, in text: one out of the range that was measured says so.

    >>> of = EqualDose("fbp", "dl", "3 mm", 100.0, 0.8, math.inf, 40.0, math.inf, 10.0, 100.0)
    >>> dose_text(of.dose, of), dose_text(of.ci_low, of, ratio=True), dose_text(0.0, of)
    ('>100', '0.4', '<10')
    """
    unit = of.reference_dose if ratio else 1.0
    if dose == math.inf:
        return f">{of.highest / unit:.3g}"
    return f"<{of.lowest / unit:.3g}" if dose == 0.0 else f"{dose / unit:.3g}"


def analyze_doses(
    areas: DoseAreas,
    plan: CurvePlan | None = None,
    *,
    sizes: Mapping[str, RodSize] | None = None,
    notes: Sequence[str] = (),
    about: Mapping[str, Any] | None = None,
) -> DoseCurves:
    """Curves, doses at equal AUC and non-inferiority of all reconstructions.

    Parameters
    ----------
    areas
        AUCs of every reconstruction, dose and rod.
    plan
        What is asked for; as `CurvePlan` has it where left out.
    sizes, notes, about
        Of the rods; what to know of the scans; what goes into `curves.json` besides.

    Returns
    -------
    All of it, by rod and for the mean over rods.

    Raises
    ------
    UserError
        If the reference or a rival has no such name.
    """
    plan = CurvePlan() if plan is None else plan
    reference, rivals = _chosen(areas.reconstructions, plan)
    whole = areas.with_pooled()
    said = list(notes)
    if POOLED not in whole.rods and len(areas.rods) > 1:
        said.append("no reconstruction has all rods at one dose: there is no mean over rods")
    equal: list[EqualDose] = []
    for rival in rivals:
        for rod in whole.rods:
            counted = [len(whole.along_dose(name, rod)) for name in (reference, rival)]
            if min(counted) < 2:
                said.append(
                    f"{rival}, {rod}: {counted[1]} doses, and {counted[0]} of {reference}: a dose at equal AUC needs "
                    "two of each"
                )
                continue
            found, more = dose_at_equal(
                whole, reference=reference, rival=rival, rod=rod, confidence=plan.confidence, seed=plan.seed
            )
            equal += found
            said += more
    fewest = int(areas.n_scans.min())
    if equal and fewest < FEW_SCANS:
        said.append(
            f"{fewest} scans of a class: with so few the interval of a dose is wide, and seldom closed on both sides; "
            "20 to 50 scans of each class are what it takes"
        )
    nothing = [one for one in equal if one.told == "nothing"]
    if nothing:
        said.append(
            f"{len(nothing)} of {len(equal)} doses at equal AUC are not determined: the interval reaches beyond the "
            "lowest and the highest dose, so these scans tell nothing of it"
        )
    tests: list[DoseTest] = []
    if plan.margin is not None:
        alpha = (1.0 - plan.confidence) / 2.0
        tests = noninferiority_by_dose(areas, reference=reference, rivals=rivals, margin=plan.margin, alpha=alpha)
        if not tests and rivals:
            said.append("no dose and rod was measured in the reference and in a rival: nothing to test with a margin")
    bands = auc_bands(whole, confidence=plan.confidence)
    by_curve = [i for rod in whole.rods for name in whole.reconstructions for i in whole.along_dose(name, rod)]
    points = tuple(
        CurvePoint(
            whole.cells[i],
            bands[i],
            Interval(*(d_a(value) for value in asdict(bands[i]).values())),
            *map(int, whole.n_scans[i]),
        )
        for i in by_curve
    )
    told = {**(about or {}), "confidence": plan.confidence, "margin": plan.margin, "seed": plan.seed}
    return DoseCurves(
        reference,
        rivals,
        points,
        tuple(equal),
        tuple(tests),
        whole,
        dict(sizes or {}),
        tuple(dict.fromkeys(said)),
        told,
    )


def _chosen(names: Sequence[str], plan: CurvePlan) -> tuple[str, tuple[str, ...]]:
    reference = names[0] if plan.reference is None else plan.reference
    for name in (reference, *plan.rivals):
        if name not in names:
            raise UserError(f"there is no reconstruction {name!r}; there are {', '.join(names)}")
    if reference in plan.rivals:
        raise UserError(f"{reference!r} is the reference: hold another reconstruction against it")
    return reference, tuple(dict.fromkeys(plan.rivals)) or tuple(name for name in names if name != reference)


def _equal_json(one: EqualDose) -> dict[str, Any]:
    content = asdict(one)
    ratio, low, high = one.ratio
    content |= {"ratio": ratio, "ratio_ci_low": low, "ratio_ci_high": high, "told": one.told}
    beyond = {}
    for name in ("dose", "ci_low", "ci_high"):
        if content[name] in (0.0, math.inf):
            beyond[name] = "above the highest dose" if content[name] == math.inf else "below the lowest dose"
            content[name] = content["ratio" if name == "dose" else f"ratio_{name}"] = None
    return content | {"beyond": beyond}


def _test_json(one: DoseTest) -> dict[str, Any]:
    return {**asdict(one), "shown": one.shown}


def _digits(value: float) -> str:
    return f"{value:.6g}"


def _csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()
