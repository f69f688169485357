"""Programs (AI, numerical observers) against the people of a reader study."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.apply.ratings import ReaderStudy
from taskct.apply.reader_study.section import ResultTable, StudySection
from taskct.apply.reader_study.wanted import Wanted
from taskct.errors import UserError
from taskct.metrics.comparisons import FEWEST_TRIALS, Comparison, holm, why_no_margin
from taskct.metrics.mrmc.margins import law_margin_tests
from taskct.metrics.mrmc.program import FEWEST_READERS, ProgramComparison, compare_program
from taskct.metrics.mrmc.program_sizing import ProgramPilot, size_program_study
from taskct.metrics.mrmc.sizing import StudyPower

LEVEL = 0.05
"""Holm-adjusted p below which a difference is called one."""
_MEAN_READER = "the mean reader"
_NUMBERS_OF_READERS = (3, 4, 5, 6, 8, 10, 12, 15, 20)


@dataclass(frozen=True)
class _Found:
    """One program against the people in one modality."""

    program: str
    modality: str
    readers: tuple[str, ...]
    comparison: ProgramComparison
    tests: tuple[Comparison, ...]
    sizes: tuple[StudyPower, ...]
    p_holm: float = math.nan


def program_section(study: ReaderStudy, wanted: Wanted) -> StudySection | None:
    """Each program against the people, in each modality that people rated; None if no reader is called a program.

    A program is compared with people who rated the same modality. One that rated a single modality, which no person
    rated (its own), is compared with the people in each of theirs.

    Raises
    ------
    UserError
        If a program is no reader of the study, rated nothing that can be compared, or the ratings allow no comparison.
    """
    if not wanted.programs:
        return None
    ratings = study.ratings
    if unknown := [name for name in wanted.programs if name not in ratings.readers]:
        known = ", ".join(ratings.readers)
        raise UserError(f"--program {unknown[0]}: the ratings hold no such {ratings.reader_kind}; there are {known}")
    notes: list[str] = []
    found, refused = list[_Found](), list[UserError]()
    for program in dict.fromkeys(wanted.programs):
        for of_program, of_readers in _modalities(study, wanted.programs, program):
            # What cannot be said of one modality is a note: the comparison in the others stands.
            try:
                found.append(_compare(study, wanted, program, of_program, of_readers, notes))
            except UserError as error:
                refused.append(error)
    if not found:
        raise refused[0]
    notes += map(str, refused)
    adjusted = holm([one.comparison.difference.p_value() for one in found])
    found = [
        _Found(o.program, o.modality, o.readers, o.comparison, o.tests, o.sizes, float(p))
        for o, p in zip(found, adjusted, strict=True)
    ]
    kind = ratings.reader_kind
    return StudySection(
        "program",
        f"A program against the {kind}s",
        {"programs": [_plain(one, wanted.confidence) for one in found]},
        answers=tuple(text for one in found for text in _answers(one, wanted)),
        grids=(_difference_table(found, wanted.confidence), _reader_table(found, kind), *_size_tables(found, wanted)),
        notes=tuple(dict.fromkeys(notes)),
        methods=(
            (
                f"A program was compared with the mean of the {kind}s on the same cases, over {kind}s and cases, with "
                f"the difference of each {kind}'s AUC and the program's as the figure of merit",
                ("obuchowski-rockette", "program"),
            ),
            ("The intervals of these differences are skew, from those of the two AUCs", ("mover",)),
            (
                f"Differences from single {kind}s are of the cases alone and adjusted by Holm's method",
                ("delong", "holm"),
            ),
        ),
    )


def _modalities(study: ReaderStudy, programs: Sequence[str], program: str) -> list[tuple[int, int]]:
    """Where the scores of a program and of the people it is compared with are, as numbers of modalities."""
    ratings = study.ratings
    rated = np.any(~np.isnan(ratings.scores), axis=2, keepdims=True)[..., 0]
    people = [r for r, name in enumerate(ratings.readers) if name not in programs]
    if not people:
        raise UserError("--program names every reader: leave out those who are people")
    own = np.flatnonzero(rated[:, ratings.readers.index(program)]).tolist()
    of_people = np.flatnonzero(rated[:, people].any(axis=1)).tolist()
    if shared := [modality for modality in of_people if modality in own]:
        return [(modality, modality) for modality in shared]
    if len(own) == 1 and of_people:
        return [(own[0], modality) for modality in of_people]
    what = "nothing" if not own else f"{len(own)} modalities, none of which the people rated"
    raise UserError(
        f"--program {program}: it rated {what} among those that were chosen; have it rate the cases in a modality that "
        "people rated, or in a single one of its own"
    )


def _compare(
    study: ReaderStudy, wanted: Wanted, program: str, of_program: int, of_readers: int, notes: list[str]
) -> _Found:
    ratings = study.ratings
    modality = ratings.modalities[of_readers]
    people = [
        r
        for r, name in enumerate(ratings.readers)
        if name not in wanted.programs and not np.isnan(ratings.scores[of_readers, r]).all()
    ]
    where = f"{program} in {modality}"
    try:
        comparison = compare_program(
            ratings.scores[of_program, ratings.readers.index(program)],
            ratings.scores[of_readers, people],
            ratings.signal_present,
            clusters=study.clusters,
            confidence=wanted.confidence,
        )
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    notes += _notes(where, comparison, ratings.scores[of_readers, people], ratings.reader_kind)
    tests: tuple[Comparison, ...] = ()
    difference = comparison.difference
    if wanted.margin is not None:
        if why := why_no_margin(difference.first, difference.second):
            notes.append(f"{where}: no verdict on the margin: {why}")
        else:
            tests = law_margin_tests(difference, noninferiority_margin=wanted.margin, confidence=wanted.confidence)
    sizes: tuple[StudyPower, ...] = ()
    if wanted.detect is not None:
        try:
            sizes = _sizes(comparison, wanted, wanted.detect, ratings.reader_kind)
        except UserError as error:
            notes.append(f"{where}: {error}")
    return _Found(program, modality, tuple(ratings.readers[r] for r in people), comparison, tests, sizes)


def _notes(where: str, comparison: ProgramComparison, scores: NDArray[np.float64], kind: str) -> Iterator[str]:
    n_rated = int((~np.isnan(scores)).any(axis=0).sum())
    n_used = comparison.n_present + comparison.n_absent
    if n_used < n_rated:
        yield f"{where}: {n_rated - n_used} cases that the {kind}s rated and the program did not are left out"
    if not comparison.fully_crossed:
        yield (
            f"{where}: not every {kind} rated every case, so the mean reader, and the program beside it, are pooled "
            "over the pairs of cases that were rated"
        )
    if comparison.population == "cases":
        yield (
            f"{where}: with {len(scores)} {kind}{'s' if len(scores) != 1 else ''} nothing can be said of others; have "
            f"at least {FEWEST_READERS}. Interval and p value are of the choice of cases, for these {kind}s alone"
        )
    if comparison.difference.error.variance == 0.0:
        yield f"{where}: the variance is 0, which says that these cases are too easy or too alike to tell"
    if min(comparison.n_present, comparison.n_absent) < FEWEST_TRIALS:
        yield (
            f"{where}: {comparison.n_present} + {comparison.n_absent} cases; below {FEWEST_TRIALS} of each class "
            "neither interval nor p value is reliable"
        )


def _sizes(comparison: ProgramComparison, wanted: Wanted, detect: float, kind: str) -> tuple[StudyPower, ...]:
    """Studies to detect a difference; with a margin, to show that the program is not worse."""
    if comparison.components is None or comparison.population == "cases":
        raise UserError(f"a study is sized from at least {FEWEST_READERS} {kind}s and cases that are independent")
    of_readers, of_program, of_difference = comparison.components
    pilot = ProgramPilot(comparison.difference.second, of_readers, of_program, of_difference)
    alpha = 1.0 - wanted.confidence
    return size_program_study(
        pilot,
        detect,
        n_readers=_NUMBERS_OF_READERS,
        margin=wanted.margin,
        alpha=alpha if wanted.margin is None else alpha / 2.0,
        power=wanted.power,
        absent_per_present=comparison.n_absent / comparison.n_present,
    )


def _answers(one: _Found, wanted: Wanted) -> Iterator[str]:
    difference, per_cent = one.comparison.difference, 100.0 * wanted.confidence
    low, high = difference.bounds(wanted.confidence)
    better, worse = (one.program, _MEAN_READER) if difference.difference > 0.0 else (_MEAN_READER, one.program)
    what = f"AUC of {better} is above that of {worse}"
    if not one.p_holm < LEVEL:
        what = f"AUC of {one.program} is not shown to differ from that of {_MEAN_READER}"
    yield (
        f"{what} in {one.modality}: {difference.difference:+.3f} [{low:+.3f}, {high:+.3f}] ({per_cent:g} %, "
        f"{one.comparison.population}), p = {difference.p_value():.2g}"
    )
    for test in one.tests:
        claim = "not inferior to" if test.aim == "non-inferiority" else "equivalent to"
        yield (
            f"{one.program} {claim} {_MEAN_READER} in {one.modality} within {test.margin:g}: "
            f"{'shown' if test.shown else 'not shown'}, p = {test.p_value:.2g} ({test.aim}, one-sided alpha "
            f"{test.alpha:g})"
        )


def _difference_table(found: Sequence[_Found], confidence: float) -> ResultTable:
    rows = []
    for one in found:
        of, difference = one.comparison.program, one.comparison.difference
        low, high = difference.bounds(confidence)
        rows.append(
            (
                one.program,
                one.modality,
                f"{of.value:.3f} [{of.ci_low:.3f}, {of.ci_high:.3f}]",
                f"{difference.second:.3f}",
                f"{difference.difference:+.3f} [{low:+.3f}, {high:+.3f}]",
                _number(difference.error.student_df(confidence)),
                _number(difference.p_value()),
                _number(one.p_holm),
            )
        )
    return ResultTable(
        f"Program less mean reader ({100 * confidence:g} % intervals)",
        ("program", "modality"),
        ("AUC of program", "mean reader", "difference", "df", "p", "p (Holm)"),
        tuple(rows),
    )


def _reader_table(found: Sequence[_Found], kind: str) -> ResultTable:
    rows = []
    for one in found:
        for name, single in zip(one.readers, one.comparison.readers, strict=True):
            delta = single.difference
            rows.append(
                (
                    name,
                    one.program,
                    one.modality,
                    _verdict(delta.delta_auc, single.p_holm, kind),
                    f"{single.auc:.3f}",
                    f"{delta.delta_auc:+.3f} [{delta.ci_low:+.3f}, {delta.ci_high:+.3f}]",
                    _number(delta.p_value),
                    _number(single.p_holm),
                )
            )
    return ResultTable(
        f"Program less each {kind} (cases alone)",
        (kind, "program", "modality", "better"),
        (f"AUC of {kind}", "difference", "p", "p (Holm)"),
        tuple(rows),
    )


def _verdict(delta: float, p_holm: float, kind: str) -> str:
    if not p_holm < LEVEL:
        return "not shown"
    return "program" if delta > 0.0 else kind


def _size_tables(found: Sequence[_Found], wanted: Wanted) -> Iterator[ResultTable]:
    for one in found:
        if not one.sizes or wanted.detect is None:
            continue
        aim = f"a difference of {wanted.detect:g}"
        if wanted.margin is not None:
            aim = f"that it is not worse by {wanted.margin:g}, if its AUC is {wanted.detect:+g} from the mean reader's"
        designs = [(size.design, size.power) for size in one.sizes]
        yield ResultTable(
            f"{one.program} in {one.modality}: cases to show {aim}, power {wanted.power:g}",
            (),
            ("readers", "present", "absent", "power"),
            tuple((str(d.n_readers), str(d.n_present), str(d.n_absent), f"{power:.3f}") for d, power in designs),
        )


def _plain(one: _Found, confidence: float) -> dict[str, Any]:
    """What `--json` prints of one program in one modality."""
    comparison, difference = one.comparison, one.comparison.difference
    low, high = difference.bounds(confidence)
    return {
        "program": one.program,
        "modality": one.modality,
        "auc": asdict(comparison.program),
        "mean_reader_auc": difference.second,
        "difference": {
            "value": difference.difference,
            "ci_low": low,
            "ci_high": high,
            "std_error": difference.error.std_error,
            "df": difference.error.student_df(confidence),
            "p_value": difference.p_value(),
            "p_holm": one.p_holm,
            "population": comparison.population,
            "components": None if comparison.components is None else asdict(comparison.components[2]),
            **{test.aim: asdict(test) for test in one.tests},
        },
        "readers": {
            name: {"auc": single.auc, **asdict(single.difference), "p_holm": single.p_holm}
            for name, single in zip(one.readers, comparison.readers, strict=True)
        },
        "n_readers": len(one.readers),
        "n_present": comparison.n_present,
        "n_absent": comparison.n_absent,
        "fully_crossed": comparison.fully_crossed,
        "sizes": [
            {
                "readers": size.design.n_readers,
                "present": size.design.n_present,
                "absent": size.design.n_absent,
                "power": size.power,
            }
            for size in one.sizes
        ],
    }


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "–"
