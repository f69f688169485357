"""From a table of scans or test statistics to curves: who reads the scans, and what is told of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from taskct.apply.curves.curves import CurvePlan, DoseCurves, analyze_doses
from taskct.apply.curves.tables import DoseTable, ScanSet, read_dose_table
from taskct.errors import UserError
from taskct.metrics.dose_areas import DoseCell, auc_by_dose
from taskct.metrics.scores import check_scores
from taskct.observer_registry import VIEWING_DISTANCE_MM, observers_needing
from taskct.progress import Progress

if TYPE_CHECKING:
    from taskct.apply.curves.scoring import CellImages, Cut
    from taskct.metrics.cross_validated import FoldReadings

OBSERVER = "cho-lg"
"""Who reads scans where nobody is named."""


@dataclass(frozen=True)
class Reader:
    """Who reads the scans of a table, and what is cut from them."""

    observer: str | None = None
    """Registered name; None for `OBSERVER`."""
    n_channels: int | None = None
    """Of a channelized observer; None for its own number."""
    folds: int | None = None
    """Of the cross-validation; None for as many as the scans allow."""
    phantom: str | None = None
    """Layout whose rods are cut from whole scans: its name, or a YAML file; None: images are read as they are."""
    window_mm: float | None = None
    """Side of such a region, mm; None for three diameters."""
    pixel_mm: float | None = None
    """Pixel size, mm, where the files do not tell."""
    roll_deg: float | None = None
    """How far the phantom is turned from its layout, clockwise, degrees; None to find it."""


def curves_of_table(
    path: Path, *, reader: Reader | None = None, plan: CurvePlan | None = None, progress: Progress | None = None
) -> DoseCurves:
    """Read a table, let an observer read its scans where it holds some, and analyse what was found.

    Parameters
    ----------
    path
        A table, as `read_dose_table` has it.
    reader, plan
        Who reads the scans, and what is asked for; as the classes have it where left out.
    progress
        Called as (lines done, in all, what is next).

    Raises
    ------
    UserError
        If the table, an image, a setting or a name is wrong.
    """
    reader, plan = reader or Reader(), plan or CurvePlan()
    table = read_dose_table(path)
    if table.readings:
        if given := [name for name, value in vars(reader).items() if value is not None]:
            raise UserError(f"{path} holds test statistics, which nobody reads any more: leave out {', '.join(given)}")
        for one in table.readings:
            name = f"{one.cell.reconstruction}, dose {one.cell.dose:g}, {one.cell.rod}"
            check_scores(one.t_present, one.t_absent, name=name)
        areas = auc_by_dose(table.readings)
        return analyze_doses(areas, plan, sizes=table.sizes, notes=table.notes, about={"source": "scores"})
    return _read(table, reader, plan, progress)


def _read(table: DoseTable, reader: Reader, plan: CurvePlan, progress: Progress | None) -> DoseCurves:
    from taskct.apply.curves.cutting import RodRegions, WholeImages, highest_doses, pixel_size  # here: torch
    from taskct.apply.curves.scoring import score_scans
    from taskct.apply.observe.crossed import cross_validate
    from taskct.apply.phantom import find_layout
    from taskct.observers.fresh import Eye

    name = (reader.observer or OBSERVER).replace("_", "-")
    channelized = name.startswith("cho-")
    if reader.n_channels is not None and not channelized:
        raise UserError(f"{name} has no channels: leave out --channels, or take {OBSERVER}")
    pixel_mm = reader.pixel_mm or pixel_size(table.scans[0])
    if pixel_mm is None and (reader.phantom or name.replace("-", "_") in observers_needing("pixel_mm")):
        raise UserError(f"{table.scans[0].present} does not tell its pixel size: give --pixel-mm")
    eye = Eye(pixel_mm or 1.0, VIEWING_DISTANCE_MM, 1.0, 0.0, 0.0)
    channels = {} if reader.n_channels is None else {"n_channels": reader.n_channels}

    def cross(images: NDArray[np.float32], present: NDArray[np.bool_], scans: NDArray[np.int64]) -> "FoldReadings":
        crossed = cross_validate(
            name, images, present, scans, eye=eye, folds=reader.folds, seed=plan.seed, channels=channels or None
        )
        said.extend(note for note in crossed.notes if note not in said)
        return crossed.readings

    said: list[str] = []
    physics: dict[DoseCell, dict[str, Any]] = {}
    if reader.phantom is None:
        if given := [name for name in ("window_mm", "roll_deg") if getattr(reader, name) is not None]:
            raise UserError(f"{given[0]} is for a phantom: images without one are read whole")
        cut: WholeImages | RodRegions = WholeImages(dict(table.sizes))
        read: Cut = cut
    else:
        rods = {one.rod for one in table.scans}
        if len(rods) > 1:
            raise UserError(f"--phantom tells the rods: leave out rod, diameter_mm and contrast_hu ({len(rods)} named)")
        cut = RodRegions(
            find_layout(reader.phantom),
            float(pixel_mm or 0.0),
            highest_doses(table.scans),
            reader.window_mm,
            reader.roll_deg,
        )
        read = _measured(cut, physics, float(pixel_mm or 0.0), plan.seed)
    found = score_scans(table.scans, read, cross, progress=progress)
    about = {
        "source": "scans",
        "observer": name,
        "channels": reader.n_channels,
        "folds": reader.folds,
        "phantom": reader.phantom,
        "window_mm": reader.window_mm,
        "roll_deg": reader.roll_deg,
        "pixel_mm": pixel_mm,
    }
    notes = [*cut.notes, *found.notes, *said]
    curves = analyze_doses(found.areas, plan, sizes=found.sizes, notes=notes, about=about)
    return replace(curves, physics=physics)


def _measured(cut: "Cut", physics: dict[DoseCell, dict[str, Any]], pixel_mm: float, seed: int) -> "Cut":
    """The same regions about rods; their physics is written down as they pass."""
    from taskct.apply.image_physics import physics_of_regions

    def measure(scans: ScanSet) -> "Iterator[CellImages]":
        for seen in cut(scans):
            physics[seen.cell] = physics_of_regions(
                seen.images,
                seen.signal_present,
                pixel_mm=pixel_mm,
                diameter_mm=float(seen.size.diameter_mm or 0.0),
                cases=seen.scans,
                seed=seed,
            )
            yield seen

    return measure
