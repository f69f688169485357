"""The twin of a low-contrast phantom: its cylinder in air, and its rods where they are wanted."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from taskct.tasks.backgrounds.drawn import AIR_HU, Drawn, Ellipses
from taskct.tasks.backgrounds.fields import check_fits
from taskct.tasks.layout_file import find_layout
from taskct.tasks.layouts import PhantomLayout


@dataclass(kw_only=True, eq=False)
class Phantom:
    """A phantom of a layout about the isocentre, the same in every draw.

    Cylinder and rods are exact ellipses, which project in closed form. Without its rods it is the phantom's uniform
    module, into which signals are put.

    Raises
    ------
    UserError
        If the layout is unknown or the cylinder does not fit the grid.

    Examples
    --------
    >>> twin = Phantom(n_pixels=256, pixel_mm=1.0, layout="cct189", rods=True)
    >>> drawn = twin.draw(np.random.default_rng(0), np.arange(2))
    >>> image = drawn.total_hu(1.0)[0]
    >>> round(float(image[156, 156]), 2), round(float(image[128, 128]), 2), round(float(image[0, 0]), 2)
    (3.0, 0.0, -1000.0)
    """

    n_pixels: int
    pixel_mm: float
    """The object grid."""
    layout: str = "cct189"
    """A name of `LAYOUTS`, or the path of a YAML file, see `find_layout`."""
    rods: bool = False
    """Whether the rods stand in it."""
    roll_deg: float = 0.0
    """Turn of the rods, clockwise on the screen, degrees."""
    first_case: int = 0
    """Case number of object 0, so that splits never share one."""
    found: PhantomLayout = field(init=False, repr=False)
    """The layout itself."""

    def __post_init__(self) -> None:
        self.found = find_layout(self.layout)
        check_fits(self.found.diameter_mm, n_pixels=self.n_pixels, pixel_mm=self.pixel_mm)

    def draw(self, rng: np.random.Generator, index: NDArray[np.int64]) -> Drawn:
        """Draw a phantom for every number, each a case of its own; a lesion may lie anywhere within it."""
        n, one = len(index), self.found
        x, y = one.sites_mm(self.roll_deg) if self.rods else (np.empty(0), np.empty(0))
        radii = [rod.diameter_mm / 2.0 for rod in one.rods] if self.rods else []
        add_hu = [one.body_hu - AIR_HU, *([rod.contrast_hu for rod in one.rods] if self.rods else [])]

        def column(values: list[float]) -> NDArray[np.float32]:
            return np.tile(np.asarray(values, dtype=np.float32), (n, 1))

        radius = column([one.diameter_mm / 2.0, *radii])
        ellipses = Ellipses(
            column([0.0, *x]), column([0.0, *y]), radius, radius.copy(), np.zeros_like(radius), column(add_hu)
        )
        return Drawn(
            image_hu=np.full((n, self.n_pixels, self.n_pixels), AIR_HU, dtype=np.float32),
            case=self.first_case + index,
            organ=ellipses.coverage(0, n_pixels=self.n_pixels, pixel_mm=self.pixel_mm) >= 1.0,
            ellipses=ellipses,
        )
