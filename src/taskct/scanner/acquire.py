"""One scan of an object: from line integrals to the noisy and the reference region."""

from collections.abc import Sequence

import torch

from taskct.scanner.fbp import RegionFBP
from taskct.scanner.noise import add_noise
from taskct.units import MU_WATER_PER_MM, mu_to_hu


def acquire(
    line_integral: torch.Tensor,
    region: RegionFBP,
    *,
    i0: float,
    dose_fraction: float,
    electronic_noise: float,
    reference: str,
    seeds: Sequence[int],
    mu_water: float = MU_WATER_PER_MM,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scan at a fraction of the dose, and once more as the reference.

    Parameters
    ----------
    line_integral
        Noise-free line integrals, shape `(n, n_views, n_bins)`.
    region
        The reconstruction.
    i0
        Unattenuated photons per ray at full dose.
    dose_fraction
        In (0, 1].
    electronic_noise
        Standard deviation in photon equivalents per ray; the same at every dose.
    reference
        "noise-free", or "normal-dose": an independent scan at full dose.
    seeds
        One seed a sinogram.
    mu_water
        Linear attenuation of water, mm⁻¹.

    Returns
    -------
    noisy, reference
        HU, shape `(n, n_pixels, n_pixels)`.
    """
    if not 0 < dose_fraction <= 1:
        raise ValueError(f"dose_fraction is {dose_fraction}, not in (0, 1]")
    low = add_noise(line_integral, i0=i0 * dose_fraction, electronic_noise=electronic_noise, seeds=seeds)
    if reference == "noise-free":
        target = line_integral
    elif reference == "normal-dose":
        target = add_noise(
            line_integral, i0=i0, electronic_noise=electronic_noise, seeds=[seed + 2**62 for seed in seeds]
        )
    else:
        raise ValueError(f"reference is {reference!r}, neither 'noise-free' nor 'normal-dose'")
    return tuple(mu_to_hu(region.reconstruct(part), mu_water) for part in (low, target))  # type: ignore[return-value]
