"""How an object is imaged: geometry, projection, noise, reconstruction."""

from typing import TYPE_CHECKING

from taskct.lazy import lazy_names

if TYPE_CHECKING:
    from taskct.scanner.analytic import Rays as Rays
    from taskct.scanner.analytic import project_ellipses as project_ellipses
    from taskct.scanner.analytic import project_gaussians as project_gaussians
    from taskct.scanner.exposure import bowtie_transmission as bowtie_transmission
    from taskct.scanner.exposure import i0_for_noise as i0_for_noise
    from taskct.scanner.exposure import noise_hu as noise_hu
    from taskct.scanner.exposure import photons_per_ray as photons_per_ray
    from taskct.scanner.exposure import tube_current as tube_current
    from taskct.scanner.fbp import FBP as FBP
    from taskct.scanner.geometry import ScanGeometry as ScanGeometry
    from taskct.scanner.insertion import insert_noise as insert_noise
    from taskct.scanner.kernels import KERNELS as KERNELS
    from taskct.scanner.kernels import Kernel as Kernel
    from taskct.scanner.kernels import mtf as mtf
    from taskct.scanner.noise import add_noise as add_noise
    from taskct.scanner.noise import draw_counts as draw_counts
    from taskct.scanner.noise import take_logarithm as take_logarithm
    from taskct.scanner.presets import SCANNERS as SCANNERS
    from taskct.scanner.presets import ScannerPreset as ScannerPreset
    from taskct.scanner.projector import Projector as Projector
    from taskct.scanner.spectrum import Spectrum as Spectrum
    from taskct.scanner.spectrum import WaterCorrection as WaterCorrection
    from taskct.scanner.spectrum import effective_energy_kev as effective_energy_kev
    from taskct.scanner.spectrum import polychromatic_line_integral as polychromatic_line_integral
    from taskct.scanner.spectrum import spekpy_spectrum as spekpy_spectrum
    from taskct.scanner.spectrum import tabulated_spectrum as tabulated_spectrum
    from taskct.scanner.units import MU_WATER_PER_MM as MU_WATER_PER_MM
    from taskct.scanner.units import hu_to_mu as hu_to_mu
    from taskct.scanner.units import mu_to_hu as mu_to_hu
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "analytic": ["Rays", "project_ellipses", "project_gaussians"],
            "exposure": ["bowtie_transmission", "i0_for_noise", "noise_hu", "photons_per_ray", "tube_current"],
            "fbp": ["FBP"],
            "geometry": ["ScanGeometry"],
            "insertion": ["insert_noise"],
            "kernels": ["KERNELS", "Kernel", "mtf"],
            "noise": ["add_noise", "draw_counts", "take_logarithm"],
            "presets": ["SCANNERS", "ScannerPreset"],
            "projector": ["Projector"],
            "spectrum": [
                "Spectrum",
                "WaterCorrection",
                "effective_energy_kev",
                "polychromatic_line_integral",
                "spekpy_spectrum",
                "tabulated_spectrum",
            ],
            "units": ["MU_WATER_PER_MM", "hu_to_mu", "mu_to_hu"],
        },
    )
