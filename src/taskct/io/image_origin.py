"""Where an image comes from, as far as its file tells: what makes images one case, and pairs them with others."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from pydicom.dataset import Dataset

from taskct.io.dicom_header import read_object, reading_dicom, tolerant

ENDINGS = (".nii.gz", ".npy", ".zarr", ".tif", ".tiff", ".png", ".dcm", ".nii", ".mhd", ".mha", ".nrrd", ".nhdr")
"""Of file names, which tell the kind of an image and not which one it is."""


@dataclass(frozen=True)
class Scan:
    """What a DICOM header says of where a slice comes from; UIDs as digests, so that none is shown."""

    image: str
    """Of the SOPInstanceUID; empty where there is none, here and below."""
    series: str
    """Of the SeriesInstanceUID."""
    acquisition: str
    """Of the IrradiationEventUID or AcquisitionUID, else of the StudyInstanceUID with the AcquisitionNumber: the same
    in every series that was reconstructed from one acquisition."""
    acquisition_number: int | None
    """AcquisitionNumber."""
    instance_number: int | None
    """InstanceNumber."""
    position: tuple[float, ...]
    """ImagePositionPatient, mm, rounded to 0.01 mm; empty where there is none."""


@dataclass(frozen=True)
class Origin:
    """Where one image comes from."""

    folder: str
    """Sub-folder of its file, relative to the folder that was read; empty at its top."""
    name: str
    """Its file, relative to the folder that was read, without an ending of `ENDINGS`."""
    number: int | None
    """In a file that holds several, from 0; else None."""
    scan: Scan | None
    """For DICOM."""


def origins_of(name: str, n_images: int, scan: Scan | None) -> list[Origin]:
    """Origins of the images of one file, whose name is relative to the folder that is read.

    Examples
    --------
    >>> origins_of("scan 1/7.npy", 1, None)
    [Origin(folder='scan 1', name='scan 1/7', number=None, scan=None)]
    """
    path = PurePosixPath(name)
    ending = next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), "")
    bare = str(path)[: len(str(path)) - len(ending)]
    folder = "" if str(path.parent) == "." else str(path.parent)
    numbers: Sequence[int | None] = [None] if n_images == 1 else range(n_images)
    return [Origin(folder, bare, number, scan) for number in numbers]


@tolerant()
def read_scan(path: Path) -> Scan:
    """Read where a DICOM slice comes from; a `UserError` if the file cannot be read."""
    with reading_dicom(path.name):
        return _scan(read_object(path, path.name, pixels=False))


def _scan(header: Dataset) -> Scan:
    event = _text(header, "IrradiationEventUID") or _text(header, "AcquisitionUID")
    study, number = _text(header, "StudyInstanceUID"), _whole(header, "AcquisitionNumber")
    if not event and study and number is not None:
        event = f"{study} {number}"
    return Scan(
        image=_digest(_text(header, "SOPInstanceUID")),
        series=_digest(_text(header, "SeriesInstanceUID")),
        acquisition=_digest(event),
        acquisition_number=number,
        instance_number=_whole(header, "InstanceNumber"),
        position=_position(header),
    )


def _text(header: Dataset, keyword: str) -> str:
    value = header.get(keyword)
    if value is not None and not isinstance(value, str):  # several where one belongs
        value = " ".join(map(str, value))
    return (value or "").strip()


def _whole(header: Dataset, keyword: str) -> int | None:
    try:
        return int(header[keyword].value)
    except (KeyError, TypeError, ValueError):
        return None


def _position(header: Dataset) -> tuple[float, ...]:
    try:
        position = [round(float(v), 2) + 0.0 for v in np.atleast_1d(header["ImagePositionPatient"].value)]
    except (KeyError, TypeError, ValueError):
        return ()
    return tuple(position) if np.all(np.isfinite(position)) else ()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16] if text else ""
