"""Write a CT series: arrays in HU and the headers they were made from on one side, DICOM files on the other."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds

from taskct.errors import UserError
from taskct.files import whole_file, whole_folder
from taskct.io.dicom import CTSeries
from taskct.io.dicom_header import read_header, tolerant
from taskct.io.dicom_layout import layout_of

_STORED_MAX, _STORED_PADDING = 32767, -32768  # of signed 16-bit pixels; images keep within ±32767

SLICE = (".dcm", ".dicom", ".ima")
"""Endings of a file that holds one slice."""


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
        As for `check_free`.
    description
        Series description, 1 to 64 printable characters, no backslash.

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
    check_free(out, single=len(image_hu) == 1)
    layout, series_uid, study_uid = layout_of(source.orientation), generate_uid(), generate_uid()

    def save(file: Path, index: int) -> None:
        image, padding = layout.to_stored(image_hu[index]), layout.to_stored(source.padding[index])
        dataset = _derive(source.paths[index], image, padding)
        dataset.SeriesDescription, dataset.SeriesInstanceUID = description, series_uid
        dataset.StudyInstanceUID = dataset.get("StudyInstanceUID") or study_uid
        dataset.save_as(file, enforce_file_format=True)

    names = [f"slice_{number:04d}.dcm" for number in range(1, len(image_hu) + 1)]
    try:
        if is_slice(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(out) as partial:
                save(partial, 0)
            return [out]
        with whole_folder(out) as folder:
            for index, name in enumerate(names):
                save(folder / name, index)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}); choose another place") from error
    return [out / name for name in names]


def _derive(path: Path, image_hu: NDArray[np.floating], padding: NDArray[np.bool_]) -> Dataset:
    """Make the header at `path` that of a derived slice with these pixels, laid out as in the source."""
    header = read_header(path, path.name) if path.is_file() else None
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
