"""What readers said of cases in each modality: the one input of every MRMC analysis."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ratings:
    """Ratings of cases by readers in modalities.

    A reader may be a person or a trained observer: observers trained from several seeds or on several training
    sets are readers, and what training adds is then a random effect as any reader's skill is.

    Raises
    ------
    ValueError
        If shapes do not match, a name stands twice or a score is infinite.
    """

    scores: NDArray[np.float64]
    """Shape `(n_modalities, n_readers, n_cases)`; higher means present; NaN where a reader did not rate a case."""
    signal_present: NDArray[np.bool_]
    """Truth of every case, shape `(n_cases,)`."""
    modalities: tuple[str, ...]
    """Names of the modalities."""
    readers: tuple[str, ...]
    """Names of the readers."""
    cases: tuple[str, ...]
    """Names of the cases."""

    def __post_init__(self) -> None:
        names = {"modalities": self.modalities, "readers": self.readers, "cases": self.cases}
        shape = tuple(len(group) for group in names.values())
        if self.scores.shape != shape or self.signal_present.shape != shape[2:]:
            raise ValueError(
                f"scores of shape {self.scores.shape} and truth of shape {self.signal_present.shape} for {shape[0]} "
                f"modalities, {shape[1]} readers and {shape[2]} cases"
            )
        for kind, group in names.items():
            if len(set(group)) < len(group):
                raise ValueError(f"a name stands twice among the {kind}")
        if self.signal_present.dtype != np.bool_:
            raise ValueError(f"signal_present must be bool, not {self.signal_present.dtype}")
        if np.isinf(self.scores).any():
            raise ValueError("a score is infinite")
