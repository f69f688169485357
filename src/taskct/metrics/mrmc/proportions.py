"""Proportions over readers and cases: percent correct, sensitivity, specificity; their differences and intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from taskct.metrics.intervals import Interval, check_confidence
from taskct.metrics.mrmc.proportion_spread import FEW, NOTHING, Answered, Floats, Spread, bounds, spread_of
from taskct.metrics.rates import rate_interval
from taskct.metrics.roc import within_possible

ProportionFrom = Literal["u-statistic", "mle", "few", "perfect", "cases"]
_LEAST_P = 1e-12


@dataclass(frozen=True)
class Proportion:
    """Proportion of successes in one modality over all readers."""

    interval: Interval
    """Pooled over all answers: readers weigh by their answers."""
    mean_of_readers: float
    """Mean of the readers' own proportions; the same where all answered as often."""
    variance: float
    """U-statistic variance over readers and clusters of cases, unbiased; can be negative."""
    variance_mle: float
    """Its biased twin."""
    df: float
    """Satterthwaite's degrees of freedom of the variance that the interval takes."""
    interval_from: ProportionFrom
    """What the interval rests on; see `proportion_analysis`."""


@dataclass(frozen=True)
class ProportionDifference:
    """Difference of the proportions of two modalities, first less second."""

    first: str
    """Modality."""
    second: str
    """Modality whose proportion is subtracted."""
    interval: Interval
    """Of the difference."""
    variance: float
    """U-statistic variance, unbiased; can be negative."""
    variance_mle: float
    """Its biased twin."""
    df: float
    """Satterthwaite's degrees of freedom."""
    p_value: float
    """Two-sided, of no difference: 1 less the confidence whose interval ends at 0."""
    parts: tuple[Answered, Answered]
    """What was answered in the two."""
    spreads: tuple[Spread, Spread, Spread]
    """Of the first, the second and the difference."""

    def bounds(self, confidence: float) -> tuple[float, float]:
        """The interval of another confidence, in (0, 1); see `proportion_analysis`."""
        check_confidence(confidence)
        return _difference_bounds(self.parts, self.spreads, confidence)

    def p_not_worse(self, margin: float) -> float:
        """One-sided p of the first being worse than the second by `margin` (in (0, 1)) or more.

        It is below α exactly where the interval of confidence 1 − 2α lies above −`margin`.
        """
        if not 0.0 < margin < 1.0:
            raise ValueError(f"the margin is {margin}; it must lie between 0 and 1")
        p = _p_of_bound(self.parts, self.spreads, -margin) / 2.0
        return p if self.interval.value > -margin else 1.0 - p


@dataclass(frozen=True)
class Proportions:
    """Proportions of a reader study."""

    modalities: dict[str, Proportion]
    """By modality; those that allow a variance."""
    differences: dict[str, ProportionDifference]
    """By pair of modalities, `A-B`."""
    readers: dict[str, dict[str, Interval]]
    """By reader, then modality, of the choice of cases alone; where the reader answered at all."""
    n_readers: int
    """Readers who answered at all."""
    n_cases: int
    """Cases that anybody answered."""
    n_clusters: int
    """Clusters of these; `n_cases` where none are given."""
    confidence: float
    """Coverage wanted of the intervals."""
    notes: tuple[str, ...]
    """What a reader of the results must know."""


def proportion_analysis(
    successes: Floats,
    *,
    modalities: Sequence[str],
    readers: Sequence[str],
    clusters: NDArray[np.intp] | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    confidence: float = 0.95,
    reader_kind: str = "reader",
) -> Proportions:
    """Proportions of successes over random readers and random cases: fully crossed, split-plot or with answers missing.

    Parameters
    ----------
    successes
        1 for a success, 0 for a failure, NaN for no answer; shape `(n_modalities, n_readers, n_cases)`.
    modalities, readers
        Their names.
    clusters
        Cluster (patient, background) of each case, any numbers, `(n_cases,)`; each case alone when left out.
    pairs
        Modalities to compare, first less second; every pair when left out.
    confidence
        Coverage wanted of the intervals, in (0, 1).
    reader_kind
        What a reader is called in notes.

    Raises
    ------
    ValueError
        If shapes do not match, a value is none of those, nothing was answered, all cases are one cluster, a pair names
        no two modalities, or `confidence` is out of range.

    Notes
    -----
    The variance is the U-statistic over readers and clusters [1], which in fully crossed studies is the variance of
    Obuchowski and Rockette [2]. It is v + c: v the variance between readers' proportions over their number r, c the
    covariance of two readers' errors, 0 if negative. An interval reaches q standard errors on the logit, where with f =
    v/(v + c) and n clusters

    q² = z² + fᵃ·(t²(r − 1) − z²) + (1 − f)²·(t²(n − 1) − z²),

    z and t being quantiles of the normal and of Student's distribution; a is 2, and 1.75 with two readers. So the
    squared quantile is mixed by the weights with which Satterthwaite's rule mixes 1/df. By normal theory, whatever the
    readers' variance, 95 % intervals so cover 93.4 to 97.0 % with 2 readers, 94.1 to 95.6 % with 3 and 94.6 to 95.3 %
    with 4; with Satterthwaite's degrees of freedom from 87, 92 and 93.6 % on.

    An interval of a difference reaches the difference's own q standard errors. How lopsided it is follows from those of
    the two proportions with this q, joined by their correlation (the method of variance estimates recovery [3, 4]): by
    one half of that, since symmetric intervals missed on one side in simulated studies, and wholly lopsided ones on the
    other. Where a proportion is of the kind `few` or `perfect`, it is the joined interval itself. P values invert it.

    `interval_from` says what an interval rests on: `u-statistic`; `mle`, the biased twin where the variance is 0;
    `few`, where fewer than 10 clusters hold a failure (or a success), which covers more than asked, see `bounds`;
    `perfect`, a proportion of 0 or 1: of the clusters alone, since nothing is seen of how readers scatter; `cases`,
    with one reader: exact (Clopper–Pearson), or see `rate_interval` where cases are clustered.

    References
    ----------
    .. [1] Gallas, Bandos, Samuelson & Wagner, Commun. Stat. Theory Methods 38, 2586 (2009).
    .. [2] Obuchowski & Rockette, Commun. Stat. Simul. 24, 285 (1995).
    .. [3] Newcombe, Stat. Med. 17, 2635 (1998), paired proportions.
    .. [4] Zou & Donner, Stat. Med. 27, 1693 (2008).

    Examples
    --------
    >>> right = (np.random.default_rng(0).random((2, 4, 80)) < 0.8).astype(float)
    >>> found = proportion_analysis(right, modalities=("A", "B"), readers=("1", "2", "3", "4"))
    >>> found.modalities["A"].interval_from, sorted(found.differences)
    ('u-statistic', ['A-B'])
    """
    check_confidence(confidence)
    successes = np.asarray(successes, dtype=np.float64)
    wanted = list(combinations(modalities, 2)) if pairs is None else list(pairs)
    labels = np.arange(successes.shape[-1]) if clusters is None else np.asarray(clusters)
    _check(successes, modalities, readers, labels, wanted)
    given = ~np.isnan(successes)
    _, labels = np.unique(labels, return_inverse=True)
    answered = given.any(axis=(0, 1))
    n_readers, n_clusters = int(given.any(axis=(0, 2)).sum()), len(np.unique(labels[answered]))
    if n_clusters < 2:
        raise ValueError("all answered cases are one cluster: an interval needs at least 2")
    notes: list[str] = []
    own = {
        reader: {
            modality: _reader_interval(row, None if clusters is None else labels, confidence)
            for modality, row in zip(modalities, successes[:, index], strict=True)
            if not np.isnan(row).all()
        }
        for index, reader in enumerate(readers)
    }
    found: dict[str, Proportion] = {}
    parts: dict[str, tuple[Answered, Spread]] = {}
    for modality, of_modality in zip(modalities, successes, strict=True):
        in_it = int((~np.isnan(of_modality)).any(axis=1).sum())
        if in_it < min(n_readers, 2):
            many = "nobody" if in_it == 0 else f"a single {reader_kind}"
            notes.append(f"{modality}: left out of averages and differences, since {many} answered in it")
            continue
        part = Answered.of(of_modality, labels)
        spread = spread_of(part)
        if spread is None:
            notes.append(
                f"{modality}: left out of averages and differences: no two {reader_kind}s answered different cases"
            )
            continue
        parts[modality] = part, spread
        by_reader = np.array([np.nanmean(row) for row in of_modality if not np.isnan(row).all()])
        if n_readers == 1:
            kind: ProportionFrom = "cases"
            interval = next(of_reader[modality] for of_reader in own.values() if modality in of_reader)
        else:
            kind = _kind(part, spread)
            low, high = _one_bounds(part, spread, spread.quantile(confidence), confidence)
            interval = Interval(part.proportion, low, high)
        found[modality] = Proportion(
            interval, float(by_reader.mean()), spread.variance, spread.variance_mle, spread.df, kind
        )
    differences = {}
    for first, second in wanted:
        if first in parts and second in parts:
            difference = _difference(first, second, parts, confidence)
            if difference is None:
                notes.append(f"{first}-{second}: not compared, since no {reader_kind}s and cases allow a variance")
            else:
                differences[f"{first}-{second}"] = difference
    notes += _notes(found, n_readers, reader_kind)
    return Proportions(found, differences, own, n_readers, int(answered.sum()), n_clusters, confidence, tuple(notes))


def _check(
    successes: Floats,
    modalities: Sequence[str],
    readers: Sequence[str],
    labels: NDArray[np.intp],
    pairs: Sequence[tuple[str, str]],
) -> None:
    """Refuse what is no array of successes with its names."""
    if successes.ndim != 3 or successes.shape[:2] != (len(modalities), len(readers)):
        raise ValueError(
            f"successes of shape {successes.shape} for {len(modalities)} modalities and {len(readers)} readers"
        )
    if labels.shape != successes.shape[2:]:
        raise ValueError(f"clusters of shape {labels.shape} for {successes.shape[2]} cases")
    if not np.isin(successes[~np.isnan(successes)], (0.0, 1.0)).all():
        raise ValueError("a success must be 1, a failure 0, and no answer NaN")
    if np.isnan(successes).all():
        raise ValueError("nothing was answered")
    for first, second in pairs:
        if first == second or not {first, second} <= set(modalities):
            raise ValueError(f"({first!r}, {second!r}) are no two modalities of {tuple(modalities)}")


def _reader_interval(row: Floats, labels: NDArray[np.intp] | None, confidence: float) -> Interval:
    """Of one reader in one modality, over the choice of cases."""
    given = ~np.isnan(row)
    own = None if labels is None else labels[given]
    if own is not None and len(np.unique(own)) < 2:
        return Interval(float(row[given].mean()), math.nan, math.nan)
    return rate_interval(row[given] == 1.0, clusters=own, confidence=confidence)


def _kind(part: Answered, spread: Spread) -> ProportionFrom:
    if part.proportion in (0.0, 1.0):
        return "perfect"
    if part.n_informative < FEW:
        return "few"
    return "u-statistic" if max(spread.variance, spread.by_readers) > NOTHING else "mle"


def _one_bounds(part: Answered, spread: Spread, reach: float, confidence: float) -> tuple[float, float]:
    low, high = bounds(part.proportion, spread.used, reach, parts=part, confidence=confidence)
    return float(low), float(high)


def _difference(
    first: str, second: str, parts: dict[str, tuple[Answered, Spread]], confidence: float
) -> ProportionDifference | None:
    (a, spread_a), (b, spread_b) = parts[first], parts[second]
    spread = spread_of(a, b)
    if spread is None:
        return None
    both, spreads = (a, b), (spread_a, spread_b, spread)
    value = a.proportion - b.proportion
    return ProportionDifference(
        first=first,
        second=second,
        interval=Interval(value, *_difference_bounds(both, spreads, confidence)),
        variance=spread.variance,
        variance_mle=spread.variance_mle,
        df=spread.df,
        p_value=_p_of_bound(both, spreads, 0.0),
        parts=both,
        spreads=spreads,
    )


def _difference_bounds(
    parts: tuple[Answered, Answered], spreads: tuple[Spread, Spread, Spread], confidence: float
) -> tuple[float, float]:
    """Bounds of a difference from those of its two proportions and their correlation."""
    reach = spreads[2].quantile(confidence)
    (low_a, high_a), (low_b, high_b) = (
        _one_bounds(part, spread, reach, confidence) for part, spread in zip(parts, spreads[:2], strict=True)
    )
    a, b = (part.proportion for part in parts)
    used_a, used_b, used = (spread.used for spread in spreads)
    scale = math.sqrt(max(used_a * used_b, 0.0))
    correlation = min(max((used_a + used_b - used) / (2.0 * scale), -1.0), 1.0) if scale > NOTHING else 0.0

    def joined(one: float, other: float) -> float:
        return math.sqrt(max(one**2 + other**2 - 2.0 * correlation * one * other, 0.0))

    below, above = joined(a - low_a, high_b - b), joined(high_a - a, b - low_b)
    if min(part.n_informative for part in parts) >= FEW:
        # As wide as the difference's own error says; of the lopsidedness one half, see `proportion_analysis`.
        half = reach * math.sqrt(used)
        lopsided = half * (below - above) / (below + above) / 2.0 if below + above > 0.0 else 0.0
        below, above = half + lopsided, half - lopsided
    return within_possible(a - b - below, a - b + above)


def _p_of_bound(parts: tuple[Answered, Answered], spreads: tuple[Spread, Spread, Spread], value: float) -> float:
    """Two-sided p of a true difference of `value`: 1 less the confidence whose interval ends there."""
    delta = parts[0].proportion - parts[1].proportion
    if delta == value:
        return 1.0
    at = 1 if delta < value else 0

    def beyond(log_p: float) -> float:
        return _difference_bounds(parts, spreads, -math.expm1(log_p))[at] - value

    least, most = math.log(_LEAST_P), math.log(1.0 - 1e-9)
    ends = beyond(least), beyond(most)
    if ends[0] * ends[1] > 0.0:  # the interval never, or always, holds the value
        return 0.0 if (ends[0] > 0.0) == (delta > value) else 1.0
    return math.exp(float(brentq(beyond, least, most, xtol=1e-10)))


def _notes(found: dict[str, Proportion], n_readers: int, kind: str) -> list[str]:
    notes = []
    if n_readers == 1:
        notes.append(
            f"one {kind}: intervals and p values are of the choice of cases alone and hold for this {kind} only"
        )
    for name, one in found.items():
        if one.interval_from == "few":
            notes.append(
                f"{name}: fewer than {FEW} cases (or clusters) hold a failure, or a success: the interval is guarded "
                "and covers more than asked"
            )
        if one.interval_from == "perfect":
            notes.append(
                f"{name}: every answer is the same, which says nothing of how {kind}s scatter: the interval is of the "
                "choice of cases alone"
            )
    return notes
