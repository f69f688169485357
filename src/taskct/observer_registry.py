"""Every observer that is fitted afresh, one entry each; settings, command line and page take their names from here.

The report and `taskct --help` read this without loading an observer, so an entry names its class and its module.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from taskct.names import JOINT
from taskct.ranges import Range, Ranges

JOINT_LABEL = "joint SLNN-NO"

VIEWING_DISTANCE_MM = 500.0  # usual viewing distance at a reading desk

EYE = ("pixel_mm", "viewing_distance_mm", "magnification")
CONDITIONS: Ranges = {
    "pixel_mm": Range(0.01, 10.0, "mm", "the pixel size"),
    "viewing_distance_mm": Range(50.0, 10_000.0, "mm", "from the eye to the display"),
    "magnification": Range(0.05, 50.0, meaning="size on the display over size in the object"),
    "internal_noise_hu": Range(0.0, 5000.0, "HU", "internal noise, per pixel behind an eye or per channel"),
    "internal_noise": Range(0.0, 100.0, meaning="relative to the test statistic's standard deviation"),
    "seed": Range(0, whole=True),
}
"""Numbers that observers are told; `ObserverEntry.needs` says which."""


def conditions(*names: str) -> dict[str, Range]:
    """Ranges of some of `CONDITIONS`."""
    return {name: CONDITIONS[name] for name in names}


@dataclass(frozen=True)
class ObserverEntry:
    """An observer, and what a study, a command and the page know of it."""

    label: str  # its name on the page
    module: str  # of `taskct.observers`
    name: str  # of the class in it
    settings: Mapping[str, Any] = field(default_factory=dict)  # keyword arguments that make it this observer
    needs: tuple[str, ...] = ()
    """Keyword arguments that whoever makes it must know: of `CONDITIONS`, "device", "signal", "covariance" and
    "human"."""
    candidates: Literal["", "ridges", "weight_decays"] = ""
    """Setting of `observers` that lists the regularizations a study chooses from; none without such a choice."""
    in_study: Literal["always", "on request", "no"] = "on request"  # whether a study fits it


def _cho(label: str, channels: str) -> ObserverEntry:
    needs = ("internal_noise", "seed")
    return ObserverEntry(f"CHO, {label} channels", "channelized", "ChannelizedHotelling", {"channels": channels}, needs)


OBSERVERS: dict[str, ObserverEntry] = {
    "slnn": ObserverEntry("SLNN-NO", "slnn", "SLNN", candidates="weight_decays", in_study="always"),
    "ho": ObserverEntry("HO", "hotelling", "Hotelling", candidates="ridges", in_study="always"),
    "ho_eye": ObserverEntry(
        "HO behind an eye filter",
        "hotelling",
        "HotellingEye",
        needs=(*EYE, "internal_noise_hu", "seed"),
        candidates="ridges",
        in_study="always",
    ),
    "ho_lw": ObserverEntry("HO, Ledoit–Wolf covariance", "hotelling", "HotellingLedoitWolf"),
    "ho_svd": ObserverEntry("HO, truncated SVD", "hotelling", "HotellingSVD", in_study="no"),
    "cho_lg": _cho("Laguerre–Gauss", "lg"),
    "cho_gabor": _cho("Gabor", "gabor"),
    "cho_sdog": _cho("sparse DoG", "sparse-dog"),
    "cho_ddog": _cho("dense DoG", "dense-dog"),
    "cho_pca": _cho("PCA", "pca"),
    "cho_pls": _cho("PLS", "pls"),
    "npw": ObserverEntry("NPW", "nonprewhitening", "NPW", needs=("signal",)),
    "npwe": ObserverEntry("NPWE", "nonprewhitening", "NPWE", needs=(*EYE, "internal_noise", "seed", "signal")),
    "pwmf": ObserverEntry("PWMF", "prewhitening", "PWMF", needs=("covariance", "signal"), in_study="no"),
    "human": ObserverEntry(
        "human-like observer", "internal_noise", "HumanLike", needs=("human", "pixel_mm", "seed"), in_study="no"
    ),
    "cnn": ObserverEntry("CNN", "cnn", "CNNObserver", needs=("seed", "device")),
}
"""By the name that a study or a command gives, in the page's order."""


def observers_in_study(when: Literal["always", "on request", "no"]) -> tuple[str, ...]:
    """Names of the observers that a study fits always, on request, or not at all."""
    return tuple(name for name, entry in OBSERVERS.items() if entry.in_study == when)


def observers_needing(what: str) -> tuple[str, ...]:
    """Names of the observers that must be told something.

    >>> observers_needing("signal")
    ('npw', 'npwe', 'pwmf')
    """
    return tuple(name for name, entry in OBSERVERS.items() if what in entry.needs)


def page_labels() -> dict[str, str]:
    """Name on the page of every observer whose results a study may hold, in the page's order."""
    return {JOINT: JOINT_LABEL} | {name: f"fresh {entry.label}" for name, entry in OBSERVERS.items()}
