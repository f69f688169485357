"""The analysis of marks over readers against that of ratings, and by loops."""

import math

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import t

from search_model import SearchModel, one_rating_a_case
from taskct.errors import UserError
from taskct.metrics.froc import FigureOfMerit, figures_of_merit
from taskct.metrics.mrmc.free_response import analyze_marks
from taskct.metrics.mrmc.obuchowski_rockette import obuchowski_rockette
from taskct.metrics.mrmc.ratings import Ratings


def test_ratings_are_the_special_case():
    rng = np.random.default_rng(4)
    present = np.arange(30) < 14
    scores = (rng.normal(size=(2, 4, 30)) + present * rng.uniform(0.2, 2.5, size=(2, 4, 1))).round(1)
    names = ("m0", "m1"), tuple(f"r{r}" for r in range(4)), tuple(f"c{c}" for c in range(30))
    wanted = obuchowski_rockette(Ratings(scores, present, *names), covariance="jackknife")
    found = analyze_marks(one_rating_a_case(scores, present))
    assert found.anova is not None
    for name in ("ms_t", "ms_r", "ms_tr", "var_error", "cov1", "cov2", "cov3"):
        assert getattr(found.anova, name) == pytest.approx(getattr(wanted, name))
    # The mean squares are large here, so that nothing holds them: the degrees of freedom are Hillis' own.
    assert wanted.var_tr > 0.0
    one = wanted.random_readers_random_cases.differences["m0-m1"]
    two = found.differences["m0-m1"]
    assert (two.value, two.std_error, two.df, two.p_value) == pytest.approx(
        (one.estimate, one.std_error, one.df, one.p_value)
    )
    mean = wanted.random_readers_random_cases.modalities["m0"]
    half = t.isf(0.025, mean.df) * mean.std_error / (mean.estimate * (1 - mean.estimate))
    bounds = expit(logit(mean.estimate) - half), expit(logit(mean.estimate) + half)
    assert (found.modalities["m0"].ci_low, found.modalities["m0"].ci_high) == pytest.approx(bounds)


def test_a_mean_square_by_chance_too_small_does_not_raise_the_degrees_of_freedom():
    model = SearchModel(var_r=0.0, var_tr=0.0)
    for seed in range(40):
        found = analyze_marks(model.simulate(np.random.default_rng(seed), 3, 30, 30))
        assert found.anova is not None
        least = found.anova.var_error - found.anova.cov1 - found.anova.cov2 + found.anova.cov3
        plain = found.anova.random_readers_random_cases.differences["A-B"]
        two = found.differences["A-B"]
        assert two.std_error == pytest.approx(plain.std_error)
        if found.anova.ms_tr >= least:
            assert two.df == pytest.approx(plain.df)
        else:
            shared = 3 * max(found.anova.cov2 - found.anova.cov3, 0.0)
            assert two.df == pytest.approx(2 * ((least + shared) / least) ** 2)
            assert two.df < plain.df or shared == 0.0


def test_one_reader_has_intervals_of_cases_alone():
    study = SearchModel((1.5, 1.0)).simulate(np.random.default_rng(1), 1, 30, 30)
    found, figures = analyze_marks(study), figures_of_merit(study)
    assert found.anova is None
    assert found.components() is None
    variance = figures.covariance[0, 0, 0, 0] + figures.covariance[1, 0, 1, 0] - 2 * figures.covariance[0, 0, 1, 0]
    two = found.differences["A-B"]
    assert two.std_error == pytest.approx(math.sqrt(variance))
    assert math.isinf(two.df)
    assert two.ci_high - two.ci_low == pytest.approx(2 * 1.959964 * two.std_error, rel=1e-6)
    assert found.readers["reader1"]["A"] == found.modalities["A"]


def test_pairs_and_their_order():
    study = SearchModel((1.5, 1.0, 0.5)).simulate(np.random.default_rng(2), 3, 20, 20)
    every = analyze_marks(study)
    some = analyze_marks(study, pairs=[("C", "A")])
    assert list(every.differences) == ["A-B", "A-C", "B-C"]
    one, other = every.differences["A-C"], some.differences["C-A"]
    assert (other.value, other.ci_low, other.p_value) == pytest.approx((-one.value, -one.ci_high, one.p_value))
    assert other.p_holm == other.p_value
    assert one.p_holm >= one.p_value
    with pytest.raises(ValueError, match="no two modalities"):
        analyze_marks(study, pairs=[("A", "A")])


def test_figures_at_an_end_have_no_interval():
    model = SearchModel((30.0, 30.0), false_marks=0.0)
    found = analyze_marks(model.simulate(np.random.default_rng(3), 3, 10, 10))
    assert found.modalities["A"].value == 1.0
    assert math.isnan(found.modalities["A"].ci_low)
    two = found.differences["A-B"]
    assert (two.value, two.ci_low, two.ci_high, two.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_plain_values_for_json():
    found = analyze_marks(SearchModel().simulate(np.random.default_rng(5), 3, 20, 20), FigureOfMerit("afroc"))
    plain = found.as_dict()
    assert plain["figure"] == "afroc"
    assert plain["n_lesions"] >= plain["n_diseased"] == 20
    assert set(plain["anova"]) >= {"var_tr", "var_error", "cov1", "cov2", "cov3"}
    assert plain["differences"]["A-B"]["first"] == "A"


def test_two_differences_of_one_name():
    from dataclasses import replace

    study = SearchModel((1.0, 1.0, 1.0)).simulate(np.random.default_rng(6), 2, 5, 5)
    with pytest.raises(UserError, match="would both be called 'A-B-A'"):
        analyze_marks(replace(study, modalities=("A", "B-A", "A-B")), pairs=[("A", "B-A"), ("A-B", "A")])
