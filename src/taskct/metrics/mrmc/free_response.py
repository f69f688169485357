"""Analysis of marks over readers and cases: figures of merit, their differences, intervals and p values."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from scipy.stats import t

from taskct.errors import UserError
from taskct.metrics.comparisons import holm
from taskct.metrics.froc import FigureOfMerit, Figures, figures_of_merit
from taskct.metrics.intervals import Interval, check_confidence, logit_bounds, two_sided_p
from taskct.metrics.marks import MarkStudy
from taskct.metrics.mrmc.obuchowski_rockette import ObuchowskiRockette, ORInterval, obuchowski_rockette_of
from taskct.metrics.mrmc.sizing import Components, components_from_obuchowski_rockette
from taskct.metrics.roc import within_possible


@dataclass(frozen=True)
class MarksDifference:
    """Difference of a figure of merit between two modalities, first minus second, averaged over readers."""

    first: str
    """Modality."""
    second: str
    """Modality."""
    value: float
    """The difference."""
    std_error: float
    """Its standard error."""
    df: float
    """Degrees of freedom; infinite with a single reader, whose interval is of cases alone."""
    ci_low: float
    """Lower bound."""
    ci_high: float
    """Upper bound."""
    p_value: float
    """Two-sided, of no difference."""
    p_holm: float
    """The same, adjusted by Holm's method over the differences."""


@dataclass(frozen=True)
class MarksAnalysis:
    """What an analysis of marks found."""

    figure: FigureOfMerit
    """The figure of merit."""
    modalities: dict[str, Interval]
    """For each modality, averaged over readers, with its interval."""
    differences: dict[str, MarksDifference]
    """For each pair `A-B`."""
    readers: dict[str, dict[str, Interval]]
    """By reader and modality, with the interval of the choice of cases alone."""
    anova: ObuchowskiRockette | None
    """The Obuchowski–Rockette analysis of the figure; None with a single reader."""
    n_diseased: int
    """Cases with a lesion."""
    n_normal: int
    """Cases without."""
    n_lesions: int
    """Lesions of all cases."""
    confidence: float
    """Coverage wanted of the intervals."""

    def components(self) -> Components | None:
        """Components of the variance of a difference, to size a study; None with one reader or one modality.

        Negative ones are possible. Size with `method="hillis"` and the same ratio of diseased to normal cases.
        """
        if self.anova is None or len(self.modalities) < 2:
            return None
        parts = {name: getattr(self.anova, name) for name in ("var_tr", "var_error", "cov1", "cov2", "cov3")}
        return components_from_obuchowski_rockette(**parts, n_present=self.n_diseased, n_absent=self.n_normal)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        whole = asdict(self)
        whole["figure"] = self.figure.name
        anova = self.anova
        names = ("ms_t", "ms_r", "ms_tr", "var_r", "var_tr", "var_error", "cov1", "cov2", "cov3")
        whole["anova"] = None if anova is None else {name: getattr(anova, name) for name in names}
        return whole


def analyze_marks(
    study: MarkStudy,
    figure: FigureOfMerit | None = None,
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    confidence: float = 0.95,
) -> MarksAnalysis:
    """Analyse the marks of a fully crossed study by Obuchowski and Rockette's method as revised by Hillis.

    Readers and cases are random. With a single reader, all intervals are of the choice of cases alone.

    Parameters
    ----------
    study
        Marks; every reader read every case in every modality.
    figure
        Figure of merit; the weighted AFROC area when left out.
    pairs
        Modalities to compare, first minus second; every pair when left out.
    confidence
        Coverage wanted of the intervals, in (0, 1).

    Raises
    ------
    UserError
        As `figures_of_merit`, and if two differences would have one name.
    ValueError
        If `confidence` is out of range or a pair names no two modalities.

    Notes
    -----
    Intervals of a figure are symmetric in its logit, as those of AUCs are in `analyze`; those of a difference are
    symmetric, with the error of all modalities pooled.

    References
    ----------
    .. [1] Chakraborty & Berbaum, Med. Phys. 31, 2313 (2004), marks in the place of ratings.
    .. [2] Hillis, Stat. Med. 26, 596 (2007).
    """
    check_confidence(confidence)
    figure = FigureOfMerit() if figure is None else figure
    wanted = _pairs(study, pairs)
    found = figures_of_merit(study, figure)
    anova = None
    if len(study.readers) > 1:
        anova = obuchowski_rockette_of(
            found.values,
            found.covariance,
            modalities=study.modalities,
            n_cases=len(study.cases),
            confidence=confidence,
        )
    means = _means(found, study, confidence) if anova is None else anova.random_readers_random_cases.modalities
    return MarksAnalysis(
        figure=figure,
        modalities={name: _in_logit(one, confidence) for name, one in means.items()},
        differences=_differences(study, wanted, found, anova, confidence),
        readers={
            reader: {
                name: _in_logit(_of_cases(found, (m, r), None, confidence), confidence)
                for m, name in enumerate(study.modalities)
            }
            for r, reader in enumerate(study.readers)
        },
        anova=anova,
        n_diseased=int(study.diseased.sum()),
        n_normal=int((~study.diseased).sum()),
        n_lesions=len(study.lesion_case),
        confidence=confidence,
    )


def _pairs(study: MarkStudy, pairs: Sequence[tuple[str, str]] | None) -> list[tuple[str, str]]:
    wanted = list(combinations(study.modalities, 2)) if pairs is None else list(pairs)
    for a, b in wanted:
        if a == b or not {a, b} <= set(study.modalities):
            raise ValueError(f"({a!r}, {b!r}) are no two modalities of {study.modalities}")
    names = [f"{a}-{b}" for a, b in wanted]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise UserError(f"two differences of modalities would both be called {repeated[0]!r}: rename a modality")
    return wanted


def _means(found: Figures, study: MarkStudy, confidence: float) -> dict[str, ORInterval]:
    """Of a single reader."""
    return {name: _of_cases(found, (m, 0), None, confidence) for m, name in enumerate(study.modalities)}


def _of_cases(found: Figures, first: tuple[int, int], second: tuple[int, int] | None, confidence: float) -> ORInterval:
    """A figure of merit by its modality and reader, or the difference of two, with the error of the cases alone."""
    value, variance = float(found.values[first]), float(found.covariance[(*first, *first)])
    if second is not None:
        value -= float(found.values[second])
        variance += float(found.covariance[(*second, *second)] - 2.0 * found.covariance[(*first, *second)])
    std_error = math.sqrt(max(variance, 0.0))
    half_width = float(t.isf((1.0 - confidence) / 2.0, math.inf)) * std_error
    low, high = within_possible(value - half_width, value + half_width)
    return ORInterval(value, std_error, math.inf, low, high, two_sided_p(value, std_error, math.inf))


def _in_logit(one: ORInterval, confidence: float) -> Interval:
    """The interval of a figure of merit in [0, 1], symmetric in its logit."""
    half_width = float(t.isf((1.0 - confidence) / 2.0, one.df)) * one.std_error
    if not 0.0 < one.estimate < 1.0:
        # Nothing scatters at an end: no interval can be told.
        return Interval(one.estimate, math.nan, math.nan)
    return Interval(one.estimate, *logit_bounds(one.estimate, half_width))


def _differences(
    study: MarkStudy,
    pairs: Sequence[tuple[str, str]],
    found: Figures,
    anova: ObuchowskiRockette | None,
    confidence: float,
) -> dict[str, MarksDifference]:
    at = {name: index for index, name in enumerate(study.modalities)}
    parts: list[ORInterval] = []
    for a, b in pairs:
        if anova is None:
            parts.append(_of_cases(found, (at[a], 0), (at[b], 0), confidence))
            continue
        pooled = anova.random_readers_random_cases.differences
        forward = at[a] < at[b]
        one = pooled[f"{a}-{b}" if forward else f"{b}-{a}"]
        if not forward:
            one = ORInterval(-one.estimate, one.std_error, one.df, -one.ci_high, -one.ci_low, one.p_value)
        parts.append(one)
    adjusted = holm([one.p_value for one in parts]).tolist()
    return {
        f"{a}-{b}": MarksDifference(
            a, b, one.estimate, one.std_error, one.df, one.ci_low, one.ci_high, one.p_value, p_holm
        )
        for (a, b), one, p_holm in zip(pairs, parts, adjusted, strict=True)
    }
