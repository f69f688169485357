"""How far the readers of a study agree with one another, and with themselves."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.apply.ratings import ReaderStudy
from taskct.apply.reader_study.cells import interval_cell
from taskct.apply.reader_study.section import ResultTable, StudySection
from taskct.apply.reader_study.wanted import Wanted
from taskct.errors import UserError
from taskct.metrics.intervals import Interval
from taskct.metrics.mrmc.agreement import (
    AgreementCoefficient,
    Chance,
    Weights,
    agreement_coefficient,
    intraclass_correlation,
    mean_coefficient,
)

AGAIN = "again"
"""`X again` is the modality that holds the second readings of modality `X`."""
MOST_CATEGORIES = 20
"""Distinct scores up to which they count as categories."""
QUADRATIC, ICC = "kappa, quadratic weights", "ICC(2,1)"
COEFFICIENTS: dict[str, tuple[Weights, Chance]] = {
    "kappa, unweighted": ("unweighted", "each reader's"),
    "kappa, linear weights": ("linear", "each reader's"),
    QUADRATIC: ("quadratic", "each reader's"),
    "Fleiss' kappa": ("unweighted", "pooled"),
    "Gwet's AC1": ("unweighted", "gwet"),
    "Gwet's AC2, quadratic weights": ("quadratic", "gwet"),
}
OF_PAIRS = ("kappa, linear weights", QUADRATIC)


@dataclass(frozen=True)
class _Found:
    """Coefficients by name, of some readings of a modality."""

    modality: str
    who: tuple[str, ...]
    coefficients: dict[str, AgreementCoefficient]


@dataclass(frozen=True)
class _Readings:
    """What some readers said of the cases of a modality."""

    modality: str
    names: tuple[str, ...]
    first: NDArray[np.float64]


@dataclass(frozen=True)
class _How:
    """How agreement is computed."""

    clusters: NDArray[np.intp] | None
    confidence: float
    categories: bool
    """Whether the scores are few enough to be categories."""

    @property
    def of_pairs(self) -> tuple[str, ...]:
        return OF_PAIRS if self.categories else (QUADRATIC,)


def agreement_section(study: ReaderStudy, wanted: Wanted) -> StudySection | None:
    """Agreement between readers in each modality, and within readers where they read cases again; None if not asked.

    A modality named `X again` holds second readings of the cases of modality `X`. Programs are left out.

    Raises
    ------
    UserError
        If nothing can be compared: one reader, and no second readings.
    """
    if not wanted.agreement:
        return None
    ratings = study.ratings
    again = _again(ratings.modalities)
    people = [r for r, name in enumerate(ratings.readers) if name not in wanted.programs]
    notes: list[str] = []
    between, pairs, within = list[_Found](), list[_Found](), list[_Found]()
    for index, modality in enumerate(ratings.modalities):
        if index in again.values():
            continue
        rated = [r for r in people if not np.isnan(ratings.scores[index, r]).all()]
        scores = ratings.scores[index, rated]
        read = _Readings(modality, tuple(ratings.readers[r] for r in rated), scores)
        few = len(np.unique(scores[~np.isnan(scores)])) <= MOST_CATEGORIES
        how = _How(study.clusters, wanted.confidence, few)
        if not few:
            notes.append(
                f"{modality}: scores take more than {MOST_CATEGORIES} values, so they are no categories: the "
                "intraclass correlation is given, and kappa with quadratic weights, which is Lin's concordance"
            )
        if len(rated) >= 2:
            between += _of_all(read, how, notes)
            pairs += _of_pairs(read, how, notes)
        if index in again:
            within += _of_readers(read, ratings.scores[again[index], rated], how, notes)
    if not between and not pairs and not within:
        why = f" ({notes[0]})" if notes else ""
        raise UserError(
            f"--agreement: no two {ratings.reader_kind}s rated a modality, and none is a second reading of another; "
            f"name that of `X` `X {AGAIN}`{why}"
        )
    if not again:
        notes.append(
            f"agreement within {ratings.reader_kind}s: no modality holds second readings; name that of `X` `X {AGAIN}`"
        )
    notes.append(
        f"intervals of agreement are over cases, for these {ratings.reader_kind}s (that of {ICC}: for others too). "
        "Agreement depends on how many cases are easy, and kappa on how rare a score is: compare values of one study "
        "alone. Where a score is rare, intervals of kappa are too narrow (89 to 92 % for 95 %, with 8 of 50 cases)"
    )
    return _section(between, pairs, within, ratings.reader_kind, tuple(dict.fromkeys(notes)), wanted.confidence)


def _again(modalities: Sequence[str]) -> dict[int, int]:
    """For a modality that was read twice, where the second readings are; white space is passed over, as iMRMC does."""
    at = {"".join(name.split()): index for index, name in enumerate(modalities)}
    return {index: at[name + AGAIN] for name, index in at.items() if name + AGAIN in at}


def _of_all(read: _Readings, how: _How, notes: list[str]) -> list[_Found]:
    wanted = COEFFICIENTS if how.categories else {QUADRATIC: COEFFICIENTS[QUADRATIC]}
    try:
        found = {
            name: agreement_coefficient(
                read.first, weights=weights, chance=chance, clusters=how.clusters, confidence=how.confidence
            )
            for name, (weights, chance) in wanted.items()
        }
        found[ICC] = intraclass_correlation(read.first, clusters=how.clusters, confidence=how.confidence)
    except UserError as error:
        notes.append(f"{read.modality}, all together: {error}")
        return []
    if left_out := read.first.shape[1] - found[ICC].n_cases:
        notes.append(f"{read.modality}: {left_out} cases that not all rated are left out of the agreement of all")
    return [_Found(read.modality, read.names, found)]


def _of_pairs(read: _Readings, how: _How, notes: list[str]) -> list[_Found]:
    found = []
    for r, s in combinations(range(len(read.names)), 2):
        who = (read.names[r], read.names[s])
        try:
            found.append(_Found(read.modality, who, _of_two(read.first[[r, s]], how)))
        except UserError as error:
            notes.append(f"{read.modality}, {who[0]} and {who[1]}: {error}")
    return found


def _of_two(scores: NDArray[np.float64], how: _How) -> dict[str, AgreementCoefficient]:
    return {
        name: agreement_coefficient(
            scores, weights=COEFFICIENTS[name][0], clusters=how.clusters, confidence=how.confidence
        )
        for name in how.of_pairs
    }


def _of_readers(read: _Readings, second: NDArray[np.float64], how: _How, notes: list[str]) -> list[_Found]:
    """Of each reader with themselves, and of their mean, whose `who` is empty."""
    found, kept = [], []
    for r, name in enumerate(read.names):
        try:
            found.append(_Found(read.modality, (name,), _of_two(np.stack([read.first[r], second[r]]), how)))
            kept.append(r)
        except UserError as error:
            notes.append(f"{read.modality}, {name} again: {error}")
    if len(kept) >= 2:
        both = np.stack([read.first[kept], second[kept]], axis=1)
        try:
            mean = {
                name: mean_coefficient(
                    both, weights=COEFFICIENTS[name][0], clusters=how.clusters, confidence=how.confidence
                )
                for name in how.of_pairs
            }
            found.append(_Found(read.modality, (), mean))
        except UserError as error:
            notes.append(f"{read.modality}, mean of all again: {error}")
    return found


def _section(
    between: list[_Found],
    pairs: list[_Found],
    within: list[_Found],
    kind: str,
    notes: tuple[str, ...],
    confidence: float,
) -> StudySection:
    answers = [
        f"{len(one.who)} {kind}s agree in {one.modality}: {QUADRATIC}, {_text(one.coefficients[QUADRATIC])}; {ICC} "
        f"{_text(one.coefficients[ICC])} ({one.coefficients[ICC].n_cases} cases)"
        for one in between
    ]
    answers += [
        f"{kind.capitalize()}s agree with themselves in {one.modality}: {QUADRATIC}, mean "
        f"{_text(one.coefficients[QUADRATIC])} ({one.coefficients[QUADRATIC].n_cases} cases)"
        for one in within
        if not one.who
    ]
    per_cent = f"{100 * confidence:g} % intervals"
    grids = []
    if between:
        rows = [
            (one.modality, name, str(value.n_cases), _text(value))
            for one in between
            for name, value in one.coefficients.items()
        ]
        grids.append(
            ResultTable(
                f"Agreement of all {kind}s ({per_cent})", ("modality", "coefficient"), ("cases", "value"), tuple(rows)
            )
        )
    if pairs:
        grids.append(_pair_table(f"Agreement of two {kind}s ({per_cent})", (kind, "with"), pairs))
    if within:
        grids.append(_pair_table(f"Agreement of {kind}s with themselves ({per_cent})", (kind,), within))
    return StudySection(
        "agreement",
        f"Agreement of {kind}s",
        {
            "between": {one.modality: _plain(one) for one in between},
            "pairs": [{"modality": one.modality, "readers": list(one.who), **_plain(one)} for one in pairs],
            "within": [{"modality": one.modality, "readers": list(one.who), **_plain(one)} for one in within],
        },
        answers=tuple(answers),
        grids=tuple(grids),
        notes=notes,
        methods=(
            (f"Agreement of {kind}s is Cohen's kappa, weighted by the difference of scores or its square", ("kappa",)),
            ("Intervals of kappa are over cases, from the influence of each on it", ("kappa variance",)),
            (f"The intraclass correlation ICC(2,1) has {kind}s and cases as random effects", ("icc",)),
        ),
    )


def _pair_table(title: str, words: tuple[str, ...], found: Sequence[_Found]) -> ResultTable:
    shown = [name for name in OF_PAIRS if any(name in one.coefficients for one in found)]
    rows = []
    for one in found:
        who = one.who or ("mean",)
        values = [_text(one.coefficients[name]) if name in one.coefficients else "–" for name in shown]
        rows.append((*who, one.modality, str(next(iter(one.coefficients.values())).n_cases), *values))
    return ResultTable(title, (*words, "modality"), ("cases", *shown), tuple(rows))


def _text(value: AgreementCoefficient) -> str:
    return interval_cell(Interval(value.value, value.ci_low, value.ci_high))


def _plain(one: _Found) -> dict[str, Any]:
    return {"coefficients": {name: asdict(value) for name, value in one.coefficients.items()}}
