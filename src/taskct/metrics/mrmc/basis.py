"""What an interval and a p value of a reader study rest on: a variance, its degrees of freedom, a distribution."""

import math
from dataclasses import dataclass

from scipy.special import stdtrit

from taskct.metrics.intervals import two_sided_p
from taskct.metrics.mrmc.areas import IntervalFrom
from taskct.metrics.mrmc.one_shot import Contrast

NOTHING = 1e-14
"""A variance below it is rounding; that of 10^6 cases is not."""
_MOST_DF = 50.0  # iMRMC takes the normal distribution above it
_ROUNDING = 1e-9  # a whole number that came out a little low is still that number


def whole_df(df: float) -> float:
    """Degrees of freedom of Student's t as FDA's iMRMC takes them: the whole part; infinite above 50; NaN for NaN.

    iMRMC's R package (2.1.2) takes Student's t at exactly 50, its Java program (4.0.3) the normal distribution; at less
    than 2 the R package takes 1, the Java program 2. Both times this is the R package's.
    """
    if math.isnan(df):
        return df
    return math.inf if df > _MOST_DF else float(math.floor(df + _ROUNDING))


@dataclass(frozen=True)
class Basis:
    """What an interval rests on."""

    variance: float  # NaN if there is no interval
    df: float  # degrees of freedom as estimated; infinite for the normal distribution
    kind: IntervalFrom  # which variance it is

    @property
    def df_or_none(self) -> float | None:
        """Degrees of freedom as estimated; None for none."""
        return self.df if math.isfinite(self.df) else None

    @property
    def df_whole(self) -> int | None:
        """Degrees of freedom that the interval and the p value take; None for the normal distribution."""
        whole = whole_df(self.df)
        return int(whole) if math.isfinite(whole) else None

    def half_width(self, confidence: float) -> float:
        """Of a symmetric interval; NaN if there is none."""
        return -float(stdtrit(whole_df(self.df), (1.0 - confidence) / 2.0)) * math.sqrt(self.variance)

    def p_value(self, difference: float, *, fractional: bool = False) -> float:
        """Two-sided, of no difference; NaN without an interval. `fractional` takes the degrees of freedom as is."""
        return two_sided_p(difference, math.sqrt(self.variance), self.df if fractional else whole_df(self.df))


def even(part: Contrast) -> bool:
    """Whether every success has the same weight, so that centring changes nothing."""
    return math.isclose(part.variance, part.variance_centred, rel_tol=1e-9, abs_tol=NOTHING)


def basis_of(part: Contrast, name: str, notes: list[str]) -> Basis:
    """Choose the variance by the rule in `analyze`, and note what is not plain."""
    if part.variance_centred > NOTHING:
        return Basis(part.variance_centred, part.df, "u-statistic" if even(part) else "centred u-statistic")
    if part.variance_mle_centred > NOTHING:
        notes.append(
            f"{name}: the unbiased variance is not positive ({part.variance_centred:.3g}), as happens in small "
            f"studies; the interval rests on its biased twin ({part.variance_mle_centred:.3g})"
        )
        return Basis(part.variance_mle_centred, part.df_mle, "mle")
    if part.variance_mle_centred < -NOTHING:
        notes.append(
            f"{name}: both variances are negative, since different cases were rated in the two modalities: "
            "there is no interval"
        )
        return Basis(math.nan, math.inf, "none")
    notes.append(f"{name}: the variance is 0, which says that these cases are too easy or too alike to tell")
    return Basis(0.0, math.inf, "u-statistic")
