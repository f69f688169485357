"""Textures: random fields in HU, as pure functions."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft, special

from taskct.tasks.backgrounds.drawn import pixel_axis

_PUBLISHED_SIDE = 128
"""Side of the images of Bochud et al., in their pixels: the units of the clustered lumpy background."""
_N_TURNS = 16  # directions of the blobs over half a turn; a blob looks the same after half a turn


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
    """Draw lumpy fields of zero mean: a Poisson number of Gaussian lumps of either sign [1].

    Given are HU, `(n, n_pixels, n_pixels)`. Well inside the field the variance is `mean_lumps` / `field_mm`² ·
    `lump_hu`² · π · E[σ²].

    Parameters
    ----------
    field_mm, mean_lumps
        Side of the central square in which lumps are centred, uniformly, mm, and their expected number.
    lump_sigma_mm, lump_hu
        Lowest and highest standard deviation of a lump, mm, drawn log-uniformly, and that of the lumps' peak, HU.

    References
    ----------
    .. [1] Rolland and Barrett, J. Opt. Soc. Am. A 9, 649 (1992).
    """
    centre, present = _lumps(rng, n, mean_lumps, field_mm)
    low, high = (float(np.log(value)) for value in lump_sigma_mm)
    sigma = np.exp(rng.uniform(low, high, present.shape)).astype(np.float32)
    peak = (lump_hu * rng.standard_normal(present.shape)).astype(np.float32)
    peak[~present] = 0.0
    return _sum_of_gaussians(centre, sigma, peak, n_pixels=n_pixels, pixel_mm=pixel_mm)


def _lumps(
    rng: np.random.Generator, n: int, mean_lumps: float, field_mm: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Centres of a Poisson number of lumps in each of `n` fields, mm, `(2, n, most)`, and which are there."""
    count = rng.poisson(mean_lumps, n)
    most = max(int(count.max(initial=1)), 1)
    centre = rng.uniform(-field_mm / 2, field_mm / 2, (2, n, most)).astype(np.float32)
    return centre, np.arange(most) < count[:, None]


def _sum_of_gaussians(
    centre: NDArray[np.float32],
    sigma: NDArray[np.float32],
    peak: NDArray[np.float32],
    *,
    n_pixels: int,
    pixel_mm: float,
) -> NDArray[np.float32]:
    """Fields of Gaussians; `centre` is `(2, n, most)`, the others `(n, most)`."""
    axis = pixel_axis(n_pixels, pixel_mm)
    # An isotropic Gaussian is a product of two profiles, so a field is one small matrix product.
    profile_y, profile_x = (
        torch.from_numpy(np.exp(-0.5 * ((axis - c[..., None]) / sigma[..., None]) ** 2)) for c in centre
    )
    weighted = profile_y * torch.from_numpy(peak)[..., None]
    field: NDArray[np.float32] = torch.bmm(weighted.transpose(1, 2), profile_x).numpy()
    return field


def positive_lumps(
    rng: np.random.Generator,
    n: int,
    *,
    n_pixels: int,
    pixel_mm: float,
    lumps_per_mm2: float,
    lump_sigma_mm: float,
    lump_hu: float,
    level_hu: float = 0.0,
) -> NDArray[np.float32]:
    """Draw lumpy backgrounds as in the textbook: a level plus a Poisson number of equal, positive Gaussian lumps.

    Lumps are centred anywhere in the grid and up to 4 standard deviations outside, so a field is stationary up to its
    border. Its mean is `level_hu` + ρ · `lump_hu` · 2π σ²; its autocovariance at a distance d is ρ · `lump_hu`² · π σ²
    · exp(−d² / 4σ²), with ρ the lumps per mm² and σ their standard deviation; its noise-power spectrum ρ · (`lump_hu` ·
    2π σ²)² · exp(−4π² σ² f²).

    Parameters
    ----------
    rng, n, n_pixels, pixel_mm
        Source of randomness, number of fields and their grid; given are HU, `(n, n_pixels, n_pixels)`.
    lumps_per_mm2, lump_hu
        Mean density of the lumps, mm⁻², and their peak, HU.
    lump_sigma_mm
        Standard deviation of a lump, mm. Reference [1] gives a lump's width as r_b = √2 σ.
    level_hu
        What lies under the lumps, HU; the negative of the lumps' mean makes the field one of zero mean.

    References
    ----------
    .. [1] Rolland and Barrett, J. Opt. Soc. Am. A 9, 649 (1992), type I.
    """
    field_mm = n_pixels * pixel_mm + 8.0 * lump_sigma_mm
    centre, present = _lumps(rng, n, lumps_per_mm2 * field_mm**2, field_mm)
    peak = np.where(present, np.float32(lump_hu), np.float32(0.0))
    sigma = np.full(present.shape, lump_sigma_mm, dtype=np.float32)
    return np.float32(level_hu) + _sum_of_gaussians(centre, sigma, peak, n_pixels=n_pixels, pixel_mm=pixel_mm)


@dataclass(frozen=True)
class Blobs:
    """Clusters of elongated blobs, in units: a unit is one pixel of the publication, whose values are the defaults.

    A blob is `peak_hu` · exp(−α rᵝ / L(φ)) with L the radius of an ellipse in that direction; the blobs of a cluster
    are scattered about its centre as a Gaussian and share one random direction.
    """

    peak_hu: float = 1.0
    """Peak of a blob, HU."""
    mean_clusters: float = 150.0
    """Mean number of clusters K on an area of 128² units."""
    mean_blobs: float = 20.0
    """Mean number of blobs N in a cluster."""
    length_x: float = 5.0
    length_y: float = 2.0
    """Semi-axes of the ellipse L, unitsᵝ."""
    alpha: float = 2.1
    beta: float = 0.5
    """Slope α and exponent β of a blob."""
    cluster_sigma: float = 12.0
    """Standard deviation of a blob's place in its cluster, in x and in y, units."""


PUBLISHED = Blobs()


def clustered_lumpy(
    rng: np.random.Generator, n: int, *, n_pixels: int, pixel_mm: float, unit_mm: float, blobs: Blobs = PUBLISHED
) -> NDArray[np.float32]:
    """Draw clustered lumpy backgrounds: a Poisson number of clusters of a Poisson number of elongated blobs [1].

    Parameters
    ----------
    rng, n, n_pixels, pixel_mm
        Source of randomness, number of fields and their grid; given are HU, `(n, n_pixels, n_pixels)`, not of zero
        mean: see `clustered_lumpy_moments`.
    unit_mm, blobs
        A unit of `blobs`, mm: the scale of the texture. Those of [1] have lengths in pixels of images 128 pixels wide.

    Notes
    -----
    A field is cut from one of at least twice its side (and 128 units) whose opposite borders join, so it is stationary:
    the blobs' tails are as long as the image. Blobs are averaged over a pixel, centred on pixels, in one of 16
    directions.

    References
    ----------
    .. [1] Bochud, Abbey and Eckstein, Opt. Express 4, 33 (1999).
    """
    spectra = _blob_spectra(n_pixels, pixel_mm / unit_mm, blobs)
    side = spectra.shape[1]
    clusters_per_field = blobs.mean_clusters * (side * pixel_mm / unit_mm / _PUBLISHED_SIDE) ** 2
    spread = blobs.cluster_sigma * unit_mm / pixel_mm
    out = np.empty((n, n_pixels, n_pixels), dtype=np.float32)
    for field in out:
        n_clusters = rng.poisson(clusters_per_field)
        per_cluster = rng.poisson(blobs.mean_blobs, n_clusters)
        centre = np.repeat(rng.uniform(0.0, side, (2, n_clusters)), per_cluster, axis=1)
        turn = np.repeat(rng.integers(_N_TURNS, size=n_clusters), per_cluster)
        y, x = np.floor(centre + spread * rng.standard_normal(centre.shape)).astype(np.int64) % side
        places = np.bincount((turn * side + y) * side + x, minlength=_N_TURNS * side**2)
        impulses = torch.from_numpy(places.reshape(_N_TURNS, side, side).astype(np.float32))
        spectrum = (torch.fft.rfft2(impulses) * spectra).sum(dim=0)
        whole = torch.fft.irfft2(spectrum, s=(side, side))
        field[:] = blobs.peak_hu * whole[:n_pixels, :n_pixels].numpy()
    return out


def clustered_lumpy_moments(
    *, n_pixels: int, pixel_mm: float, unit_mm: float, blobs: Blobs = PUBLISHED
) -> tuple[float, float]:
    """Mean and standard deviation, HU, of the fields that `clustered_lumpy` draws with the same arguments.

    The mean is K N ∫b / A. The power spectrum is K / A · |B(f)|² · (N + N² |Ψ(f)|²), averaged over directions, with B
    and Ψ the transforms of the blob and of the scatter in a cluster; its integral is the variance.
    """
    spectra = _blob_spectra(n_pixels, pixel_mm / unit_mm, blobs)
    side = spectra.shape[1]
    per_pixel = blobs.mean_clusters * (pixel_mm / unit_mm / _PUBLISHED_SIDE) ** 2  # clusters
    # A field of one blob has the blob's sum as its zero frequency.
    mean = per_pixel * blobs.mean_blobs * float(spectra[:, 0, 0].real.mean())
    frequency = np.fft.fftfreq(side), np.fft.rfftfreq(side)
    scatter = np.exp(
        -2.0 * (np.pi * blobs.cluster_sigma * unit_mm / pixel_mm) ** 2 * np.add.outer(*(f**2 for f in frequency))
    )
    power = (spectra.abs().numpy().astype(np.float64) ** 2).mean(axis=0)
    power *= per_pixel * (blobs.mean_blobs + blobs.mean_blobs**2 * scatter**2)
    both_halves = np.full(power.shape[1], 2.0)  # a real field's spectrum is kept for one half of the frequencies
    both_halves[0] = 1.0
    if side % 2 == 0:
        both_halves[-1] = 1.0
    variance = float((power @ both_halves).sum()) / side**2
    return blobs.peak_hu * mean, abs(blobs.peak_hu) * float(np.sqrt(variance))


@lru_cache(maxsize=4)
def _blob_spectra(n_pixels: int, pixel: float, blobs: Blobs) -> torch.Tensor:
    """Transforms of a blob in each direction on a field whose borders join, `(_N_TURNS, side, side // 2 + 1)`.

    `pixel` is the pitch in units.
    """
    side = fft.next_fast_len(max(2 * n_pixels, int(np.ceil(_PUBLISHED_SIDE / pixel))), real=True)
    images = np.add.outer(side * np.arange(-1, 2), np.arange(side)).astype(np.float64)  # the field and its neighbours
    near = np.arange(-8, 9)
    fine = near[:, None] + (np.arange(8) - 3.5) / 8.0  # a pixel near the peak is averaged over 8 × 8 points
    spectra = []
    for turn in np.arange(_N_TURNS) * np.pi / _N_TURNS:

        def blob(y: NDArray[np.floating], x: NDArray[np.floating], turn: float = float(turn)) -> NDArray[np.float64]:
            x, y = x * pixel, y * pixel
            r = np.hypot(x, y)
            along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
            # r / L(φ), and so r ** β / L(φ) without a division by 0 at the middle.
            radius = np.hypot(along / blobs.length_x, across / blobs.length_y)
            depth = radius * np.maximum(r, 1e-9) ** (blobs.beta - 1.0)
            return np.asarray(np.exp(-blobs.alpha * depth), dtype=np.float64)

        kernel = blob(images.reshape(-1, 1), images.reshape(1, -1)).reshape(3, side, 3, side).sum(axis=(0, 2))
        averaged = blob(fine.reshape(-1, 1), fine.reshape(1, -1)).reshape(len(near), 8, len(near), 8).mean(axis=(1, 3))
        kernel[np.ix_(near % side, near % side)] += averaged - blob(near[:, None] * 1.0, near[None, :] * 1.0)
        # What lies beyond the neighbours is all but flat: it makes up the blob's integral.
        kernel += (_blob_integral(blobs) / pixel**2 - kernel.sum()) / side**2
        spectra.append(np.fft.rfft2(kernel).astype(np.complex64))
    return torch.from_numpy(np.stack(spectra))


def _blob_integral(blobs: Blobs) -> float:
    """Integral of exp(−α rᵝ / L(φ)) over the plane, units²: ∫ Γ(2/β) / β · (L / α)^(2/β) dφ."""
    phi = np.linspace(0.0, 2.0 * np.pi, 1024, endpoint=False)
    length = 1.0 / np.hypot(np.cos(phi) / blobs.length_x, np.sin(phi) / blobs.length_y)
    power = 2.0 / blobs.beta
    return float(2.0 * np.pi * (special.gamma(power) / blobs.beta * (length / blobs.alpha) ** power).mean())


def power_law(
    rng: np.random.Generator,
    n: int,
    *,
    n_pixels: int,
    pixel_mm: float,
    std_hu: float,
    exponent: float = 3.0,
    longest_mm: float | None = None,
) -> NDArray[np.float32]:
    """Draw Gaussian fields of zero mean whose power spectrum falls as 1 / fᵝ: HU, `(n, n_pixels, n_pixels)`.

    They are cut from fields of up to twice the side, where the spectrum begins, so that opposite borders are not alike.

    Parameters
    ----------
    std_hu
        Standard deviation over the ensemble of a field, HU. Much of it is in waves longer than the field when β is
        high, so a single field varies less within itself.
    exponent
        β > 0; about 3 in mammograms [1].
    longest_mm
        The spectrum levels off for waves longer than this, as (f² + 1 / `longest_mm`²)^(−β/2), mm; None: for none.

    References
    ----------
    .. [1] Burgess, Jacobson and Judy, Med. Phys. 28, 419 (2001).
    """
    # Levelled off, a field is all but uncorrelated over `longest_mm`; otherwise its waves are as long as can be.
    margin = n_pixels if longest_mm is None else min(n_pixels, int(np.ceil(longest_mm / pixel_mm)))
    side = fft.next_fast_len(n_pixels + margin)
    frequency = np.fft.fftfreq(side, pixel_mm)
    squared = np.add.outer(frequency**2, frequency**2) + (0.0 if longest_mm is None else longest_mm**-2)
    squared[0, 0] = np.inf  # no mean
    amplitude = squared ** (-exponent / 4.0)
    amplitude *= std_hu * side**2 / np.sqrt((amplitude**2).sum())
    # White noise in the complex plane: the real and the imaginary part of its transform are two independent fields.
    pairs = (n + 1) // 2
    noise = rng.standard_normal((pairs, side, side, 2), dtype=np.float32)
    spectrum = torch.view_as_complex(torch.from_numpy(noise)) * torch.from_numpy(amplitude.astype(np.float32))
    fields = torch.view_as_real(torch.fft.ifft2(spectrum)[:, :n_pixels, :n_pixels])
    return np.ascontiguousarray(fields.permute(0, 3, 1, 2).reshape(2 * pairs, n_pixels, n_pixels)[:n].numpy())
