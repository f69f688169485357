"""Images of even things: CNR, accuracy and linearity of HU, uniformity, noise against position."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from taskct.metrics.spectra import batches, check_images

Floats = NDArray[np.float64]

Over = Literal["pixels", "scans"]
"""What noise is the spread of: the pixels of a region within each image, or each pixel over repeated scans."""


@dataclass(frozen=True)
class ContrastToNoise:
    """A contrast-to-noise ratio and what it was made of."""

    contrast_hu: float
    """Mean inside less mean outside, HU."""
    noise_hu: float
    """Root mean variance outside, HU."""
    cnr: float
    """Contrast over noise; its sign is that of the contrast."""


def contrast_to_noise(
    inside: NDArray[np.floating], outside: NDArray[np.floating], *, over: Over = "pixels", ddof: int = 1
) -> ContrastToNoise:
    """Contrast-to-noise ratio of a region: free of the HU offset, for the background's mean divides nothing.

    Parameters
    ----------
    inside, outside
        HU of the pixels of the region and of the background beside it, in the same images, `(n_images, n_pixels)`.
    over
        Whose spread the noise is, always of the background: its pixels within each image, of which structure is part,
        or each of its pixels over the images, which must then be repeated scans.
    ddof
        Taken from the number of values before the variance is divided by it; 1 is without bias.

    Raises
    ------
    ValueError
        If shapes do not fit, values are not finite, or the background does not vary.

    Examples
    --------
    >>> background = np.array([[0.0, 2.0, 4.0]])
    >>> contrast_to_noise(np.array([[7.0, 7.0]]) - 1000.0, background - 1000.0)
    ContrastToNoise(contrast_hu=5.0, noise_hu=2.0, cnr=2.5)
    """
    for values in (inside, outside):
        if values.ndim != 2 or len(values) != len(inside) or values.size == 0 or not np.isfinite(values).all():
            raise ValueError(
                f"regions of shape {inside.shape} and {outside.shape}: give finite values, (n_images, n_pixels) both"
            )
    n = outside.shape[1] if over == "pixels" else len(outside)
    if not 0 <= ddof < n:
        raise ValueError(f"noise over {n} {over} with ddof {ddof}: give more {over}, or a ddof from 0 to {n - 1}")
    background = outside.astype(np.float64)
    contrast = float(inside.mean(axis=1, dtype=np.float64).mean() - background.mean(axis=1).mean())
    noise = float(np.sqrt(background.var(axis=1 if over == "pixels" else 0, ddof=ddof).mean()))
    if noise == 0.0:
        raise ValueError("the background does not vary: there is no noise to divide by")
    return ContrastToNoise(contrast, noise, contrast / noise)


@dataclass(frozen=True)
class Linearity:
    """The line through measured against true HU."""

    slope: float
    """HU for each HU; 1 where right."""
    offset_hu: float
    """Measured HU where the truth is 0."""
    largest_error_hu: float
    """Of measured less true, by size."""
    rms_about_line_hu: float
    """Root mean square of the distance from the line, by the degrees of freedom; NaN of two materials."""


def hu_linearity(measured_hu: NDArray[np.floating], true_hu: NDArray[np.floating]) -> Linearity:
    """Fit measured against true HU of materials by least squares.

    Parameters
    ----------
    measured_hu, true_hu
        Shape `(n_materials,)`, two or more that are not all the same, finite, or a ValueError.

    Examples
    --------
    >>> hu_linearity(np.array([-980.0, 5.0, 990.0]), np.array([-1000.0, 0.0, 1000.0])).slope
    0.985
    """
    measured, true = (np.asarray(values, dtype=np.float64) for values in (measured_hu, true_hu))
    if measured.shape != true.shape or true.ndim != 1 or len(true) < 2 or np.ptp(true) == 0.0:
        raise ValueError(f"{measured.shape} measured and {true.shape} true HU: give two materials or more, of each one")
    if not (np.isfinite(measured).all() and np.isfinite(true).all()):
        raise ValueError("measured and true HU must be finite")
    middle = true - true.mean()
    slope = float(middle @ measured / (middle @ middle))
    offset = float(measured.mean() - slope * true.mean())
    rest = measured - slope * true - offset
    spread = float(np.sqrt(rest @ rest / (len(true) - 2))) if len(true) > 2 else np.nan
    return Linearity(slope, offset, float(np.abs(measured - true).max()), spread)


@dataclass(frozen=True)
class Uniformity:
    """Mean HU of regions of what should be even."""

    centre_hu: float
    """In the middle."""
    edges_hu: Mapping[str, float]
    """By side: "up", "right", "down", "left"."""

    @property
    def largest_hu(self) -> float:
        """The largest difference of a side from the middle, by size, HU."""
        return max(abs(edge - self.centre_hu) for edge in self.edges_hu.values())


def uniformity(
    image: NDArray[np.floating],
    *,
    centre_px: tuple[float, float] | None = None,
    radius_px: float | None = None,
    share: float = 0.2,
) -> Uniformity:
    """Mean HU in the middle of a round phantom and at its four sides.

    Regions are discs of a share of the phantom's radius; those of the sides touch a circle of 0.9 radii from within.

    Parameters
    ----------
    image
        HU, `(height, width)`, finite; best a mean over images.
    centre_px, radius_px
        Of the phantom, pixels; the whole image when left out.
    share
        In (0, 0.4].

    Raises
    ------
    ValueError
        If a region has no pixel in the image, or something is out of range.

    Examples
    --------
    >>> y, x = np.mgrid[:65, :65]
    >>> round(uniformity(5.0 - 0.01 * ((x - 32.0) ** 2 + (y - 32.0) ** 2)).largest_hu, 1)  # cupping
    5.1
    """
    check_images(image[None])
    regions = uniform_regions(image.shape, centre_px=centre_px, radius_px=radius_px, share=share)
    means = {side: float(image[inside].mean(dtype=np.float64)) for side, inside in regions.items()}
    return Uniformity(means.pop(""), means)


def uniform_regions(
    shape: tuple[int, ...],
    *,
    centre_px: tuple[float, float] | None = None,
    radius_px: float | None = None,
    share: float = 0.2,
) -> dict[str, NDArray[np.bool_]]:
    """The discs of `uniformity` as masks, by side, that in the middle as "".

    >>> [int(one.sum()) for one in uniform_regions((20, 20)).values()]
    [12, 12, 12, 12, 12]
    """
    height, width = shape
    centre = ((height - 1) / 2.0, (width - 1) / 2.0) if centre_px is None else centre_px
    radius = min(height, width) / 2.0 if radius_px is None else radius_px
    if not (0.0 < share <= 0.4 and radius > 0.0):
        raise ValueError(f"share is {share} and radius_px {radius}: give (0, 0.4], and above 0")
    away = (0.9 - share) * radius
    places = {"": (0.0, 0.0), "up": (-away, 0.0), "right": (0.0, away), "down": (away, 0.0), "left": (0.0, -away)}
    y, x = np.mgrid[:height, :width]
    regions = {}
    for side, (down, across) in places.items():
        inside = np.hypot(y - centre[0] - down, x - centre[1] - across) <= share * radius
        if not inside.any():
            raise ValueError(f"the region {side or 'in the middle'} has no pixel in the image")
        regions[side] = inside
    return regions


@dataclass(frozen=True)
class NoiseByPosition:
    """Noise over repeated scans, pixel by pixel and by distance from a centre."""

    map_hu: Floats
    """Standard deviation of every pixel over the images, `(height, width)`."""
    distance_mm: Floats
    """Middles of rings of equal width, `(n,)`."""
    noise_hu: Floats
    """Root mean variance of the pixels of each ring, `(n,)`."""


def noise_by_position(
    images: NDArray[np.floating], *, pixel_mm: float, centre_px: tuple[float, float] | None = None, n_rings: int = 8
) -> NoiseByPosition:
    """Noise against position, from repeated scans or residuals of them.

    Parameters
    ----------
    images
        HU, `(n, height, width)`, 2 or more, finite.
    pixel_mm
        Above 0.
    centre_px
        Of the rings; the middle of the image when left out.
    n_rings
        From the centre to the nearest border, at least 1.

    Raises
    ------
    ValueError
        If something is out of range.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(0.0, 3.0, (500, 16, 16))
    >>> noise_by_position(noise, pixel_mm=1.0, n_rings=2).noise_hu.round(1)
    array([3., 3.])
    """
    check_images(images)
    n, height, width = images.shape
    if n < 2 or n_rings < 1 or not pixel_mm > 0.0:
        raise ValueError(f"{n} images, {n_rings} rings, pixels of {pixel_mm} mm: give 2, 1, and above 0 mm at least")
    mean = images.mean(axis=0, dtype=np.float64)
    total = np.zeros((height, width))
    for batch in batches(images):
        total += ((images[batch] - mean) ** 2).sum(axis=0)
    variance = total / (n - 1.0)
    ring, reach = position_rings((height, width), centre_px=centre_px, n_rings=n_rings)
    inside = ring < n_rings
    count = np.bincount(ring[inside], minlength=n_rings)
    sums = np.bincount(ring[inside], weights=variance[inside], minlength=n_rings)
    there = count > 0
    middles = (np.arange(n_rings) + 0.5) * reach / n_rings * pixel_mm
    return NoiseByPosition(np.sqrt(variance), middles[there], np.sqrt(sums[there] / count[there]))


def position_rings(
    shape: tuple[int, int], *, centre_px: tuple[float, float] | None = None, n_rings: int = 8
) -> tuple[NDArray[np.int64], float]:
    """Number of the ring of every pixel, from 0, and the radius of the outermost in pixels.

    Pixels beyond the nearest border have `n_rings` or more.

    >>> position_rings((4, 4), n_rings=2)[0][1].tolist()
    [1, 0, 0, 1]
    """
    height, width = shape
    centre = ((height - 1) / 2.0, (width - 1) / 2.0) if centre_px is None else centre_px
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(y - centre[0], x - centre[1])
    reach = min(centre[0] + 0.5, centre[1] + 0.5, height - 0.5 - centre[0], width - 0.5 - centre[1])
    return np.floor(distance / reach * n_rings).astype(np.int64), reach
