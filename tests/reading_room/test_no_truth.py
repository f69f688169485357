"""Nothing that a server sends before the study is closed depends on the truth: every byte of a whole study is read."""

import hashlib
import json
import re
import shutil

import pytest

from reading_client import decide_by_middle
from taskct.files import write_json
from taskct.reading_room.folder import CARD, KEY, TRAINING, StudyFolder
from taskct.reading_room.guard import HEADERS
from taskct.reading_room.key import Key

READERS, ARMS = ("Ann", "Bo"), ("arm-of-quiet-filter", "arm-of-loud-filter")


@pytest.fixture
def stopped_clock(monkeypatch):
    for module in ("answers", "sitting", "app"):
        monkeypatch.setattr(f"taskct.reading_room.{module}.now", lambda: "2026-01-02T03:04:05.000+00:00")


def all_replies(served):
    """Every reply of a study that all readers read to the end, with mistakes on the way."""
    design, scale = served.study.protocol.design, served.study.protocol.scale
    for reader in READERS:
        page = served.page(reader)
        page.event("display", steps=[1, 2])
        page.read(decide_by_middle(design, scale))
        page.post("answer", b"{}")
        page.answer({"phase": "reading", "position": 0}, rating=1)
        page.get("image/reading/0/0")
        served.organiser("progress")
        served.organiser()
    for path in ("/", "/static/organiser.js", "/nothing"):
        served.ask("GET", path)
    return [(method, path, reply.status, reply.headers, reply.body) for method, path, reply in served.ask.replies]


def other_study(study, name, change):
    """A copy of a study with files changed, as if it had been made so."""
    path = study.path.with_name(name)
    shutil.copytree(study.path, path, ignore=shutil.ignore_patterns("answers.sqlite*"))
    change(path)
    card = json.loads((path / CARD).read_text())
    for file in card["sha256"]:
        if (path / file).exists():
            card["sha256"][file] = hashlib.sha256((path / file).read_bytes()).hexdigest()
    write_json(path / CARD, card)
    return StudyFolder.open(path)


def swap_truth(path):
    """The other truth everywhere: arms exchanged, classes exchanged, lesions elsewhere, other cases and groups."""
    key = json.loads((path / KEY).read_text())
    n = len(key["trials"][0]["images"])
    for trial in key["trials"]:
        trial["arm"] = ARMS[1 - ARMS.index(trial["arm"])]
        trial["present"] = (trial["present"] + 1) % n if n > 1 else None if trial["present"] == 0 else 0
        trial["lesions"] = [{"row_px": 2.0, "column_px": 3.0, "diameter_mm": 9.0, "contrast_hu": 1.0}] * 2
        trial |= {"case": "another", "background": "another", "group": "another"}
    key |= {"radius_mm": 99.0, "source": "another"}
    write_json(path / KEY, key)


@pytest.mark.parametrize("design", ["2afc", "4afc", "rating", "locate", "froc"])
def test_no_byte_of_a_reading_depends_on_the_truth(serve_app, stopped_clock, design):
    served = serve_app(design, readers=READERS, arms=ARMS, n_cases=4, n_training=2)
    study = served.study
    key = study.read_key()
    assert isinstance(key, Key)
    assert set(key.arms) == set(ARMS)
    sent = all_replies(served)
    swapped = serve_app.again(other_study(study, "swapped", swap_truth))
    assert swapped.study.read_key().trials[0].arm != key.trials[0].arm
    assert all_replies(swapped) == sent
    away = serve_app.again(other_study(study, "away", lambda path: (path / KEY).unlink()))
    assert all_replies(away) == sent
    n_reading = sum(b'"phase":"reading"' in body for *_, body in sent)
    n_images = sum("/image/reading/" in path and status == 200 for _, path, status, *_ in sent)
    assert n_reading >= 2 * len(key.trials)
    assert n_images == 2 * len(key.trials) * study.protocol.n_alternatives


def test_the_comparison_sees_a_truth_that_is_sent(serve_app, stopped_clock):
    """Training does tell its truth, so that another truth of training changes what is sent."""
    served = serve_app("2afc", readers=READERS, arms=ARMS, n_cases=4, n_training=2)

    def swap_training(path):
        trials = json.loads((path / TRAINING).read_text())
        for trial in trials:
            trial["present"] = 1 - trial["present"]
        write_json(path / TRAINING, trials)

    other = serve_app.again(other_study(served.study, "other", swap_training))
    sent, of_other = all_replies(served), all_replies(other)
    assert {path for (_, path, *a), (_, _, *b) in zip(sent, of_other, strict=True) if a != b} == {
        f"/r/{token}/answer" for token in served.study.links.readers.values()
    }


@pytest.mark.parametrize("design", ["2afc", "locate"])
def test_nothing_sent_holds_a_name_of_the_study_or_a_row(serve_app, design):
    served = serve_app(design, readers=READERS, arms=ARMS, n_cases=4, n_training=1)
    key, protocol = served.study.read_key(), served.study.protocol
    replies = all_replies(served)
    names = {*key.arms, *(trial.case for trial in key.trials), "key.json", "images.npy", str(served.study.path)}
    names |= set(served.study.links.readers.values()) | {served.study.links.organiser}
    for _, path, _, headers, body in replies:
        if "/image/" in path:
            continue
        text = body.decode() + json.dumps(headers)
        assert [name for name in names if name in text] == []
        other = next(reader for reader in READERS if served.study.links.readers[reader] not in path)
        assert path.startswith("/o/") or other not in text
    for _, path, status, _, body in replies:
        if status == 200 and re.fullmatch(r"/r/.*/(state|event|answer)", path) and "feedback" not in json.loads(body):
            state = json.loads(body)
            assert state.keys() == {"protocol", "phase", "position", "n", "answered", "total", "trial"}
            if state["trial"]:
                slots = range(protocol.n_alternatives)
                phase, position = state["phase"], state["position"]
                images = [f"image/{phase}/{position}/{slot}" for slot in slots]
                assert state["trial"] == {"phase": phase, "position": position, "images": images}


def test_an_image_is_its_pixels_alone(serve_app):
    served = serve_app("rating", scale=5, n_training=0, n_cases=4)
    page = served.page()
    trial = page.event("begin").json["trial"]
    reply = page.get(trial["images"][0])
    row = served.study.orders["reader-1"][0].images[0]
    assert reply.body == served.study.images[row].astype("<i2").tobytes()
    assert reply.headers.keys() - {"content-length", "content-type"} == HEADERS.keys()
