"""Non-inferiority and equivalence of two modalities of a reader study, by the law of the interval that is shown."""

import math

from taskct.errors import UserError
from taskct.metrics.comparisons import Comparison, equivalence, noninferiority
from taskct.metrics.mrmc.areas import DifferenceAUC
from taskct.metrics.mrmc.difference import DifferenceLaw


def margin_tests(
    difference: DifferenceAUC, *, noninferiority_margin: float, confidence: float = 0.95
) -> tuple[Comparison, Comparison]:
    """Non-inferiority and equivalence of the first modality, at the one-sided size whose interval is that of `analyze`.

    Parameters
    ----------
    difference
        Of two modalities, of an analysis of the same confidence.
    noninferiority_margin
        Largest difference of AUCs that does not matter, above 0.
    confidence
        Coverage of the interval, in (0, 1): each one-sided test has the size (1 − confidence)/2.

    Raises
    ------
    UserError
        If the margin is not above 0.
    ValueError
        If there is no interval.

    Examples
    --------
    >>> import numpy as np
    >>> from taskct.metrics.mrmc import Design, RoeMetz, analyze
    >>> study = RoeMetz.published("HL", 0.855).simulate(np.random.default_rng(0), Design(5, 80, 80))
    >>> [test.shown for test in margin_tests(analyze(study).differences["A-B"], noninferiority_margin=0.2)]
    [True, True]
    """
    if difference.law is not None:
        return law_margin_tests(difference.law, noninferiority_margin=noninferiority_margin, confidence=confidence)
    if difference.interval_from == "none":
        raise ValueError("a difference without an interval has no test of a margin")
    std_error = math.sqrt(difference.interval_variance)
    non_inferior, equivalent = (
        test(
            difference.auc,
            std_error,
            noninferiority_margin=noninferiority_margin,
            alpha=(1.0 - confidence) / 2.0,
            limit=1.0,
        )
        for test in (noninferiority, equivalence)
    )
    return non_inferior, equivalent


def law_margin_tests(
    law: DifferenceLaw, *, noninferiority_margin: float, confidence: float
) -> tuple[Comparison, Comparison]:
    """As `margin_tests`, from what the error of the difference is taken to be."""
    margin, alpha = noninferiority_margin, (1.0 - confidence) / 2.0
    if not 0.0 < margin < math.inf:
        raise UserError(f"the margin is {margin}; it must be finite and above 0")
    low, high = law.bounds(confidence)
    too_low, too_high = (_one_sided(law, side * margin) for side in (-1.0, 1.0))
    both = max(too_low, too_high)
    return (
        Comparison("non-inferiority", law.difference, low, high, margin, too_low, alpha, too_low < alpha),
        Comparison("equivalence", law.difference, low, high, margin, both, alpha, both < alpha),
    )


def _one_sided(law: DifferenceLaw, bound: float) -> float:
    """P value of the true difference lying at the bound or beyond, as seen from 0."""
    half = 0.5 * law.p_value(bound)
    return half if (law.difference - bound) * bound < 0.0 else 1.0 - half
