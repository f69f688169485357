"""From settings to simulated trials."""

from typing import TYPE_CHECKING

from taskct.lazy import lazy_names

if TYPE_CHECKING:
    from taskct.simulation.chunks import ChunkMaker as ChunkMaker
    from taskct.simulation.preview import make_preview as make_preview
    from taskct.simulation.scan import Scanner as Scanner
    from taskct.simulation.scan import make_geometry as make_geometry
    from taskct.simulation.simulate import simulate_store as simulate_store
    from taskct.simulation.simulate import simulation_key as simulation_key
    from taskct.simulation.simulate import trials_bytes as trials_bytes
    from taskct.simulation.sources import Source as Source
    from taskct.simulation.sources import make_sources as make_sources
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "chunks": ["ChunkMaker"],
            "preview": ["make_preview"],
            "scan": ["Scanner", "make_geometry"],
            "simulate": ["simulate_store", "simulation_key", "trials_bytes"],
            "sources": ["Source", "make_sources"],
        },
    )
