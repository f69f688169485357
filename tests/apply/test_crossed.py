"""Cross-validation over cases: nothing of a case is learned from where it is read, and what is refused."""

import numpy as np
import pytest

from taskct.apply.observe.crossed import cross_validate, crossed_difference
from taskct.apply.observe.folds import Folding, divide_into_folds
from taskct.errors import UserError
from taskct.metrics.clustered import Clusters
from taskct.metrics.exact_cho import exact_cho_interval
from taskct.observers import Eye
from taskct.observers.channels import laguerre_gauss

EYE = Eye(0.7, 500.0, 1.0, 3.0)
AXIS = np.arange(12) - 5.5
BLOB = np.exp(-(AXIS[:, None] ** 2 + AXIS**2) / 8.0)
LG = {"n_channels": 4}


def scans(n, contrast, seed=0):
    """`n` scans with a blob and `n` without, in white noise of 1, and their truth."""
    rng, present = np.random.default_rng(seed), np.arange(2 * n) < n
    return rng.normal(size=(2 * n, 12, 12)) + contrast * present[:, None, None] * BLOB, present


def test_ten_repeats_have_a_result_with_the_interval_that_ten_repeats_give():
    images, present = scans(10, 1.0)  # SNR 3.5, AUC 0.99 with endless training
    found = cross_validate("cho-lg", images, present, None, eye=EYE, channels=LG)
    assert 0.8 < found.auc.value <= 1.0
    assert 0.0 <= found.auc.ci_low <= found.auc.value <= found.auc.ci_high <= 1.0
    assert found.auc.ci_high - found.auc.ci_low > 0.05
    assert "one case of each class left out at a time, 10 times" in found.method
    assert found.scores.shape == (20,)
    outputs = images.reshape(20, -1) @ laguerre_gauss((12, 12), width_px=12 / 5, n_channels=4)
    wanted = exact_cho_interval(outputs[present], outputs[~present])
    assert found.limit is not None
    assert found.limit.ci_low == pytest.approx(wanted.ci_low)
    # Known, the signal leaves less to be estimated.
    told = cross_validate("cho-lg", images, present, None, eye=EYE, channels=LG, signal=1.0 * BLOB).limit
    assert told is not None
    assert told.ci_high - told.ci_low < found.limit.ci_high - found.limit.ci_low
    assert cross_validate("cho-lg", images, present, None, eye=EYE, channels=LG).auc == found.auc


@pytest.mark.parametrize("name", ["ho", "cho-lg", "cho-pls", "npwe", "slnn"])
def test_no_observer_is_read_on_what_it_learned_from(name):
    """In pure noise whoever saw the test trials tells them apart."""
    areas = []
    for seed in range(6):
        images, present = scans(10, 0.0, seed)
        areas.append(cross_validate(name, images, present, None, eye=EYE, repeats=2, seed=seed).auc.value)
    assert np.mean(areas) == pytest.approx(0.5, abs=4 * 0.19 / np.sqrt(6))  # 0.19: one such AUC's standard deviation


def test_copies_in_a_case_are_left_out_together():
    """Every scan twice: were the copy learned from, noise would be told apart without error."""
    images, present = scans(10, 0.0, seed=1)
    twice, cases = np.repeat(images, 2, axis=0), np.repeat(np.arange(20), 2)
    found = cross_validate("cho-lg", twice, np.repeat(present, 2), cases, eye=EYE, channels={"n_channels": 8})
    assert found.auc.value < 0.85
    assert found.limit is None  # the trials are not independent
    leaked = cross_validate("cho-lg", twice, np.repeat(present, 2), None, eye=EYE, channels={"n_channels": 8})
    assert leaked.auc.value > found.auc.value


def test_scans_that_hold_both_classes_stay_whole():
    images, present = scans(12, 1.0)
    cases = np.r_[np.arange(12), np.arange(12)]
    found = cross_validate("cho-lg", images, present, cases, eye=EYE, channels=LG)
    assert "two cases left out at a time" in found.method
    fold = found.readings.fold
    np.testing.assert_array_equal(fold[:, :12], fold[:, 12:])
    assert fold.max() == 5
    assert found.auc.value > 0.8


def test_the_difference_is_of_the_same_trials_in_the_same_folds():
    images, present = scans(15, 0.8)
    noisier = images + np.random.default_rng(9).normal(0.0, 2.0, images.shape)
    first, second = (cross_validate("cho-lg", one, present, None, eye=EYE, channels=LG) for one in (images, noisier))
    found, error = crossed_difference(first, second)
    assert found.delta_auc == pytest.approx(first.auc.value - second.auc.value)
    assert error > 0.0
    assert found.ci_low > 0.0  # SNR 2.8 and 1.3


def test_few_scans_and_perfect_ones_are_said_to_be():
    images, present = scans(5, 40.0)
    found = cross_validate("npw", images, present, None, eye=EYE)
    assert found.auc.value == 1.0
    assert found.auc.ci_low == pytest.approx(0.025 ** (1 / 5))
    assert any("5 cases of a class: below 10" in note for note in found.notes)
    assert any("bound the AUC on one side alone" in note for note in found.notes)


@pytest.mark.parametrize(
    ("n", "options", "message"),
    [
        (2, {}, "2 cases hold a signal and 2 none; .* takes 3 of each"),
        (10, {"folds": 11}, "11 folds; these cases allow 3 to 10"),
        (10, {"folds": 2}, "2 folds; these cases allow 3 to 10"),
        (10, {"repeats": -1}, "-1 repeats of the cross-validation"),
        (6, {"channels": {"n_channels": 10}}, "10 channels need at least 12 training trials and there are 10"),
        (10, {"channels": {"width": 3}}, "unexpected keyword argument 'width'"),
        (10, {"channels": {"width_px": 0.0}}, "width_px is 0"),
    ],
)
def test_what_cannot_be_done_is_one_line(n, options, message):
    images, present = scans(n, 1.0)
    with pytest.raises(UserError, match=message) as refused:
        cross_validate("cho-lg", images, present, None, eye=EYE, **{"channels": LG} | options)
    assert "\n" not in str(refused.value)


def test_folds_hold_cases_of_both_classes_and_bring_all_together():
    present = np.arange(70) < 30
    fold = divide_into_folds(present, np.arange(70), n_folds=10, n_repeats=2, seed=0)
    for one in fold:
        assert [int((one[present] == k).sum()) for k in range(10)] == [3] * 10
        assert [int((one[~present] == k).sum()) for k in range(10)] == [4] * 10
    assert (fold[0] != fold[1]).any()
    clusters = Clusters.of(np.arange(30), np.arange(30, 70))
    assert Folding().of(clusters, dear=False) == (10, 4)
    assert Folding().of(Clusters.of(np.arange(15), np.arange(15, 30)), dear=True) == (15, 8)
