"""The page of curves against dose."""

import math
from collections.abc import Mapping
from typing import Any

from taskct.apply.curves.curves import DoseCurves, dose_text
from taskct.cli.curves_physics import physics_section
from taskct.metrics.dose_areas import POOLED
from taskct.metrics.dose_curves import FIT, EqualDose
from taskct.metrics.intervals import Interval
from taskct.report.figures import Picture
from taskct.report.labels import interval, listed, number
from taskct.report.methods import Citations
from taskct.report.sections import Captioned, PageSection, SectionsPage
from taskct.report.tables import NONE, Table, flat_settings


def curves_page(
    found: DoseCurves, picture: Picture, *, dose_unit: str = "", physics: Picture | None = None
) -> SectionsPage:
    """Return the page of what was found, with its picture, and that of the physics of rods where there is one."""
    method, sources = _methods(found)
    sections = [
        PageSection("Curves", pictures=[_captioned(found, picture)]),
        *([PageSection("Dose at equal AUC", tables=[_equal_table(found, dose_unit)])] if found.equal else []),
        *([PageSection("Non-inferiority at each dose", tables=[_test_table(found)])] if found.tests else []),
        PageSection("AUC and d′", tables=[_points_table(found, dose_unit)]),
        *([] if physics is None else [physics_section(found, physics, dose_unit=dose_unit)]),
        PageSection("Methods", texts=[method], items=sources),
        PageSection("Settings", tables=[Table("What was asked for.", ["Setting", "Value"], _settings(found.about))]),
    ]
    if found.notes:
        sections.append(PageSection("What to know of these results", notes=found.notes))
    return SectionsPage("curves", "Detectability against dose", lead_sentences(found, dose_unit), sections)


def lead_sentences(found: DoseCurves, dose_unit: str = "") -> list[str]:
    """The answer of each rival, in words: at the highest dose of the reference, over all rods where there are some."""
    unit = f" {dose_unit}" if dose_unit else ""
    told = []
    for rival in found.rivals:
        mine = [one for one in found.equal if one.rival == rival]
        rods = {one.rod for one in mine}
        shown = [one for one in mine if one.rod == (POOLED if POOLED in rods else one.rod)]
        highest = max((one.reference_dose for one in shown), default=math.nan)
        told += [equal_dose_sentence(one, unit) for one in shown if one.reference_dose == highest]
        if not shown:
            told.append(f"No dose at which {rival} reaches the AUC of {found.reference} can be told.")
    if found.tests:
        shown_tests = [one for one in found.tests if one.shown]
        tested = [one for one in found.tests if one.test is not None]
        margin = "" if not tested or tested[0].test is None else f" within {tested[0].test.margin:g}"
        told.append(
            f"Non-inferior{margin} is shown in {len(shown_tests)} of {len(tested)} tests of a dose and rod, with p "
            "adjusted by Holm's method."
        )
    return told or ["There is one reconstruction: its curves are below."]


def equal_dose_sentence(one: EqualDose, unit: str) -> str:
    """What the interval of a dose at equal AUC tells, and no more; the unit begins with a space where there is one."""
    of = "" if one.rod == POOLED else f" for {one.rod}"
    base = f"the AUC of {one.reference} at a dose of {one.reference_dose:g}{unit}{of} ({one.auc:.3f})"
    if one.told == "nothing":
        return (
            f"These scans do not tell with what dose {one.rival} reaches {base}: the interval reaches beyond "
            f"{one.lowest:g} and {one.highest:g}{unit}, the lowest and the highest dose."
        )
    if one.ci_low == math.inf:
        return f"{one.rival} does not reach {base}, not with {one.highest:g}{unit} either, the highest of its doses."
    if one.ci_high == 0.0:
        return f"{one.rival} reaches {base} with less than {one.lowest:g}{unit}, the lowest of its doses."
    low, high = dose_text(one.ci_low, one), dose_text(one.ci_high, one)
    if one.told == "bound":
        at_most = one.ci_low == 0.0
        bound, ratio = (one.ci_high, "at most") if at_most else (one.ci_low, "no less than")
        side = f"below {one.lowest:g}" if at_most else f"beyond {one.highest:g}"
        return (
            f"{one.rival} reaches {base} with {ratio} {dose_text(bound, one)}{unit}, a ratio of {ratio} "
            f"{dose_text(bound, one, ratio=True)}; the interval reaches {side}{unit}, where nothing was measured, so "
            "the dose itself is not told."
        )
    ratios = [dose_text(dose, one, ratio=True) for dose in (one.dose, one.ci_low, one.ci_high)]
    return (
        f"{one.rival} reaches {base} with a dose of {dose_text(one.dose, one)} [{low}, {high}]{unit}: a ratio of "
        f"{ratios[0]} [{ratios[1]}, {ratios[2]}]."
    )


def _captioned(found: DoseCurves, picture: Picture) -> Captioned:
    names = found.areas.reconstructions
    return Captioned(
        picture,
        f"AUC and d′ of {listed(names)} against dose for {len(found.rods)} rods. The numbers are in the table.",
        f"Marks and bands: what was measured, with its {100 * found.about['confidence']:g} % interval at each dose. "
        f"Lines: the curve from which a dose at equal AUC is read, {FIT}. An infinite d′ (an AUC of 1) has no mark.",
    )


def _equal_table(found: DoseCurves, dose_unit: str) -> Table:
    rows = []
    for one in found.equal:
        dose, low, high = (dose_text(value, one) for value in (one.dose, one.ci_low, one.ci_high))
        ratio = [dose_text(value, one, ratio=True) for value in (one.dose, one.ci_low, one.ci_high)]
        told = {"interval": "yes", "bound": "a bound", "nothing": "no"}[one.told]
        rows.append(
            [
                one.rival,
                one.rod,
                f"{one.reference_dose:g}",
                f"{one.auc:.3f}",
                f"{dose} [{low}, {high}]",
                f"{ratio[0]} [{ratio[1]}, {ratio[2]}]",
                told,
            ]
        )
    unit = f", {dose_unit}" if dose_unit else ""
    columns = ["Reconstruction", "Rod", f"Dose of {found.reference}", "AUC there", "Dose at equal AUC", "Ratio", "Told"]
    caption = (
        f"Dose at which a reconstruction reaches the AUC that {found.reference} has at its dose{unit} "
        f"[{100 * found.about['confidence']:g} % interval over scans]. < and > mark what lies beyond the doses that "
        "were measured: nothing is extrapolated."
    )
    return Table(caption, columns, rows)


def _test_table(found: DoseCurves) -> Table:
    rows = []
    for one in found.tests:
        if one.test is None:
            cells = [number(one.delta, 3, signed=True), NONE, NONE, one.why or ""]
        else:
            shown = interval(Interval(one.delta, one.test.ci_low, one.test.ci_high), 3, signed=True)
            cells = [shown, _p(one.test.p_value), _p(one.p_holm), "shown" if one.shown else "not shown"]
        rows.append([one.rival, one.rod, f"{one.dose:g}", *cells])
    margin, confidence = found.about["margin"], found.about["confidence"]
    n_tests = sum(one.test is not None for one in found.tests)
    caption = (
        f"AUC less that of {found.reference} at the same dose [{100 * confidence:g} % interval], and the one-sided "
        f"test that it is not lower by {margin:g} or more; p adjusted over all {n_tests} by Holm's method, held "
        f"against {(1 - confidence) / 2:.3g}."
    )
    return Table(caption, ["Reconstruction", "Rod", "Dose", "Difference", "p", "p (Holm)", "Non-inferior"], rows)


def _points_table(found: DoseCurves, dose_unit: str) -> Table:
    rows = [
        [
            point.cell.reconstruction,
            point.cell.rod,
            f"{point.cell.dose:g}",
            interval(point.auc, 3),
            _d_prime(point.d_prime),
            f"{point.n_present} + {point.n_absent}",
        ]
        for point in found.points
    ]
    caption = f"At each dose [{100 * found.about['confidence']:g} % interval over scans]."
    dose = f"Dose ({dose_unit})" if dose_unit else "Dose"
    return Table(caption, ["Reconstruction", "Rod", dose, "AUC", "d′", "Scans, present + absent"], rows)


def _d_prime(found: Interval) -> str:
    if math.isfinite(found.value) and math.isfinite(found.ci_high) and math.isfinite(found.ci_low):
        return interval(found, 2)
    texts = [number(v, 2) if math.isfinite(v) else "∞" if v > 0 else "−∞" for v in (found.value, found.ci_low)]
    return f"{texts[0]} [{texts[1]}, ∞]"


def _methods(found: DoseCurves) -> tuple[str, list[str]]:
    cite = Citations()
    source = found.about.get("source", "")
    how = {
        "scans": f"An observer ({found.about.get('observer')}) was cross-validated over scans in every reconstruction, "
        "dose and rod, and intervals hold the choice of scans both to test and to train it. ",
        "scores": "Test statistics were given, and intervals hold the choice of scans alone. ",
        "runs": f"Test statistics are those of {found.about.get('observer')} on the test trials of simulated studies, "
        "and intervals hold the choice of test trials alone. ",
        "limits": f"AUCs are those of {found.about.get('observer')} in simulated studies, in the limit of many "
        "training trials, with the errors on record there. ",
    }.get(str(source), "")
    text = (
        f"{how}The area under the ROC curve is the Mann–Whitney statistic {cite('auc')}, its covariance over scans "
        f"DeLong's, summed within scans {cite('delong', 'clusters')}; d′ is √2 Φ⁻¹(AUC). Curves are {FIT}. For the "
        "interval of a dose at equal AUC the errors of all AUCs are drawn together, scans that reconstructions share "
        "paired, a curve is fitted to each draw, and percentiles are taken as far out as Student's t with one degree "
        "of freedom less than the scans of the smaller class. In simulated studies of 20 to 200 scans of each class "
        "95 % intervals covered 93.5 to 97.7 %."
    )
    if found.tests:
        text += f" P values of non-inferiority are adjusted over doses, rods and rivals {cite('holm')}."
    return text, cite.sources


def _settings(about: Mapping[str, Any]) -> list[list[str]]:
    return [list(row) for row in flat_settings({name: value for name, value in about.items() if value is not None})]


def _p(p_value: float) -> str:
    if math.isnan(p_value):
        return NONE
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"
