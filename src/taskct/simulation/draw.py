"""What is scanned: objects, the region of every trial, and the signals in their places."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from taskct.config import ProfileSettings, Settings
from taskct.errors import UserError
from taskct.simulation.insert import lidc_of
from taskct.simulation.sources import Source
from taskct.tasks.backgrounds import Drawn
from taskct.tasks.lidc import LidcNodules, real_sizes
from taskct.tasks.shapes import check_visible, rim_radius_mm
from taskct.tasks.signals import SignalRanges, Signals, draw_signals, merge
from taskct.tasks.sites import draw_sites, draw_sites_in_mask
from taskct.trials.trials import SPLITS

MAX_REDRAWS, OTHERS = 20, 5
N_LOOKED_AT = 1000  # signals of a hypothesis that must be visible
MIN_TISSUE = 0.98  # share of a region within background.region_hu, so that a lesion never hangs in air


@dataclass(frozen=True)
class Scene:
    """Objects, and what each trial shows of them."""

    drawn: Drawn
    total_hu: NDArray[np.float32]  # without a signal, all drawn on the grid, HU, `(n_objects, n_pixels, n_pixels)`
    owner: NDArray[np.int64]  # which object each trial shows, `(n,)`
    region: NDArray[np.int64]  # which region each trial shows, `(n,)`
    signals: Signals  # at their offsets from the region's centre; where none is inserted, one that might have been
    inserted: NDArray[np.bool_]  # whether it is, `(n,)`
    places: list[NDArray[np.int64]]  # of every object the regions that fit it, possibly none


class Draw:
    """Draws scenes of a study, in regions about centres (x, y), mm, `(n_regions, 2)`."""

    def __init__(self, settings: Settings, centers_mm: NDArray[np.float64]) -> None:
        s, t = settings.scanner, settings.trials
        self.settings = settings
        self.centers_mm = centers_mm
        self.half_mm = (t.region_pixels + 2 * t.margin_pixels) * s.pixel_mm / 2.0
        self.in_organ = settings.signal.site == "organ"
        self.lidc = lidc_of(settings)
        # Once for the distributions: a batch of a few trials may well hold faint signals only.
        rng = np.random.default_rng([settings.seed, N_LOOKED_AT])
        for profile in self.profiles:
            some = draw_profiles(rng, N_LOOKED_AT, profile, self.lidc)
            check_visible(some, pixel_mm=s.pixel_mm, slice_mm=s.slice_mm)

    @property
    def profiles(self) -> list[ProfileSettings]:
        """What is inserted: H1's signals, and H0's if it has some."""
        h0 = self.settings.absent_signal
        return [self.settings.signal, *([h0] if h0.inserted else [])]

    def scene(
        self,
        source: Source,
        rng: np.random.Generator,
        index: NDArray[np.int64],
        count: NDArray[np.int64],
        present: NDArray[np.bool_],
    ) -> Scene:
        """Draw objects, and signals in them.

        Given are the objects' numbers and how many trials each is for, `(n_objects,)`, and which trials are of H1,
        `(n,)`. Object, region and site do not depend on the hypothesis: a site fits the signals of both. A UserError,
        if the region or the signals fit into none of the objects, or the signals vanish.
        """
        signals, radius_mm = self._signals(rng, present, source.split)
        drawn, total_hu, places = self._objects(source, rng, index, float(radius_mm.max()))
        # An object without a place lends its trials to the next one that has some.
        usable = np.array([i for i, p in enumerate(places) if len(p)])
        owner = usable[np.searchsorted(usable, np.repeat(np.arange(len(count)), count)) % len(usable)]
        region, x_mm, y_mm = self._sites(rng, drawn, places, owner, radius_mm)
        return Scene(
            drawn=drawn,
            total_hu=total_hu,
            owner=owner,
            region=region,
            signals=replace(signals, x_mm=x_mm, y_mm=y_mm),
            inserted=present | self.settings.absent_signal.inserted,
            places=places,
        )

    def places(self, object_hu: NDArray[np.float32], allowed: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """Indices of the regions that lie in the tissue of an object and about a place where a lesion may lie.

        `allowed` is where the middle of a lesion may lie, of the object's shape; None: anywhere.
        """
        pitch, (low, high) = self.settings.scanner.object_pixel_mm, self.settings.background.region_hu
        inside = []
        for place, center in enumerate(self.centers_mm):
            part = window(center, self.half_mm, len(object_hu), pitch)
            if part is None:
                continue
            tissue = object_hu[part]
            if np.mean((tissue >= low) & (tissue <= high)) < MIN_TISSUE:
                continue
            if allowed is None or (allowed & self._reached([place])).any():
                inside.append(place)
        return np.array(inside, dtype=np.int64)

    def _reached(self, places: NDArray[np.int64] | list[int]) -> NDArray[np.bool_]:
        """Pixels of the object within ± signal.position_mm of the centres of some regions."""
        s, reach = self.settings.scanner, self.settings.signal.position_mm
        axis = (np.arange(s.object_pixels) - (s.object_pixels - 1) / 2.0) * s.object_pixel_mm
        near = np.abs(axis - self.centers_mm[places][..., None]) <= reach
        return np.asarray((near[:, 0, None, :] & near[:, 1, :, None]).any(axis=0))

    def _signals(
        self, rng: np.random.Generator, present: NDArray[np.bool_], split: str
    ) -> tuple[Signals, NDArray[np.float64]]:
        """Signals in the middle of their region, and the radius that fits those of both hypotheses, mm, `(n,)`."""
        lidc = None if self.lidc is None else of_split(self.lidc, split)
        drawn = [draw_profiles(rng, len(present), profile, lidc) for profile in self.profiles]
        radius_mm = np.max([self._rim_mm(signals) for signals in drawn], axis=0)
        return (merge(present, *drawn) if len(drawn) > 1 else drawn[0]), radius_mm

    def _rim_mm(self, signals: Signals) -> NDArray[np.float64]:
        return rim_radius_mm(signals, lidc=None if self.lidc is None else self.lidc.outline)

    def _objects(
        self, source: Source, rng: np.random.Generator, index: NDArray[np.int64], radius_mm: float
    ) -> tuple[Drawn, NDArray[np.float32], list[NDArray[np.int64]]]:
        """Objects, their HU and the regions that fit each; one that none fits is drawn again.

        It keeps its own number, so that each is used equally often; of images that are given, another one takes the
        place of one that did not fit in several placements.
        """
        pitch = self.settings.scanner.object_pixel_mm
        drawn = source.background.draw(rng, index)
        if self.in_organ and drawn.organ is None:
            kind = self.settings.background.kind
            raise UserError(
                f"signal.site is organ, but the background {kind} has no organs: choose abdomen, thorax, or images "
                "with labels"
            )
        total_hu = drawn.total_hu(pitch)
        places: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)] * len(index)
        todo, deepest_mm = np.arange(len(index)), 0.0
        for attempt in range(MAX_REDRAWS):
            if attempt:
                own = source.case_kind == "phantoms" or attempt < MAX_REDRAWS - OTHERS
                other = rng.integers(source.n_objects, size=len(todo))
                again = source.background.draw(rng, index[todo] if own else other)
                drawn = drawn.replaced(todo, again)
                total_hu[todo] = again.total_hu(pitch)
            for i in todo:
                allowed = None
                if drawn.organ is not None and self.in_organ:
                    depth_mm = ndimage.distance_transform_edt(np.pad(drawn.organ[i], 1))[1:-1, 1:-1] * pitch
                    deepest_mm, allowed = max(deepest_mm, float(depth_mm.max())), depth_mm >= radius_mm + pitch
                places[i] = self.places(total_hu[i], allowed)
            todo = np.array([i for i in todo if len(places[i]) == 0], dtype=np.int64)
            if len(todo) == 0:
                break
        if len(todo) < len(index):
            return drawn, total_hu, places
        if self.in_organ and deepest_mm < radius_mm + pitch:
            raise UserError(
                f"a lesion that reaches {radius_mm:.3g} mm from its middle fits into the organ of none of the "
                f"backgrounds, whose largest inscribed circle has a radius of {deepest_mm:.3g} mm: lower "
                "signal.diameter_mm or choose another background.organ"
            )
        raise UserError(
            "the region lies in tissue (background.region_hu) in none of the backgrounds"
            + (", or holds no place of the organ within signal.position_mm of its centre" if self.in_organ else "")
            + ": widen that range, make trials.region_pixels smaller, or give more places by scanner.region_count and "
            "scanner.region_step_mm"
        )

    def _sites(
        self,
        rng: np.random.Generator,
        drawn: Drawn,
        places: list[NDArray[np.int64]],
        owner: NDArray[np.int64],
        radius_mm: NDArray[np.float64],
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """The region of every trial and its signal's offset from the region's centre, mm."""
        s = self.settings
        if not self.in_organ or drawn.organ is None:
            region = np.array([rng.choice(places[i]) for i in owner], dtype=np.int64)
            x, y = draw_sites(
                rng, len(owner), kind=s.signal.site, reach_mm=s.signal.position_mm, offsets_mm=s.signal.sites_mm
            )
            return region, x, y
        region, (x, y) = np.empty(len(owner), dtype=np.int64), np.empty((2, len(owner)))
        for i in np.unique(owner):
            here = np.flatnonzero(owner == i)
            at = np.stack(
                draw_sites_in_mask(
                    rng,
                    drawn.organ[i],
                    pixel_mm=s.scanner.object_pixel_mm,
                    radius_mm=radius_mm[here],
                    centers=self._reached(places[i]),
                ),
                axis=1,
            )
            offset = at[:, None, :] - self.centers_mm[places[i]]
            nearest = np.abs(offset).max(axis=2).argmin(axis=1)
            region[here] = places[i][nearest]
            x[here], y[here] = offset[np.arange(len(here)), nearest].T
        return region, x, y


def of_split(lidc: LidcNodules, split: str) -> LidcNodules:
    """A quarter of LIDC's patients, the same for every study: no nodule serves two splits."""
    return lidc.chosen(lidc.patient % len(SPLITS) == SPLITS.index(split))


def draw_profiles(rng: np.random.Generator, n: int, profile: ProfileSettings, lidc: LidcNodules | None) -> Signals:
    """Signals of a hypothesis, in the middle of their region."""
    outlines = None
    if lidc is not None and "lidc" in profile.shape:
        low, high = profile.diameter_mm
        outlines = lidc.chosen((lidc.diameter_mm >= low) & (lidc.diameter_mm <= high)).annotation
    ranges = SignalRanges(
        shapes=profile.shape,
        contrast_hu=profile.contrast_hu,
        diameter_mm=profile.diameter_mm,
        blur_mm=profile.blur_mm,
        aspect=profile.aspect,
        angle_deg=profile.angle_deg,
        exponent=profile.exponent,
        n_lobes=profile.n_lobes,
        lobe_depth=profile.lobe_depth,
        diameter_law=profile.diameter_law,
    )
    signals = draw_signals(rng, n, ranges, outlines=outlines)
    return signals if lidc is None else real_sizes(signals, lidc)


def window(
    center_mm: NDArray[np.float64], half_mm: float, n_pixels: int, pixel_mm: float
) -> tuple[slice, slice] | None:
    """Rows and columns of a square about a point (x, y) on a grid, or None where it sticks out."""
    low = np.floor((center_mm - half_mm) / pixel_mm + (n_pixels - 1) / 2.0).astype(int)
    high = np.ceil((center_mm + half_mm) / pixel_mm + (n_pixels - 1) / 2.0).astype(int) + 1
    if low.min() < 0 or high.max() > n_pixels:
        return None
    return slice(low[1], high[1]), slice(low[0], high[0])
