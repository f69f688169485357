"""What an observer says of a user's scans: AUCs by cross-validation over scans, and how their errors hang together."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.apply.curves.tables import RodSize, ScanSet
from taskct.errors import UserError
from taskct.metrics.cross_validated import FoldReadings, cross_validated_difference
from taskct.metrics.dose_areas import DoseAreas, DoseCell
from taskct.progress import Progress

LEAST_CORRELATION = 0.1
"""Of the noise of two reconstructions, image by image, below which they are not of the same raw data. What correlates
less would gain nothing by being paired either: 1 − 0.1 of the variance of a difference would be left."""

Cross = Callable[[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int64]], FoldReadings]
"""Images `(n, height, width)`, their truth `(n,)` and their scans `(n,)` to what observers of each fold said of them.
Equal truths and scans must come into equal folds."""


@dataclass(frozen=True)
class CellImages:
    """What an observer sees in one cell."""

    cell: DoseCell
    images: NDArray[np.float32]
    """Shape `(n, height, width)`."""
    signal_present: NDArray[np.bool_]
    """Shape `(n,)`."""
    scans: NDArray[np.int64]
    """The scan of each image, `(n,)`; one number in two cells of a dose is one scan."""
    size: RodSize


Cut = Callable[[ScanSet], Iterable[CellImages]]
"""Reads the images of a line of the table, and cuts regions from them where they are whole scans."""


@dataclass(frozen=True)
class ScoredScans:
    """What an observer said of the scans of a table."""

    areas: DoseAreas
    readings: dict[DoseCell, FoldReadings]
    sizes: dict[str, RodSize]
    """By rod."""
    notes: tuple[str, ...] = ()


def score_scans(scans: Sequence[ScanSet], cut: Cut, cross: Cross, *, progress: Progress | None = None) -> ScoredScans:
    """AUCs of all scans of a table, by observers that did not learn from the scan they read.

    Parameters
    ----------
    scans
        Lines of the table.
    cut, cross
        Where images come from, and who reads them.
    progress
        Called as (lines done, in all, what is next).

    Returns
    -------
    The AUC of every reconstruction, dose and rod. Its variance holds the choice of scans as test and as training
    trials, see `taskct.metrics.cross_validated`. Cells of one dose whose scans are the same, by number and truth, are
    paired: their covariance is half of the sum of their variances less that of their difference. Others are taken as
    independent, and so are reconstructions whose noise does not correlate image by image: they are of other raw data.

    Raises
    ------
    UserError
        If the images cannot be read or scored.
    """
    found: dict[DoseCell, FoldReadings] = {}
    noise: dict[DoseCell, NDArray[np.float32]] = {}
    sizes: dict[str, RodSize] = {}
    for number, one in enumerate(scans):
        if progress is not None:
            progress(number, len(scans), f"{one.reconstruction}, dose {one.dose:g}")
        for seen in cut(one):
            try:
                found[seen.cell] = cross(seen.images, seen.signal_present, seen.scans)
            except UserError as error:
                raise UserError(f"{seen.cell.reconstruction}, dose {one.dose:g}, {seen.cell.rod}: {error}") from None
            sizes[seen.cell.rod], noise[seen.cell] = seen.size, _noise(seen)
    if progress is not None:
        progress(len(scans), len(scans), "")
    apart = _other_raw_data(noise)
    areas, unpaired = areas_of(found, apart)
    notes = [f"{pair}: other scans, or another number of them, so they are not paired" for pair in unpaired]
    notes += [
        f"{first} and {second}, dose {dose:g}: their noise correlates by {round(value, 2) + 0.0:.2f} image by image, "
        "so they are of other raw data, and are not paired"
        for (first, second, dose), value in apart.items()
    ]
    return ScoredScans(areas, found, sizes, tuple(notes))


def areas_of(
    found: Mapping[DoseCell, FoldReadings], apart: Container[tuple[str, str, float]] = ()
) -> tuple[DoseAreas, list[str]]:
    """AUCs of cross-validated cells with their covariance, and pairs of reconstructions that share no scans.

    `apart` has the pairs, with their dose, that are known to be of other raw data.
    """
    covariance, unpaired = _covariance(found, apart)
    areas = np.array([readings.area for readings in found.values()])
    n_scans = np.array([_n_scans(readings) for readings in found.values()], dtype=np.int64)
    return DoseAreas(tuple(found), areas, covariance, n_scans), unpaired


def _noise(seen: CellImages) -> NDArray[np.float32]:
    """Images less the mean of their class, `(n, pixels)`."""
    rest = seen.images.reshape(len(seen.images), -1).copy()
    for of_class in (seen.signal_present, ~seen.signal_present):
        rest[of_class] -= rest[of_class].mean(axis=0)
    return rest


def _other_raw_data(noise: Mapping[DoseCell, NDArray[np.float32]]) -> dict[tuple[str, str, float], float]:
    """Reconstructions of one dose whose noise does not correlate, and by how much it does, over all rods."""
    found: dict[tuple[str, str, float], list[float]] = {}
    for i, second in enumerate(noise):
        for first in list(noise)[:i]:
            same = (first.dose, first.rod) == (second.dose, second.rod)
            if same and noise[first].shape == noise[second].shape:
                pair = first.reconstruction, second.reconstruction, first.dose
                found.setdefault(pair, []).append(_correlation(noise[first], noise[second]))
    means = {pair: float(np.mean(values)) for pair, values in found.items()}
    return {pair: value for pair, value in means.items() if value < LEAST_CORRELATION}


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    size = float(np.linalg.norm(first)) * float(np.linalg.norm(second))
    return float(np.vdot(first, second)) / size if size > 0.0 else 0.0


def _covariance(
    found: Mapping[DoseCell, FoldReadings], apart: Container[tuple[str, str, float]]
) -> tuple[NDArray[np.float64], list[str]]:
    """Covariance of the AUCs, and pairs of reconstructions of one dose that do not share their scans."""
    cells, said = list(found), list(found.values())
    variances = [readings.standard_error() ** 2 for readings in said]
    covariance = np.diag(variances)
    unpaired: list[str] = []
    for i, first in enumerate(cells):
        for j, second in enumerate(cells[:i]):
            if first.dose != second.dose or (second.reconstruction, first.reconstruction, first.dose) in apart:
                continue
            if _same_scans(said[i], said[j]):
                error = cross_validated_difference(said[i], said[j])[1]
                covariance[i, j] = covariance[j, i] = (variances[i] + variances[j] - error**2) / 2.0
            elif first.rod == second.rod:
                unpaired.append(f"{second.reconstruction} and {first.reconstruction}, dose {first.dose:g}")
    return covariance, list(dict.fromkeys(unpaired))


def _same_scans(first: FoldReadings, second: FoldReadings) -> bool:
    return all(
        np.array_equal(getattr(first, name), getattr(second, name)) for name in ("cases", "signal_present", "fold")
    )


def _n_scans(readings: FoldReadings) -> list[int]:
    present = readings.signal_present
    return [len(np.unique(readings.cases[of_class])) for of_class in (present, ~present)]
