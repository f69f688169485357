"""Classical filters on HU images, tuned on validation pairs: what a network has to beat."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.restoration import denoise_bilateral, denoise_nl_means, denoise_tv_chambolle

from taskct.errors import UserError

Image = NDArray[np.float64]
Progress = Callable[[int, int, str], None]
"""Called as (evaluations done, evaluations in all, the best so far)."""

GOLDEN = (math.sqrt(5) - 1) / 2


def _nlm(image: Image, strength_hu: float, noise_hu: float) -> Image:
    # In HU as they are: the cut-off and the noise have the unit of the image.
    filtered: Image = denoise_nl_means(
        image, patch_size=5, patch_distance=6, h=strength_hu, sigma=noise_hu, fast_mode=True, preserve_range=True
    )
    return filtered


def _tv(image: Image, strength_hu: float, noise_hu: float) -> Image:
    # The weight of the total variation against half the squared error has the unit of the image.
    filtered: Image = denoise_tv_chambolle(image, weight=strength_hu)  # type: ignore[no-untyped-call]  # scikit-image's
    return filtered


def _bilateral(image: Image, strength_hu: float, noise_hu: float) -> Image:
    # scikit-image looks differences up in a table over [0, maximum], which negative HU would break: filtered in [0, 1].
    low, span = float(image.min()), float(np.ptp(image))
    if span == 0:
        return image
    scaled = (image - low) / span
    filtered: Image = denoise_bilateral(
        scaled, win_size=9, sigma_color=strength_hu / span, sigma_spatial=1.5, mode="symmetric"
    )
    return filtered * span + low


@dataclass(frozen=True)
class ClassicalFilter:
    """A filter with one strength."""

    title: str
    """As in a table."""
    strength: str
    """What the strength is."""
    apply: Callable[[Image, float, float], Image]
    """Maps an image in HU, shape `(height, width)`, the strength in HU and the noise's standard deviation in HU to
    the filtered image."""
    grid: tuple[float, ...]
    """Strengths to try first, relative to the noise's standard deviation, rising."""


CLASSICAL: dict[str, ClassicalFilter] = {
    "nlm": ClassicalFilter(
        "non-local means",
        "cut-off of the distance between patches of 5 x 5 pixels, within 6 pixels",
        _nlm,
        (0.1, 0.2, 0.4, 0.6, 0.8, 1.2, 2.4),
    ),
    "tv": ClassicalFilter(
        "total variation", "weight of the total variation", _tv, (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 3.0)
    ),
    "bilateral": ClassicalFilter(
        "bilateral",
        "standard deviation over values, with 1.5 pixels over distance",
        _bilateral,
        (0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0),
    ),
}
"""Filters by name: non-local means [1]_ in its fast form [2]_, total variation [3]_, bilateral [4]_; by scikit-image.

References
----------
.. [1] Buades, Coll, Morel, "A non-local algorithm for image denoising", CVPR 2005, 2, 60.
.. [2] Darbon, Cunha, Chan, Osher, Jensen, ISBI 2008, 1331.
.. [3] Chambolle, "An algorithm for total variation minimization and applications", J. Math. Imaging Vis. 20, 89 (2004).
.. [4] Tomasi, Manduchi, "Bilateral filtering for gray and color images", ICCV 1998, 839.
"""


def _find(name: str) -> ClassicalFilter:
    if name not in CLASSICAL:
        raise UserError(f"the classical filter {name!r} is unknown: use {', '.join(CLASSICAL)}")
    return CLASSICAL[name]


def _check_images(images_hu: NDArray[np.floating], what: str) -> None:
    if images_hu.ndim != 3 or images_hu.size == 0:
        raise UserError(f"{what} images have shape {images_hu.shape}: it must be (n, height, width), none of them 0")
    if not np.isfinite(images_hu).all():
        raise UserError(f"{what} images hold values that are not finite: mend or leave out those images")


def filter_images(name: str, images_hu: NDArray[np.floating], parameters: Mapping[str, float]) -> NDArray[np.float32]:
    """Filter images one by one.

    Parameters
    ----------
    name
        A key of `CLASSICAL`.
    images_hu
        HU, shape `(n, height, width)`.
    parameters
        `strength_hu` and `noise_hu`, both positive, HU; `tune` finds them.

    Returns
    -------
    Float32 HU of the same shape.

    Raises
    ------
    UserError
        If the name is unknown, the images are not as above or not finite, or the parameters are missing or out of
        range.
    """
    chosen = _find(name)
    _check_images(images_hu, "the")
    if set(parameters) != {"strength_hu", "noise_hu"}:
        raise UserError(f"{name} takes the parameters strength_hu and noise_hu, not {', '.join(parameters) or 'none'}")
    strength_hu, noise_hu = float(parameters["strength_hu"]), float(parameters["noise_hu"])
    for key, value in (("strength_hu", strength_hu), ("noise_hu", noise_hu)):
        if not 0 < value < math.inf:
            raise UserError(f"{name}: {key} is {value:g} HU; it must be more than 0 HU and finite")
    filtered = np.empty(images_hu.shape, dtype=np.float32)
    for index, image in enumerate(images_hu):
        # In float64: the sums that these filters run over whole images lose HU in float32.
        filtered[index] = chosen.apply(np.ascontiguousarray(image, dtype=np.float64), strength_hu, noise_hu)
    return filtered


def tune(
    name: str,
    noisy: NDArray[np.floating],
    reference: NDArray[np.floating],
    *,
    margin: int = 0,
    n_refinements: int = 6,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Find the strength of a filter that makes the mean squared error of validation images least.

    First on the filter's grid, relative to the noise's standard deviation, which is that of noisy − reference; then by
    golden sections of the logarithm of the strength, between the neighbours of the best. If the best is the first or
    the last of the grid, that goes on beyond it for one step.

    Parameters
    ----------
    name
        A key of `CLASSICAL`.
    noisy, reference
        Validation images, HU, shape `(n, height, width)`. Some tens of them are enough.
    margin
        Pixels at each side of the images that do not count, at least 0.
    n_refinements
        Evaluations after the grid, at least 0.
    progress
        Called after every evaluation.

    Returns
    -------
    `strength_hu` and `noise_hu`, HU, for `filter_images`. Of all that were tried, the best.

    Raises
    ------
    UserError
        If the name is unknown, the images are not as above, of different shape or not finite, or do not differ.
    ValueError
        If the margin leaves nothing, or `n_refinements` is negative.
    """
    chosen = _find(name)
    _check_images(noisy, "the noisy")
    _check_images(reference, "the reference")
    if noisy.shape != reference.shape:
        raise UserError(f"noisy images have shape {noisy.shape}, reference images {reference.shape}: give pairs")
    if n_refinements < 0:
        raise ValueError(f"n_refinements is {n_refinements}; it must be at least 0")
    height, width = noisy.shape[1:]
    if not 0 <= 2 * margin < min(height, width):
        raise ValueError(f"a margin of {margin} pixels leaves nothing of images of {height} x {width} pixels")
    inner = (slice(None), slice(margin, height - margin), slice(margin, width - margin))
    target = reference[inner].astype(np.float64)
    noise_hu = float((noisy[inner] - target).std())
    if noise_hu == 0:
        raise UserError("noisy and reference images do not differ, so there is no noise to tune a filter on")
    n_in_all = len(chosen.grid) + n_refinements
    tried: dict[float, float] = {}

    def mse(relative: float) -> float:
        parameters = {"strength_hu": relative * noise_hu, "noise_hu": noise_hu}
        difference = filter_images(name, noisy, parameters)[inner] - target
        tried[relative] = float((difference**2).mean())
        if progress is not None:
            best = min(tried, key=lambda key: tried[key])
            progress(len(tried), n_in_all, f"{name}: {math.sqrt(tried[best]):.2f} HU at {best * noise_hu:.1f} HU")
        return tried[relative]

    on_grid = [mse(relative) for relative in chosen.grid]
    grid = [chosen.grid[0] ** 2 / chosen.grid[1], *chosen.grid, chosen.grid[-1] ** 2 / chosen.grid[-2]]
    best = int(np.argmin(on_grid)) + 1
    low, high = math.log(grid[best - 1]), math.log(grid[best + 1])
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    values: list[float | None] = [None, None]
    for _ in range(n_refinements):
        # One of the two inner points is new each time; the other is left from before.
        if values[0] is None:
            values[0] = mse(math.exp(left))
        elif values[1] is None:
            values[1] = mse(math.exp(right))
        if values[0] is None or values[1] is None:
            continue
        if values[0] <= values[1]:
            high, right, values = right, left, [None, values[0]]
            left = high - GOLDEN * (high - low)
        else:
            low, left, values = left, right, [values[1], None]
            right = low + GOLDEN * (high - low)
    return {"strength_hu": min(tried, key=lambda key: tried[key]) * noise_hu, "noise_hu": noise_hu}
