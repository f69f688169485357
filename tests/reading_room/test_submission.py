"""What browsers send is held against the protocol before anything is done with it."""

import json

import pytest

from taskct.reading_room.protocol import ALTERNATIVES, Display, Protocol
from taskct.reading_room.submission import InvalidBody, read_event, read_submission


def protocol(design, scale=5):
    scale = 0 if design in ALTERNATIVES else scale
    return Protocol(
        "0" * 12, "Discs", design, scale, 20, 4, 0, 32, 48, 0.5, Display(40.0, 400.0, True), ("Look.",), "Which?"
    )


MARK = {"row_px": 3.5, "column_px": 47.4, "rating": 5}
GOOD = {
    "2afc": {"choice": 1, "rating": None, "marks": []},
    "4afc": {"choice": 3, "rating": None, "marks": []},
    "rating": {"choice": None, "rating": 5, "marks": []},
    "locate": {"choice": None, "rating": 5, "marks": [MARK]},
    "froc": {"choice": None, "rating": None, "marks": [MARK] * 100},
}


def body(design, **changes):
    rest = {"phase": "reading", "position": 19, "seconds": 2, "displayed": {"centre_hu": 0, "width_hu": 1, "zoom": 1}}
    return json.dumps({**rest, **GOOD[design], **changes}).encode()


@pytest.mark.parametrize("design", GOOD)
def test_an_answer_of_each_design_is_read(design):
    read = read_submission(body(design), protocol(design))
    good = GOOD[design]
    assert (read.position, read.seconds, read.choice, read.rating) == (19, 2.0, good["choice"], good["rating"])
    assert [(mark.row_px, mark.column_px, mark.rating) for mark in read.marks] == [(3.5, 47.4, 5)] * len(good["marks"])
    for other in GOOD.keys() - {design}:
        if other in ALTERNATIVES and design in ALTERNATIVES:
            continue
        with pytest.raises(InvalidBody):
            read_submission(body(other), protocol(design))


@pytest.mark.parametrize(("scale", "right", "wrong"), [(5, (1, 5), (0, 6)), (101, (0, 100), (-1, 101))])
def test_confidence_is_on_the_scale(scale, right, wrong):
    for rating in right:
        assert read_submission(body("rating", rating=rating), protocol("rating", scale)).rating == rating
    for rating in (*wrong, 2.0, True, "3", None, 10**400):
        with pytest.raises(InvalidBody, match="rating is a whole number from"):
            read_submission(body("rating", rating=rating), protocol("rating", scale))


@pytest.mark.parametrize(
    ("design", "changes", "what"),
    [
        ("2afc", {"choice": 2}, "choice is a whole number from 0 to 1"),
        ("2afc", {"choice": -1}, "choice is"),
        ("2afc", {"choice": True}, "choice is"),
        ("2afc", {"position": 20}, "position is a whole number from 0 to 19"),
        ("2afc", {"phase": "training", "position": 4}, "position is a whole number from 0 to 3"),
        ("2afc", {"phase": "key"}, "phase is"),
        ("2afc", {"phase": ["reading"]}, "phase is"),
        ("2afc", {"seconds": -0.1}, "seconds is a number from"),
        ("2afc", {"seconds": 1e9}, "seconds is a number from"),
        ("2afc", {"seconds": 10**400}, "seconds is a number from"),
        ("2afc", {"seconds": None}, "seconds is a number from"),
        ("2afc", {"displayed": None}, "displayed is an object of"),
        ("2afc", {"displayed": {"centre_hu": "x", "width_hu": 1, "zoom": 1}}, "displayed.centre_hu"),
        ("2afc", {"more": 1}, "the answer is an object of"),
        ("locate", {"marks": []}, "marks holds the one most suspicious place"),
        ("locate", {"marks": [MARK, MARK]}, "marks holds the one most suspicious place"),
        ("locate", {"marks": [MARK | {"rating": 4}]}, "the rating of the image"),
        ("froc", {"marks": [MARK] * 101}, "marks is a list of at most 100"),
        ("froc", {"marks": [MARK | {"row_px": 31.6}]}, r"marks\[0\].row_px is a number from -0.5 to 31.5"),
        ("froc", {"marks": [MARK | {"column_px": -0.6}]}, r"marks\[0\].column_px is a number from -0.5 to 47.5"),
        ("froc", {"marks": [MARK, MARK | {"rating": 6}]}, r"marks\[1\].rating"),
        ("froc", {"marks": [[1, 2, 3]]}, r"marks\[0\] is an object of"),
        ("froc", {"marks": {"0": MARK}}, "marks is a list"),
    ],
)
def test_what_is_no_answer_is_refused_with_what_is_wrong(design, changes, what):
    with pytest.raises(InvalidBody, match=what):
        read_submission(body(design, **changes), protocol(design))


@pytest.mark.parametrize(
    "text", [b"", b"\xff", b"{", b"null", b"[" * 60000, b'{"seconds": NaN}', b'{"position": ' + b"9" * 5000 + b"}"]
)
def test_what_is_no_json_is_refused(text):
    for read in (read_event, lambda body: read_submission(body, protocol("2afc"))):
        with pytest.raises(InvalidBody):
            read(text)


def test_numbers_beyond_all_bounds_are_refused():
    for seconds in (b"1e400", b"-1e400"):
        with pytest.raises(InvalidBody, match="seconds is a number from"):
            read_submission(body("2afc", seconds=7777).replace(b"7777", seconds), protocol("2afc"))
    with pytest.raises(InvalidBody, match="detail is an object"):
        read_event(b'{"kind": "display", "detail": {"ratio": 1e400}}')


def test_events_are_of_a_kind_and_small():
    assert read_event(b'{"kind": "display", "detail": {"ratio": 1.5}}') == ("display", {"ratio": 1.5})
    for kind, detail in (("close", {}), ("begin", []), ("begin", {"x": "y" * 4000}), (["begin"], {})):
        with pytest.raises(InvalidBody):
            read_event(json.dumps({"kind": kind, "detail": detail}).encode())
