"""Forced choice: proportion correct of each arm over readers and cases, and the d′ behind it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.apply.reader_study.cells import percent
from taskct.apply.reader_study.section import Drawing, Line, ResultTable, StudySection
from taskct.apply.reader_study.sizes import SizeBasis, section_of_sizes
from taskct.apply.reader_study.wanted import Wanted
from taskct.errors import UserError
from taskct.metrics.comparisons import holm
from taskct.metrics.forced_choice import d_prime_interval
from taskct.metrics.intervals import Interval
from taskct.metrics.mrmc.proportions import ProportionDifference, Proportions, proportion_analysis
from taskct.metrics.mrmc.sizing import components_of_proportions

Floats = NDArray[np.float64]

NONE = "–"


@dataclass(frozen=True)
class ForcedChoices:
    """What readers picked in a forced-choice study."""

    correct: Floats
    """1 right, 0 wrong, NaN not answered; `(n_arms, n_readers, n_sets)`."""
    arms: tuple[str, ...]
    readers: tuple[str, ...]
    n_alternatives: int
    clusters: NDArray[np.intp] | None = None
    """Background of each set of images, `(n_sets,)`; None where each has its own."""
    groups: Mapping[str, NDArray[np.intp]] = field(default_factory=dict)
    """Numbers of the sets of each stratum."""


def choices_section(choices: ForcedChoices, wanted: Wanted) -> StudySection:
    """Proportion correct and d′ of each arm, their differences, each reader, and each stratum.

    A stratum whose trials allow no analysis is a note.

    Raises
    ------
    UserError
        If all answers are to one set of images, or to sets of one background.
    """
    try:
        found = _analyse(choices, choices.correct, choices.clusters, wanted)
    except ValueError as error:
        raise UserError(
            "nothing can be said of percent correct yet: all answers are to one set of images, or to sets of one "
            "background, and an interval needs at least 2"
        ) from error
    differences = list(found.differences.items())
    adjusted = holm([difference.p_value for _, difference in differences]).tolist() if differences else []
    strata, notes = _strata(choices, wanted)
    grids = [_arm_table(found, choices.n_alternatives, wanted)]
    if differences:
        grids.append(_difference_table(found, adjusted, wanted))
    grids.append(_reader_table(found, choices, wanted))
    if strata:
        grids.append(_stratum_table(strata, choices, wanted))
    content = {
        "alternatives": choices.n_alternatives,
        "arms": {
            name: asdict(one) | {"d_prime": asdict(d_prime_interval(one.interval, choices.n_alternatives))}
            for name, one in found.modalities.items()
        },
        "differences": {
            name: _plain_difference(one) | {"p_holm": p} for (name, one), p in zip(differences, adjusted, strict=True)
        },
        "readers": {
            reader: {arm: asdict(interval) for arm, interval in of_reader.items()}
            for reader, of_reader in found.readers.items()
        },
        "groups": {
            group: {name: asdict(one.interval) for name, one in of_group.modalities.items()}
            for group, of_group in strata.items()
        },
    }
    if wanted.margin is not None:
        content["not_worse"] = {
            name: {"margin": wanted.margin, "p_value": one.whole.p_not_worse(wanted.margin)}
            for name, one in differences
        }
    return StudySection(
        "choices",
        "Percent correct",
        content,
        answers=_answers(found, adjusted, choices, wanted),
        grids=tuple(grids),
        drawings=_drawings(strata, choices),
        notes=(*found.notes, *notes),
        methods=(
            (
                f"Each trial showed {choices.n_alternatives} images, one with the signal. The proportion of right "
                "choices is averaged over readers; its variance is the U-statistic over readers and sets of images",
                ("one-shot",),
            ),
            (
                f"The detectability d′ is that of an unbiased observer with independent normal responses who picks the "
                f"highest of {choices.n_alternatives}",
                ("forced-choice",),
            ),
        ),
    )


def choices_sections(choices: ForcedChoices, wanted: Wanted) -> list[StudySection]:
    """What `choices_section` says, and the size of the next study where `detect` is wanted."""
    section = choices_section(choices, wanted)
    if wanted.detect is None:
        return [section]
    if len(choices.arms) < 2:
        why = "no two arms are compared, so there is nothing to size a study for"
        return [replace(section, notes=(*section.notes, why))]
    whole = not np.isnan(choices.correct).any() and len(choices.readers) > 1 and choices.clusters is None
    if not whole:
        why = (
            "a study of forced choice is sized from one that several readers read whole, with a background for each set"
        )
        return [replace(section, notes=(*section.notes, why))]
    bases = [
        SizeBasis(
            f"{choices.arms[a]}-{choices.arms[b]}",
            components_of_proportions(choices.correct[a] - choices.correct[b]),
            1.0,
            "hillis",
            "sets of images",
        )
        for a, b in combinations(range(len(choices.arms)), 2)
    ]
    sizes = section_of_sizes(bases, wanted)
    return [section] if sizes is None else [section, sizes]


def _analyse(choices: ForcedChoices, correct: Floats, clusters: NDArray[np.intp] | None, wanted: Wanted) -> Proportions:
    return proportion_analysis(
        correct,
        modalities=choices.arms,
        readers=choices.readers,
        clusters=clusters,
        confidence=wanted.confidence,
    )


def _strata(choices: ForcedChoices, wanted: Wanted) -> tuple[dict[str, Proportions], list[str]]:
    found, notes = {}, []
    for name, index in choices.groups.items():
        clusters = None if choices.clusters is None else choices.clusters[index]
        try:
            found[name] = _analyse(choices, choices.correct[:, :, index], clusters, wanted)
        except ValueError as error:
            notes.append(f"{name}: no result of this stratum ({error})")
    return found, notes


def _answers(found: Proportions, adjusted: list[float], choices: ForcedChoices, wanted: Wanted) -> tuple[str, ...]:
    kind = "reader" if found.n_readers == 1 else "readers"
    base = f"{found.n_readers} {kind}, {found.n_cases} sets of {choices.n_alternatives} images in each arm; chance is "
    base += f"{1.0 / choices.n_alternatives:.0%}."
    parts = []
    for one, p in zip(found.differences.values(), adjusted, strict=True):
        word = "differs" if p < 1.0 - wanted.confidence else "is not shown to differ"
        parts.append(
            f"percent correct of {one.first} {word} from that of {one.second}: {_percent(one.interval, sign=True)}"
        )
        if wanted.margin is not None:
            low = one.whole.p_not_worse(wanted.margin) < (1.0 - wanted.confidence) / 2.0
            parts.append(
                f"{one.first} is {'' if low else 'not shown to be '}not worse than {one.second} by "
                f"{percent(wanted.margin)} or more (p = {one.whole.p_not_worse(wanted.margin):.3g})"
            )
    sentences = [f"{part[0].upper()}{part[1:]}." for part in parts]
    return (*sentences, base)


def _arm_table(found: Proportions, n_alternatives: int, wanted: Wanted) -> ResultTable:
    rows = []
    for name, one in found.modalities.items():
        d = d_prime_interval(one.interval, n_alternatives)
        rows.append((name, _percent(one.interval), _number(d), f"{one.df:.1f}" if math.isfinite(one.df) else NONE))
    scatter = "readers and sets of images as random effects" if found.n_readers > 1 else "of the choice of images alone"
    return ResultTable(
        f"Percent correct of each arm [{percent(wanted.confidence)} interval, {scatter}]",
        ("arm",),
        ("correct", "d′", "df"),
        tuple(rows),
    )


def _difference_table(found: Proportions, adjusted: list[float], wanted: Wanted) -> ResultTable:
    rows = [
        (name, _percent(one.interval, sign=True), _p(one.p_value), _p(p))
        for (name, one), p in zip(found.differences.items(), adjusted, strict=True)
    ]
    title = f"Differences in percent correct, first less second [{percent(wanted.confidence)} interval]"
    return ResultTable(title, ("arms",), ("difference", "p", "p (Holm)"), tuple(rows))


def _reader_table(found: Proportions, choices: ForcedChoices, wanted: Wanted) -> ResultTable:
    rows = []
    for reader, of_reader in found.readers.items():
        for arm, one in of_reader.items():
            d = d_prime_interval(one, choices.n_alternatives)
            rows.append((reader, arm, _percent(one), _number(d)))
    return ResultTable(
        f"Each reader [{percent(wanted.confidence)} interval of the choice of images alone]",
        ("reader", "arm"),
        ("correct", "d′"),
        tuple(rows),
    )


def _stratum_table(strata: Mapping[str, Proportions], choices: ForcedChoices, wanted: Wanted) -> ResultTable:
    rows = []
    for name, found in strata.items():
        cells = (_percent(found.modalities[arm].interval) if arm in found.modalities else NONE for arm in choices.arms)
        rows.append((name, str(len(choices.groups[name])), *cells))
    title = f"Percent correct by stratum [{percent(wanted.confidence)} interval]"
    return ResultTable(title, ("stratum",), ("sets", *choices.arms), tuple(rows))


def _drawings(strata: Mapping[str, Proportions], choices: ForcedChoices) -> tuple[Drawing, ...]:
    if len(strata) < 3:
        return ()
    lines = []
    for arm in choices.arms:
        held = [found.modalities.get(arm) for found in strata.values()]
        known = [(at, one.interval) for at, one in enumerate(held, start=1) if one is not None]
        values = np.array([[at, i.value, i.ci_low, i.ci_high] for at, i in known], dtype=np.float64)
        if len(values):
            lines.append(Line(arm, values[:, 0], values[:, 1], values[:, 2], values[:, 3]))
    return (
        Drawing(
            "Proportion correct by stratum, in the order of the table.", "Stratum", "Proportion correct", tuple(lines)
        ),
    )


def _plain_difference(one: ProportionDifference) -> dict[str, Any]:
    return {
        "first": one.first,
        "second": one.second,
        "interval": asdict(one.interval),
        "variance": one.variance,
        "df": one.df,
        "p_value": one.p_value,
    }


def _percent(one: Interval, *, sign: bool = False) -> str:
    shape = f"{'+' if sign else ''}.1f"
    value, low, high = (100.0 * part for part in (one.value, one.ci_low, one.ci_high))
    unit = " points" if sign else " %"
    bounds = "" if math.isnan(low) else f" [{low:{shape}}, {high:{shape}}]"
    return f"{value:{shape}}{bounds}{unit}"


def _number(one: Interval) -> str:
    """A d′ and its bounds, which are infinite where all, or none, may have been right."""
    rounded = (round(part, 2) + 0.0 for part in (one.value, one.ci_low, one.ci_high))  # no −0.00
    value, low, high = (f"{part:.2f}".replace("inf", "∞") for part in rounded)
    return value if math.isnan(one.ci_low) else f"{value} [{low}, {high}]"


def _p(p_value: float) -> str:
    return NONE if math.isnan(p_value) else "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"
