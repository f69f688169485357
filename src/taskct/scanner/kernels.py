"""Reconstruction kernels: the ramp filter, its windows, and the modulation transfer function they leave."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError

WINDOWS = ("ram-lak", "shepp-logan", "cosine", "hann", "hamming")


@dataclass(frozen=True)
class Kernel:
    """A window and where it ends."""

    window: str
    """One of `WINDOWS`."""
    cutoff: float
    """Where the window ends, as a fraction of the Nyquist frequency of the bins at the isocentre, in (0, 1]."""


KERNELS = {"soft": Kernel("hann", 0.8), "sharp": Kernel("cosine", 1.0)}
"""Named kernels. At the isocentre, in cycles/mm (1 cycle/mm is 10 line pairs/cm), from `mtf_frequency`:

| scanner | bins at the isocentre | soft MTF50 | soft MTF10 | sharp MTF50 | sharp MTF10 |
|---|---|---|---|---|---|
| GE LightSpeed | 0.584 mm | 0.316 | 0.520 | 0.473 | 0.749 |
| Siemens Definition AS+ | 0.705 mm | 0.262 | 0.431 | 0.392 | 0.620 |
| Siemens Sensation 64 | 0.770 mm | 0.240 | 0.394 | 0.359 | 0.568 |
| Siemens Force | 0.564 mm | 0.328 | 0.539 | 0.490 | 0.776 |
"""


def window_response(frequency: NDArray[np.floating], *, window: str, cutoff: float = 1.0) -> NDArray[np.float64]:
    """Give what a window leaves of the ramp, in [0, 1]; nothing beyond the cutoff, where a window is squeezed to end.

    `frequency` is a fraction of the Nyquist frequency, any shape; the sign does not matter. A UserError, if there is no
    such window, or the cutoff is not in (0, 1].
    """
    if window not in WINDOWS:
        raise UserError(f"scanner.filter is {window!r}: choose one of {', '.join(WINDOWS)}")
    if not 0 < cutoff <= 1:
        raise UserError(f"scanner.filter_cutoff is {cutoff}: give a fraction of the Nyquist frequency in (0, 1]")
    part = np.abs(frequency) / cutoff
    response = {
        "ram-lak": np.ones_like(part),
        "shepp-logan": np.sinc(part / 2.0),
        "cosine": np.cos(np.pi * part / 2.0),
        "hann": 0.5 + 0.5 * np.cos(np.pi * part),
        "hamming": 0.54 + 0.46 * np.cos(np.pi * part),
    }[window]
    return np.where(part <= 1.0, response, 0.0)


def ramp_kernel(n_bins: int, *, bin_step: float, window: str, cutoff: float = 1.0) -> NDArray[np.float64]:
    """Sample the band-limited ramp filter, windowed in frequency, for lags 0 to `n_bins − 1`, 1/`bin_step`².

    `bin_step` is in mm at the isocentre, or in rad for a curved detector. Source: Kak and Slaney, Principles of
    Computerized Tomographic Imaging (1988), eq. 3.61.
    """
    n = 8 * int(2 ** np.ceil(np.log2(n_bins)))
    lag = np.fft.fftfreq(n, 1.0 / n)
    kernel = np.zeros(n)
    kernel[0] = 1.0 / (4.0 * bin_step**2)
    odd = np.abs(lag) % 2 == 1
    kernel[odd] = -1.0 / (np.pi * lag[odd] * bin_step) ** 2
    response = window_response(2.0 * np.abs(np.fft.fftfreq(n)), window=window, cutoff=cutoff)
    windowed: NDArray[np.float64] = np.fft.ifft(np.fft.fft(kernel) * response).real
    return windowed[:n_bins]


def mtf(
    frequency: NDArray[np.floating], *, isocenter_bin_mm: float, window: str, cutoff: float = 1.0
) -> NDArray[np.float64]:
    """Compute the modulation transfer function of filtered backprojection at the isocentre.

    The window times sinc² of the linear interpolation between bins; rays are thin, so neither the focal spot nor the
    bin blurs. Beyond the Nyquist frequency the sampled ramp is periodic, which leaves a little of it. Pixels are point
    samples; aliasing, which differs from place to place, is left out.

    Parameters
    ----------
    frequency
        Cycles/mm, at least 0 and finite, or a UserError; any shape.
    isocenter_bin_mm, window, cutoff
        As in `ScanGeometry` and `Kernel`.
    """
    if not (np.isfinite(frequency) & (np.asarray(frequency) >= 0)).all():
        raise UserError("a frequency is negative or not finite: give cycles/mm from 0 up")
    cycles = np.asarray(frequency, dtype=float) * isocenter_bin_mm
    folded = np.abs(cycles - np.round(cycles))
    ramp = np.divide(folded, cycles, out=np.ones_like(cycles), where=cycles > 0)
    response: NDArray[np.float64] = ramp * np.sinc(cycles) ** 2
    return response * window_response(2.0 * folded, window=window, cutoff=cutoff)


def mtf_frequency(level: float, *, isocenter_bin_mm: float, window: str, cutoff: float = 1.0) -> float:
    """Find the lowest frequency, cycles/mm, at which the MTF at the isocentre has fallen to a level in (0, 1).

    Examples
    --------
    >>> [round(mtf_frequency(0.5, isocenter_bin_mm=0.705, window=k.window, cutoff=k.cutoff), 2)
    ...  for k in (KERNELS["soft"], KERNELS["sharp"])]
    [0.26, 0.39]
    """
    if not 0.0 < level < 1.0:
        raise UserError(f"the level of the MTF is {level:g}: give one between 0 and 1, such as 0.5 for MTF50")
    frequency = np.linspace(0.0, 1.0 / isocenter_bin_mm, 20001)  # at its end the interpolation leaves nothing
    below = mtf(frequency, isocenter_bin_mm=isocenter_bin_mm, window=window, cutoff=cutoff) <= level
    return float(frequency[np.argmax(below)])
