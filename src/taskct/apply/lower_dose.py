"""A CT series as it would have been at a lower dose: the missing noise inserted slice by slice."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from taskct.errors import UserError
from taskct.io.dicom import CTSeries, read_series, read_slice
from taskct.io.dicom_write import Derivation, check_free, write_series
from taskct.io.nifti import read_nifti
from taskct.io.nifti_write import is_nifti, write_nifti
from taskct.io.padding import AIR_HU
from taskct.io.volume import Volume
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
    metal_hu: float | None = None
    """Attenuation above this counts as this for the noise, HU above 0; the image keeps its values. None for none."""
    seed: int = 0
    """Of the noise."""

    def __post_init__(self) -> None:
        if not 0.0 < self.dose_fraction < 1.0:
            raise UserError(
                f"the dose fraction is {self.dose_fraction:g}: give one in (0, 1), of the dose of the series"
            )
        if self.metal_hu is not None and not self.metal_hu > 0.0:
            raise UserError(f"--metal-hu is {self.metal_hu:g}: give HU above 0 (dense bone has about 2000 HU)")
        if self.model not in SCANNERS:
            raise UserError(f"no scanner model {self.model!r}: choose one of {', '.join(SCANNERS)}")
        if self.kernel not in KERNELS and self.kernel not in WINDOWS:
            raise UserError(f"no kernel {self.kernel!r}: choose one of {', '.join([*KERNELS, *WINDOWS])}")


def lower_dose(
    source: Path,
    target: Path,
    reduction: DoseReduction,
    *,
    strip_private: bool = False,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Path:
    """Insert the noise that a CT series lacks to be one at a fraction of its dose, and return `target`.

    The source is a folder with one series of square pixels, a DICOM slice, or a NIfTI file, whose target is another;
    that of DICOM is as for `write_series`, `strip_private` as for `Derivation`. Padding
    stays as it is. Progress is called as (slices done, in all, nothing).
    """
    dose_fraction, tube_modulation = reduction.dose_fraction, reduction.tube_modulation
    nifti = is_nifti(source)
    if nifti and (not is_nifti(target) or target.exists()):
        raise UserError(f"{target}: the output of a NIfTI file is a new .nii or .nii.gz file; choose another name")
    if not nifti:
        check_free(target, single=not source.is_dir())
    series: Volume
    if nifti:
        series = read_nifti(source)
    else:
        series = read_series(source, slicewise=True) if source.is_dir() else read_slice(source)
    n, height, width = series.image_hu.shape
    if not np.isclose(*series.pixel_mm, rtol=1e-4):
        raise UserError(f"pixels of {series.pixel_mm[0]:g} × {series.pixel_mm[1]:g} mm: give slices with square pixels")
    side = max(height, width)  # the scan model's grid is square: around a slice of another shape lies air
    top, left = (side - height) // 2, (side - width) // 2
    scan = dict(SCANNERS[reduction.model].geometry)
    views = scan["views_per_turn"]  # thinned by a divisor, to a multiple of 4
    scan["views_per_turn"] = max(n_views for n_views in range(4, MAX_VIEWS + 1, 4) if views % n_views == 0)
    geometry = ScanGeometry(**scan)
    # A view stands for several: their photons add up, and so do the variances of their readouts.
    readout = reduction.electronic_noise * (views / geometry.views_per_turn) ** 0.5
    grid = {"n_pixels": side, "pixel_mm": series.pixel_mm[0], "device": device}
    roll_off = KERNELS.get(reduction.kernel) or Kernel(reduction.kernel, 1.0)
    projector = Projector(geometry, **grid)
    fbp = FBP(geometry, **grid, window=roll_off.window, cutoff=roll_off.cutoff)
    scanned = np.minimum(series.image_hu, np.inf if reduction.metal_hu is None else reduction.metal_hu)

    def framed(part: slice) -> torch.Tensor:
        margins = ((0, 0), (top, side - height - top), (left, side - width - left))
        return torch.from_numpy(np.pad(scanned[part], margins, constant_values=AIR_HU)).to(device)

    middle = projector.project(hu_to_mu(framed(slice(n // 2, n // 2 + 1))).clamp(min=0.0))
    photons = i0_for_noise(
        reduction.noise_hu,
        middle_weights(fbp),
        middle[0],
        electronic_noise=readout,
        relative=tube_current(middle, tube_modulation)[0, :, None],
    )
    result = np.empty_like(series.image_hu)
    shares_of: dict[str, list[float]] = {"starved": [], "lost": []}  # of rays, slice by slice

    def photons_of(lines: torch.Tensor) -> torch.Tensor:
        i0 = photons * tube_current(lines, tube_modulation)[..., None]
        shares = starved_share(lines, i0=dose_fraction * i0, electronic_noise=readout)
        for held, share in zip(shares_of.values(), shares, strict=True):
            held.extend(share.reshape(len(lines), -1).amax(dim=1).tolist())
        lost = shares_of["lost"]
        try:
            check_counts(max(lost), dose_fraction)
        except UserError as error:
            worst = int(np.argmax(lost))
            where = series.paths[worst].name if isinstance(series, CTSeries) else f"slice {worst + 1}"
            raise UserError(f"{where}: {error}; where metal is the reason, give --metal-hu 3000") from error
        return i0

    for start in range(0, n, SLICES_AT_A_TIME):
        part = slice(start, min(start + SLICES_AT_A_TIME, n))
        noisy = insert_noise(
            framed(part),
            projector,
            fbp,
            i0=photons_of,
            dose_fraction=dose_fraction,
            electronic_noise=readout,
            seeds=[reduction.seed * 2**32 + k for k in range(part.start, part.stop)],
        )
        added = (noisy - framed(part)).cpu().numpy()[:, top : top + height, left : left + width]
        result[part] = series.image_hu[part] + added
        if progress is not None:
            progress(part.stop, n, "")
    note = starved_note(max(shares_of["starved"]), max(shares_of["lost"]))
    if note is not None:
        warnings.warn(note, stacklevel=2)
    text = f"taskct dose fraction {setting_text(dose_fraction)}, simulated"
    if not isinstance(series, CTSeries):
        return write_nifti(result, source, series, target, text)
    write_series(result, series, target, Derivation(text, strip_private=strip_private, dose_fraction=dose_fraction))
    return target
