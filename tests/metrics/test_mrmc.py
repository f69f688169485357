"""The U-statistic analysis against loops over the definition, an analysis of variance, simulation, and laws."""

import json
from dataclasses import astuple, replace
from itertools import product

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import t

from taskct.errors import UserError
from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.mrmc.moments import moment_sums
from taskct.metrics.mrmc.obuchowski_rockette import obuchowski_rockette
from taskct.metrics.mrmc.one_shot import contrast, one_shot
from taskct.metrics.mrmc.ratings import Ratings
from taskct.metrics.roc import delong_interval, paired_delong

DESIGNS = ["crossed", "ties", "split plot", "missing", "unpaired"]


def study(scores, n_present):
    n_modalities, n_readers, n_cases = scores.shape
    return Ratings(
        scores=scores,
        signal_present=np.arange(n_cases) < n_present,
        modalities=tuple("ABCDEF"[:n_modalities]),
        readers=tuple(f"r{r}" for r in range(n_readers)),
        cases=tuple(f"c{c}" for c in range(n_cases)),
    )


def simulate(rng, n_modalities=2, n_readers=4, n_present=6, n_absent=6):
    """Scores with effects of reader, case and both, and readers of unequal skill."""
    signal = np.arange(n_present + n_absent) < n_present
    skill = 1.0 + 0.5 * rng.standard_normal((n_modalities, n_readers, 1)) + 0.5 * rng.standard_normal((n_readers, 1))
    case = rng.standard_normal(len(signal)) + 0.5 * rng.standard_normal((n_modalities, 1, len(signal)))
    return skill * signal + case + rng.standard_normal((n_modalities, n_readers, len(signal)))


def draw(design, seed=0):
    rng = np.random.default_rng(seed)
    scores = simulate(rng)
    if design == "ties":
        scores = scores.round()
    if design == "split plot":
        scores[:, :2, [0, 1, 2, 6, 7, 8]] = np.nan
        scores[:, 2:, [3, 4, 5, 9, 10, 11]] = np.nan
    if design == "missing":
        scores[rng.random(scores.shape) < 0.25] = np.nan
    if design == "unpaired":
        scores[0, :, [0, 1, 6, 7]] = np.nan
        scores[1, 0] = np.nan
    return study(scores, 6)


def successes(ratings, modality):
    """Success of every reader and pair of cases that was rated: the definition."""
    present, absent = np.flatnonzero(ratings.signal_present), np.flatnonzero(~ratings.signal_present)
    found = {}
    for r, j, i in product(range(len(ratings.readers)), present, absent):
        difference = ratings.scores[modality, r, j] - ratings.scores[modality, r, i]
        if not np.isnan(difference):
            found[r, j, i] = 1.0 if difference > 0 else 0.5 if difference == 0 else 0.0
    return found


def by_loops(first, second):
    """Moments M1 to M8, unbiased and of the empirical distribution, and coefficients, by loops over pairs."""
    ways = list(product((True, False), repeat=3))
    exact = {way: [] for way in ways}
    for (a, s), (b, u) in product(first.items(), second.items()):
        exact[a[0] == b[0], a[1] == b[1], a[2] == b[2]].append(s * u)
    free = {way: [x for more in ways if all(np.greater_equal(more, way)) for x in exact[more]] for way in ways}
    moments, moments_mle = ([np.mean(one[way]) if one[way] else np.nan for way in ways] for one in (exact, free))
    coefficients = np.array([len(exact[way]) for way in ways]) / (len(first) * len(second))
    coefficients[7] -= 1.0
    return np.array(moments), np.array(moments_mle), coefficients


@pytest.mark.parametrize("design", DESIGNS)
def test_moments_and_variances_are_those_of_loops_over_pairs_of_successes(design):
    ratings = draw(design)
    found = one_shot(moment_sums(ratings))
    for a, b in product(range(2), repeat=2):
        plain = [successes(ratings, m) for m in (a, b)]
        aucs = [np.mean(list(s.values())) for s in plain]
        centred = [{key: s - auc for key, s in one.items()} for one, auc in zip(plain, aucs, strict=True)]
        moments, moments_mle, coefficients = by_loops(*plain)
        around, around_mle, _ = by_loops(*centred)
        assert found.auc[a] == pytest.approx(aucs[0], rel=1e-12)
        np.testing.assert_allclose(found.moments[a, b], moments, rtol=1e-10)
        np.testing.assert_allclose(found.moments_mle[a, b], moments_mle, rtol=1e-10)
        np.testing.assert_allclose(found.coefficients[a, b], coefficients, rtol=1e-10)
        for mine, theirs in (
            (found.covariance, moments),
            (found.covariance_centred, around),
            (found.covariance_mle, moments_mle),
            (found.covariance_mle_centred, around_mle),
        ):
            assert mine[a, b] == pytest.approx(np.nansum(coefficients * theirs), rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("design", DESIGNS)
def test_variance_is_that_of_the_moments_and_the_contributions_sum_to_it(design):
    ratings = draw(design, seed=3)
    result = analyze(ratings)
    for modality in result.modalities.values():
        assert np.dot(modality.moments, modality.coefficients) == pytest.approx(modality.variance, rel=1e-9)
    for part in (*result.modalities.values(), *result.differences.values()):
        assert sum(astuple(part.contributions)) == pytest.approx(part.variance_centred, rel=1e-9)
        assert part.variance_mle_centred >= 0.0 or design == "unpaired"


@pytest.mark.parametrize("design", ["crossed", "ties", "split plot"])
def test_even_designs_have_one_unbiased_variance(design):
    result = analyze(draw(design, seed=1))
    for part in (*result.modalities.values(), *result.differences.values()):
        assert part.variance_centred == pytest.approx(part.variance, rel=1e-9)
        assert part.interval_from == "u-statistic"


def success_array(ratings, modality):
    found = successes(ratings, modality)
    shape = (len(ratings.readers), int(ratings.signal_present.sum()), int((~ratings.signal_present).sum()))
    return np.array(list(found.values())).reshape(shape)


def anova_components(cube):
    """Components of a three-way random model from its mean squares; the order of `Components`."""
    axes = {"r": 0, "p": 1, "a": 2}
    n = dict(zip("rpa", cube.shape, strict=True))
    centre = cube.mean()
    effects, squares = {"": centre}, {}
    for term in ("r", "p", "a", "pa", "rp", "ra", "rpa"):
        others = tuple(axis for name, axis in axes.items() if name not in term)
        effect = cube.mean(axis=others, keepdims=True) - sum(
            (effects[smaller] for smaller in effects if set(smaller) < set(term)), start=0.0
        )
        effects[term] = effect
        df = np.prod([n[name] - 1 for name in term])
        squares[term] = (np.broadcast_to(effect, cube.shape) ** 2).sum() / df
    rpa = squares["rpa"]
    pa, rp, ra = ((squares[two] - rpa) / n[(set("rpa") - set(two)).pop()] for two in ("pa", "rp", "ra"))
    r = (squares["r"] - squares["rp"] - squares["ra"] + rpa) / (n["p"] * n["a"])
    p = (squares["p"] - squares["rp"] - squares["pa"] + rpa) / (n["r"] * n["a"])
    a = (squares["a"] - squares["ra"] - squares["pa"] + rpa) / (n["r"] * n["p"])
    return [r, p, a, pa, rp, ra, rpa]


@pytest.mark.parametrize("design", ["crossed", "ties"])
def test_components_are_those_of_an_analysis_of_variance_of_the_successes(design):
    ratings = draw(design, seed=2)
    result = analyze(ratings)
    cubes = [success_array(ratings, m) for m in range(2)]
    for part, cube in (
        (result.modalities["A"], cubes[0]),
        (result.modalities["B"], cubes[1]),
        (result.differences["A-B"], cubes[0] - cubes[1]),
    ):
        np.testing.assert_allclose(astuple(part.components), anova_components(cube), rtol=1e-9, atol=1e-13)


def test_degrees_of_freedom_and_interval_are_satterthwaite_and_student():
    ratings = draw("crossed", seed=5)
    result = analyze(ratings, confidence=0.9)
    cube = success_array(ratings, 0) - success_array(ratings, 1)
    means = [cube.mean(axis=axes) for axes in ((1, 2), (0, 2), (0, 1))]
    uncertainty = sum((x.var(ddof=1) / len(x)) ** 2 / (len(x) - 1) for x in means)
    part = result.differences["A-B"]
    assert part.df_bdg == pytest.approx(max(part.variance**2 / uncertainty, 3.0), rel=1e-9)
    one = result.modalities["A"]
    assert (one.df_whole, part.df_whole) == (int(one.df), int(part.df_bdg))
    half_width = t.ppf(0.95, one.df_whole) * one.variance**0.5
    assert (one.ci_low_symmetric, one.ci_high_symmetric) == pytest.approx((one.auc - half_width, one.auc + half_width))
    half_width = t.ppf(0.95, part.df_whole) * part.variance**0.5
    assert part.ci_low_symmetric == pytest.approx(part.auc - half_width)
    assert part.ci_high_symmetric == pytest.approx(part.auc + half_width)
    statistic = abs(part.auc) / part.variance**0.5
    assert part.p_value == pytest.approx(2.0 * t.sf(statistic, part.df_whole))
    assert part.p_value_fractional == pytest.approx(2.0 * t.sf(statistic, part.df_bdg))


def test_the_error_has_the_parts_of_readers_and_of_cases_with_degrees_of_freedom_of_their_own():
    result = analyze(draw("crossed", seed=5), confidence=0.9)
    cubes = [success_array(draw("crossed", seed=5), m) for m in range(2)]
    parts = (result.modalities["A"], result.differences["A-B"])
    errors = (parts[0].error, parts[1].law.error)
    for cube, part, error in zip((cubes[0], cubes[0] - cubes[1]), parts, errors, strict=True):
        readers, *cases = (cube.mean(axis=axes) for axes in ((1, 2), (0, 2), (0, 1)))
        assert error.variance == part.interval_variance
        assert error.of_readers == pytest.approx(min(readers.var(ddof=1) / len(readers), error.variance))
        assert error.df_readers == 3.0
        # Of the variance of n values, the relative variance is 2/(n − 1) + κ/n.
        spread = [x.var(ddof=1) / len(x) for x in cases]
        excess = [max(float(np.mean((x - x.mean()) ** 4) / x.var() ** 2 - 3.0), 0.0) for x in cases]
        relative = [2.0 / (len(x) - 1) + k / len(x) for x, k in zip(cases, excess, strict=True)]
        expected = 2.0 * sum(spread) ** 2 / sum(s**2 * r for s, r in zip(spread, relative, strict=True))
        assert error.df_cases == pytest.approx(expected)
    one, law = result.modalities["A"], result.differences["A-B"].law
    scale = np.sinh(0.25 * logit(np.array([one.ci_low, one.auc, one.ci_high]))) / 0.25
    half = one.error.critical(0.9) * one.error.std_error
    slope = np.cosh(0.25 * logit(one.auc)) / (one.auc * (1.0 - one.auc))
    np.testing.assert_allclose(np.diff(scale), half * slope)
    assert (law.first, law.second) == tuple(m.auc for m in result.modalities.values())
    assert (law.variance_first, law.variance_second) == tuple(m.interval_variance for m in result.modalities.values())
    assert (parts[1].ci_low, parts[1].ci_high) == law.bounds(0.9)


def test_unbiased_variance_is_the_one_of_obuchowski_rockette_and_so_are_hillis_degrees_of_freedom():
    ratings = draw("ties", seed=6)
    part = analyze(ratings).differences["A-B"]
    other = obuchowski_rockette(ratings, covariance="u-statistic")
    assert other.variance_of_difference == pytest.approx(part.variance, rel=1e-9)
    assert other.random_readers_random_cases.df_denominator == pytest.approx(part.df_hillis, rel=1e-9)


@pytest.mark.parametrize("design", ["crossed", "missing"])
def test_variance_is_unbiased(design):
    # 3,000 studies; 4 standard errors: a false alarm in 8,000 designs.
    rng = np.random.default_rng(11)
    missing = rng.random((2, 3, 10)) < 0.2
    estimates, variances = [], []
    for _ in range(3000):
        scores = simulate(rng, n_readers=3, n_present=5, n_absent=5)
        if design == "missing":
            scores[missing] = np.nan
        found = one_shot(moment_sums(study(scores, 5)))
        weights = np.array([1.0, -1.0])
        estimates.append(weights @ found.auc)
        variances.append(weights @ found.covariance @ weights)
    excess = np.array(variances) - (np.array(estimates) - np.mean(estimates)) ** 2 * len(estimates) / (
        len(estimates) - 1
    )
    assert abs(excess.mean()) < 4.0 * excess.std(ddof=1) / len(excess) ** 0.5


def test_centred_variance_scatters_less_where_readers_rate_unequal_numbers():
    # Its standard deviation is about a third of the plain one's; the chance that 300 studies say "more than ⅔" is nil.
    rng = np.random.default_rng(12)
    plain, centred = [], []
    for _ in range(300):
        scores = simulate(rng, n_modalities=1, n_readers=6, n_present=15, n_absent=15)
        for reader in range(6):
            scores[0, reader, rng.permutation(30)[: 3 * reader]] = np.nan
        found = contrast(one_shot(moment_sums(study(scores, 15))), 0)
        plain.append(found.variance)
        centred.append(found.variance_centred)
    assert np.std(centred) < 0.67 * np.std(plain)


def test_reader_variances_are_of_cases_alone():
    ratings = draw("missing", seed=7)
    for name, by_modality in analyze(ratings).readers.items():
        for modality, found in by_modality.items():
            m, r = ratings.modalities.index(modality), ratings.readers.index(name)
            scores = ratings.scores[m, r]
            present, absent = (
                scores[truth & ~np.isnan(scores)] for truth in (ratings.signal_present, ~ratings.signal_present)
            )
            kernel = (present[:, None] > absent) + 0.5 * (present[:, None] == absent)
            n_present, n_absent = kernel.shape
            rows, columns = kernel.mean(axis=1), kernel.mean(axis=0)
            delong = rows.var(ddof=1) / n_present + columns.var(ddof=1) / n_absent
            residual = kernel - rows[:, None] - columns + kernel.mean()
            within = (residual**2).sum() / ((n_present - 1) * (n_absent - 1))
            assert found.auc == pytest.approx(kernel.mean())
            assert found.variance_delong == pytest.approx(delong)
            interval = delong_interval(present, absent)
            assert (found.ci_low, found.ci_high) == pytest.approx((interval.ci_low, interval.ci_high))
            # DeLong's counts what belongs to single pairs of cases twice, the U-statistic once.
            assert found.variance == pytest.approx(delong - within / (n_present * n_absent))


@pytest.mark.parametrize("design", DESIGNS)
def test_laws(design):
    ratings = draw(design, seed=8)
    result = analyze(ratings)
    flipped = analyze(replace(ratings, scores=-ratings.scores))
    swapped = analyze(replace(ratings, signal_present=~ratings.signal_present))
    backwards = analyze(
        replace(
            ratings,
            scores=np.exp(ratings.scores[::-1, ::-1, ::-1]),
            signal_present=ratings.signal_present[::-1],
            modalities=ratings.modalities[::-1],
        )
    )
    for name, modality in result.modalities.items():
        for other, sign in ((flipped, -1.0), (swapped, -1.0), (backwards, 1.0)):
            twin = other.modalities[name]
            assert twin.auc - 0.5 == pytest.approx(sign * (modality.auc - 0.5))
            assert twin.variance_centred == pytest.approx(modality.variance_centred)
            assert twin.df == pytest.approx(modality.df)
    one, two = result.differences["A-B"], backwards.differences["B-A"]
    assert (two.auc, two.p_value) == pytest.approx((-one.auc, one.p_value), nan_ok=True)
    assert two.p_value_interval == pytest.approx(one.p_value_interval, nan_ok=True)
    assert (two.ci_low, two.ci_high) == pytest.approx((-one.ci_high, -one.ci_low), nan_ok=True)


def test_pooled_auc_weighs_readers_by_their_pairs():
    scores = np.array([[[2.0, 2.0, 1.0, 0.0], [0.0, np.nan, 1.0, np.nan]]])
    assert analyze(study(scores, 2)).modalities["A"].auc == pytest.approx(4 / 5)


def test_one_reader_gets_intervals_of_cases_alone_and_says_so():
    ratings = study(draw("crossed").scores[:, :1], 6)
    result = analyze(ratings)
    present, absent = ratings.scores[:, 0, :6], ratings.scores[:, 0, 6:]
    part, modality = result.differences["A-B"], result.modalities["A"]
    expected = paired_delong(present, absent)
    assert (part.auc, part.ci_low, part.ci_high, part.p_value) == pytest.approx(astuple(expected))
    assert (modality.auc, modality.ci_low, modality.ci_high) == pytest.approx(
        astuple(delong_interval(present[0], absent[0]))
    )
    assert part.variance is part.variance_mle is part.components is modality.variance is None
    assert part.interval_from == modality.interval_from == "delong"
    assert (part.ci_low_symmetric, part.p_value_interval) == (part.ci_low, part.p_value)
    assert part.law is modality.error is None
    assert len(result.notes) == 1
    assert "one reader" in result.notes[0]


def test_negative_variance_falls_back_to_its_twin_and_says_so():
    # Readers who disagree about everything: their AUCs hardly differ, their successes do.
    for seed in range(200):
        ratings = study(np.random.default_rng(seed).normal(size=(1, 3, 10)), 5)
        result = analyze(ratings)
        part = result.modalities["A"]
        if part.variance < 0.0:
            break
    assert part.variance < 0.0
    assert part.interval_from == "mle"
    assert part.interval_variance == part.variance_mle_centred > 0.0
    assert part.ci_low < part.auc < part.ci_high
    assert "twin" in result.notes[0]


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_scores_that_tell_nothing_or_everything_have_no_variance_and_say_so(level):
    scores = level * np.repeat([1.0, 0.0], 4) + np.zeros((2, 3, 8))
    result = analyze(study(scores, 4))
    part, modality = result.differences["A-B"], result.modalities["A"]
    assert modality.auc == modality.ci_high == (0.5, 1.0)[int(level)]
    # With an AUC of 1: 3 readers with cases of their own are all right with a chance of 0.025 at this AUC.
    assert modality.ci_low == pytest.approx((0.5, 0.025 ** (1 / 3))[int(level)])
    assert modality.interval_from == ("u-statistic", "exact")[int(level)]
    assert (part.auc, part.variance, part.p_value, part.ci_low, part.ci_high) == (0.0, 0.0, 1.0, 0.0, 0.0)
    assert len(result.notes) == 3
    assert "variance is 0" in result.notes[0]


def test_uneven_designs_are_noted_and_hillis_needs_all_ratings():
    result = analyze(draw("missing", seed=1))
    assert not result.fully_crossed
    assert result.differences["A-B"].df_hillis is None
    assert result.differences["A-B"].interval_from == "centred u-statistic"
    assert "ratings are missing" in result.notes[0]
    assert "unequal numbers" in result.notes[-1]


def test_readers_with_cases_of_their_own_have_a_variance_without_all_its_components():
    scores = np.full((1, 2, 12), np.nan)
    scores[0, 0, [0, 1, 2, 6, 7, 8]] = [1.0, 2.0, 3.0, 0.0, 2.5, 1.5]
    scores[0, 1, [3, 4, 5, 9, 10, 11]] = [1.0, 2.0, 0.5, 0.0, 1.5, 0.2]
    part = analyze(study(scores, 6)).modalities["A"]
    aucs = [6 / 9, 7 / 9]
    # Two independent AUCs: their variance over two.
    assert part.variance == pytest.approx(np.var(aucs, ddof=1) / 2)
    assert np.isfinite(part.components.reader)
    assert np.isnan(part.components.present)


def test_modalities_that_share_nothing_add_their_variances():
    scores = simulate(np.random.default_rng(9), n_readers=8, n_present=10, n_absent=10)
    odd = np.arange(20) % 2 == 1
    scores[0, :4], scores[1, 4:] = np.nan, np.nan
    scores[0][:, odd], scores[1][:, ~odd] = np.nan, np.nan
    result = analyze(study(scores, 10))
    part, (one, two) = result.differences["A-B"], result.modalities.values()
    assert part.variance == pytest.approx(one.variance + two.variance)
    # Satterthwaite's, as two independent studies of 4 readers and 5 + 5 cases each.
    uncertainty = 0.0
    for m, (readers, cases) in enumerate(((slice(4, 8), ~odd), (slice(4), odd))):
        cube = success_array(study(scores[[m]][:, readers][..., cases], 5), 0)
        means = [cube.mean(axis=axes) for axes in ((1, 2), (0, 2), (0, 1))]
        uncertainty = uncertainty + np.array([x.var(ddof=1) / len(x) for x in means])
    expected = part.variance**2 / (uncertainty**2 / [3.0, 4.0, 4.0]).sum()
    assert part.df_bdg == pytest.approx(max(expected, 3.0))


def test_as_dict_is_json_with_the_keys_promised():
    plain = analyze(draw("missing")).as_dict()
    again = json.loads(json.dumps(plain, allow_nan=False))
    assert {"auc", "variance", "variance_mle", "df", "df_whole", "ci_low", "ci_high"} <= set(again["modalities"]["A"])
    wanted = {"auc", "variance", "variance_mle", "df_bdg", "df_whole", "ci_low", "ci_high", "p_value"}
    assert wanted | {"p_value_fractional"} <= set(again["differences"]["A-B"])
    assert {"auc", "variance", "ci_low", "ci_high"} <= set(again["readers"]["r0"]["A"])
    assert again["n_unrated"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: replace(r, signal_present=np.ones(12, dtype=bool)), "no signal-absent case"),
        (lambda r: replace(r, signal_present=np.zeros(12, dtype=bool)), "no signal-present case"),
        (lambda r: study(r.scores[..., 5:], 1), "2 signal-present"),
        (lambda r: study(r.scores[:, :1, 5:], 1), "2 each are needed"),
        (
            lambda r: study(np.where([[[True]], [[False]]], r.scores[:, :1], draw("missing").scores[:, :1]), 6),
            "one reader",
        ),
        (lambda r: replace(study(np.repeat(r.scores, 2, 0), 6), modalities=("A", "B-C", "A-B", "C")), "'A-B-C'"),
    ],
)
def test_impossible_studies_are_one_clear_line(change, message):
    with pytest.raises(UserError, match=message) as caught:
        analyze(change(draw("crossed")))
    assert "\n" not in str(caught.value)


def test_confidence_must_be_a_fraction():
    with pytest.raises(ValueError, match="confidence"):
        analyze(draw("crossed"), confidence=95)
