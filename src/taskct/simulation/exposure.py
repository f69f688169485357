"""The exposure of a study: photons per ray, energy, and how the low dose comes about."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from taskct.config import Settings
from taskct.scanner.analytic import project_ellipses
from taskct.scanner.exposure import bowtie_transmission, i0_for_noise, middle_weights, photons_per_ray, tube_current
from taskct.scanner.fbp import FBP
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.kernels import KERNELS, Kernel
from taskct.scanner.noise import starved_share
from taskct.scanner.projector import Projector
from taskct.scanner.spectrum import (
    Spectrum,
    WaterCorrection,
    polychromatic_line_integral,
    split_water_bone,
    tabulated_spectrum,
)
from taskct.scanner.units import MU_WATER_PER_MM, hu_to_mu

NOISE_ROI_MM = 30.0  # where scanner.noise_hu is meant: a usual region of interest

Correction = Callable[[torch.Tensor], torch.Tensor]


def kernel_of(settings: Settings) -> Kernel:
    """The reconstruction kernel of a study."""
    s = settings.scanner
    return KERNELS.get(s.filter) or Kernel(s.filter, s.filter_cutoff)


@dataclass(frozen=True)
class Beam:
    """What the rays meet in some objects; tensors are `(n_objects, n_views, n_bins)`, or broadcast to it."""

    paths: tuple[torch.Tensor, ...]  # the line integral; with a spectrum the thickness of water and of bone, mm
    spectrum: Spectrum | None
    correct: Correction | None  # the water beam-hardening correction, if there is a spectrum
    i0: torch.Tensor  # photons of every ray at full dose
    starved: float  # share of the rays of the worst object that are starved at the low dose, see `starved_share`
    lost: float  # share of the rays through the worst object that are lost there

    def lines(self, owner: NDArray[np.int64], signal_lines: torch.Tensor) -> torch.Tensor:
        """Noise-free line integrals as measured in the objects `owner`, with those of signals added."""
        first, *rest = (path[torch.from_numpy(owner)] for path in self.paths)
        added = signal_lines if self.spectrum is None else signal_lines / MU_WATER_PER_MM
        return measured((first + added, *rest), self.spectrum)


def measured(paths: tuple[torch.Tensor, ...], spectrum: Spectrum | None) -> torch.Tensor:
    """Line integrals as measured, from what lies in the rays; see `Beam.paths`."""
    return paths[0] if spectrum is None else polychromatic_line_integral(paths[0], paths[1], spectrum)


class Exposure:
    """What a study's beam is: photons of every ray, and the spectrum if it has one.

    `correct` is the water beam-hardening correction, or None for a single energy. A UserError, if the wanted noise
    cannot be had.
    """

    def __init__(self, settings: Settings, geometry: ScanGeometry, device: torch.device | str) -> None:
        s = settings.scanner
        self.settings = settings
        self.geometry = geometry
        self.device = device
        self.spectrum = tabulated_spectrum(s.kvp) if s.energy == "poly" else None
        self.correct: Correction | None = None if self.spectrum is None else WaterCorrection(self.spectrum)
        self.bowtie = torch.ones(1, device=device)  # of every bin, or of all alike
        if s.bowtie_mm is not None:
            self.bowtie = bowtie_transmission(geometry, diameter_mm=s.bowtie_mm).to(device)
        self.photons = self._photons()

    def _photons(self) -> float:
        """Photons of the central ray at full dose, before the tube current is modulated."""
        s = self.settings.scanner
        if s.exposure == "i0":
            return s.i0
        if s.exposure == "mas":
            # Sizes on the detector; a parallel beam has its bins at the isocentre.
            magnification = s.source_detector_mm / s.source_isocenter_mm
            return photons_per_ray(
                s.mas,
                tabulated_spectrum(s.kvp),
                n_views=self.geometry.views_per_turn,
                source_detector_mm=s.source_detector_mm,
                bin_mm=self.geometry.isocenter_bin_mm * magnification,
                row_mm=max(s.slice_mm, 1.0) * magnification,
            )
        middle = FBP(
            self.geometry,
            n_pixels=round(NOISE_ROI_MM / s.pixel_mm) + 1,
            pixel_mm=s.pixel_mm,
            window=kernel_of(self.settings).window,
            cutoff=kernel_of(self.settings).cutoff,
            device=self.device,
        )
        half = s.noise_body_mm / 2.0
        cylinder = project_ellipses(
            self.geometry,
            x_mm=[0.0],
            y_mm=[0.0],
            half_x_mm=[half],
            half_y_mm=[half],
            mu=[MU_WATER_PER_MM],
            device=self.device,
        )
        weights = middle_weights(middle, roi_mm=NOISE_ROI_MM)
        if self.spectrum is not None:
            cylinder = polychromatic_line_integral(cylinder / MU_WATER_PER_MM, None, self.spectrum)
            weights = weights * WaterCorrection(self.spectrum).slope(cylinder[0])
        return i0_for_noise(
            s.noise_hu,
            weights,
            cylinder[0],
            electronic_noise=s.electronic_noise,
            relative=self.bowtie[None] * tube_current(cylinder, s.tube_modulation)[0, :, None],
        )

    def beam(
        self, projector: Projector, image_hu: torch.Tensor, exact: torch.Tensor | None, total_hu: torch.Tensor
    ) -> Beam:
        """What the rays meet in some objects, and how many photons each starts with.

        `image_hu` is what is on the projector's grid, `(n, n_pixels, n_pixels)`; `exact` are line integrals of what is
        not; `total_hu` are the objects with everything drawn on the grid. The tube current follows the object without
        its signal, so that it tells nothing of the hypothesis.
        """
        paths = self._paths(projector, image_hu, exact, total_hu)
        s, lines = self.settings.scanner, measured(paths, self.spectrum)
        i0 = self.photons * self.bowtie * tube_current(lines, s.tube_modulation)[..., None]
        shares = starved_share(lines, i0=s.dose_fraction * i0, electronic_noise=s.electronic_noise)
        starved, lost = (float(share.max()) for share in shares)
        return Beam(paths, self.spectrum, self.correct, i0=i0, starved=starved, lost=lost)

    def _paths(
        self, projector: Projector, image_hu: torch.Tensor, exact: torch.Tensor | None, total_hu: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        if self.spectrum is None:
            lines = projector.project(hu_to_mu(image_hu))
            return (lines if exact is None else lines + exact,)
        # What is bone has to be told on the grid; the rest keeps its exact part.
        water, bone = split_water_bone(total_hu)
        water_mm, bone_mm = projector.project(water), projector.project(bone)
        if exact is not None:
            sharp = (projector.project(hu_to_mu(image_hu)) + exact) / MU_WATER_PER_MM
            water_mm = water_mm + sharp - projector.project(total_hu / 1000.0 + 1.0)
        return water_mm, bone_mm
