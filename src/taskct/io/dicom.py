"""Read CT series: DICOM files on one side, arrays in HU on the other; `dicom_write` goes the way back.

What is wrong with a folder is a `UserError` that names files relative to the folder, never the patient.
"""

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import MediaStorageDirectoryStorage

from taskct.errors import UserError
from taskct.io.dicom_layout import layout_of
from taskct.io.volume import LEAN_ALLOWED, MAX_LEAN_DEGREES, Volume, check_axial, check_pixel_mm, check_upright

_AIR_HU = -1000.0  # what padding reads as
_GAP_TOLERANCE = 0.1  # how far one slice spacing may stray from the median, as a fraction of it
_SAME_MM = 0.01  # slices closer than this lie at one position

_PATIENT_TAGS = ("PatientID", "FrameOfReferenceUID", "StudyInstanceUID")
_READ = (  # what is asked of a header
    *_PATIENT_TAGS,
    *("PatientName", "Modality", "ImageType", "SeriesInstanceUID", "NumberOfFrames", "Rows", "Columns"),
    *("PhotometricInterpretation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType"),
    *("PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient", "GantryDetectorTilt"),
)


@dataclass(frozen=True, kw_only=True)
class CTSeries(Volume):
    """One axial CT series: a volume, and the files it came from. Padding reads as −1000 HU.

    Attributes
    ----------
    padding
        Where the files held their padding value; shape of `image_hu`.
    position_mm
        Where the slices lie along their normal, mm, `(n_slices,)`, rising.
    paths
        The files, in slice order.
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
    orientation: tuple[float, ...]


@dataclass(frozen=True)
class _Header:
    """What the checked header of an axial CT slice says; messages call the slice `name`."""

    path: Path
    name: str
    series_uid: str
    patient: str
    patient_id: str
    patient_name: str
    gantry_tilt: float
    shape: tuple[int, int]
    pixel_mm: tuple[float, float]
    orientation: tuple[float, ...]
    position: tuple[float, ...]
    slope: float
    intercept: float


@contextmanager
def tolerant() -> Iterator[None]:
    """Silence pydicom on headers that break a rule of form: we check what we use, and it quotes them."""
    expected = 'Invalid value|The value length|The PN component|The number of PN|Value "|End of file reached'
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", expected, UserWarning)
        yield


@tolerant()
def read_series(folder: Path, *, allow_gaps: bool = False, allow_tilt: bool = False) -> CTSeries:
    """Read the one CT series in a folder and the folders below it.

    Endings of file names do not matter. Left out: files without the DICOM mark (an error if they end in
    `.dcm`), hidden files, DICOM objects that are no image (reports, DICOMDIR) and localizers.

    Parameters
    ----------
    folder
        Where the files are.
    allow_gaps
        Accept slice spacings more than 10 % off their median.
    allow_tilt
        Accept a tilted gantry, for work that takes slices one by one.

    Returns
    -------
    The series, in HU by each slice's own rescale slope and intercept.

    Raises
    ------
    UserError
        No such folder; no CT, another modality, several series or patients in it; two slices at one position, or
        several volumes (4D); uneven spacing; a tilted gantry; a slice not axial (over 30° off), multi-frame or in
        colour; a file cut short or in a compression without a decoder; missing rescale, spacing, position or
        orientation; pixels of impossible size, more than twice as long as wide, or not finite.
    """
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: no such folder; give the folder that holds one CT series")
    headers = _ct_headers(Path(folder))
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
    ordered, slice_mm = _order(series[0], str(folder), allow_gaps)
    if not allow_tilt and len(ordered) > 1:
        position_mm = np.array([header.position for header in ordered])
        check_upright(position_mm, layout_of(ordered[0].orientation).normal, str(folder))
        tilted = max(ordered, key=lambda header: abs(header.gantry_tilt))
        if abs(tilted.gantry_tilt) > MAX_LEAN_DEGREES:
            raise UserError(f"{tilted.name}: gantry tilt of {abs(tilted.gantry_tilt):.0f}°, {LEAN_ALLOWED}")
    return _load(ordered, slice_mm)


@tolerant()
def read_slice(path: Path) -> CTSeries:
    """Read one CT file as a series of one slice, whose `slice_mm` is nan.

    Raises
    ------
    UserError
        As :func:`read_series`.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; give one CT slice")
    dataset = read_header(path, path.name)
    if dataset is None:
        raise UserError(f"{path.name}: no DICOM image; give one CT slice")
    if _is_localizer(dataset) or dataset.Modality != "CT":
        found = "a localizer (scout)" if _is_localizer(dataset) else f"modality {dataset.Modality}"
        raise UserError(f"{path.name}: {found}; give one CT slice")
    return _load([_check_header(dataset, path, path.name)], float("nan"))


@contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Name the folder in refusals that name only files in it, for when there are several."""
    try:
        yield
    except UserError as error:
        if str(folder) in str(error):
            raise
        raise UserError(f"{folder}: {error}") from error


def is_dicom(file: Path) -> bool:
    """Whether a file bears the DICOM mark."""
    with file.open("rb") as content:
        return content.read(132)[128:] == b"DICM"


def _ct_headers(folder: Path) -> list[_Header]:
    headers, others, n_files, n_localizers = [], set(), 0, 0
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if any(part.startswith(".") for part in relative.parts) or not path.is_file():
            continue
        n_files += 1
        dataset = read_header(path, str(relative))
        if dataset is None:
            continue
        if _is_localizer(dataset):
            n_localizers += 1
        elif dataset.Modality == "CT":
            headers.append(_check_header(dataset, path, str(relative)))
        else:
            others.add(str(dataset.Modality))
    if others:
        found = f"{', '.join(sorted(others))} images {'beside the CT' if headers else 'and no CT'}"
        raise UserError(f"{folder}: {found}; give a folder that holds one CT series and no other images")
    if n_localizers and not headers:
        raise UserError(f"{folder}: {n_localizers} localizers (scouts) and no CT slice; give the axial series")
    if not headers:
        raise UserError(f"{folder}: no CT slice in {n_files} files; give a folder that holds one CT series")
    return headers


def read_header(path: Path, name: str) -> Dataset | None:
    """All but the pixels of a DICOM image; None for anything else."""
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        for keyword in _READ:  # pydicom decodes an element when it is asked for, and a file cut within one fails then
            dataset.get(keyword)
    except InvalidDicomError as error:
        if path.suffix.lower() == ".dcm":
            raise _cut_short(name) from error
        return None
    except Exception as error:  # a broken header raises struct.error, OSError, ValueError and more
        raise _cut_short(name) from error
    if dataset.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
        return None
    if not dataset.get("Modality"):
        raise _cut_short(name)
    is_image = "Rows" in dataset or dataset.Modality == "CT"  # a CT without rows is one cut short
    return dataset if is_image else None


def _is_localizer(dataset: Dataset) -> bool:
    return "LOCALIZER" in (dataset.get("ImageType") or [])


def _cut_short(name: str) -> UserError:
    return UserError(f"{name}: cannot be read whole (cut short, damaged or protected?); copy the file again")


def _check_header(dataset: Dataset, path: Path, name: str) -> _Header:
    def numbers(keyword: str, n: int) -> tuple[float, ...]:
        try:
            values = tuple(float(v) for v in np.atleast_1d(dataset[keyword].value))
        except (KeyError, TypeError, ValueError):
            values = ()
        if len(values) != n:
            raise UserError(f"{name}: {keyword} missing or unreadable (cut short?); export the series again")
        if not np.all(np.isfinite(values)):
            raise UserError(f"{name}: {keyword} is not finite; export the series again")
        return values

    if dataset.get("NumberOfFrames", 1) not in (None, 1) or "PerFrameFunctionalGroupsSequence" in dataset:
        raise UserError(f"{name}: multi-frame (enhanced) CT; export the series with one slice per file")
    shape = int(numbers("Rows", 1)[0]), int(numbers("Columns", 1)[0])
    if (pixels := dataset.get("PhotometricInterpretation")) != "MONOCHROME2":
        raise UserError(f"{name}: {pixels} pixels, not MONOCHROME2; give the CT slices themselves")
    if dataset.get("RescaleType") not in (None, "", "HU", "US"):  # US, unspecified, often stands for HU
        raise UserError(f"{name}: pixels in {dataset.RescaleType}, not HU; give the series in HU")
    (slope,), (intercept,) = numbers("RescaleSlope", 1), numbers("RescaleIntercept", 1)
    if slope <= 0:
        raise UserError(f"{name}: RescaleSlope is {slope:g} HU, must be above 0; export the series again")
    row_mm, column_mm = numbers("PixelSpacing", 2)
    check_pixel_mm((row_mm, column_mm), name)
    orientation = numbers("ImageOrientationPatient", 6)
    axes = np.reshape(orientation, (2, 3))
    if not np.allclose(axes @ axes.T, np.eye(2), atol=0.01):
        raise UserError(f"{name}: ImageOrientationPatient must be orthogonal unit vectors; export it again")
    check_axial(layout_of(orientation).normal, name)
    return _Header(
        path=path,
        name=name,
        series_uid=str(dataset.get("SeriesInstanceUID") or ""),
        patient=next((text for tag in _PATIENT_TAGS if (text := str(dataset.get(tag) or ""))), ""),
        patient_id=str(dataset.get("PatientID") or "").strip(),
        patient_name=str(dataset.get("PatientName") or ""),
        gantry_tilt=numbers("GantryDetectorTilt", 1)[0] if dataset.get("GantryDetectorTilt") else 0.0,
        shape=shape,
        pixel_mm=(row_mm, column_mm),
        orientation=orientation,
        position=numbers("ImagePositionPatient", 3),
        slope=slope,
        intercept=intercept,
    )


def _split_series(headers: list[_Header]) -> list[list[_Header]]:
    """One list a series: by series UID (the empty ones count as one) and by geometry."""
    series: list[list[_Header]] = []
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


def _difference(series: list[list[_Header]]) -> str:
    first, others = series[0][0], [group[0] for group in series[1:]]
    kinds = {"series UID": "series_uid", "matrix": "shape", "pixel spacing": "pixel_mm", "orientation": "orientation"}
    return ", ".join(
        word for word, field in kinds.items() if any(getattr(first, field) != getattr(one, field) for one in others)
    )


def _order(headers: list[_Header], folder: str, allow_gaps: bool) -> tuple[list[_Header], float]:
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
    if abs(gaps[odd] - slice_mm) > _GAP_TOLERANCE * slice_mm and not allow_gaps:
        others = f"the others {slice_mm:.2f} mm (±{_GAP_TOLERANCE:.0%})"
        raise UserError(f"{pair}: {gaps[odd]:.2f} mm apart, {others}; add the missing slices")
    return headers, slice_mm


def _load(headers: list[_Header], slice_mm: float) -> CTSeries:
    first, layout = headers[0], layout_of(headers[0].orientation)
    image_hu = np.stack([layout.to_patient(_decode(header)) for header in headers])
    padding = np.isnan(image_hu)
    image_hu[padding] = _AIR_HU
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
        orientation=first.orientation,
        series_key=key,
        patient_key=hashlib.sha256(first.patient.encode()).hexdigest()[:16] if first.patient else key,
    )


def _decode(header: _Header) -> NDArray[np.float32]:
    """HU as the file lays them out; nan where it is padded."""
    try:
        dataset = pydicom.dcmread(header.path)
        syntax = dataset.file_meta.TransferSyntaxUID
        stored = dataset.pixel_array if get_decoder(syntax).is_available else None
    except Exception as error:  # as for the header; the decoders add their own
        raise _cut_short(header.name) from error
    if stored is None:
        raise UserError(f"{header.name}: no decoder for {syntax.name}; export the series uncompressed")
    with np.errstate(over="ignore"):
        image_hu: NDArray[np.float32] = (stored * header.slope + header.intercept).astype(np.float32)
    if n_bad := int(np.count_nonzero(~np.isfinite(image_hu))):
        found = f"{n_bad} of {image_hu.size} pixels are NaN or infinite"
        raise UserError(f"{header.name}: {found}; export the series again, or set what lies outside to −1000 HU")
    value, limit = dataset.get("PixelPaddingValue"), dataset.get("PixelPaddingRangeLimit")
    if isinstance(value, int):
        ends = np.array([value, limit if isinstance(limit, int) else value], np.int64)
        low, high = np.sort(ends.astype(stored.dtype))  # wraps 63536 to the −2000 a signed file means by it
        image_hu[(stored >= low) & (stored <= high)] = np.nan
    return image_hu
