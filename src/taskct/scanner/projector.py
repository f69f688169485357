"""Line integrals: of a pixel image by a sparse matrix, of discs and Gaussian blobs in closed form."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from taskct.errors import UserError
from taskct.scanner.geometry import ScanGeometry

VIEWS_PER_CHUNK = 8
COLUMNS_PER_PRODUCT = 32  # measured: the sparse product is fastest between 16 and 64 columns
MAX_ENTRIES = 2**31 - 1  # torch multiplies CSR matrices with 32-bit indices; such a matrix already holds 16 GiB


def check_entries(n_entries: int) -> None:
    """Raise UserError if a system matrix would have more entries than 32-bit indices reach."""
    if n_entries > MAX_ENTRIES:
        raise UserError(
            f"the system matrix would have up to {n_entries:.1e} entries, more than {MAX_ENTRIES:.1e}: "
            "lower scanner.n_views, scanner.n_bins, or the number of pixels"
        )


def joseph_matrix(geometry: ScanGeometry, *, n_pixels: int, pixel_mm: float, n_views: int) -> sparse.csr_matrix:
    """Build the system matrix of the first `n_views` views by Joseph's method.

    A ray is sampled once a column (or row, whichever it crosses more steeply), linearly between the two nearest pixels;
    outside the grid the image is zero.

    Parameters
    ----------
    geometry
        The scan.
    n_pixels, pixel_mm
        Pixels along each side of the square image and their pitch, mm.
    n_views
        How many views from the first one on.

    Returns
    -------
    Matrix, shape `(n_views * n_bins, n_pixels**2)`, mm, float32.

    Raises
    ------
    UserError
        If the grid reaches as far as the source, or the matrix would be too large.

    References
    ----------
    .. [1] Joseph, IEEE Trans. Med. Imaging 1, 192 (1982).
    """
    reach = n_pixels * pixel_mm / np.sqrt(2.0)
    if reach >= geometry.source_isocenter_mm:
        raise UserError(
            f"the object grid of {n_pixels} × {pixel_mm} mm reaches {reach:.0f} mm from the isocentre, as far as the "
            f"source ({geometry.source_isocenter_mm:.0f} mm): lower scanner.object_pixels or scanner.object_pixel_mm"
        )
    check_entries(2 * n_pixels * n_views * geometry.n_bins)
    source, direction = geometry.rays()
    centre = (n_pixels - 1) / 2.0
    steps = np.arange(n_pixels)
    indices, weights, counts = [], [], []
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
        step = steps[:, None].astype(np.int32)
        index = np.where(along_x[..., None, None], neighbour * n_pixels + step, step * n_pixels + neighbour)
        indices.append(index[inside].astype(np.int32))
        weights.append(weight[inside])
        counts.append(inside.sum(axis=(2, 3)).ravel())
    pointer = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    shape = (n_views * geometry.n_bins, n_pixels**2)
    matrix = sparse.csr_matrix((np.concatenate(weights), np.concatenate(indices), pointer), shape=shape)
    matrix.sort_indices()
    return matrix


def torch_csr(matrix: sparse.csr_matrix, device: torch.device | str = "cpu") -> torch.Tensor:
    """Turn a sparse matrix into a float32 torch CSR tensor with 32-bit indices.

    Parameters
    ----------
    matrix
        Shape `(n_out, n_in)`; at most `MAX_ENTRIES` entries.
    device
        Where the tensor lives. On the CPU it shares the memory of arrays that have these types already.

    Returns
    -------
    Tensor, shape `(n_out, n_in)`.
    """
    pointer, indices = (torch.from_numpy(np.asarray(part, dtype=np.int32)) for part in (matrix.indptr, matrix.indices))
    values = torch.from_numpy(np.asarray(matrix.data, dtype=np.float32))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta", category=UserWarning)
        return torch.sparse_csr_tensor(pointer, indices, values, size=matrix.shape, check_invariants=True).to(device)


def sparse_product(matrix: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Multiply a CSR matrix, `(n_out, n_in)`, by a dense one, `(n_in, n)`, a few columns at a time."""
    starts = range(0, columns.shape[1], COLUMNS_PER_PRODUCT)
    parts = [matrix @ columns[:, start : start + COLUMNS_PER_PRODUCT].contiguous() for start in starts]
    return torch.cat(parts, dim=1)


Map = Callable[[torch.Tensor], torch.Tensor]


class _Linear(torch.autograd.Function):
    """A linear map whose derivative is its adjoint; torch's own backward through a CSR product is far slower."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, apply: Map, transpose: Map) -> torch.Tensor:  # noqa: ANN401
        ctx.pair = (transpose, apply)
        return apply(values)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # noqa: ANN401
        transpose, apply = ctx.pair
        return _linear(gradients[0], transpose, apply), None, None


def _linear(values: torch.Tensor, apply: Map, transpose: Map) -> torch.Tensor:
    mapped: torch.Tensor = _Linear.apply(values, apply, transpose)  # type: ignore[no-untyped-call]
    return mapped


class Projector:
    """Fan-beam forward projection of square pixel images and its exact adjoint, batched and differentiable.

    Only a quarter of the views is stored; the rest follows by turning the image in quarter turns.

    Parameters
    ----------
    geometry
        The scan.
    n_pixels, pixel_mm
        Pixels along each side of the image and their pitch, mm.
    device
        Where the matrix lives.

    Raises
    ------
    UserError
        If the grid reaches as far as the source, or the matrix would be too large.
    """

    def __init__(
        self, geometry: ScanGeometry, *, n_pixels: int, pixel_mm: float, device: torch.device | str = "cpu"
    ) -> None:
        self.geometry = geometry
        self.n_pixels = n_pixels
        self.pixel_mm = pixel_mm
        self.device = device
        quarter = joseph_matrix(geometry, n_pixels=n_pixels, pixel_mm=pixel_mm, n_views=geometry.n_views // 4)
        self._scipy = quarter
        self._matrix = torch_csr(quarter, device)
        self._transpose: torch.Tensor | None = None

    def project(self, image: torch.Tensor) -> torch.Tensor:
        """Project images.

        Parameters
        ----------
        image
            Shape `(n, n_pixels, n_pixels)`; linear attenuation in mm⁻¹ for line integrals without unit.

        Returns
        -------
        Sinogram, shape `(n, n_views, n_bins)`.

        Raises
        ------
        ValueError
            If the images are not on this grid.
        """
        if image.ndim != 3 or image.shape[1:] != (self.n_pixels, self.n_pixels):
            raise ValueError(f"image is {tuple(image.shape)}, not (n, {self.n_pixels}, {self.n_pixels})")
        return _linear(image, self._project, self._backproject)

    def adjoint(self, sinogram: torch.Tensor) -> torch.Tensor:
        """Backproject without a filter: the exact adjoint of `project`.

        Parameters
        ----------
        sinogram
            Shape `(n, n_views, n_bins)`.

        Returns
        -------
        Image, shape `(n, n_pixels, n_pixels)`.

        Raises
        ------
        ValueError
            If the sinograms are not of this geometry.
        """
        expected = (self.geometry.n_views, self.geometry.n_bins)
        if sinogram.ndim != 3 or sinogram.shape[1:] != expected:
            raise ValueError(f"sinogram is {tuple(sinogram.shape)}, not (n, {expected[0]}, {expected[1]})")
        return _linear(sinogram, self._backproject, self._project)

    def _project(self, image: torch.Tensor) -> torch.Tensor:
        n = len(image)
        # The object turned by −90° seen from β is the object seen from β + 90°.
        turned = torch.stack([torch.rot90(image, quarter, (1, 2)) for quarter in range(4)])
        columns = turned.reshape(4 * n, -1).T.to(torch.float32)
        rows = sparse_product(self._matrix, columns).T
        views = rows.reshape(4, n, self.geometry.n_views // 4, self.geometry.n_bins)
        return views.transpose(0, 1).reshape(n, self.geometry.n_views, self.geometry.n_bins).to(image.dtype)

    def _backproject(self, sinogram: torch.Tensor) -> torch.Tensor:
        if self._transpose is None:
            self._transpose = torch_csr(self._scipy.T.tocsr(), self.device)
        n = len(sinogram)
        views = sinogram.reshape(n, 4, -1).transpose(0, 1).reshape(4 * n, -1)
        pixels = sparse_product(self._transpose, views.T.to(torch.float32)).T
        turned = pixels.reshape(4, n, self.n_pixels, self.n_pixels)
        images = [torch.rot90(turned[quarter], -quarter, (1, 2)) for quarter in range(4)]
        return torch.stack(images).sum(dim=0).to(sinogram.dtype)


def _ray_distance(geometry: ScanGeometry, x_mm: NDArray[np.floating], y_mm: NDArray[np.floating]) -> NDArray[np.float32]:
    """Distance of each centre from every ray, mm, shape `(n, n_views, n_bins)`."""
    source, direction = geometry.rays()
    normal = np.stack([-direction[..., 1], direction[..., 0]])
    # In double precision, then rounded: two terms of the size of the source's distance nearly cancel.
    offset = (source[..., 0] * normal[0] + source[..., 1] * normal[1]).astype(np.float32)
    normal_x, normal_y = normal.astype(np.float32)
    x, y = (np.asarray(value, dtype=np.float32)[:, None, None] for value in (x_mm, y_mm))
    distance: NDArray[np.float32] = x * normal_x + y * normal_y - offset
    return distance


def project_discs(
    geometry: ScanGeometry,
    *,
    x_mm: NDArray[np.floating],
    y_mm: NDArray[np.floating],
    diameter_mm: NDArray[np.floating],
    mu: NDArray[np.floating],
) -> NDArray[np.float32]:
    """Compute the exact line integrals of uniform discs, one a trial.

    Parameters
    ----------
    geometry
        The scan.
    x_mm, y_mm, diameter_mm
        Centre and diameter, mm, shape `(n,)`.
    mu
        Linear attenuation (or its difference from what surrounds it), mm⁻¹, shape `(n,)`.

    Returns
    -------
    Sinograms, shape `(n, n_views, n_bins)`.
    """
    distance = _ray_distance(geometry, x_mm, y_mm)
    radius = np.asarray(diameter_mm, dtype=np.float32)[:, None, None] / 2.0
    chord = 2.0 * np.sqrt(np.clip(radius**2 - distance**2, 0.0, None))
    return np.asarray(np.asarray(mu, dtype=np.float32)[:, None, None] * chord, dtype=np.float32)


def project_gaussians(
    geometry: ScanGeometry,
    *,
    x_mm: NDArray[np.floating],
    y_mm: NDArray[np.floating],
    diameter_mm: NDArray[np.floating],
    mu: NDArray[np.floating],
) -> NDArray[np.float32]:
    """Compute the exact line integrals of Gaussian blobs, one a trial.

    Parameters
    ----------
    geometry
        The scan.
    x_mm, y_mm, diameter_mm
        Centre and full width at half maximum, mm, shape `(n,)`.
    mu
        Peak linear attenuation, mm⁻¹, shape `(n,)`.

    Returns
    -------
    Sinograms, shape `(n, n_views, n_bins)`.
    """
    sigma = np.asarray(diameter_mm, dtype=np.float32)[:, None, None] / np.float32(np.sqrt(8.0 * np.log(2.0)))
    peak = np.asarray(mu, dtype=np.float32)[:, None, None] * sigma * np.float32(np.sqrt(2.0 * np.pi))
    distance = _ray_distance(geometry, x_mm, y_mm)
    return np.asarray(peak * np.exp(-0.5 * (distance / sigma) ** 2), dtype=np.float32)
