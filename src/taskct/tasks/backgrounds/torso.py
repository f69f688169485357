"""A torso drawn on the pixel grid: quick, and different in every draw."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.tasks.backgrounds.drawn import AIR_HU, Drawn, pixel_axis, soft_ellipse
from taskct.tasks.backgrounds.textures import lumpy

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Torso:
    """An abdomen-like phantom, different in every draw.

    A body ellipse of soft tissue with a rim of fat, a spine, two kidneys and a few vessels, all of random size, place
    and attenuation, over a lumpy parenchyma. The body scales with the grid; organs have the size of an adult's and are
    cut at the rim of fat.
    """

    n_pixels: int
    pixel_mm: float
    """The object grid."""
    lump_hu: float
    mean_lumps: float
    lump_sigma_mm: tuple[float, float]
    """The parenchyma's texture; see `lumpy`."""
    n_vessels: int
    """Vessels, each a small ellipse of contrast-filled blood."""
    first_case: int = 0
    """Case number of object 0, so that splits never share one."""

    def draw(self, rng: np.random.Generator, index: NDArray[np.int64]) -> Drawn:
        """Draw a phantom for every number, each a case of its own."""
        n = len(index)
        axis = pixel_axis(self.n_pixels, self.pixel_mm)
        grid = (axis[None, :], axis[:, None])
        half = self.n_pixels * self.pixel_mm / 2.0
        half_x = rng.uniform(0.78, 0.92, n) * half
        half_y = half_x * rng.uniform(0.68, 0.80, n)
        fat = rng.uniform(0.06, 0.14, n) * half_y
        zero = np.zeros(n)

        def ellipse(x: Array, y: Array, a: Array, b: Array) -> NDArray[np.float32]:
            return soft_ellipse(grid, x_mm=x, y_mm=y, half_x_mm=a, half_y_mm=b, edge_mm=1.5 * self.pixel_mm)

        def blend(under: NDArray[np.float32], cover: NDArray[np.float32], hu: Array) -> NDArray[np.float32]:
            return under + cover * (hu.astype(np.float32)[:, None, None] - under)

        texture = lumpy(
            rng,
            n,
            n_pixels=self.n_pixels,
            pixel_mm=self.pixel_mm,
            field_mm=2.0 * half,
            mean_lumps=self.mean_lumps,
            lump_sigma_mm=self.lump_sigma_mm,
            lump_hu=self.lump_hu,
        )
        image = np.full((n, self.n_pixels, self.n_pixels), AIR_HU, dtype=np.float32)
        image = blend(image, ellipse(zero, zero, half_x, half_y), rng.normal(-100.0, 8.0, n))
        inner = ellipse(zero, zero, half_x - fat, half_y - fat)
        image = blend(image, inner, rng.normal(55.0, 8.0, n)) + inner * texture
        for side in (-1.0, 1.0):
            x, y = side * rng.uniform(0.42, 0.55, n) * half_x, rng.uniform(0.30, 0.45, n) * half_y
            kidney = ellipse(x, y, rng.uniform(14.0, 22.0, n), rng.uniform(22.0, 30.0, n))
            image = blend(image, inner * kidney, rng.normal(140.0, 20.0, n))
        spine = ellipse(zero, 0.62 * half_y, rng.uniform(17.0, 22.0, n), rng.uniform(14.0, 19.0, n))
        image = blend(image, inner * spine, rng.normal(250.0, 40.0, n))
        for _ in range(self.n_vessels):
            radius, angle = np.sqrt(rng.uniform(0.0, 1.0, n)) * 0.45 * half_y, rng.uniform(0.0, 2.0 * np.pi, n)
            a, stretch = rng.uniform(2.5, 6.0, n), rng.uniform(1.0, 1.8, n)
            vessel = ellipse(radius * np.cos(angle), radius * np.sin(angle), a, a * stretch)
            image = blend(image, inner * vessel, rng.normal(110.0, 15.0, n))
        return Drawn(image_hu=image, case=self.first_case + index)
