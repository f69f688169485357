"""Signals: what may have to be found or told apart, known statistically."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.tasks.shape_registry import SHAPE_KINDS, SHAPES, SIGNAL_RANGES, shapes_using

DIAMETER_LAWS = ("uniform", "log-uniform")
_ZERO = ("shape", "x_mm", "y_mm", "blur_mm", "angle_rad", "exponent", "n_lobes", "lobe_depth")
_DEFAULTS = {**dict.fromkeys(_ZERO, 0.0), "aspect": 1.0, "outline": -1.0}


@dataclass(frozen=True)
class Signals:
    """One signal a trial, centred relative to the trial's region.

    Together the columns are the whole truth: `taskct.tasks.shapes.render` draws the same signal from them again.
    """

    shape: NDArray[np.int64]
    """Index into `SHAPES`, `(n,)`, as every column."""
    x_mm: NDArray[np.float64]
    y_mm: NDArray[np.float64]
    """Offset to the right of the region's centre and below it, mm."""
    diameter_mm: NDArray[np.float64]
    """Diameter of the circle of the same area, mm, positive; of a Gaussian at half its maximum."""
    contrast_hu: NDArray[np.float64]
    """Difference from the background at its peak, before its blur, HU."""
    blur_mm: NDArray[np.float64]
    """Standard deviation of the Gaussian that blurs it, mm; 0 is a sharp rim."""
    aspect: NDArray[np.float64]
    """Minor over major axis, in (0, 1]."""
    angle_rad: NDArray[np.float64]
    """Direction of the major axis (or of the first lobe), rad, from +x towards +y."""
    exponent: NDArray[np.float64]
    """Of a nodule's profile (1 − (r/R)²)^exponent, at least 0; otherwise 0."""
    n_lobes: NDArray[np.int64]
    """Lobes or spicules; otherwise 0."""
    lobe_depth: NDArray[np.float64]
    """Relative height of a lobe over the mean radius, or of a spicule over the core's; otherwise 0."""
    outline: NDArray[np.int64]
    """Number of the annotation in LIDC that gives the outline; otherwise −1."""

    def __len__(self) -> int:
        return len(self.diameter_mm)

    def __getitem__(self, index: NDArray[np.integer] | NDArray[np.bool_] | slice) -> "Signals":
        return Signals(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def columns(self) -> dict[str, NDArray[np.float64]]:
        """Give every column as float64, `(n,)`, to be saved with the trials."""
        return {field.name: np.asarray(getattr(self, field.name), dtype=np.float64) for field in fields(self)}

    @classmethod
    def from_columns(cls, columns: Mapping[str, NDArray[np.generic]]) -> Self:
        """Build signals from saved columns, by name; what else is in the table is ignored.

        A column that is missing, other than `diameter_mm` and `contrast_hu`, is that of a sharp disc in the middle.

        Examples
        --------
        >>> s = Signals.from_columns({"diameter_mm": np.array([6.0]), "contrast_hu": np.array([-20.0])})
        >>> SHAPES[s.shape[0]], s.aspect.tolist()
        ('disc', [1.0])
        """
        n = len(columns["diameter_mm"])
        if "margin_mm" in columns:  # as earlier versions named the blur
            columns = {"blur_mm": columns["margin_mm"], **columns}
        whole = ("shape", "n_lobes", "outline")
        table = {
            field.name: np.asarray(
                columns[field.name] if field.name in columns else np.full(n, _DEFAULTS[field.name]),
                dtype=np.int64 if field.name in whole else np.float64,
            )
            for field in fields(cls)
        }
        return cls(**table)  # type: ignore[arg-type]  # columns by name


def merge(present: NDArray[np.bool_], h1: Signals, h0: Signals) -> Signals:
    """Take H1's signal where `present`, H0's elsewhere; all have length `n`.

    So that the truth of a trial is the signal that it holds: a round nodule under H0 and a spiculated one under H1.
    """
    a, b = h1.columns(), h0.columns()
    return Signals.from_columns({name: np.where(present, a[name], b[name]) for name in a})


@dataclass(frozen=True)
class SignalRanges:
    """What signals are drawn from: the lowest and the highest value of every property, see `Signals`.

    A `UserError` says that a shape or law is unknown, or a range is reversed or outside what is possible.
    """

    shapes: Sequence[str]
    """From `SHAPES`; each signal has one of them, all equally likely."""
    contrast_hu: tuple[float, float]
    diameter_mm: tuple[float, float]
    blur_mm: tuple[float, float] = (0.0, 0.0)
    aspect: tuple[float, float] = (1.0, 1.0)
    angle_deg: tuple[float, float] = (0.0, 360.0)
    exponent: tuple[float, float] = (1.5, 1.5)
    n_lobes: tuple[int, int] = (5, 8)
    lobe_depth: tuple[float, float] = (0.2, 0.3)
    diameter_law: str = "uniform"
    """"uniform" or "log-uniform" (as many between 4 and 8 mm as between 8 and 16 mm)."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.shapes if name not in SHAPES]
        if unknown or not self.shapes:
            raise UserError(f"signal shape {unknown or 'list is empty'}: choose from {', '.join(SHAPES)}")
        if self.diameter_law not in DIAMETER_LAWS:
            raise UserError(f"signal diameter_law is {self.diameter_law!r}: choose one of {', '.join(DIAMETER_LAWS)}")
        deepest = min(SHAPE_KINDS[shape].deepest for shape in self.shapes)
        for name, allowed in SIGNAL_RANGES.items():
            low, high = getattr(self, name)
            allowed = replace(allowed, high=deepest) if name == "lobe_depth" else allowed
            if low not in allowed or high not in allowed or low > high:
                raise UserError(f"signal {name} is [{low:g}, {high:g}]: each must be {allowed}, the lowest first")


def draw_signals(
    rng: np.random.Generator, n: int, ranges: SignalRanges, *, outlines: NDArray[np.integer] | None = None
) -> Signals:
    """Draw `n` signals, all in the middle of their region; see `taskct.tasks.sites` for where they go.

    Every property is drawn on its own, uniformly over its range; equal limits give a signal known exactly in that
    respect. What plays no part in a shape keeps its default in the truth. `outlines` are numbers of LIDC annotations to
    draw from, for the shape "lidc"; a `UserError` says that there are none.

    Examples
    --------
    >>> ranges = SignalRanges(["disc"], contrast_hu=(-20, -10), diameter_mm=(5, 5), blur_mm=(1, 1))
    >>> s = draw_signals(np.random.default_rng(0), 3, ranges)
    >>> s.diameter_mm.tolist(), s.blur_mm.tolist()
    ([5.0, 5.0, 5.0], [1.0, 1.0, 1.0])
    """
    outlined = [name for name in ranges.shapes if name in shapes_using("outline")]
    if outlined and (outlines is None or len(outlines) == 0):
        raise UserError(
            f"the signal shape {outlined[0]} needs outlines, and there are none: widen what is asked of LIDC"
        )
    numbers = np.array([SHAPES.index(name) for name in ranges.shapes], dtype=np.int64)
    shape = numbers[rng.integers(len(numbers), size=n)]

    def only(name: str, drawn: NDArray[np.generic], default: float) -> NDArray[np.generic]:
        return np.where(np.isin(shape, [SHAPES.index(kind) for kind in shapes_using(name)]), drawn, default)

    if ranges.diameter_law == "uniform":
        diameter = rng.uniform(*ranges.diameter_mm, n)
    else:
        low, high = np.log(ranges.diameter_mm)
        diameter = np.clip(np.exp(rng.uniform(low, high, n)), *ranges.diameter_mm)
    table: dict[str, NDArray[np.generic]] = {
        "shape": shape,
        "diameter_mm": diameter,
        "contrast_hu": rng.uniform(*ranges.contrast_hu, n),
        "blur_mm": rng.uniform(*ranges.blur_mm, n),
        "aspect": only("aspect", rng.uniform(*ranges.aspect, n), 1.0),
        "angle_rad": np.radians(rng.uniform(*ranges.angle_deg, n)),
        "exponent": only("exponent", rng.uniform(*ranges.exponent, n), 0.0),
        "n_lobes": only("n_lobes", rng.integers(*ranges.n_lobes, n, endpoint=True), 0),
        "lobe_depth": only("lobe_depth", rng.uniform(*ranges.lobe_depth, n), 0.0),
    }
    if outlined and outlines is not None:
        table["outline"] = only("outline", rng.choice(outlines, n), -1)
    return Signals.from_columns(table)
