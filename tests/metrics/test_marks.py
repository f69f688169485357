"""Studies of marks: what hits what, what is refused, and LROC ratings."""

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.metrics.lroc import lroc_area
from taskct.metrics.marks import (
    NO_LESION,
    CaseReading,
    MarkStudy,
    PlacedMark,
    ScoredMark,
    TrueLesion,
)
from taskct.metrics.mrmc.located import lroc_study
from taskct.metrics.roc import auc

READINGS = [CaseReading(m, r, c) for m in ("A", "B") for r in ("ann", "bob") for c in ("one", "two", "well")]
LESIONS = [TrueLesion("two", "x"), TrueLesion("one", "x"), TrueLesion("one", "y")]


def test_highest_ratings_and_what_was_not_read():
    marks = [
        ScoredMark("A", "ann", "one", "y", 2.0),
        ScoredMark("A", "ann", "one", "y", 3.0),
        ScoredMark("A", "ann", "one", None, 1.0),
        ScoredMark("A", "ann", "one", None, 0.5),
        ScoredMark("B", "bob", "well", None, 4.0),
    ]
    study = MarkStudy.of(READINGS[:-2], LESIONS, marks[:-1])  # bob did not read two cases in B
    assert study.diseased.tolist() == [True, True, False]
    assert study.lesion_case.tolist() == [0, 0, 1]
    assert study.lesion_weight.tolist() == [0.5, 0.5, 1.0]
    on_lesions, false = study.highest_on_lesions(), study.highest_false()
    assert on_lesions[0, 0].tolist() == [-np.inf, 3.0, -np.inf]
    assert false[0, 0].tolist() == [1.0, -np.inf, -np.inf]
    assert np.isnan(on_lesions[1, 1]).tolist() == [False, False, True]
    assert np.isnan(false[1, 1]).tolist() == [False, True, True]
    only_b = MarkStudy.of(READINGS, LESIONS, marks).part([1])
    assert only_b.modalities == ("B",)
    assert only_b.mark_at.tolist() == [[0, 1, 2, NO_LESION]]


def test_a_mark_hits_the_nearest_lesion_within_its_radius():
    lesions = [
        TrueLesion("one", "small", row_px=10, column_px=10, radius_px=2),
        TrueLesion("one", "large", row_px=10, column_px=20, radius_px=9),
    ]
    places = [(10, 12), (10, 14.9), (10, 12.1), (19.1, 20), (19, 20), (10, 10)]
    marks = [PlacedMark("A", "ann", "one", row, column, 1.0) for row, column in places]
    study = MarkStudy.of_places([CaseReading("A", "ann", "one")], lesions, marks)
    assert study.mark_at[:, 3].tolist() == [0, 1, 1, NO_LESION, 1, 0]


def test_weights_of_a_case_sum_to_one():
    lesions = [TrueLesion("one", "x", 3.0), TrueLesion("one", "y", 1.0), TrueLesion("two", "x")]
    assert MarkStudy.of(READINGS, lesions, []).lesion_weight.tolist() == [0.75, 0.25, 1.0]


@pytest.mark.parametrize(
    ("readings", "lesions", "marks", "match"),
    [
        ([], [], [], "nobody read a case"),
        (READINGS, [*LESIONS, LESIONS[0]], [], "lesion 'x' of case 'two' stands twice"),
        (READINGS, LESIONS, [ScoredMark("C", "ann", "one", None, 1.0)], "is not said to have read it"),
        (READINGS, LESIONS, [ScoredMark("A", "ann", "well", "x", 1.0)], "which is not there"),
        (READINGS, LESIONS, [ScoredMark("A", "ann", "one", None, np.nan)], "must be finite"),
        (READINGS, [TrueLesion("one", "x", 1.0), TrueLesion("one", "y")], [], "some lesions of case 'one'"),
        (READINGS, [TrueLesion("one", "x", 0.0)], [], "not above 0"),
    ],
)
def test_what_is_no_study(readings, lesions, marks, match):
    with pytest.raises(UserError, match=match):
        MarkStudy.of(readings, lesions, marks)


def test_places_that_are_none():
    with pytest.raises(UserError, match="no place or no radius"):
        MarkStudy.of_places(READINGS, LESIONS, [])
    mark = PlacedMark("A", "ann", "one", np.nan, 1.0, 1.0)
    with pytest.raises(UserError, match="a mark on case 'one' has no place"):
        MarkStudy.of_places(READINGS, [TrueLesion("one", "x", row_px=1, column_px=1, radius_px=1)], [mark])


def located(seed=0, n=20):
    """One mark on every image."""
    rng = np.random.default_rng(seed)
    cases = [f"c{index}" for index in range(2 * n)]
    readings = [CaseReading("A", reader, case) for reader in ("ann", "bob") for case in cases]
    lesions = [TrueLesion(case, "x") for case in cases[:n]]
    marks = [
        ScoredMark("A", one.reader, one.case, "x" if one.case in cases[:n] and rng.random() < 0.7 else None, rating)
        for one, rating in zip(readings, rng.normal(size=len(readings)).round(1), strict=True)
    ]
    return MarkStudy.of(readings, lesions, marks)


def test_lroc_ratings_of_marks_have_the_lroc_area():
    study = located()
    ratings = lroc_study(study)
    for reader in range(2):
        scores = ratings.scores[0, reader]
        mine = study.mark_at[:, 1] == reader
        order = np.argsort(study.mark_at[mine, 2])
        raw, hit = study.mark_rating[mine][order], (study.mark_at[mine, 3] != NO_LESION)[order]
        present = ratings.signal_present
        wanted = lroc_area(raw[present], raw[~present], hit[present])
        assert auc(scores[present], scores[~present]) == pytest.approx(wanted)


def test_lroc_needs_one_mark_on_each_image():
    with pytest.raises(UserError, match="has 0 marks of reader 'ann'"):
        lroc_study(MarkStudy.of(READINGS, LESIONS, []))
