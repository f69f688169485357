"""What `taskct observe` reads and writes beside the images."""

import csv
import io
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.image_stack import ImageStack, read_images
from taskct.ratings_files import write_imrmc
from taskct.study.observe.results import IMAGES, VERSUS, Observation
from taskct.study.results import write_json
from taskct.training.checkpoints import write_text
from taskct.truth_table import Truth


def two_folders(present: Path, absent: Path) -> tuple[ImageStack, Truth]:
    """Images with the signal, then those without it, and their truth.

    Raises
    ------
    UserError
        As `read_images`; if the two differ in the size of their images.
    """
    with_signal, without = read_images(present), read_images(absent)
    sizes = [stack.images.shape[1:] for stack in (with_signal, without)]
    if sizes[0] != sizes[1]:
        raise UserError(
            f"{present} has images of {sizes[0][0]} × {sizes[0][1]} pixels and {absent} of {sizes[1][0]} × "
            f"{sizes[1][1]}: give images of one size"
        )
    signal_present = np.arange(len(with_signal.images) + len(without.images)) < len(with_signal.images)
    pixels = {with_signal.pixel_mm, without.pixel_mm}
    stack = ImageStack(
        np.concatenate([with_signal.images, without.images]),
        (*with_signal.names, *without.names),
        pixels.pop() if len(pixels) == 1 else None,
    )
    return stack, Truth(signal_present, None, None, None)


def read_covariance(path: Path) -> NDArray[np.float64]:
    """Read a covariance matrix from a `.npy` file; never a pickle.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            matrix = np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UserError(f"{path.name} cannot be read as a .npy array of numbers") from error
    if not isinstance(matrix, np.ndarray) or matrix.dtype.kind not in "fiu":
        raise UserError(f"{path.name} is no array of numbers: give a covariance of shape (pixels, pixels)")
    return matrix.astype(np.float64)


def write_observation(folder: Path, found: Observation, *, roc_png: bytes) -> None:
    """Write `observe.json`, `roc.png`, `scores.csv` and `ratings_OBSERVER.imrmc` into a new folder, all or nothing.

    Images are named by their number alone, since file names may tell who a patient is.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        write_json(partial / "observe.json", found.as_dict())
        write_text(partial / "scores.csv", _scores_csv(found))
        for one in found.observers:
            about = f"taskct observe: {one.name}; readers are training sets, modalities sets of images"
            write_imrmc(partial / f"ratings_{one.name}.imrmc", found.ratings(one.name), description=about)
        partial.joinpath("roc.png").write_bytes(roc_png)
        if folder.is_dir():
            folder.rmdir()
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _scores_csv(found: Observation) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["observer", "images", "training_set", "trial", "signal_present", "test_statistic"])
    present = found.signal_present.astype(int).tolist()
    for one in found.observers:
        sets = {IMAGES: one.images} | ({} if one.versus is None else {VERSUS: one.versus})
        for name, performance in sets.items():
            for number, reading in enumerate(performance.readings, start=1):
                rows = zip(found.test.tolist(), present, reading.statistic.tolist(), strict=True)
                writer.writerows((one.name, name, number, trial, truth, f"{t:.9g}") for trial, truth, t in rows)
    return out.getvalue()
