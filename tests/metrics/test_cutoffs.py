"""Sensitivity, specificity and Youden's index against the AUC of binary data, and against variances written out."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import t

from taskct.errors import UserError
from taskct.metrics.mrmc import Design, Ratings, RoeMetz, analyze
from taskct.metrics.mrmc.cutoffs import _parts, _youden, operating_points

N = 30


def study(*, n_groups: int = 1, seed: int = 0) -> Ratings:
    """Two modalities, 4 readers, 30 cases of each class."""
    return RoeMetz.published("HL", 0.855).simulate(np.random.default_rng(seed), Design(4, N, N, n_groups=n_groups))


def binary(ratings: Ratings, cutoff: float, *, present: bool) -> Ratings:
    """As iMRMC's `roc2binary` does: 1 or 0 for the calls of one class, ½ for every case of the other.

    It leaves out cases of the other class that a reader did not rate; here they count, so that all rated the same.
    """
    of_class = ratings.signal_present == present
    calls = np.where(np.isnan(ratings.scores), np.nan, ratings.scores >= cutoff)
    scores = np.where(of_class, calls, 0.5)
    return Ratings(scores, ratings.signal_present, ratings.modalities, ratings.readers, ratings.cases)


@pytest.mark.parametrize("n_groups", [1, 2])
def test_rates_are_the_aucs_of_binary_data_with_their_variance(n_groups: int) -> None:
    ratings = study(n_groups=n_groups)
    found = operating_points(ratings, np.full(4, 0.8))
    for measure, present in ((found.sensitivity, True), (found.specificity, False)):
        other = analyze(binary(ratings, 0.8, present=present))
        for name in "AB":
            one, auc = measure.modalities[name], other.modalities[name]
            assert one.interval.value == pytest.approx(auc.auc)
            assert one.variance == pytest.approx(auc.variance_centred, abs=1e-14)
            assert one.variance_mle == pytest.approx(auc.variance_mle_centred, abs=1e-14)
        two, aucs = measure.differences["A-B"], other.differences["A-B"]
        assert two.interval.value == pytest.approx(aucs.auc)
        assert two.variance == pytest.approx(aucs.variance_centred, abs=1e-14)


def test_a_case_at_the_cutoff_is_positive_and_each_reader_has_their_own() -> None:
    scores = np.array([[[1.0, 2.0, 2.0, 1.0], [3.0, 5.0, 4.0, 1.0]]])
    ratings = Ratings(scores, np.array([True, True, False, False]), ("A",), ("x", "y"), tuple("1234"))
    found = operating_points(ratings, np.array([2.0, 5.0]))
    assert {r: found.sensitivity.readers[r]["A"].value for r in "xy"} == {"x": 0.5, "y": 0.5}
    assert {r: found.specificity.readers[r]["A"].value for r in "xy"} == {"x": 0.5, "y": 1.0}


def written_out(values: NDArray[np.float64]) -> float:
    """Variance of a mean over readers and cases of `(n_readers, n_cases)`: of readers, and of the cases they share."""
    n_readers = len(values)
    covariance = np.cov(values) / values.shape[1]
    return float((covariance.sum() - np.trace(covariance)) / (n_readers * (n_readers - 1)))


def test_youdens_index_takes_readers_and_both_classes_into_its_variance() -> None:
    """The variance is that among the readers' indices over their number, and what the cases of either class add."""
    ratings = study(seed=3)
    found = operating_points(ratings, np.array([0.5, 0.8, 1.1, 1.4]))
    calls = ratings.scores >= np.array([0.5, 0.8, 1.1, 1.4])[None, :, None]
    right = np.where(ratings.signal_present, calls, ~calls).astype(float)
    present, absent = right[..., ratings.signal_present], right[..., ~ratings.signal_present]
    index = present.mean(axis=2) + absent.mean(axis=2) - 1.0
    assert found.youden["A"].value == pytest.approx(index[0].mean())
    assert found.youden_differences["A-B"].interval.value == pytest.approx((index[0] - index[1]).mean())
    expected = index[0].var(ddof=1) / 4 + written_out(present[0]) + written_out(absent[0])
    both = index[0] - index[1]
    of_difference = both.var(ddof=1) / 4 + written_out(present[0] - present[1]) + written_out(absent[0] - absent[1])
    parts = _parts(
        ratings,
        {k: np.where(ratings.signal_present == (k == "present"), right, np.nan) for k in ("present", "absent")},
        None,
    )
    index_of_a, difference = _youden(parts, "A"), _youden(parts, "A", "B")
    assert index_of_a is not None
    assert difference is not None
    assert index_of_a.spread.variance == pytest.approx(expected)
    assert difference.spread.variance == pytest.approx(of_difference)
    # Cut-offs that differ move the two rates against one another: their index scatters less than if they did not.
    apart = sum(rate.modalities["A"].variance for rate in (found.sensitivity, found.specificity))
    assert expected < apart


def test_a_pair_of_cases_in_each_cluster_is_one_observation_of_youdens_index() -> None:
    """One reader, a present and an absent case of every patient: the variance is that of a paired sum."""
    rng = np.random.default_rng(6)
    scores = rng.normal(size=(1, 1, 40, 1)) + rng.normal(size=(1, 1, 40, 2)) + np.array([1.0, 0.0])
    ratings = Ratings(
        scores.reshape(1, 1, 80), np.arange(80) % 2 == 0, ("A",), ("x",), tuple(str(i) for i in range(80))
    )
    clusters = np.arange(80) // 2
    found = operating_points(ratings, np.array([0.5]), clusters=clusters)
    calls = ratings.scores[0, 0] >= 0.5
    each = calls[::2].astype(float) - calls[1::2]
    assert found.youden["A"].value == pytest.approx(each.mean())
    width = found.youden["A"].ci_high - found.youden["A"].ci_low
    assert width / 2 == pytest.approx(t.ppf(0.975, 39) * each.std(ddof=1) / np.sqrt(40), rel=1e-9)
    assert found.sensitivity.n_clusters == found.specificity.n_clusters == 40


def test_a_class_that_allows_no_rate_is_refused() -> None:
    ratings = study()
    nothing = ratings.scores.copy()
    nothing[..., ratings.signal_present] = np.nan
    empty = Ratings(nothing, ratings.signal_present, ratings.modalities, ratings.readers, ratings.cases)
    with pytest.raises(UserError, match="0 signal-present cases were rated"):
        operating_points(empty, np.full(4, 0.8))
    with pytest.raises(UserError, match="signal-absent cases of 1 cluster were rated"):
        operating_points(ratings, np.full(4, 0.8), clusters=np.where(ratings.signal_present, np.arange(60), 99))
    with pytest.raises(ValueError, match="cutoffs of shape"):
        operating_points(ratings, np.full(3, 0.8))
