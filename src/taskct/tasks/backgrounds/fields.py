"""Plain backgrounds: a uniform body, with a texture in it or without."""

from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.tasks.backgrounds.drawn import AIR_HU, Drawn, Ellipses
from taskct.tasks.backgrounds.textures import clustered_lumpy, clustered_lumpy_moments, positive_lumps, power_law

LONGEST_MM = 60.0  # where the spectrum of a body's power-law texture levels off, mm


class Texture(Protocol):
    """A distribution of textures of zero mean."""

    def draw(self, rng: np.random.Generator, n: int, *, n_pixels: int, pixel_mm: float) -> NDArray[np.float32]:
        """Draw `n` fields, HU, `(n, n_pixels, n_pixels)`."""
        ...


@dataclass(frozen=True)
class Lumpy:
    """The textbook's lumpy background, less its mean; see `positive_lumps`.

    Examples
    --------
    >>> Lumpy(std_hu=10, sigma_mm=5, lumps_per_mm2=0.01).draw(np.random.default_rng(0), 2, n_pixels=8, pixel_mm=1).shape
    (2, 8, 8)
    """

    std_hu: float
    """Standard deviation, HU."""
    sigma_mm: float = 6.0
    """Standard deviation of a lump, mm."""
    lumps_per_mm2: float = 0.005
    """Mean density of the lumps, mm⁻²: the fewer, the less Gaussian the field."""

    def draw(self, rng: np.random.Generator, n: int, *, n_pixels: int, pixel_mm: float) -> NDArray[np.float32]:
        """Draw `n` fields, HU, `(n, n_pixels, n_pixels)`; a `UserError` if they are too fine for the grid."""
        if self.sigma_mm < pixel_mm / 2.0:
            raise UserError(
                f"lumps of {self.sigma_mm:g} mm are finer than the object grid's pixels of {pixel_mm:g} mm: give a "
                "standard deviation of at least half a pixel, or lower scanner.object_pixel_mm"
            )
        lump_hu = self.std_hu / np.sqrt(self.lumps_per_mm2 * np.pi * self.sigma_mm**2)
        return positive_lumps(
            rng,
            n,
            n_pixels=n_pixels,
            pixel_mm=pixel_mm,
            lumps_per_mm2=self.lumps_per_mm2,
            lump_sigma_mm=self.sigma_mm,
            lump_hu=lump_hu,
            level_hu=-lump_hu * self.lumps_per_mm2 * 2.0 * np.pi * self.sigma_mm**2,
        )


@dataclass(frozen=True)
class ClusteredLumpy:
    """The clustered lumpy background as published, scaled to a standard deviation, less its mean; `clustered_lumpy`."""

    std_hu: float
    """Standard deviation, HU."""
    unit_mm: float = 0.5
    """One pixel of the publication, mm: the scale of the texture."""

    def draw(self, rng: np.random.Generator, n: int, *, n_pixels: int, pixel_mm: float) -> NDArray[np.float32]:
        """Draw `n` fields, HU, `(n, n_pixels, n_pixels)`; a `UserError` if they are too fine for the grid."""
        if self.unit_mm < pixel_mm / 8.0:
            raise UserError(
                f"a unit of {self.unit_mm:g} mm is too fine for the object grid's pixels of {pixel_mm:g} mm: give at "
                "least an eighth of a pixel, or lower scanner.object_pixel_mm"
            )
        mean, std = clustered_lumpy_moments(n_pixels=n_pixels, pixel_mm=pixel_mm, unit_mm=self.unit_mm)
        fields = clustered_lumpy(rng, n, n_pixels=n_pixels, pixel_mm=pixel_mm, unit_mm=self.unit_mm)
        return (fields - np.float32(mean)) * np.float32(self.std_hu / std)


@dataclass(frozen=True)
class PowerLaw:
    """Gaussian noise with a spectrum of 1 / fᵝ; see `power_law`."""

    std_hu: float
    """Standard deviation over the ensemble, HU."""
    exponent: float = 3.0
    """β."""
    longest_mm: float | None = None
    """The spectrum levels off for waves longer than this, mm; None: for none."""

    def draw(self, rng: np.random.Generator, n: int, *, n_pixels: int, pixel_mm: float) -> NDArray[np.float32]:
        """Draw `n` fields, HU, `(n, n_pixels, n_pixels)`."""
        return power_law(rng, n, n_pixels=n_pixels, pixel_mm=pixel_mm, **asdict(self))


@dataclass(kw_only=True, eq=False)
class Uniform:
    """A uniform body in air, the same in every draw: the background known exactly.

    Raises
    ------
    UserError
        If the body does not fit the grid, or is emptier than air.

    Examples
    --------
    >>> disc = Uniform(n_pixels=64, pixel_mm=5, mean_hu=0, body_mm=(300, 300))
    >>> drawn = disc.draw(np.random.default_rng(0), np.arange(2))
    >>> float(drawn.total_hu(5)[0, 32, 32]), float(drawn.total_hu(5)[0, 0, 0])
    (0.0, -1000.0)
    """

    n_pixels: int
    pixel_mm: float
    """The object grid."""
    mean_hu: float = 0.0
    """HU of the body; 0 is water."""
    body_mm: float | tuple[float, float] | None = 300.0
    """Diameter, or width and height, of the body about the isocentre, mm, drawn exactly; None: the whole grid, which is
    not physical unless the grid lies within the field of view."""
    first_case: int = 0
    """Case number of object 0, so that splits never share one."""

    def __post_init__(self) -> None:
        if self.mean_hu < AIR_HU:
            raise UserError(f"a body of {self.mean_hu:g} HU attenuates less than air: give −1000 HU or more")
        if self.size_mm is not None:
            check_fits(max(self.size_mm), n_pixels=self.n_pixels, pixel_mm=self.pixel_mm)

    @property
    def size_mm(self) -> tuple[float, float] | None:
        """Width and height of the body, mm; None: the whole grid."""
        return (float(self.body_mm), float(self.body_mm)) if isinstance(self.body_mm, int | float) else self.body_mm

    def _texture(self, rng: np.random.Generator, n: int) -> NDArray[np.float32] | None:
        """What lies in the body beside its mean, HU, `(n, n_pixels, n_pixels)`."""
        return None

    def draw(self, rng: np.random.Generator, index: NDArray[np.int64]) -> Drawn:
        """Draw a body for every number, each a case of its own; a lesion may lie anywhere within it."""
        n, case = len(index), self.first_case + index
        texture, size_mm = self._texture(rng, n), self.size_mm
        level = self.mean_hu if size_mm is None else AIR_HU
        image = np.full((n, self.n_pixels, self.n_pixels), level, dtype=np.float32)
        if size_mm is None:
            return Drawn(image_hu=image if texture is None else image + texture, case=case)
        half_x, half_y, add_hu = (
            np.full((n, 1), value, dtype=np.float32)
            for value in (size_mm[0] / 2.0, size_mm[1] / 2.0, self.mean_hu - AIR_HU)
        )
        zero = np.zeros((n, 1), dtype=np.float32)
        body = Ellipses(zero, zero, half_x, half_y, zero, add_hu)
        cover = body.coverage(0, n_pixels=self.n_pixels, pixel_mm=self.pixel_mm)
        if texture is not None:
            image += cover * texture
        return Drawn(image_hu=image, case=case, organ=cover >= 1.0, ellipses=body)


@dataclass(kw_only=True, eq=False)
class Textured(Uniform):
    """A body, as of `Uniform`, with a texture in it, new in every draw: the background known statistically."""

    texture: Texture

    def _texture(self, rng: np.random.Generator, n: int) -> NDArray[np.float32]:
        return self.texture.draw(rng, n, n_pixels=self.n_pixels, pixel_mm=self.pixel_mm)


def lumpy_texture(*, texture_hu: float, lump_sigma_mm: tuple[float, float]) -> Lumpy:
    """A lumpy texture from the settings; its lumps are of the geometric mean of two sizes."""
    return Lumpy(std_hu=texture_hu, sigma_mm=float(np.sqrt(np.prod(lump_sigma_mm))))


def clustered_lumpy_texture(*, texture_hu: float, cluster_unit_mm: float) -> ClusteredLumpy:
    """A clustered lumpy texture from the settings."""
    return ClusteredLumpy(std_hu=texture_hu, unit_mm=cluster_unit_mm)


def power_law_texture(*, texture_hu: float, power_exponent: float) -> PowerLaw:
    """A power-law texture from the settings."""
    return PowerLaw(std_hu=texture_hu, exponent=power_exponent, longest_mm=LONGEST_MM)


def check_fits(width_mm: float, *, n_pixels: int, pixel_mm: float) -> None:
    """Refuse a body wider than the object grid by a `UserError` that tells the width that fits."""
    side = n_pixels * pixel_mm
    if width_mm > side:
        raise UserError(
            f"the body is up to {width_mm:.0f} mm wide but the object grid only {side:.0f} mm ({n_pixels} pixels of "
            f"{pixel_mm:g} mm): lower background.width_mm or background.body_mm, "
            "or raise scanner.object_pixels or scanner.object_pixel_mm"
        )
