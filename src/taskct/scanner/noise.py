"""Counts, their noise, and the logarithm that turns them into line integrals."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import torch
from torch.nn import functional as F

MIN_COUNTS = 1.0  # the logarithm needs a positive count
GAUSSIAN_FROM = 50.0  # expected photons from which a Gaussian with the Poisson's first three moments is drawn
STARVED = 0.2  # relative standard deviation of a count above which its ray is starved
THROUGH = 0.05  # line integral from which a ray counts as passing the object: 2.5 mm of water
SAFE = 1.01  # times as many counts as a starved ray's: not starved, whatever the rounding
WINDOW = (3, 9)  # views and bins whose mean stands in for a starved ray's


def draw_counts(expected: torch.Tensor, *, electronic_noise: float, generator: torch.Generator) -> torch.Tensor:
    """Draw photon counts with readout noise.

    Below `GAUSSIAN_FROM` expected photons a Poisson number plus a Gaussian one; above, one Gaussian number bent by a
    quadratic term so that mean, variance and skewness are those of the sum (Cornish and Fisher's expansion), which is
    several times as fast. Its distribution function is within 2e-4 of the exact one, the mean of its logarithm within
    1e-6 and the variance of its logarithm within 2e-4 of itself (all tested): far below what an image shows.

    Parameters
    ----------
    expected, generator
        Expected photons per ray, any shape; a generator on their device.
    electronic_noise
        Standard deviation of the readout noise in photon equivalents per ray.

    Returns
    -------
    Counts in photon equivalents, same shape; negative where the readout noise is. Not rounded to integers.

    References
    ----------
    .. [1] Cornish and Fisher, Revue de l'Institut International de Statistique 5, 307 (1938).
    """
    readout = electronic_noise**2
    normal = torch.randn(expected.shape, generator=generator, device=expected.device, dtype=expected.dtype)
    counts = expected + readout
    # bend = third cumulant / (6 × variance); √(variance − 2 bend²) leaves room for the variance of the quadratic term.
    bend = torch.div(expected, counts).mul_(1.0 / 6.0)
    counts.addcmul_(bend, bend, value=-2.0).clamp_(min=0.0).sqrt_()
    # expected + √(…) z + bend (z² − 1), in place: new memory takes longer than the sums.
    counts.addcmul_(bend, normal).mul_(normal).add_(expected).sub_(bend)
    if expected.numel() and expected.amin() < GAUSSIAN_FROM:
        few = expected < GAUSSIAN_FROM
        exact = torch.poisson(expected[few], generator=generator)
        counts[few] = exact + electronic_noise * normal[few] if electronic_noise > 0 else exact
    return counts


def _local_mean(values: torch.Tensor) -> torch.Tensor:
    """Mean over `WINDOW`, the edges repeated, `(n, n_views, n_bins)`; shifted sums are faster than torch's pooling."""
    n_views, n_bins = values.shape[1:]
    padded = F.pad(values, (WINDOW[1] // 2, WINDOW[1] // 2, WINDOW[0] // 2, WINDOW[0] // 2), mode="replicate")
    views = torch.stack([padded[:, k : k + n_views] for k in range(WINDOW[0])]).sum(dim=0)
    total = views[..., :n_bins].clone()
    for k in range(1, WINDOW[1]):
        total += views[..., k : k + n_bins]
    return total / (WINDOW[0] * WINDOW[1])


def take_logarithm(
    counts: torch.Tensor, *, i0: float | torch.Tensor, electronic_noise: float, noise_share: float | torch.Tensor = 1.0
) -> torch.Tensor:
    """Turn counts into line integrals, with a way out for zero and negative counts.

    The logarithm of a noisy count is biased: of N photons with variance V = N + σ² it reads V/(2N²) too high, and a
    count below zero has none. In an arms-down abdomen a floor under the counts moves the liver by several HU. Here

    1. the mean m around a ray comes from its `WINDOW`; the mean of a mean, m̄, tells how much that flattens a slope,
       and m²/m̄ undoes it (exactly for an exponential slope);
    2. the ray's own deviation from m is kept whole while its relative standard deviation √V/m is at most `STARVED`
       (about 25 photons without readout noise), and scaled down to that above: starved rays are smoothed, as scanners
       do, all others keep their noise;
    3. V/(2m) of what is left is added before the logarithm, which takes its bias away to first order.

    Parameters
    ----------
    counts
        Photon equivalents, shape `(n, n_views, n_bins)`; the line integrals have the same, and are finite.
    i0
        Unattenuated photons, a number or a tensor that broadcasts to `counts`.
    electronic_noise
        Standard deviation of the readout noise in photon equivalents per ray.
    noise_share
        Part of the variance V whose bias is taken away, in [0, 1], a number or like `counts`; below 1 where the rest
        was dealt with before.

    References
    ----------
    .. [1] Hsieh, "Adaptive streak artifact reduction in computed tomography resulting from excessive x-ray photon
       noise", Med. Phys. 25, 2139 (1998): smoothing that grows as the signal falls.
    .. [2] Jones, Linton and Nielsen, "A simple bias reduction method for density estimation", Biometrika 82, 327
       (1995): the multiplicative correction of step 1.
    """
    readout = electronic_noise**2
    # A sinogram well above that has no starved ray: its counts are their own local mean.
    if counts.numel() == 0 or counts.min() > 4.0 * starved_below(electronic_noise):
        level = counts.reciprocal().mul_(readout).add_(1.0).mul_(0.5).mul_(noise_share).add_(counts)
        return level.div_(i0).log_().neg_()
    transmission = _local_mean(counts / i0)
    transmission = torch.maximum(transmission, torch.as_tensor(MIN_COUNTS / i0, device=counts.device))
    mean = i0 * transmission**2 / _local_mean(transmission)
    variance = mean + readout
    kept = (STARVED * mean / variance.sqrt()).clamp_(max=1.0)
    level = mean + kept * (counts - mean) + noise_share * 0.5 * kept**2 * variance / mean
    return -torch.log(level.clamp_(min=MIN_COUNTS) / i0)


def random_generator(seed: int, device: torch.device) -> torch.Generator:
    """Make a generator of a seed of any size, every bit of which counts.

    torch's CPU generator keeps the low 32 bits of a seed only, so the seed is hashed first.
    """
    (hashed,) = np.random.SeedSequence(seed).generate_state(1, np.uint64)
    return torch.Generator(device=device).manual_seed(int(hashed))


def check_noise_settings(
    line_integral: torch.Tensor, *, i0: float | torch.Tensor, electronic_noise: float, seeds: Sequence[int]
) -> torch.Tensor:
    """Raise ValueError unless the settings fit the sinograms; give `i0` as a tensor of their shape (without a copy)."""
    if len(seeds) != len(line_integral):
        raise ValueError(f"{len(seeds)} seeds for {len(line_integral)} sinograms")
    i0 = torch.as_tensor(i0, dtype=line_integral.dtype, device=line_integral.device)
    if not (i0.numel() == 0 or bool(i0.min() > 0)) or not electronic_noise >= 0:
        raise ValueError(f"i0 must be positive and electronic_noise not negative ({electronic_noise})")
    try:
        return torch.broadcast_to(i0, line_integral.shape)
    except RuntimeError as error:
        raise ValueError(f"i0 is {tuple(i0.shape)}, not like sinograms {tuple(line_integral.shape)}") from error


def add_noise(
    line_integral: torch.Tensor, *, i0: float | torch.Tensor, electronic_noise: float, seeds: Sequence[int]
) -> torch.Tensor:
    """Measure line integrals with Poisson and electronic noise.

    Every sinogram has its own seed, so its noise depends neither on the batch it is measured in nor on the threads.

    Parameters
    ----------
    line_integral
        Shape `(n, n_views, n_bins)`, no unit; the noisy ones are alike.
    i0
        Unattenuated photons per ray at the dose in use: a number, or a tensor that broadcasts to `(n, n_views,
        n_bins)`, such as bowtie `(n_bins,)` × tube current `(n, n_views, 1)` × photons.
    electronic_noise
        Standard deviation of the readout noise in photon equivalents per ray.
    seeds
        One seed a sinogram, `(n,)`, integers from 0 up, of any size.

    Raises
    ------
    ValueError
        If the numbers of seeds and of sinograms differ, a seed is negative, `i0` is not positive or does not broadcast,
        or `electronic_noise` is negative.
    """
    photons = check_noise_settings(line_integral, i0=i0, electronic_noise=electronic_noise, seeds=seeds)

    def measure(sinogram: torch.Tensor, unattenuated: torch.Tensor, seed: int) -> torch.Tensor:
        generator = random_generator(seed, sinogram.device)
        expected = sinogram.neg().exp_().mul_(unattenuated)
        counts = draw_counts(expected, electronic_noise=electronic_noise, generator=generator)
        return take_logarithm(counts[None], i0=unattenuated[None], electronic_noise=electronic_noise)[0]

    # A sinogram at a time stays in the cache, and drawing runs on one core a call; threads share the work. A lone one
    # would take twice as long as this one does: memory that is its own goes back to the system after every sinogram.
    noisy, n_threads = torch.empty_like(line_integral), torch.get_num_threads()
    with ThreadPoolExecutor(max_workers=n_threads) if n_threads > 1 else nullcontext() as pool:
        mapped = (map if pool is None else pool.map)(measure, line_integral, photons, seeds)
        for row, measured in zip(noisy, mapped, strict=True):
            row.copy_(measured)
    return noisy


def starved_share(
    line_integral: torch.Tensor, *, i0: float | torch.Tensor, electronic_noise: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Share of all rays that are starved, and share of those through the object that are lost, `(n,)` each.

    A starved ray's relative standard deviation is above `STARVED` (fewer than 25 counts without readout noise):
    `take_logarithm` smooths it. Of a lost one (line integral above `THROUGH`) that of the mean over `WINDOW` is above
    1: smoothing finds nothing either. From some tenths on the HU of an image are off by hundreds. 0 where there is no
    object.
    """
    starved, lost = torch.zeros((2, len(line_integral)), dtype=torch.float64, device=line_integral.device)
    photons = torch.as_tensor(i0, device=line_integral.device)
    # The fewest counts that an object may have tell of most objects that no ray of theirs is starved.
    fewest = photons.reshape(len(photons) if photons.ndim == 3 else 1, -1).amin(dim=1)
    fewest = fewest * torch.exp(-line_integral.flatten(1).amax(dim=1))
    some = torch.nonzero(fewest < SAFE * starved_below(electronic_noise)).flatten()
    if len(some):
        lines = line_integral[some]
        counts = (photons[some] if photons.ndim == 3 and len(photons) > 1 else photons) * torch.exp(-lines)
        relative = torch.sqrt(counts + electronic_noise**2) / counts.clamp(min=1e-30)
        through = lines > THROUGH
        gone = (relative > (WINDOW[0] * WINDOW[1]) ** 0.5) & through
        starved[some] = (relative > STARVED).double().mean(dim=(1, 2))
        lost[some] = (gone.sum(dim=(1, 2)) / through.sum(dim=(1, 2)).clamp(min=1)).double()
    return starved, lost


def starved_below(electronic_noise: float) -> float:
    """Counts below which a ray is starved: the root of √(m + σ²) = `STARVED` · m."""
    return (1.0 + math.sqrt(1.0 + 4.0 * STARVED**2 * electronic_noise**2)) / (2.0 * STARVED**2)


def line_integral_variance(
    line_integral: torch.Tensor, *, i0: float | torch.Tensor, electronic_noise: float
) -> torch.Tensor:
    """Predict the variance of a measured line integral to first order, (N + σ²)/N² with N = I0·exp(−p).

    Holds where a ray is not starved: from some ten photons up, and several times the readout noise. Source: Ma et al.,
    "Variance analysis of x-ray CT sinograms", Med. Phys. 39, 4051 (2012).
    """
    counts = i0 * torch.exp(-line_integral)
    return (counts + electronic_noise**2) / counts**2
