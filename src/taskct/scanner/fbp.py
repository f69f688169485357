"""Filtered backprojection of a region of interest."""

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import linalg, sparse

from taskct.errors import UserError
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.projector import check_entries, sparse_product, torch_csr

FILTERS = ("ram-lak", "shepp-logan", "cosine", "hann")


def ramp_kernel(n_bins: int, *, bin_mm: float, window: str) -> NDArray[np.float64]:
    """Sample the band-limited ramp filter, windowed in frequency.

    Parameters
    ----------
    n_bins
        Length of a detector row.
    bin_mm
        Bin pitch at the isocentre, mm.
    window
        One of `FILTERS`: "ram-lak" is the ramp cut at the Nyquist frequency, the others roll it off.

    Returns
    -------
    Kernel for lags 0 to `n_bins - 1`, shape `(n_bins,)`, mm⁻².

    Raises
    ------
    UserError
        If there is no such window.

    References
    ----------
    .. [1] Kak and Slaney, Principles of Computerized Tomographic Imaging (1988), eq. 3.61.
    """
    if window not in FILTERS:
        raise UserError(f"scanner.filter is {window!r}: choose one of {', '.join(FILTERS)}")
    n = 8 * int(2 ** np.ceil(np.log2(n_bins)))
    lag = np.fft.fftfreq(n, 1.0 / n)
    kernel = np.zeros(n)
    kernel[0] = 1.0 / (4.0 * bin_mm**2)
    odd = np.abs(lag) % 2 == 1
    kernel[odd] = -1.0 / (np.pi * lag[odd] * bin_mm) ** 2
    frequency = np.abs(np.fft.fftfreq(n))  # cycles per bin, up to 0.5
    response = {
        "ram-lak": np.ones(n),
        "shepp-logan": np.sinc(frequency),
        "cosine": np.cos(np.pi * frequency),
        "hann": 0.5 * (1.0 + np.cos(2.0 * np.pi * frequency)),
    }[window]
    windowed: NDArray[np.float64] = np.fft.ifft(np.fft.fft(kernel) * response).real
    return windowed[:n_bins]


class RegionFBP:
    """Fan-beam filtered backprojection onto the pixels of one square region.

    Filtering is a dense product with a Toeplitz matrix (faster than an FFT for rows of some hundred bins), the
    weighted backprojection a sparse one, so a batch of sinograms costs two matrix products.

    Parameters
    ----------
    geometry
        The scan.
    center_mm
        Centre of the region, (x, y), mm.
    n_pixels, pixel_mm
        Pixels along each side of the region and their pitch, mm.
    window
        Roll-off of the ramp, one of `FILTERS`.
    device
        Where the matrices live.

    Raises
    ------
    UserError
        If part of the region lies outside the field of view, or its matrix would be too large.

    References
    ----------
    .. [1] Kak and Slaney (1988), section 3.4.2, equispaced detectors.
    """

    def __init__(
        self,
        geometry: ScanGeometry,
        *,
        center_mm: tuple[float, float],
        n_pixels: int,
        pixel_mm: float,
        window: str = "hann",
        device: torch.device | str = "cpu",
    ) -> None:
        reach = float(np.hypot(*(np.abs(center_mm) + n_pixels * pixel_mm / 2.0)))
        if 2.0 * reach > geometry.field_of_view_mm:
            raise UserError(
                f"the region of {n_pixels} × {pixel_mm} mm at {tuple(center_mm)} mm reaches {reach:.0f} mm from the "
                f"isocentre, beyond the field of view ({geometry.field_of_view_mm / 2:.0f} mm): move or shrink it"
            )
        check_entries(2 * n_pixels**2 * geometry.n_views)
        self.geometry = geometry
        self.center_mm = center_mm
        self.n_pixels = n_pixels
        self.pixel_mm = pixel_mm
        self.window = window
        self.device = device

    @cached_property
    def _filter(self) -> torch.Tensor:
        """Cosine weight and ramp as one matrix, `(n_bins, n_bins)`, applied from the right."""
        kernel = ramp_kernel(self.geometry.n_bins, bin_mm=self.geometry.isocenter_bin_mm, window=self.window)
        cosine = np.cos(self.geometry.fan_rad)
        matrix = cosine[:, None] * linalg.toeplitz(kernel) * self.geometry.isocenter_bin_mm
        return torch.from_numpy(matrix.astype(np.float32)).to(self.device)

    @cached_property
    def _backprojection(self) -> torch.Tensor:
        """Sparse matrix, `(n_pixels**2, n_views * n_bins)`."""
        g = self.geometry
        axis = (np.arange(self.n_pixels) - (self.n_pixels - 1) / 2.0) * self.pixel_mm
        cos, sin = np.cos(g.view_rad), np.sin(g.view_rad)
        x = (axis + self.center_mm[0])[:, None]
        weights = np.empty((self.n_pixels, self.n_pixels, g.n_views, 2), dtype=np.float32)
        indices = np.empty(weights.shape, dtype=np.int32)
        for row, y in enumerate(axis + self.center_mm[1]):  # a row at a time keeps the double-precision parts small
            magnification = g.source_isocenter_mm / (g.source_isocenter_mm - (x * cos + y * sin))
            position = (y * cos - x * sin) * magnification / g.isocenter_bin_mm + (g.n_bins - 1) / 2.0
            low = np.clip(np.floor(position).astype(np.int32), 0, g.n_bins - 2)  # at the rim, against rounding
            fraction = position - low
            # ½·(2π/n_views)·1/U², shared between the two neighbouring bins
            weight = np.pi / g.n_views * magnification**2
            weights[row] = np.stack([weight * (1.0 - fraction), weight * fraction], axis=-1)
            first = np.arange(g.n_views, dtype=np.int32) * g.n_bins + low
            indices[row] = np.stack([first, first + 1], axis=-1)
        pointer = np.arange(self.n_pixels**2 + 1, dtype=np.int64) * (2 * g.n_views)
        shape = (self.n_pixels**2, g.n_views * g.n_bins)
        return torch_csr(sparse.csr_matrix((weights.ravel(), indices.ravel(), pointer), shape=shape), self.device)

    def reconstruct(self, sinogram: torch.Tensor) -> torch.Tensor:
        """Reconstruct the region.

        Parameters
        ----------
        sinogram
            Line integrals, shape `(n, n_views, n_bins)`.

        Returns
        -------
        Linear attenuation, mm⁻¹, float32, shape `(n, n_pixels, n_pixels)`.

        Raises
        ------
        ValueError
            If the sinogram is not one of this geometry.
        """
        expected = (self.geometry.n_views, self.geometry.n_bins)
        if sinogram.ndim != 3 or sinogram.shape[1:] != expected:
            raise ValueError(f"sinogram is {tuple(sinogram.shape)}, not (n, {expected[0]}, {expected[1]})")
        n = len(sinogram)
        filtered = sinogram.to(torch.float32) @ self._filter
        pixels = sparse_product(self._backprojection, filtered.reshape(n, -1).T)
        return pixels.T.reshape(n, self.n_pixels, self.n_pixels)
