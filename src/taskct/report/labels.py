"""Arms and observers as the page names them."""

from taskct.names import JOINT, ArmName

OBSERVERS = {
    JOINT: "joint SLNN-NO",
    "slnn": "fresh SLNN-NO",
    "ho": "fresh HO",
    "ho_eye": "fresh HO behind an eye filter",
    "ho_lw": "fresh HO, Ledoit–Wolf covariance",
    "cho_lg": "fresh CHO, Laguerre–Gauss channels",
    "cho_gabor": "fresh CHO, Gabor channels",
    "cho_sdog": "fresh CHO, sparse DoG channels",
    "cho_ddog": "fresh CHO, dense DoG channels",
    "cho_pca": "fresh CHO, PCA channels",
    "cho_pls": "fresh CHO, PLS channels",
    "npw": "fresh NPW",
    "npwe": "fresh NPWE",
    "cnn": "fresh CNN",
}
"""Observer names in the files and on the page, in the page's order."""


def observer_label(observer: str) -> str:
    """Name an observer as the page does.

    >>> observer_label("ho"), observer_label("my_observer")
    ('fresh HO', 'my_observer')
    """
    return OBSERVERS.get(observer, observer)


def arm_label(name: str) -> str:
    """Name an arm as the page does."""
    return ArmName.parse(name).label
