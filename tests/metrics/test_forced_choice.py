"""Forced choice: closed forms, an adaptive integral, and picks that are drawn."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtri
from scipy.stats import norm

from taskct.metrics import Interval, d_prime_interval, d_prime_of, proportion_correct


def test_two_alternatives_have_a_closed_form() -> None:
    for proportion in (0.02, 0.5, 0.6, 0.76, 0.99):
        assert d_prime_of(proportion, 2) == pytest.approx(math.sqrt(2.0) * ndtri(proportion), abs=1e-12)


def test_three_alternatives_at_two_special_values() -> None:
    """Chance is 1/M whatever M is, and the best of M standard normals is 1/M-likely to be any one of them."""
    for m in (2, 3, 4, 8, 100):
        assert float(proportion_correct(0.0, m)) == pytest.approx(1.0 / m, abs=1e-13)
        assert d_prime_of(1.0 / m, m) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("m", [3, 4, 8, 1000])
@pytest.mark.parametrize("d", [-3.0, -0.5, 1.0, 2.5, 6.0])
def test_an_adaptive_integral_agrees(d: float, m: int) -> None:
    wanted = quad(lambda x: norm.pdf(x - d) * norm.cdf(x) ** (m - 1), -12, 12 + d, epsabs=1e-14, limit=500)[0]
    assert float(proportion_correct(d, m)) == pytest.approx(wanted, abs=1e-11)
    assert d_prime_of(float(proportion_correct(d, m)), m) == pytest.approx(d, abs=1e-9)


def test_picks_of_the_highest_response() -> None:
    """200,000 trials of four alternatives: within 4.5 standard errors, false alarm 7e-6."""
    rng = np.random.default_rng(5)
    responses = rng.normal(size=(200_000, 4))
    responses[:, 2] += 1.3
    share = float((responses.argmax(axis=1) == 2).mean())
    wanted = float(proportion_correct(1.3, 4))
    assert abs(share - wanted) < 4.5 * math.sqrt(wanted * (1.0 - wanted) / 200_000)


def test_shape_and_bounds() -> None:
    assert proportion_correct(np.zeros((2, 3)), 4).shape == (2, 3)
    found = d_prime_interval(Interval(1.0, 0.9, 1.0), 4)
    assert found.value == found.ci_high == math.inf
    assert found.ci_low == pytest.approx(d_prime_of(0.9, 4))
    assert d_prime_of(0.0, 2) == -math.inf


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        proportion_correct(1.0, 1)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        d_prime_of(1.2, 4)
