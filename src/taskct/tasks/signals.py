"""Signals: what may have to be found, known statistically."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHAPES = ("disc", "gaussian")


@dataclass(frozen=True)
class Signals:
    """One signal a trial, centred relative to the trial's region."""

    x_mm: NDArray[np.float32]
    """Offset to the right of the region's centre, mm, `(n,)`."""
    y_mm: NDArray[np.float32]
    """Offset below the region's centre, mm, `(n,)`."""
    diameter_mm: NDArray[np.float32]
    """Diameter of a disc, full width at half maximum of a Gaussian, mm, `(n,)`."""
    contrast_hu: NDArray[np.float32]
    """Difference from the background at its peak, HU, `(n,)`."""


def draw_signals(
    rng: np.random.Generator,
    n: int,
    *,
    contrast_hu: tuple[float, float],
    diameter_mm: tuple[float, float],
    position_mm: float,
) -> Signals:
    """Draw signals whose position, size and contrast are independent and uniform.

    Parameters
    ----------
    rng
        Source of randomness.
    n
        Number of signals.
    contrast_hu, diameter_mm
        Lowest and highest value, HU and mm. Equal values give a signal known exactly in that respect.
    position_mm
        The centre lies in the square of ± this many mm about the region's centre.

    Returns
    -------
    The signals.

    Examples
    --------
    >>> s = draw_signals(np.random.default_rng(0), 3, contrast_hu=(10, 20), diameter_mm=(5, 5), position_mm=8)
    >>> s.diameter_mm.tolist()
    [5.0, 5.0, 5.0]
    """

    def uniform(low: float, high: float) -> NDArray[np.float32]:
        return rng.uniform(low, high, n).astype(np.float32)

    return Signals(
        x_mm=uniform(-position_mm, position_mm),
        y_mm=uniform(-position_mm, position_mm),
        diameter_mm=uniform(*diameter_mm),
        contrast_hu=uniform(*contrast_hu),
    )


def signal_site(signals: Signals, *, n_pixels: int, pixel_mm: float) -> NDArray[np.bool_]:
    """Mark the pixels whose centre lies within each signal's diameter, and the pixel that holds its centre.

    Parameters
    ----------
    signals
        `n` signals.
    n_pixels, pixel_mm
        The region's side in pixels and its pitch, mm.

    Returns
    -------
    Mask, shape `(n, n_pixels, n_pixels)`.
    """
    axis = (np.arange(n_pixels) - (n_pixels - 1) / 2.0) * pixel_mm
    dx = axis[None, None, :] - signals.x_mm[:, None, None]
    dy = axis[None, :, None] - signals.y_mm[:, None, None]
    inside: NDArray[np.bool_] = dx**2 + dy**2 <= (signals.diameter_mm[:, None, None] / 2.0) ** 2
    # A signal smaller than a pixel may miss every pixel centre; a mean over its site still needs one.
    holds_centre: NDArray[np.bool_] = (np.abs(dx) <= pixel_mm / 2.0) & (np.abs(dy) <= pixel_mm / 2.0)
    return inside | holds_centre
