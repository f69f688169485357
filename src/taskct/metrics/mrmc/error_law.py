"""How far an estimate over readers and cases lies from the truth, where few readers make the error hard to know."""

import math
from dataclasses import dataclass

from scipy.optimize import brentq
from scipy.special import stdtrit

_NORMAL = 1.959964  # of 95 %, two-sided
_HALFWAY, _HALFWAY_OF_TWO = 0.75, 0.2  # readers' part over cases' part at which Student's t has half its weight
_LEAST_LOG = -300.0  # of a p value; below it is 0


@dataclass(frozen=True)
class ErrorLaw:
    """Law of the error of a mean over readers, whose variance is the sum of a readers' and a cases' part; no unit.

    The readers' part is the scatter of r readers' values over r. With (r − 1) degrees of freedom it is hardly known.
    The cases' part is what readers share by rating the same cases, and is known better. Satterthwaite's degrees of
    freedom weigh the parts as they came out: two readers that agree by chance then make the error both small and well
    known. For two parts of normal values, the readers' one of 1, 2, 3 or 4 degrees of freedom, 95 % intervals so cover
    as little as 87, 92, 93.6 and 94.1 %, whatever the number of cases.

    Here the squared critical value of a statistic (error over its standard error) is z² + (t² − z²)·s·w, with t and z
    those of Student's t for readers and for cases, s the readers' share of the variance and w = x^q/(x^q + k^q), where
    x is the readers' part over the cases', q = t/z at 95 %, and k = ¾, or 0.2 for two readers. It is a solution of
    Welch's problem by two numbers that were chosen so that coverage hardly depends on the true share: of 95 %
    intervals 94.6 to 95.3 % for 2 degrees of freedom, 95.0 to 95.3 % for more and 94.0 to 96.1 % for one, computed by
    integration. Source of the problem: Welch, Biometrika 34, 28 (1947); that it has such solutions: Trickett & Welch,
    Biometrika 41, 361 (1954).
    """

    variance: float
    """Of the estimate, at least 0."""
    of_readers: float
    """What of it is the readers' part, in [0, variance]."""
    df_readers: float
    """Degrees of freedom of the readers' part: readers less 1."""
    df_cases: float
    """Those of the cases' part."""

    @property
    def std_error(self) -> float:
        """Standard error of the estimate."""
        return math.sqrt(self.variance)

    def critical(self, confidence: float) -> float:
        """Value that the statistic exceeds in size with a chance of 1 − confidence."""
        return math.sqrt(self._squared(math.log(1.0 - confidence)))

    def p_value(self, statistic: float) -> float:
        """Chance of a statistic as large as this in size: `critical` the other way round. NaN for NaN."""
        if math.isnan(statistic):
            return math.nan
        squared = statistic * statistic
        if squared == 0.0:
            return 1.0
        if self._squared(_LEAST_LOG) <= squared:
            return 0.0
        return math.exp(brentq(lambda log_p: self._squared(log_p) - squared, _LEAST_LOG, 0.0, xtol=1e-12))

    def _squared(self, log_alpha: float) -> float:
        """Squared critical value of a chance."""
        tail = 0.5 * math.exp(log_alpha)
        weight = self._weight()
        of_cases, of_readers = (float(stdtrit(df, tail)) for df in (self.df_cases, self.df_readers))
        return (1.0 - weight) * of_cases * of_cases + (weight * of_readers * of_readers if weight > 0.0 else 0.0)

    def _weight(self) -> float:
        """Of Student's t for readers, s·w."""
        if self.of_readers <= 0.0:
            return 0.0
        share, cases = self.of_readers / self.variance, self.variance - self.of_readers
        if cases <= 0.0:
            return share
        halfway = _HALFWAY if self.df_readers > 1.0 else _HALFWAY_OF_TWO
        power = -float(stdtrit(self.df_readers, 0.025)) / _NORMAL
        log_odds = power * (math.log(self.of_readers / cases) - math.log(halfway))
        return share * (1.0 / (1.0 + math.exp(-log_odds)) if log_odds > -700.0 else 0.0)
