"""The scanner of a study: objects and signals in, trials out."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from taskct.config import ProfileSettings, Settings
from taskct.errors import UserError
from taskct.scanner.acquire import acquire
from taskct.scanner.fbp import FBP
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.insertion import missing_noise
from taskct.scanner.projector import Projector
from taskct.study.exposure import Exposure, kernel_of
from taskct.study.insert import lidc_of, project_objects, project_signals
from taskct.study.sources import Source
from taskct.tasks.backgrounds import Drawn, Ellipses
from taskct.tasks.lidc import LidcNodules, real_sizes
from taskct.tasks.shapes import check_visible, rim_radius_mm
from taskct.tasks.signals import Signals, draw_signals, merge
from taskct.tasks.sites import draw_sites, draw_sites_in_mask
from taskct.trials import Trials
from taskct.units import MU_WATER_PER_MM

MAX_REDRAWS = 10
MIN_TISSUE = 0.98  # share of a region within background.region_hu, so that a lesion never hangs in air
BATCH_BYTES = 2**25  # of sinograms scanned at a time: what stays in the cache is fastest
MAX_BATCH = 64


@dataclass(frozen=True)
class Scanned:
    """Some trials, and the objects behind them."""

    trials: Trials
    objects_hu: NDArray[np.float32]
    """Without a signal, `(n_objects, object_pixels, object_pixels)`, HU."""
    owner: NDArray[np.int64]
    """Which object each trial shows, `(n,)`."""
    outside: float
    """Share of the attenuation of the worst object that lies outside the field of view, in [0, 1]."""


class Scanner:
    """The scanner of a study: its projector, its exposure, and one reconstruction for each place of the region.

    Parameters
    ----------
    settings
        The study.
    device
        Where to project and reconstruct.

    Raises
    ------
    UserError
        If the settings describe no scanner, or no place of the region lies in the field of view.
    """

    def __init__(self, settings: Settings, device: torch.device | str) -> None:
        s = settings.scanner
        self.settings = settings
        self.device = device
        self.geometry = make_geometry(settings)
        self.projector = Projector(self.geometry, n_pixels=s.object_pixels, pixel_mm=s.object_pixel_mm, device=device)
        self.regions = self._regions()
        self.exposure = Exposure(settings, self.geometry, device)
        self.lidc = lidc_of(settings)
        self.outlines = None if self.lidc is None else self.lidc.outline

    @property
    def truth_columns(self) -> list[str]:
        """Names of the columns of the truth table."""
        return ["case", "region_x_mm", "region_y_mm", *(field.name for field in fields(Signals)), "inserted"]

    def _regions(self) -> list[FBP]:
        s, t = self.settings.scanner, self.settings.trials
        axis = (np.arange(s.region_count) - (s.region_count - 1) / 2.0) * s.region_step_mm
        kernel, regions = kernel_of(self.settings), []
        for y in axis:
            for x in axis:
                try:
                    region = FBP(
                        self.geometry,
                        center_mm=(float(x), float(y)),
                        n_pixels=t.region_pixels + 2 * t.margin_pixels,
                        pixel_mm=s.pixel_mm,
                        window=kernel.window,
                        cutoff=kernel.cutoff,
                        device=self.device,
                    )
                except UserError:
                    if s.region_count == 1:
                        raise
                    continue  # a corner of the lattice beyond the field of view
                regions.append(region)
        if not regions:
            raise UserError("no place of the region lies in the field of view: lower scanner.region_step_mm")
        return regions

    def places(self, object_hu: NDArray[np.float32], allowed: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """Indices of the regions that lie in the tissue of an object and about a place where a lesion may lie.

        Parameters
        ----------
        object_hu
            HU, `(n_pixels, n_pixels)`.
        allowed
            Where the middle of a lesion may lie, same shape; None: anywhere.
        """
        s, (low, high) = self.settings.scanner, self.settings.background.region_hu
        inside = []
        for index, region in enumerate(self.regions):
            part = _window(region.center_mm, region.n_pixels * region.pixel_mm / 2.0, len(object_hu), s.object_pixel_mm)
            if part is None:
                continue
            tissue = object_hu[part]
            if np.mean((tissue >= low) & (tissue <= high)) < MIN_TISSUE:
                continue
            if allowed is None or (allowed & self._reached(index)).any():
                inside.append(index)
        return np.array(inside, dtype=np.int64)

    def _reached(self, *places: int) -> NDArray[np.bool_]:
        """Pixels of the object within ± signal.position_mm of the centres of some regions."""
        s, reach = self.settings.scanner, self.settings.signal.position_mm
        axis = (np.arange(s.object_pixels) - (s.object_pixels - 1) / 2.0) * s.object_pixel_mm
        mask = np.zeros((s.object_pixels, s.object_pixels), dtype=bool)
        for place in places:
            x, y = self.regions[place].center_mm
            mask |= (np.abs(axis - x) <= reach)[None, :] & (np.abs(axis - y) <= reach)[:, None]
        return mask

    def scan(
        self,
        source: Source,
        rng: np.random.Generator,
        index: NDArray[np.int64],
        count: NDArray[np.int64],
        present: NDArray[np.bool_],
    ) -> Scanned:
        """Draw objects and signals, and scan them.

        Parameters
        ----------
        source
            The backgrounds.
        rng
            Source of all randomness.
        index, count
            Numbers of the objects and how many trials each is for, `(n_objects,)`.
        present
            Which trials are of H1, `(n,)` with `n` the sum of `count`.

        Returns
        -------
        The trials.

        Raises
        ------
        UserError
            If the region or the signals fit into none of the objects, or the signals vanish.
        """
        signals = self._draw_signals(rng, present)
        drawn, total_hu, places = self._draw_objects(source, rng, index, signals)
        # An object without a place lends its trials to the next one that has some.
        usable = np.array([i for i, p in enumerate(places) if len(p)])
        owner = usable[np.searchsorted(usable, np.repeat(np.arange(len(count)), count)) % len(usable)]
        region, signals = self._place_signals(rng, drawn, places, owner, signals)
        inserted = present | self.settings.absent_signal.inserted
        seeds = rng.integers(2**62, size=len(owner))
        noisy, reference = self._measure(drawn, total_hu, owner, region, signals, inserted, seeds)
        center = np.array([self.regions[place].center_mm for place in region])
        truth = {"case": drawn.case[owner], "region_x_mm": center[:, 0], "region_y_mm": center[:, 1]}
        columns = {name: np.asarray(column, dtype=np.float64) for name, column in truth.items()}
        trials = Trials(
            noisy=noisy,
            reference=reference,
            signal_present=present,
            truth=columns | signals.columns() | {"inserted": inserted.astype(np.float64)},
        )
        return Scanned(trials, total_hu, owner, self._outside(total_hu))

    def _draw_signals(self, rng: np.random.Generator, present: NDArray[np.bool_]) -> Signals:
        """Signals of H1 where present; elsewhere those of H0, or where H1's might have been."""
        s = self.settings
        signals = draw_profiles(rng, len(present), s.signal, self.lidc)
        if s.absent_signal.inserted:
            signals = merge(present, signals, draw_profiles(rng, len(present), s.absent_signal, self.lidc))
        check_visible(signals, pixel_mm=s.scanner.pixel_mm, slice_mm=s.scanner.slice_mm)
        return signals

    def _draw_objects(
        self, source: Source, rng: np.random.Generator, index: NDArray[np.int64], signals: Signals
    ) -> tuple[Drawn, NDArray[np.float32], list[NDArray[np.int64]]]:
        """Objects, their HU and the regions that fit each; one that none fits is replaced by another of the split."""
        pitch = self.settings.scanner.object_pixel_mm
        in_organ = self.settings.signal.site == "organ"
        radius_mm = float(rim_radius_mm(signals, lidc=self.outlines).max())
        drawn = source.background.draw(rng, index)
        if in_organ and drawn.organ is None:
            raise UserError("signal.site is organ but the background names none: set background.organ")
        total_hu = drawn.total_hu(pitch)
        places: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)] * len(index)
        todo, deepest_mm = np.arange(len(index)), 0.0
        for _ in range(MAX_REDRAWS):
            for i in todo:
                allowed = None
                if in_organ and drawn.organ is not None:
                    depth_mm = ndimage.distance_transform_edt(np.pad(drawn.organ[i], 1))[1:-1, 1:-1] * pitch
                    deepest_mm, allowed = max(deepest_mm, float(depth_mm.max())), depth_mm >= radius_mm + pitch
                places[i] = self.places(total_hu[i], allowed)
            todo = np.array([i for i in todo if len(places[i]) == 0], dtype=np.int64)
            if len(todo) == 0:
                break
            again = source.background.draw(rng, rng.integers(source.n_objects, size=len(todo)))
            drawn = _replace(drawn, todo, again)
            total_hu[todo] = again.total_hu(pitch)
        if any(len(p) for p in places):
            return drawn, total_hu, places
        if in_organ and deepest_mm < radius_mm + pitch:
            raise UserError(
                f"a lesion that reaches {radius_mm:.3g} mm from its middle fits into the organ of none of the "
                f"backgrounds, whose largest inscribed circle has a radius of {deepest_mm:.3g} mm: lower "
                "signal.diameter_mm or choose another background.organ"
            )
        raise UserError(
            "the region lies in tissue (background.region_hu) in none of the backgrounds"
            + (", or holds no place of the organ within signal.position_mm of its centre" if in_organ else "")
            + ": widen that range, make trials.region_pixels smaller, or give more places by scanner.region_count and "
            "scanner.region_step_mm"
        )

    def _place_signals(
        self,
        rng: np.random.Generator,
        drawn: Drawn,
        places: list[NDArray[np.int64]],
        owner: NDArray[np.int64],
        signals: Signals,
    ) -> tuple[NDArray[np.int64], Signals]:
        """The region of every trial, and the signals at their offsets from its centre."""
        s = self.settings
        if s.signal.site != "organ" or drawn.organ is None:
            region = np.array([rng.choice(places[i]) for i in owner], dtype=np.int64)
            x, y = draw_sites(
                rng, len(owner), kind=s.signal.site, reach_mm=s.signal.position_mm, offsets_mm=s.signal.sites_mm
            )
            return region, moved(signals, x, y)
        region = np.empty(len(owner), dtype=np.int64)
        x, y = np.empty((2, len(owner)))
        radius_mm = rim_radius_mm(signals, lidc=self.outlines)
        for i in np.unique(owner):
            here = np.flatnonzero(owner == i)
            at_x, at_y = draw_sites_in_mask(
                rng,
                drawn.organ[i],
                pixel_mm=s.scanner.object_pixel_mm,
                radius_mm=radius_mm[here],
                centers=self._reached(*places[i]),
            )
            centers = np.array([self.regions[place].center_mm for place in places[i]])
            far = np.maximum(np.abs(at_x[:, None] - centers[:, 0]), np.abs(at_y[:, None] - centers[:, 1]))
            nearest = far.argmin(axis=1)
            region[here] = places[i][nearest]
            x[here], y[here] = at_x - centers[nearest, 0], at_y - centers[nearest, 1]
        return region, moved(signals, x, y)

    def _measure(
        self,
        drawn: Drawn,
        total_hu: NDArray[np.float32],
        owner: NDArray[np.int64],
        region: NDArray[np.int64],
        signals: Signals,
        inserted: NDArray[np.bool_],
        seeds: NDArray[np.int64],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Noisy and reference images of every trial, HU, `(n, side, side)`."""
        paths = self._paths(drawn, total_hu)
        side = self.regions[0].n_pixels
        noisy, reference = np.empty((2, len(owner), side, side), dtype=np.float32)
        center = np.array([self.regions[place].center_mm for place in region])
        sinogram_bytes = 4 * self.geometry.n_views * self.geometry.n_bins
        size = int(np.clip(BATCH_BYTES // sinogram_bytes, 1, MAX_BATCH))
        for place in np.unique(region):
            members = np.flatnonzero(region == place)
            for batch in np.split(members, range(size, len(members), size)):
                lines = torch.zeros(len(batch), self.geometry.n_views, self.geometry.n_bins, device=self.device)
                lesion = batch[inserted[batch]]
                lines[torch.from_numpy(inserted[batch])] = project_signals(
                    self.geometry,
                    signals[lesion],
                    x_mm=center[lesion, 0] + signals.x_mm[lesion],
                    y_mm=center[lesion, 1] + signals.y_mm[lesion],
                    slice_mm=self.settings.scanner.slice_mm,
                    lidc=self.lidc,
                    device=self.device,
                )
                here = [path[torch.from_numpy(owner[batch])] for path in paths]
                low, target = self._images(drawn, owner[batch], self.regions[place], here, lines, seeds[batch])
                noisy[batch], reference[batch] = low.cpu().numpy(), target.cpu().numpy()
        return noisy, reference

    def _paths(self, drawn: Drawn, total_hu: NDArray[np.float32]) -> list[torch.Tensor]:
        """What lies in every ray of every object."""
        if drawn.noisy_hu is not None:  # nothing is scanned again
            return []
        exact = None if drawn.ellipses is None else project_objects(self.geometry, drawn.ellipses, self.device)
        image, total = (torch.from_numpy(array).to(self.device) for array in (drawn.image_hu, total_hu))
        return self.exposure.project(self.projector, image, exact, total)

    def _images(
        self,
        drawn: Drawn,
        owner: NDArray[np.int64],
        region: FBP,
        paths: list[torch.Tensor],
        signal_lines: torch.Tensor,
        seeds: NDArray[np.int64],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Noisy and reference images of some trials in one region, HU."""
        s = self.settings.scanner
        if drawn.noisy_hu is not None or s.acquisition == "insertion":
            # The images are there: what the scan would make of the signal, and the noise that is missing, is added.
            added = region.reconstruct(signal_lines) * (1000.0 / MU_WATER_PER_MM)
            reference = self._crop(drawn.image_hu[owner], region) + added
            if drawn.noisy_hu is not None:
                return self._crop(drawn.noisy_hu[owner], region) + added, reference
            lines = self.exposure.line_integral(paths, signal_lines)
            noise = missing_noise(
                lines,
                i0=self.exposure.i0(lines),
                dose_fraction=s.dose_fraction,
                electronic_noise=s.electronic_noise,
                seeds=[int(seed) for seed in seeds],
            )
            return reference + region.reconstruct(noise) * (1000.0 / MU_WATER_PER_MM), reference
        lines = self.exposure.line_integral(paths, signal_lines)
        return acquire(
            lines,
            region,
            i0=self.exposure.i0(lines),
            dose_fraction=s.dose_fraction,
            electronic_noise=s.electronic_noise,
            reference=s.reference,
            seeds=[int(seed) for seed in seeds],
            correct=self.exposure.correct,
        )

    def _crop(self, image_hu: NDArray[np.float32], region: FBP) -> torch.Tensor:
        """Images on the object grid, interpolated linearly onto the pixels of a region."""
        s = self.settings.scanner
        axis = (np.arange(region.n_pixels) - (region.n_pixels - 1) / 2.0) * region.pixel_mm
        x, y = ((axis + c) / s.object_pixel_mm + (s.object_pixels - 1) / 2.0 for c in region.center_mm)
        points = np.meshgrid(y, x, indexing="ij")
        parts = [ndimage.map_coordinates(image, points, order=1, mode="nearest") for image in image_hu]
        return torch.from_numpy(np.stack(parts)).to(self.device)

    def _outside(self, total_hu: NDArray[np.float32]) -> float:
        """The largest share of an object's attenuation that lies outside the field of view."""
        s = self.settings.scanner
        axis = (np.arange(s.object_pixels) - (s.object_pixels - 1) / 2.0) * s.object_pixel_mm
        beyond = np.hypot(axis[None, :], axis[:, None]) > self.geometry.field_of_view_mm / 2.0
        mu = np.maximum(total_hu + 1000.0, 0.0)
        return float((mu[:, beyond].sum(axis=1) / np.maximum(mu.sum(axis=(1, 2)), 1e-6)).max())


def make_geometry(settings: Settings) -> ScanGeometry:
    """The scan of a study."""
    s = settings.scanner
    return ScanGeometry(
        source_isocenter_mm=s.source_isocenter_mm,
        source_detector_mm=s.source_detector_mm,
        n_bins=s.n_bins,
        bin_mm=s.bin_mm,
        views_per_turn=s.n_views,
        detector=s.detector,
        bin_offset=s.bin_offset,
        scan=s.scan,
    )


def draw_profiles(rng: np.random.Generator, n: int, profile: ProfileSettings, lidc: LidcNodules | None) -> Signals:
    """Signals of a hypothesis, in the middle of their region."""
    signals = draw_signals(
        rng,
        n,
        shapes=profile.shape,
        contrast_hu=profile.contrast_hu,
        diameter_mm=profile.diameter_mm,
        margin_mm=profile.margin_mm,
        aspect=profile.aspect,
        angle_deg=profile.angle_deg,
        exponent=profile.exponent,
        n_lobes=profile.n_lobes,
        lobe_depth=profile.lobe_depth,
        diameter_law=profile.diameter_law,
        outlines=None if lidc is None else lidc.annotation,
    )
    return signals if lidc is None else real_sizes(signals, lidc)


def moved(signals: Signals, x_mm: NDArray[np.float64], y_mm: NDArray[np.float64]) -> Signals:
    """Signals at other offsets from the centre of their region, mm."""
    return replace(signals, x_mm=np.asarray(x_mm, dtype=np.float64), y_mm=np.asarray(y_mm, dtype=np.float64))


def _window(
    center_mm: tuple[float, float], half_mm: float, n_pixels: int, pixel_mm: float
) -> tuple[slice, slice] | None:
    """Rows and columns of a square about a point on a grid, or None where it sticks out."""
    parts = []
    for c in (center_mm[1], center_mm[0]):
        low = int(np.floor((c - half_mm) / pixel_mm + (n_pixels - 1) / 2.0))
        high = int(np.ceil((c + half_mm) / pixel_mm + (n_pixels - 1) / 2.0)) + 1
        if low < 0 or high > n_pixels:
            return None
        parts.append(slice(low, high))
    return parts[0], parts[1]


def _replace(drawn: Drawn, where: NDArray[np.int64], again: Drawn) -> Drawn:
    """Objects of which some are exchanged for others."""

    def exchange(old: NDArray[Any] | None, new: NDArray[Any] | None) -> Any:  # noqa: ANN401 - of the type it was
        if old is None or new is None:
            return None
        changed = old.copy()
        changed[where] = new
        return changed

    ellipses = drawn.ellipses
    if ellipses is not None and again.ellipses is not None:
        columns = {
            f.name: exchange(getattr(ellipses, f.name), getattr(again.ellipses, f.name)) for f in fields(Ellipses)
        }
        ellipses = Ellipses(**columns)
    return Drawn(
        image_hu=exchange(drawn.image_hu, again.image_hu),
        case=exchange(drawn.case, again.case),
        organ=exchange(drawn.organ, again.organ),
        noisy_hu=exchange(drawn.noisy_hu, again.noisy_hu),
        ellipses=ellipses,
    )
