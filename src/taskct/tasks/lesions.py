"""Lesions as they are found in patients: ranges of size and contrast for `draw_signals`, with their source."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LesionPreset:
    """A lesion, its ranges and where they come from."""

    description: str
    organ: str
    """Where it occurs."""
    ranges: Mapping[str, Any]
    """Keyword arguments of `taskct.tasks.SignalRanges`."""
    source: str
    """Of the size and the contrast; what is our own choice is said to be."""


LESIONS: dict[str, LesionPreset] = {
    "liver-metastasis": LesionPreset(
        description="a hypo-attenuating liver metastasis in the portal venous phase, hard to see",
        organ="liver",
        ranges={
            "shapes": ("ellipsoid",),
            "contrast_hu": (-68.0, -23.0),
            "diameter_mm": (9.0, 18.0),
            "blur_mm": (0.5, 1.5),
            "aspect": (0.75, 1.0),
            "diameter_law": "log-uniform",
        },
        source=(
            "Hsieh et al., Abdom. Radiol. 50, 668 (2025), doi 10.1007/s00261-024-04520-4: 91 visually challenging "
            "metastases, diameter 1.2 cm (interquartile range 0.9 to 1.8 cm), contrast to the liver 38 HU (23 to "
            "68 HU); the interquartile ranges are used. Blur and aspect are our choice."
        ),
    ),
    "lung-nodule": LesionPreset(
        description="a small solid nodule in lung that is not in contact with vessels or pleura",
        organ="lung",
        ranges={
            "shapes": ("ellipsoid", "lobulated", "spiculated"),
            "contrast_hu": (845.0, 895.0),
            "diameter_mm": (4.6, 9.8),
            "blur_mm": (0.3, 0.6),
            "aspect": (0.75, 1.0),
            "n_lobes": (4, 8),
            "lobe_depth": (0.15, 0.4),
            "diameter_law": "log-uniform",
        },
        source=(
            "Xu et al., Eur. J. Radiol. 70, 492 (2009), doi 10.1016/j.ejrad.2008.02.022 (NELSON): solid "
            "intraparenchymal nodules of 50 to 500 mm³ (4.6 to 9.8 mm) of mean density −2.2 HU (malignant) and 42.7 HU "
            "(benign), here over lung of −850 HU (approximate; it varies with the depth of the breath). Blur, aspect "
            "and lobes are our choice."
        ),
    ),
    "ground-glass-nodule": LesionPreset(
        description="a pure ground-glass nodule, through which the vessels stay visible",
        organ="lung",
        ranges={
            "shapes": ("ellipsoid",),
            "contrast_hu": (175.0, 288.0),
            "diameter_mm": (6.0, 20.0),
            "blur_mm": (0.5, 1.5),
            "aspect": (0.75, 1.0),
            "diameter_law": "log-uniform",
        },
        source=(
            "Wang et al., Iran. J. Radiol. 15, e61846 (2018), doi 10.5812/iranjradiol.61846: −675 and −562 HU part the "
            "ground-glass portion of preinvasive, minimally invasive and invasive adenocarcinomas, here over lung of "
            "−850 HU (approximate); diameter from 6 mm, above which the Fleischner Society follows them up (MacMahon "
            "et al., Radiology 284, 228 (2017), doi 10.1148/radiol.2017161659), to 20 mm (approximate). Blur and "
            "aspect are our choice."
        ),
    ),
}
