"""The law of an error that readers and cases make: its ends, its inverse, and coverage by integration."""

import math

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import chi2, norm, t

from taskct.metrics.mrmc.error_law import ErrorLaw

RATIOS = np.geomspace(0.02, 1000.0, 25)
"""Of the readers' true part to the cases'."""


def coverage(critical, df, ratios=RATIOS):
    """Chance that an interval holds the truth where the cases' part is known to be 1; `critical` maps (1 + x)."""
    u, weights = np.polynomial.legendre.leggauss(160)
    u = (u + 1.0) / 2.0
    # Nodes gather at both ends of the law of the readers' scatter.
    at, by = u**3 * (10.0 - 15.0 * u + 6.0 * u**2), weights / 2.0 * 30.0 * u**2 * (1.0 - u) ** 2
    scatter = chi2.ppf(at, df) / df
    return np.array(
        [
            by @ (2.0 * ndtr([critical(r * x) * np.sqrt((1.0 + r * x) / (1.0 + r)) for x in scatter]) - 1.0)
            for r in ratios
        ]
    )


@pytest.mark.parametrize(
    ("df", "low", "high"),
    [(1, 0.933, 0.970), (2, 0.941, 0.957), (3, 0.945, 0.954), (4, 0.947, 0.953), (9, 0.949, 0.952)],
)
def test_coverage_hardly_depends_on_the_readers_share(df, low, high):
    found = coverage(lambda x: ErrorLaw(1.0 + x, x, df, 1e9).critical(0.95), df)
    assert low < found.min()
    assert found.max() < high


@pytest.mark.parametrize(("df", "least"), [(1, 0.872), (2, 0.922), (3, 0.936), (4, 0.941)])
def test_satterthwaites_degrees_of_freedom_cover_less(df, least):
    found = coverage(lambda x: t.isf(0.025, (1.0 + x) ** 2 / max(x**2 / df, 1e-12)), df)
    assert found.min() == pytest.approx(least, abs=0.002)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_ends_are_students_t(confidence):
    tail = (1.0 - confidence) / 2.0
    assert ErrorLaw(2.0, 0.0, 3.0, 40.0).critical(confidence) == pytest.approx(t.isf(tail, 40))
    assert ErrorLaw(2.0, 2.0, 3.0, 40.0).critical(confidence) == pytest.approx(t.isf(tail, 3))
    half = ErrorLaw(2.0, 1.0, 3.0, 40.0).critical(confidence)
    normal = norm.isf(tail) ** 2
    assert half**2 == pytest.approx(normal / 2.0 + (t.isf(tail, 3) ** 2 + t.isf(tail, 40) ** 2) / 4.0)


def test_many_degrees_of_freedom_are_satterthwaites():
    for share in (0.1, 0.5, 0.9):
        df = 1.0 / (share**2 / 400.0 + (1.0 - share) ** 2 / 300.0)
        assert ErrorLaw(1.0, share, 400.0, 300.0).student_df(0.95) == pytest.approx(df, rel=0.02)
    assert ErrorLaw(1.0, 0.0, 3.0, math.inf).student_df(0.95) == math.inf


@pytest.mark.parametrize("df", [1.0, 2.0, 7.0])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.9, 1.0])
def test_p_value_is_the_critical_value_the_other_way_round(df, share):
    law = ErrorLaw(1e-3, share * 1e-3, df, 30.0)
    for confidence in (0.01, 0.5, 0.95, 0.9999):
        assert law.p_value(law.critical(confidence)) == pytest.approx(1.0 - confidence, rel=1e-6)
    assert law.p_value(-2.0) == law.p_value(2.0)
    assert [law.p_value(x) for x in (0.0, np.inf)] == [1.0, 0.0]
    assert np.isnan(law.p_value(np.nan))
