"""Scans of low-contrast phantoms: where the phantom lies, and the regions with and without its rods."""

from taskct.apply.phantom.contrast import RodContrast, rod_contrasts
from taskct.apply.phantom.cut import CrowdedRodsWarning, RodTrials, rod_trials
from taskct.apply.phantom.find import FoundPhantom, find_phantom
from taskct.apply.phantom.picture import write_picture
from taskct.tasks.layout_file import find_layout
from taskct.tasks.layouts import LAYOUTS, PhantomLayout, Rod

__all__ = [
    "LAYOUTS",
    "CrowdedRodsWarning",
    "FoundPhantom",
    "PhantomLayout",
    "Rod",
    "RodContrast",
    "RodTrials",
    "find_layout",
    "find_phantom",
    "rod_contrasts",
    "rod_trials",
    "write_picture",
]
