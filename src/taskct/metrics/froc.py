"""Free-response analysis: curves and figures of merit of marks on images, with the covariance that cases put into them.

Let x be the highest rating of a false mark on a case (−inf without one) and y the rating of a lesion (−inf unmarked).
The areas are chances that a lesion is rated above a case's highest false mark, ties counted as one half.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.metrics.marks import NO_LESION, MarkStudy, check_one_mark

Floats = NDArray[np.float64]

AREAS = {
    "wafroc": "weighted AFROC area",
    "afroc": "AFROC area",
    "wafroc1": "weighted AFROC1 area",
    "afroc1": "AFROC1 area",
    "hr-auc": "highest-rating AUC",
    "lroc": "LROC area",
}
"""Figures of merit that are areas, in words."""
AGAINST_NORMAL = ("wafroc", "afroc", "hr-auc", "lroc")
"""Those that compare with cases without a lesion alone."""
SENSITIVITY = "sensitivity@"
"""Begins the name of the fraction of lesions found at a number of false marks an image: `sensitivity@0.5`."""
N_BOOTSTRAP = 1000
"""Resamples of the cases behind the covariance of sensitivities."""

_SEED = 20_041


@dataclass(frozen=True)
class FigureOfMerit:
    """A figure of merit of marks, by its name.

    - `wafroc`: lesions against the highest false marks of normal cases, lesions of a case weighted so that all diseased
      cases count the same: the weighted JAFROC figure of merit. `afroc`: all lesions count the same (JAFROC).
    - `wafroc1`, `afroc1`: against the highest false marks of all cases, for studies with few normal cases or none.
    - `hr-auc`: AUC of the highest rating of any mark on a case, wherever it is.
    - `lroc`: area under the LROC curve, where each image has one mark, at its most suspicious place: `wafroc` of it.
    - `sensitivity@F`: fraction of lesions marked at a confidence that gives F false marks an image, all images counted.

    A UserError, if there is no such figure.

    References
    ----------
    .. [1] Chakraborty & Berbaum, Med. Phys. 31, 2313 (2004), JAFROC.
    .. [2] Chakraborty & Zhai, Med. Phys. 43, 2548 (2016), weighted AFROC.
    """

    name: str = "wafroc"
    """One of `AREAS`, or `sensitivity@F` with F above 0."""

    def __post_init__(self) -> None:
        if self.name in AREAS:
            return
        found = re.fullmatch(re.escape(SENSITIVITY) + r"(\d{1,6}(?:\.\d{1,6})?)", self.name)
        if found is None or not float(found[1]) > 0.0:
            raise UserError(
                f"there is no figure of merit {self.name!r}; give one of {', '.join(AREAS)}, or {SENSITIVITY}F for the "
                f"fraction of lesions found with F false marks an image ({SENSITIVITY}0.5)"
            )

    @property
    def words(self) -> str:
        """What it is called."""
        return AREAS.get(self.name) or f"sensitivity at {self.at:g} false marks an image"

    @property
    def at(self) -> float:
        """False marks an image at which a sensitivity is; NaN for an area."""
        return float("nan") if self.name in AREAS else float(self.name.removeprefix(SENSITIVITY))


@dataclass(frozen=True)
class Figures:
    """A figure of merit of each reader in each modality, and what the choice of cases does to it."""

    values: Floats
    """Shape `(n_modalities, n_readers)`."""
    covariance: Floats
    """Of the errors, shape `(n_modalities, n_readers, n_modalities, n_readers)`."""


def figures_of_merit(study: MarkStudy, figure: FigureOfMerit | None = None) -> Figures:
    """Compute a figure of merit of every reader in every modality, with its covariance over cases.

    Parameters
    ----------
    study
        Marks of readers who all read every case in every modality.
    figure
        Which one; the weighted AFROC area when left out.

    Raises
    ------
    UserError
        If a reading is missing, there are fewer than 2 diseased cases, or fewer than 2 normal ones where they are
        needed.

    Notes
    -----
    Covariances of areas are those of the jackknife that leaves out one case; of a sensitivity, which no jackknife can
    tell (it rests on a quantile), those of 1,000 bootstrap samples of the diseased and the normal cases, seeded.

    Examples
    --------
    >>> from taskct.metrics.marks import CaseReading, ScoredMark, TrueLesion
    >>> readings = [CaseReading("A", "Ann", name) for name in ("1", "2", "3", "4")]
    >>> lesions = [TrueLesion("1", "a"), TrueLesion("1", "b"), TrueLesion("2", "a")]
    >>> marks = [ScoredMark("A", "Ann", "1", "a", 3.0), ScoredMark("A", "Ann", "3", None, 2.0)]
    >>> float(figures_of_merit(MarkStudy.of(readings, lesions, marks)).values[0, 0])
    0.4375
    """
    figure = FigureOfMerit() if figure is None else figure
    check_readings(study, figure)
    if figure.name in AREAS:
        values, without = _areas(study, figure.name)
        deviations = without - without.mean(axis=-1, keepdims=True)
        n_cases = len(study.cases)
        covariance = (1.0 - 1.0 / n_cases) * np.einsum("ijk,abk->ijab", deviations, deviations)
    else:
        values, resampled = _sensitivities(study, figure.at)
        covariance = np.cov(resampled.reshape(values.size, -1)).reshape(values.shape * 2)
    return Figures(values, np.asarray(covariance, dtype=np.float64))


def check_readings(study: MarkStudy, figure: FigureOfMerit) -> None:
    """Refuse a study that has no figure of merit: readings are missing, or cases of a class are; a UserError."""
    missing = np.argwhere(~study.read)
    if len(missing):
        modality, reader, case = missing[0]
        raise UserError(
            f"reader {study.readers[reader]!r} did not read case {study.cases[case]!r} in modality "
            f"{study.modalities[modality]!r} ({len(missing)} readings are missing in all): an analysis of marks needs "
            "all; choose modalities that all read with --arm, or leave the reader or the cases out"
        )
    n_diseased, n_cases = int(study.diseased.sum()), len(study.cases)
    if n_diseased < 2:
        raise UserError(f"too few cases with a lesion ({n_diseased}): an analysis of marks needs at least 2")
    if figure.name == "lroc":
        check_one_mark(study)
    if figure.name in AGAINST_NORMAL and n_cases - n_diseased < 2:
        raise UserError(
            f"too few cases without a lesion ({n_cases - n_diseased}): the {figure.words} needs at least 2; have more, "
            "or take wafroc1, which compares with all cases"
        )


def froc_curve(study: MarkStudy, modality: int, reader: int) -> tuple[Floats, Floats]:
    """Compute the empirical FROC curve of a reader, by the numbers of modality and reader.

    Returns
    -------
    False marks an image, all images that they read counted, and fraction of lesions found, from (0, 0) upwards: a point
    for each confidence that was used. Both have the shape `(n_ratings + 1,)`.

    Notes
    -----
    MONAI 1.6.1 (`compute_froc_curve_data`) has the same points but the last, at which all marks count. With that one
    added, 50 simulated curves were equal in every digit (compared once).

    References
    ----------
    .. [1] Bunch, Hamilton, Sanderson & Simmons, J. Appl. Photogr. Eng. 4, 166 (1978).

    Examples
    --------
    >>> from taskct.metrics.marks import CaseReading, ScoredMark, TrueLesion
    >>> marks = [ScoredMark("A", "Ann", "1", "a", 3.0), ScoredMark("A", "Ann", "1", None, 2.0)]
    >>> study = MarkStudy.of([CaseReading("A", "Ann", "1")], [TrueLesion("1", "a")], marks)
    >>> [axis.tolist() for axis in froc_curve(study, 0, 0)]
    [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    """
    read = study.read[modality, reader]
    counts = read[None].astype(np.float64)
    false_marks, found = _curves(study, modality, reader, counts)
    return np.r_[0.0, false_marks[0]], np.r_[0.0, found[0]]


def afroc_curve(study: MarkStudy, modality: int, reader: int) -> tuple[Floats, Floats]:
    """Compute the weighted AFROC curve of a reader, whose trapezoidal area is their `wafroc`.

    Returns
    -------
    Fraction of normal cases with a false mark, and weighted fraction of lesions found, from (0, 0) to (1, 1).

    References
    ----------
    .. [1] Chakraborty & Zhai, Med. Phys. 43, 2548 (2016).
    """
    read = study.read[modality, reader]
    on_lesions = study.highest_on_lesions()[modality, reader]
    on_normal = study.highest_false()[modality, reader][read & ~study.diseased]
    weights = np.where(np.isnan(on_lesions), 0.0, study.lesion_weight)
    levels = np.unique(np.r_[on_lesions[weights > 0.0], on_normal])[::-1]
    levels = levels[np.isfinite(levels)]
    found = [weights[on_lesions >= level].sum() for level in levels] / weights.sum()
    false = [(on_normal >= level).mean() for level in levels]
    return np.r_[0.0, false, 1.0], np.r_[0.0, found, 1.0]


def sensitivity_on(curve: tuple[Floats, Floats], false_marks: Floats) -> Floats:
    """Read a FROC curve at numbers of false marks an image, at least 0, along straight lines between its points.

    Where it rises straight up, its upper end counts; beyond its end a reader finds what they found there.
    """
    x, y = curve
    last = np.searchsorted(x, false_marks, side="right") - 1
    following = np.minimum(last + 1, len(x) - 1)
    return _between(x[last], y[last], x[following], y[following], false_marks)


def _areas(study: MarkStudy, name: str) -> tuple[Floats, Floats]:
    """An area of each reader in each modality, and the same without each case, last axis `n_cases`."""
    on_lesions, on_cases, diseased = study.highest_on_lesions(), study.highest_false(), study.diseased
    y, y_case, weight = on_lesions, study.lesion_case, np.ones(len(study.lesion_case))
    if name in ("wafroc", "wafroc1", "lroc"):
        weight = study.lesion_weight
    if name == "hr-auc":
        y_case = np.flatnonzero(diseased)
        highest = on_cases.copy()
        for lesion, case in enumerate(study.lesion_case):
            highest[..., case] = np.maximum(highest[..., case], on_lesions[..., lesion])
        y, weight = highest[..., y_case], np.ones(len(y_case))
    x_case = np.arange(len(study.cases)) if name.endswith("1") else np.flatnonzero(~diseased)
    x = on_cases[..., x_case]
    values, without = np.empty(study.read.shape[:2]), np.empty(study.read.shape)
    for at in np.ndindex(*values.shape):
        values[at], without[at] = _area(x[at], x_case, y[at], y_case, weight, len(study.cases))
    return values, without


def _area(
    x: Floats, x_case: NDArray[np.intp], y: Floats, y_case: NDArray[np.intp], weight: Floats, n_cases: int
) -> tuple[float, Floats]:
    """Weighted chance that y exceeds x, ties one half, and the same without each case; in O(n log n)."""
    order = np.argsort(y, kind="stable")
    cumulative = np.r_[0.0, np.cumsum(weight[order])]
    below, upto = (cumulative[np.searchsorted(y[order], x, side=side)] for side in ("left", "right"))
    total_weight = cumulative[-1]
    of_x = total_weight - 0.5 * (below + upto)
    sorted_x = np.sort(x)
    of_y = 0.5 * weight * (np.searchsorted(sorted_x, y, side="left") + np.searchsorted(sorted_x, y, side="right"))
    by_x, by_y = np.bincount(x_case, of_x, n_cases), np.bincount(y_case, of_y, n_cases)
    own_x = np.full(n_cases, np.nan)
    own_x[x_case] = x
    in_both = np.isin(y_case, x_case)
    own = 0.5 * weight * ((own_x[y_case] < y).astype(np.float64) + (own_x[y_case] <= y))
    both = np.bincount(y_case[in_both], own[in_both], n_cases)
    total = float(of_x.sum())
    pairs = (len(x) - np.bincount(x_case, minlength=n_cases)) * (total_weight - np.bincount(y_case, weight, n_cases))
    return total / (len(x) * total_weight), (total - by_x - by_y + both) / pairs


def _curves(study: MarkStudy, modality: int, reader: int, counts: Floats) -> tuple[Floats, Floats]:
    """FROC curves with each case counted so often; `counts` is `(n_sets, n_cases)`, points `(n_sets, n_ratings)`."""
    on_lesions = study.highest_on_lesions()[modality, reader]
    mine = (study.mark_at[:, 0] == modality) & (study.mark_at[:, 1] == reader) & (study.mark_at[:, 3] == NO_LESION)
    false_rating, false_case = study.mark_rating[mine], study.mark_at[mine, 2]
    found = np.isfinite(on_lesions)
    rating = np.r_[false_rating, on_lesions[found]]
    case = np.r_[false_case, study.lesion_case[found]]
    is_false = np.arange(len(rating)) < len(false_rating)
    order = np.argsort(-rating, kind="stable")
    last_of_ties = np.flatnonzero(np.r_[np.diff(rating[order]) != 0.0, [True] * (len(rating) > 0)])
    weight = counts[:, case[order]]
    n_images = counts.sum(axis=1, keepdims=True)
    n_lesions = counts[:, study.lesion_case].sum(axis=1, keepdims=True)
    false_marks = np.cumsum(weight * is_false[order], axis=1)[:, last_of_ties] / n_images
    sensitivity = np.cumsum(weight * ~is_false[order], axis=1)[:, last_of_ties] / n_lesions
    return false_marks, sensitivity


def _between(x: Floats, y: Floats, next_x: Floats, next_y: Floats, at: Floats | float) -> Floats:
    """Height at `at` of lines from (x, y) to the next points; y where there is none."""
    width = next_x - x
    share = np.divide(at - x, width, out=np.zeros_like(width), where=width > 0.0)
    return np.asarray(y + share * (next_y - y), dtype=np.float64)


def _sensitivities(study: MarkStudy, at: float) -> tuple[Floats, Floats]:
    """Fraction of lesions found at so many false marks an image, and of resampled cases, last axis `N_BOOTSTRAP`."""
    rng = np.random.default_rng(_SEED)
    n_cases, diseased = len(study.cases), study.diseased
    counts = np.zeros((N_BOOTSTRAP + 1, n_cases))
    counts[0] = 1.0
    for of_class in (diseased, ~diseased):
        n = int(of_class.sum())
        if n:
            counts[1:, of_class] = rng.multinomial(n, np.full(n, 1.0 / n), size=N_BOOTSTRAP)
    values = np.empty((*study.read.shape[:2], N_BOOTSTRAP + 1))
    for modality, reader in np.ndindex(*study.read.shape[:2]):
        x, y = (np.pad(axis, ((0, 0), (1, 0))) for axis in _curves(study, modality, reader, counts))
        last = (x <= at).sum(axis=1) - 1
        each, following = np.arange(len(x)), np.minimum(last + 1, x.shape[1] - 1)
        values[modality, reader] = _between(x[each, last], y[each, last], x[each, following], y[each, following], at)
    return values[..., 0], values[..., 1:]
