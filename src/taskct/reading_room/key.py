"""The truth of a reading study. Nothing that serves readers reads it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Lesion:
    """A signal of a case."""

    row_px: float
    column_px: float
    """Of its centre; the middle of the first pixel is (0, 0)."""
    diameter_mm: float | None = None
    contrast_hu: float | None = None


@dataclass(frozen=True)
class KeyTrial:
    """The truth of a trial."""

    arm: str
    case: str
    """The same in every arm. In forced choice the name of the set of images."""
    images: tuple[int, ...]
    """Rows of the study's images."""
    present: int | None
    """Which of `images` holds the signal, from 0; None where none does. Always one in forced choice."""
    lesions: tuple[Lesion, ...] = ()
    """Of the image that holds the signal."""
    background: str = ""
    """What is independent of others: trials of one background belong together; empty where each stands alone."""
    group: str = ""
    """Stratum by which people and models are compared, such as a size and a contrast; empty for none."""


@dataclass(frozen=True)
class Key:
    """The truth of all trials."""

    trials: tuple[KeyTrial, ...]
    arms: tuple[str, ...]
    radius_mm: float | None = None
    """Locate and FROC: a mark within it of a lesion's centre hits it."""
    source: str = ""
    """What the study was made of, in words, such as the name of a run."""
