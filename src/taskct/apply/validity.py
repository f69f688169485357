"""Whether images are like those that a model learned on: measured, and told in one line.

Three things can be said of a number: it is inside, it is outside, which is told, or it is far outside, where the model
is not applied unless the user wants it anyway. docs/models.md gives the reasons for the limits, and how often they are
overstepped by a model's own test images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.metrics.noise_level import AIR_BELOW_HU, measure_noise
from taskct.study.cards import LearnedOn, learned_of

MOST_IMAGES = 16
"""Images of an input that are measured, evenly spaced."""

PIXEL = (1.1, 1.4)
"""Ratio of pixel sizes, the larger over the smaller, above which one is outside, and far outside."""

SLICE = 1.5
"""The same of slice thicknesses; a network of single slices sees them in noise and contrast alone, so never far."""

NOISE = (1.25, 2.0)
"""How many times above or below the range of the training images a noise level is outside, and far outside."""

TEXTURE = (1.2, 1.6)
"""The same of the mean frequency of the noise power, cycles/pixel: what a network sees is pixels."""

SHARE = 0.02
"""Of pixels over a tenth of the range of HU beyond its ends, above which an input is outside."""

FAR_SHARE = 0.5
"""Of pixels but those of air over a whole range beyond its ends, at least `LEAST_HU`: above it, far outside."""

LEAST_HU = 100.0


@dataclass(frozen=True)
class Measured:
    """What an input is like; None where it cannot be told."""

    pixel_mm: float | None
    slice_mm: float | None
    noise_hu: float | None
    """Median over images of the standard deviation of the noise."""
    texture_per_pixel: float | None
    """Median over images of the mean frequency of the noise power, cycles/pixel."""
    values_hu: NDArray[np.float32]
    """Some of the pixels, HU; none of padding."""


@dataclass(frozen=True)
class Validity:
    """How an input lies to what a model learned on."""

    outside: tuple[str, ...]
    """What lies outside, each with what the model learned on."""
    far: tuple[str, ...]
    """Those of them that lie far outside."""
    unknown: tuple[str, ...]
    """What could not be compared, and why."""
    beyond: bool
    """Whether its values are among what lies outside."""


def some_of(n: int) -> list[int]:
    """Which of `n` images are measured.

    >>> some_of(3), len(some_of(300))
    ([0, 1, 2], 16)
    """
    return sorted({round(place) for place in np.linspace(0, n - 1, min(n, MOST_IMAGES))})


def measure(
    images: Sequence[tuple[NDArray[np.floating], NDArray[np.bool_] | None]],
    *,
    pixel_mm: float | None = None,
    slice_mm: float | None = None,
) -> Measured:
    """Measure an input.

    Parameters
    ----------
    images
        Each in HU, `(height, width)`, and where nothing was measured, or None.
    pixel_mm, slice_mm
        What its headers say; None or not finite where they say nothing.
    """
    found = [one for one in (measure_noise(image, outside=outside) for image, outside in images) if one is not None]
    texture = [one.texture_per_pixel for one in found if np.isfinite(one.texture_per_pixel)]
    values = [image.ravel() if outside is None else image[~outside] for image, outside in images]
    return Measured(
        pixel_mm=_known(pixel_mm),
        slice_mm=_known(slice_mm),
        noise_hu=float(np.median([one.level_hu for one in found])) if found else None,
        texture_per_pixel=float(np.median(texture)) if texture else None,
        values_hu=np.concatenate(values).astype(np.float32, copy=False),
    )


def _known(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None


def compare(card: Mapping[str, Any], measured: Measured) -> Validity:
    """Hold an input against what a model learned on, by its checked card."""
    told = learned_of(card)
    found = [_pixel(told, measured), _slice(told, measured), _noise(told, measured), _texture(told, measured)]
    found.append(values := _range(told, measured))
    named = [one for one in found if one is not None]
    return Validity(
        outside=tuple(text for kind, text in named if kind != "unknown"),
        far=tuple(text for kind, text in named if kind == "far"),
        unknown=tuple(dict.fromkeys(text for kind, text in named if kind == "unknown")),
        beyond=values is not None and values[0] != "unknown",
    )


NOT_SAID = "the card does not say all that the model learned on, so that not all could be compared"

Found = tuple[str, str] | None
"""What was found and in which words: "outside", "far" or "unknown"; None for inside."""


def _kind(ratio: float, limits: tuple[float, float]) -> str | None:
    ratio = max(ratio, 1.0 / ratio) if ratio > 0.0 else np.inf
    return "far" if ratio > limits[1] else "outside" if ratio > limits[0] else None


def _beyond(value: float, low: float, high: float) -> float:
    """How many times a value lies above a range, or below it (less than 1); 1 inside."""
    if value > high:
        return value / high if high > 0.0 else np.inf
    return value / low if value < low else 1.0


def _pixel(told: LearnedOn, measured: Measured) -> Found:
    if told.pixel_mm is None:
        return "unknown", NOT_SAID
    if measured.pixel_mm is None:
        return "unknown", f"pixel size unknown (the model learned on {told.pixel_mm:g} mm): give --pixel-mm"
    kind = _kind(measured.pixel_mm / told.pixel_mm, PIXEL)
    return None if kind is None else (kind, f"pixels of {measured.pixel_mm:.3g} mm (learned on {told.pixel_mm:g} mm)")


def _slice(told: LearnedOn, measured: Measured) -> Found:
    if told.slice_mm is None or measured.slice_mm is None:
        return None  # simulated slices have none, so nothing is missing
    kind = _kind(measured.slice_mm / told.slice_mm, (SLICE, np.inf))
    return None if kind is None else (kind, f"slices of {measured.slice_mm:.3g} mm (learned on {told.slice_mm:g} mm)")


def _noise(told: LearnedOn, measured: Measured) -> Found:
    if told.noise_hu is None:
        return "unknown", NOT_SAID
    if measured.noise_hu is None:
        return "unknown", "the images are too small, or too empty, to measure their noise"
    kind = _kind(_beyond(measured.noise_hu, told.noise_hu.low, told.noise_hu.high), NOISE)
    if kind is None:
        return None
    learned = f"{told.noise_hu.low:.3g} to {told.noise_hu.high:.3g} HU"
    return kind, f"noise of {measured.noise_hu:.3g} HU (learned on {learned})"


def _texture(told: LearnedOn, measured: Measured) -> Found:
    if told.texture_per_mm is None or told.pixel_mm is None or measured.texture_per_pixel is None:
        return None  # told by the noise
    low, high = told.texture_per_mm.low * told.pixel_mm, told.texture_per_mm.high * told.pixel_mm
    kind = _kind(_beyond(measured.texture_per_pixel, low, high), TEXTURE)
    if kind is None:
        return None
    learned = f"{low:.2g} to {high:.2g}"
    return kind, f"noise texture of {measured.texture_per_pixel:.2g} cycles/pixel (learned on {learned})"


def _range(told: LearnedOn, measured: Measured) -> Found:
    if told.range_hu is None:
        return "unknown", NOT_SAID
    values = measured.values_hu
    if not values.size:
        return "unknown", "the images hold nothing but padding"
    low, high = told.range_hu
    share = _share(values, low, high, 0.1 * (high - low))
    if share <= SHARE:
        return None
    # Around a body there is air in every image; what is far off must be a larger part of the rest.
    inside = values[values >= AIR_BELOW_HU]
    far = inside.size and _share(inside, low, high, max(high - low, LEAST_HU)) > FAR_SHARE
    found = f"{share:.0%} of the pixels beyond {low:.4g} to {high:.4g} HU that it learned on"
    return "far" if far else "outside", f"{found} (here {values.min():.0f} to {values.max():.0f} HU)"


def _share(values: NDArray[np.float32], low: float, high: float, beyond: float) -> float:
    return float(np.mean((values < low - beyond) | (values > high + beyond)))


class Moved:
    """How far a denoiser moves the mean of pixels beyond the range of HU that it learned on, found image by image."""

    def __init__(self, low_hu: float, high_hu: float) -> None:
        self._ends = low_hu, high_hu
        self._sums = [0.0, 0.0]
        self._counts = [0, 0]

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> "Moved | None":
        """For a model by its checked card; None where that does not say the range."""
        told = learned_of(card).range_hu
        return None if told is None else cls(*told)

    def add(
        self, image_hu: NDArray[np.floating], denoised: NDArray[np.floating], outside: NDArray[np.bool_] | None
    ) -> None:
        """Take in one image before and after, and where nothing was measured."""
        change = denoised - image_hu
        for side, beyond in enumerate((image_hu < self._ends[0], image_hu > self._ends[1])):
            kept = beyond if outside is None else beyond & ~outside
            self._counts[side] += int(np.count_nonzero(kept))
            self._sums[side] += float(np.sum(change, where=kept, dtype=np.float64))

    def text(self) -> str | None:
        """What was found in words; None where there was no such pixel."""
        parts = [
            f"{word} {end:.4g} HU by {total / count:+.0f} HU"
            for word, end, total, count in zip(("below", "above"), self._ends, self._sums, self._counts, strict=True)
            if count
        ]
        return f"the mean moved, of the pixels {' and '.join(parts)}" if parts else None


def told_in_a_line(name: str, found: Sequence[str], *, refused: bool = False) -> str:
    """One line for what lies outside; `name` is what the input is called."""
    what = "far outside" if refused else "outside"
    end = "; give --anyway (anyway=True) to denoise it all the same" if refused else ""
    return f"{name} lies {what} what the model learned on: {'; '.join(found)}{end}"
