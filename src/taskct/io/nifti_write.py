"""Write CT as NIfTI: a volume that was derived from a NIfTI file, on its grid and in its order of axes; a new stack."""

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.files import whole_file
from taskct.io.nifti import ENDINGS, orientations
from taskct.io.volume import Volume
from taskct.reading import reading


def is_nifti(path: Path) -> bool:
    """Whether a path is a NIfTI file by its ending."""
    return path.name.lower().endswith(ENDINGS)


def check_nifti_target(out: Path) -> None:
    """Refuse an output of a NIfTI file that exists, or is none by its ending."""
    if not is_nifti(out) or out.exists():
        raise UserError(f"{out}: the output of a NIfTI file is a new .nii or .nii.gz file; choose another name")


def derived_dtype(image: Any, range_hu: tuple[float, float]) -> np.dtype[Any]:  # noqa: ANN401 - nibabel's
    """The type of a volume derived from an opened file, with rounded values in this range, HU.

    Whole numbers stay whole, in 16 bits, or in 32 where HU need them; other types become float32.
    """
    if image.get_data_dtype().kind in "iu" and (image.dataobj.slope, image.dataobj.inter) == (1.0, 0.0):
        narrow = np.iinfo(np.int16)
        fits = narrow.min <= range_hu[0] and range_hu[1] <= narrow.max
        return np.dtype(np.int16 if fits else np.int32)
    return np.dtype(np.float32)


def derived_image(image: Any, values: NDArray[Any], description: str) -> Any:  # noqa: ANN401 - nibabel's
    """An image of nibabel's of new values, with header and affine of an opened file.

    Values have the file's order of axes, and the type that they are written in. The description is cut to 79
    characters of ASCII.
    """
    header = image.header.copy()
    header.set_data_dtype(values.dtype)
    header.set_slope_inter(1.0, 0.0)
    header["descrip"] = description.encode("ascii", "replace")[:79]
    return type(image)(values, image.affine, header)


def write_nifti(image_hu: NDArray[np.floating], source: Path, volume: Volume, out: Path, description: str) -> Path:
    """Write images derived from a volume, whole or not at all, and return `out`.

    Parameters
    ----------
    image_hu
        HU, finite, shape of `volume.image_hu`. Where the source is padded, its own values stay.
    source
        The NIfTI file that the volume was read from: header, affine and order of axes are its own. Whole numbers stay
        whole (16 bits, or 32 where HU need them); other types become float32.
    volume
        As it was read.
    out
        A `.nii` or `.nii.gz` file that does not exist.
    description
        Goes into the header, at most 79 characters of ASCII.

    Raises
    ------
    UserError
        If `out` exists or cannot be written, or the source cannot be read any more.
    """
    if out.exists():
        raise UserError(f"{out} exists: choose another output, nothing is overwritten")
    with reading(source.name, "NIfTI", "put it back, its header is needed"):
        image: Any = nib.load(source)
        own = np.asanyarray(image.dataobj)
        back = orientations.ornt_transform(
            orientations.axcodes2ornt(("L", "P", "S")), orientations.io_orientation(image.affine)
        )

    def turned(values: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(orientations.apply_orientation(values.transpose(2, 1, 0), back).reshape(own.shape))

    values = turned(image_hu)
    if volume.padding is not None:
        values = np.where(turned(volume.padding), own, values)
    whole = np.rint(values)
    dtype = derived_dtype(image, (whole.min(), whole.max()))
    values = (whole if dtype.kind == "i" else values).astype(dtype)
    written = derived_image(image, values, description)
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(out) as partial:
        # By its bytes, since nibabel takes the kind of a file from its ending.
        content = written.to_bytes()
        partial.write_bytes(gzip.compress(content, mtime=0) if out.name.lower().endswith(".gz") else content)
    return out


def write_stack(images_hu: NDArray[np.float32], spacing_mm: tuple[float, float], out: Path) -> None:
    """Write a stack of slices, `(n, height, width)`, HU, as a new NIfTI file of float32.

    Columns run to the patient's left, rows to posterior, slices to the head, `spacing_mm` between pixels and between
    slices, mm. A file that is there is replaced.
    """
    pixel, slices = spacing_mm
    height, width = images_hu.shape[1:]
    affine = np.diag([-pixel, -pixel, slices, 1.0])
    affine[:2, 3] = (width - 1) / 2 * pixel, (height - 1) / 2 * pixel
    make: Any = nib.Nifti1Image  # without types of its own
    image = make(np.ascontiguousarray(images_hu.transpose(2, 1, 0), dtype=np.float32), affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"HU, taskct"
    content = image.to_bytes()
    out.write_bytes(gzip.compress(content, mtime=0) if out.name.lower().endswith(".gz") else content)
