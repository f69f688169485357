"""What a denoiser does to the lesion and to the noise: contrast kept, signal invented, texture, resolution.

All of it compares images with their reference, trial by trial. Where the reference holds noise of its own (full dose),
that noise is part of the difference.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.config import Settings
from taskct.metrics.intervals import Interval
from taskct.metrics.spectra import cross_power, first_below, frequencies_per_mm, noise_power
from taskct.simulation.insert import lidc_of
from taskct.study.resampling import Resampling, interval_json
from taskct.tasks.shapes import Lidc, render, signal_site
from taskct.tasks.signals import Signals
from taskct.trials.trials import Trials

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]

TTF_ERROR = 0.1
"""Standard error of the transfer function up to which it is read, as a fraction of 1."""
CERTAIN = 4.0
"""Standard errors by which the contrast must stand out in the reference for a share of it to be told."""
MAP_DIAMETERS = 3.0
"""Side of the map about the site, in diameters of the largest signal."""

HOW = (
    "Differences are denoised − reference. Maps and noise are those of signal-absent trials; the noise is the "
    "difference less its mean over trials, so it holds the structure that the denoiser loses. Contrast recovery: "
    "covariance of the mean at the site with the contrast of the signal, in the denoised over that in the reference "
    "images. Transfer function: what images share with the signals as they were put in, over the power of those; "
    "50 % of its value at the lowest frequency."
)


def site_of(settings: Settings, trials: Trials) -> NDArray[np.bool_]:
    """Pixels of each trial's signal, or of where it would be, as `signal_site` has them, `(n, height, width)`."""
    lidc = lidc_of(settings)
    return signal_site(
        Signals.from_columns(trials.truth),
        lidc=None if lidc is None else lidc.outline,
        n_pixels=settings.trials.region_pixels,
        pixel_mm=settings.scanner.pixel_mm,
    )


@dataclass
class Harm:
    """What was found of one arm."""

    numbers: dict[str, Any] = field(default_factory=dict)
    """A row of `harm.json`, but for arm and seed."""
    arrays: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """`site_map` and `region_map`, HU; `nps` and `power`, HU² mm²; `ttf`; by ring of frequency."""


@dataclass(frozen=True)
class SignalPowers:
    """Power by ring of frequency that images share with their signals, trial by trial."""

    chosen: NDArray[np.bool_]
    """Which test trials, all with a signal, `(n,)`."""
    shared: Floats
    """With the signals as they were put in, `(n_chosen, n_rings)`."""
    own: Floats
    """Of the signals, `(n_chosen, n_rings)`."""
    common: Floats
    """Of signal-absent trials with the mean signal, `(n_absent, n_rings)`."""

    @property
    def curve(self) -> Floats:
        """The transfer function, `(n_rings,)`."""
        return np.asarray(self.shared.mean(axis=0) / self.own.mean(axis=0), dtype=np.float64)

    @cached_property
    def read(self) -> int:
        """How many rings can be told, from the first on: up to where the standard error exceeds `TTF_ERROR`."""
        spread = (self.shared - self.curve * self.own).var(axis=0, ddof=1) / len(self.own)
        variance = spread + self.common.var(axis=0, ddof=1) / len(self.common)
        error = np.sqrt(variance) / self.own.mean(axis=0)
        return int(np.argmax(error > TTF_ERROR)) if (error > TTF_ERROR).any() else len(self.curve)

    @property
    def told(self) -> Floats:
        """The transfer function, NaN where it cannot be told."""
        return np.where(np.arange(len(self.curve)) < self.read, self.curve, np.nan)

    def columns(self, present: NDArray[np.bool_]) -> Floats:
        """What `curves` needs of every test trial, `(n, 2 + 3 read)`, for a bootstrap of means."""
        read, absent = self.read, ~present
        columns = np.zeros((len(present), 2 + 3 * read))
        columns[self.chosen, 0] = columns[absent, 1] = 1.0
        columns[self.chosen, 2 : 2 + read] = self.shared[:, :read]
        columns[absent, 2 + read : 2 + 2 * read] = self.common[:, :read]
        columns[self.chosen, 2 + 2 * read :] = self.own[:, :read]
        return columns

    def curves(self, mean: Floats) -> Floats:
        """The transfer function up to where it can be told, from means over resamples, `(n_resamples, read)`."""
        n_present, n_absent = mean[:, :1], mean[:, 1:2]
        shared, common, own = (mean[:, 2 + i * self.read : 2 + (i + 1) * self.read] for i in range(3))
        return np.asarray((shared / n_present - common / n_absent) / (own / n_present), dtype=np.float64)


class HarmMeter:
    """Measures arms on the same test trials."""

    def __init__(self, settings: Settings, test: Trials, site: NDArray[np.bool_], *, lidc: Lidc | None = None) -> None:
        self.settings = settings
        self.resampling = Resampling.of(test, settings)
        self.present = test.signal_present
        self.reference = test.reference_regions
        self.site = site
        self.signals = Signals.from_columns(test.truth)
        self.inserted = np.asarray(test.truth.get("inserted", self.present), dtype=bool)
        self.pixel_mm = settings.scanner.pixel_mm
        self.lidc = lidc
        height, width = self.reference.shape[1:]
        self.frequency = frequencies_per_mm((height, width), self.pixel_mm)

    def of(self, images: NDArray[np.floating]) -> Harm:
        """Of images of the test trials, HU, `(n, height, width)`."""
        found = Harm({"why_not": {}})
        difference = images[~self.present] - self.reference[~self.present]
        mean = difference.mean(axis=0, dtype=np.float64)
        found.arrays["region_map"] = mean.astype(np.float32)
        found.arrays["site_map"] = self._about_site(difference).astype(np.float32)
        found.numbers["map_max_abs_hu"] = float(np.abs(mean).max())
        found.numbers["site_map_max_abs_hu"] = float(np.nanmax(np.abs(found.arrays["site_map"])))
        difference -= found.arrays["region_map"]
        self._noise(difference, found)
        self._texture(images, found)
        self._contrast(images, found)
        self._transfer(images, found)
        return found

    def _about_site(self, difference: NDArray[np.floating]) -> Floats:
        """Mean about the pixel nearest to each site, a square of odd side; NaN where no trial has a pixel."""
        height, width = difference.shape[1:]
        reach = int(np.ceil(MAP_DIAMETERS / 2.0 * self.signals.diameter_mm.max() / self.pixel_mm))
        reach = min(max(reach, 1), (min(height, width) - 1) // 2)
        offset = np.arange(-reach, reach + 1)
        absent = self.signals[~self.present]
        row = np.rint(absent.y_mm / self.pixel_mm + (height - 1) / 2.0).astype(np.int64)[:, None] + offset
        column = np.rint(absent.x_mm / self.pixel_mm + (width - 1) / 2.0).astype(np.int64)[:, None] + offset
        inside = ((row >= 0) & (row < height))[:, :, None] & ((column >= 0) & (column < width))[:, None, :]
        trial = np.arange(len(absent))[:, None, None]
        values = difference[trial, row.clip(0, height - 1)[:, :, None], column.clip(0, width - 1)[:, None, :]]
        count = inside.sum(axis=0)
        total = values.sum(axis=0, dtype=np.float64, where=inside)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def _noise(self, noise: NDArray[np.floating], found: Harm) -> None:
        """Magnitude and spectrum of the noise, and the standard error of a pixel of its mean."""
        n, height, width = noise.shape
        power = noise_power(noise, pixel_mm=self.pixel_mm)
        square = np.einsum("nhw,nhw->n", noise, noise, dtype=np.float64) / (height * width) * (n / (n - 1.0))
        found.numbers["map_error_hu"] = float(np.sqrt(square.mean() / n))
        found.numbers["noise_hu"] = interval_json(self._of_class(square, np.sqrt, of=~self.present))
        found.arrays["nps"] = power.mean(axis=0).astype(np.float32)
        found.numbers["nps_peak_per_mm"] = float(self.frequency[power.mean(axis=0).argmax()])
        found.numbers["nps_mean_per_mm"] = self._mean_frequency(power)

    def _texture(self, images: NDArray[np.floating], found: Harm) -> None:
        """Where the power of the images themselves lies, and of their reference."""
        texture = self._fluctuation(images)
        found.arrays["power"] = texture.mean(axis=0).astype(np.float32)
        found.numbers["texture_mean_per_mm"] = self._mean_frequency(texture)
        found.numbers["reference_texture_mean_per_mm"] = self._mean_frequency(self._reference_power)

    def _fluctuation(self, images: NDArray[np.floating]) -> Floats:
        absent = images[~self.present]
        return noise_power(absent - absent.mean(axis=0), pixel_mm=self.pixel_mm)

    @cached_property
    def _reference_power(self) -> Floats:
        return self._fluctuation(self.reference)

    def _mean_frequency(self, power: Floats) -> dict[str, float] | None:
        """Mean frequency of spectra `(n_absent, n_rings)`, cycles/mm; None where they hold nothing."""
        if not power.mean(axis=0).any():
            return None
        moments = np.stack([power @ self.frequency, power.sum(axis=1)], axis=1)
        return interval_json(self._of_class(moments, lambda mean: mean[:, 0] / mean[:, 1], of=~self.present))

    def _contrast(self, images: NDArray[np.floating], found: Harm) -> None:
        """The share of the contrast that is left at the site."""
        contrast = np.where(self.inserted, self.signals.contrast_hu, 0.0)
        found.numbers["contrast_recovery"] = None
        if np.ptp(contrast) == 0.0:
            found.numbers["why_not"]["contrast_recovery"] = "all trials hold the same contrast"
            return
        n_pixels = self.site.sum(axis=(1, 2))
        seen, true = (
            np.einsum("nhw,nhw->n", one, self.site, dtype=np.float64) / n_pixels for one in (images, self.reference)
        )
        # About their middles, so that no digits are lost in the products.
        seen, true, contrast = seen - seen.mean(), true - true.mean(), contrast - contrast.mean()

        def share(mean: Floats) -> Floats:
            seen, true, contrast, seen_contrast, true_contrast = mean.T
            ratio: Floats = (seen_contrast - seen * contrast) / (true_contrast - true * contrast)
            return ratio

        error = float((true * contrast).std(ddof=1)) / np.sqrt(len(contrast))
        if abs(float((true * contrast).mean())) < CERTAIN * error:
            found.numbers["why_not"]["contrast_recovery"] = "too few trials to tell the contrast from the background"
            return
        columns = np.stack([seen, true, contrast, seen * contrast, true * contrast], axis=1)
        self._tell("contrast_recovery", columns, share, found)

    def _transfer(self, images: NDArray[np.floating], found: Harm) -> None:
        """The transfer function of the lesion, and the frequency at which half of it is left."""
        found.numbers["ttf50_per_mm"] = None
        powers = self.signal_powers(images)
        if isinstance(powers, str):
            found.numbers["why_not"]["ttf50_per_mm"] = powers
            return
        found.arrays["ttf"] = powers.told.astype(np.float32)
        half = self.falls_to(powers, 0.5)
        if isinstance(half, str):
            found.numbers["why_not"]["ttf50_per_mm"] = half
        else:
            found.numbers["ttf50_per_mm"] = half

    def signal_powers(
        self, images: NDArray[np.floating], chosen: NDArray[np.bool_] | None = None
    ) -> "SignalPowers | str":
        """What images of the test trials share with their signals, of all signal-present trials or some of them.

        Why not, in words, where the other trials hold a signal too.
        """
        if (self.inserted != self.present).any() or not np.abs(self.signals.contrast_hu[self.present]).any():
            return "the other trials hold a signal too"
        chosen = self.present if chosen is None else chosen & self.present
        put_in = self._as_put_in[chosen[self.present]]
        background = images[~self.present].mean(axis=0)
        shared, own = cross_power(put_in, images[chosen] - background, pixel_mm=self.pixel_mm)
        # What the mean background is uncertain by goes with the mean signal into every trial alike.
        mean_signal = np.broadcast_to(put_in.mean(axis=0), images[~self.present].shape)
        common, _ = cross_power(mean_signal, images[~self.present] - background, pixel_mm=self.pixel_mm)
        return SignalPowers(chosen, shared, own, common)

    def falls_to(self, powers: "SignalPowers", share: float) -> dict[str, float] | str:
        """Where the transfer function falls to a share of its value at the lowest frequency, with its interval.

        Why not, in words, where that cannot be told.
        """
        read, part = powers.read, "half" if share == 0.5 else f"{share:.0%}"
        if read < 2:
            return "too few trials to tell the signal from the background"
        frequency = self.frequency[:read]
        if np.isnan(first_below(powers.curve[None, :read], frequency, share)).any():
            return f"more than {part} is left at {frequency[-1]:.3g} cycles/mm, up to where it can be told"

        def where(mean: Floats) -> Floats:
            at = first_below(powers.curves(mean), frequency, share)
            return np.where(np.isnan(at), frequency[-1], at)  # no resample says more than that it is not below

        told = self._told(powers.columns(self.present), where)
        return "too few backgrounds to resample" if told is None else told

    def _tell(self, name: str, columns: Floats, statistic: Statistic, found: Harm) -> None:
        """A figure of all trials and its interval; none where resamples of few backgrounds lack a class."""
        told = self._told(columns, statistic)
        if told is None:
            found.numbers["why_not"][name] = "too few backgrounds to resample"
        else:
            found.numbers[name] = told

    def _told(self, columns: Floats, statistic: Statistic) -> dict[str, float] | None:
        with np.errstate(divide="ignore", invalid="ignore"):
            told = interval_json(self.resampling.interval(columns, statistic))
        return told if np.isfinite(list(told.values())).all() else None

    @cached_property
    def _as_put_in(self) -> NDArray[np.float32]:
        """The signals of signal-present trials, HU, as they stand in the object."""
        return render(
            self.signals[self.present],
            n_pixels=self.reference.shape[1],
            pixel_mm=self.pixel_mm,
            slice_mm=self.settings.scanner.slice_mm,
            placed=True,
            lidc=self.lidc,
        )

    def _of_class(self, values: Floats, statistic: Statistic, *, of: NDArray[np.bool_]) -> Interval:
        """Interval from values of the trials of one class, `(n_of_class, ...)`."""
        everyone = np.zeros((len(of), *values.shape[1:]))
        everyone[of] = values
        return self.resampling.interval(everyone, statistic, of=of)
