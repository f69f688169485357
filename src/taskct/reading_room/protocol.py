"""The protocol of a reading study: what every reader sees and is asked. It holds no truth and no name of an arm."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Design = Literal["2afc", "4afc", "rating", "locate", "froc"]
DESIGNS: tuple[Design, ...] = ("2afc", "4afc", "rating", "locate", "froc")
ALTERNATIVES = {"2afc": 2, "4afc": 4}
"""Images of a trial of forced choice; one everywhere else."""
SCALES = (5, 101)
"""Points of a scale of confidence: 1 to 5, or 0 to 100."""


@dataclass(frozen=True)
class Display:
    """How images are shown."""

    centre_hu: float
    width_hu: float
    adjustable: bool
    """Whether a reader may change the window."""
    zooms: tuple[int, ...] = (1, 2, 3, 4, 6)
    """Screen pixels for each pixel of the image, the first one at the start; a whole number each."""


@dataclass(frozen=True)
class Protocol:
    """What every reader of a study sees and is asked."""

    study: str
    """Random name of the study, 12 hexadecimal digits."""
    title: str
    design: Design
    scale: int
    """One of `SCALES`; 0 in forced choice."""
    n_trials: int
    """That each reader reads, after training."""
    n_training: int
    """High-contrast trials with feedback before them."""
    break_every: int
    """Trials between two offers of a break; 0 for none."""
    height: int
    width: int
    """Of every image, pixels."""
    pixel_mm: float | None
    display: Display
    instructions: tuple[str, ...]
    """Paragraphs."""
    question: str
    """Asked at each trial."""

    @property
    def n_alternatives(self) -> int:
        """Images of a trial."""
        return ALTERNATIVES.get(self.design, 1)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)
