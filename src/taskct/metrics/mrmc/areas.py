"""AUCs of a reader study with their errors: of modalities, of differences and of readers, and the analysis of all."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from taskct.files import json_values
from taskct.metrics.mrmc.difference import DifferenceLaw
from taskct.metrics.mrmc.error_law import ErrorLaw
from taskct.metrics.mrmc.sizing import Components

IntervalFrom = Literal["u-statistic", "centred u-statistic", "mle", "delong", "exact", "none"]


@dataclass(frozen=True)
class ModalityAUC:
    """Reader-averaged AUC of a modality; no unit."""

    auc: float
    """Pooled over all pairs of a present and an absent case of all readers: readers weigh by their pairs."""
    variance: float | None
    """U-statistic variance over readers and cases, unbiased, as FDA's iMRMC has it; can be negative. None with one
    reader."""
    variance_centred: float | None
    """The same from successes less the AUC; equal to `variance` unless readers rated unequal numbers of cases."""
    variance_mle: float | None
    """Biased twin of `variance`, as FDA's iMRMC has it."""
    variance_mle_centred: float | None
    """Biased twin of `variance_centred`, never negative."""
    df: float | None
    """Degrees of freedom (BDG) as estimated; None where there are none, as with a single reader."""
    df_whole: int | None
    """Their whole part, which the symmetric interval takes as FDA's iMRMC does; None for the normal distribution."""
    df_hillis: float | None
    """Hillis' degrees of freedom; None unless the study is fully crossed."""
    ci_low: float
    """Lower bound by `error`, symmetric on the scale of `area_scale`, so never below 0; NaN if there is no interval."""
    ci_high: float
    """Upper bound, likewise never above 1."""
    ci_low_symmetric: float
    """Lower bound of the plain interval, AUC ± t·√variance, as FDA's iMRMC prints it."""
    ci_high_symmetric: float
    """Its upper bound; can lie above 1."""
    error: ErrorLaw | None
    """What the interval takes the error to be; None with a single reader, and without an interval."""
    interval_variance: float
    """The variance that the interval rests on."""
    interval_from: IntervalFrom
    """Which of the variances that is."""
    components: Components | None
    """Variance components per reader and case, unbiased; None with one reader."""
    contributions: Components | None
    """What each puts into `variance_centred`; they sum to it."""
    moments: tuple[float, ...] | None
    """M1 to M8, unbiased (Gallas 2006); None with one reader."""
    coefficients: tuple[float, ...] | None
    """c1 to c8: Σ cₖ·Mₖ is `variance`."""


@dataclass(frozen=True)
class DifferenceAUC:
    """Difference of the reader-averaged AUCs of two modalities; no unit. Its variances are like those of a modality."""

    first: str
    """Modality."""
    second: str
    """Modality whose AUC is subtracted."""
    auc: float
    """First AUC minus second."""
    variance: float | None
    variance_centred: float | None
    variance_mle: float | None
    variance_mle_centred: float | None
    """It can be negative where different cases were rated in the two modalities."""
    df_bdg: float | None
    """Degrees of freedom (BDG) as estimated; None where there are none, as with a single reader."""
    df_whole: int | None
    """Their whole part, which the symmetric interval and `p_value` take as FDA's iMRMC does; None for the normal
    distribution, which iMRMC takes above 50."""
    df_hillis: float | None
    """Hillis' degrees of freedom; None unless the study is fully crossed."""
    ci_low: float
    """Lower bound by `law`; NaN if there is no interval."""
    ci_high: float
    """Upper bound."""
    ci_low_symmetric: float
    """Lower bound of the plain interval, difference − t·√variance, as FDA's iMRMC has it; can lie below −1."""
    ci_high_symmetric: float
    """Its upper bound."""
    p_value_interval: float
    """Two-sided, of no difference, by `law`: below 1 − confidence exactly where `ci_low` to `ci_high` leave out 0."""
    p_value: float
    """The same as FDA's iMRMC has it, with `df_whole`: that of the symmetric interval. NaN if there is no interval."""
    p_value_fractional: float
    """The same with the degrees of freedom as they were estimated; equal to `p_value` with a single reader."""
    interval_variance: float
    """The variance that the intervals and the p values rest on."""
    interval_from: IntervalFrom
    """Which of the variances that is."""
    law: DifferenceLaw | None
    """What the interval takes the error to be; None with a single reader, and without an interval."""
    components: Components | None
    """Of the difference, ready for `sizing.size_study`; None with one reader."""
    contributions: Components | None
    """What each puts into `variance_centred`; they sum to it."""


@dataclass(frozen=True)
class ReaderAUC:
    """AUC of one reader in one modality, and what the choice of cases does to it; no unit."""

    auc: float
    """Empirical AUC; NaN if the reader rated no pair of a present and an absent case."""
    variance: float
    """U-statistic variance over cases, unbiased; NaN with fewer than 2 cases of a class."""
    variance_delong: float
    """DeLong's variance over cases, a little larger; NaN with fewer than 2 cases of a class."""
    ci_low: float
    """Lower bound over cases, symmetric in the logit (DeLong's variance); NaN with fewer than 2 cases of a class."""
    ci_high: float
    """Upper bound."""


@dataclass(frozen=True)
class MRMCAnalysis:
    """Analysis of a reader study."""

    modalities: dict[str, ModalityAUC]
    """By modality."""
    differences: dict[str, DifferenceAUC]
    """By pair of modalities, `A-B`."""
    readers: dict[str, dict[str, ReaderAUC]]
    """By reader, then modality; those of a modality that is left out of the averages too."""
    reader_kind: str
    """What a reader is: `reader`, or `training seed`."""
    n_readers: int
    """Readers whose ratings the averages rest on."""
    n_present: int
    """Signal-present cases, likewise."""
    n_absent: int
    """Signal-absent cases, likewise."""
    n_unrated: int
    """Cases that nobody rated; they are left out."""
    fully_crossed: bool
    """Whether every one of these readers rated every one of these cases in every modality."""
    confidence: float
    """Coverage wanted of the intervals."""
    notes: tuple[str, ...]
    """What a reader of the results must know: missing ratings, negative variances, a single reader."""

    def spread(self, difference: DifferenceAUC) -> bool:
        """Whether the variance of a difference is known: not where it is 0 because an AUC is 0 or 1."""
        areas = {self.modalities[name].auc for name in (difference.first, difference.second)}
        return difference.interval_variance > 0.0 and not areas & {0.0, 1.0}

    def as_dict(self) -> dict[str, Any]:
        """Everything as a plain dict, ready for JSON; what is not finite becomes None."""
        return {key: json_values(value) for key, value in asdict(self).items()}
