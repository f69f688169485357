"""How much of each spatial frequency of an object an eye at a viewing distance passes on."""

import math

import numpy as np
from numpy.typing import NDArray

from taskct.observer_registry import VIEWING_DISTANCE_MM


def eye_response(
    frequency_per_mm: NDArray[np.floating],
    *,
    viewing_distance_mm: float = VIEWING_DISTANCE_MM,
    magnification: float = 1.0,
    exponent: float = 1.3,
    peak_cycles_per_degree: float = 4.0,
) -> NDArray[np.float64]:
    """Response of the eye, in [0, 1], at frequencies of the object; shape as theirs.

    E(ρ) = ρⁿ exp(−c ρ²) with c = n / (2 ρ₀²), divided by its peak E(ρ₀). ρ = f / m · D · π / 180 is in cycles per
    degree for an object of frequency f shown at magnification m at distance D.

    Parameters
    ----------
    frequency_per_mm
        Cycles/mm, at least 0.
    viewing_distance_mm, magnification
        D and m, above 0.
    exponent, peak_cycles_per_degree
        n and ρ₀, above 0.

    References
    ----------
    .. [1] Burgess, J. Opt. Soc. Am. A 11, 1237 (1994): n = 1.3, ρ₀ = 4.

    Examples
    --------
    >>> eye_response(np.array([0.0, 1.0]), viewing_distance_mm=720.0 / np.pi).round(6)  # 4 cycles per degree
    array([0., 1.])
    """
    frequency = np.asarray(frequency_per_mm, dtype=np.float64)
    relative = frequency / magnification * viewing_distance_mm * math.pi / 180.0 / peak_cycles_per_degree
    response: NDArray[np.float64] = relative**exponent * np.exp(exponent / 2.0 * (1.0 - relative**2))
    return response
