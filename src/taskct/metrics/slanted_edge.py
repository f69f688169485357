"""The transfer function of a slanted edge."""

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from taskct.metrics.intervals import Interval
from taskct.metrics.spectra import check_images, first_below
from taskct.metrics.transfer import Transfer

Floats = NDArray[np.float64]

_BINS_A_PIXEL = 4  # of the edge spread


def edge_transfer(image: NDArray[np.floating], *, pixel_mm: float) -> Transfer:
    """MTF of a straight edge that runs across an image, a few degrees off its rows or columns.

    The edge's place is fitted in every row, its angle by a line through those. Pixels are binned by their distance from
    it, four bins a pixel, and the differences of neighbouring bins are transformed. What the differences and the width
    of the bins take away, sinc²(fΔ), is given back; the blur of the pixels themselves is part of the MTF.

    Parameters
    ----------
    image
        `(height, width)`, finite, any unit; the edge crosses it from side to side.
    pixel_mm
        Above 0.

    Raises
    ------
    ValueError
        If no edge is found, or it runs along the pixels or within 1 degree of that: bins would stay empty.

    References
    ----------
    .. [1] Fujita et al., IEEE Trans. Med. Imaging 11, 34 (1992), slanted edges.
    .. [2] Cunningham & Reid, Med. Phys. 19, 1037 (1992), the transfer function of finite differences.

    Examples
    --------
    >>> from scipy import special
    >>> y, x = np.mgrid[:64, :64]
    >>> edge = special.erf(((x - 31.5) * np.cos(0.1) + (y - 31.5) * np.sin(0.1)) * 0.5 / np.sqrt(2.0))  # σ 1 mm
    >>> round(edge_transfer(edge, pixel_mm=0.5).f50_per_mm.value, 2)  # √(ln 2 / 2) / π
    0.19
    """
    check_images(image[None])
    values = image.astype(np.float64)
    down, across = (np.abs(np.diff(values, axis=axis)).mean(axis=axis).mean() for axis in (0, 1))
    if down > across:
        values = values.T
    place, slope = _edge_line(values)
    if abs(slope) < np.tan(np.radians(1.0)):
        raise ValueError(f"the edge is {np.degrees(np.arctan(abs(slope))):.1f}° off the pixels: turn it by 2° to 10°")
    height, width = values.shape
    rows, columns = np.mgrid[:height, :width]
    distance = (columns - place - slope * (rows - (height - 1) / 2.0)) / np.hypot(1.0, slope)
    reach = float(min(-distance[:, 0].max(), distance[:, -1].min()))
    n = int(reach * _BINS_A_PIXEL)
    if n < 8:
        raise ValueError("the edge does not run from side to side: give an image that it crosses with room around it")
    number = np.floor(distance * _BINS_A_PIXEL).astype(np.int64) + n
    inside = (number >= 0) & (number < 2 * n)
    count = np.bincount(number[inside], minlength=2 * n)
    if (count == 0).any():
        raise ValueError("too few pixels beside the edge for 4 bins a pixel: give a longer edge")
    spread = np.bincount(number[inside], weights=values[inside], minlength=2 * n) / count
    line = np.diff(spread)
    step = pixel_mm / _BINS_A_PIXEL
    power = np.abs(fft.rfft(line, 4 * n))
    frequency = fft.rfftfreq(4 * n, step)
    total = float(line.sum())
    keep = (frequency > 0.0) & (frequency <= 1.0 / pixel_mm)
    value = power[keep] / abs(total) / np.sinc(frequency[keep] * step) ** 2
    f = frequency[keep]
    curve, at = np.append(1.0, value)[None], np.append(0.0, f)
    f50, f10 = (float(first_below(curve, at, share)[0]) for share in (0.5, 0.1))
    alone = [None if np.isnan(one) else Interval(one, np.nan, np.nan) for one in (f50, f10)]
    return Transfer(f, value, np.full(len(f), np.nan), total, alone[0], alone[1])


def _edge_line(values: Floats) -> tuple[float, float]:
    """Column of the edge in the middle row, and columns it moves a row."""
    height, width = values.shape
    change = np.diff(values, axis=1)
    if not abs(change.sum()) > 1e-9 * np.abs(values).max() * height:
        raise ValueError("no edge is found: give an image that one edge crosses from side to side")
    change = change * np.sign(change.sum())
    middle, column = np.arange(width - 1) + 0.5, np.arange(height) - (height - 1) / 2.0
    place = np.full(height, middle @ change.sum(axis=0) / change.sum())
    slope = 0.0
    reach = width / 2.0
    for _ in range(8):
        line = place.mean() + slope * column
        weight = np.clip(1.0 - np.abs(middle - line[:, None]) / reach, 0.0, None)
        total = (change * weight).sum(axis=1)
        if not (np.abs(total) > 1e-12 * np.abs(change).max()).all():
            raise ValueError("no edge is found in every row: give an image that one edge crosses from side to side")
        place = (change * weight * middle).sum(axis=1) / total
        slope = float(column @ place / (column @ column))
        reach = max(reach * 0.8, width / 6.0)
    return float(place.mean()), slope
