"""Headers of CT slices: which files hold some, and what a header must say before its pixels are read."""

import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    MediaStorageDirectoryStorage,
)

from taskct.errors import UserError
from taskct.io.dicom_frames import frame_headers, is_multi_frame
from taskct.io.dicom_layout import layout_of
from taskct.io.volume import check_axial, check_pixel_mm
from taskct.reading import check_budget, check_regular, reading

CT_CLASSES = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)

_NO_SLICES = (
    "1.2.840.10008.5.1.4.1.1.7",  # secondary captures: screens, drawings, dose tables
    "1.2.840.10008.5.1.4.1.1.11",  # presentation states
    "1.2.840.10008.5.1.4.1.1.66",  # raw data, registrations, segmentations
    "1.2.840.10008.5.1.4.1.1.88",  # structured reports, of doses too
    "1.2.840.10008.5.1.4.1.1.104",  # documents
)
"""Beginnings of SOP classes of what lies beside slices, whatever modality it names."""

Kind = Literal["slice", "localizer", "beside", "other", "none"]

_PATIENT_TAGS = ("PatientID", "FrameOfReferenceUID", "StudyInstanceUID")
_READ = (  # what is asked of a header
    *_PATIENT_TAGS,
    *("PatientName", "Modality", "ImageType", "SeriesInstanceUID", "NumberOfFrames", "Rows", "Columns", "SOPClassUID"),
    *("PhotometricInterpretation", "PixelPaddingValue", "PixelPaddingRangeLimit", "BitsAllocated", "SamplesPerPixel"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType"),
    *("PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient", "GantryDetectorTilt"),
)
_HU = ("", "HU", "HU_MOD", "US")  # US, unspecified, often stands for HU


@dataclass(frozen=True)
class SliceHeader:
    """What the checked header of an axial CT slice says; messages call the slice `name`."""

    path: Path
    frame: int | None
    """Of a multi-frame file, from 0."""
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
    padding: tuple[int, int] | None
    """First and last stored value that is declared as padding, before any wrap."""


@contextmanager
def tolerant() -> Iterator[None]:
    """Silence pydicom on headers that break a rule of form: we check what we use, and it quotes them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="pydicom")
        yield


@contextmanager
def reading_dicom(name: str) -> Iterator[None]:
    """Say of whatever pydicom and its decoders raise that the file is broken."""
    with reading(name, "a DICOM file", "copy it again, or export it again without protection"):
        yield


def is_dicom(file: Path) -> bool:
    """Whether a file bears the DICOM mark."""
    if not file.is_file():
        return False
    with file.open("rb") as content:
        return content.read(132)[128:] == b"DICM"


def read_header(path: Path, name: str) -> Dataset | None:
    """All but the pixels of a DICOM object; None for what does not bear the DICOM mark.

    A `UserError` if it cannot be read whole, or if a file that ends in `.dcm` is no DICOM.
    """
    check_regular(path, name)
    with reading_dicom(name):
        if not is_dicom(path):
            if path.suffix.lower() == ".dcm":
                raise UserError(f"{name}: does not bear the DICOM mark: cut short, or no DICOM; export it again")
            return None
        _check_inflated(path, name)
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        for keyword in _READ:  # pydicom decodes an element when it is asked for, and a file cut within one fails then
            dataset.get(keyword)
        return dataset


def _check_inflated(path: Path, name: str) -> None:
    """Hold a deflated file against the budget piece by piece, since pydicom inflates it whole."""
    with path.open("rb") as file:
        meta = read_partial(file, lambda tag, *_: tag.group > 2).file_meta
        if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            return
    with path.open("rb") as file:
        file.seek(132 + 12 + int(meta.FileMetaInformationGroupLength))  # mark, and the element of the length itself
        inflater, n_bytes = zlib.decompressobj(-zlib.MAX_WBITS), 0
        piece = file.read(2**20)
        while piece and not inflater.eof:
            n_bytes += len(inflater.decompress(piece, 2**24))
            check_budget(name, n_bytes)
            piece = inflater.unconsumed_tail or file.read(2**20)


def kind_of(dataset: Dataset, name: str) -> Kind:
    """What a DICOM object is, by its SOP class, or by its content where it names none.

    "slice" and "localizer" are CT; "beside" is what says that it is CT and holds no slices; "other" are images of
    another modality; "none" is all else. A `UserError` if it is CT cut short.
    """
    sop = str(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID") or "")
    modality = str(dataset.get("Modality") or "")
    if sop == MediaStorageDirectoryStorage:
        return "none"
    if sop.startswith(_NO_SLICES):
        return "beside" if modality == "CT" else "none"
    if not modality or (modality == "CT" and "Rows" not in dataset and (sop in CT_CLASSES or not sop)):
        raise UserError(f"{name}: cut short, its header holds no image; copy it again")
    if sop in CT_CLASSES or not sop:
        if modality != "CT":
            return "other" if "Rows" in dataset else "none"
        types = dataset.get("ImageType") or []
        return "localizer" if "LOCALIZER" in ([types] if isinstance(types, str) else types) else "slice"
    if modality == "CT":
        return "beside"
    return "other" if "Rows" in dataset else "none"


def slice_headers(dataset: Dataset, path: Path, name: str) -> list[SliceHeader]:
    """The checked headers of a CT file: one, or one a frame. A `UserError` names what is wrong."""
    if not is_multi_frame(dataset):
        if dataset.get("NumberOfFrames", 1) not in (None, "", 1):
            raise UserError(
                f"{name}: multi-frame, {dataset.NumberOfFrames} frames without a place of each; export one slice a file"
            )
        return [check_header(dataset, path, name)]
    with reading_dicom(name):
        frames = frame_headers(dataset)
        n_frames = int(dataset.NumberOfFrames)
    if len(frames) != n_frames:
        raise UserError(f"{name}: {n_frames} frames, and {len(frames)} places of frames; export the series again")
    return [check_header(frame, path, f"{name}[{index + 1}]", index) for index, frame in enumerate(frames)]


def check_header(dataset: Dataset, path: Path, name: str, frame: int | None = None) -> SliceHeader:
    """What the header of an axial CT slice says, once that is known to be usable; a `UserError` if it is not."""

    def numbers(keyword: str, n: int) -> tuple[float, ...]:
        try:
            values = tuple(float(v) for v in np.atleast_1d(dataset[keyword].value))
        except (KeyError, TypeError, ValueError, OverflowError):
            values = ()
        if len(values) != n:
            raise UserError(f"{name}: {keyword} missing or unreadable (cut short?); export the series again")
        if not np.all(np.isfinite(values)):
            raise UserError(f"{name}: {keyword} is not finite; export the series again")
        return values

    shape = int(numbers("Rows", 1)[0]), int(numbers("Columns", 1)[0])
    if min(shape) < 1:
        raise UserError(f"{name}: {shape[0]} × {shape[1]} pixels; must be 1 × 1 at least: export the series again")
    if (pixels := dataset.get("PhotometricInterpretation")) != "MONOCHROME2":
        raise UserError(f"{name}: {pixels} pixels, not MONOCHROME2; give the CT slices themselves")
    if str(dataset.get("RescaleType") or "").strip().upper() not in _HU:
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
    return SliceHeader(
        path=path,
        frame=frame,
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
        padding=_declared_padding(dataset),
    )


def _declared_padding(dataset: Dataset) -> tuple[int, int] | None:
    value, limit = dataset.get("PixelPaddingValue"), dataset.get("PixelPaddingRangeLimit")
    if not isinstance(value, int):
        return None
    return value, limit if isinstance(limit, int) else value


@tolerant()
def read_slice_headers(path: Path, frames: Sequence[int | None]) -> list[Dataset]:
    """Headers of slices of one file as classic single-frame CT images have them, without their pixels.

    Parameters
    ----------
    path
        The file of the slices.
    frames
        Which frames of a multi-frame file, from 0; None for a file of one slice.

    Raises
    ------
    UserError
        If the file is gone or cannot be read.
    """
    header = read_header(path, path.name) if path.is_file() else None
    if header is None:
        raise UserError(f"{path.name}: the source file is gone; put it back, its header is needed")
    with reading_dicom(path.name):
        every = frame_headers(header) if is_multi_frame(header) else []
        return [header if frame is None else every[frame] for frame in frames]
