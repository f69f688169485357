"""AUCs of several reconstructions, doses and rods at once, with what scans that they share make of their errors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from taskct.metrics.intervals import Interval, check_confidence, logit_interval
from taskct.metrics.roc import auc, structural_components
from taskct.metrics.scores import check_trials

POOLED = "all rods"
"""What the mean over rods is called."""


class DoseCell(NamedTuple):
    """Where an AUC was measured."""

    reconstruction: str
    dose: float
    """Above 0, in any unit."""
    rod: str


@dataclass(frozen=True)
class DoseReading:
    """Test statistics of one observer in one reconstruction, at one dose, for one rod; higher means present."""

    cell: DoseCell
    t_present: NDArray[np.floating]
    """Shape `(n_present,)`."""
    t_absent: NDArray[np.floating]
    """Shape `(n_absent,)`."""
    scans_present: Sequence[str]
    """The scan of each signal-present test statistic. One name in two readings is one scan, seen twice."""
    scans_absent: Sequence[str]
    """The same of the signal-absent ones."""


@dataclass(frozen=True)
class DoseAreas:
    """AUCs of cells, and how their errors hang together."""

    cells: tuple[DoseCell, ...]
    auc: NDArray[np.float64]
    """In [0, 1], shape `(n_cells,)`."""
    covariance: NDArray[np.float64]
    """Of the AUCs, over scans, shape `(n_cells, n_cells)`."""
    n_scans: NDArray[np.int64]
    """Scans with a signal-present and with a signal-absent image, shape `(n_cells, 2)`."""

    @property
    def reconstructions(self) -> list[str]:
        """Their names, in the order of the cells."""
        return list(dict.fromkeys(cell.reconstruction for cell in self.cells))

    @property
    def rods(self) -> list[str]:
        """Their names, in the order of the cells."""
        return list(dict.fromkeys(cell.rod for cell in self.cells))

    @property
    def variance(self) -> NDArray[np.float64]:
        """Of each AUC, shape `(n_cells,)`."""
        return np.asarray(self.covariance.diagonal())

    def along_dose(self, reconstruction: str, rod: str) -> list[int]:
        """Numbers of the cells of a reconstruction and rod, by rising dose."""
        mine = [i for i, cell in enumerate(self.cells) if (cell.reconstruction, cell.rod) == (reconstruction, rod)]
        return sorted(mine, key=lambda i: self.cells[i].dose)

    def interval(self, number: int, *, confidence: float = 0.95) -> Interval:
        """AUC of a cell with its interval, that of `logit_interval`."""
        n_pairs = int(self.n_scans[number].min())
        return logit_interval(
            float(self.auc[number]), float(self.variance[number]), n_pairs=n_pairs, confidence=confidence
        )

    def difference(self, first: int, second: int) -> tuple[float, float]:
        """AUC of a cell minus that of another, and its standard error; scans that both saw are paired."""
        of_both = self.covariance[np.ix_([first, second], [first, second])]
        variance = float(of_both[0, 0] + of_both[1, 1] - 2.0 * of_both[0, 1])
        rounding = 1e-12 * float(of_both.diagonal().sum())  # methods that rank all trials alike have an error of 0
        error = math.sqrt(variance) if variance > rounding else 0.0
        return float(self.auc[first] - self.auc[second]), error

    def with_pooled(self) -> "DoseAreas":
        """These and, for each reconstruction and dose, the mean AUC over the rods, as the rod `POOLED`.

        The mean is taken where a reconstruction has all rods at a dose; nothing is added where there is one rod.
        """
        rods = self.rods
        if len(rods) < 2:
            return self
        places: dict[tuple[str, float], list[int]] = {}
        for i, cell in enumerate(self.cells):
            places.setdefault((cell.reconstruction, cell.dose), []).append(i)
        whole = {place: numbers for place, numbers in places.items() if len(numbers) == len(rods)}
        if not whole:
            return self
        groups = list(whole.values())
        mean = np.zeros((len(groups), len(self.cells)))
        for row, numbers in zip(mean, groups, strict=True):
            row[numbers] = 1.0 / len(rods)
        both = np.concatenate([np.eye(len(self.cells)), mean])
        return DoseAreas(
            (*self.cells, *(DoseCell(name, dose, POOLED) for name, dose in whole)),
            both @ self.auc,
            both @ self.covariance @ both.T,
            np.concatenate([self.n_scans, [self.n_scans[numbers].min(axis=0) for numbers in groups]]),
        )


def auc_by_dose(readings: Sequence[DoseReading]) -> DoseAreas:
    """AUC of every reading, and their joint covariance over scans.

    Parameters
    ----------
    readings
        At least one; each cell once.

    Returns
    -------
    The AUCs in the order of the readings.

    Raises
    ------
    ValueError
        If a cell stands twice, a dose is not above 0, a test statistic is not finite, or a class of a reading has fewer
        than 2 scans.

    Notes
    -----
    DeLong's components, less the AUC, are summed within each scan, with the factors of `Clusters.covariance`. With one
    image a scan the covariance of two readings of the same scans is DeLong's. A scan that two
    readings share (two reconstructions of the same raw data, several rods in one phantom) makes their errors depend on
    each other; others do not. A number that two different scans share by chance costs nothing but noise: the
    covariance that it adds is 0 in expectation.

    References
    ----------
    .. [1] DeLong, DeLong & Clarke-Pearson, Biometrics 44, 837 (1988).
    .. [2] Obuchowski, Biometrics 53, 567 (1997).

    Examples
    --------
    >>> reading = DoseReading(DoseCell("fbp", 100.0, "10 mm"), np.arange(4.0) + 1.5, np.arange(4.0), "abcd", "efgh")
    >>> auc_by_dose([reading]).auc.tolist()
    [0.8125]
    """
    if not readings:
        raise ValueError("there are no readings")
    cells = tuple(reading.cell for reading in readings)
    if len(set(cells)) < len(cells):
        raise ValueError("a reconstruction, dose and rod has two readings")
    number: dict[str, int] = {}
    for reading in readings:
        for name in (*reading.scans_present, *reading.scans_absent):
            number.setdefault(name, len(number))
    areas, n_scans = np.empty(len(cells)), np.empty((len(cells), 2), dtype=np.int64)
    parts = np.zeros((3, len(cells), len(number)))  # of either class, and what the factors of both leave to each
    for i, reading in enumerate(readings):
        if not 0.0 < reading.cell.dose < math.inf:
            raise ValueError(f"a dose of {reading.cell.dose} is out of range; it must be above 0")
        present, absent = check_trials(reading.t_present, reading.t_absent, ndim=1)
        areas[i] = auc(present, absent)
        scans = [np.array([number[name] for name in of]) for of in (reading.scans_present, reading.scans_absent)]
        sums = []
        for k, components in enumerate(structural_components(present[None], absent[None])):
            if scans[k].shape != components[0].shape:
                raise ValueError(f"{len(scans[k])} names of scans for {components.shape[1]} test statistics")
            n_scans[i, k] = len(np.unique(scans[k]))
            if n_scans[i, k] < 2:
                raise ValueError(f"{_words(reading.cell)}: {n_scans[i, k]} scan of a class; there must be at least 2")
            deviations = (components[0] - areas[i]) / len(scans[k])
            sums.append(np.bincount(scans[k], weights=deviations, minlength=len(number)))
        n_any = len(np.unique(np.concatenate(scans)))
        factor = n_any / (n_any - 1)
        parts[0, i] = math.sqrt(factor) * (sums[0] + sums[1])
        for k in (0, 1):
            own = n_scans[i, k] / (n_scans[i, k] - 1)
            parts[k + 1, i] = math.sqrt(max(own - factor, 0.0)) * sums[k]
    return DoseAreas(cells, areas, np.asarray((parts @ parts.transpose(0, 2, 1)).sum(axis=0)), n_scans)


def auc_bands(areas: DoseAreas, *, confidence: float = 0.95) -> list[Interval]:
    """AUC of every cell with its interval; a ValueError, if `confidence` is not in (0, 1)."""
    check_confidence(confidence)
    return [areas.interval(i, confidence=confidence) for i in range(len(areas.cells))]


def _words(cell: DoseCell) -> str:
    return f"{cell.reconstruction}, dose {cell.dose:g}, {cell.rod}"
