"""The roll of a phantom about its axis: the turn at which the layout's rods fit what is seen.

The average of the scans, less its mean at every distance from the axis, is divided by the noise power of the scans and
correlated with the layout's rods at every turn: the matched filter for noise of that spectrum. How far chance alone
moves the correlation is read from the same image without the rods that were found: turned to any angle, it has none
where they are looked for.
"""

from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from taskct.errors import UserError
from taskct.tasks.layouts import PhantomLayout

Array = NDArray[np.float64]

STEP_PX = 0.5  # between points of the polar grid, along the radius and at its outer end
EDGE_PX = 1.5  # width of a rod's rim in an image, about
LEAST_SIGNAL, LEAST_LEAD = 5.0, 2.5
"""Standard deviations of chance by which the rods must be seen, and by which the best turn must lead the next one."""
SAME = 0.001  # turns that fit as well as this, relatively, are those of a layout that repeats itself
INNER = 0.95  # of the cylinder's radius that is looked at; its rim is left out
N_BINS = 24  # of the noise power along the frequency
FLOOR = 0.05  # of the noise power's maximum, below which it is not divided by


@dataclass(frozen=True)
class Roll:
    """A turn, and how sure it is; what it leads is in standard deviations of chance."""

    degrees: float
    """From the layout as it is written, clockwise on the screen, in (−180, 180]."""
    contrast_scale: float
    """Contrast of the rods, all together, over the layout's."""
    signal: float
    """That contrast in standard deviations of chance."""
    lead: float
    """How far the best turn leads the next one."""
    mirror_lead: float
    """How far it leads the best turn of the phantom seen from its other end; infinite where that looks the same."""


def find_roll(images: NDArray[np.floating], centres_px: Array, layout: PhantomLayout, *, pixel_mm: float) -> Roll:
    """Find the roll in the average of scans, each about its own centre.

    Parameters
    ----------
    images
        HU, or HU with an offset, `(n, height, width)`.
    centres_px
        Of each, row and column, `(n, 2)`.
    layout, pixel_mm
        The rods, and the pixel pitch, mm.

    Raises
    ------
    UserError
        If the rods are not seen, another turn fits nearly as well, or the phantom is seen from its other end.
    """
    fit = _RodFit(images, centres_px, layout, pixel_mm)
    other = fit.of(layout.mirrored())
    best = int(fit.score.argmax())
    top, flipped = float(fit.score[best]), int(other.score.argmax())
    rest = fit.seen - top / fit.energy * np.roll(fit.expected, best, axis=1)
    chance = fit.grid.correlate(fit.template, rest)
    signal = _ratio(top, chance)
    advice = "give more scans or a higher dose together, or the roll itself"
    if not signal >= LEAST_SIGNAL:
        raise UserError(
            f"the roll of the phantom cannot be told: the rods of layout {layout.name} stand out by {signal:.1f} "
            f"standard deviations at best ({LEAST_SIGNAL:g} are needed): {advice}"
        )
    behind = other.score[flipped] - top
    both = chance - np.roll(other.grid.correlate(other.template, rest), best - flipped)
    mirror_lead = np.inf if abs(behind) <= SAME * top else _ratio(-float(behind), both)
    if mirror_lead <= -LEAST_LEAD:
        raise UserError(
            f"the phantom is seen from its other end: layout {layout.mirrored().name} fits better by "
            f"{-mirror_lead:.1f} standard deviations: choose that one (in a file, write mirrored: true)"
        )
    rival = _rival(fit.score, best, _apart(layout, fit.grid.n))
    # A turn's lead is a difference of two correlations, which chance moves together.
    lead = _ratio(top - float(fit.score[rival]), chance - np.roll(chance, best - rival))
    if fit.score[rival] >= (1.0 - SAME) * top or not lead >= LEAST_LEAD:
        turn = (rival - best) * 360.0 / fit.grid.n % 360.0
        raise UserError(
            f"the roll of the phantom cannot be told: turned by another {turn:.0f} degrees, the rods of layout "
            f"{layout.name} fit nearly as well (the lead is {max(lead, 0.0):.1f} standard deviations; {LEAST_LEAD:g} "
            f"are needed): {advice}"
        )
    degrees = _degrees(best + _peak(fit.score, best), fit.grid.n)
    return Roll(degrees, top / fit.energy, signal, lead, mirror_lead)


def contrast_scale(
    images: NDArray[np.floating], centres_px: Array, layout: PhantomLayout, *, pixel_mm: float, roll_deg: float
) -> float:
    """Contrast of the rods, all together, over the layout's, at a turn that is known; see `find_roll`."""
    fit = _RodFit(images, centres_px, layout, pixel_mm)
    there = np.interp(roll_deg / 360.0 * fit.grid.n, np.arange(fit.grid.n), fit.score, period=fit.grid.n)
    return float(there) / fit.energy


class _PolarGrid:
    """Points about the axis that hold all rods of a layout at any turn."""

    def __init__(self, layout: PhantomLayout, pixel_mm: float) -> None:
        reach = [(rod.radius_mm - rod.diameter_mm / 2.0, rod.radius_mm + rod.diameter_mm / 2.0) for rod in layout.rods]
        low = max(0.0, min(first for first, _ in reach) / pixel_mm - 2.0)
        high = max(last for _, last in reach) / pixel_mm + 2.0
        self.radius = np.arange(low + STEP_PX / 2.0, high, STEP_PX)[:, None]
        self.n = max(360, int(2.0 ** np.ceil(np.log2(2.0 * np.pi * high / STEP_PX))))
        angle = np.arange(self.n) * (2.0 * np.pi / self.n)
        self.across, self.down = self.radius * np.cos(angle), self.radius * np.sin(angle)

    def sample(self, image: Array, centre_px: Array) -> Array:
        """An image about a centre, without its mean at every radius, `(n_radii, n)`."""
        row, column = centre_px
        polar: Array = ndimage.map_coordinates(image, [row + self.down, column + self.across], order=1, mode="nearest")
        return np.asarray(polar - polar.mean(axis=1, keepdims=True))

    def correlate(self, template: Array, polar: Array) -> Array:
        """Sum over the area of an image times the template, turned by every angle of the grid, `(n,)`."""
        spectrum = np.conj(np.fft.rfft(template, axis=1)) * np.fft.rfft(polar, axis=1)
        return np.asarray(np.fft.irfft((self.radius * spectrum).sum(axis=0), n=self.n))


class _RodFit:
    """How well the rods of a layout fit the average of some scans, at every turn."""

    def __init__(self, images: NDArray[np.floating], centres_px: Array, layout: PhantomLayout, pixel_mm: float) -> None:
        self.grid, self.pixel_mm = _PolarGrid(layout, pixel_mm), pixel_mm
        self.radius_px = layout.diameter_mm / 2.0 / pixel_mm
        self.shape = images.shape[1:]
        self.weight = 1.0 / noise_power(images, centres_px, self.radius_px)
        if np.ptp(centres_px, axis=0).any():  # one scan at a time: a stack may be all the memory there is
            self.seen = np.zeros_like(self.grid.across)
            for one, at in zip(images, centres_px, strict=True):
                self.seen += self._seen(one, at) / len(images)
        else:
            self.seen = self._seen(images.mean(axis=0, dtype=np.float64), centres_px[0])
        self._fit(layout)

    def of(self, layout: PhantomLayout) -> "_RodFit":
        """The same scans and another layout whose rods are as far from the axis."""
        again = copy(self)
        again._fit(layout)
        return again

    def _fit(self, layout: PhantomLayout) -> None:
        drawn = _drawn(layout, self.pixel_mm, self.grid.across, self.grid.down)
        self.template = drawn - drawn.mean(axis=1, keepdims=True)
        middle = (np.array(self.shape) - 1.0) / 2.0
        across, down = np.arange(self.shape[1]) - middle[1], (np.arange(self.shape[0]) - middle[0])[:, None]
        whole = flattened(_drawn(layout, self.pixel_mm, across, down), middle, self.radius_px)
        self.expected = self.grid.sample(self._weighed(whole), middle)
        self.score = self.grid.correlate(self.template, self.seen)
        self.energy = float((self.grid.radius * self.template * self.expected).sum())

    def _seen(self, image: NDArray[np.floating], centre_px: Array) -> Array:
        return self.grid.sample(self._weighed(flattened(image, centre_px, self.radius_px)), centre_px)

    def _weighed(self, flat: Array) -> Array:
        return np.asarray(np.fft.irfft2(np.fft.rfft2(flat) * self.weight, s=flat.shape))


def _drawn(layout: PhantomLayout, pixel_mm: float, across: Array, down: Array) -> Array:
    """What the rods add at some places, pixels from the axis, HU."""
    total = np.zeros(np.broadcast_shapes(across.shape, down.shape))
    x, y = layout.sites_mm()
    for rod, x_mm, y_mm in zip(layout.rods, x, y, strict=True):
        away = np.hypot(across - x_mm / pixel_mm, down - y_mm / pixel_mm)
        total += rod.contrast_hu * np.clip((rod.diameter_mm / 2.0 / pixel_mm - away) / EDGE_PX + 0.5, 0.0, 1.0)
    return total


def flattened(image: NDArray[np.floating], centre_px: Array, radius_px: float) -> Array:
    """A slice of a cylinder less its mean at every distance from the axis, and 0 at its rim and outside of it."""
    row, column = centre_px
    distance = np.hypot(np.arange(image.shape[0])[:, None] - row, np.arange(image.shape[1]) - column)
    inside = distance < INNER * radius_px
    ring = distance[inside].astype(np.int64)
    values = np.asarray(image, dtype=np.float64)[inside]
    mean = np.bincount(ring, values) / np.maximum(np.bincount(ring), 1)
    flat = np.zeros(image.shape)
    flat[inside] = values - np.interp(distance[inside], np.arange(len(mean)) + 0.5, mean)
    return flat


def noise_power(images: NDArray[np.floating], centres_px: Array, radius_px: float) -> Array:
    """Noise power within a cylinder, relative, the same in all directions, on the grid of the images' real transform.

    From what scans differ by; of a single one from itself. It ends at a twentieth of its maximum, so that what the
    kernel took away is not divided by.
    """
    middle, size = np.round(centres_px).astype(int), np.array(images.shape[1:])
    low, high = np.maximum(middle - int(0.6 * radius_px), 0), np.minimum(middle + int(0.6 * radius_px), size)
    height, width = (high - low).min(axis=0)
    taper = np.outer(np.hanning(height), np.hanning(width))
    power, total = np.zeros((height, width // 2 + 1)), np.zeros((height, width // 2 + 1), dtype=np.complex128)
    for image, centre, (row, column) in zip(images, centres_px, low, strict=True):
        flat = flattened(image, centre, radius_px)
        transform = np.fft.rfft2(taper * flat[row : row + height, column : column + width])
        power, total = power + np.abs(transform) ** 2, total + transform
    if len(images) > 1:  # the variance of the transforms: what the scans share is no noise
        power = np.maximum(power - np.abs(total) ** 2 / len(images), 0.0)
    ends = np.linspace(0.0, 0.5, N_BINS + 1)
    bins = np.digitize(_frequencies(height, width), ends) - 1
    inside = (bins >= 0) & (bins < N_BINS)
    count = np.bincount(bins[inside], minlength=N_BINS)
    mean = np.bincount(bins[inside], power[inside], minlength=N_BINS) / np.maximum(count, 1)
    middles, known = (ends[1:] + ends[:-1]) / 2.0, count > 0
    radial: Array = np.interp(_frequencies(*images.shape[1:]), middles[known], mean[known])
    top = float(radial.max())
    return np.maximum(radial, FLOOR * top) if top > 0 else np.ones_like(radial)


def _frequencies(height: int, width: int) -> Array:
    """Of a real transform, cycles a pixel."""
    return np.asarray(np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)))


def _ratio(value: float, chance: Array) -> float:
    spread = float(chance.std())
    return value / spread if spread > 0 else np.inf


def _apart(layout: PhantomLayout, n: int) -> int:
    """Steps of the grid within which two turns count as one: those that leave every rod partly where it is."""
    steps = [rod.diameter_mm / rod.radius_mm for rod in layout.rods if rod.radius_mm > 0]
    return int(np.ceil(min(max(steps), np.pi / 4.0) / (2.0 * np.pi) * n)) if steps else n


def _rival(score: Array, best: int, apart: int) -> int:
    """The next best turn that is another one."""
    n = len(score)
    away = np.abs((np.arange(n) - best + n // 2) % n - n // 2)
    return int(np.where(away > apart, score, -np.inf).argmax())


def _peak(score: Array, at: int) -> float:
    """Where a parabola through a maximum and its neighbours has its top, from the maximum, in steps."""
    left, middle, right = score[at - 1], score[at], score[(at + 1) % len(score)]
    curve = left - 2.0 * middle + right
    return float(np.clip(0.5 * (left - right) / curve, -0.5, 0.5)) if curve < 0 else 0.0


def _degrees(step: float, n: int) -> float:
    """A turn of the grid in degrees, in (−180, 180]."""
    return 180.0 - (180.0 - step * 360.0 / n) % 360.0
