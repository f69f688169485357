"""How the pixels of a DICOM slice lie in the patient."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Layout:
    """From stored pixels to `image_hu`: transpose, then step through rows and columns by +1 or −1."""

    along_row: NDArray[np.float64]
    """Unit vector along the columns' index of `image_hu`, to the patient's left; `(3,)`."""
    along_column: NDArray[np.float64]
    """The same along the rows' index, to posterior."""
    transpose: bool
    row_step: int
    column_step: int

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit normal of the slices, from feet to head, `(3,)`."""
        return np.cross(self.along_row, self.along_column)

    def to_patient(self, stored: NDArray[Any]) -> NDArray[Any]:
        """From the order of the file to that of `image_hu`."""
        return (stored.T if self.transpose else stored)[:: self.row_step, :: self.column_step]

    def to_stored(self, image: NDArray[Any]) -> NDArray[Any]:
        """The way back."""
        image = image[:: self.row_step, :: self.column_step]
        return image.T if self.transpose else image

    def pixel_mm(self, stored_mm: tuple[float, float]) -> tuple[float, float]:
        """PixelSpacing as stored, mm, to that of `image_hu`."""
        row_mm, column_mm = stored_mm
        return (column_mm, row_mm) if self.transpose else (row_mm, column_mm)

    def affine(
        self,
        first_mm: tuple[float, ...],
        last_mm: tuple[float, ...],
        shape: tuple[int, int, int],
        pixel_mm: tuple[float, float],
    ) -> NDArray[np.float64]:
        """From (slice, row, column, 1) in `image_hu` of this shape to the patient, mm, `(4, 4)`.

        By DICOM PS3.3 equation C.7.6.2.1-1 from the ImagePositionPatient of the first and the last slice; one slice
        steps by 1 mm along its normal.
        """
        n_slices, height, width = shape
        row, column = self.along_column * pixel_mm[0], self.along_row * pixel_mm[1]
        step = np.subtract(last_mm, first_mm) / (n_slices - 1) if n_slices > 1 else self.normal
        # The file's first pixel is `image_hu`'s last one where the order is reversed.
        origin = np.array(first_mm)
        origin = origin - (row * (height - 1) if self.row_step < 0 else 0.0)
        origin = origin - (column * (width - 1) if self.column_step < 0 else 0.0)
        affine = np.eye(4)
        affine[:3] = np.stack([step, row, column, origin], axis=1)
        return affine


def layout_of(orientation: tuple[float, ...]) -> Layout:
    """How `image_hu` is laid out in files of this ImageOrientationPatient (six direction cosines)."""
    along_row, along_column = np.array(orientation[:3]), np.array(orientation[3:])
    transpose = bool(abs(along_row[0]) < abs(along_column[0]))  # the patient lies on the side
    if transpose:
        along_row, along_column = along_column, along_row
    column_step, row_step = (-1 if along_row[0] < 0 else 1), (-1 if along_column[1] < 0 else 1)
    return Layout(column_step * along_row, row_step * along_column, transpose, row_step, column_step)
