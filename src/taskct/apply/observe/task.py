"""What observers have to do on a user's images, and how they are trained and tested."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from taskct.apply.observe.choices import Mode
from taskct.apply.observe.folds import Folding
from taskct.errors import UserError
from taskct.io.stored_images import StoredImages
from taskct.io.truth_table import Truth
from taskct.metrics.clustered import Clusters
from taskct.observers.crops import centred_crops


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

    def windows(self, images: NDArray[np.floating] | StoredImages, trials: NDArray[np.int64]) -> NDArray[np.floating]:
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


@dataclass(frozen=True)
class EvaluationPlan:
    """Settings of `observe` that are about trials and statistics, not about images.

    Raises
    ------
    UserError
        If a setting is out of range.
    """

    division: Literal["auto", "split", "cross"] = "auto"
    """"split": observers learn from some trials and are tested on others. "cross": each case is read by observers that
    were trained without it. "auto": cross where the truth names no split, no number of training sets is given and the
    trials are too few for three of them, but not in mode scanning nor with learning curves."""
    folding: Folding = field(default_factory=Folding)
    """Folds and repeats of a cross-validation."""
    train_share: float = 0.5
    """Of the trials (of the cases), in (0, 1), where the truth names no split."""
    n_training_sets: int | None = None
    """Above 1, the training trials are divided into as many sets. Observers trained on each count as readers, and the
    interval covers the choice of training trials as well as of test trials (MRMC). None: 4, or 3, as far as each set
    gets 10 trials of each class (of 10 cases, where trials are clustered), else 1, and a note says so."""
    learn: bool = False
    """Whether to draw learning curves."""
    margin: float | None = None
    """Of tests of non-inferiority and equivalence against the images compared with, in (0, 0.5); None for none."""
    specificity: float = 0.9
    """At which sensitivity is given, in (0, 1)."""
    confidence: float = 0.95
    """Of every interval, 0.5 to 0.9999."""
    seed: int = 0
    """Of every random choice."""
    width: float | None = None
    """Of the interval of an AUC for which the scans are counted that it takes, in (0, 1); None for none."""

    def __post_init__(self) -> None:
        if not 0.5 <= self.confidence <= 0.9999:
            raise UserError(f"confidence is {self.confidence:g}; it must lie between 0.5 and 0.9999 (0.95, not 95)")
        for name in ("train_share", "specificity"):
            value = getattr(self, name)
            if not 0.0 < value < 1.0:
                raise UserError(f"{name} is {value:g}; it must lie between 0 and 1, both excluded")
        if self.n_training_sets is not None and self.n_training_sets < 1:
            raise UserError(f"{self.n_training_sets} training sets; there must be at least 1")
        if self.margin is not None and not 0.0 < self.margin < 0.5:
            raise UserError(f"the margin is {self.margin:g}; it must lie between 0 and 0.5, such as 0.05")
        if self.width is not None and not 0.0 < self.width < 1.0:
            raise UserError(f"the width to plan for is {self.width:g}; it must lie between 0 and 1, such as 0.05")
        if self.division == "cross" and (self.n_training_sets is not None or self.learn):
            what = "training sets" if self.n_training_sets is not None else "a learning curve"
            raise UserError(f"{what} and cross-validation exclude one another: leave one of them out")
