"""The header of a derived slice: what stays of its source's, what goes, and what says how it came about."""

import copy
import warnings
from collections.abc import Iterator
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.sequence import Sequence
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    generate_uid,
)

from taskct import __version__

_OLD_PIXELS = (
    # Values in the old pixels' terms.
    *("SmallestImagePixelValue", "LargestImagePixelValue", "SmallestPixelValueInSeries", "LargestPixelValueInSeries"),
    *("SmallestImagePixelValueInPlane", "LargestImagePixelValueInPlane", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit"),
    *("DoubleFloatPixelPaddingValue", "DoubleFloatPixelPaddingRangeLimit"),
    # What turns stored values into others: the rescale tags do so alone.
    *("RealWorldValueMappingSequence", "ModalityLUTSequence", "RescaleType", "LUTExplanation"),
    # The old pixels themselves, where they lie, a picture of them, and what is signed with them.
    *("FloatPixelData", "DoubleFloatPixelData", "PixelDataProviderURL", "IconImageSequence", "DataSetTrailingPadding"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths", "EncapsulatedPixelDataValueTotalLength"),
    *("DigitalSignaturesSequence", "MACParametersSequence", "EncryptedAttributesSequence"),
    # Of the source instance alone.
    *("SourceImageSequence", "InstanceCreationDate", "InstanceCreationTime"),
)
"""Keywords of what described the old pixels and would be wrong of the new ones; what has to be is written anew."""

_DOSE_NUMBERS = (
    *("CTDIvol", "Exposure", "ExposureInuAs", "ExposureInmAs"),
    *("XRayTubeCurrent", "XRayTubeCurrentInuA", "XRayTubeCurrentInmA"),
)
"""Proportional to the dose of a scan at the same voltage and time."""

_DOSE_REPORTS = (
    "EstimatedDoseSaving",
    "ExposureDoseSequence",
    "EntranceDose",
    "EntranceDoseInmGy",
    "CommentsOnRadiationDose",
)
"""Of the scan that was made; there is no factor for them."""

_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K)
_WORD_BYTES = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}
_SERIES_STEP = 1000
"""Added to the SeriesNumber, so that a derived series stands behind those of the scanner."""


def derive_header(header: Dataset, *, strip_private: bool, dose_fraction: float | None) -> Dataset:
    """The header of a slice derived from another, without pixels, UIDs and rescaling, in explicit little endian.

    Parameters
    ----------
    header
        Of the source, as :func:`~taskct.io.dicom_header.read_slice_headers` gives it. It is changed.
    strip_private
        Whether private elements go.
    dose_fraction
        Of the source's dose, in (0, 1), for a simulated lower dose; None where the dose stays.
    """
    syntax = header.file_meta.TransferSyntaxUID
    if strip_private:
        header.remove_private_tags()
    dataset = Dataset()  # anew, since the one read is tied to the encoding it was read in
    n_lost = 0
    for tag in list(header.keys()):
        if tag.group in (0, 2, *_embedded_overlays(header)) or tag in _TAGS:  # 0 and 2 belong to no data set
            continue
        try:
            element = copy.copy(header[tag])  # frames of one file share theirs
            _swap(element, big_endian=syntax == ExplicitVRBigEndian)
            buffer = DicomBytesIO()
            buffer.is_little_endian, buffer.is_implicit_VR = True, False
            write_data_element(buffer, element)
        except Exception:  # a damaged element raises all kinds of errors, and is none that anything here needs
            n_lost += 1
            continue
        dataset.add(element)
    if n_lost:
        warnings.warn(f"{n_lost} damaged elements of a source header are left out of the derived one", stacklevel=2)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    _refer(dataset, header)
    put(dataset, "SOPClassUID", CTImageStorage)
    types = dataset.get("ImageType") or []
    later = [] if isinstance(types, str) else list(types)[2:]
    put(dataset, "ImageType", ["DERIVED", "SECONDARY", *(later or ["AXIAL"])])
    if syntax in _LOSSY:
        put(dataset, "LossyImageCompression", "01")  # once lossy, always lossy
    if dose_fraction is not None:
        _scale_dose(dataset, dose_fraction)
    return dataset


def describe(dataset: Dataset, description: str, *, series_uid: str, study_uid: str) -> None:
    """Say in a derived header which series it belongs to, and what it was made by."""
    put(dataset, "SeriesDescription", description)
    put(dataset, "SeriesInstanceUID", series_uid)
    put(dataset, "StudyInstanceUID", study_uid)
    put(dataset, "SOPInstanceUID", generate_uid())
    number = dataset.get("SeriesNumber")
    # An IS holds 12 characters; a number that is none counts as none.
    before = int(number) if isinstance(number, int) and 0 <= number < 10**9 else 0
    put(dataset, "SeriesNumber", before + _SERIES_STEP)
    put(dataset, "DerivationDescription", f"{description} (taskct {__version__})")
    equipment = Dataset()
    equipment.Manufacturer = equipment.ManufacturerModelName = "taskct"
    equipment.SoftwareVersions = __version__
    equipment.ContributionDescription = description
    equipment.PurposeOfReferenceCodeSequence = [_code("109103", "Modifying Equipment")]
    earlier = dataset.get("ContributingEquipmentSequence")
    put(dataset, "ContributingEquipmentSequence", [*(earlier if isinstance(earlier, Sequence) else []), equipment])


def put(dataset: Dataset, keyword: str, value: object) -> None:
    """Set an element anew: the one that a source held may have a VR that the value does not suit."""
    if keyword in dataset:
        delattr(dataset, keyword)
    setattr(dataset, keyword, value)


def study_uid(header: Dataset, patient_key: str) -> str:
    """The study of whatever is derived from a slice: its own, or for a source without one the same each time."""
    if uid := str(header.get("StudyInstanceUID") or ""):
        return uid
    told = [str(header.get(keyword) or "") for keyword in ("StudyID", "StudyDate", "StudyTime", "FrameOfReferenceUID")]
    return str(generate_uid(entropy_srcs=["taskct study", patient_key, *told]))


def _refer(dataset: Dataset, header: Dataset) -> None:
    if not (uid := header.get("SOPInstanceUID")):
        return
    item = Dataset()
    meta = header.file_meta
    item.ReferencedSOPClassUID = meta.get("MediaStorageSOPClassUID") or header.get("SOPClassUID") or CTImageStorage
    item.ReferencedSOPInstanceUID = uid
    if item.ReferencedSOPClassUID != CTImageStorage:
        item.ReferencedFrameNumber = header.get("InstanceNumber") or 1
    item.PurposeOfReferenceCodeSequence = [_code("121322", "Source image for image processing operation")]
    dataset.SourceImageSequence = [item]


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


def _embedded_overlays(header: Dataset) -> set[int]:
    """Groups of overlays that lie in unused bits of the old pixels, where there are none any more."""
    return {group for group in range(0x6000, 0x6020, 2) if (group, 0x0010) in header and (group, 0x3000) not in header}


def _swap(element: Any, *, big_endian: bool) -> None:  # noqa: ANN401 - pydicom's elements are untyped
    """Turn words that pydicom keeps as the file's bytes into little endian, in sequences too."""
    if not big_endian:
        return
    for one in _elements(element):
        size = _WORD_BYTES.get(one.VR)
        if size and isinstance(one.value, bytes):
            words = memoryview(one.value)
            one.value = b"".join(bytes(words[start : start + size])[::-1] for start in range(0, len(words), size))


def _elements(element: Any) -> Iterator[Any]:  # noqa: ANN401 - as above
    yield element
    if element.VR == "SQ":
        for item in element.value:
            for inner in item:
                yield from _elements(inner)


def _scale_dose(dataset: Dataset, dose_fraction: float) -> None:
    for keyword in _DOSE_NUMBERS:
        if keyword not in dataset or dataset[keyword].value in (None, ""):
            continue
        element = dataset[keyword]
        try:
            scaled = float(element.value) * dose_fraction
        except (TypeError, ValueError):
            scaled = 0.0
        if (element.VR == "IS" and round(scaled) < 1) or not scaled > 0.0:
            delattr(dataset, keyword)  # no number, or a whole one that would tell of no dose at all
        elif element.VR == "IS":
            element.value = round(scaled)
        else:
            element.value = f"{scaled:.10g}" if element.VR == "DS" else scaled
    for keyword in _DOSE_REPORTS:
        if keyword in dataset:
            delattr(dataset, keyword)


_TAGS = {tag_for_keyword(keyword) for keyword in (*_OLD_PIXELS, "PixelData")}
