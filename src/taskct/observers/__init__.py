"""Numerical observers, one contract: hyper-parameters, `fit`, `test_statistic`."""

from typing import Any

from taskct.errors import UserError
from taskct.observers.base import LinearObserver, Observer
from taskct.observers.hotelling import Hotelling, HotellingEye
from taskct.observers.slnn import SLNN, SLNNHead

__all__ = [
    "OBSERVERS",
    "SLNN",
    "Hotelling",
    "HotellingEye",
    "LinearObserver",
    "Observer",
    "SLNNHead",
    "make_observer",
]

OBSERVERS: dict[str, type[Observer]] = {"slnn": SLNN, "ho": Hotelling, "ho_eye": HotellingEye}
"""Observers that are fitted afresh, by the name a study gives them."""


def make_observer(name: str, **kwargs: Any) -> Observer:  # noqa: ANN401 - each observer names its own
    """Observer of a registered name.

    Parameters
    ----------
    name
        A key of `OBSERVERS`.
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
    if name not in OBSERVERS:
        raise UserError(f"unknown observer {name!r}; known observers: {', '.join(sorted(OBSERVERS))}")
    try:
        return OBSERVERS[name](**kwargs)
    except TypeError as error:
        raise UserError(f"observer {name!r}: {error}") from None
