"""How many training seeds a difference of AUCs needs, from a study with few."""

import math

from scipy.special import stdtrit

MOST_SEEDS = 1000
"""Beyond which a number of seeds counts as out of reach."""


def seeds_needed(
    delta: float, *, seed_variance: float, mean_variance: float, n_seeds: int, confidence: float = 0.95
) -> int | None:
    """Fewest training seeds whose t interval of a difference of AUCs is narrower than the difference: it clears zero.

    The variance of the mean over r seeds is taken as s²/r + c: s² falls with more seeds, and c, what the test trials
    put in alike for all seeds, does not. Degrees of freedom are Hillis': (s²/r + c)² (r − 1) / (s²/r)².

    Parameters
    ----------
    delta
        Difference of AUCs, mean over the seeds.
    seed_variance
        Variance of the difference from seed to seed, s².
    mean_variance
        Variance of the mean over the seeds at hand, seeds and test trials together.
    n_seeds
        Seeds at hand, at least 2.
    confidence
        Coverage of the interval, in (0, 1).

    Returns
    -------
    A number of seeds, at least 2, or None where none up to 1,000 does: the test trials are too few, or there is no
    difference.

    References
    ----------
    .. [1] Hillis, Stat. Med. 26, 596 (2007), degrees of freedom.

    Examples
    --------
    >>> seeds_needed(0.03, seed_variance=0.0004, mean_variance=0.0002, n_seeds=2)
    5
    """
    if n_seeds < 2 or seed_variance < 0.0:
        raise ValueError(f"{n_seeds} seeds of variance {seed_variance}; the spread of at least 2 must be known")
    alike = max(mean_variance - seed_variance / n_seeds, 0.0)
    for r in range(2, MOST_SEEDS + 1):
        own = seed_variance / r
        df = (own + alike) ** 2 * (r - 1) / own**2 if own > 0.0 else math.inf
        if float(stdtrit(df, (1.0 + confidence) / 2.0)) * math.sqrt(own + alike) < abs(delta):
            return r
    return None
