"""The ideal observer for a known signal in a lumpy background, by Markov-chain Monte Carlo."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from taskct.observer_registry import conditions
from taskct.observers.base import Array, check_images
from taskct.progress import Progress
from taskct.ranges import Range, check_ranges

N_BATCHES = 20  # parts of a chain whose means give its Monte Carlo error
_KINDS = ("shift", "jump", "number")
_PROBABILITIES = (0.6, 0.1, 0.3)
"""Of shifting a lump, of moving it anywhere, and of adding or removing one, which are equally probable."""
_SHIFTS = (0.05, 3.0)  # least and largest scale of a shift, in standard deviations of a lump; drawn log-uniformly
_FIRST_NOISE = 10.0  # noise at the start of burn-in, relative to the true one
_BLOCK = 500  # steps whose random numbers are drawn together, and after which residuals are computed afresh
_EVERY = 5  # steps between looks at the likelihood ratio; one step moves one lump
LUMPY_RANGES = {
    "lumps_per_mm2": Range(0.0, unit="mm⁻²"),
    "lump_sigma_mm": Range(0.0, unit="mm", open_low=True),
    "noise_hu": Range(0.0, unit="HU", open_low=True),
    **conditions("pixel_mm"),
    "margin_mm": Range(0.0, unit="mm"),
    "n_steps": Range(1000, whole=True),
    "n_burn_in": Range(0, whole=True),
}


@dataclass(frozen=True)
class LumpyLikelihood:
    """Log-likelihood ratios by Markov chains, and how far they can be trusted."""

    log_likelihood_ratio: Array  # ln Λ of every image, the ideal test statistic, shape `(n_images,)`
    std_error: Array  # Monte Carlo standard error of ln Λ from the means of 20 parts of its chain, `(n_images,)`
    effective_samples: Array  # independent draws that would give that error, `(n_images,)`
    halves: Array  # ln Λ from the first and from the second half of each chain alone, shape `(2, n_images)`
    acceptance: dict[str, float]
    """Fraction of proposals accepted, by kind: shift, jump (to anywhere), number (add or remove a lump)."""


@dataclass(frozen=True)
class LumpyImages:
    """What images of a lumpy background are made of; a `UserError` says that a number is out of range."""

    lumps_per_mm2: float
    """Mean density of lumps, mm⁻², at least 0."""
    lump_sigma_mm: float
    """Standard deviation of a lump, mm, above 0."""
    lump_hu: float
    """Peak of a lump, HU."""
    noise_hu: float
    """Standard deviation σ of the white noise, HU, above 0."""
    level_hu: float = 0.0
    """What lies under the lumps, HU."""
    pixel_mm: float = 1.0
    """Pixel size, mm."""
    margin_mm: float | None = None
    """Lumps are centred in the image and up to this far beyond its border, mm; None: 4 `lump_sigma_mm`, as the task's
    lumpy backgrounds are drawn."""

    def __post_init__(self) -> None:
        checked = {name: getattr(self, name) for name in ("lumps_per_mm2", "lump_sigma_mm", "noise_hu", "pixel_mm")}
        check_ranges(LUMPY_RANGES, **checked, margin_mm=self.beyond_mm)

    @property
    def beyond_mm(self) -> float:
        """How far beyond the image's border lumps are centred, mm."""
        return 4.0 * self.lump_sigma_mm if self.margin_mm is None else self.margin_mm


def lumpy_log_likelihood_ratio(
    images: NDArray[np.floating],
    signal_hu: NDArray[np.floating],
    lumpy: LumpyImages,
    *,
    n_steps: int = 40_000,
    n_burn_in: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> LumpyLikelihood:
    """Log of the likelihood ratio for a known signal in a lumpy background with white Gaussian noise.

    An image is g = b + n, or b + s + n with the signal: b a level plus a Poisson number of equal Gaussian lumps at
    uniform places, s the signal, n white noise of standard deviation σ. One chain for each image draws b from its
    distribution given g by shifting a lump, moving it anywhere, adding or removing one [2], [3]. With u = (g − b −
    s/2)ᵀs / σ², the log of the likelihood ratio for a known background b, [2] takes Λ as the mean of exp(u) over chains
    that assume no signal. Here they assume half the signal, and Λ is the mean of exp(u/2) over that of exp(−u/2): the
    same in the limit, with far less scatter, since the exponents are halved [1].

    Parameters
    ----------
    images, signal_hu
        HU, shape `(n_images, height, width)`, and s, HU, shape `(height, width)`.
    lumpy
        What the images are made of.
    n_steps, n_burn_in
        Steps of each chain, at least 1,000, and before them; None: a quarter of `n_steps`.
    seed, device
        Of the chains, which start from backgrounds drawn without regard to the images, and where they run, in float64.
    progress
        Called every 500 steps.

    Returns
    -------
    ln Λ with its Monte Carlo error. Where the halves of a chain differ by much more than `std_error` it has not found
    all its states, as happens where strong lumps overlap: give more steps.

    Raises
    ------
    UserError, ValueError
        If a setting is out of range, shapes do not match or a value is not finite.

    References
    ----------
    .. [1] Bennett, J. Comput. Phys. 22, 245 (1976): ratios from a state between two.
    .. [2] Kupinski, Hoppin, Clarkson & Barrett, J. Opt. Soc. Am. A 20, 430 (2003).
    .. [3] Geyer & Møller, Scand. J. Statist. 21, 359 (1994): chains that add and remove points.

    Examples
    --------
    Without lumps the matched filter remains:

    >>> signal = np.full((4, 4), 2.0)
    >>> lumpy = LumpyImages(lumps_per_mm2=0.1, lump_sigma_mm=1, lump_hu=0, noise_hu=4)
    >>> ideal = lumpy_log_likelihood_ratio(signal[None], signal, lumpy, n_steps=1000)
    >>> float(ideal.log_likelihood_ratio[0])  # sᵀs / 2σ²
    2.0
    """
    signal = check_images(np.asarray(signal_hu)[None])[0]
    data = check_images(images, signal.shape)
    n_burn_in = n_steps // 4 if n_burn_in is None else n_burn_in
    check_ranges(LUMPY_RANGES, n_steps=n_steps, n_burn_in=n_burn_in)
    noise_hu = lumpy.noise_hu
    about_half = torch.tensor(data - lumpy.level_hu - signal / 2.0, device=device)
    chains = _Chains(about_half, lumpy, torch.Generator().manual_seed(seed))
    half_template = torch.tensor(signal / (2.0 * noise_hu**2), device=device).flatten()
    powers = torch.tensor([1.0, -1.0, 2.0, -2.0], dtype=torch.float64, device=device)[:, None]
    # Logarithms of the sums of exp(u/2), exp(−u/2), exp(u) and exp(−u) over each part of the chain.
    sums = torch.full((len(powers), N_BATCHES, len(data)), -math.inf, dtype=torch.float64, device=device)
    counts = np.zeros(N_BATCHES)
    total = n_burn_in + n_steps
    chains.noise = noise_hu * (_FIRST_NOISE if n_burn_in > 0 else 1.0)
    for first in range(0, total, _BLOCK):
        for step in chains.steps(first, min(first + _BLOCK, total)):
            # Noise that falls to its value during burn-in lets lumps find their places; it is that of the next step.
            chains.noise = noise_hu * max(1.0, _FIRST_NOISE ** (1.0 - 1.5 * (step + 1) / max(n_burn_in, 1)))
            if step < n_burn_in or step % _EVERY:
                continue
            part = (step - n_burn_in) * N_BATCHES // n_steps
            half_u = chains.residual.flatten(1) @ half_template
            sums[:, part] = torch.logaddexp(sums[:, part], powers * half_u)
            counts[part] += 1
        if progress is not None:
            accepted = sum(chains.n_accepted.values()) / max(sum(chains.n_proposed.values()), 1)
            progress(min(first + _BLOCK, total), total, f"{accepted:.0%} accepted")
    acceptance = {kind: chains.n_accepted[kind] / max(chains.n_proposed[kind], 1) for kind in _KINDS}
    return _summary(sums.cpu().numpy(), counts, acceptance)


def _summary(sums: Array, counts: Array, acceptance: dict[str, float]) -> LumpyLikelihood:
    def log_means(of: slice) -> Array:
        result: Array = np.logaddexp.reduce(sums[:, of], axis=1) - np.log(counts[of].sum())
        return result

    up, down, up2, down2 = log_means(slice(None))
    # ln Λ errs by the mean of x − y, with x and y the two exponentials over their means; E[xy] follows from uu⁻¹ = 1.
    of_parts = np.exp(sums[:2] - np.log(counts)[:, None] - np.stack([up, down])[:, None])
    std_error = (of_parts[0] - of_parts[1]).std(axis=0, ddof=1) / np.sqrt(N_BATCHES)
    variance = np.exp(up2 - 2.0 * up) + np.exp(down2 - 2.0 * down) - 2.0 * np.exp(-up - down)
    # Without any scatter every look is as good as an independent draw.
    effective = np.full_like(variance, counts.sum())
    np.divide(variance, std_error**2, out=effective, where=std_error > 1e-9)
    half = N_BATCHES // 2
    halves = np.stack([means[0] - means[1] for means in (log_means(slice(half)), log_means(slice(half, None)))])
    return LumpyLikelihood(up - down, std_error, np.clip(effective, 0.0, counts.sum()), halves, acceptance)


class _Chains:
    """One Markov chain of lumps for each image; all shift, or jump, or add or remove in the same step."""

    def __init__(self, images: torch.Tensor, lumpy: LumpyImages, generator: torch.Generator) -> None:
        self.images = images
        self.sigma, self.peak, self.noise = lumpy.lump_sigma_mm, lumpy.lump_hu, lumpy.noise_hu
        self.generator = generator
        sides = [n * lumpy.pixel_mm + 2.0 * lumpy.beyond_mm for n in images.shape[1:]]
        self.mean_number = lumpy.lumps_per_mm2 * math.prod(sides)
        self.half_window = torch.tensor(sides, dtype=torch.float64, device=images.device) / 2.0
        self.axes = [
            (torch.arange(n, dtype=torch.float64, device=images.device) - (n - 1) / 2.0) * lumpy.pixel_mm
            for n in images.shape[1:]
        ]
        self.there_and_back = torch.tensor([1.0, -1.0], dtype=torch.float64, device=images.device)
        self.index = torch.arange(len(images), device=images.device)
        number = torch.poisson(torch.full((len(images),), self.mean_number, dtype=torch.float64), generator=generator)
        self.number = number.long().to(images.device)
        most = max(int(number.max()) if len(number) else 0, 1)
        self.places = self._anywhere(len(images), most)
        self.residual = images
        self.n_proposed = dict.fromkeys(_KINDS, 0)
        self.n_accepted = dict.fromkeys(_KINDS, 0)

    def steps(self, first: int, last: int) -> Iterator[int]:
        """Make the steps `first` to `last`, yielding each one's number once it is made."""
        n, length = len(self.images), last - first
        kinds = torch.multinomial(torch.tensor(_PROBABILITIES), length, replacement=True, generator=self.generator)
        room = int(self.number.max()) + int((kinds == _KINDS.index("number")).sum()) if n else 1
        if room > self.places.shape[1]:  # so that no step in this block lacks room for its lump
            self.places = torch.cat([self.places, self._anywhere(n, room - self.places.shape[1])], dim=1)
        self._refresh()
        uniform = torch.rand((length, 3, n), generator=self.generator, dtype=torch.float64).to(self.images.device)
        log_uniform = torch.log(uniform[:, 1])
        anywhere = self._anywhere(length, n)
        low, high = (math.log(value * self.sigma) for value in _SHIFTS)
        scale = torch.exp(low + (high - low) * torch.rand((length, n, 1), generator=self.generator))
        shift = (scale * torch.randn((length, n, 2), generator=self.generator)).double().to(self.images.device)
        for i, kind in enumerate(kinds.tolist()):
            self._step(_KINDS[kind], uniform[i, 0], uniform[i, 2] < 0.5, log_uniform[i], anywhere[i], shift[i])
            yield first + i

    def _step(
        self,
        kind: str,
        uniform: torch.Tensor,
        add: torch.Tensor,
        log_uniform: torch.Tensor,
        anywhere: torch.Tensor,
        shift: torch.Tensor,
    ) -> None:
        """One proposal in every chain, accepted or not by Metropolis, Hastings and Green."""
        chosen = torch.minimum((uniform * self.number).long(), (self.number - 1).clamp(min=0))
        old = self.places[self.index, chosen]
        new = old + shift if kind == "shift" else anywhere
        if kind == "number":
            allowed, points = add | (self.number > 0), torch.where(add[:, None], new, old)[:, None]
            signs = torch.where(add, 1.0, -1.0)[:, None]
            log_mean = math.log(max(self.mean_number, 1e-300))
            log_prior = torch.where(add, log_mean - torch.log(self.number + 1.0), torch.log(self.number) - log_mean)
        else:
            allowed = (self.number > 0) & (new.abs() <= self.half_window).all(dim=1)
            points, signs = torch.stack([new, old], dim=1), self.there_and_back
            log_prior = torch.zeros_like(log_uniform)
        rows, columns = (self._profile(points[:, :, i], i) for i in (0, 1))
        rows = self.peak * signs[..., None] * rows
        seen = ((rows @ self.residual) * columns).sum(dim=(1, 2))
        norm2 = ((rows @ rows.mT) * (columns @ columns.mT)).sum(dim=(1, 2))
        log_likelihood = (seen - norm2 / 2.0) / self.noise**2
        accepted = (allowed & (log_uniform < log_likelihood + log_prior)).nonzero()[:, 0]
        self.n_proposed[kind] += len(self.images)
        self.n_accepted[kind] += len(accepted)
        if len(accepted) == 0:
            return
        self.residual[accepted] -= rows[accepted].mT @ columns[accepted]
        if kind == "number":
            added, removed = accepted[add[accepted]], accepted[~add[accepted]]
            self.places[added, self.number[added]] = new[added]
            self.number[added] += 1
            self.number[removed] -= 1  # and the last lump takes the place of the one removed
            self.places[removed, chosen[removed]] = self.places[removed, self.number[removed]]
        else:
            self.places[accepted, chosen[accepted]] = new[accepted]

    def _profile(self, place: torch.Tensor, axis: int) -> torch.Tensor:
        return torch.exp(-0.5 * ((self.axes[axis] - place[..., None]) / self.sigma) ** 2)

    def _anywhere(self, *shape: int) -> torch.Tensor:
        """Places drawn uniformly, mm, shape `(*shape, 2)`."""
        uniform = torch.rand((*shape, 2), generator=self.generator, dtype=torch.float64).to(self.images.device)
        return (2.0 * uniform - 1.0) * self.half_window

    def _refresh(self) -> None:
        """Compute the residuals g − b afresh: the rounding of many steps adds up."""
        there = torch.arange(self.places.shape[1], device=self.places.device) < self.number[:, None]
        rows, columns = (self._profile(self.places[:, :, i], i) for i in (0, 1))
        self.residual = self.images - self.peak * (rows * there[..., None]).mT @ columns
