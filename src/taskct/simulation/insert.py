"""Objects and signals as line integrals: closed forms where there are some, fine patches elsewhere."""

import numpy as np
import torch
from numpy.typing import NDArray

from taskct.config import Settings
from taskct.scanner.analytic import project_ellipses, project_gaussians
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.patches import project_patches
from taskct.scanner.units import MU_WATER_PER_MM
from taskct.tasks.backgrounds import Ellipses
from taskct.tasks.lidc import LidcNodules, read_lidc_nodules
from taskct.tasks.shape_registry import SHAPE_KINDS, SHAPES
from taskct.tasks.shapes import half_axes_mm, patch_pixels, render
from taskct.tasks.signals import Signals

PATCH_PIXELS_ACROSS = 16  # of the smallest signal's diameter, at least
PATCH_PIXELS_PER_BIN = 4


def lidc_of(settings: Settings) -> LidcNodules | None:
    """The nodules of LIDC that a study draws from, or None."""
    profiles = [settings.signal] + ([settings.absent_signal] if settings.absent_signal.inserted else [])
    asking = [p.diameter_mm for p in profiles if "lidc" in p.shape]
    if not asking:
        return None
    return read_lidc_nodules(diameter_mm=(min(low for low, _ in asking), max(high for _, high in asking)))


def project_objects(geometry: ScanGeometry, ellipses: Ellipses, device: torch.device | str) -> torch.Tensor:
    """Exact line integrals of the ellipses of a background, `(n, n_views, n_bins)`."""
    return project_ellipses(
        geometry,
        x_mm=ellipses.x_mm,
        y_mm=ellipses.y_mm,
        half_x_mm=ellipses.half_x_mm,
        half_y_mm=ellipses.half_y_mm,
        angle_rad=ellipses.angle_rad,
        mu=ellipses.add_hu / 1000.0 * MU_WATER_PER_MM,
        device=device,
    )


def project_signals(
    geometry: ScanGeometry,
    signals: Signals,
    *,
    x_mm: NDArray[np.floating],
    y_mm: NDArray[np.floating],
    slice_mm: float = 0.0,
    lidc: LidcNodules | None = None,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Line integrals of `n` signals about centres (x, y), mm; float32, `(n, n_views, n_bins)`.

    The signals' own offsets are not used. `slice_mm` is as in `taskct.tasks.shapes.render`, and `lidc` are the nodules
    that signals of shape "lidc" name.
    """
    lines = torch.zeros(len(signals), geometry.n_views, geometry.n_bins, device=device)
    kinds = [SHAPE_KINDS[SHAPES[number]] for number in signals.shape]
    closed = [
        kind.projection if blur_mm == 0 and not (kind.solid and slice_mm > 0) else ""
        for kind, blur_mm in zip(kinds, signals.blur_mm, strict=True)
    ]
    groups = {form: np.array(closed) == form for form in ("ellipse", "nodule", "gaussian")}
    half_x, half_y = half_axes_mm(signals)
    for kind, which in groups.items():
        if not which.any():
            continue
        form = {
            "x_mm": x_mm[which],
            "y_mm": y_mm[which],
            "half_x_mm": half_x[which],
            "half_y_mm": half_y[which],
            "angle_rad": signals.angle_rad[which],
            "mu": signals.contrast_hu[which] / 1000.0 * MU_WATER_PER_MM,
        }
        project = project_gaussians if kind == "gaussian" else project_ellipses
        if kind == "nodule":
            form["exponent"] = signals.exponent[which]
        lines[torch.from_numpy(which)] = project(geometry, **form, device=device)
    rest = np.flatnonzero(~np.logical_or.reduce(list(groups.values())))
    if len(rest):
        some, outlines = signals[rest], None if lidc is None else lidc.outline
        pixel_mm = min(
            float(some.diameter_mm.min()) / PATCH_PIXELS_ACROSS, geometry.isocenter_bin_mm / PATCH_PIXELS_PER_BIN
        )
        patches = render(
            some,
            n_pixels=patch_pixels(some, pixel_mm=pixel_mm, lidc=outlines),
            pixel_mm=pixel_mm,
            slice_mm=slice_mm,
            lidc=outlines,
        )
        lines[torch.from_numpy(rest)] = project_patches(
            geometry,
            patches / np.float32(1000.0) * np.float32(MU_WATER_PER_MM),
            x_mm=x_mm[rest],
            y_mm=y_mm[rest],
            pixel_mm=pixel_mm,
            device=device,
        )
    return lines
