"""The eye filter: what spatial frequencies a reader sees at a viewing distance.

The image is reflected at its border before it is filtered: zero padding would put a step there, which a
band-pass eye sees as an edge, and periodic wrapping would join what lies far apart. Filtering a reflected
image with a real, even response is a product in the space of the discrete cosine transform (type II), so no
padded image is formed, and the filter is a symmetric linear operator: a template w behind the eye has the
pixel template E w. The response is 0 at zero frequency, which removes the mean of each image.
"""

import math
from functools import lru_cache
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

from taskct.metrics.eye_response import eye_response
from taskct.observer_registry import EYE, VIEWING_DISTANCE_MM, conditions
from taskct.observers.base import Array
from taskct.ranges import Range, check_ranges

if TYPE_CHECKING:  # it takes long, and is not needed to look at an observer's name
    import torch

FILTER_RANGES = {
    **conditions(*EYE),
    "exponent": Range(0.0, open_low=True),
    "peak_cycles_per_degree": Range(0.0, open_low=True, unit="cycles per degree"),
}


def eye_filter(
    shape: tuple[int, int],
    *,
    pixel_mm: float,
    viewing_distance_mm: float = VIEWING_DISTANCE_MM,
    magnification: float = 1.0,
    exponent: float = 1.3,
    peak_cycles_per_degree: float = 4.0,
) -> Array:
    """Response of the eye, in [0, 1], on the frequency grid of the reflected image, shape `(height, width)`.

    E(ρ) = ρⁿ exp(−c ρ²) with c = n / (2 ρ₀²), divided by its peak E(ρ₀); ρ in cycles per degree, n the `exponent`
    (Burgess, J. Opt. Soc. Am. A 11, 1237, 1994: n = 1.3, ρ₀ = 4). An object of frequency f (cycles/mm) shown at
    magnification m at distance D has ρ = f / m · D · π / 180. Entry (j, k) belongs to the object frequencies j / (2 ·
    height · pixel_mm) and k / (2 · width · pixel_mm), cycles/mm. A magnification of 1 shows a 350 mm slice 350 mm wide;
    larger moves the peak to finer detail of the object, 0.46 cycles/mm at 1.

    >>> eye_filter((64, 64), pixel_mm=0.7)[0, :4].round(2)
    array([0.  , 0.02, 0.04, 0.06])
    """
    check_ranges(FILTER_RANGES, exponent=exponent, peak_cycles_per_degree=peak_cycles_per_degree)
    of_eye = {"pixel_mm": pixel_mm, "viewing_distance_mm": viewing_distance_mm, "magnification": magnification}
    check_ranges(FILTER_RANGES, **of_eye)
    rows, columns = (np.arange(n) / (2.0 * n * pixel_mm) for n in shape)
    frequency = np.hypot(rows[:, None], columns[None, :])
    seen = {"viewing_distance_mm": viewing_distance_mm, "magnification": magnification}
    return eye_response(frequency, exponent=exponent, peak_cycles_per_degree=peak_cycles_per_degree, **seen)


class Eyed:
    """What observers behind an eye share: it filters their images."""

    pixel_mm: float
    viewing_distance_mm: float
    magnification: float

    def response(self, shape: tuple[int, int]) -> Array:
        """Response of this observer's eye for images of a shape, from `eye_filter`."""
        return eye_filter(
            shape,
            pixel_mm=self.pixel_mm,
            viewing_distance_mm=self.viewing_distance_mm,
            magnification=self.magnification,
        )

    def _seen(self, images: Array) -> Array:
        height, width = images.shape[-2:]
        return apply_eye_filter(images, self.response((height, width))).astype(np.float64, copy=False)


@lru_cache(maxsize=16)
def _cosines(n: int) -> "torch.Tensor":
    """Orthonormal matrix of the discrete cosine transform of type II, float64, shape `(n, n)`."""
    import torch

    index = torch.arange(n, dtype=torch.float64)
    matrix = torch.cos(math.pi / n * index[:, None] * (index + 0.5)) * math.sqrt(2.0 / n)
    matrix[0] /= math.sqrt(2.0)
    return matrix


@overload
def apply_eye_filter(images: "torch.Tensor", response: "torch.Tensor") -> "torch.Tensor": ...
@overload
def apply_eye_filter(images: NDArray[np.floating], response: NDArray[np.floating]) -> NDArray[np.floating]: ...
def apply_eye_filter(
    images: "torch.Tensor | NDArray[np.floating]", response: "torch.Tensor | NDArray[np.floating]"
) -> "torch.Tensor | NDArray[np.floating]":
    """Images, HU, `(…, height, width)`, as an eye of a response from `eye_filter` passes them on; their mean is 0.

    Linear, symmetric and, for tensors, differentiable.
    """
    import torch

    if not isinstance(images, torch.Tensor):
        # Copies in torch's own memory: its products depend, in their last bits, on where an array lies.
        own, own_response = (torch.tensor(np.ascontiguousarray(array)) for array in (images, response))
        filtered = apply_eye_filter(own, own_response)
        result: NDArray[np.floating] = filtered.numpy()
        return result
    if images.shape[-2:] != response.shape:
        raise ValueError(f"images are {tuple(images.shape[-2:])} but the response is {tuple(response.shape)}")
    rows, columns = (_cosines(n).to(images) for n in response.shape)
    spectrum = rows @ images @ columns.T * torch.as_tensor(response).to(images)
    return rows.T @ spectrum @ columns
