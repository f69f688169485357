"""Sizing a study of one program against readers: the power of the test that `program` does."""

import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from scipy.stats import nct

from taskct.errors import UserError
from taskct.metrics.mrmc.difference import DifferenceLaw
from taskct.metrics.mrmc.error_law import ErrorLaw
from taskct.metrics.mrmc.sizing import Components, Design, StudyPower, design_variance, fewest_reaching

_MOST_CASES = 10**6  # signal-present cases beyond which a study counts as out of reach
_MOST_DF = 1e6  # the normal distribution, as near as numbers go
_FURTHEST = 30.0  # standard errors; the power is 1


@dataclass(frozen=True)
class ProgramPilot:
    """What a study of a program against readers is sized from; the components are per reader and case."""

    readers_auc: float
    """Mean AUC of the readers, in (0, 1)."""
    readers: Components
    """Of the variance of that mean."""
    program: Components
    """Of that of the program's AUC; nothing in it is of readers."""
    difference: Components
    """Of that of their difference."""


def program_power(
    pilot: ProgramPilot, design: Design, delta: float, *, margin: float | None = None, alpha: float = 0.05
) -> StudyPower:
    """Power of the comparison of a program with the mean reader in a study of given design.

    Parameters
    ----------
    pilot, design
        What the variance is made of, negative components counting as 0; readers and cases, of whom each reader rates
        all (`n_groups` of 1).
    delta
        True AUC of the program less that of the mean reader.
    margin
        None: two-sided test that they differ. Else: test that the program is not worse by so much or more, above
        −`delta`.
    alpha
        Two-sided size of a test of a difference, one-sided size of non-inferiority; in (0, 0.5).

    Raises
    ------
    UserError
        If a number is out of range, the AUC of the program would not lie below 1, no component is positive or the
        study is split-plot.

    Notes
    -----
    Where everything comes out as expected, the least critical value whose interval reaches what is to be excluded tells
    how many standard errors it lies away, on the skew scale of `DifferenceLaw`. Power is that of Student's t with this
    noncentrality and the degrees of freedom of `ErrorLaw`. Studies sized for a power of 0.8 had 0.81 to 0.88 in
    simulations.

    Examples
    --------
    >>> case = Components(0.0, 0.04, 0.04, 0.03, 0.0, 0.0, 0.0)
    >>> reader = Components(0.002, 0.03, 0.03, 0.02, 0.02, 0.02, 0.05)
    >>> both = Components(0.002, 0.04, 0.04, 0.04, 0.02, 0.02, 0.05)
    >>> pilot = ProgramPilot(0.85, reader, case, both)
    >>> 0.5 < program_power(pilot, Design(5, 80, 80), 0.0, margin=0.1, alpha=0.025).power < 0.9
    True
    """
    _check(pilot, design, delta, margin, alpha)
    variances = [design_variance(_positive(part), design) for part in (pilot.program, pilot.readers, pilot.difference)]
    by_reader = design_variance(_of_readers(pilot.difference), design)
    fewest = min(design.n_present, design.n_absent)
    error = ErrorLaw(variances[2], by_reader, design.n_readers - 1.0, fewest - 1.0)
    expected = DifferenceLaw(pilot.readers_auc + delta, pilot.readers_auc, variances[0], variances[1], error)
    confidence = 1.0 - (alpha if margin is None else 2.0 * alpha)
    df, excluded = min(error.student_df(confidence), _MOST_DF), 0.0 if margin is None else -margin
    power = float(nct.sf(error.critical(confidence), df, min(expected.statistic(excluded), _FURTHEST)))
    return StudyPower(design, error.std_error, df, power)


def size_program_study(
    pilot: ProgramPilot,
    delta: float,
    *,
    n_readers: Iterable[int],
    margin: float | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
    absent_per_present: float = 1.0,
) -> tuple[StudyPower, ...]:
    """Fewest cases that reach a power, for each number of readers; without those that reach it with no number.

    Parameters are those of `program_power`; `power` lies in (alpha, 1), `absent_per_present` is above 0. A UserError,
    also if no number of readers reaches the power.
    """
    if not alpha < power < 1.0:
        raise UserError(f"the power wanted is {power}; it must lie between alpha ({alpha:g}) and 1")
    fewest = max(math.ceil(2.0 / min(absent_per_present, 1.0)), 2)

    def at(readers: int, present: int) -> StudyPower:
        design = Design(readers, present, max(math.ceil(absent_per_present * present - 1e-9), 2))
        return program_power(pilot, design, delta, margin=margin, alpha=alpha)

    return fewest_reaching(n_readers, at, power, fewest, _MOST_CASES)


def _check(pilot: ProgramPilot, design: Design, delta: float, margin: float | None, alpha: float) -> None:
    if not 0.0 < pilot.readers_auc < 1.0 or not 0.0 < pilot.readers_auc + delta < 1.0:
        raise UserError(
            f"a mean reader's AUC of {pilot.readers_auc:.3f} and a difference of {delta:g}: both AUCs must lie between "
            "0 and 1"
        )
    if not 0.0 < alpha < 0.5:
        raise UserError(f"alpha is {alpha}; it must lie between 0 and 0.5")
    if margin is not None and not max(-delta, 0.0) < margin < 1.0:
        raise UserError(
            f"a true difference of {delta:g} and a margin of {margin:g}: no study can show that the program is not "
            "worse; the margin must be above 0, above what the program loses, and below 1"
        )
    if design.n_groups != 1:
        raise UserError("a comparison with a program is sized for studies in which every reader rates every case")
    if sum(astuple(_positive(pilot.difference))) <= 0.0:
        raise UserError("no variance component is positive; the pilot is too small")


def _positive(components: Components) -> Components:
    return Components(*(max(float(part), 0.0) for part in astuple(components)))


def _of_readers(components: Components) -> Components:
    """What falls with the number of readers, and shows as scatter among them."""
    c = _positive(components)
    return Components(c.reader, 0.0, 0.0, 0.0, c.reader_present, c.reader_absent, c.reader_present_absent)
