"""Read CT series: DICOM files on one side, arrays in HU on the other; `dicom_write` goes the way back.

What is wrong with a folder is a `UserError` that names files relative to the folder, never the patient.
"""

import hashlib
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError, unreadable
from taskct.io.dicom_header import (
    SliceHeader,
    kind_of,
    read_header,
    reading_dicom,
    slice_headers,
    tolerant,
)
from taskct.io.dicom_layout import layout_of
from taskct.io.dicom_pixels import check_pixel_budget, read_pixels
from taskct.io.volume import LEAN_ALLOWED, MAX_LEAN_DEGREES, Volume, check_upright
from taskct.reading import reading

_GAP_TOLERANCE = 0.1  # how far one slice spacing may stray from the median, as a fraction of it
_SAME_MM = 0.01  # slices closer than this lie at one position


@dataclass(frozen=True, kw_only=True)
class CTSeries(Volume):
    """One axial CT series: a volume, and the files it came from. Padding reads as −1000 HU.

    Attributes
    ----------
    padding
        Where the files hold padding, declared or not; shape of `image_hu`.
    position_mm
        Where the slices lie along their normal, mm, `(n_slices,)`, rising.
    paths
        The file of each slice, in slice order.
    frames
        Which frame of its file each slice is, from 0; None for a file of one slice.
    orientation
        ImageOrientationPatient of the files: direction cosines of their rows and columns as stored.

    Notes
    -----
    `series_key` stands for the series UID, else for the pixels; `patient_key` for the PatientID, else for the frame of
    reference, else the study, else the series.
    """

    padding: NDArray[np.bool_]
    position_mm: NDArray[np.float64]
    paths: tuple[Path, ...]
    frames: tuple[int | None, ...]
    orientation: tuple[float, ...]


@tolerant()
def read_series(folder: Path, *, slicewise: bool = False) -> CTSeries:
    """Read the one CT series in a folder and the folders below it, also those that are linked there.

    Endings of file names do not matter. Objects are judged by their SOP class. Left out: files without the DICOM mark
    (an error if they end in `.dcm`), hidden files, localizers, and what lies beside slices (reports, secondary
    captures, documents, DICOMDIR); what of that says that it is CT is counted in a warning.

    Parameters
    ----------
    folder
        Where the files are: one slice each, or an enhanced multi-frame CT.
    slicewise
        For work that takes slices one by one: accept uneven spacing and a tilted gantry.

    Returns
    -------
    The series, in HU by each slice's own rescale slope and intercept.

    Raises
    ------
    UserError
        No such folder; no CT, another modality, several series or patients in it; two slices at one position, or
        several volumes (4D); slice spacings over 10 % off their median; a tilted gantry; a slice not axial (over 30°
        off) or in colour; a file cut short or in a compression without a decoder; missing rescale, spacing, position
        or orientation; pixels of impossible size, more than twice as long as wide, or not finite; more pixels than the
        budget of :mod:`taskct.reading` holds.
    """
    headers, slice_mm = find_series(folder, slicewise=slicewise)
    check_pixel_budget(headers, folder)
    with reading(folder, "a CT series"):
        return _load(headers, slice_mm)


def find_series(folder: Path, *, slicewise: bool = False) -> tuple[list[SliceHeader], float]:
    """Headers of the slices of the one CT series in a folder, from feet to head, and their distance, mm.

    Parameters and errors are those of :func:`read_series`, pixels apart.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the folder that holds one CT series")
    headers = _ct_headers(folder)
    # Names of the same patient differ in case and in carets from one export to the next.
    names = {header.patient_name.replace("^", " ").strip().casefold() for header in headers} - {""}
    n_patients = max(len(names), len({header.patient_id for header in headers} - {""}))
    if n_patients > 1:
        raise UserError(f"{folder}: {n_patients} patients, by PatientID or PatientName; put one patient per folder")
    series = _split_series(headers)
    if len(series) > 1:
        sizes = ", ".join(str(len(group)) for group in series)
        found = f"{len(series)} series, of {sizes} slices, that differ in {_difference(series)}"
        raise UserError(f"{folder}: {found}; put one series per folder")
    ordered, slice_mm = _order(series[0], str(folder), even=not slicewise)
    if not slicewise and len(ordered) > 1:
        position_mm = np.array([header.position for header in ordered])
        check_upright(position_mm, layout_of(ordered[0].orientation).normal, str(folder))
        tilted = max(ordered, key=lambda header: abs(header.gantry_tilt))
        if abs(tilted.gantry_tilt) > MAX_LEAN_DEGREES:
            raise UserError(f"{tilted.name}: gantry tilt of {abs(tilted.gantry_tilt):.0f}°, {LEAN_ALLOWED}")
    return ordered, slice_mm


@tolerant()
def read_slice(path: Path) -> CTSeries:
    """Read one CT file as a series of one slice, whose `slice_mm` is nan.

    Raises
    ------
    UserError
        As :func:`read_series`; if the file holds several slices.
    """
    header = find_slice(path)
    check_pixel_budget([header], header.name)
    with reading(header.name, "a CT slice"):
        return _load([header], float("nan"))


@tolerant()
def read_frames(path: Path) -> CTSeries:
    """Read one CT file as a series of its slices: one, or the frames of an enhanced CT from feet to head.

    The order of frames in a file is that of whoever wrote it, and may be from head to feet; it counts for nothing.

    Raises
    ------
    UserError
        As :func:`read_series`; frames of several geometries, or several at one position.
    """
    path = Path(path)
    headers = _slices_of_file(path)
    groups = _split_series(headers)
    if len(groups) > 1:
        raise UserError(f"{path.name}: its frames differ in {_difference(groups)}; put one stack into a file")
    ordered, slice_mm = _order(headers, path.name, even=False)
    check_pixel_budget(ordered, path.name)
    with reading(path.name, "CT slices"):
        return _load(ordered, slice_mm)


def find_slice(path: Path) -> SliceHeader:
    """The header of the one slice of a file; errors are those of :func:`read_slice`, pixels apart."""
    headers = _slices_of_file(Path(path))
    if len(headers) > 1:
        raise UserError(f"{Path(path).name}: {len(headers)} slices; give its folder, or a file of one slice")
    return headers[0]


def _slices_of_file(path: Path) -> list[SliceHeader]:
    """Checked headers of the slices in one file, in their order there."""
    if not path.exists():
        raise UserError(f"{path}: no such file; give one CT slice")
    with reading_dicom(path.name):
        dataset = read_header(path, path.name) if not path.is_dir() else None
        kind = "none" if dataset is None else kind_of(dataset, path.name)
    if dataset is None or kind == "none":
        raise UserError(f"{path.name}: no DICOM image; give one CT slice")
    if kind != "slice":
        words = {"localizer": "a localizer (scout)", "beside": "no slice by its SOP class"}
        raise UserError(f"{path.name}: {words.get(kind, f'modality {dataset.Modality}')}; give one CT slice")
    return slice_headers(dataset, path, path.name)


@contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Name the folder in refusals that name only files in it, for when there are several."""
    try:
        yield
    except UserError as error:
        if str(folder) in str(error):
            raise
        raise UserError(f"{folder}: {error}") from error


def files_below(folder: Path) -> Iterator[Path]:
    """Every file in a folder and below it, also in linked folders, each folder once; no hidden ones, no pipes."""

    def refuse(error: OSError) -> NoReturn:
        raise unreadable(error.filename, error) from error

    found, seen = [], set[Path]()
    for place, folders, files in os.walk(folder, followlinks=True, onerror=refuse):
        real = Path(place).resolve()
        if real in seen:  # a link to a folder above it, or to one that was read
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place) / name for name in files if not name.startswith(".")]
    return (path for path in sorted(found) if path.is_file())


def _ct_headers(folder: Path) -> list[SliceHeader]:
    headers: list[SliceHeader] = []
    others, n_files, n_localizers, n_beside = set[str](), 0, 0, 0
    for path in files_below(folder):
        n_files += 1
        name = str(path.relative_to(folder))
        with reading_dicom(name):
            dataset = read_header(path, name)
            kind = "none" if dataset is None else kind_of(dataset, name)
        if dataset is not None and kind == "slice":
            headers += slice_headers(dataset, path, name)
        elif dataset is not None and kind == "other":
            others.add(str(dataset.Modality))
        n_localizers += kind == "localizer"
        n_beside += kind == "beside"
    if others:
        found = f"{', '.join(sorted(others))} images {'beside the CT' if headers else 'and no CT'}"
        raise UserError(f"{folder}: {found}; give a folder that holds one CT series and no other images")
    beside = f"{n_beside} objects that say CT and hold no slices (screens, reports, raw data)"
    if not headers:
        if n_localizers:
            raise UserError(f"{folder}: {n_localizers} localizers (scouts) and no CT slice; give the axial series")
        more = f", {beside}" if n_beside else ""
        raise UserError(
            f"{folder}: no CT slice in {n_files} files{more}; give a folder that holds one CT series (DICOM files with "
            "their preamble)"
        )
    if n_beside:
        warnings.warn(f"{folder}: {beside} left out", stacklevel=3)
    return headers


def _split_series(headers: list[SliceHeader]) -> list[list[SliceHeader]]:
    """One list a series: by series UID (the empty ones count as one) and by geometry."""
    series: list[list[SliceHeader]] = []
    for header in headers:
        for group in series:
            first = group[0]
            differences = np.subtract(first.pixel_mm + first.orientation, header.pixel_mm + header.orientation)
            same = (first.series_uid, first.shape) == (header.series_uid, header.shape)
            if same and np.abs(differences).max() < 1e-3:
                group.append(header)
                break
        else:
            series.append([header])
    return series


def _difference(series: list[list[SliceHeader]]) -> str:
    first, others = series[0][0], [group[0] for group in series[1:]]
    kinds = {"series UID": "series_uid", "matrix": "shape", "pixel spacing": "pixel_mm", "orientation": "orientation"}
    return ", ".join(
        word for word, field in kinds.items() if any(getattr(first, field) != getattr(one, field) for one in others)
    )


def _order(headers: list[SliceHeader], folder: str, *, even: bool) -> tuple[list[SliceHeader], float]:
    """Slices from feet to head, and their spacing in mm."""
    normal = layout_of(headers[0].orientation).normal
    headers = sorted(headers, key=lambda header: float(header.position @ normal))
    gaps = np.diff([header.position @ normal for header in headers])
    if not gaps.size:
        return headers, float("nan")
    at_one_place = np.diff(np.flatnonzero(np.concatenate([[True], gaps >= _SAME_MM, [True]])))
    if at_one_place[0] > 1 and np.all(at_one_place == at_one_place[0]):
        found = f"{at_one_place[0]} volumes at the same positions (4D, or copies)"
        raise UserError(f"{folder}: {found}; put one phase per folder, remove copies")
    slice_mm = float(np.median(gaps))
    odd = int(np.argmax(np.where(gaps < _SAME_MM, np.inf, np.abs(gaps - slice_mm))))
    pair = f"{headers[odd].name} and {headers[odd + 1].name}"
    if gaps[odd] < _SAME_MM:
        raise UserError(f"{pair}: two slices at one position; remove copies, put one phase per folder")
    if abs(gaps[odd] - slice_mm) > _GAP_TOLERANCE * slice_mm and even:
        others = f"the others {slice_mm:.2f} mm (±{_GAP_TOLERANCE:.0%})"
        raise UserError(f"{pair}: {gaps[odd]:.2f} mm apart, {others}; add the missing slices")
    return headers, slice_mm


def _load(headers: list[SliceHeader], slice_mm: float) -> CTSeries:
    first, layout = headers[0], layout_of(headers[0].orientation)
    shape = layout.to_patient(np.broadcast_to(np.int8(0), first.shape)).shape
    image_hu = np.empty((len(headers), *shape), np.float32)
    padding = np.empty(image_hu.shape, np.bool_)
    # Frames of one file are read together, whatever their order.
    places = sorted(range(len(headers)), key=lambda place: (headers[place].path, headers[place].frame or 0))
    for place, pixels in zip(places, read_pixels([headers[place] for place in places]), strict=True):
        image_hu[place], padding[place] = layout.to_patient(pixels.image_hu), layout.to_patient(pixels.padding)
    # Without a series UID the pixels themselves tell one series from another.
    key = hashlib.sha256(first.series_uid.encode() or image_hu.tobytes()).hexdigest()[:16]
    pixel_mm = layout.pixel_mm(first.pixel_mm)
    return CTSeries(
        image_hu=image_hu,
        pixel_mm=pixel_mm,
        slice_mm=slice_mm,
        affine=layout.affine(first.position, headers[-1].position, image_hu.shape, pixel_mm),
        padding=padding,
        position_mm=np.array([header.position @ layout.normal for header in headers]),
        paths=tuple(header.path for header in headers),
        frames=tuple(header.frame for header in headers),
        orientation=first.orientation,
        series_key=key,
        patient_key=hashlib.sha256(first.patient.encode()).hexdigest()[:16] if first.patient else key,
    )
