"""Hounsfield units and linear attenuation."""

from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

MU_WATER_PER_MM = 0.02059
"""Linear attenuation of water at 60 keV, mm⁻¹: 0.2059 cm²/g × 1 g/cm³ (NIST, Hubbell & Seltzer, table 4)."""

Array = TypeVar("Array", NDArray[np.floating], torch.Tensor)


def hu_to_mu(image_hu: Array, mu_water: float = MU_WATER_PER_MM) -> Array:
    """Convert HU, any shape, to linear attenuation, mm⁻¹.

    Values below −1000 HU (undershoot) give a negative attenuation: the map is linear.

    Examples
    --------
    >>> float(hu_to_mu(np.array([-1000.0]))[0])
    0.0
    """
    return (image_hu / 1000.0 + 1.0) * mu_water


def mu_to_hu(mu: Array, mu_water: float = MU_WATER_PER_MM) -> Array:
    """Convert linear attenuation, mm⁻¹, any shape, to HU.

    Examples
    --------
    >>> float(mu_to_hu(np.array([0.0]))[0])
    -1000.0
    """
    return (mu / mu_water - 1.0) * 1000.0
