"""What a denoiser elsewhere, or the way to it and back, may do to images that no evaluation would notice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from taskct.apply.round_trip.relation import BELONG, Pairs, misplaced, strangers, turned

N_VALUES = 512
"""Images whose values are counted."""

BLOCK = 8
"""Side of the blocks whose means tell the scale, pixels: what a denoiser does to noise is gone from them."""

SHIFT_PX, SHIFT_NOTED_PX = 0.6, 0.1
LEVEL_HU, LEVEL_NOTED_HU = 25.0, 1.0
SLOPE, SLOPE_NOTED = 1.5, 1.1
"""Of denoised on noise-free values, this or its inverse."""

UNCHANGED = 0.02
"""Of the noise: what a denoiser takes away at the least."""

PILED = 5e-4
"""Of all pixels: those of the lowest or the highest value, from which it is a limit."""

FEWEST_GREYS, GREYS = 5, 256
"""Values of 8 bit images; fewer are steps of the object."""

KNOWN_HU = (1024.0, 1000.0)


@dataclass(frozen=True)
class Returned:
    """Images that came back, in the order of those that went out, `(n, side, side)`."""

    low: NDArray[np.float32]
    """Low-dose images, HU."""
    reference: NDArray[np.float32]
    """Training targets, HU."""
    denoised: NDArray[np.float32]
    names: tuple[str, ...]
    """What messages call each."""
    step_hu: float
    """To which the low-dose images were rounded, HU; 0 where they were not."""
    counted: NDArray[np.bool_] | None = None
    """As `Pairs` has it."""

    @cached_property
    def pairs(self) -> Pairs:
        """For how they relate."""
        return Pairs(self.low, self.denoised, self.counted)

    @cached_property
    def noise_hu(self) -> float:
        """Standard deviation of the low-dose images about the targets, HU."""
        some = self.some
        return float((self.low[some] - self.reference[some]).std(dtype=np.float64))

    @cached_property
    def some(self) -> NDArray[np.int64]:
        """Numbers of up to `N_VALUES` images, spread over all."""
        return np.linspace(0, len(self.low) - 1, min(N_VALUES, len(self.low))).astype(np.int64)


@dataclass(frozen=True)
class Scale:
    """Denoised value = slope × noise-free HU + a constant, from means of blocks."""

    slope: float
    error: float
    """Standard error of the slope; infinite where the images hardly differ in HU."""
    mean: float
    """Of the denoised values."""
    mean_hu: float
    """Of the noise-free ones."""

    @property
    def level(self) -> float:
        """By how much the mean differs, HU."""
        return self.mean - self.mean_hu

    @property
    def slope_is_off(self) -> bool:
        """Whether the slope is another one than a denoiser's, beyond chance."""
        error = 3.0 * self.error
        return self.slope + error < 1 / SLOPE or self.slope - error > SLOPE

    @property
    def mended(self) -> str:
        """The options that would mend it."""
        if not self.slope_is_off:
            known = [sign * hu for hu in KNOWN_HU for sign in (1.0, -1.0)]
            nearest = min(known, key=lambda hu: abs(hu - self.level))
            return f"--offset {-(nearest if abs(nearest - self.level) < LEVEL_HU else round(self.level)):g}"
        scale = float(f"{1.0 / self.slope:.3g}") if self.slope else float("nan")
        power = 10.0 ** round(np.log10(abs(scale)))
        scale = float(np.copysign(power, scale)) if 0.8 < abs(scale) / power < 1.25 else scale
        offset = self.mean_hu - scale * self.mean
        known = [sign * hu for hu in (*KNOWN_HU, 0.0) for sign in (1.0, -1.0)]
        nearest = min(known, key=lambda hu: abs(hu - offset))
        return f"--scale {scale:g} --offset {(nearest if abs(nearest - offset) < LEVEL_HU else round(offset)):g}"


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    fault: str | None
    """What is wrong and what to do about it; None if nothing is."""
    note: str | None = None
    """What is to be known of it all the same."""


FINE = Finding(None)


def measure_scale(returned: Returned) -> Scale:
    """The scale of denoised values, by least squares on means of blocks, once more without those far off."""
    some = returned.some
    x, y = (_block_means(images[some]) for images in (returned.reference, returned.denoised))
    keep = np.ones(len(x), dtype=np.bool_)
    slope, error = 1.0, float("inf")
    for _ in range(2):
        spread = float(x[keep].std())
        if spread < 1e-3:
            break
        slope = float(np.cov(x[keep], y[keep])[0, 1] / x[keep].var(ddof=1))
        left = y - y[keep].mean() - slope * (x - x[keep].mean())
        deviation = float(left[keep].std())
        error = deviation / (spread * np.sqrt(keep.sum())) if spread >= 1.0 else float("inf")
        keep = np.abs(left) <= 4.0 * deviation + 1e-12
    return Scale(slope, error, float(y.mean()), float(x.mean()))


def _block_means(images: NDArray[np.float32]) -> NDArray[np.float64]:
    side = max(n // BLOCK for n in images.shape[1:]) and BLOCK
    rows, columns = images.shape[1] // side * side, images.shape[2] // side * side
    blocks = images[:, :rows, :columns].reshape(len(images), rows // side, side, columns // side, side)
    return np.asarray(blocks.mean(axis=(2, 4), dtype=np.float64)).ravel()


def check_unchanged(returned: Returned) -> Finding:
    """The low-dose images themselves, perhaps rounded, or at another level."""
    least = max(UNCHANGED * returned.noise_hu, 0.35 * returned.step_hu)
    change = np.concatenate(
        [
            (returned.denoised[start : start + 256] - returned.low[start : start + 256]).std(
                axis=(1, 2), dtype=np.float64
            )
            for start in range(0, len(returned.low), 256)
        ]
    )
    same = np.flatnonzero(change < least)
    if not len(same):
        return FINE
    return Finding(
        f"{len(same)} of {len(change)} images are the low-dose images themselves ({_some(returned, same)}): nothing "
        "was denoised; give the images that the denoiser wrote"
    )


def check_turned(returned: Returned) -> Finding:
    """Turned or mirrored images."""
    if returned.low.shape[1] != returned.low.shape[2]:
        return FINE
    how, best, now = turned(returned.pairs)
    if how == "as it is" or best < BELONG or best < 1.3 * now + 3.0:
        return FINE
    return Finding(f"the images came back {how}: turn them back as they went out")


def check_order(returned: Returned) -> Finding:
    """Images under the name of another."""
    found = misplaced(returned.pairs)
    if not found:
        return FINE
    one, other = next(iter(found.items()))
    what = "an image shows" if len(found) == 1 else f"{len(found)} images show"
    return Finding(
        f"{what} another image than the name says ("
        f"{returned.names[one]} shows {returned.names[other]}): bring them back under the names they went out with, or "
        "with a manifest.csv that says which is which"
    )


def check_foreign(returned: Returned) -> Finding:
    """Images of something else."""
    if returned.pairs.agreement < BELONG:
        return Finding(
            f"the images show nothing of the low-dose images (agreement {returned.pairs.agreement:.1f}, 0 ± 1 by "
            f"chance, {BELONG:g} or more wanted): they are another study's, or from another export; give this export's"
        )
    found = strangers(returned.pairs)
    if not len(found):
        return FINE
    return Finding(
        f"{len(found)} of {len(returned.low)} images show nothing of their low-dose image ({_some(returned, found)}); "
        "give this export's images"
    )


def check_shift(returned: Returned) -> Finding:
    """Images that moved."""
    shift, error = returned.pairs.shift_px()
    moved = f"{_signed(shift[0], 'down', 'up')} and {_signed(shift[1], 'to the right', 'to the left')} (±{error:.2f})"
    size = float(np.abs(shift).max())
    if size > max(SHIFT_PX, 2.0 * error):
        return Finding(f"the images lie {moved} of where they went out, in pixels: move them back")
    if size > max(SHIFT_NOTED_PX, 2.0 * error):
        return Finding(None, f"the images lie {moved} of the low-dose images, in pixels")
    return FINE


def check_greys(returned: Returned) -> Finding:
    """Images of 256 values."""
    levels = np.unique(returned.denoised[returned.some])
    if not FEWEST_GREYS <= len(levels) <= GREYS:
        return FINE
    step = float(np.median(np.diff(levels)))
    if step <= 1.05 * max(1.0, returned.step_hu):
        return FINE
    return Finding(
        f"the images hold no more than {len(levels)} values, {step:.3g} apart: 8 bit; have them written in 16 bits or "
        "as float32"
    )


def check_clipped(returned: Returned) -> Finding:
    """Values cut off at a limit."""
    ends = []
    for images, out in ((returned.denoised, True), (returned.low, False)):
        levels, counts = np.unique(images[returned.some], return_counts=True)
        ends += [(out, word, value, share) for word, value, share in _piled(levels, counts)]
    cut_before = [(word, value) for out, word, value, _ in ends if not out]
    found = [
        f"{share:.2%} at {value:.5g}, the {word}"
        for out, word, value, share in ends
        if out and not any(word == one and abs(value - at) <= max(1.0, returned.step_hu) for one, at in cut_before)
    ]
    if not found:
        return FINE
    return Finding(
        f"values are cut off at a limit ({' and '.join(found)} value): widen the range in which the images are stored"
    )


def _piled(levels: NDArray[np.float32], counts: NDArray[np.int64]) -> list[tuple[str, float, float]]:
    if len(levels) < 8:
        return []
    ends = {"lowest": (levels[0], counts[:4]), "highest": (levels[-1], counts[::-1][:4])}
    return [
        (word, float(value), float(first[0] / counts.sum()))
        for word, (value, first) in ends.items()
        if first[0] > PILED * counts.sum() and first[0] > 3 * first[1:].max()
    ]


def check_values(returned: Returned) -> Finding:
    """Another HU offset or scale."""
    scale = measure_scale(returned)
    is_level = abs(scale.level) > LEVEL_HU
    slope = f"{scale.slope:.3g}" if np.isfinite(scale.error) else "not to be told"
    measured = f"mean {scale.mean:.4g} where {scale.mean_hu:.4g} HU belong, slope {slope}"
    if scale.slope_is_off or is_level:
        return Finding(f"the values are no HU of the study: {measured}; import them with {scale.mended}, or mend them")
    is_slope = max(scale.slope, 1 / scale.slope) > SLOPE_NOTED if scale.slope > 0 else True
    if abs(scale.level) > LEVEL_NOTED_HU or (is_slope and scale.error < 0.02):
        return Finding(None, f"the images are {scale.level:+.2f} HU off in the mean, and their contrasts × {slope}")
    return FINE


CHECKS: dict[str, Callable[[Returned], Finding]] = {
    "unchanged": check_unchanged,
    "order": check_order,
    "turned": check_turned,
    "foreign": check_foreign,
    "shift": check_shift,
    "8-bit": check_greys,
    "clipped": check_clipped,
    "values": check_values,
}
"""By the name that overrides it, in the order in which a fault is told: those first that would be taken for others."""


def examine(returned: Returned, checks: Sequence[str] = tuple(CHECKS)) -> dict[str, Finding]:
    """Do some checks."""
    return {name: CHECKS[name](returned) for name in checks}


def _some(returned: Returned, which: NDArray[np.int64]) -> str:
    names = ", ".join(returned.names[one] for one in which[:2])
    return names + (", …" if len(which) > 2 else "")


def _signed(value: float, positive: str, negative: str) -> str:
    return f"{abs(value):.2f} {positive if value >= 0 else negative}"
