"""What observers have to do on a user's images: the truth, and whether the site of the signal is given."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.io.truth_table import Truth
from taskct.metrics.clustered import Clusters
from taskct.observers.crops import centred_crops

Mode = Literal["whole", "centred", "scanning"]


@dataclass(frozen=True)
class Task:
    """A detection task on images whose truth is known.

    Raises
    ------
    UserError
        If a setting does not fit the mode, or a class is empty.
    """

    truth: Truth
    """Of every image."""
    mode: Mode = "whole"
    """"whole": observers see the whole image. "centred": a window around the site that the truth gives. "scanning":
    they learn from such windows and search the whole image; the statistic is the largest over all sites."""
    window_px: int | None = None
    """Side of the window, pixels; for the last two."""
    radius_px: float | None = None
    """Within which a signal counts as located, pixels; half the window where left out. For "scanning"."""

    def __post_init__(self) -> None:
        present = self.signal_present
        for of_class, what in ((present, "signal-present"), (~present, "signal-absent")):
            if not of_class.any():
                raise UserError(f"there is no {what} image among {len(present)}: an AUC needs both classes")
        if self.mode not in ("whole", "centred", "scanning"):
            raise UserError(f"mode {self.mode!r} is unknown: give whole, centred or scanning")
        if self.mode == "whole":
            if self.window_px is not None:
                raise UserError("a window has no use in mode whole: choose mode centred or scanning, or leave it out")
        elif self.truth.centres_px is None:
            raise UserError(
                f"mode {self.mode} needs the site of every image: give a truth table with row_px and column_px"
            )
        elif self.window_px is None:
            raise UserError(
                f"mode {self.mode} needs the side of the window around a site: give it in pixels (--window-px)"
            )
        if self.radius_px is not None:
            if self.mode != "scanning":
                raise UserError("a radius has a use in mode scanning alone: leave it out")
            if not 0.0 < self.radius_px < np.inf:
                raise UserError(f"the radius is {self.radius_px:g} pixels; it must be above 0")

    @property
    def signal_present(self) -> NDArray[np.bool_]:
        """Truth of every image, shape `(n,)`."""
        return self.truth.signal_present

    @property
    def site_radius_px(self) -> float:
        """Within which a signal counts as located, pixels."""
        return (self.window_px or 0) / 2.0 if self.radius_px is None else self.radius_px

    def windows(self, images: NDArray[np.floating], trials: NDArray[np.int64]) -> NDArray[np.floating]:
        """What observers learn from: some trials' windows around their sites, or their whole images."""
        centres = self.truth.centres_px
        if self.window_px is None or centres is None:
            return images[trials]
        return centred_crops(images[trials], centres[trials], size_px=self.window_px)

    def sites(self, trials: NDArray[np.int64]) -> NDArray[np.float64]:
        """Sites of some trials, (row, column), pixels, shape `(n_trials, 2)`.

        Raises
        ------
        ValueError
            If they are not known.
        """
        if self.truth.centres_px is None:
            raise ValueError("the truth names no sites")
        return self.truth.centres_px[trials]

    def clusters(self, trials: NDArray[np.int64]) -> Clusters | None:
        """Cases of the present and the absent of some trials; None where every trial is a case of its own."""
        cases = self.truth.cases
        if cases is None:
            return None
        present = self.signal_present[trials]
        return Clusters.of(cases[trials][present], cases[trials][~present])
