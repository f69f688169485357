"""Stochastic anatomy: ellipses of random place, size, turn and HU that lie within their parents and never overlap.

An anatomy is a list of `Part`s, parents before children. Each part adds its HU less its parent's, so that the ellipses
of `Drawn` project exactly; what a part adds in texture is kept on the object grid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.tasks.backgrounds.drawn import AIR_HU, Drawn, Ellipses
from taskct.tasks.backgrounds.fields import LONGEST_MM, PowerLaw, Texture, check_fits

Array = NDArray[np.float64]

AIR = "outside"
MAX_TRIES = 60
SHRINK = 0.97  # a part that does not fit is drawn again this much smaller
GAP_MM = 0.5  # kept between two parts, and between a part and its parent's rim, before the body is scaled, mm
_RIM_POINTS = 40


@dataclass(frozen=True)
class Part:
    """One ellipse of an anatomy, of a body of nominal size; lengths in mm."""

    name: str
    tissue: str
    """Whose HU it has: a key of the anatomy's table. Parts of one tissue have the same HU in a draw."""
    x: float
    y: float  # with x the centre, from that of the body or of `frame`, along its axes; +y is towards the patient's back
    a: float
    b: float  # with a the semi-axes along x and y before the turn
    turn: float = 0.0  # turn from +x towards +y, degrees
    parent: str = "body"  # the part that it lies in
    frame: str | None = None  # the part whose centre and axes `x`, `y` and `turn` are relative to; None: the body
    shift: float = 0.0
    """Largest random shift along x and along y; of the outline, the largest random change of both semi-axes alike."""
    size: float = 0.0  # largest random change of the semi-axes, each on its own, as a share
    swing: float = 0.0  # largest random change of the turn, degrees
    chance: float = 1.0  # probability that a body has it
    rim: float = 0.0
    """If above 0: concentric with its parent and as much smaller than it, on every side; `x` to `b` do not count."""
    rim_range: float = 0.0  # largest random change of `rim`, as a share
    texture: float = 0.0  # the texture's standard deviation here, relative to the texture's own
    lesions: bool = True  # whether a lesion in the parent may lie here; False for a cavity


def peer(part: Part, name: str, **changes: float | str | bool) -> Part:
    """A part like another, with another name and some changes."""
    return replace(part, name=name, **changes)  # type: ignore[arg-type]  # fields by name


def wall_ribs(degrees: Sequence[float], *, wall: Part, depth: float, half: tuple[float, float]) -> list[Part]:
    """Ribs along a body's wall, which is concentric with it, and their mirror images.

    `degrees` say where the ribs of the right side lie on the wall's ellipse, from −x (0) towards the back (90); `depth`
    is that of their centres below the wall's rim, `half` a rib's semi-axes along and across the wall, all in mm.
    """
    parts = []
    for k, angle in enumerate(np.radians(degrees)):
        x, y = -(wall.a - depth) * float(np.cos(angle)), (wall.b - depth) * float(np.sin(angle))
        # Along the wall: at right angles to its gradient.
        turn = float(np.degrees(np.arctan2(-x / wall.a**2, y / wall.b**2)))
        for side, sign in (("right", 1.0), ("left", -1.0)):
            rib = Part(f"{side} rib {k}", "bone", sign * x, y, *half, turn=sign * turn, parent=wall.name)
            parts.append(replace(rib, shift=0.6, size=0.1, swing=4.0))
    return parts


@dataclass(kw_only=True, eq=False)
class Anatomy:
    """A distribution of bodies of ellipses, each a case of its own; `Abdomen` and `Thorax` say of which."""

    parts: ClassVar[Sequence[Part]]
    """What a body is made of, parents before children; the first, `body`, is the outline."""
    tissues: ClassVar[Mapping[str, tuple[float, float]]]  # mean and standard deviation over cases of every tissue, HU
    organs: ClassVar[Mapping[str, tuple[str, ...]]]  # names of the parts of every organ that a lesion may be placed in
    usual_width_mm: ClassVar[tuple[float, float]]

    n_pixels: int
    pixel_mm: float
    """The object grid: it carries the texture and the organ, the ellipses are exact."""
    organ: str | None = None
    """Where a lesion may lie: one of `organs`; None: the first."""
    width_mm: tuple[float, float] | None = None
    """Smallest and largest width of the body, mm; all else grows with it. None: `usual_width_mm`."""
    texture: Texture | None = PowerLaw(std_hu=8.0, longest_mm=LONGEST_MM)  # noqa: RUF009 - immutable
    """Drawn within the tissues in proportion to `Part.texture`; None: none."""
    first_case: int = 0
    """Case number of object 0, so that splits never share one."""

    def __post_init__(self) -> None:
        organ = next(iter(self.organs)) if self.organ is None else self.organ
        width_mm = self.usual_width_mm if self.width_mm is None else self.width_mm
        if organ not in self.organs:
            raise UserError(f"no organ {organ!r} for the lesion here: choose one of {', '.join(self.organs)}")
        if not 0 < width_mm[0] <= width_mm[1]:
            raise UserError(
                f"a body from {width_mm[0]:g} to {width_mm[1]:g} mm wide: give a smallest and a largest width"
            )
        check_fits(width_mm[1], n_pixels=self.n_pixels, pixel_mm=self.pixel_mm)
        self.members, self.widths_mm = self.organs[organ], width_mm

    def draw(self, rng: np.random.Generator, index: NDArray[np.int64]) -> Drawn:
        """Draw a body for every number."""
        n, names = len(index), [part.name for part in self.parts]
        columns, present = draw_layout(rng, n, self.parts)
        columns[:4] *= (rng.uniform(*self.widths_mm, n) / (2.0 * columns[2, :, 0]))[:, None]
        level = {AIR: np.full(n, AIR_HU)} | {name: rng.normal(*hu, n) for name, hu in self.tissues.items()}
        outside = [AIR] + [self.parts[names.index(part.parent)].tissue for part in self.parts[1:]]
        add_hu = np.stack(
            [level[part.tissue] - level[under] for part, under in zip(self.parts, outside, strict=True)], 1
        )
        x, y, a, b, turn = columns.astype(np.float32)
        ellipses = Ellipses(x, y, a, b, turn, np.where(present, add_hu, 0.0).astype(np.float32))
        image, organ = self._grid_parts(rng, ellipses, present)
        return Drawn(image_hu=image, case=self.first_case + index, organ=organ, ellipses=ellipses)

    def _grid_parts(
        self, rng: np.random.Generator, ellipses: Ellipses, present: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Air with the texture in it, HU, and where a lesion may lie, both `(n, n_pixels, n_pixels)`."""
        n, names = len(present), [part.name for part in self.parts]
        strength = np.zeros((n, self.n_pixels, self.n_pixels), dtype=np.float32)
        organ = np.zeros(strength.shape, dtype=bool)
        for i, part in enumerate(self.parts):
            more = part.texture - (self.parts[names.index(part.parent)].texture if i else 0.0)
            textured = self.texture is not None and more != 0.0
            hole = part.parent in self.members and not part.lesions
            if not (textured or hole or part.name in self.members):
                continue
            cover = ellipses.coverage(i, n_pixels=self.n_pixels, pixel_mm=self.pixel_mm)
            if part.chance < 1.0:
                cover *= present[:, i, None, None]
            if part.name in self.members:
                organ |= cover >= 1.0
            if hole:
                organ &= cover <= 0.0
            if textured:
                cover *= np.float32(more)
                strength += cover
        if self.texture is not None:
            strength *= self.texture.draw(rng, n, n_pixels=self.n_pixels, pixel_mm=self.pixel_mm)
        strength += np.float32(AIR_HU)
        return strength, organ


def draw_layout(rng: np.random.Generator, n: int, parts: Sequence[Part]) -> tuple[Array, NDArray[np.bool_]]:
    """Place the parts of `n` bodies of nominal size, each within its parent and clear of the parts placed there before.

    Given are x, y, a, b in mm and turn in radians, `(5, n, n_parts)`, and which parts a body has, `(n, n_parts)`. A
    part that does not fit is drawn again, 3 % smaller each time. A ValueError says that one still does not fit after 60
    tries: the anatomy has no room for it.
    """
    number = {part.name: i for i, part in enumerate(parts)}
    columns = np.zeros((5, n, len(parts)))  # x, y, a, b, turn
    rims = np.zeros((2, n, len(parts), _RIM_POINTS))
    outline = parts[0]
    fat = outline.shift * rng.uniform(-1.0, 1.0, n)
    columns[2:4, :, 0] = outline.a + fat, outline.b + fat
    for i, part in enumerate(parts[1:], start=1):
        up = number.get(part.parent, 0)
        # The first part is the outline; a rim lies within its parent by construction.
        siblings = [j for j in range(1, i) if parts[j].parent == part.parent and _may_meet(part, parts[j])]
        waiting = np.arange(n)
        for attempt in range(MAX_TRIES):
            frame = columns[:, waiting, number[part.frame] if part.frame else 0]
            new = _draw_part(rng, part, columns[:, waiting, up], frame, SHRINK**attempt)
            columns[:, waiting, i] = new
            rims[:, waiting, i] = rim = _rim(new)
            if part.rim > 0:
                break
            fits = ~_any_inside(rim, columns[:, waiting, up], -GAP_MM, outside=True)
            for j in siblings:
                fits &= ~_any_inside(rim, columns[:, waiting, j], GAP_MM)
                fits &= ~_any_inside(rims[:, waiting, j], new, GAP_MM)
            waiting = waiting[~fits]
            if len(waiting) == 0:
                break
        else:
            raise ValueError(f"part {part.name!r} does not fit in {part.parent!r}")
    present = rng.random((n, len(parts))) < np.array([part.chance for part in parts])
    for i, part in enumerate(parts[1:], start=1):  # what lies in a missing part is missing
        present[:, i] &= present[:, number[part.parent]]
    return columns, present


def _draw_part(rng: np.random.Generator, part: Part, parent: Array, frame: Array, shrink: float) -> Array:
    """Columns x, y, a, b, turn of a part, `(5, n)`, before it is known to fit."""
    n = parent.shape[1]
    if part.rim > 0:
        x, y, a, b, turn = parent
        depth = part.rim * (1.0 + rng.uniform(-part.rim_range, part.rim_range, n))
        return np.stack([x, y, a - depth, b - depth, turn])
    u = part.x + part.shift * rng.uniform(-1.0, 1.0, n)
    v = part.y + part.shift * rng.uniform(-1.0, 1.0, n)
    a, b = (half * shrink * (1.0 + part.size * rng.uniform(-1.0, 1.0, n)) for half in (part.a, part.b))
    turn = np.radians(part.turn + part.swing * rng.uniform(-1.0, 1.0, n))
    if part.frame:
        cos, sin = np.cos(frame[4]), np.sin(frame[4])
        u, v = frame[0] + cos * u - sin * v, frame[1] + sin * u + cos * v
        turn = turn + frame[4]
    return np.stack([u, v, a, b, turn])


def _may_meet(one: Part, other: Part) -> bool:
    """Whether two siblings might overlap: False only if even their largest circles stay apart."""
    if one.rim or other.rim or one.frame != other.frame:
        return True
    reach = sum(max(p.a, p.b) * (1.0 + p.size) + np.sqrt(2.0) * p.shift for p in (one, other))
    return bool(np.hypot(one.x - other.x, one.y - other.y) <= reach + 2.0 * GAP_MM)


_ANGLES = np.arange(_RIM_POINTS) * (2.0 * np.pi / _RIM_POINTS)


def _rim(ellipse: Array) -> Array:
    """Points on the rims of ellipses `(5, n)`, `(2, n, _RIM_POINTS)`."""
    x, y, a, b, turn = ellipse[:, :, None]
    cos, sin = np.cos(turn), np.sin(turn)
    along, across = a * np.cos(_ANGLES), b * np.sin(_ANGLES)
    return np.stack([x + cos * along - sin * across, y + sin * along + cos * across])


def _any_inside(points: Array, ellipse: Array, gap_mm: float, *, outside: bool = False) -> NDArray[np.bool_]:
    """Whether any of the points, `(2, n, n_points)`, lies in (or outside) an ellipse `(5, n)` grown by a gap."""
    x, y, a, b, turn = ellipse[:, :, None]
    dx, dy, cos, sin = points[0] - x, points[1] - y, np.cos(turn), np.sin(turn)
    radius = ((cos * dx + sin * dy) / (a + gap_mm)) ** 2 + ((cos * dy - sin * dx) / (b + gap_mm)) ** 2
    found: NDArray[np.bool_] = ((radius > 1.0) if outside else (radius < 1.0)).any(axis=1)
    return found
