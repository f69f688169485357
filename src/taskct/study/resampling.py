"""What the test trials of a study are resampled by: the one unit of all its intervals."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.config import Settings
from taskct.metrics.clustered import Clusters
from taskct.metrics.comparisons import why_no_test
from taskct.metrics.intervals import Interval, bootstrap_interval
from taskct.metrics.rates import rate_interval
from taskct.metrics.roc import PairedDifference, delong_interval, paired_delong
from taskct.trials.trials import Trials

CONFIDENCE = 0.95
"""Of every interval."""
FEW = 50
"""Units below which intervals are somewhat too narrow."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Unit:
    """The unit of resampling: a background where test trials share some, else a trial.

    With a background that all trials of a class share nothing can be said of others. The unit is then a trial, and the
    intervals hold for these backgrounds alone.
    """

    present: NDArray[np.bool_]
    """Truth of the trials, `(n,)`."""
    cases: NDArray[np.int64] | None
    """The background of every trial, `(n,)`; None where the unit is a trial."""
    n_backgrounds: int
    """Distinct ones behind the trials."""
    over_backgrounds: bool
    """Whether the intervals hold for other backgrounds too."""

    @property
    def clusters(self) -> Clusters | None:
        """The units of the trials of either class; None where the unit is a trial."""
        if self.cases is None:
            return None
        return Clusters.of(self.cases[self.present], self.cases[~self.present])

    def within(self, chosen: NDArray[np.bool_]) -> "Unit | None":
        """The unit of some trials, by a mask `(n,)`; None where they leave fewer than two units of a class."""
        present = self.present[chosen]
        units = np.arange(len(present)) if self.cases is None else self.cases[chosen]
        if _fewest(units, present) < 2:
            return None
        cases = None if self.cases is None else units
        return Unit(present, cases, min(self.n_backgrounds, len(np.unique(units))), self.over_backgrounds)

    def auc(self, t: Floats) -> Interval:
        """AUC of test statistics `(n,)`, with DeLong's interval, or Obuchowski's where trials share backgrounds."""
        return delong_interval(t[self.present], t[~self.present], self.clusters, confidence=CONFIDENCE)

    def auc_difference(self, t: Floats) -> PairedDifference:
        """Difference of the AUCs of two rows of test statistics, `(2, n)`, with an interval of the same kind."""
        return paired_delong(t[:, self.present], t[:, ~self.present], self.clusters, confidence=CONFIDENCE)

    def as_json(self) -> dict[str, Any]:
        """As `task.json` tells it."""
        return {
            "unit": "trial" if self.cases is None else "background",
            "over_backgrounds": self.over_backgrounds,
            "few": self.n_backgrounds < FEW,
            "p_values": self.over_backgrounds and self._enough_for_p,
        }

    @property
    def _enough_for_p(self) -> bool:
        clusters = self.clusters
        if clusters is None:
            return why_no_test(int(self.present.sum()), int((~self.present).sum())) is None
        held = int(clusters.holds_present.sum()), int(clusters.holds_absent.sum())
        return why_no_test(*held, n_cases=clusters.n) is None


def unit_of(test: Trials) -> Unit:
    """The unit of resampling of test trials; whoever works out an interval asks here."""
    cases, present = test.truth["case"].astype(np.int64), test.signal_present
    distinct = len(np.unique(cases))
    own = distinct == len(cases)
    shared = not own and _fewest(cases, present) >= 2
    return Unit(present, cases if shared else None, distinct, own or shared)


def _fewest(units: NDArray[np.int64], present: NDArray[np.bool_]) -> int:
    """How many units hold trials of a class, of the class with fewer."""
    return min(len(np.unique(units[of_class])) for of_class in (present, ~present))


def interval_json(interval: Interval, name: str = "value") -> dict[str, float]:
    """An interval as the result files have it, its value under some name."""
    return {name: interval.value, "ci_low": interval.ci_low, "ci_high": interval.ci_high}


@dataclass(frozen=True)
class Resampling:
    """Bootstrap intervals of a study over its unit."""

    unit: Unit
    """Of the test trials."""
    n_bootstrap: int
    """Resamples."""
    seed: int
    """Of the resampling."""

    @classmethod
    def of(cls, test: Trials, settings: Settings) -> "Resampling":
        """That of a study's test trials."""
        return cls(unit_of(test), settings.evaluation.n_bootstrap, settings.seed)

    @property
    def how(self) -> dict[str, Any]:
        """What every bootstrap is told."""
        return {"n_bootstrap": self.n_bootstrap, "confidence": CONFIDENCE, "seed": self.seed}

    def interval(
        self,
        values: Floats,
        statistic: Callable[[Floats], Floats] | None = None,
        *,
        of: NDArray[np.bool_] | None = None,
    ) -> Interval:
        """Interval of a mean of values `(n, ...)`, or a function of means, of all trials or those of a mask `(n,)`."""
        chosen = slice(None) if of is None else of
        return bootstrap_interval(values[chosen], statistic, clusters=self._cases(chosen), **self.how)

    def rate(self, hits: NDArray[np.bool_], *, of: NDArray[np.bool_]) -> Interval:
        """Share of hits `(n,)` among the trials that count; see `rate_interval`."""
        return rate_interval(hits[of], clusters=self._cases(of), confidence=CONFIDENCE)

    def rate_difference(self, hits: NDArray[np.bool_], other: NDArray[np.bool_], *, of: NDArray[np.bool_]) -> Interval:
        """Share of hits less that of other hits on the same trials, both `(n,)`, among the trials that count.

        Where the two agree on all trials, no resample tells them apart: the bounds are then those of a share of trials
        on which they would not.
        """
        differ = hits != other
        if not differ[of].any():
            bound = self.rate(differ, of=of).ci_high
            return Interval(0.0, -bound, bound)
        return self.interval(hits.astype(np.float64) - other, of=of)

    def _cases(self, chosen: slice | NDArray[np.bool_]) -> NDArray[np.int64] | None:
        return None if self.unit.cases is None else self.unit.cases[chosen]
