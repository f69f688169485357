"""Sizing a reader study: variance, degrees of freedom and power for numbers of readers and cases not yet measured."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import chi2, nct, t

from taskct.errors import UserError

Aim = Literal["difference", "non-inferiority", "equivalence"]
DfMethod = Literal["bdg", "hillis"]

_MOST_CASES = 10**7  # signal-present cases beyond which a study counts as out of reach
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)


@dataclass(frozen=True)
class Components:
    """Components of the variance of a reader-averaged empirical AUC, or of a difference of two; no unit.

    Let s be 1 where a reader scores a signal-present case above a signal-absent one, ½ for a tie and 0 otherwise
    (for a difference: s of the first modality minus that of the second). The components are the variances of the
    seven terms of its analysis of variance over reader, present case and absent case. They do not depend on how
    many readers and cases there are. Unbiased estimates of them may come out negative.

    References
    ----------
    .. [1] Clarkson, Kupinski & Barrett, Acad. Radiol. 13, 1410 (2006).
    .. [2] Gallas, Bandos, Samuelson & Wagner, Commun. Stat. Theory Methods 38, 2586 (2009).
    """

    reader: float
    """Readers."""
    present: float
    """Signal-present cases."""
    absent: float
    """Signal-absent cases."""
    present_absent: float
    """Pairs of a present and an absent case."""
    reader_present: float
    """Readers by present cases."""
    reader_absent: float
    """Readers by absent cases."""
    reader_present_absent: float
    """The rest, a reader's own noise included."""


@dataclass(frozen=True)
class Design:
    """Numbers of readers and cases of a study, fully crossed or split-plot.

    A UserError, if there are fewer than 2 readers or cases of a class, or they do not split into equal groups.
    """

    n_readers: int
    """Readers in all."""
    n_present: int
    """Signal-present cases in all."""
    n_absent: int
    """Signal-absent cases in all."""
    n_groups: int = 1
    """1: every reader rates every case. More: split-plot, in equal groups of readers that each rate a share of the
    cases of their own, in every modality."""

    def __post_init__(self) -> None:
        kinds = ("readers", "signal-present cases", "signal-absent cases")
        if self.n_groups < 1:
            raise UserError(f"{self.n_groups} groups; there must be at least 1 (fully crossed)")
        for kind, number in zip(kinds, astuple(self), strict=False):
            if number < 2:
                raise UserError(f"{number} {kind}; a study needs at least 2")
            if number % self.n_groups:
                raise UserError(f"{number} {kind} do not split into {self.n_groups} equal groups")

    @property
    def n_readings(self) -> int:
        """Readings in one modality: readers times the cases that each reads."""
        return self.n_readers * (self.n_present + self.n_absent) // self.n_groups


@dataclass(frozen=True)
class StudyPower:
    """What a design can be expected to show."""

    design: Design
    """The design."""
    std_error: float
    """Standard error of the difference of AUCs."""
    df: float
    """Its degrees of freedom."""
    power: float
    """Power, in [0, 1]."""


def design_variance(components: Components, design: Design) -> float:
    """Variance of the reader-averaged AUC, or of the difference of AUCs that the components are of, in a study."""
    r, p, a, g = design.n_readers, design.n_present, design.n_absent, design.n_groups
    # The groups are independent: one fully crossed study of a group, divided by the number of groups.
    shares = (1 / r, 1 / p, 1 / a, g / (p * a), g / (r * p), g / (r * a), g * g / (r * p * a))
    return float(sum(part * share for part, share in zip(astuple(components), shares, strict=True)))


def design_df(components: Components, design: Design, *, method: DfMethod = "bdg") -> float:
    """Degrees of freedom to be expected of the variance estimated in a study; infinite if nothing scatters.

    Both methods are Satterthwaite's: the variance squared over the sum of (S²/n)²/(n − 1), where S² is the variance
    expected among the n means over all else. BDG sums over readers, present and absent cases; Hillis takes readers
    alone. The result is at least the smallest n − 1 in use. Sources: Obuchowski, Gallas & Hillis, Acad. Radiol. 19,
    1508 (2012) (BDG); Hillis, Stat. Med. 26, 596 (2007).
    """
    reader, present, absent, pa, rp, ra, rpa = astuple(components)
    totals = (design.n_readers, design.n_present, design.n_absent)
    r, p, a = (n / design.n_groups for n in totals)
    # For each factor: what its means scatter by within a group, and what from group to group.
    scatters = [
        (reader + rp / p + ra / a + rpa / (p * a), present / p + absent / a + pa / (p * a)),
        (present + rp / r + pa / a + rpa / (r * a), reader / r + absent / a + ra / (r * a)),
        (absent + ra / r + pa / p + rpa / (r * p), reader / r + present / p + rp / (r * p)),
    ]
    terms = list(zip(totals, scatters, strict=True))[: 3 if method == "bdg" else 1]
    uncertainty = 0.0
    for n, (within, between) in terms:
        scatter = within + between * (n - n / design.n_groups) / (n - 1)
        uncertainty += (scatter / n) ** 2 / (n - 1)
    smallest = float(min(n for n, _ in terms) - 1)
    return max(design_variance(components, design) ** 2 / uncertainty, smallest) if uncertainty > 0.0 else math.inf


def study_power(
    components: Components,
    design: Design,
    delta: float,
    *,
    aim: Aim = "difference",
    noninferiority_margin: float = 0.0,
    alpha: float = 0.05,
    method: DfMethod = "bdg",
) -> StudyPower:
    """Power of a t test of a difference of AUCs in a study of given design, with its standard error.

    Parameters
    ----------
    components
        Of the difference of the two AUCs: of a pilot (`DifferenceAUC.components`), a model (`RoeMetz.components`) or
        Obuchowski–Rockette parameters. Negative ones, as a pilot may have, count as 0: rather too large a study.
    design, delta
        Readers and cases; true difference of AUCs, first minus second, in (−1, 1).
    aim
        `difference`: two-sided test that the AUCs differ. `non-inferiority`: that the first is not worse by the margin
        or more. `equivalence`: that they differ by less than the margin either way (two one-sided tests).
    noninferiority_margin
        > 0 for the last two aims; 0 for a difference.
    alpha
        Two-sided size of a test of a difference, in (0, 0.5); one-sided size of the others (an interval of confidence 1
        − 2·alpha must clear the margin).
    method
        Degrees of freedom: "bdg" or "hillis".

    Raises
    ------
    UserError
        If a number is out of range, no component is positive, or the margin rules `delta` out.

    Notes
    -----
    An approximation (docs/validation.md): in simulated studies powers near 0.8 came out within 0.04 at equal AUCs. At
    unequal ones estimate and standard error are correlated: up to 0.08 off (0.88 for 0.80, AUCs of 0.92 and 0.84).
    With 3 readers 0.71 and 0.85 came out for 0.80 (two structures, 500 studies each).
    Degrees of freedom are expected ones, not whole as in `analyze`, where power would jump from one case to the next.

    Examples
    --------
    >>> parts = Components(0.0005, 0.02, 0.02, 0.05, 0.02, 0.02, 0.1)
    >>> 0.5 < study_power(parts, Design(6, 100, 100), 0.05).power < 0.6
    True
    """
    _check_test(delta=delta, aim=aim, noninferiority_margin=noninferiority_margin, alpha=alpha)
    components = _without_negative(components)
    std_error, df = math.sqrt(design_variance(components, design)), design_df(components, design, method=method)
    return StudyPower(
        design,
        std_error,
        df,
        _power(delta, std_error, df, aim=aim, noninferiority_margin=noninferiority_margin, alpha=alpha),
    )


def size_study(
    components: Components,
    delta: float,
    *,
    n_readers: Iterable[int],
    power: float = 0.8,
    absent_per_present: float = 1.0,
    n_groups: int = 1,
    aim: Aim = "difference",
    noninferiority_margin: float = 0.0,
    alpha: float = 0.05,
    method: DfMethod = "bdg",
) -> tuple[StudyPower, ...]:
    """Fewest cases that reach a power, for each number of readers.

    Parameters
    ----------
    components, delta, aim, noninferiority_margin, alpha, method
        As for `study_power`.
    n_readers, power
        Numbers of readers to try, each at least 2 and a multiple of `n_groups`; power wanted, in (alpha, 1).
    absent_per_present, n_groups
        Signal-absent cases for each signal-present one, > 0, rounded up; 1 group is fully crossed, more is split-plot,
        with cases rounded up to equal groups.

    Returns
    -------
    The smallest study for each number of readers, in the order given, without those that do not reach the power with
    any number of cases. `min(sizes, key=lambda size: size.design.n_readings)` has the fewest readings.

    Raises
    ------
    UserError
        If a number is out of range or no number of readers reaches the power.

    Examples
    --------
    >>> parts = Components(0.0005, 0.02, 0.02, 0.05, 0.02, 0.02, 0.1)
    >>> sizes = size_study(parts, 0.05, n_readers=[2, 5, 10])
    >>> [size.design.n_readers for size in sizes], sizes[0].design.n_present > sizes[1].design.n_present
    ([5, 10], True)
    """
    if not alpha < power < 1.0:
        raise UserError(f"the power wanted is {power}; it must lie between alpha ({alpha}) and 1")
    if not absent_per_present > 0.0:
        raise UserError(f"{absent_per_present} absent cases for each present one; it must be positive")

    def at(readers: int, cases_per_group: int) -> StudyPower:
        absent = max(math.ceil(absent_per_present * cases_per_group - 1e-9), 1)
        design = Design(readers, n_groups * cases_per_group, n_groups * absent, n_groups)
        return study_power(
            components, design, delta, aim=aim, noninferiority_margin=noninferiority_margin, alpha=alpha, method=method
        )

    most, fewest = _MOST_CASES // max(n_groups, 1), max(math.ceil(2 / min(absent_per_present, 1.0)), 2)
    return fewest_reaching(n_readers, at, power, fewest, most)


def fewest_reaching(
    n_readers: Iterable[int], at: Callable[[int, int], StudyPower], power: float, fewest: int, most: int
) -> tuple[StudyPower, ...]:
    """The study of the fewest cases that reaches a power, for each number of readers that reaches it at all.

    `at` gives the study of so many readers and cases, of which `fewest` to `most` are tried by halving. A UserError, if
    no number of readers reaches the power.
    """
    sizes, best = [], 0.0
    for readers in n_readers:
        low, high = fewest - 1, fewest
        while (found := at(readers, high)).power < power and high < most:
            low, high = high, min(2 * high, most)
        best = max(best, found.power)
        if found.power < power:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            candidate = at(readers, middle)
            if candidate.power < power:
                low = middle
            else:
                high, found = middle, candidate
        sizes.append(found)
    if not sizes:
        raise UserError(
            f"no number of cases reaches a power of {power:g} with these readers (at most {best:.3f}): allow more "
            "readers, or a larger difference or margin"
        )
    return tuple(sizes)


def power_grid(
    components: Components,
    delta: float,
    *,
    n_readers: Sequence[int],
    n_present: Sequence[int],
    absent_per_present: float = 1.0,
    n_groups: int = 1,
    alpha: float = 0.05,
    method: DfMethod = "bdg",
) -> tuple[tuple[StudyPower, ...], ...]:
    """Power of a test of a difference for every number of readers, with every number of cases.

    Parameters
    ----------
    components, delta, alpha, method
        As for `study_power`.
    n_readers, n_present
        Numbers of readers, each a multiple of `n_groups`, and of signal-present cases, rounded up to equal groups.
    absent_per_present, n_groups
        As for `size_study`.

    Returns
    -------
    Studies by number of readers, then by number of cases.

    Raises
    ------
    UserError
        If a number is out of range.

    Examples
    --------
    >>> parts = Components(0.0005, 0.02, 0.02, 0.05, 0.02, 0.02, 0.1)
    >>> grid = power_grid(parts, 0.05, n_readers=[4, 8], n_present=[50, 200])
    >>> [[round(study.power, 2) for study in row] for row in grid]
    [[0.29, 0.67], [0.35, 0.83]]
    """

    def design(readers: int, present: int) -> Design:
        present_per_group = -(-present // n_groups)
        absent_per_group = max(math.ceil(absent_per_present * present_per_group - 1e-9), 1)
        return Design(readers, n_groups * present_per_group, n_groups * absent_per_group, n_groups)

    return tuple(
        tuple(
            study_power(components, design(readers, present), delta, alpha=alpha, method=method)
            for present in n_present
        )
        for readers in n_readers
    )


def components_of_proportions(difference: NDArray[np.float64]) -> Components:
    """Components of the variance of a reader-averaged difference of two proportions, from every reader and case.

    `difference` is the success in the first modality minus that in the second, 1, 0 or −1, `(n_readers, n_cases)`, with
    2 readers and cases at least and none missing; otherwise a ValueError. Cases are of one class, so they stand as the
    signal-present ones and nothing comes from absent ones. Estimates of a two-way analysis of variance without
    replication; they may come out negative.

    Examples
    --------
    >>> parts = components_of_proportions(np.array([[1.0, 0.0, 1.0], [1.0, 0.0, 1.0]]))
    >>> round(parts.present, 4), abs(round(parts.reader, 4)), abs(round(parts.reader_present, 4))
    (0.3333, 0.0, 0.0)
    """
    r, n = difference.shape
    if min(r, n) < 2 or not np.isfinite(difference).all():
        raise ValueError(f"{r} readers and {n} cases; give 2 of each at least, and no missing answer")
    by_reader, by_case = difference.mean(axis=1), difference.mean(axis=0)
    rest = difference - by_reader[:, None] - by_case + difference.mean()
    of_rest = float((rest**2).sum()) / ((r - 1) * (n - 1))
    reader, case = float(by_reader.var(ddof=1)) - of_rest / n, float(by_case.var(ddof=1)) - of_rest / r
    return Components(reader, case, 0.0, 0.0, of_rest, 0.0, 0.0)


def components_from_obuchowski_rockette(
    *, var_tr: float, var_error: float, cov1: float, cov2: float, cov3: float, n_present: int, n_absent: int
) -> Components:
    """Components of a difference of AUCs from the parameters of an Obuchowski–Rockette analysis.

    `var_tr` and `var_error` are the variances of modality by reader and of one reader's error; `cov1`, `cov2`, `cov3`
    the covariances of errors of one reader in two modalities, of two readers in one, and of both different.

    These parameters do not tell present from absent cases: each class is given one half of what the cases contribute,
    and all of it falls as 1/cases. Keep the pilot's ratio of classes, and size with `method="hillis"`, which does not
    need the split. Negative components are possible. Source: Hillis, Obuchowski & Berbaum, Acad. Radiol. 18, 129
    (2011).
    """
    shared, own = cov2 - cov3, var_error - cov1 - cov2 + cov3
    return Components(2.0 * var_tr, shared * n_present, shared * n_absent, 0.0, own * n_present, own * n_absent, 0.0)


def _without_negative(components: Components) -> Components:
    """Negative components set to 0; a UserError if nothing is left."""
    values = [max(float(value), 0.0) for value in astuple(components)]
    if not np.isfinite(values).all() or sum(values) <= 0.0:
        raise UserError("the variance components must be finite and one of them positive; the pilot is too small")
    return Components(*values)


def _power(delta: float, std_error: float, df: float, *, aim: Aim, noninferiority_margin: float, alpha: float) -> float:
    """Power of a t test of a difference of AUCs with the given standard error and degrees of freedom."""
    df = min(df, 1e6)  # a normal test, as near as numbers go
    if aim == "difference":
        return float(np.sum(nct.sf(t.isf(alpha / 2.0, df), df, np.array([1.0, -1.0]) * delta / std_error)))
    critical = float(t.isf(alpha, df))
    if aim == "non-inferiority":
        return float(nct.sf(critical, df, (delta + noninferiority_margin) / std_error))
    return _equivalence_power(
        critical, df, (delta + noninferiority_margin) / std_error, (noninferiority_margin - delta) / std_error
    )


def _check_test(*, delta: float, aim: Aim, noninferiority_margin: float, alpha: float) -> None:
    """Refuse a test that is not one."""
    if not -1.0 < delta < 1.0:
        raise UserError(f"the difference of AUCs is {delta}; it must lie between -1 and 1")
    if not 0.0 < alpha < 0.5:
        raise UserError(f"alpha is {alpha}; it must lie between 0 and 0.5")
    if aim == "difference" and noninferiority_margin != 0.0:
        raise UserError("a test of a difference has no margin")
    if aim != "difference" and not 0.0 < noninferiority_margin < 1.0:
        raise UserError(f"the margin is {noninferiority_margin}; for {aim} it must lie between 0 and 1")
    if (aim == "non-inferiority" and delta <= -noninferiority_margin) or (
        aim == "equivalence" and abs(delta) >= noninferiority_margin
    ):
        raise UserError(
            f"a true difference of {delta} lies outside the margin {noninferiority_margin}: no study can show {aim}"
        )


def _equivalence_power(critical: float, df: float, above: float, below: float) -> float:
    """Chance that both one-sided t statistics exceed `critical`, given their noncentralities."""
    # The standard error's own scatter is integrated over, up to where no estimate could clear both bounds.
    last = float(chi2.cdf(df * ((above + below) / (2.0 * critical)) ** 2, df))
    scale = critical * np.sqrt(chi2.ppf(0.5 * last * (_NODES + 1.0), df) / df)
    return float(0.5 * last * _WEIGHTS @ (ndtr(below - scale) - ndtr(scale - above)))
