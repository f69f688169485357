"""The page of what observers found on a user's images."""

import math
from typing import Any

from taskct.apply.observe import Observation
from taskct.cli.observation import KINDS, interval_of, scans_text
from taskct.cli.physics_section import physics_sections
from taskct.metrics.intervals import Interval
from taskct.report.figures import png_picture
from taskct.report.labels import interval, listed
from taskct.report.methods import Citations, source_of
from taskct.report.sections import Captioned, PageSection, SectionsPage
from taskct.report.tables import NONE, Table, flat_settings

OF_METHODS = {
    "DeLong": "delong",
    "clustered": "clusters",
    "cross-validated": "leave-pair-out",
    "MRMC": "one-shot",
    "Obuchowski–Rockette": "obuchowski-rockette",
}
"""Sources of an interval by a word of its method."""

LEVEL = 0.05
"""Holm-adjusted p below which the page calls a difference one."""


def observation_page(found: Observation, roc_png: bytes) -> SectionsPage:
    """Return the page of results, with their ROC curves as a PNG file."""
    performances = [("AUC", _auc_table(found))]
    if compared := _difference_table(found):
        performances.append(("Differences", compared))
    curves = Captioned(
        png_picture(roc_png, width_px=480),
        f"ROC curves of {len(found.observers)} observers. Their AUCs are in the table.",
        f"Empirical ROC curves {_roc_of(found)}; numbers in the legend are AUCs.",
    )
    method, sources = _methods(found)
    sections = [
        *(PageSection(heading, tables=[table]) for heading, table in performances),
        PageSection("ROC curves", pictures=[curves]),
        *([PageSection("Learning", texts=texts)] if (texts := _learning(found)) else []),
        *_scans(found),
        *physics_sections(found.about.get("physics")),
        PageSection("Methods", texts=[method], items=sources),
        PageSection(
            "Settings", tables=[Table("What was asked for.", ["Setting", "Value"], flat_settings(_about(found)))]
        ),
    ]
    notes = [*found.notes, *(f"{name} has no result: {why}" for name, why in found.failed.items())]
    notes += [f"{one.name}: {line}" for one in found.observers for line in one.notes]
    if notes:
        sections.append(PageSection("What to know of these results", notes=notes))
    return SectionsPage("observe", "How well numerical observers find the signal", _leads(found), sections)


def _roc_of(found: Observation) -> str:
    if found.about["cross_validated"]:
        return "of each trial's mean test statistic, over the observers that were trained without it"
    return "on the test trials" + (", of the first training set" if found.about["n_training_sets"] > 1 else "")


def _about(found: Observation) -> dict[str, Any]:
    # None stands for what was not asked for.
    return {name: value for name, value in found.about.items() if value is not None and name != "physics"}


def _leads(found: Observation) -> list[str]:
    adjusted = found.p_holm()
    gains: list[str] = []
    losses: list[str] = []
    unclear: list[str] = []
    several = max((len(one.rivals) for one in found.observers), default=0) > 1
    for one in found.observers:
        for rival in one.rivals:
            delta = rival.difference
            sure = adjusted[one.name, rival.name] < LEVEL
            part = gains if sure and delta.delta_auc > 0 else losses if sure else unclear
            against = f" against {rival.name}" if several else ""
            part.append(f"{one.name}{against} {interval(interval_of(delta), 3, signed=True)}")
    areas = "; ".join(f"{one.name} {interval(one.images.auc, 3)}" for one in found.observers)
    parts = [f"AUC on the test trials: {areas}."]
    if gains or losses or unclear:
        words = (("higher for", gains), ("lower for", losses), ("not shown to differ for", unclear))
        told = "; ".join(f"{word} {listed(who)}" for word, who in words if who)
        parts.insert(0, f"Against the images of --versus, AUC is {told} (p adjusted by Holm's method).")
    return parts


def _auc_table(found: Observation) -> Table:
    about = found.about
    scanning = any(one.images.lroc_area is not None for one in found.observers)
    rows = []
    for one in found.observers:
        p = one.images
        cells = [interval(p.auc, 3), interval(p.d_a, 2), interval(p.sensitivity, 2)]
        if scanning:
            cells += [_or_none(p.lroc_area, 3), _or_none(p.located, 2)]
        rows.append([one.name, *cells, p.method])
    columns = ["Observer", "AUC", "d_a", f"Sensitivity at a specificity of {about['specificity']:g}"]
    columns += ["LROC area", f"Located within {about['radius_px']:g} pixels"] if scanning else []
    test = about["test"]
    caption = f"On {test['present']} signal-present and {test['absent']} signal-absent test trials "
    caption += f"[{100 * about['confidence']:g} % interval]."
    return Table(caption, [*columns, "Interval"], rows)


def _difference_table(found: Observation) -> Table | None:
    adjusted = found.p_holm()
    several = max((len(one.rivals) for one in found.observers), default=0) > 1
    rows = [
        [
            one.name,
            *([rival.name] if several else []),
            interval(one.images.auc, 3),
            interval(rival.performance.auc, 3),
            interval(interval_of(rival.difference), 3, signed=True),
            _p(rival.difference.p_value),
            _p(adjusted[one.name, rival.name]),
        ]
        for one in found.observers
        for rival in one.rivals
    ]
    versus = ["Versus"] if several else []
    columns = ["Observer", *versus, "AUC, images", "AUC, versus", "Difference", "p", "p (Holm)"]
    how = found.about.get("paired_by")
    caption = f"Images minus those of --versus, trial by trial{f', paired by {how}' if how else ''}."
    return Table(caption, columns, rows) if rows else None


def _learning(found: Observation) -> list[str]:
    texts = []
    for one in found.observers:
        if one.learning is not None:
            texts.append(f"{one.name}: {one.learning.message}")
        if one.learning_difference is not None:
            texts.append(f"{one.name}, difference: {one.learning_difference.message}")
    return texts


def _scans(found: Observation) -> list[PageSection]:
    """How many scans an interval takes: lines, and a table of widths of each observer."""
    planned = [(one.name, one.scans) for one in found.observers if one.scans is not None]
    texts = [f"{name}: {scans_text(needed, scans)}." for name, scans in planned for needed in scans.needed]
    rows = [
        [name, KINDS[needed.what], str(row.n_cases), interval(Interval(row.width, row.low, row.high), 3)]
        for name, scans in planned
        for needed in scans.needed
        for row in needed.table
    ]
    caption = "Width of the interval by scans of each class, in brackets at the bounds of the pilot's AUC."
    table = Table(caption, ["Observer", "Interval of", "Scans of each class", "Width"], rows)
    return [PageSection("Scans needed", texts=texts, tables=[table])] if planned else []


def _methods(found: Observation) -> tuple[str, list[str]]:
    cite = Citations()
    about = found.about
    train, test, n_sets = about["train"], about["test"], about["n_training_sets"]
    named = []
    for one in found.observers:
        source = source_of(one.name)
        named.append(f"{one.name}{f' {cite(source)}' if source else ''}")
    cases = f" of {test['cases']} cases" if test.get("cases") else ""
    sets = f", divided into {n_sets} sets" if n_sets > 1 else ""
    learned = (
        f"learned from {train['present']} signal-present and {train['absent']} signal-absent trials{sets}, and were "
        f"tested on {test['present']} and {test['absent']} others{cases}"
    )
    if about["cross_validated"]:
        learned = (
            f"were cross-validated on {test['present']} signal-present and {test['absent']} signal-absent trials"
            f"{cases}: each trial was read by observers that were trained without its case, and trials were compared "
            "where one observer had read both"
        )
    text = (
        f"{'A numerical observer' if len(named) == 1 else f'{len(named)} numerical observers'} ({listed(named)}) "
        f"{learned}. The area under the ROC curve is the "
        f"Mann–Whitney statistic {cite('auc')}. "
    )
    for method in dict.fromkeys(one.images.method for one in found.observers):
        sources = [source for word, source in OF_METHODS.items() if word in method]
        text += f"Interval of {100 * about['confidence']:g} %: {method}{f' {cite(*sources)}' if sources else ''}. "
    text = text.rstrip()
    if any(one.rivals for one in found.observers):
        text += f" P values are two-sided and adjusted by Holm's method over all differences {cite('holm')}."
    if any(one.images.gaussian_auc is not None for one in found.observers):
        text += f" The interval of an observer with endless training is exact {cite('exact-cho')}."
    return text, cite.sources


def _or_none(found: Interval | None, digits: int) -> str:
    return NONE if found is None else interval(found, digits)


def _p(p_value: float) -> str:
    if math.isnan(p_value):
        return NONE
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"
