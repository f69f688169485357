"""Scan geometry. Lengths in mm, angles in radians.

The image lies in the x–y plane with the isocentre in its middle: x grows with the column, y with the row (for an
axial CT slice: patient right to left, anterior to posterior).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError


@dataclass(frozen=True)
class FanBeam:
    """A full circular fan-beam scan with a flat detector.

    Rays are thin: neither the focal spot nor a bin has a width.

    Raises
    ------
    UserError
        If a length is not positive, the detector is not behind the isocentre, or `n_views` is not a multiple of
        4 (the projector uses the symmetry of a quarter turn).
    """

    source_isocenter_mm: float
    """Source to isocentre, mm."""
    source_detector_mm: float
    """Source to detector, mm; larger than `source_isocenter_mm`."""
    n_bins: int
    """Detector bins in a view."""
    bin_mm: float
    """Bin pitch on the detector, mm."""
    n_views: int
    """Views in a full turn, a multiple of 4."""

    def __post_init__(self) -> None:
        if self.n_views < 4 or self.n_views % 4:
            raise UserError(f"scanner.n_views is {self.n_views}: give a multiple of 4, at least 4")
        if not 0 < self.source_isocenter_mm < self.source_detector_mm:
            raise UserError(
                f"scanner.source_detector_mm ({self.source_detector_mm} mm) must exceed "
                f"scanner.source_isocenter_mm ({self.source_isocenter_mm} mm), both positive"
            )
        if self.n_bins < 2 or not self.bin_mm > 0:
            raise UserError(
                f"the detector needs at least 2 bins of positive pitch, not {self.n_bins} × {self.bin_mm} mm"
            )

    @property
    def isocenter_bin_mm(self) -> float:
        """Bin pitch scaled to the isocentre, mm."""
        return self.bin_mm * self.source_isocenter_mm / self.source_detector_mm

    @property
    def view_rad(self) -> NDArray[np.float64]:
        """Angle of the source about the isocentre, rad, shape `(n_views,)`."""
        return np.linspace(0.0, 2.0 * np.pi, self.n_views, endpoint=False)

    @property
    def bin_isocenter_mm(self) -> NDArray[np.float64]:
        """Centre of every bin on the detector scaled to the isocentre, mm, shape `(n_bins,)`."""
        half = (self.n_bins - 1) / 2.0 * self.isocenter_bin_mm
        return np.linspace(-half, half, self.n_bins)

    @property
    def field_of_view_mm(self) -> float:
        """Diameter of the circle that every view covers, up to the centres of its outermost bins, mm."""
        half = (self.n_bins - 1) * self.isocenter_bin_mm / 2.0
        return float(2.0 * half * self.source_isocenter_mm / np.hypot(half, self.source_isocenter_mm))

    def rays(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the source and the direction of every ray.

        Returns
        -------
        source, direction
            Source position in mm, shape `(n_views, 1, 2)`, and unit direction, shape `(n_views, n_bins, 2)`; the
            last axis is (x, y).
        """
        cos, sin = np.cos(self.view_rad)[:, None], np.sin(self.view_rad)[:, None]
        source: NDArray[np.float64] = self.source_isocenter_mm * np.stack([cos, sin], axis=-1)
        s = self.bin_isocenter_mm[None, :]
        target = np.stack([-sin * s, cos * s], axis=-1)
        direction: NDArray[np.float64] = target - source
        direction /= np.hypot(direction[..., :1], direction[..., 1:])
        return source, direction
