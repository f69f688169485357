"""Polychromatic line integrals of water and bone, and the water correction of beam hardening."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
import torch
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.scanner.units import MU_WATER_PER_MM

MATERIALS = ("water", "soft_tissue", "bone")
SOFT_TISSUE_HU = 100.0  # up to here a pixel is water of some density; soft organs and muscle lie below
REFERENCE_KEV = 60.0  # where units.MU_WATER_PER_MM belongs
NEGLIGIBLE = 1e-6  # share of a spectrum's photons below which an energy is left out
LONGEST_MM, MAP_POINTS = 1000.0, 8192  # path through water that the correction's map covers, and its points

TABLE_KEV = (10.0, 150.0)
"""Range of the attenuation tables, keV."""


def _check_energy(energy_kev: NDArray[np.floating] | float) -> None:
    """Raise UserError where an energy is outside the attenuation tables, which would give their rim's value."""
    energy, (low, high) = np.asarray(energy_kev, dtype=np.float64), TABLE_KEV
    outside = energy[~((energy >= low) & (energy <= high))]
    if outside.size:
        raise UserError(
            f"an energy is {outside.ravel()[0]:g} keV: the attenuation tables reach from {low:g} to {high:g} keV"
        )


@lru_cache
def _read_table(name: str) -> dict[str, NDArray[np.float64]]:
    """Columns of a CSV in `scanner/data` by name; lines that begin with # say where it comes from."""
    text = (resources.files("taskct.scanner") / "data" / name).read_text(encoding="utf-8")
    header, *rows = [line for line in text.splitlines() if not line.startswith("#")]
    values = np.array([row.split(",") for row in rows], dtype=np.float64)
    return dict(zip(header.split(","), values.T, strict=True))


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Photons of an x-ray tube by energy.

    A ValueError, if the shapes differ or no photon is there; a UserError, if an energy is outside the 10–150 keV of the
    attenuation tables.
    """

    energy_kev: NDArray[np.float64]
    """Photon energies, keV, shape `(n_energies,)`."""
    photons: NDArray[np.float64]
    """Photons per mm² and mAs at 1 m from the focus in every energy bin, shape `(n_energies,)`."""

    def __post_init__(self) -> None:
        if self.energy_kev.ndim != 1 or self.energy_kev.shape != self.photons.shape:
            raise ValueError(f"energy_kev is {self.energy_kev.shape} and photons {self.photons.shape}")
        _check_energy(self.energy_kev)
        if not (self.photons >= 0).all() or not self.photons.sum() > 0:
            raise ValueError("photons must not be negative, nor all zero")

    @classmethod
    def monoenergetic(cls, energy_kev: float, photons: float = 1.0) -> "Spectrum":
        """Make the spectrum of a single energy, keV."""
        return cls(np.array([energy_kev], dtype=np.float64), np.array([photons], dtype=np.float64))

    @property
    def signal_share(self) -> NDArray[np.float64]:
        """Share of an unattenuated beam's signal by energy, sum 1: the detector absorbs all and integrates energy."""
        energy = self.energy_kev * self.photons
        share: NDArray[np.float64] = energy / energy.sum()
        return share

    @property
    def mean_energy_kev(self) -> float:
        """Mean energy of the photons, keV."""
        return float(self.energy_kev @ self.photons / self.photons.sum())

    @property
    def counting_efficiency(self) -> float:
        """Noise-equivalent quanta per photon of an energy-integrating detector, in (0, 1].

        The sum of N photons' energies has the relative variance ⟨E²⟩/(N⟨E⟩²): as if N·⟨E⟩²/⟨E²⟩ had been counted.
        """
        first, second = self.energy_kev @ self.photons, self.energy_kev**2 @ self.photons
        return float(first**2 / (second * self.photons.sum()))


def tabulated_spectrum(kvp: float) -> Spectrum:
    """Look up the spectrum of a CT tube: tungsten at 7°, 8 mm of aluminium in all (half-value layer 7.4 mm at 120 kVp).

    Parameters
    ----------
    kvp
        Tube voltage: 80, 100, 120 or 140, or a UserError.

    References
    ----------
    .. [1] The table's header states how spekpy made it: Poludniowski et al., Med. Phys. 48, 3630 (2021).

    Examples
    --------
    >>> round(tabulated_spectrum(120).mean_energy_kev)
    63
    """
    table = _read_table("spectra.csv")
    name = f"{kvp:g}"
    if name not in table or name == "energy_kev":
        voltages = ", ".join(column for column in table if column != "energy_kev")
        raise UserError(f"no spectrum at {kvp:g} kVp: choose one of {voltages}, or make one with spekpy_spectrum")
    energy, photons = table["energy_kev"], table[name]
    kept = photons > NEGLIGIBLE * photons.sum()
    return Spectrum(energy[kept], photons[kept])


def spekpy_spectrum(kvp: float, *, anode_deg: float = 7.0, filters_mm: Mapping[str, float] = {"Al": 8.0}) -> Spectrum:
    """Compute the spectrum of a tungsten tube with spekpy, an optional extra.

    Parameters
    ----------
    kvp, anode_deg
        Tube voltage, 30 to 150 kV, and anode angle, degrees.
    filters_mm
        Thickness, mm, by spekpy's name of the material, such as {"Al": 6.0, "Ti": 0.9}.

    Raises
    ------
    UserError
        If the voltage is out of range, or spekpy is not installed.

    References
    ----------
    .. [1] Poludniowski et al., "SpekPy v2.0", Med. Phys. 48, 3630 (2021).
    """
    if not 30.0 <= kvp <= TABLE_KEV[1]:
        raise UserError(f"the tube voltage is {kvp:g} kV: give one from 30 to {TABLE_KEV[1]:g} kV")
    try:
        spekpy = importlib.import_module("spekpy")
    except ImportError as error:
        raise UserError("computing a spectrum needs spekpy: pip install 'taskct[spectrum]'") from error
    tube = spekpy.Spek(kvp=kvp, th=anode_deg, dk=1.0, mu_data_source="nist", z=100.0, mas=1.0)
    for material, thickness in filters_mm.items():
        tube.filter(material, thickness)
    energy, per_cm2 = tube.get_spectrum(diff=False)
    kept = (energy >= 10.0) & (per_cm2 > NEGLIGIBLE * per_cm2.sum())
    return Spectrum(energy[kept], per_cm2[kept] / 100.0)


def attenuation(material: str, energy_kev: NDArray[np.floating] | float) -> NDArray[np.float64]:
    """Interpolate the linear attenuation of a material, mm⁻¹, coherent scattering included, at 10 to 150 keV.

    Materials are those of ICRU Report 44: "water" (1.0 g/cm³), "soft_tissue" (1.06 g/cm³) and "bone" (cortical, 1.92
    g/cm³). Source: Hubbell and Seltzer, NIST Standard Reference Database 126.

    Examples
    --------
    >>> round(float(attenuation("water", 60.0)), 4)
    0.0206
    """
    if material not in MATERIALS:
        raise ValueError(f"material is {material!r}, not one of {MATERIALS}")
    _check_energy(energy_kev)
    table = _read_table("attenuation.csv")
    logarithm = np.interp(np.log(energy_kev), np.log(table["energy_kev"]), np.log(table[material]))
    return np.asarray(np.exp(logarithm))


def polychromatic_line_integral(
    water_mm: torch.Tensor, bone_mm: torch.Tensor | None, spectrum: Spectrum
) -> torch.Tensor:
    """Compute −ln of the signal behind water and bone, mm, any shape, relative to the unattenuated signal.

    No bone is None. The detector integrates energy. The result is bent: it grows more slowly than the thickness.
    """
    water, bone = attenuation("water", spectrum.energy_kev), attenuation("bone", spectrum.energy_kev)
    transmission = torch.zeros_like(water_mm)
    for share, mu_water, mu_bone in zip(spectrum.signal_share, water, bone, strict=True):
        path = -mu_water * water_mm if bone_mm is None else -mu_water * water_mm - mu_bone * bone_mm
        transmission.add_(path.exp_(), alpha=float(share))
    return -transmission.log_()


def effective_energy_kev(spectrum: Spectrum, water_mm: float) -> float:
    """Find the single energy, keV, at which so much water (mm) attenuates as it does in this spectrum.

    Raises
    ------
    UserError
        If the water is not of positive, finite thickness.
    """
    if not 0.0 < water_mm < np.inf:
        raise UserError(f"the water is {water_mm:g} mm thick: give a positive, finite thickness in mm")
    measured = polychromatic_line_integral(torch.tensor(water_mm, dtype=torch.float64), None, spectrum)
    grid = np.linspace(*TABLE_KEV, 2801)
    return float(np.interp(-measured.item() / water_mm, -attenuation("water", grid), grid))


class WaterCorrection:
    """Map polychromatic line integrals to those that water would have at a single energy.

    What is water throughout becomes exact; bone stays too low. The map is a straight line between finely spaced points,
    continued in a straight line beyond both ends, so it is monotone for any noise.

    Examples
    --------
    >>> tube = tabulated_spectrum(120)
    >>> measured = polychromatic_line_integral(torch.tensor([100.0, 200.0]), None, tube)
    >>> [round(value.item()) for value in WaterCorrection(tube)(measured) / MU_WATER_PER_MM]
    [100, 200]
    """

    def __init__(self, spectrum: Spectrum) -> None:
        water_mm = torch.linspace(0.0, LONGEST_MM, MAP_POINTS, dtype=torch.float64)
        measured = polychromatic_line_integral(water_mm, None, spectrum).numpy()
        grid = np.linspace(0.0, measured[-1], MAP_POINTS)
        self.step = float(grid[1])
        self.table = torch.from_numpy(MU_WATER_PER_MM * np.interp(grid, measured, water_mm.numpy()))

    def _interval(self, line_integral: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Index of the point below, its value, and the rise to the next one."""
        table = self.table.to(line_integral)
        low = (line_integral / self.step).long().clamp_(0, len(table) - 2)
        return low, table[low], torch.diff(table)[low]

    def __call__(self, line_integral: torch.Tensor) -> torch.Tensor:
        """Correct line integrals of any shape."""
        low, value, rise = self._interval(line_integral)
        return value + (line_integral / self.step - low) * rise

    def slope(self, line_integral: torch.Tensor) -> torch.Tensor:
        """Derivative of the map, any shape: the factor by which it changes a small noise."""
        return self._interval(line_integral)[2] / self.step


def split_water_bone(image_hu: torch.Tensor, *, soft_hu: float = SOFT_TISSUE_HU) -> tuple[torch.Tensor, torch.Tensor]:
    """Split an image in HU into water and cortical bone, relative to 1.0 and 1.92 g/cm³; they project to paths in mm.

    Up to `soft_hu` a pixel is water of some density; from there to cortical bone's own HU a mixture by volume of tissue
    at `soft_hu` and bone; above, dense bone. At 60 keV both parts add up to the image. Iodine cannot be told from bone:
    raise `soft_hu` above the vessels' HU where there is some. Source: Joseph and Spital, "A method for correcting bone
    induced artifacts in computed tomography scanners", J. Comput. Assist. Tomogr. 2, 100 (1978): segmentation by a
    threshold; the mixture above it is ours.
    """
    ratio = float(attenuation("bone", REFERENCE_KEV) / attenuation("water", REFERENCE_KEV))
    soft = 1.0 + soft_hu / 1000.0
    if not 0.0 < soft < ratio:
        raise ValueError(f"soft_hu is {soft_hu}, not between −1000 and {1000 * (ratio - 1):.0f} HU (cortical bone)")
    relative = (1.0 + image_hu / 1000.0).clamp(min=0.0)
    volume = ((relative - soft) / (ratio - soft)).clamp(0.0, 1.0)
    water = torch.minimum(relative, torch.full_like(relative, soft)) * (1.0 - volume)
    return water, (relative - water) / ratio
