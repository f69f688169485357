"""Internal noise fitted to readers: closed forms, exact counts that give the strength back, and coverage."""

import numpy as np
import pytest
from scipy.special import ndtr

from taskct.errors import UserError
from taskct.metrics.forced_choice import proportion_correct
from taskct.metrics.internal_noise import ModelDecisions, NoiseModel, model_proportion
from taskct.metrics.noise_fit import FittedNoiseModel
from taskct.metrics.reader_counts import ReaderCounts, hanley_mcneil_pairs, readers_proportion, shared_covariance
from taskct.metrics.roc import auc
from validation.human import D_PRIMES, exact_decisions, panel_covers

KINDS = {"proportional": 0.8, "constant": 1.6}


def exact_counts(model, alpha, *, n_readers=3, n=200.0):
    """What readers of one internal noise do on average."""
    d = np.array([one.separation for one in model.models])
    p = proportion_correct(
        d / np.sqrt([(one.std**2 + (alpha * u) ** 2) for one, u in zip(model.models, model.units, strict=True)]),
        model.n_alternatives,
    )
    return ReaderCounts(np.full((n_readers, len(d)), n), np.tile(n * p, (n_readers, 1)), model.n_alternatives)


@pytest.mark.parametrize("n_alternatives", [2, 4])
def test_the_scores_themselves_agree_with_the_normal_law_they_were_drawn_from(n_alternatives):
    rng = np.random.default_rng(0)
    model = ModelDecisions(rng.normal(1.5, 1.0, 1500), rng.normal(0.0, 1.0, 1500), {"constant": 1.0})
    variance = np.array([-0.3, 0.0, 0.5, 2.0, 1e6])
    both = [model_proportion(model, variance, n_alternatives, law=law) for law in ("normal", "scores")]
    np.testing.assert_allclose(both[0], both[1], atol=0.03)  # three standard errors of the scores
    assert both[1][-1] == pytest.approx(1.0 / n_alternatives, abs=0.002)
    if n_alternatives == 2:
        assert both[1][1] == pytest.approx(auc(model.present, model.absent), abs=1e-12)


@pytest.mark.parametrize("n_alternatives", [2, 4])
def test_noise_in_closed_form_is_what_many_draws_give(n_alternatives):
    """Scores of two lumps, far from normal; 200,000 drawn trials have a standard error of 0.001."""
    rng = np.random.default_rng(1)
    present = np.concatenate([rng.normal(0.0, 0.3, 30), rng.normal(4.0, 0.3, 30)])
    model = ModelDecisions(present, rng.exponential(1.0, 50), {"constant": 1.0})
    n = 200_000
    best = rng.choice(model.absent, (n, n_alternatives - 1)) + rng.normal(0.0, 0.7, (n, n_alternatives - 1))
    drawn = np.mean(rng.choice(present, n) + rng.normal(0.0, 0.7, n) > best.max(axis=1))
    found = model_proportion(model, np.array([0.49]), n_alternatives, law="scores")[0]
    assert found == pytest.approx(drawn, abs=0.005)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_alternatives", [2, 4])
def test_exact_counts_give_the_strength_back(kind, n_alternatives):
    model = NoiseModel(exact_decisions(D_PRIMES), kind, n_alternatives)
    counts = exact_counts(model, KINDS[kind])
    fit = FittedNoiseModel(model, counts, n_bootstrap=20)
    assert fit.alpha.value == pytest.approx(KINDS[kind], rel=1e-3)
    assert fit.alpha.ci_low < KINDS[kind] < fit.alpha.ci_high
    np.testing.assert_allclose(fit.proportion, counts.proportion, atol=1e-4)
    np.testing.assert_allclose(fit.alphas_of_readers(), KINDS[kind], rtol=1e-3)
    assert fit.goodness.chi_square < 0.01
    assert fit.left_out.rmse < 1e-3
    other = FittedNoiseModel(NoiseModel(model.models, min(set(KINDS) - {kind}), n_alternatives), counts, n_bootstrap=20)
    assert other.left_out.rmse > 0.01  # the other kind does not describe these readers
    assert other.aic > fit.aic + 2.0


def test_the_efficiency_is_that_of_detectability():
    """Noise in proportion to the statistic divides d' by √(1 + α²): an efficiency of 1/(1 + α²)."""
    model = NoiseModel(exact_decisions(D_PRIMES), "proportional", 2)
    fit = FittedNoiseModel(model, exact_counts(model, 0.75), bounded=False, n_bootstrap=20)
    assert fit.efficiency.value == pytest.approx(1.0 / (1.0 + 0.75**2), rel=1e-3)
    assert fit.efficiency.ci_low < fit.efficiency.value < fit.efficiency.ci_high


def test_people_who_do_better_have_no_noise_and_an_efficiency_above_1():
    models = exact_decisions(D_PRIMES)
    p = proportion_correct(1.3 * np.array(D_PRIMES), 2)
    counts = ReaderCounts(np.full((3, len(p)), 300.0), np.tile(300.0 * p, (3, 1)), 2)
    model = NoiseModel(models, "proportional", 2)
    fit = FittedNoiseModel(model, counts, n_bootstrap=20)
    assert fit.alpha.value == 0.0
    np.testing.assert_allclose(fit.proportion, proportion_correct(D_PRIMES, 2), atol=1e-4)
    free = FittedNoiseModel(model, counts, bounded=False, n_bootstrap=20)
    assert free.efficiency.value == pytest.approx(1.69, rel=1e-3)
    assert fit.goodness.deviance > free.goodness.deviance + 100.0
    assert (fit.goodness.df, free.goodness.df) == (len(p), len(p) - 1)


@pytest.mark.parametrize(("share", "words"), [(0.5, "no better than chance"), (1.0, "right so often")])
def test_readers_at_chance_and_readers_always_right_are_refused(share, words):
    model = NoiseModel(exact_decisions(D_PRIMES), "constant", 2)
    n = np.full((2, len(D_PRIMES)), 50.0)
    with pytest.raises(UserError, match=words):
        FittedNoiseModel(model, ReaderCounts(n, share * n, 2))


def test_a_condition_where_people_lose_more_is_found():
    model = NoiseModel(exact_decisions(D_PRIMES), "proportional", 2)
    counts = exact_counts(model, 0.8, n_readers=6, n=400.0)
    rng = np.random.default_rng(3)
    k = rng.binomial(400, np.clip(counts.n_correct / 400.0 - np.eye(len(D_PRIMES))[2] * 0.15, 0.5, 1.0)).astype(float)
    fit = FittedNoiseModel(model, ReaderCounts(counts.n_trials, k, 2))
    found = [fit.disagreement(g) for g in np.eye(len(D_PRIMES))]
    assert int(np.argmin([one.p_value for one in found])) == 2
    assert found[2].p_value < 0.01
    assert found[2].difference.ci_high < 0.0
    assert fit.goodness.p_readers < 0.01


def test_the_p_value_is_where_the_interval_just_reaches_0():
    model = NoiseModel(exact_decisions(D_PRIMES), "proportional", 2)
    rng = np.random.default_rng(5)
    counts = exact_counts(model, 0.8)
    counts = ReaderCounts(counts.n_trials, rng.binomial(200, counts.n_correct / 200.0).astype(float), 2)
    g = np.eye(len(D_PRIMES))[1]
    p = FittedNoiseModel(model, counts).disagreement(g).p_value
    reached = FittedNoiseModel(model, counts, confidence=1.0 - p).disagreement(g).difference
    assert min(abs(reached.ci_low), abs(reached.ci_high)) < 1e-6


def test_the_proportion_of_one_reader_is_wilsons():
    """Wilson (1927): 45 of 50 is [0.786, 0.957]."""
    found = readers_proportion(ReaderCounts(np.array([[50.0]]), np.array([[45.0]]), 2), np.ones(1))
    assert (found.value, found.ci_low, found.ci_high) == pytest.approx((0.9, 0.786, 0.957), abs=5e-4)


def test_pairs_have_the_variance_of_exponential_scores():
    """For these Hanley and McNeil's variance is exact; 6,000 areas tell it to 2 %, three of which are allowed."""
    rng, scale = np.random.default_rng(4), 4.0
    areas = [auc(rng.exponential(scale, 20), rng.exponential(1.0, 30)) for _ in range(6000)]
    area = scale / (1.0 + scale)
    assert area * (1.0 - area) / hanley_mcneil_pairs(area, 20, 30) == pytest.approx(np.var(areas), rel=0.06)


def test_conditions_of_the_same_trials_are_drawn_together():
    """An observer that reads the same trials twice has the same error twice: it does not average out."""
    rng = np.random.default_rng(2)
    one = ModelDecisions(rng.normal(1.5, 1.0, 60), rng.normal(0.0, 1.0, 60), {"constant": 1.0}, ("lesions", "water"))
    other = ModelDecisions(one.present, one.absent, one.units, ("other lesions", "other water"))
    counts = ReaderCounts(np.full((4, 2), 100.0), np.full((4, 2), 78.0), 2)
    together, apart = (
        FittedNoiseModel(NoiseModel(pair, "constant", 2), counts)._theta_of_trials.var()
        for pair in ((one, one), (one, other))
    )
    assert together == pytest.approx(2.0 * apart, rel=0.35)


def test_intervals_cover_the_strength_that_readers_had():
    """200 simulated panels: 95 % ± 3 standard errors."""
    covered = panel_covers(n_panels=200, n_readers=5, n_alternatives=2, seed=11)
    assert 0.904 <= np.mean(covered) <= 0.996


def test_trials_in_common_widen_the_interval_as_they_should():
    """4 readers answer the same 100 trials with a correlation; the variance of their mean is known from 4,000 draws."""
    rng, n_readers, n_trials = np.random.default_rng(8), 4, 100

    def answers():
        easy = rng.standard_normal(n_trials)
        return (0.8 * easy + rng.standard_normal((n_readers, n_trials)) > -0.9).astype(float)

    truth = np.var([answers().mean() for _ in range(4000)])
    weights, found, alone = np.full((n_readers, 1), 0.25), [], []
    for _ in range(200):
        x = answers()
        found.append(shared_covariance(x[None], weights)[0, 0])
        alone.append(np.sum(x.mean(axis=1) * (1.0 - x.mean(axis=1))) / n_trials / n_readers**2)
    assert np.mean(alone) < 0.7 * truth  # were the trials independent
    assert np.mean(alone) + np.mean(found) == pytest.approx(truth, rel=0.12)
    model = NoiseModel(exact_decisions(D_PRIMES), "proportional", 2)
    counts = exact_counts(model, 0.8)
    both = ReaderCounts(counts.n_trials, counts.n_correct, 2, 1e-3 * np.eye(len(D_PRIMES)))
    narrow, wide = (FittedNoiseModel(model, one, n_bootstrap=20).alpha for one in (counts, both))
    assert wide.ci_high - wide.ci_low > 1.5 * (narrow.ci_high - narrow.ci_low)
    ones = [readers_proportion(one, np.eye(len(D_PRIMES))[0]) for one in (counts, both)]
    assert ones[1].ci_low < ones[0].ci_low


def test_wrong_counts_are_refused():
    for n, k in (([[5.0]], [[6.0]]), ([[0.0]], [[0.0]]), ([[5.0]], [[-1.0]]), ([[np.nan]], [[0.0]])):
        with pytest.raises(ValueError, match="counts"):
            ReaderCounts(np.array(n), np.array(k), 2)
    with pytest.raises(ValueError, match="fewer than 10"):
        ModelDecisions(np.ones(5), np.arange(5.0), {"constant": 1.0})


def test_two_alternatives_are_phi_of_d_over_root_2():
    model = exact_decisions((1.3,))[0]
    found = model_proportion(model, np.array([model.std**2]), 2)[0]
    assert found == pytest.approx(float(ndtr(1.3 / 2.0)), rel=1e-6)


def test_trials_without_a_signal_that_conditions_share_make_the_interval_wider():
    """Half of each condition's variance is of lesions and averages out; half is of water and does not."""
    rng = np.random.default_rng(5)
    counts = ReaderCounts(np.full((4, 2), 1e5), np.full((4, 2), 7.6e4), 2)
    absent = rng.normal(0.0, 1.0, 60)
    present = [rng.normal(1.5, 1.0, 60) for _ in range(2)]

    def width(trials):
        models = [ModelDecisions(p, absent, {"constant": 1.0}, t) for p, t in zip(present, trials, strict=True)]
        fit = FittedNoiseModel(NoiseModel(models, "constant", 2), counts, n_bootstrap=1500)
        return fit.theta_interval.ci_high - fit.theta_interval.ci_low

    alone = width((("a", "b"), ("c", "d")))
    assert width((("a", "water"), ("c", "water"))) / alone == pytest.approx(np.sqrt(0.75 / 0.5), rel=0.1)


def test_one_condition_is_fitted_exactly_so_nothing_differs():
    counts = ReaderCounts(np.full((3, 1), 100.0), np.array([[80.0], [76.0], [79.0]]), 2)
    fit = FittedNoiseModel(NoiseModel(exact_decisions([2.0]), "proportional", 2), counts)
    found = fit.disagreement(np.ones(1))
    assert (found.difference.value, found.p_value) == (0.0, 1.0)
