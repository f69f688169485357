"""d′ of non-prewhitening observers from a task, a transfer function and a noise-power spectrum (AAPM TG-233)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from taskct.metrics.eye_response import eye_response
from taskct.metrics.noise_spectra import NoiseSpectrum, RadialSpectrum
from taskct.metrics.transfer import disc_transform
from taskct.observer_registry import VIEWING_DISTANCE_MM

Floats = NDArray[np.float64]

_ANGLES = 180  # half a turn: power is the same in opposite directions
_STEPS_AN_OSCILLATION = 40


@dataclass(frozen=True)
class TaskSpectrum:
    """A signal to be found, as its Fourier transform."""

    transform: Callable[[NDArray[np.floating]], Floats]
    """HU mm² at frequencies in cycles/mm, any shape; that of a round signal."""
    energy: float
    """∫∫ of its square over the whole plane of frequencies, which is that of the signal over space, HU² mm²."""
    width_mm: float
    """What an image must be wide at least to hold it, mm."""


def disc_task(diameter_mm: float, contrast_hu: float) -> TaskSpectrum:
    """A disc: C R J₁(2πRf) / f.

    Parameters
    ----------
    diameter_mm, contrast_hu
        2 R, above 0, or a ValueError; C.

    Examples
    --------
    >>> round(disc_task(2.0, 1.0).energy, 3)
    3.142
    """
    radius = _positive(diameter_mm, "diameter_mm") / 2.0
    return TaskSpectrum(
        lambda f: contrast_hu * disc_transform(f, radius), np.pi * (radius * contrast_hu) ** 2, diameter_mm
    )


def gaussian_task(fwhm_mm: float, contrast_hu: float) -> TaskSpectrum:
    """A Gaussian of a full width at half maximum, above 0, or a ValueError, and a contrast in its middle.

    Examples
    --------
    >>> round(float(gaussian_task(2.0, 1.0).transform(np.zeros(1))[0]), 3)  # 2π σ²
    4.532
    """
    sigma = _positive(fwhm_mm, "fwhm_mm") / np.sqrt(8.0 * np.log(2.0))
    integral = 2.0 * np.pi * sigma**2 * contrast_hu
    return TaskSpectrum(
        lambda f: integral * np.exp(-2.0 * (np.pi * sigma * np.asarray(f, dtype=np.float64)) ** 2),
        np.pi * (sigma * contrast_hu) ** 2,
        6.0 * sigma,
    )


@dataclass(frozen=True)
class EyeModel:
    """What stands between the image and the template of an NPWE observer."""

    viewing_distance_mm: float = VIEWING_DISTANCE_MM
    """From the eye to the screen."""
    magnification: float = 1.0
    """Millimetres of the screen for one of the object."""
    power: int = 1
    """How often the eye stands in each factor of the template. 1 filters the image and the expected signal alike, so
    that the template on the image has E²: E² in the numerator and E⁴ in the denominator (Burgess; TG-233). 0.5 has the
    template alone behind the eye: E and E²."""
    internal_noise: float = 0.0
    """Standard deviation of noise added to the test statistic, over that of the image noise in it; it divides d′ by
    √(1 + its square)."""


@dataclass(frozen=True)
class FrequencyDetectability:
    """d′, and what the pixels leave out."""

    d_prime: float
    beyond_nyquist: float
    """Share of the energy of the task as it stands in the object, in [0, 1], above the Nyquist frequency: it is not
    counted."""


def frequency_d_prime(
    task: TaskSpectrum,
    transfer: Callable[[NDArray[np.floating]], Floats],
    noise: NoiseSpectrum | RadialSpectrum,
    *,
    pixel_mm: float,
    field_mm: float,
    eye: EyeModel | None = None,
) -> FrequencyDetectability:
    """d′ of the NPW observer, or of the NPWE observer with an eye.

    d′² = [∫∫ W² T² E²]² / ∫∫ W² T² E⁴ S over the plane of frequencies up to the Nyquist frequency of the images, in
    every direction; the corners of the plane are left out. W is the task, T the transfer function, S the noise power.
    In white noise of power S a disc of contrast C and radius R has C √π R / √S.

    Parameters
    ----------
    task
        From `disc_task` or `gaussian_task`.
    transfer
        T at frequencies in cycles/mm, such as `Transfer.at`.
    noise
        From `noise_spectrum`, over the plane, or its radial means.
    pixel_mm
        Side of a pixel of the images, mm, above 0.
    field_mm
        Side of the regions that the noise was measured in, mm. A wider task is refused, for they say nothing of the
        frequencies where it has its energy.
    eye
        None for NPW.

    Raises
    ------
    ValueError
        If something is out of range, or the task is wider than the field.

    References
    ----------
    .. [1] Samei et al., Med. Phys. 46, e735 (2019), AAPM task group 233.
    .. [2] Burgess, J. Opt. Soc. Am. A 11, 1237 (1994).

    Examples
    --------
    >>> f = np.array([0.0, 2.0])
    >>> white = RadialSpectrum(f, np.full(2, 4.0), np.zeros(2), 2.0)
    >>> task = gaussian_task(2.0, 10.0)
    >>> found = frequency_d_prime(task, np.ones_like, white, pixel_mm=0.25, field_mm=32.0)
    >>> bool(abs(found.d_prime - np.sqrt(task.energy / 4.0)) < 1e-6)
    True
    """
    _positive(pixel_mm, "pixel_mm")
    if task.width_mm > field_mm:
        raise ValueError(
            f"the task is {task.width_mm:g} mm wide and the field of the noise {field_mm:g} mm: give larger regions "
            "or a smaller task"
        )
    if eye is not None and (eye.power not in (0.5, 1) or eye.internal_noise < 0.0):
        raise ValueError(f"the power of the eye is {eye.power} and the internal noise {eye.internal_noise}: give 0.5 "
                         "or 1, and at least 0")  # fmt: skip
    plane = task_integral(task, pixel_mm=pixel_mm, eye=eye)
    f = plane.frequency_per_mm
    found = float(plane.d_prime(transfer(f), _around(noise, f)))
    return FrequencyDetectability(found, plane.beyond_nyquist)


@dataclass(frozen=True)
class TaskIntegral:
    """The integrals of `frequency_d_prime` over the plane, of one task, eye and pixel size, for many curves at once."""

    frequency_per_mm: Floats
    """Where the curves are wanted, cycles/mm, `(n,)`, up to Nyquist."""
    area: Floats
    """What each of them stands for, 2π f df, `(n,)`."""
    energy: Floats
    """W² there, `(n,)`."""
    seen: Floats
    """What the eye makes of the template, `(n,)`: E², or E; 1 without an eye."""
    internal: float
    """By which the internal noise divides d′, at least 1."""
    beyond_nyquist: float
    """Share of the energy of the task above Nyquist."""

    def d_prime(self, transfer: Floats, noise: Floats) -> Floats:
        """d′ of transfer functions and noise power at the frequencies, `(..., n)` both; shape `(...)`."""
        shown = self.energy * transfer**2
        # The template on the image is W T seen: its mean response over the root of its variance.
        signal = (shown * self.seen) @ self.area
        variance = (shown * self.seen**2 * noise) @ self.area
        if not np.all(variance > 0.0):
            raise ValueError("the noise has no power where the task is: there is no d′")
        return np.asarray(np.abs(signal) / np.sqrt(variance) / self.internal, dtype=np.float64)


def task_integral(task: TaskSpectrum, *, pixel_mm: float, eye: EyeModel | None = None) -> TaskIntegral:
    """Frequencies and weights of the integrals of `frequency_d_prime`, by a quadrature of their own.

    Examples
    --------
    >>> plane = task_integral(gaussian_task(2.0, 10.0), pixel_mm=0.25)
    >>> flat = np.ones_like(plane.frequency_per_mm)
    >>> bool(abs(plane.d_prime(flat, 4.0 * flat) - np.sqrt(gaussian_task(2.0, 10.0).energy / 4.0)) < 1e-6)
    True
    """
    nyquist = 0.5 / pixel_mm
    n = max(512, int(_STEPS_AN_OSCILLATION * nyquist * task.width_mm))
    nodes, weights = special.roots_legendre(min(n, 4096))
    f = 0.5 * nyquist * (nodes + 1.0)
    area = np.pi * f * nyquist * weights  # 2π f df
    energy = task.transform(f) ** 2
    seen, internal = np.ones_like(f), 1.0
    if eye is not None:
        seen = eye_response(f, viewing_distance_mm=eye.viewing_distance_mm, magnification=eye.magnification)
        seen, internal = seen ** (2.0 * eye.power), float(np.sqrt(1.0 + eye.internal_noise**2))
    within = float(area @ energy) / task.energy
    return TaskIntegral(f, area, energy, seen, internal, min(max(1.0 - within, 0.0), 1.0))


def _around(noise: NoiseSpectrum | RadialSpectrum, f: Floats) -> Floats:
    """Mean power over directions at these frequencies."""
    if isinstance(noise, RadialSpectrum):
        return noise.at(f)
    angle = (np.arange(_ANGLES) + 0.5) * (np.pi / _ANGLES)
    around = noise.at(f[:, None] * np.sin(angle), f[:, None] * np.cos(angle))
    return np.asarray(around.mean(axis=1), dtype=np.float64)


def _positive(value: float, name: str) -> float:
    if not (value > 0.0 and np.isfinite(value)):
        raise ValueError(f"{name} is {value}: give one above 0")
    return value
