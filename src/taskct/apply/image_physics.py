"""The physics of a user's images: noise and its spectrum, evenness; of a rod also contrast, CNR, resolution and d′."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.metrics.frequency_detectability import EyeModel, disc_task, frequency_d_prime
from taskct.metrics.intervals import Interval, bootstrap_interval
from taskct.metrics.noise_spectra import noise_spectrum
from taskct.metrics.spectra import frequencies_per_mm, noise_power
from taskct.metrics.transfer import disc_transfer
from taskct.metrics.uniform_images import noise_by_position, uniformity

if TYPE_CHECKING:
    from taskct.apply.phantom import RodTrials

Floats = NDArray[np.float64]

MOST_PIXELS = 2**23
"""Of the images of a set that are measured: 512 of 128 × 128 pixels tell the noise to less than a percent."""

HOW = (
    "Of the images without a signal. Their mean is taken away, and a plane from each, so that what differs from image "
    "to image counts as noise: of repeated scans the noise alone, of different backgrounds those as well. Noise is the "
    "root mean square of a pixel, with n − 1. The mean frequency is that along the radius up to Nyquist. Unevenness is "
    "the largest difference of a side of the mean image from its middle."
)


@dataclass(frozen=True)
class ImagePhysics:
    """What images without a signal are like."""

    noise_hu: Interval
    """Root mean square of the noise of a pixel, HU (or the unit of the images)."""
    nps_mean_per_mm: Interval
    """Mean frequency of the noise power, cycles/mm."""
    nps_peak_per_mm: float
    """Where the noise power is largest, cycles/mm."""
    uneven_hu: float
    """Largest difference of a side from the middle of the mean image, HU."""
    noise_border_over_middle: float
    """Noise of the ring next to the border over that of the innermost one of 8."""
    frequency_per_mm: Floats
    """Of `nps`, cycles/mm, `(n,)`."""
    nps: Floats
    """Noise power by ring, HU² mm², `(n,)`."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {name: one.tolist() if isinstance(one, np.ndarray) else one for name, one in asdict(self).items()}


def measure_physics(
    images: NDArray[np.floating],
    *,
    pixel_mm: float,
    cases: NDArray[np.integer] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> ImagePhysics:
    """Measure images without a signal.

    Parameters
    ----------
    images
        HU, or any unit, `(n, height, width)`, 3 or more, finite.
    pixel_mm
        Side of a pixel, mm, above 0.
    cases
        Scan of each image, `(n,)`: whole scans are resampled. None: each image is one.
    confidence, seed
        Of the intervals.

    Raises
    ------
    UserError
        If there are too few images or scans, or they do not vary.
    """
    n_cases = len(images) if cases is None else len(np.unique(cases))
    if n_cases < 3:
        raise UserError(f"{n_cases} scans without a signal: their noise takes 3 or more")
    residual = _residual(images)
    if not residual.any():
        raise UserError("the images without a signal are all the same: they have no noise")
    columns = _moments(residual, pixel_mm)

    def interval(statistic: Callable[[Floats], Floats]) -> Interval:
        return bootstrap_interval(columns, statistic, clusters=cases, confidence=confidence, seed=seed)

    spectrum = noise_spectrum(images, pixel_mm=pixel_mm, detrend="plane", ensemble=True).radial()
    by_position = noise_by_position(residual, pixel_mm=pixel_mm).noise_hu
    return ImagePhysics(
        noise_hu=interval(lambda mean: np.sqrt(mean[:, 0])),
        nps_mean_per_mm=interval(lambda mean: mean[:, 1] / mean[:, 2]),
        nps_peak_per_mm=spectrum.peak_per_mm,
        uneven_hu=uniformity(images.mean(axis=0, dtype=np.float64)).largest_hu,
        noise_border_over_middle=float(by_position[-1] / by_position[0]),
        frequency_per_mm=spectrum.frequency_per_mm,
        nps=spectrum.power,
    )


def some_without_signal(signal_present: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Numbers of images without a signal that are measured: all, or evenly chosen ones where they have too many pixels.

    Examples
    --------
    >>> some_without_signal(np.array([True, False, False]), (3, 64, 64)).tolist()
    [1, 2]
    """
    absent = np.flatnonzero(~signal_present)
    n = max(MOST_PIXELS // max(shape[1] * shape[2], 1), 3)
    return absent if len(absent) <= n else absent[np.linspace(0, len(absent) - 1, n).astype(np.int64)]


def physics_of_sets(
    sets: Mapping[str, NDArray[np.floating]], *, pixel_mm: float | None, cases: NDArray[np.integer] | None, seed: int
) -> dict[str, Any]:
    """Measure sets of the same images without a signal, such as before and after a denoiser, as JSON has them.

    By name what `measure_physics` found, and of every set but the first its noise and mean frequency over those of the
    first, with intervals from the same scans; or `why_not`.
    """
    names = list(sets)
    if pixel_mm is None:
        return {"how": HOW, "sets": {}, "why_not": "the images do not tell their pixel size: give --pixel-mm"}
    try:
        found = {name: measure_physics(one, pixel_mm=pixel_mm, cases=cases, seed=seed) for name, one in sets.items()}
    except UserError as error:
        return {"how": HOW, "sets": {}, "why_not": str(error)}
    told = {name: one.as_dict() for name, one in found.items()}
    columns = {name: _moments(_residual(images), pixel_mm) for name, images in sets.items()}
    for name in names[1:]:
        both = np.concatenate([columns[name], columns[names[0]]], axis=1)
        noise = bootstrap_interval(both, lambda m: np.sqrt(m[:, 0] / m[:, 3]), clusters=cases, seed=seed)
        mean = bootstrap_interval(both, lambda m: m[:, 1] / m[:, 2] * m[:, 5] / m[:, 4], clusters=cases, seed=seed)
        told[name] |= {"noise_ratio": asdict(noise), "nps_mean_ratio": asdict(mean)}
    return {"how": HOW, "n_images": len(sets[names[0]]), "sets": told}


@dataclass(frozen=True)
class RodPhysics:
    """What images of a rod of a phantom are like."""

    contrast_hu: Interval
    """Of the inner 0.8 of its radius over the same place without it, HU."""
    cnr: Interval
    """Contrast over the noise of a pixel, over scans, with n − 1."""
    ttf50_per_mm: Interval | None
    """Where half of the task transfer function is left, cycles/mm; None where it cannot be told."""
    ttf10_per_mm: Interval | None
    """Where a tenth is."""
    d_npw: float | None
    """d′ of the NPW observer from this contrast, transfer function and noise; None where the first half of the
    transfer function cannot be told."""
    d_npwe: float | None
    """d′ of the NPWE observer: E² and E⁴, no internal noise."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def measure_rod(
    images: NDArray[np.floating],
    signal_present: NDArray[np.bool_],
    *,
    pixel_mm: float,
    diameter_mm: float,
    cases: NDArray[np.integer] | None = None,
    eye: EyeModel | None = None,
    seed: int = 0,
) -> RodPhysics:
    """Measure contrast, CNR, resolution and d′ of a rod from regions with and without it.

    Parameters
    ----------
    images
        HU, `(n, height, width)`, finite; the rod in the middle of those with it, to a pixel or so.
    signal_present
        `(n,)`, 3 or more of each class.
    pixel_mm, diameter_mm
        Of a pixel and of the rod, mm.
    cases
        Scan of each image, `(n,)`; None: each image is one.
    eye
        Of the NPWE observer; `EyeModel()` when left out.
    seed
        Of the intervals.

    Raises
    ------
    UserError
        If there are too few images, or the rod does not lie within them.
    """
    present, absent = images[signal_present], images[~signal_present]
    if min(len(present), len(absent)) < 3:
        raise UserError(f"{len(present)} images with the rod and {len(absent)} without: give 3 or more of each")
    height, width = images.shape[1:]
    if diameter_mm >= min(height, width) * pixel_mm:
        raise UserError(f"a rod of {diameter_mm:g} mm does not lie within {min(height, width) * pixel_mm:g} mm")
    y, x = np.mgrid[:height, :width]
    inner = np.hypot(y - (height - 1) / 2.0, x - (width - 1) / 2.0) * pixel_mm <= 0.4 * diameter_mm
    if not inner.any():
        raise UserError(f"pixels of {pixel_mm:g} mm are too coarse for a rod of {diameter_mm:g} mm")
    columns = np.zeros((len(images), 5))
    means = images[:, inner].mean(axis=1, dtype=np.float64)
    columns[signal_present, 0], columns[~signal_present, 1] = means[signal_present], means[~signal_present]
    columns[signal_present, 2] = columns[~signal_present, 3] = 1.0
    columns[~signal_present, 4] = (_residual(absent) ** 2).mean(axis=(1, 2))

    def contrast(m: Floats) -> Floats:
        return np.asarray(m[:, 0] / m[:, 2] - m[:, 1] / m[:, 3], dtype=np.float64)

    height_hu, cnr = (
        bootstrap_interval(columns, statistic, clusters=cases, seed=seed)
        for statistic in (contrast, lambda m: contrast(m) / np.sqrt(m[:, 4] / m[:, 3]))
    )
    try:
        transfer = disc_transfer(present, pixel_mm=pixel_mm, radius_mm=diameter_mm / 2.0, absent=absent, seed=seed)
    except ValueError as error:
        raise UserError(f"the rod of {diameter_mm:g} mm: {error}") from error
    d_npw = d_npwe = None
    if transfer.f50_per_mm is not None:
        noise = noise_spectrum(absent, pixel_mm=pixel_mm, detrend="plane", ensemble=True)
        task = disc_task(diameter_mm, abs(height_hu.value))
        how: dict[str, Any] = {"pixel_mm": pixel_mm, "field_mm": noise.field_mm}
        d_npw, d_npwe = (
            frequency_d_prime(task, transfer.at, noise, eye=one, **how).d_prime for one in (None, eye or EyeModel())
        )
    return RodPhysics(height_hu, cnr, transfer.f50_per_mm, transfer.f10_per_mm, d_npw, d_npwe)


def physics_of_rods(trials: Sequence["RodTrials"], *, eye: EyeModel, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Measure the rods of a phantom from the regions that were cut about them, as JSON has them, by name.

    A rod that cannot be measured says `why_not`.
    """
    told: dict[str, dict[str, Any]] = {}
    for one in trials:
        how: dict[str, Any] = {"pixel_mm": one.pixel_mm, "diameter_mm": one.rod.diameter_mm, "cases": one.cases}
        try:
            told[one.rod.name] = measure_rod(one.images, one.signal_present, eye=eye, seed=seed, **how).as_dict()
        except UserError as error:
            told[one.rod.name] = {"why_not": str(error)}
    return told


def _moments(residual: Floats, pixel_mm: float) -> Floats:
    """Mean square of each image, and the first and the zeroth moment of its power along the radius, `(n, 3)`."""
    frequency = frequencies_per_mm((residual.shape[1], residual.shape[2]), pixel_mm)
    power = noise_power(residual, pixel_mm=pixel_mm)
    return np.stack([(residual**2).mean(axis=(1, 2)), power @ frequency, power.sum(axis=1)], axis=1)


def _residual(images: NDArray[np.floating]) -> Floats:
    """Images less their mean over images and less a plane each, times √(n / (n − 1)), HU."""
    n, height, width = images.shape
    residual: Floats = images.astype(np.float64)
    residual -= images.mean(axis=0, dtype=np.float64)
    y, x = (np.arange(size) - (size - 1) / 2.0 for size in (height, width))
    residual -= residual.mean(axis=(1, 2), keepdims=True)
    if height > 1 and width > 1:
        down = np.einsum("nhw,h->n", residual, y) / (width * (y @ y))
        across = np.einsum("nhw,w->n", residual, x) / (height * (x @ x))
        residual -= down[:, None, None] * y[:, None] + across[:, None, None] * x
    residual *= np.sqrt(n / max(n - 1.0, 1.0))
    return residual
