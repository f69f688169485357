"""Backgrounds: what a signal may hide in, known exactly or statistically.

A background is an object with `draw(rng, index)`. It returns square HU images on the object grid, exact ellipses to be
added to them, and the case that each came from; images of one case never stand in two splits.
"""

from taskct.tasks.backgrounds.abdomen import Abdomen
from taskct.tasks.backgrounds.drawn import AIR_HU, Background, Drawn, Ellipses, soft_ellipse
from taskct.tasks.backgrounds.fields import ClusteredLumpy, Lumpy, PowerLaw, Texture, Textured, Uniform
from taskct.tasks.backgrounds.labels import LabelMap, Tissue
from taskct.tasks.backgrounds.phantom import Phantom
from taskct.tasks.backgrounds.slices import Placement, Slices, SourceGrid
from taskct.tasks.backgrounds.textures import (
    Blobs,
    clustered_lumpy,
    clustered_lumpy_moments,
    lumpy,
    positive_lumps,
    power_law,
)
from taskct.tasks.backgrounds.thorax import Thorax
from taskct.tasks.backgrounds.torso import Torso

__all__ = [
    "AIR_HU",
    "Abdomen",
    "Background",
    "Blobs",
    "ClusteredLumpy",
    "Drawn",
    "Ellipses",
    "LabelMap",
    "Lumpy",
    "Phantom",
    "Placement",
    "PowerLaw",
    "Slices",
    "SourceGrid",
    "Texture",
    "Textured",
    "Thorax",
    "Tissue",
    "Torso",
    "Uniform",
    "clustered_lumpy",
    "clustered_lumpy_moments",
    "lumpy",
    "positive_lumps",
    "power_law",
    "soft_ellipse",
]
