"""What is to be found: signals and backgrounds."""

from typing import TYPE_CHECKING

from taskct.lazy import lazy_names

if TYPE_CHECKING:
    from taskct.tasks.background_registry import BACKGROUNDS as BACKGROUNDS
    from taskct.tasks.lesions import LESIONS as LESIONS
    from taskct.tasks.lesions import LesionPreset as LesionPreset
    from taskct.tasks.lidc import LidcNodules as LidcNodules
    from taskct.tasks.lidc import read_lidc_nodules as read_lidc_nodules
    from taskct.tasks.shape_registry import SHAPES as SHAPES
    from taskct.tasks.shapes import render as render
    from taskct.tasks.shapes import signal_site as signal_site
    from taskct.tasks.signals import Signals as Signals
    from taskct.tasks.signals import draw_signals as draw_signals
    from taskct.tasks.sites import SITES as SITES
    from taskct.tasks.sites import draw_sites as draw_sites
    from taskct.tasks.sites import draw_sites_in_mask as draw_sites_in_mask
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "background_registry": ["BACKGROUNDS"],
            "lesions": ["LESIONS", "LesionPreset"],
            "lidc": ["LidcNodules", "read_lidc_nodules"],
            "shape_registry": ["SHAPES"],
            "shapes": ["render", "signal_site"],
            "signals": ["Signals", "draw_signals"],
            "sites": ["SITES", "draw_sites", "draw_sites_in_mask"],
        },
        rooms=["backgrounds"],
    )
