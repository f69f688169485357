"""Shapes: how a signal looks in the plane, area-averaged over pixels.

Every signal is defined in the continuous plane. A disc, sphere, ellipsoid, lobulated, spiculated or LIDC signal fills
an outline evenly; a Gaussian and a nodule fall off from the middle. A Gaussian of `blur_mm` then blurs all of them
alike. Along z a sphere and an ellipsoid end (see `slice_mm`); the others go on through the slice.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import special

from taskct.errors import UserError
from taskct.tasks.shape_registry import SHAPE_KINDS, TAIL, Array, Shape
from taskct.tasks.signals import Signals

N_VERTICES = 256
SIGNALS_PER_BATCH = 32  # bounds the memory: a batch of fine patches at a time

Lidc = Mapping[int, NDArray[np.floating]]
"""Outlines `(N_VERTICES, 2)` about their centroid by annotation number, of the area of a circle of diameter 1."""


def _having(signals: Signals, holds: Callable[[Shape], bool]) -> NDArray[np.bool_]:
    """Which signals are of a shape of which something holds."""
    return np.isin(signals.shape, [number for number, kind in enumerate(SHAPE_KINDS.values()) if holds(kind)])


def _by_shape(signals: Signals) -> Iterator[tuple[Shape, NDArray[np.intp]]]:
    """Every shape among the signals, and which have it."""
    for number, kind in enumerate(SHAPE_KINDS.values()):
        if len(here := np.flatnonzero(signals.shape == number)):
            yield kind, here


def polygon_area(polygon: NDArray[np.floating]) -> Array:
    """Signed area of polygons `(…, n_vertices, 2)`: positive if they turn from +x towards +y."""
    x, y = np.moveaxis(np.asarray(polygon, dtype=np.float64), -1, 0)
    area: Array = 0.5 * (x * np.roll(y, -1, axis=-1) - np.roll(x, -1, axis=-1) * y).sum(axis=-1)
    return area


def outlines_mm(signals: Signals, *, lidc: Lidc | None = None) -> Array:
    """Trace the rim of every signal about its own centre: polygons, (x, y) in mm, `(n, N_VERTICES, 2)`.

    A lobulated one has broad bulges between narrow clefts, r(θ) ∝ 1 + depth·|cos(kθ/2)|, a spiculated one a round core
    with k narrow spicules, r(θ) ∝ 1 + depth·cos¹²(kθ/2). A Gaussian's rim is where it falls to half, a nodule's where
    it ends. All are scaled to the area of a circle of `diameter_mm`, stretched to `aspect` and turned by `angle_rad`.

    A ValueError says that a LIDC outline is missing.
    """
    theta = np.arange(N_VERTICES, dtype=np.float64) * (2.0 * np.pi / N_VERTICES)
    radius = np.ones((len(signals), N_VERTICES))
    n_lobes = signals.n_lobes.astype(np.float64)
    for kind, i in _by_shape(signals):
        if kind.radius is not None:
            radius[i] = kind.radius(theta, n_lobes[i, None], signals.lobe_depth[i, None])
    polygon = radius[..., None] * np.stack([np.cos(theta), np.sin(theta)], axis=-1)
    for one in np.flatnonzero(_having(signals, lambda kind: "outline" in kind.uses)):
        if lidc is None or int(signals.outline[one]) not in lidc:
            raise ValueError(f"the LIDC outline {signals.outline[one]} is not among those given")
        polygon[one] = lidc[int(signals.outline[one])]
    scale = np.sqrt(np.pi / 4.0 / np.abs(polygon_area(polygon))) * signals.diameter_mm
    stretch = np.sqrt(signals.aspect)
    x, y = polygon[..., 0] * (scale / stretch)[:, None], polygon[..., 1] * (scale * stretch)[:, None]
    cos, sin = np.cos(signals.angle_rad)[:, None], np.sin(signals.angle_rad)[:, None]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def half_axes_mm(signals: Signals) -> tuple[Array, Array]:
    """Semi-axes along `angle_rad` and across it, mm, each `(n,)`, of the ellipse of the same area and aspect."""
    half, stretch = signals.diameter_mm / 2.0, np.sqrt(signals.aspect)
    return half / stretch, half * stretch


def rim_radius_mm(signals: Signals, *, lidc: Lidc | None = None) -> Array:
    """Radius of the circle about the centre that holds the rim, mm, `(n,)`: what must fit into an organ."""
    polygon = outlines_mm(signals, lidc=lidc)
    radius: Array = np.hypot(polygon[..., 0], polygon[..., 1]).max(axis=1)
    return radius


def extent_mm(signals: Signals, *, lidc: Lidc | None = None) -> Array:
    """Radius of the circle about the centre outside which nothing lies, mm, `(n,)`; Gaussian tails end at 4 σ."""
    reach = np.array([kind.reach for kind in SHAPE_KINDS.values()])[signals.shape]
    extent: Array = rim_radius_mm(signals, lidc=lidc) * reach + TAIL * signals.blur_mm
    return extent


def patch_pixels(signals: Signals, *, pixel_mm: float, lidc: Lidc | None = None) -> int:
    """Side in pixels of the smallest patch that holds any of the signals whole, its outermost pixels empty."""
    return int(np.ceil(2.0 * extent_mm(signals, lidc=lidc).max(initial=0.0) / pixel_mm)) + 2


def render(
    signals: Signals,
    *,
    n_pixels: int,
    pixel_mm: float,
    slice_mm: float = 0.0,
    placed: bool = False,
    supersample: int = 3,
    lidc: Lidc | None = None,
) -> NDArray[np.float32]:
    """Draw signals as area averages over the pixels of a patch: HU above the background, `(n, n_pixels, n_pixels)`.

    What fills an outline is exact (of a polygon of `N_VERTICES` corners); a profile is sampled `supersample`² times a
    pixel. A blur is accurate from a standard deviation of one pixel on; below it keeps its variance, not its form.

    Parameters
    ----------
    signals, lidc
        `n` signals, and the outlines that those of shape "lidc" name.
    n_pixels, pixel_mm
        The patch's side in pixels and its pitch, mm; `patch_pixels` holds a signal whole, less cuts it off.
    slice_mm
        Thickness of the slice, mm, through whose middle plane a sphere or an ellipsoid (as deep as its `diameter_mm`)
        is cut, and over which it is averaged along z; 0 is the cut itself.
    placed
        Whether signals stand at (`x_mm`, `y_mm`) from the patch's middle, at their sub-pixel place, or in its middle.
    supersample
        Samples of a profile along a pixel's side.

    Examples
    --------
    >>> pixel = Signals.from_columns({"diameter_mm": np.array([1.0]), "contrast_hu": np.array([100.0])})
    >>> [round(float(v), 1) for v in render(pixel, n_pixels=1, pixel_mm=2.0).ravel()]  # 100 · π/16
    [19.6]
    """
    images = np.empty((len(signals), n_pixels, n_pixels), dtype=np.float32)
    pad = int(np.ceil(TAIL * signals.blur_mm.max(initial=0.0) / pixel_mm))  # the blur reaches in from outside
    side = n_pixels + 2 * pad
    inside = slice(pad, pad + n_pixels)
    profiled = _having(signals, lambda kind: kind.profile is not None or (kind.solid and slice_mm > 0))
    for start in range(0, len(signals), SIGNALS_PER_BATCH):
        index = np.arange(start, min(start + SIGNALS_PER_BATCH, len(signals)))
        unit = np.empty((len(index), side, side))
        soft, even = profiled[index], ~profiled[index]
        if soft.any():
            unit[soft] = _profiles(signals[index[soft]], side, pixel_mm, slice_mm, placed, supersample)
        if even.any():
            unit[even] = _fillings(signals[index[even]], side, pixel_mm, placed, lidc)
        blurred = _blur(unit, signals.blur_mm[index] / pixel_mm) if pad else unit
        images[index] = signals.contrast_hu[index, None, None] * blurred[:, inside, inside]
    return images


def _center(signals: Signals, placed: bool) -> tuple[Array, Array]:
    return (signals.x_mm, signals.y_mm) if placed else (np.zeros(len(signals)), np.zeros(len(signals)))


def _profiles(signals: Signals, side: int, pixel_mm: float, slice_mm: float, placed: bool, samples: int) -> Array:
    """Signals that depend on the radius in an ellipse alone, of unit contrast."""
    fine = (np.arange(side * samples) - (side * samples - 1) / 2.0) * pixel_mm / samples
    x, y = (c[:, None, None] for c in _center(signals, placed))
    dx, dy = fine[None, None, :] - x, fine[None, :, None] - y
    cos, sin = np.cos(signals.angle_rad)[:, None, None], np.sin(signals.angle_rad)[:, None, None]
    half_x, half_y = (half[:, None, None] for half in half_axes_mm(signals))
    square = ((dx * cos + dy * sin) / half_x) ** 2 + ((dy * cos - dx * sin) / half_y) ** 2
    value = np.empty_like(square)
    for kind, i in _by_shape(signals):
        if kind.profile is not None:
            value[i] = kind.profile(square[i], signals.exponent[i, None, None])
        else:  # a solid, averaged over the slice
            depth = signals.diameter_mm[i, None, None] / slice_mm
            value[i] = np.minimum(depth * np.sqrt(np.maximum(1.0 - square[i], 0.0)), 1.0)
    mean: Array = value.reshape(-1, side, samples, side, samples).mean(axis=(2, 4))
    return mean


def _fillings(signals: Signals, side: int, pixel_mm: float, placed: bool, lidc: Lidc | None) -> Array:
    """Signals that fill an outline evenly, of unit contrast: exact areas by pixel."""
    polygon = outlines_mm(signals, lidc=lidc) + np.stack(_center(signals, placed), axis=-1)[:, None, :]
    corner = (polygon / pixel_mm + side / 2.0).reshape(-1, 2)  # in pixels from the patch's edge
    after = np.roll(polygon / pixel_mm + side / 2.0, -1, axis=1).reshape(-1, 2)
    edge = np.concatenate([corner, after], axis=1)
    owner = np.repeat(np.arange(len(signals)), N_VERTICES)
    for axis in (0, 1):
        edge, source = _split(edge, axis)
        owner = owner[source]
    x, y = (edge[:, 0] + edge[:, 2]) / 2.0, (edge[:, 1] + edge[:, 3]) / 2.0
    inside = (y >= 0) & (y < side)
    owner, row, x = owner[inside], y[inside].astype(np.int64), np.clip(x[inside], 0.0, side)
    # Right of an edge the area changes by its height: in part in its own pixel, fully from the next one on.
    height = (edge[inside, 1] - edge[inside, 3]) * np.sign(polygon_area(polygon))[owner]
    column = x.astype(np.int64)
    share = x - column
    place = (owner * side + row) * (side + 2) + column
    change = np.bincount(
        np.concatenate([place, place + 1]),
        weights=np.concatenate([height * (1.0 - share), height * share]),
        minlength=len(signals) * side * (side + 2),
    )
    area = change.reshape(len(signals), side, side + 2).cumsum(axis=2)[..., :side]
    filled: Array = np.clip(area, 0.0, 1.0)  # an outline that crosses itself counts once
    return filled


def _split(edge: Array, axis: int) -> tuple[Array, NDArray[np.int64]]:
    """Cut edges (x0, y0, x1, y1) at the whole numbers of one axis; also which edge each piece comes from."""
    start, end = edge[:, axis], edge[:, axis + 2]
    low, high = np.floor(np.minimum(start, end)), np.floor(np.maximum(start, end))
    n_pieces = (high - low).astype(np.int64) + 1
    source = np.repeat(np.arange(len(edge)), n_pieces)
    number = np.arange(len(source)) - np.repeat(np.cumsum(n_pieces) - n_pieces, n_pieces)
    first, last = np.minimum(start, end)[source], np.maximum(start, end)[source]
    span = np.where(last > first, last - first, 1.0)
    begin = np.clip((low[source] + number - first) / span, 0.0, 1.0)
    stop = np.where(number == n_pieces[source] - 1, 1.0, np.clip((low[source] + number + 1 - first) / span, 0.0, 1.0))
    backward = (start > end)[source]
    begin, stop = np.where(backward, 1.0 - stop, begin)[:, None], np.where(backward, 1.0 - begin, stop)[:, None]
    p0, p1 = edge[source, :2], edge[source, 2:]
    return np.concatenate([p0 + begin * (p1 - p0), p0 + stop * (p1 - p0)], axis=1), source


def _crossings(polygon: Array, n_rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Array, Array]:
    """Where outlines cross the middles of rows: polygon, row, column, and the change of winding number towards +x."""
    before, after = polygon.reshape(-1, 2), np.roll(polygon, -1, axis=1).reshape(-1, 2)
    # An edge crosses the rows whose middles lie between its ends, the lower end included.
    start, end = (np.clip(np.ceil(y - 0.5), 0, n_rows).astype(np.int64) for y in (before[:, 1], after[:, 1]))
    first, n_crossed = np.minimum(start, end), np.abs(end - start)
    edge = np.repeat(np.arange(len(before)), n_crossed)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(n_crossed) - n_crossed, n_crossed) + first[edge]
    (x0, y0), (x1, y1) = before[edge].T, after[edge].T
    owner = edge // polygon.shape[1]
    column = x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0)
    turn = np.where(y1 < y0, 1.0, -1.0) * np.sign(polygon_area(polygon))[owner]
    return owner, row, column, turn


def _blur(image: Array, sigma: Array) -> Array:
    """Blur each image by a Gaussian of its own standard deviation, pixels, `(n,)`.

    The kernel is a sampled Gaussian, or where that is narrower than a pixel e^{−σ²} I_k(σ²), the discrete Gaussian,
    whose variance is σ² however small that is (Lindeberg, IEEE Trans. Pattern Anal. Mach. Intell. 12, 234, 1990).
    """
    steps, variance = np.arange(image.shape[-1]), (sigma**2)[:, None]
    sampled = np.exp(-0.5 * steps**2 / np.maximum(variance, 1.0))
    sampled /= 2.0 * sampled.sum(axis=1, keepdims=True) - 1.0
    kernel = np.where(variance >= 1.0, sampled, special.ive(steps, variance))
    matrix = kernel[:, np.abs(steps[:, None] - steps)]
    blurred: Array = matrix @ image @ matrix
    return blurred


def signal_site(signals: Signals, *, n_pixels: int, pixel_mm: float, lidc: Lidc | None = None) -> NDArray[np.bool_]:
    """Pixels whose centre lies in each signal's rim, and the one that holds its centre: `(n, n_pixels, n_pixels)`.

    `lidc` has the outlines that signals of shape "lidc" name; `pixel_mm` is the region's pitch, mm.
    """
    site = np.zeros((len(signals), n_pixels, n_pixels), dtype=bool)
    axis = np.arange(n_pixels, dtype=np.float64) + 0.5
    for start in range(0, len(signals), SIGNALS_PER_BATCH):
        part = signals[start : start + SIGNALS_PER_BATCH]
        center = np.stack([part.x_mm, part.y_mm], axis=-1) / pixel_mm + n_pixels / 2.0
        polygon = outlines_mm(part, lidc=lidc) / pixel_mm + center[:, None, :]
        owner, row, column, turn = _crossings(polygon, n_pixels)
        winding = np.zeros((len(part), n_pixels, n_pixels + 1))
        np.add.at(winding, (owner, row, np.clip(np.ceil(column - 0.5), 0, n_pixels).astype(np.int64)), turn)
        # A signal smaller than a pixel may miss every pixel centre; a mean over its site still needs one.
        near = np.abs(axis - center[..., None]) <= 0.5
        inside = winding.cumsum(axis=2)[..., :n_pixels] > 0.5
        site[start : start + len(part)] = inside | (near[:, 1, :, None] & near[:, 0, None, :])
    return site


def contrast_bound_hu(signals: Signals, *, pixel_mm: float, slice_mm: float = 0.0) -> Array:
    """Most of each contrast that averaging over pixels, the slice and the blur can leave, HU, `(n,)`, at least 0.

    What is spread over a pixel of area A, or by a blur of standard deviation σ, cannot exceed the integral of the
    signal over A or over 2πσ².
    """
    mass = np.pi / 4.0 * signals.diameter_mm**2
    for kind, i in _by_shape(signals):
        mass[i] /= kind.per_disc(signals.exponent[i])
    peak = np.ones(len(signals))
    if slice_mm > 0:
        thin = _having(signals, lambda kind: kind.solid)
        peak = np.where(thin, np.minimum(signals.diameter_mm / slice_mm, 1.0), peak)
        mass = np.where(thin, mass * np.minimum(2.0 / 3.0 * signals.diameter_mm / slice_mm, 1.0), mass)
    spread = np.maximum(pixel_mm**2, 2.0 * np.pi * signals.blur_mm**2)
    bound: Array = np.abs(signals.contrast_hu) * np.minimum(peak, mass / spread)
    return bound


def check_visible(
    signals: Signals, *, pixel_mm: float, slice_mm: float = 0.0, min_hu: float = 1.0, max_share: float = 0.1
) -> None:
    """Raise a `UserError` if more than a share of the signals keep less than a contrast, HU, at this pixel size.

    By default that is the step of a CT image, and a tenth of them: a range of contrasts may well pass through 0.
    """
    bound = contrast_bound_hu(signals, pixel_mm=pixel_mm, slice_mm=slice_mm)
    gone = bound < min_hu
    if gone.mean() > max_share:
        worst = int(np.argmin(np.where(gone, np.abs(signals.contrast_hu) * -1.0, np.inf)))
        raise UserError(
            f"{gone.mean():.0%} of the signals vanish at pixels of {pixel_mm:g} mm: one of "
            f"{signals.contrast_hu[worst]:.3g} HU and {signals.diameter_mm[worst]:.3g} mm keeps at most "
            f"{bound[worst]:.2g} HU, less than {min_hu:g} HU: raise signal.contrast_hu or signal.diameter_mm, or lower "
            "signal.blur_mm or scanner.pixel_mm"
        )
