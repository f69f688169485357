"""Counts and their noise."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

MIN_COUNTS = 1.0  # photon starvation: the logarithm needs a positive count


def add_noise(line_integral: torch.Tensor, *, i0: float, electronic_noise: float, seeds: Sequence[int]) -> torch.Tensor:
    """Measure line integrals with Poisson and electronic noise.

    Every sinogram has its own seed, so its noise does not depend on the batch it is measured in.

    Parameters
    ----------
    line_integral
        Shape `(n, n_views, n_bins)`, no unit.
    i0
        Unattenuated photons per ray at the dose in use.
    electronic_noise
        Standard deviation of the readout noise in photon equivalents per ray.
    seeds
        One seed a sinogram, `(n,)`, integers from 0 up, of any size.

    Returns
    -------
    Noisy line integrals, same shape. Counts below `MIN_COUNTS` are raised to it before the logarithm, so a starved
    ray reads ln(`i0` / `MIN_COUNTS`), finite and too low.

    Raises
    ------
    ValueError
        If the numbers of seeds and of sinograms differ, a seed is negative, `i0` is not positive or
        `electronic_noise` is negative.
    """
    if len(seeds) != len(line_integral):
        raise ValueError(f"{len(seeds)} seeds for {len(line_integral)} sinograms")
    if not i0 > 0 or not electronic_noise >= 0:
        raise ValueError(f"i0 must be positive ({i0}) and electronic_noise not negative ({electronic_noise})")

    def measure(sinogram: torch.Tensor, seed: int) -> torch.Tensor:
        # torch's CPU generator keeps the low 32 bits of a seed only: hash it, so that every bit of it counts.
        (hashed,) = np.random.SeedSequence(seed).generate_state(1, np.uint64)
        generator = torch.Generator(device=sinogram.device).manual_seed(int(hashed))
        counts = torch.poisson(i0 * torch.exp(-sinogram), generator=generator)
        if electronic_noise > 0:
            shape, device = sinogram.shape, sinogram.device
            counts += electronic_noise * torch.randn(shape, generator=generator, device=device)
        return -torch.log(counts.clamp_(min=MIN_COUNTS) / i0)

    # Drawing Poisson numbers is the slow part and runs on one core a call; threads share the work.
    with ThreadPoolExecutor(max_workers=torch.get_num_threads()) as pool:
        noisy = torch.empty_like(line_integral)
        for row, measured in zip(noisy, pool.map(measure, line_integral, seeds), strict=True):
            row.copy_(measured)
    return noisy


def line_integral_variance(line_integral: torch.Tensor, *, i0: float, electronic_noise: float) -> torch.Tensor:
    """Predict the variance of a measured line integral to first order, (N + σ²)/N² with N = I0·exp(−p).

    Parameters
    ----------
    line_integral
        Noise-free line integrals, any shape.
    i0, electronic_noise
        As for `add_noise`.

    Returns
    -------
    Variance, same shape.

    References
    ----------
    .. [1] Ma et al., "Variance analysis of x-ray CT sinograms", Med. Phys. 39, 4051 (2012).
    """
    counts = i0 * torch.exp(-line_integral)
    return (counts + electronic_noise**2) / counts**2
