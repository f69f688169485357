"""How large the next reader study must be: power by readers and cases, from a study or from assumptions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from taskct.apply.ratings import ReaderStudy
from taskct.apply.reader_study.section import Drawing, Line, ResultTable, StudySection
from taskct.apply.reader_study.wanted import Wanted
from taskct.errors import UserError
from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.mrmc.roe_metz import RoeMetz, Structure
from taskct.metrics.mrmc.sizing import (
    Components,
    DfMethod,
    StudyPower,
    components_from_obuchowski_rockette,
    power_grid,
    size_study,
)

READERS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20)
"""Numbers of readers of the grid."""
DRAWN = (3, 4, 6, 10, 20)
"""Those of them that are drawn."""
STRUCTURES: tuple[Structure, ...] = ("HH", "HL", "LH", "LL")
LEVELS = (0.702, 0.855, 0.961)

_FINE, _COARSE = (10, 15, 20, 30, 40, 50, 70), (10, 20, 50)
_COLUMNS = 7
_ASSUMED = ("var_tr", "var_error", "cov1", "cov2", "cov3", "present", "absent")


@dataclass(frozen=True)
class SizeBasis:
    """What a study is sized from."""

    name: str
    """Of the pair of modalities, or of what was assumed."""
    components: Components
    """Of the variance of a difference."""
    absent_per_present: float
    """Signal-absent cases for each signal-present one."""
    method: DfMethod = "bdg"
    """Of the degrees of freedom."""
    cases: str = ""
    """What a case is called where all are of one class, such as a set of images of forced choice."""

    @property
    def of_a_class(self) -> str:
        """What is counted along the grid."""
        return self.cases or "cases with the signal"

    def counted(self, n_present: int, n_absent: int) -> str:
        """Numbers of cases as a heading of the grid."""
        return f"{n_present}" if self.cases else f"{n_present} + {n_absent}"


def sizes_section(study: ReaderStudy, wanted: Wanted) -> StudySection | None:
    """Power by readers and cases, from the components of each difference; None unless `detect` is wanted.

    Pairs whose components are not known are left out here: a note of the analysis says why. Programs are no readers of
    the next study.
    """
    if wanted.detect is None:
        return None
    people = [r for r, name in enumerate(study.ratings.readers) if name not in wanted.programs]
    found = analyze(study.ratings.part(readers=people), pairs=study.pairs, confidence=wanted.confidence)
    ratio = found.n_absent / found.n_present
    bases = [
        SizeBasis(pair, difference.components, ratio)
        for pair, difference in found.differences.items()
        if difference.components is not None
    ]
    return section_of_sizes(bases, wanted, found.reader_kind)


def section_of_sizes(bases: Sequence[SizeBasis], wanted: Wanted, reader_kind: str = "reader") -> StudySection | None:
    """The section of power by readers and cases; None unless `detect` is wanted and something can be sized."""
    if wanted.detect is None:
        return None
    answers, grids, drawings, notes = [], [], [], []
    content: dict[str, Any] = {"detect": wanted.detect, "power_wanted": wanted.power, "studies": {}}
    for basis in bases:
        try:
            cases, answer = _cases_to_show(basis, wanted, reader_kind)
        except UserError as error:
            notes.append(f"{basis.name}: {error}")
            continue
        answers.append(answer)
        crossed = _grid(basis, wanted, READERS, cases, 1)
        halves = _grid(basis, wanted, [n for n in READERS if n >= 4 and n % 2 == 0], cases, 2)
        what = f"{basis.name}: power to detect {wanted.detect:g}"
        grids += [
            _table(f"{what}, every {reader_kind} rates every case", crossed, basis, reader_kind),
            _table(f"{what}, two groups that each rate one half of the cases", halves, basis, reader_kind),
        ]
        drawings.append(_drawing(what, basis, wanted, reader_kind, cases))
        content["studies"][basis.name] = {"fully_crossed": _plain(crossed), "split_plot_in_2": _plain(halves)}
    if not answers and not notes:
        return None
    return StudySection(
        "size_grid",
        "Size of the next study",
        content,
        answers=tuple(answers),
        grids=tuple(grids),
        drawings=tuple(drawings),
        notes=tuple(notes),
        methods=(
            (
                f"Power is that of a two-sided t test of size {wanted.alpha:g} with the degrees of freedom expected of "
                "the study",
                ("mrmc-power",),
            ),
        ),
    )


def assumed_section(text: str, wanted: Wanted) -> StudySection:
    """Power by readers and cases of a study of which nothing is known yet, from what is assumed; see `assumed`.

    Raises
    ------
    UserError
        If `detect` is missing or the assumption is none that `assumed` takes.
    """
    if wanted.detect is None:
        raise UserError("--assume sizes a study: say by --detect which difference it is to find")
    section = section_of_sizes([assumed(text, wanted.detect)], wanted)
    if section is None:
        raise UserError("nothing can be sized from what is assumed")
    return section


def assumed(text: str, detect: float) -> SizeBasis:
    """Components of a difference from an assumption.

    Parameters
    ----------
    text
        `STRUCTURE:AUC`, such as `HL:0.855`: one of Roe and Metz's structures (H or L for high or low correlation of the
        scores of a case, then for the spread of readers) at one of their AUCs. Or the parameters of an
        Obuchowski-Rockette analysis with its numbers of cases:
        `var_tr=0.0002,var_error=0.0008,cov1=0.00035,cov2=0.00034,cov3=0.00024,present=45,absent=69`.
    detect
        Difference of AUCs; a model has the AUC of one modality as named, and the other one's higher (or lower) by it.

    Raises
    ------
    UserError
        If the text is neither, or the other AUC would not lie between 0.5 and 1.
    """
    if "=" in text:
        return _from_parameters(text)
    structure, _, level_text = text.partition(":")
    level = next((level for level in LEVELS if level_text.strip() == f"{level:g}"), None)
    chosen = next((one for one in STRUCTURES if structure.strip().upper() == one), None)
    if chosen is None or level is None:
        raise UserError(
            f"--assume is {text!r}; give a structure and an AUC of Roe and Metz ({', '.join(STRUCTURES)}; "
            f"{', '.join(f'{level:g}' for level in LEVELS)}), such as HL:0.855, or {'=…,'.join(_ASSUMED)}=…"
        )
    model = RoeMetz.published(chosen, level)
    # The mean over readers and cases is Φ(μ/s): s from the configuration, then the other separation from its AUC.
    area = float(model.expected_auc()[0])
    other = area + detect
    if not 0.5 < other < 1.0:
        raise UserError(
            f"an AUC of {area:.3f} and a difference of {detect:g} give {other:.3f}; it must lie in (0.5, 1)"
        )
    scale = model.mu[0] / float(ndtri(area))
    model = RoeMetz.published(chosen, level, mu=(scale * float(ndtri(other)), model.mu[0]))
    return SizeBasis(f"Roe and Metz {chosen}, AUC {area:.3f}", model.components(0, 1), 1.0)


def _from_parameters(text: str) -> SizeBasis:
    given: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = (one.strip() for one in part.partition("="))
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if name not in _ASSUMED or name in given or not math.isfinite(number):
            raise UserError(f"--assume holds {part.strip()!r}; give each of {', '.join(_ASSUMED)} once, as a number")
        given[name] = number
    if missing := [name for name in _ASSUMED if name not in given]:
        raise UserError(f"--assume lacks {missing[0]}; give {'=…,'.join(_ASSUMED)}=…")
    for name in ("present", "absent"):
        if not given[name].is_integer() or given[name] < 2:
            raise UserError(f"--assume has {name}={given[name]:g}; it is a number of cases, at least 2")
    n_present, n_absent = int(given.pop("present")), int(given.pop("absent"))
    parts = components_from_obuchowski_rockette(**given, n_present=n_present, n_absent=n_absent)
    return SizeBasis("as assumed", parts, n_absent / n_present, "hillis")


def _cases_to_show(basis: SizeBasis, wanted: Wanted, reader_kind: str) -> tuple[tuple[int, ...], str]:
    """Numbers of present cases from too few to enough, and a sentence of the study with the fewest readings."""
    detect = wanted.detect or 0.0
    try:
        sizes = size_study(
            basis.components,
            detect,
            n_readers=READERS,
            power=wanted.power,
            absent_per_present=basis.absent_per_present,
            alpha=wanted.alpha,
            method=basis.method,
        )
    except UserError as error:
        raise UserError(f"a difference of {detect:g} is out of reach: {error}") from error
    least = min(sizes, key=lambda size: size.design.n_readers * size.design.n_present)
    needed = [size.design.n_present for size in sizes]
    shown = _round_numbers(min(needed), max(needed))
    d = least.design
    readings = d.n_readers * d.n_present if basis.cases else d.n_readings
    answer = (
        f"{basis.name}: to detect a difference of {detect:g} with power {wanted.power:g} takes the fewest readings, "
        f"{readings:,} in each modality, with {d.n_readers} {reader_kind}s, {d.n_present} {basis.of_a_class}"
        f"{'' if basis.cases else f' and {d.n_absent} without'}."
    )
    return shown, answer


def _round_numbers(low: int, high: int) -> tuple[int, ...]:
    """Round numbers from below one to above another, at most `_COLUMNS`; of more the largest are left out."""
    span: tuple[int, ...] = ()
    for series in (_FINE, _COARSE):
        numbers = np.array([base * 10**power for power in range(7) for base in series])
        first = max(int(np.searchsorted(numbers, low, side="left")) - 2, 0)
        span = tuple(numbers[first : int(np.searchsorted(numbers, high, side="left")) + 1].tolist())
        if len(span) <= _COLUMNS:
            break
    return span[:_COLUMNS]


def _grid(
    basis: SizeBasis, wanted: Wanted, readers: Sequence[int], cases: Sequence[int], n_groups: int
) -> tuple[tuple[StudyPower, ...], ...]:
    return power_grid(
        basis.components,
        wanted.detect or 0.0,
        n_readers=readers,
        n_present=cases,
        absent_per_present=basis.absent_per_present,
        n_groups=n_groups,
        alpha=wanted.alpha,
        method=basis.method,
    )


def _table(title: str, grid: Sequence[Sequence[StudyPower]], basis: SizeBasis, reader_kind: str) -> ResultTable:
    return ResultTable(
        title,
        words=(f"{reader_kind}s; {basis.cases or 'cases with + without the signal'}",),
        numbers=tuple(basis.counted(study.design.n_present, study.design.n_absent) for study in grid[0]),
        rows=tuple((f"{row[0].design.n_readers} {reader_kind}s", *(f"{one.power:.2f}" for one in row)) for row in grid),
    )


def _drawing(what: str, basis: SizeBasis, wanted: Wanted, reader_kind: str, cases: Sequence[int]) -> Drawing:
    fine = np.unique(np.geomspace(cases[0], cases[-1], 25).round().astype(int)).tolist()
    grid = _grid(basis, wanted, DRAWN, fine, 1)
    lines = [
        Line(
            f"{row[0].design.n_readers} {reader_kind}s",
            np.array([study.design.n_present for study in row], dtype=np.float64),
            np.array([study.power for study in row], dtype=np.float64),
        )
        for row in grid
    ]
    return Drawing(
        f"{what} against the number of {basis.of_a_class}, a line for each number of {reader_kind}s. The numbers "
        "are in the table.",
        basis.of_a_class,
        "power",
        tuple(lines),
        in_terminal=True,
    )


def _plain(grid: Sequence[Sequence[StudyPower]]) -> list[dict[str, float]]:
    return [
        {
            "readers": study.design.n_readers,
            "present": study.design.n_present,
            "absent": study.design.n_absent,
            "power": study.power,
            "std_error": study.std_error,
            "df": study.df,
        }
        for row in grid
        for study in row
    ]
