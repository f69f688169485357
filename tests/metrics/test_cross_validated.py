"""AUC of a cross-validated observer: against DeLong's interval and a law of pure noise."""

import numpy as np
import pytest

from taskct.metrics.cross_validated import FoldReadings, cross_validated_difference
from taskct.metrics.roc import auc, delong_interval, paired_delong

N = 12
PRESENT = np.arange(2 * N) < N
EVERY_PAIR = np.array([np.r_[np.arange(N), (np.arange(N) + shift) % N] for shift in range(N)])


def of_a_given_observer(scores, fold=EVERY_PAIR, cases=None):
    """An observer that learns nothing says the same whatever fold is left out."""
    n_folds = int(fold.max()) + 1
    said = np.broadcast_to(scores, (len(fold), n_folds, len(scores)))
    return FoldReadings(said, fold, PRESENT, np.arange(2 * N) if cases is None else cases)


def test_an_observer_that_does_not_learn_has_delongs_interval():
    scores = np.random.default_rng(0).normal(size=2 * N) + PRESENT
    readings = of_a_given_observer(scores)
    wanted = delong_interval(scores[PRESENT], scores[~PRESENT])
    assert readings.area == auc(scores[PRESENT], scores[~PRESENT])
    found = readings.interval()
    # Its unit is that of all trials but a fold, which moves a little from fold to fold.
    assert (found.ci_low, found.ci_high) == pytest.approx((wanted.ci_low, wanted.ci_high), abs=0.003)
    # A change of scale and of zero, fold by fold, changes nothing.
    scale, shift = np.random.default_rng(1).uniform(0.5, 2.0, (2, N, N, 1))
    moved = FoldReadings(readings.statistic * scale + shift, EVERY_PAIR, PRESENT, np.arange(2 * N))
    assert moved.interval().ci_low == pytest.approx(found.ci_low, rel=1e-9)
    np.testing.assert_allclose(moved.scores, readings.scores)


def test_a_difference_of_given_observers_is_delongs():
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(2, 2 * N)) + PRESENT * np.array([[1.5], [0.5]])
    first, second = (of_a_given_observer(one) for one in scores)
    found, error = cross_validated_difference(first, second)
    wanted = paired_delong(scores[:, PRESENT], scores[:, ~PRESENT])
    assert found.delta_auc == pytest.approx(wanted.delta_auc)
    assert (found.ci_low, found.ci_high, found.p_value) == pytest.approx(
        (wanted.ci_low, wanted.ci_high, wanted.p_value), abs=0.006
    )
    back, same = cross_validated_difference(second, first)
    assert (back.delta_auc, same) == (-found.delta_auc, pytest.approx(error))
    alike, none = cross_validated_difference(first, first)
    assert (alike.delta_auc, none, alike.p_value) == (0.0, 0.0, 1.0)


def test_comparisons_of_pure_noise_are_correlated_by_one_over_n_minus_one():
    """What one pair taught the observer of another, that pair taught the observer of the first.

    A mean-difference template of pure noise in many dimensions: the statistics of two pairs without a common trial have
    the correlation 1/(n − 1), so their comparisons the covariance asin(1/(n − 1))/2π.
    """
    rng, rows = np.random.default_rng(3), []
    for _ in range(60):
        images = rng.normal(size=(2 * N, 400))
        said = np.empty((2, N, 2 * N))
        for repeat, fold in enumerate(EVERY_PAIR[:2]):
            for number in range(N):
                train = fold != number
                template = images[train & PRESENT].mean(axis=0) - images[train & ~PRESENT].mean(axis=0)
                said[repeat, number] = images @ template
        influence = FoldReadings(said, EVERY_PAIR[:2], PRESENT, np.arange(2 * N)).influence
        products = np.einsum("rfg,rgf->r", influence, influence).mean() / (N * (N - 1)) * ((N - 1) / (N - 2)) ** 2
        rows.append(products)
    wanted = np.arcsin(1.0 / (N - 1)) / (2.0 * np.pi)
    # The spread of the 60 is known from themselves; 4 standard errors, and 10 % since n is no infinity.
    assert np.mean(rows) == pytest.approx(wanted, abs=0.1 * wanted + 4 * np.std(rows) / np.sqrt(60))


def test_bounds_stay_in_reach_and_say_what_perfect_scans_allow():
    readings = of_a_given_observer(np.where(PRESENT, 2.0, 0.0) + np.arange(2 * N) * 1e-3)
    found = readings.interval()
    assert (found.value, found.ci_high) == (1.0, 1.0)
    assert found.ci_low == pytest.approx(0.025 ** (1 / N))
    rng = np.random.default_rng(4)
    other = of_a_given_observer(rng.normal(size=2 * N))
    difference, _ = cross_validated_difference(readings, other)
    assert -1.0 <= difference.ci_low <= difference.delta_auc <= difference.ci_high <= 1.0


def test_cases_of_both_classes_widen_the_interval_of_correlated_trials():
    """Copies of a scan's trials bring no news: with cases the interval stays that of the scans."""
    rng = np.random.default_rng(5)
    fold = np.array([np.r_[f, f] for f in (rng.permutation(N) % 4 for _ in range(6))])
    scores = rng.normal(size=2 * N) + PRESENT
    once = of_a_given_observer(scores, fold, np.r_[np.arange(N), np.arange(N)])
    twice = FoldReadings(
        np.concatenate([once.statistic, once.statistic], axis=2),
        np.concatenate([fold, fold], axis=1),
        np.concatenate([PRESENT, PRESENT]),
        np.tile(np.r_[np.arange(N), np.arange(N)], 2),
    )
    assert twice.area == pytest.approx(once.area)
    assert twice.standard_error() == pytest.approx(once.standard_error(), rel=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fold": EVERY_PAIR[:, :-1]}, "do not fit one another"),
        ({"statistic": np.full((N, N, 2 * N), np.nan)}, "not finite"),
        ({"fold": np.where(PRESENT, 0, 1)[None].repeat(N, axis=0)}, "no fold holds trials of both classes"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    readings = of_a_given_observer(np.arange(2 * N, dtype=float))
    with pytest.raises(ValueError, match=message):
        FoldReadings(
            **{name: getattr(readings, name) for name in ("statistic", "fold", "signal_present", "cases")} | change
        )
    other = of_a_given_observer(np.arange(2 * N, dtype=float), EVERY_PAIR[::-1])
    with pytest.raises(ValueError, match="not cross-validated on the same trials"):
        cross_validated_difference(readings, other)
