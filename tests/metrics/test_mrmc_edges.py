"""MRMC at its edges: few readers, AUCs of 0 and 1, many cases, and what the command line makes of it."""

import json
import math

import numpy as np
import pytest
from scipy.stats import norm, t

from command_line import call
from taskct.io.ratings_files import write_imrmc
from taskct.metrics.comparisons import holm
from taskct.metrics.mrmc import Components, Design, Ratings, RoeMetz, analyze, obuchowski_rockette, size_study
from taskct.metrics.mrmc.moments import moment_sums
from taskct.metrics.mrmc.sizing import design_df

__all__ = ["call"]  # a fixture


def study(scores, present):
    names = (tuple(f"{kind}{i}" for i in range(n)) for kind, n in zip("mrc", scores.shape, strict=True))
    return Ratings(scores, present, *names)


def noisy(seed=0, n_modalities=2, n_readers=3, n=12, signal=1.0):
    rng = np.random.default_rng(seed)
    present = np.arange(n) < n // 2
    scores = rng.normal(size=(n_modalities, n_readers, n)) + rng.normal(size=n) + signal * present
    return study(scores, present)


def test_products_over_many_cases_are_those_of_whole_matrices():
    # More pairs than one tile of the computation holds.
    rng = np.random.default_rng(0)
    present = np.arange(1500) < 700
    ratings = study((rng.normal(size=(1, 2, 1500)) + 0.5 * present).round(1), present)
    p, a = ratings.scores[0][:, present], ratings.scores[0][:, ~present]
    success = (p[:, :, None] > a[:, None]) + 0.5 * (p[:, :, None] == a[:, None])
    sums = moment_sums(ratings)
    wanted = [
        (success**2).sum(),
        (success.sum(2) ** 2).sum(),
        (success.sum(1) ** 2).sum(),
        (success.sum((1, 2)) ** 2).sum(),
        (success.sum(0) ** 2).sum(),
        (success.sum((0, 2)) ** 2).sum(),
        (success.sum((0, 1)) ** 2).sum(),
        success.sum() ** 2,
    ]
    np.testing.assert_allclose(sums.products[0, 0], wanted, rtol=1e-12)


def test_many_absent_cases_do_not_overflow():
    rng = np.random.default_rng(1)
    present = np.arange(40_020) < 20
    ratings = study(rng.normal(size=(1, 2, 40_020)) + present, present)
    sums = moment_sums(ratings)
    p, a = ratings.scores[0][:, present], np.sort(ratings.scores[0][:, ~present], axis=1)
    wins = [np.searchsorted(row, values).astype(float) for row, values in zip(a, p, strict=True)]
    np.testing.assert_array_equal(sums.by_present[0], wins)


def test_the_biased_twin_rests_on_its_own_degrees_of_freedom():
    found = 0
    for seed in range(200):
        analysis = analyze(noisy(seed, n=6))
        for part in analysis.differences.values():
            if part.interval_from == "mle":
                found += 1
                half_width = t.isf(0.025, part.df_whole or math.inf) * math.sqrt(part.variance_mle_centred)
                assert part.ci_high_symmetric - part.auc == pytest.approx(half_width)
                assert part.law.error.variance == part.variance_mle_centred
                assert part.df_bdg >= 2.0  # the least of readers and cases less 1, also where no mean scatters
    assert found > 5


def test_degrees_of_freedom_are_never_below_the_least_number_less_one():
    floors = [part.df_bdg for seed in range(60) for part in analyze(noisy(seed, n_readers=3)).differences.values()]
    assert min(floors) == pytest.approx(2.0)
    assert all(df >= 2.0 for df in floors if df is not None)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_perfect_reader_group_has_an_exact_bound(sign):
    ratings = noisy(signal=100.0 * sign)
    part = analyze(ratings).modalities["m0"]
    margin = 1.0 - 0.025 ** (1.0 / 3.0)  # three readers, so three independent successes
    assert part.interval_from == "exact"
    assert (part.ci_low, part.ci_high) == pytest.approx((1.0 - margin, 1.0) if sign > 0 else (0.0, margin))
    missing = ratings.scores.copy()
    missing[0, 0, 0] = np.nan
    analysis = analyze(study(missing, ratings.signal_present))
    assert analysis.modalities["m0"].interval_from == "none"
    assert math.isnan(analysis.modalities["m0"].ci_low)
    assert json.loads(json.dumps(analysis.as_dict(), allow_nan=False))["modalities"]["m0"]["ci_low"] is None


def test_a_reader_who_gives_one_score_is_named():
    ratings = noisy(n=30)
    assert not any("same score" in note for note in analyze(ratings).notes)
    ratings.scores[1, 2] = 4.0
    assert any(note.startswith("m1: reader 'r2' gave every case the same score") for note in analyze(ratings).notes)


def test_two_readers_are_said_to_be_few():
    assert any("two readers" in note for note in analyze(noisy(n_readers=2)).notes)
    assert not any("two readers" in note for note in analyze(noisy(n_readers=3)).notes)


def test_one_reader_rests_on_the_variance_of_its_interval():
    part = analyze(noisy(n_readers=1, n=60)).differences["m0-m1"]
    assert part.interval_variance == pytest.approx(((part.ci_high - part.auc) / norm.isf(0.025)) ** 2)


def test_hillis_df_of_a_modality_is_that_of_obuchowski_and_rockette():
    ratings = noisy(5, n_readers=5, n=40)
    anova = obuchowski_rockette(ratings, covariance="u-statistic")
    for name, part in analyze(ratings).modalities.items():
        expected = anova.random_readers_random_cases.modalities[name].df
        assert part.df_hillis == pytest.approx(expected if math.isfinite(expected) else None)


def test_sizing_at_the_floor_and_beyond_ten_thousand_cases():
    readers_only = Components(1e-3, 0.0, 0.0, 0.0, 0.0, 0.0, 1e-4)
    assert design_df(readers_only, Design(4, 50, 50)) >= 3.0
    (size,) = size_study(Components(1e-9, 0.05, 0.05, 0.0, 0.0, 0.0, 0.0), 0.0085, n_readers=[10])
    assert size.design.n_present > 10_000
    assert size.power >= 0.8


@pytest.mark.parametrize("structure", ["HH", "HL", "LH", "LL"])
@pytest.mark.parametrize("level", [0.702, 0.855, 0.961])
def test_published_components_are_the_table_of_roe_and_metz(structure, level):
    readers = {0.702: 0.011, 0.855: 0.03, 0.961: 0.056}[level] if structure[1] == "H" else 0.0055
    cases = {"H": (0.3, 0.2, 0.3, 0.2), "L": (0.1, 0.2, 0.1, 0.6)}[structure[0]]
    for v in (RoeMetz.published(structure, level).present, RoeMetz.published(structure, level).absent):
        assert (v.var_r, v.var_tr) == (readers, readers)
        assert (v.var_c, v.var_rc, v.var_tc, v.var_trc) == cases


def test_holm_over_three_modalities_in_the_command(call, tmp_path):
    ratings = noisy(7, n_modalities=3, n_readers=4, n=60)
    path = write(tmp_path, ratings)
    content = json.loads(call("mrmc", path, "--json", "--confidence", 0.8, "--margin", 0.2)[1])
    analysis = analyze(ratings, confidence=0.8)
    p = [part.p_value_interval for part in analysis.differences.values()]
    found = list(content["differences"].values())
    assert [one["p_holm"] for one in found] == pytest.approx(holm(p).tolist())
    for mine, part in zip(found, analysis.differences.values(), strict=True):
        assert (mine["ci_low"], mine["ci_high"]) == pytest.approx((part.ci_low, part.ci_high))
        assert mine["non-inferiority"]["p_value"] == pytest.approx(0.5 * part.law.p_value(-0.2))
        assert mine["equivalence"]["ci_high"] == pytest.approx(part.ci_high)
        assert mine["non-inferiority"]["alpha"] == pytest.approx(0.1)
    whole = content["obuchowski_rockette"]["random_readers_random_cases"]
    assert whole["differences"]["m0-m1"]["ci_low"] == pytest.approx(
        obuchowski_rockette(ratings, confidence=0.8).random_readers_random_cases.differences["m0-m1"].ci_low
    )


def test_a_pair_that_cannot_be_sized_or_tested_is_a_note(call, tmp_path):
    ratings = noisy(8, n_modalities=3, n_readers=4, n=60)
    scores = ratings.scores.copy()
    scores[1] = scores[0]
    path = write(tmp_path, study(scores, ratings.signal_present))
    code, out, err = call("mrmc", path, "--detect", 0.1, "--margin", 0.1)
    assert code == 0
    assert "m0-m1: the variance components" in err
    assert "m0-m2: cases to detect" in out
    perfect = write(tmp_path, noisy(9, n=8, signal=100.0))
    code, out, err = call("mrmc", perfect, "--margin", 0.05)
    assert code == 0
    assert "equivalence" not in out  # two perfect modalities are too easy to tell anything
    assert "no verdict on the margin" in err
    single = write(tmp_path, noisy(10, n_modalities=1))
    assert "no two modalities are compared" in call("mrmc", single, "--margin", 0.05)[2]


def test_unequal_numbers_of_cases_are_sized_in_their_ratio(call, tmp_path):
    ratings = noisy(11, n_readers=4, n=80)
    present = np.arange(80) < 20
    path = write(tmp_path, study(ratings.scores + present, present))
    sizes = json.loads(call("mrmc", path, "--detect", 0.1, "--json")[1])["sizes"]["m0-m1"]
    assert all(one["absent"] == pytest.approx(3 * one["present"], abs=1) for one in sizes)


def write(tmp_path, ratings):
    path = tmp_path / "study.imrmc"
    write_imrmc(path, ratings)
    return path
