"""What a simulation lost on the way, and how it says so: rays without counts, places and objects of no use."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.config import Settings
from taskct.errors import UserError
from taskct.tasks.background_registry import BACKGROUNDS
from taskct.tasks.lesions import LESIONS

MAX_OUTSIDE = 0.01  # share of an object's attenuation beyond the field of view that is passed over in silence
MAX_STARVED = 0.05  # share of an object's rays that are starved, likewise
MAX_LOST = 0.25  # share of the rays through an object that are lost; beyond it the HU of an image mean nothing
MAX_IDLE = 0.5  # share of the places of the region that fit no object, passed over in silence: lattices are wide
SHOWN = 4  # places listed by name
LUNG_BELOW_HU = -500.0


@dataclass(frozen=True)
class Losses:
    """What some objects lost in their scan."""

    outside: float = 0.0  # share of the attenuation of the worst object that lies outside the field of view, in [0, 1]
    starved: float = 0.0  # share of the rays of the worst object that are starved, see `starved_share`
    lost: float = 0.0  # share of the rays through the worst object that are lost, see there
    n_objects: int = 0
    n_without_place: int = 0  # objects in which no region found its place, so that others took their trials
    used: tuple[bool, ...] = ()  # of every region of the scanner, whether it fits any of the objects


def together(parts: Sequence[Losses]) -> Losses:
    """Losses of objects that were scanned in turn."""
    used = [part.used for part in parts if part.used]
    return Losses(
        outside=max((part.outside for part in parts), default=0.0),
        starved=max((part.starved for part in parts), default=0.0),
        lost=max((part.lost for part in parts), default=0.0),
        n_objects=sum(part.n_objects for part in parts),
        n_without_place=sum(part.n_without_place for part in parts),
        used=tuple(any(one) for one in zip(*used, strict=True)),
    )


def check_counts(lost: float, dose_fraction: float) -> None:
    """Refuse a dose at which more than `MAX_LOST` of the rays through an object are lost, see `starved_share`."""
    if lost > MAX_LOST:
        raise UserError(
            f"a dose fraction of {dose_fraction:g} leaves nothing of an image: for {100 * lost:.0f} % of the rays "
            "through an object even the mean of 27 neighbouring counts is less than its own noise (at most "
            f"{100 * MAX_LOST:.0f} % may be so): raise the dose fraction or the full dose, or lower the readout noise"
        )


def starved_note(starved: float, lost: float) -> str | None:
    """What to say of starved rays, or None: shares as `taskct.scanner.noise.starved_share` has them."""
    if starved <= MAX_STARVED:
        return None
    return (
        f"{100 * starved:.0f} % of the rays of an object are starved (fewer than 25 counts, or than some 5 times the "
        f"readout noise) and smoothed, and {100 * lost:.0f} % of those through it are lost in noise: streaks and blur "
        "come from that; a higher dose fraction avoids it"
    )


def loss_notes(losses: Losses, centers_mm: NDArray[np.float64], *, in_organ: bool) -> Iterator[str]:
    """One sentence for everything that was lost beyond what is usual.

    Where signals lie in an organ, a lattice of regions covers more than that, and which are of use is for the organ to
    say.
    """
    if losses.outside > MAX_OUTSIDE:
        yield (
            f"{losses.outside:.1%} of the attenuation of an object lies outside the field of view: images are too "
            "bright towards the rim; raise scanner.n_bins or scanner.bin_mm, or make or shift the object less far"
        )
    starved = starved_note(losses.starved, losses.lost)
    if starved is not None:
        yield starved
    idle = [center for center, used in zip(centers_mm, losses.used, strict=False) if not used]
    if len(idle) > MAX_IDLE * len(losses.used) and not in_organ:
        yield (
            f"{len(idle)} of {len(losses.used)} places of the region fit into none of {losses.n_objects:,} objects (at "
            f"{_listed(idle)}), so no trial is there: lower scanner.region_step_mm or widen background.region_hu"
        )
    if losses.n_without_place:
        yield (
            f"{losses.n_without_place:,} of {losses.n_objects:,} objects hold no place for the region and its signal: "
            "others took their trials, so these have more each"
        )


def beyond_note(beyond_mm: Sequence[tuple[float, float]], n_places: int) -> str | None:
    """What to say of places of the region outside the field of view, or None."""
    if not beyond_mm:
        return None
    return (
        f"{len(beyond_mm)} of {n_places} places of the region lie outside the field of view and are left out (at "
        f"{_listed(beyond_mm)}): lower scanner.region_step_mm or scanner.region_count"
    )


def task_notes(settings: Settings) -> Iterator[str]:
    """What in the settings is at odds with what was meant by them, though nothing forbids it."""
    b, s, preset = settings.background, settings.scanner, settings.signal.preset
    if s.exposure == "mas" and s.slice_mm == 0 and b.kind != "paired":
        yield "scanner.exposure=mas counts the photons of 1 mm rows, since scanner.slice_mm is 0: set the thickness"
    if preset is None or preset not in LESIONS:
        return
    organ, where = LESIONS[preset].organ, _organ_of(settings)
    if where is not None and organ not in where:
        yield (
            f"signal.preset={preset} was measured in the {organ}, and here it lies in {where}: its contrast is the "
            f"difference from the {organ}"
        )


def _organ_of(settings: Settings) -> str | None:
    """Where a lesion lies, in words; None where the settings do not tell."""
    b = settings.background
    named = b.organ if settings.signal.site == "organ" else None
    if named is not None:
        return None if named.isdecimal() else named
    kind = BACKGROUNDS[b.kind]
    if "mean_hu" in kind.uses and b.mean_hu < LUNG_BELOW_HU:
        return f"a body of {b.mean_hu:g} HU (lung)"
    return kind.place


def _listed(places: Sequence[NDArray[np.float64] | tuple[float, float]]) -> str:
    shown = ", ".join(f"({x:g}, {y:g})" for x, y in places[:SHOWN])
    return f"{shown}{', …' if len(places) > SHOWN else ''} mm from the isocentre"
