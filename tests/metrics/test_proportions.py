"""Proportions over readers and cases against closed forms, independent formulas, and the U-statistic of AUCs."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, t

from taskct.metrics.mrmc import Ratings, analyze, obuchowski_rockette
from taskct.metrics.mrmc.proportions import Proportions, proportion_analysis


def draw(seed: int, shape: tuple[int, int, int], *, clusters: NDArray[np.intp] | None = None) -> NDArray[np.float64]:
    """Successes of readers and cases that differ."""
    rng = np.random.default_rng(seed)
    m, r, n = shape
    case = rng.normal(size=n) if clusters is None else rng.normal(size=clusters.max() + 1)[clusters]
    latent = 1.0 + 0.4 * rng.normal(size=(1, r, 1)) + case + rng.normal(size=shape) - 0.3 * np.arange(m)[:, None, None]
    return (latent > 0.0).astype(float)


def analysed(successes: NDArray[np.float64], **more: Any) -> Proportions:
    """With modalities A, B, … and readers 0, 1, …."""
    m, r, _ = successes.shape
    return proportion_analysis(successes, modalities="ABC"[:m], readers=[str(i) for i in range(r)], **more)


def as_study(successes: NDArray[np.float64], n_dummies: int) -> Ratings:
    """The same as scores against signal-absent cases that everybody scores ½: the AUC is then the proportion."""
    m, r, n = successes.shape
    scores = np.concatenate([successes, np.full((m, r, n_dummies), 0.5)], axis=2)
    truth = np.arange(n + n_dummies) < n
    names = tuple(f"case {i}" for i in range(n + n_dummies))
    return Ratings(scores, truth, tuple("ABC"[:m]), tuple(str(i) for i in range(r)), names)


def test_the_pooled_proportion_and_its_variance_are_those_of_the_auc_against_a_constant() -> None:
    """As iMRMC analyses binary data: every success wins against every absent case, so no absent case adds anything."""
    successes = draw(1, (2, 4, 40))
    found, other = analysed(successes), analyze(as_study(successes, 3))
    for name in "AB":
        one, auc = found.modalities[name], other.modalities[name]
        assert one.interval.value == pytest.approx(auc.auc, abs=1e-12)
        assert one.variance == pytest.approx(auc.variance, abs=1e-14)
        assert one.variance_mle == pytest.approx(auc.variance_mle_centred, abs=1e-14)
    two, aucs = found.differences["A-B"], other.differences["A-B"]
    assert two.variance == pytest.approx(aucs.variance, abs=1e-14)
    assert two.variance_mle == pytest.approx(aucs.variance_mle_centred, abs=1e-14)


def test_in_split_plot_and_missing_data_too() -> None:
    successes = draw(2, (2, 6, 60))
    group = np.arange(6) * 2 // 6
    successes[:, group[:, None] != np.arange(60) * 2 // 60] = np.nan
    study = as_study(successes, 4)
    found, other = analysed(successes), analyze(study)
    assert found.modalities["A"].variance == pytest.approx(other.modalities["A"].variance_centred, abs=1e-14)
    successes[np.random.default_rng(3).random(successes.shape) < 0.2] = np.nan
    found, other = analysed(successes), analyze(as_study(successes, 4))
    assert found.modalities["A"].interval.value == pytest.approx(other.modalities["A"].auc)
    for one, auc in (
        (found.modalities["A"], other.modalities["A"]),
        (found.differences["A-B"], other.differences["A-B"]),
    ):
        assert one.variance == pytest.approx(auc.variance_centred, abs=1e-14)


def test_the_variance_is_that_of_obuchowski_and_rockette() -> None:
    successes = draw(4, (2, 5, 50))
    anova = obuchowski_rockette(as_study(successes, 3), covariance="u-statistic")
    assert analysed(successes).differences["A-B"].variance == pytest.approx(anova.variance_of_difference, abs=1e-14)


def pattern() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """Successes of 4 readers in 24 cases twice, by a rule that any language can repeat, and clusters of 3 cases."""
    case, reader = np.arange(1, 25)[None], np.arange(1, 5)[:, None]
    first = (case * 7 + reader * 5 + case * reader) % 11 > 2
    second = (case * 3 + reader * 4 + case * reader) % 9 > 2
    return first.astype(float), second.astype(float), (case[0] - 1) // 3


def test_variances_are_those_of_other_packages() -> None:
    """Two-way clustered variances of R's sandwich 3.0.2, and of a clustered survey of R's survey 4.1.1.

    `vcovCL(lm(y ~ 1), cluster = ~reader + cluster, type = "HC0", cadjust = FALSE)` sums the products that share the
    reader or the cluster; ours is that times the number of pairs of answers over those that share neither.
    """
    first, second, clusters = pattern()
    both = np.stack([first, second])

    def apart(given: NDArray[np.bool_], labels: NDArray[np.intp]) -> float:
        counts = np.array([np.bincount(labels, row, labels.max() + 1) for row in given])
        sharing = (counts.sum(axis=1) ** 2).sum() + (counts.sum(axis=0) ** 2).sum() - (counts**2).sum()
        return float(given.sum() ** 2 / (given.sum() ** 2 - sharing))

    everywhere = np.ones(first.shape, dtype=np.bool_)
    clustered, single = analysed(both, clusters=clusters), analysed(both)
    assert clustered.modalities["A"].variance == pytest.approx(0.00265842013889 * apart(everywhere, clusters))
    assert single.modalities["A"].variance == pytest.approx(0.00320095486111 * apart(everywhere, np.arange(24)))
    assert clustered.differences["A-B"].variance == pytest.approx(5.42534722222e-05 * apart(everywhere, clusters))
    case, reader = np.arange(1, 25)[None], np.arange(1, 5)[:, None]
    given = (case + 2 * reader) % 5 != 0
    missing = analysed(np.where(given, first, np.nan)[None], clusters=clusters)
    assert missing.modalities["A"].interval.value == pytest.approx(0.815789473684)
    assert missing.modalities["A"].variance == pytest.approx(0.00241998603448 * apart(given, clusters))
    one = analysed(both[:, 1:2], clusters=clusters)
    assert one.modalities["A"].variance == pytest.approx(0.00694444444444)
    assert one.differences["A-B"].variance == pytest.approx(0.0116567460317)


def test_the_variance_is_unbiased_over_every_study_of_a_small_population() -> None:
    """Two readers and two clusters of a population of three each, drawn with replacement: all 81 studies."""
    clusters = np.array([0, 0, 1, 2, 2, 2])
    population = (np.random.default_rng(5).random((3, 6)) < 0.6).astype(float)
    sums = np.array([[row[clusters == c].sum() for c in range(3)] for row in population])
    # Clusters of equal size alone keep the estimate linear, and so exactly unbiased.
    sums = np.clip(sums, 0, 1)
    estimates, variances = [], []
    for readers in product(range(3), repeat=2):
        for cases in product(range(3), repeat=2):
            study = sums[np.ix_(readers, cases)][None]
            found = analysed(study)
            estimates.append(study.mean())
            variances.append(found.modalities["A"].variance)
    assert np.mean(variances) == pytest.approx(np.var(estimates), abs=1e-12)


def test_each_case_twice_in_a_cluster_changes_nothing() -> None:
    successes = draw(6, (2, 4, 30))
    twice, clusters = np.repeat(successes, 2, axis=2), np.repeat(np.arange(30), 2)
    one, two = analysed(successes), analysed(twice, clusters=clusters)
    assert two.n_clusters == 30
    assert two.n_cases == 60
    for name in "AB":
        assert two.modalities[name] == one.modalities[name]
    assert two.differences["A-B"].interval == one.differences["A-B"].interval
    independent = analysed(twice)
    assert independent.modalities["A"].variance < one.modalities["A"].variance


def test_one_reader_has_the_exact_interval_and_the_paired_variance() -> None:
    successes = draw(7, (2, 1, 60))
    found = analysed(successes)
    exact = binomtest(int(successes[0].sum()), 60).proportion_ci(method="exact")
    assert (found.modalities["A"].interval.ci_low, found.modalities["A"].interval.ci_high) == pytest.approx(exact)
    assert found.readers["0"]["A"] == found.modalities["A"].interval
    difference = successes[0, 0] - successes[1, 0]
    assert found.differences["A-B"].variance == pytest.approx(difference.var(ddof=1) / 60)
    assert any("one reader" in note for note in found.notes)


def test_equal_readers_leave_a_t_interval_of_the_clusters_and_differing_ones_of_the_readers() -> None:
    """Where all scatter is of one factor, the interval of a difference is Student's, of that factor's numbers."""
    rng = np.random.default_rng(8)
    one = (rng.random((2, 1, 200)) < 0.5).astype(float)
    same = analysed(np.repeat(one, 6, axis=1)).differences["A-B"]
    deviations = (one[0, 0] - one[1, 0]) / np.sqrt(200)
    half = t.ppf(0.975, 199) * deviations.std(ddof=1)
    assert (same.interval.ci_high - same.interval.ci_low) / 2 == pytest.approx(half, rel=1e-3)
    readers = np.zeros((2, 5, 20))  # each reader answers all cases alike in A, and every second case of B
    readers[0, :3] = 1.0
    readers[1, :, ::2] = 1.0
    values = readers[0].mean(axis=1) - 0.5
    found = analysed(readers, clusters=np.repeat(np.arange(10), 2)).differences["A-B"]
    assert found.variance == pytest.approx(values.var(ddof=1) / 5)
    # Every cluster is half right in B and fails somewhere in A: nothing is few, nothing lopsided about ½ and 0.6 but A.
    width = found.interval.ci_high - found.interval.ci_low
    assert width / 2 == pytest.approx(t.ppf(0.975, 4) * values.std(ddof=1) / np.sqrt(5), rel=1e-6)


def test_the_p_value_and_the_margin_invert_the_interval() -> None:
    found = analysed(draw(9, (2, 5, 60)))
    two = found.differences["A-B"]
    low, high = two.whole.bounds(1.0 - two.p_value)
    assert min(abs(low), abs(high)) == pytest.approx(0.0, abs=1e-7)
    p = two.whole.p_not_worse(0.05)
    assert (p < 0.025) == (two.interval.ci_low > -0.05)
    assert two.whole.bounds(1.0 - 2.0 * p if p < 0.5 else 2.0 * p - 1.0)[0 if p < 0.5 else 1] == pytest.approx(
        -0.05, abs=1e-7
    )


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_right_or_all_wrong_is_bounded_by_the_clusters(value: float) -> None:
    found = analysed(np.full((2, 3, 40), value))
    one = found.modalities["A"]
    assert one.interval_from == "perfect"
    nearest = 0.025 ** (1 / 40)
    expected = (nearest, 1.0) if value else (0.0, 1.0 - nearest)
    assert (one.interval.ci_low, one.interval.ci_high) == pytest.approx(expected)
    two = found.differences["A-B"]
    assert two.interval.ci_low < 0.0 < two.interval.ci_high
    assert two.p_value == 1.0
    assert any("every answer is the same" in note for note in found.notes)


def test_few_failures_give_the_guarded_interval() -> None:
    successes = np.ones((1, 3, 50))
    successes[0, :, :2] = 0.0  # all readers fail at the same two cases: 150 answers say as much as 50
    one = analysed(successes).modalities["A"]
    assert one.interval_from == "few"
    exact = binomtest(48, 50).proportion_ci(method="exact")
    assert exact.low - 0.02 < one.interval.ci_low < exact.low
    assert exact.high < one.interval.ci_high < 1.0
    successes[0, 1:, 0] = successes[0, 1:, 1] = 1.0  # one of the three fails
    alone = analysed(successes).modalities["A"]
    whole = binomtest(148, 150).proportion_ci(method="exact")
    assert alone.interval.ci_low < whole.low
    assert alone.interval.ci_high > whole.high


def test_modalities_that_differ_in_few_cases_have_the_interval_of_agresti_and_min() -> None:
    """Half a case more that is right in the first alone, and half one in the second alone."""
    rng = np.random.default_rng(12)
    first = (rng.random((1, 1, 100)) < 0.7).astype(float)
    same = analysed(np.concatenate([first, first]))
    alike = same.differences["A-B"]
    assert alike.interval.ci_high == pytest.approx(t.ppf(0.975, 99) / 100)
    assert alike.variance == 0.0
    assert alike.p_value == 1.0
    assert any("differ in fewer than 5" in note for note in same.notes)
    second = first.copy()
    second[0, 0, :3] = 1.0 - second[0, 0, :3]
    two = analysed(np.concatenate([first, second])).differences["A-B"]
    d = (first - second)[0, 0]
    assert two.whole.spread.used == pytest.approx(d.var(ddof=1) / 100 + 1.0 / 100**2)


def test_a_larger_confidence_has_a_larger_interval_where_failures_are_few() -> None:
    """Joined intervals of proportions near 1 that move together could otherwise shrink."""
    rng = np.random.default_rng(11)
    for _ in range(10):
        case = rng.normal(size=30)
        successes = (1.9 + case + 0.3 * rng.normal(size=(2, 3, 30)) > 0.0).astype(float)
        whole = analysed(successes).differences["A-B"].whole
        bounds = np.array([whole.bounds(confidence) for confidence in 1.0 - np.geomspace(0.9, 1e-5, 25)])
        assert (np.diff(bounds[:, 0]) <= 1e-12).all()
        assert (np.diff(bounds[:, 1]) >= -1e-12).all()


def test_what_allows_no_variance_is_left_out_and_said() -> None:
    successes = draw(10, (3, 3, 30))
    successes[1, 1:] = np.nan
    successes[2] = np.nan
    found = analysed(successes)
    assert list(found.modalities) == ["A"]
    assert not found.differences
    assert any("B: left out" in note and "single reader" in note for note in found.notes)
    assert any("C: left out" in note and "nobody" in note for note in found.notes)
    assert set(found.readers["0"]) == {"A", "B"}
    assert set(found.readers["1"]) == {"A"}


@pytest.mark.parametrize(
    ("successes", "more", "words"),
    [
        (np.full((1, 2, 3), 0.5), {}, "must be 1"),
        (np.full((1, 2, 3), np.nan), {}, "nothing was answered"),
        (np.ones((1, 2, 3)), {"clusters": np.zeros(3, dtype=np.intp)}, "one cluster"),
        (np.ones((1, 2, 3)), {"clusters": np.zeros(2, dtype=np.intp)}, "for 3 cases"),
        (np.ones((1, 2, 3)), {"pairs": [("A", "Z")]}, "no two modalities"),
        (np.ones((1, 2, 3)), {"confidence": 95.0}, "confidence"),
    ],
)
def test_what_is_no_study_is_refused(successes: NDArray[np.float64], more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        analysed(successes, **more)


def test_two_readers_of_eight_cases_never_have_a_p_of_zero():
    """They differ by 3 and 4 of 8 in one direction; seven such pairs have an exact p of 0.016 at best."""
    second = np.array([[1, 1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 0, 1, 1, 0]], dtype=float)
    first = np.array([[1, 1, 1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]], dtype=float)
    found = proportion_analysis(np.stack([first, second]), modalities=("A", "B"), readers=("Ann", "Bo"))
    assert found.differences["A-B"].p_value > 0.001
