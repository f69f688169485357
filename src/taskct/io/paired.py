"""Read paired series: one patient at low dose and at normal dose, slice by slice at the same place.

Known layouts: the AAPM–Mayo Low Dose CT Grand Challenge (`L067/quarter_3mm` and `L067/full_3mm`, or the patients below
the doses) and TCIA's LDCT-and-Projection-data (`L299/STUDY/1.000000-Low Dose Images-20326` and `…Full Dose Images-…`).
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.io.dicom import CTSeries, is_dicom, naming, read_series, tolerant
from taskct.io.volume import SAME_GRID, grid_distance_mm

# Words of a folder's name or a series description that tell the dose: FD and QD are Mayo's "full" and "quarter dose".
_LOW = {"low", "quarter", "reduced", "ld", "qd", "ldct", "qdct", "lowdose", "quarterdose"}
_NORMAL = {"full", "normal", "routine", "standard", "high", "fd", "nd", "hd", "fdct", "ndct", "hdct"} | {
    "fulldose",
    "normaldose",
    "highdose",
}
_PROJECTIONS = {"projection", "projections"}  # raw data beside TCIA's images
_SAME_POSITION = 0.05  # how far two slices may lie apart to be a pair, as a fraction of the slice spacing


@dataclass(frozen=True)
class Pair:
    """One patient's two series on one grid; slice k of the one shows what slice k of the other shows."""

    low: CTSeries
    normal: CTSeries


def read_pair(low: Path, normal: Path, *, common_slices: bool = False) -> Pair:
    """Read a low-dose and a normal-dose series of one patient.

    Parameters
    ----------
    low, normal
        Folders that hold one series each.
    common_slices
        Keep the slices that both have, where one has more.

    Returns
    -------
    The two series with equal slices and one `patient_key`.

    Raises
    ------
    UserError
        As :func:`~taskct.io.dicom.read_series`; if the two differ in patient, matrix, pixel or slice spacing or place,
        or do not have the same slices.
    """
    series = []
    for folder in (Path(low), Path(normal)):
        with naming(folder):
            series.append(read_series(folder, allow_gaps=common_slices))
    return _match(series[0], series[1], f"{Path(low).name} and {Path(normal).name}", common_slices)


def read_paired(
    folder: Path, *, low: str | None = None, normal: str | None = None, common_slices: bool = False
) -> list[Pair]:
    """Read the low-dose and the normal-dose series of every patient below a folder.

    Dose and patient are taken from the names of the folders, the dose also from the series description. Folders of
    projections are left out.

    Parameters
    ----------
    folder
        The folder of one patient, or of several.
    low, normal
        Names of the folders of either dose, where they do not say so themselves or there are several to choose from; a
        pattern such as `*_1mm` will do.
    common_slices
        Keep the slices that both have, where one has more.

    Returns
    -------
    A pair for every patient, in the order of their folders.

    Raises
    ------
    UserError
        As :func:`read_pair`; if no series of a dose is found, one has no partner, or there are several to choose from.
    """
    folder = Path(folder)
    pairs, seen = [], dict[str, str]()
    for parts in find_pairs(folder, low=low, normal=normal):
        pair = read_pair(*parts, common_slices=common_slices)
        name = str(parts[0].relative_to(folder))
        if pair.normal.patient_key in seen:
            both = f"{seen[pair.normal.patient_key]} and {name} are low-dose series of one patient"
            raise UserError(f"{both}: {_choose()}")
        seen[pair.normal.patient_key] = name
        pairs.append(pair)
    return pairs


def find_pairs(folder: Path, *, low: str | None = None, normal: str | None = None) -> list[tuple[Path, Path]]:
    """Find the folders that :func:`read_paired` reads, as (low dose, normal dose).

    Raises
    ------
    UserError
        As :func:`read_paired`, but for what only the slices themselves tell.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give one that holds low-dose and normal-dose series")
    found: dict[Path, bool] = {}
    for path in _series_folders(folder):
        if (is_low := _is_low(path, folder, low, normal)) is not None:
            found[path] = is_low
    n_low, n_normal = sum(found.values()), len(found) - sum(found.values())
    if not n_low or not n_normal:
        counts = f"{n_low} low-dose and {n_normal} normal-dose series, by the names of the folders"
        raise UserError(f"{folder}: {counts}; name the folders of either dose (low=…, normal=…)")
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
    raise UserError(f"{folder}: no single low-dose and normal-dose series: {names}; {_choose()}")


def _choose() -> str:
    return "keep one of either dose, or name the folders to use (low=…, normal=…)"


def _series_folders(folder: Path) -> list[Path]:
    """The folders, at any depth, that hold DICOM files themselves."""
    visible = (p for p in folder.rglob("*") if not any(part.startswith(".") for part in p.relative_to(folder).parts))
    return sorted({path.parent for path in visible if path.name != "DICOMDIR" and path.is_file() and is_dicom(path)})


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall("[A-Za-z]+", name)]


def _dose_of(words: Iterable[str]) -> bool | None:
    """True for low dose, False for normal dose, None for neither or both."""
    words = set(words)
    if words & _PROJECTIONS or bool(words & _LOW) == bool(words & _NORMAL):
        return None
    return bool(words & _LOW)


def _is_low(path: Path, folder: Path, low: str | None, normal: str | None) -> bool | None:
    """Whether a series is of low dose; None for one to leave out."""
    parts = path.relative_to(folder).parts or (path.name,)
    by_name = [pattern is not None and any(fnmatchcase(part, pattern) for part in parts) for pattern in (low, normal)]
    if all(by_name):
        raise UserError(f"{path.relative_to(folder)}: named both as low and as normal dose; name each once")
    if low is not None and by_name[0]:
        return True
    if normal is not None and by_name[1]:
        return False
    if set(_words(parts[-1])) & _PROJECTIONS:
        return None
    dose = _dose_of(_words(parts[-1]))
    if dose is None:
        dose = _dose_of(_words(_tag(_first_file(path), "SeriesDescription")))
    for part in reversed(parts[:-1]):
        dose = _dose_of(_words(part)) if dose is None else dose
    # A dose that was named takes the place of all series of that dose.
    return None if dose is None or (low, normal)[0 if dose else 1] is not None else dose


def _first_file(series_folder: Path) -> Path:
    return next(p for p in sorted(series_folder.iterdir()) if p.is_file() and is_dicom(p))


@tolerant()
def _tag(file: Path, keyword: str) -> str:
    try:
        return str(pydicom.dcmread(file, specific_tags=[keyword]).get(keyword) or "")
    except Exception:  # a broken header is named when the series is read
        return ""


def _without_dose(path: Path) -> str:
    """The path without the words that tell the dose, lower case."""
    parts = (_drop_dose(part) for part in path.parts)
    return "/".join(part for part in parts if part)


def _drop_dose(name: str) -> str:
    return "".join(part for part in re.split("([A-Za-z]+)", name.lower()) if part not in _LOW | _NORMAL).strip("_- .^")


def _match(low: CTSeries, normal: CTSeries, name: str, common_slices: bool) -> Pair:
    """Check that two series show the same patient on the same grid, and pair their slices."""
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
    first, second = _same_slices(low, normal)
    n_low, n_normal, n_both = len(low.image_hu), len(normal.image_hu), len(first)
    if n_both == 0 or (not common_slices and not n_low == n_normal == n_both):
        counts = f"{n_low} low-dose and {n_normal} normal-dose slices, {n_both} at the same positions"
        remedy = "give series of the same slices, or allow common slices only" if n_both else "give matching series"
        raise UserError(f"{name}: {counts}; {remedy}")
    low, normal = _take(low, first), _take(normal, second)
    allowed = max(SAME_GRID * min(normal.pixel_mm), _tolerance(normal))
    if (distance := grid_distance_mm(low.affine, normal.affine, normal.image_hu.shape)) > allowed:
        raise UserError(f"{name}: up to {distance:.2f} mm apart, {allowed:.2f} mm allowed; give series of one grid")
    return Pair(replace(low, patient_key=normal.patient_key), normal)


def _tolerance(series: CTSeries) -> float:
    """How far two slices may lie apart to be a pair, mm."""
    return _SAME_POSITION * (series.slice_mm if np.isfinite(series.slice_mm) else 1.0)


def _same_slices(low: CTSeries, normal: CTSeries) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the slices at the same positions, in both series."""
    apart = np.abs(low.position_mm[:, None] - normal.position_mm)
    first, second = np.nonzero(apart <= _tolerance(normal))
    return first, second


def _take(series: CTSeries, index: NDArray[np.int64]) -> CTSeries:
    """Some of the slices of a series."""
    if len(index) == len(series.image_hu):
        return series
    affine, at = series.affine.copy(), series.position_mm
    per_mm = affine[:3, 0] * (len(at) - 1) / (at[-1] - at[0])  # the step along the stack for one mm along the normal
    affine[:3, 3] += per_mm * (at[index[0]] - at[0])
    affine[:3, 0] = per_mm * ((at[index[-1]] - at[index[0]]) / (len(index) - 1) if len(index) > 1 else 1.0)
    return replace(
        series,
        image_hu=series.image_hu[index],
        padding=series.padding[index],
        position_mm=series.position_mm[index],
        paths=tuple(series.paths[i] for i in index),
        affine=affine,
    )
