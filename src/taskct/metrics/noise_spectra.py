"""The noise-power spectrum in two dimensions and by radius, with its conventions stated."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from taskct.metrics.spectra import batches, check_images

Floats = NDArray[np.float64]

Detrend = Literal["none", "mean", "plane", "quadratic"]
"""What is fitted to each image by least squares and taken away before its transform."""

LEFT = 0.5
"""Share of white noise that a detrending must leave in a coefficient for it to count."""

_DEGREES = {"mean": 0, "plane": 1, "quadratic": 2}


@dataclass(frozen=True)
class RadialSpectrum:
    """Means of a noise-power spectrum over rings of spatial frequency."""

    frequency_per_mm: Floats
    """Mean frequency of the coefficients of each ring, cycles/mm, `(n,)`, ascending."""
    power: Floats
    """HU² mm², `(n,)`."""
    area_per_mm2: Floats
    """What each ring covers of the plane of frequencies, 2π f Δf but for the grid, (cycles/mm)², `(n,)`; the first one
    has the emptied coefficients and those within it, too."""
    spacing_per_mm: float
    """Width of a ring, cycles/mm."""

    @property
    def variance_hu2(self) -> float:
        """∫ 2π f S(f) df over the rings, HU²: with the corners of the plane the variance of a pixel.

        Without the corners it is that of the frequencies up to Nyquist alone: of white noise π/4 of the variance.
        """
        return float(self.power @ self.area_per_mm2)

    @property
    def peak_per_mm(self) -> float:
        """Frequency of the largest mean, by the parabola through it and its neighbours, cycles/mm."""
        i = int(np.argmax(self.power))
        if not 0 < i < len(self.power) - 1:
            return float(self.frequency_per_mm[i])
        before, here, after = self.power[i - 1 : i + 2]
        bend = before - 2.0 * here + after
        shift = 0.5 * (before - after) / bend if bend < 0.0 else 0.0
        return float(self.frequency_per_mm[i] + shift * self.spacing_per_mm)

    @property
    def mean_per_mm(self) -> float:
        """∫ f S(f) df / ∫ S(f) df, cycles/mm: the mean of AAPM TG-233, along the radius and not over the plane."""
        return float(np.sum(self.frequency_per_mm * self.power) / np.sum(self.power))

    def at(self, frequency_per_mm: NDArray[np.floating]) -> Floats:
        """Power at frequencies of any shape, by straight lines between the rings, HU² mm².

        Below the first ring and above the last one it goes on level; whoever integrates ends at Nyquist.
        """
        return np.asarray(np.interp(frequency_per_mm, self.frequency_per_mm, self.power), dtype=np.float64)


@dataclass(frozen=True)
class NoiseSpectrum:
    """A noise-power spectrum over the plane of spatial frequency."""

    power: Floats
    """HU² mm², `(height, width)`, frequency 0 first, as of `numpy.fft`; NaN where the detrending emptied it."""
    pixel_mm: float
    """Side of a pixel, mm."""
    shape: tuple[int, int]
    """Of the images, before padding."""
    left: Floats
    """Share of white noise that the detrending left in each coefficient, shape of `power`."""

    @cached_property
    def frequency_per_mm(self) -> Floats:
        """Radius of every coefficient, cycles/mm, shape of `power`."""
        rows, columns = (fft.fftfreq(n, self.pixel_mm) for n in self.power.shape)
        return np.hypot(rows[:, None], columns)

    @property
    def nyquist_per_mm(self) -> float:
        """Of the pixels, cycles/mm."""
        return 0.5 / self.pixel_mm

    @property
    def field_mm(self) -> float:
        """Shorter side of the images, mm."""
        return min(self.shape) * self.pixel_mm

    @cached_property
    def filled(self) -> Floats:
        """`power` with the mean of the ring next to the emptied coefficients in their place."""
        empty = np.isnan(self.power)
        if not empty.any():
            return self.power
        near = ndimage.binary_dilation(fft.fftshift(empty), iterations=2)
        around = fft.ifftshift(near) & ~empty
        return np.where(empty, self.power[around].mean(), self.power)

    @property
    def variance_hu2(self) -> float:
        """Sum of all coefficients times their spacing: the variance of a pixel, HU²."""
        height, width = self.power.shape
        return float(self.filled.sum() / (height * width * self.pixel_mm**2))

    def radial(self, *, corners: bool = False) -> RadialSpectrum:
        """Means over rings as wide as the coarser spacing of coefficients; emptied coefficients are left out.

        They end at Nyquist, where the first axis does, unless the corners of the plane are asked for.
        """
        height, width = self.power.shape
        spacing = 1.0 / (min(height, width) * self.pixel_mm)
        f, end = self.frequency_per_mm, self.nyquist_per_mm * (1.0 + 1e-9)
        wanted, number = self._rings(spacing, corners=corners)
        count = np.bincount(number)
        there = count > 0
        frequency, power = (
            np.bincount(number, weights=values[wanted])[there] / count[there] for values in (f, self.power)
        )
        area = count[there].astype(np.float64)
        area[0] += self.power.size - wanted.sum() if corners else (f <= end).sum() - wanted.sum()
        return RadialSpectrum(frequency, power, area / (height * width * self.pixel_mm**2), spacing)

    def _rings(self, spacing: float, *, corners: bool) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which coefficients are in a ring, shape of `power`, and the number of the ring of each of those."""
        f = self.frequency_per_mm
        wanted = ~np.isnan(self.power) & (f > 0.0)
        if not corners:
            wanted &= f <= self.nyquist_per_mm * (1.0 + 1e-9)
        return wanted, np.rint(f[wanted] / spacing).astype(np.int64)

    def radial_by_image(self, images: NDArray[np.floating]) -> Floats:
        """Ring means of each image by itself, `(n, n_rings)`, rings as of `radial`.

        Their mean over images is `radial().power` where the images are those that the spectrum was measured of, after
        the same mean, surfaces and factor were taken from them; so resampled images have a spectrum each.
        """
        height, width = self.shape
        wanted, number = self._rings(1.0 / (min(self.power.shape) * self.pixel_mm), corners=False)
        order = np.argsort(number, kind="stable")
        kept = np.flatnonzero(wanted.ravel())[order]
        starts = np.flatnonzero(np.diff(number[order], prepend=-1))
        count = np.diff(np.append(starts, len(order)))
        give_back = self.pixel_mm**2 / (height * width) / self.left.ravel()[kept]
        found = np.empty((len(images), len(starts)))
        for batch in batches(images):
            power = np.abs(fft.fft2(images[batch], self.power.shape)) ** 2
            found[batch] = np.add.reduceat(power.reshape(len(power), -1)[:, kept] * give_back, starts, axis=1) / count
        return found

    def at(self, row_per_mm: NDArray[np.floating], column_per_mm: NDArray[np.floating]) -> Floats:
        """Power at frequencies of the plane, of one shape, between the coefficients by their distance, HU² mm²."""
        height, width = self.power.shape
        where = np.stack([row_per_mm * height * self.pixel_mm, column_per_mm * width * self.pixel_mm])
        found: Floats = ndimage.map_coordinates(self.filled, where, order=1, mode="grid-wrap")
        return found


def noise_spectrum(
    images: NDArray[np.floating],
    *,
    pixel_mm: float,
    detrend: Detrend = "plane",
    ensemble: bool = False,
    padding: int = 1,
) -> NoiseSpectrum:
    """Noise-power spectrum of images, HU² mm², whose sum over the plane is the variance of a pixel.

    S = Δ² ⟨|F|²⟩ / (height · width) of the discrete Fourier transform F, averaged over images after the square.

    Parameters
    ----------
    images
        HU, `(n, height, width)`, finite.
    pixel_mm
        Δ, above 0.
    detrend
        What is taken from each image: nothing, its mean, a plane, or a quadratic surface. What that takes of white
        noise is given back coefficient by coefficient, so that the sum stays the variance; where less than half was
        left the coefficient is NaN.
    ensemble
        Whether the mean image is taken away first, as of repeated scans; the square is then multiplied by n / (n − 1).
    padding
        Times by which the images are lengthened with zeros, at least 1: finer steps of frequency, the same sum.

    Raises
    ------
    ValueError
        If the images have another shape or are not finite, if the mean of one is to be taken, or if something is out of
        range.

    References
    ----------
    .. [1] ICRU Report 87, J. ICRU 12 (2012).
    .. [2] Samei et al., Med. Phys. 46, e735 (2019), AAPM task group 233.

    Examples
    --------
    >>> ramp = np.linspace(-50.0, 50.0, 32)
    >>> noise = np.random.default_rng(0).normal(0.0, 3.0, (400, 32, 32))
    >>> round(noise_spectrum(noise + ramp, pixel_mm=0.5).variance_hu2, 1)
    9.0
    """
    check_images(images)
    n, height, width = images.shape
    if detrend not in get_args(Detrend):
        raise ValueError(f"detrend is {detrend!r}; give one of {', '.join(get_args(Detrend))}")
    if padding < 1 or not pixel_mm > 0.0 or n < 1 + ensemble:
        raise ValueError(
            f"{n} images, pixels of {pixel_mm} mm, padding {padding}: give an image, 2 or more with ensemble, pixels "
            "above 0 mm, and a padding of at least 1"
        )
    padded = height * padding, width * padding
    basis = _surfaces((height, width), detrend)
    mean = images.mean(axis=0, dtype=np.float64) if ensemble else 0.0
    total = np.zeros((padded[0], padded[1] // 2 + 1))
    for batch in batches(images):
        flat = (images[batch] - mean).astype(np.float64).reshape(-1, height * width)
        flat = flat - (flat @ basis) @ basis.T
        total += (np.abs(fft.rfft2(flat.reshape(-1, height, width), padded)) ** 2).sum(axis=0)
    times = n / (n - 1.0) if ensemble else 1.0
    power = _whole_plane(total, padded) * (times * pixel_mm**2 / (n * height * width))
    lost = (np.abs(fft.fft2(basis.T.reshape(-1, height, width), padded)) ** 2).sum(axis=0) / (height * width)
    left = 1.0 - lost
    return NoiseSpectrum(np.where(left < LEFT, np.nan, power / np.maximum(left, LEFT)), pixel_mm, (height, width), left)


def _surfaces(shape: tuple[int, int], detrend: Detrend) -> Floats:
    """Orthonormal polynomials over the pixels that a detrending fits, `(n_pixels, n)`."""
    if detrend == "none":
        return np.zeros((shape[0] * shape[1], 0))
    y, x = np.meshgrid(*(np.linspace(-1.0, 1.0, n) for n in shape), indexing="ij")
    degree = _DEGREES[detrend]
    terms = [(y**i * x**j).ravel() for i in range(degree + 1) for j in range(degree + 1 - i)]
    return np.asarray(np.linalg.qr(np.stack(terms, axis=1))[0], dtype=np.float64)


def _whole_plane(half: Floats, shape: tuple[int, int]) -> Floats:
    """The power of all coefficients from those that `rfft2` gives: each has that of its mirror image."""
    height, width = shape
    whole = np.empty(shape)
    whole[:, : width // 2 + 1] = half
    rest = np.arange(width // 2 + 1, width)
    whole[:, rest] = half[-np.arange(height) % height][:, width - rest]
    return whole
