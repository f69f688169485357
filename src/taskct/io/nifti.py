"""Read CT volumes and organ labels from NIfTI files."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.imageglobals import LoggingOutputSuppressor
from nibabel.openers import ImageOpener
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.io.padding import AIR_HU, find_padding
from taskct.io.upright import Grid, upright
from taskct.io.volume import (
    MAX_LEAN_DEGREES,
    SAME_GRID,
    Volume,
    check_axial,
    check_pixel_mm,
    check_upright,
    grid_distance_mm,
)
from taskct.reading import check_budget, check_regular, reading

ENDINGS = (".nii", ".nii.gz")

orientations: Any = nib.orientations  # without types of its own

# Label numbers of TotalSegmentator 2 (class map "total", github.com/wasserth/TotalSegmentator), as far as they are
# organs in which a lesion is looked for.
ORGANS = {
    "spleen": 1,
    "kidney_right": 2,
    "kidney_left": 3,
    "gallbladder": 4,
    "liver": 5,
    "stomach": 6,
    "pancreas": 7,
    "adrenal_gland_right": 8,
    "adrenal_gland_left": 9,
    "lung_upper_lobe_left": 10,
    "lung_lower_lobe_left": 11,
    "lung_upper_lobe_right": 12,
    "lung_middle_lobe_right": 13,
    "lung_lower_lobe_right": 14,
    "small_bowel": 18,
    "colon": 20,
    "urinary_bladder": 21,
    "prostate": 22,
    "brain": 90,
}


def read_nifti(path: Path) -> Volume:
    """Read a CT volume, turned as :class:`~taskct.io.volume.Volume` says, from a `.nii` or `.nii.gz` file.

    The file holds one 3D volume in HU. Its axes may be in any order and direction. Constant values less than −1500 HU
    that reach the border of a slice are padding, as in DICOM, and read as −1000 HU.

    Raises
    ------
    UserError
        No such file, no NIfTI or a broken one; not 3D; values that are not finite or do not look like HU; an
        affine that is missing, sheared (gantry tilt), over 30° off axial, or at odds with the header's spacing;
        pixels of impossible size or more than twice as long as wide.
    """
    path = Path(path)
    data, affine = _read(path)
    with np.errstate(over="ignore"):
        image_hu = np.ascontiguousarray(data, dtype=np.float32)
    _check_hu(image_hu, path.name)
    volume = _volume(image_hu, affine, path.name)
    padding = np.stack([find_padding(image) for image in image_hu])
    image_hu[padding] = AIR_HU
    return replace(volume, padding=padding)


def read_label_volume(path: Path) -> Volume:
    """Read a label map that stands for a CT itself, such as the organs of a phantom.

    The file is `.nii` or `.nii.gz`, of whole numbers from 0 to 65535. The volume has `labels`; its `image_hu` holds the
    labels, which are no HU.

    Raises
    ------
    UserError
        If the file cannot be read, its values are no labels, or its grid is none of an axial CT.
    """
    labels, affine = _read_labels(Path(path))
    return replace(_volume(labels.astype(np.float32), affine, Path(path).name), labels=labels)


def _read_labels(path: Path) -> tuple[NDArray[np.uint16], NDArray[np.float64]]:
    data, affine = _read(path)
    if not np.all(np.isfinite(data)) or data.min() < 0 or data.max() > 65535 or np.any(data != np.rint(data)):
        raise UserError(f"{path.name}: labels must be whole numbers from 0 to 65535; give a label map, not a CT")
    return np.ascontiguousarray(data, dtype=np.uint16), affine


def _volume(image_hu: NDArray[np.float32], affine: NDArray[np.float64], name: str) -> Volume:
    """A volume on the grid of an affine, once that is known to be upright and axial."""
    pixel_mm, slice_mm = check_grid(affine, len(image_hu), name)
    key = hashlib.sha256(repr(image_hu.shape).encode() + image_hu.tobytes()).hexdigest()[:16]
    return Volume(
        image_hu=image_hu, pixel_mm=pixel_mm, slice_mm=slice_mm, affine=affine, series_key=key, patient_key=key
    )


def check_grid(affine: NDArray[np.float64], n_slices: int, name: str) -> tuple[tuple[float, float], float]:
    """Distance of rows and columns and that of slices, mm, on the grid of an affine; refuses one that leans."""
    pixel_mm = float(np.linalg.norm(affine[:3, 1])), float(np.linalg.norm(affine[:3, 2]))
    check_pixel_mm(pixel_mm, name)
    normal = np.cross(affine[:3, 2], affine[:3, 1]) / np.prod(pixel_mm)
    if np.linalg.norm(normal) < np.cos(np.radians(MAX_LEAN_DEGREES)):
        raise UserError(f"{name}: rows and columns are not perpendicular; resample it to an upright grid")
    normal /= np.linalg.norm(normal)
    check_axial(normal, name)
    check_upright(np.arange(n_slices)[:, None] * affine[:3, 0], normal, name)
    return pixel_mm, float(affine[:3, 0] @ normal) if n_slices > 1 else float("nan")


def read_label_map(path: Path, *, like: Volume) -> NDArray[np.uint16]:
    """Read organ labels that lie on the grid of a volume, DICOM or NIfTI; 0 is no organ.

    Parameters
    ----------
    path
        A `.nii` or `.nii.gz` file of whole numbers from 0 to 65535.
    like
        The volume that was labelled; labels come in the order of its `image_hu` and of its shape.

    Raises
    ------
    UserError
        As :func:`read_nifti` for a file that cannot be read; values that are no labels; another grid: another shape,
        or a corner more than a tenth of a pixel away.
    """
    path = Path(path)
    data, affine = _read_labels(path)
    if data.shape != like.image_hu.shape:
        shapes = [" × ".join(str(n) for n in shape) for shape in (data.shape, like.image_hu.shape)]
        found = f"labels of {shapes[0]} voxels (slices × rows × columns), the CT has {shapes[1]}"
        raise UserError(f"{path.name}: {found}; resample the labels to the grid of the CT")
    distance, allowed = grid_distance_mm(affine, like.affine, data.shape), SAME_GRID * min(like.pixel_mm)
    if data.shape[0] == 1:  # a single slice has no step, so its affine may hold any
        affine = affine.copy()
        affine[:, 0] = like.affine[:, 0]
        distance = grid_distance_mm(affine, like.affine, data.shape)
    if not distance <= allowed:
        found = f"labels lie up to {distance:.2f} mm off the grid of the CT, {allowed:.2f} mm allowed"
        raise UserError(f"{path.name}: {found}; resample the labels to the grid of the CT")
    return data


def organ_mask(labels: NDArray[np.uint16], organs: Sequence[str | int]) -> NDArray[np.bool_]:
    """Mark where any of the organs lies, in the shape of the labels.

    Parameters
    ----------
    organs
        Label numbers, or names from `ORGANS` (TotalSegmentator's).

    Raises
    ------
    UserError
        If there are no organs, a name is unknown, or none of the labels is an organ wanted.

    Examples
    --------
    >>> organ_mask(np.array([0, 5, 1], dtype=np.uint16), ["liver"])
    array([False,  True, False])
    """
    if unknown := [str(organ) for organ in organs if isinstance(organ, str) and organ not in ORGANS]:
        raise UserError(f"organ {unknown[0]} is unknown: give its label number, or one of {', '.join(ORGANS)}")
    numbers = [ORGANS[organ] if isinstance(organ, str) else organ for organ in organs]
    mask: NDArray[np.bool_] = np.isin(labels, numbers)
    if not mask.any():
        wanted = ", ".join(f"{organ} ({n})" if organ != n else str(n) for organ, n in zip(organs, numbers, strict=True))
        present = ", ".join(str(label) for label in np.unique(labels) if label) or "none"
        raise UserError(f"organ {wanted or 'not named'}: no voxel of it in the labels, which hold {present}")
    return mask


def read_nifti_images(path: Path, name: str) -> tuple[NDArray[np.float32], float | None]:
    """Read a stack of images, `(n, height, width)`, of any unit, and their pixel size in mm; None where it is not told.

    A file of three dimensions is a stack along its third axis, in its order. Where the header holds an orientation,
    images are turned as `taskct.io.upright` says. `name` is what messages call the file.

    Raises
    ------
    UserError
        If it is no NIfTI, broken, of other than 2 or 3 dimensions or of several numbers a voxel, or its affine or its
        unit of length cannot be.
    """
    image, header = _load(path, name)
    shape = _without_ones(tuple(int(n) for n in image.shape))
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise UserError(f"{name}: {len(shape)} dimensions: give an image, or one stack of them")
    with reading(name, "NIfTI", "copy it again"), LoggingOutputSuppressor():
        check_budget(name, math.prod(shape) * _voxel_bytes(header))
        data = np.asanyarray(image.dataobj).reshape(shape)
    stack = data.T if data.ndim == 3 else data.T[None]
    if header["qform_code"] or header["sform_code"]:
        affine = _checked_affine(image.affine, header, name)
        # NIfTI's world is to the right and to the front.
        directions = (np.diag([-1.0, -1.0, 1.0]) @ affine[:3, :3]).T
        sides = np.linalg.norm(affine[:3, :2], axis=0)
        grid = Grid.of(sides, directions, name)
    else:
        _check_unit(header, name)
        grid = Grid.of(np.asarray(header["pixdim"][1:3], dtype=np.float64), None, name)
    with np.errstate(over="ignore"):  # an overflow is an infinity, which is refused
        return upright(stack.astype(np.float32), grid)


def _read(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Voxels by (slice, row, column), turned as in a Volume, and the affine to the patient."""
    opened = open_nifti(path)
    with reading(path.name, "NIfTI", "copy it again"), LoggingOutputSuppressor():
        check_budget(path.name, math.prod(opened.shape) * opened.voxel_bytes)
        data = np.asanyarray(opened.image.dataobj).reshape(opened.shape)
    # Now (column, row, slice), in NIfTI's world: to the right, to anterior, to the head.
    turned = orientations.apply_orientation(data, opened.turn).transpose(2, 1, 0)
    return turned, opened.affine


@dataclass(frozen=True)
class OpenedNifti:
    """A NIfTI file whose header is known to be that of an axial volume; its voxels are not read yet."""

    image: Any
    """nibabel's."""
    shape: tuple[int, int, int]
    """Of its voxels as it lays them out."""
    turn: NDArray[np.float64]
    """nibabel's orientation that turns its axes to (column, row, slice) of a Volume."""
    affine: NDArray[np.float64]
    """From (slice, row, column, 1) of a Volume to the patient, mm."""
    voxel_bytes: int
    """What a voxel takes in memory while it is read."""


def open_nifti(path: Path) -> OpenedNifti:
    """Open a NIfTI file and check its header; a `UserError` as for `read_nifti`."""
    name = path.name
    image, header = _load(path, name)
    shape = _without_ones(tuple(int(n) for n in image.shape))
    if len(shape) != 3 or min(shape) < 1:
        text = "×".join(str(n) for n in shape)
        raise UserError(f"{name}: {len(shape)} dimensions ({text}): give one 3D volume")
    affine = _checked_affine(image.affine, header, name)
    turn = orientations.ornt_transform(orientations.io_orientation(affine), orientations.axcodes2ornt(("L", "P", "S")))
    affine = affine @ orientations.inv_ornt_aff(turn, shape)
    return OpenedNifti(
        image=image,
        shape=(shape[0], shape[1], shape[2]),
        turn=turn,
        affine=np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine[:, [2, 1, 0, 3]],
        voxel_bytes=_voxel_bytes(header),
    )


def _load(path: Path, name: str) -> tuple[Any, Any]:
    """The image as nibabel opens it, its voxels not read yet, and its header as it is."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a NIfTI file (.nii or .nii.gz)")
    if not name.lower().endswith(ENDINGS):
        raise UserError(f"{name}: no NIfTI file by its ending; give a .nii or .nii.gz file")
    check_regular(path, name)
    with reading(name, "NIfTI", "copy it again"), LoggingOutputSuppressor():
        image: Any = nib.load(path)
        with ImageOpener(str(path)) as file:  # as it is; loading mends a spacing of 0 without a word
            header = type(image.header).from_fileobj(file, check=False)
        if not header["magic"].item().startswith(b"n+"):  # of a header whose voxels are in another file
            raise ValueError("no voxels")
        if min(image.shape, default=0) < 0:  # two of them would have a product above 0
            raise ValueError("a size below 0")
        if np.isinf(header["scl_slope"]) or np.isinf(header["scl_inter"]):  # nibabel takes it for none
            raise UserError(f"{name}: a slope or intercept without end; save it again")
        dtype = header.get_data_dtype()
    if dtype.kind not in "fiu":
        raise UserError(f"{name}: voxels of type {dtype}, not one number each; give one CT volume")
    return image, header


def _voxel_bytes(header: Any) -> int:  # noqa: ANN401 - nibabel's
    """What a voxel takes in memory while it is read."""
    return 8 + int(header.get_data_dtype().itemsize)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without axes of one after the third."""
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _checked_affine(affine: NDArray[np.float64], header: Any, name: str) -> NDArray[np.float64]:  # noqa: ANN401 - nibabel's
    if not header["qform_code"] and not header["sform_code"]:
        raise UserError(f"{name}: no orientation (qform and sform codes are 0); save it with its affine")
    _check_unit(header, name)
    affine = np.asarray(affine, dtype=np.float64)
    said = np.asarray(header["pixdim"][1:4], dtype=np.float64)
    sides = np.linalg.norm(affine[:3, :3], axis=0)
    text = " × ".join(f"{side:.4g}" for side in said)
    if not np.all(np.isfinite(affine)) or not np.all(np.isfinite(said)) or min(*said, *sides) <= 0.0:
        raise UserError(f"{name}: voxel spacing of {text} mm; must be above 0 mm: save it with its affine")
    if not np.allclose(said, sides, rtol=0.01):
        other = " × ".join(f"{side:.4g}" for side in sides)
        raise UserError(f"{name}: voxel spacing of {text} mm by pixdim, {other} mm by the affine; mend one of them")
    return affine


def _check_unit(header: Any, name: str) -> None:  # noqa: ANN401 - nibabel's
    try:
        unit = header.get_xyzt_units()[0]
    except KeyError:
        unit = f"an unknown unit (code {int(header['xyzt_units']) % 8})"
    if unit not in ("mm", "unknown"):
        raise UserError(f"{name}: lengths in {unit}, not mm; save it in mm")


def _check_hu(image_hu: NDArray[np.float32], name: str) -> None:
    n_bad = int(np.count_nonzero(~np.isfinite(image_hu)))
    check_range(n_bad, image_hu.size, (float(image_hu.min()), float(image_hu.max())), name)


def check_range(n_bad: int, n_voxels: int, range_hu: tuple[float, float], name: str) -> None:
    """Refuse a volume with voxels that are not finite, or whose lowest and highest value are not those of HU."""
    if n_bad:
        found = f"{n_bad} of {n_voxels} voxels are NaN or infinite"
        raise UserError(f"{name}: {found}; set what lies outside to −1000 HU")
    low, high = range_hu
    if low >= 0.0 or high - low <= 10.0:
        expected = "in HU air is −1000 and fat −100"
        raise UserError(f"{name}: values from {low:g} to {high:g} are not HU ({expected}); give the CT in HU")
