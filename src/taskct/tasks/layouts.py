"""Layouts of low-contrast phantoms: a cylinder of water-like material, and rods along it at known places.

Angles run from +x (right) towards +y (down), so clockwise on the screen, as everywhere in `taskct.tasks`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.ranges import Range, Ranges, check_ranges

MAX_RODS, LONGEST_NAME = 200, 60

MIRRORED = "-mirrored"
"""At the end of the name of a layout that is seen from the phantom's other end."""

ROD_RANGES: Ranges = {
    "diameter_mm": Range(0.1, 200.0, unit="mm", meaning="the rod's diameter"),
    "contrast_hu": Range(-1000.0, 1000.0, unit="HU", meaning="what the rod adds to the cylinder"),
    "radius_mm": Range(0.0, 500.0, unit="mm", meaning="the rod's distance from the cylinder's axis"),
    "angle_deg": Range(-360.0, 360.0, unit="degrees", meaning="the rod's direction, clockwise from the right"),
}
"""Of a rod."""

LAYOUT_RANGES: Ranges = {
    "diameter_mm": Range(10.0, 1000.0, unit="mm", meaning="the cylinder's diameter"),
    "body_hu": Range(-1000.0, 3000.0, unit="HU", meaning="the cylinder's material"),
}
"""Of a layout."""


@dataclass(frozen=True)
class Rod:
    """A rod along a phantom: a disc in every slice.

    Raises
    ------
    UserError
        If a number is outside its range (`ROD_RANGES`), or the contrast is 0.
    """

    name: str
    diameter_mm: float
    contrast_hu: float
    """What it adds to the cylinder, HU; not 0."""
    radius_mm: float
    """Of its middle from the cylinder's axis, mm."""
    angle_deg: float
    """From the right, clockwise on the screen, degrees."""

    def __post_init__(self) -> None:
        try:
            check_ranges(ROD_RANGES, **{name: getattr(self, name) for name in ROD_RANGES})
        except UserError as error:
            raise UserError(f"rod {self.name!r}: {error}") from error
        if self.contrast_hu == 0:
            raise UserError(f"rod {self.name!r}: contrast_hu is 0; a rod without contrast is no signal, leave it out")


@dataclass(frozen=True)
class PhantomLayout:
    """A phantom's cylinder and its rods.

    Raises
    ------
    UserError
        If a number is outside its range (`LAYOUT_RANGES`), there is no rod, two have one name, two overlap, or one
        sticks out of the cylinder.

    Examples
    --------
    >>> one = PhantomLayout("one rod", 200.0, (Rod("10 mm", 10.0, 3.0, 40.0, 90.0),))
    >>> [coordinates.round(6).tolist() for coordinates in one.sites_mm(roll_deg=90.0)]
    [[-40.0], [0.0]]
    """

    name: str
    diameter_mm: float
    rods: tuple[Rod, ...]
    body_hu: float = 0.0
    """Of the cylinder's material; 0 is water."""
    source: str = ""
    """Where sizes and places come from."""

    def __post_init__(self) -> None:
        check_ranges(LAYOUT_RANGES, diameter_mm=self.diameter_mm, body_hu=self.body_hu)
        names = [rod.name for rod in self.rods]
        if not 1 <= len(names) <= MAX_RODS:
            raise UserError(f"layout {self.name!r} has {len(names)} rods; give 1 to {MAX_RODS}")
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise UserError(f"layout {self.name!r} has two rods of the name {twice!r}; give each a name of its own")
        for rod in self.rods:
            if rod.radius_mm + rod.diameter_mm / 2.0 > self.diameter_mm / 2.0:
                raise UserError(
                    f"rod {rod.name!r} reaches {rod.radius_mm + rod.diameter_mm / 2.0:g} mm from the axis, beyond the "
                    f"cylinder's radius of {self.diameter_mm / 2.0:g} mm; lower radius_mm"
                )
        x, y = self.sites_mm()
        radii = np.array([rod.diameter_mm / 2.0 for rod in self.rods])
        gaps = np.hypot(x[:, None] - x, y[:, None] - y) - radii[:, None] - radii
        np.fill_diagonal(gaps, 0.0)
        if (gaps < -1e-6).any():
            one, other = np.unravel_index(int(gaps.argmin()), gaps.shape)
            raise UserError(f"rods {names[one]!r} and {names[other]!r} overlap; mend radius_mm or angle_deg of one")

    def sites_mm(self, roll_deg: float = 0.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Middles of the rods from the axis, x and y in mm, `(n_rods,)` each, of a phantom turned by `roll_deg`."""
        radius = np.array([rod.radius_mm for rod in self.rods])
        angle = np.radians([rod.angle_deg + roll_deg for rod in self.rods])
        return radius * np.cos(angle), radius * np.sin(angle)

    def mirrored(self) -> "PhantomLayout":
        """Give the same phantom seen from its other end: left and right are exchanged."""
        rods = tuple(replace(rod, angle_deg=(540.0 - rod.angle_deg + 180.0) % 360.0 - 180.0) for rod in self.rods)
        name = self.name.removesuffix(MIRRORED) if self.name.endswith(MIRRORED) else self.name + MIRRORED
        return replace(self, name=name, rods=rods)


def _cct189() -> PhantomLayout:
    rods = [(3.0, 14.0, -45.0), (5.0, 7.0, -135.0), (7.0, 5.0, 135.0), (10.0, 3.0, 45.0)]
    return PhantomLayout(
        "cct189",
        200.0,
        tuple(Rod(f"{diameter:g} mm, {hu:g} HU", diameter, hu, 40.0, angle) for diameter, hu, angle in rods),
        source=(
            "CCT189 of the MITA low-contrast test: sizes, contrasts and places as in CCT189_obj.m of LCD-CT (U.S. FDA, "
            "github.com/DIDSR/LCD_CT, CC0), whose y points up."
        ),
    )


def _row(diameter_mm: float, angle_deg: float, radius_mm: float) -> list[Rod]:
    """Four rods on a chord, a diameter apart from rim to rim, its middle at an angle and a distance."""
    along, angle = 2.0 * diameter_mm * (np.arange(4) - 1.5), np.radians(angle_deg)
    x = radius_mm * np.cos(angle) - along * np.sin(angle)
    y = radius_mm * np.sin(angle) + along * np.cos(angle)
    return [
        Rod(f"{diameter_mm:g} mm {'abcd'[i]}", diameter_mm, 6.0, float(np.hypot(x[i], y[i])), float(_degrees(x, y)[i]))
        for i in range(4)
    ]


def _degrees(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.degrees(np.arctan2(y, x)))


def _acr464() -> PhantomLayout:
    rows: Sequence[tuple[float, float, float]] = [
        (6.0, -150.0, 55.0), (5.0, 130.0, 60.0), (4.0, 60.0, 60.0), (3.0, 0.0, 60.0), (2.0, -45.0, 60.0),
    ]  # fmt: skip
    return PhantomLayout(
        "acr464",
        200.0,
        (Rod("25 mm", 25.0, 6.0, 60.0, -90.0), *(rod for row in rows for rod in _row(*row))),
        body_hu=90.0,
        source=(
            "Module 2 of the ACR 464 phantom: diameters, 6 HU over about 90 HU and gaps of one diameter as the ACR "
            "describes the phantom; places of the rows as in github.com/akchan/acr_phantom_ct (MIT), the 25 mm rod as "
            "in pylinac's acr.py. The places are nominal: look at the picture."
        ),
    )


def _catphan600() -> PhantomLayout:
    diameters = (15.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0)
    turns = (0.0, 18.3, 34.7, 48.9, 62.3, 74.5, 82.5, 90.5, 95.5)
    first = {10.0: 92.6, 3.0: -147.4, 5.0: -27.4}  # direction of the largest rod, by contrast
    rods = [
        Rod(f"{diameter:g} mm, {hu:g} HU", diameter, hu, 50.0, start + turn)
        for hu, start in first.items()
        for diameter, turn in zip(diameters, turns, strict=True)
    ]
    return PhantomLayout(
        "catphan600",
        200.0,
        tuple(rods),
        body_hu=50.0,
        source=(
            "Supra-slice targets of CTP515 (Catphan 500, 600): 1.0, 0.5 and 0.3 % as 10, 5 and 3 HU at 50 mm; angles "
            "of the six largest of 1 % as in pylinac's CTP515CP600, of the smaller ones and of the other two sets (120 "
            "degrees apart) as in a public Geant4 model of the Catphan. Nominal: look at the picture."
        ),
    )


LAYOUTS: dict[str, PhantomLayout] = {layout.name: layout for layout in (_cct189(), _acr464(), _catphan600())}
"""Layouts that come with taskct, by name."""
