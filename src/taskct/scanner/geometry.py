"""Scan geometry. Lengths in mm, angles in radians.

The image lies in the x–y plane with the isocentre in its middle: x grows with the column, y with the row (for an
axial CT slice: patient right to left, anterior to posterior).

Exchange with other programs. In the view of angle β the source stands at (cos β, sin β) times its distance, and bins
count along (−sin β, cos β): the point (x, y) is seen by a parallel beam at y cos β − x sin β. scikit-image's `radon`
and ASTRA see it at x cos θ − y sin θ: they start a quarter turn from here and turn the other way about. So

    θ = 90° − β, with the bins in reverse order,

is the same view, for parallel and for fan beams; ASTRA's source is then at (sin θ, cos θ) in these axes (its own y
points up, so that row 0 of an image has the largest y). For a parallel beam θ = −90° − β gives the bins in their order.
The rotation centre is the middle of the grid, (n − 1)/2, as ASTRA's; `radon` turns about pixel n//2, half a pixel from
it where n is even, so compare images of odd sides.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError

DETECTORS = ("flat", "curved", "parallel")
SCANS = ("full", "short")


@dataclass(frozen=True)
class ScanGeometry:
    """A circular scan: fan beam with a flat or a curved (equiangular) detector, or a parallel beam.

    Rays are thin: neither the focal spot nor a bin has a width.

    Raises
    ------
    UserError
        If a length is not positive, the detector is not behind the isocentre, `views_per_turn` is not a multiple of
        4 (the projector uses the symmetry of a quarter turn), or a name is unknown.

    Examples
    --------
    >>> scan = ScanGeometry(595.0, 1085.6, 736, 1.2858, 1152, detector="curved", scan="short")
    >>> scan.n_views, round(scan.field_of_view_mm)
    (736, 502)
    """

    source_isocenter_mm: float
    """Source to isocentre, mm; no part in a parallel beam."""
    source_detector_mm: float
    """Source to detector, mm, larger than `source_isocenter_mm`; no part in a parallel beam."""
    n_bins: int
    """Detector bins in a view."""
    bin_mm: float
    """Bin pitch, mm: on the detector (along its arc if it is curved); for a parallel beam at the isocentre."""
    views_per_turn: int
    """Views in a full turn, a multiple of 4."""
    detector: Literal["flat", "curved", "parallel"] = "flat"
    """Shape of the detector; a curved one is centred on the source, so that its bins are equiangular."""
    bin_offset: float = 0.0
    """Shift of the detector, bins, in [−n_bins/4, n_bins/4]; 0.25 is the quarter-detector offset."""
    scan: Literal["full", "short"] = "full"
    """A full turn, or half a turn and the fan angle (Parker); for a parallel beam half a turn."""

    def __post_init__(self) -> None:
        if self.detector not in DETECTORS:
            raise UserError(f"scanner.detector is {self.detector!r}: choose one of {', '.join(DETECTORS)}")
        if self.scan not in SCANS:
            raise UserError(f"scanner.scan is {self.scan!r}: choose one of {', '.join(SCANS)}")
        if self.views_per_turn < 4 or self.views_per_turn % 4:
            raise UserError(f"scanner.n_views is {self.views_per_turn}: give a multiple of 4, at least 4")
        if self.detector != "parallel" and not 0 < self.source_isocenter_mm < self.source_detector_mm < np.inf:
            raise UserError(
                f"scanner.source_detector_mm ({self.source_detector_mm} mm) must exceed "
                f"scanner.source_isocenter_mm ({self.source_isocenter_mm} mm), both positive"
            )
        if self.n_bins < 2 or not 0 < self.bin_mm < np.inf:
            raise UserError(
                f"the detector needs at least 2 bins of positive pitch, not {self.n_bins} × {self.bin_mm} mm"
            )
        if not abs(self.bin_offset) <= self.n_bins / 4:
            raise UserError(f"scanner.bin_offset is {self.bin_offset} bins: give one within ±{self.n_bins / 4:g} bins")
        if self.detector == "curved" and np.abs(self.fan_rad).max() >= np.pi / 3:
            raise UserError(
                f"the curved detector reaches {np.degrees(np.abs(self.fan_rad).max()):.0f}° from the central ray, less "
                "than 60° allowed: lower scanner.n_bins or scanner.bin_mm"
            )

    @property
    def step_rad(self) -> float:
        """Angle between neighbouring views, rad."""
        return 2.0 * np.pi / self.views_per_turn

    @cached_property
    def n_views(self) -> int:
        """Views in the scan: all of a turn, or the first ones that cover half a turn and the fan."""
        if self.scan == "full":
            return self.views_per_turn
        fan = 0.0 if self.detector == "parallel" else 2.0 * float(np.abs(self.fan_rad).max())
        return min(int(np.ceil((np.pi + fan) / self.step_rad - 1e-9)), self.views_per_turn)

    @property
    def view_rad(self) -> NDArray[np.float64]:
        """Angle of the source about the isocentre, rad, shape `(n_views,)`."""
        return np.arange(self.n_views, dtype=np.float64) * self.step_rad

    @property
    def isocenter_bin_mm(self) -> float:
        """Bin pitch scaled to the isocentre, mm (near the central ray, if the detector is curved)."""
        if self.detector == "parallel":
            return self.bin_mm
        return self.bin_mm * self.source_isocenter_mm / self.source_detector_mm

    @property
    def bin_step(self) -> float:
        """Distance of neighbouring bins in the coordinate in which they are equispaced: rad if curved, else mm."""
        return self.bin_mm / self.source_detector_mm if self.detector == "curved" else self.isocenter_bin_mm

    @property
    def center_bin(self) -> float:
        """Fractional index of the bin that the ray through the isocentre meets."""
        return (self.n_bins - 1) / 2.0 - self.bin_offset

    @property
    def fan_rad(self) -> NDArray[np.float64]:
        """Angle of every ray from the one through the isocentre, rad, shape `(n_bins,)`; zeros for a parallel beam."""
        position = (np.arange(self.n_bins, dtype=np.float64) - self.center_bin) * self.bin_step
        if self.detector == "parallel":
            return np.zeros(self.n_bins)
        return position if self.detector == "curved" else np.arctan(position / self.source_isocenter_mm)

    @property
    def ray_offset_mm(self) -> NDArray[np.float64]:
        """Signed distance of every ray from the isocentre, mm, shape `(n_bins,)`."""
        if self.detector == "parallel":
            return (np.arange(self.n_bins, dtype=np.float64) - self.center_bin) * self.bin_mm
        return self.source_isocenter_mm * np.sin(self.fan_rad)

    @property
    def field_of_view_mm(self) -> float:
        """Diameter of the circle that every view covers, up to the centres of its outermost bins, mm."""
        offset = self.ray_offset_mm
        return float(2.0 * min(-offset[0], offset[-1]))

    def rays(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give a point on every ray (the source of a fan) and its direction.

        Returns
        -------
        source, direction
            Position in mm, shape `(n_views, 1, 2)`, for a parallel beam `(n_views, n_bins, 2)`; and unit direction,
            shape `(n_views, n_bins, 2)`; the last axis is (x, y).
        """
        cos, sin = np.cos(self.view_rad)[:, None], np.sin(self.view_rad)[:, None]
        if self.detector == "parallel":
            offset = self.ray_offset_mm[None, :]
            point: NDArray[np.float64] = np.stack([-sin * offset, cos * offset], axis=-1)
            direction = np.broadcast_to(np.stack([-cos, -sin], axis=-1), point.shape)
            return point, np.ascontiguousarray(direction)
        source: NDArray[np.float64] = self.source_isocenter_mm * np.stack([cos, sin], axis=-1)
        # The central ray is −(cos β, sin β); a ray at fan angle γ turns from it towards (−sin β, cos β).
        towards, aside = np.cos(self.fan_rad)[None, :], np.sin(self.fan_rad)[None, :]
        return source, np.stack([-cos * towards - sin * aside, -sin * towards + cos * aside], axis=-1)

    def shadow(
        self, x_mm: NDArray[np.floating], y_mm: NDArray[np.floating], view_rad: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Find where points are seen, and by which weight filtered backprojection takes them.

        Points, mm, have any shapes that broadcast with the angles of the source, rad.

        Returns
        -------
        bin, weight
            Fractional index of the bin, and the square of a point's magnification: (SID/U)² for a flat detector, with U
            the distance from the source along the central ray; (SID/L)² for a curved one, with L the distance from the
            source; 1 for a parallel beam.
        """
        cos, sin = np.cos(view_rad), np.sin(view_rad)
        along, aside = x_mm * cos + y_mm * sin, y_mm * cos - x_mm * sin
        if self.detector == "parallel":
            position: NDArray[np.float64] = aside / self.bin_step + self.center_bin
            return position, np.ones_like(position)
        depth = self.source_isocenter_mm - along
        if self.detector == "flat":
            magnification = self.source_isocenter_mm / depth
            return aside * magnification / self.bin_step + self.center_bin, magnification**2
        position = np.arctan2(aside, depth) / self.bin_step + self.center_bin
        return position, self.source_isocenter_mm**2 / (depth**2 + aside**2)
