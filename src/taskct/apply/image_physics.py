"""The physics of a user's images: noise and its spectrum, evenness; of a rod also contrast, CNR, resolution and d′."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.metrics.auc_bootstrap import resampled_class_means
from taskct.metrics.clustered import Clusters
from taskct.metrics.frequency_detectability import EyeModel, disc_task, task_integral
from taskct.metrics.intervals import Interval, bootstrap_interval, percentile_bounds
from taskct.metrics.noise_spectra import RadialSpectrum, noise_spectrum
from taskct.metrics.spectra import frequencies_per_mm, noise_power
from taskct.metrics.transfer import DiscRings, disc_transfer
from taskct.metrics.uniform_images import position_rings, uniform_regions

if TYPE_CHECKING:
    from taskct.apply.phantom import RodTrials

Floats = NDArray[np.float64]

MOST_PIXELS = 2**23
"""Of the images of a set that are measured: 512 of 128 × 128 pixels tell the noise to less than a percent."""

N_BOOTSTRAP = 1000
"""Resamples of the scans of a rod."""

HOW = (
    "Of the images without a signal. Their mean is taken away, and a plane from each, so that what differs from image "
    "to image counts as noise: of repeated scans the noise alone, of different backgrounds those as well. Noise is the "
    "root mean square of a pixel, with n − 1. The mean frequency is that along the radius up to Nyquist. Unevenness is "
    "the difference of a side of the mean image from its middle, of the side that differs most; where its interval "
    "reaches 0 the scans show none. It is taken after looking at all four sides, so it errs away from 0."
)


@dataclass(frozen=True)
class ImagePhysics:
    """What images without a signal are like."""

    noise_hu: Interval
    """Root mean square of the noise of a pixel, HU (or the unit of the images)."""
    nps_mean_per_mm: Interval
    """Mean frequency of the noise power, cycles/mm."""
    nps_peak_per_mm: Interval
    """Where the noise power is largest, cycles/mm."""
    uneven_hu: Interval
    """Largest difference of a side from the middle of the mean image, HU, by size; the interval is of that side,
    and may reach below 0."""
    noise_border_over_middle: Interval
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
    whole = noise_spectrum(images, pixel_mm=pixel_mm, detrend="plane", ensemble=True)
    spectrum, powers = whole.radial(), whole.radial_by_image(residual)

    def interval(statistic: Callable[[Floats], Floats], of: Floats = columns) -> Interval:
        return bootstrap_interval(of, statistic, clusters=cases, confidence=confidence, seed=seed)

    def peak(means: Floats) -> Floats:
        return np.array([replace(spectrum, power=one).peak_per_mm for one in means])

    return ImagePhysics(
        noise_hu=interval(lambda mean: np.sqrt(mean[:, 0])),
        nps_mean_per_mm=interval(lambda mean: mean[:, 1] / mean[:, 2]),
        nps_peak_per_mm=interval(peak, powers),
        uneven_hu=interval(np.ravel, _worst_side(images)),
        noise_border_over_middle=interval(lambda mean: np.sqrt(mean[:, 1] / mean[:, 0]), _inner_and_outer(residual)),
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
    d_npw: Interval | None
    """d′ of the NPW observer from this contrast, transfer function and noise; None where the first half of the
    transfer function cannot be told."""
    d_npwe: Interval | None
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
    clusters = _clusters(signal_present, cases)
    residual = _residual(absent)
    if not residual.any():
        raise UserError("the regions without the rod are all the same: they have no noise")
    try:
        transfer = disc_transfer(
            present, pixel_mm=pixel_mm, radius_mm=diameter_mm / 2.0, absent=absent, clusters=clusters, seed=seed
        )
    except ValueError as error:
        raise UserError(f"the rod of {diameter_mm:g} mm: {error}") from error
    noise = noise_spectrum(absent, pixel_mm=pixel_mm, detrend="plane", ensemble=True)
    rings, spectrum = transfer.rings, noise.radial()
    if rings is None:  # a disc always has them
        raise AssertionError("a disc without rings")
    mean_of = [one[:, inner].mean(axis=1, dtype=np.float64)[:, None] for one in (present, absent)]
    square = (residual**2).mean(axis=(1, 2))[:, None]
    of_present = np.concatenate([mean_of[0], rings.present_hu], axis=1)
    of_absent = np.concatenate([mean_of[1], rings.absent_hu, square, noise.radial_by_image(residual)], axis=1)
    *resampled, df = resampled_class_means(of_present, of_absent, clusters, n_bootstrap=N_BOOTSTRAP, seed=seed)
    n_rings = rings.present_hu.shape[1]

    def split(with_rod: Floats, without: Floats) -> _RodMeans:
        told = with_rod - without[:, : 1 + n_rings]
        return _RodMeans(told[:, 0], told[:, 1:], without[:, 1 + n_rings], without[:, 2 + n_rings :])

    first = split(of_present.mean(axis=0)[None], of_absent.mean(axis=0)[None])
    replicates = split(resampled[0], resampled[1])

    def interval(statistic: Callable[[_RodMeans], Floats]) -> Interval:
        return Interval(float(statistic(first)[0]), *percentile_bounds(statistic(replicates), 0.95, df=df))

    def d_prime(of: EyeModel | None) -> Interval:
        return interval(_d_prime(diameter_mm, pixel_mm, rings, spectrum, of))

    told = transfer.f50_per_mm is not None
    return RodPhysics(
        interval(lambda means: means.contrast_hu),
        interval(lambda means: means.contrast_hu / np.sqrt(means.variance_hu2)),
        transfer.f50_per_mm,
        transfer.f10_per_mm,
        d_prime(None) if told else None,
        d_prime(eye or EyeModel()) if told else None,
    )


@dataclass(frozen=True)
class _RodMeans:
    """Means over scans, or over resamples of them."""

    contrast_hu: Floats
    """Inside the rod, over the same place without it, `(m,)`."""
    told_hu: Floats
    """What is told of the transfer function, `(m, n_rings)`."""
    variance_hu2: Floats
    """Of a pixel, `(m,)`."""
    noise_power: Floats
    """By ring of the noise, HU² mm², `(m, n)`."""


def _d_prime(
    diameter_mm: float, pixel_mm: float, rings: DiscRings, spectrum: RadialSpectrum, eye: EyeModel | None
) -> Callable[[_RodMeans], Floats]:
    """From means to d′ of the rod, as `frequency_d_prime` has it of the radial spectrum."""
    plane = task_integral(disc_task(diameter_mm, 1.0), pixel_mm=pixel_mm, eye=eye)
    f = plane.frequency_per_mm

    def statistic(means: _RodMeans) -> Floats:
        noise = np.stack([replace(spectrum, power=one).at(f) for one in means.noise_power])
        return np.asarray(np.abs(means.contrast_hu) * plane.d_prime(rings.at(means.told_hu, f), noise))

    return statistic


def _clusters(signal_present: NDArray[np.bool_], cases: NDArray[np.integer] | None) -> Clusters:
    """Scans of the images with the rod and of those without."""
    if cases is None:
        return Clusters.of_single_trials(int(signal_present.sum()), int((~signal_present).sum()))
    try:
        return Clusters.of(cases[signal_present], cases[~signal_present])
    except ValueError as error:
        raise UserError(f"the scans of a rod: {error}") from error


def physics_of_rods(trials: Sequence["RodTrials"], *, eye: EyeModel, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Measure the rods of a phantom from the regions that were cut about them, as JSON has them, by name."""
    return {
        one.rod.name: physics_of_regions(
            one.images,
            one.signal_present,
            pixel_mm=one.pixel_mm,
            diameter_mm=one.rod.diameter_mm,
            cases=one.cases,
            eye=eye,
            seed=seed,
        )
        for one in trials
    }


def physics_of_regions(
    images: NDArray[np.floating],
    signal_present: NDArray[np.bool_],
    *,
    pixel_mm: float,
    diameter_mm: float,
    cases: NDArray[np.integer],
    eye: EyeModel | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """What `measure_rod` tells of a rod, and noise and its mean frequency without it, as JSON has them.

    What cannot be measured is left out, and `why_not` says why.
    """
    told: dict[str, Any] = {}
    try:
        noise = measure_physics(images[~signal_present], pixel_mm=pixel_mm, cases=cases[~signal_present], seed=seed)
        told = {name: asdict(getattr(noise, name)) for name in ("noise_hu", "nps_mean_per_mm")}
        how: dict[str, Any] = {"pixel_mm": pixel_mm, "diameter_mm": diameter_mm, "cases": cases}
        return told | measure_rod(images, signal_present, eye=eye, seed=seed, **how).as_dict()
    except UserError as error:
        return told | {"why_not": str(error)}


def _worst_side(images: NDArray[np.floating]) -> Floats:
    """Of each image the mean at that side less the mean in the middle, signed so that its mean is above 0, `(n, 1)`."""
    regions = uniform_regions(images.shape[1:])
    middle = images[:, regions.pop("")].mean(axis=1, dtype=np.float64)
    sides = np.stack([images[:, one].mean(axis=1, dtype=np.float64) - middle for one in regions.values()], axis=1)
    means = sides.mean(axis=0)
    worst = int(np.argmax(np.abs(means)))
    return sides[:, worst : worst + 1] * (1.0 if means[worst] >= 0.0 else -1.0)


def _inner_and_outer(residual: Floats) -> Floats:
    """Mean square of each image in the innermost and the outermost of the rings of `noise_by_position`, `(n, 2)`."""
    ring, _ = position_rings((residual.shape[1], residual.shape[2]))
    there = np.unique(ring[ring < 8])
    return np.stack([(residual[:, ring == one] ** 2).mean(axis=1) for one in (there[0], there[-1])], axis=1)


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
