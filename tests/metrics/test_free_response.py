"""The analysis of marks over readers against that of ratings, and by loops."""

import math
from dataclasses import replace

import numpy as np
import pytest

from search_model import SearchModel, one_rating_a_case
from taskct.errors import UserError
from taskct.metrics.froc import FigureOfMerit, figures_of_merit
from taskct.metrics.mrmc.area_scale import area_bounds
from taskct.metrics.mrmc.difference import DifferenceLaw
from taskct.metrics.mrmc.error_law import ErrorLaw
from taskct.metrics.mrmc.free_response import analyze_marks
from taskct.metrics.mrmc.margins import law_margin_tests
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
    one = wanted.random_readers_random_cases.differences["m0-m1"]
    two = found.differences["m0-m1"]
    assert (two.value, two.std_error) == pytest.approx((one.estimate, one.std_error))
    # The law of AUCs, from the analysis of the ratings: readers scatter by the mean square, cases are 14 + 16.
    error = ErrorLaw(one.std_error**2, wanted.ms_tr / 2.0, 3.0, 13.0)
    means = [wanted.random_readers_random_cases.modalities[name] for name in ("m0", "m1")]
    law = DifferenceLaw(means[0].estimate, means[1].estimate, means[0].std_error ** 2, means[1].std_error ** 2, error)
    assert (two.ci_low, two.ci_high, two.p_value) == pytest.approx((*law.bounds(0.95), law.p_value()))
    assert two.df == pytest.approx(error.student_df(0.95))
    own = found.modalities["m0"]
    of_readers = float(np.var(wanted.reader_auc[0], ddof=1)) / 4.0
    half = ErrorLaw(means[0].std_error ** 2, of_readers, 3.0, 13.0).critical(0.95) * means[0].std_error
    low, high = area_bounds(own.value, np.array(half))
    assert (own.ci_low, own.ci_high) == pytest.approx((float(low), float(high)))


def test_interval_p_value_and_margin_say_the_same():
    model = SearchModel((1.6, 1.2), var_tr=0.05)
    for seed in range(40):
        two = analyze_marks(model.simulate(np.random.default_rng(seed), 3, 30, 30)).differences["A-B"]
        assert (two.p_value < 0.05) == (not two.ci_low <= 0.0 <= two.ci_high)
        assert two.law is not None
        not_worse, _ = law_margin_tests(two.law, noninferiority_margin=0.1, confidence=0.95)
        assert not_worse.shown == (two.ci_low > -0.1)


def test_degrees_of_freedom_of_the_cases_are_of_the_classes_that_a_figure_takes():
    # Readers who all say the same have no part in the error.
    study = SearchModel((1.5, 1.0)).simulate(np.random.default_rng(1), 1, 30, 12)
    again = study.mark_at.copy()
    again[:, 1] = 1
    twice = replace(
        study,
        readers=("r1", "r2"),
        read=np.repeat(study.read, 2, axis=1),
        mark_at=np.concatenate([study.mark_at, again]),
        mark_rating=np.tile(study.mark_rating, 2),
    )
    for name, df in {"wafroc": 11.0, "hr-auc": 11.0, "wafroc1": 29.0, "sensitivity@0.5": 29.0}.items():
        found = analyze_marks(twice, FigureOfMerit(name)).differences["A-B"].df
        assert found == pytest.approx(df, rel=1e-6)


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
    study = SearchModel((1.0, 1.0, 1.0)).simulate(np.random.default_rng(6), 2, 5, 5)
    with pytest.raises(UserError, match="would both be called 'A-B-A'"):
        analyze_marks(replace(study, modalities=("A", "B-A", "A-B")), pairs=[("A", "B-A"), ("A-B", "A")])
