"""What a denoiser took away, where nobody knows the truth: how much of it runs along the edges of the image."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from taskct.metrics.intervals import Interval, bootstrap_interval
from taskct.metrics.spectra import check_images

Floats = NDArray[np.float64]

REACH_PX = 16
"""Largest lag of the autocorrelation, pixels."""
FEWEST_SLICES = 10
"""Slices from which they are what is resampled; below, squares of `SQUARE_PX` are."""
SQUARE_PX = 32
EDGE = 12.0
"""How far the gradient's energy along one direction must exceed the median of all, for a pixel to be on an edge."""

_GRADIENT_PX, _TENSOR_PX = 1.5, 3.0  # standard deviations: of the gradient, and of the mean of its products
_LAGS = 3  # neighbouring lags that are averaged
_SHORTEST_PX, _LONGEST_PX = 4, 10
_NO_MORE = 0.05  # of the autocorrelation, where the noise counts as out of reach
_FOR_LAG = 8  # slices, at most, from which the lag is found
_AWAY_PX = 6  # of flat pixels from edges


@dataclass(frozen=True)
class RemovedStructure:
    """What was taken away, and how much of it goes with the structure of the image."""

    along_edges: Interval | None
    """Share of its variance at edges that repeats along them, beyond what noise repeats where there are none; 0 for
    noise, 1 for edges alone. None where the images have too few edges."""
    of_all: Interval | None
    """The same as a share of its variance over all pixels: a lower bound of the structure in it."""
    noise_hu: float
    """Its standard deviation over all pixels, HU."""
    edge_pixels: int
    """How many pixels count as edges."""
    lag_px: int
    """The shortest lag along an edge that was used, pixels: beyond the reach of the noise's own correlation."""
    autocorrelation: Floats
    """Of what was taken away, by lag of rows and columns up to `REACH_PX`, 1 in the middle, `(33, 33)`."""
    half_width_px: float
    """Lag at which the mean of the autocorrelation over directions falls to a half, pixels; NaN beyond `REACH_PX`."""
    between_slices: Interval | None
    """Correlation of what was taken from neighbouring slices; None of fewer than 3. Noise of slices that do not
    overlap has none, what is anatomy has some."""
    map_hu: NDArray[np.float32]
    """What was taken away, averaged along the edge through each pixel, HU, shape of the images; 0 off the edges."""

    @property
    def found(self) -> bool:
        """Whether structure was shown to be taken away: the whole interval of `along_edges` lies above 0."""
        return self.along_edges is not None and self.along_edges.ci_low > 0.0


def removed_structure(
    low_dose: NDArray[np.floating],
    denoised: NDArray[np.floating],
    *,
    lag_px: int | None = None,
    confidence: float = 0.95,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> RemovedStructure:
    """Ask whether what a denoiser took away, low-dose minus denoised, holds structure of the image.

    Edges and their directions are taken from the denoised images (structure tensor). What was taken at a pixel of an
    edge is correlated with what was taken a few pixels further along that edge: noise does not reach so far, an edge
    that was blurred does. The correlation in flat places along the direction of the nearest edge, ρ₀, is what there is
    without an edge, and the share is (ρ − ρ₀) / (1 − ρ₀).

    It is a lower bound: structure without direction, and edges that bend within a few pixels, are missed. Streaks run
    along edges as well, so that what was taken of them counts as structure.

    Parameters
    ----------
    low_dose, denoised
        HU, `(n, height, width)`, 64 pixels a side or more, finite, of one shape: neighbouring slices, or any images.
    lag_px
        The shortest lag, pixels, 1 to 16. Left out, it is where the autocorrelation of what was taken from flat places
        has fallen to 0.05, at least 4 and at most 10 pixels.
    confidence, n_bootstrap, seed
        Of the intervals, from resampled slices, of 10 or more, else from squares of 32 pixels. They hold for these
        images and other noise.

    Raises
    ------
    ValueError
        If shapes differ or are too small, or the two are the same.

    References
    ----------
    .. [1] Weickert, Int. J. Comput. Vis. 31, 111 (1999), the structure tensor.

    Examples
    --------
    >>> y, x = np.mgrid[:96, :96]
    >>> organ = 60.0 * (np.hypot(y - 48.0, x - 48.0) < 30.0)
    >>> noise = np.random.default_rng(0).normal(0.0, 10.0, (4, 96, 96))
    >>> blurred = ndimage.gaussian_filter(organ + noise, (0, 2, 2))
    >>> removed_structure(organ + noise, blurred).found
    True
    >>> removed_structure(organ + noise, organ + 0.2 * noise).found
    False
    """
    check_images(low_dose)
    check_images(denoised)
    if low_dose.shape != denoised.shape or min(low_dose.shape[1:]) < 64:
        raise ValueError(
            f"low-dose images of shape {low_dose.shape} and denoised ones of {denoised.shape}: give the same slices of "
            "both, 64 pixels a side or more"
        )
    n, height, width = low_dose.shape
    removed = np.asarray(low_dose - denoised, dtype=np.float32)
    removed -= removed.mean(axis=(1, 2), keepdims=True, dtype=np.float64).astype(np.float32)
    square = float(np.einsum("nhw,nhw->", removed, removed, dtype=np.float64)) / removed.size
    if square == 0.0:
        raise ValueError("the denoised images are the low-dose ones: nothing was taken away")
    shared = autocorrelation(removed)
    some = np.unique(np.linspace(0, n - 1, _FOR_LAG).astype(np.int64))
    lag = _lag_of(removed[some], [_Edges.of(denoised[k]) for k in some]) if lag_px is None else lag_px
    if not 1 <= lag <= REACH_PX:
        raise ValueError(f"lag_px is {lag}; it must be 1 to {REACH_PX} pixels")
    tile = _tiles(height, width) if n < FEWEST_SLICES else np.zeros((height, width), dtype=np.int64)
    n_tiles = int(tile.max()) + 1
    # Sums over the pixels of a unit: products, squares and numbers at edges, in flat places; squares of all.
    columns = np.zeros((n, n_tiles, 7))
    along = np.zeros(low_dose.shape, dtype=np.float32)
    for k in range(n):  # slice by slice: a long series need not be in memory twice
        image, one = removed[k].astype(np.float64), _Edges.of(denoised[k])
        for first, where in ((0, one.edge), (3, one.flat)):
            product, mean = one.along(image, where, lag)
            for column, values in enumerate((product, image[where] ** 2, np.ones(len(product)))):
                columns[k, :, first + column] = np.bincount(tile[where], weights=values, minlength=n_tiles)
            if where is one.edge:
                along[k][where] = mean
        columns[k, :, 6] = np.bincount(tile.ravel(), weights=image.ravel() ** 2, minlength=n_tiles)
    units = columns.reshape(-1, 7)
    n_edge = int(units[:, 2].sum())
    told = (units[:, 2] > 0).sum() >= 3 and units[:, 1].sum() > 0.0 and units[:, 4].sum() > 0.0
    # Told that units are clusters, the bootstrap allows for how few there are.
    how: dict[str, Any] = {"n_bootstrap": n_bootstrap, "confidence": confidence, "seed": seed}
    by_unit = how | {"clusters": np.arange(len(units))}
    return RemovedStructure(
        along_edges=bootstrap_interval(units, _along_edges, **by_unit) if told else None,
        of_all=bootstrap_interval(units, _of_all, **by_unit) if told else None,
        noise_hu=float(np.sqrt(square)),
        edge_pixels=n_edge,
        lag_px=lag,
        autocorrelation=shared,
        half_width_px=_half_width(shared),
        between_slices=_between(removed, how),
        map_hu=along,
    )


def autocorrelation(images: NDArray[np.floating], *, reach_px: int = REACH_PX) -> Floats:
    """Autocorrelation of images less their means, by lag, `(2 · reach_px + 1,) * 2`, 1 in the middle.

    Products are averaged over the pairs of pixels there are at each lag, so that the border costs nothing.

    Parameters
    ----------
    images
        `(n, height, width)`, finite, not constant, wider than the reach, or a ValueError.
    reach_px
        Largest lag, pixels, at least 1.

    Examples
    --------
    >>> white = np.random.default_rng(0).normal(size=(50, 64, 64))
    >>> bool(np.abs(autocorrelation(white, reach_px=2) - np.eye(5)[2] * np.eye(5)[2][:, None]).max() < 0.02)
    True
    """
    check_images(images)
    n, height, width = images.shape
    if not 1 <= reach_px < min(height, width):
        raise ValueError(f"reach_px is {reach_px}; it must be 1 to {min(height, width) - 1} pixels")
    padded = height + reach_px, width + reach_px
    total = np.zeros((padded[0], padded[1] // 2 + 1))
    for image in images:
        total += np.abs(fft.rfft2(image - image.mean(dtype=np.float64), padded)) ** 2
    lags = np.arange(-reach_px, reach_px + 1)
    products = fft.irfft2(total, padded)[np.ix_(lags, lags)]
    pairs = n * (height - np.abs(lags))[:, None] * (width - np.abs(lags))
    if not products[reach_px, reach_px] > 0.0:
        raise ValueError("the images are constant: they have no autocorrelation")
    found: Floats = products / pairs
    found /= found[reach_px, reach_px]
    return found


@dataclass(frozen=True)
class _Edges:
    """Where an image has edges, where it is flat, and which way edges run."""

    edge: NDArray[np.bool_]
    flat: NDArray[np.bool_]
    angle: Floats
    """Of the nearest edge from the columns, rad."""

    @classmethod
    def of(cls, image: NDArray[np.floating]) -> "_Edges":
        values = image.astype(np.float64)
        down, across = (ndimage.gaussian_filter(values, _GRADIENT_PX, order=order) for order in ((1, 0), (0, 1)))
        dd, aa, da = (ndimage.gaussian_filter(p, _TENSOR_PX) for p in (down**2, across**2, down * across))
        one_way, energy = np.hypot(dd - aa, 2.0 * da), dd + aa
        inner = np.zeros(image.shape, dtype=np.bool_)
        border = int(3 * _TENSOR_PX)
        inner[border:-border, border:-border] = True
        # A constant surround, such as air that was cut off, is neither.
        inner &= energy > 1e-12 * energy.max()
        median = float(np.median(energy[inner])) if inner.any() else 0.0
        edge = inner & (one_way > EDGE * median)
        near = ndimage.binary_dilation(one_way > 0.25 * EDGE * median, iterations=_AWAY_PX)
        angle = 0.5 * np.arctan2(2.0 * da, aa - dd) + np.pi / 2.0
        if edge.any():  # the direction that noise feigns in flat places would go with the noise that was taken there
            nearest = ndimage.distance_transform_edt(~edge, return_distances=False, return_indices=True)
            angle = angle[tuple(nearest)]
        return cls(edge, inner & ~near, angle)

    def along(self, image: Floats, where: NDArray[np.bool_], lag: int) -> tuple[Floats, Floats]:
        """Product of a pixel with those at some lags along its edge, both ways; and the mean of them all."""
        rows, columns = np.nonzero(where)
        angle = self.angle[where]
        others = np.zeros(len(rows))
        for step in range(lag, lag + _LAGS):
            for way in (-step, step):
                place = np.stack([rows + way * np.sin(angle), columns + way * np.cos(angle)])
                others += ndimage.map_coordinates(image, place, order=1, mode="nearest")
        others /= 2.0 * _LAGS
        here = image[where]
        return here * others, (here + 2.0 * _LAGS * others) / (2.0 * _LAGS + 1.0)


def _lag_of(removed: NDArray[np.floating], edges: list[_Edges]) -> int:
    """The lag from which the noise of flat places does not reach."""
    flat = np.stack([one.flat for one in edges])
    values = np.where(flat, removed.astype(np.float64), 0.0)
    pairs = flat.astype(np.float64)
    here = (values**2).sum()
    for lag in range(_SHORTEST_PX, _LONGEST_PX):
        worst = 0.0
        for axis in (1, 2):
            a, b = (np.roll(one, -lag, axis=axis) for one in (values, pairs))
            n = (b * pairs).sum()
            if n and here:
                worst = max(worst, abs(float((a * values).sum() / n / (here / pairs.sum()))))
        if worst <= _NO_MORE:
            return lag
    return _LONGEST_PX


def _tiles(height: int, width: int) -> NDArray[np.int64]:
    rows, columns = (np.arange(n) * max(n // SQUARE_PX, 1) // n for n in (height, width))
    return np.asarray(rows[:, None] * (columns.max() + 1) + columns, dtype=np.int64)


def _along_edges(mean: Floats) -> Floats:
    """Share of the variance at edges that is structure, from means of the sums of units, `(n, 7)`."""
    at_edges, in_flat = (mean[:, product] / np.maximum(mean[:, square], 1e-300) for product, square in ((0, 1), (3, 4)))
    # Structure s and noise n of correlation ρ: (s² + ρ n²) / (s² + n²) at edges, ρ in flat places.
    return np.asarray((at_edges - in_flat) / (1.0 - in_flat), dtype=np.float64)


def _of_all(mean: Floats) -> Floats:
    return np.asarray(_along_edges(mean) * mean[:, 1] / mean[:, 6], dtype=np.float64)


def _half_width(shared: Floats) -> float:
    lag = np.arange(-REACH_PX, REACH_PX + 1)
    distance = np.rint(np.hypot(lag[:, None], lag)).astype(np.int64)
    inside = distance <= REACH_PX
    mean = np.bincount(distance[inside], weights=shared[inside]) / np.bincount(distance[inside])
    if not (mean <= 0.5).any():
        return float("nan")
    i = int(np.argmax(mean <= 0.5))
    return float(i - 1 + (mean[i - 1] - 0.5) / (mean[i - 1] - mean[i]))


def _between(removed: NDArray[np.floating], how: dict[str, Any]) -> Interval | None:
    if len(removed) < 3:
        return None
    a, b = removed[:-1], removed[1:]
    pairs = ((a, b), (a, a), (b, b))
    columns = np.stack([np.einsum("nhw,nhw->n", *pair, dtype=np.float64) for pair in pairs], axis=1)
    return bootstrap_interval(columns, lambda mean: mean[:, 0] / np.sqrt(mean[:, 1] * mean[:, 2]), **how)
