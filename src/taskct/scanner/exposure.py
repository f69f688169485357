"""How many photons a ray starts with: tube load, bowtie filter, tube-current modulation, or a noise wanted in HU."""

import math

import torch

from taskct.errors import UserError
from taskct.scanner.fbp import FBP
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.noise import STARVED, line_integral_variance
from taskct.scanner.spectrum import Spectrum
from taskct.scanner.units import MU_WATER_PER_MM

STARVED_SHARE = 0.05  # of a pixel's variance; above it the first-order theory of its noise is not to be trusted
ROI_SAMPLES = 6  # pixels along each side of the middle of an image


def photons_per_ray(
    mas: float,
    spectrum: Spectrum,
    *,
    n_views: int,
    source_detector_mm: float,
    bin_mm: float,
    row_mm: float,
    efficiency: float = 0.8,
) -> float:
    """Estimate the noise-equivalent photons that one reading of a central detector bin gets without an object.

    The tube's fluence at 1 m per mAs, shared among the views, thinned by the inverse square of the distance, times the
    bin's area, its efficiency, and `Spectrum.counting_efficiency` (a detector that integrates energy is noisier than
    one that counts). Approximate: tubes of one voltage and filtration differ by tens of per cent in output, and
    `efficiency` (absorption and active area) is a round number; where it matters calibrate with `i0_for_noise`.

    Parameters
    ----------
    mas, n_views
        Tube current × time of one scan, mAs, and the views that share it.
    spectrum
        Photons per mm² and mAs at 1 m, filters included.
    source_detector_mm, bin_mm, row_mm
        Focus to detector; size of a bin on the detector across and along the axis, of all rows that make up the slice;
        mm.
    efficiency
        Share of the photons on the bin's area that is detected, in (0, 1].

    Raises
    ------
    UserError
        If a quantity is not positive and finite, or the efficiency above 1.

    Examples
    --------
    >>> from taskct.scanner.spectrum import tabulated_spectrum
    >>> tube = tabulated_spectrum(120)
    >>> photons = photons_per_ray(200, tube, n_views=984, source_detector_mm=1086, bin_mm=1.0, row_mm=1.0)
    >>> f"{photons:.0e}"
    '2e+05'
    """
    lengths = {"n_views": n_views, "source_detector_mm": source_detector_mm, "bin_mm": bin_mm, "row_mm": row_mm}
    for name, value in {"mas": mas, **lengths}.items():
        if not 0 < value < math.inf:
            raise UserError(f"{name} is {value}: give a positive, finite number")
    if not 0 < efficiency <= 1:
        raise UserError(f"efficiency is {efficiency}, not in (0, 1]")
    fluence = float(spectrum.photons.sum()) * (1000.0 / source_detector_mm) ** 2
    return mas / n_views * fluence * bin_mm * row_mm * efficiency * spectrum.counting_efficiency


def bowtie_transmission(geometry: ScanGeometry, *, diameter_mm: float, compensation: float = 0.5) -> torch.Tensor:
    """Compute how a bowtie filter weakens every bin's rays, relative to the one through the isocentre.

    The filter takes away part of the range of a centred water cylinder: what a ray passes less of the cylinder than the
    central one, times `compensation`, it passes in (water-equivalent) filter. At 0.5 and 300 mm rays beside the body
    keep 1/22, about what measured body filters leave at the rim [1]_ (a scanner's own shape is proprietary).

    Parameters
    ----------
    geometry, diameter_mm
        The scan; diameter of the cylinder, mm, positive, or a UserError.
    compensation
        In [0, 1]: 0 is no filter, 1 makes the signal behind the cylinder the same in every bin.

    Returns
    -------
    Transmission in (0, 1], shape `(n_bins,)`, float32; multiply `i0` by it.

    References
    ----------
    .. [1] Whiting et al., "Measurement of bow tie profiles in CT scanners using a real-time dosimeter", Med. Phys. 41,
       101915 (2014).
    """
    if not diameter_mm > 0 or not 0 <= compensation <= 1:
        raise UserError(
            "the bowtie needs a positive diameter and a compensation from 0 to 1, not "
            f"{diameter_mm} mm and {compensation}"
        )
    offset = torch.from_numpy(geometry.ray_offset_mm)
    chord = 2.0 * ((diameter_mm / 2.0) ** 2 - offset**2).clamp(min=0.0).sqrt()
    return torch.exp(-MU_WATER_PER_MM * compensation * (diameter_mm - chord)).to(torch.float32)


def tube_current(line_integral: torch.Tensor, strength: float = 0.5) -> torch.Tensor:
    """Modulate the tube current over the views by the object's attenuation: line integrals, `(n, n_views, n_bins)`.

    The current goes as exp(`strength` × p), p the view's largest line integral: 0 is a constant current; ½, the square
    root of the attenuation, gives the least noise at a given tube load; 1 makes the weakest signals of all views alike.
    A UserError, if it is not in [0, 1].

    Returns
    -------
    Current of every view relative to its scan's mean, shape `(n, n_views)`; multiply `i0` by it with a last axis added.

    References
    ----------
    .. [1] Gies et al., "Dose reduction in CT by anatomically adapted tube current modulation. I. Simulation studies",
       Med. Phys. 26, 2235 (1999).

    Examples
    --------
    >>> tube_current(torch.tensor([[[0.0, 4.0], [0.0, 8.0]]]), strength=0.5)
    tensor([[0.2384, 1.7616]])
    """
    if not 0 <= strength <= 1:
        raise UserError(f"the strength of the tube-current modulation is {strength}, not in [0, 1]")
    # A softmax over the views is exp(strength × p) over its sum, without overflow.
    return torch.softmax(strength * line_integral.amax(dim=-1), dim=-1) * line_integral.shape[-2]


def middle_weights(fbp: FBP, *, roi_mm: float = 30.0) -> torch.Tensor:
    """Give weights whose noise is that of the pixels in the middle of an image, in the mean of their variances.

    That is the root of the mean squared `FBP.pixel_weights` over a square of `roi_mm`, mm⁻¹, `(n_views, n_bins)`. One
    pixel is not enough: by how much interpolation between bins lowers the noise depends on where it lies, and at the
    isocentre itself it is the same in every view.
    """
    half = min(roi_mm / fbp.pixel_mm, fbp.n_pixels - 1.0) / 2.0
    index = (fbp.n_pixels - 1) / 2.0 + torch.linspace(-half, half, ROI_SAMPLES, dtype=torch.float64)
    pixels = [(int(row), int(column)) for row in index.round() for column in index.round()]
    mean = torch.stack([fbp.pixel_weights(*pixel).double() ** 2 for pixel in pixels]).mean(dim=0)
    return mean.sqrt()


def noise_hu(
    weights: torch.Tensor, line_integral: torch.Tensor, *, i0: float | torch.Tensor, electronic_noise: float
) -> float:
    """Predict the noise of a reconstructed pixel, HU: √(Σ weights² × variance of the line integral).

    Parameters
    ----------
    weights
        `FBP.pixel_weights` of the pixel, shape `(n_views, n_bins)`, mm⁻¹; times `WaterCorrection.slope` of the line
        integral where they are corrected.
    line_integral
        Noise-free line integrals of the object, shape `(n_views, n_bins)`.
    i0
        Unattenuated photons, a number or a tensor that broadcasts to `(n_views, n_bins)`.
    electronic_noise
        Standard deviation of the readout noise in photon equivalents per ray.
    """
    p = line_integral.double()
    variance = line_integral_variance(p, i0=i0, electronic_noise=electronic_noise)
    return float((weights.double() ** 2 * variance).sum().sqrt()) * 1000.0 / MU_WATER_PER_MM


def i0_for_noise(
    target_hu: float,
    weights: torch.Tensor,
    line_integral: torch.Tensor,
    *,
    electronic_noise: float,
    relative: float | torch.Tensor = 1.0,
) -> float:
    """Find the unattenuated photons per ray, times `relative`, that give a pixel the wanted noise.

    Parameters
    ----------
    target_hu
        Wanted standard deviation, HU.
    weights, line_integral, electronic_noise
        As for `noise_hu`.
    relative
        What `i0` is multiplied by in every ray, bowtie × tube current, a number or broadcast to `(n_views, n_bins)`.

    Raises
    ------
    UserError
        If the target is not positive and finite, or so high that starved rays, whose noise the theory does not
        describe, would make up more than a twentieth of the variance.
    """
    if not 0 < target_hu < math.inf:
        raise UserError(f"the wanted noise is {target_hu} HU: give a positive, finite number")
    # With N = i0·r and u = 1/i0 the variance is a·u + b·u²: a quadratic equation.
    squared = weights.double() ** 2
    reciprocal = torch.exp(line_integral.double()) / relative
    wanted = (target_hu * MU_WATER_PER_MM / 1000.0) ** 2
    a = float((squared * reciprocal).sum())
    b = electronic_noise**2 * float((squared * reciprocal**2).sum())
    i0: float = (a + (a * a + 4.0 * b * wanted) ** 0.5) / (2.0 * wanted)
    variance = line_integral_variance(
        line_integral.double(),
        i0=i0 * torch.as_tensor(relative, device=weights.device),
        electronic_noise=electronic_noise,
    )
    starved = float((squared * variance)[variance > STARVED**2].sum()) / wanted
    if starved > STARVED_SHARE:
        raise UserError(
            f"a noise of {target_hu} HU would come from starved rays ({100 * starved:.0f} % of its variance): lower "
            "the wanted noise, the electronic noise or the object's diameter"
        )
    return i0
