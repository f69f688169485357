"""The physics of each arm's images: noise and its change, resolution by contrast, HU, CNR, evenness, d′ of spectra."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.metrics.eye_response import eye_response
from taskct.metrics.spectra import noise_power
from taskct.metrics.transfer import disc_transform
from taskct.metrics.uniform_images import uniformity
from taskct.study.harm import CERTAIN, HarmMeter, SignalPowers
from taskct.study.resampling import interval_json

Floats = NDArray[np.float64]

N_RINGS = 6
"""Of distance from the middle of the region, up to its nearest border."""
BLOCK_PIXELS = 8
"""Side of the blocks whose means tell of HU."""

HOW = (
    "Noise is image less reference on signal-absent trials, less its mean over them; its change is against the "
    "low-dose images. Mean frequencies are means of the power along the radius. Resolution is where the transfer "
    "function of the lesion falls to a tenth of its value at the lowest frequency, and to half for the weaker and the "
    "stronger half of the contrasts. HU slope: means of 8 × 8 pixels against those of the reference, by least squares. "
    "CNR: mean contrast that is left at the site, without sign, over the noise of a pixel (root mean square over "
    "trials and pixels, n − 1). Unevenness: the side of the region whose mean error differs most from the middle's. "
    "d′ is of a disc of the mean diameter and contrast, from transfer function and noise power: NPW, and NPWE with E² "
    "and E⁴ of the study's eye, without internal noise, up to the frequency to which the transfer function is told."
)


class PhysicsMeter:
    """Measures what `HarmMeter` leaves open, on the same test trials."""

    def __init__(self, harm: HarmMeter, low_dose: NDArray[np.floating]) -> None:
        self.harm = harm
        self.low_dose = low_dose
        """Of the test trials, HU, `(n, height, width)`."""
        self.absent = ~harm.present
        self.rings = _position_rings(harm.reference.shape[1:], N_RINGS)

    def of(self, images: NDArray[np.floating]) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
        """Numbers and curves of images of the test trials, HU, `(n, height, width)`, by the names of `physics.json`."""
        numbers: dict[str, Any] = {"why_not": {}}
        arrays: dict[str, NDArray[np.float32]] = {}
        noise = self._noise_of(images)
        power = noise_power(noise, pixel_mm=self.harm.pixel_mm)
        self._noise(noise, power, numbers, arrays)
        self._position(noise, numbers, arrays)
        self._hu(images, numbers)
        self._evenness(images, numbers)
        self._cnr(images, noise, numbers)
        self._resolution(images, power, numbers, arrays)
        return numbers, arrays

    def _noise_of(self, images: NDArray[np.floating]) -> Floats:
        difference = images[self.absent].astype(np.float64) - self.harm.reference[self.absent]
        difference -= difference.mean(axis=0)
        difference *= np.sqrt(len(difference) / (len(difference) - 1.0))
        return difference

    @cached_property
    def _of_low_dose(self) -> tuple[Floats, Floats]:
        """Mean square and power of the low-dose images' noise, trial by trial."""
        noise = self._noise_of(self.low_dose)
        return (noise**2).mean(axis=(1, 2)), noise_power(noise, pixel_mm=self.harm.pixel_mm)

    def _noise(
        self, noise: Floats, power: Floats, numbers: dict[str, Any], arrays: dict[str, NDArray[np.float32]]
    ) -> None:
        """Magnitude and mean frequency against the low-dose images', trial by trial."""
        (square, before), f = self._of_low_dose, self.harm.frequency
        moments = np.stack(
            [(noise**2).mean((1, 2)), square, power @ f, power.sum(1), before @ f, before.sum(1)], axis=1
        )
        self._tell("noise_ratio", moments, lambda m: np.sqrt(m[:, 0] / m[:, 1]), numbers)
        self._tell(
            "nps_mean_ratio", moments, lambda m: (m[:, 2] / m[:, 3]) / (m[:, 4] / m[:, 5]), numbers
        )  # fmt: skip
        with np.errstate(divide="ignore", invalid="ignore"):
            arrays["nps_ratio"] = (power.mean(axis=0) / before.mean(axis=0)).astype(np.float32)

    def _position(self, noise: Floats, numbers: dict[str, Any], arrays: dict[str, NDArray[np.float32]]) -> None:
        square = (noise**2).reshape(len(noise), -1)
        by_ring = np.stack([square[:, self.rings.ravel() == ring].mean(axis=1) for ring in range(N_RINGS)], axis=1)
        arrays["noise_by_position"] = np.sqrt(by_ring.mean(axis=0)).astype(np.float32)
        self._tell("noise_border_over_middle", by_ring, lambda m: np.sqrt(m[:, -1] / m[:, 0]), numbers)

    def _hu(self, images: NDArray[np.floating], numbers: dict[str, Any]) -> None:
        seen, true = (_block_means(one[self.absent]) for one in (images, self.harm.reference))
        middle = true.mean()
        seen, true = seen - middle, true - middle
        self._tell("hu_bias", (seen - true).mean(axis=1)[:, None], lambda m: m[:, 0], numbers)
        columns = np.stack([(seen * true).mean(1), seen.mean(1), true.mean(1), (true**2).mean(1)], axis=1)
        if np.ptp(true) < 1e-6:
            numbers["hu_slope"], numbers["why_not"]["hu_slope"] = None, "the reference is the same HU everywhere"
            return
        self._tell("hu_slope", columns, lambda m: (m[:, 0] - m[:, 1] * m[:, 2]) / (m[:, 3] - m[:, 2] ** 2), numbers)

    def _evenness(self, images: NDArray[np.floating], numbers: dict[str, Any]) -> None:
        difference = images[self.absent].astype(np.float64) - self.harm.reference[self.absent]
        regions = [uniformity(one) for one in difference]
        sides = np.array([[edge - one.centre_hu for edge in one.edges_hu.values()] for one in regions])
        worst = int(np.abs(sides.mean(axis=0)).argmax())
        numbers["uneven_side"] = list(regions[0].edges_hu)[worst]
        self._tell("uneven_hu", sides[:, worst : worst + 1], lambda m: m[:, 0], numbers)

    def _cnr(self, images: NDArray[np.floating], noise: Floats, numbers: dict[str, Any]) -> None:
        """Contrast that goes with the signals' own, by least squares at their sites, over the noise."""
        harm, numbers["cnr"] = self.harm, None
        contrast = np.where(harm.inserted, harm.signals.contrast_hu, 0.0)
        if np.ptp(contrast) == 0.0:
            numbers["why_not"]["cnr"] = "all trials hold the same contrast"
            return
        n_pixels = harm.site.sum(axis=(1, 2))
        seen, true = (
            np.einsum("nhw,nhw->n", one, harm.site, dtype=np.float64) / n_pixels for one in (images, harm.reference)
        )
        seen, true, about = seen - seen.mean(), true - true.mean(), contrast - contrast.mean()
        if abs(float((true * about).mean())) < CERTAIN * float((true * about).std(ddof=1)) / np.sqrt(len(about)):
            numbers["why_not"]["cnr"] = "too few trials to tell the contrast from the background"
            return
        square = np.zeros(len(contrast))
        square[self.absent] = (noise**2).mean(axis=(1, 2))
        size = np.abs(contrast) * harm.present
        columns = np.stack(
            [seen, about, seen * about, about**2, square, self.absent, size, harm.present.astype(float)], axis=1
        )

        def ratio(m: Floats) -> Floats:
            left = (m[:, 2] - m[:, 0] * m[:, 1]) / (m[:, 3] - m[:, 1] ** 2)
            return np.asarray(left * (m[:, 6] / m[:, 7]) / np.sqrt(m[:, 4] / m[:, 5]), dtype=np.float64)

        self._tell("cnr", columns, ratio, numbers, everyone=True)

    def _resolution(
        self,
        images: NDArray[np.floating],
        power: Floats,
        numbers: dict[str, Any],
        arrays: dict[str, NDArray[np.float32]],
    ) -> None:
        harm, why_not = self.harm, numbers["why_not"]
        names = ("ttf10_per_mm", "ttf50_weak_per_mm", "ttf50_strong_per_mm", "d_npw", "d_npwe")
        numbers |= dict.fromkeys(names)
        powers = harm.signal_powers(images)
        if isinstance(powers, str):
            why_not["ttf10_per_mm"] = powers
            return
        self._keep("ttf10_per_mm", harm.falls_to(powers, 0.1), numbers)
        size = np.abs(harm.signals.contrast_hu)
        middle = float(np.median(size[harm.present]))
        if np.ptp(size[harm.present]) > 0.05 * middle:
            for name, chosen in (("weak", size <= middle), ("strong", size > middle)):
                some = harm.signal_powers(images, chosen)
                assert not isinstance(some, str)  # as of all
                arrays[f"ttf_{name}"] = some.told.astype(np.float32)
                self._keep(f"ttf50_{name}_per_mm", harm.falls_to(some, 0.5), numbers)
        self._detectability(powers, power, numbers)

    def _detectability(self, powers: SignalPowers, power: Floats, numbers: dict[str, Any]) -> None:
        """d′ from the transfer function and the noise power: sums over rings of 2π f Δf."""
        harm, read = self.harm, powers.read
        if read < 2:
            numbers["why_not"]["d_npw"] = "too few trials to tell the signal from the background"
            return
        f = harm.frequency[:read]
        step = f[1] - f[0]
        area = 2.0 * np.pi * f * step
        area[0] += np.pi * (step / 2.0) ** 2  # what lies within the first ring
        present = harm.present
        diameter, contrast = harm.signals.diameter_mm[present].mean(), np.abs(harm.signals.contrast_hu[present]).mean()
        task = (contrast * disc_transform(f, diameter / 2.0)) ** 2 * area
        observers = harm.settings.observers
        eye = eye_response(f, viewing_distance_mm=observers.viewing_distance_mm, magnification=observers.magnification)
        columns = powers.columns(present)
        noise = np.zeros((len(present), read))
        noise[self.absent] = power[:, :read]
        everything = np.concatenate([columns, noise], axis=1)

        for name, seen in (("d_npw", np.ones(read)), ("d_npwe", eye**2)):

            def d_prime(m: Floats, seen: Floats = seen) -> Floats:
                transfer = powers.curves(m) ** 2
                spectrum = m[:, -read:] / m[:, 1:2]
                return np.asarray(
                    (transfer @ (task * seen)) / np.sqrt((transfer * spectrum) @ (task * seen**2)), dtype=np.float64
                )

            self._tell(name, everything, d_prime, numbers, everyone=True)

    def _keep(self, name: str, found: dict[str, float] | str, numbers: dict[str, Any]) -> None:
        if isinstance(found, str):
            numbers["why_not"][name] = found
        else:
            numbers[name] = found

    def _tell(
        self,
        name: str,
        columns: Floats,
        statistic: Callable[[Floats], Floats],
        numbers: dict[str, Any],
        *,
        everyone: bool = False,
    ) -> None:
        """A figure with its interval, of signal-absent trials or of everyone; a reason where there is none."""
        resampling = self.harm.resampling
        values, of = (columns, None) if everyone else (np.zeros((len(self.absent), columns.shape[1])), self.absent)
        if not everyone:
            values[self.absent] = columns
        with np.errstate(divide="ignore", invalid="ignore"):
            told = interval_json(resampling.interval(values, statistic, of=of))
        if np.isfinite(list(told.values())).all():
            numbers[name] = told
        else:
            numbers[name], numbers["why_not"][name] = None, "nothing varies here, or there are too few backgrounds"


def distances_mm(side: int, pixel_mm: float) -> Floats:
    """Middles of the rings of `noise_by_position`, mm from the middle of a square region, `(N_RINGS,)`."""
    return np.asarray((np.arange(N_RINGS) + 0.5) * side * pixel_mm / (2.0 * N_RINGS), dtype=np.float64)


def _position_rings(shape: tuple[int, ...], n_rings: int) -> NDArray[np.int64]:
    """Ring of every pixel by its distance from the middle, −1 beyond the nearest border."""
    height, width = shape
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(y - (height - 1) / 2.0, x - (width - 1) / 2.0)
    ring = np.floor(distance / (min(height, width) / 2.0) * n_rings).astype(np.int64)
    return np.asarray(np.where(ring < n_rings, ring, -1), dtype=np.int64)


def _block_means(images: NDArray[np.floating]) -> Floats:
    """Means of blocks of each image, HU, `(n, n_blocks)`; what does not fill a block at the border is left out."""
    n, height, width = images.shape
    side = min(BLOCK_PIXELS, height, width)
    rows, columns = height // side, width // side
    cut = images[:, : rows * side, : columns * side].reshape(n, rows, side, columns, side)
    return np.asarray(cut.mean(axis=(2, 4), dtype=np.float64).reshape(n, -1), dtype=np.float64)
