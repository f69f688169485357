"""Where an image comes from, as far as its file tells: what makes images one case, and pairs them with others."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np
from pydicom.dataset import Dataset

from taskct.io.dicom_header import read_slice_headers, reading_dicom, tolerant

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
    volume: bool = field(default=False, repr=False)
    """Whether its file is one of several that hold a volume each, of a kind that keeps scans so."""


def origins_of(name: str, n_images: int, scan: Scan | Sequence[Scan] | None, *, volume: bool = False) -> list[Origin]:
    """Origins of the images of one file, whose name is relative to the folder that is read; one scan of all or of each.

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
    scans = [scan] * n_images if scan is None or isinstance(scan, Scan) else scan
    return [Origin(folder, bare, number, one, volume) for number, one in zip(numbers, scans, strict=True)]


@tolerant()
def read_scans(path: Path, frames: Sequence[int | None]) -> list[Scan]:
    """Read where slices of one file come from, `frames` as `read_slice_headers` takes them.

    Frames of one file share its SOPInstanceUID, which then names none of them; they are told apart by position.
    """
    with reading_dicom(path.name):
        scans = [_scan(header) for header in read_slice_headers(path, frames)]
    return scans if len(scans) == 1 else [replace(scan, image="") for scan in scans]


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
