"""Whether denoised images show what their low-dose images show, and where: by the phases of their spectra.

The phase of the noise of an image is like that of no other image. So the mean over images of exp(i·difference of
phases) is far from zero at some frequencies where pairs belong together, and a phase common to all pairs is a shift.
Nothing here depends on HU, scale or offset, nor on how much a denoiser takes away.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import fft

BATCH = 256
N_TURNED = 512
"""Images that turns and mirror images are tried on."""

N_SOUGHT = 64
"""Images of the lowest agreement whose counterpart is sought among all, beside as many spread over all."""

BANDS = (0.06, 0.12, 0.25, 1.0)
"""Upper limits of bands of frequency, cycles a pixel: coarse structure may be all that is left of an image."""

COARSE = 0.12

ALIKE = 3.0
"""Neighbouring frequencies that are alike under the window."""

BELONG = 6.0
"""Agreement from which images belong together; that of strangers is 0 ± 1, and rarely over 3."""

MISPLACED_SIGMA = 6.0
"""Standard deviations by which another low-dose image must agree better, of agreement by chance."""

PLAIN_SIGMA = 16.0
"""Agreement of the pairs, in deviations of a stranger's, from which a stranger stands out."""

STRANGE = 0.25
"""Of the agreement of the other pairs: less is that of a stranger."""

MAX_FREQUENCY = 0.3
"""Of those that a shift is measured at, cycles a pixel."""

MAX_CONDITION = 1e6

TURNS = {
    "as it is": (0, False),
    "turned by 90°": (1, False),
    "turned by 180°": (2, False),
    "turned by 270°": (3, False),
    "mirrored left to right": (0, True),
    "mirrored and turned by 90°": (1, True),
    "mirrored top to bottom": (2, True),
    "mirrored and turned by 270°": (3, True),
}


def turn(images: NDArray[np.float32], how: str) -> NDArray[np.float32]:
    """Square images, `(n, side, side)`, turned or mirrored as `TURNS` names it; a view."""
    quarters, mirrored = TURNS[how]
    return np.rot90(images[:, :, ::-1] if mirrored else images, quarters, axes=(1, 2))


@dataclass(frozen=True)
class Pairs:
    """Low-dose and denoised images, `(n, side, side)`, HU or anything else, one for one."""

    low: NDArray[np.float32]
    denoised: NDArray[np.float32]
    counted: NDArray[np.bool_] | None = None
    """Which pairs tell how the others relate, `(n,)`; twins, which share their noise with another image, do not. None
    for all."""

    @cached_property
    def _counted(self) -> NDArray[np.int64]:
        return np.flatnonzero(np.ones(len(self.low), dtype=np.bool_) if self.counted is None else self.counted)

    @cached_property
    def _window(self) -> NDArray[np.float32]:
        rows, columns = (np.hanning(n + 2)[1:-1] for n in self.low.shape[1:])
        return np.outer(rows, columns).astype(np.float32)

    @cached_property
    def _means(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What all images have in common, and so says nothing of which is which."""
        low, denoised = (images.mean(axis=0, dtype=np.float64) for images in (self.low, self.denoised))
        return low.astype(np.float32), denoised.astype(np.float32)

    def _phases(self, images: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.complex64]:
        """exp(i·phase) of every image at every frequency but the edges' own; 0 where there is nothing."""
        rest = images - mean
        # The level of an image lies in every low frequency of a window, and does not shift with it.
        rest = rest - (rest * self._window).sum(axis=(1, 2), keepdims=True) / self._window.sum()
        spectra = fft.rfft2(rest * self._window)
        size = np.abs(spectra)
        floor = 1e-6 * size.max(axis=(1, 2), keepdims=True)
        phases: NDArray[np.complex64] = np.where(size > floor, spectra / np.maximum(size, floor + 1e-30), 0)
        return phases

    def _batches(self) -> Iterator[tuple[slice, NDArray[np.complex64], NDArray[np.complex64]]]:
        for start in range(0, len(self.low), BATCH):
            part = slice(start, start + BATCH)
            yield (
                part,
                self._phases(self.low[part], self._means[0]),
                self._phases(self.denoised[part], self._means[1]),
            )

    @cached_property
    def coherence(self) -> NDArray[np.complex128]:
        """Mean of exp(i·(phase of the denoised − of the low-dose image)) over pairs, by frequency (`rfft2`)."""
        is_counted = np.isin(np.arange(len(self.low)), self._counted)
        total = sum(
            (denoised * low.conj())[is_counted[part]].sum(axis=0, dtype=np.complex128)
            for part, low, denoised in self._batches()
        )
        return np.asarray(total, dtype=np.complex128) / len(self._counted)

    @cached_property
    def _frequency(self) -> NDArray[np.float64]:
        """Of every element of `coherence`, cycles a pixel."""
        rows, columns = self.low.shape[1:]
        return np.asarray(np.hypot(fft.fftfreq(rows)[:, None], fft.rfftfreq(columns)[None, :]))

    @property
    def agreement(self) -> float:
        """How far the pairs are from strangers, in deviations of what strangers agree by chance.

        The most of several bands from zero up: in each the mean of n·|coherence|² is 1 for strangers.
        """
        found = []
        for limit in BANDS:
            band = (self._frequency > 0) & (self._frequency < limit)
            excess = len(self._counted) * (np.abs(self.coherence[band]) ** 2).mean() - 1.0
            found.append(float(excess * np.sqrt(band.sum() / ALIKE)))
        return max(found)

    @property
    def belong(self) -> bool:
        """Whether the pairs agree as no strangers do, and what is dark in one is dark in the other."""
        coarse = self.coherence[self._frequency < COARSE]
        return self.agreement > BELONG and float((coarse.real * np.abs(coarse)).sum()) > 0

    def each(self) -> tuple[NDArray[np.float64], float]:
        """Agreement of every pair with the coherence of the others, `(n,)`, and its deviation by chance.

        0 ± deviation for a stranger, the square of the deviation times two for a pair as the others are.
        """
        n, weights = len(self._counted), self.coherence
        is_counted = np.isin(np.arange(len(self.low)), self._counted)
        found = np.empty(len(self.low))
        for part, low, denoised in self._batches():
            own = denoised * low.conj()
            others = np.where(is_counted[part, None, None], (n * weights - own) / max(n - 1, 1), weights)
            found[part] = (others.conj() * own).real.sum(axis=(1, 2))
        return found, float(np.sqrt((np.abs(weights) ** 2).sum() / 2.0))

    def scores(self, which: NDArray[np.int64], *, weighted: bool) -> NDArray[np.float64]:
        """Agreement of some denoised images with every low-dose image, `(len(which), n)`.

        `weighted` by the coherence of the pairs, which must then belong together for the most part.
        """
        sought = self._phases(self.denoised[which], self._means[1])
        if weighted:
            sought = (sought * self.coherence.conj()).astype(np.complex64)
        sought = sought.reshape(len(which), -1)
        parts = [(sought @ low.reshape(len(low), -1).conj().T).real for _, low, _ in self._batches()]
        return np.concatenate(parts, axis=1).astype(np.float64)

    def shift_px(self) -> tuple[NDArray[np.float64], float]:
        """By how much the denoised images lie lower and more to the right than the low-dose ones, `(2,)`, pixels.

        And its standard error. Phases are doubled, since a filter may turn some by half a turn: a moving mean does. The
        peak of their correlation gives halves of a pixel, the slope of the phase over frequency what is left.
        """
        rows, columns = self.low.shape[1:]
        down, right = fft.fftfreq(rows)[:, None], fft.rfftfreq(columns)[None, :]
        size = np.abs(self.coherence)
        # Chance alone has a coherence of 1/√n.
        used = (size > 3.0 / np.sqrt(len(self._counted))) & (np.hypot(down, right) < MAX_FREQUENCY)
        weight = np.where(used, 2 * len(self._counted) * size**2 / np.maximum(1 - size**2, 0.05), 0.0)
        doubled = np.exp(2j * np.angle(self.coherence))
        peak = np.unravel_index(int(fft.irfft2(weight * doubled, s=(rows, columns)).argmax()), (rows, columns))
        halves = np.array(
            [((int(at) + n // 2) % n - n // 2) / 2.0 for at, n in zip(peak, (rows, columns), strict=True)]
        )
        angle = np.angle(doubled * np.exp(4j * np.pi * (down * halves[0] + right * halves[1]))) / 2.0
        weight = weight.ravel()
        design = np.stack([np.broadcast_to(one, size.shape).ravel() for one in (down, right)], axis=1) * -2.0 * np.pi
        normal = design.T @ (design * weight[:, None])
        if np.linalg.cond(normal) > MAX_CONDITION:
            return halves, float("inf")
        part = np.linalg.solve(normal, design.T @ (weight * angle.ravel()))
        left = angle.ravel() - design @ part
        # The phases of neighbours are alike under a window: errors by how far the phases lie off the slope, threefold.
        scatter = float((weight * left**2).sum() / max((weight > 0).sum() - 2, 1))
        error = np.sqrt(np.linalg.inv(normal).diagonal().max() * max(scatter, 1.0))
        return halves + part, 3.0 * float(error)


def turned(pairs: Pairs) -> tuple[str, float, float]:
    """How the denoised images are turned or mirrored to agree best, the agreement so, and as they are."""
    counted = pairs._counted
    some = counted[np.linspace(0, len(counted) - 1, min(N_TURNED, len(counted))).astype(np.int64)]
    low, denoised = pairs.low[some], pairs.denoised[some]
    found = {how: Pairs(low, np.ascontiguousarray(turn(denoised, how))).agreement for how in TURNS}
    best = max(found, key=lambda how: found[how])
    return best, found[best], found["as it is"]


def misplaced(pairs: Pairs) -> dict[int, int]:
    """Denoised images that show another low-dose image than their own: their numbers, and that one's.

    Those of the lowest agreement are looked at, and as many spread over all.
    """
    n = len(pairs.low)
    each, deviation = pairs.each()
    spread = np.linspace(0, n - 1, min(N_SOUGHT, n)).astype(np.int64)
    which = np.unique(np.concatenate([np.argsort(each)[:N_SOUGHT], spread]))
    scores = pairs.scores(which, weighted=pairs.belong)
    best, row = scores.argmax(axis=1), np.arange(len(which))
    most, own = scores[row, best], scores[row, which]
    # Against how strangers scatter; and, where pairs plainly agree, as others agree with their own.
    scatter = 1.4826 * np.median(np.abs(scores - np.median(scores, axis=1, keepdims=True)), axis=1)
    found = np.minimum(most, most - own) > MISPLACED_SIGMA * scatter
    middle = float(np.median(each))
    if pairs.belong and middle > PLAIN_SIGMA * deviation:
        found |= (own < STRANGE * middle) & (most > 0.7 * middle)
    return {int(one): int(other) for one, other in zip(which[found], best[found], strict=True)}


def strangers(pairs: Pairs) -> NDArray[np.int64]:
    """Numbers of the images that show nothing of their low-dose image, where the others plainly do."""
    each, deviation = pairs.each()
    middle = float(np.median(each))
    return np.flatnonzero(each < STRANGE * middle) if middle > PLAIN_SIGMA * deviation else np.empty(0, dtype=np.int64)
