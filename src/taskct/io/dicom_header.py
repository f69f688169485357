"""Headers of CT slices: which files hold some, and what a header must say before its pixels are read."""

import io
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
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
"""SOP classes, with those below them, of what lies beside slices, whatever modality it names."""

Kind = Literal["slice", "localizer", "beside", "other", "none"]

_PATIENT_TAGS = ("PatientID", "FrameOfReferenceUID", "StudyInstanceUID")
_READ = (  # what is asked of a header
    *_PATIENT_TAGS,
    *("PatientName", "Modality", "ImageType", "SeriesInstanceUID", "NumberOfFrames", "Rows", "Columns", "SOPClassUID"),
    *("PhotometricInterpretation", "PixelPaddingValue", "PixelPaddingRangeLimit", "BitsAllocated", "SamplesPerPixel"),
    "PixelRepresentation",
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
    signed: bool
    """Whether stored values are."""
    study_uid: str
    padding: tuple[int, int] | None
    """First and last stored value that is declared as padding, before any wrap."""

    def hu(self, stored: NDArray[np.generic]) -> NDArray[np.float64]:
        """What stored values stand for, HU."""
        return stored.astype(np.float64) * self.slope + self.intercept


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
        dataset = read_object(path, name, pixels=False)
        for keyword in _READ:  # pydicom decodes an element when it is asked for, and a file cut within one fails then
            dataset.get(keyword)
        return dataset


def read_object(path: Path, name: str, *, pixels: bool) -> Dataset:
    """A DICOM object within the budget, with or without its pixels.

    What pydicom raises on a broken file is passed on; `reading_dicom` makes it one line.
    """
    check_budget(name, path.stat().st_size)
    deflated = read_file_meta_info(path).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
    return pydicom.dcmread(_inflated(path, name) if deflated else path, stop_before_pixels=not pixels)


def _inflated(path: Path, name: str) -> io.BytesIO:
    """A deflated file as one that is not, inflated piece by piece: pydicom inflates it whole, whatever its size."""
    content = io.BytesIO()
    with path.open("rb") as file:
        file.seek(132)  # after the DICOM mark
        meta = read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, *_: tag >> 16 != 2)
        plain = Dataset()
        plain.file_meta = FileMetaDataset(meta)
        plain.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        plain.preamble = bytes(128)
        pydicom.dcmwrite(content, plain)
        inflater, piece = zlib.decompressobj(-zlib.MAX_WBITS), file.read(2**20)
        while piece and not inflater.eof:
            content.write(inflater.decompress(piece, 2**24))
            check_budget(name, content.tell())
            piece = inflater.unconsumed_tail or file.read(2**20)
    if not inflater.eof:
        raise EOFError("the deflated stream is cut")
    content.seek(0)
    return content


def kind_of(dataset: Dataset, name: str) -> Kind:
    """What a DICOM object is, by its SOP class, or by its content where it names none.

    "slice" and "localizer" are CT; "beside" is what says that it is CT and holds no slices; "other" are images of
    another modality; "none" is all else. A `UserError` if it is CT cut short.
    """
    sop = str(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID") or "")
    modality = str(dataset.get("Modality") or "")
    if sop == MediaStorageDirectoryStorage:
        return "none"
    if f"{sop}.".startswith(tuple(f"{beside}." for beside in _NO_SLICES)):
        return "beside" if modality == "CT" else "none"
    is_ct = sop in CT_CLASSES or not sop
    is_known = not is_ct and UID(sop).type == "SOP Class"  # a UID that was cut is none
    if (not modality and not is_known) or (modality == "CT" and is_ct and "Rows" not in dataset):
        raise UserError(f"{name}: cut short, its header holds no image; copy it again")
    if is_ct:
        if modality != "CT":
            return "other" if "Rows" in dataset else "none"
        return "localizer" if "LOCALIZER" in np.atleast_1d(dataset.get("ImageType") or "").tolist() else "slice"
    if modality == "CT":
        return "beside"
    return "other" if "Rows" in dataset else "none"


def slice_headers(dataset: Dataset, path: Path, name: str) -> list[SliceHeader]:
    """The checked headers of a CT file: one, or one a frame. A `UserError` names what is wrong."""
    with reading_dicom(name):
        if not is_multi_frame(dataset):
            if dataset.get("NumberOfFrames", 1) not in (None, "", 1):
                raise UserError(
                    f"{name}: multi-frame, {dataset.NumberOfFrames} frames without a place of each; export one slice a "
                    "file"
                )
            return [check_header(dataset, path, name)]
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
        signed=bool(dataset.get("PixelRepresentation")),
        study_uid=str(dataset.get("StudyInstanceUID") or ""),
        padding=_declared_padding(dataset, name),
    )


def _declared_padding(dataset: Dataset, name: str) -> tuple[int, int] | None:
    if (value := _whole_number(dataset, "PixelPaddingValue", name)) is None:
        return None
    limit = _whole_number(dataset, "PixelPaddingRangeLimit", name)
    return value, value if limit is None else limit


def _whole_number(dataset: Dataset, keyword: str, name: str) -> int | None:
    """A whole number, whatever its VR; None where there is none."""
    value = dataset.get(keyword)
    if value is None or value == "":
        return None
    try:
        return int(value if isinstance(value, int) else Decimal(str(value).strip()).to_integral_exact())
    except (ArithmeticError, ValueError) as error:
        raise UserError(f"{name}: {keyword} is no whole number; export the series again") from error


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
