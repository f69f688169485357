"""What a denoiser took from a patient's images: low-dose and denoised series side by side, by position."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.files import whole_folder, write_json, write_npy, write_text
from taskct.io.dicom import naming, read_series, read_slice
from taskct.io.dicom_header import is_dicom
from taskct.io.image_stack import read_images
from taskct.io.nifti import read_nifti
from taskct.io.nifti_write import is_nifti
from taskct.io.volume import SAME_GRID, Volume, grid_distance_mm
from taskct.metrics.removed import RemovedStructure, removed_structure

HOW = (
    "Low-dose minus denoised. Edges and their directions are those of the denoised images. What was taken at a pixel "
    "of an edge is correlated with what was taken a few pixels further along that edge, where noise does not reach; "
    "the correlation of flat places is allowed for. It is a lower bound of the structure that was taken, and streaks "
    "that run along edges count as structure. The interval holds for these images and other noise."
)


@dataclass(frozen=True)
class Removed:
    """What was taken from images, and the images."""

    found: RemovedStructure
    low_dose: NDArray[np.float32]
    """HU, `(n, height, width)`, slices from feet to head where the files tell."""
    denoised: NDArray[np.float32]
    """Shape as `low_dose`."""

    @property
    def sentence(self) -> str:
        """The answer in a line."""
        found = self.found
        if found.along_edges is None:
            return "The images have too few edges to tell whether structure was taken away."
        one = found.along_edges
        share = f"{one.value:.1%} [{one.ci_low:.1%}, {one.ci_high:.1%}]"
        said = "structure was taken away" if found.found else "no structure was shown to be taken away"
        return f"Of what was taken at edges, {share} of the variance runs along them: {said}."

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it, without the map."""
        content = {name: value for name, value in asdict(self.found).items() if name != "map_hu"}
        content["autocorrelation"] = np.round(self.found.autocorrelation, 4).tolist()
        return {"schema": 1, "how": HOW, "n_images": len(self.low_dose), "found": self.found.found, **content}


def removed_from(low_dose: Path, denoised: Path, *, confidence: float = 0.95, seed: int = 0) -> Removed:
    """Read low-dose and denoised images, pair them, and ask what was taken.

    Parameters
    ----------
    low_dose, denoised
        Two folders with a DICOM series each, or DICOM slices; two NIfTI files; or two stacks that `read_images` reads.
        Series and NIfTI files are paired by the position of their slices, others by their order.
    confidence, seed
        Of the intervals.

    Raises
    ------
    UserError
        If the two cannot be read, differ in kind, shape or place, or are the same.
    """
    first, second = _read(low_dose), _read(denoised)
    before: NDArray[np.float32]
    after: NDArray[np.float32]
    if isinstance(first, Volume) and isinstance(second, Volume):
        before, after = _paired(first, second, f"{low_dose.name} and {denoised.name}")
    elif isinstance(first, Volume) or isinstance(second, Volume):
        raise UserError(f"one of {low_dose.name} and {denoised.name} tells where its slices lie: give both of a kind")
    else:
        before, after = first, second
    try:
        return Removed(removed_structure(before, after, confidence=confidence, seed=seed), before, after)
    except ValueError as error:
        raise UserError(f"{low_dose.name} and {denoised.name}: {error}") from error


def _read(path: Path) -> Volume | NDArray[np.float32]:
    if not path.exists():
        raise UserError(f"{path} does not exist: give a DICOM series, a NIfTI file or a stack of images")
    if is_nifti(path):
        return read_nifti(path)
    if path.is_file() and is_dicom(path):
        return read_slice(path)
    if path.is_dir() and any(is_dicom(one) for one in path.rglob("*") if one.is_file() and one.name != "DICOMDIR"):
        with naming(path):
            return read_series(path)
    return read_images(path).images


def _paired(low_dose: Volume, denoised: Volume, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The images of two volumes on one grid; where nothing was measured nothing was taken."""
    sizes = [" × ".join(map(str, one.image_hu.shape)) for one in (low_dose, denoised)]
    if sizes[0] != sizes[1]:
        raise UserError(f"{name}: {sizes[0]} and {sizes[1]} pixels: give the same slices of both, not resampled")
    apart = grid_distance_mm(low_dose.affine, denoised.affine, low_dose.image_hu.shape)
    allowed = SAME_GRID * min(low_dose.pixel_mm)
    if apart > allowed:
        raise UserError(f"{name}: up to {apart:.2f} mm apart, {allowed:.2f} mm allowed: give the same slices of both")
    after = denoised.image_hu
    for one in (low_dose, denoised):
        if one.padding is not None:
            after = np.where(one.padding, low_dose.image_hu, after)
    return low_dose.image_hu, after


def write_removed(folder: Path, removed: Removed, *, page: str) -> Path:
    """Write `removed.html`, `removed.json` and `along_edges.npy` into a new folder, whole or not at all.

    `along_edges.npy` is what was taken, averaged along the edge through each pixel, HU, shape of the images.
    """
    with whole_folder(folder) as partial:
        write_text(partial / "removed.html", page)
        write_json(partial / "removed.json", removed.as_dict())
        write_npy(partial / "along_edges.npy", removed.found.map_hu)
    return folder
