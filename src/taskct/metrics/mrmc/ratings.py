"""What readers said of cases in each modality: the one input of every MRMC analysis."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ratings:
    """Ratings of cases by readers in modalities.

    A reader may be a person or a trained observer: observers trained from several seeds or on several training sets are
    readers, and what training adds is then a random effect as any reader's skill is. A ValueError, if shapes do not
    match, a name stands twice or a score is infinite.
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
    reader_kind: str = "reader"
    """What a reader is, for notes and tables: `reader`, or `training seed`."""

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

    def part(
        self,
        *,
        modalities: Sequence[int] | NDArray[np.integer] | None = None,
        readers: Sequence[int] | NDArray[np.integer] | None = None,
        cases: Sequence[int] | NDArray[np.integer] | None = None,
    ) -> "Ratings":
        """Some modalities, readers and cases, by their numbers and in that order; all of what is left out.

        Examples
        --------
        >>> scores = np.arange(4.0).reshape(2, 1, 2)
        >>> whole = Ratings(scores, np.array([True, False]), ("A", "B"), ("Ann",), ("1", "2"))
        >>> whole.part(modalities=[1]).scores.tolist()
        [[[2.0, 3.0]]]
        """
        names = (self.modalities, self.readers, self.cases)
        kept = [
            np.arange(len(group)) if chosen is None else np.asarray(chosen, dtype=np.intp)
            for group, chosen in zip(names, (modalities, readers, cases), strict=True)
        ]
        of_modalities, of_readers, of_cases = (
            tuple(group[i] for i in index) for group, index in zip(names, kept, strict=True)
        )
        return replace(
            self,
            scores=self.scores[np.ix_(*kept)],
            signal_present=self.signal_present[kept[2]],
            modalities=of_modalities,
            readers=of_readers,
            cases=of_cases,
        )
