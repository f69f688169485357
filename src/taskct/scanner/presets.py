"""Published geometries of real scanners, each with its source."""

from dataclasses import dataclass
from typing import Any

_FREECT = (
    "FreeCT (Hoffman et al., Med. Phys. 43, 1411 (2016)), scanner file {}.scanner: fan angle increment {} rad, "
    "central channel {} of {}; the pitch along the arc is the increment times the source–detector distance"
)


@dataclass(frozen=True)
class ScannerPreset:
    """One scanner without its flying focal spot, which doubles the samples of those by Siemens."""

    name: str
    """Maker and model."""
    geometry: dict[str, Any]
    """Keyword arguments of `ScanGeometry`; lengths in mm."""
    source: str
    """Where the numbers are published."""


def _curved(
    source_isocenter_mm: float, source_detector_mm: float, n_bins: int, bin_mm: float, bin_offset: float, views: int
) -> dict[str, Any]:
    return {
        "source_isocenter_mm": source_isocenter_mm,
        "source_detector_mm": source_detector_mm,
        "n_bins": n_bins,
        "bin_mm": bin_mm,
        "bin_offset": bin_offset,
        "views_per_turn": views,
        "detector": "curved",
    }


SCANNERS = {
    "ge-lightspeed": ScannerPreset(
        name="GE LightSpeed",
        geometry=_curved(541.0, 949.075, 888, 1.0239, 1.25, 984),
        source="Wang et al., IEEE Trans. Med. Imaging 25, 1272 (2006), as in the Michigan Image Reconstruction Toolbox",
    ),
    "siemens-definition-as": ScannerPreset(
        name="Siemens SOMATOM Definition AS+",
        geometry=_curved(595.0, 1085.6, 736, 1.2858, 1.25, 1152),
        source=_FREECT.format("definitionas", 0.0011844, 366.25, 736)
        + "; distances, bins and pitch are also those of the LDCT-and-Projection-data collection (Moen et al., Med. "
        "Phys. 48, 902 (2021))",
    ),
    "siemens-sensation-64": ScannerPreset(
        name="Siemens SOMATOM Sensation 64",
        geometry=_curved(570.0, 1040.0, 672, 1.404, 1.25, 1160),
        source=_FREECT.format("sensation64", 0.00135, 334.25, 672),
    ),
    "siemens-force": ScannerPreset(
        name="Siemens SOMATOM Force, detector A",
        geometry=_curved(595.0, 1085.6, 920, 1.02838, 2.25, 1400),
        source=_FREECT.format("force", 0.00094729, 457.25, 920),
    ),
}
"""Presets by the name that settings use; `ScanGeometry(**SCANNERS[name].geometry)` is the scan."""
