"""Write simulated images as new CT series, with what scanners, archives and vendors' software ask of a header."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds

from taskct import __version__
from taskct.errors import UserError
from taskct.io.dicom_encoding import SIGNED, Encoding

INTERCEPT_HU = -1024.0
"""Of what a stored 0 stands for, as on most scanners."""

SPACING_MM = 10.0
"""From one slice to the next: so far apart that nobody takes them for neighbours in a volume."""


@dataclass(frozen=True)
class ScanDescription:
    """What the headers say of a simulated scan."""

    identity: str
    """Of the patient and the study: letters and digits, no more than 10."""
    study_uid: str
    date: str
    """YYYYMMDD."""
    pixel_mm: float
    slice_mm: float
    """Thickness, mm, above 0."""
    kvp: float
    kernel: str
    field_of_view_mm: float
    source_isocenter_mm: float
    source_detector_mm: float
    exposure_mas: float | None
    """None where the study does not say it."""


@dataclass(frozen=True)
class NewSeries:
    """One series: its UIDs, and the name and UID of each of its slices in order."""

    name: str
    number: int
    """From 1."""
    uid: str
    frame_uid: str
    """FrameOfReferenceUID: of its own, so that a position and it tell one slice of a study."""
    slices: tuple[tuple[str, str], ...]
    """Name of the file without its ending, and SOPInstanceUID."""


def position_mm(place: int) -> float:
    """Where slice `place` of a series lies, from 0, mm."""
    return SPACING_MM * place


def new_uid(*parts: str) -> str:
    """A UID that the same parts give again."""
    return str(generate_uid(entropy_srcs=list(parts)))


def simulated_encoding(step_hu: float, low_hu: float, high_hu: float) -> Encoding:
    """How HU from the lowest to the highest are stored in 16 bits, signed, in steps of `step_hu`.

    Raises
    ------
    UserError
        If they do not fit.

    Examples
    --------
    >>> simulated_encoding(1.0, -1000.0, 3000.0).slope
    1.0
    """
    encoding = Encoding(float(format_number_as_ds(step_hu)), INTERCEPT_HU, SIGNED)
    if not encoding.holds(low_hu, high_hu):
        least = max(high_hu - INTERCEPT_HU, INTERCEPT_HU - low_hu) / np.iinfo(SIGNED).max
        raise UserError(
            f"HU from {low_hu:.0f} to {high_hu:.0f} do not fit into 16 bits in steps of {step_hu:g} HU: give "
            f"--step-hu {np.ceil(least * 1000) / 1000:g} or more"
        )
    return encoding


def write_simulated(
    images_hu: Iterator[NDArray[np.float32]],
    series: NewSeries,
    scan: ScanDescription,
    encoding: Encoding,
    folder: Path,
) -> list[Path]:
    """Write a series of square slices into a folder, which is made, a file a slice; give the files in order.

    Slices lie `SPACING_MM` apart along the axis and are centred on it. Each is a CT Image of its own, signed 16 bit,
    uncompressed. `encoding` must hold all their values.
    """
    folder.mkdir(parents=True)
    template, written = _template(series, scan, encoding), []
    for place, ((name, uid), image_hu) in enumerate(zip(series.slices, images_hu, strict=True)):
        half = [-(n - 1) / 2.0 * scan.pixel_mm for n in image_hu.shape]
        z = position_mm(place)
        template.file_meta.MediaStorageSOPInstanceUID = template.SOPInstanceUID = UID(uid)
        template.InstanceNumber = place + 1
        template.ImagePositionPatient = [format_number_as_ds(value) for value in (half[1], half[0], z)]
        template.SliceLocation = format_number_as_ds(z)
        template.set_pixel_data(
            encoding.clipped(image_hu).astype(SIGNED), "MONOCHROME2", 16, generate_instance_uid=False
        )
        written.append(folder / f"{name}.dcm")
        template.save_as(written[-1], enforce_file_format=True)
    return written


def _template(series: NewSeries, scan: ScanDescription, encoding: Encoding) -> Dataset:
    """All of a slice that is the same in its series: the modules of the CT Image IOD, PS3.3 A.3."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    elements: dict[str, object] = {
        # Patient and study: nobody.
        "PatientName": f"TASKCT^{scan.identity}",
        "PatientID": f"TASKCT-{scan.identity}",
        "PatientBirthDate": "",
        "PatientSex": "O",
        "StudyInstanceUID": scan.study_uid,
        "StudyID": scan.identity,
        "StudyDate": scan.date,
        "StudyTime": "120000",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "StudyDescription": "taskct simulated low dose",
        # Series, frame of reference, equipment.
        "Modality": "CT",
        "SeriesInstanceUID": series.uid,
        "SeriesNumber": series.number,
        "SeriesDate": scan.date,
        "SeriesTime": "120000",
        "SeriesDescription": f"low dose {series.name}",
        "ProtocolName": series.name,
        "BodyPartExamined": "ABDOMEN",
        "PatientPosition": "HFS",
        "FrameOfReferenceUID": series.frame_uid,
        "PositionReferenceIndicator": "",
        "Manufacturer": "taskct",
        "ManufacturerModelName": "simulated CT",
        "SoftwareVersions": __version__,
        # Image and acquisition.
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "AcquisitionNumber": 1,
        "AcquisitionDate": scan.date,
        "AcquisitionTime": "120000",
        "ContentDate": scan.date,
        "ContentTime": "120000",
        "ImageComments": "simulated",
        "BurnedInAnnotation": "NO",
        "QualityControlSubject": "YES",
        "LossyImageCompression": "00",
        "PixelSpacing": [format_number_as_ds(scan.pixel_mm)] * 2,
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "SliceThickness": format_number_as_ds(scan.slice_mm),
        "SpacingBetweenSlices": format_number_as_ds(SPACING_MM),
        "KVP": format_number_as_ds(scan.kvp),
        "ConvolutionKernel": scan.kernel.upper(),
        "ReconstructionDiameter": format_number_as_ds(scan.field_of_view_mm),
        "DataCollectionDiameter": format_number_as_ds(scan.field_of_view_mm),
        "DistanceSourceToDetector": format_number_as_ds(scan.source_detector_mm),
        "DistanceSourceToPatient": format_number_as_ds(scan.source_isocenter_mm),
        "GantryDetectorTilt": "0",
        "TableHeight": "0",
        "RotationDirection": "CW",
        "ScanOptions": "AXIAL MODE",
        "WindowCenter": "40",
        "WindowWidth": "400",
        "RescaleIntercept": format_number_as_ds(encoding.intercept),
        "RescaleSlope": format_number_as_ds(encoding.slope),
        "RescaleType": "HU",
    }
    if scan.exposure_mas is not None:
        elements["Exposure"] = max(round(scan.exposure_mas), 1)
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset
