"""Read single-channel TIFF images, right or not at all: byte order, type, compression, ImageJ's calibration."""

import logging
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from tifffile import TiffFile

from taskct.errors import UserError
from taskct.reading import check_budget, check_regular, reading

_LZW, _BLACK_IS_ZERO, _STRAIGHT_LINE = 5, 1, 0
_NO_PREDICTOR, _WITHOUT_PREDICTOR = 1, (1, 32773)  # stored as it is, and PackBits
_UNCALIBRATED = (None, 20)  # ImageJ's number of no function
_BY_PILLOW = ("|u1", "<u2", "<f4")
"""Little-endian types that Pillow unpacks right; tifffile itself needs imagecodecs for LZW."""

logging.getLogger("tifffile").addHandler(logging.NullHandler())
logging.getLogger("tifffile").propagate = False  # what it finds wrong is refused here in one line


def read_tiff(path: Path, name: str) -> NDArray[np.float32]:
    """Images of a TIFF file, `(n, height, width)`, in their order; ImageJ's straight-line calibration is applied.

    Parameters
    ----------
    path, name
        The file, and what messages call it.

    Raises
    ------
    UserError
        In colour, with a palette, or with white as 0; several stacks in one; a calibration that is no straight line; a
        compression without a decoder; broken, cut short, or over the budget; images of several sizes.
    """
    check_regular(path, name)
    with reading(name, "a TIFF image"), TiffFile(path) as file:
        if not file.series:
            raise UserError(f"{name} cannot be read as a TIFF image: it holds none, or is cut short; copy it again")
        parts = [_scaled(_series(path, file, series, name), file, name) for series in file.series]
        if not parts:
            raise ValueError("no image in it")
        if len({part.shape[1:] for part in parts}) != 1:
            raise UserError(f"{name}: its images differ in size; give images of one size")
        return np.concatenate(parts)


def _series(path: Path, file: TiffFile, series: Any, name: str) -> NDArray[Any]:  # noqa: ANN401 - untyped in tifffile
    page = series.keyframe
    if page.samplesperpixel != 1 or "S" in series.axes:
        raise UserError(
            f"{name} is a colour image ({page.samplesperpixel} samples a pixel): give single-channel images"
        )
    if page.photometric != _BLACK_IS_ZERO:
        kind = getattr(page.photometric, "name", page.photometric)
        raise UserError(f"{name} is a TIFF of kind {kind}: give grey images in which 0 is black (MINISBLACK)")
    if page.dtype is None or page.dtype.kind not in "biuf":
        raise UserError(
            f"{name} is a TIFF of {page.bitspersample} bits a pixel, type {page.dtype}: give 8, 16 or 32 bits"
        )
    if not series.axes.endswith("YX") or sum(n > 1 for n in series.shape[:-2]) > 1:
        raise UserError(f"{name} holds several stacks (axes {series.axes}): give one stack of images")
    if page.predictor != _NO_PREDICTOR and page.compression in _WITHOUT_PREDICTOR:
        raise UserError(  # the specification has predictors for LZW alone; libtiff passes over this one, others do not
            f"{name} is a TIFF with a predictor but without LZW or Deflate, which programs read differently: save it "
            "without a predictor"
        )
    check_budget(name, (4 + page.dtype.itemsize) * int(np.prod(series.shape, dtype=object)))
    for start, n_bytes in _segments(series):
        if not start or not n_bytes or start + n_bytes > path.stat().st_size:
            raise UserError(f"{name} cannot be read as a TIFF image: it is cut short; copy it again")
    if page.compression == _LZW and find_spec("imagecodecs") is None:
        return _by_pillow(path, file, page, name)
    try:
        images = series.asarray()
    except (ImportError, ValueError) as error:
        if isinstance(error, ValueError) and "imagecodecs" not in str(error):
            raise
        packed = getattr(page.compression, "name", page.compression)
        if page.predictor != _NO_PREDICTOR:
            packed = f"{packed} with predictor {page.predictor}"
        raise UserError(
            f"{name} is a TIFF packed by {packed}: `pip install imagecodecs`, or save it without compression"
        ) from error
    return np.asarray(images).reshape(-1, *series.shape[-2:])


def _segments(series: Any) -> Iterator[tuple[int, int]]:  # noqa: ANN401 - as above
    for page in series.pages:
        if page is not None:
            yield from zip(page.dataoffsets, page.databytecounts, strict=True)


def _by_pillow(path: Path, file: TiffFile, page: Any, name: str) -> NDArray[Any]:  # noqa: ANN401 - as above
    dtype = page.dtype.newbyteorder(file.byteorder)
    if dtype.str not in _BY_PILLOW:
        raise UserError(
            f"{name} is a TIFF of {dtype} packed by LZW: `pip install imagecodecs`, or save it without compression"
        )
    with Image.open(path) as picture:
        return np.stack([np.asarray(frame, dtype=page.dtype) for frame in ImageSequence.Iterator(picture)])


def _scaled(images: NDArray[Any], file: TiffFile, name: str) -> NDArray[np.float32]:
    """Values as ImageJ shows them, where ImageJ wrote the file: signed 16 bits are stored with an offset of 32768."""
    told = (file.imagej_metadata or {}) if file.is_imagej else {}
    if (function := told.get("cf")) not in _UNCALIBRATED:
        if function != _STRAIGHT_LINE:
            raise UserError(f"{name}: ImageJ's calibration function {function} is no straight line; save it in HU")
        images = float(told["c0"]) + float(told["c1"]) * images.astype(np.float64)
    with np.errstate(over="ignore"):  # an overflow is an infinity, which is refused
        return images.astype(np.float32)
