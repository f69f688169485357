"""What the reader's page shows, and what it does when something comes between."""

import io
import shutil
from dataclasses import replace
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from PIL import Image

from reading_pages import EXPECTED, reading, served
from reading_studies import BACKGROUND_HU, make_disc_study

SIZE = 32
MID_GREY = 128


@pytest.fixture
def room_of(tmp_path):
    """Serves a study, and stops at the end."""
    opened = []

    def serve(design="2afc", **options):
        options = {"n_cases": 4, "arms": ("plain",), "n_training": 0, "size": SIZE, **options}
        context = served(make_disc_study(tmp_path / "study", design, **options))
        opened.append(context)
        return context.__enter__()

    yield serve
    for context in opened:
        context.__exit__(None, None, None)


def _image(room, position, slot=0, reader="reader-1"):
    return np.asarray(room.study.images[room.study.orders[reader][position].images[slot]], dtype=int)


def _levels(image, centre, width):
    """DICOM's LINEAR_EXACT to 0 … 255, halves rounded up; centre and width are whole numbers here."""
    level = (255 * (2 * (image - centre) + width) + width) // (2 * width)
    return np.clip(level, 0, 255)


# --- images -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("centre", "width"), [(50, 200), (-600, 1500), (40.5, 1), (40.5, 399), (0, 8000), (7.5, 3)])
def test_every_hu_has_the_grey_level_of_exact_arithmetic(browser, room_of, centre, width):
    with reading(browser, room_of()) as reader:
        reader.open()
        table = reader.page.evaluate(
            "async (window) => Array.from((await import('../../static/grey.js')).greyTable(...window))", [centre, width]
        )
    for hu in {*range(-32768, 32768, 37), *range(floor(centre - width), floor(centre + width) + 2)}:
        level = floor(255 * ((hu - Fraction(centre)) / Fraction(width) + Fraction(1, 2)) + Fraction(1, 2))
        assert table[hu + 32768] == min(max(level, 0), 255), hu


def _stands_at(screen, wanted, left, top):
    """Whether an image stands on a screen exactly; its place is what the browser rounds a fraction of a pixel to."""
    near = [(floor(top) + down, floor(left) + right) for down in (-1, 0, 1, 2) for right in (-1, 0, 1, 2)]
    found = [screen[row : row + len(wanted), column : column + wanted.shape[1]] for row, column in near]
    return any(np.array_equal(part, np.repeat(wanted[..., None], 3, axis=2)) for part in found)


@pytest.fixture(params=[1, 1.25, 2])
def scaled(request, browser):
    """A browser on a screen with so many pixels for each of CSS; Playwright only emulates one, and blends edges."""
    chromium, options = browser.browser_type, ["--no-sandbox", "--window-size=1101,907"]
    flag = f"--force-device-scale-factor={request.param}"
    started = chromium.launch(executable_path=shutil.which("chromium"), args=[*options, flag])
    yield started, request.param
    started.close()


def test_what_stands_on_the_screen_is_the_image_in_whole_pixels(scaled, room_of):
    room, (browser, ratio) = room_of("2afc"), scaled
    with reading(browser, room, viewport=None, no_viewport=True) as reader:
        reader.begin()
        reader.armed(1)
        first = round(8 * ratio)  # of the same size on screens of any density
        for zoom in (first, first - 1):
            assert reader.page.locator(".tools .figure").inner_text().startswith(f"{zoom}×")
            screen = np.array(Image.open(io.BytesIO(reader.page.screenshot())))[..., :3].astype(int)
            for slot in range(2):
                box = reader.page.locator(".sheet canvas").nth(slot).bounding_box()
                wanted = np.kron(_levels(_image(room, 0, slot), 50, 200), np.ones((zoom, zoom), dtype=int))
                assert _stands_at(screen, wanted, box["x"] * ratio, box["y"] * ratio)
            reader.page.keyboard.press("-")
        assert reader.page.locator(".trial > .warning").is_hidden()


def test_a_browser_that_resamples_is_told(browser, room_of):
    with reading(browser, room_of("2afc"), device_scale_factor=1.25) as reader:  # emulated: its boxes are those of 1
        reader.begin()
        reader.armed(1)
        assert "resamples the images" in reader.page.locator(".trial > .warning").inner_text()


def test_the_window_follows_keys_and_pointer_and_is_told_with_the_answer(browser, room_of):
    room = room_of("rating", scale=5)
    with reading(browser, room) as reader:
        reader.begin()
        reader.armed(1)
        zoom = reader.levels().shape[0] // SIZE
        reader.page.keyboard.press("b")
        np.testing.assert_array_equal(reader.levels()[::zoom, ::zoom], _levels(_image(room, 0), 40, 200))
        reader.page.keyboard.press("d")
        reader.page.keyboard.press("m")
        np.testing.assert_array_equal(reader.levels()[::zoom, ::zoom], _levels(_image(room, 0), 50, 190))
        reader.page.keyboard.press("r")
        box = reader.page.locator(".sheet").bounding_box()
        reader.page.mouse.move(box["x"] + 40, box["y"] + 40)
        reader.page.mouse.down()
        reader.page.mouse.move(box["x"] + 40 + 150, box["y"] + 40 + 30, steps=3)
        reader.page.mouse.up()
        np.testing.assert_array_equal(reader.levels()[::zoom, ::zoom], _levels(_image(room, 0), 70, 300))
        for _ in range(zoom + 3):
            reader.page.keyboard.press("+")
        assert reader.page.locator(".tools .figure").inner_text().startswith(f"{2 * zoom}×")  # the largest one
        for _ in range(zoom + 1):
            reader.page.keyboard.press("-")
        reader.page.keyboard.press("4")
        reader.armed(2)
        assert room.book.displayed()[0] == {"centre_hu": 70, "width_hu": 300, "zoom": zoom - 1}
        # It stays for the next trial, until it is reset.
        np.testing.assert_array_equal(reader.levels()[:: zoom - 1, :: zoom - 1], _levels(_image(room, 1), 70, 300))
        reader.page.get_by_role("button", name="Reset window").click()
        np.testing.assert_array_equal(reader.levels()[:: zoom - 1, :: zoom - 1], _levels(_image(room, 1), 50, 200))


def test_a_fixed_window_stays(browser, room_of):
    room = room_of("rating", scale=5, adjustable=False)
    with reading(browser, room) as reader:
        reader.begin()
        reader.armed(1)
        before = reader.levels()
        for key in "bdmlr":
            reader.page.keyboard.press(key)
        box = reader.page.locator(".sheet").bounding_box()
        reader.page.mouse.move(box["x"] + 40, box["y"] + 40)
        reader.page.mouse.down()
        reader.page.mouse.move(box["x"] + 140, box["y"] + 140)
        reader.page.mouse.up()
        np.testing.assert_array_equal(reader.levels(), before)
        assert reader.page.get_by_text("Reset window").count() == 0


def test_nothing_is_shown_before_all_images_have_come_and_nothing_between_trials(browser, room_of):
    room = room_of("2afc")
    with reading(browser, room, hasty=False) as reader:
        reader.begin()
        held = []
        reader.armed(1)
        reader.page.route("**/image/reading/1/1", lambda route: held.append(route))
        with reader.page.expect_response("**/image/reading/1/0"):
            reader.page.keyboard.press("1")
        reader.page.wait_for_timeout(500)
        assert len(held) == 1
        for slot in range(2):
            assert set(np.unique(reader.levels(slot))) == {MID_GREY}
        for key in ("1", "2", "Enter"):  # answers nothing: there is nothing to see
            reader.page.keyboard.press(key)
        held[0].continue_()
        reader.armed(2)
        assert all(len(np.unique(reader.levels(slot))) > 50 for slot in range(2))
    assert len(room.answers()) == 1


def test_images_larger_than_the_window_are_first_shown_smaller(browser, room_of):
    room = room_of("4afc", size=150)  # its first zoom is 2
    with reading(browser, room, viewport={"width": 1024, "height": 600}) as reader:
        reader.begin()
        reader.armed(1)
        stage = reader.page.locator(".stage")
        assert stage.evaluate(
            "(stage) => stage.scrollHeight <= stage.clientHeight && stage.scrollWidth <= stage.clientWidth"
        )
        assert reader.page.locator(".tools .figure").inner_text().startswith("1×")
        reader.page.keyboard.press("+")
        reader.page.keyboard.press("1")
        reader.armed(2)
        assert [one["zoom"] for one in room.book.displayed()] == [2]
        assert reader.page.locator(".tools .figure").inner_text().startswith("2×")


def test_a_pause_before_the_images_have_come_shows_none(browser, room_of):
    room = room_of("2afc")
    with reading(browser, room) as reader:
        held = []
        reader.page.route("**/image/reading/0/1", lambda route: held.append(route))
        with reader.page.expect_request("**/image/reading/0/1"):
            reader.begin()
        reader.page.route("**/event", lambda route: held.append(route))
        with reader.page.expect_request("**/event"):
            reader.page.keyboard.press("p")
        with reader.page.expect_response("**/image/reading/0/1"):
            held[0].continue_()
        reader.page.wait_for_timeout(100)
        assert set(np.unique(reader.levels())) == {MID_GREY}
        held[1].continue_()
        reader.page.wait_for_selector("text=Paused")
        reader.page.unroute_all()
        reader.page.mouse.click(5, 5)  # Enter goes on wherever the focus is
        reader.enter()
        reader.armed(1)


# --- answers ----------------------------------------------------------------------------------------------------------


def test_a_double_press_is_one_answer(browser, room_of):
    room = room_of("2afc")
    with reading(browser, room, hasty=False) as reader:
        reader.begin()
        for number in (1, 2):
            reader.armed(number)
            for _ in range(4):
                reader.page.keyboard.press("1", delay=0)
            reader.page.wait_for_selector(f"text=Trial {number + 1} of 4")
            assert len(room.answers()) == number
        # A press right after the images appear is a late one of the trial before.
        reader.page.wait_for_function(
            "() => document.querySelector('.sheet canvas').getContext('2d').getImageData(3, 3, 1, 1).data[0] !== 128"
        )
        early = reader.page.evaluate("document.querySelector('.stage').dataset.armed === undefined")
        reader.page.keyboard.press("1")
        assert early
        reader.armed(3)
        assert len(room.answers()) == 2


@pytest.mark.parametrize(("design", "options", "key"), [("rating", {"scale": 5}, "3"), ("froc", {"scale": 5}, "Enter")])
def test_a_key_that_is_held_is_one_answer(browser, room_of, design, options, key):
    room = room_of(design, **options)
    with reading(browser, room) as reader:
        reader.begin()
        reader.armed(1)
        for number in (2, 2, 2):  # Playwright repeats a key that goes down again
            reader.page.keyboard.down(key)
            reader.armed(number)
        reader.page.keyboard.up(key)
        assert len(room.answers()) == 1
        reader.page.keyboard.press(key)
        reader.armed(3)


def test_seconds_are_those_that_images_are_seen(browser, room_of):
    room = room_of("2afc", n_cases=2)
    with reading(browser, room, hasty=False) as reader:
        reader.begin()
        reader.armed(1)
        reader.page.wait_for_timeout(400)
        reader.page.keyboard.press("p")
        reader.page.wait_for_selector("text=Paused")
        assert reader.page.locator("canvas").count() == 0
        reader.page.wait_for_timeout(1500)
        reader.enter()
        reader.armed(1)
        reader.page.keyboard.press("1")
        reader.armed(2)
    # 0.4 s and two guards of 0.15 s, plus what the machine takes; the pause of 1.5 s is not in it.
    assert 0.69 < room.answers()[0].seconds < 1.9


def test_feedback_shows_where_the_signal_is(browser, room_of):
    room = room_of("2afc", n_training=2)
    rights = [trial.present for trial in room.study.training]
    with reading(browser, room) as reader:
        reader.begin()
        for number, (right, chosen) in enumerate(zip(rights, (rights[0], 1 - rights[1]), strict=True), start=1):
            reader.armed(number, "training")
            reader.page.keyboard.press(str(chosen + 1))
            told = reader.page.locator(".feedback").inner_text()
            assert told.startswith("Right:" if right == chosen else "Wrong:")
            assert f"image {right + 1}" in told
            ring = reader.page.locator(".sheet svg").nth(right).locator(".ring")
            middle = (SIZE - 1) / 2
            assert (float(ring.get_attribute("cx")), float(ring.get_attribute("cy"))) == (middle, middle)
            assert reader.page.locator(".ring").count() == 1
            assert len(np.unique(reader.levels(right))) > 50  # the images are still there
            reader.page.wait_for_timeout(60)
            reader.page.keyboard.press("Enter")
        reader.page.wait_for_selector("text=The reading begins")


@pytest.mark.parametrize(
    ("design", "told"), [("2afc", "the signal is in image"), ("locate", "This image holds a signal.")]
)
def test_feedback_speaks_of_no_ring_where_the_place_is_not_known(browser, room_of, design, told):
    room = room_of(design, n_training=1, **({} if design == "2afc" else {"scale": 5}))
    trials = [replace(trial, lesions=()) for trial in room.study.training]
    object.__setattr__(room.study, "training", trials)
    with reading(browser, room) as reader:
        reader.begin()
        reader.armed(1, "training")
        for key in ("1",) if design == "2afc" else ("Space", "5", "Enter"):
            reader.page.keyboard.press(key)
        words = reader.page.locator(".feedback").inner_text()
        assert told in words
        assert "ring" not in words
        assert reader.page.locator(".ring").count() == 0


def test_marks_are_taken_back_and_listed(browser, room_of):
    room = room_of("froc", scale=5)
    with reading(browser, room) as reader:
        page = reader.page
        reader.begin()
        reader.armed(1)
        page.keyboard.press("3")
        assert "Show a place first" in page.locator(".asked .note").inner_text()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Enter")  # neither a mark nor an answer, while it has no confidence
        assert page.locator(".marks li").count() == 0
        page.keyboard.press("Delete")
        for key in ("ArrowLeft", "2", "ArrowUp", "4", "ArrowUp", "5", "Enter"):  # a double press ends nothing
            page.keyboard.press(key)
        assert page.locator(".marks li").all_inner_texts() == [f"confidence {k} ×" for k in (2, 4, 5)]
        page.get_by_role("button", name="Remove mark 2").click()
        page.keyboard.press("Delete")
        page.wait_for_timeout(60)
        assert page.locator(".mark").count() == 1
        page.locator(".sheet").click()  # and by mouse
        assert page.get_by_role("button", name="No more marks").is_disabled()
        page.get_by_role("button", name="Take back").click()
        assert page.locator(".mark").count() == 1
        page.keyboard.press("Enter")
        reader.armed(2)
    (mark,) = room.answers()[0].marks
    assert (mark.row_px, mark.column_px, mark.rating) == (16, 14, 2)


# --- what comes between -----------------------------------------------------------------------------------------------


def test_a_reload_goes_on_at_the_same_trial(browser, room_of):
    room = room_of("2afc")
    with reading(browser, room) as reader:
        reader.begin()
        reader.armed(1)
        reader.page.keyboard.press("2")
        reader.armed(2)
        before = [reader.levels(slot) for slot in range(2)]
        reader.page.reload()
        reader.armed(2)  # this screen was checked, and is not asked again
        np.testing.assert_array_equal([reader.levels(slot) for slot in range(2)], before)
        reader.page.keyboard.press("1")
        reader.armed(3)
    assert [room.slot_of(answer) for answer in room.answers()] == [1, 0]


def test_another_device_goes_on_and_the_first_is_told(browser, room_of):
    room = room_of("2afc")
    with reading(browser, room, expected=(EXPECTED,)) as first, reading(browser, room) as second:
        first.begin()
        first.armed(1)
        first.page.keyboard.press("2")
        first.armed(2)
        second.open()
        second.check_display(17)  # another screen
        second.enter_anyway()
        second.armed(2)
        second.page.keyboard.press("1")
        second.armed(3)
        first.page.keyboard.press("2")  # of a trial that was answered elsewhere
        first.page.wait_for_selector("text=Answered elsewhere")
        first.enter()
        first.armed(3)
    assert [room.slot_of(answer) for answer in room.answers()] == [1, 0]


@pytest.mark.parametrize("reloads", [False, True])
def test_an_answer_is_kept_while_the_server_is_away(browser, room_of, reloads):
    room = room_of("2afc")
    with reading(browser, room, expected=(EXPECTED,)) as reader:
        reader.begin()
        reader.armed(1)
        room.stop()
        reader.page.keyboard.press("2")
        reader.page.wait_for_selector("dialog[open]")
        assert "Your answer is kept in this tab" in reader.page.locator("dialog").inner_text()
        assert set(np.unique(reader.levels())) == {MID_GREY}
        room.start()
        if reloads:
            reader.page.reload()
        else:
            reader.page.get_by_role("button", name="Try again").click()
        reader.armed(2)
        assert reader.page.locator("dialog[open]").count() == 0
        assert [room.slot_of(answer) for answer in room.answers()] == [1]
        room.stop()  # and it goes on by itself
        reader.page.keyboard.press("1")
        reader.page.wait_for_selector("dialog[open]")
        room.start()
        reader.armed(3)
    assert [room.slot_of(answer) for answer in room.answers()] == [1, 0]


def test_an_answer_that_was_written_but_not_confirmed_is_written_once(browser, room_of):
    room = room_of("2afc")
    with reading(browser, room, expected=(EXPECTED,)) as reader:
        reader.begin()
        reader.armed(1)

        def lose_the_reply(route):
            route.fetch()
            route.abort()

        reader.page.route("**/answer", lose_the_reply, times=1)
        reader.page.keyboard.press("2")
        reader.armed(2)
    assert [room.slot_of(answer) for answer in room.answers()] == [1]


def test_what_the_server_cannot_store_is_told_and_sent_again(browser, room_of):
    room = room_of("2afc")
    with reading(browser, room, expected=(EXPECTED,)) as reader:
        reader.begin()
        reader.armed(1)
        full = {"status": 507, "content_type": "application/json", "body": '{"error": "The disk is full <b>."}'}
        reader.page.route("**/answer", lambda route: route.fulfill(**full))
        reader.page.keyboard.press("2")
        reader.page.wait_for_selector("text=The disk is full <b>.")
        assert room.answers() == []
        reader.page.unroute("**/answer")
        reader.armed(2)
    assert len(room.answers()) == 1


def test_half_an_image_is_asked_for_again(browser, room_of):
    room = room_of("2afc")
    with reading(browser, room, hasty=False) as reader:
        half = {"content_type": "application/octet-stream", "body": b"\0" * SIZE * SIZE}
        reader.page.route("**/image/reading/0/1", lambda route: route.fulfill(**half), times=1)
        reader.begin()
        reader.page.wait_for_selector("text=An image came incomplete.")
        reader.page.get_by_role("button", name="Try again").click()
        reader.armed(1)
        zoom = reader.levels().shape[0] // SIZE
        wanted = _levels(_image(room, 0, 1), int(BACKGROUND_HU), 200)
        np.testing.assert_array_equal(reader.levels(1)[::zoom, ::zoom], wanted)


def test_breaks_are_offered_and_the_end_is_told(browser, room_of):
    room = room_of("2afc", break_every=2)
    with reading(browser, room) as reader:
        reader.begin()
        for number in range(1, 5):
            reader.armed(number)
            reader.page.keyboard.press("1")
            if number == 2:
                reader.page.wait_for_selector("text=Time for a break")
                assert "2 of 4 trials are answered" in reader.page.locator("main").inner_text()
                reader.open()
                reader.page.wait_for_selector("text=Welcome back")
                reader.enter()
        reader.page.wait_for_selector("text=You have answered all 4 trials")
        assert reader.page.locator("canvas").count() == 0


def test_a_study_that_was_closed_takes_no_more(browser, room_of):
    room = room_of("2afc")
    with reading(browser, room, expected=(EXPECTED,)) as reader:
        reader.begin()
        reader.armed(1)
        room.book.close_study()
        reader.page.keyboard.press("1")
        reader.page.wait_for_selector("text=The study is closed")
    assert room.answers() == []


# --- the display, and the page itself ---------------------------------------------------------------------------------


def test_what_a_reader_sees_of_the_display_is_kept(browser, room_of):
    room = room_of("2afc")
    with reading(browser, room, device_scale_factor=1.5) as reader:
        reader.open()
        reader.enter()
        page = reader.page
        greys = page.locator(".step").evaluate_all("all => all.map((one) => getComputedStyle(one).backgroundColor)")
        assert greys == [f"rgb({level}, {level}, {level})" for level in range(0, 256, 15)]
        faint = page.locator(".square").evaluate_all("all => all.map((one) => getComputedStyle(one).backgroundColor)")
        assert faint == ["rgb(13, 13, 13)", "rgb(242, 242, 242)"]  # 5 and 95 % of 255
        assert "is 150 %" in page.locator(".warning").inner_text()
        for name in ("dark", "bright"):
            page.check(f"input[name={name}][value='I cannot see it']")
        page.select_option("#steps", "16")
        page.click("[type=submit]")
        assert page.locator("main li").count() == 3
        page.wait_for_timeout(60)
        page.get_by_role("button", name="Check again").click()
        reader.check_display(17)
        reader.enter_anyway()
        reader.armed(1)
    (event,) = [event for event in room.book.events("reader-1") if event.kind == "display"]
    seen = {"steps_seen": 17, "dark_square_seen": True, "bright_square_seen": True}
    screen = {"screen_width_px": 1024, "screen_height_px": 768, "device_pixel_ratio": 1.5}
    assert event.detail == seen | screen | {"window_width_px": 1024, "window_height_px": 768}


@pytest.mark.parametrize(("size", "told"), [(150, "or they are shown smaller"), (310, "or you must scroll to see all")])
def test_a_window_too_small_is_told_before_the_first_trial(browser, room_of, size, told):
    room = room_of("4afc", size=size)
    with reading(browser, room, viewport={"width": 1024, "height": 560}) as reader:
        reader.open()
        reader.enter()
        assert told in reader.page.locator(".warning").inner_text()


def _axe(reader):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(reader.page).response["violations"]
    return [(one["id"], one["nodes"][0]["html"][:120]) for one in found]


@pytest.mark.parametrize(("design", "options"), [("4afc", {}), ("froc", {"scale": 101}), ("locate", {"scale": 5})])
def test_every_screen_fits_and_axe_finds_nothing(browser, room_of, design, options):
    room = room_of(design, n_training=1, **options)
    with reading(browser, room, bypass_csp=True, expected=(EXPECTED,)) as reader:
        page = reader.page

        def check():
            assert _axe(reader) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= 1024
            if page.locator(".trial").count():
                assert page.evaluate("document.documentElement.scrollHeight") <= 768

        reader.open()
        page.wait_for_selector("h1")
        check()
        assert page.locator("main .first").bounding_box()["y"] < 720
        reader.enter()
        page.wait_for_selector("form")
        check()
        reader.check_display()
        reader.armed(1, "training")
        keys = {"4afc": ["1"], "froc": ["ArrowUp", "7", "Enter", "Enter"], "locate": ["ArrowUp", "4", "Enter"]}[design]
        for key in keys[:-1]:
            page.keyboard.press(key)
        check()
        page.keyboard.press(keys[-1])
        page.wait_for_selector(".feedback")
        check()
        page.wait_for_timeout(60)
        page.keyboard.press("Enter")
        reader.enter()
        reader.armed(1)
        assert "Trial 1 of 4" in page.locator("#said").inner_text()
        page.keyboard.press("p")
        page.wait_for_selector("text=Paused")
        check()
        page.route("**/event", lambda route: route.abort(), times=1)
        page.wait_for_timeout(60)
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog[open]")
        check()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_surround_is_dark_and_without_colour_whatever_the_system_likes(browser, room_of, scheme):
    with reading(browser, room_of(), color_scheme=scheme) as reader:
        reader.begin()
        reader.armed(1)
        assert reader.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(26, 26, 26)"


def test_the_focus_can_be_seen(browser, room_of):
    with reading(browser, room_of("rating", scale=5)) as reader:
        reader.begin()
        reader.armed(1)
        seen = []
        for _ in range(9):
            reader.page.keyboard.press("Tab")
            seen.append(
                reader.page.evaluate(
                    "[document.activeElement.textContent, getComputedStyle(document.activeElement).outlineStyle]"
                )
            )
        assert {outline for text, outline in seen if text} == {"solid"}
        assert [text for text, _ in seen[:4]] == ["−", "+", "Reset window", "Pause"]
        reader.page.keyboard.press("Enter")


def test_a_link_of_nobody_and_a_page_without_scripts_say_so(browser, room_of):
    room = room_of()
    with reading(browser, room, java_script_enabled=False) as reader:
        reader.open()
        assert "needs JavaScript" in reader.page.locator("body").inner_text()
    with reading(browser, room, expected=(EXPECTED,)) as reader:
        reader.page.route("**/state", lambda route: route.fulfill(status=404, body="nothing"))
        reader.open()
        reader.page.wait_for_selector("text=This link opens nothing.")
