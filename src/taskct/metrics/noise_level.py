"""How noisy an image is and how coarse its noise, from the image alone: no repeat, no truth, no marked region."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Floats = NDArray[np.float64]

BLOCK = 12
"""Side of the blocks that are looked at, pixels; neighbours overlap by half, in images of over `LARGE` pixels not."""

LARGE = 256

AIR_BELOW_HU = -900.0
"""A block that is darker on average is air: scanners cut its noise off at their lowest value."""

FEWEST_BLOCKS = 4
"""Below that nothing is said of an image."""

BANDWIDTH = 0.15
"""Of the kernel density of local standard deviations, as a fraction: about what one block's estimate scatters by."""

FLAT = 1.25
"""Blocks up to so many times the noise level count as flat, and tell of texture."""


@dataclass(frozen=True)
class NoiseOf:
    """What one image says of its noise."""

    level_hu: float
    """Standard deviation, HU."""
    texture_per_pixel: float
    """Mean frequency of the noise power, cycles/pixel; nan where there is no noise."""


def measure_noise(image_hu: NDArray[np.floating], *, outside: NDArray[np.bool_] | None = None) -> NoiseOf | None:
    """Noise level and texture of one image.

    Standard deviations are taken in blocks of 12 × 12 pixels, each less its own plane. Flat blocks agree, those with
    edges do not: the level is where the density of standard deviations is highest, as in the global noise level [1]_.
    Of independent pixels it is right to 1 %; the part of noise that is wider than a block counts as background, so that
    filtered backprojection with a Hann window reads 4 % too low. Texture is the mean frequency of the
    radial noise power of the flat blocks, ∫ f P(f) df / ∫ P(f) df [2]_, with a Hann window on the block.

    Parameters
    ----------
    image_hu
        HU, shape `(height, width)`.
    outside
        Where nothing was measured, such as padding, same shape; None where that is nowhere.

    Returns
    -------
    None if fewer than four blocks are neither air nor outside: the image is too small, or empty.

    References
    ----------
    .. [1] Christianson et al., Automated technique to measure noise in clinical CT examinations, AJR 205, W93 (2015).
    .. [2] Samei et al., Med. Phys. 46, e735 (2019), AAPM task group 233.

    Examples
    --------
    >>> image = np.random.default_rng(0).normal(40.0, 20.0, (128, 128))
    >>> image[:, 64:] += 300.0  # an edge
    >>> round(measure_noise(image).level_hu)
    20
    """
    if min(image_hu.shape) < BLOCK:
        return None
    step = BLOCK if min(image_hu.shape) > LARGE else BLOCK // 2
    blocks = _blocks(image_hu, step)
    mean = blocks.mean(axis=1)
    kept = mean >= AIR_BELOW_HU
    if outside is not None:
        kept &= ~_blocks(outside, step).any(axis=1)
    if int(kept.sum()) < FEWEST_BLOCKS:
        return None
    rest = blocks[kept] - mean[kept, None]
    rest -= (rest @ _SLOPES) @ _SLOPES.T
    deviations = np.sqrt((rest**2).sum(axis=1) / (BLOCK**2 - 3))
    # A constant block holds no noise: padding that nobody declared, or values cut off.
    noisy = deviations > 1e-6 * np.maximum(1.0, np.abs(mean[kept]))
    if not noisy.any():
        return NoiseOf(0.0, float("nan"))
    level = _most_frequent(deviations[noisy])
    flat = noisy & (deviations <= FLAT * level)
    return NoiseOf(level, _mean_frequency(rest[flat]))


def _blocks(image: NDArray[np.generic], step: int) -> NDArray[np.generic]:
    """Blocks of an image, `(n_blocks, BLOCK²)`; float64 of numbers."""
    found = np.lib.stride_tricks.sliding_window_view(image, (BLOCK, BLOCK))[::step, ::step].reshape(-1, BLOCK**2)
    return found if found.dtype == np.bool_ else found.astype(np.float64)


def _slopes() -> Floats:
    """Unit vectors of a rise along rows and along columns of a block, `(BLOCK², 2)`."""
    along = np.arange(BLOCK) - (BLOCK - 1) / 2.0
    rises = np.stack([np.repeat(along, BLOCK), np.tile(along, BLOCK)], axis=1)
    return np.asarray(rises / np.linalg.norm(rises, axis=0))


_SLOPES = _slopes()


def _most_frequent(deviations: Floats) -> float:
    """Where the density of positive numbers is highest; its kernel is as wide as they are large, times `BANDWIDTH`."""
    logs = np.sort(np.log(deviations))
    grid = np.linspace(logs[0], logs[-1], 512)
    # Few bins in place of many numbers: blocks of a large slice are thousands.
    counts, edges = np.histogram(logs, bins=512)
    middles = (edges[:-1] + edges[1:]) / 2.0
    density = np.exp(-0.5 * ((grid[:, None] - middles) / BANDWIDTH) ** 2) @ counts
    # The density of the number itself, not of its logarithm, whose peak the kernel moves down by its variance.
    return float(np.exp(grid[np.argmax(density * np.exp(-grid))] + BANDWIDTH**2))


def _mean_frequency(rest: Floats) -> float:
    """Mean frequency of the radial power of blocks, cycles/pixel."""
    power = (np.abs(fft.fft2(rest.reshape(-1, BLOCK, BLOCK) * _WINDOW)) ** 2).mean(axis=0).ravel()
    radial = np.bincount(_RING, weights=power) / np.bincount(_RING)
    frequency = np.arange(1, BLOCK // 2 + 1) / BLOCK
    inside = radial[1 : BLOCK // 2 + 1]
    return float((frequency * inside).sum() / inside.sum())


_HANN = 0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(BLOCK) + 0.5) / BLOCK)
_WINDOW = np.outer(_HANN, _HANN)
_RING = np.rint(np.hypot(fft.fftfreq(BLOCK)[:, None], fft.fftfreq(BLOCK)) * BLOCK).astype(np.int64).ravel()
