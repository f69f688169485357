"""Arms and observers as the page names them."""

from taskct.names import ArmName
from taskct.observer_registry import page_labels

OBSERVERS = page_labels()
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
