"""Seeds that a difference needs, against the plain t interval and against the trials that bound it."""

import numpy as np
import pytest
from scipy.stats import t

from taskct.metrics.training_seeds import seeds_needed


@pytest.mark.parametrize(("delta", "spread"), [(0.03, 0.02), (0.01, 0.03), (0.2, 0.01)])
def test_without_trials_it_is_the_t_interval(delta, spread):
    n = np.arange(2, 1001)
    first = int(n[t.ppf(0.975, n - 1) * spread / np.sqrt(n) < delta][0])
    assert seeds_needed(delta, seed_variance=spread**2, mean_variance=spread**2 / 2, n_seeds=2) == first
    assert seeds_needed(-delta, seed_variance=spread**2, mean_variance=spread**2 / 2, n_seeds=2) == first


def test_trials_that_are_too_few_leave_no_number():
    # What the trials put in, 0.02² alike for all seeds, is never narrower than 1.96 · 0.02.
    assert seeds_needed(0.039, seed_variance=1e-4, mean_variance=0.02**2 + 0.5e-4, n_seeds=2) is None
    assert seeds_needed(0.041, seed_variance=1e-4, mean_variance=0.02**2 + 0.5e-4, n_seeds=2) is not None
    assert seeds_needed(0.0, seed_variance=1e-4, mean_variance=1e-4, n_seeds=2) is None


def test_seeds_that_agree_need_no_more():
    assert seeds_needed(0.05, seed_variance=0.0, mean_variance=1e-4, n_seeds=3) == 2


def test_one_seed_has_no_spread():
    with pytest.raises(ValueError, match="at least 2"):
        seeds_needed(0.05, seed_variance=0.0, mean_variance=1e-4, n_seeds=1)
