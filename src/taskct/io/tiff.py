"""Read single-channel TIFF images, right or not at all: byte order, type, compression, ImageJ's calibration."""

import logging
import math
import warnings
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from tifffile import TiffFile

from taskct.errors import UserError
from taskct.reading import check_budget, check_regular, read_limit, reading

_LZW, _BLACK_IS_ZERO, _STRAIGHT_LINE = 5, 1, 0
_NO_PREDICTOR, _WITHOUT_PREDICTOR = 1, (1, 32773)  # stored as it is, and PackBits
_UNCALIBRATED = (None, 20)  # ImageJ's number of no function
_BITS = (1, 8, 16, 32, 64)
_DEFLATE, _DEFLATE_RATIO = (8, 32946), 1032
"""Numbers of the compression, and how many times larger it can make what it unpacks."""
_ORIENTATION, _UPRIGHT = 274, 1
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
    # Metadata of these kinds may name other files, which are not opened: the pages of this one are what is read.
    with (
        reading(name, "a TIFF image"),
        TiffFile(path, is_ome=False, is_mmstack=False, is_ndtiff=False) as file,
    ):
        if not file.series:
            raise UserError(f"{name} cannot be read as a TIFF image: it holds none, or is cut short; copy it again")
        if len({series.shape[-2:] for series in file.series}) > 1:
            raise UserError(f"{name}: its images differ in size; give images of one size")
        places = [page.index for series in file.series for page in series.pages if page is not None]
        if places != sorted(places):  # a series holds images of one kind, which may lie among those of another
            raise UserError(f"{name}: its images differ in type or compression by turns; save it anew as one stack")
        check_budget(name, 4 * sum(series.size for series in file.series))
        return np.concatenate([_scaled(_series(path, file, series, name), file, name) for series in file.series])


def _series(path: Path, file: TiffFile, series: Any, name: str) -> NDArray[Any]:  # noqa: ANN401 - untyped in tifffile
    page = series.keyframe
    if page.samplesperpixel != 1 or "S" in series.axes:
        raise UserError(
            f"{name} is a colour image ({page.samplesperpixel} samples a pixel): give single-channel images"
        )
    if page.photometric != _BLACK_IS_ZERO:
        kind = getattr(page.photometric, "name", page.photometric)
        raise UserError(f"{name} is a TIFF of kind {kind}: give grey images in which 0 is black (MINISBLACK)")
    if page.dtype is None or page.dtype.kind not in "biuf" or page.bitspersample not in _BITS:
        raise UserError(
            f"{name} is a TIFF of {page.bitspersample} bits a pixel, type {page.dtype}: give 8, 16 or 32 bits"
        )
    if (turned := page.tags.valueof(_ORIENTATION, default=_UPRIGHT)) != _UPRIGHT:
        raise UserError(
            f"{name} is turned by its Orientation tag ({turned}), which programs read in two ways: save it upright"
        )
    if not series.axes.endswith("YX") or sum(n > 1 for n in series.shape[:-2]) > 1:
        raise UserError(f"{name} holds several stacks (axes {series.axes}): give one stack of images")
    if page.predictor != _NO_PREDICTOR and page.compression in _WITHOUT_PREDICTOR:
        raise UserError(  # the specification has predictors for LZW alone; libtiff passes over this one, others do not
            f"{name} is a TIFF with a predictor but without LZW or Deflate, which programs read differently: save it "
            "without a predictor"
        )
    check_budget(name, (4 + page.dtype.itemsize) * int(np.prod(series.shape, dtype=object)))
    segment_bytes = page.dtype.itemsize * math.prod(page.chunks)
    check_budget(name, segment_bytes)
    size = path.stat().st_size
    for start, n_bytes in _segments(series):
        if not start or not n_bytes or start + n_bytes > size:
            raise UserError(f"{name} cannot be read as a TIFF image: it is cut short; copy it again")
        if page.compression in _DEFLATE and n_bytes * _DEFLATE_RATIO > read_limit():
            _check_inflated(file, start, n_bytes, segment_bytes, name)
    if page.compression == _LZW and find_spec("imagecodecs") is None:
        return _by_pillow(path, file, page, name)
    try:
        images = series.asarray()
    except (ValueError, ImportError) as error:  # an ImportError for zstd
        if isinstance(error, ValueError) and "imagecodecs" not in str(error):
            raise
        packed = getattr(page.compression, "name", page.compression)
        if page.predictor != _NO_PREDICTOR:
            packed = f"{packed} with predictor {page.predictor}"
        raise UserError(
            f"{name} is a TIFF packed by {packed}: `pip install imagecodecs`, or save it without compression"
        ) from error
    return np.asarray(images).reshape(-1, *series.shape[-2:])


def _check_inflated(file: TiffFile, start: int, n_bytes: int, declared: int, name: str) -> None:
    """Refuse a strip or tile that would unpack to more than it declares, before it takes the memory."""
    file.filehandle.seek(start)
    unpacker = zlib.decompressobj()
    unpacker.decompress(file.filehandle.read(n_bytes), declared + 1)
    if unpacker.unconsumed_tail:
        raise UserError(f"{name}: a part of it unpacks to more than it declares; save it again")


def _segments(series: Any) -> Iterator[tuple[int, int]]:  # noqa: ANN401 - as above
    for page in series.pages:
        if page is not None:
            yield from zip(page.dataoffsets, page.databytecounts, strict=True)


def _by_pillow(path: Path, file: TiffFile, page: Any, name: str) -> NDArray[Any]:  # noqa: ANN401 - as above
    dtype = page.dtype.newbyteorder(file.byteorder)
    if dtype.str not in _BY_PILLOW or (file.is_bigtiff and file.byteorder == ">"):  # whose mark Pillow does not know
        raise UserError(
            f"{name} is a TIFF of {dtype} packed by LZW: `pip install imagecodecs`, or save it without compression"
        )
    with warnings.catch_warnings(action="ignore"), Image.open(path, formats=("TIFF",)) as picture:
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
