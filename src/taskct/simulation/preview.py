"""A first look at a study's trials, before anyone trains on them."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from taskct.config import Settings
from taskct.simulation.chunks import ChunkMaker
from taskct.simulation.describe import background_note, describe
from taskct.simulation.lost import Losses
from taskct.simulation.simulate import notes_of, warn_losses
from taskct.simulation.sources import make_sources
from taskct.tasks.shape_registry import SHAPES
from taskct.trials.trials import Trials, select

N_OBJECTS = 3
LOOK = "test"
"""The split whose first chunk is shown."""


@dataclass(frozen=True)
class Preview:
    """Some trials of a study with their truth, and what a reader must know of the rest."""

    title: str
    description: str
    notes: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    """Name and value of what was set or measured."""
    trials: Trials
    """Those shown, the margin cropped; signal-present ones first."""
    numbers: NDArray[np.int64]
    """Number of each in its split."""
    shape: tuple[str, ...]
    """Shape of each trial's signal; "none" where there is none."""
    all_truth: dict[str, NDArray[np.float64]]
    """The truth table of the whole chunk."""
    objects_hu: NDArray[np.float32]
    """Some objects without a signal, HU."""
    object_pixel_mm: float
    field_of_view_mm: float
    region_mm: NDArray[np.float64]
    """Centre (x, y) of the region in each object shown, and the region's side, mm, `(n_objects, 3)`."""
    pixel_mm: float
    window_hu: tuple[float, float]
    """Centre and width."""


def make_preview(settings: Settings, *, n_trials: int = 6, device: torch.device | str = "cpu") -> Preview:
    """Simulate the first chunk of the test split, whose trials are the very ones that the study would have.

    `n_trials` of each hypothesis are for showing.
    """
    maker = ChunkMaker(settings, make_sources(settings), device)
    plan = maker.plans[LOOK]
    scanned = maker.make(LOOK, 0, min(plan.chunk_trials, plan.n_trials))
    notes = notes_of(maker, scanned.losses)
    warn_losses(notes)
    trials, present = scanned.trials, scanned.trials.signal_present
    # Spread over the chunk: neighbours may show the same slice.
    shown = np.concatenate([_spread(np.flatnonzero(group), n_trials) for group in (present, ~present)])
    some = select(trials, shown)
    names = [
        SHAPES[int(k)] if there else "none"
        for k, there in zip(some.truth["shape"], some.truth["inserted"], strict=True)
    ]
    objects = np.unique(scanned.owner)[:N_OBJECTS]
    first = [int(np.flatnonzero(scanned.owner == i)[0]) for i in objects]
    side_mm = settings.trials.region_pixels * settings.scanner.pixel_mm
    region = [(trials.truth["region_x_mm"][k], trials.truth["region_y_mm"][k], side_mm) for k in first]
    note = background_note(settings)
    return Preview(
        title=settings.name,
        description=describe(settings),
        notes=(*notes, *(() if note is None else (note,))),
        facts=_facts(settings, maker, trials, scanned.losses),
        trials=Trials(
            noisy=some.noisy_regions,
            reference=some.reference_regions,
            signal_present=some.signal_present,
            truth=some.truth,
        ),
        numbers=shown,
        shape=tuple(names),
        all_truth=trials.truth,
        objects_hu=scanned.objects_hu[objects],
        object_pixel_mm=settings.scanner.object_pixel_mm,
        field_of_view_mm=maker.scanner.geometry.field_of_view_mm,
        region_mm=np.array(region),
        pixel_mm=settings.scanner.pixel_mm,
        window_hu=settings.evaluation.window_hu,
    )


def _spread(index: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """At most `n` of some numbers, evenly spread."""
    chosen: NDArray[np.int64] = index[np.unique(np.linspace(0, len(index) - 1, min(n, len(index))).astype(int))]
    return chosen


def _facts(settings: Settings, maker: ChunkMaker, trials: Trials, losses: Losses) -> tuple[tuple[str, str], ...]:
    """What the reader of a preview wants to know in numbers, measured on the chunk that is shown."""
    geometry = maker.scanner.geometry
    difference = trials.noisy_regions - trials.reference_regions
    noise, contrast = float(difference.std()), np.abs(trials.truth["contrast_hu"])
    counts = ", ".join(f"{name} {plan.n_trials:,}" for name, plan in maker.plans.items())
    images = ", ".join(f"{name} {source.n_images:,}" for name, source in maker.sources.items())
    group = maker.sources[LOOK].case_kind
    images += f" {'slices' if group == 'patients' else group}, {group} kept apart"
    side = settings.trials.region_pixels + 2 * trials.margin
    scan: tuple[tuple[str, str], ...] = ()
    if settings.background.kind != "paired":
        scan = (
            ("photons of the central ray at full dose", f"{maker.scanner.exposure.photons:,.0f}"),
            (
                "rays starved at the low dose",
                f"{_percent(losses.starved)} of the worst object's, {_percent(losses.lost)} lost",
            ),
            (
                "field of view",
                f"{geometry.field_of_view_mm:.0f} mm, {_percent(losses.outside)} of the worst object outside",
            ),
            ("views measured", f"{geometry.n_views} of {geometry.views_per_turn} in a turn"),
        )
    asked, used = settings.scanner.region_count**2, sum(losses.used)
    if asked > 1:
        beyond = len(maker.scanner.beyond_mm)
        scan += (("places of the region", f"{used} used of {asked}, {beyond} outside the field of view"),)
    total = sum(plan.n_trials for plan in maker.plans.values())
    return (
        ("trials", counts),
        ("distinct backgrounds", images),
        ("disk", f"{2 * 4 * side**2 * total / 1e6:,.0f} MB"),
        ("noise (noisy − reference)", f"{noise:.1f} HU, mean {difference.mean():+.2f} HU"),
        ("contrast as drawn, over noise", f"{contrast.min() / noise:.2f} to {contrast.max() / noise:.2f}"),
        ("reference in the regions", f"{trials.reference_regions.mean():.0f} HU on average"),
        *scan,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
