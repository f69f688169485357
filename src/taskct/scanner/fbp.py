"""Filtered backprojection of a whole image or of a region of interest."""

from dataclasses import asdict
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import linalg, sparse

from taskct.errors import UserError
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.kernels import ramp_kernel
from taskct.scanner.matrix_cache import cached_matrix
from taskct.scanner.system_matrix import SystemMatrix, check_entries, linear

SLICES_PER_FILTER = 16  # bounds the filtered sinograms held at a time


def parker_weights(geometry: ScanGeometry) -> NDArray[np.float64]:
    """Weigh the rays of a scan, `(n_views, n_bins)`, so that every line through the field of view counts once.

    A line's two rays sum to 1: ½ throughout in a full scan, 1 in a parallel short scan, which measures every line once.
    In a short scan of n views the overscan is shared out: Parker's half fan angle is (n·step − π)/2, which is at least
    the fan's. Source: Parker, "Optimal short scan convolution reconstruction for fanbeam CT", Med. Phys. 9, 254 (1982).
    """
    shape = (geometry.n_views, geometry.n_bins)
    if geometry.scan == "full":
        return np.full(shape, 0.5)
    if geometry.detector == "parallel":
        return np.ones(shape)
    half_fan = (geometry.n_views * geometry.step_rad - np.pi) / 2.0
    view, fan = geometry.view_rad[:, None], geometry.fan_rad[None, :]
    # The other ray along a line is π − 2·fan later, at the opposite fan angle.
    rising, falling = 2.0 * (half_fan + fan), 2.0 * (half_fan - fan)
    with np.errstate(divide="ignore", invalid="ignore"):
        start = np.where(view < rising, np.sin(np.pi / 2.0 * view / rising) ** 2, 1.0)
        left = np.pi + 2.0 * half_fan - view
        end = np.where(left < falling, np.sin(np.pi / 2.0 * left / falling) ** 2, 1.0)
    weights: NDArray[np.float64] = start * end
    return weights


def backprojection_matrix(
    geometry: ScanGeometry, *, center_mm: tuple[float, float], n_pixels: int, pixel_mm: float, n_views: int
) -> sparse.csr_matrix:
    """Build the weighted backprojection of the first `n_views` views, linear between two bins.

    The image lies about (x, y) = `center_mm`. The matrix is `(n_pixels**2, n_views * n_bins)`, rad, float32. Rows of
    pixels outside the field of view are empty.
    """
    axis = (np.arange(n_pixels) - (n_pixels - 1) / 2.0) * pixel_mm
    x, y = axis + center_mm[0], axis + center_mm[1]
    seen = np.hypot(x[None, :], y[:, None]) <= geometry.field_of_view_mm / 2.0
    pointer = np.concatenate([[0], np.cumsum(seen.ravel() * 2 * n_views)])
    weights, indices = np.empty(pointer[-1], dtype=np.float32), np.empty(pointer[-1], dtype=np.int32)
    first_bin = np.arange(n_views, dtype=np.int32) * geometry.n_bins
    for row in range(n_pixels):  # a row at a time keeps the double-precision parts small
        low, fraction, weight = _shadows(geometry, x[seen[row], None], y[row], n_views)
        part = slice(pointer[row * n_pixels], pointer[(row + 1) * n_pixels])
        weights[part] = np.stack([weight * (1.0 - fraction), weight * fraction], axis=-1).ravel()
        indices[part] = np.stack([first_bin + low, first_bin + low + 1], axis=-1).ravel()
    shape = (n_pixels**2, n_views * geometry.n_bins)
    return sparse.csr_matrix((weights, indices, pointer.astype(np.int32)), shape=shape)


def _narrowed(matrix: sparse.csr_matrix, n_bins: int, bins: slice) -> sparse.csr_matrix:
    """A backprojection matrix of all bins as one of some, which hold all its entries."""
    width = bins.stop - bins.start
    if width == n_bins:
        return matrix
    view, column = np.divmod(matrix.indices, n_bins)
    indices = (view * width + column - bins.start).astype(np.int32)
    return sparse.csr_matrix(
        (matrix.data, indices, matrix.indptr), shape=(matrix.shape[0], matrix.shape[1] // n_bins * width)
    )


def _shadows(
    geometry: ScanGeometry, x_mm: NDArray[np.floating], y_mm: float | np.floating, n_views: int
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]:
    """Lower bin, fraction of the way to the next one, and weight in rad of points, `(n, 1)`, in the first views."""
    angle = np.arange(n_views) * geometry.step_rad
    position, weight = geometry.shadow(x_mm, np.asarray(y_mm), angle)
    low = np.clip(np.floor(position).astype(np.int32), 0, geometry.n_bins - 2)  # at the rim, against rounding
    return low, position - low, weight * geometry.step_rad


class FBP:
    """Filtered backprojection onto the pixels of one square image, batched and differentiable.

    Filtering is a dense product with a Toeplitz matrix (faster than an FFT for rows of some hundred bins); only the
    bins are worked out that the image casts its shadow on. The weighted backprojection is a sparse product. A centred
    image needs the matrix of a quarter of a turn only (at 512² pixels, 984 views and 900 bins 1.0 GB, and as much again
    once a gradient is asked for); one elsewhere that of all views. Large matrices are kept on disk, see
    `taskct.scanner.matrix_cache`.

    As on a scanner, a centred image may have its corners outside the field of view: pixels there read 0 mm⁻¹, air. A
    UserError, if its side lies outside, or any part of an image that is not centred; if the window or the cutoff is not
    one of those allowed; or if the matrix would be too large.

    Parameters
    ----------
    geometry, device
        The scan, and where the matrices live.
    n_pixels, pixel_mm, center_mm
        Pixels along each side of the image and their pitch, mm; its centre, (x, y), mm.
    window, cutoff
        Roll-off of the ramp, see `taskct.scanner.kernels`.

    References
    ----------
    .. [1] Kak and Slaney, Principles of Computerized Tomographic Imaging (1988), sections 3.4.1 (equiangular) and 3.4.2
       (equispaced).
    """

    def __init__(
        self,
        geometry: ScanGeometry,
        *,
        n_pixels: int,
        pixel_mm: float,
        center_mm: tuple[float, float] = (0.0, 0.0),
        window: str = "hann",
        cutoff: float = 1.0,
        device: torch.device | str = "cpu",
    ) -> None:
        half = n_pixels * pixel_mm / 2.0
        centred = tuple(center_mm) == (0.0, 0.0)
        reach = half if centred else float(np.hypot(*(np.abs(center_mm) + half)))
        if 2.0 * reach > geometry.field_of_view_mm * (1.0 + 1e-9):
            raise UserError(
                f"the region of {n_pixels} × {pixel_mm} mm at {tuple(center_mm)} mm reaches {reach:.0f} mm from the "
                f"isocentre, beyond the field of view ({geometry.field_of_view_mm / 2:.0f} mm): move or shrink it"
            )
        held = geometry.views_per_turn // 4 if centred else geometry.n_views
        check_entries(2 * n_pixels**2 * held)
        self.geometry = geometry
        self.center_mm = center_mm
        self.n_pixels = n_pixels
        self.pixel_mm = pixel_mm
        self.window = window
        self.cutoff = cutoff
        self.device = device
        self._kernel = ramp_kernel(geometry.n_bins, bin_step=geometry.bin_step, window=window, cutoff=cutoff)
        place = {"n_pixels": n_pixels, "pixel_mm": pixel_mm, "n_views": held}
        key = {"matrix": "fbp", "geometry": asdict(geometry), "center_mm": list(center_mm), **place}

        self._bins = self._shadow_bins(held)

        def to_pixels() -> sparse.csr_matrix:
            whole = cached_matrix(
                key,
                lambda: backprojection_matrix(
                    geometry, center_mm=center_mm, n_pixels=n_pixels, pixel_mm=pixel_mm, n_views=held
                ),
            )
            return _narrowed(whole, geometry.n_bins, self._bins)

        bins = {"first_bin": self._bins.start, "last_bin": self._bins.stop - 1}
        self._system = SystemMatrix(
            to_views=lambda: cached_matrix(key | bins | {"transposed": True}, lambda: to_pixels().T.tocsr()),
            to_pixels=to_pixels,
            n_pixels=n_pixels,
            n_views=geometry.n_views,
            n_bins=self._bins.stop - self._bins.start,
            n_views_held=held,
            device=device,
        )

    def _shadow_bins(self, n_views: int) -> slice:
        """The bins that the image casts its shadow on in the first views: from corner to corner, for it is convex."""
        reach = (self.n_pixels - 1) / 2.0 * self.pixel_mm
        x, y = (center + reach * np.array([-1.0, 1.0]) for center in self.center_mm)
        angle = np.arange(n_views) * self.geometry.step_rad
        position = np.stack([self.geometry.shadow(x[:, None], np.asarray(row), angle)[0] for row in y])
        n_bins = self.geometry.n_bins  # one more bin on either side, against rounding
        low, high = int(np.floor(position.min())) - 1, int(np.floor(position.max())) + 3
        return slice(min(max(low, 0), n_bins - 2), max(min(high, n_bins), 2))

    @cached_property
    def _filter(self) -> torch.Tensor:
        """Cosine weight and ramp as one matrix, `(n_bins, n_shadow_bins)`, mm⁻¹, applied from the right."""
        g = self.geometry
        kernel = self._kernel * g.bin_step
        if g.detector == "curved":
            angle = np.arange(1, g.n_bins) * g.bin_step
            kernel[1:] *= (angle / np.sin(angle)) ** 2
            kernel /= g.source_isocenter_mm
        matrix = np.cos(g.fan_rad)[:, None] * linalg.toeplitz(kernel)
        if self._redundancy is None:
            matrix = matrix * parker_weights(g)[0, 0]
        return torch.from_numpy(np.ascontiguousarray(matrix[:, self._bins], dtype=np.float32)).to(self.device)

    @cached_property
    def _redundancy(self) -> torch.Tensor | None:
        """Weights of the rays, `(n_views, n_bins)`; None where all are alike, and part of the filter."""
        weights = parker_weights(self.geometry)
        if np.ptp(weights) == 0:
            return None
        return torch.from_numpy(weights.astype(np.float32)).to(self.device)

    def _weigh(self, sinogram: torch.Tensor) -> torch.Tensor:
        return sinogram if self._redundancy is None else sinogram * self._redundancy

    def reconstruct(self, sinogram: torch.Tensor) -> torch.Tensor:
        """Reconstruct `(n, n_pixels, n_pixels)` images, mm⁻¹, from line integrals, `(n, n_views, n_bins)`.

        They have the sinograms' type, and are computed in float32. A ValueError, if a sinogram is not one of this
        geometry.
        """
        expected = (self.geometry.n_views, self.geometry.n_bins)
        if sinogram.ndim != 3 or sinogram.shape[1:] != expected:
            raise ValueError(f"sinogram is {tuple(sinogram.shape)}, not (n, {expected[0]}, {expected[1]})")
        return linear(sinogram, self._reconstruct, self._adjoint)

    def pixel_weights(self, row: int, column: int) -> torch.Tensor:
        """Give the weights by which one pixel sums the sinogram, mm⁻¹, `(n_views, n_bins)`: a row of the matrix.

        Its value is the sum of weights × sinogram, so with independent rays the sum of weights² × variance is its
        variance, exactly. Zeros outside the field of view; a ValueError, if there is no such pixel.
        """
        if not (0 <= row < self.n_pixels and 0 <= column < self.n_pixels):
            raise ValueError(f"pixel ({row}, {column}) is not in an image of {self.n_pixels} × {self.n_pixels}")
        g, middle = self.geometry, (self.n_pixels - 1) / 2.0
        x = (column - middle) * self.pixel_mm + self.center_mm[0]
        y = (row - middle) * self.pixel_mm + self.center_mm[1]
        filtered = np.zeros((g.n_views, g.n_bins), dtype=np.float32)
        if np.hypot(x, y) <= g.field_of_view_mm / 2.0:
            low, fraction, weight = (part[0] for part in _shadows(g, np.array([[x]]), y, g.n_views))
            views = np.arange(g.n_views)
            filtered[views, low], filtered[views, low + 1] = weight * (1.0 - fraction), weight * fraction
        shadow = torch.from_numpy(np.ascontiguousarray(filtered[:, self._bins])).to(self.device)
        return self._weigh(shadow @ self._filter.T)

    def _reconstruct(self, sinogram: torch.Tensor) -> torch.Tensor:
        image = sinogram.new_empty(len(sinogram), self.n_pixels, self.n_pixels)
        for start in range(0, len(sinogram), SLICES_PER_FILTER):
            part = slice(start, start + SLICES_PER_FILTER)
            image[part] = self._system.backproject(self._weigh(sinogram[part].to(torch.float32)) @ self._filter)
        return image

    def _adjoint(self, image: torch.Tensor) -> torch.Tensor:
        sinogram = image.new_empty(len(image), self.geometry.n_views, self.geometry.n_bins)
        for start in range(0, len(image), SLICES_PER_FILTER):
            part = slice(start, start + SLICES_PER_FILTER)
            filtered = self._system.project(image[part].to(torch.float32))
            sinogram[part] = self._weigh(filtered @ self._filter.T)
        return sinogram
