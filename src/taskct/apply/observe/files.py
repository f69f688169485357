"""What `taskct observe` reads beside the images, and what it writes."""

import csv
import io
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskct.apply.observe.observation import IMAGES, VERSUS, Observation
from taskct.errors import UserError
from taskct.files import write_json, write_text
from taskct.io.image_stack import read_images
from taskct.io.ratings_files import write_imrmc
from taskct.observers.nonprewhitening import check_signal


def read_signal(path: Path) -> NDArray[np.float64]:
    """Read the mean signal from an image file, HU, shape `(height, width)`.

    Raises
    ------
    UserError
        As `read_images`; if the file holds several images.
    """
    images = read_images(path).images
    if len(images) != 1:
        raise UserError(f"{path.name} holds {len(images)} images: give the mean signal as one image, in HU")
    return check_signal(images[0])


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
            if found.about["test"]["cases"] is not None:
                about += f"; the trials are of {found.about['test']['cases']} cases, so they are not independent"
            write_imrmc(partial / f"ratings_{one.name}.imrmc", found.ratings(one.name), description=about)
        partial.joinpath("roc.png").write_bytes(roc_png)
        if folder.is_dir():
            folder.rmdir()
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _scores_csv(found: Observation) -> str:
    scanning = found.about["mode"] == "scanning"
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    site = ["row_px", "column_px"] if scanning else []
    writer.writerow(["observer", "images", "training_set", "trial", "case", "signal_present", "test_statistic", *site])
    trials = list(
        zip(found.test.tolist(), found.cases.tolist(), found.signal_present.astype(int).tolist(), strict=True)
    )
    for one in found.observers:
        sets = {IMAGES: one.images} | ({} if one.versus is None else {VERSUS: one.versus})
        for name, performance in sets.items():
            for number, reading in enumerate(performance.readings, start=1):
                places = [()] * len(trials) if reading.found_px is None else reading.found_px.tolist()
                rows = zip(trials, reading.statistic.tolist(), places, strict=True)
                writer.writerows((one.name, name, number, *trial, f"{t:.9g}", *place) for trial, t, place in rows)
    return out.getvalue()
