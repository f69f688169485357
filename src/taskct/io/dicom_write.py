"""Write a CT series: arrays in HU and the headers they were made from on one side, DICOM files on the other."""

from collections.abc import Iterable, Iterator, Sequence
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
from taskct.io.dicom_header import SliceHeader, check_header, read_slice_headers, tolerant
from taskct.io.dicom_layout import layout_of
from taskct.io.dicom_pixels import SlicePixels, padding_range, read_stored

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
    layout, extent = layout_of(source.orientation), Extent()
    headers = _headers_of(source)
    padding_hu = []
    for image, padding, hu in zip(image_hu, source.padding, _padding_hu(headers, source), strict=True):
        padding_hu.append(hu)
        extent.add(image, padding, hu)
    slices = (
        SlicePixels(layout.to_stored(image), layout.to_stored(padding), hu)
        for image, padding, hu in zip(image_hu, source.padding, padding_hu, strict=True)
    )
    return write_slices(slices, headers, extent, out, made, patient_key=source.patient_key)


class Extent:
    """From where to where the values of a series go, HU, found slice by slice."""

    def __init__(self) -> None:
        self.tissue_hu: tuple[float, float] | None = None
        """Lowest and highest where nothing is padded; None where all is."""
        self.padding_hu: tuple[float, float] | None = None
        """The same of what the source stores as padding."""

    def add(self, image_hu: NDArray[np.floating], padding: NDArray[np.bool_], padding_hu: NDArray[np.float64]) -> None:
        """Take one slice in, and where it is padded, both in the same layout."""
        if not padding.all():
            inside = ~padding
            low, high = image_hu.min(where=inside, initial=np.inf), image_hu.max(where=inside, initial=-np.inf)
            self.tissue_hu = _wider(self.tissue_hu, float(low), float(high))
        if padding_hu.size:
            self.padding_hu = _wider(self.padding_hu, float(padding_hu.min()), float(padding_hu.max()))


def _wider(span: tuple[float, float] | None, low: float, high: float) -> tuple[float, float]:
    return (low, high) if span is None else (min(span[0], low), max(span[1], high))


@tolerant()
def write_slices(
    slices: Iterable[SlicePixels],
    headers: Sequence[SliceHeader],
    extent: Extent,
    out: Path,
    made: Derivation,
    *,
    patient_key: str,
) -> list[Path]:
    """Write a derived series as `write_series` does, slice by slice, so that no more than one is in memory.

    Parameters
    ----------
    slices
        New pixels of each slice as its file lays them out, and what its source stores as padding; read once.
    headers
        Of their sources, in the same order; the files must still be there.
    extent
        From where to where the values of all slices go.
    out, made
        As for `write_series`.
    patient_key
        Of the source; names the study of one that names none.
    """
    out = Path(out)
    check_free(out, single=len(headers) == 1)
    datasets = _derived(slices, headers, _encoding(headers, extent), made, patient_key)
    try:
        if is_slice(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(out) as partial:
                next(datasets).save_as(partial, enforce_file_format=True, overwrite=True)
            return [out]
        names = [f"slice_{number:04d}.dcm" for number in range(1, len(headers) + 1)]
        with whole_folder(out) as folder:
            for name, dataset in zip(names, datasets, strict=True):
                dataset.save_as(folder / name, enforce_file_format=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}); choose another place") from error
    return [out / name for name in names]


def _derived(
    slices: Iterable[SlicePixels],
    headers: Sequence[SliceHeader],
    encoding: Encoding,
    made: Derivation,
    patient_key: str,
) -> Iterator[Dataset]:
    """The slices of a derived series, one after the other, whole."""
    series_uid = generate_uid()
    named = next((one for one in headers if one.study_uid), headers[0])
    study = study_uid(read_slice_headers(named.path, [named.frame])[0], patient_key)
    for told, source, pixels in zip(headers, _read_again(headers), slices, strict=True):
        dataset = derive_header(source, strip_private=made.strip_private, dose_fraction=made.dose_fraction)
        describe(dataset, made.description, series_uid=series_uid, study_uid=study)
        _put_pixels(dataset, pixels, told, encoding)
        yield dataset


def _read_again(headers: Iterable[SliceHeader]) -> Iterator[Dataset]:
    """The whole headers of slices; those of one file that follow each other are read together."""
    for path, group in groupby(headers, key=lambda header: header.path):
        yield from read_slice_headers(path, [header.frame for header in group])


def _headers_of(source: CTSeries) -> list[SliceHeader]:
    """The checked headers of a series that was read."""
    found = []
    for path, group in groupby(zip(source.paths, source.frames, strict=True), key=lambda pair: pair[0]):
        frames = [frame for _, frame in group]
        read = read_slice_headers(path, frames)
        found += [check_header(header, path, path.name, frame) for header, frame in zip(read, frames, strict=True)]
    return found


def _padding_hu(headers: Sequence[SliceHeader], source: CTSeries) -> Iterator[NDArray[np.float64]]:
    """HU that the files of a series store where it is padded, slice by slice; files without padding are not read."""
    layout, paddings = layout_of(source.orientation), iter(source.padding)
    for _, group in groupby(headers, key=lambda header: header.path):
        stored = None
        for told in group:
            padding = layout.to_stored(next(paddings))
            if not padding.any():
                yield np.empty(0)
                continue
            stored = read_stored(told) if stored is None else stored
            yield told.hu((stored if told.frame is None else stored[told.frame])[padding])


def _declared_hu(told: SliceHeader) -> NDArray[np.float64] | None:
    """First and last HU that a header declares as padding; None where it declares none."""
    if told.padding is None:
        return None
    return told.hu(padding_range(told.padding, SIGNED if told.signed else UNSIGNED))


def _encoding(headers: Sequence[SliceHeader], extent: Extent) -> Encoding:
    """One encoding for all slices: the finest slope and the lowest intercept of the source, if the values fit."""
    slope, intercept = min(one.slope for one in headers), min(one.intercept for one in headers)
    padding = extent.padding_hu
    for told in headers:
        if (declared := _declared_hu(told)) is not None:
            padding = _wider(padding, float(declared.min()), float(declared.max()))
    return choose_encoding(
        Encoding(slope, intercept, SIGNED if headers[0].signed else UNSIGNED),
        extent.tissue_hu or (intercept, intercept),  # nothing but padding
        padding,
    )


def _put_pixels(dataset: Dataset, pixels: SlicePixels, told: SliceHeader, encoding: Encoding) -> None:
    stored = encoding.stored(pixels.image_hu)
    declared = None
    if (declared_hu := _declared_hu(told)) is not None:
        declared = sorted(int(value) for value in encoding.clipped(declared_hu))
        stored = avoid(stored, declared[0], declared[1], encoding.dtype)
    if pixels.padding.any():
        stored[pixels.padding] = encoding.clipped(pixels.padding_hu)
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
