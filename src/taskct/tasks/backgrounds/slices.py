"""Slices of real CT series as backgrounds, one dose or a pair of doses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from taskct.errors import UserError
from taskct.io.padding import PADDING_BELOW_HU
from taskct.tasks.backgrounds.drawn import AIR_HU, Drawn


@dataclass(frozen=True)
class Placement:
    """Where a slice comes to lie on the object grid."""

    shift_mm: tuple[float, float] = (0.0, 0.0)
    """Towards +x and +y, mm."""
    mirror: tuple[bool, bool] = (False, False)
    """Whether x and y are reversed, before the shift."""


CENTRED = Placement()


def draw_placements(rng: np.random.Generator, n: int, *, shift_mm: float) -> list[Placement]:
    """Draw `n` placements, shifted by up to ±`shift_mm` in x and in y and mirrored each way with probability 1/2."""
    shift, mirrored = rng.uniform(-shift_mm, shift_mm, (n, 2)), rng.random((n, 2)) < 0.5
    return [
        Placement((float(s[0]), float(s[1])), (bool(m[0]), bool(m[1]))) for s, m in zip(shift, mirrored, strict=True)
    ]


@dataclass(frozen=True)
class SourceGrid:
    """The pixels of slices, and the object grid that they are moved onto.

    Examples
    --------
    >>> SourceGrid((1.0, 1.0), 4, 1.0).slice(np.zeros((2, 2), dtype=np.float32))[1].tolist()
    [-1000.0, 0.0, 0.0, -1000.0]
    """

    pixel_mm: tuple[float, float]
    """Row and column spacing of the slices, mm."""
    n_pixels: int
    """Side of the object grid."""
    object_pixel_mm: float
    """Its pitch, mm."""

    def slice(
        self,
        image_hu: NDArray[np.float32],
        placement: Placement = CENTRED,
        *,
        below_air: bool = False,
        outside_hu: float = AIR_HU,
    ) -> NDArray[np.float32]:
        """Interpolate a slice, HU, `(height, width)`, onto the object grid, `(n_pixels, n_pixels)`.

        Its middle lies at the isocentre before the shift. The interpolation is bilinear, after smoothing where the grid
        is coarser than the slice, so that neither noise nor detail folds back. What reads less than air counts as air,
        since no attenuation is negative; `below_air` keeps it, as noise does, but for padding (less than −1500 HU).
        Outside the slice lies `outside_hu`.
        """
        lowest = PADDING_BELOW_HU if below_air else AIR_HU
        slice_hu = np.where(image_hu < lowest, np.float32(AIR_HU), image_hu).astype(np.float32)
        # scikit-image's rule for `resize`
        blur = [max(self.object_pixel_mm / pitch - 1.0, 0.0) / 2.0 for pitch in self.pixel_mm]
        if any(blur):
            slice_hu = ndimage.gaussian_filter(slice_hu, blur, mode="constant", cval=outside_hu)
        # "grid-constant" goes over to the outside within a pixel; "constant" drops a whole rim that rounding puts
        # 1e-14 outside.
        placed: NDArray[np.float32] = ndimage.map_coordinates(
            slice_hu, self._points(image_hu.shape, placement), order=1, mode="grid-constant", cval=outside_hu
        )
        return placed

    def mask(self, mask: NDArray[np.bool_], placement: Placement = CENTRED) -> NDArray[np.bool_]:
        """Move a mask, `(height, width)`, onto the object grid as `slice` moves an image, by its nearest pixel."""
        placed: NDArray[np.uint8] = ndimage.map_coordinates(
            mask.astype(np.uint8), self._points(mask.shape, placement), order=0, mode="grid-constant", cval=0
        )
        return placed.astype(bool)

    def whole(self, placement: Placement, shape: tuple[int, ...]) -> Placement:
        """Give the nearest placement that lays pixels of a slice, `(height, width)`, onto pixels of the grid."""
        height, width = shape
        shift = []
        for along, n in zip(placement.shift_mm, (width, height), strict=True):
            half = (self.n_pixels - n) % 2 / 2.0
            shift.append((round(along / self.object_pixel_mm - half) + half) * self.object_pixel_mm)
        return Placement((shift[0], shift[1]), placement.mirror)

    def _points(self, shape: tuple[int, ...], placement: Placement) -> list[NDArray[np.float64]]:
        """Row and column within a slice of every pixel of the object grid."""
        axis = (np.arange(self.n_pixels) - (self.n_pixels - 1) / 2.0) * self.object_pixel_mm
        (shift_x, shift_y), (mirror_x, mirror_y) = placement.shift_mm, placement.mirror
        height, width = shape
        column = (axis - shift_x) * (-1.0 if mirror_x else 1.0) / self.pixel_mm[1] + (width - 1) / 2.0
        row = (axis - shift_y) * (-1.0 if mirror_y else 1.0) / self.pixel_mm[0] + (height - 1) / 2.0
        return list(np.meshgrid(row, column, indexing="ij"))


@dataclass(kw_only=True, eq=False, repr=False)
class Slices:
    """Slices of real CT series as backgrounds: each draw is a slice, mirrored and shifted at random.

    Raises
    ------
    UserError, ValueError
        If there are no slices, `case` is not one number a slice, an array differs in shape, or no slice has a pixel of
        the organ.
    """

    image_hu: NDArray[np.float32]
    """Slices in HU, `(n_slices, height, width)`; of a paired series the normal-dose ones."""
    pixel_mm: tuple[float, float]
    """Their row and column spacing, mm."""
    case: NDArray[np.int64]
    """Case number of every slice, `(n_slices,)`."""
    n_pixels: int
    object_pixel_mm: float
    """The object grid that they are interpolated onto."""
    shift_mm: float
    """Largest shift in x and in y, mm."""
    organ: NDArray[np.bool_] | None = None
    """Where a lesion may lie, `(n_slices, height, width)`; None: anywhere. Moved along with its slice."""
    noisy_hu: NDArray[np.float32] | None = None
    """Paired series: the low-dose slices, as `image_hu`. Moved along with it."""
    as_they_are: bool = False
    """Whether the images themselves are shown, noise and all: they are then moved by whole pixels, so that nothing is
    interpolated, and what reads less than air stays. The object grid must have their pitch."""

    def __post_init__(self) -> None:
        if self.as_they_are and not np.allclose(self.pixel_mm, self.object_pixel_mm, rtol=1e-4):
            raise ValueError(
                f"pixels of {self.pixel_mm} mm on a grid of {self.object_pixel_mm} mm cannot stay as they are"
            )
        if len(self.image_hu) == 0 or len(self.case) != len(self.image_hu):
            raise ValueError(f"{len(self.image_hu)} slices with {len(self.case)} case numbers")
        for name, other in (("organ", self.organ), ("noisy_hu", self.noisy_hu)):
            if other is not None and other.shape != self.image_hu.shape:
                raise ValueError(f"{name} has shape {other.shape}, the slices {self.image_hu.shape}")
        if self.organ is not None and not self.organ.any():
            slices = f"none of the {len(self.image_hu)} slices"
            raise UserError(f"the organ for the lesion is in {slices}: give a mask or a label that is")
        self.grid = SourceGrid(self.pixel_mm, self.n_pixels, self.object_pixel_mm)

    def draw(self, rng: np.random.Generator, index: NDArray[np.int64]) -> Drawn:
        """Draw a placement for every number; the slices take turns, so that each is used equally often."""
        which = index % len(self.image_hu)
        placements = draw_placements(rng, len(index), shift_mm=self.shift_mm)
        if self.as_they_are:
            placements = [self.grid.whole(placement, self.image_hu.shape[1:]) for placement in placements]

        images, organs, noisy = [], [], []
        for i, placement in zip(which, placements, strict=True):
            images.append(self.grid.slice(self.image_hu[i], placement, below_air=self.as_they_are))
            if self.organ is not None:
                organs.append(self.grid.mask(self.organ[i], placement))
            if self.noisy_hu is not None:
                noisy.append(self.grid.slice(self.noisy_hu[i], placement, below_air=True))
        return Drawn(
            image_hu=np.stack(images),
            case=self.case[which],
            organ=np.stack(organs) if organs else None,
            noisy_hu=np.stack(noisy) if noisy else None,
        )
