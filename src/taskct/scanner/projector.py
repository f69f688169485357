"""Line integrals of a pixel image by a sparse matrix."""

from dataclasses import asdict

import numpy as np
import torch
from scipy import sparse

from taskct.errors import UserError
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.matrix_cache import cached_matrix
from taskct.scanner.system_matrix import SystemMatrix, check_entries, linear

VIEWS_PER_CHUNK = 4


def joseph_matrix(geometry: ScanGeometry, *, n_pixels: int, pixel_mm: float, n_views: int) -> sparse.csr_matrix:
    """Build the system matrix of the first `n_views` views by Joseph's method.

    It is `(n_views * n_bins, n_pixels**2)`, mm, float32. A ray is sampled once a column (or row, whichever it crosses
    more steeply), linearly between the two nearest pixels; outside the grid the image is zero. A UserError, if the grid
    reaches the source or the matrix would be too large. Source: Joseph, IEEE Trans. Med. Imaging 1, 192 (1982).
    """
    reach = n_pixels * pixel_mm / np.sqrt(2.0)
    if geometry.detector != "parallel" and reach >= geometry.source_isocenter_mm:
        raise UserError(
            f"the object grid of {n_pixels} × {pixel_mm} mm reaches {reach:.0f} mm from the isocentre, as far as the "
            f"source ({geometry.source_isocenter_mm:.0f} mm): lower scanner.object_pixels or scanner.object_pixel_mm"
        )
    most = 2 * n_pixels * n_views * geometry.n_bins
    check_entries(most)
    source, direction = geometry.rays()
    centre = (n_pixels - 1) / 2.0
    steps = np.arange(n_pixels, dtype=np.int32)
    # As many entries as there can be; the system gives memory only to those that are written.
    indices, weights = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.float32)
    pointer = np.zeros(n_views * geometry.n_bins + 1, dtype=np.int32)
    n_entries = 0
    for first in range(0, n_views, VIEWS_PER_CHUNK):
        d = direction[first : min(first + VIEWS_PER_CHUNK, n_views)]
        s = np.broadcast_to(source[first : first + len(d)], d.shape)
        along_x = np.abs(d[..., 0]) >= np.abs(d[..., 1])
        main, cross = np.where(along_x, d[..., 0], d[..., 1]), np.where(along_x, d[..., 1], d[..., 0])
        s_main, s_cross = np.where(along_x, s[..., 0], s[..., 1]), np.where(along_x, s[..., 1], s[..., 0])
        slope = (cross / main)[..., None]
        position = (s_cross[..., None] + ((steps - centre) * pixel_mm - s_main[..., None]) * slope) / pixel_mm + centre
        low = np.floor(position).astype(np.int32)
        fraction = position - low
        length = (pixel_mm * np.sqrt(1.0 + slope**2)).astype(np.float32)
        neighbour = np.stack([low, low + 1], axis=-1)
        weight = length[..., None] * np.stack([1.0 - fraction, fraction], axis=-1).astype(np.float32)
        inside = (neighbour >= 0) & (neighbour < n_pixels) & (weight > 0)
        step = steps[:, None]
        index = np.where(along_x[..., None, None], neighbour * n_pixels + step, step * n_pixels + neighbour)
        counts = inside.sum(axis=(2, 3)).ravel()
        n_new = int(counts.sum())
        indices[n_entries : n_entries + n_new], weights[n_entries : n_entries + n_new] = index[inside], weight[inside]
        rows = slice(first * geometry.n_bins + 1, first * geometry.n_bins + 1 + len(counts))
        pointer[rows] = n_entries + np.cumsum(counts)
        n_entries += n_new
    shape = (n_views * geometry.n_bins, n_pixels**2)
    matrix = sparse.csr_matrix((weights[:n_entries], indices[:n_entries], pointer), shape=shape)
    matrix.sort_indices()  # neighbouring pixels are then read one after the other
    return matrix


class Projector:
    """Forward projection of square pixel images about the isocentre and its exact adjoint, batched and differentiable.

    Only a quarter of a turn is stored (at 512² pixels, 984 views and 900 bins 1.2 GB, and as much again once `adjoint`
    or a gradient is asked for); the rest follows by turning the image in quarter turns. Large matrices are kept on
    disk, see `taskct.scanner.matrix_cache`. A UserError, if the grid reaches as far as the source, or the matrix would
    be too large.
    """

    def __init__(
        self, geometry: ScanGeometry, *, n_pixels: int, pixel_mm: float, device: torch.device | str = "cpu"
    ) -> None:
        self.geometry = geometry
        self.n_pixels = n_pixels
        self.pixel_mm = pixel_mm
        self.device = device
        quarter = geometry.views_per_turn // 4
        key = {"matrix": "joseph", "geometry": asdict(geometry), "n_pixels": n_pixels, "pixel_mm": pixel_mm}

        def to_views() -> sparse.csr_matrix:
            return cached_matrix(
                key, lambda: joseph_matrix(geometry, n_pixels=n_pixels, pixel_mm=pixel_mm, n_views=quarter)
            )

        self._system = SystemMatrix(
            to_views=to_views,
            to_pixels=lambda: cached_matrix(key | {"transposed": True}, lambda: to_views().T.tocsr()),
            n_pixels=n_pixels,
            n_views=geometry.n_views,
            n_bins=geometry.n_bins,
            n_views_held=quarter,
            device=device,
        )
        self._system.to_views  # noqa: B018 - built now, so that what is wrong shows here

    def project(self, image: torch.Tensor) -> torch.Tensor:
        """Project images, `(n, n_pixels, n_pixels)`, mm⁻¹, to line integrals, `(n, n_views, n_bins)`.

        They have the images' type, and are computed in float32. Where views start and which way bins count differs from
        scikit-image's and ASTRA's: see `taskct.scanner.geometry`. A ValueError, if the images are not on this grid.
        """
        if image.ndim != 3 or image.shape[1:] != (self.n_pixels, self.n_pixels):
            raise ValueError(f"image is {tuple(image.shape)}, not (n, {self.n_pixels}, {self.n_pixels})")
        return linear(image, self._system.project, self._system.backproject)

    def adjoint(self, sinogram: torch.Tensor) -> torch.Tensor:
        """Backproject sinograms without a filter: the exact adjoint of `project`, with its shapes, types and errors."""
        expected = (self.geometry.n_views, self.geometry.n_bins)
        if sinogram.ndim != 3 or sinogram.shape[1:] != expected:
            raise ValueError(f"sinogram is {tuple(sinogram.shape)}, not (n, {expected[0]}, {expected[1]})")
        return linear(sinogram, self._system.backproject, self._system.project)
