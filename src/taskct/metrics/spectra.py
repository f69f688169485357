"""Spectra of images: the noise power, and how much of a known signal is left at each spatial frequency."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Floats = NDArray[np.float64]

_BATCH_PIXELS = 2**20


def frequencies_per_mm(shape: tuple[int, int], pixel_mm: float) -> Floats:
    """Middles of rings of spatial frequency, cycles/mm, `(n_rings,)`: whole multiples of the finest step, to Nyquist.

    The frequency 0, the mean of an image, is in no ring.

    Examples
    --------
    >>> frequencies_per_mm((8, 8), 0.5).tolist()
    [0.25, 0.5, 0.75, 1.0]
    """
    side = max(shape)
    return np.arange(1, side // 2 + 1) / (side * pixel_mm)


def noise_power(noise: NDArray[np.floating], *, pixel_mm: float) -> Floats:
    """Noise-power spectrum of each image, averaged over rings of spatial frequency, HU² mm², `(n, n_rings)`.

    Parameters
    ----------
    noise
        Images in HU less their mean over trials, shape `(n, height, width)`, or a ValueError.
    pixel_mm
        Side of a pixel, mm.

    Returns
    -------
    Δ² |F|² / (height · width) of the discrete Fourier transform F, for pixels of side Δ: its sum over all frequencies
    times their spacing is the mean square of the noise (Parseval). Rings are those of `frequencies_per_mm`.

    References
    ----------
    .. [1] ICRU Report 87, J. ICRU 12 (2012).
    .. [2] Samei et al., Med. Phys. 46, e735 (2019), AAPM task group 233.

    Examples
    --------
    >>> white = np.random.default_rng(0).normal(0.0, 3.0, (400, 16, 16))
    >>> round(float(noise_power(white, pixel_mm=0.5).mean()), 1)  # 9 HU² · 0.25 mm²
    2.3
    """
    check_images(noise)
    height, width = noise.shape[1:]
    rings = _rings((height, width), pixel_mm)
    mean = rings / rings.sum(axis=0)
    found = np.empty((len(noise), mean.shape[1]))
    for batch in batches(noise):
        power = np.abs(fft.rfft2(noise[batch])) ** 2
        found[batch] = power.reshape(len(power), -1) @ mean
    found *= pixel_mm**2 / (height * width)
    return found


def cross_power(
    signal: NDArray[np.floating], images: NDArray[np.floating], *, pixel_mm: float
) -> tuple[Floats, Floats]:
    """Power that images share with a known signal, and that of the signal, by ring of frequency, `(n, n_rings)` each.

    Re(S̄ G) and |S|² of the discrete Fourier transforms of the signal and the image, summed over each ring. Over many
    trials Σ Re(S̄ G) / Σ |S|² is the transfer function: what does not go with the signal averages out.

    Parameters
    ----------
    signal, images
        HU, shape `(n, height, width)` both, or a ValueError: what stands in the object, and what an image shows.
    pixel_mm
        Side of a pixel, mm.

    Examples
    --------
    >>> disc = np.zeros((1, 16, 16))
    >>> disc[0, 6:9, 7:10] = 50.0
    >>> shared, own = cross_power(disc, 0.5 * disc, pixel_mm=1.0)
    >>> (shared / own).round(6)
    array([[0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]])
    """
    check_images(signal)
    if signal.shape != images.shape:
        raise ValueError(f"signals of shape {signal.shape} and images of shape {images.shape}")
    height, width = signal.shape[1:]
    rings = _rings((height, width), pixel_mm)
    shared, own = np.empty((2, len(signal), rings.shape[1]))
    for batch in batches(signal):
        s, g = fft.rfft2(signal[batch]), fft.rfft2(images[batch])
        shared[batch] = (s.real * g.real + s.imag * g.imag).reshape(len(s), -1) @ rings
        own[batch] = (np.abs(s) ** 2).reshape(len(s), -1) @ rings
    return shared, own


def first_below(curve: Floats, frequency: Floats, share: float) -> Floats:
    """Frequency at which each curve `(n, n_rings)` falls to a share of its first value, `(n,)`; NaN if it does not.

    The first such one; straight lines join its points.

    Examples
    --------
    >>> first_below(np.array([[2.0, 1.5, 0.5]]), np.array([0.1, 0.2, 0.3]), 0.5)
    array([0.25])
    """
    wanted = share * curve[:, :1]
    below = curve <= wanted
    i = below.argmax(axis=1)
    after = np.arange(len(curve)), i
    before = after[0], np.maximum(i - 1, 0)
    drop = curve[before] - curve[after]
    part = (curve[before] - wanted[:, 0]) / np.where(drop > 0.0, drop, 1.0)
    crossed = frequency[before[1]] + part * (frequency[i] - frequency[before[1]])
    return np.where(below.any(axis=1) & (wanted[:, 0] > 0.0), crossed, np.nan)


def _rings(shape: tuple[int, int], pixel_mm: float) -> Floats:
    """For how many coefficients of the full transform each of the half transform stands, by ring, `(n, n_rings)`."""
    height, width = shape
    f = np.hypot(fft.fftfreq(height, pixel_mm)[:, None], fft.rfftfreq(width, pixel_mm))
    times = np.full(f.shape, 2.0)  # its mirror image is not in the half transform
    times[:, 0] = 1.0
    if width % 2 == 0:
        times[:, -1] = 1.0
    number = np.rint(f * max(shape) * pixel_mm).astype(np.int64).ravel()
    n_rings = max(shape) // 2
    rings = np.zeros((f.size, n_rings))
    inside = (number >= 1) & (number <= n_rings)
    rings[np.flatnonzero(inside), number[inside] - 1] = times.ravel()[inside]
    return rings


def check_images(images: NDArray[np.floating]) -> None:
    """Raise a ValueError for what is not a stack of finite images, `(n, height, width)`."""
    if images.ndim != 3 or not np.isfinite(images).all():
        raise ValueError(f"images must be finite, of shape (n, height, width), not {images.shape}")


def batches(images: NDArray[np.floating]) -> Iterator[slice]:
    """Yield slices of a stack of images, each of bounded memory."""
    size = max(1, _BATCH_PIXELS // max(1, images.shape[1] * images.shape[2]))
    for start in range(0, len(images), size):
        yield slice(start, start + size)
