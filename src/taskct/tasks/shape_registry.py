"""Every shape of a signal, one entry each: its outline or profile, what it uses, how it projects and what it is called.

A new entry goes at the end: saved trials name a shape by its number.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from taskct.ranges import Range, Ranges

SPIKE_POWER = 12  # a spicule is cos(kθ/2)^12: a fifth of its share of the circle wide at half its height
TAIL = 4.0  # standard deviations after which a Gaussian counts as nothing: 3e-4 of its peak
FWHM = float(np.sqrt(8.0 * np.log(2.0)))  # of a Gaussian of unit standard deviation
TAIL_RADII = TAIL * 2.0 / FWHM

Array = NDArray[np.float64]

SIGNAL_RANGES: Ranges = {
    "contrast_hu": Range(unit="HU"),
    "diameter_mm": Range(0.0, unit="mm", open_low=True),
    "blur_mm": Range(0.0, unit="mm"),
    "aspect": Range(0.05, 1.0),
    "angle_deg": Range(unit="degrees"),
    "exponent": Range(0.0, 20.0),
    "n_lobes": Range(2, 16, whole=True),
    "lobe_depth": Range(0.0, 3.0),
}
"""Of what `draw_signals` draws."""


@dataclass(frozen=True)
class Shape:
    """How a signal looks in the plane."""

    text: str  # in words, with its article; an adjective where `adjective`
    uses: tuple[str, ...] = ()  # properties of `Signals` that it depends on, of those that are not for every shape
    radius: Callable[[Array, Array, Array], Array] | None = None
    """Radius of its outline over the mean one, from the angle, the lobes and their depth; None: a circle's."""
    profile: Callable[[Array, Array], Array] | None = None
    """Contrast from the squared radius in units of the rim's, and the exponent; None: it fills its outline evenly."""
    per_disc: Callable[[Array], Array] = np.ones_like
    """By how much a disc of its diameter and contrast holds more, from the exponent."""
    reach: float = 1.0  # where it ends, in units of the rim's radius
    deepest: float = 3.0  # largest depth of its lobes
    solid: bool = False  # whether it ends along z as well, so that a thick slice averages it
    projection: Literal["ellipse", "gaussian", "nodule", ""] = ""
    """Its closed form in `taskct.scanner.analytic`, if it has one."""
    adjective: bool = False


def _lobulated(theta: Array, n_lobes: Array, depth: Array) -> Array:
    return 1.0 + depth * np.abs(np.cos(n_lobes * theta / 2.0))


def _spiculated(theta: Array, n_lobes: Array, depth: Array) -> Array:
    radius: Array = 1.0 + depth * np.cos(n_lobes * theta / 2.0) ** SPIKE_POWER
    return radius


def _gaussian(square: Array, _exponent: Array) -> Array:
    return np.where(square <= TAIL_RADII**2, np.exp2(-square), 0.0)


def _nodule(square: Array, exponent: Array) -> Array:
    rest = np.maximum(1.0 - square, 0.0)
    profile: Array = np.where(rest > 0, rest**exponent, 0.0)
    return profile


SHAPE_KINDS: dict[str, Shape] = {
    "disc": Shape("a disc", projection="ellipse"),
    "sphere": Shape("a sphere", solid=True, projection="ellipse"),
    "gaussian": Shape(
        "a gaussian",
        ("aspect",),
        profile=_gaussian,
        per_disc=lambda exponent: np.full_like(exponent, np.log(2.0)),
        reach=TAIL_RADII,
        projection="gaussian",
    ),
    "nodule": Shape(
        "a nodule",
        ("aspect", "exponent"),
        profile=_nodule,
        per_disc=lambda exponent: exponent + 1.0,
        projection="nodule",
    ),
    "ellipsoid": Shape("an ellipsoid", ("aspect",), solid=True, projection="ellipse"),
    "lobulated": Shape(
        "a lobulated", ("aspect", "n_lobes", "lobe_depth"), radius=_lobulated, deepest=0.9, adjective=True
    ),
    "spiculated": Shape("a spiculated", ("aspect", "n_lobes", "lobe_depth"), radius=_spiculated, adjective=True),
    "lidc": Shape("a real (LIDC)", ("outline",), adjective=True),
}
"""By the name that `signal.shape` takes."""

SHAPES = tuple(SHAPE_KINDS)
"""Their names; `Signals.shape` is an index into them."""


def shapes_using(name: str) -> tuple[str, ...]:
    """Shapes that a property of `Signals` plays a part in.

    >>> shapes_using("lobe_depth")
    ('lobulated', 'spiculated')
    """
    return tuple(kind for kind, shape in SHAPE_KINDS.items() if name in shape.uses)
