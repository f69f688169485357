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
    """Scan at a fraction of the dose, and once more as the reference; noisy and reference images in HU.

    Line integrals are noise-free, `(n, n_views, n_bins)`. `i0` are the unattenuated photons per ray at full dose
    (photons × bowtie × tube current), `dose_fraction` is in (0, 1]; the readout noise is the same at every dose. The
    reference is "noise-free", or "normal-dose": an independent scan at full dose, with noise of its own from the same
    seeds. `correct`, such as a `WaterCorrection`, is applied to the line integrals of both scans after the logarithm.
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
