"""What the server of a reading study answers: pages, states, images, answers, refusals."""

import json
import os
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from fuzz.mutate import mutate
from reading_client import decide_by_middle
from reading_studies import make_disc_study
from taskct.reading_room.answer import Mark
from taskct.reading_room.app import NOTHING
from taskct.reading_room.guard import HEADERS
from taskct.reading_room.sitting import feedback
from taskct.reading_room.submission import Submission

DESIGNS = (("2afc", None), ("4afc", None), ("rating", 5), ("rating", 101), ("locate", 5), ("froc", 101))


@pytest.mark.parametrize(("design", "scale"), DESIGNS)
def test_a_whole_study_is_read_and_kept(serve_app, design, scale):
    served = serve_app(design, scale=scale, n_cases=6, break_every=5, n_training=2)
    page, protocol = served.page(), served.study.protocol
    assert page.state()["phase"] == "instructions"
    assert page.state()["protocol"] == json.loads(json.dumps(protocol.as_dict()))
    last = page.read(decide_by_middle(design, protocol.scale))
    assert (last["phase"], last["trial"], last["answered"]) == ("done", None, last["total"])
    assert last["total"] == protocol.n_trials + 2
    answers, order = served.book.answers(), served.study.orders["reader-1"]
    assert [one.trial for one in answers] == [shown.trial for shown in order]
    assert [one.position for one in answers] == list(range(protocol.n_trials))
    kinds = [event.kind for event in served.book.events()]
    assert kinds == ["begin"] + ["resume"] * ((protocol.n_trials - 1) // 5)
    if design in ("2afc", "4afc"):  # what is kept is the row of the image that was looked at
        for one, shown in zip(answers, order, strict=True):
            middle = [served.study.images[row][14:18, 14:18].mean() for row in shown.images]
            assert one.choice == shown.images[int(np.argmax(middle))]


def test_images_are_those_of_the_trial_to_answer_and_no_others(serve_app):
    served = serve_app("4afc", n_training=2, n_cases=3)
    page, study = served.page(), served.study
    assert page.get("image/training/0/0").status == 404  # before it began
    trial = page.event("begin").json["trial"]
    assert trial["images"] == [f"image/training/0/{slot}" for slot in range(4)]
    rows = study.training[0].images
    for image, row in zip(page.images(trial), rows, strict=True):
        assert np.array_equal(image, study.training_images[row])
    for elsewhere in ("training/1/0", "reading/0/0", "training/0/4", "training/0/-1", "key/0/0", "training/-1/0"):
        assert page.get(f"image/{elsewhere}").status == 404
    for number in ("9" * 10, "9" * 5000, "\u0663", "0x0", "1_0", "00.0"):
        assert page.get(f"image/training/{number}/0").status == 404
    trial = page.answer(trial, choice=0).json["trial"]
    assert page.get("image/training/0/3").status == 200  # for its feedback
    trial = page.answer(trial, choice=0).json["trial"]
    assert trial["phase"] == "reading"
    assert page.get("image/training/0/0").status == 404
    assert page.get("image/training/1/0").status == 200
    for image, row in zip(page.images(trial), study.orders["reader-1"][0].images, strict=True):
        assert np.array_equal(image, study.images[row])
    page.answer(trial, choice=0)
    for before in ("training/1/0", "reading/0/0"):
        assert page.get(f"image/{before}").status == 404


def test_training_tells_what_was_right_and_where(serve_app):
    served = serve_app("locate", scale=5, n_training=2, n_cases=4)
    page = served.page()
    state = page.event("begin").json
    for trial in served.study.training:
        place = {"row_px": 3.0, "column_px": 3.0}
        if trial.lesions:
            place = {"row_px": trial.lesions[0].row_px + 1.0, "column_px": trial.lesions[0].column_px - 1.0}
        rating = 5 if trial.lesions else 1
        reply = page.answer(state["trial"], rating=rating, marks=[place | {"rating": rating}])
        state, told = reply.json, reply.json["feedback"]
        assert told["correct"] is True
        assert told["present"] is bool(trial.lesions)
        assert told["choice"] is None
        assert told["lesions"] == [
            {"row_px": one.row_px, "column_px": one.column_px, "diameter_px": one.diameter_mm / 1.0}
            for one in trial.lesions
        ]
    reply = page.answer(state["trial"], rating=5, marks=[{"row_px": 1, "column_px": 1, "rating": 5}])
    assert "feedback" not in reply.json


def test_a_mark_on_the_signal_is_not_right_where_the_reader_denies_it(serve_app):
    served = serve_app("locate", scale=5, n_training=2, n_cases=4)
    page = served.page()
    state = page.event("begin").json
    for trial in served.study.training:
        place = {"row_px": 3.0, "column_px": 3.0}
        if trial.lesions:
            place = {"row_px": trial.lesions[0].row_px, "column_px": trial.lesions[0].column_px}
        reply = page.answer(state["trial"], rating=1, marks=[place | {"rating": 1}])
        state, told = reply.json, reply.json["feedback"]
        assert told["correct"] is not told["present"]


@pytest.mark.parametrize(("rating", "correct"), [(5, True), (3, None), (1, False)])
def test_a_mark_is_judged_by_its_confidence_where_the_place_of_the_signal_is_not_known(tmp_path, rating, correct):
    study = make_disc_study(tmp_path / "study", "locate", scale=5, n_training=2, n_cases=4)
    trial = replace(next(trial for trial in study.training if trial.lesions), lesions=())
    shown = {"centre_hu": 0.0, "width_hu": 100.0, "zoom": 1.0}
    sent = Submission("training", 0, 1.0, None, rating, (Mark(2.0, 3.0, rating),), shown)
    told = feedback(trial, sent, study.protocol)
    assert told == {"correct": correct, "choice": None, "lesions": [], "present": True}


def test_training_says_where_a_reader_was_wrong(serve_app):
    served = serve_app("4afc", n_training=1, n_cases=3)
    page, present = served.page(), served.study.training[0].present
    trial = page.event("begin").json["trial"]
    told = page.answer(trial, choice=(present + 1) % 4).json["feedback"]
    assert (told["correct"], told["choice"]) == (False, present)


def test_a_second_window_goes_on_where_the_first_is_and_the_stale_one_is_told(serve_app):
    served = serve_app("2afc", n_training=0, n_cases=6)
    first, second = served.page(), served.page()
    trial = first.event("begin").json["trial"]
    assert second.state()["trial"] == trial
    state = second.answer(trial, choice=1).json
    stale = first.answer(trial, choice=0)
    assert stale.status == 409
    assert stale.json["state"] == state
    assert "answered already" in stale.json["error"]
    # The same choice from a page that looked longer is another answer; the very same one again is none.
    assert first.answer(trial, choice=1, seconds=9.0).status == 409
    again = second.answer(trial, choice=1)
    assert (again.status, again.json) == (200, state)
    assert [one.choice for one in served.book.answers()] == [served.study.orders["reader-1"][0].images[1]]
    ahead = first.answer({"phase": "reading", "position": 3}, choice=0)
    assert ahead.status == 409


def test_a_reader_goes_on_after_the_server_was_started_again(serve_app):
    served = serve_app("rating", scale=5, n_training=1, n_cases=6)
    page = served.page()
    state = page.event("begin").json
    for _ in range(4):
        state = page.answer(state["trial"], rating=2).json
    served.book.release()
    again = serve_app.again(served.study)
    state.pop("feedback", None)
    assert again.page().state() == state
    assert state["position"] == 3


def test_breaks_are_offered_taken_and_told(serve_app):
    served = serve_app("rating", scale=5, n_training=0, n_cases=6, break_every=2)
    page = served.page()
    assert page.event("resume").json["phase"] == "instructions"
    state = page.event("begin").json
    assert page.event("begin").json == state
    state = page.answer(page.answer(state["trial"], rating=1).json["trial"], rating=1).json
    assert (state["phase"], state["trial"], state["position"]) == ("break", None, 2)
    assert page.get("image/reading/2/0").status == 404
    assert page.answer({"phase": "reading", "position": 2}, rating=1).status == 409
    state = page.event("resume").json
    assert state["phase"] == "reading"
    assert page.event("pause").json["phase"] == "break"
    assert page.event("pause").json["phase"] == "break"
    assert served.page().state()["phase"] == "break"
    assert page.event("resume").json == state
    assert [event.kind for event in served.book.events()] == ["begin", "resume", "pause", "resume"]


def test_a_link_opens_one_reader_alone(serve_app):
    served = serve_app("rating", scale=5, n_training=0, readers=("ann", "bo"))
    ann, bo = served.page("ann"), served.page("bo")
    ann.answer(ann.event("begin").json["trial"], rating=4)
    assert bo.state()["phase"] == "instructions"
    organiser, reader = served.study.links.organiser, served.study.links.readers["ann"]
    for path in (
        "/", "/r/", "/o/", f"/r/{organiser}/", f"/o/{reader}/", f"/o/{reader}/progress", f"/r/{reader[:-1]}/state",
        f"/r/{reader}x/", "/r/é\udcff/", f"/r/{reader}/state/", f"/r/{reader}/../../", "/static/", "/static/..",
        "/static/organiser.html.j2", "/static/reader.html", "/static/%2e%2e/app.py", "/static/../app.py",
        f"/r/{reader}/image/reading/0/0/0", f"/r/{reader}/key.json", "/answers.sqlite", f"/r/{reader}/answer",
        f"/r/{'a' * 100_000}/", "/docs", "/favicon.ico",
    ):  # fmt: skip
        reply = served.ask("GET", path) if path.isascii() else served.ask("GET", "/r/é/")
        assert (reply.status, reply.body.decode()) == (404, NOTHING), path
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH"):
        assert served.ask(method, f"/r/{reader}/state").status == 404
    assert served.ask("POST", f"/r/{organiser}/answer", b"{}").status == 404
    assert served.ask("POST", f"/o/{reader}/close").status == 404
    assert not served.book.is_closed


def test_a_link_without_its_last_stroke_leads_on(serve_app):
    served = serve_app("2afc", n_training=0)
    token = served.study.links.readers["reader-1"]
    reply = served.ask("GET", f"/r/{token}")
    assert (reply.status, reply.headers["location"]) == (308, f"{token}/")
    assert served.ask("GET", "/r/nobody").status == 404


def test_every_response_says_who_may_do_what_with_it(serve_app):
    served = serve_app("2afc", n_training=1)
    page = served.page()
    page.read(decide_by_middle("2afc", 0))
    served.organiser()
    served.organiser("progress")
    served.ask("GET", "/nothing")
    served.ask("GET", "/static/organiser.css")
    served.ask("GET", "/", headers={"host": "evil.example"})
    page.post("answer", b"{")
    assert {reply.status for *_, reply in served.ask.replies} >= {200, 400, 404, 421}
    for _, path, reply in served.ask.replies:
        own = {"/static/organiser.css": {"cache-control": "no-cache"}}.get(path, {})
        own |= {"referrer-policy": "same-origin"} if path == f"/o/{served.study.links.organiser}/" else {}
        assert {name: reply.headers[name] for name in HEADERS} == HEADERS | own
        assert "set-cookie" not in reply.headers
        assert "server" not in reply.headers
    kinds = {path.split("/")[-1]: reply.headers["content-type"] for _, path, reply in served.ask.replies}
    assert kinds["organiser.css"] == "text/css; charset=utf-8"
    assert kinds["state"] == "application/json"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("LOCALHOST:8000", 200), ("127.0.0.1:1", 200), ("localhost.:8000", 200),
        ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("10.0.0.1", 421), ("", 421), ("localhost:x", 421),
        ("x@localhost", 421), ("localhost/", 421), ("[::1", 421),
    ],
)  # fmt: skip
def test_the_server_answers_to_its_own_names_alone(serve_app, host, status):
    served = serve_app("2afc", n_training=0)
    token = served.study.links.readers["reader-1"]
    assert served.ask("GET", f"/r/{token}/state", headers={"host": host}).status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, 200),
        ({"origin": "http://localhost:8000"}, 200),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://localhost:8000"}, 403),
        ({"sec-fetch-site": ""}, 403),
        ({"origin": "http://localhost:8001"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "http://evil.example"}, 403),
    ],
)
def test_what_changes_something_comes_from_the_servers_own_page(serve_app, headers, status):
    served = serve_app("2afc", n_training=0)
    token, body = served.study.links.readers["reader-1"], {"kind": "begin", "detail": {}}
    assert served.ask("POST", f"/r/{token}/event", body, headers).status == status
    assert served.page().state()["phase"] == ("reading" if status == 200 else "instructions")
    assert served.organiser("close", "POST", headers=headers).status == (303 if status == 200 else 403)


def test_bodies_are_small_and_what_they_say_is_checked(serve_app):
    served = serve_app("2afc", n_training=0)
    page = served.page()
    trial = page.event("begin").json["trial"]
    assert page.post("answer", b" " * 64_001).status == 413
    wrong = page.post("answer", page.body(trial, choice=2))
    assert (wrong.status, wrong.json) == (
        400,
        {"error": "The answer was not understood: choice is a whole number from 0 to 1."},
    )
    assert page.event("close").status == 400
    assert page.state()["answered"] == 0


@pytest.mark.parametrize("what", ["answer", "event"])
def test_no_damaged_body_is_more_than_refused(serve_app, what):
    """Each is taken or refused; what is taken is read back, and the reader can read on."""
    served = serve_app("froc", scale=5, n_training=1, n_cases=20)
    page, rng = served.page(), random.Random(0)
    state = page.event("begin").json
    counts = Counter()
    mark = {"row_px": 3, "column_px": 4.5, "rating": 5}
    for _ in range(250):
        body = {"kind": "display", "detail": {"screen": [1920, 1080]}}
        if what == "answer":
            if state["trial"] is None:
                break
            body = page.body(state["trial"], marks=[mark] * 2)
        reply = page.post(what, mutate(json.dumps(body).encode(), ".json", rng))
        counts[reply.status] += 1
        state = reply.json if reply.status == 200 else state
    assert set(counts) <= {200, 400, 409, 413}
    assert counts[200] > 0
    assert counts[400] > 100
    served.book.displayed()
    assert len(served.book.answers("training")) + len(served.book.answers()) == page.state()["answered"]
    assert len(served.book.events()) >= 1


def test_an_answer_that_cannot_be_stored_is_told_to_reader_and_organiser_and_is_taken_later(serve_app):
    served = serve_app("rating", scale=5, n_training=0, n_cases=60)
    page = served.page()
    state = page.event("begin").json
    served.book._connection.execute("PRAGMA max_page_count = 6")
    served.page().displayed = page.displayed
    n = 0
    while (reply := page.answer(state["trial"], rating=3)).status == 200:
        state, n = reply.json, n + 1
    assert (reply.status, n > 5) == (507, True)
    assert reply.json == {
        "error": "Your answer could not be stored on the server, and nothing before it is lost. "
        "Please tell the organiser."
    }
    assert page.state() == state
    told = "An answer could not be stored: the disk of the server is full; make room on it, and try again."
    assert told in served.organiser("progress").json["problems"]
    assert told in served.organiser().body.decode()
    served.book._connection.execute("PRAGMA max_page_count = 1000")
    assert page.answer(state["trial"], rating=3).status == 200
    assert len(served.book.answers()) == n + 1
    assert told not in served.organiser("progress").json["problems"]


def test_nobody_fills_the_disk_with_pauses(serve_app, monkeypatch):
    monkeypatch.setattr("taskct.reading_room.sitting.MOST_EVENTS", 3)
    served = serve_app("2afc", n_training=0)
    page = served.page()
    for number in range(6):
        page.event("display", number=number)
    assert [event.detail["number"] for event in served.book.events()] == [0, 1, 2]


def test_nobody_is_held_in_a_break_by_having_taken_many(serve_app, monkeypatch):
    monkeypatch.setattr("taskct.reading_room.sitting.MOST_EVENTS", 3)
    served = serve_app("rating", scale=5, n_training=0, n_cases=6, break_every=1)
    page = served.page()
    state = page.event("begin").json
    for _ in range(11):
        assert page.answer(state["trial"], rating=1).json["phase"] == "break"
        state = page.event("resume").json
    assert (state["phase"], state["position"]) == ("reading", 11)
    served = serve_app("rating", scale=5, n_training=0)
    page = served.page()
    page.event("begin")
    phases = [page.event(kind).json["phase"] for kind in ["pause", "resume"] * 5]
    assert phases == ["break", "reading"] * 3 + ["reading"] * 4


@pytest.mark.parametrize("how", ["changed", "shorter", "deleted", "moved"])
def test_images_that_are_changed_while_they_are_shown_are_shown_no_more(serve_app, how):
    served = serve_app("2afc", n_training=0, readers=("ann", "bo"))
    page, images = served.page("ann"), served.study.path / "images.npy"
    trial = page.event("begin").json["trial"]
    first, content = page.images(trial), images.read_bytes()
    moved = served.study.path.with_name("moved")
    if how == "changed":
        images.write_bytes(content[:200] + bytes(len(content) - 200))
    elif how == "shorter":
        os.truncate(images, 300)  # what is mapped and gone would end the process
    elif how == "deleted":
        images.unlink()
    else:
        served.study.path.rename(moved)
    for _ in range(2):
        reply = page.get(trial["images"][0])
        assert (reply.status, list(reply.json)) == (503, ["error"])
        assert "tell the organiser" in reply.json["error"]
        assert str(served.study.path) not in reply.json["error"]
    told = served.organiser("progress").json["problems"]
    assert told[-1].startswith(
        f"Images cannot be shown: {images} {'is missing' if how in ('deleted', 'moved') else 'has'}"
    )
    if how == "moved":
        assert "the folder of the study was moved or deleted while it was served; put it back" in told[0]
        assert page.answer(trial, choice=0).status == 507
        moved.rename(served.study.path)
    else:
        images.write_bytes(content)
    assert all(np.array_equal(*pair) for pair in zip(page.images(trial), first, strict=True))
    assert page.answer(trial, choice=0).status == 200
    assert served.organiser("progress").json["problems"] == []


def test_answers_that_are_damaged_while_the_study_is_served_are_told(serve_app):
    served = serve_app("rating", scale=5, n_training=0)
    page = served.page()
    page.answer(page.event("begin").json["trial"], rating=1)
    served.book._connection.execute("UPDATE answers SET marks = '{'")
    reply = page.answer({"phase": "reading", "position": 0}, rating=2)
    assert (reply.status, list(reply.json)) == (503, ["error"])
    organiser = served.organiser()
    assert organiser.status == 503
    assert "cannot be read as answers of a reading study" in organiser.body.decode()
    assert organiser.headers["content-type"] == "text/plain; charset=utf-8"


def test_the_organiser_ends_the_study(serve_app):
    served = serve_app("rating", scale=5, n_training=0, readers=("ann", "bo"))
    page = served.page("ann")
    trial = page.event("begin").json["trial"]
    following = page.answer(trial, rating=4).json["trial"]
    reply = served.organiser("close", "POST")
    assert (reply.status, reply.headers["location"]) == (303, "./")
    refused = page.answer(following, rating=4)
    assert (refused.status, refused.json["state"]["phase"]) == (409, "closed")
    assert page.answer(trial, rating=4).status == 200  # sent again, since it never heard that it was kept
    assert page.get("image/reading/1/0").status == 404
    assert served.page("bo").event("begin").json["phase"] == "closed"
    assert len(served.book.answers()) == 1
    assert "The study is closed." in served.organiser().body.decode()
