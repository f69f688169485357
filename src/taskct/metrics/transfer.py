"""How much of a disc's detail images keep: the task transfer function."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft, special
from scipy.optimize import least_squares

from taskct.metrics.auc_bootstrap import resampled_class_means
from taskct.metrics.clustered import Clusters
from taskct.metrics.intervals import Interval, percentile_bounds
from taskct.metrics.spectra import check_images, first_below

Floats = NDArray[np.float64]

READABLE = 0.1
"""Standard error of a transfer function up to which it is read."""
FIRST_ZERO = special.jn_zeros(1, 1)[0] / (2.0 * np.pi)
"""Frequency times radius at which the transform of a disc is first 0."""


@dataclass(frozen=True)
class Disc:
    """A disc as an image shows it."""

    centre_px: tuple[float, float]
    """Row and column, to a part of a pixel."""
    radius_mm: float
    """As given, or as fitted."""
    contrast_hu: float
    """Above the background, of a disc with Gaussian edges."""
    background_hu: float
    """Around it."""
    blur_mm: float
    """Standard deviation of those edges, mm."""


@dataclass(frozen=True)
class DiscRings:
    """What each image tells of a disc, ring by ring of frequency. Means over images have a transfer function."""

    frequency_per_mm: Floats
    """Of the rings, cycles/mm, `(n,)`, the first about 0."""
    present_hu: Floats
    """Of the images with the disc, `(n_present, n)`, HU."""
    absent_hu: Floats
    """Of those without it, `(n_absent, n)`; one row of zeros where there are none."""
    at_zero: Floats
    """Weights with which the rings tell the value at 0, `(n,)`."""
    contrast_hu: float | None
    """As the disc was made; None where the rings tell it."""
    read: NDArray[np.int64]
    """Numbers of the rings that can be read, ascending, without the first."""

    def values(self, told_hu: Floats) -> Floats:
        """The transfer function at 0, where it is 1, and at the rings that can be read, `(m, 1 + n_read)`.

        `told_hu` is what is left of a mean of images with the disc after one without it is taken away, `(m, n)`.
        """
        level = self.level_hu(told_hu)
        return np.column_stack([np.ones(len(told_hu)), told_hu[:, self.read] / level[:, None]])

    def level_hu(self, told_hu: Floats) -> Floats:
        """What the curve is divided by, HU, `(m,)`."""
        if self.contrast_hu is not None:
            return np.full(len(told_hu), self.contrast_hu)
        return np.asarray(told_hu @ self.at_zero, dtype=np.float64)

    def at(self, told_hu: Floats, frequency_per_mm: Floats) -> Floats:
        """The transfer function as `Transfer.at` has it, of each row, `(m, n_frequencies)`."""
        known = np.append(0.0, self.frequency_per_mm[self.read])
        return np.stack([np.interp(frequency_per_mm, known, row) for row in self.values(told_hu)])


@dataclass(frozen=True)
class Transfer:
    """A transfer function, 1 at the frequency 0."""

    frequency_per_mm: Floats
    """Cycles/mm, `(n,)`, ascending from above 0."""
    value: Floats
    """`(n,)`; NaN where its standard error exceeds `READABLE`, and from where it does over a whole lobe of the disc."""
    error: Floats
    """Standard error over images, `(n,)`; NaN of a single image."""
    contrast_hu: float
    """Of the disc or the edge, HU: what the curve was divided by."""
    f50_per_mm: Interval | None = None
    """Where it falls to a half, cycles/mm; None where it cannot be told, bounds NaN of a single image."""
    f10_per_mm: Interval | None = None
    """Where it falls to a tenth."""
    rings: DiscRings | None = None
    """What each image tells, of a disc; None of an edge."""

    def at(self, frequency_per_mm: NDArray[np.floating]) -> Floats:
        """Value at frequencies of any shape, by straight lines; beyond the last that can be read it is that one."""
        known = np.isfinite(self.value)
        f, values = np.append(0.0, self.frequency_per_mm[known]), np.append(1.0, self.value[known])
        return np.asarray(np.interp(frequency_per_mm, f, values), dtype=np.float64)


def fit_disc(
    image: NDArray[np.floating],
    *,
    pixel_mm: float,
    radius_mm: float,
    start_px: tuple[float, float] | None = None,
    free_radius: bool = False,
) -> Disc:
    """Fit a disc with Gaussian edges on an even background to an image: its centre to a part of a pixel.

    Parameters
    ----------
    image
        HU, `(height, width)`, finite; best a mean over repeated scans.
    pixel_mm, radius_mm
        Above 0. The disc must lie within the image.
    start_px
        Row and column from which the fit starts; the middle when left out.
    free_radius
        Whether the radius is fitted as well.

    Raises
    ------
    ValueError
        If something is out of range, or the fit leaves the image.

    Examples
    --------
    >>> y, x = np.mgrid[:32, :32]
    >>> image = 40.0 + 10.0 * (np.hypot(y - 15.3, x - 16.6) < 6.0)
    >>> [round(c, 1) for c in fit_disc(image, pixel_mm=0.5, radius_mm=3.0).centre_px]
    [15.3, 16.6]
    """
    check_images(image[None])
    height, width = image.shape
    if not (pixel_mm > 0.0 and 0.0 < 2.0 * radius_mm < min(height, width) * pixel_mm):
        raise ValueError(
            f"a disc of {2.0 * radius_mm:g} mm in an image of {height} × {width} pixels of {pixel_mm:g} mm: give one "
            "that lies within it"
        )
    y, x = np.mgrid[:height, :width] * float(pixel_mm)
    start = ((height - 1) / 2.0, (width - 1) / 2.0) if start_px is None else start_px
    values = image.astype(np.float64)
    near = np.hypot(y - start[0] * pixel_mm, x - start[1] * pixel_mm) < 0.7 * radius_mm
    level = float(np.median(values[~near]))
    contrast = float(values[near].mean()) - level if near.any() else 1.0
    scale = max(abs(contrast), 1e-6)
    first = [start[0] * pixel_mm, start[1] * pixel_mm, contrast / scale, 0.0, np.log(pixel_mm), radius_mm]

    def residual(p: Floats) -> Floats:
        radius = p[5] if free_radius else radius_mm
        edge = 0.5 * special.erfc((np.hypot(y - p[0], x - p[1]) - radius) / (np.sqrt(2.0) * np.exp(p[4])))
        model = p[2] * edge + p[3]
        return np.asarray(((values - level) / scale - model).ravel(), dtype=np.float64)

    low = [-pixel_mm, -pixel_mm, -np.inf, -np.inf, np.log(0.05 * pixel_mm), 0.3 * radius_mm]
    high = [height * pixel_mm, width * pixel_mm, np.inf, np.inf, np.log(2.0 * radius_mm), 2.0 * radius_mm]
    found = least_squares(residual, first, bounds=(low, high), x_scale=[pixel_mm, pixel_mm, 1.0, 1.0, 1.0, radius_mm]).x
    row, column = found[0] / pixel_mm, found[1] / pixel_mm
    if not (0.0 <= row <= height - 1 and 0.0 <= column <= width - 1):
        raise ValueError("the disc that fits best lies outside the image: give where it is")
    radius = float(found[5]) if free_radius else radius_mm
    return Disc(
        (float(row), float(column)), radius, float(found[2] * scale), float(found[3] * scale + level), np.exp(found[4])
    )


def disc_transfer(
    images: NDArray[np.floating],
    *,
    pixel_mm: float,
    radius_mm: float,
    absent: NDArray[np.floating] | None = None,
    centre_px: tuple[float, float] | None = None,
    contrast_hu: float | None = None,
    clusters: Clusters | None = None,
    n_bootstrap: int = 500,
    seed: int = 0,
) -> Transfer:
    """Task transfer function of a disc, from repeated images of it.

    Each image's transform is set beside that of a disc of this radius at its centre, C · R · J₁(2πRf) / f, and the two
    are compared ring by ring in the sense of least squares, Re(S̄ G) / |S|². So the disc's own roundness costs nothing,
    as it does in an edge profile along its radius, and frequencies at which a disc has nothing have no weight.

    Parameters
    ----------
    images
        HU, `(n, height, width)`, one disc in each at the same place. It, with its blur, must lie within the image.
    pixel_mm, radius_mm
        Of the pixels and of the disc as it was made, mm.
    absent
        Images without the disc, `(m, height, width)`, whose mean is taken away; else a level, that of the outermost
        fifth of each image.
    centre_px
        Row and column of the disc; fitted to the mean image when left out.
    contrast_hu
        As it was made. When left out it is what the frequencies below the first zero of the disc tell, carried to 0 by
        a polynomial in f²; the function is then 1 at 0 by definition.
    clusters
        Scan of every image with and without the disc; whole scans are resampled. Left out: each image is one.
    n_bootstrap, seed
        Of the intervals, over images of both kinds.

    Raises
    ------
    ValueError
        If shapes or ranges are wrong, or the disc has no contrast.

    References
    ----------
    .. [1] Samei et al., Med. Phys. 46, e735 (2019), AAPM task group 233.

    Examples
    --------
    >>> from scipy import ndimage
    >>> y, x = np.mgrid[:64, :64]
    >>> disc = np.hypot(y - 32.2, x - 31.7)
    >>> disc = 50.0 * ndimage.gaussian_filter(np.clip(9.5 - disc, 0, 1), 1.0)
    >>> found = disc_transfer(disc[None], pixel_mm=0.5, radius_mm=4.5)
    >>> round(found.f50_per_mm.value, 2)  # √(ln 2 / 2) / (π · 0.5 mm) is 0.37; pixels take a little, too
    0.36
    """
    check_images(images)
    if absent is not None and absent.shape[1:] != images.shape[1:]:
        raise ValueError(f"images of shape {images.shape} and, without the disc, {absent.shape}")
    cleared = _levelled(images) if absent is None else images
    mean = cleared.mean(axis=0, dtype=np.float64)
    if absent is not None:
        mean -= absent.mean(axis=0, dtype=np.float64)
    if centre_px is None:
        centre_px = fit_disc(mean, pixel_mm=pixel_mm, radius_mm=radius_mm).centre_px
    rings, frequency, template, weight = _disc_rings(images.shape[1:], pixel_mm, radius_mm, centre_px)

    def told_by(stack: NDArray[np.floating]) -> Floats:  # HU that each ring tells
        shared = [_ringed(np.real(np.conj(template) * fft.fft2(one.astype(np.float64))), rings) for one in stack]
        return np.stack(shared) * pixel_mm**2 / weight

    of_present = told_by(cleared)
    of_absent = np.zeros((1, len(frequency))) if absent is None else told_by(absent)
    low = frequency * radius_mm < FIRST_ZERO
    low[: min(5, len(low))] = True
    at_zero = np.zeros(len(frequency))
    at_zero[low] = _value_at_zero(frequency[low], weight[low])
    found = DiscRings(frequency, of_present, of_absent, at_zero, contrast_hu, np.arange(0))
    told = (of_present.mean(axis=0) - of_absent.mean(axis=0))[None]
    contrast = float(found.level_hu(told)[0])
    if contrast == 0.0:
        raise ValueError("the disc has no contrast in these images")
    value = told[0, 1:] / contrast
    if clusters is None:
        clusters = Clusters.of_single_trials(len(of_present), len(of_absent))
    error = np.full(len(value), np.nan)
    if len(images) > 1:
        apart = [
            one[:, 1:] - value * (one @ at_zero)[:, None] * (contrast_hu is None) for one in (of_present, of_absent)
        ]
        error = np.sqrt(_variance_of_difference(apart[0], apart[1], clusters)) / abs(contrast)
    read = _readable(frequency[1:], error, radius_mm)
    found = replace(found, read=1 + np.flatnonzero(read))
    where: list[Interval | None] = [None, None]
    if read.any():
        first, spread, df = found.values(told), None, 0
        if len(images) > 1:
            means = resampled_class_means(of_present, of_absent, clusters, n_bootstrap=n_bootstrap, seed=seed)
            spread, df = found.values(means[0] - means[1]), means[2]
        at = np.append(0.0, frequency[found.read])
        where = [_falls_to(share, first, spread, at, df) for share in (0.5, 0.1)]
    value = np.where(read, value, np.nan)
    return Transfer(frequency[1:], value, error, contrast, where[0], where[1], found)


def _variance_of_difference(present: Floats, absent: Floats, clusters: Clusters) -> Floats:
    """Variance of the mean of one class less that of the other, column by column; what shares a cluster is summed."""
    clusters.check(len(present), len(absent))
    total = np.zeros((clusters.n, present.shape[1]))
    of_classes = ((1.0, present, clusters.present), (-1.0, absent, clusters.absent))
    for sign, values, number in of_classes:
        k = len(np.unique(number))
        if k > 1:
            np.add.at(total, number, sign * np.sqrt(k / (k - 1.0)) * (values - values.mean(axis=0)) / len(values))
    return np.asarray((total**2).sum(axis=0), dtype=np.float64)


def _levelled(images: NDArray[np.floating]) -> Floats:
    """Images less the level of their outermost fifth each."""
    cleared = images.astype(np.float64)
    height, width = images.shape[1:]
    y, x = np.mgrid[:height, :width]
    far = np.maximum(np.abs(y - (height - 1) / 2.0) / height, np.abs(x - (width - 1) / 2.0) / width) > 0.4
    cleared -= cleared[:, far].mean(axis=1)[:, None, None]
    return cleared


def _disc_rings(
    shape: Sequence[int], pixel_mm: float, radius_mm: float, centre_px: tuple[float, float]
) -> tuple[NDArray[np.int64], Floats, NDArray[np.complex128], Floats]:
    """Number of the ring of every coefficient, −1 beyond Nyquist; rings' frequencies; the disc of 1 HU; its power."""
    height, width = shape
    row, column = fft.fftfreq(height, pixel_mm)[:, None], fft.fftfreq(width, pixel_mm)
    f = np.hypot(row, column)
    spacing = 1.0 / (min(height, width) * pixel_mm)
    rings = np.where(f <= 0.5 / pixel_mm * (1.0 + 1e-9), np.rint(f / spacing), -1).astype(np.int64)
    phase = np.exp(-2j * np.pi * pixel_mm * (row * centre_px[0] + column * centre_px[1]))
    template = phase * disc_transform(f, radius_mm)
    weight = _ringed(np.abs(template) ** 2, rings)
    frequency = _ringed(f * np.abs(template) ** 2, rings) / weight  # where the ring's power lies
    return rings, frequency, template, weight


def disc_transform(frequency_per_mm: NDArray[np.floating], radius_mm: float) -> Floats:
    """Fourier transform of a disc of 1 HU, R J₁(2πRf) / f, HU mm²; πR² at 0. Shape as the frequencies, cycles/mm."""
    z = 2.0 * np.pi * radius_mm * np.asarray(frequency_per_mm, dtype=np.float64)
    ratio = np.divide(2.0 * special.j1(z), z, out=np.ones_like(z), where=z > 0.0)
    return np.asarray(np.pi * radius_mm**2 * ratio, dtype=np.float64)


def _readable(frequency: Floats, error: Floats, radius_mm: float) -> NDArray[np.bool_]:
    """Which rings can be told: those near a zero of the disc are left out, and all from where a whole lobe is."""
    told = ~(error > READABLE)
    known = np.append(0.0, frequency[told])
    gaps = np.diff(np.append(known, np.inf)) > 0.5 / radius_mm
    return np.asarray(told & (frequency <= known[int(np.argmax(gaps))]), dtype=np.bool_)


def _ringed(values: Floats, rings: NDArray[np.int64]) -> Floats:
    inside = rings >= 0
    return np.asarray(np.bincount(rings[inside], weights=values[inside]), dtype=np.float64)


def _value_at_zero(frequency: Floats, weight: Floats) -> Floats:
    """Weights of rings that give the value at 0 of the polynomial in f², of degree 2, that fits them best."""
    f = frequency / frequency.max()
    design = np.stack([np.ones_like(f), f**2, f**4], axis=1)
    root = np.sqrt(weight / weight.sum())
    return np.asarray(np.linalg.pinv(design * root[:, None])[0] * root, dtype=np.float64)


def _falls_to(share: float, first: Floats, resampled: Floats | None, at: Floats, df: int) -> Interval | None:
    """Where a curve `(1, n)` falls to a share of 1, with its interval from resampled ones; None where it does not."""

    def where(curves: Floats) -> Floats:
        crossed = first_below(curves, at, share)
        return np.where(np.isnan(crossed), at[-1], crossed)  # a resample says no more than: not below here

    if not (first <= share).any():
        return None
    value = float(where(first)[0])
    if resampled is None:
        return Interval(value, np.nan, np.nan)
    low, high = percentile_bounds(where(resampled), 0.95, df=df)
    return Interval(value, low, high) if high < at[-1] else None  # it may as well lie where nothing can be told
