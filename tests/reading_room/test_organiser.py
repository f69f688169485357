"""How far a study is, and what strikes about how readers go about it; all without arms and truth."""

from datetime import UTC, datetime, timedelta

import pytest

from taskct.reading_room.answer import Answer, Mark
from taskct.reading_room.conduct import reader_conduct
from taskct.reading_room.order import ShownTrial

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def given(decisions, *, seconds=2.0, gaps=None):
    """Answers with these choices of slot, or ratings, and the order they belong to."""
    order = [ShownTrial(n, (2 * n, 2 * n + 1), 0) for n in range(len(decisions))]
    at, answers = START, []
    for n, decision in enumerate(decisions):
        at += timedelta(seconds=gaps[n] if gaps else 3.0)
        answers.append(Answer("ann", "reading", n, n, seconds, at.isoformat(), **decision(order[n])))
    return answers, order


def slot(which):
    return lambda shown: {"choice": shown.images[which]}


def rated(value, n_marks=0):
    return lambda shown: {"rating": value, "marks": tuple(Mark(1.0 + i, shown.trial, value) for i in range(n_marks))}


@pytest.mark.parametrize(
    ("decisions", "told"),
    [
        ([slot(0)] * 9, ()),
        ([slot(0)] * 10, ("the same answer 10 times on end",)),
        ([slot(1)] + [slot(0)] * 19, ()),
        ([slot(1)] + [slot(0)] * 20, ("the same answer 20 times on end",)),
        ([slot(0)] * 20 + [slot(1)], ()),
        ([rated(3)] * 25, ("the same answer 25 times on end",)),
        ([rated(3), rated(4)] * 10, ()),
        ([rated(3, 1)] * 10, ("the same answer 10 times on end",)),
        ([rated(3, 1), rated(3, 2)] * 10, ()),
    ],
)
def test_a_reader_who_answers_always_the_same_is_told(decisions, told):
    assert reader_conduct(*given(decisions)).flags == told


def test_answers_that_nobody_can_have_thought_about_are_told():
    decisions = [slot(0), slot(1)] * 5
    answers, order = given(decisions, seconds=0.29)
    assert reader_conduct(answers, order).flags == ("10 answers within 0.3 s",)
    assert reader_conduct(answers[:1], order).flags == ("1 answer within 0.3 s",)
    assert reader_conduct(*given(decisions, seconds=0.3)).flags == ()


def test_pace_is_that_of_the_last_trials_without_the_breaks():
    conduct = reader_conduct(*given([slot(0), slot(1)] * 3, gaps=[0, 10, 20, 3600, 20, 10]))
    assert conduct.per_hour == pytest.approx(240)  # four gaps in a minute
    assert conduct.median_s == 2.0
    put_back = reader_conduct(*given([slot(0), slot(1)] * 3, gaps=[0, 10, 20, -3600, 20, 10]))  # the clock
    assert put_back.per_hour == pytest.approx(240)
    assert (reader_conduct([], []).per_hour, reader_conduct([], []).median_s) == (None, None)


def test_progress_is_told_by_reader(serve_app):
    served = serve_app("rating", scale=5, n_training=1, n_cases=12, readers=("Ann", "Bo"), break_every=10)
    ann = served.page("Ann")
    ann.event("display", steps=11)
    state = ann.event("begin").json
    for _ in range(11):
        state = ann.answer(state["trial"], rating=3, seconds=0.2).json
    ann.event("resume")
    told = served.organiser("progress").json
    assert (told["n_trials"], told["n_training"], told["is_closed"], told["problems"]) == (24, 1, False, [])
    first, second = told["readers"]
    assert (first["reader"], first["stage"], first["training"], first["answered"]) == ("Ann", "reading", 1, 10)
    assert (first["breaks"], first["display_checked"], first["median_s"]) == (1, True, 0.2)
    assert first["flags"] == ["the same answer 10 times on end", "10 answers within 0.3 s"]
    assert (second["stage"], second["answered"], second["median_s"], second["last_seen"]) == (
        "instructions", 0, None, None,
    )  # fmt: skip
    page = served.organiser().body.decode()
    assert "the same answer 10 times on end; 10 answers within 0.3 s" in page
    assert 'http-equiv="refresh"' in page
    assert len(served.book.answers()) == 10


def test_a_title_on_the_organisers_page_is_text(serve_app):
    served = serve_app("2afc", n_training=0)
    object.__setattr__(served.study.protocol, "title", "<script>alert(1)</script>\u202e")
    page = served.organiser().body.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u202e" in page


def test_a_disk_that_is_nearly_full_is_told(serve_app, monkeypatch):
    monkeypatch.setattr("taskct.reading_room.organiser.LITTLE_ROOM", 2**70)
    served = serve_app("2afc", n_training=0)
    (told,) = served.organiser("progress").json["problems"]
    assert told.startswith("The disk of the study has ")
