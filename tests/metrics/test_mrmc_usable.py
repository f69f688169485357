"""What is left out of a reader study: it changes nothing but the counts, and is told."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.files import json_values
from taskct.metrics.mrmc import Design, Ratings, RoeMetz, analyze, obuchowski_rockette
from taskct.metrics.mrmc.moments import distinct, moment_sums
from taskct.metrics.mrmc.usable import analysable, only_rated
from taskct.metrics.roc import delong_interval


def crossed(seed=0, n_readers=4, n=12):
    model = RoeMetz.published("HH", 0.855, mu=(1.8, 1.2))
    return model.simulate(np.random.default_rng(seed), Design(n_readers, n, n))


def with_unrated(ratings, n_present=2, n_absent=1):
    """The same study with cases that nobody rated, the first and the last."""
    truth = np.r_[np.ones(n_present, dtype=bool), ratings.signal_present, np.zeros(n_absent, dtype=bool)]
    pad = ((0, 0), (0, 0), (n_present, n_absent))
    names = tuple(f"new{i}" for i in range(n_present + n_absent))
    return replace(
        ratings,
        scores=np.pad(ratings.scores, pad, constant_values=np.nan),
        signal_present=truth,
        cases=(*names[:n_present], *ratings.cases, *names[n_present:]),
    )


def same(one, other):
    """Every figure, but for the notes and the count of what is left out."""
    plain = [json_values({**asdict(x), "notes": (), "n_unrated": 0}) for x in (one, other)]
    assert plain[0] == plain[1]


def test_unrated_cases_change_nothing_and_are_counted():
    ratings = crossed()
    whole, more = analyze(ratings), analyze(with_unrated(ratings))
    same(whole, more)
    assert more.fully_crossed
    assert (whole.n_unrated, more.n_unrated) == (0, 3)
    assert (more.n_present, more.n_absent) == (12, 12)
    count = "2 signal-present and 1 signal-absent cases ('new0', 'new1', 'new2')"
    assert [*more.notes] == [f"left out, since nobody rated them in these modalities: {count}", *whole.notes]


def test_unrated_cases_do_not_keep_the_analysis_of_variance_away():
    ratings = crossed(1)
    one, other = (obuchowski_rockette(x) for x in (ratings, with_unrated(ratings)))
    assert other.n_cases == one.n_cases == 24
    assert json_values(asdict(other)) == json_values(asdict(one))
    np.testing.assert_array_equal(other.reader_auc, one.reader_auc)
    assert other.dorfman_berbaum_metz == one.dorfman_berbaum_metz


def test_an_unrated_case_does_not_widen_the_bound_of_a_perfect_group():
    ratings = crossed(2)
    perfect = replace(ratings, scores=np.where(ratings.signal_present, 2.0, 1.0) + 0.0 * ratings.scores)
    assert analyze(with_unrated(perfect)).modalities["A"].interval_from == "exact"


def test_readers_and_modalities_without_ratings_are_left_out():
    ratings = crossed(3)
    scores = np.full((3, 6, 24), np.nan)
    scores[[0, 2]] = np.pad(ratings.scores, ((0, 0), (1, 1), (0, 0)), constant_values=np.nan)
    more = Ratings(
        scores, ratings.signal_present, ("A", "empty", "B"), ("idle", *ratings.readers, "lazy"), ratings.cases
    )
    whole, found = analyze(ratings), analyze(more)
    same(whole, found)
    assert "they rated nothing in these modalities: 2 readers ('idle', 'lazy')" in found.notes[0]
    assert "nobody rated a case in them: 1 modality ('empty')" in found.notes[1]
    assert list(found.readers) == list(ratings.readers)


def test_missing_ratings_stay_missing():
    ratings = crossed(4)
    scores = ratings.scores.copy()
    scores[1, :, 3] = np.nan  # nobody rated this case in B alone: no other study, but a rating short
    scores[0, 2] = np.nan
    found = analyze(replace(ratings, scores=scores))
    assert not found.fully_crossed
    (note,) = [note for note in found.notes if note.startswith("not fully crossed")]
    assert "28 of 192 ratings are missing" in note
    assert "1 of 24 cases were rated by nobody in modality 'B'" in note
    assert "1 of 4 readers rated nothing in modality 'A'" in note
    with pytest.raises(UserError, match="did not rate case"):
        obuchowski_rockette(replace(ratings, scores=scores))


def one_against_several(seed=5, n_modalities=2):
    """Modality A with reader 0 alone, the others without them."""
    ratings = crossed(seed)
    scores = np.concatenate([ratings.scores, ratings.scores[1:] + 0.3 * ratings.scores[:1]])[:n_modalities]
    scores[0, 1:], scores[1:, 0] = np.nan, np.nan
    return replace(ratings, scores=scores, modalities=tuple("ABC"[:n_modalities]))


def test_one_reader_against_several_names_the_modality_and_analyses_the_rest():
    ratings = one_against_several()
    found = analyze(ratings)
    alone = analyze(ratings.part(modalities=[1], readers=[1, 2, 3]))
    assert found.modalities == alone.modalities
    assert (found.n_readers, found.differences) == (3, {})
    assert found.fully_crossed
    assert found.notes[0].startswith("A: left out of averages and differences")
    assert "only reader 'reader1' rated cases of both classes in it" in found.notes[0]
    of_a = found.readers["reader1"]["A"]
    truth = ratings.signal_present
    expected = delong_interval(ratings.scores[0, 0, truth], ratings.scores[0, 0, ~truth])
    assert (of_a.auc, of_a.ci_low, of_a.ci_high) == pytest.approx((expected.value, expected.ci_low, expected.ci_high))
    assert math.isnan(found.readers["reader2"]["A"].auc)


def test_the_rest_is_compared():
    ratings = one_against_several(6, n_modalities=3)
    found = analyze(ratings)
    rest = ratings.part(modalities=[1, 2], readers=[1, 2, 3])
    assert list(found.differences) == ["B-C"]
    assert found.differences == analyze(rest).differences
    assert analysable(ratings)[0].modalities == ("B", "C")


@pytest.mark.parametrize("seed", range(40))
def test_a_modality_is_analysed_exactly_where_two_successes_share_nothing(seed):
    # Against the count of pairs of successes that differ in the reader and in both cases.
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(3, 3, 6))
    scores[rng.random(scores.shape) < rng.uniform(0.3, 0.8)] = np.nan
    truth = np.arange(6) < 3
    for m in range(3):
        one = Ratings(scores[[m]], truth, ("A",), ("a", "b", "c"), tuple("123456"))
        try:
            n_pairs = distinct(moment_sums(one).counts)[0, 0, 7]
        except UserError:  # nobody rated both classes
            n_pairs = 0
        if n_pairs:
            assert analysable(one) == (one, ())
        else:
            with pytest.raises(UserError, match="no modality allows a variance"):
                analysable(one)


def test_when_nothing_can_be_analysed_every_modality_is_named():
    ratings = one_against_several()
    scores = ratings.scores.copy()
    scores[1, 2:] = np.nan
    with pytest.raises(UserError, match=r"'A': only reader 'reader1' .*; 'B': only reader 'reader2' ") as caught:
        analyze(replace(ratings, scores=scores))
    assert "at least 2 readers, 2 signal-present and 2 signal-absent cases" in str(caught.value)
    with pytest.raises(UserError, match="nobody rated anything"):
        only_rated(replace(ratings, scores=np.full_like(scores, np.nan)))
    unrated_class = np.where(ratings.signal_present, np.nan, ratings.scores)
    with pytest.raises(UserError, match="none of the 12 signal-present cases was rated"):
        analyze(replace(ratings, scores=unrated_class))


def test_a_single_reader_is_left_as_one():
    ratings = crossed(7)
    scores = ratings.scores.copy()
    scores[:, 1:] = np.nan
    found = analyze(replace(ratings, scores=scores))
    same(found, analyze(ratings.part(readers=[0])))
    assert "they rated nothing in these modalities: 3 readers" in found.notes[0]


def test_pairs_are_compared_in_the_direction_that_is_asked_for():
    ratings = one_against_several(8, n_modalities=3).part(modalities=[1, 2], readers=[1, 2, 3])
    forward, back = analyze(ratings), analyze(ratings, pairs=[("C", "B")])
    assert list(back.differences) == ["C-B"]
    assert back.differences["C-B"].auc == -forward.differences["B-C"].auc
    assert back.differences["C-B"].p_value == pytest.approx(forward.differences["B-C"].p_value)
    assert analyze(ratings, pairs=[]).differences == {}
    with pytest.raises(ValueError, match="no two modalities"):
        analyze(ratings, pairs=[("B", "D")])


def test_notes_call_readers_what_they_are():
    ratings = replace(crossed(9, n_readers=2), reader_kind="training seed")
    assert analyze(ratings).notes[0].startswith("two training seeds: ")
    assert analyze(ratings.part(readers=[0])).notes[0].startswith("one training seed: ")
    assert analyze(ratings).reader_kind == "training seed"
