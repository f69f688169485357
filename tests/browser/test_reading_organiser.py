"""The organiser's page in Chromium: it keeps itself up to date, and does the same without JavaScript."""

import shutil

import pytest

from reading_client import HttpAsker, PageClient
from reading_pages import HASTE, served
from reading_studies import make_disc_study
from taskct.reading_room.guard import Guard

NAME = "reading.test"


@pytest.fixture
def room(tmp_path):
    study = make_disc_study(tmp_path / "study", "rating", scale=5, n_cases=12, n_training=0, readers=("ann", "bo"))
    with served(study) as opened:
        yield opened


@pytest.fixture
def ann(room):
    asker = HttpAsker(room.port)
    yield PageClient(asker, room.study.links.readers["ann"])
    asker.close()


@pytest.fixture
def open_organiser(browser, room):
    contexts, said = [], []

    def open_it(*, by=browser, at=None, **options):
        contexts.append(by.new_context(**options))
        contexts[-1].add_init_script(HASTE)
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.goto(f"{at or room.url}o/{room.study.links.organiser}/")
        return page

    yield open_it, said
    for context in contexts:
        context.close()


def answer(page, n):
    state = page.event("begin").json
    for _ in range(n):
        state = page.answer(state["trial"], rating=3, seconds=0.1).json


def close_study(page):
    page.get_by_text("Close the study", exact=True).click()
    button = page.get_by_role("button", name="Close the study for all readers")
    button.click()
    assert page.get_by_text("The study is closed.").count() == 0  # not before it was said twice
    page.get_by_label("I want to end it.").check()
    button.click()
    page.get_by_text("The study is closed.").wait_for()


def test_progress_comes_by_itself_and_the_study_can_be_ended(open_organiser, room, ann):
    opened, said = open_organiser
    page = opened()
    row = page.get_by_role("row", name="ann")
    assert "0 of 24" in row.inner_text()
    answer(ann, 12)
    page.get_by_text("the same answer 12 times on end; 12 answers within 0.3 s").wait_for()
    assert "12 of 24" in row.inner_text()
    close_study(page)
    assert room.book.is_closed
    assert ann.state()["phase"] == "closed"
    assert page.get_by_role("button").count() == 0
    assert said == []


def test_a_server_that_is_away_is_told_and_comes_back(open_organiser, room):
    opened, said = open_organiser
    page = opened()
    room.stop()
    page.get_by_text("The server does not answer; what you see may be old.").wait_for()
    room.start()
    page.get_by_text("The server does not answer").wait_for(state="detached")
    assert {text.split(":")[0] for text in said} == {"Failed to load resource"}


def test_without_javascript_it_says_and_does_the_same(open_organiser, room, ann):
    opened, said = open_organiser
    answer(ann, 12)
    page = opened(java_script_enabled=False)
    assert "12 of 24" in page.get_by_role("row", name="ann").inner_text()
    close_study(page)
    assert room.book.is_closed
    assert said == []


@pytest.fixture
def elsewhere(browser):
    """A browser to which a name that it does not trust leads to this machine."""
    chromium, options = browser.browser_type, ["--no-sandbox", f"--host-resolver-rules=MAP {NAME} 127.0.0.1"]
    started = chromium.launch(executable_path=shutil.which("chromium"), args=options)
    yield started
    started.close()


def test_the_form_works_by_a_name_over_plain_http(open_organiser, room, elsewhere, monkeypatch):
    """There Chromium tells no `Sec-Fetch-Site`, and the form's `Origin` alone says where it comes from."""
    opened, _ = open_organiser
    monkeypatch.setattr(Guard, "knows", lambda self, hosts: hosts == [f"{NAME}:{room.port}"])
    page = opened(by=elsewhere, at=f"http://{NAME}:{room.port}/", java_script_enabled=False)
    asked = []
    page.on("request", lambda request: asked.append(request.all_headers()) if request.method == "POST" else None)
    close_study(page)
    assert room.book.is_closed
    assert [("sec-fetch-site" in one, one["origin"]) for one in asked] == [(False, f"http://{NAME}:{room.port}")]


def test_a_foreign_name_that_leads_here_opens_nothing(open_organiser, room, elsewhere):
    opened, _ = open_organiser
    page = opened(by=elsewhere, at=f"http://{NAME}:{room.port}/")
    assert page.inner_text("body") == (
        "This server is not known by that name. The organiser can say which address to open."
    )


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1024)])
def test_axe_finds_nothing(open_organiser, ann, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    opened, _ = open_organiser
    answer(ann, 12)
    page = opened(color_scheme=scheme, viewport={"width": width, "height": 800})
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
