"""Write a CT series: arrays in HU and the headers they were made from on one side, DICOM files on the other."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pydicom.valuerep import format_number_as_ds

from taskct.errors import UserError
from taskct.files import whole_file, whole_folder
from taskct.io.dicom import CTSeries
from taskct.io.dicom_derive import derive_header, describe, put, study_uid
from taskct.io.dicom_encoding import SIGNED, UNSIGNED, Encoding, avoid, choose_encoding
from taskct.io.dicom_header import check_header, read_slice_headers, tolerant
from taskct.io.dicom_layout import layout_of
from taskct.io.dicom_pixels import padding_range, read_stored

_PIXEL_MODULE = (
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "PlanarConfiguration"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
)

SLICE = (".dcm", ".dicom", ".ima")
"""Endings of a file that holds one slice."""


@dataclass(frozen=True)
class Derivation:
    """How a series was made from another."""

    description: str
    """Becomes the series description: 1 to 64 printable characters, no backslash."""
    strip_private: bool = False
    """Whether private elements of the headers go. They may tell who the patient is, or of the old pixels."""
    dose_fraction: float | None = None
    """Of the source's dose, in (0, 1), for a simulated lower dose: the tags of dose are scaled, or go where nothing is
    known of them. None where the dose stays."""

    def __post_init__(self) -> None:
        text = self.description
        if not 1 <= len(text) <= 64 or "\\" in text or not text.isprintable():
            raise UserError("series description: must be 1 to 64 printable characters, no backslash; change it")


def is_slice(out: Path) -> bool:
    """Whether an output is a file for one slice, by its ending, and no folder for a series."""
    return out.suffix.lower() in SLICE and not out.is_dir()


def check_free(out: Path, *, single: bool) -> None:
    """Refuse an output that something stands in, or that cannot hold what is to be written: one slice or a series."""
    if is_slice(out):
        if not single:
            raise UserError(f"{out}: a series needs a folder, and this is the name of a file; choose a folder")
        if out.exists():
            raise UserError(f"{out}: exists; choose another output, nothing is overwritten")
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: exists and is not an empty folder; choose another or remove it")


@tolerant()
def write_series(
    image_hu: NDArray[np.floating], source: CTSeries, out: Path, derivation: Derivation | str
) -> list[Path]:
    """Write images derived from a series as a new series, whole or not at all.

    Slices keep their source's header and layout, less what described the old pixels. They are marked as derived, refer
    to their sources, and get new series and instance UIDs and a series number of 1000 more. Pixels become 16 bit,
    uncompressed, with one rescale slope and intercept for the whole series: the source's where the values fit. Padding
    keeps its stored value where it fits. Patient, study and dates stay: the series is not de-identified.

    Parameters
    ----------
    image_hu
        HU, finite, shape of `source.image_hu`; rounded to the nearest stored value. What lies on padding does not
        matter.
    source
        The series it was made from; its files must still be there.
    out
        As for `check_free`.
    derivation
        How it was made, or the series description alone.

    Raises
    ------
    UserError
        If `out` holds something or cannot be written, a source file is gone, or the description does not fit.
    ValueError
        If the shape is not the source's or a value is not finite.
    """
    if image_hu.shape != source.image_hu.shape or not np.all(np.isfinite(image_hu)):
        raise ValueError(f"image_hu {image_hu.shape} must be finite, of shape {source.image_hu.shape}")
    made = Derivation(derivation) if isinstance(derivation, str) else derivation
    out = Path(out)
    check_free(out, single=len(image_hu) == 1)
    names = [f"slice_{number:04d}.dcm" for number in range(1, len(image_hu) + 1)]
    slices = _derived(image_hu, source, made)
    try:
        if is_slice(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(out) as partial:
                next(slices).save_as(partial, enforce_file_format=True, overwrite=True)
            return [out]
        with whole_folder(out) as folder:
            for name, dataset in zip(names, slices, strict=True):
                dataset.save_as(folder / name, enforce_file_format=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}); choose another place") from error
    return [out / name for name in names]


def _derived(image_hu: NDArray[np.floating], source: CTSeries, made: Derivation) -> Iterator[Dataset]:
    """The slices of a derived series, one after the other, whole."""
    layout, series_uid = layout_of(source.orientation), generate_uid()
    read = list(_sources(source))
    named = next((one.header for one in read if one.header.get("StudyInstanceUID")), read[0].header)
    study = study_uid(named, source.patient_key)
    encoding = _encoding(image_hu, source, read)
    for index, one in enumerate(read):
        image, padding = layout.to_stored(image_hu[index]), layout.to_stored(source.padding[index])
        dataset = derive_header(one.header, strip_private=made.strip_private, dose_fraction=made.dose_fraction)
        describe(dataset, made.description, series_uid=series_uid, study_uid=study)
        _put_pixels(dataset, image, padding, one, encoding)
        yield dataset


class _Source:
    """A slice of the source: its header, how it stores HU, and its padding."""

    def __init__(self, header: Dataset, path: Path, frame: int | None) -> None:
        self.header = header
        self.told = check_header(header, path, path.name, frame)
        self.frames: NDArray[np.generic] | None = None
        """Of a multi-frame file, stored values of them all, decoded once."""

    def padding_hu(self, padding: NDArray[np.bool_]) -> NDArray[np.float64]:
        """HU that the stored padding stands for, of the pixels that are padding."""
        stored = read_stored(self.told) if self.frames is None else self.frames[self.told.frame or 0]
        return self._hu(stored[padding])

    def declared_hu(self) -> NDArray[np.float64] | None:
        """First and last HU that the header declares as padding; None where it declares none."""
        if self.told.padding is None:
            return None
        dtype = np.dtype(np.int16 if self.header.get("PixelRepresentation") else np.uint16)
        return self._hu(padding_range(self.told.padding, dtype))

    def _hu(self, stored: NDArray[np.generic]) -> NDArray[np.float64]:
        return stored.astype(np.float64) * self.told.slope + self.told.intercept


def _sources(source: CTSeries) -> Iterator[_Source]:
    pairs = zip(source.paths, source.frames, strict=True)
    for path, group in groupby(pairs, key=lambda pair: pair[0]):
        frames = [frame for _, frame in group]
        headers = read_slice_headers(path, frames)
        slices = [_Source(header, path, frame) for header, frame in zip(headers, frames, strict=True)]
        if frames[0] is not None:
            whole = read_stored(slices[0].told)
            for one in slices:
                one.frames = whole
        yield from slices


def _encoding(image_hu: NDArray[np.floating], source: CTSeries, read: list[_Source]) -> Encoding:
    """One encoding for all slices: the finest slope and the lowest intercept of the source, if the values fit."""
    signed = bool(read[0].header.get("PixelRepresentation"))
    slope, intercept = min(one.told.slope for one in read), min(one.told.intercept for one in read)
    inside = ~source.padding
    low = float(image_hu.min(where=inside, initial=np.inf))
    high = float(image_hu.max(where=inside, initial=-np.inf))
    if low > high:  # nothing but padding
        low = high = intercept
    layout = layout_of(source.orientation)
    ends = [one.declared_hu() for one in read]
    ends += [
        one.padding_hu(layout.to_stored(padding))
        for one, padding in zip(read, source.padding, strict=True)
        if padding.any()
    ]
    padding_hu = np.concatenate([hu for hu in ends if hu is not None] or [np.empty(0)])
    return choose_encoding(
        Encoding(slope, intercept, SIGNED if signed else UNSIGNED),
        (low, high),
        (float(padding_hu.min()), float(padding_hu.max())) if padding_hu.size else None,
    )


def _put_pixels(
    dataset: Dataset, image_hu: NDArray[np.floating], padding: NDArray[np.bool_], one: _Source, encoding: Encoding
) -> None:
    stored = encoding.stored(image_hu)
    declared = None
    if (declared_hu := one.declared_hu()) is not None:
        declared = sorted(int(value) for value in encoding.clipped(declared_hu))
        stored = avoid(stored, declared[0], declared[1], encoding.dtype)
    if padding.any():
        stored[padding] = encoding.clipped(one.padding_hu(padding))
    put(dataset, "RescaleSlope", format_number_as_ds(encoding.slope))
    put(dataset, "RescaleIntercept", format_number_as_ds(encoding.intercept))
    put(dataset, "RescaleType", "HU")
    for keyword in _PIXEL_MODULE:  # set_pixel_data writes them, whatever VR the source's had
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.set_pixel_data(stored.astype(encoding.dtype), "MONOCHROME2", 16, generate_instance_uid=False)
    if declared is not None:
        vr = "SS" if encoding.dtype == SIGNED else "US"
        dataset.add_new("PixelPaddingValue", vr, declared[0])
        if declared[1] != declared[0]:
            dataset.add_new("PixelPaddingRangeLimit", vr, declared[1])
