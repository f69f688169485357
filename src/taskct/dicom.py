"""Read and write CT series: DICOM files on one side, arrays in HU on the other.

What is wrong with a folder is a `UserError` that names files relative to the folder, never the patient.
"""

import hashlib
import shutil
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MediaStorageDirectoryStorage, generate_uid
from pydicom.valuerep import format_number_as_ds

from taskct.errors import UserError

_AIR_HU = -1000.0  # what padding reads as
_MAX_TILT_DEGREES = 30  # of the gantry, for a slice to count as axial
_GAP_TOLERANCE = 0.1  # how far one slice spacing may stray from the median, as a fraction of it
_SAME_MM = 0.01  # slices closer than this lie at one position
_STORED_MAX, _STORED_PADDING = 32767, -32768  # of signed 16-bit pixels; images keep within ±32767

_PATIENT_TAGS = ("PatientID", "FrameOfReferenceUID", "StudyInstanceUID")


@dataclass(frozen=True)
class CTSeries:
    """One axial CT series.

    Attributes
    ----------
    image_hu
        HU, float32, shape `(n_slices, height, width)`. However the files store them, columns run to the
        patient's left, rows to posterior, slices to the head along their normal. Padding reads as −1000 HU.
    pixel_mm
        Distance between neighbouring rows and between neighbouring columns of `image_hu`, mm.
    slice_mm
        Distance between neighbouring slice centres along the normal (median), mm; nan for one slice.
    padding
        Where the files held their padding value; shape of `image_hu`.
    paths
        The files, in slice order.
    orientation
        ImageOrientationPatient of the files: direction cosines of their rows and columns as stored.
    series_key
        Opaque name of the series: 16 hexadecimal digits of a hash; no identifier can be read from it.
    patient_key
        The same for the patient (PatientID, else the frame of reference, else the study, else the series).
    """

    image_hu: NDArray[np.float32]
    pixel_mm: tuple[float, float]
    slice_mm: float
    padding: NDArray[np.bool_]
    paths: tuple[Path, ...]
    orientation: tuple[float, ...]
    series_key: str
    patient_key: str


@dataclass(frozen=True)
class _Header:
    """What the checked header of an axial CT slice says; messages call the slice `name`."""

    path: Path
    name: str
    series_uid: str
    patient: str
    shape: tuple[int, int]
    pixel_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    position: tuple[float, ...]
    slope: float
    intercept: float


@dataclass(frozen=True)
class _Layout:
    """From stored pixels to `image_hu`: transpose, then step through rows and columns by +1 or −1."""

    transpose: bool
    row_step: int
    column_step: int
    normal: NDArray[np.float64]  # from feet to head

    def to_patient(self, stored: NDArray[Any]) -> NDArray[Any]:
        return (stored.T if self.transpose else stored)[:: self.row_step, :: self.column_step]

    def to_stored(self, image: NDArray[Any]) -> NDArray[Any]:
        image = image[:: self.row_step, :: self.column_step]
        return image.T if self.transpose else image


def _layout(orientation: tuple[float, ...]) -> _Layout:
    along_row, along_column = np.array(orientation[:3]), np.array(orientation[3:])
    transpose = bool(abs(along_row[0]) < abs(along_column[0]))  # the patient lies on the side
    if transpose:
        along_row, along_column = along_column, along_row
    column_step, row_step = (-1 if along_row[0] < 0 else 1), (-1 if along_column[1] < 0 else 1)
    normal = np.cross(column_step * along_row, row_step * along_column)
    return _Layout(transpose, row_step, column_step, normal)


@contextmanager
def _tolerant() -> Iterator[None]:
    """Silence pydicom on headers that break a rule of form: we check what we use, and it quotes them."""
    expected = 'Invalid value|The value length|The PN component|The number of PN|Value "|End of file reached'
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", expected, UserWarning)
        yield


@_tolerant()
def read_series(folder: Path, *, allow_gaps: bool = False) -> CTSeries:
    """Read the one CT series in a folder and the folders below it.

    Endings of file names do not matter. Left out: files without the DICOM mark (an error if they end in
    `.dcm`), hidden files, DICOM objects that are no image (reports, DICOMDIR) and localizers.

    Parameters
    ----------
    folder
        Where the files are.
    allow_gaps
        Accept slice spacings more than 10 % off their median.

    Returns
    -------
    The series, in HU by each slice's own rescale slope and intercept.

    Raises
    ------
    UserError
        No such folder; no CT, another modality or several series in it; two slices at one position; uneven
        spacing; a slice not axial (over 30° of tilt), multi-frame or in colour; a file cut short or in a
        compression without a decoder; missing rescale, spacing, position or orientation.
    """
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: no such folder; give the folder that holds one CT series")
    series = _split_series(_ct_headers(Path(folder)))
    if len(series) > 1:
        sizes = ", ".join(str(len(headers)) for headers in series)
        found = f"{len(series)} series, of {sizes} slices, by series UID, matrix, spacing and orientation"
        raise UserError(f"{folder}: {found}; put one series per folder")
    return _load(*_order(series[0], allow_gaps))


@_tolerant()
def read_slice(path: Path) -> CTSeries:
    """Read one CT file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    A series of one slice; `slice_mm` is nan.

    Raises
    ------
    UserError
        As :func:`read_series`.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; give one CT slice")
    dataset = _read_header(path, path.name)
    if dataset is None or dataset.Modality != "CT":
        found = f"modality {dataset.Modality}" if dataset is not None else "a localizer or no DICOM image"
        raise UserError(f"{path.name}: {found}; give one CT slice")
    return _load([_check_header(dataset, path, path.name)], float("nan"))


def _ct_headers(folder: Path) -> list[_Header]:
    headers, others, n_files = [], set(), 0
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if any(part.startswith(".") for part in relative.parts) or not path.is_file():
            continue
        n_files += 1
        dataset = _read_header(path, str(relative))
        if dataset is not None and dataset.Modality == "CT":
            headers.append(_check_header(dataset, path, str(relative)))
        elif dataset is not None:
            others.add(str(dataset.Modality))
    if others:
        found = f"{', '.join(sorted(others))} images {'beside the CT' if headers else 'and no CT'}"
        raise UserError(f"{folder}: {found}; give a folder that holds one CT series and no other images")
    if not headers:
        raise UserError(f"{folder}: no CT slice in {n_files} files (localizers left out); give another")
    return headers


def _read_header(path: Path, name: str) -> Dataset | None:
    """All but the pixels of a DICOM image; None for a localizer or anything else."""
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
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
    return dataset if is_image and "LOCALIZER" not in (dataset.get("ImageType") or []) else None


def _cut_short(name: str) -> UserError:
    return UserError(f"{name}: cannot be read whole (cut short, damaged or protected?); copy the file again")


def _check_header(dataset: Dataset, path: Path, name: str) -> _Header:
    def numbers(keyword: str, n: int) -> tuple[float, ...]:
        try:
            values = tuple(float(v) for v in np.atleast_1d(dataset[keyword].value))
        except (KeyError, TypeError, ValueError):
            values = ()
        if len(values) != n or not np.all(np.isfinite(values)):
            raise UserError(f"{name}: {keyword} missing or unreadable (cut short?); export the series again")
        return values

    if dataset.get("NumberOfFrames", 1) not in (None, 1) or "PerFrameFunctionalGroupsSequence" in dataset:
        raise UserError(f"{name}: multi-frame (enhanced) CT; export the series with one slice per file")
    shape = int(numbers("Rows", 1)[0]), int(numbers("Columns", 1)[0])
    if (pixels := dataset.get("PhotometricInterpretation")) != "MONOCHROME2":
        raise UserError(f"{name}: {pixels} pixels, not MONOCHROME2; give the CT slices themselves")
    if dataset.get("RescaleType") not in (None, "", "HU", "US"):  # US, unspecified, often stands for HU
        raise UserError(f"{name}: pixels in {dataset.RescaleType}, not HU; give the series in HU")
    (slope,), (intercept,) = numbers("RescaleSlope", 1), numbers("RescaleIntercept", 1)
    pixel_mm = numbers("PixelSpacing", 2)
    if min(*pixel_mm, slope) <= 0:
        raise UserError(f"{name}: PixelSpacing (mm) and RescaleSlope (HU) must be above 0; export it again")
    orientation = numbers("ImageOrientationPatient", 6)
    axes = np.reshape(orientation, (2, 3))
    if not np.allclose(axes @ axes.T, np.eye(2), atol=0.01):
        raise UserError(f"{name}: ImageOrientationPatient must be orthogonal unit vectors; export it again")
    tilt = np.degrees(np.arccos(np.clip(_layout(orientation).normal[2], -1, 1)))
    if tilt > _MAX_TILT_DEGREES + 0.5:
        raise UserError(f"{name}: {tilt:.0f}° off axial, {_MAX_TILT_DEGREES}° allowed; give axial slices")
    position = numbers("ImagePositionPatient", 3)
    series_uid = str(dataset.get("SeriesInstanceUID") or "")
    patient = next((text for tag in _PATIENT_TAGS if (text := str(dataset.get(tag) or ""))), "")
    return _Header(path, name, series_uid, patient, shape, pixel_mm, orientation, position, slope, intercept)


def _split_series(headers: list[_Header]) -> list[list[_Header]]:
    """One list a series: by series UID (the empty ones count as one) and by geometry."""
    series: list[list[_Header]] = []
    for header in headers:
        group = next((group for group in series if _is_one_series(group[0], header)), [])
        if not group:
            series.append(group)
        group.append(header)
    return series


def _is_one_series(a: _Header, b: _Header) -> bool:
    differences = np.subtract(a.pixel_mm + a.orientation, b.pixel_mm + b.orientation)
    return (a.series_uid, a.shape) == (b.series_uid, b.shape) and np.abs(differences).max() < 1e-3


def _order(headers: list[_Header], allow_gaps: bool) -> tuple[list[_Header], float]:
    """Slices from feet to head, and their spacing in mm."""
    normal = _layout(headers[0].orientation).normal
    headers = sorted(headers, key=lambda header: float(header.position @ normal))
    gaps = np.diff([header.position @ normal for header in headers])
    if not gaps.size:
        return headers, float("nan")
    slice_mm = float(np.median(gaps))
    odd = int(np.argmax(np.where(gaps < _SAME_MM, np.inf, np.abs(gaps - slice_mm))))
    pair = f"{headers[odd].name} and {headers[odd + 1].name}"
    if gaps[odd] < _SAME_MM:
        raise UserError(f"{pair}: two slices at one position; remove copies, put one phase per folder")
    if abs(gaps[odd] - slice_mm) > _GAP_TOLERANCE * slice_mm and not allow_gaps:
        others = f"the others {slice_mm:.2f} mm (±{_GAP_TOLERANCE:.0%})"
        raise UserError(f"{pair}: {gaps[odd]:.2f} mm apart, {others}; add the missing slice or allow gaps")
    return headers, slice_mm


def _load(headers: list[_Header], slice_mm: float) -> CTSeries:
    """Decode the pixels of ordered slices of one geometry."""
    first, layout = headers[0], _layout(headers[0].orientation)
    image_hu = np.stack([layout.to_patient(_decode(header)) for header in headers])
    padding = np.isnan(image_hu)
    image_hu[padding] = _AIR_HU
    row_mm, column_mm = first.pixel_mm[:: -1 if layout.transpose else 1]
    # Without a series UID the pixels themselves tell one series from another.
    key = hashlib.sha256(first.series_uid.encode() or image_hu.tobytes()).hexdigest()[:16]
    paths = tuple(header.path for header in headers)
    patient = hashlib.sha256(first.patient.encode()).hexdigest()[:16] if first.patient else key
    return CTSeries(image_hu, (row_mm, column_mm), slice_mm, padding, paths, first.orientation, key, patient)


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
    image_hu = (stored * header.slope + header.intercept).astype(np.float32)
    value, limit = dataset.get("PixelPaddingValue"), dataset.get("PixelPaddingRangeLimit")
    if isinstance(value, int):
        ends = np.array([value, limit if isinstance(limit, int) else value], np.int64)
        low, high = np.sort(ends.astype(stored.dtype))  # wraps 63536 to the −2000 a signed file means by it
        image_hu[(stored >= low) & (stored <= high)] = np.nan
    return image_hu


@_tolerant()
def write_series(image_hu: NDArray[np.floating], source: CTSeries, out: Path, description: str) -> list[Path]:
    """Write images derived from a series as a new series, whole or not at all.

    Slices keep their source's header, private tags apart, and its layout. They are marked as derived and get
    new series and instance UIDs. Pixels become signed 16 bit, uncompressed, at the source's rescale intercept
    and slope; where values would not fit, the slope is widened. Padding stays padding.

    Parameters
    ----------
    image_hu
        HU, finite, shape of `source.image_hu`; rounded to the nearest stored value.
    source
        The series it was made from; its files must still be there.
    out
        Folder to make; may exist if empty.
    description
        Series description, 1 to 64 printable characters, no backslash.

    Returns
    -------
    The files, in slice order.

    Raises
    ------
    UserError
        If `out` holds something or cannot be written, a source file is gone, or the description does not fit.
    ValueError
        If the shape is not the source's or a value is not finite.
    """
    if image_hu.shape != source.image_hu.shape or not np.all(np.isfinite(image_hu)):
        raise ValueError(f"image_hu {image_hu.shape} must be finite, of shape {source.image_hu.shape}")
    if not 1 <= len(description) <= 64 or "\\" in description or not description.isprintable():
        raise UserError("series description: must be 1 to 64 printable characters, no backslash; change it")
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: exists and is not an empty folder; choose another or remove it")
    layout, series_uid, study_uid = _layout(source.orientation), generate_uid(), generate_uid()
    partial = out.parent / f".{out.name}.{uuid.uuid4().hex}.partial"
    names = [f"slice_{number:04d}.dcm" for number in range(1, len(image_hu) + 1)]
    try:
        partial.mkdir(parents=True)
        for name, path, image, padding in zip(names, source.paths, image_hu, source.padding, strict=True):
            dataset = _derive(path, layout.to_stored(image), layout.to_stored(padding))
            dataset.SeriesDescription, dataset.SeriesInstanceUID = description, series_uid
            dataset.StudyInstanceUID = dataset.get("StudyInstanceUID") or study_uid
            dataset.save_as(partial / name, enforce_file_format=True)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}); choose another folder") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return [out / name for name in names]


def _derive(path: Path, image_hu: NDArray[np.floating], padding: NDArray[np.bool_]) -> Dataset:
    """Make the header at `path` that of a derived slice with these pixels, laid out as in the source."""
    header = _read_header(path, path.name) if path.is_file() else None
    if header is None:
        raise UserError(f"{path.name}: the source file is gone; put it back, its header is needed")
    header.remove_private_tags()
    del header[0x00280106:0x00280122]  # smallest, largest and padding value, in the old pixels' terms
    for stale in ("IconImageSequence", "SourceImageSequence"):
        header.pop(stale, None)
    dataset = Dataset(header)  # anew, since the one read is tied to the encoding it was read in
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.get("SOPClassUID") or CTImageStorage
    dataset.ImageType = ["DERIVED", "SECONDARY", *(list(dataset.get("ImageType") or [])[2:3] or ["AXIAL"])]
    offset_hu = image_hu.astype(np.float64) - float(dataset.RescaleIntercept)
    needed = float(np.abs(offset_hu).max(initial=0, where=~padding)) / _STORED_MAX
    dataset.RescaleSlope = format_number_as_ds(max(needed, float(dataset.RescaleSlope)))
    stored = np.rint(offset_hu / float(dataset.RescaleSlope))
    stored[padding] = _STORED_PADDING
    dataset.set_pixel_data(stored.astype(np.int16), "MONOCHROME2", 16)
    if padding.any():
        dataset.add_new("PixelPaddingValue", "SS", _STORED_PADDING)
    return dataset
