"""The Roe–Metz model: scores, expected AUC and exact variances, against simulation and closed forms."""

import math
from dataclasses import astuple, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal, norm

from taskct.errors import UserError
from taskct.metrics.mrmc.roe_metz import RoeMetz, ScoreVariances
from taskct.metrics.mrmc.sizing import Design

# Every effect has another size in each class and modality, so that no mix-up goes unseen.
GENERAL = RoeMetz(
    (1.2, 1.6),
    ScoreVariances(0.10, 0.30, 0.20, (0.05, 0.15), (0.25, 0.10), (0.40, 0.30)),
    ScoreVariances(0.20, 0.15, 0.25, (0.12, 0.04), (0.08, 0.35), (0.20, 0.50)),
)


def own(variance: float | tuple[float, ...], modality: int) -> float:
    """Variance in one modality."""
    return variance[modality] if isinstance(variance, tuple) else variance


def mean_aucs(scores: NDArray[np.float64], n_present: int) -> NDArray[np.float64]:
    """Reader-averaged AUC of each study and modality by comparing all pairs; unrated cases (NaN) left out."""
    present, absent = scores[..., :n_present, None], scores[..., None, n_present:]
    rated = np.isfinite(present) & np.isfinite(absent)
    wins = (present > absent) & rated
    return np.asarray(wins.sum(axis=(-3, -2, -1)) / rated.sum(axis=(-3, -2, -1)))


def test_scores_have_the_stated_covariances() -> None:
    n = 40_000
    scores = GENERAL.sample(np.random.default_rng(1), Design(2, 2, 2), n_studies=n)
    flat = scores.reshape(n, -1)
    expected = np.zeros((flat.shape[1],) * 2)
    places = list(np.ndindex(2, 2, 4))
    for row, (i, j, k) in enumerate(places):
        for column, (other_i, other_j, other_k) in enumerate(places):
            if (k < 2) != (other_k < 2):
                continue
            v = GENERAL.present if k < 2 else GENERAL.absent
            reader, case = j == other_j, k == other_k
            expected[row, column] = v.var_r * reader + v.var_c * case + v.var_rc * (reader and case)
            if i == other_i:
                expected[row, column] += own(v.var_tr, i) * reader + own(v.var_tc, i) * case
                expected[row, column] += own(v.var_trc, i) * (reader and case)
    diagonal = np.diag(expected)
    std_error = np.sqrt((np.outer(diagonal, diagonal) + expected**2) / n)
    # 136 different entries at 5 standard errors: false alarm 8e-5.
    assert (np.abs(np.cov(flat.T) - expected) < 5 * std_error).all()
    means = np.zeros((2, 2, 4))
    means[:, :, :2] = np.array(GENERAL.mu)[:, None, None]
    assert (np.abs(flat.mean(0) - means.ravel()) < 5 * np.sqrt(diagonal / n)).all()


@pytest.mark.parametrize("level", [0.702, 0.855, 0.961])
def test_published_auc_is_that_of_a_reader_without_effects(level: float) -> None:
    for structure in ("HH", "HL", "LH", "LL"):
        model = RoeMetz.published(structure, level)
        assert norm.cdf(model.mu[0] / math.sqrt(2.0)) == pytest.approx(level, abs=1e-3)  # published to 3 decimals
        v = model.absent
        assert v.var_c + own(v.var_tc, 0) + v.var_rc + own(v.var_trc, 0) == pytest.approx(1.0)
        total = 2.0 * (1.0 + v.var_r + own(v.var_tr, 0))
        assert model.expected_auc() == pytest.approx([norm.cdf(model.mu[0] / math.sqrt(total))] * 2, abs=1e-14)


def success_covariance(model: RoeMetz, i: int, j: int, same: tuple[bool, bool, bool]) -> float:
    """Covariance of two successes from scipy's bivariate normal, the score covariances written out."""
    reader, present, absent = same

    def covariance(a: int, b: int, reader: bool, present: bool, absent: bool) -> float:
        total = 0.0
        for v, case in ((model.present, present), (model.absent, absent)):
            total += v.var_r * reader + v.var_c * case + v.var_rc * (reader and case)
            if a == b:
                total += own(v.var_tr, a) * reader + own(v.var_tc, a) * case
                total += own(v.var_trc, a) * (reader and case)
        return total

    sigma = [math.sqrt(covariance(a, a, True, True, True)) for a in (i, j)]
    h, k = model.mu[i] / sigma[0], model.mu[j] / sigma[1]
    rho = covariance(i, j, reader, present, absent) / (sigma[0] * sigma[1])
    both = norm.cdf(h) if rho > 1 - 1e-12 else multivariate_normal.cdf([h, k], cov=[[1, rho], [rho, 1]])
    return float(both - norm.cdf(h) * norm.cdf(k))


@pytest.mark.parametrize("second", [None, 1])
@pytest.mark.parametrize("same", [tuple(bool(n >> b & 1) for b in range(3)) for n in range(1, 8)])
def test_components_against_scipy_orthants(same: tuple[bool, bool, bool], second: int | None) -> None:
    expected = success_covariance(GENERAL, 0, 0, same)
    if second == 1:
        expected += success_covariance(GENERAL, 1, 1, same) - 2.0 * success_covariance(GENERAL, 0, 1, same)
    # What two successes share is the sum of the components of all that they share.
    c = GENERAL.components(0, second)
    reader, present, absent = same
    shared = [reader, present, absent]
    shared += [present and absent, reader and present, reader and absent, all(same)]
    assert np.dot(astuple(c), shared) == pytest.approx(expected, abs=1e-9)


def test_moments_against_monte_carlo() -> None:
    n = 400_000
    scores = GENERAL.sample(np.random.default_rng(2), Design(2, 2, 2), n_studies=n)
    success = (scores[..., :2, None] > scores[..., None, 2:]).astype(float)  # study, modality, reader, present, absent
    first = success[:, 0, 0, 0, 0] - success[:, 1, 0, 0, 0]
    c = GENERAL.components(0, 1)
    for same, expected in [
        ((0, 1, 1), c.reader),
        ((1, 0, 1), c.present),
        ((1, 1, 0), c.absent),
        ((1, 0, 0), c.present + c.absent + c.present_absent),
        ((0, 0, 1), c.reader + c.present + c.reader_present),
        ((0, 1, 0), c.reader + c.absent + c.reader_absent),
        ((0, 0, 0), sum(astuple(c))),
    ]:
        index = (slice(None), slice(None), *same)
        other = success[index][:, 0] - success[index][:, 1]
        product = (first - first.mean()) * (other - other.mean())
        # 7 comparisons at 5 standard errors: false alarm 4e-6.
        assert abs(product.mean() - expected) < 5 * product.std() / math.sqrt(n)


@pytest.mark.parametrize("design", [Design(4, 12, 9), Design(4, 12, 18, n_groups=2)])
def test_variance_of_simulated_studies(design: Design) -> None:
    n = 6000
    scores = GENERAL.sample(np.random.default_rng(3), design, n_studies=n)
    aucs = mean_aucs(scores, design.n_present)
    std_error = np.sqrt([GENERAL.auc_variance(design, i) / n for i in range(2)])
    # 5 comparisons, two designs, at 5 standard errors: false alarm 6e-6, a little more as the AUC is not normal.
    assert (np.abs(aucs.mean(0) - GENERAL.expected_auc()) < 5 * std_error).all()
    for values, theory in [
        (aucs[:, 0], GENERAL.auc_variance(design, 0)),
        (aucs[:, 1], GENERAL.auc_variance(design, 1)),
        (aucs[:, 0] - aucs[:, 1], GENERAL.auc_variance(design, 0, 1)),
    ]:
        squared = (values - values.mean()) ** 2
        assert abs(values.var(ddof=1) - theory) < 5 * squared.std() / math.sqrt(n)


def test_without_interactions_all_is_reader_or_case() -> None:
    # Readers alike: no reader component, and one reader is as good as many.
    v = ScoreVariances(0.0, 1.0, 0.0, 0.0, 0.0, 0.0)
    c = RoeMetz((1.0,), v, v).components(0)
    a = norm.cdf(1.0 / math.sqrt(2.0))
    assert [c.reader, c.reader_present, c.reader_absent, c.reader_present_absent] == pytest.approx([0] * 4, abs=1e-12)
    # Var of a single success is A(1 − A): the components add up to it.
    assert sum(astuple(c)) == pytest.approx(a * (1 - a), abs=1e-12)
    # Two successes that share one case of unit variance: closed form at A = ½, asin(½)/2π.
    chance = replace(RoeMetz((1.0,), v, v), mu=(0.0,)).components(0)
    assert astuple(chance) == pytest.approx([0, 1 / 12, 1 / 12, 1 / 12, 0, 0, 0], abs=1e-12)


def test_alike_modalities_do_not_differ() -> None:
    v = ScoreVariances(0.1, 0.3, 0.2, 0.0, 0.0, 0.0)
    assert astuple(RoeMetz((1.0, 1.0), v, v).components(0, 1)) == pytest.approx([0.0] * 7, abs=1e-14)


def test_split_plot_rates_blocks() -> None:
    ratings = GENERAL.simulate(np.random.default_rng(0), Design(4, 6, 4, n_groups=2))
    rated = np.isfinite(ratings.scores)
    assert (rated[0] == rated[1]).all()
    expected = [[1, 1, 1, 0, 0, 0, 1, 1, 0, 0]] * 2 + [[0, 0, 0, 1, 1, 1, 0, 0, 1, 1]] * 2
    assert rated[0].tolist() == np.array(expected, dtype=bool).tolist()
    assert ratings.signal_present.tolist() == [True] * 6 + [False] * 4


def test_models_that_cannot_be() -> None:
    good = GENERAL.absent
    with pytest.raises(ValueError, match="at least one modality"):
        RoeMetz((), good, good)
    with pytest.raises(ValueError, match="var_c is"):
        RoeMetz((1.0, 1.0), replace(good, var_c=-0.1), good)
    with pytest.raises(ValueError, match="var_tr is"):
        RoeMetz((1.0, 1.0, 1.0), good, good)
    with pytest.raises(ValueError, match="without any variance"):
        RoeMetz((1.0,), ScoreVariances(0, 0, 0, 0, 0, 0), ScoreVariances(0, 0, 0, 0, 0, 0))
    with pytest.raises(ValueError, match="no configuration"):
        RoeMetz.published("HH", 0.9)
    with pytest.raises(UserError, match="1 readers"):
        Design(1, 10, 10)
