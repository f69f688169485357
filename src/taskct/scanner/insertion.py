"""A lower dose from an existing scan: the noise that is missing, added to the image."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from taskct.scanner.fbp import FBP
from taskct.scanner.noise import check_noise_settings, random_generator, take_logarithm
from taskct.scanner.projector import Projector
from taskct.scanner.units import MU_WATER_PER_MM, hu_to_mu

SLICES_AT_A_TIME = 8  # bounds the sinograms held


def missing_noise(
    line_integral: torch.Tensor,
    *,
    i0: float | torch.Tensor,
    dose_fraction: float,
    electronic_noise: float,
    seeds: Sequence[int],
) -> torch.Tensor:
    """Draw the noise that a scan at full dose lacks to be one at a lower dose: what to add to its line integrals.

    Of X counts at full dose a scan at the fraction d, in (0, 1], keeps d·X and so d² of their variance; the rest of its
    own variance, d(1 − d)·X + (1 − d²)·σ², is drawn here, so that the line integral gains (1/d − 1)/X + (1/d² −
    1)·σ²/X². The low counts go through the same logarithm as a scan's, with its way out for starved rays; the bias of
    the logarithm is taken away for the added noise alone, since the full-dose scan has dealt with its own. Arguments
    are as for `add_noise`, `i0` that of the full dose. Sources: Massoumzadeh et al., "Validation of CT dose-reduction
    simulation", Med. Phys. 36, 174 (2009): Gaussian noise with bowtie, tube-current modulation and readout; Yu et al.,
    "Development and validation of a practical lower-dose-simulation tool for optimizing computed tomography scan
    protocols", J. Comput. Assist. Tomogr. 36, 477 (2012); Žabić et al., "A low dose simulation tool for CT systems with
    energy integrating detectors", Med. Phys. 40, 031102 (2013): noise added before the logarithm.
    """
    if not 0 < dose_fraction <= 1:
        raise ValueError(f"dose_fraction is {dose_fraction}, not in (0, 1]")
    photons = check_noise_settings(line_integral, i0=i0, electronic_noise=electronic_noise, seeds=seeds)
    if dose_fraction == 1:
        return torch.zeros_like(line_integral)
    d, readout = dose_fraction, electronic_noise**2

    def draw(sinogram: torch.Tensor, unattenuated: torch.Tensor, seed: int) -> torch.Tensor:
        generator = random_generator(seed, sinogram.device)
        normal = torch.randn(sinogram.shape, generator=generator, device=sinogram.device, dtype=sinogram.dtype)
        full = unattenuated * torch.exp(-sinogram)
        added = d * (1.0 - d) * full + (1.0 - d**2) * readout
        low = take_logarithm(
            (d * full + added.sqrt() * normal)[None],
            i0=d * unattenuated[None],
            electronic_noise=electronic_noise,
            noise_share=(added / (d * full + readout))[None],
        )[0]
        return low - sinogram

    with ThreadPoolExecutor(max_workers=torch.get_num_threads()) as pool:
        noise = torch.empty_like(line_integral)
        for row, drawn in zip(noise, pool.map(draw, line_integral, photons, seeds), strict=True):
            row.copy_(drawn)
    return noise


def insert_noise(
    image_hu: torch.Tensor,
    projector: Projector,
    fbp: FBP,
    *,
    i0: float | torch.Tensor | Callable[[torch.Tensor], torch.Tensor],
    dose_fraction: float,
    electronic_noise: float,
    seeds: Sequence[int],
) -> torch.Tensor:
    """Turn full-dose images into images at a fraction of the dose.

    Images are projected, the noise they lack is drawn per ray (see `missing_noise`), and this noise alone is
    reconstructed and added: what the images show is not resampled, and the noise has the correlation of the
    reconstruction. `fbp` should therefore resemble the one that made the images in its kernel; `i0_for_noise` finds the
    `i0` of images whose noise is known.

    Parameters
    ----------
    image_hu
        Full-dose images, HU, shape `(n, n_pixels, n_pixels)`, on the projector's and the reconstruction's grid. Less
        than −1000 HU (padding) counts as air.
    projector, fbp
        Of one geometry and one grid, or a ValueError.
    i0
        Unattenuated photons per ray at full dose, a number or a tensor that broadcasts to `(n, n_views, n_bins)`, or
        what gives one from the line integrals of some slices, such as a modulated tube current.
    dose_fraction, electronic_noise, seeds
        As for `add_noise`; the fraction is in (0, 1].

    Returns
    -------
    HU, shape `(n, n_pixels, n_pixels)`. Memory beyond this is that of a few slices' sinograms.
    """
    grids = [(part.geometry, part.n_pixels, part.pixel_mm) for part in (projector, fbp)]
    if grids[0] != grids[1] or fbp.center_mm != (0.0, 0.0):
        raise ValueError("projector and fbp have different geometries or grids")
    if len(seeds) != len(image_hu):
        raise ValueError(f"{len(seeds)} seeds for {len(image_hu)} images")
    per_slice = isinstance(i0, torch.Tensor) and i0.ndim == 3 and len(i0) > 1
    noisy = torch.empty_like(image_hu)
    for start in range(0, len(image_hu), SLICES_AT_A_TIME):
        part = slice(start, start + SLICES_AT_A_TIME)
        lines = projector.project(hu_to_mu(image_hu[part]).clamp(min=0.0))
        noise = missing_noise(
            lines,
            i0=i0(lines) if callable(i0) else i0[part] if per_slice else i0,  # type: ignore[index]  # an array
            dose_fraction=dose_fraction,
            electronic_noise=electronic_noise,
            seeds=seeds[part],
        )
        noisy[part] = image_hu[part] + fbp.reconstruct(noise) * (1000.0 / MU_WATER_PER_MM)
    return noisy
