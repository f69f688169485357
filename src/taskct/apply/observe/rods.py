"""Observers on scans of a low-contrast phantom: it is found, regions with and without each rod are cut, and read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.apply.observe.cases import cases_of
from taskct.apply.observe.choices import CaseFrom
from taskct.apply.observe.observation import VERSUS, Observation
from taskct.apply.phantom import FoundPhantom, PhantomLayout, RodTrials, find_phantom, rod_trials
from taskct.errors import UserError
from taskct.io.image_stack import read_images
from taskct.io.raw_words import RawWords
from taskct.io.truth_table import Truth
from taskct.metrics.comparisons import holm


@dataclass(frozen=True)
class PhantomScans:
    """Repeated scans of a phantom, as they were read."""

    present: NDArray[np.float32]
    """With rods, HU, `(n, height, width)`."""
    absent: NDArray[np.float32] | None
    """Without, likewise; None where regions without a rod come from the same scans."""
    scans: NDArray[np.int64]
    """Scan of each image, with rods first."""
    pixel_mm: float | None
    """Pixel size, mm, where the files tell it."""
    cases: str
    """What a scan is, in words."""


@dataclass(frozen=True)
class KnownPhantom:
    """What is said of the phantom, and not found."""

    layout: PhantomLayout
    pixel_mm: float
    roll_deg: float | None = None
    """None to find it."""
    window_mm: float | None = None
    """Side of the regions; None for three diameters of the rod."""


@dataclass(frozen=True)
class RodObservations:
    """Results by rod."""

    found: FoundPhantom
    trials: tuple[RodTrials, ...]
    """What was cut from the first scans, by rod."""
    by_rod: dict[str, Observation]
    """In the layout's order."""
    scans: PhantomScans
    physics: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Contrast, CNR, noise, resolution and d′ of each rod in the first scans, see `physics_of_rods`; empty where not
    asked."""
    rivals: Mapping[str, tuple[RodTrials, ...]] = field(default_factory=dict)
    """What was cut from the same places of every rival, by its name."""
    physics_of_rivals: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """As `physics`, of each rival by its name."""

    def as_dict(self) -> dict[str, Any]:
        """Everything as a plain dict, ready for JSON."""
        row, column = self.found.centre_px
        return {
            "phantom": {
                "layout": self.found.layout.name,
                "centre_px": [row, column],
                "radius_px": self.found.radius_px,
                "roll_deg": self.found.roll_deg,
                "contrast_scale": self.found.contrast_scale,
                "pixel_mm": self.found.pixel_mm,
                "notes": list(self.found.notes),
            },
            **({"physics": self.physics} if self.physics else {}),
            **({"physics_of_rivals": self.physics_of_rivals} if self.physics_of_rivals else {}),
            "rods": {name: one.as_dict() for name, one in self.by_rod.items()},
        }


def read_scans(
    present: Path, absent: Path | None, *, words: RawWords | None = None, case_from: CaseFrom | None = None
) -> PhantomScans:
    """Read scans with rods and, where there are some, without.

    A scan is what `cases_of` calls a case: a DICOM series, a sub-folder, else each image.
    """
    parts = [read_images(path, words) for path in (present, absent) if path is not None]
    if len({part.images.shape[1:] for part in parts}) > 1:
        raise UserError(f"{present} and {absent} have images of different sizes: give scans of one matrix")
    sizes = {part.pixel_mm for part in parts}
    cases, how = cases_of([origin for part in parts for origin in part.origins], case_from or "series")
    n = sum(len(part.images) for part in parts)
    return PhantomScans(
        present=parts[0].images,
        absent=parts[1].images if len(parts) > 1 else None,
        scans=np.arange(n) if cases is None else cases,
        pixel_mm=sizes.pop() if len(sizes) == 1 else None,
        cases=how.replace("every image", "every image of it") if cases is None else how,
    )


def observe_rods(
    scans: PhantomScans,
    rivals: Mapping[str, PhantomScans],
    placement: KnownPhantom,
    measure: Callable[[NDArray[np.float32], Truth, dict[str, NDArray[np.float32]]], Observation],
) -> RodObservations:
    """Find the phantom in the scans, cut regions of every rod from them and their rivals, and measure each.

    Rivals are of the same scans, image by image: the phantom's roll is that of the first. `measure` gets regions, their
    truth, and the same regions of every rival. Holm's adjustment is over all rods.
    """
    layout, pixel_mm = placement.layout, placement.pixel_mm
    for name, other in rivals.items():
        pairs = ((scans.present, other.present, "with rods"), (scans.absent, other.absent, "without rods"))
        for first, second, what in pairs:
            if (None if first is None else first.shape) != (None if second is None else second.shape):
                which = "--versus" if name == VERSUS else f"--versus {name}"
                sizes = ["none" if one is None else " × ".join(map(str, one.shape)) for one in (first, second)]
                raise UserError(
                    f"{which}: images {what} are {sizes[1]} (images, rows, columns) but the first are {sizes[0]}: give "
                    "the same scans"
                )
    found = find_phantom(scans.present, layout, pixel_mm=pixel_mm, roll_deg=placement.roll_deg)

    def cut(of: PhantomScans) -> list[RodTrials]:
        return rod_trials(
            of.present,
            of.absent,
            layout,
            pixel_mm=pixel_mm,
            window_mm=placement.window_mm,
            found=found,
            scans=scans.scans,
        )

    mine, theirs = cut(scans), {name: cut(other) for name, other in rivals.items()}
    by_rod = {}
    for number, one in enumerate(mine):
        alone = len(np.unique(one.cases)) == len(one.cases)
        truth = Truth(one.signal_present, None, None if alone else one.cases, None)
        others = {name: cuts[number].images for name, cuts in theirs.items()}
        by_rod[one.rod.name] = measure(one.images, truth, others)
    cut_of_rivals = {name: tuple(cuts) for name, cuts in theirs.items()}
    return RodObservations(found, tuple(mine), adjusted(by_rod), scans, rivals=cut_of_rivals)


def adjusted(by_rod: Mapping[str, Observation]) -> dict[str, Observation]:
    """The same with p adjusted by Holm's method over all rods, observers and rivals."""
    keys = [
        (rod, one.name, rival.name) for rod, found in by_rod.items() for one in found.observers for rival in one.rivals
    ]
    p_values = [
        rival.difference.p_value for found in by_rod.values() for one in found.observers for rival in one.rivals
    ]
    over_all = dict(zip(keys, holm(p_values).tolist(), strict=True))
    return {
        rod: replace(found, family={key[1:]: p for key, p in over_all.items() if key[0] == rod})
        for rod, found in by_rod.items()
    }
