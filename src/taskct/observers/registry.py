"""Observers by the name that a study or a command gives them."""

from collections.abc import Callable
from functools import partial
from typing import Any

from taskct.errors import UserError
from taskct.observers.base import Observer
from taskct.observers.channelized import ChannelizedHotelling
from taskct.observers.cnn import CNNObserver
from taskct.observers.hotelling import Hotelling, HotellingEye, HotellingLedoitWolf, HotellingSVD
from taskct.observers.nonprewhitening import NPW, NPWE
from taskct.observers.prewhitening import PWMF
from taskct.observers.slnn import SLNN

OBSERVERS: dict[str, Callable[..., Observer]] = {
    "slnn": SLNN,
    "ho": Hotelling,
    "ho_lw": HotellingLedoitWolf,
    "ho_svd": HotellingSVD,
    "ho_eye": HotellingEye,
    "cho_lg": partial(ChannelizedHotelling, channels="lg"),
    "cho_gabor": partial(ChannelizedHotelling, channels="gabor"),
    "cho_sdog": partial(ChannelizedHotelling, channels="sparse-dog"),
    "cho_ddog": partial(ChannelizedHotelling, channels="dense-dog"),
    "cho_pca": partial(ChannelizedHotelling, channels="pca"),
    "cho_pls": partial(ChannelizedHotelling, channels="pls"),
    "npw": NPW,
    "npwe": NPWE,
    "pwmf": PWMF,
    "cnn": CNNObserver,
}
"""Observers that are fitted afresh, by the name that a study or a command gives them."""


def make_observer(name: str, **kwargs: Any) -> Observer:  # noqa: ANN401 - each observer names its own
    """Observer of a registered name.

    Parameters
    ----------
    name
        A key of `OBSERVERS`; a hyphen does for an underscore.
    **kwargs
        Hyper-parameters of that observer.

    Raises
    ------
    UserError
        If the name is not registered, a hyper-parameter is unknown or missing, or a value is out of range.

    Examples
    --------
    >>> make_observer("ho", ridge=0.1).ridge
    0.1
    """
    key = name.replace("-", "_")
    if key not in OBSERVERS:
        raise UserError(f"unknown observer {name!r}; known observers: {', '.join(sorted(OBSERVERS))}")
    try:
        return OBSERVERS[key](**kwargs)
    except TypeError as error:
        raise UserError(f"observer {name!r}: {error}") from None
