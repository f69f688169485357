"""The scanner of a study: objects and signals in, trials out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from taskct.config import Settings
from taskct.errors import UserError
from taskct.scanner.acquire import acquire
from taskct.scanner.fbp import FBP
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.insertion import missing_noise
from taskct.scanner.projector import Projector
from taskct.scanner.units import MU_WATER_PER_MM
from taskct.simulation.draw import Draw, Scene
from taskct.simulation.exposure import Beam, Exposure, kernel_of
from taskct.simulation.insert import project_objects, project_signals
from taskct.simulation.lost import Losses, check_counts
from taskct.simulation.sources import Source, shown_as_they_are
from taskct.tasks.backgrounds import AIR_HU
from taskct.tasks.signals import Signals
from taskct.trials.trials import Trials

HU_PER_MU = 1000.0 / MU_WATER_PER_MM
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
    losses: Losses
    """Of the objects."""


class Scanner:
    """The scanner of a study: its projector, its exposure, and one reconstruction for each place of the region.

    Places outside the field of view are left out: `beyond_mm` holds their centres (x, y), mm. A UserError, if the
    settings describe no scanner, or no place of the region lies in the field of view.
    """

    def __init__(self, settings: Settings, device: torch.device | str) -> None:
        s = settings.scanner
        self.settings = settings
        self.device = device
        self.as_they_are = shown_as_they_are(settings)
        self.geometry = make_geometry(settings)
        self.projector = Projector(self.geometry, n_pixels=s.object_pixels, pixel_mm=s.object_pixel_mm, device=device)
        self.beyond_mm: list[tuple[float, float]] = []
        self.regions = self._regions()
        self.exposure = Exposure(settings, self.geometry, device)
        self.draw = Draw(settings, np.array([region.center_mm for region in self.regions]))

    @property
    def truth_columns(self) -> list[str]:
        """Names of the columns of the truth table."""
        return ["case", "region_x_mm", "region_y_mm", *(field.name for field in fields(Signals)), "inserted"]

    def _regions(self) -> list[FBP]:
        s, t = self.settings.scanner, self.settings.trials
        axis = (np.arange(s.region_count) - (s.region_count - 1) / 2.0) * s.region_step_mm
        side = t.region_pixels + 2 * t.margin_pixels
        if self.as_they_are:  # pixels of the regions on pixels of the images
            half = (s.object_pixels - side) % 2 / 2.0
            axis = (np.round(axis / s.pixel_mm - half) + half) * s.pixel_mm
        kernel, regions = kernel_of(self.settings), []
        for y in axis:
            for x in axis:
                try:
                    region = FBP(
                        self.geometry,
                        center_mm=(float(x), float(y)),
                        n_pixels=side,
                        pixel_mm=s.pixel_mm,
                        window=kernel.window,
                        cutoff=kernel.cutoff,
                        device=self.device,
                    )
                except UserError:
                    if s.region_count == 1:
                        raise
                    self.beyond_mm.append((float(x), float(y)))  # a corner of the lattice
                    continue
                regions.append(region)
        if not regions:
            raise UserError("no place of the region lies in the field of view: lower scanner.region_step_mm")
        return regions

    def scan(
        self,
        source: Source,
        rng: np.random.Generator,
        index: NDArray[np.int64],
        count: NDArray[np.int64],
        present: NDArray[np.bool_],
        *,
        signals: bool = False,
    ) -> Scanned:
        """Draw objects and signals, as `Draw.scene` does, and scan them; refuses a dose that leaves nothing of them.

        With `signals` the trials know what their signals add, see `Trials.signal`.
        """
        scene = self.draw.scene(source, rng, index, count, present)
        beam = None if scene.drawn.noisy_hu is not None else self._beam(scene)  # where both doses are given, none
        noisy, reference = self._measure(scene, beam, rng.integers(2**62, size=len(scene.owner)))
        center = self.draw.centers_mm[scene.region]
        place = {"case": scene.drawn.case[scene.owner], "region_x_mm": center[:, 0], "region_y_mm": center[:, 1]}
        truth = place | scene.signals.columns() | {"inserted": scene.inserted}
        trials = Trials(
            noisy=noisy,
            reference=reference,
            signal_present=present,
            truth={name: np.asarray(column, dtype=np.float64) for name, column in truth.items()},
            margin=self.settings.trials.margin_pixels,
            pixel_mm=self.settings.scanner.pixel_mm,
            signal=self._signals_hu(scene, beam) if signals else None,
        )
        return Scanned(trials, scene.total_hu, scene.owner, self._losses(scene, beam))

    def scan_onto(
        self,
        view: FBP,
        source: Source,
        rng: np.random.Generator,
        index: NDArray[np.int64],
        count: NDArray[np.int64],
        present: NDArray[np.bool_],
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """What `scan` measures of the same arguments, on another grid: low-dose images, HU, and each one's region.

        The random numbers are drawn as `scan` draws them, so objects, signals and noise are the same.
        """
        scene = self.draw.scene(source, rng, index, count, present)
        beam = None if scene.drawn.noisy_hu is not None else self._beam(scene)
        noisy, _ = self._measure(scene, beam, rng.integers(2**62, size=len(scene.owner)), view)
        return noisy, scene.region

    def _losses(self, scene: Scene, beam: Beam | None) -> Losses:
        """What the objects of a scene lost."""
        return Losses(
            outside=0.0 if beam is None else self._outside(scene.total_hu),
            starved=0.0 if beam is None else beam.starved,
            lost=0.0 if beam is None else beam.lost,
            n_objects=len(scene.places),
            n_without_place=sum(len(places) == 0 for places in scene.places),
            used=tuple(bool(one) for one in np.isin(np.arange(len(self.regions)), np.concatenate(scene.places))),
        )

    def _measure(
        self, scene: Scene, beam: Beam | None, seeds: NDArray[np.int64], view: FBP | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Noisy and reference images of every trial, HU, `(n, side, side)`: of its region, or on the grid of a view."""
        side = (self.regions[0] if view is None else view).n_pixels
        noisy, reference = np.empty((2, len(scene.owner), side, side), dtype=np.float32)
        for batch, region in self._batches(scene.region):
            lines = self._signal_lines(scene, batch, region, scene.inserted[batch])
            onto = region if view is None else view
            images = self._images(scene, batch, lines, onto, beam, [int(seed) for seed in seeds[batch]])
            noisy[batch], reference[batch] = (image.cpu().numpy() for image in images)
        return noisy, reference

    def _signals_hu(self, scene: Scene, beam: Beam | None) -> NDArray[np.float32]:
        """What the signal of every trial adds to its image, whether it is inserted or not, HU, `(n, side, side)`."""
        side = self.regions[0].n_pixels
        signals = np.empty((len(scene.owner), side, side), dtype=np.float32)
        for batch, region in self._batches(scene.region):
            everywhere = np.ones(len(batch), dtype=np.bool_)
            lines = self._signal_lines(scene, batch, region, everywhere)
            if beam is not None and beam.correct is not None and self.settings.scanner.acquisition == "scan":
                with_it, without = (beam.lines(scene.owner[batch], one) for one in (lines, torch.zeros_like(lines)))
                lines = beam.correct(with_it) - beam.correct(without)
            signals[batch] = (region.reconstruct(lines) * HU_PER_MU).cpu().numpy()
        return signals

    def signals_of(self, truth: Mapping[str, NDArray[np.float64]], view: FBP | None = None) -> NDArray[np.float32]:
        """What the signals of a truth table add to their images, inserted or not, HU, `(n, side, side)`.

        On the grids of their regions, or of a view.
        Without what the objects behind them change of it by beam hardening, which no table tells.
        """
        signals, side = Signals.from_columns(truth), (self.regions[0] if view is None else view).n_pixels
        centers = np.stack([truth["region_x_mm"], truth["region_y_mm"]], axis=1)
        apart = np.abs(centers[:, None] - self.draw.centers_mm).sum(axis=2)
        images = np.empty((len(signals), side, side), dtype=np.float32)
        for batch, region in self._batches(apart.argmin(axis=1)):
            lines = self._projected(signals[batch], region)
            images[batch] = ((region if view is None else view).reconstruct(lines) * HU_PER_MU).cpu().numpy()
        return images

    def _batches(self, regions: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], FBP]]:
        """Trials by the region that they lie in, `(n,)`, as many at a time as stay in the cache."""
        sinogram_bytes = 4 * self.geometry.n_views * self.geometry.n_bins
        size = int(np.clip(BATCH_BYTES // sinogram_bytes, 1, MAX_BATCH))
        for place in np.unique(regions):
            members = np.flatnonzero(regions == place)
            for batch in np.split(members, range(size, len(members), size)):
                yield batch, self.regions[place]

    def _beam(self, scene: Scene) -> Beam:
        """What the rays meet in every object."""
        ellipses = scene.drawn.ellipses
        exact = None if ellipses is None else project_objects(self.geometry, ellipses, self.device)
        image, total = (torch.from_numpy(array).to(self.device) for array in (scene.drawn.image_hu, scene.total_hu))
        if self.as_they_are:  # noise may read less than air, but nothing attenuates less
            image, total = image.clamp(min=AIR_HU), total.clamp(min=AIR_HU)
        beam = self.exposure.beam(self.projector, image, exact, total)
        check_counts(beam.lost, self.settings.scanner.dose_fraction)
        return beam

    def _images(
        self,
        scene: Scene,
        batch: NDArray[np.int64],
        signal_lines: torch.Tensor,
        region: FBP,
        beam: Beam | None,
        seeds: list[int],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Noisy and reference images of some trials on one grid, HU."""
        s, drawn, owner = self.settings.scanner, scene.drawn, scene.owner[batch]
        if drawn.noisy_hu is not None or s.acquisition == "insertion":
            # The images are there: what the scan would make of the signal, and the noise that is missing, is added.
            added = region.reconstruct(signal_lines) * HU_PER_MU
            reference = self._crop(drawn.image_hu[owner], region) + added
            if drawn.noisy_hu is not None:
                return self._crop(drawn.noisy_hu[owner], region) + added, reference
        if beam is None:
            raise ValueError("a scan needs a beam")
        lines, i0 = beam.lines(owner, signal_lines), beam.i0[torch.from_numpy(owner)]
        noise: dict[str, Any] = {
            "i0": i0,
            "dose_fraction": s.dose_fraction,
            "electronic_noise": s.electronic_noise,
            "seeds": seeds,
        }
        if s.acquisition == "insertion":
            missing = missing_noise(lines, **noise)
            if beam.correct is not None:
                missing = beam.correct(lines + missing) - beam.correct(lines)
            return reference + region.reconstruct(missing) * HU_PER_MU, reference
        return acquire(lines, region, **noise, reference=s.reference, correct=beam.correct)

    def _signal_lines(
        self, scene: Scene, batch: NDArray[np.int64], region: FBP, inserted: NDArray[np.bool_]
    ) -> torch.Tensor:
        """Line integrals of the signals of some trials, zero where none is inserted, `(n, n_views, n_bins)`."""
        lines = torch.zeros(len(batch), self.geometry.n_views, self.geometry.n_bins, device=self.device)
        lines[torch.from_numpy(inserted)] = self._projected(scene.signals[batch[inserted]], region)
        return lines

    def _projected(self, signals: Signals, region: FBP) -> torch.Tensor:
        """Line integrals of signals where they stand in a region, `(n, n_views, n_bins)`."""
        return project_signals(
            self.geometry,
            signals,
            x_mm=region.center_mm[0] + signals.x_mm,
            y_mm=region.center_mm[1] + signals.y_mm,
            slice_mm=self.settings.scanner.slice_mm,
            lidc=self.draw.lidc,
            device=self.device,
        )

    def _crop(self, image_hu: NDArray[np.float32], region: FBP) -> torch.Tensor:
        """Images on the object grid, cut out at the pixels of a region, which lie on those of the grid."""
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
