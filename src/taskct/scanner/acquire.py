"""One scan of an object: from line integrals to the noisy and the reference region."""

from collections.abc import Sequence

import torch

from taskct.scanner.fbp import RegionFBP
from taskct.scanner.noise import add_noise
from taskct.units import MU_WATER_PER_MM, mu_to_hu

REFERENCES = ("noise-free", "normal-dose")
REFERENCE_SEED_OFFSET = 2**64  # beyond every seed of a low-dose scan, so that the two scans never share their noise


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
        One seed a sinogram, in [0, 2⁶⁴); the normal-dose scan has noise of its own from the same seed.
    mu_water
        Linear attenuation of water, mm⁻¹.

    Returns
    -------
    noisy, reference
        HU, shape `(n, n_pixels, n_pixels)`.

    Raises
    ------
    ValueError
        If `dose_fraction` or `reference` is not one of those allowed, or as `add_noise`.
    """
    if not 0 < dose_fraction <= 1:
        raise ValueError(f"dose_fraction is {dose_fraction}, not in (0, 1]")
    if reference not in REFERENCES:
        raise ValueError(f"reference is {reference!r}, not one of {REFERENCES}")
    low = add_noise(line_integral, i0=i0 * dose_fraction, electronic_noise=electronic_noise, seeds=seeds)
    target = line_integral
    if reference == "normal-dose":
        reference_seeds = [seed + REFERENCE_SEED_OFFSET for seed in seeds]
        target = add_noise(line_integral, i0=i0, electronic_noise=electronic_noise, seeds=reference_seeds)
    return mu_to_hu(region.reconstruct(low), mu_water), mu_to_hu(region.reconstruct(target), mu_water)
