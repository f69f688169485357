"""Denoisers: networks, classical filters and the way in for a user's own module."""

from typing import TYPE_CHECKING

from taskct.lazy import lazy_names

if TYPE_CHECKING:
    from taskct.denoisers.bilateral import filter_bilateral as filter_bilateral
    from taskct.denoisers.blend import Blend as Blend
    from taskct.denoisers.classical import CLASSICAL as CLASSICAL
    from taskct.denoisers.classical import filter_images as filter_images
    from taskct.denoisers.classical import tune as tune
    from taskct.denoisers.cnn import ResidualCNN as ResidualCNN
    from taskct.denoisers.context import ContextCNN as ContextCNN
    from taskct.denoisers.denoiser import NETWORKS as NETWORKS
    from taskct.denoisers.denoiser import Denoiser as Denoiser
    from taskct.denoisers.denoiser import denoise as denoise
    from taskct.denoisers.denoiser import make_network as make_network
    from taskct.denoisers.dncnn import DnCNN as DnCNN
    from taskct.denoisers.reach import receptive_radius as receptive_radius
    from taskct.denoisers.redcnn import REDCNN as REDCNN
    from taskct.denoisers.response import Response as Response
    from taskct.denoisers.response import measure_response as measure_response
    from taskct.denoisers.tiling import Reach as Reach
    from taskct.denoisers.tiling import find_reach as find_reach
    from taskct.denoisers.total_variation import minimize_total_variation as minimize_total_variation
    from taskct.denoisers.unet import ResidualUNet as ResidualUNet
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "bilateral": ["filter_bilateral"],
            "blend": ["Blend"],
            "classical": ["CLASSICAL", "filter_images", "tune"],
            "cnn": ["ResidualCNN"],
            "context": ["ContextCNN"],
            "denoiser": ["Denoiser", "NETWORKS", "denoise", "make_network"],
            "dncnn": ["DnCNN"],
            "reach": ["receptive_radius"],
            "redcnn": ["REDCNN"],
            "response": ["Response", "measure_response"],
            "tiling": ["Reach", "find_reach"],
            "total_variation": ["minimize_total_variation"],
            "unet": ["ResidualUNet"],
        },
    )
