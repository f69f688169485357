"""In which order each reader sees the trials."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ShownTrial:
    """A trial as one reader sees it."""

    trial: int
    """Its number in the key."""
    images: tuple[int, ...]
    """Rows of the study's images, from left to right, then down; one unless the design is forced choice."""
    block: int
    """From 0; a case is shown once in a block."""
