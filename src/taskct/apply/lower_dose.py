"""A CT series as it would have been at a lower dose: the missing noise inserted slice by slice."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from taskct.errors import UserError
from taskct.io.dicom import read_series, read_slice
from taskct.io.dicom_write import check_free, write_series
from taskct.names import setting_text
from taskct.progress import Progress
from taskct.scanner.exposure import i0_for_noise, middle_weights, tube_current
from taskct.scanner.fbp import FBP
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.insertion import insert_noise
from taskct.scanner.kernels import KERNELS, WINDOWS, Kernel
from taskct.scanner.noise import starved_share
from taskct.scanner.presets import SCANNERS
from taskct.scanner.projector import Projector
from taskct.scanner.units import hu_to_mu
from taskct.simulation.lost import check_counts, starved_note

MAX_VIEWS = 600  # a turn of the model is thinned to at most so many: noise needs no more, and matrices stay small
SLICES_AT_A_TIME = 4


@dataclass(frozen=True)
class DoseReduction:
    """What a lower dose is simulated with."""

    dose_fraction: float
    """Of the dose of the series, in (0, 1)."""
    noise_hu: float
    """Standard deviation of the noise that the series has in the middle of its middle slice, HU: measured in a uniform
    organ there. It calibrates the photons."""
    model: str = "siemens-definition-as"
    """Geometry of the scan, from `SCANNERS`; its views are thinned."""
    kernel: str = "soft"
    """"soft", "sharp" or a window: what the series was reconstructed with, about."""
    electronic_noise: float = 10.0
    """Standard deviation of the readout noise in photon equivalents per ray of the model's own views."""
    tube_modulation: float = 0.5
    """Strength of the tube-current modulation within a turn, in [0, 1]."""
    seed: int = 0
    """Of the noise."""

    def __post_init__(self) -> None:
        if not 0.0 < self.dose_fraction < 1.0:
            raise UserError(
                f"the dose fraction is {self.dose_fraction:g}: give one in (0, 1), of the dose of the series"
            )
        if self.model not in SCANNERS:
            raise UserError(f"no scanner model {self.model!r}: choose one of {', '.join(SCANNERS)}")
        if self.kernel not in KERNELS and self.kernel not in WINDOWS:
            raise UserError(f"no kernel {self.kernel!r}: choose one of {', '.join([*KERNELS, *WINDOWS])}")


def lower_dose(
    source: Path,
    target: Path,
    reduction: DoseReduction,
    *,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Path:
    """Insert the noise that a CT series lacks to be one at a fraction of its dose, and return `target`.

    The source is a folder with one series of square slices with square pixels, or a DICOM slice; the target is as for
    `write_series`. Progress is called as (slices done, in all, nothing).
    """
    dose_fraction, tube_modulation = reduction.dose_fraction, reduction.tube_modulation
    check_free(target, single=not source.is_dir())
    series = read_series(source, slicewise=True) if source.is_dir() else read_slice(source)
    n, height, width = series.image_hu.shape
    if height != width or not np.isclose(*series.pixel_mm, rtol=1e-4):
        raise UserError(
            f"slices of {height} × {width} pixels of {series.pixel_mm[0]:g} × {series.pixel_mm[1]:g} mm: "
            "give square slices with square pixels"
        )
    scan = dict(SCANNERS[reduction.model].geometry)
    views = scan["views_per_turn"]  # thinned by a divisor, to a multiple of 4
    scan["views_per_turn"] = max(n_views for n_views in range(4, MAX_VIEWS + 1, 4) if views % n_views == 0)
    geometry = ScanGeometry(**scan)
    # A view stands for several: their photons add up, and so do the variances of their readouts.
    readout = reduction.electronic_noise * (views / geometry.views_per_turn) ** 0.5
    grid = {"n_pixels": width, "pixel_mm": series.pixel_mm[0], "device": device}
    roll_off = KERNELS.get(reduction.kernel) or Kernel(reduction.kernel, 1.0)
    projector = Projector(geometry, **grid)
    fbp = FBP(geometry, **grid, window=roll_off.window, cutoff=roll_off.cutoff)
    images = torch.from_numpy(series.image_hu)
    middle = projector.project(hu_to_mu(images[n // 2 : n // 2 + 1].to(device)).clamp(min=0.0))
    photons = i0_for_noise(
        reduction.noise_hu,
        middle_weights(fbp),
        middle[0],
        electronic_noise=readout,
        relative=tube_current(middle, tube_modulation)[0, :, None],
    )
    result = np.empty_like(series.image_hu)
    starved, lost = 0.0, 0.0

    def photons_of(lines: torch.Tensor) -> torch.Tensor:
        nonlocal starved, lost
        i0 = photons * tube_current(lines, tube_modulation)[..., None]
        shares = starved_share(lines, i0=dose_fraction * i0, electronic_noise=readout)
        starved, lost = (max(before, float(share.max())) for before, share in zip((starved, lost), shares, strict=True))
        check_counts(lost, dose_fraction)
        return i0

    for start in range(0, n, SLICES_AT_A_TIME):
        part = slice(start, min(start + SLICES_AT_A_TIME, n))
        noisy = insert_noise(
            images[part].to(device),
            projector,
            fbp,
            i0=photons_of,
            dose_fraction=dose_fraction,
            electronic_noise=readout,
            seeds=[reduction.seed * 2**32 + k for k in range(part.start, part.stop)],
        )
        result[part] = noisy.cpu().numpy()
        if progress is not None:
            progress(part.stop, n, "")
    note = starved_note(starved, lost)
    if note is not None:
        warnings.warn(note, stacklevel=2)
    write_series(result, series, target, description=f"taskct dose fraction {setting_text(dose_fraction)}, simulated")
    return target
