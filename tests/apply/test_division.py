"""Trials are divided whole cases at a time, with every class in every part."""

import numpy as np
import pytest

from taskct.apply.observe.division import divide_trials
from taskct.errors import UserError


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.2, 0.2, 0.2, 0.4), (1.0,)])
def test_parts_are_disjoint_complete_and_stratified(shares):
    present = np.random.default_rng(0).permutation(np.arange(200) < 60)
    parts = divide_trials(present, None, shares=shares, seed=1)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(200))
    for part, share in zip(parts, shares, strict=True):
        assert abs(present[part].sum() - share * 60) <= 1
        assert abs((~present[part]).sum() - share * 140) <= 1


def test_no_case_stands_in_two_parts():
    rng = np.random.default_rng(2)
    cases = rng.integers(0, 40, size=400)
    present = (cases % 3 == 0) | ((cases % 3 == 1) & (rng.random(400) < 0.5))  # of one class, of both, of the other
    parts = divide_trials(present, cases, shares=(0.5, 0.5), seed=3)
    assert not set(cases[parts[0]]) & set(cases[parts[1]])
    for part in parts:
        # 14, 13 and 13 cases of the three kinds, each halved to within one.
        for kind in range(3):
            assert abs(len({c for c in cases[part] if c % 3 == kind}) - 6.75) <= 1


def test_the_seed_decides():
    present = np.arange(50) % 2 == 0
    first, again, other = (divide_trials(present, None, shares=(0.5, 0.5), seed=seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_too_few_is_one_line():
    with pytest.raises(UserError, match="give more images"):
        divide_trials(np.arange(10) < 3, None, shares=(0.5, 0.5), seed=0)
    with pytest.raises(UserError, match=r"200 images of 2 cases.*give more cases"):
        divide_trials(np.arange(200) % 2 == 0, np.arange(200) // 100, shares=(0.3, 0.3, 0.4), seed=0)
