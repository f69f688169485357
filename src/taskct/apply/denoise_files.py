"""Denoise a user's files: a `.npy` file, a NIfTI file, a DICOM slice or a CT series, slice by slice."""

import contextlib
import itertools
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from taskct.apply.after import check_after, check_same_slices
from taskct.apply.denoise import LoadedDenoiser, Runner, check_validity, load_denoiser, percent
from taskct.apply.validity import Moved, measure, some_of
from taskct.errors import UserError
from taskct.io.dicom_slices import DicomSlices
from taskct.io.dicom_write import check_free
from taskct.io.nifti_slices import NiftiSlices
from taskct.io.nifti_write import is_nifti
from taskct.io.npy_slices import NpySlices
from taskct.io.slices import Slice, SliceSource
from taskct.names import setting_text
from taskct.progress import Progress


def denoise_path(
    model: Path,
    source: Path,
    target: Path,
    *,
    alpha: float | None = None,
    price: float | None = None,
    tile: int | None = None,
    strip_private: bool = False,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    pixel_mm: float | None = None,
    anyway: bool = False,
    tell: Callable[[str], object] | None = None,
    after: Path | None = None,
) -> Path:
    """Denoise a file or a series, by an arm, its blend with the control, or a file with a dial; return `target`.

    The source is a `.npy` file in HU, a NIfTI file, a DICOM slice, or a folder with one series. The target of a `.npy`
    or a NIfTI file is another; that of DICOM is a folder that does not exist or is empty, or, for one slice, a file
    that ends in .dcm. Slices are read, denoised and kept on the disk of the target one by one: memory does not grow
    with their number.
    `alpha` and `price` are as for `load_denoiser`, `strip_private` as for `Derivation`; the rest is as for `denoise`.
    `after` is what a denoiser elsewhere made of the source, of the same kind, for a task path that starts from it.
    `tell` is called with each line that a user should know; None warns of it.
    """
    tell = warnings.warn if tell is None else tell
    denoiser = load_denoiser(model, alpha, price=price)
    check_after(denoiser.denoiser, given=after is not None, tile=tile)
    with contextlib.ExitStack() as closing:
        slices = open_slices(source, target, closing, strip_private=strip_private)
        others = None if after is None else _source(after, target, closing, strip_private=strip_private)
        if others is not None and after is not None:
            check_same_slices(slices, others, source, after)
        some = [(one.image_hu, one.padding) for one in slices.read(some_of(slices.shape[0]))]
        known_mm = pixel_mm if slices.pixel_mm is None else math.sqrt(math.prod(slices.pixel_mm))
        measured = measure(some, pixel_mm=known_mm, slice_mm=slices.slice_mm)
        validity = check_validity(denoiser, measured, source.name, anyway=anyway, tell=tell)
        if validity is not None and validity.unknown:
            tell(f"{source.name}: {'; '.join(validity.unknown)}")
        run = Runner(denoiser, slices.shape[1:], tile=tile, device=device)
        moved = Moved.of(denoiser.card)
        slices.write(_denoised(run, slices, moved, progress, others), target, _description(model, denoiser))
    if validity is not None and validity.beyond and moved is not None and (text := moved.text()):
        tell(f"{source.name}: {text}")
    return target


def open_slices(source: Path, target: Path, closing: contextlib.ExitStack, *, strip_private: bool) -> SliceSource:
    """Open what `denoise_path` takes, slice by slice, once it is known to be of one kind with the target.

    What is open until the target is written is closed by `closing`.
    """
    if not source.exists():
        raise UserError(
            f"{source} does not exist: give a .npy file, a NIfTI file, a DICOM slice or a folder with a CT series"
        )
    if is_nifti(source):
        return NiftiSlices(source, target, closing)
    array = source.suffix == ".npy"
    if target.exists() and (array or not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} exists: choose another output, nothing is overwritten")
    if array != (target.suffix == ".npy"):
        of_array, of_dicom = "a .npy file is a .npy file", "DICOM is a folder, or a .dcm file for one slice"
        raise UserError(f"the output of {of_array if array else of_dicom}, not {target.name}")
    if array:
        return NpySlices(source)
    check_free(target, single=not source.is_dir())
    if source.is_dir() and target.resolve().is_relative_to(source.resolve()):
        raise UserError(f"{target} lies inside {source}: choose a folder outside the series")
    return DicomSlices(source, strip_private=strip_private)


def _source(
    source: Path, target: Path, closing: contextlib.ExitStack, *, strip_private: bool
) -> NiftiSlices | NpySlices | DicomSlices:
    """Images of any kind, slice by slice; what is unpacked lies beside the target until `closing` ends."""
    if not source.exists():
        raise UserError(f"{source} does not exist: give the images that the denoiser elsewhere made of the input")
    if is_nifti(source):
        return NiftiSlices(source, target.with_name(f"{target.name}.nii"), closing)
    return NpySlices(source) if source.suffix == ".npy" else DicomSlices(source, strip_private=strip_private)


def _denoised(
    run: Runner, slices: SliceSource, moved: Moved | None, progress: Progress | None, others: SliceSource | None
) -> Iterator[tuple[Slice, NDArray[np.float32]]]:
    """Every slice of a source with its denoised image; padding stays as it is. `others` are from elsewhere."""
    done, read, read_others = 0, slices.read(), None if others is None else others.read()
    while some := list(itertools.islice(read, run.step)):
        stack, after = np.stack([one.image_hu for one in some]), None
        if read_others is not None:
            after = np.stack([one.image_hu for one in itertools.islice(read_others, len(some))])
        for one, image in zip(some, run(stack, after), strict=True):
            if one.padding is not None:
                image[one.padding] = one.image_hu[one.padding]
            if moved is not None:
                moved.add(one.image_hu, image, one.padding)
            yield one, image
        done += len(some)
        if progress is not None:
            progress(done, slices.shape[0], "")


def _description(model: Path, denoiser: LoadedDenoiser) -> str:
    name = model.stem.encode("ascii", "replace").decode().replace("\\", "?")
    dial = f" alpha={setting_text(denoiser.alpha)}" if denoiser.alpha is not None else ""
    dial = f" price={percent(denoiser.price)}" if denoiser.price is not None else dial
    return f"taskct {name}"[: 64 - len(dial)] + dial
