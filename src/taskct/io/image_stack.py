"""Read images for observers from what people keep them in, a file or a folder.

.npy, .zarr, TIFF, PNG, DICOM, NIfTI, MetaImage, NRRD.
"""

import math
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from taskct.errors import UserError
from taskct.io.dicom import read_frames
from taskct.io.dicom_header import is_dicom
from taskct.io.image_origin import Origin, Scan, origins_of, read_scans
from taskct.io.metaimage import ENDINGS as METAIMAGE
from taskct.io.metaimage import read_metaimage
from taskct.io.nifti import ENDINGS as NIFTI
from taskct.io.nifti import read_nifti_images
from taskct.io.nrrd import ENDINGS as NRRD
from taskct.io.nrrd import read_nrrd
from taskct.io.raw_words import RawWords
from taskct.io.stored_images import FileStack, StoredImages
from taskct.io.tiff import read_tiff
from taskct.reading import check_budget, check_regular, reading
from taskct.zarr_guard import check_zarr

NPY, ZARR, TIFF, PNG = (".npy",), (".zarr",), (".tif", ".tiff"), (".png",)
KINDS = (
    "a .npy, TIFF, NIfTI, MetaImage or NRRD file, a .zarr store, or a folder of .npy, TIFF, PNG, DICOM, NIfTI, "
    "MetaImage or NRRD files"
)
OF_VOLUMES = ("NIfTI", "MetaImage", "NRRD")
"""Kinds that keep a scan in a file; one file alone may as well hold repeated scans."""
WORDY = ("MetaImage", "NRRD")
"""Kinds whose words may be read otherwise than their header says."""
NPY_TEXT = "a .npy array of numbers"
_PNG_HEADER = struct.Struct(">8s8xIIBB")
"""The mark, then of the first chunk the width, the height, bits a value and the kind of colour."""


@dataclass(frozen=True)
class ImageStack:
    """Images of one shape."""

    images: NDArray[np.float32]
    """Shape `(n, height, width)`; HU for DICOM, else what the files hold."""
    names: tuple[str, ...]
    """Of each image: its file's name relative to the folder, and its number in a file that holds several."""
    pixel_mm: float | None
    """Pixel size, mm, where the files tell it and it is the same for all and in both directions; else None."""
    origins: tuple[Origin, ...]
    """Of each image: what tells the case it belongs to, and its counterpart among other images."""


@dataclass(frozen=True)
class OpenStack:
    """Images of one shape that are read as they are asked for; the rest is as of `ImageStack`."""

    images: StoredImages
    names: tuple[str, ...]
    pixel_mm: float | None
    origins: tuple[Origin, ...]


def read_images(path: Path, words: RawWords | None = None) -> ImageStack:
    """Read the images at a path as float32.

    Parameters
    ----------
    path
        A `.npy`, TIFF, NIfTI, MetaImage or NRRD file of one image or a stack, a PNG or DICOM file, a `.zarr` array (or
        group that holds one array), or a folder: all files in it and below, in the order of their names, of one of
        these kinds; hidden files and files of no image kind (text, JSON, words beside a header) are passed over.
        Frames of an enhanced CT come from feet to head.
    words
        What is known of the words of MetaImage or NRRD files better than their headers say; for no other kind.

    Raises
    ------
    UserError
        If there is nothing to read, several kinds lie in the folder, a file is broken, in colour, or not finite, or the
        shapes differ.
    """
    opened = open_images(path, words)
    return ImageStack(np.asarray(opened.images), opened.names, opened.pixel_mm, opened.origins)


def open_images(path: Path, words: RawWords | None = None) -> OpenStack:
    """Check the images at a path, as `read_images` reads them, and leave float32 stacks of `.npy` in their files."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; give {KINDS}")
    if path.is_dir() and not _is_zarr(path):
        sources = _sources(path)
        names = [source.relative_to(path).as_posix() for source in sources]
    else:
        sources, names = [path], [path.name]
    parts: list[NDArray[np.float32] | FileStack] = []
    labels: list[str] = []
    origins: list[Origin] = []
    pixels: set[float | None] = set()
    for source, name in zip(sources, names, strict=True):
        stack, pixel_mm, scans = _read(source, name, words)
        if parts and stack.shape[1:] != parts[0].shape[1:]:
            raise UserError(
                f"{path}: {names[0]} is {_size(parts[0])} pixels and {name} is {_size(stack)}; give images of one size"
            )
        blocks = StoredImages([stack]).blocks()
        n_bad = sum(int((~np.isfinite(block).all(axis=(1, 2))).sum()) for _, block in blocks)
        if n_bad:
            raise UserError(f"{name}: {n_bad} of {len(stack)} images hold values that are not finite")
        parts.append(stack)
        labels.extend([name] if len(stack) == 1 else [f"{name}[{i}]" for i in range(len(stack))])
        volume = len(sources) > 1 and len(stack) > 1 and _kind(source) in OF_VOLUMES
        origins.extend(origins_of(name, len(stack), scans, volume=volume))
        pixels.add(pixel_mm)
    pixel_mm = pixels.pop() if len(pixels) == 1 else None
    return OpenStack(StoredImages(parts), tuple(labels), pixel_mm, tuple(origins))


def read_npy(path: Path) -> NDArray[np.float32]:
    """Read images, `(height, width)` or `(n, height, width)`, from a `.npy` file; never a pickle.

    Raises
    ------
    UserError
        If it is no array of numbers of 2 or 3 dimensions, or a value is not finite.
    """
    result = _as_float32(load_npy(path), path.name)
    if not np.isfinite(result).all():
        raise UserError(f"{path.name} holds values that are not finite: give HU")
    return result


def load_npy(path: Path) -> NDArray[np.generic]:
    """Any array of a `.npy` file, within the budget; never a pickle, else a `UserError`."""
    with reading(path.name, NPY_TEXT), _open_npy(path) as (file, _), warnings.catch_warnings(action="ignore"):
        return np.asarray(np.load(file, allow_pickle=False))


def map_npy(path: Path) -> NDArray[np.generic]:
    """The images of a `.npy` file, `(height, width)` or `(n, height, width)`, mapped: only what is asked for is read.

    A `UserError` as for `read_npy`, values that are not finite apart; the budget is for one image.
    """
    with reading(path.name, NPY_TEXT), _open_npy(path, at_once=2) as (_, header):
        if header.dtype.hasobject:
            raise ValueError("objects")
        with warnings.catch_warnings(action="ignore"):
            mapped: NDArray[np.generic] = (
                np.load(path, mmap_mode="r", allow_pickle=False)
                if math.prod(header.shape)
                else np.empty(header.shape, header.dtype)
            )
    _check_images(mapped, path.name)
    return mapped


def _in_file(path: Path) -> FileStack | None:
    """The stack of a `.npy` file left where it is; None where it is none of float32 in the order of its images."""
    with reading(path.name, NPY_TEXT), _open_npy(path, at_once=0) as (_, header):
        shape, dtype = header.shape, header.dtype
    if len(shape) != 3 or 0 in shape or dtype.str[1:] != "f4" or header.fortran:
        return None
    return FileStack(path, header.end, (shape[0], shape[1], shape[2]), dtype)


@dataclass(frozen=True)
class _NpyHeader:
    """What the header of a `.npy` file says."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    end: int
    """Where it ends in the file, bytes."""


@contextmanager
def _open_npy(path: Path, *, at_once: int | None = None) -> Iterator[tuple[BinaryIO, _NpyHeader]]:
    """A `.npy` file at its beginning, with its header, once it is known to hold all of its array.

    The budget is for all of it, or for as many of its last dimensions as are read at once; 0 for none of it.
    """
    check_regular(path, path.name)
    with path.open("rb") as file:
        if file.read(2) == b"PK":
            raise UserError(f"{path.name} is an archive of arrays: give a single array, saved by numpy.save")
        file.seek(0)
        version = np.lib.format.read_magic(file)
        # Version 3 differs from 2 in the names of columns alone, which an array of numbers has none of.
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        with warnings.catch_warnings(action="ignore"):  # of headers that Python 2 wrote
            shape, fortran, dtype = read_header(file)
        if not all(type(n) is int and n >= 0 for n in shape):
            raise UserError(f"{path.name}: cannot be read as {NPY_TEXT}: its shape is {str(shape)[:60]}; save it again")
        counted = shape if at_once is None else shape[max(len(shape) - at_once, 0) :] if at_once else (0,)
        check_budget(path.name, (dtype.itemsize + 4) * math.prod(counted))
        if not dtype.hasobject and dtype.itemsize * math.prod(shape) > path.stat().st_size - file.tell():
            raise UserError(f"{path.name}: cannot be read as {NPY_TEXT}: it is cut short; copy it again")
        header = _NpyHeader(shape, bool(fortran), dtype, file.tell())
        file.seek(0)
        yield file, header


def _check_images(images: NDArray[np.generic], name: str) -> None:
    if images.ndim not in (2, 3) or images.dtype.kind not in "fiu" or images.size == 0:
        raise UserError(
            f"{name} is {images.dtype} of shape {images.shape}: give HU as (height, width) or (n, height, width)"
        )


def _as_float32(images: NDArray[np.generic], name: str) -> NDArray[np.float32]:
    _check_images(images, name)
    with np.errstate(over="ignore"):  # an overflow is an infinity, which is refused
        return images.astype(np.float32)


def _sources(folder: Path) -> list[Path]:
    """The image files of a folder, all of one kind."""
    found: dict[str, list[Path]] = {}
    for entry in _walk(folder):
        kind = _kind(entry)
        if kind is not None:
            found.setdefault(kind, []).append(entry)
    if not found:
        raise UserError(f"{folder}: no image in it; give {KINDS}")
    if len(found) > 1:
        raise UserError(f"{folder}: {' beside '.join(sorted(found))} files; give one kind at a time")
    return next(iter(found.values()))


def _walk(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Files and Zarr stores in a folder and below it, none hidden; a link to a folder above is passed over."""
    above |= {folder.resolve()}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        check_regular(entry)
        if not entry.is_dir() or _is_zarr(entry):
            yield entry
        elif entry.resolve() not in above:
            yield from _walk(entry, above)


def _is_zarr(path: Path) -> bool:
    return path.is_dir() and (
        path.suffix in ZARR or any((path / name).is_file() for name in ("zarr.json", ".zarray", ".zgroup"))
    )


def _kind(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if _is_zarr(path):
        return ".zarr"
    if path.name.lower().endswith(NIFTI):
        return "NIfTI"
    for name, suffixes in ((".npy", NPY), ("TIFF", TIFF), ("PNG", PNG), ("MetaImage", METAIMAGE), ("NRRD", NRRD)):
        if suffix in suffixes:
            return name
    return "DICOM" if suffix == ".dcm" or (path.name != "DICOMDIR" and is_dicom(path)) else None


def _read(
    path: Path, name: str, words: RawWords | None
) -> tuple[NDArray[np.float32] | FileStack, float | None, list[Scan] | None]:
    """Images of one file, their pixel size, mm, and where they come from, as far as it tells."""
    check_regular(path, name)
    kind = _kind(path)
    pixel_mm, scans = None, None
    if words is not None and kind is not None and kind not in WORDY:
        raise UserError(
            f"{name}: a byte order, slope or offset is for {' and '.join(WORDY)} files; leave it out for {kind} files"
        )
    if kind == "DICOM":
        series = read_frames(path)
        images = series.image_hu
        scans = read_scans(path, series.frames)
        pixel_mm = series.pixel_mm[0] if np.isclose(*series.pixel_mm, rtol=1e-3) else None
    elif kind == ".npy":
        stack = _in_file(path)
        if stack is not None:
            return stack, None, None
        images = _as_float32(load_npy(path), path.name)
    elif kind == ".zarr":
        images = _read_zarr(path, name)
    elif kind == "TIFF":
        images = read_tiff(path, name)
    elif kind == "NIfTI":
        images, pixel_mm = read_nifti_images(path, name)
    elif kind == "MetaImage":
        images, pixel_mm = read_metaimage(path, name, words)
    elif kind == "NRRD":
        images, pixel_mm = read_nrrd(path, name, words)
    elif kind == "PNG":
        images = _read_png(path, name)
    else:
        raise UserError(f"{path}: no image that is read here; give {KINDS}")
    return (images if images.ndim == 3 else images[None]), pixel_mm, scans


def _read_zarr(path: Path, name: str) -> NDArray[np.float32]:
    import zarr  # not above: it takes long, and few images need it

    check_zarr(path)
    with _broken(name, "a Zarr array"):
        opened = zarr.open(str(path), mode="r", use_consolidated=False)
        if not isinstance(opened, zarr.Array):
            arrays = dict(opened.arrays())
            if len(arrays) != 1:
                raise UserError(
                    f"{name} holds {len(arrays)} arrays ({', '.join(sorted(arrays))}): give the path of one"
                )
            (opened,) = arrays.values()
        return _as_float32(np.asarray(opened[...]), name)


def _read_png(path: Path, name: str) -> NDArray[np.float32]:
    with _broken(name, "a PNG image"), path.open("rb") as file:
        start = file.read(_PNG_HEADER.size)
        mark, width, height, bits, colour = _PNG_HEADER.unpack(start)
        if mark != b"\x89PNG\r\n\x1a\n":
            raise ValueError("no PNG")
        check_budget(name, 8 * width * height)
        if colour or bits not in (1, 8, 16):  # Pillow stretches 2 and 4 bits
            kind = "colour" if colour else f"{bits}-bit"
            raise UserError(f"{name} is a {kind} image: give single-channel images of 8 or 16 bits")
        file.seek(0)
        try:
            with Image.open(file, formats=("PNG",)) as picture:  # no other format by a wrong name
                if getattr(picture, "n_frames", 1) > 1:
                    raise UserError(f"{name} is an animation: give an image, or a TIFF stack")
                return np.asarray(picture, dtype=np.float32)[None]
        except Image.DecompressionBombError as error:
            raise UserError(f"{name}: {width} × {height} pixels, more than Pillow takes; give a TIFF file") from error


@contextmanager
def _broken(name: str, what: str) -> Iterator[None]:
    """What the libraries say of a broken file, as one line."""
    # Metadata that do not matter are warned of; what does is an error.
    with reading(name, what), warnings.catch_warnings(action="ignore"):
        yield


def _size(images: NDArray[np.float32] | FileStack) -> str:
    return f"{images.shape[1]} × {images.shape[2]}"
