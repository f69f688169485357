"""Whole slices: the trials of a study are windows of them, and a denoiser may want to see the rest."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from taskct.config import Settings
from taskct.errors import UserError
from taskct.scanner.fbp import FBP
from taskct.simulation.chunks import ChunkMaker
from taskct.simulation.exposure import kernel_of
from taskct.simulation.sources import make_sources
from taskct.trials.store import chunk_starts

ON_GRID = 1e-6
"""How far a place of the region may lie off the pixels of the slice, pixels."""


class WholeSlices:
    """Makes the whole slices of a study: as wide as its scan sees, about the isocentre, with the pixels of its trials.

    Corners beyond the field of view read air. A UserError, if the places of the region do not lie on one grid of
    pixels, or the slices are too large.
    """

    def __init__(self, settings: Settings, device: torch.device | str) -> None:
        s = settings.scanner
        self.maker = ChunkMaker(settings, make_sources(settings), device)
        scanner = self.maker.scanner
        self.window = scanner.regions[0].n_pixels
        centers = scanner.draw.centers_mm[:, ::-1] / s.pixel_mm  # (row, column)
        widest = int(scanner.geometry.field_of_view_mm * (1.0 + 1e-9) / s.pixel_mm)
        # Of the two widest that fit, the one whose pixels are those of the first place.
        self.side = widest - int(round(2.0 * float(centers[0, 0])) + widest - self.window) % 2
        corners = centers + (self.side - self.window) / 2.0
        self.corners = np.rint(corners).astype(np.int64)
        """First row and column of every place of the region, `(n_places, 2)`."""
        if np.abs(corners - self.corners).max() > ON_GRID:
            raise UserError(
                f"whole slices need the places of the region on one grid of pixels: scanner.region_step_mm="
                f"{s.region_step_mm:g} must be a whole number of pixels of {s.pixel_mm:g} mm (twice that for an even "
                "scanner.region_count); export the trials instead"
            )
        if self.corners.min() < 0 or self.corners.max() + self.window > self.side:
            raise UserError("whole slices would not hold all places of the region: lower scanner.region_step_mm")
        kernel = kernel_of(settings)
        self.view = FBP(
            scanner.geometry,
            n_pixels=self.side,
            pixel_mm=s.pixel_mm,
            window=kernel.window,
            cutoff=kernel.cutoff,
            device=device,
        )

    def slices(self, split: str) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Low-dose slices of a split in the order of its trials, HU, `(n, side, side)`, some at a time.

        And first row and column of the trial in each, `(n, 2)`.
        """
        plan = self.maker.plans[split]
        for start, n in chunk_starts(plan.n_trials, plan.chunk_trials):
            for noisy, region in self.maker.make_onto(self.view, split, start, n):
                yield noisy, self.corners[region]

    def signals(self, truth: dict[str, NDArray[np.float64]]) -> NDArray[np.float32]:
        """What the signals of a truth table add to their slices, see `Scanner.signals_of`."""
        return self.maker.scanner.signals_of(truth, self.view)
