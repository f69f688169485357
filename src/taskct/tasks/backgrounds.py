"""Backgrounds: what a signal may hide in, known statistically.

A background is an object with `draw(rng, n)`. It returns square HU images on the object grid and, for each, the case
it came from; images of one case never stand in two splits.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

AIR_HU = -1000.0


@dataclass(frozen=True)
class Drawn:
    """Objects without a signal."""

    image_hu: NDArray[np.float32]
    """`(n, n_pixels, n_pixels)`, HU."""
    case: NDArray[np.int64]
    """Which slice or phantom each came from, `(n,)`; unique within a study."""


class Background(Protocol):
    """A distribution of objects."""

    def draw(self, rng: np.random.Generator, n: int) -> Drawn:
        """Draw `n` independent objects."""
        ...


def lumpy(
    rng: np.random.Generator,
    n: int,
    *,
    n_pixels: int,
    pixel_mm: float,
    field_mm: float,
    mean_lumps: float,
    lump_sigma_mm: tuple[float, float],
    lump_hu: float,
) -> NDArray[np.float32]:
    """Draw lumpy fields of zero mean: a Poisson number of Gaussian lumps at uniform places, of either sign.

    Well inside the field the variance is `mean_lumps` / `field_mm`² · `lump_hu`² · π · E[σ²].

    Parameters
    ----------
    rng
        Source of randomness.
    n
        Number of fields.
    n_pixels, pixel_mm
        The grid.
    field_mm
        Side of the central square in which lumps are centred, mm.
    mean_lumps
        Expected number of lumps in a field.
    lump_sigma_mm
        Lowest and highest standard deviation of a lump, mm, drawn log-uniformly.
    lump_hu
        Standard deviation of the lumps' peak, HU.

    Returns
    -------
    Shape `(n, n_pixels, n_pixels)`, HU.

    References
    ----------
    .. [1] Rolland and Barrett, J. Opt. Soc. Am. A 9, 649 (1992).
    """
    count = rng.poisson(mean_lumps, n)
    most = max(int(count.max(initial=1)), 1)
    centre = rng.uniform(-field_mm / 2, field_mm / 2, (2, n, most, 1)).astype(np.float32)
    low, high = (float(np.log(value)) for value in lump_sigma_mm)
    sigma = np.exp(rng.uniform(low, high, (n, most, 1))).astype(np.float32)
    peak = (lump_hu * rng.standard_normal((n, most, 1))).astype(np.float32)
    peak[np.arange(most)[None, :] >= count[:, None]] = 0.0
    axis = ((np.arange(n_pixels) - (n_pixels - 1) / 2.0) * pixel_mm).astype(np.float32)
    # An isotropic Gaussian is a product of two profiles, so a field is one small matrix product.
    profile_y, profile_x = (torch.from_numpy(np.exp(-0.5 * ((axis - c) / sigma) ** 2)) for c in centre)
    field: NDArray[np.float32] = torch.bmm((profile_y * torch.from_numpy(peak)).transpose(1, 2), profile_x).numpy()
    return field


def soft_ellipse(
    grid: tuple[NDArray[np.float32], NDArray[np.float32]],
    *,
    x_mm: NDArray[np.floating],
    y_mm: NDArray[np.floating],
    half_x_mm: NDArray[np.floating],
    half_y_mm: NDArray[np.floating],
    edge_mm: float,
) -> NDArray[np.float32]:
    """Compute the coverage in [0, 1] of ellipses whose rim falls off linearly.

    Parameters
    ----------
    grid
        x and y of the pixels, mm, each broadcastable to `(n_pixels, n_pixels)`.
    x_mm, y_mm, half_x_mm, half_y_mm
        Centre and semi-axes, mm, shape `(n,)`.
    edge_mm
        Width of the rim along the shorter axis, mm, wider in proportion along the longer one; at least a pixel avoids
        jagged edges in the projections. An ellipse thinner than its rim never reaches 1.

    Returns
    -------
    Shape `(n, n_pixels, n_pixels)`.
    """
    x, y, a, b = (np.asarray(v, dtype=np.float32)[:, None, None] for v in (x_mm, y_mm, half_x_mm, half_y_mm))
    radius = np.sqrt(((grid[0] - x) / a) ** 2 + ((grid[1] - y) / b) ** 2)
    depth = (1.0 - radius) * np.minimum(a, b) / np.float32(edge_mm)
    return np.asarray(np.clip(0.5 + depth, 0.0, 1.0), dtype=np.float32)


class Torso:
    """An abdomen-like phantom, different in every draw.

    A body ellipse of soft tissue with a rim of fat, a spine, two kidneys and a few vessels, all of random size, place
    and attenuation, over a lumpy parenchyma. The body scales with the grid; organs have the size of an adult's and are
    cut at the rim of fat.

    Parameters
    ----------
    n_pixels, pixel_mm
        The object grid.
    lump_hu, mean_lumps, lump_sigma_mm
        The parenchyma's texture; see `lumpy`.
    n_vessels
        Vessels, each a small ellipse of contrast-filled blood.
    first_case
        Case number of the first draw, so that splits never share one; an instance never gives a case twice.
    """

    def __init__(
        self,
        *,
        n_pixels: int,
        pixel_mm: float,
        lump_hu: float,
        mean_lumps: float,
        lump_sigma_mm: tuple[float, float],
        n_vessels: int,
        first_case: int = 0,
    ) -> None:
        self.n_pixels = n_pixels
        self.pixel_mm = pixel_mm
        self.lump_hu = lump_hu
        self.mean_lumps = mean_lumps
        self.lump_sigma_mm = lump_sigma_mm
        self.n_vessels = n_vessels
        self._next_case = first_case

    def draw(self, rng: np.random.Generator, n: int) -> Drawn:
        """Draw `n` phantoms, each a case of its own."""
        axis = ((np.arange(self.n_pixels) - (self.n_pixels - 1) / 2.0) * self.pixel_mm).astype(np.float32)
        grid = (axis[None, :], axis[:, None])
        half = self.n_pixels * self.pixel_mm / 2.0
        half_x = rng.uniform(0.78, 0.92, n) * half
        half_y = half_x * rng.uniform(0.68, 0.80, n)
        fat = rng.uniform(0.06, 0.14, n) * half_y
        zero = np.zeros(n)

        def ellipse(
            x: NDArray[np.floating], y: NDArray[np.floating], a: NDArray[np.floating], b: NDArray[np.floating]
        ) -> NDArray[np.float32]:
            return soft_ellipse(grid, x_mm=x, y_mm=y, half_x_mm=a, half_y_mm=b, edge_mm=1.5 * self.pixel_mm)

        def blend(
            under: NDArray[np.float32], cover: NDArray[np.float32], hu: NDArray[np.floating]
        ) -> NDArray[np.float32]:
            return under + cover * (hu.astype(np.float32)[:, None, None] - under)

        texture = lumpy(
            rng,
            n,
            n_pixels=self.n_pixels,
            pixel_mm=self.pixel_mm,
            field_mm=2.0 * half,
            mean_lumps=self.mean_lumps,
            lump_sigma_mm=self.lump_sigma_mm,
            lump_hu=self.lump_hu,
        )
        image = np.full((n, self.n_pixels, self.n_pixels), AIR_HU, dtype=np.float32)
        image = blend(image, ellipse(zero, zero, half_x, half_y), rng.normal(-100.0, 8.0, n))
        inner = ellipse(zero, zero, half_x - fat, half_y - fat)
        image = blend(image, inner, rng.normal(55.0, 8.0, n)) + inner * texture
        for side in (-1.0, 1.0):
            x, y = side * rng.uniform(0.42, 0.55, n) * half_x, rng.uniform(0.30, 0.45, n) * half_y
            kidney = ellipse(x, y, rng.uniform(14.0, 22.0, n), rng.uniform(22.0, 30.0, n))
            image = blend(image, inner * kidney, rng.normal(140.0, 20.0, n))
        spine = ellipse(zero, 0.62 * half_y, rng.uniform(17.0, 22.0, n), rng.uniform(14.0, 19.0, n))
        image = blend(image, inner * spine, rng.normal(250.0, 40.0, n))
        for _ in range(self.n_vessels):
            radius, angle = (
                np.sqrt(rng.uniform(0.0, 1.0, n)) * 0.45 * half_y,
                rng.uniform(0.0, 2.0 * np.pi, n),
            )
            a, stretch = rng.uniform(2.5, 6.0, n), rng.uniform(1.0, 1.8, n)
            vessel = ellipse(radius * np.cos(angle), radius * np.sin(angle), a, a * stretch)
            image = blend(image, inner * vessel, rng.normal(110.0, 15.0, n))
        case = np.arange(self._next_case, self._next_case + n, dtype=np.int64)
        self._next_case += n
        return Drawn(image_hu=image, case=case)


class Slices:
    """Slices of real CT series as backgrounds: each draw is a slice, mirrored and shifted at random.

    Parameters
    ----------
    image_hu
        Slices in HU, `(n_slices, height, width)`.
    pixel_mm
        Their row and column spacing, mm.
    case
        Case number of every slice, `(n_slices,)`.
    n_pixels, object_pixel_mm
        The object grid that they are interpolated onto.
    shift_mm
        Largest shift in x and in y, mm.

    Raises
    ------
    ValueError
        If there are no slices, or `case` is not one number a slice.
    """

    def __init__(
        self,
        *,
        image_hu: NDArray[np.float32],
        pixel_mm: tuple[float, float],
        case: NDArray[np.int64],
        n_pixels: int,
        object_pixel_mm: float,
        shift_mm: float,
    ) -> None:
        if len(image_hu) == 0 or len(case) != len(image_hu):
            raise ValueError(f"{len(image_hu)} slices with {len(case)} case numbers")
        self.image_hu = image_hu
        self.pixel_mm = pixel_mm
        self.case = case
        self.n_pixels = n_pixels
        self.object_pixel_mm = object_pixel_mm
        self.shift_mm = shift_mm
        self._next = 0

    def draw(self, rng: np.random.Generator, n: int) -> Drawn:
        """Draw `n` placements; the slices take turns, so that each is used equally often."""
        index = (self._next + np.arange(n)) % len(self.image_hu)
        self._next += n
        shift = rng.uniform(-self.shift_mm, self.shift_mm, (n, 2))
        mirrored = rng.random((n, 2)) < 0.5
        images = [
            place_slice(
                self.image_hu[i],
                pixel_mm=self.pixel_mm,
                n_pixels=self.n_pixels,
                object_pixel_mm=self.object_pixel_mm,
                shift_mm=(float(s[0]), float(s[1])),
                mirror=(bool(m[0]), bool(m[1])),
            )
            for i, s, m in zip(index, shift, mirrored, strict=True)
        ]
        return Drawn(image_hu=np.stack(images), case=self.case[index])


def place_slice(
    image_hu: NDArray[np.float32],
    *,
    pixel_mm: tuple[float, float],
    n_pixels: int,
    object_pixel_mm: float,
    shift_mm: tuple[float, float] = (0.0, 0.0),
    mirror: tuple[bool, bool] = (False, False),
) -> NDArray[np.float32]:
    """Interpolate a slice onto the object grid; air lies outside it.

    Parameters
    ----------
    image_hu
        HU, `(height, width)`; its middle lies at the isocentre before the shift. What reads less than air
        counts as air, since no attenuation is negative.
    pixel_mm
        Row and column spacing, mm.
    n_pixels, object_pixel_mm
        The object grid.
    shift_mm
        Towards +x and +y, mm.
    mirror
        Whether x and y are reversed, before the shift.

    Returns
    -------
    HU, `(n_pixels, n_pixels)`, by bilinear interpolation; smoothed before where the grid is coarser than the slice, so
    that neither noise nor detail folds back.
    """
    axis = (np.arange(n_pixels) - (n_pixels - 1) / 2.0) * object_pixel_mm
    height, width = image_hu.shape
    column = (axis - shift_mm[0]) * (-1.0 if mirror[0] else 1.0) / pixel_mm[1] + (width - 1) / 2.0
    row = (axis - shift_mm[1]) * (-1.0 if mirror[1] else 1.0) / pixel_mm[0] + (height - 1) / 2.0
    points = np.meshgrid(row, column, indexing="ij")
    slice_hu = np.maximum(image_hu, np.float32(AIR_HU))
    blur = [max(object_pixel_mm / pitch - 1.0, 0.0) / 2.0 for pitch in pixel_mm]  # scikit-image's rule for `resize`
    if any(blur):
        slice_hu = ndimage.gaussian_filter(slice_hu, blur, mode="constant", cval=AIR_HU)
    # "grid-constant" goes over to air within a pixel; "constant" drops a whole rim that rounding puts 1e-14 outside.
    placed: NDArray[np.float32] = ndimage.map_coordinates(slice_hu, points, order=1, mode="grid-constant", cval=AIR_HU)
    return placed
