"""Read paired series: one patient at low dose and at normal dose, slice by slice at the same place.

Known layouts: the AAPM–Mayo Low Dose CT Grand Challenge (`L067/quarter_3mm` and `L067/full_3mm`, or the patients below
the doses) and TCIA's LDCT-and-Projection-data (`L299/STUDY/1.000000-Low Dose Images-20326` and `…Full Dose Images-…`).
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from taskct.errors import UserError
from taskct.io.dicom import CTSeries, files_below, naming, read_series
from taskct.io.dicom_header import is_dicom, read_object, tolerant
from taskct.io.volume import SAME_GRID, grid_distance_mm

# Words of a folder's name or a series description that tell the dose: FD and QD are Mayo's "full" and "quarter dose".
_LOW = {"low", "quarter", "reduced", "ld", "qd", "ldct", "qdct", "lowdose", "quarterdose"}
_NORMAL = {"full", "normal", "routine", "standard", "high", "fd", "nd", "hd", "fdct", "ndct", "hdct"} | {
    "fulldose",
    "normaldose",
    "highdose",
}
_PROJECTIONS = {"projection", "projections"}  # raw data beside TCIA's images
_CHOOSE = "keep one of either dose there, and move the others to another folder"
_SAME_POSITION = 0.05  # how far two slices may lie apart to be a pair, as a fraction of the slice spacing


@dataclass(frozen=True)
class Pair:
    """One patient's two series on one grid; slice k of the one shows what slice k of the other shows."""

    low: CTSeries
    normal: CTSeries


def read_pair(low: Path, normal: Path) -> Pair:
    """Read a low-dose and a normal-dose series of one patient, each from its own folder.

    They come with equal slices and one `patient_key`.

    Raises
    ------
    UserError
        As :func:`~taskct.io.dicom.read_series`; if the two differ in patient, matrix, pixel or slice spacing or place,
        or do not have the same slices.
    """
    series = []
    for folder in (Path(low), Path(normal)):
        with naming(folder):
            series.append(read_series(folder))
    return _match(series[0], series[1], f"{Path(low).name} and {Path(normal).name}")


def read_paired(folder: Path) -> list[Pair]:
    """Read the low-dose and the normal-dose series of every patient below a folder.

    Dose and patient are taken from the names of the folders, the dose also from the series description. Folders of
    projections are left out. The pairs come in the order of their folders.

    Raises
    ------
    UserError
        As :func:`read_pair`; if no series of a dose is found, one has no partner, or there are several to choose from.
    """
    folder = Path(folder)
    pairs, seen = [], dict[str, str]()
    for parts in find_pairs(folder):
        pair = read_pair(*parts)
        name = str(parts[0].relative_to(folder))
        if pair.normal.patient_key in seen:
            both = f"{seen[pair.normal.patient_key]} and {name} are low-dose series of one patient"
            raise UserError(f"{both}: {_CHOOSE}")
        seen[pair.normal.patient_key] = name
        pairs.append(pair)
    return pairs


def find_pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Find the folders that :func:`read_paired` reads, as (low dose, normal dose)."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give one that holds low-dose and normal-dose series")
    found: dict[Path, bool] = {}
    for path in _series_folders(folder):
        if (is_low := _is_low(path, folder)) is not None:
            found[path] = is_low
    n_low, n_normal = sum(found.values()), len(found) - sum(found.values())
    if not n_low or not n_normal:
        counts = f"{n_low} low-dose and {n_normal} normal-dose series, by the names of the folders"
        raise UserError(f"{folder}: {counts}; call them low, quarter or reduced, and full, normal or routine")
    # What belongs together: names that differ in the dose alone, else the folder above, else the PatientID.
    keys_of: tuple[Callable[[Path], str], ...] = (
        lambda path: _without_dose(path.relative_to(folder)),
        lambda path: _without_dose(path.relative_to(folder).parent),
        lambda path: _drop_dose(_tag(_first_file(path), "PatientID")),
    )
    for key_of in keys_of:
        groups: dict[str, list[Path]] = {}
        for path in found:
            groups.setdefault(key_of(path), []).append(path)
        doses = [sorted(found[path] for path in group) for group in groups.values()]
        if all(dose == [False, True] for dose in doses):
            return [(next(p for p in g if found[p]), next(p for p in g if not found[p])) for g in groups.values()]
    odd = next(group for group, dose in zip(groups.values(), doses, strict=True) if dose != [False, True])
    names = ", ".join(f"{path.relative_to(folder)} ({'low' if found[path] else 'normal'})" for path in odd)
    raise UserError(f"{folder}: no single low-dose and normal-dose series: {names}; {_CHOOSE}")


def _series_folders(folder: Path) -> list[Path]:
    """The folders, at any depth, that hold DICOM files themselves."""
    return sorted({path.parent for path in files_below(folder) if path.name != "DICOMDIR" and is_dicom(path)})


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall("[A-Za-z]+", name)]


def _dose_of(words: Iterable[str]) -> bool | None:
    """True for low dose, False for normal dose, None for neither or both."""
    words = set(words)
    if words & _PROJECTIONS or bool(words & _LOW) == bool(words & _NORMAL):
        return None
    return bool(words & _LOW)


def _is_low(path: Path, folder: Path) -> bool | None:
    """Whether a series is of low dose; None for one to leave out."""
    parts = path.relative_to(folder).parts or (path.name,)
    if set(_words(parts[-1])) & _PROJECTIONS:
        return None
    dose = _dose_of(_words(parts[-1]))
    if dose is None:
        dose = _dose_of(_words(_tag(_first_file(path), "SeriesDescription")))
    for part in reversed(parts[:-1]):
        dose = _dose_of(_words(part)) if dose is None else dose
    return dose


def _first_file(series_folder: Path) -> Path:
    return next(p for p in sorted(series_folder.iterdir()) if p.is_file() and is_dicom(p))


@tolerant()
def _tag(file: Path, keyword: str) -> str:
    try:
        return str(read_object(file, file.name, pixels=False).get(keyword) or "")
    except Exception:  # a broken header is named when the series is read
        return ""


def _without_dose(path: Path) -> str:
    """The path without the words that tell the dose, lower case."""
    parts = (_drop_dose(part) for part in path.parts)
    return "/".join(part for part in parts if part)


def _drop_dose(name: str) -> str:
    return "".join(part for part in re.split("([A-Za-z]+)", name.lower()) if part not in _LOW | _NORMAL).strip("_- .^")


def _match(low: CTSeries, normal: CTSeries, name: str) -> Pair:
    """Check that two series show the same patient in the same slices on the same grid."""
    # The Grand Challenge calls one patient L067_FD_3_1 and L067_QD_3_1.
    patients = [_drop_dose(_tag(one.paths[0], "PatientID")) for one in (low, normal)]
    if all(patients) and patients[0] != patients[1]:
        raise UserError(f"{name}: two patients, by PatientID; give two series of one patient")
    sizes = [" × ".join(str(n) for n in one.image_hu.shape[1:]) for one in (low, normal)]
    if sizes[0] != sizes[1]:
        raise UserError(f"{name}: matrices of {sizes[0]} and {sizes[1]}; give series of one matrix")
    for what, a, b in (("pixels", low.pixel_mm, normal.pixel_mm), ("slices", (low.slice_mm,), (normal.slice_mm,))):
        if not np.allclose(a, b, rtol=0.01, equal_nan=True):
            text = " and ".join(" × ".join(f"{side:.4g}" for side in sides) for sides in (a, b))
            raise UserError(f"{name}: {what} every {text} mm; give series of one spacing")
    within_mm = _SAME_POSITION * (normal.slice_mm if np.isfinite(normal.slice_mm) else 1.0)
    n_both = int((np.abs(low.position_mm[:, None] - normal.position_mm) <= within_mm).sum())
    if not (n_low := len(low.image_hu)) == (n_normal := len(normal.image_hu)) == n_both:
        counts = f"{n_low} low-dose and {n_normal} normal-dose slices, {n_both} at the same positions"
        raise UserError(f"{name}: {counts}; export both series with the same slices")
    allowed = max(SAME_GRID * min(normal.pixel_mm), within_mm)
    if (distance := grid_distance_mm(low.affine, normal.affine, normal.image_hu.shape)) > allowed:
        raise UserError(f"{name}: up to {distance:.2f} mm apart, {allowed:.2f} mm allowed; give series of one grid")
    return Pair(replace(low, patient_key=normal.patient_key), normal)
