"""Sites: where a signal stands, relative to the centre of a region or inside an organ."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from taskct.errors import UserError

SITES = ("list", "square", "disc")
TRIES = 64  # places tried at a time; those that do not fit are few

Places = tuple[NDArray[np.float64], NDArray[np.float64]]


def draw_sites(
    rng: np.random.Generator,
    n: int,
    *,
    kind: str,
    reach_mm: float = 0.0,
    offsets_mm: Sequence[tuple[float, float]] = ((0.0, 0.0),),
) -> Places:
    """Draw the offsets of `n` signals from the centre of their region, x and y in mm, `(n,)` each.

    Parameters
    ----------
    kind
        "list": one of the places of `offsets_mm`, all equally likely; "square": uniform within ± `reach_mm` in x and in
        y; "disc": uniform within `reach_mm` of the centre.
    reach_mm, offsets_mm
        Half side of the square or radius of the disc, mm, and places (x, y) from the centre, mm.

    Raises
    ------
    UserError
        If the kind is unknown, `reach_mm` is negative, or the places do not suit the kind.

    Examples
    --------
    >>> x, y = draw_sites(np.random.default_rng(0), 2, kind="list", offsets_mm=[(3.0, -1.0)])
    >>> x.tolist(), y.tolist()
    ([3.0, 3.0], [-1.0, -1.0])
    """
    if kind not in SITES:
        raise UserError(f"the signal's site is {kind!r}: choose one of {', '.join(SITES)}, or a site in an organ")
    if not 0 <= reach_mm < np.inf:
        raise UserError(f"the signal's site reaches {reach_mm:g} mm from the centre: give 0 mm or more")
    places = np.asarray(offsets_mm, dtype=np.float64).reshape(-1, 2)
    if len(places) == 0 or not np.isfinite(places).all():
        raise UserError(f"{len(places)} places for the signal's site {kind!r}: give one or more (x, y) in mm")
    if kind == "list":
        x, y = places[rng.integers(len(places), size=n)].T
    elif kind == "square":
        x, y = rng.uniform(-reach_mm, reach_mm, (2, n))
    else:
        radius, angle = reach_mm * np.sqrt(rng.random(n)), rng.uniform(0.0, 2.0 * np.pi, n)
        x, y = radius * np.cos(angle), radius * np.sin(angle)
    return x, y


def draw_sites_in_mask(
    rng: np.random.Generator,
    mask: NDArray[np.bool_],
    *,
    pixel_mm: float,
    radius_mm: NDArray[np.floating],
    centers: NDArray[np.bool_] | None = None,
) -> Places:
    """Draw places in an organ, uniform among those where the whole circle of a lesion lies inside it.

    Parameters
    ----------
    rng
        Source of randomness.
    mask, pixel_mm
        The organ, `(height, width)`, and its pixel pitch, mm; outside the image there is none of it.
    radius_mm
        Radius of the circle about each lesion, mm, shape `(n,)`; 0 only asks for the centre to lie in the organ.
    centers
        Pixels that a centre may lie in, shape of `mask`; None: any.

    Returns
    -------
    Centres relative to the middle of the mask, x and y in mm, `(n,)` each, at any sub-pixel place.

    Raises
    ------
    UserError
        If the organ is empty or a lesion fits nowhere in it.

    Examples
    --------
    >>> organ = np.zeros((20, 20), dtype=bool)
    >>> organ[5:15, 10:] = True
    >>> x, y = draw_sites_in_mask(np.random.default_rng(0), organ, pixel_mm=1.0, radius_mm=np.array([4.0]))
    >>> bool(4 <= x[0] <= 6), bool(abs(y[0]) <= 1)
    (True, True)
    """
    organ = np.pad(np.asarray(mask, dtype=bool), 1)
    if not organ.any():
        raise UserError("the organ's mask is empty: choose slices that hold the organ, or another site for the signal")
    # Only pixels that touch the organ can be nearest to a point in it.
    border = np.argwhere(~organ & ndimage.binary_dilation(organ, np.ones((3, 3), dtype=bool)))
    # No point of a pixel lies deeper than this; where it is too little the pixel need not be tried.
    deepest = np.where(organ, ndimage.distance_transform_edt(organ) + np.sqrt(0.5) - 0.5, -1.0)
    middlemost = np.array([np.unravel_index(int(deepest.argmax()), organ.shape)])
    largest = 2.0 * float(_depth(middlemost, border)[0]) * pixel_mm
    if centers is not None:
        deepest[~np.pad(centers, 1)] = -1.0
    middle = (np.array(organ.shape) - 1) / 2.0
    places = np.empty((len(radius_mm), 2))
    for i, radius in enumerate(np.asarray(radius_mm, dtype=np.float64) / pixel_mm):
        candidates = np.argwhere(deepest >= radius)
        for _ in range(TRIES if len(candidates) else 0):
            tried = candidates[rng.integers(len(candidates), size=TRIES)] + rng.uniform(-0.5, 0.5, (TRIES, 2))
            fits = np.flatnonzero(_depth(tried, border) >= radius)
            if len(fits):
                places[i] = (tried[fits[0]] - middle) * pixel_mm
                break
        else:
            raise UserError(
                f"a lesion of {2 * radius * pixel_mm:.3g} mm across does not fit into the organ, whose largest "
                f"inscribed circle is about {largest:.3g} mm: lower signal.diameter_mm or choose a larger organ"
            )
    return places[:, 1], places[:, 0]


def _depth(points: NDArray[np.number], border: NDArray[np.int64]) -> NDArray[np.float64]:
    """Distance of points from the pixels of a border, whole squares; (row, column) in pixels, shape `(n, 2)`."""
    gap = np.abs(points[:, None, :] - border[None, :, :]) - 0.5
    depth: NDArray[np.float64] = np.hypot(*np.moveaxis(np.maximum(gap, 0.0), -1, 0)).min(axis=1)
    return depth
