"""Classical filters on HU images, tuned on validation pairs: what a network has to beat."""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

from taskct.denoisers.bilateral import filter_bilateral
from taskct.denoisers.total_variation import minimize_total_variation
from taskct.errors import UserError
from taskct.progress import Progress

Image = NDArray[np.float64]

TV_TOLERANCE = 0.01  # of the noise: root mean squared distance from the exact minimum
TUNED_PIXELS, TUNED_IMAGES = 2**19, (8, 64)  # of all images, and fewest and most images, that a filter is tuned on
MAX_LONGER = 8  # steps by which a grid of strengths grows at either end
WORTH = 1e-3  # relative fall of the mean squared error that makes it grow
N_REFINEMENTS = 6  # evaluations after the grid


def _nlm(image: Image, strength_hu: float, noise_hu: float, search_pixels: float) -> Image:
    # The fast mode's patch has a pixel less than asked: `findings/scikit-image-nlm-fast-patch.sh`.
    # In HU as they are: the cut-off has the unit of the image. What `sigma` would take off the distances is 0: the
    # tuned cut-off does as much, and in noise that neighbours share it does better.
    filtered: Image = denoise_nl_means(
        image, patch_size=5, patch_distance=int(search_pixels), h=strength_hu, fast_mode=True, preserve_range=True
    )
    return filtered


def _tv(image: Image, strength_hu: float, noise_hu: float, n_iterations: float) -> Image:
    # The weight of the total variation against half the squared error has the unit of the image.
    if n_iterations == 0:
        return minimize_total_variation(image, strength_hu, tolerance=TV_TOLERANCE * noise_hu)
    filtered: Image = denoise_tv_chambolle(  # type: ignore[no-untyped-call]  # scikit-image's
        image, weight=strength_hu, eps=0.0, max_num_iter=int(n_iterations)
    )
    return filtered


def _bilateral(image: Image, strength_hu: float, noise_hu: float, distance_pixels: float) -> Image:
    return filter_bilateral(image, value_std=strength_hu, distance_std=distance_pixels)


@dataclass(frozen=True)
class ClassicalFilter:
    """A filter with a strength and one more parameter."""

    title: str  # as in a table
    strength: str  # what the strength is
    # Of an image, the strength and the noise's standard deviation, all in HU, and the second parameter.
    apply: Callable[[Image, float, float, float], Image]
    grid: tuple[float, ...]  # strengths to try first, relative to the noise's standard deviation, rising; at least two
    second: str  # name of the second parameter
    choices: tuple[float, ...]  # its values to choose from


CLASSICAL: dict[str, ClassicalFilter] = {
    "nlm": ClassicalFilter(
        "non-local means",
        "cut-off of the distance between patches of 4 x 4 pixels, which are sought within search_pixels",
        _nlm,
        (0.3, 0.6, 1.2, 2.4, 4.8),
        "search_pixels",
        (6, 12),
    ),
    "tv": ClassicalFilter(
        "total variation",
        "weight of the total variation; n_iterations is 0 for its exact minimum, else where Chambolle's solver stops",
        _tv,
        (0.25, 0.5, 1.0, 2.0, 4.0, 8.0),
        "n_iterations",
        (0, 10, 30, 60, 100),
    ),
    "bilateral": ClassicalFilter(
        "bilateral",
        "standard deviation over values, with distance_pixels over distance",
        _bilateral,
        (1.0, 2.0, 4.0, 8.0),
        "distance_pixels",
        (1.5, 3.0, 6.0),
    ),
}
"""Filters by name: non-local means [1]_ in its fast form [2]_ by scikit-image, total variation [3]_, bilateral [4]_.

The exact minimum of the total variation has steps where the noise is correlated or the object is smooth, so that an
early stop [3]_ often leaves a lower error: which of them is better is decided on validation images, like the strength.

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
    """Filter images one by one, to float32.

    Parameters
    ----------
    name
        A key of `CLASSICAL`, or a UserError.
    images_hu
        HU, shape `(n, height, width)`, finite, or a UserError.
    parameters
        `strength_hu` and `noise_hu`, both positive, HU, and the filter's second parameter; `tune` finds them.

    Returns
    -------
    Float32 HU of the same shape.
    """
    chosen = _find(name)
    _check_images(images_hu, "the")
    expected = ("strength_hu", "noise_hu", chosen.second)
    if set(parameters) != set(expected):
        raise UserError(f"{name} takes the parameters {', '.join(expected)}, not {', '.join(parameters) or 'none'}")
    strength_hu, noise_hu, second = (float(parameters[key]) for key in expected)
    for key, value in (("strength_hu", strength_hu), ("noise_hu", noise_hu)):
        if not 0 < value < math.inf:
            raise UserError(f"{name}: {key} is {value:g} HU; it must be more than 0 HU and finite")
    if second not in chosen.choices:
        known = ", ".join(f"{choice:g}" for choice in chosen.choices)
        raise UserError(f"{name}: {chosen.second} is {second:g}; it must be one of {known}")
    filtered = np.empty(images_hu.shape, dtype=np.float32)
    for index, image in enumerate(images_hu):
        # In float64: the sums that these filters run over whole images lose HU in float32.
        filtered[index] = chosen.apply(np.ascontiguousarray(image, dtype=np.float64), strength_hu, noise_hu, second)
    return filtered


def tune(
    name: str,
    noisy: NDArray[np.floating],
    reference: NDArray[np.floating],
    *,
    margin: int = 0,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Find the parameters of a filter that make the mean squared error of validation images least.

    For each of the second parameter's choices the filter's grid of strengths is tried, relative to the noise's standard
    deviation, which is that of noisy − reference; while the best is the first or the last, the grid grows beyond it.
    Then, for the best choice, the logarithm of the strength is narrowed down by Brent's method between the best one's
    neighbours. At most 64 images take part, evenly spread, and fewer if they are large: those fix a strength well
    enough.

    Parameters
    ----------
    name, progress
        A key of `CLASSICAL`; called after every evaluation.
    noisy, reference
        Validation images, HU, shape `(n, height, width)`.
    margin
        Pixels at each side of the images that do not count, at least 0; a ValueError, if it leaves nothing.

    Returns
    -------
    `strength_hu` and `noise_hu`, HU, and the second parameter, for `filter_images`. Of all that were tried, the best.
    Warns if the best strength is the end of a grid that has grown as far as it may.

    Raises
    ------
    UserError
        If the name is unknown, the images are not as above, of different shape or not finite, or do not differ.
    """
    chosen = _find(name)
    _check_images(noisy, "the noisy")
    _check_images(reference, "the reference")
    if noisy.shape != reference.shape:
        raise UserError(f"noisy images have shape {noisy.shape}, reference images {reference.shape}: give pairs")
    height, width = noisy.shape[1:]
    if not 0 <= 2 * margin < min(height, width):
        raise ValueError(f"a margin of {margin} pixels leaves nothing of images of {height} x {width} pixels")
    inner = (slice(None), slice(margin, height - margin), slice(margin, width - margin))
    noise_hu = float((noisy[inner] - reference[inner].astype(np.float64)).std())
    if noise_hu == 0:
        raise UserError("noisy and reference images do not differ, so there is no noise to tune a filter on")
    few = _spread(len(noisy), height * width)
    some, target = noisy[few], reference[few][inner].astype(np.float64)
    search = _Search(
        lambda parameters: float(((filter_images(name, some, parameters)[inner] - target) ** 2).mean()),
        chosen,
        noise_hu,
        None if progress is None else lambda done, total, text: progress(done, total, f"{name}: {text}"),
    )
    return search.best_parameters()


def n_tuned(n: int, pixels: int) -> int:
    """How many images a filter is tuned on, of `n` with so many pixels each."""
    return min(max(TUNED_PIXELS // pixels, TUNED_IMAGES[0]), TUNED_IMAGES[1], n)


def _spread(n: int, pixels: int) -> NDArray[np.int64]:
    """Numbers of the images that a filter is tuned on, of `n` with so many pixels each."""
    return np.linspace(0, n - 1, n_tuned(n, pixels)).round().astype(np.int64)


class _Search:
    """The search for the parameters of a filter."""

    def __init__(
        self,
        mse: Callable[[Mapping[str, float]], float],
        chosen: ClassicalFilter,
        noise_hu: float,
        progress: Progress | None,
    ) -> None:
        self.mse, self.chosen, self.noise_hu, self.progress = mse, chosen, noise_hu, progress
        self.n_in_all = len(chosen.grid) * len(chosen.choices) + N_REFINEMENTS
        self.tried: dict[tuple[float, float], float] = {}

    def best_parameters(self) -> dict[str, float]:
        """Search, and give what was best."""
        grids = {second: self._grid(second) for second in self.chosen.choices}
        second = self._best()[1]
        self._refine(second, grids[second])
        relative, second = self._best()
        return self._parameters(relative, second)

    def _parameters(self, relative: float, second: float) -> dict[str, float]:
        return {"strength_hu": relative * self.noise_hu, "noise_hu": self.noise_hu, self.chosen.second: second}

    def _best(self) -> tuple[float, float]:
        return min(self.tried, key=lambda key: self.tried[key])

    def _try(self, relative: float, second: float) -> float:
        self.tried[relative, second] = self.mse(self._parameters(relative, second))
        if self.progress is not None:
            best = self._best()
            text = f"{math.sqrt(self.tried[best]):.2f} HU at {best[0] * self.noise_hu:.1f} HU"
            self.progress(len(self.tried), max(self.n_in_all, len(self.tried)), text)
        return self.tried[relative, second]

    def _grid(self, second: float) -> list[float]:
        """Strengths tried, rising: those of the grid, and more beyond an end while that is worth it."""
        grid = list(self.chosen.grid)
        values = [self._try(relative, second) for relative in grid]
        # An end that has grown is left alone once the fall is small: a filter may go on to a limit for ever.
        for at, beside, place in ((-1, -2, len), (0, 1, lambda _: 0)):
            for step in range(MAX_LONGER + 1):
                if values[at] > (1 - WORTH) * values[beside] or values[at] > min(values):
                    break
                if step == MAX_LONGER:
                    warnings.warn(
                        f"{self.chosen.title}: the best strength tried, {grid[at] * self.noise_hu:.3g} HU, is the "
                        "last of its list, so a better one may lie beyond",
                        stacklevel=4,
                    )
                    break
                further = grid[at] ** 2 / grid[beside]
                self.n_in_all += 1
                where = place(grid)
                grid.insert(where, further)
                values.insert(where, self._try(further, second))
        return grid

    def _refine(self, second: float, grid: list[float]) -> None:
        """Narrow down the logarithm of the strength, between the neighbours of the best."""
        longer = [grid[0] ** 2 / grid[1], *grid, grid[-1] ** 2 / grid[-2]]
        best = min(range(len(grid)), key=lambda k: self.tried[grid[k], second]) + 1
        minimize_scalar(
            lambda logarithm: self._try(math.exp(logarithm), second),
            bounds=(math.log(longer[best - 1]), math.log(longer[best + 1])),
            method="bounded",
            options={"maxiter": N_REFINEMENTS, "xatol": 0.0},
        )
