"""Channels: the few weighted sums of pixels that a channelized observer sees.

Each function returns a `channel_matrix`, float64 of shape `(n_pixels, n_channels)`, pixels in row-major order.
Distances are counted in pixels between pixel centres, frequencies in cycles/pixel. The middle of an image of even size
lies between pixels, at `(size - 1) / 2`. Laguerre–Gauss, Gabor and difference-of-Gaussian channels are sampled from the
continuous formula and cut at the border of the image. An observer does not depend on the scale of a channel.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from taskct.errors import UserError
from taskct.observers.base import Array, Truth
from taskct.observers.covariance import Moments
from taskct.ranges import Range, check_ranges

_EXHAUSTED = 1e-12  # of the largest variance, or of the first correlation: nothing is left to learn from

CHANNEL_RANGES = {
    "width_px": Range(0.0, unit="pixels", open_low=True),
    "n_channels": Range(1, whole=True),
    "n_orientations": Range(1, whole=True),
    "sigma0": Range(0.0, unit="cycles/pixel", open_low=True),
    "alpha": Range(1.0, open_low=True),
    "q": Range(1.0, open_low=True),
}
"""Of what the functions below take."""


def laguerre_gauss(
    shape: tuple[int, int], *, width_px: float, n_channels: int = 10, centre: tuple[float, float] | None = None
) -> Array:
    """Laguerre–Gauss channels, for a signal that looks the same in all directions and lies at `centre`.

    u_n(r) = √2/a · exp(−π r²/a²) · L_n(2π r²/a²), n = 0, 1, …; L_n is a Laguerre polynomial, a is `width_px`. They are
    orthonormal in the plane; channel 0 has a standard deviation of a/√(2π) ≈ 0.4 a. See Gallas & Barrett, J. Opt. Soc.
    Am. A 20, 1725 (2003).

    >>> channel_matrix = laguerre_gauss((64, 64), width_px=12.0, n_channels=3)
    >>> (channel_matrix.T @ channel_matrix).round(3) + 0.0
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 0., 1.]])
    """
    check_ranges(CHANNEL_RANGES, width_px=width_px, n_channels=n_channels)
    rows, columns = _offsets(shape, centre)
    x = 2.0 * math.pi / width_px**2 * (rows[:, None] ** 2 + columns**2).ravel()
    matrix = np.empty((n_channels, x.size))
    matrix[0] = math.sqrt(2.0) / width_px * np.exp(-x / 2.0)
    previous = np.zeros_like(x)
    for n in range(n_channels - 1):  # (n + 1) L_{n+1} = (2n + 1 − x) L_n − n L_{n−1}
        matrix[n + 1] = ((2 * n + 1 - x) * matrix[n] - n * previous) / (n + 1)
        previous = matrix[n]
    return matrix.T


def gabor(
    shape: tuple[int, int],
    *,
    band_edges: Sequence[float] = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4),
    n_orientations: int = 5,
    phases: Sequence[float] = (0.0, math.pi / 2.0),
    centre: tuple[float, float] | None = None,
) -> Array:
    """Gabor channels: sinusoids under a Gaussian, tuned to a band of frequencies and an orientation.

    exp(−4 ln 2 · r²/w²) · cos(2π f (x cos θ + y sin θ) + β): x along columns, y along rows, f in the middle of a band,
    and w = 4 ln 2/(π · bandwidth), so that the amplitude spectrum is as wide at half maximum as the band. `band_edges`
    are those of adjoining bands, cycles/pixel, rising, in (0, ½]; θ = 0, π/n, 2π/n, …; `phases` are β, radians, of
    which π/2 is blind to a signal that is symmetric about `centre`. Channels are ordered by band, then θ, then β. The
    defaults, 4 octaves × 5 orientations × 2 phases = 40 channels, are those of FDA's IQmodelo. See Eckstein & Whiting,
    J. Opt. Soc. Am. A 13, 1777 (1996), and Wunderlich & Noo, Proc. IEEE Eng. Med. Biol. Soc., 2705 (2008).
    """
    edges = np.asarray(band_edges, dtype=np.float64)
    if edges.ndim != 1 or len(edges) < 2 or not (edges[0] > 0.0 and edges[-1] <= 0.5 and (np.diff(edges) > 0.0).all()):
        raise UserError(f"band_edges are {tuple(band_edges)}; give 2 or more rising values in (0, 0.5] cycles/pixel")
    check_ranges(CHANNEL_RANGES, n_orientations=n_orientations)
    if len(phases) == 0 or not np.isfinite(phases).all():
        raise UserError(f"phases are {tuple(phases)}; give one or more finite values in radians")
    rows, columns = _offsets(shape, centre)
    matrix = np.empty((len(edges) - 1, n_orientations, len(phases), len(rows), len(columns)))
    shifts = np.exp(1j * np.asarray(phases, dtype=np.float64))[:, None, None]
    for of_band, low, high in zip(matrix, edges[:-1], edges[1:], strict=True):
        decay = (math.pi * (high - low)) ** 2 / (4.0 * math.log(2.0))
        wave = 1j * math.pi * (low + high)
        for k in range(n_orientations):
            angle = math.pi * k / n_orientations
            along_rows = np.exp(-decay * rows**2 + wave * math.sin(angle) * rows)
            along_columns = np.exp(-decay * columns**2 + wave * math.cos(angle) * columns)
            of_band[k] = (shifts * along_rows[:, None] * along_columns).real
    return matrix.reshape(-1, len(rows) * len(columns)).T


def difference_of_gaussians(
    shape: tuple[int, int],
    *,
    sigma0: float,
    alpha: float,
    q: float,
    n_channels: int,
    centre: tuple[float, float] | None = None,
) -> Array:
    """Difference-of-Gaussian channels: adjoining rings of frequencies, the same in all directions.

    C_j(ρ) = exp(−½ (ρ/(Q σ_j))²) − exp(−½ (ρ/σ_j)²) with σ_j = σ₀ αʲ, j = 1, 2, …, and its Fourier transform about
    `centre`, 2π Q² σ_j² exp(−2π² Q² σ_j² r²) − 2π σ_j² exp(−2π² σ_j² r²); σ₀ in cycles/pixel. The lowest channels are
    wider than most regions of interest; what lies outside is cut, so that they see a little of the mean. j counts from
    1, as in FDA's IQmodelo; FDA's LCD-CT counts from 0, which `sigma0 / alpha` gives. See Abbey & Barrett, J. Opt. Soc.
    Am. A 18, 473 (2001).
    """
    check_ranges(CHANNEL_RANGES, sigma0=sigma0, alpha=alpha, q=q, n_channels=n_channels)
    rows, columns = _offsets(shape, centre)

    def gaussian(sigma: float) -> Array:
        decay = 2.0 * (math.pi * sigma) ** 2
        return np.outer(2.0 * math.pi * sigma**2 * np.exp(-decay * rows**2), np.exp(-decay * columns**2))

    sigmas = [sigma0 * alpha**j for j in range(1, n_channels + 1)]
    return np.stack([(gaussian(q * sigma) - gaussian(sigma)).ravel() for sigma in sigmas]).T


def sparse_dog(
    shape: tuple[int, int],
    *,
    n_channels: int = 3,
    sigma0: float = 0.015,
    alpha: float = 2.0,
    q: float = 2.0,
    centre: tuple[float, float] | None = None,
) -> Array:
    """Sparse difference-of-Gaussian channels of Abbey & Barrett: σ₀ = 0.015 cycles/pixel, α = 2, Q = 2."""
    return difference_of_gaussians(shape, sigma0=sigma0, alpha=alpha, q=q, n_channels=n_channels, centre=centre)


def dense_dog(
    shape: tuple[int, int],
    *,
    n_channels: int = 10,
    sigma0: float = 0.005,
    alpha: float = 1.4,
    q: float = 1.67,
    centre: tuple[float, float] | None = None,
) -> Array:
    """Dense difference-of-Gaussian channels of Abbey & Barrett: σ₀ = 0.005 cycles/pixel, α = 1.4, Q = 1.67."""
    return difference_of_gaussians(shape, sigma0=sigma0, alpha=alpha, q=q, n_channels=n_channels, centre=centre)


def principal_components(images: NDArray[np.floating], signal_present: Truth, n_channels: int | None = None) -> Array:
    """Principal components of the background: what varies most within a class, whether or not it tells them apart.

    They are the orthonormal eigenvectors of the mean of the two classes' covariances, largest variance first.
    `n_channels` is at most the rank of the trials; None takes 10, or as many as they have.
    """
    if n_channels is not None:
        check_ranges(CHANNEL_RANGES, n_channels=n_channels)
    moments = Moments.of(np.asarray(images, dtype=np.float64).reshape(len(images), -1), np.asarray(signal_present))
    rank = min(moments.n_trials - 2, moments.n_pixels)
    wanted = min(10, rank) if n_channels is None else n_channels
    if 1 <= wanted <= rank:
        last = len(moments.gram) - 1
        variances, vectors = eigh(moments.gram, subset_by_index=[last - wanted + 1, last], check_finite=False)
        rank = int(np.sum((variances > _EXHAUSTED * variances[-1]) & (variances > 0.0)))
        if rank == wanted or (n_channels is None and rank >= 1):
            variances, vectors = variances[-rank:], vectors[:, -rank:]
            if moments.residuals is not None:  # the Gram matrix is ZZᵀ
                vectors = moments.residuals.T @ (vectors / np.sqrt(variances))
            return np.ascontiguousarray(vectors[:, ::-1])
    raise UserError(f"{wanted} principal components are wanted; {moments.n_trials} trials have {rank}; give fewer")


def partial_least_squares(images: NDArray[np.floating], signal_present: Truth, n_channels: int | None = None) -> Array:
    """Partial-least-squares channels: learned to tell the classes apart, the mean difference first.

    The orthonormal weights of PLS regression of the truth on the pixels, which are centred and not scaled (Witten, Park
    & Myers, IEEE Trans. Med. Imaging 29, 1050, 2010). The truth is deflated, not the images; for one response that
    gives the same weights and copies no image. With fewer trials than pixels, many channels fit the noise of the
    trials. None takes 5, or as many as the trials have: they are used up once the channels so far tell them apart
    without error.
    """
    wanted = 5 if n_channels is None else n_channels
    check_ranges(CHANNEL_RANGES, n_channels=wanted)
    pixels = np.asarray(images, dtype=np.float64).reshape(len(images), -1)
    pixels = pixels - pixels.mean(axis=0)
    truth = np.asarray(signal_present, dtype=np.float64)
    left = truth - truth.mean()
    matrix = np.empty((wanted, pixels.shape[1]))
    scores = np.zeros((wanted, len(pixels)))
    first = 0.0
    for k in range(wanted):
        weight = pixels.T @ left
        size = float(np.linalg.norm(weight))
        first = first or size
        if size <= _EXHAUSTED * first:
            if n_channels is None and k:
                return matrix[:k].T
            raise UserError(f"{wanted} PLS channels are wanted but the trials have {k}; give fewer")
        matrix[k] = weight / size
        score = pixels @ matrix[k]
        for _ in range(2):  # once more for what rounding left
            score -= scores.T @ (scores @ score)
        scores[k] = score / np.linalg.norm(score)
        left -= (scores[k] @ left) * scores[k]
    return matrix.T


def unit_channels(channel_matrix: NDArray[np.floating], shape: tuple[int, int]) -> Array:
    """A channel matrix with channels of unit norm; a `UserError` if it is not finite, misfits or has a zero channel."""
    # In one order: norms are sums, and those of another order differ in their last bits.
    matrix = np.ascontiguousarray(channel_matrix, dtype=np.float64)
    if matrix.ndim != 2 or len(matrix) != math.prod(shape) or matrix.shape[1] == 0 or not np.isfinite(matrix).all():
        raise UserError(
            f"a channel matrix of shape {matrix.shape} does not fit a region of {shape[0]} × {shape[1]} pixels; it "
            f"must be finite and of shape ({math.prod(shape)}, n_channels)"
        )
    norm = np.linalg.norm(matrix, axis=0)
    if not (norm > 0.0).all():
        raise UserError(f"channel {int(np.argmin(norm))} is zero in every pixel of the region; leave it out")
    return np.ascontiguousarray(matrix / norm)


def _offsets(shape: tuple[int, int], centre: tuple[float, float] | None) -> tuple[Array, Array]:
    """Distance of every row and of every column from the centre, pixels."""
    if centre is None:
        centre = (shape[0] - 1) / 2.0, (shape[1] - 1) / 2.0
    if len(centre) != 2 or not np.isfinite(centre).all():
        raise UserError(f"centre is {centre}; give a finite row and column in pixels")
    rows, columns = (np.arange(n, dtype=np.float64) - float(c) for n, c in zip(shape, centre, strict=True))
    return rows, columns
