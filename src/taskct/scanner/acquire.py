"""One scan of an object: from line integrals to the noisy and the reference image."""

from collections.abc import Callable, Sequence

import torch

from taskct.scanner.fbp import FBP
from taskct.scanner.noise import add_noise
from taskct.scanner.units import mu_to_hu

REFERENCES = ("noise-free", "normal-dose")
REFERENCE_SEED_OFFSET = 2**64  # beyond every seed of a low-dose scan, so that the two scans never share their noise


def acquire(
    line_integral: torch.Tensor,
    fbp: FBP,
    *,
    i0: float | torch.Tensor,
    dose_fraction: float,
    electronic_noise: float,
    reference: str,
    seeds: Sequence[int],
    correct: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scan at a fraction of the dose, and once more as the reference.

    Parameters
    ----------
    line_integral
        Noise-free line integrals, shape `(n, n_views, n_bins)`.
    fbp
        The reconstruction, of the whole image or of a region.
    i0
        Unattenuated photons per ray at full dose, a number or a tensor that broadcasts to `(n, n_views, n_bins)`:
        photons × bowtie × tube current.
    dose_fraction
        In (0, 1].
    electronic_noise
        Standard deviation in photon equivalents per ray; the same at every dose.
    reference
        "noise-free", or "normal-dose": an independent scan at full dose.
    seeds
        One seed a sinogram, in [0, 2⁶⁴); the normal-dose scan has noise of its own from the same seed.
    correct
        Applied to the line integrals of both scans after the logarithm, such as a `WaterCorrection`; None is nothing.

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

    def reconstruct_hu(sinogram: torch.Tensor) -> torch.Tensor:
        return mu_to_hu(fbp.reconstruct(sinogram if correct is None else correct(sinogram)))

    def scan(fraction: float, scan_seeds: Sequence[int]) -> torch.Tensor:
        return add_noise(line_integral, i0=i0 * fraction, electronic_noise=electronic_noise, seeds=scan_seeds)

    noisy = reconstruct_hu(scan(dose_fraction, seeds))
    if reference == "noise-free":
        return noisy, reconstruct_hu(line_integral)
    return noisy, reconstruct_hu(scan(1.0, [seed + REFERENCE_SEED_OFFSET for seed in seeds]))
